/*
 * AUTH (RFC 4954), over TLS only: PLAIN (RFC 4616), LOGIN as it is spoken, EXTERNAL (RFC 4422 A), SCRAM-SHA-256 (RFC 7677),
 * OAUTHBEARER (RFC 7628).
 * The machine takes the exchange apart; whether a password, a proof or a certificate is right is the driver's to find out, on a
 * thread of its own where that takes time. Decoded secrets stay in one fixed place, made for the first of them since most
 * sessions have none, and are wiped when answered.
 */
#include "base/text.h"
#include "smtp/server_priv.h"

#define SECRET_MAX 1024
#define TOKEN_MAX  9216 /* what the longest line holds in base 64 */

static const struct {
    const char *name;
    enum sp_smtp_auth mechanism;
} mechanisms[] = {
    {"PLAIN", SP_SMTP_AUTH_PLAIN},       {"LOGIN", SP_SMTP_AUTH_LOGIN},
    {"EXTERNAL", SP_SMTP_AUTH_EXTERNAL}, {"SCRAM-SHA-256", SP_SMTP_AUTH_SCRAM},
    {"OAUTHBEARER", SP_SMTP_AUTH_OAUTH},
};

void sp_smtp_server_auth_offer(struct sp_smtp_server *s)
{
    const char *before = "250-AUTH ";

    for (size_t i = 0; i < SP_ARRAY_LEN(mechanisms); i++) {
        if (!(s->config->auth & mechanisms[i].mechanism))
            continue;
        sp_buf_put_cstr(&s->out, before);
        sp_buf_put_cstr(&s->out, mechanisms[i].name);
        before = " ";
    }
    sp_buf_put_cstr(&s->out, "\r\n");
}

/* Takes authzid NUL user NUL password apart (RFC 4616 2). */
static bool take_plain(struct sp_bytes text, struct sp_smtp_server_event *out)
{
    size_t one = sp_bytes_find(text, 0), two;
    struct sp_bytes rest;

    if (one == SIZE_MAX)
        return false;
    rest = sp_bytes_slice(text, one + 1, text.len);
    two = sp_bytes_find(rest, 0);
    if (two == SIZE_MAX)
        return false;
    out->authzid = sp_bytes_slice(text, 0, one);
    out->user = sp_bytes_slice(rest, 0, two);
    out->password = sp_bytes_slice(rest, two + 1, rest.len);
    return out->authzid.len <= SP_SMTP_AUTH_MAX && out->user.len > 0 &&
           out->user.len <= SP_SMTP_AUTH_MAX && out->password.len > 0 &&
           out->password.len <= SP_SMTP_AUTH_MAX && sp_bytes_find(out->password, 0) == SIZE_MAX;
}

void sp_smtp_server_forget_secret(struct sp_smtp_server *s)
{
    if (s->secret != NULL)
        sp_wipe(s->secret, s->secret_cap);
    s->secret_len = 0;
}

/* The place for secrets, as large as the mechanism needs it. */
static void make_room(struct sp_smtp_server *s)
{
    size_t cap = s->mechanism == SP_SMTP_AUTH_OAUTH ? TOKEN_MAX : SECRET_MAX;

    if (s->secret != NULL && s->secret_cap >= cap)
        return;
    sp_smtp_server_forget_secret(s);
    sp_free(s->secret);
    s->secret = sp_calloc(1, cap);
    s->secret_cap = cap;
}

/* Adds a decoded response to the secrets. at: where it begins. returns: false if it is no base 64, or too long */
static bool decode(struct sp_smtp_server *s, struct sp_bytes text, size_t *at)
{
    struct sp_buf b;
    bool ok;

    make_room(s);
    sp_buf_init(&b, s->secret_cap - s->secret_len);
    ok = sp_base64_decode(&b, text) && !b.failed;
    if (ok)
        *at = s->secret_len;
    if (ok && b.len > 0) {
        memcpy(s->secret + s->secret_len, b.ptr, b.len);
        s->secret_len += b.len;
    }
    sp_buf_wipe(&b);
    return ok;
}

static void end_exchange(struct sp_smtp_server *s, enum sp_rc rc)
{
    sp_smtp_server_forget_secret(s);
    s->auth_user_len = 0;
    if (s->state == AUTH)
        sp_smtp_server_enter(s, READY);
    sp_smtp_server_fault(s, rc);
}

static void prompt(struct sp_smtp_server *s, const char *text)
{
    sp_buf_put_cstr(&s->out, "334 ");
    sp_buf_put_cstr(&s->out, text);
    sp_buf_put_cstr(&s->out, "\r\n");
    if (s->state != AUTH)
        sp_smtp_server_enter(s, AUTH);
}

