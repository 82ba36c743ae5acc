/*
 * TLS reports on their way (RFC 8460): of each day and domain whose sessions were counted, whether it is known where the
 * report goes, to whom it was sent, when to try again. All of it lies in the ledger's database, in the transactions of the
 * books, so that no restart forgets a report or begins one anew. A step is written down before it is asked for; that a mail
 * lies in a queue is learned from its message.accepted too, should the answer be lost. thread: as the book
 */
#ifndef SP_AUDIT_REPORTS_H
#define SP_AUDIT_REPORTS_H

#include "audit/book.h"

#define SP_AUDIT_REPORT_KEY_LEN 32 /* hexadecimal digits */

struct sp_audit_report_task {
    char day[16]; /* "2026-11-21" */
    char domain[256];
    char uri[1024]; /* empty: where the report goes is to be found out */
    char key[SP_AUDIT_REPORT_KEY_LEN + 1];
    int64_t tries; /* so far */
};

/*
 * Plans reports of all days that have ended, once each: from now_ms on, at a random moment within delay_ms.
 *
 * returns: SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_reports_plan(struct sp_audit_book *b, int64_t now_ms,
                                               int64_t delay_ms, struct sp_err *err);

/* The task that is due first, at next_ms. found: out: whether there is one at all. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_reports_next(struct sp_audit_book *b,
                                               struct sp_audit_report_task *out, int64_t *next_ms,
                                               bool *found, struct sp_err *err);

/*
 * A try begins: written before it is made, with the time of the next one.
 *
 * returns: SP_E_NOT_FOUND if it has been tried for a day (it is then given up), SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_reports_try(struct sp_audit_book *b,
                                              const struct sp_audit_report_task *t, int64_t now_ms,
                                              int64_t retry_ms, struct sp_err *err);

/* Where the report goes. count 0: nowhere. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_reports_found(struct sp_audit_book *b,
                                                const struct sp_audit_report_task *t,
                                                const struct sp_bytes *uris, size_t count,
                                                struct sp_bytes contact, struct sp_err *err);

/* It was sent; transport.report-sent says so. returns: SP_E_STORE_FAILED, SP_E_MALFORMED */
SP_MUST_CHECK enum sp_rc sp_audit_reports_sent(struct sp_audit_book *b,
                                               const struct sp_audit_report_task *t,
                                               struct sp_err *err);

/*
 * The report's bytes: JSON (RFC 8460 4.4) in gzip. The contact is what sp_audit_reports_found was told.
 *
 * id:      gets the report-id
 * returns: SP_E_NOT_FOUND, SP_E_LIMIT, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_reports_content(struct sp_audit_book *b,
                                                  const struct sp_audit_report_task *t,
                                                  struct sp_buf *id, struct sp_buf *out,
                                                  struct sp_err *err);

/* r: lent for the call. state: "find", "none", "send", "sent", "failed" */
struct sp_audit_reports_row {
    struct sp_bytes day;
    struct sp_bytes domain;
    struct sp_bytes uri;
    struct sp_bytes state;
    int64_t tries;
    int64_t next_ms;
};
typedef void (*sp_audit_reports_fn)(void *arg, const struct sp_audit_reports_row *r);
/* Walks what is known of reports, of a day or (day empty) of all. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_reports_each(struct sp_audit_book *b, struct sp_bytes day,
                                               sp_audit_reports_fn fn, void *arg,
                                               struct sp_err *err);

#endif
