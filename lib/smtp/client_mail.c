/*
 * A transaction of the client: MAIL, RCPT for each recipient, DATA, the dot. All commands are written once, up front;
 * with PIPELINING they leave together, else one by one, and reply i answers command i either way. If no recipient
 * stands but the server says 354 to a pipelined DATA, an empty message must follow (RFC 2920 3.1); its answer means
 * nothing to anybody, so nobody waits for it: what became of the recipients is told before.
 */
#include "mail/address.h"
#include "smtp/client_priv.h"

void sp_smtp_client_ehlo_line(struct sp_smtp_client *c, struct sp_bytes text, bool first)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        {"PIPELINING", SP_SMTP_EXT_PIPELINING},
        {"SIZE", SP_SMTP_EXT_SIZE},
        {"8BITMIME", SP_SMTP_EXT_8BITMIME},
        {"STARTTLS", SP_SMTP_EXT_STARTTLS},
        {"ENHANCEDSTATUSCODES", SP_SMTP_EXT_ENHANCED},
        {"DSN", SP_SMTP_EXT_DSN},
        {"SMTPUTF8", SP_SMTP_EXT_SMTPUTF8},
        {"CHUNKING", SP_SMTP_EXT_CHUNKING},
        {"REQUIRETLS", SP_SMTP_EXT_REQUIRETLS},
    };
    struct sp_bytes rest = text, word, arg;

    if (first || !sp_bytes_split(&rest, ' ', &word))
        return;
    for (size_t i = 0; i < SP_ARRAY_LEN(words); i++) {
        if (sp_bytes_eq_nocase(word, sp_bytes_cstr(words[i].word)))
            c->extensions |= words[i].bit;
    }
    if (sp_bytes_eq_nocase(word, SP_LIT("SIZE")) && sp_bytes_split(&rest, ' ', &arg)) {
        uint64_t limit;

        if (sp_bytes_to_u64(arg, &limit))
            c->size_limit = limit;
    }
}

/* Ends a command line and notes where. */
static void end_command(struct sp_smtp_client *c)
{
    sp_buf_put_cstr(&c->commands, "\r\n");
    c->ends[c->commands_count++] = c->commands.len;
}

static bool is_ascii(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= 0x80)
            return false;
    return true;
}

/* Whether what MAIL is to say is safe, and offered. */
static enum sp_rc check_mail(const struct sp_smtp_client *c, const struct sp_smtp_mail *mail)
{
    const struct sp_mail_params *p = &mail->params;
    struct sp_address a;

    if (mail->from.len > 0 && sp_address_parse(mail->from, &a) != SP_OK)
        return SP_E_SMTP_INJECTION;
    if (p->smtputf8 ? !(c->extensions & SP_SMTP_EXT_SMTPUTF8) : !is_ascii(mail->from))
        return SP_E_HOP_LACKS_UTF8;
    if (!sp_xtext_is_valid(p->envid))
        return SP_E_SMTP_INJECTION;
    if (p->body == SP_BODY_8BITMIME && !(c->extensions & SP_SMTP_EXT_8BITMIME))
        return SP_E_HOP_LACKS;
    if (p->requiretls && !(c->extensions & SP_SMTP_EXT_REQUIRETLS))
        return SP_E_HOP_LACKS;
    if (p->has_size && c->size_limit > 0 && p->size > c->size_limit)
        return SP_E_SMTP_SIZE;
    return SP_OK;
}

static enum sp_rc put_mail(struct sp_smtp_client *c, const struct sp_smtp_mail *mail)
{
    const struct sp_mail_params *p = &mail->params;
    enum sp_rc rc = check_mail(c, mail);

    if (rc != SP_OK)
        return rc;
    sp_buf_put_cstr(&c->commands, "MAIL FROM:<");
    sp_buf_put(&c->commands, mail->from);
    sp_buf_put_cstr(&c->commands, ">");
    if (p->has_size && (c->extensions & SP_SMTP_EXT_SIZE)) {
        sp_buf_put_cstr(&c->commands, " SIZE=");
        sp_buf_put_dec(&c->commands, (int64_t)p->size);
    }
    if (p->body == SP_BODY_8BITMIME)
        sp_buf_put_cstr(&c->commands, " BODY=8BITMIME");
    if (p->requiretls)
        sp_buf_put_cstr(&c->commands, " REQUIRETLS");
    if (p->smtputf8)
        sp_buf_put_cstr(&c->commands, " SMTPUTF8");
    if ((c->extensions & SP_SMTP_EXT_DSN) && p->ret != SP_RET_NONE)
        sp_buf_put_cstr(&c->commands, p->ret == SP_RET_FULL ? " RET=FULL" : " RET=HDRS");
    if ((c->extensions & SP_SMTP_EXT_DSN) && p->envid.len > 0) {
        sp_buf_put_cstr(&c->commands, " ENVID=");
        sp_buf_put(&c->commands, p->envid);
    }
    end_command(c);
    return SP_OK;
}

