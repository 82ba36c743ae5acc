/*
 * Who logs in. Argon2id takes tens of milliseconds, so passwords are checked on a thread of its own, with a bounded queue:
 * who guesses many slows logins down, not mail. A user that does not exist costs the same time as a wrong password, and is
 * challenged as any other (SCRAM). Each failure is answered later than the one before, the third ends the session, and a
 * source that goes on failing is not listened to for a while (limits.c).
 */
#include "crypt/password.h"
#include "intake/intake_priv.h"

#include "mail/domain.h"

#define FAILURES_PER_SESSION 3
#define FIRST_DELAY_MS       500
#define WAITING_MAX          32 /* password checks queued; more get a 4xx */

/* Of no password that anybody has; only its cost matters. */
static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$c2FsbHlwb3J0LW5vYm9keQ$"
                             "1QTeXJVdDBFfZ3Z4yJ8fW0aJm3H4cV0n1fZb9bT0h2E";

struct check {
    struct sp_intake *in;
    sp_handle session;
    const char *how;
    char *tenant; /* NULL: there is no such user */
    char *hash;
    struct sp_buf user;
    struct sp_buf password;
    enum sp_rc rc;
};

static void answer(struct session *s, enum sp_rc rc)
{
    sp_intake_session_answer(s, rc, sp_bytes(NULL, 0));
}

/* RFC 7628 3.2.2: an error in JSON, which the client answers before it hears that it has failed. */
static void tell_token_failed(struct session *s)
{
    sp_smtp_server_challenge(s->server,
                             SP_LIT("{\"status\":\"invalid_token\",\"schemes\":\"bearer\"}"));
    sp_intake_session_pump(s);
}

static void on_delayed(void *arg)
{
    struct session *s = arg;

    if (s->token_failed && s->failures < FAILURES_PER_SESSION) {
        tell_token_failed(s);
        return;
    }
    s->token_failed = false;
    answer(s, s->failures >= FAILURES_PER_SESSION ? SP_E_SMTP_ERRORS_MANY : SP_E_SMTP_AUTH_FAILED);
}

/* The reply waits: guessing shall take time, of the guesser's alone. */
static void fail_login(struct session *s)
{
    sp_intake_source_failed(s->in, &s->peer);
    sp_intake_refused(s, NULL, "intake.refused", SP_E_SMTP_AUTH_FAILED, sp_bytes(NULL, 0));
    sp_intake_login_forget(s);
    if (s->delay == NULL)
        s->delay = sp_timer_new(s->in->parts.loop, on_delayed, s);
    sp_timer_start(s->delay, (int64_t)FIRST_DELAY_MS << s->failures++);
}

static void let_in(struct session *s, const char *tenant, struct sp_bytes user, const char *how)
{
    sp_free(s->user_tenant);
    s->user_tenant = sp_strdup(tenant);
    s->login = how;
    sp_buf_reset(&s->user);
    sp_buf_put(&s->user, user);
}

/* ---- passwords ---- */

static void run(void *arg)
{
    struct check *c = arg;

    c->rc = sp_password_verify(sp_buf_bytes(&c->password), sp_bytes_cstr(c->hash));
    if (c->tenant == NULL)
        c->rc = SP_E_DENIED;
}

static void done(void *arg)
{
    struct check *c = arg;
    struct session *s = sp_slots_find(c->in->sessions, c->session);

    if (s != NULL && c->rc == SP_OK) {
        let_in(s, c->tenant, sp_buf_bytes(&c->user), c->how);
        answer(s, SP_OK);
    } else if (s != NULL) {
        fail_login(s);
    }
    sp_intake_unref(c->in);
    sp_buf_clear(&c->user);
    sp_buf_wipe(&c->password);
    sp_free(c->tenant);
    sp_free(c->hash);
    sp_free(c);
}

