/*
 * Telling a sender what becomes of a message. What goes into a DSN is gathered here while an attempt is settled, one DSN
 * for all that it came to. Telling where a copy has gone is the other thing: a rule may ask that the sender hears when mail went to the portal and not to the
 * recipient's own mailbox. The word is given when the notice has been accepted, since only then can anybody read it, in the
 * same record. It names the recipient and nothing of the message.
 */
#include "delivery/delivery_priv.h"
#include "delivery/park_priv.h"

#include "jobs/deposit.h"
#include "mail/compose.h"

#define TEXT_MAX 4096

static struct sp_bytes own_address(struct sp_attempt *a)
{
    struct sp_buf text;
    struct sp_bytes copy;

    sp_buf_init(&text, 512);
    sp_buf_printf(&text, "postmaster@%s", a->d->settings.hostname);
    copy = sp_arena_copy(a->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return copy;
}

/* ---- what goes into a DSN ---- */

static void note(struct sp_attempt *a, const struct sp_bounce_rcpt *r, enum sp_dsn_action action)
{
    if (a->told == NULL)
        a->told = sp_arena_alloc(a->arena, SP_QUEUE_DUE_MAX * sizeof(*a->told));
    sp_assert(a->told_count < SP_QUEUE_DUE_MAX);
    a->told[a->told_count] = *r;
    a->told[a->told_count++].action = action;
}

/* Who would hear of recipient n: of a notice of ours, the sender of what it tells of. */
static struct sp_giving_up listener(const struct sp_attempt *a, uint16_t n)
{
    const struct sp_accept *accept = &a->p->m->accept;
    bool is_notice = a->options->notice_of.package.len > 0;

    return (struct sp_giving_up){
        .own_mail = !sp_attempt_is_mail(a) && !is_notice,
        .null_sender = is_notice ? a->options->notice_of.sender.len == 0
                                 : accept->sender.len == 0 || sp_attempt_is_foreign(a),
        .notify = is_notice ? a->options->notice_of.notify : accept->recipients[n].notify,
    };
}

bool sp_attempt_hears_failed(struct sp_attempt *a, const struct sp_bounce_rcpt *r)
{
    struct sp_giving_up g = listener(a, r->n);

    if (!sp_outcome_tells_sender(&g))
        return false;
    note(a, r, SP_DSN_FAILED);
    return true;
}

static struct sp_waiting waiting(const struct sp_attempt *a, uint16_t n)
{
    return (struct sp_waiting){
        .who = listener(a, n),
        .told = a->p->m->rcpts[n].told,
        .asked_late = (a->options->notify & SP_NOTIFY_LATE) != 0,
        .attempts = a->number,
        .since_accept_ms = a->s.since_accept_ms,
        .delay_ms = a->d->settings.dsn_delay_ms,
    };
}

bool sp_attempt_may_hear(const struct sp_attempt *a, uint16_t n)
{
    struct sp_waiting w = waiting(a, n);

    w.attempts++;
    return sp_outcome_tells_delay(&w);
}

bool sp_attempt_hears_late(struct sp_attempt *a, const struct sp_bounce_rcpt *r, bool broken)
{
    struct sp_waiting w = waiting(a, r->n);

    w.broken = broken;
    if (!sp_outcome_tells_delay(&w))
        return false;
    note(a, r, SP_DSN_DELAYED);
    return true;
}

void sp_attempt_hears_passed(struct sp_attempt *a, const struct sp_bounce_rcpt *r)
{
    struct sp_giving_up g = listener(a, r->n);

    if (sp_outcome_tells_success(&g, a->passes_notify && sp_attempt_is_mail(a)))
        note(a, r, SP_DSN_RELAYED);
}

/* ---- the copy lies in the portal ---- */

uint8_t sp_attempt_portal_reports(const struct sp_attempt *a, uint16_t n)
{
    struct sp_giving_up g = listener(a, n);
    uint8_t reports = 0;

    if (sp_outcome_tells_success(&g, false))
        reports |= SP_JOBS_DEPOSIT_TELL_OPENED;
    if (sp_outcome_tells_sender(&g))
        reports |= SP_JOBS_DEPOSIT_TELL_UNOPENED;
    if (reports != 0 && (a->p->m->accept.needs & SP_ASKED_REQUIRETLS) != 0)
        reports |= SP_JOBS_DEPOSIT_TELL_TLS;
    return reports;
}

bool sp_report_tells_portal(const struct sp_attempt *a)
{
    return a->options->notice_of.package.len > 0 && a->options->notice_of.sender.len > 0 &&
           (a->options->notify & SP_NOTIFY_PORTAL) != 0;
}

static enum sp_rc build(struct sp_attempt *a, const struct sp_id *id, int64_t now_ms,
                        struct sp_buf *out)
{
    struct sp_buf text;
    struct sp_notice n = {
        .id = *id,
        .host = sp_bytes_cstr(a->d->settings.hostname),
        .from = own_address(a),
        .from_name = sp_bytes_cstr(a->d->settings.portal_name),
        .to = a->options->notice_of.sender,
        .subject = SP_LIT("Your message waits in the secure portal"),
        .now_ms = now_ms,
    };
    enum sp_rc rc;

    sp_buf_init(&text, TEXT_MAX);
    sp_buf_put_cstr(&text, "A message that you sent to\n\n    ");
    sp_buf_put(&text, sp_attempt_address(a, 0));
    sp_buf_put_cstr(&text, "\n\nwas put into the secure portal. The recipient has been sent a "
                           "notice and can read it\nthere. You need do nothing.\n");
    n.text = sp_buf_bytes(&text);
    rc = sp_buf_rc(&text) == SP_OK ? sp_notice_build(&n, out) : SP_E_LIMIT;
    sp_buf_clear(&text);
    return rc;
}

enum sp_rc sp_report_tell(struct sp_attempt *a, struct sp_buf *content, struct sp_child *child)
{
    const struct sp_clock *clock = sp_loop_clock(a->d->parts.loop);
    const struct sp_accept *parent = &a->p->m->accept;
    struct sp_id id = sp_id_new(clock, sp_random_system());
    int64_t now_ms = sp_clock_wall_ms(clock);
    struct sp_accept_recipient *to = sp_arena_alloc(a->arena, sizeof(*to));
    enum sp_rc rc = build(a, &id, now_ms, content);

    if (rc != SP_OK) {
        sp_log_warn(a->d->parts.log, "delivery.tell-failed", SP_RC("why", rc));
        return rc;
    }
    *to = (struct sp_accept_recipient){.address = a->options->notice_of.sender,
                                       .notify = SP_ACCEPT_NOTIFY_NEVER};
    child->accept = (struct sp_accept){
        .id = id,
        .parent = parent->id,
        .time_ms = now_ms,
        .skew_ms = sp_clock_skew_ms(clock),
        .kind = SP_ACCEPT_KIND_DSN,
        .tenant = parent->tenant,
        .policy = parent->policy,
        .decisions = sp_bounce_decision(a, "portal-told", sp_outcome_dsn_floor(a->s.floor),
                                        now_ms + a->d->settings.own_expire_ms),
        .decision_count = 1,
        .recipients = to,
        .recipient_count = 1,
    };
    child->content = sp_buf_bytes(content);
    return SP_OK;
}
