/*
 * The portal's program: sockets, TLS and the channels to relays and ledger round lib/portal. A relay deposits packages;
 * the ledger gets every access before it is granted; any relay takes the mail with codes. A new configuration restarts
 * it, which costs readers nothing, since sessions lie in the database.
 */
#include "base/mem.h"
#include "config/config.h"
#include "jobs/act.h"
#include "jobs/deposit.h"
#include "jobs/jobs.h"
#include "jobs/submit.h"
#include "jobs/wishes.h"
#include "portal/portal.h"
#include "role/role.h"
#include "tls/tls.h"

#include <stdio.h>

#define ACT_TIMEOUT_MS    10000
#define SUBMIT_TIMEOUT_MS 60000
#define FIND_TIMEOUT_MS   10000
#define DRAIN_MS          10000
#define MAIL_FROM_MAX     300

struct portal_role {
    struct sp_role *role;
    struct sp_jobs *jobs;
    struct sp_config *config;
    struct sp_tls_context *tls;
    struct sp_portal *portal;
    char mail_from[MAIL_FROM_MAX];
};

/* ---- what the portal asks of others ---- */

struct act_wait {
    void (*done)(void *arg, enum sp_rc rc);
    void *arg;
    struct sp_log *log;
};

static void on_act(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct act_wait *w = arg;

    (void)reply;
    if (w->done != NULL)
        w->done(w->arg, rc);
    else if (rc != SP_OK)
        sp_log_warn(w->log, "portal.act-lost", SP_RC("why", rc));
    sp_free(w);
}

