/*
 * Delivery status notifications as multipart/report (RFC 3464, 6522): a text for people, the status for programs, and of
 * the original only what it takes to recognise it. A peer's words are left out, because they may quote the message and
 * because they could lie to the reader; its reply code stays.
 *
 * RFC 6533: addresses that are not ASCII have the type utf-8. To a sender whose own address is not ASCII, whom only SMTPUTF8
 * reaches, they are written as they are, in message/global-delivery-status; to any other as \x{HEX} in message/delivery-status, which
 * every host on the way takes.
 */
#include "mail/dsn.h"

#include "base/text.h"
#include "mail/compose.h"
#include "mail/envelope.h"
#include "mail/idn.h"

#define KEEP_MAX   4096
#define TEXT_MAX   ((size_t)1024 * 1024)
#define GROUPS_MAX 16

/* How much a report says, most first. What programs read of each recipient is never left out. */
enum detail {
    WHOLE,
    WITHOUT_ORIGINAL, /* whom it tells of counts more than of what */
    BRIEF,            /* nor does the text for people name everyone */
    DETAIL_COUNT,
};

static const struct {
    const char *action; /* RFC 3464 2.3.3 */
    const char *subject;
    const char *opening;
} actions[] = {
    [SP_DSN_FAILED] = {"failed", "Undelivered mail returned to sender",
                       "Your message could not be delivered to the recipients below. It will "
                       "not be tried again."},
    [SP_DSN_DELAYED] = {"delayed", "Mail not delivered yet",
                        "Your message has not been delivered yet to the recipients below. It "
                        "will be tried again; you need do nothing."},
    [SP_DSN_DELIVERED] = {"delivered", "Mail delivered",
                          "Your message was delivered to the recipients below."},
    [SP_DSN_RELAYED] = {"relayed", "Mail passed on",
                        "Your message was passed on to a system that sends no further "
                        "notifications."},
};

/* What lies in the portal: nobody can say more of a reader than that he had the mailbox. */
static const struct {
    const char *subject;
    const char *opening;
} portal_words[] = {
    [SP_DSN_FAILED] = {"Your secure message was not opened in time",
                       "Nobody has opened your message in the secure portal before its time ran "
                       "out. It can't be read any more: the recipients below do not have it."},
    [SP_DSN_DELAYED] = {"Mail not delivered yet",
                        "Your message waits for the secure portal. It will be tried again; you "
                        "need do nothing."},
    [SP_DSN_DELIVERED] = {"Your secure message was opened",
                          "The recipients below have opened your message in the secure portal: "
                          "somebody who can read the mail of that address. Whether it was read "
                          "and understood can't be told."},
    [SP_DSN_RELAYED] = {"Your message waits in the secure portal",
                        "Your message waits in the secure portal, and a notice of it was passed "
                        "on to the recipients below. You will hear when it is opened."},
};

const char *sp_dsn_action_name(enum sp_dsn_action action)
{
    return actions[action].action;
}

/* The gravest action gives the subject: failed before delayed before the rest, as the enum stands. */
static enum sp_dsn_action gravest(const struct sp_dsn *dsn)
{
    enum sp_dsn_action worst = SP_DSN_RELAYED;

    for (size_t i = 0; i < dsn->count; i++) {
        if (dsn->recipients[i].action < worst)
            worst = dsn->recipients[i].action;
    }
    return worst;
}

static const char *subject_of(const struct sp_dsn *dsn)
{
    return dsn->is_of_portal ? portal_words[gravest(dsn)].subject : actions[gravest(dsn)].subject;
}

static const char *opening_of(const struct sp_dsn *dsn)
{
    return dsn->is_of_portal ? portal_words[gravest(dsn)].opening : actions[gravest(dsn)].opening;
}

static void put_boundary(const struct sp_dsn *dsn, char out[SP_ID_TEXT_LEN + 16], bool last)
{
    char id[SP_ID_TEXT_LEN + 1];
    size_t n = 0;

    sp_id_format(&dsn->id, id);
    memcpy(out, "--report-", 9);
    n = 9;
    memcpy(out + n, id, SP_ID_TEXT_LEN);
    n += SP_ID_TEXT_LEN;
    if (last)
        memcpy(out + n, "--", 2);
    out[n + (last ? 2 : 0)] = 0;
}

static void put_part(struct sp_compose *c, const struct sp_dsn *dsn, const char *type)
{
    char boundary[SP_ID_TEXT_LEN + 16];

    put_boundary(dsn, boundary, false);
    sp_compose_line(c, "");
    sp_compose_line(c, boundary);
    sp_compose_field(c, "Content-Type", sp_bytes_cstr(type));
}

static bool is_global(const struct sp_dsn *dsn)
{
    return !sp_text_is_ascii(dsn->to);
}

