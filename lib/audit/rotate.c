/*
 * The audit file gives way to the next. What is to be done is committed first, together with the first line of the new
 * file (audit.continued); then the old file gets its final name, the folder is synced, and the new one is begun. After a
 * crash in between the first line of FILE tells how far that had come. A file is only left behind a checkpoint, so that
 * each can be verified alone. What has been kept long enough goes in the other order: the line that says so, a checkpoint
 * that signs it, and only then the file. A rotated file is never written to, or opened but to read, so anybody may
 * compress it or take it away.
 */
#include "audit/book_priv.h"
#include "audit/series.h"
#include "base/fault.h"
#include "base/text.h"

#include <errno.h>

#define EVENT_MAX 8192
#define FIRST_MAX ((size_t)256 << 10) /* no first line of a file is longer */

static void final_name(const struct sp_audit_book *b, uint64_t first_seq, struct sp_buf *out)
{
    const char *slash = strrchr(b->path, '/');

    sp_buf_init(out, SP_AUDIT_SERIES_NAME_MAX);
    sp_audit_series_name(slash == NULL ? b->path : slash + 1, first_seq, out);
}

/* ---- after a crash ---- */

/* Reads up to the end of the first line. returns: 0 or -errno; out stays without a line's end if the file has none */
static int read_first(const struct sp_journal_io *io, int fd, struct sp_buf *out)
{
    ssize_t n = 1;

    while (n > 0 && sp_bytes_find(sp_buf_bytes(out), '\n') == SIZE_MAX) {
        uint8_t *at = sp_buf_reserve(out, 4096);

        if (at == NULL)
            return -EFBIG;
        do
            n = io->pread(io->ctx, fd, at, 4096, (int64_t)out->len);
        while (n == -EINTR);
        if (n > 0)
            sp_buf_commit(out, (size_t)n);
    }
    return n < 0 ? (int)n : 0;
}

/* The number of a file's first record; 0: there is none. What can't be read may be anything, and is not taken for none. */
static enum sp_rc first_of(const struct sp_journal_io *io, const char *name, uint64_t *seq,
                           struct sp_err *err)
{
    int fd = io->open(io->ctx, name, SP_IO_OPEN_READ);
    SP_AUTO(sp_json_doc) doc = NULL;
    enum sp_rc rc = SP_OK;
    struct sp_buf text;
    size_t end;
    int failed;

    *seq = 0;
    if (fd == -ENOENT)
        return SP_OK;
    if (fd < 0)
        return sp_fail_errno(err, SP_E_IO, -fd, "%s: can't open", name);
    sp_buf_init(&text, FIRST_MAX);
    failed = read_first(io, fd, &text);
    io->close(io->ctx, fd);
    end = sp_bytes_find(sp_buf_bytes(&text), '\n');
    if (failed != 0) {
        rc = sp_fail_errno(err, failed == -EFBIG ? SP_E_AUDIT_ALTERED : SP_E_IO, -failed,
                           "%s: can't read its first line", name);
    } else if (end != SIZE_MAX) {
        rc = sp_json_parse(sp_bytes_slice(sp_buf_bytes(&text), 0, end), NULL, &doc, NULL);
        *seq = rc == SP_OK ? (uint64_t)sp_json_int_of(sp_json_root(doc), "seq", 0) : 0;
        if (*seq == 0)
            rc = sp_fail(err, SP_E_AUDIT_ALTERED, "%s: its first line is none of ours", name);
    }
    sp_buf_clear(&text);
    return rc;
}

static bool is_there(const struct sp_journal_io *io, const char *name)
{
    int fd = io->open(io->ctx, name, SP_IO_OPEN_READ);

    if (fd >= 0)
        io->close(io->ctx, fd);
    return fd >= 0;
}

static void say_finish(const struct sp_audit_book *b, uint64_t first_seq,
                       const struct sp_audit_finish *finish)
{
    if (finish->lost)
        sp_log_error(b->log, "audit.file-lost", SP_INT("first_seq", first_seq));
    if (finish->aside)
        sp_log_error(b->log, "audit.name-taken", SP_INT("first_seq", first_seq));
}