static void put_notify(struct sp_buf *out, unsigned notify)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {{"NEVER", SP_NOTIFY_NEVER},
                 {"SUCCESS", SP_NOTIFY_SUCCESS},
                 {"FAILURE", SP_NOTIFY_FAILURE},
                 {"DELAY", SP_NOTIFY_DELAY}};
    const char *before = " NOTIFY=";

    for (size_t i = 0; i < SP_ARRAY_LEN(words); i++) {
        if (!(notify & words[i].bit))
            continue;
        sp_buf_put_cstr(out, before);
        sp_buf_put_cstr(out, words[i].word);
        before = ",";
    }
}

/* returns: whether an ORCPT may be said: addr-type;xtext */
static bool is_orcpt(struct sp_bytes orcpt)
{
    size_t semicolon = sp_bytes_find(orcpt, ';');

    if (orcpt.len > SP_ORCPT_MAX || semicolon == SIZE_MAX || semicolon == 0)
        return false;
    for (size_t i = 0; i < semicolon; i++) {
        if (!sp_ascii_is_alnum(orcpt.ptr[i]) && orcpt.ptr[i] != '-')
            return false;
    }
    return sp_xtext_is_valid(sp_bytes_slice(orcpt, semicolon + 1, orcpt.len));
}

static enum sp_rc put_rcpt(struct sp_smtp_client *c, const struct sp_smtp_mail_rcpt *rcpt,
                           bool smtputf8)
{
    struct sp_address a;

    if (!smtputf8 && !is_ascii(rcpt->address))
        return SP_E_HOP_LACKS_UTF8;

    if (sp_address_parse(rcpt->address, &a) != SP_OK ||
        (rcpt->params.orcpt.len > 0 && !is_orcpt(rcpt->params.orcpt)))
        return SP_E_SMTP_INJECTION;
    sp_buf_put_cstr(&c->commands, "RCPT TO:<");
    sp_buf_put(&c->commands, rcpt->address);
    sp_buf_put_cstr(&c->commands, ">");
    if (c->extensions & SP_SMTP_EXT_DSN) {
        put_notify(&c->commands, rcpt->params.notify);
        if (rcpt->params.orcpt.len > 0) {
            sp_buf_put_cstr(&c->commands, " ORCPT=");
            sp_buf_put(&c->commands, rcpt->params.orcpt);
        }
    }
    end_command(c);
    return SP_OK;
}

/* Moves commands to the output: all of them with PIPELINING, else the next one. */
static void say(struct sp_smtp_client *c)
{
    size_t from = c->said == 0 ? 0 : c->ends[c->said - 1];

    c->said = c->extensions & SP_SMTP_EXT_PIPELINING ? c->commands_count : c->said + 1;
    sp_buf_put(&c->out,
               sp_bytes_slice(sp_buf_bytes(&c->commands), from, c->ends[c->said - 1] - from));
}

enum sp_rc sp_smtp_client_send(struct sp_smtp_client *c, const struct sp_smtp_mail *mail)
{
    enum sp_rc rc;

    sp_assert(c->state == IDLE && mail->count > 0 && mail->count <= SP_SMTP_CLIENT_RCPTS_MAX);
    sp_buf_reset(&c->commands);
    sp_free(c->ends);
    sp_free(c->rcpts);
    c->ends = sp_calloc(mail->count + 2, sizeof(*c->ends));
    c->rcpts = sp_calloc(mail->count, sizeof(*c->rcpts));
    c->count = mail->count;
    c->commands_count = c->said = c->answered = c->standing = 0;
    rc = put_mail(c, mail);
    for (size_t i = 0; i < mail->count && rc == SP_OK; i++)
        rc = put_rcpt(c, &mail->rcpts[i], mail->params.smtputf8);
    sp_buf_put_cstr(&c->commands, "DATA");
    end_command(c);
    if (rc == SP_OK)
        rc = sp_buf_rc(&c->commands);
    if (rc != SP_OK)
        return rc;
    c->result_owed = true;
    sp_smtp_client_enter(c, MAILING);
    say(c);
    return SP_OK;
}

void sp_smtp_client_settle(struct sp_smtp_client *c, enum sp_smtp_rcpt_state state,
                           const struct sp_smtp_reply *reply)
{
    struct sp_smtp_client_event *ev;

    for (size_t i = 0; i < c->count; i++) {
        struct sp_smtp_rcpt_result *r = &c->rcpts[i];

        if (r->state != SP_SMTP_RCPT_ACCEPTED && r->state != SP_SMTP_RCPT_UNSENT)
            continue;
        r->state = r->state == SP_SMTP_RCPT_UNSENT && state == SP_SMTP_RCPT_UNSURE
                       ? SP_SMTP_RCPT_DEFERRED
                       : state;
        r->reply = reply != NULL ? *reply : (struct sp_smtp_reply){.code = 0};
    }
    c->result_owed = false;
    ev = sp_smtp_client_emit(c, SP_SMTP_CLIENT_RESULT);
    ev->result = (struct sp_smtp_result){c->rcpts, c->count, c->answered == 0};
}

