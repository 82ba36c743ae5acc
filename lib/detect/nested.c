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

/* ---- telling ---- */

/* returns: the length of a field's name at the beginning of a line, 0 if none is there (RFC 5322 3.6.8) */
static size_t name_len(struct sp_bytes line)
{
    size_t n = 0;

    while (n < line.len && line.ptr[n] > ' ' && line.ptr[n] < 0x7f && line.ptr[n] != ':')
        n++;
    return n < line.len && line.ptr[n] == ':' ? n : 0;
}

bool sp_detect_is_message(struct sp_bytes head)
{
    static const char mail[] = " received return-path message-id mime-version "
                               "content-transfer-encoding ",
                      other[] = " from to date subject content-type ";
    struct sp_bytes line;
    size_t mails = 0, others = 0;
    bool first = true;

    while (sp_bytes_split(&head, '\n', &line)) {
        size_t n = name_len(line);
        struct sp_bytes name = sp_bytes_slice(line, 0, n);

        if (line.len == 0 || line.ptr[0] == '\r')
            break;
        if (n == 0 && line.ptr[0] != ' ' && line.ptr[0] != '\t' &&
            !(first && sp_bytes_starts_nocase(line, SP_LIT("from "))))
            return head.len == 0 && mails > 0; /* the last line of the head is not whole */
        first = false;
        mails += sp_detect_is_listed(name, mail);
        others += sp_detect_is_listed(name, other);
    }
    return mails > 0 && mails + others >= FIELDS_MIN;
}

/* ---- reading ---- */

static void feed(struct detect_run *r, struct sp_bytes text)
{
    sp_detect_text_open(r);
    sp_detect_text_feed(r, text);
    sp_detect_text_end(r);
}

static enum sp_rc examine(struct detect_run *r, struct sp_bytes message)
{
    struct sp_mime_source source = sp_mime_source_bytes(&message);
    SP_AUTO(sp_mime) m = NULL;
    enum sp_rc rc = sp_mime_open(&source, &r->limits->mime, &m, NULL);

    if (rc == SP_OK)
        return sp_detect_parts(r, m);
    sp_detect_gap_add(r, rc == SP_E_SCAN_LIMIT ? "limit" : "malformed", true);
    feed(r, message);
    return SP_OK;
}

/* Where the next message of an mbox begins: behind an empty line. */
static size_t next_message(struct sp_bytes rest)
{
    static const struct sp_bytes marks[] = {{(const uint8_t *)"\n\nFrom ", 7},
                                            {(const uint8_t *)"\n\r\nFrom ", 8}};

    for (size_t i = 0; i + 8 < rest.len; i++)
        for (size_t k = 0; rest.ptr[i] == '\n' && k < SP_ARRAY_LEN(marks); k++)
            if (memcmp(rest.ptr + i, marks[k].ptr, marks[k].len) == 0)
                return i + marks[k].len - 5;
    return rest.len;
}

static enum sp_rc examine_all(struct detect_run *r, struct sp_bytes rest)
{
    bool mbox = sp_bytes_starts_nocase(rest, SP_LIT("from "));
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
