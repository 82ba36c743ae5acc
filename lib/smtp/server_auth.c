/*
 * AUTH PLAIN (RFC 4954, 4616), over TLS only. The machine takes the exchange apart; whether the password is right is the
 * driver's to find out, on a thread of its own. Decoded secrets stay in one fixed place and are wiped when answered.
 */
#include "base/text.h"
#include "smtp/server_priv.h"

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

static bool decode(struct sp_smtp_server *s, struct sp_bytes text)
{
    struct sp_buf b;
    bool ok;

    sp_buf_init(&b, sizeof(s->secret));
    ok = sp_base64_decode(&b, text) && !b.failed;
    if (ok) {
        memcpy(s->secret, b.ptr, b.len);
        s->secret_len = b.len;
    }
    sp_buf_wipe(&b);
    return ok;
}

static void take_response(struct sp_smtp_server *s, struct sp_bytes text)
{
    struct sp_smtp_server_event parts = {.type = SP_SMTP_SERVER_AUTH};

    if (text.len == 0 || !decode(s, text) ||
        !take_plain(sp_bytes(s->secret, s->secret_len), &parts)) {
        sp_wipe(s->secret, sizeof(s->secret));
        s->secret_len = 0;
        sp_smtp_server_fault(s, SP_E_SMTP_AUTH_SYNTAX);
        return;
    }
    *sp_smtp_server_ask(s, SP_SMTP_SERVER_AUTH) = parts;
}

void sp_smtp_server_auth_start(struct sp_smtp_server *s, struct sp_bytes arg)
{
    size_t space = sp_bytes_find(arg, ' ');
    struct sp_bytes mechanism = sp_bytes_slice(arg, 0, space);
    enum sp_rc rc = SP_OK;

    if (!s->config->auth_offered)
        rc = SP_E_SMTP_VERB_OFF;
    else if (!s->tls)
        rc = SP_E_SMTP_TLS_FIRST;
    else if (!s->extended || s->authenticated)
        rc = SP_E_SMTP_VERB_ORDER;
    else if (!sp_bytes_eq_nocase(mechanism, SP_LIT("PLAIN")))
        rc = SP_E_SMTP_AUTH_MECH;
    if (rc != SP_OK) {
        sp_smtp_server_fault(s, rc);
        return;
    }
    if (space != SIZE_MAX) {
        take_response(s, sp_bytes_slice(arg, space + 1, arg.len));
        return;
    }
    sp_buf_put_cstr(&s->out, "334 \r\n");
    sp_smtp_server_enter(s, AUTH);
}

void sp_smtp_server_auth_response(struct sp_smtp_server *s, struct sp_bytes line)
{
    sp_smtp_server_enter(s, READY);
    take_response(s, line); /* "*" cancels (RFC 4954 4) and is malformed base 64: 501 either way */
}
