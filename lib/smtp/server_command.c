/*
 * The verbs: one table says where each may come, and nothing runs that the table does not allow.
 */
#include "smtp/server_priv.h"

#include "mail/idn.h"

#define IN(state)   (1U << (state))
#define TRANSACTION (IN(MAIL) | IN(RCPT))
#define ANY         (IN(GREETED) | IN(READY) | TRANSACTION | IN(CHUNK_WAIT))

static struct sp_bytes none(void)
{
    return sp_bytes(NULL, 0);
}

static void on_hello(struct sp_smtp_server *s, struct sp_bytes arg, bool extended)
{
    if (arg.len == 0 || arg.len > 255 || sp_bytes_find(arg, ' ') != SIZE_MAX) {
        sp_smtp_server_fault(s, SP_E_SMTP_SYNTAX);
        return;
    }
    sp_smtp_server_reset(s);
    s->extended = extended;
    sp_buf_reset(&s->helo);
    sp_buf_put(&s->helo, arg);
    sp_smtp_server_enter(s, READY);
    sp_smtp_server_emit(s, SP_SMTP_SERVER_HELLO)->text = sp_buf_bytes(&s->helo);
}

static void on_ehlo(struct sp_smtp_server *s, struct sp_bytes arg)
{
    const struct sp_smtp_server_config *c = s->config;
    size_t events = s->events_count;

    on_hello(s, arg, true);
    if (s->events_count == events || s->events[s->events_count - 1].type != SP_SMTP_SERVER_HELLO)
        return;
    sp_buf_put_cstr(&s->out, "250-");
    sp_buf_put_cstr(&s->out, c->hostname);
    sp_buf_put_cstr(&s->out, "\r\n250-PIPELINING\r\n250-SIZE ");
    sp_buf_put_dec(&s->out, (int64_t)c->size_limit);
    sp_buf_put_cstr(&s->out, "\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n");
    if (c->tls_offered && !s->tls)
        sp_buf_put_cstr(&s->out, "250-STARTTLS\r\n");
    if (s->tls)
        sp_buf_put_cstr(&s->out, "250-REQUIRETLS\r\n");
    if (c->auth != 0 && s->tls)
        sp_smtp_server_auth_offer(s);
    sp_buf_put_cstr(&s->out, "250 ENHANCEDSTATUSCODES\r\n");
}

static void on_helo(struct sp_smtp_server *s, struct sp_bytes arg)
{
    size_t events = s->events_count;

    on_hello(s, arg, false);
    if (s->events_count > events && s->events[s->events_count - 1].type == SP_SMTP_SERVER_HELLO)
        sp_smtp_server_reply(s, 250, NULL, sp_bytes_cstr(s->config->hostname));
}

/* Reads "FROM:<path> parameters". A space behind the colon is no part of the grammar, but common and harmless. */
static enum sp_rc take_path(struct sp_bytes arg, struct sp_bytes keyword, struct sp_address *out,
                            struct sp_bytes *params)
{
    enum sp_rc rc;

    if (!sp_bytes_starts_nocase(arg, keyword))
        return SP_E_SMTP_SYNTAX;
    arg = sp_bytes_slice(arg, keyword.len, arg.len);
    while (arg.len > 0 && arg.ptr[0] == ' ')
        arg = sp_bytes_slice(arg, 1, arg.len);
    rc = sp_address_parse_path(arg, out, params);
    if (rc != SP_OK)
        return rc;
    return params->len == 0 || params->ptr[0] == ' ' ? SP_OK : SP_E_SMTP_SYNTAX;
}

/* UTF-8 only where MAIL says SMTPUTF8 (RFC 6531 3.1); then the domain comes into A-labels, the one form that all behind us knows. */
static enum sp_rc take_utf8(struct sp_smtp_server *s, bool allowed, struct sp_address *a)
{
    if (sp_text_is_ascii(a->local) && sp_text_is_ascii(a->domain))
        return SP_OK;
    return allowed ? sp_address_to_ascii(a, &s->domain) : SP_E_ADDR_UTF8;
}

