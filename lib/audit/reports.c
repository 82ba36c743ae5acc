/*
 * The state of reports as rows: one with an empty URI while nobody knows where a domain wants its report, then one for each
 * place. A row moves from "find" or "send" to an end and never back. Its key, by which a mail is recognised again, is made of
 * what the report is about and where it goes, so it is the same whoever asks and however often.
 */
#include "audit/reports.h"

#include "audit/book_priv.h"
#include "base/text.h"
#include "crypt/hash.h"

#include <stdio.h>
#include <zlib.h>

#define DAY_LEN     10
#define GIVE_UP_MS  ((int64_t)24 * 3600 * 1000) /* RFC 8460 5.5 */
#define DOUBLINGS   8
#define JSON_MAX    ((size_t)16 << 20)
#define GZIP_BITS   (15 + 16) /* zlib's way to say gzip */
#define GZIP_MEMORY 8
#define EVENT_MAX   8192

static struct sp_bytes day_of(int64_t ms, char *room)
{
    sp_time_format_rfc3339(ms, room);
    return sp_bytes(room, DAY_LEN);
}

static void make_key(const struct sp_audit_book *b, const struct sp_audit_report_task *t,
                     struct sp_bytes uri, char out[SP_AUDIT_REPORT_KEY_LEN + 1])
{
    uint8_t sum[SP_SHA256_LEN];
    struct sp_buf text;
    struct sp_buf hex;

    sp_buf_init(&text, 4096);
    sp_buf_init(&hex, 2 * sizeof(sum) + 1);
    sp_buf_printf(&text, "%s %s %s ", b->signer.node, t->day, t->domain);
    sp_buf_put(&text, uri);
    sp_crypt_sha256(sp_buf_bytes(&text), sum);
    sp_hex_encode(&hex, sp_bytes(sum, sizeof(sum)));
    memcpy(out, hex.ptr, SP_AUDIT_REPORT_KEY_LEN);
    out[SP_AUDIT_REPORT_KEY_LEN] = '\0';
    sp_buf_clear(&hex);
    sp_buf_clear(&text);
}

/* ---- planning ---- */

enum sp_rc sp_audit_reports_plan(struct sp_audit_book *b, int64_t now_ms, int64_t delay_ms,
                                 struct sp_err *err)
{
    char room[SP_TIME_TEXT_MAX];
    struct sp_bytes today = day_of(now_ms, room);
    struct sp_store_query *q;
    enum sp_rc rc = sp_audit_book_begin(b, err);

    if (rc != SP_OK)
        return rc;
    q = sp_store_query(b->store,
                       "INSERT OR IGNORE INTO report (day, domain, uri, state, first_at, next_at)"
                       " SELECT DISTINCT day, domain, '', 'find', 0,"
                       "  ?2 + (random() & 0x7fffffff) % ?3 FROM tlsrpt WHERE day < ?1");
    sp_store_bind_text(q, 1, today);
    sp_store_bind_int(q, 2, now_ms);
    sp_store_bind_int(q, 3, delay_ms < 1 ? 1 : delay_ms);
    rc = sp_store_run(q, err);
    if (rc == SP_OK && sp_store_changes(b->store) > 0)
        b->dirty = true;
    return rc;
}

static bool copy_text(struct sp_bytes text, char *out, size_t room)
{
    if (text.len >= room)
        return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

enum sp_rc sp_audit_reports_next(struct sp_audit_book *b, struct sp_audit_report_task *out,
                                 int64_t *next_ms, bool *found, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT day, domain, uri, tries, next_at FROM report"
                                 " WHERE state IN ('find', 'send') ORDER BY next_at LIMIT 1");
    enum sp_rc rc = sp_store_next(q, found, err);

    if (rc != SP_OK || !*found)
        return rc;
    *out = (struct sp_audit_report_task){.tries = sp_store_int(q, 3)};
    *next_ms = sp_store_int(q, 4);
    if (!copy_text(sp_store_text(q, 0), out->day, sizeof(out->day)) ||
        !copy_text(sp_store_text(q, 1), out->domain, sizeof(out->domain)) ||
        !copy_text(sp_store_text(q, 2), out->uri, sizeof(out->uri)))
        rc = sp_fail(err, SP_E_STORE_FAILED, "a row of the reports is longer than was written");
    sp_store_done(q);
    make_key(b, out, sp_bytes_cstr(out->uri), out->key);
    return rc;
}

/* ---- steps ---- */

