/*
 * Passwords. Argon2id takes tens of milliseconds, so it runs on a thread of its own, with a bounded queue: who guesses
 * many passwords slows logins down, not mail. A user that does not exist costs the same time as a wrong password.
 */
#include "crypt/password.h"
#include "intake/intake_priv.h"

/* Of no password that anybody has; only its cost matters. */
static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$c2FsbHlwb3J0LW5vYm9keQ$"
                             "1QTeXJVdDBFfZ3Z4yJ8fW0aJm3H4cV0n1fZb9bT0h2E";

struct check {
    struct sp_intake *in;
    sp_handle session;
    char *tenant; /* NULL: there is no such user */
    char *hash;
    struct sp_buf user;
    struct sp_buf password;
    enum sp_rc rc;
};

static void run(void *arg)
{
    struct check *c = arg;

    c->rc = sp_password_verify(sp_buf_bytes(&c->password), sp_bytes_cstr(c->hash));
    if (c->tenant == NULL)
        c->rc = SP_E_DENIED;
}

static void accept_user(struct session *s, struct check *c)
{
    sp_free(s->user_tenant);
    s->user_tenant = SP_STEAL(c->tenant);
    sp_buf_reset(&s->user);
    sp_buf_put(&s->user, sp_buf_bytes(&c->user));
}

static void done(void *arg)
{
    struct check *c = arg;
    struct session *s = sp_slots_find(c->in->sessions, c->session);

    if (s != NULL && c->rc == SP_OK) {
        accept_user(s, c);
        sp_intake_session_answer(s, SP_OK, sp_bytes(NULL, 0));
    } else if (s != NULL) {
        sp_intake_refused(s, NULL, "intake.refused", SP_E_SMTP_AUTH_FAILED, sp_bytes(NULL, 0));
        sp_intake_session_answer(s, SP_E_SMTP_AUTH_FAILED, sp_bytes(NULL, 0));
    }
    sp_intake_unref(c->in);
    sp_buf_clear(&c->user);
    sp_buf_wipe(&c->password);
    sp_free(c->tenant);
    sp_free(c->hash);
    sp_free(c);
}

/* Finds the user in any tenant's list. */
static void find_user(const struct generation *g, struct sp_bytes user, struct check *c)
{
    for (size_t i = 0; i < g->tenant_count; i++) {
        const struct sp_tenant *t = g->tenants[i].tenant;

        for (size_t k = 0; k < t->proofs.user_count; k++) {
            if (!sp_bytes_eq(user, sp_bytes_cstr(t->proofs.users[k].name)))
                continue;
            c->tenant = sp_strdup(t->name);
            c->hash = sp_strdup(t->proofs.users[k].hash);
            return;
        }
    }
    c->hash = sp_strdup(nobody);
}

void sp_intake_auth_check(struct session *s, const struct sp_smtp_server_event *ev)
{
    struct check *c;

    if (sp_worker_backlog(s->in->passwords) >= LOGINS_WAITING_MAX) {
        sp_smtp_server_answer(s->server, SP_E_CRYPT_FAILED, sp_bytes(NULL, 0));
        return;
    }
    /* acting for somebody else (authzid) is not offered */
    if (ev->authzid.len > 0 && !sp_bytes_eq(ev->authzid, ev->user)) {
        sp_smtp_server_answer(s->server, SP_E_SMTP_AUTH_FAILED, sp_bytes(NULL, 0));
        return;
    }
    c = sp_calloc(1, sizeof(*c));
    c->in = s->in;
    sp_intake_ref(c->in);
    c->session = s->handle;
    sp_buf_init(&c->user, SP_SMTP_AUTH_MAX);
    sp_buf_init(&c->password, SP_SMTP_AUTH_MAX);
    sp_buf_put(&c->user, ev->user);
    sp_buf_put(&c->password, ev->password);
    find_user(s->in->now, ev->user, c);
    sp_worker_submit(s->in->passwords, run, done, c);
}
