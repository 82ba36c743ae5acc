/*
 * `queue backup`: a copy of one moment, of a gateway that goes on. Segments and body files never change once written, so
 * links hold them against deletion while the rest is copied: first links of all that is there, then the databases and the
 * audit file as far as its database knows it, then what has come since. So no cursor of the ledger stands before the log
 * that is copied, and none behind its end. The segment that is being written is copied as far as it says that it is
 * durable. A body that is gone by then belongs to a message whose end stands in the log a moment later: the end is copied
 * again until the copy, checked like any spool, is whole. Where whole segments have come and gone meanwhile, no copy of the
 * log has what they told: the ledger has read them and is copied once more, and the end of the log behind it. Where the
 * content key is changed meanwhile, too, until all keys are of the generation that is in use: one under the key before could
 * not be read for long.
 */
#include "gateway/cli-spool/spool.h"

#include "base/text.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 10, PAUSE_MS = 200, KEYRING_MAX = 16 * 1024 * 1024 };

#define STAGING "backup-staging"

struct log_copy { /* of one journal: a shard's, or the ledger's own */
    char name[64];
    char from[SPOOL_PATH_MAX];
    char staged[SPOOL_PATH_MAX];
    char to[SPOOL_PATH_MAX];
    struct sp_buf keyring; /* as it was at first */
    uint64_t done;         /* segments before this one are copied */
};

struct backup {
    struct spool *s;
    char staging[SPOOL_PATH_MAX];
    struct log_copy *logs;
    size_t log_count;
    bool is_damaged; /* a database can't be read: it is copied as it is */
    bool is_behind;  /* segments have come and gone that the copied ledger has not read */
    bool is_rekeyed; /* the content key was changed while the logs' ends were copied */
};

static bool is_lasting(const char *name)
{
    size_t len = strlen(name);

    return (len > 4 && strcmp(name + len - 4, ".seg") == 0) ||
           (strchr(name, '.') == NULL && strncmp(name, "keyring", 7) != 0 &&
            strncmp(name, "spare-", 6) != 0 && strcmp(name, "lock") != 0);
}

/* What lies in roles' folders beside databases, the audit file and journals. */
static bool is_plain(const char *name)
{
    size_t len = strlen(name);

    return !(len > 3 && strcmp(name + len - 3, ".db") == 0) && strstr(name, ".db-") == NULL &&
           !(len > 4 && strcmp(name + len - 4, ".seg") == 0) && strncmp(name, "keyring", 7) != 0 &&
           strncmp(name, "spare-", 6) != 0;
}

static bool read_keyring(const char *folder, struct sp_buf *out)
{
    char path[SPOOL_PATH_MAX];

    return spool_path(path, folder, "keyring") && spool_read_theirs(path, out);
}

/* Holds what is there. */
static bool stage(const struct log_copy *l)
{
    static const struct spool_walk links = {.wants = is_lasting, .links = true};

    return spool_walk(&links, l->from, l->staged, 0);
}

static bool add_log(struct backup *b, const char *name)
{
    struct log_copy *l;
    char flat[64];

    b->logs = sp_realloc(b->logs, (b->log_count + 1) * sizeof(*b->logs));
    l = &b->logs[b->log_count++];
    *l = (struct log_copy){.done = 0};
    sp_buf_init(&l->keyring, KEYRING_MAX);
    (void)snprintf(l->name, sizeof(l->name), "%s", name);
    (void)snprintf(flat, sizeof(flat), "%s", name);
    for (char *c = flat; *c != 0; c++)
        if (*c == '/')
            *c = '-';
    return spool_path(l->from, b->s->state, name) && spool_path(l->staged, b->staging, flat) &&
           spool_path(l->to, b->s->target, name) && read_keyring(l->from, &l->keyring) && stage(l);
}

/* Copies the segments that may have grown or come, in their order. */
static bool copy_segments(const struct backup *b, struct log_copy *l)
{
    size_t count;
    uint64_t *numbers = spool_list_segments(l->staged, &count);
    struct sp_journal_io io;
    struct sp_err err;
    bool ok = sp_journal_io_posix(l->staged, &io, &err) == SP_OK;

    for (size_t i = 0; ok && i < count; i++) {
        char name[64];
        char from[SPOOL_PATH_MAX];
        char to[SPOOL_PATH_MAX];
        uint64_t end = UINT64_MAX;

        if (numbers[i] < l->done)
            continue;
        (void)snprintf(name, sizeof(name), "%012llu.seg", (unsigned long long)numbers[i]);
        if (i + 1 == count)
            ok = sp_journal_durable_end(&io, &b->s->keys.record, numbers[i], &end) == SP_OK;
        ok = ok && spool_path(from, l->staged, name) && spool_path(to, l->to, name) &&
             spool_copy_file(from, to, end);
        l->done = numbers[i];
    }
    sp_free(numbers);
    sp_journal_io_posix_free(&io);
    return ok;
}

