/*
 * What a sender hears of the end of a package, as a delivery status notification (RFC 3461, 3464): `delivered` when it is
 * first opened, `failed` when nobody has opened it in time, each only to who asked for it. The acceptance of the notice
 * was `relayed`, which ends nothing; these two do, so that a package makes one of them at most: the row of the wish goes
 * with the report. Until then the row keeps what a crash must not lose: which mail the relay has already queued, and the
 * four fields of the original that are kept back when its key is destroyed.
 */
#include "portal/report_priv.h"

#include "jobs/deposit.h"
#include "mail/dsn.h"

#define HEADER_MAX 8192

enum sp_rc sp_portal_report_insert(struct sp_portal *p, const char *id,
                                   const struct sp_portal_deposit *d, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "INSERT OR IGNORE INTO reports (package, wants, envid, orcpt, arrived_ms)"
                  " VALUES (?1, ?2, ?3, ?4, ?5)");

    sp_store_bind_text(q, 1, sp_bytes_cstr(id));
    sp_store_bind_int(q, 2, d->report.wants);
    sp_store_bind_text(q, 3, d->report.envid);
    sp_store_bind_text(q, 4, d->report.orcpt);
    sp_store_bind_int(q, 5, d->report.arrived_ms);
    return sp_store_run(q, err);
}

static void read_row(struct sp_store_query *q, struct portal_report *out)
{
    struct sp_bytes dsn = sp_store_blob(q, 4), rest;

    out->wants = (unsigned)sp_store_int(q, 0);
    sp_buf_put(&out->envid, sp_store_text(q, 1));
    sp_buf_put(&out->orcpt, sp_store_text(q, 2));
    out->arrived_ms = sp_store_int(q, 3);
    out->is_queued = dsn.len == SP_ID_LEN;
    if (out->is_queued)
        memcpy(out->dsn.b, dsn.ptr, SP_ID_LEN);
    sp_buf_put(&out->header, sp_store_blob(q, 5));
    if (!sp_status_parse(sp_store_text(q, 6), &out->returned, &rest))
        out->returned = (struct sp_status){0};
}

enum sp_rc sp_portal_report_find(struct sp_portal *p, const char *id, struct portal_report *out)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "SELECT wants, envid, orcpt, arrived_ms, dsn, header, returned FROM reports"
                  " WHERE package = ?1");
    bool row = false;
    enum sp_rc rc;

    *out = (struct portal_report){0};
    sp_buf_init(&out->envid, SP_PORTAL_ENVID_MAX);
    sp_buf_init(&out->orcpt, SP_PORTAL_ORCPT_MAX);
    sp_buf_init(&out->header, HEADER_MAX);
    sp_store_bind_text(q, 1, sp_bytes_cstr(id));
    rc = sp_store_next(q, &row, NULL);
    if (rc == SP_OK && row)
        read_row(q, out);
    sp_store_done(q);
    if (rc == SP_OK && !row)
        rc = SP_E_NOT_FOUND;
    return rc;
}

void sp_portal_report_clear(struct portal_report *r)
{
    sp_buf_clear(&r->envid);
    sp_buf_clear(&r->orcpt);
    sp_buf_clear(&r->header);
}

enum sp_rc sp_portal_report_queued(struct sp_portal *p, const char *id, const struct sp_id *dsn)
{
    struct sp_store_query *q =
        sp_store_query(p->store, "UPDATE reports SET dsn = ?2 WHERE package = ?1");

    sp_store_bind_text(q, 1, sp_bytes_cstr(id));
    sp_store_bind_blob(q, 2, sp_bytes(dsn->b, SP_ID_LEN));
    return sp_store_run(q, NULL);
}

enum sp_rc sp_portal_report_end(struct sp_portal *p, const char *id)
{
    struct sp_store_query *q = sp_store_query(p->store, "DELETE FROM reports WHERE package = ?1");

    sp_store_bind_text(q, 1, sp_bytes_cstr(id));
    return sp_store_run(q, NULL);
}

/* From, To, Date and Message-ID of a package that can be read still; else nothing. */
static void read_header(struct sp_portal *p, const struct portal_package *pkg, struct sp_buf *out)
{
    SP_AUTO(sp_content_reader) reader = NULL;
    struct sp_content content;
    struct sp_bytes first;
    struct sp_header h;

    if (sp_portal_vault_open(p, pkg, &content) == SP_OK) {
        reader = sp_content_reader_new(&content);
        if (sp_content_view(reader, 0, &first) == SP_OK &&
            sp_header_parse(first, first.len == content.len, &h) == SP_OK)
            sp_dsn_keep_header(&h, out);
    }
    sp_content_clear(&content);
}

void sp_portal_report_keep(struct sp_portal *p, const struct portal_package *pkg)
{
    struct portal_report r;
    struct sp_store_query *q;

    if (pkg->opens == 0 && sp_portal_report_find(p, pkg->id, &r) == SP_OK) {
        if ((r.wants & SP_JOBS_DEPOSIT_TELL_UNOPENED) != 0 && r.header.len == 0) {
            read_header(p, pkg, &r.header);
            q = sp_store_query(p->store, "UPDATE reports SET header = ?2 WHERE package = ?1");
            sp_store_bind_text(q, 1, sp_bytes_cstr(pkg->id));
            sp_store_bind_blob(q, 2, sp_buf_bytes(&r.header));
            if (sp_store_run(q, NULL) != SP_OK) /* the report does without */
                sp_log_warn(p->o.log, "portal.due-failed", SP_TEXT("package", pkg->id));
        }
        sp_portal_report_clear(&r);
    } else if (pkg->opens == 0) {
        sp_portal_report_clear(&r);
    }
}

