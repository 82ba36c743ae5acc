/*
 * The portal's rung: a package for each recipient, and a notice that tells of it. The deposit is an upsert at the
 * portal's side, so that a crash between it and the record repeats it harmlessly; the notice is a message of its own in
 * the outcome's record, with a floor of its own and no word of what it tells of.
 */
#include "delivery/delivery_priv.h"
#include "delivery/report_priv.h"

#include "jobs/deposit.h"
#include "mail/compose.h"

#define NOTICE_MAX 65536

static void write_text(const struct sp_attempt *a, const struct sp_jobs_deposit_reply *reply,
                       struct sp_buf *out)
{
    char time[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(a->p->m->accept.time_ms + a->options->portal.expires_ms, time);
    sp_buf_put_cstr(out, "You have received a secure message.\n\nTo read it, open this page:\n\n");
    sp_buf_put(out, reply->link);
    sp_buf_put_cstr(out, "\n\nA code will be sent to this mailbox to prove that it is yours.\n"
                         "The message can be read until ");
    sp_buf_put(out, sp_bytes(time, 10));
    sp_buf_put_cstr(out, ".\n");
}

static struct sp_bytes own_address(struct sp_attempt *a)
{
    struct sp_buf text;
    struct sp_bytes copy;

    sp_buf_init(&text, 512);
    sp_buf_put_cstr(&text, "secure-mail@");
    sp_buf_put_cstr(&text, a->d->settings.hostname);
    copy = sp_arena_copy(a->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return copy;
}

static enum sp_rc make_notice(struct sp_attempt *a, const struct sp_jobs_deposit_reply *reply,
                              const struct sp_id *id, int64_t now_ms, struct sp_buf *out)
{
    struct sp_bytes name = a->options->portal.notify_from;
    struct sp_buf text;
    struct sp_notice n = {
        .id = *id,
        .host = sp_bytes_cstr(a->d->settings.hostname),
        .from = own_address(a),
        .from_name = name.len > 0 ? name : sp_bytes_cstr(a->d->settings.portal_name),
        .to = sp_attempt_address(a, 0),
        .subject = SP_LIT("You have a secure message"),
        .now_ms = now_ms,
    };
    enum sp_rc rc;

    sp_buf_init(&text, NOTICE_MAX);
    write_text(a, reply, &text);
    n.text = sp_buf_bytes(&text);
    rc = sp_buf_rc(&text);
    if (rc == SP_OK)
        rc = sp_notice_build(&n, out);
    sp_buf_wipe(&text);
    return rc;
}

static struct sp_bytes notice_options(struct sp_attempt *a, struct sp_bytes package)
{
    const struct sp_accept *accept = &a->p->m->accept;
    const struct sp_accept_recipient *rcpt = &accept->recipients[a->ns[0]];
    struct sp_options *o = sp_arena_alloc(a->arena, sizeof(*o));
    struct sp_bytes copy = SP_LIT("");
    struct sp_buf text;

    sp_options_init(o);
    o->notice_of.package = package;
    if (!sp_attempt_is_foreign(a))
        o->notice_of.sender = accept->sender;
    o->notice_of.n = a->ns[0];
    o->notice_of.notify = rcpt->notify;
    o->notice_of.envid = accept->envid;
    o->notice_of.orcpt = rcpt->orcpt;
    o->notify = a->options->notify & SP_NOTIFY_PORTAL;
    sp_buf_init(&text, SP_OPTIONS_MAX);
    if (sp_options_write(o, &text) == SP_OK)
        copy = sp_arena_copy(a->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return copy;
}

static void make_accept(struct sp_attempt *a, const struct sp_id *id, int64_t now_ms,
                        struct sp_bytes package, struct sp_accept *out)
{
    const struct sp_accept *parent = &a->p->m->accept;
    struct sp_accept_recipient *to = sp_arena_alloc(a->arena, sizeof(*to));
    int64_t life_ms = a->decision->expire_at_ms - parent->time_ms;
    struct sp_accept_decision *d =
        sp_bounce_decision(a, "portal-notice", a->options->portal.notify_floor, now_ms + life_ms);

