/*
 * The state folder: one folder a role, its own uid's, closed to the others. The spool's shards belong to the relays, with
 * the ledger's group and the set-gid bit, so that the ledger reads the segments and nobody else does. Owners and modes
 * are set through an open descriptor that is no symbolic link: roles write below, and must not lead us elsewhere.
 */
#include "gateway/sallyport/supervisor.h"

#include "base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ORDERS         "orders"       /* of a shard: lib/queue/orders.h */
#define GIVEN          "orders-given" /* and who gave them */
#define ORDERS_LEN_MAX 2000000
#define SQLITE_PAGE    4096 /* bytes, of its shared index */

static const struct {
    const char *name;
    enum sp_role_kind owner;
    mode_t mode;
} folders[] = {
    {"", SP_ROLE_SUPERVISOR, 0711},       {"spool", SP_ROLE_SUPERVISOR, 0755},
    {"sealer", SP_ROLE_SUPERVISOR, 0711}, {"keeper", SP_ROLE_KEEPER, 0700},
    {"portal", SP_ROLE_PORTAL, 0700},     {"ledger", SP_ROLE_LEDGER, 0750},
    {"fetcher", SP_ROLE_FETCHER, 0700},   {"admin", SP_ROLE_SUPERVISOR, 0711},
};

int64_t folder_uid(const struct supervisor *s, enum sp_role_kind kind)
{
    int64_t base = s->now->config->uid_base;

    if (base == 0 || geteuid() != 0)
        return -1;
    return kind == SP_ROLE_SUPERVISOR ? 0 : base + (int64_t)kind;
}

static enum sp_rc make(const char *path, mode_t mode, int64_t uid, int64_t gid, struct sp_err *err)
{
    struct stat is;
    int fd;
    bool ok;

    if ((SP_FAULT_ERRNO("supervisor.folder", ENOSPC) || mkdir(path, 0700) != 0) && errno != EEXIST)
        return sp_fail_errno(err, SP_E_IO, errno, "%s", path);
    fd = SP_FAULT_ERRNO("supervisor.folder-open", EMFILE)
             ? -1
             : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    ok = fd >= 0 && fstat(fd, &is) == 0;
    /* a successor of ours may neither give away nor open up: what is right already is left alone */
    if (ok && uid >= 0 && (is.st_uid != (uid_t)uid || is.st_gid != (gid_t)gid))
        ok = fchown(fd, (uid_t)uid, (gid_t)gid) == 0 && fstat(fd, &is) == 0;
    if (ok && (is.st_mode & 07777) != mode)
        ok = fchmod(fd, mode) == 0;
    if (!ok)
        sp_fail_errno(err, SP_E_IO, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return ok ? SP_OK : SP_E_IO;
}

/* Counts shards that an earlier run left, more relays or fewer. One that is not seen would keep its mail until another start. */
static enum sp_rc find_shards(struct supervisor *s, const char *spool, struct sp_err *err)
{
    DIR *dir = SP_FAULT_ERRNO("supervisor.list-shards", EMFILE) ? NULL : opendir(spool);
    const struct dirent *entry = NULL;
    int failed = dir == NULL ? errno : 0;

