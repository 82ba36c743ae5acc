/*
 * Messages that come as files: saved from a mail program (.eml, mbox), in an archive, or attached with a transfer encoding that a
 * message may not have. GMime takes none of them for a message, and what is encoded in them would be read as letters and digits.
 * They are parsed as any message is, from memory.
 */
#include "detect/document_priv.h"

#include "base/text.h"

#define MESSAGE_MAX (16 * 1024 * 1024) /* whole, in memory */
#define NESTED_MAX  2                  /* such files in such files; a bound for the stack */
#define MBOX_MAX    1000               /* messages */
#define FIELDS_MIN  2
#define FIELD_MAX   100 /* bytes of a field's name */
#define PARTING_MAX 200 /* bytes of a line between two messages */

/* ---- telling ---- */

/* returns: the length of a field's name at the beginning of a line, 0 if none is there (RFC 5322 3.6.8) */
static size_t name_len(struct sp_bytes line)
{
    size_t n = 0;

    while (n < line.len && line.ptr[n] > ' ' && line.ptr[n] < 0x7f && line.ptr[n] != ':')
        n++;
    return n < line.len && line.ptr[n] == ':' ? n : 0;
}

/* Whether the line parts the messages of an mbox (RFC 4155): "From a@b Mon Jan  1 00:00:00 2024". A sentence may begin so, too. */
static bool is_parting(struct sp_bytes line)
{
    bool time = false;
    size_t digits = 0;

    line = sp_bytes_trim(line);
    if (line.len > PARTING_MAX || !sp_bytes_starts_nocase(line, SP_LIT("From ")))
        return false;
    for (size_t i = 5; i < line.len; i++) {
        time = time || (line.ptr[i] == ':' && digits == 2);
        digits = sp_ascii_is_digit(line.ptr[i]) ? digits + 1 : 0;
    }
    return time && digits == 4;
}

/* "Received: from mx.example ...", but not "Received: 01/02/2024", as forms of offices have it. */
static bool is_trace(struct sp_bytes value)
{
    value = sp_bytes_trim(value);
    return value.len == 0 || sp_bytes_starts_nocase(value, SP_LIT("from ")) ||
           sp_bytes_starts_nocase(value, SP_LIT("by ")) ||
           sp_bytes_starts_nocase(value, SP_LIT("("));
}

/* Whether a line begins a field that only mail has. n: the length of its name */
static bool is_of_mail(struct sp_bytes line, size_t n)
{
    static const char mail[] = " received return-path message-id mime-version "
                               "content-transfer-encoding ";
    struct sp_bytes name = sp_bytes_slice(line, 0, n);

    if (sp_bytes_eq_nocase(name, SP_LIT("received")))
        return is_trace(sp_bytes_slice(line, n + 1, SIZE_MAX));
    return sp_detect_is_listed(name, mail);
}

bool sp_detect_is_message(struct sp_bytes head)
{
    static const char other[] = " from to date subject content-type ";
    struct sp_bytes line;
    size_t mails = 0, others = 0;
    bool first = true, cut = head.len >= DETECT_HEAD_LEN;

    while (sp_bytes_split(&head, '\n', &line)) {
        size_t n = name_len(line);

        if (line.len == 0 && head.ptr == NULL)
            break;
        if (line.len == 0 || line.ptr[0] == '\r')
            return mails > 0 && mails + others >= FIELDS_MIN;
        if (n == 0 && line.ptr[0] != ' ' && line.ptr[0] != '\t' && !(first && is_parting(line)))
            return cut && head.len == 0 && mails > 0; /* the last line of the head is not whole */
        first = false;
        mails += n > 0 && is_of_mail(line, n);
        others += sp_detect_is_listed(sp_bytes_slice(line, 0, n), other);
    }
    return cut && mails > 0; /* fields and nothing else are a form */
}

/* ---- reading ---- */

static void feed(struct detect_run *r, struct sp_bytes text)
{
    sp_detect_text_open(r);
    sp_detect_text_feed(r, text);
    sp_detect_text_end(r);
}

/* Whether a line begins a field that mail programs write, of which no more is read than of any message's. */
static bool is_programs(struct sp_bytes line)
{
    static const char all[] =
        " from to cc bcc subject date sender reply-to message-id in-reply-to references "
        "return-path delivered-to envelope-to mime-version comments keywords importance priority "
        "sensitivity precedence user-agent thread-topic thread-index "
        "accept-language authentication-results authentication-results-original "
        "disposition-notification-to return-receipt-to auto-submitted errors-to autocrypt "
        "feedback-id ";
    static const char *const prefixes[] = {"content-", "x-",         "list-", "resent-",
                                           "dkim-",    "domainkey-", "arc-",  "received-"};
    size_t n = name_len(line);
    struct sp_bytes name = sp_bytes_slice(line, 0, n);

    if (n == 0)
        return false;
    for (size_t i = 0; i < SP_ARRAY_LEN(prefixes); i++)
        if (sp_bytes_starts_nocase(name, sp_bytes_cstr(prefixes[i])))
            return true;
    return is_of_mail(line, n) || sp_detect_is_listed(name, all);
}

