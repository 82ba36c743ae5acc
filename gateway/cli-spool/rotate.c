/*
 * `keys rotate`: a new generation of the key that wraps the segments' content keys. Its secret lies beside the master key;
 * the one before stays as FILE.old until every keyring on disk says that it is of the new one, and is then destroyed. Each
 * step is one rename: a crash leaves either the old state or one that the command, run again, goes on from, and at every
 * moment the gateway finds a key for each keyring. The gateway does the rewriting, at a reload or at its start.
 */
#include "gateway/cli-spool/spool.h"

#include "base/text.h"
#include "crypt/hash.h"
#include "crypt/kek.h"
#include "crypt/root.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KEYRING_ID_AT = 8, WAIT_MS = 60000, POLL_MS = 100, SMALL = 256 * 1024 };

struct paths {
    char now[SPOOL_PATH_MAX];
    char old[SPOOL_PATH_MAX];
    char fresh[SPOOL_PATH_MAX]; /* not in use yet */
    char folder[SPOOL_PATH_MAX];
};

static bool find_paths(const struct spool *s, struct paths *p)
{
    char copy[SPOOL_PATH_MAX];

    (void)snprintf(copy, sizeof(copy), "%s", s->beside);
    return snprintf(p->now, SPOOL_PATH_MAX, "%s" SP_KEK_FILE, s->beside) < SPOOL_PATH_MAX &&
           snprintf(p->old, SPOOL_PATH_MAX, "%s" SP_KEK_FILE_OLD, s->beside) < SPOOL_PATH_MAX &&
           snprintf(p->fresh, SPOOL_PATH_MAX, "%s.new", p->now) < SPOOL_PATH_MAX &&
           snprintf(p->folder, SPOOL_PATH_MAX, "%s", dirname(copy)) < SPOOL_PATH_MAX;
}

/* A file that is not there is empty. */
static bool read_secret(const char *path, struct sp_buf *out)
{
    return access(path, F_OK) != 0 || spool_read_file(path, out);
}

/* What all keys are derived from: crypt/root.h. */
static bool load_root(const struct spool *s, struct sp_secret *root)
{
    char path[SPOOL_PATH_MAX];
    struct sp_buf master;
    struct sp_buf file;
    bool ok;

    sp_buf_init(&master, SMALL);
    sp_buf_init(&file, SMALL);
    ok = snprintf(path, sizeof(path), "%s" SP_ROOT_FILE, s->beside) < SPOOL_PATH_MAX &&
         spool_read_file(s->master, &master) && read_secret(path, &file) &&
         sp_crypt_root_open(sp_buf_bytes(&master), sp_buf_bytes(&file), root) == SP_OK;
    sp_buf_wipe(&master);
    sp_buf_clear(&file);
    return ok;
}

bool spool_load_keys(struct spool *s)
{
    struct sp_secret root = {{0}};
    struct sp_bytes from = sp_secret_bytes(&root);
    struct sp_buf secret;
    struct paths p;
    bool ok;

    sp_buf_init(&secret, SMALL);
    ok = find_paths(s, &p) && load_root(s, &root) && read_secret(p.now, &secret) &&
         sp_crypt_content_kek(from, sp_buf_bytes(&secret), &s->keys.content, s->keys.kek_id) ==
             SP_OK;
    s->keys.old_kek_id[0] = 0;
    if (ok && access(p.old, F_OK) == 0) {
        sp_buf_reset(&secret);
        ok = spool_read_file(p.old, &secret) &&
             sp_crypt_content_kek(from, sp_buf_bytes(&secret), &s->keys.old_content,
                                  s->keys.old_kek_id) == SP_OK;
    }
    if (ok)
        sp_crypt_hkdf(from, SP_LIT("sallyport record kek 1"), &s->keys.record);
    sp_secret_clear(&root);
    sp_buf_wipe(&secret);
    return ok;
}