bool sp_portal_report_is_owed(struct sp_portal *p, const struct portal_package *pkg)
{
    struct portal_report r;
    enum sp_rc rc;
    unsigned want = SP_JOBS_DEPOSIT_TELL_OPENED;
    bool owed;

    if (pkg->sender[0] == '\0')
        return false;
    rc = sp_portal_report_find(p, pkg->id, &r);
    if (pkg->opens == 0)
        want = r.returned.class != 0 || sp_portal_sure_ms(p) >= pkg->expires_ms
                   ? SP_JOBS_DEPOSIT_TELL_UNOPENED
                   : 0;
    owed = rc == SP_OK ? (r.wants & want) != 0 : rc != SP_E_NOT_FOUND; /* in doubt: asked again */
    sp_portal_report_clear(&r);
    return owed;
}

/* The same report has the same Message-ID, however often it is made. */
static struct sp_id id_of(const struct sp_portal *p, const struct portal_package *pkg)
{
    struct sp_portal_hash hash;
    struct sp_id id;

    sp_portal_hash(p, "report", sp_bytes_cstr(pkg->id), &hash);
    memcpy(id.b, hash.b, sizeof(id.b));
    return id;
}

const char *sp_portal_report_why(const struct portal_package *pkg, const struct portal_report *r)
{
    if (pkg->opens > 0)
        return NULL;
    return r->returned.class != 0 ? sp_rc_name(SP_E_HOP_BOUNCED) : "portal.expired-unread";
}

enum sp_rc sp_portal_report_build(struct sp_portal *p, const struct portal_package *pkg,
                                  struct portal_report *r, struct sp_buf *out)
{
    const char *why = sp_portal_report_why(pkg, r);
    bool opened = why == NULL, returned = !opened && r->returned.class != 0;
    struct sp_dsn_recipient recipient = {
        .address = sp_bytes_cstr(pkg->recipient),
        .orcpt = sp_buf_bytes(&r->orcpt),
        .action = opened ? SP_DSN_DELIVERED : SP_DSN_FAILED,
        .status = opened     ? (struct sp_status){2, 0, 0}
                  : returned ? r->returned
                             : (struct sp_status){5, 4, 7},
        .why = opened ? SP_LIT("") : sp_bytes_cstr(why),
    };
    struct sp_dsn dsn = {
        .id = id_of(p, pkg),
        .host = sp_bytes_cstr(p->o.hostname),
        .to = sp_bytes_cstr(pkg->sender),
        .envid = sp_buf_bytes(&r->envid),
        .now_ms = sp_clock_wall_ms(p->o.clock),
        .arrived_ms = r->arrived_ms,
        .is_of_portal = !returned,
        .recipients = &recipient,
        .count = 1,
    };
    struct sp_buf from;
    enum sp_rc rc;

    sp_buf_init(&from, PORTAL_ADDR_MAX);
    sp_buf_printf(&from, "postmaster@%s", p->o.hostname);
    dsn.from = sp_buf_bytes(&from);
    if (r->header.len == 0)
        read_header(p, pkg, &r->header);
    dsn.original_header = sp_buf_bytes(&r->header);
    rc = sp_buf_rc(&from);
    if (rc == SP_OK)
        rc = sp_dsn_build(&dsn, out);
    sp_buf_clear(&from);
    return rc;
}

enum sp_rc sp_portal_unreached(struct sp_portal *p, struct sp_bytes package)
{
    struct sp_store_query *q = sp_store_query(p->store, "DELETE FROM reports WHERE package = ?1");

    sp_store_bind_text(q, 1, package);
    return sp_store_run(q, NULL); /* what becomes due then finds nothing owed */
}

enum sp_rc sp_portal_bounced(struct sp_portal *p, struct sp_bytes package, struct sp_bytes status)
{
    struct sp_store_query *q;
    struct sp_status parsed;
    struct sp_bytes rest;
    enum sp_rc rc;

    if (!sp_status_parse(status, &parsed, &rest) || parsed.class != 5)
        return SP_E_MALFORMED;
    rc = sp_store_begin(p->store, NULL);
    if (rc != SP_OK)
        return rc;
    q = sp_store_query(p->store,
                       "UPDATE reports SET returned = ?2 WHERE package = ?1 AND wants & ?3");
    sp_store_bind_text(q, 1, package);
    sp_store_bind_text(q, 2, status);
    sp_store_bind_int(q, 3, SP_JOBS_DEPOSIT_TELL_UNOPENED);
    rc = sp_store_run(q, NULL);
    if (rc == SP_OK && sp_store_changes(p->store) > 0)
        rc = sp_portal_hasten_report(p, package);
    if (rc != SP_OK) {
        sp_store_rollback(p->store);
        return rc;
    }
    rc = sp_store_commit(p->store, NULL);
    if (rc == SP_OK)
        sp_timer_start(p->due_timer, 0);
    return rc;
}