    while (failed == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        uint64_t number;

        if (sp_bytes_to_u64(sp_bytes_cstr(entry->d_name), &number) && number < SP_ROLE_DIRS_MAX &&
            number >= s->shards)
            s->shards = (unsigned)number + 1;
    }
    if (failed == 0)
        failed = errno;
    if (dir != NULL)
        closedir(dir);
    return failed == 0 ? SP_OK : sp_fail_errno(err, SP_E_IO, failed, "%s", spool);
}

/* One whose file system knows no such thing (a read-only image, as a parent of ours) has nothing to lose. */
static bool sync_open(int fd)
{
    if (SP_FAULT_ERRNO("supervisor.sync-folder", EIO))
        return false;
    return (!SP_FAULT_ERRNO("supervisor.sync-unknown", EINVAL) && fsync(fd) == 0) ||
           errno == EINVAL || errno == EROFS;
}

/* For good: what a role keeps below is of no use if a power cut takes the folder. One that is not ours to read is somebody
 * else's care. */
static enum sp_rc sync_folder(const char *path, struct sp_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd < 0 ? errno == EACCES : sync_open(fd);

    if (!ok)
        sp_fail_errno(err, SP_E_IO, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return ok ? SP_OK : SP_E_IO;
}

static enum sp_rc sync_folders(const struct supervisor *s, struct sp_err *err)
{
    static const char *const names[] = {"sealer", "spool", ".", ".."};
    char path[PATH_LEN_MAX + 40];
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; rc == SP_OK && i < SP_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", s->now->state_dir, names[i]);
        rc = sync_folder(path, err);
    }
    return rc;
}

/* returns: a regular file of ours to read, below a folder that a role writes to; -1 if there is none */
static int open_orders(int dir, const char *name, struct stat *is)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0 && (fstat(fd, is) != 0 || !S_ISREG(is->st_mode) || is->st_size > ORDERS_LEN_MAX)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* A file of orders as `from` has it, synced. returns: errno, 0 if all is well */
static int copy_orders(int from, int dir, const char *name, const struct stat *is)
{
    char fresh[64];
    char *text = sp_malloc((size_t)is->st_size + 1);
    ssize_t len = read(from, text, (size_t)is->st_size);
    int to = -1;
    int failed = 0;

    (void)snprintf(fresh, sizeof(fresh), "%s.new", name);
    (void)unlinkat(dir, fresh, 0);
    if (len >= 0)
        to = openat(dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0 || write(to, text, (size_t)len) != len || fchown(to, is->st_uid, is->st_gid) != 0 ||
        fsync(to) != 0 || renameat(dir, fresh, dir, name) != 0 || fsync(dir) != 0)
        failed = errno != 0 ? errno : EIO;
    if (to >= 0)
        close(to);
    sp_free(text);
    return failed;
}

/* A shard that no relay has opened yet begins with the orders that stand for the first one. */
static enum sp_rc inherit_orders(const char *first, const char *path, struct sp_err *err)
{
    int from = open(first, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat is, who, other;
    int fd = from < 0 ? -1 : open_orders(from, ORDERS, &is);
    int given = from < 0 ? -1 : open_orders(from, GIVEN, &who);
    enum sp_rc rc = SP_OK;
    int failed = 0;

    if (fd >= 0 && dir >= 0 && fstatat(dir, "keyring", &other, AT_SYMLINK_NOFOLLOW) != 0 &&
        fstatat(dir, ORDERS, &other, AT_SYMLINK_NOFOLLOW) != 0) {
        if (given >= 0)
            failed = copy_orders(given, dir, GIVEN, &who);
        if (failed == 0)
            failed = copy_orders(fd, dir, ORDERS, &is);
    }
    if (failed != 0) /* what somebody has frozen must not go by another door */
        rc = sp_fail_errno(err, SP_E_IO, failed, "%s/" ORDERS, path);
    if (fd >= 0)
        close(fd);
    if (given >= 0)
        close(given);
    if (dir >= 0)
        close(dir);
    if (from >= 0)
        close(from);
    return rc;
}

static enum sp_rc make_numbered(const struct supervisor *s, enum sp_role_kind kind, unsigned count,
                                struct sp_err *err)
{
    char first[PATH_LEN_MAX + 40] = "";
    enum sp_rc rc = SP_OK;