static void act(void *ctx, struct sp_bytes event, bool batch,
                void (*done)(void *arg, enum sp_rc rc), void *arg)
{
    struct portal_role *p = ctx;
    struct sp_jobs_act_request request = {.batch = batch, .event = event};
    struct act_wait *w = sp_malloc(sizeof(*w));
    struct sp_buf out;

    *w = (struct act_wait){done, arg, sp_role_log(p->role)};
    sp_buf_init(&out, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_act_request_encode(&out, &request);
    sp_assert(sp_buf_rc(&out) == SP_OK);
    sp_jobs_call(p->jobs,
                 &(struct sp_jobs_request){.role = SP_ROLE_LEDGER,
                                           .index = SP_JOBS_ANY,
                                           .type = SP_JOBS_ACT,
                                           .payload = sp_buf_bytes(&out),
                                           .timeout_ms = ACT_TIMEOUT_MS,
                                           .wait_for_peer = true},
                 on_act, w);
    sp_buf_clear(&out);
}

struct submit_wait {
    void (*done)(void *arg, enum sp_rc rc, const struct sp_id *id);
    void *arg;
    struct sp_log *log;
};

static void on_submit(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct submit_wait *w = arg;
    struct sp_jobs_submit_reply got = {0};

    if (rc == SP_OK)
        rc = sp_jobs_submit_reply_decode(reply->payload, &got);
    if (rc != SP_OK)
        sp_log_warn(w->log, "portal.mail-failed", SP_RC("why", rc));
    if (w->done != NULL)
        w->done(w->arg, rc, &got.id);
    sp_free(w);
}

static void submit(void *ctx, const struct sp_portal_mail *mail)
{
    static const enum sp_jobs_submit_kind kinds[] = {[SP_PORTAL_MAIL_CODE] = SP_JOBS_SUBMIT_CODE,
                                                     [SP_PORTAL_MAIL_NOTICE] =
                                                         SP_JOBS_SUBMIT_NOTICE,
                                                     [SP_PORTAL_MAIL_WORD] = SP_JOBS_SUBMIT_WORD,
                                                     [SP_PORTAL_MAIL_REPORT] = SP_JOBS_SUBMIT_DSN};
    struct portal_role *p = ctx;
    struct submit_wait *w;
    struct sp_jobs_submit_request request = {
        .kind = kinds[mail->kind],
        .once = mail->once,
        .tenant = mail->tenant,
        .to = mail->to,
        .floor = mail->floor,
        .content = mail->content,
        .cause = mail->cause,
        .expires_at_ms = mail->expires_at_ms,
        .requires_tls = mail->requires_tls,
        .again = mail->again,
    };
    struct sp_buf out;

    sp_buf_init(&out, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_submit_request_encode(&out, &request);
    sp_assert(sp_buf_rc(&out) == SP_OK); /* the portal bounds what it writes */
    w = sp_malloc(sizeof(*w));
    *w = (struct submit_wait){mail->done, mail->arg, sp_role_log(p->role)};
    sp_jobs_call(p->jobs,
                 &(struct sp_jobs_request){.role = SP_ROLE_RELAY,
                                           .index = SP_JOBS_ANY,
                                           .type = SP_JOBS_SUBMIT,
                                           .payload = sp_buf_bytes(&out),
                                           .timeout_ms = SUBMIT_TIMEOUT_MS,
                                           .wait_for_peer = true},
                 on_submit, w);
    sp_buf_wipe(&out);
}

struct find_wait {
    void (*done)(void *arg, enum sp_rc rc, const struct sp_portal_wish *wish);
    void *arg;
};

static void on_wish(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(1024);
    struct find_wait *w = arg;
    struct sp_portal_wish wish = {SP_PORTAL_CHOICE_NONE, 0};
    struct sp_jobs_wishes list;

    if (rc == SP_OK)
        rc = sp_jobs_wishes_decode(reply->payload, arena, &list);
    if (rc == SP_OK && list.entry_count > 0) {
        static const enum sp_portal_choice choices[] = {
            [SP_JOBS_WISH_TLS] = SP_PORTAL_CHOICE_TLS,
            [SP_JOBS_WISH_SEALED] = SP_PORTAL_CHOICE_SEALED,
            [SP_JOBS_WISH_PORTAL] = SP_PORTAL_CHOICE_PORTAL};
        uint8_t preference = list.entries[0].preference;

        wish.choice = preference < SP_ARRAY_LEN(choices) ? choices[preference] : wish.choice;
        wish.until_ms = list.entries[0].until_ms;
    }
    w->done(w->arg, rc, &wish);
    sp_free(w);
}

static void find_wish(void *ctx, struct sp_bytes tenant, struct sp_bytes address,
                      void (*done)(void *arg, enum sp_rc rc, const struct sp_portal_wish *wish),
                      void *arg)
{
    struct portal_role *p = ctx;
    struct sp_jobs_wish entry = {.tenant = tenant, .address = address};
    struct sp_jobs_wishes list = {.op = SP_JOBS_WISHES_FIND, .entries = &entry, .entry_count = 1};
    struct find_wait *w = sp_malloc(sizeof(*w));
    struct sp_buf out;

    *w = (struct find_wait){done, arg};
    sp_buf_init(&out, 4096);
    sp_jobs_wishes_encode(&out, &list);
    sp_assert(sp_buf_rc(&out) == SP_OK); /* the deposit has bounded both */
    sp_jobs_call(p->jobs,
                 &(struct sp_jobs_request){.role = SP_ROLE_LEDGER,
                                           .index = SP_JOBS_ANY,
                                           .type = SP_JOBS_WISHES,
                                           .payload = sp_buf_bytes(&out),
                                           .timeout_ms = FIND_TIMEOUT_MS,
                                           .wait_for_peer = true},
                 on_wish, w);
    sp_buf_clear(&out);
}

/* ---- what others ask of the portal ---- */

static enum sp_rc deposit(struct portal_role *p, struct sp_jobs_job *job, struct sp_buf *out,
                          struct sp_err *err)
{
    struct sp_jobs_deposit_request request;
    struct sp_portal_receipt receipt;
    struct sp_jobs_deposit_reply reply;
    struct sp_portal_deposit d;
    enum sp_rc rc = sp_jobs_deposit_request_decode(sp_jobs_job_payload(job), &request);

    if (rc != SP_OK)
        return sp_fail(err, rc, "the request is malformed");
    request.content.fd = sp_jobs_job_take_fd(job, 0);
    d = (struct sp_portal_deposit){.content = &request.content,
                                   .n = request.n,
                                   .tenant = request.tenant,
                                   .sender = request.sender,
                                   .recipient = request.recipient,
                                   .floor = request.floor,
                                   .expires_at_ms = request.expires_at_ms,
                                   .unread_at_ms = request.unread_at_ms,
                                   .notice = request.notice,
                                   .name = request.name,
                                   .report = {.wants = request.reports,
                                              .envid = request.envid,
                                              .orcpt = request.orcpt,
                                              .arrived_ms = request.accepted_at_ms}};
    memcpy(d.remind_at_ms, request.remind_at_ms, sizeof(d.remind_at_ms));
    rc = request.content.fd < 0 ? sp_fail(err, SP_E_MALFORMED, "no descriptor came with it")
                                : sp_portal_deposit(p->portal, &d, &receipt, err);
    sp_content_clear(&request.content);
    if (rc != SP_OK)
        return rc;
    reply.package = sp_bytes_cstr(receipt.package);
    reply.link = sp_bytes_cstr(receipt.link);
    reply.key = sp_bytes_cstr(receipt.key);
    sp_jobs_deposit_reply_encode(out, &reply);
    sp_wipe(&receipt, sizeof(receipt));
    return sp_buf_rc(out);
}

static void on_deposit(void *arg, struct sp_jobs_job *job)
{
    struct portal_role *p = arg;
    struct sp_err err = {0};
    struct sp_buf out;
    enum sp_rc rc;

    sp_buf_init(&out, 16384);
    rc = deposit(p, job, &out, &err);
    if (rc != SP_OK) {
        sp_log_warn(sp_role_log(p->role), "portal.deposit-failed", SP_RC("why", rc),
                    SP_TEXT("detail", err.text));
        sp_buf_reset(&out);
    }
    sp_jobs_job_reply(job, rc, sp_buf_bytes(&out), NULL, 0);
    sp_buf_wipe(&out);
}

static void on_unreached(void *arg, struct sp_jobs_job *job)
{
    struct portal_role *p = arg;
    struct sp_jobs_returned_request request;
    enum sp_rc rc = sp_jobs_returned_request_decode(sp_jobs_job_payload(job), &request);

    if (rc == SP_OK)
        rc = request.tells ? sp_portal_bounced(p->portal, request.package, request.status)
                           : sp_portal_unreached(p->portal, request.package);
    sp_jobs_job_reply(job, rc, sp_bytes(NULL, 0), NULL, 0);
}

/* ---- start and stop ---- */

static enum sp_rc make_tls(struct portal_role *p, struct sp_err *err)
{
    struct sp_tls_server_config c = {
        .identity.certificate_pem = sp_role_file(p->role, "secret/portal.certificate"),
        .identity.key_pem = sp_role_file(p->role, "secret/portal.key"),
        .ticket_keys = sp_role_file(p->role, "secret/portal.tickets"),
    };

    p->tls = sp_tls_server_new(&c, err);
    return p->tls == NULL ? SP_E_TLS_CONFIG : SP_OK;
}

static enum sp_rc make_portal(struct portal_role *p, struct sp_err *err)
{
    struct sp_loop *loop = sp_role_loop(p->role);
    struct sp_secret kek;
    struct sp_portal_options o = {
        .loop = loop,
        .log = sp_role_log(p->role),
        .clock = sp_loop_clock(loop),
        .random = sp_random_system(),
        .dir = sp_role_dir(p->role),
        .url = p->config->portal.url,
        .hostname = p->config->hostname,
        .mail_from = p->mail_from,
        .kek = &kek,
        .tls = p->tls,
        .ops = {act, submit, find_wish, p},
        .code_ms = p->config->portal.code_ms,
        .session_ms = p->config->portal.session_ms,
        .max_codes = p->config->portal.max_codes,
        .max_tries = p->config->portal.max_tries,
        .choice_ms = p->config->portal.choice_ms,
    };
    enum sp_rc rc = sp_secret_parse(sp_role_file(p->role, "secret/portal.kek"), &kek);

    if (rc != SP_OK)
        return sp_fail(err, rc, "no key-encryption key for the portal");
    if ((size_t)snprintf(p->mail_from, sizeof(p->mail_from), "no-reply@%s", p->config->hostname) >=
        sizeof(p->mail_from))
        rc = sp_fail(err, SP_E_LIMIT, "hostname is too long");
    if (rc == SP_OK)
        rc = sp_portal_new(&o, &p->portal, err);
    sp_secret_clear(&kek);
    return rc;
}

static void listen_all(struct portal_role *p)
{
    size_t at = 0;
    const char *name;
    int fd;

    while (sp_role_listener_next(p->role, &at, &name, &fd))
        if (sp_bytes_eq(sp_bytes_cstr(name), SP_LIT("portal")))
            sp_portal_listen(p->portal, fd);
}

static enum sp_rc load_config(struct portal_role *p, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    enum sp_rc rc = sp_config_load(sp_role_file(p->role, "sallyport.json"), "sallyport.json",
                                   problems, &p->config);

    return rc == SP_OK ? rc : sp_problems_rc(problems, err);
}

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct portal_role *p = sp_calloc(1, sizeof(*p));
    enum sp_rc rc;

    *state = p;
    p->role = role;
    p->jobs = sp_jobs_new(sp_role_loop(role), sp_role_log(role));
    sp_jobs_on_faulty(p->jobs, sp_role_peer_faulty, role);
    rc = load_config(p, err);
    if (rc != SP_OK || p->config->portal.listen[0] == '\0')
        return rc; /* switched off: deposits are answered with "unsupported" */
    rc = make_tls(p, err);
    if (rc == SP_OK)
        rc = make_portal(p, err);
    if (rc != SP_OK)
        return rc;
    sp_jobs_serve(p->jobs, SP_JOBS_DEPOSIT, on_deposit, p);
    sp_jobs_serve(p->jobs, SP_JOBS_RETURNED, on_unreached, p);
    listen_all(p);
    return SP_OK;
}

static void on_peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
{
    struct portal_role *p = state;

    sp_jobs_add_peer(p->jobs, kind, index, fd);
}

static void on_idle(void *arg)
{
    struct portal_role *p = arg;

    sp_role_stopped(p->role);
}

static void stop(struct sp_role *role, void *state)
{
    struct portal_role *p = state;

    if (p->portal == NULL)
        sp_role_stopped(role);
    else
        sp_portal_drain(p->portal, DRAIN_MS, on_idle, p);
}

static void free_state(void *state)
{
    struct portal_role *p = state;

    sp_jobs_free(p->jobs); /* first: what it owes is for the portal */
    sp_portal_free(p->portal);
    sp_tls_context_unref(p->tls);
    sp_config_free(p->config);
    sp_free(p);
}

int main(void)
{
    static const struct sp_role_ops ops = {
        .kind = SP_ROLE_PORTAL,
        .start = start,
        .on_peer = on_peer,
        .stop = stop,
        .free = free_state,
    };

    return sp_role_main(&ops);
}