/* Sets a row's end. Only what is still open is changed. */
static enum sp_rc set_state(struct sp_audit_book *b, const struct sp_audit_report_task *t,
                            const char *state, struct sp_err *err)
{
    struct sp_store_query *q;
    enum sp_rc rc = sp_audit_book_begin(b, err);

    if (rc != SP_OK)
        return rc;
    q = sp_store_query(b->store, "UPDATE report SET state = ?4 WHERE day = ?1 AND domain = ?2"
                                 " AND uri = ?3 AND state IN ('find', 'send')");
    sp_store_bind_text(q, 1, sp_bytes_cstr(t->day));
    sp_store_bind_text(q, 2, sp_bytes_cstr(t->domain));
    sp_store_bind_text(q, 3, sp_bytes_cstr(t->uri));
    sp_store_bind_text(q, 4, sp_bytes_cstr(state));
    b->dirty = true;
    return sp_store_run(q, err);
}

enum sp_rc sp_audit_reports_try(struct sp_audit_book *b, const struct sp_audit_report_task *t,
                                int64_t now_ms, int64_t retry_ms, struct sp_err *err)
{
    int64_t pause = retry_ms << (t->tries < DOUBLINGS ? t->tries : DOUBLINGS);
    struct sp_store_query *q;
    enum sp_rc rc = sp_audit_book_begin(b, err);
    size_t changed;

    if (rc != SP_OK)
        return rc;
    q = sp_store_query(b->store, "UPDATE report SET tries = tries + 1, next_at = ?4,"
                                 " first_at = CASE first_at WHEN 0 THEN ?5 ELSE first_at END"
                                 " WHERE day = ?1 AND domain = ?2 AND uri = ?3"
                                 " AND (first_at = 0 OR first_at > ?6)");
    sp_store_bind_text(q, 1, sp_bytes_cstr(t->day));
    sp_store_bind_text(q, 2, sp_bytes_cstr(t->domain));
    sp_store_bind_text(q, 3, sp_bytes_cstr(t->uri));
    sp_store_bind_int(q, 4, now_ms + pause);
    sp_store_bind_int(q, 5, now_ms);
    sp_store_bind_int(q, 6, now_ms - GIVE_UP_MS);
    rc = sp_store_run(q, err);
    changed = sp_store_changes(b->store);
    b->dirty = true;
    if (rc != SP_OK || changed > 0)
        return rc;
    rc = set_state(b, t, "failed", err);
    return rc == SP_OK ? SP_E_NOT_FOUND : rc;
}

static enum sp_rc add_place(struct sp_audit_book *b, const struct sp_audit_report_task *t,
                            struct sp_bytes uri, struct sp_bytes contact, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "INSERT OR IGNORE INTO report"
                                 " (day, domain, uri, state, first_at, next_at, key, contact)"
                                 " VALUES (?1, ?2, ?3, 'send', 0, 0, ?4, ?5)");
    char key[SP_AUDIT_REPORT_KEY_LEN + 1];

    make_key(b, t, uri, key);
    sp_store_bind_text(q, 1, sp_bytes_cstr(t->day));
    sp_store_bind_text(q, 2, sp_bytes_cstr(t->domain));
    sp_store_bind_text(q, 3, uri);
    sp_store_bind_text(q, 4, sp_bytes_cstr(key));
    sp_store_bind_text(q, 5, contact);
    return sp_store_run(q, err);
}

enum sp_rc sp_audit_reports_found(struct sp_audit_book *b, const struct sp_audit_report_task *t,
                                  const struct sp_bytes *uris, size_t count,
                                  struct sp_bytes contact, struct sp_err *err)
{
    enum sp_rc rc = set_state(b, t, count == 0 ? "none" : "found", err);

    for (size_t i = 0; i < count && rc == SP_OK; i++)
        rc = add_place(b, t, uris[i], contact, err);
    return rc;
}

enum sp_rc sp_audit_reports_sent(struct sp_audit_book *b, const struct sp_audit_report_task *t,
                                 struct sp_err *err)
{
    struct sp_buf event;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&event, EVENT_MAX);
    sp_jw_init(&w, &event);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "transport.report-sent");
    sp_jw_cstr(&w, "domain", t->domain);
    sp_jw_cstr(&w, "day", t->day);
    sp_jw_cstr(&w, "uri", t->uri);
    sp_jw_cstr(&w, "key", t->key);
    sp_jw_end(&w);
    rc = set_state(b, t, "sent", err);
    if (rc == SP_OK)
        rc = sp_audit_book_say(b, sp_buf_bytes(&event), err);
    sp_buf_clear(&event);
    return rc;
}