static void put_top(struct sp_compose *c, const struct sp_dsn *dsn)
{
    char boundary[SP_ID_TEXT_LEN + 16];
    struct sp_buf type;

    sp_compose_address(c, "From", SP_LIT("Mail Delivery System"), dsn->from);
    sp_compose_address(c, "To", sp_bytes(NULL, 0), dsn->to);
    if (dsn->recall.len > 0)
        sp_compose_address(c, "Reply-To", SP_LIT(""), dsn->recall);
    sp_compose_field(c, "Subject", sp_bytes_cstr(subject_of(dsn)));
    sp_compose_date(c, "Date", dsn->now_ms);
    sp_compose_message_id(c, &dsn->id, dsn->host);
    sp_compose_line(c, "Auto-Submitted: auto-replied");
    sp_compose_line(c, "MIME-Version: 1.0");
    if (is_global(dsn)) /* no part may be of more than the whole says (RFC 2045 6.4) */
        sp_compose_line(c, "Content-Transfer-Encoding: 8bit");
    put_boundary(dsn, boundary, false);
    sp_buf_init(&type, 256);
    sp_buf_put_cstr(&type, "multipart/report; report-type=delivery-status; boundary=\"");
    sp_buf_put_cstr(&type, boundary + 2);
    sp_buf_put_cstr(&type, "\"");
    sp_compose_field(c, "Content-Type", sp_buf_bytes(&type));
    sp_buf_clear(&type);
}

/* returns: the status that the peer said */
static struct sp_status said_status(const struct sp_dsn_recipient *r)
{
    return r->reply_status.class != 0 ? r->reply_status : r->status;
}

/* Why it was put off until its time was over. */
static void put_last_said(struct sp_buf *text, const struct sp_dsn_recipient *r)
{
    if (r->reply_code == 0 || said_status(r).class == r->status.class)
        return;
    sp_buf_put_cstr(text, "\n    the receiving system said last: ");
    sp_buf_put_dec(text, r->reply_code);
    sp_buf_put_u8(text, ' ');
    sp_status_format(said_status(r), text);
}

static void put_what(struct sp_buf *text, const struct sp_dsn_recipient *r)
{
    char when[SP_TIME_TEXT_MAX];

    sp_buf_put_cstr(text, ": ");
    sp_buf_put_cstr(text, actions[r->action].action);
    sp_buf_put_cstr(text, ", status ");
    sp_status_format(r->status, text);
    if (r->why.len > 0) {
        sp_buf_put_cstr(text, "\n    ");
        sp_buf_put(text, r->why);
    }
    put_last_said(text, r);
    if (r->retry_until_ms > 0) {
        sp_time_format_rfc5322(r->retry_until_ms, when);
        sp_buf_put_cstr(text, "\n    will be tried until ");
        sp_buf_put_cstr(text, when);
    }
    sp_buf_put_cstr(text, "\n");
}

static void put_everyone(struct sp_buf *text, const struct sp_dsn *dsn)
{
    for (size_t i = 0; i < dsn->count; i++) {
        sp_buf_put_cstr(text, "\n<");
        sp_buf_put(text, dsn->recipients[i].address);
        sp_buf_put_cstr(text, ">");
        put_what(text, &dsn->recipients[i]);
    }
}

static bool is_like(const struct sp_dsn_recipient *a, const struct sp_dsn_recipient *b)
{
    struct sp_status x = said_status(a), y = said_status(b);

    return a->action == b->action && a->reply_code == b->reply_code && x.class == y.class &&
           x.subject == y.subject && x.detail == y.detail && a->status.class == b->status.class &&
           a->status.subject == b->status.subject && a->status.detail == b->status.detail &&
           a->retry_until_ms == b->retry_until_ms && sp_bytes_eq(a->why, b->why);
}

/* How many each thing happened to, the first GROUPS_MAX things. */
static void put_groups(struct sp_buf *text, const struct sp_dsn *dsn)
{
    struct {
        const struct sp_dsn_recipient *first;
        size_t count;
    } groups[GROUPS_MAX];
    size_t count = 0;
    size_t rest = 0;

    for (size_t i = 0; i < dsn->count; i++) {
        size_t g = 0;

        while (g < count && !is_like(groups[g].first, &dsn->recipients[i]))
            g++;
        if (g == GROUPS_MAX) {
            rest++;
            continue;
        }
        if (g == count) {
            groups[count].first = &dsn->recipients[i];
            groups[count++].count = 0;
        }
        groups[g].count++;
    }
    for (size_t g = 0; g < count; g++) {
        sp_buf_put_cstr(text, "\n");
        sp_buf_put_dec(text, (int64_t)groups[g].count);
        sp_buf_put_cstr(text, groups[g].count == 1 ? " recipient" : " recipients");
        put_what(text, groups[g].first);
    }
    if (rest > 0) {
        sp_buf_put_cstr(text, "\nand for other reasons: ");
        sp_buf_put_dec(text, (int64_t)rest);
        sp_buf_put_cstr(text, "\n");
    }
    sp_buf_put_cstr(text, "\nThey are too many for this text; the status part of this report names "
                          "each of them.\n");
}

