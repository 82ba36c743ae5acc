/*
 * What an administrator's command has done without the gateway's help, told by the command itself: a backup that is whole, an
 * upgrade that is asked for, another master key. Nothing else can be said so.
 *
 *     {"command": "audit.note", "what": "backup", "folder": PATH, "messages": TEXT} -> {"noted": "backup"}
 *     {"command": "audit.note", "what": "upgrade"}                                  -> {"noted": "upgrade"}
 *
 * What was done to the master key while no gateway ran lies in a file of our folder, as `WHAT UID TIME`, and is said at the
 * start.
 */
#include "gateway/ledger/ledger.h"

#include "base/fault.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define NOTE_FILE "note"
#define NOTE_KEPT "note.unread" /* what is too large for us is left to a person */
#define NOTE_MAX  ((size_t)256 << 10)

static const struct note {
    const char *what;
    const char *event;
    const char *act;
    const char *step;     /* of the master key; NULL: another thing */
    bool while_it_sleeps; /* may come from the file */
} notes[] = {
    {"backup", "backup.made", NULL, NULL, false},
    {"upgrade", "admin.acted", "upgrade", NULL, false},
    {"master-key-replaced", "key.rotated", NULL, "replaced", true}, /* by one that was made */
    {"master-key-admitted", "key.rotated", NULL, "admitted", true}, /* the next one, beside it */
    {"master-key-alone", "key.rotated", NULL, "alone", true},       /* it has taken its place */
};

static const struct note *find_note(struct sp_bytes what)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(notes); i++)
        if (sp_bytes_eq(what, sp_bytes_cstr(notes[i].what)))
            return &notes[i];
    return NULL;
}

static void put_event(const struct ledger_question *q, const struct note *n, struct sp_buf *out)
{
    bool is_backup = strcmp(n->event, "backup.made") == 0;
    uint64_t messages = 0;
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", n->event);
    if (n->act != NULL)
        sp_jw_cstr(&w, "act", n->act);
    if (n->step != NULL) {
        sp_jw_cstr(&w, "key", "master");
        sp_jw_cstr(&w, "step", n->step);
    }
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    if (is_backup) {
        sp_jw_text(&w, "folder", sp_json_text_of(q->ask, "folder"));
        if (sp_bytes_to_u64(sp_json_text_of(q->ask, "messages"), &messages))
            sp_jw_int(&w, "messages", (int64_t)messages);
    }
    sp_jw_end(&w);
}

/* ---- what was done while no gateway ran ---- */

/* returns: false if it is no note of ours */
static bool put_left(struct sp_bytes text, struct sp_buf *out)
{
    char time[SP_TIME_TEXT_MAX], id[32];
    struct sp_bytes what, uid;
    const struct note *n;
    uint64_t number, time_ms;
    struct sp_jw w;

    text = sp_bytes_trim(text);
    if (!sp_bytes_split(&text, ' ', &what) || !sp_bytes_split(&text, ' ', &uid) ||
        !sp_bytes_to_u64(uid, &number) || number > UINT32_MAX || !sp_bytes_to_u64(text, &time_ms) ||
        time_ms > INT64_MAX)
        return false;
    n = find_note(what);
    if (n == NULL || !n->while_it_sleeps)
        return false;
    (void)snprintf(id, sizeof(id), "uid:%u", (unsigned)number);
    sp_time_format_rfc3339((int64_t)time_ms, time);
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", n->event);
    sp_jw_cstr(&w, "key", "master");
    sp_jw_cstr(&w, "step", n->step);
    sp_jw_cstr(&w, "done", time);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "admin");
    sp_jw_cstr(&w, "id", id);
    sp_jw_cstr(&w, "auth", "command-line");
    sp_jw_end(&w);
    sp_jw_end(&w);
    return true;
}

static enum sp_rc say_left(struct ledger *l, struct sp_bytes text, struct sp_err *err)
{
    struct sp_bytes line;
    struct sp_buf event;
    enum sp_rc rc = SP_OK;

