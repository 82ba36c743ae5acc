/*
 * Facts of past decisions, for `sallyport policy replay`. thread: as the book
 */
#ifndef SP_AUDIT_FACTS_H
#define SP_AUDIT_FACTS_H

#include "audit/book.h"
#include "journal/records.h"

struct sp_audit_fact {
    struct sp_id id;
    int64_t time_ms;
    struct sp_bytes facts; /* JSON; lent for the call */
};

struct sp_audit_facts_ask {
    const struct sp_id *message; /* this one alone, or NULL */
    int64_t since_ms;            /* else all that were accepted since, in their order */
    void (*fn)(void *arg, const struct sp_audit_fact *fact);
    void *arg;
};

/* Hands out the facts; what can't be opened is left out. returns: SP_OK, SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_facts(struct sp_audit_book *b,
                                             const struct sp_audit_facts_ask *ask,
                                             struct sp_err *err);

/* Keeps an accepted message's facts, in the batch's transaction. returns: SP_OK, SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_facts_store(struct sp_audit_book *b,
                                              const struct sp_accept *accept, struct sp_err *err);

/* Forgets of what is older than 90 days some, in the checkpoint's transaction; by no clock that leaps. returns: SP_OK, SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_facts_forget(struct sp_audit_book *b, struct sp_err *err);

#endif