/* A mail of ours that lies in a queue: its answer may have been lost with the process that waited for it. */
enum sp_rc sp_audit_reports_learn(struct sp_audit_book *b, const struct sp_audit_line *line,
                                  struct sp_err *err)
{
    struct sp_bytes id = sp_json_text_of(sp_json_find(line->root, "origin"), "message_id");
    struct sp_bytes kind = sp_json_text_of(sp_json_find(line->root, "content"), "kind");
    struct sp_store_query *q;

    if (strcmp(line->event->name, "message.accepted") != 0 ||
        !sp_bytes_eq(kind, SP_LIT("report")) || sp_bytes_find(id, '@') == SIZE_MAX)
        return SP_OK;
    q = sp_store_query(b->store,
                       "UPDATE report SET state = 'sent' WHERE key = ?1 AND state = 'send'");
    sp_store_bind_text(q, 1, sp_bytes_slice(id, 1, sp_bytes_find(id, '@') - 1));
    return sp_store_run(q, err);
}

enum sp_rc sp_audit_reports_each(struct sp_audit_book *b, struct sp_bytes day,
                                 sp_audit_reports_fn fn, void *arg, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT day, domain, uri, state, tries, next_at FROM report"
                                 " WHERE (?1 = '' OR day = ?1) AND state <> 'found'"
                                 " ORDER BY day, domain, uri");
    enum sp_rc rc;
    bool row;

    sp_store_bind_text(q, 1, day.len == 0 ? SP_LIT("") : day);
    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_audit_reports_row r = {.day = sp_store_text(q, 0),
                                         .domain = sp_store_text(q, 1),
                                         .uri = sp_store_text(q, 2),
                                         .state = sp_store_text(q, 3),
                                         .tries = sp_store_int(q, 4),
                                         .next_ms = sp_store_int(q, 5)};

        fn(arg, &r);
    }
    return rc;
}

/* ---- content ---- */

static enum sp_rc find_contact(struct sp_audit_book *b, const struct sp_audit_report_task *t,
                               struct sp_buf *out, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT contact FROM report WHERE day = ?1 AND domain = ?2"
                                 " AND uri = ?3");
    enum sp_rc rc;
    bool row;

    sp_store_bind_text(q, 1, sp_bytes_cstr(t->day));
    sp_store_bind_text(q, 2, sp_bytes_cstr(t->domain));
    sp_store_bind_text(q, 3, sp_bytes_cstr(t->uri));
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && row)
        sp_buf_put(out, sp_store_text(q, 0));
    sp_store_done(q);
    return rc;
}

static enum sp_rc gzip(struct sp_bytes in, struct sp_buf *out)
{
    z_stream z = {.next_in = (Bytef *)in.ptr, .avail_in = (uInt)in.len};
    uint8_t block[16384];
    int state = Z_OK;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_BITS, GZIP_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return SP_E_LIMIT;
    while (state == Z_OK && sp_buf_rc(out) == SP_OK) {
        z.next_out = block;
        z.avail_out = sizeof(block);
        state = deflate(&z, Z_FINISH);
        sp_buf_put(out, sp_bytes(block, sizeof(block) - z.avail_out));
    }
    (void)deflateEnd(&z);
    return state == Z_STREAM_END ? sp_buf_rc(out) : SP_E_LIMIT;
}

enum sp_rc sp_audit_reports_content(struct sp_audit_book *b, const struct sp_audit_report_task *t,
                                    struct sp_buf *id, struct sp_buf *out, struct sp_err *err)
{
    struct sp_audit_tlsrpt_ask ask = {.day = sp_bytes_cstr(t->day),
                                      .domain = sp_bytes_cstr(t->domain)};
    struct sp_buf contact;
    struct sp_buf json;
    enum sp_rc rc;

    sp_buf_init(&contact, sizeof(t->uri));
    sp_buf_init(&json, JSON_MAX);
    rc = find_contact(b, t, &contact, err);
    ask.contact = sp_buf_bytes(&contact);
    if (rc == SP_OK)
        rc = sp_audit_book_tlsrpt_report(b, &ask, &json, err);
    if (rc == SP_OK) {
        sp_audit_tlsrpt_put_id(b, &ask, id);
        rc = gzip(sp_buf_bytes(&json), out);
    }
    sp_buf_clear(&json);
    sp_buf_clear(&contact);
    return rc == SP_OK ? sp_buf_rc(id) : rc;
}
