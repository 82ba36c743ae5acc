/*
 * What a sender hears of the end of a package (RFC 3464): its row, and what is made of it. thread: loop
 */
#ifndef SP_PORTAL_REPORT_PRIV_H
#define SP_PORTAL_REPORT_PRIV_H

#include "mail/status.h"
#include "portal/portal_priv.h"

struct portal_report {
    unsigned wants; /* SP_JOBS_DEPOSIT_TELL_* */
    struct sp_buf envid;
    struct sp_buf orcpt;
    struct sp_buf header; /* kept of the original; may be empty */
    int64_t arrived_ms;
    struct sp_status returned; /* of its notice; class 0: it did not come back */
    bool is_queued;            /* a relay has it: */
    struct sp_id dsn;          /* under this id */
};
enum sp_rc sp_portal_report_insert(struct sp_portal *p, const char *id,
                                   const struct sp_portal_deposit *d, struct sp_err *err);
/* owner: the caller, of out, whatever is returned, to sp_portal_report_clear. returns: SP_E_NOT_FOUND if none is wanted
 * any more, SP_E_STORE_FAILED */
enum sp_rc sp_portal_report_find(struct sp_portal *p, const char *id, struct portal_report *out);
void sp_portal_report_clear(struct portal_report *r);
/* Notes that a relay has it. */
enum sp_rc sp_portal_report_queued(struct sp_portal *p, const char *id, const struct sp_id *dsn);
/* Now is the time. */
enum sp_rc sp_portal_hasten_report(struct sp_portal *p, struct sp_bytes id);
enum sp_rc sp_portal_report_end(struct sp_portal *p, const char *id);
/* Before the key of a package goes: keeps what a report of it needs. */
void sp_portal_report_keep(struct sp_portal *p, const struct portal_package *pkg);
/* returns: whether the sender wants to hear what the package has come to by now */
bool sp_portal_report_is_owed(struct sp_portal *p, const struct portal_package *pkg);
/* returns: why the message was not delivered, NULL if it was; static */
const char *sp_portal_report_why(const struct portal_package *pkg, const struct portal_report *r);
enum sp_rc sp_portal_report_build(struct sp_portal *p, const struct portal_package *pkg,
                                  struct portal_report *r, struct sp_buf *out);

/* ---- record.c ---- */
/* A report was queued. why: the message was not delivered; NULL: it was */
void sp_portal_record_report(struct sp_buf *out, const struct portal_package *pkg,
                             const struct sp_id *dsn, const char *why);

#endif