/* Writes a secret under its first name, as the master key's owner's; durable. */
static bool write_secret(const struct spool *s, const struct paths *p, struct sp_bytes data)
{
    struct stat st;
    bool ok = stat(s->master, &st) == 0;
    int fd;

    (void)unlink(p->fresh);
    fd = open(p->fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    ok = ok && fd >= 0;
    if (ok && geteuid() == 0)
        ok = fchown(fd, st.st_uid, st.st_gid) == 0;
    ok = ok && fchmod(fd, st.st_mode & 0600) == 0 &&
         write(fd, data.ptr, data.len) == (ssize_t)data.len && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

/* The old one first, then the new: in between both files say the same. */
static bool begin(const struct spool *s, const struct paths *p)
{
    uint8_t fresh[SP_SECRET_LEN];
    struct sp_buf now;
    bool ok;

    sp_buf_init(&now, SMALL);
    ok = read_secret(p->now, &now) && write_secret(s, p, sp_buf_bytes(&now)) &&
         rename(p->fresh, p->old) == 0 && spool_sync_folder(p->folder);
    sp_random_fill(sp_random_system(), fresh, sizeof(fresh));
    ok = ok && write_secret(s, p, sp_bytes(fresh, sizeof(fresh))) &&
         rename(p->fresh, p->now) == 0 && spool_sync_folder(p->folder);
    sp_wipe(fresh, sizeof(fresh));
    sp_buf_wipe(&now);
    return ok;
}

bool spool_reload(const struct spool *s)
{
    char path[SPOOL_PATH_MAX];
    struct sp_buf text;
    struct sp_bytes rest;
    struct sp_bytes word;
    uint64_t pid;
    bool told = false;

    sp_buf_init(&text, SMALL);
    if (spool_is_running(s->state) && spool_path(path, s->state, "supervisor.lock") &&
        spool_read_file(path, &text)) {
        rest = sp_bytes_trim(sp_buf_bytes(&text));
        if (sp_bytes_split(&rest, ' ', &word) && sp_bytes_to_u64(word, &pid) && pid > 1)
            told = kill((pid_t)pid, SIGHUP) == 0;
    }
    sp_buf_clear(&text);
    return told;
}

/* Whether the keyring on disk is of the new generation. One that is not there has nothing to be rewritten. */
static bool is_renewed(const struct spool *s, unsigned shard)
{
    char path[SPOOL_PATH_MAX];
    char name[64];
    struct sp_buf ring;
    struct sp_bytes id;
    bool is = false;

    (void)snprintf(name, sizeof(name), "spool/%u/keyring", shard);
    sp_buf_init(&ring, (size_t)16 << 20);
    if (spool_path(path, s->state, name) && access(path, F_OK) != 0) {
        is = errno == ENOENT;
    } else if (spool_read_theirs(path, &ring) && ring.len > KEYRING_ID_AT + SP_JOURNAL_KEK_ID_MAX) {
        id = sp_bytes_cstr(s->keys.kek_id);
        is = memcmp(ring.ptr + KEYRING_ID_AT, id.ptr, id.len + 1) == 0;
    }
    sp_buf_clear(&ring);
    return is;
}

static bool wait_renewed(struct spool *s, int limit_ms)
{
    const struct timespec nap = {0, POLL_MS * 1000000L};
    bool told = spool_reload(s);
    bool all = false;

    for (int waited = 0; !all; waited += POLL_MS) {
        all = spool_find_shards(s, s->state);
        for (size_t i = 0; i < s->shard_count && all; i++)
            all = is_renewed(s, s->shards[i]);
        if (!all && waited >= limit_ms)
            break;
        if (!all)
            (void)nanosleep(&nap, NULL);
        told = told || all || spool_reload(s);
    }
    return all;
}

/* Overwrites and removes the secret of the generation before: what only it opened is gone now. */
static bool retire(const struct paths *p)
{
    uint8_t nothing[SP_SECRET_LEN] = {0};
    int fd = open(p->old, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    bool ok =
        fd >= 0 && pwrite(fd, nothing, sizeof(nothing), 0) == sizeof(nothing) && fsync(fd) == 0;

    if (fd >= 0)
        (void)close(fd);
    return ok && unlink(p->old) == 0 && spool_sync_folder(p->folder);
}

/* One rotation at a time, of either key. returns: what to close in the end; -1 if another is under way */
static int hold_folder(const struct paths *p)
{
    int fd = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static int rotate_content(struct spool *s, const struct paths *p)
{
    char before[SP_JOURNAL_KEK_ID_MAX];
    bool is_begun;

    is_begun = s->keys.old_kek_id[0] != 0 && strcmp(s->keys.old_kek_id, s->keys.kek_id) != 0;
    if (!is_begun && (!begin(s, p) || !spool_load_keys(s)))
        return spool_fail(s, SPOOL_FAILED, "%s can't be written", p->now);
    memcpy(before, s->keys.old_kek_id, sizeof(before));
    if (!spool_is_running(s->state) && !wait_renewed(s, 0))
        return spool_fail(s, SPOOL_AGAIN,
                          "the gateway does not run: start it, and repeat this to end it");
    if (!wait_renewed(s, WAIT_MS))
        return spool_fail(s, SPOOL_AGAIN,
                          "not all keyrings are rewritten yet: repeat this; %s stays", before);
    if (!retire(p))
        return spool_fail(s, SPOOL_FAILED, "%s can't be destroyed", p->old);
    (void)spool_reload(s);
    if (s->json)
        (void)printf("{\"in_use\":\"%s\",\"destroyed\":\"%s\"}\n", s->keys.kek_id, before);
    else
        (void)printf("%s is in use, %s is destroyed\n", s->keys.kek_id, before);
    return SPOOL_OK;
}

int spool_rotate(struct spool *s)
{
    struct paths p;
    int folder;
    int code;

    if (!find_paths(s, &p))
        return SPOOL_FAILED;
    folder = hold_folder(&p);
    if (folder < 0)
        return spool_fail(s, SPOOL_AGAIN,
                          "%s can't be locked: another rotation is under way, repeat this after it",
                          p.folder);
    if (!spool_load_keys(s)) /* anew: another rotation may have ended just now */
        code = spool_fail(s, SPOOL_NO_INPUT, "the master key does not open what is kept beside it");
    else
        code = s->is_master ? spool_master(s) : rotate_content(s, &p);
    (void)close(folder);
    return code;
}