static void on_mail(struct sp_smtp_server *s, struct sp_bytes arg)
{
    struct sp_address from;
    struct sp_mail_params mail = {0};
    struct sp_bytes params;
    struct sp_smtp_server_event *ev;
    enum sp_rc rc = take_path(arg, SP_LIT("FROM:"), &from, &params);

    if (rc == SP_OK && s->config->auth_required && !s->authenticated)
        rc = SP_E_SMTP_AUTH_FIRST;
    if (rc == SP_OK && from.local.len > 0 && from.domain.len == 0)
        rc = SP_E_ADDR_SYNTAX;
    if (rc == SP_OK)
        rc = sp_smtp_params_mail(s, params, &mail);
    if (rc == SP_OK)
        rc = take_utf8(s, mail.smtputf8, &from);
    if (rc == SP_OK && mail.has_size && mail.size > s->config->size_limit)
        rc = SP_E_SMTP_SIZE;
    if (rc != SP_OK) {
        sp_smtp_server_fault(s, rc);
        return;
    }
    s->utf8 = mail.smtputf8;
    ev = sp_smtp_server_ask(s, SP_SMTP_SERVER_MAIL);
    ev->address = from;
    ev->mail = mail;
}

static void on_rcpt(struct sp_smtp_server *s, struct sp_bytes arg)
{
    struct sp_address to;
    struct sp_rcpt_params rcpt = {0, {NULL, 0}};
    struct sp_bytes params;
    struct sp_smtp_server_event *ev;
    enum sp_rc rc = take_path(arg, SP_LIT("TO:"), &to, &params);

    if (rc == SP_OK && sp_address_is_null(&to))
        rc = SP_E_ADDR_SYNTAX;
    if (rc == SP_OK && params.len > 0 && !s->extended)
        rc = SP_E_SMTP_PARAM;
    if (rc == SP_OK)
        rc = sp_smtp_params_rcpt(s, params, &rcpt);
    if (rc == SP_OK)
        rc = take_utf8(s, s->utf8, &to);
    if (rc == SP_OK && s->recipients >= s->config->max_recipients)
        rc = SP_E_SMTP_RCPT_MANY;
    if (rc ==
        SP_E_SMTP_RCPT_MANY) { /* no fault of the client's: it sends the rest in another transaction */
        const struct sp_rc_info *info = sp_rc_info(rc);

        sp_smtp_server_reply(s, info->smtp, info->enhanced, sp_bytes_cstr(info->text));
        return;
    }
    if (rc != SP_OK) {
        sp_smtp_server_fault(s, rc);
        return;
    }
    ev = sp_smtp_server_ask(s, SP_SMTP_SERVER_RCPT);
    ev->address = to;
    ev->rcpt = rcpt;
}

static void on_data(struct sp_smtp_server *s, struct sp_bytes arg)
{
    (void)arg;
    if (s->state == MAIL) {
        sp_smtp_server_fault(s, SP_E_SMTP_NO_RCPT);
        return;
    }
    s->chunking = false;
    s->normalise = false;
    sp_smtp_server_ask(s, SP_SMTP_SERVER_DATA);
}

static void on_bdat(struct sp_smtp_server *s, struct sp_bytes arg)
{
    sp_smtp_server_chunk_start(s, arg, SP_OK);
}

static void on_rset(struct sp_smtp_server *s, struct sp_bytes arg)
{
    (void)arg;
    sp_smtp_server_reset(s);
    sp_smtp_server_reply(s, 250, "2.0.0", SP_LIT("reset"));
}

static void on_noop(struct sp_smtp_server *s, struct sp_bytes arg)
{
    (void)arg;
    sp_smtp_server_reply(s, 250, "2.0.0", SP_LIT("ok"));
}

static void on_vrfy(struct sp_smtp_server *s, struct sp_bytes arg)
{
    if (arg.len == 0)
        sp_smtp_server_fault(s, SP_E_SMTP_SYNTAX);
    else
        sp_smtp_server_reply(s, 252, "2.1.5", SP_LIT("send mail to find out"));
}

static void on_expn(struct sp_smtp_server *s, struct sp_bytes arg)
{
    (void)arg;
    sp_smtp_server_fault(s, SP_E_SMTP_VERB_OFF);
}

static void on_help(struct sp_smtp_server *s, struct sp_bytes arg)
{
    (void)arg;
    sp_smtp_server_reply(s, 214, "2.0.0",
                         SP_LIT("EHLO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY STARTTLS AUTH"));
}

