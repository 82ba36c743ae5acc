/*
 * Parameters of MAIL and RCPT: KEY or KEY=VALUE, each at most once, by single table walks. An unknown one is 555, as RFC
 * 5321 4.1.1.11 asks, never ignored: a client that says REQUIRETLS or DELIVERBY must learn that it was not heard.
 */
#include "smtp/server_priv.h"

/* Cuts the next parameter off. returns: false at the end */
static bool take_param(struct sp_bytes *rest, struct sp_bytes *key, struct sp_bytes *value)
{
    struct sp_bytes part;
    size_t eq;

    while (sp_bytes_split(rest, ' ', &part)) {
        if (part.len == 0)
            continue;
        eq = sp_bytes_find(part, '=');
        *key = sp_bytes_slice(part, 0, eq);
        *value = eq == SIZE_MAX ? sp_bytes(NULL, 0) : sp_bytes_slice(part, eq + 1, part.len);
        return true;
    }
    return false;
}

enum {
    SEEN_SIZE = 1,
    SEEN_BODY = 2,
    SEEN_RET = 4,
    SEEN_ENVID = 8,
    SEEN_AUTH = 16,
    SEEN_NOTIFY = 32,
    SEEN_ORCPT = 64,
    SEEN_REQUIRETLS = 128,
    SEEN_SMTPUTF8 = 256
};

static enum sp_rc mark(unsigned *seen, unsigned bit)
{
    if (*seen & bit)
        return SP_E_SMTP_SYNTAX;
    *seen |= bit;
    return SP_OK;
}

static enum sp_rc on_size(struct sp_bytes value, struct sp_mail_params *out)
{
    if (value.len > 20 || !sp_bytes_to_u64(value, &out->size))
        return SP_E_SMTP_SYNTAX;
    out->has_size = true;
    return SP_OK;
}

static enum sp_rc on_body(struct sp_bytes value, struct sp_mail_params *out)
{
    if (sp_bytes_eq_nocase(value, SP_LIT("8BITMIME")))
        out->body = SP_BODY_8BITMIME;
    else if (!sp_bytes_eq_nocase(value, SP_LIT("7BIT")))
        return SP_E_SMTP_PARAM;
    return SP_OK;
}

static enum sp_rc on_ret(struct sp_bytes value, struct sp_mail_params *out)
{
    if (sp_bytes_eq_nocase(value, SP_LIT("FULL")))
        out->ret = SP_RET_FULL;
    else if (sp_bytes_eq_nocase(value, SP_LIT("HDRS")))
        out->ret = SP_RET_HDRS;
    else
        return SP_E_SMTP_SYNTAX;
    return SP_OK;
}

static enum sp_rc on_envid(struct sp_bytes value, struct sp_mail_params *out)
{
    if (value.len == 0 || value.len > SP_ENVID_MAX || !sp_xtext_is_valid(value))
        return SP_E_SMTP_SYNTAX;
    out->envid = value;
    return SP_OK;
}

/* RFC 4954 5: who first submitted it. We take nobody's word for that, so it is checked and forgotten. */
static enum sp_rc on_auth_param(const struct sp_smtp_server *s, struct sp_bytes value)
{
    if (s->config->auth == 0)
        return SP_E_SMTP_PARAM;
    if (value.len == 0 || value.len > 500)
        return SP_E_SMTP_SYNTAX;
    return sp_bytes_eq(value, SP_LIT("<>")) || sp_xtext_is_valid(value) ? SP_OK : SP_E_SMTP_SYNTAX;
}

/* RFC 8689 4.1: a word alone, and only within TLS, where alone it is offered. */
static enum sp_rc on_requiretls(const struct sp_smtp_server *s, struct sp_bytes value,
                                struct sp_mail_params *out)
{
    if (!s->tls)
        return SP_E_SMTP_PARAM;
    if (value.ptr != NULL)
        return SP_E_SMTP_SYNTAX;
    out->requiretls = true;
    return SP_OK;
}

/* RFC 6531 3.1: a word alone. */
static enum sp_rc on_smtputf8(struct sp_bytes value, struct sp_mail_params *out)
{
    out->smtputf8 = true;
    return value.ptr == NULL ? SP_OK : SP_E_SMTP_SYNTAX;
}

static unsigned mail_key(struct sp_bytes key)
{
    static const struct {
        const char *name;
        unsigned bit;
    } keys[] = {{"SIZE", SEEN_SIZE},        {"BODY", SEEN_BODY}, {"RET", SEEN_RET},
                {"ENVID", SEEN_ENVID},      {"AUTH", SEEN_AUTH}, {"REQUIRETLS", SEEN_REQUIRETLS},
                {"SMTPUTF8", SEEN_SMTPUTF8}};

    for (size_t i = 0; i < SP_ARRAY_LEN(keys); i++)
        if (sp_bytes_eq_nocase(key, sp_bytes_cstr(keys[i].name)))
            return keys[i].bit;
    return 0;
}

static enum sp_rc mail_param(const struct sp_smtp_server *s, unsigned *seen, struct sp_bytes key,
                             struct sp_bytes value, struct sp_mail_params *out)
{
    unsigned bit = mail_key(key);
    enum sp_rc rc = bit == 0 ? SP_E_SMTP_PARAM : mark(seen, bit);