static enum sp_smtp_rcpt_state state_of(int code)
{
    if (code < 300)
        return SP_SMTP_RCPT_ACCEPTED;
    return code < 500 ? SP_SMTP_RCPT_DEFERRED : SP_SMTP_RCPT_REFUSED;
}

/* The transaction failed as a whole but the session lives: start afresh. */
static void rset(struct sp_smtp_client *c)
{
    sp_buf_put_cstr(&c->out, "RSET\r\n");
    sp_smtp_client_enter(c, RSET_SENT);
}

static void on_mail_reply(struct sp_smtp_client *c)
{
    if (c->reply.code / 100 == 2)
        return;
    for (size_t i = 0; i < c->count; i++) {
        c->rcpts[i].state = state_of(c->reply.code);
        c->rcpts[i].reply = c->reply;
    }
}

static void on_rcpt_reply(struct sp_smtp_client *c, struct sp_smtp_rcpt_result *r)
{
    if (r->state != SP_SMTP_RCPT_UNSENT)
        return; /* MAIL was refused: what RCPT says then is an echo */
    r->state = state_of(c->reply.code);
    r->reply = c->reply;
    r->is_own = r->state != SP_SMTP_RCPT_ACCEPTED;
    c->standing += r->state == SP_SMTP_RCPT_ACCEPTED;
}

static void on_data_reply(struct sp_smtp_client *c)
{
    if (c->reply.code == 354 && c->standing > 0) {
        sp_smtp_client_enter(c, BODY);
        sp_smtp_client_emit(c, SP_SMTP_CLIENT_DATA);
        return;
    }
    if (c->reply.code == 354) {
        sp_smtp_client_settle(c, SP_SMTP_RCPT_DEFERRED, &c->reply);
        sp_buf_put_cstr(&c->out, ".\r\n");
        sp_smtp_client_enter(c, EMPTY_DOT);
        return;
    }
    sp_smtp_client_settle(c, state_of(c->reply.code), &c->reply);
    rset(c);
}

/* returns: whether the reply's class can answer a command at this place */
static bool is_sensible(const struct sp_smtp_client *c)
{
    int class = c->reply.code / 100;

    if (class == 4 || class == 5)
        return true;
    if (c->state == MAILING && c->answered == c->commands_count - 1)
        return c->reply.code == 354;
    return c->state != BODY && class == 2;
}

static void on_command_reply(struct sp_smtp_client *c)
{
    size_t i = c->answered++;

    if (i == 0)
        on_mail_reply(c);
    else if (i <= c->count)
        on_rcpt_reply(c, &c->rcpts[i - 1]);
    if (i + 1 == c->commands_count) {
        on_data_reply(c);
        return;
    }
    sp_smtp_client_enter(c, MAILING); /* the time for the next one begins */
    if (c->said > c->answered)
        return;
    /* one by one: nothing more to say if MAIL was refused or no recipient stands */
    if ((i == 0 && c->reply.code / 100 != 2) || (c->answered > c->count && c->standing == 0)) {
        sp_smtp_client_settle(c, SP_SMTP_RCPT_DEFERRED, &c->reply);
        rset(c);
        return;
    }
    say(c);
}

void sp_smtp_client_transaction_reply(struct sp_smtp_client *c)
{
    if (!is_sensible(c)) {
        sp_smtp_client_fail(c, SP_E_SMTP_REPLY, &c->reply);
        return;
    }
    if (c->reply.code == 421) {
        if (c->state == DOT)
            sp_smtp_client_settle(c, SP_SMTP_RCPT_DEFERRED, &c->reply);
        sp_smtp_client_fail(c, SP_E_HOP_DEFERRED, &c->reply);
        return;
    }
    if (c->state == MAILING) {
        on_command_reply(c);
    } else if (c->state == BODY) { /* it refuses in the middle of the data: nothing was taken */
        sp_smtp_client_settle(c, state_of(c->reply.code), &c->reply);
        sp_smtp_client_fail(c, SP_E_HOP_LOST, &c->reply);
    } else if (c->state == EMPTY_DOT) {
        rset(c);
    } else {
        sp_smtp_client_settle(c, state_of(c->reply.code), &c->reply);
        sp_smtp_client_enter(c, IDLE);
        sp_smtp_client_emit(c, SP_SMTP_CLIENT_READY);
    }
}

void sp_smtp_client_body_end(struct sp_smtp_client *c, bool at_line_start)
{
    if (c->state != BODY)
        return; /* the session has ended meanwhile; the result is on its way */
    sp_buf_put_cstr(&c->out, at_line_start ? ".\r\n" : "\r\n.\r\n");
    sp_smtp_client_enter(c, DOT);
}

void sp_smtp_client_body_abort(struct sp_smtp_client *c)
{
    sp_smtp_client_fail(c, SP_E_CANCELLED, NULL);
}