/* What else stands in a header: "Patient: Ann Lee" in a form that begins as mail does, a line that is no field. Its reader sees it. */
static void feed_others(struct detect_run *r, struct sp_bytes rest)
{
    struct sp_bytes line;
    bool skipped = false, any = false;

    while (sp_bytes_split(&rest, '\n', &line) && line.len > 0 && line.ptr[0] != '\r') {
        if (line.ptr[0] != ' ' && line.ptr[0] != '\t')
            skipped = is_programs(line);
        if (skipped)
            continue;
        if (!any)
            sp_detect_text_open(r);
        any = true;
        sp_detect_text_feed(r, line);
        sp_detect_text_feed(r, SP_LIT("\n"));
    }
    if (any)
        sp_detect_text_end(r);
}

static enum sp_rc examine(struct detect_run *r, struct sp_bytes message)
{
    struct sp_mime_source source = sp_mime_source_bytes(&message);
    SP_AUTO(sp_mime) m = NULL;
    enum sp_rc rc = sp_mime_open(&source, &r->limits->mime, &m, NULL);

    if (rc == SP_OK) {
        feed_others(r, message);
        return sp_detect_parts(r, m);
    }
    sp_detect_gap_add(r, rc == SP_E_SCAN_LIMIT ? "limit" : "malformed", true);
    feed(r, message);
    return SP_OK;
}

static struct sp_bytes first_line(struct sp_bytes text)
{
    return sp_bytes_slice(text, 0, sp_bytes_find(text, '\n'));
}

/* Where the next message of an mbox begins: behind an empty line, with its own line and a field behind that. */
static size_t next_message(struct sp_bytes rest)
{
    static const struct sp_bytes marks[] = {{(const uint8_t *)"\n\nFrom ", 7},
                                            {(const uint8_t *)"\n\r\nFrom ", 8}};

    for (size_t i = 0; i + 8 < rest.len; i++)
        for (size_t k = 0; rest.ptr[i] == '\n' && k < SP_ARRAY_LEN(marks); k++) {
            size_t at = i + marks[k].len - 5;
            struct sp_bytes line;

            if (memcmp(rest.ptr + i, marks[k].ptr, marks[k].len) != 0)
                continue;
            line = first_line(sp_bytes_slice(rest, at, PARTING_MAX + 2));
            if (is_parting(line) &&
                name_len(first_line(sp_bytes_slice(rest, at + line.len + 1, FIELD_MAX))) > 0)
                return at;
        }
    return rest.len;
}

static enum sp_rc examine_all(struct detect_run *r, struct sp_bytes rest)
{
    bool mbox = is_parting(first_line(sp_bytes_slice(rest, 0, PARTING_MAX + 2)));
    enum sp_rc rc = SP_OK;

    for (unsigned i = 0; rest.len > 0 && rc == SP_OK && !r->stopped; i++) {
        size_t len = mbox ? next_message(rest) : rest.len;
        struct sp_bytes one = sp_bytes_slice(rest, 0, len);

        if (i == MBOX_MAX) {
            sp_detect_gap_add(r, "limit", true);
            feed(r, rest);
            break;
        }
        if (mbox) /* its own line is no field */
            one = sp_bytes_slice(one, sp_bytes_find(one, '\n') + 1, SIZE_MAX);
        rc = examine(r, one);
        rest = sp_bytes_slice(rest, len, SIZE_MAX);
    }
    return rc;
}

enum sp_rc sp_detect_nested(struct detect_stream *s)
{
    struct detect_run *r = s->run;
    struct sp_buf whole;
    uint8_t piece[8192];
    size_t got = 1;
    enum sp_rc rc = SP_OK;

    sp_buf_init(&whole, MESSAGE_MAX);
    while (got > 0 && rc == SP_OK && !whole.failed) {
        rc = sp_detect_stream_read(s, piece, sizeof(piece), &got);
        if (rc == SP_OK)
            sp_buf_put(&whole, sp_bytes(piece, got));
    }
    if (whole.failed || r->nested == NESTED_MAX) {
        sp_detect_gap_add(r, whole.failed ? "limit" : "depth", true);
        feed(r, sp_buf_bytes(&whole));
    } else if (!r->stopped) {
        enum sp_rc inner;

        r->nested++;
        inner = examine_all(r, sp_buf_bytes(&whole));
        r->nested--;
        rc = rc == SP_OK ? inner : rc;
    }
    sp_buf_wipe(&whole);
    sp_wipe(piece, sizeof(piece));
    return rc;
}