/* Whether a shard's keyring is of the generation in use. The ledger's journal has one of its own, which stays. */
static bool is_current(const struct backup *b, const struct log_copy *l, const char *kek_id)
{
    return strncmp(l->name, "spool/", 6) != 0 ||
           memcmp(kek_id, b->s->keys.kek_id, SP_JOURNAL_KEK_ID_MAX) == 0;
}

/* Keys of then and now. Those of two generations are not joined: the newer one is begun with anew. */
static bool write_keyring(struct backup *b, struct log_copy *l)
{
    char from[SPOOL_PATH_MAX];
    char to[SPOOL_PATH_MAX];
    char kek_id[SP_JOURNAL_KEK_ID_MAX];
    struct sp_buf now;
    struct sp_buf both;
    bool ok = spool_path(from, l->from, "keyring") && spool_path(to, l->to, "keyring");
    enum sp_rc rc = SP_E_IO;
    int fd = -1;

    sp_buf_init(&now, KEYRING_MAX);
    sp_buf_init(&both, 2 * KEYRING_MAX);
    ok = ok && read_keyring(l->from, &now);
    if (ok)
        rc =
            sp_journal_merge_keyrings(sp_buf_bytes(&l->keyring), sp_buf_bytes(&now), kek_id, &both);
    if (rc == SP_E_CRYPT_AUTH || (rc == SP_OK && !is_current(b, l, kek_id))) {
        sp_buf_clear(&l->keyring);
        l->keyring = now;
        sp_buf_clear(&both);
        b->is_rekeyed = true;
        return true;
    }
    ok = rc == SP_OK && spool_copy_file(from, to, UINT64_MAX);
    if (ok)
        fd = open(to, O_WRONLY | O_TRUNC | O_CLOEXEC);
    ok = ok && fd >= 0 && write(fd, both.ptr, both.len) == (ssize_t)both.len && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    sp_buf_clear(&now);
    sp_buf_clear(&both);
    return ok;
}

/* What has come since, and the end of the log. */
static bool copy_log(struct backup *b, struct log_copy *l)
{
    static const struct spool_walk bodies = {.wants = is_lasting};

    if (!stage(l) || !spool_make_folder(l->to, l->from))
        return false;
    b->is_behind |= spool_drop_ended(l->staged, l->from, l->to);
    if (!copy_segments(b, l)) /* those first: the walk takes what is there already as it is */
        return false;
    return write_keyring(b, l) && spool_walk(&bodies, l->staged, l->to, 0);
}

static bool is_database(const char *name)
{
    size_t len = strlen(name);

    return len > 3 && strcmp(name + len - 3, ".db") == 0;
}

/* One that SQLite can't read is copied as it lies there, for who may make something of it. */
static bool copy_damaged(struct backup *b, const char *source, const char *target,
                         const struct sp_err *err)
{
    char log[2][SPOOL_PATH_MAX];

    (void)spool_fail(b->s, 0, "%s: copied as it is", err->text);
    b->is_damaged = true;
    (void)unlink(target);
    if ((size_t)snprintf(log[0], SPOOL_PATH_MAX, "%s-wal", source) >= SPOOL_PATH_MAX ||
        (size_t)snprintf(log[1], SPOOL_PATH_MAX, "%s-wal", target) >= SPOOL_PATH_MAX)
        return false;
    return spool_copy_file(source, target, UINT64_MAX) &&
           (access(log[0], F_OK) != 0 || spool_copy_file(log[0], log[1], UINT64_MAX));
}

static bool copy_databases(struct backup *b, const char *from, const char *to)
{
    const struct dirent *entry;
    DIR *dir = opendir(from);
    bool ok = dir != NULL;

    while (ok && (entry = readdir(dir)) != NULL) {
        char source[SPOOL_PATH_MAX];
        char target[SPOOL_PATH_MAX];
        struct sp_err err = {0};

        if (!is_database(entry->d_name))
            continue;
        ok = spool_path(source, from, entry->d_name) && spool_path(target, to, entry->d_name) &&
             spool_copy_file(source, target, 0); /* owner and mode; the bytes follow */
        if (!ok)
            break;
        if (sp_store_snapshot(source, target, &err) != SP_OK)
            ok = copy_damaged(b, source, target, &err);
    }
    if (dir != NULL)
        (void)closedir(dir);
    return ok;
}