/* Finds the user in any tenant's list. returns: NULL if there is none */
static const struct sp_tenant_user *find_user(const struct generation *g, struct sp_bytes name,
                                              const struct sp_tenant **tenant)
{
    for (size_t i = 0; i < g->tenant_count; i++) {
        const struct sp_tenant *t = g->tenants[i].tenant;

        for (size_t k = 0; k < t->proofs.user_count; k++) {
            if (!sp_bytes_eq(name, sp_bytes_cstr(t->proofs.users[k].name)))
                continue;
            *tenant = t;
            return &t->proofs.users[k];
        }
    }
    return NULL;
}

static void check_password(struct session *s, const struct sp_smtp_server_event *ev)
{
    const struct sp_tenant *tenant = NULL;
    const struct sp_tenant_user *user = find_user(s->in->now, ev->user, &tenant);
    struct check *c;

    if (sp_worker_backlog(s->in->passwords) >= WAITING_MAX) {
        sp_smtp_server_answer(s->server, SP_E_CRYPT_FAILED, sp_bytes(NULL, 0));
        return;
    }
    c = sp_calloc(1, sizeof(*c));
    c->in = s->in;
    sp_intake_ref(c->in);
    c->session = s->handle;
    c->how = ev->mechanism == SP_SMTP_AUTH_LOGIN ? "auth-login" : "auth-plain";
    sp_buf_init(&c->user, SP_SMTP_AUTH_MAX);
    sp_buf_init(&c->password, SP_SMTP_AUTH_MAX);
    sp_buf_put(&c->user, ev->user);
    sp_buf_put(&c->password, ev->password);
    if (user != NULL && user->hash[0] != 0)
        c->tenant = sp_strdup(tenant->name);
    c->hash = sp_strdup(c->tenant != NULL ? user->hash : nobody);
    sp_worker_submit(s->in->passwords, run, done, c);
}

/* ---- certificates ---- */

static bool shows_name(const struct session *s, const char *name)
{
    for (size_t i = 0; i < s->proof->name_count; i++) {
        if (sp_domain_eq(sp_bytes_cstr(name), s->proof->names[i]))
            return true;
    }
    return false;
}

/* The user whose certificate it is; an identity that the client asks for must be his. */
static void check_certificate(struct session *s, struct sp_bytes authzid)
{
    const struct generation *g = s->in->now;
    bool shows = s->proof != NULL && s->proof->has_certificate && s->proof->chain == SP_OK;

    for (size_t i = 0; shows && i < g->tenant_count; i++) {
        const struct sp_tenant *t = g->tenants[i].tenant;

        for (size_t k = 0; k < t->proofs.user_count; k++) {
            const struct sp_tenant_user *u = &t->proofs.users[k];

            if (u->certificate[0] == 0 || !shows_name(s, u->certificate) ||
                (authzid.len > 0 && !sp_bytes_eq(authzid, sp_bytes_cstr(u->name))))
                continue;
            let_in(s, t->name, sp_bytes_cstr(u->name), "auth-external");
            sp_smtp_server_answer(s->server, SP_OK, sp_bytes(NULL, 0));
            return;
        }
    }
    fail_login(s);
}

/* ---- SCRAM ---- */

void sp_intake_login_forget(struct session *s)
{
    sp_scram_free(s->scram.exchange);
    sp_free(s->scram.tenant);
    sp_buf_clear(&s->scram.user);
    s->scram.exchange = NULL;
    s->scram.tenant = NULL;
    s->scram.proved = false;
}

static void challenge(struct session *s, enum sp_rc rc, struct sp_buf *text)
{
    if (rc == SP_OK)
        sp_smtp_server_challenge(s->server, sp_buf_bytes(text));
    else if (rc == SP_E_DENIED)
        fail_login(s);
    else
        sp_smtp_server_answer(s->server, SP_E_SMTP_AUTH_SYNTAX, sp_bytes(NULL, 0));
    sp_buf_clear(text);
}