    d->options = notice_options(a, package);
    *to = (struct sp_accept_recipient){.address = sp_attempt_address(a, 0)};
    *out = (struct sp_accept){
        .id = *id,
        .parent = parent->id,
        .time_ms = now_ms,
        .skew_ms = sp_clock_skew_ms(sp_loop_clock(a->d->parts.loop)),
        .kind = SP_ACCEPT_KIND_NOTICE,
        .tenant = parent->tenant,
        .policy = parent->policy,
        .decisions = d,
        .decision_count = 1,
        .recipients = to,
        .recipient_count = 1,
    };
}

static void write_login(struct sp_jw *w, struct sp_bytes login)
{
    struct sp_bytes part;

    sp_jw_array(w, "login");
    while (login.len > 0 && sp_bytes_split(&login, ',', &part))
        sp_jw_text(w, NULL, part);
    sp_jw_end(w);
}

static void report_deposit(struct sp_attempt *a, const struct sp_jobs_deposit_reply *reply,
                           const struct sp_id *notice)
{
    const struct sp_accept *accept = &a->p->m->accept;
    char time[SP_TIME_TEXT_MAX];
    struct sp_buf hex;
    struct sp_jw w;

    if (!sp_report_begin(a, &w, "portal.deposited", a->ns, 1))
        return;
    sp_buf_init(&hex, 80);
    sp_hex_encode(&hex, sp_attempt_needs_copy(a, SP_RUNG_PORTAL)
                            ? sp_bytes(a->sealed_sha256, sizeof(a->sealed_sha256))
                            : sp_bytes(accept->sha256, sizeof(accept->sha256)));
    sp_time_format_rfc3339(accept->time_ms + a->options->portal.expires_ms, time);
    sp_jw_cstr(&w, "rung", sp_rung_name(SP_RUNG_PORTAL));
    sp_jw_text(&w, "package", reply->package);
    sp_jw_id(&w, "notice", notice->b);
    sp_jw_object(&w, "storage");
    sp_jw_bool(&w, "durable", true);
    sp_jw_cstr(&w, "cipher", "aes-256-gcm");
    sp_jw_text(&w, "key", reply->key);
    sp_jw_end(&w);
    sp_jw_text(&w, "content_sha256", sp_buf_bytes(&hex));
    sp_jw_object(&w, "access");
    write_login(&w, a->options->portal.login);
    sp_jw_cstr(&w, "expires", time);
    sp_jw_bool(&w, "reply", a->options->portal.reply);
    sp_jw_end(&w);
    sp_report_end(a, &w);
    sp_buf_clear(&hex);
}

static void settle(struct sp_attempt *a, const struct sp_jobs_deposit_reply *reply)
{
    const struct sp_clock *clock = sp_loop_clock(a->d->parts.loop);
    struct sp_id id = sp_id_new(clock, sp_random_system());
    int64_t now_ms = sp_clock_wall_ms(clock);
    struct sp_report report = {
        .outcome = "next-rung", .ns = a->ns, .n_count = 1, .taken = a->taken};
    struct sp_child child = {0};
    struct sp_buf content;
    enum sp_rc rc;

    sp_buf_init(&content, NOTICE_MAX * 2);
    rc = make_notice(a, reply, &id, now_ms, &content);
    if (rc != SP_OK) { /* a package that nobody is told of is no delivery */
        sp_buf_wipe(&content);
        sp_outcome_rung_failed(&a->s, a->taken, rc);
        sp_attempt_step(a);
        return;
    }
    a->child_events = a->event_count;
    sp_report_attempt(a, &report);
    report_deposit(a, reply, &id);
    make_accept(a, &id, now_ms, reply->package, &child.accept);
    a->results[a->result_count++] =
        (struct sp_result){.n = a->ns[0], .state = SP_RCPT_DEPOSITED, .rung = SP_RUNG_PORTAL};
    sp_log_info(a->d->parts.log, "delivery.deposited", SP_ID("message", &a->p->m->accept.id),
                SP_DOMAIN("domain", a->domain));
    child.content = sp_buf_bytes(&content);
    sp_attempt_commit(a, &child);
    sp_buf_wipe(&content);
}

static void on_deposited(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct sp_attempt *a = arg;
    struct sp_jobs_deposit_reply got;

    a->wait_job = 0;
    if (rc == SP_OK)
        rc = sp_jobs_deposit_reply_decode(reply->payload, &got);
    if (rc == SP_OK) {
        settle(a, &got);
        return;
    }
    sp_log_warn(a->d->parts.log, "delivery.deposit-failed", SP_ID("message", &a->p->m->accept.id),
                SP_RC("why", rc));
    if (sp_attempt_is_damaged(a, rc))
        return;
    if (sp_rc_info(rc)->class == SP_CLASS_PERM)
        rc = SP_E_ROLE_GONE; /* an error of the portal is no answer */
    sp_outcome_rung_failed(&a->s, a->taken, rc);
    sp_attempt_step(a);
}

/* Reminders, and the word to a sender of ours: who sent it by another house's name hears nothing. */
static void set_dues(const struct sp_attempt *a, struct sp_jobs_deposit_request *what)
{
    const struct sp_options *o = a->options;
    int64_t now_ms = sp_clock_wall_ms(sp_loop_clock(a->d->parts.loop));

    what->name = o->portal.notify_from;
    for (size_t i = 0; i < SP_JOBS_DEPOSIT_REMIND_MAX && o->portal.remind_ms[i] > 0; i++)
        what->remind_at_ms[i] = now_ms + o->portal.remind_ms[i];
    what->reports = sp_attempt_portal_reports(a, a->ns[0]);
    what->envid = a->p->m->accept.envid;
    what->orcpt = a->p->m->accept.recipients[a->ns[0]].orcpt;
    if (o->portal.unread_after_ms > 0 && !sp_attempt_is_foreign(a))
        what->unread_at_ms = now_ms + o->portal.unread_after_ms < what->expires_at_ms
                                 ? now_ms + o->portal.unread_after_ms
                                 : what->expires_at_ms;
}

static enum sp_rc call_portal(struct sp_attempt *a, struct sp_content *content)
{
    const struct sp_accept *accept = &a->p->m->accept;
    const struct sp_options *o = a->options;
    struct sp_jobs_deposit_request what = {
        .content = *content,
        .n = a->ns[0],
        .tenant = accept->tenant,
        .sender = accept->sender,
        .recipient = sp_attempt_address(a, 0),
        .floor = sp_bytes_cstr(sp_floor_name(o->portal.notify_floor)),
        .login = o->portal.login,
        .accepted_at_ms = accept->time_ms,
        .expires_at_ms = accept->time_ms + o->portal.expires_ms,
        .may_reply = o->portal.reply,
        .may_forward = o->portal.forward,
        .notice = o->portal.notice,
    };
    struct sp_jobs_request call = {
        .role = SP_ROLE_PORTAL,
        .index = SP_JOBS_ANY,
        .type = SP_JOBS_DEPOSIT,
        .fds = &content->fd,
        .fd_count = 1,
        .timeout_ms = a->d->settings.job_ms,
    };
    struct sp_buf payload;
    enum sp_rc rc;