#define AUDIT_DIGITS                                                                               \
    12 /* of the number in the name of an audit file that has ended (lib/audit/series.h) */

/* The audit file that began with this record, should it have ended since. */
static bool ended_name(char *out, const char *path, int64_t first_seq)
{
    int n = snprintf(out, SPOOL_PATH_MAX, "%s.%0*lld", path, AUDIT_DIGITS, (long long)first_seq);

    return n > 0 && n < SPOOL_PATH_MAX;
}

/* Audit files that ended behind the copied database: it will make them anew, by the same records or others. */
static bool drop_later(const char *folder, const char *name, int64_t first_seq)
{
    DIR *dir = opendir(folder);
    size_t len = strlen(name);
    const struct dirent *entry;
    char path[SPOOL_PATH_MAX];
    bool ok = dir != NULL;

    while (ok && (entry = readdir(dir)) != NULL) {
        const char *digits = entry->d_name + len + 1;
        uint64_t number = 0;

        if (strncmp(entry->d_name, name, len) == 0 && entry->d_name[len] == '.' &&
            strspn(digits, "0123456789") >= AUDIT_DIGITS &&
            sp_bytes_to_u64(sp_bytes(digits, strspn(digits, "0123456789")), &number) &&
            number >= (uint64_t)first_seq)
            ok = spool_path(path, folder, entry->d_name) && unlink(path) == 0;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return ok;
}

/* The same for the backup's own folder. */
static bool drop_later_audit(const struct backup *b)
{
    const char *file = b->s->config->audit.file;
    const char *slash = strrchr(file, '/');
    char database[SPOOL_PATH_MAX];
    char ledger[SPOOL_PATH_MAX];
    char path[SPOOL_PATH_MAX];
    char folder[SPOOL_PATH_MAX];
    struct sp_err err = {0};
    int64_t first = 0;

    if (file[0] == '/' || b->is_damaged)
        return true; /* outside: nothing of it is in the backup. Or nobody can say which those are */
    (void)snprintf(folder, sizeof(folder), "%.*s", slash == NULL ? 1 : (int)(slash - file),
                   slash == NULL ? "." : file);
    return spool_path(ledger, b->s->target, "ledger") && spool_path(database, ledger, "state.db") &&
           spool_path(path, ledger, folder) &&
           sp_store_peek(database, "SELECT file_first FROM state", &first, &err) == SP_OK &&
           drop_later(path, slash == NULL ? file : slash + 1, first);
}

/* The folders that the name of the audit file begins with, below the ledger's in the backup. */
static bool make_audit_folders(const struct backup *b)
{
    const char *file = b->s->config->audit.file;

    for (const char *slash = strchr(file, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        char name[SPOOL_PATH_MAX], from[SPOOL_PATH_MAX], to[SPOOL_PATH_MAX];
        int n = snprintf(name, sizeof(name), "ledger/%.*s", (int)(slash - file), file);

        if (n < 0 || n >= SPOOL_PATH_MAX || !spool_path(from, b->s->state, name) ||
            !spool_path(to, b->s->target, name) ||
            (access(to, F_OK) != 0 && !spool_make_folder(to, from)))
            return false;
    }
    return true;
}

/* The signed head of the audit, before all else of the ledger: one that knew more lines than are copied would make the copy look cut. */
static bool copy_audit_head(const struct backup *b)
{
    char name[SPOOL_PATH_MAX];
    char folder[SPOOL_PATH_MAX];
    char source[SPOOL_PATH_MAX];
    char target[SPOOL_PATH_MAX];
    int n = snprintf(name, sizeof(name), "%s.head", b->s->config->audit.file);

    if (name[0] == '/') /* outside, like the file */
        return true;
    if (n < 0 || n >= SPOOL_PATH_MAX || !spool_path(folder, b->s->state, "ledger") ||
        !spool_path(source, folder, name) || !spool_path(folder, b->s->target, "ledger") ||
        !spool_path(target, folder, name) || !make_audit_folders(b))
        return false;
    return access(source, F_OK) != 0 || spool_copy_file(source, target, UINT64_MAX);
}

/* The audit file as far as the copied database has it. The ledger may begin another one meanwhile: then it has its final name. */
static bool copy_audit(struct backup *b)
{
    char ended[SPOOL_PATH_MAX];
    int64_t first = 0;
    char database[SPOOL_PATH_MAX];
    char folder[SPOOL_PATH_MAX];
    char source[SPOOL_PATH_MAX];
    char target[SPOOL_PATH_MAX];
    struct sp_err err = {0};
    int64_t len = 0;

    if (!spool_path(database, b->s->target, "ledger/state.db") ||
        !spool_path(folder, b->s->state, "ledger") ||
        !spool_path(source, folder, b->s->config->audit.file))
        return false;
    if (b->s->config->audit.file[0] == '/') /* outside: the folder's name would not be its own */
        return true;
    if (sp_store_peek(database, "SELECT file_len FROM state", &len, &err) != SP_OK ||
        sp_store_peek(database, "SELECT file_first FROM state", &first, &err) != SP_OK) {
        (void)spool_fail(b->s, 0, "%s: so the audit file is copied as it is", err.text);
        b->is_damaged = true;
        len = INT64_MAX;
    }
    if (!make_audit_folders(b) || !spool_path(folder, b->s->target, "ledger") ||
        !spool_path(target, folder, b->s->config->audit.file) || !ended_name(ended, source, first))
        return false;
    if (spool_copy_file(source, target, (uint64_t)len) && access(ended, F_OK) != 0)
        return true;
    return spool_copy_file(ended, target, (uint64_t)len);
}

static bool copy_role(struct backup *b, const char *role)
{
    static const struct spool_walk plain = {.wants = is_plain};
    char from[SPOOL_PATH_MAX];
    char to[SPOOL_PATH_MAX];

    if (!spool_path(from, b->s->state, role) || !spool_path(to, b->s->target, role))
        return false;
    if (access(from, F_OK) != 0)
        return true;
    if (!spool_make_folder(to, from))
        return false;
    if (strcmp(role, "ledger") == 0)
        return copy_audit_head(b) && copy_databases(b, from, to) && copy_audit(b) &&
               spool_walk(&plain, from, to, 0) && drop_later_audit(b);
    return spool_walk(&plain, from, to, 0) && copy_databases(b, from, to) &&
           spool_walk(&plain, from, to,
                      0); /* packages that have come before the database was read */
}

static bool write_manifest(const struct backup *b, const struct spool_found *found)
{
    char path[SPOOL_PATH_MAX];
    char time[SP_TIME_TEXT_MAX];
    FILE *file;
    bool ok;

    if (!spool_path(path, b->s->target, SPOOL_MANIFEST))
        return false;
    file = fopen(path, "we");
    if (file == NULL)
        return false;
    sp_time_format_rfc3339(sp_clock_wall_ms(sp_loop_clock(b->s->loop)), time);
    ok =
        fprintf(file, "{\"sallyport_backup\":1,\"node\":\"%s\",\"made\":\"%s\",\"messages\":%zu}\n",
                b->s->config->node, time, found->messages) > 0 &&
        fflush(file) == 0 && fsync(fileno(file)) == 0;
    return fclose(file) == 0 && ok;
}

/* Holds and copies. returns: what failed, or NULL */
static const char *collect(struct backup *b)
{
    static const char *const roles[] = {"ledger", "keeper", "fetcher"};
    char path[SPOOL_PATH_MAX];
    char like[SPOOL_PATH_MAX];
    char name[64];

    for (size_t i = 0; i < b->s->shard_count; i++) {
        (void)snprintf(name, sizeof(name), "spool/%u", b->s->shards[i]);
        if (!add_log(b, name))
            return name[0] != 0 ? "a shard can't be held" : NULL;
    }
    if (spool_path(path, b->s->state, "ledger/journal/keyring") && access(path, F_OK) == 0 &&
        !add_log(b, "ledger/journal"))
        return "the ledger's journal can't be held";
    if (!spool_path(path, b->s->target, "spool") || !spool_path(like, b->s->state, "spool") ||
        !spool_make_folder(path, like))
        return "the folder can't be made";
    for (size_t i = 0; i < SP_ARRAY_LEN(roles); i++)
        if (!copy_role(b, roles[i]))
            return roles[i];
    return NULL;
}

/* The folder of the shards' folders. */
static bool sync_spool(const struct backup *b)
{
    char path[SPOOL_PATH_MAX];

    return spool_path(path, b->s->target, "spool") && spool_sync_folder(path);
}

/* In JSON unless the check of the last round has told it. */
static void tell_done(const struct spool *s, size_t messages)
{
    struct sp_buf json;
    struct sp_jw w;

    if (!s->json) {
        (void)printf("%s: %zu waiting messages, all whole\n", s->target, messages);
        return;
    }
    if (!s->quiet)
        return;
    sp_buf_init(&json, SPOOL_PATH_MAX * 8);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "folder", s->target);
    sp_jw_int(&w, "messages", (int64_t)messages);
    sp_jw_bool(&w, "whole", true);
    sp_jw_end(&w);
    (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&json)));
    sp_buf_clear(&json);
}