    if (rc != SP_OK)
        return rc;
    switch (bit) {
    case SEEN_SIZE:
        return on_size(value, out);
    case SEEN_BODY:
        return on_body(value, out);
    case SEEN_RET:
        return on_ret(value, out);
    case SEEN_ENVID:
        return on_envid(value, out);
    case SEEN_REQUIRETLS:
        return on_requiretls(s, value, out);
    case SEEN_SMTPUTF8:
        return on_smtputf8(value, out);
    default:
        return on_auth_param(s, value);
    }
}

enum sp_rc sp_smtp_params_mail(const struct sp_smtp_server *s, struct sp_bytes text,
                               struct sp_mail_params *out)
{
    struct sp_mail_params params = {.has_size = false};
    struct sp_bytes key, value;
    unsigned seen = 0;

    while (take_param(&text, &key, &value)) {
        enum sp_rc rc = s->extended ? mail_param(s, &seen, key, value, &params) : SP_E_SMTP_PARAM;

        if (rc != SP_OK)
            return rc;
    }
    *out = params;
    return SP_OK;
}

static enum sp_rc on_notify(struct sp_bytes value, struct sp_rcpt_params *out)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {{"NEVER", SP_NOTIFY_NEVER},
                 {"SUCCESS", SP_NOTIFY_SUCCESS},
                 {"FAILURE", SP_NOTIFY_FAILURE},
                 {"DELAY", SP_NOTIFY_DELAY}};
    struct sp_bytes part;

    while (sp_bytes_split(&value, ',', &part)) {
        unsigned bit = 0;

        for (size_t i = 0; i < SP_ARRAY_LEN(words); i++) {
            if (sp_bytes_eq_nocase(part, sp_bytes_cstr(words[i].word)))
                bit = words[i].bit;
        }
        if (bit == 0 || (out->notify & bit))
            return SP_E_SMTP_SYNTAX;
        out->notify |= bit;
    }
    if (out->notify == 0 || ((out->notify & SP_NOTIFY_NEVER) && out->notify != SP_NOTIFY_NEVER))
        return SP_E_SMTP_SYNTAX;
    return SP_OK;
}

/* RFC 6533 3: the type utf-8 may hold UTF-8 where MAIL said SMTPUTF8; it goes on in the form that every host takes. */
static enum sp_rc on_orcpt_utf8(struct sp_smtp_server *s, struct sp_bytes value,
                                struct sp_rcpt_params *out)
{
    enum sp_rc rc;

    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] >= 0x80 && !s->utf8)
            return SP_E_SMTP_SYNTAX;
    sp_buf_reset(&s->orcpt);
    sp_buf_put_cstr(&s->orcpt, "utf-8;");
    rc = sp_orcpt_utf8_encode(value, &s->orcpt);
    if (rc == SP_OK)
        out->orcpt = sp_buf_bytes(&s->orcpt);
    return rc;
}

static enum sp_rc on_orcpt(struct sp_smtp_server *s, struct sp_bytes value,
                           struct sp_rcpt_params *out)
{
    size_t semicolon = sp_bytes_find(value, ';');
    struct sp_bytes type = sp_bytes_slice(value, 0, semicolon), rest;

    if (value.len > SP_ORCPT_MAX || semicolon == SIZE_MAX || semicolon == 0 || semicolon > 60 ||
        semicolon + 1 == value.len)
        return SP_E_SMTP_SYNTAX;
    for (size_t i = 0; i < semicolon; i++) {
        if (!sp_ascii_is_alnum(value.ptr[i]) && value.ptr[i] != '-')
            return SP_E_SMTP_SYNTAX;
    }
    rest = sp_bytes_slice(value, semicolon + 1, value.len);
    if (sp_bytes_eq_nocase(type, SP_LIT("utf-8")))
        return on_orcpt_utf8(s, rest, out);
    if (!sp_xtext_is_valid(rest))
        return SP_E_SMTP_SYNTAX;
    out->orcpt = value;
    return SP_OK;
}

enum sp_rc sp_smtp_params_rcpt(struct sp_smtp_server *s, struct sp_bytes text,
                               struct sp_rcpt_params *out)
{
    struct sp_rcpt_params params = {0, {NULL, 0}};
    struct sp_bytes key, value;
    unsigned seen = 0;

    while (take_param(&text, &key, &value)) {
        enum sp_rc rc = SP_E_SMTP_PARAM;

        if (sp_bytes_eq_nocase(key, SP_LIT("NOTIFY"))) {
            rc = mark(&seen, SEEN_NOTIFY);
            if (rc == SP_OK)
                rc = on_notify(value, &params);
        } else if (sp_bytes_eq_nocase(key, SP_LIT("ORCPT"))) {
            rc = mark(&seen, SEEN_ORCPT);
            if (rc == SP_OK)
                rc = on_orcpt(s, value, &params);
        }
        if (rc != SP_OK)
            return rc;
    }
    *out = params;
    return SP_OK;
}