/* LOGIN: first the user, then the password. returns: whether the exchange is whole */
static bool take_login(struct sp_smtp_server *s, size_t at, struct sp_smtp_server_event *parts)
{
    struct sp_bytes all = sp_bytes(s->secret, s->secret_len);
    size_t len = s->secret_len - at;

    if (len == 0 || len > SP_SMTP_AUTH_MAX) {
        end_exchange(s, SP_E_SMTP_AUTH_SYNTAX);
        return false;
    }
    if (s->auth_user_len == 0) {
        s->auth_user_len = len;
        prompt(s, "UGFzc3dvcmQ6");
        return false;
    }
    parts->user = sp_bytes_slice(all, 0, s->auth_user_len);
    parts->password = sp_bytes_slice(all, s->auth_user_len, all.len);
    s->auth_user_len = 0;
    return true;
}

static void take_response(struct sp_smtp_server *s, struct sp_bytes text)
{
    struct sp_smtp_server_event parts = {
        .type = SP_SMTP_SERVER_AUTH, .mechanism = s->mechanism, .is_first = !s->challenged};
    struct sp_bytes all;
    size_t at = 0;
    bool ok = decode(s, text, &at);

    all = sp_bytes(s->secret, s->secret_len);
    if (ok && s->mechanism == SP_SMTP_AUTH_LOGIN) {
        if (!take_login(s, at, &parts))
            return;
    } else if (ok && s->mechanism == SP_SMTP_AUTH_PLAIN) {
        ok = take_plain(all, &parts);
    } else if (ok && s->mechanism == SP_SMTP_AUTH_EXTERNAL) {
        parts.authzid = all;
        ok = all.len <= SP_SMTP_AUTH_MAX && sp_bytes_find(all, 0) == SIZE_MAX;
    } else if (ok) {
        parts.text = all;
        ok = sp_bytes_find(all, 0) == SIZE_MAX;
    }
    if (!ok) {
        end_exchange(s, SP_E_SMTP_AUTH_SYNTAX);
        return;
    }
    if (s->state == AUTH)
        sp_smtp_server_enter(s, READY);
    *sp_smtp_server_ask(s, SP_SMTP_SERVER_AUTH) = parts;
}

/* returns: the mechanism if it is offered here, else 0 */
static enum sp_smtp_auth find_mechanism(const struct sp_smtp_server *s, struct sp_bytes name)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(mechanisms); i++) {
        if (sp_bytes_eq_nocase(name, sp_bytes_cstr(mechanisms[i].name)))
            return s->config->auth & mechanisms[i].mechanism;
    }
    return 0;
}

void sp_smtp_server_auth_start(struct sp_smtp_server *s, struct sp_bytes arg)
{
    size_t space = sp_bytes_find(arg, ' ');
    struct sp_bytes initial = {NULL, 0};
    enum sp_rc rc = SP_OK;

    s->mechanism = find_mechanism(s, sp_bytes_slice(arg, 0, space));
    if (s->config->auth == 0)
        rc = SP_E_SMTP_VERB_OFF;
    else if (!s->tls)
        rc = SP_E_SMTP_TLS_FIRST;
    else if (!s->extended || s->authenticated)
        rc = SP_E_SMTP_VERB_ORDER;
    else if (s->mechanism == 0)
        rc = SP_E_SMTP_AUTH_MECH;
    if (rc != SP_OK) {
        sp_smtp_server_fault(s, rc);
        return;
    }
    s->auth_user_len = 0;
    s->challenged = false;
    if (space == SIZE_MAX) {
        prompt(s, s->mechanism == SP_SMTP_AUTH_LOGIN ? "VXNlcm5hbWU6" : "");
        return;
    }
    initial = sp_bytes_slice(arg, space + 1, arg.len);
    if (sp_bytes_eq(initial, SP_LIT("="))) /* an empty one (RFC 4954 4) */
        initial = sp_bytes(NULL, 0);
    else if (initial.len == 0) {
        sp_smtp_server_fault(s, SP_E_SMTP_AUTH_SYNTAX);
        return;
    }
    take_response(s, initial);
}

void sp_smtp_server_auth_response(struct sp_smtp_server *s, struct sp_bytes line)
{
    if (sp_bytes_eq(line, SP_LIT("*"))) /* the client gives up (RFC 4954 4) */
        end_exchange(s, SP_E_SMTP_AUTH_SYNTAX);
    else
        take_response(s, line);
}

void sp_smtp_server_challenge(struct sp_smtp_server *s, struct sp_bytes text)
{
    sp_assert(s->waiting && s->asked == SP_SMTP_SERVER_AUTH);
    s->waiting = false;
    s->challenged = true;
    sp_buf_put_cstr(&s->out, "334 ");
    sp_base64_encode(&s->out, text);
    sp_buf_put_cstr(&s->out, "\r\n");
    sp_smtp_server_forget_secret(s); /* the text may have been a view of it */
    sp_smtp_server_enter(s, AUTH);
}