    for (unsigned i = 0; rc == SP_OK && i < count; i++) {
        char path[PATH_LEN_MAX + 40];
        bool shard = kind == SP_ROLE_RELAY;

        snprintf(path, sizeof(path), "%s/%s/%u", s->now->state_dir, shard ? "spool" : "sealer", i);
        rc = make(path, shard ? 02750 : 0700, folder_uid(s, kind),
                  folder_uid(s, shard ? SP_ROLE_LEDGER : kind), err);
        if (rc == SP_OK && shard && i == 0)
            memcpy(first, path, sizeof(path));
        else if (rc == SP_OK && shard)
            rc = inherit_orders(first, path, err);
    }
    return rc;
}

enum sp_rc folders_make(struct supervisor *s, unsigned relays, unsigned sealers, struct sp_err *err)
{
    char path[PATH_LEN_MAX + 40];
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; rc == SP_OK && i < SP_ARRAY_LEN(folders); i++) {
        int64_t uid = folder_uid(s, folders[i].owner);

        snprintf(path, sizeof(path), "%s/%s", s->now->state_dir, folders[i].name);
        rc = make(path, folders[i].mode, uid, uid, err);
    }
    if (rc != SP_OK)
        return rc;
    snprintf(path, sizeof(path), "%s/spool", s->now->state_dir);
    s->shards = relays;
    rc = find_shards(s, path, err);
    if (rc == SP_OK)
        rc = make_numbered(s, SP_ROLE_RELAY, s->shards, err);
    if (rc == SP_OK)
        rc = make_numbered(s, SP_ROLE_SEALER, sealers, err);
    return rc == SP_OK ? sync_folders(s, err) : rc;
}

/* SQLite takes room for its index of the log by pages. Where blocks are smaller, a full disk shows only when a page is
 * written, and ends the process. */
static void warn_of_small_blocks(struct supervisor *s)
{
    struct statvfs v;

    if (fstatvfs(s->lock, &v) == 0 && v.f_frsize < SQLITE_PAGE)
        sp_log_warn(s->log, "supervisor.small-blocks", SP_INT("bytes", (int64_t)v.f_frsize));
}

enum sp_rc folders_lock(struct supervisor *s, struct sp_err *err)
{
    char path[PATH_LEN_MAX + 40];

    if (s->lock >= 0) /* handed over */
        return SP_OK;
    if (mkdir(s->now->state_dir, 0711) != 0 && errno != EEXIST)
        return sp_fail_errno(err, SP_E_IO, errno, "%s", s->now->state_dir);
    snprintf(path, sizeof(path), "%s/supervisor.lock", s->now->state_dir);
    s->lock = SP_FAULT_ERRNO("supervisor.lock", EMFILE)
                  ? -1
                  : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0)
        return sp_fail_errno(err, SP_E_IO, errno, "%s", path);
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0)
        return sp_fail(err, SP_E_EXISTS, "%s: another gateway runs on this folder", path);
    warn_of_small_blocks(s);
    return SP_OK;
}

static size_t shards_of(const struct supervisor *s, unsigned index, char (*paths)[PATH_LEN_MAX],
                        size_t max)
{
    unsigned relays = 0;
    size_t count = 0;

    for (size_t i = 0; i < s->child_count; i++)
        relays += s->children[i].kind == SP_ROLE_RELAY;
    for (unsigned shard = index; shard < s->shards && count < max; shard += relays) {
        int len = snprintf(paths[count], PATH_LEN_MAX, "%s/spool/%u", s->now->state_dir, shard);

        count += len > 0 && len < PATH_LEN_MAX;
    }
    return count;
}

size_t folders_of(const struct supervisor *s, const struct child *c, char (*paths)[PATH_LEN_MAX],
                  size_t max)
{
    int len;

    if (c->kind == SP_ROLE_RELAY)
        return shards_of(s, c->index, paths, max);
    if (c->kind == SP_ROLE_SCANNER || c->kind == SP_ROLE_ADMIN)
        return 0;
    if (c->kind == SP_ROLE_SEALER)
        len = snprintf(paths[0], PATH_LEN_MAX, "%s/sealer/%u", s->now->state_dir, c->index);
    else
        len =
            snprintf(paths[0], PATH_LEN_MAX, "%s/%s", s->now->state_dir, sp_ipc_role_name(c->kind));
    return len > 0 && len < PATH_LEN_MAX ? 1 : 0;
}