enum sp_rc sp_audit_rotate_recover(struct sp_audit_book *b, const struct sp_journal_io *io,
                                   const char *name, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "SELECT first_seq FROM audit_file ORDER BY first_seq DESC LIMIT 1");
    struct sp_audit_finish finish = {0};
    uint64_t last = 0, first = 0;
    struct sp_buf final;
    bool row = false;
    int failed = 0;
    enum sp_rc rc = sp_store_next(q, &row, err);

    if (rc == SP_OK && row)
        last = (uint64_t)sp_store_int(q, 0);
    sp_store_done(q);
    if (rc != SP_OK || last == 0)
        return rc;
    final_name(b, last, &final);
    rc = first_of(io, name, &first, err);
    if (rc == SP_E_AUDIT_ALTERED && is_there(io, (const char *) final.ptr))
        rc = SP_OK; /* the old file has its name, so this is the new one, as a power cut left it */
    if (rc != SP_OK || first != last) {
        sp_buf_clear(&final);
        return rc;
    }
    failed = sp_audit_trail_finish(io, name, (const char *) final.ptr, &finish);
    if (failed == 0)
        failed = io->sync_folder(io->ctx, ".");
    sp_buf_clear(&final);
    say_finish(b, last, &finish);
    return failed == 0 ? SP_OK : sp_fail_errno(err, SP_E_IO, -failed, "%s: can't rotate", name);
}

/* ---- rotation ---- */

uint64_t sp_audit_book_end(const struct sp_audit_book *b)
{
    return b->base + (b->rotating ? 0 : sp_audit_trail_len(b->trail));
}

enum sp_rc sp_audit_rotate_finish(struct sp_audit_book *b)
{
    struct sp_audit_finish finish = {0};
    struct sp_buf final;
    enum sp_rc rc;

    final_name(b, b->rotated_first, &final);
    rc = sp_audit_trail_rotate(b->trail, (const char *) final.ptr, &finish, NULL);
    say_finish(b, b->rotated_first, &finish);
    b->rotating = rc != SP_OK;
    if (rc == SP_OK)
        sp_log_info(b->log, "audit.rotated", SP_INT("first_seq", b->rotated_first));
    sp_buf_clear(&final);
    return rc;
}

static enum sp_rc note_file(struct sp_audit_book *b, uint64_t len, int64_t now_ms,
                            struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "INSERT INTO audit_file (first_seq, last_seq, base, len, head, ended_at)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)");

    sp_store_bind_int(q, 1, (int64_t)b->file_first);
    sp_store_bind_int(q, 2, (int64_t)b->state.last_seq);
    sp_store_bind_int(q, 3, (int64_t)b->base);
    sp_store_bind_int(q, 4, (int64_t)len);
    sp_store_bind_blob(q, 5, sp_bytes(b->state.head.b, SP_SHA256_LEN));
    sp_store_bind_int(q, 6, now_ms);
    return sp_audit_book_note(b, sp_store_run(q, err));
}

static enum sp_rc rotate(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_audit_context c = {.time_ms = sp_clock_wall_ms(b->clock)};
    struct sp_audit_before before = {.first_seq = b->file_first};
    uint64_t len = sp_audit_trail_len(b->trail);
    struct sp_buf name, event;
    enum sp_rc rc;

    final_name(b, b->file_first, &name);
    before.file = (const char *)name.ptr;
    sp_buf_init(&event, EVENT_MAX);
    rc = sp_audit_continued_make(&b->state, &before, &b->signer.key, &event);
    if (rc == SP_OK)
        rc = sp_audit_book_begin(b, err);
    if (rc == SP_OK)
        rc = note_file(b, len, c.time_ms, err);
    if (rc == SP_OK) {
        b->rotated_first = b->file_first;
        b->file_first = b->state.last_seq + 1;
        b->file_at_ms = c.time_ms;
        b->base += len;
        b->rotating = true;
        rc = sp_audit_book_note(b, sp_audit_book_tell(b, &c, sp_buf_bytes(&event), NULL, err));
    }
    sp_buf_clear(&event);
    sp_buf_clear(&name);
    return rc == SP_OK ? sp_audit_book_commit(b, err) : rc;
}

/* By the UTC clock, so that a day is a day; a file with nothing in it but its own beginning goes on. */
static bool is_due(const struct sp_audit_book *b)
{
    int64_t now_ms = sp_clock_wall_ms(b->clock), every_ms = b->rotate_every_ms;

    if (b->rotating || b->tail.len > 0 || b->state.last_seq != b->checkpoint_seq ||
        b->state.last_seq < b->file_first + 2)
        return false;
    if (b->rotate_len > 0 && sp_audit_trail_len(b->trail) >= b->rotate_len)
        return true;
    return every_ms > 0 && now_ms > b->file_at_ms && now_ms / every_ms != b->file_at_ms / every_ms;
}

/* ---- the end of retention ---- */

struct old {
    uint64_t first;
    uint64_t last;
    struct sp_digest head;
};