static void on_quit(struct sp_smtp_server *s, struct sp_bytes arg)
{
    (void)arg;
    sp_smtp_server_reply(s, 221, "2.0.0", SP_LIT("bye"));
    sp_smtp_server_close(s, SP_OK);
}

static void on_starttls(struct sp_smtp_server *s, struct sp_bytes arg)
{
    (void)arg;
    if (s->tls || !s->config->tls_offered) {
        sp_smtp_server_fault(s, s->tls ? SP_E_SMTP_VERB_ORDER : SP_E_SMTP_VERB_OFF);
        return;
    }
    sp_smtp_server_reply(s, 220, "2.0.0", SP_LIT("go ahead"));
    sp_smtp_server_enter(s, TLS_WAIT);
    sp_smtp_server_emit(s, SP_SMTP_SERVER_STARTTLS);
}

static void on_auth(struct sp_smtp_server *s, struct sp_bytes arg)
{
    sp_smtp_server_auth_start(s, arg);
}

static const struct verb {
    const char *name;
    unsigned legal;  /* states in which it may come */
    bool before_tls; /* allowed before STARTTLS where TLS is required, RFC 3207 4 */
    bool takes_arg;
    bool is_idle; /* counts against max_idle: moves no mail */
    void (*run)(struct sp_smtp_server *s, struct sp_bytes arg);
} verbs[] = {
    {"EHLO", ANY, true, true, true, on_ehlo},
    {"HELO", ANY, true, true, true, on_helo},
    {"MAIL", IN(READY), false, true, true, on_mail},
    {"RCPT", TRANSACTION, false, true, false, on_rcpt},
    {"DATA", TRANSACTION, false, false, false, on_data},
    {"BDAT", IN(RCPT) | IN(CHUNK_WAIT), false, true, false, on_bdat},
    {"RSET", ANY, true, false, true, on_rset},
    {"NOOP", ANY, true, true, true, on_noop},
    {"QUIT", ANY, true, false, false, on_quit},
    {"VRFY", ANY, false, true, true, on_vrfy},
    {"EXPN", ANY, false, true, true, on_expn},
    {"HELP", ANY, true, true, true, on_help},
    {"STARTTLS", IN(READY), true, false, true, on_starttls},
    {"AUTH", IN(READY), false, true, true, on_auth},
};

static const struct verb *find_verb(struct sp_bytes line, struct sp_bytes *arg)
{
    size_t space = sp_bytes_find(line, ' ');
    struct sp_bytes word = sp_bytes_slice(line, 0, space);

    *arg = space == SIZE_MAX ? none() : sp_bytes_trim(sp_bytes_slice(line, space, line.len));
    for (size_t i = 0; i < SP_ARRAY_LEN(verbs); i++) {
        if (sp_bytes_eq_nocase(word, sp_bytes_cstr(verbs[i].name)))
            return &verbs[i];
    }
    return NULL;
}

/* A handshake, an exchange and an end go on by themselves. */
static void look_at_idle(struct sp_smtp_server *s, const struct verb *v)
{
    if (v->is_idle && s->config->free_idle > 0 && s->idle > s->config->free_idle && !s->waiting &&
        (ANY & IN(s->state)) != 0)
        sp_smtp_server_ask(s, SP_SMTP_SERVER_IDLE);
}

void sp_smtp_server_command(struct sp_smtp_server *s, struct sp_bytes line)
{
    struct sp_bytes arg;
    const struct verb *v = find_verb(line, &arg);
    enum sp_rc rc = SP_OK;

    if (v == NULL)
        rc = SP_E_SMTP_VERB_UNKNOWN;
    else if (!(v->legal & IN(s->state)))
        rc = SP_E_SMTP_VERB_ORDER;
    else if (s->config->tls_required && !s->tls && !v->before_tls)
        rc = SP_E_SMTP_TLS_FIRST;
    else if (arg.len > 0 && !v->takes_arg)
        rc = SP_E_SMTP_SYNTAX;
    else if (v->is_idle && ++s->idle > s->config->max_idle)
        rc = SP_E_SMTP_ERRORS_MANY;
    if (rc != SP_OK && v != NULL && v->run == on_bdat) /* its octets follow all the same */
        sp_smtp_server_chunk_start(s, arg, rc);
    else if (rc != SP_OK)
        sp_smtp_server_fault(s, rc);
    else
        v->run(s, arg);
    if (rc == SP_OK)
        look_at_idle(s, v);
}