static void scram_first(struct session *s, struct sp_bytes text)
{
    const struct sp_tenant *tenant = NULL;
    const struct sp_tenant_user *user = NULL;
    struct sp_scram_verifier verifier;
    struct sp_bytes name;
    struct sp_buf out;
    enum sp_rc rc;

    sp_intake_login_forget(s);
    sp_buf_init(&out, 4 * SP_SCRAM_MESSAGE_MAX);
    rc = sp_scram_new(text, &s->scram.exchange, &name);
    if (rc == SP_OK) {
        user = find_user(s->in->now, name, &tenant);
        if (user == NULL || sp_scram_verifier_parse(sp_bytes_cstr(user->scram), &verifier) != SP_OK)
            sp_scram_verifier_nobody(sp_secret_bytes(&s->in->parts.mark_key), name, &verifier);
        else
            s->scram.tenant = sp_strdup(tenant->name);
        sp_buf_init(&s->scram.user, SP_SCRAM_NAME_MAX);
        sp_buf_put(&s->scram.user, name);
        rc = sp_scram_challenge(s->scram.exchange, &verifier, s->in->parts.random, &out);
        sp_wipe(&verifier, sizeof(verifier));
    }
    challenge(s, rc, &out);
}

static void scram_next(struct session *s, struct sp_bytes text)
{
    struct sp_buf out;
    enum sp_rc rc = SP_E_MALFORMED;

    if (s->scram.exchange != NULL && s->scram.proved && text.len == 0) {
        let_in(s, s->scram.tenant, sp_buf_bytes(&s->scram.user), "auth-scram-sha-256");
        sp_intake_login_forget(s);
        sp_smtp_server_answer(s->server, SP_OK, sp_bytes(NULL, 0));
        return;
    }
    sp_buf_init(&out, SP_SCRAM_MESSAGE_MAX);
    if (s->scram.exchange != NULL && !s->scram.proved)
        rc = sp_scram_finish(s->scram.exchange, text, &out);
    if (rc == SP_OK && s->scram.tenant == NULL)
        rc = SP_E_DENIED;
    s->scram.proved = rc == SP_OK;
    challenge(s, rc, &out);
}

/* ---- tokens ---- */

/* A tenant's user with that claim; an identity that the client asks for must be his. returns: NULL if there is none */
static const struct sp_tenant_user *find_claimed(const struct sp_tenant *t, struct sp_bytes value,
                                                 struct sp_bytes authzid)
{
    for (size_t k = 0; k < t->proofs.user_count; k++) {
        const struct sp_tenant_user *u = &t->proofs.users[k];

        if (u->oauth[0] != 0 && sp_bytes_eq(value, sp_bytes_cstr(u->oauth)) &&
            (authzid.len == 0 || sp_bytes_eq(authzid, sp_bytes_cstr(u->name)) ||
             sp_bytes_eq(authzid, value)))
            return u;
    }
    return NULL;
}

/* The user of whom an issuer's token speaks. Whom it may speak of must be beyond doubt. returns: NULL and why, for nobody */
static const struct sp_tenant_user *
find_token_user(const struct generation *g, const struct issuer *issuer, struct sp_bytes value,
                struct sp_bytes authzid, const struct sp_tenant **tenant, struct sp_err *why)
{
    const struct sp_tenant_user *user = NULL;

    if (issuer->tenant[0] == 0 && g->tenant_count > 1) {
        sp_fail(why, SP_E_DENIED, "its issuer names no tenant, and there are several");
        return NULL;
    }
    for (size_t i = 0; i < g->tenant_count; i++) {
        const struct sp_tenant *t = g->tenants[i].tenant;
        const struct sp_tenant_user *u;

        if ((issuer->tenant[0] != 0 && strcmp(issuer->tenant, t->name) != 0) ||
            (u = find_claimed(t, value, authzid)) == NULL)
            continue;
        if (user != NULL) {
            sp_fail(why, SP_E_DENIED, "users of two tenants have what its claim says");
            return NULL;
        }
        *tenant = t;
        user = u;
    }
    if (user == NULL)
        sp_fail(why, SP_E_DENIED, "no user has what its claim says");
    return user;
}