static enum sp_rc find_old(struct sp_audit_book *b, const char *sql, int64_t before_ms,
                           struct old *out, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(b->store, sql);
    struct sp_bytes head;
    bool row = false;
    enum sp_rc rc;

    *out = (struct old){0};
    sp_store_bind_int(q, 1, before_ms);
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && row) {
        out->first = (uint64_t)sp_store_int(q, 0);
        out->last = (uint64_t)sp_store_int(q, 1);
        head = sp_store_blob(q, 2);
        if (head.len == SP_SHA256_LEN)
            memcpy(out->head.b, head.ptr, head.len);
    }
    sp_store_done(q);
    return sp_audit_book_note(b, rc);
}

static enum sp_rc set_time(struct sp_audit_book *b, const char *sql, uint64_t first,
                           struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(b->store, sql);

    sp_store_bind_int(q, 1, (int64_t)first);
    sp_store_bind_int(q, 2, sp_clock_wall_ms(b->clock));
    return sp_audit_book_note(b, sp_store_run(q, err));
}

static enum sp_rc tell_purge(struct sp_audit_book *b, const struct old *o, struct sp_err *err)
{
    struct sp_buf event, hex, name;
    struct sp_jw w;
    enum sp_rc rc = sp_audit_book_begin(b, err);

    if (rc == SP_OK)
        rc = set_time(b, "UPDATE audit_file SET removed_at = ?2 WHERE first_seq = ?1", o->first,
                      err);
    if (rc != SP_OK)
        return rc;
    final_name(b, o->first, &name);
    sp_buf_init(&hex, (size_t)2 * SP_SHA256_LEN);
    sp_digest_format(&o->head, &hex);
    sp_buf_init(&event, EVENT_MAX);
    sp_jw_init(&w, &event);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "audit.purged");
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "system");
    sp_jw_cstr(&w, "id", "ledger");
    sp_jw_end(&w);
    sp_jw_cstr(&w, "reason", "audit.keep");
    sp_jw_cstr(&w, "file", (const char *)name.ptr);
    sp_jw_int(&w, "first_seq", (int64_t)o->first);
    sp_jw_int(&w, "last_seq", (int64_t)o->last);
    sp_jw_text(&w, "head", sp_buf_bytes(&hex));
    sp_jw_end(&w);
    rc = sp_audit_book_say(b, sp_buf_bytes(&event), err);
    sp_buf_clear(&event);
    sp_buf_clear(&hex);
    sp_buf_clear(&name);
    return rc == SP_OK ? sp_audit_book_commit(b, err) : rc;
}

/* returns: 0 if it is gone, compressed or not */
static int remove_file(const struct sp_audit_book *b, uint64_t first)
{
    const struct sp_journal_io *io = b->io;
    struct sp_buf name;
    int failed;

    final_name(b, first, &name);
    failed = SP_FAULT("audit.remove") ? -EIO : io->unlink(io->ctx, (const char *)name.ptr);
    if (failed == 0 || failed == -ENOENT) {
        name.len--;
        sp_buf_put_cstr(&name, ".gz");
        sp_buf_put_u8(&name, 0);
        failed = io->unlink(io->ctx, (const char *)name.ptr);
    }
    sp_buf_clear(&name);
    if (failed == 0 || failed == -ENOENT)
        failed = io->sync_folder(io->ctx, ".");
    return failed;
}

/* Those of which a signed line says that they go. A file that can't be removed is tried again with the next checkpoint. */
static enum sp_rc remove_told(struct sp_audit_book *b, struct sp_err *err)
{
    struct old o;
    enum sp_rc rc = find_old(b,
                             "SELECT first_seq, last_seq, head FROM audit_file WHERE removed_at > 0"
                             " AND gone_at = 0 AND ?1 >= 0 ORDER BY first_seq LIMIT 1",
                             0, &o, err);
    int failed;

    if (rc != SP_OK || o.first == 0)
        return rc;
    failed = remove_file(b, o.first);
    if (failed != 0) {
        sp_log_error(b->log, "audit.remove-failed", SP_INT("first_seq", o.first),
                     SP_INT("errno", -failed));
        return SP_OK;
    }
    rc = sp_audit_book_begin(b, err);
    if (rc == SP_OK)
        rc = set_time(b, "UPDATE audit_file SET gone_at = ?2 WHERE first_seq = ?1", o.first, err);
    return rc == SP_OK ? sp_audit_book_commit(b, err) : rc;
}

int64_t sp_audit_book_sure_ms(const struct sp_audit_book *b)
{
    int64_t wall = sp_clock_wall_ms(b->clock);
    int64_t known = b->known_wall_ms + (sp_clock_mono_ms(b->clock) - b->known_mono_ms);

    return wall < known ? wall : known;
}