    sp_buf_init(&event, 4096);
    while (rc == SP_OK && sp_bytes_split(&text, '\n', &line)) {
        sp_buf_reset(&event);
        if (put_left(line, &event))
            rc = sp_audit_book_say(l->book, sp_buf_bytes(&event), err);
        else if (line.len > 0)
            sp_log_error(l->log, "ledger.note-unknown");
    }
    sp_buf_clear(&event);
    return rc == SP_OK ? sp_audit_book_commit(l->book, err) : rc;
}

/* To the end. returns: 0, or an errno; EFBIG if it does not fit */
static int read_left(int fd, struct sp_buf *out)
{
    ssize_t n = 1;

    while (n > 0) {
        if (sp_buf_reserve(out, 4096) == NULL)
            return EFBIG;
        do
            n = SP_FAULT_ERRNO("ledger.note-read", EIO) ? -1 : read(fd, out->ptr + out->len, 4096);
        while (n < 0 && errno == EINTR);
        sp_buf_commit(out, n > 0 ? (size_t)n : 0);
    }
    return n < 0 ? errno : 0;
}

/* It stays where it is, for the next start, or if it is too large, beside. */
static void keep_unread(struct ledger *l, const char *path, int why)
{
    struct sp_buf kept;

    sp_log_error(l->log, "ledger.note-unread", SP_INT("errno", why));
    sp_buf_init(&kept, LEDGER_PATH_MAX);
    if (why == EFBIG &&
        (ledger_path(&kept, sp_role_dir(l->role), NOTE_KEPT) != SP_OK ||
         renameat2(AT_FDCWD, path, AT_FDCWD, (const char *)kept.ptr, RENAME_NOREPLACE) != 0))
        sp_log_error(l->log, "ledger.note-unread", SP_INT("errno", errno));
    sp_buf_clear(&kept);
}

enum sp_rc ledger_note_left(struct ledger *l, struct sp_err *err)
{
    struct sp_buf path, text;
    enum sp_rc rc;
    int failed;
    int fd;

    sp_buf_init(&path, LEDGER_PATH_MAX);
    rc = ledger_path(&path, sp_role_dir(l->role), NOTE_FILE);
    fd = rc == SP_OK ? open((const char *)path.ptr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd < 0) {
        if (rc == SP_OK && errno != ENOENT)
            sp_log_error(l->log, "ledger.note-unknown");
        sp_buf_clear(&path);
        return rc;
    }
    sp_buf_init(&text, NOTE_MAX);
    failed = read_left(fd, &text);
    close(fd);
    if (failed != 0)
        keep_unread(l, (const char *)path.ptr, failed);
    else
        rc = say_left(l, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    if (rc == SP_OK && failed == 0)
        (void)unlink((const char *)path.ptr); /* if it stays it is said again */
    sp_buf_clear(&path);
    return rc;
}

void ledger_note(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct sp_bytes what = sp_json_text_of(q->ask, "what");
    const struct note *n = find_note(what);
    struct sp_err err = {0};
    struct sp_buf text, json;
    struct sp_jw w;
    enum sp_rc rc;

    if (n == NULL) {
        ledger_reply_error(job, SP_E_USAGE, "what: no note of this kind");
        return;
    }
    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    put_event(q, n, &text);
    rc = sp_audit_book_say(l->book, sp_buf_bytes(&text), &err);
    sp_buf_clear(&text);
    if (rc == SP_OK)
        rc = sp_audit_book_commit(l->book, &err);
    if (rc != SP_OK && rc != SP_E_MALFORMED)
        sp_role_fail(l->role, &err);
    if (rc != SP_OK) {
        ledger_reply_error(job, rc, err.text);
        return;
    }
    sp_buf_init(&json, 256);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_text(&w, "noted", what);
    sp_jw_end(&w);
    ledger_reply_json(job, sp_buf_rc(&json), sp_buf_bytes(&json));
    sp_buf_clear(&json);
}