/* The logs' ends, once. returns: SPOOL_DAMAGED if they have to be copied again */
static int copy_ends(struct backup *b, int round, struct spool_found *found)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};

    if (b->is_rekeyed)
        (void)nanosleep(&pause, NULL); /* what changes the key needs a moment for all of it */
    b->is_rekeyed = false;
    if (b->is_behind && !b->is_damaged && !copy_role(b, "ledger"))
        return spool_fail(b->s, SPOOL_FAILED, "ledger can't be copied%s", spool_why());
    b->is_behind = false;
    if (!spool_load_keys(b->s))
        return spool_fail(b->s, SPOOL_FAILED, "the master key can't be read any more");
    for (size_t i = 0; i < b->log_count; i++)
        if (!copy_log(b, &b->logs[i]))
            return spool_fail(b->s, SPOOL_FAILED, "%s can't be copied%s", b->logs[i].name,
                              spool_why());
    b->s->quiet = round + 1 < ROUNDS;
    if (b->is_behind && b->s->quiet && !b->is_damaged)
        return SPOOL_DAMAGED;
    return b->is_rekeyed ? SPOOL_DAMAGED : spool_check_folder(b->s, b->s->target, false, found);
}

/* The same until all that they name is there. */
static int finish(struct backup *b)
{
    struct spool_found found = {0};
    int code = SPOOL_DAMAGED;

    for (int round = 0; round < ROUNDS && code == SPOOL_DAMAGED; round++)
        code = copy_ends(b, round, &found);
    if (code == SPOOL_FAILED)
        return code;
    if (b->is_rekeyed)
        return spool_fail(b->s, SPOOL_AGAIN,
                          "the content key is being changed: run `queue backup` again, into "
                          "another folder, when `keys rotate` has ended");
    if (code == SPOOL_DAMAGED)
        (void)spool_fail(b->s, 0, "what is told above is damaged in the gateway's spool too");
    if (!copy_role(b, "portal")) /* behind the logs: what they call deposited is there */
        return spool_fail(b->s, SPOOL_FAILED, "portal can't be copied%s", spool_why());
    if (!sync_spool(b) || !spool_sync_folder(b->s->target) || !spool_sync_above(b->s->target))
        return spool_fail(b->s, SPOOL_FAILED, "%s can't be synced%s", b->s->target, spool_why());
    if (code != SPOOL_FAILED && (!write_manifest(b, &found) || !spool_sync_folder(b->s->target)))
        return spool_fail(b->s, SPOOL_FAILED, "%s can't be written%s", SPOOL_MANIFEST, spool_why());
    if (spool_check_databases(b->s, b->s->target, NULL) > 0 || b->is_damaged)
        code = spool_fail(
            b->s, SPOOL_DAMAGED,
            "a database is damaged in the gateway's state too: the copy has it as it is");
    if (code == SPOOL_OK)
        tell_done(b->s, found.messages);
    if (code == SPOOL_OK)
        spool_note_backup(b->s, found.messages);
    return code;
}

int spool_backup(struct spool *s)
{
    struct backup b = {.s = s};
    const char *failed;
    int code;

    if (!spool_find_shards(s, s->state))
        return spool_fail(s, SPOOL_NO_INPUT, "%s holds no spool", s->state);
    if (mkdir(s->target, 0700) != 0)
        return spool_fail(s, SPOOL_USAGE, "%s can't be made: %s", s->target,
                          strerrordesc_np(errno));
    if (!spool_path(b.staging, s->state, STAGING))
        return SPOOL_FAILED;
    spool_remove(b.staging); /* of one that was cut off */
    if (mkdir(b.staging, 0700) != 0)
        return spool_fail(s, SPOOL_FAILED, "%s can't be made", b.staging);
    failed = collect(&b);
    code = failed == NULL
               ? finish(&b)
               : spool_fail(s, SPOOL_FAILED, "%s can't be copied%s", failed, spool_why());
    spool_remove(b.staging);
    for (size_t i = 0; i < b.log_count; i++)
        sp_buf_clear(&b.logs[i].keyring);
    sp_free(b.logs);
    return code;
}
