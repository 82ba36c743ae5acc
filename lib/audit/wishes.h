/*
 * What recipients have chosen in the portal for mail to them (preference.changed of source "recipient"), as the books remember
 * it: by tenant and address, in lower case. thread: as the book
 */
#ifndef SP_AUDIT_WISHES_H
#define SP_AUDIT_WISHES_H

#include "audit/book.h"
#include "policy/facts.h"

#define SP_AUDIT_WISHES_MAX 100000

struct sp_audit_wish {
    struct sp_bytes tenant;
    struct sp_bytes address;
    struct sp_fact_wish wish;
    bool removed;
};

/* w: lent for the call. returns: false to end the walk behind it */
typedef bool (*sp_audit_wish_fn)(void *arg, const struct sp_audit_wish *w);

/*
 * Walks those that hold now, in the order of tenant and address, behind these two (empty: from the first).
 *
 * returns: SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_wishes(struct sp_audit_book *b, struct sp_bytes tenant,
                                              struct sp_bytes address, sp_audit_wish_fn fn,
                                              void *arg, struct sp_err *err);

/* Finds what holds now. returns: SP_E_NOT_FOUND, SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_wish_find(struct sp_audit_book *b, struct sp_bytes tenant,
                                                 struct sp_bytes address, struct sp_fact_wish *out,
                                                 struct sp_err *err);

/* Takes one that has changed since it was last asked. out: lent until the next call. returns: false if there is none */
bool sp_audit_book_wish_changed(struct sp_audit_book *b, struct sp_audit_wish *out);

/*
 * Finds whether a wish of this recipient's fits: there is room for one more, or this takes the place of what it chose before.
 * Where there is none, what no longer holds is thrown out first.
 *
 * returns: SP_OK; SP_E_LIMIT: the recipient is told so, and nothing is put on record; SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_wish_fits(struct sp_audit_book *b, struct sp_bytes tenant,
                                                 struct sp_bytes address, struct sp_err *err);

#endif