/* Asks each issuer; the first whose token it is decides. why: the last one's reason. returns: the user, NULL for nobody */
static const struct sp_tenant_user *judge_token(const struct session *s, struct sp_bytes token,
                                                struct sp_bytes authzid,
                                                const struct sp_tenant **tenant, struct sp_err *why)
{
    const struct generation *g = s->in->now;
    const struct sp_tenant_user *user = NULL;
    struct sp_buf value;

    sp_buf_init(&value, SP_TOKEN_CLAIM_MAX);
    for (size_t i = 0; user == NULL && i < g->issuer_count; i++) {
        const struct issuer *issuer = &g->issuers[i];
        struct sp_token_rules rules = {
            .keys = issuer->keys,
            .issuer = sp_bytes_cstr(issuer->issuer),
            .audience = sp_bytes_cstr(issuer->audience),
            .claim = sp_bytes_cstr(issuer->claim),
            .now_ms = sp_clock_wall_ms(s->in->parts.clock),
            .leeway_ms = issuer->leeway_ms,
        };

        sp_buf_reset(&value);
        if (sp_token_verify(token, &rules, &value, why) != SP_OK)
            continue;
        user = find_token_user(g, issuer, sp_buf_bytes(&value), authzid, tenant, why);
    }
    sp_buf_wipe(&value);
    return user;
}

static void check_token(struct session *s, const struct sp_smtp_server_event *ev)
{
    const struct sp_tenant *tenant = NULL;
    const struct sp_tenant_user *user;
    struct sp_bytes token, authzid;
    struct sp_err why = {0};

    if (s->token_failed) { /* what it says to the error means nothing (RFC 7628 3.2.3) */
        s->token_failed = false;
        sp_smtp_server_answer(s->server, SP_E_SMTP_AUTH_FAILED, sp_bytes(NULL, 0));
        return;
    }
    if (!ev->is_first || sp_token_bearer_parse(ev->text, &token, &authzid) != SP_OK) {
        sp_smtp_server_answer(s->server, SP_E_SMTP_AUTH_SYNTAX, sp_bytes(NULL, 0));
        return;
    }
    user = judge_token(s, token, authzid, &tenant, &why);
    if (user != NULL) {
        let_in(s, tenant->name, sp_bytes_cstr(user->name), "auth-oauthbearer");
        sp_smtp_server_answer(s->server, SP_OK, sp_bytes(NULL, 0));
        return;
    }
    sp_log_info(s->in->parts.log, "intake.token-refused", SP_TEXT("why", why.text));
    s->token_failed = true;
    fail_login(s);
}

void sp_intake_auth_check(struct session *s, const struct sp_smtp_server_event *ev)
{
    if (!sp_intake_source_may_guess(s->in, &s->peer)) {
        sp_smtp_server_answer(s->server, SP_E_INTAKE_GUESSES, sp_bytes(NULL, 0));
        return;
    }
    if (ev->is_first)
        s->token_failed = false; /* it gave up in the middle of another exchange */
    switch (ev->mechanism) {
    case SP_SMTP_AUTH_OAUTH:
        check_token(s, ev);
        break;
    case SP_SMTP_AUTH_EXTERNAL:
        check_certificate(s, ev->authzid);
        break;
    case SP_SMTP_AUTH_SCRAM:
        if (ev->is_first)
            scram_first(s, ev->text);
        else
            scram_next(s, ev->text);
        break;
    default:
        /* acting for somebody else (authzid) is not offered */
        if (ev->authzid.len > 0 && !sp_bytes_eq(ev->authzid, ev->user))
            fail_login(s);
        else
            check_password(s, ev);
        break;
    }
}