static enum sp_rc purge(struct sp_audit_book *b, struct sp_err *err)
{
    struct old o;
    enum sp_rc rc;

    if (b->keep_ms == 0)
        return SP_OK;
    rc = find_old(b,
                  "SELECT first_seq, last_seq, head FROM audit_file WHERE removed_at = 0"
                  " AND ended_at < ?1 ORDER BY first_seq LIMIT 1",
                  sp_audit_book_sure_ms(b) - b->keep_ms, &o, err);
    return rc == SP_OK && o.first > 0 ? tell_purge(b, &o, err) : rc;
}

enum sp_rc sp_audit_book_rotate(struct sp_audit_book *b, struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    if (b->state.last_seq == b->checkpoint_seq && b->tail.len == 0)
        rc = remove_told(b, err);
    if (rc == SP_OK && is_due(b))
        rc = rotate(b, err);
    if (rc == SP_OK && b->tail.len == 0)
        rc = purge(b, err);
    return rc;
}

/* ---- reading back ---- */

enum sp_rc sp_audit_rotate_find(const struct sp_audit_book *b, uint64_t offset,
                                struct sp_audit_ended *out)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT first_seq, base, len, removed_at FROM audit_file"
                                 " WHERE base <= ?1 ORDER BY base DESC LIMIT 1");
    bool row = false;
    enum sp_rc rc;

    *out = (struct sp_audit_ended){0};
    sp_store_bind_int(q, 1, (int64_t)offset);
    rc = sp_store_next(q, &row, NULL);
    if (rc == SP_OK && row && sp_store_int(q, 3) == 0) {
        out->first = (uint64_t)sp_store_int(q, 0);
        out->base = (uint64_t)sp_store_int(q, 1);
        out->len = (uint64_t)sp_store_int(q, 2);
    }
    sp_store_done(q);
    return rc == SP_OK && out->first == 0 ? SP_E_AUDIT_INCOMPLETE : rc;
}

enum sp_rc sp_audit_rotate_open(const char *file, uint64_t first, struct sp_audit_source **out)
{
    struct sp_buf path;
    enum sp_rc rc;

    sp_buf_init(&path, SP_AUDIT_SERIES_NAME_MAX);
    sp_audit_series_name(file, first, &path);
    rc = sp_audit_source_open((const char *)path.ptr, out, NULL);
    if (rc == SP_E_NOT_FOUND) {
        path.len--;
        sp_buf_put_cstr(&path, ".gz");
        sp_buf_put_u8(&path, 0);
        rc = sp_audit_source_open((const char *)path.ptr, out, NULL);
    }
    sp_buf_clear(&path);
    return rc == SP_E_NOT_FOUND ? SP_E_AUDIT_INCOMPLETE : rc;
}

static enum sp_rc rotated_line(const struct sp_audit_book *b, const struct sp_audit_place *place,
                               void *out)
{
    SP_AUTO(sp_audit_source) source = NULL;
    struct sp_audit_ended file;
    enum sp_rc rc = sp_audit_old_get(b->old, place, out);

    if (rc != SP_E_NOT_FOUND)
        return rc;
    rc = sp_audit_rotate_find(b, place->offset, &file);
    if (rc != SP_OK)
        return rc;
    if (b->rotating && file.first == b->rotated_first) /* it has no other name yet */
        return sp_audit_trail_read(b->trail, place->offset - file.base, out, place->len);
    rc = sp_audit_rotate_open(b->path, file.first, &source);
    return rc == SP_OK ? sp_audit_source_read_at(source, place->offset - file.base, out, place->len)
                       : rc;
}

enum sp_rc sp_audit_book_line(const struct sp_audit_book *b, const struct sp_audit_place *place,
                              struct sp_buf *out)
{
    uint64_t in_files = sp_audit_book_end(b);
    uint8_t *at;
    enum sp_rc rc;

    if (place->len > SP_AUDIT_LINE_MAX)
        return SP_E_AUDIT_INCOMPLETE;
    if (place->offset >= in_files) {
        sp_buf_put(out,
                   sp_bytes_slice(sp_buf_bytes(&b->tail), place->offset - in_files, place->len));
        return sp_buf_rc(out);
    }
    at = sp_buf_reserve(out, place->len);
    if (at == NULL)
        return SP_E_LIMIT;
    if (place->offset < b->base)
        rc = rotated_line(b, place, at);
    else
        rc = sp_audit_trail_read(b->trail, place->offset - b->base, at, place->len);
    if (rc == SP_OK)
        sp_buf_commit(out, place->len);
    return rc;
}
