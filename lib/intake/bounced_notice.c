/*
 * The report that a notice of the portal's came back. It is not passed on: it would show the sender a mail that he did not
 * write, with the link in it that is the recipient's. The audit is told, the address left alone like any other, and then the
 * portal, which alone knows whether the package was opened meanwhile, tells the sender or not, once (0286). Only when both have
 * it is the peer answered. One that comes again, because the portal was away or the peer lost our answer, is on record again, as
 * something that was received; the sender hears nothing more of it.
 */
#include "intake/bounce_priv.h"

#include "jobs/act.h"
#include "jobs/deposit.h"

#define WITHIN_MS 30000

static void tell_portal(struct bounce *b);
static void tell_audit(struct bounce *b);

static void call(struct bounce *b, struct sp_jobs_request *what, struct sp_buf *payload,
                 void (*done)(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply))
{
    what->index = SP_JOBS_ANY;
    what->timeout_ms = WITHIN_MS;
    what->wait_for_peer = true;
    what->payload = sp_buf_bytes(payload);
    if (sp_buf_rc(payload) == SP_OK)
        b->call = sp_jobs_call(b->in->parts.jobs, what, done, b);
    else
        sp_intake_bounce_done(b, SP_E_LIMIT, sp_bytes(NULL, 0));
}

static void on_told(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct bounce *b = arg;

    (void)reply;
    b->call = 0;
    if (rc != SP_OK) {
        sp_intake_bounce_done(b, SP_E_ROLE_GONE, sp_bytes(NULL, 0)); /* come again */
        return;
    }
    b->in->stats.bounced++;
    if (b->alone_until_ms > 0)
        b->in->parts.leave_alone(b->in->parts.arg, b->origin.recipient, b->alone_until_ms);
    sp_log_info(b->in->parts.log, "intake.bounced", SP_ID("message", &b->origin.message),
                SP_TEXT("kind", "notice"), SP_BOOL("left_alone", b->alone_until_ms > 0));
    sp_intake_bounce_done(b, SP_OK, sp_bytes(NULL, 0));
}

static void tell_portal(struct bounce *b)
{
    bool exact;
    const struct sp_dsn_said *said = sp_intake_bounce_said(b, &exact);
    struct sp_jobs_request what = {.role = SP_ROLE_PORTAL, .type = SP_JOBS_RETURNED};
    struct sp_jobs_returned_request request = {.package = b->origin.package, .tells = true};
    struct sp_buf payload, status;

    sp_buf_init(&status, 32);
    if (said->status.class == 5)
        sp_status_format(said->status, &status);
    else
        sp_buf_put_cstr(&status, "5.0.0");
    request.status = sp_buf_bytes(&status);
    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_returned_request_encode(&payload, &request);
    call(b, &what, &payload, on_told);
    sp_buf_clear(&payload);
    sp_buf_clear(&status);
}

static void on_recorded(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct bounce *b = arg;

    (void)reply;
    b->call = 0;
    if (rc != SP_OK)
        sp_intake_bounce_done(b, SP_E_ROLE_GONE, sp_bytes(NULL, 0));
    else if (++b->told < b->accept.audit.count)
        tell_audit(b);
    else
        tell_portal(b);
}

static void tell_audit(struct bounce *b)
{
    struct sp_jobs_act_request act = {.event = b->accept.audit.events[b->told]};
    struct sp_jobs_request what = {.role = SP_ROLE_LEDGER, .type = SP_JOBS_ACT};
    struct sp_buf payload;

    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_act_request_encode(&payload, &act);
    call(b, &what, &payload, on_recorded);
    sp_buf_clear(&payload);
}

bool sp_intake_bounced_is_notice(const struct bounce *b)
{
    bool exact;
    const struct sp_dsn_said *said = sp_intake_bounce_said(b, &exact);

    return b->origin.package.len > 0 && said != NULL && said->action == SP_DSN_FAILED;
}

enum sp_rc sp_intake_bounced_notice(struct bounce *b)
{
    enum sp_rc rc;

    b->accept.audit.events =
        sp_arena_alloc(b->arena, SP_BOUNCE_EVENTS_MAX * sizeof(*b->accept.audit.events));
    rc = sp_intake_bounce_events(b);
    if (rc == SP_OK)
        tell_audit(b);
    return rc;
}