static void put_text(struct sp_compose *c, const struct sp_dsn *dsn, enum detail detail)
{
    struct sp_buf text;

    sp_buf_init(&text, TEXT_MAX);
    sp_buf_put_cstr(&text, opening_of(dsn));
    sp_buf_put_cstr(&text, "\n");
    if (detail < BRIEF)
        put_everyone(&text, dsn);
    else
        put_groups(&text, dsn);
    if (dsn->recall.len > 0)
        sp_buf_put_cstr(&text,
                        "\nTo take the message back before it goes, answer this mail. What you "
                        "write is not read.\n");
    if (sp_buf_rc(&text) != SP_OK && c->rc == SP_OK)
        c->rc = SP_E_LIMIT;
    put_part(c, dsn, "text/plain; charset=utf-8");
    sp_compose_line(c, "Content-Transfer-Encoding: quoted-printable");
    sp_compose_line(c, "");
    sp_compose_quoted(c, sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

/* A field of the form "type; value". */
static void put_typed(struct sp_compose *c, const char *name, const char *type,
                      struct sp_bytes value)
{
    struct sp_buf b;

    sp_buf_init(&b, 1024);
    sp_buf_put_cstr(&b, type);
    sp_buf_put_cstr(&b, "; ");
    sp_buf_put(&b, value);
    if (sp_buf_rc(&b) != SP_OK && c->rc == SP_OK)
        c->rc = SP_E_LIMIT;
    sp_compose_field(c, name, sp_buf_bytes(&b));
    sp_buf_clear(&b);
}

/* An address of type utf-8. what: UTF-8, or \x{HEX}, or both */
static void put_utf8_recipient(struct sp_compose *c, const struct sp_dsn *dsn, const char *name,
                               struct sp_bytes what)
{
    struct sp_buf value;
    bool ok;

    sp_buf_init(&value, (size_t)2 * SP_ORCPT_MAX);
    sp_buf_put_cstr(&value, "utf-8; ");
    ok = is_global(dsn) ? sp_orcpt_utf8_decode(what, &value)
                        : sp_orcpt_utf8_encode(what, &value) == SP_OK;
    if (ok)
        sp_compose_utf8_field(c, name, sp_buf_bytes(&value));
    sp_buf_clear(&value);
}

static void put_final_recipient(struct sp_compose *c, const struct sp_dsn *dsn,
                                struct sp_bytes address)
{
    struct sp_buf quoted;

    if (sp_text_is_ascii(address)) {
        put_typed(c, "Final-Recipient", "rfc822", address);
        return;
    }
    sp_buf_init(&quoted, (size_t)4 * SP_ADDRESS_MAX);
    sp_orcpt_utf8_quote(address, &quoted);
    put_utf8_recipient(c, dsn, "Final-Recipient", sp_buf_bytes(&quoted));
    sp_buf_clear(&quoted);
}

/* ORCPT travels as addr-type;xtext and is shown decoded (RFC 3464 2.3.1). What does not decode is left out. */
static void put_original_recipient(struct sp_compose *c, const struct sp_dsn *dsn,
                                   struct sp_bytes orcpt)
{
    size_t semicolon = sp_bytes_find(orcpt, ';');
    struct sp_buf type, value;

    if (semicolon == SIZE_MAX)
        return;
    if (sp_bytes_starts_nocase(orcpt, SP_LIT("utf-8;"))) {
        put_utf8_recipient(c, dsn, "Original-Recipient",
                           sp_bytes_slice(orcpt, semicolon + 1, orcpt.len));
        return;
    }
    sp_buf_init(&type, 64);
    sp_buf_init(&value, SP_ORCPT_MAX);
    sp_buf_put(&type, sp_bytes_slice(orcpt, 0, semicolon));
    sp_buf_put_u8(&type, 0);
    if (sp_xtext_decode(sp_bytes_slice(orcpt, semicolon + 1, orcpt.len), &value) && !type.failed &&
        !value.failed)
        put_typed(c, "Original-Recipient", (const char *)type.ptr, sp_buf_bytes(&value));
    sp_buf_clear(&type);
    sp_buf_clear(&value);
}

static void put_recipient(struct sp_compose *c, const struct sp_dsn *dsn,
                          const struct sp_dsn_recipient *r)
{
    struct sp_buf b;

    sp_compose_line(c, "");
    put_original_recipient(c, dsn, r->orcpt);
    put_final_recipient(c, dsn, r->address);
    sp_compose_field(c, "Action", sp_bytes_cstr(actions[r->action].action));
    sp_buf_init(&b, 64);
    sp_status_format(r->status, &b);
    sp_compose_field(c, "Status", sp_buf_bytes(&b));
    if (r->remote_mta.len > 0)
        put_typed(c, "Remote-MTA", "dns", r->remote_mta);
    if (r->reply_code > 0) {
        sp_buf_reset(&b);
        sp_buf_put_dec(&b, r->reply_code);
        sp_buf_put_u8(&b, ' ');
        sp_status_format(said_status(r), &b);
        put_typed(c, "Diagnostic-Code", "smtp", sp_buf_bytes(&b));
    }
    if (r->retry_until_ms > 0)
        sp_compose_date(c, "Will-Retry-Until", r->retry_until_ms);
    sp_compose_date(c, "Last-Attempt-Date", dsn->now_ms);
    sp_buf_clear(&b);
}

static void put_status(struct sp_compose *c, const struct sp_dsn *dsn)
{
    struct sp_buf envid;

    put_part(c, dsn, is_global(dsn) ? "message/global-delivery-status" : "message/delivery-status");
    if (is_global(dsn))
        sp_compose_line(c, "Content-Transfer-Encoding: 8bit");
    sp_compose_line(c, "");
    sp_buf_init(&envid, SP_ENVID_MAX);
    if (dsn->envid.len > 0 && sp_xtext_decode(dsn->envid, &envid) && !envid.failed)
        sp_compose_field(c, "Original-Envelope-Id", sp_buf_bytes(&envid));
    sp_buf_clear(&envid);
    put_typed(c, "Reporting-MTA", "dns", dsn->host);
    sp_compose_date(c, "Arrival-Date", dsn->arrived_ms);
    for (size_t i = 0; i < dsn->count; i++)
        put_recipient(c, dsn, &dsn->recipients[i]);
}

/* The original's fields; those that are not ASCII only where UTF-8 may stand. */
static void put_original(struct sp_compose *c, const struct sp_dsn *dsn)
{
    struct sp_header h;
    struct sp_field f;

    put_part(c, dsn, is_global(dsn) ? "message/global-headers" : "text/rfc822-headers");
    if (is_global(dsn))
        sp_compose_line(c, "Content-Transfer-Encoding: 8bit");
    sp_compose_line(c, "");
    if (sp_header_parse(dsn->original_header, true, &h) != SP_OK)
        return;
    for (size_t at = 0; sp_header_next(&h, &at, &f);)
        if (sp_text_is_ascii(f.raw) || (is_global(dsn) && sp_utf8_is_valid(f.raw)))
            sp_buf_put(c->out, f.raw);
}

static enum sp_rc build(const struct sp_dsn *dsn, enum detail detail, struct sp_buf *out)
{
    struct sp_compose c;
    char boundary[SP_ID_TEXT_LEN + 16];

    sp_compose_init(&c, out);
    put_top(&c, dsn);
    put_text(&c, dsn, detail);
    put_status(&c, dsn);
    if (dsn->original_header.len > 0 && detail < WITHOUT_ORIGINAL)
        put_original(&c, dsn);
    put_boundary(dsn, boundary, true);
    sp_compose_line(&c, "");
    sp_compose_line(&c, boundary);
    return sp_compose_end(&c);
}

enum sp_rc sp_dsn_build(const struct sp_dsn *dsn, struct sp_buf *out)
{
    enum sp_rc rc = SP_E_LIMIT;

    for (int detail = WHOLE; detail < DETAIL_COUNT && rc == SP_E_LIMIT; detail++) {
        sp_buf_reset(out);
        rc = build(dsn, (enum detail)detail, out);
    }
    return rc;
}

/* A kept line may hold its own CRLF folds and printable bytes; anything else drops the field. */
static bool is_clean(struct sp_bytes raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t ch = raw.ptr[i];

        if (ch == '\r' && (i + 1 == raw.len || raw.ptr[i + 1] != '\n'))
            return false;
        if (ch == '\n' && (i == 0 || raw.ptr[i - 1] != '\r'))
            return false;
        if (ch < 32 && ch != '\r' && ch != '\n' && ch != '\t')
            return false;
    }
    return raw.len >= 2 && raw.ptr[raw.len - 1] == '\n';
}

void sp_dsn_keep_header(const struct sp_header *h, struct sp_buf *out)
{
    static const struct sp_bytes kept[] = {SP_LIT_INIT("From"), SP_LIT_INIT("To"),
                                           SP_LIT_INIT("Date"), SP_LIT_INIT("Message-ID")};
    size_t start = out->len;
    struct sp_field f;

    for (size_t i = 0; i < SP_ARRAY_LEN(kept); i++) {
        if (sp_header_find(h, kept[i], 0, &f) && is_clean(f.raw) &&
            out->len - start + f.raw.len <= KEEP_MAX)
            sp_buf_put(out, f.raw);
    }
}