    set_dues(a, &what);
    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_deposit_request_encode(&payload, &what);
    call.payload = sp_buf_bytes(&payload);
    rc = sp_buf_rc(&payload);
    if (rc == SP_OK)
        a->wait_job = sp_jobs_call(a->d->parts.jobs, &call, on_deposited, a);
    sp_buf_wipe(&payload);
    return rc;
}

static void on_unreached(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct sp_delivery *d = arg;

    (void)reply;
    if (rc != SP_OK) /* the sender may hear twice that it came to nothing */
        sp_log_warn(d->parts.log, "delivery.unreached-untold", SP_RC("why", rc));
}

void sp_delivery_unreached(struct sp_delivery *d, struct sp_bytes package)
{
    struct sp_jobs_returned_request what = {.package = package};
    struct sp_jobs_request call = {
        .role = SP_ROLE_PORTAL,
        .index = SP_JOBS_ANY,
        .type = SP_JOBS_RETURNED,
        .timeout_ms = d->settings.job_ms,
        .wait_for_peer = true,
    };
    struct sp_buf payload;

    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_returned_request_encode(&payload, &what);
    call.payload = sp_buf_bytes(&payload);
    if (sp_buf_rc(&payload) == SP_OK)
        sp_jobs_call(d->parts.jobs, &call, on_unreached, d);
    sp_buf_clear(&payload);
}

/* Each recipient has a package of its own: one stays in the attempt, with what it has to write, the others go on in one each. */
static void split_all(struct sp_attempt *a)
{
    struct sp_attempt *parts[SP_QUEUE_DUE_MAX];
    size_t count = a->n_count;

    for (size_t i = 1; i < count; i++)
        parts[i] = sp_attempt_split(a, &a->ns[i], 1);
    parts[0] = a;
    a->n_count = 1;
    a->went_on = true;
    for (size_t i = 0; i < count; i++)
        sp_attempt_step(parts[i]);
}

void sp_attempt_deposit(struct sp_attempt *a)
{
    struct sp_content content;
    enum sp_rc rc;

    a->conn = NULL;
    if (a->n_count > 1) {
        split_all(a);
        return;
    }
    if (sp_attempt_needs_copy(a, SP_RUNG_PORTAL)) {
        if (!sp_attempt_has_copy(a, SP_RUNG_PORTAL)) {
            sp_attempt_seal(a, SP_RUNG_PORTAL);
            return;
        }
        rc = call_portal(a, &a->sealed);
    } else {
        sp_content_init(&content);
        rc = sp_queue_body_for_role(a->d->parts.queue, &a->p->m->accept.id, &content);
        if (rc == SP_OK)
            rc = call_portal(a, &content);
        sp_content_clear(&content);
    }
    if (rc == SP_OK)
        return;
    if (sp_attempt_is_damaged(a, rc))
        return;
    sp_outcome_rung_failed(&a->s, a->taken, SP_E_ROLE_GONE);
    sp_attempt_step(a);
}
