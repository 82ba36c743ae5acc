/*
 * Files as they are: bytes, owner, mode. What is copied is synced, since a backup that a power cut can hollow out is none.
 */
#include "gateway/cli-spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, DEPTH_MAX = 8 };

/* Copies up to len bytes. returns: whether all went well */
static bool copy_bytes(int from, int to, uint64_t len)
{
    uint8_t *block = sp_malloc(BLOCK);
    uint64_t at = 0;
    bool ok = true;

    while (ok && at < len) {
        size_t want = len - at < BLOCK ? (size_t)(len - at) : BLOCK;
        ssize_t n = pread(from, block, want, (off_t)at);

        if (n == 0)
            break;
        ok = n > 0 && pwrite(to, block, (size_t)n, (off_t)at) == n;
        at += ok ? (uint64_t)n : 0;
    }
    sp_wipe(block, BLOCK);
    sp_free(block);
    return ok;
}

bool spool_copy_file(const char *from, const char *to, uint64_t len)
{
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int out = -1;
    struct stat st;
    bool ok = in >= 0 && fstat(in, &st) == 0;

    if (ok)
        out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    ok = ok && out >= 0 && copy_bytes(in, out, len);
    if (ok && geteuid() == 0)
        ok = fchown(out, st.st_uid, st.st_gid) == 0;
    ok = ok && fchmod(out, st.st_mode & 0777) == 0 && fsync(out) == 0;
    if (in >= 0)
        (void)close(in);
    if (out >= 0)
        (void)close(out);
    return ok;
}

bool spool_make_folder(const char *path, const char *like)
{
    struct stat st;
    int fd;
    bool ok;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return false;
    if (like == NULL)
        return true;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    ok = fd >= 0 && stat(like, &st) == 0;
    if (ok && geteuid() == 0)
        ok = fchown(fd, st.st_uid, st.st_gid) == 0;
    ok = ok && fchmod(fd, st.st_mode & 07777) == 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

/*
 * A second name for a file. One that is there already stands for the same file as a rule; but a segment that failed before
 * anything in it was durable gives its name to the next, and then the new one counts.
 */
static bool hold(const char *source, const char *target, const struct stat *st)
{
    struct stat held;

    if (lstat(target, &held) == 0) {
        if (held.st_ino == st->st_ino && held.st_dev == st->st_dev)
            return true;
        if (unlink(target) != 0)
            return false;
    }
    return link(source, target) == 0 || errno == ENOENT;
}

/* One name of a folder. A file that is gone meanwhile is none. */
static bool walk_one(const struct spool_walk *w, const char *from, const char *to, const char *name,
                     int depth)
{
    char source[SPOOL_PATH_MAX];
    char target[SPOOL_PATH_MAX];
    struct stat st;

    if (!spool_path(source, from, name) || !spool_path(target, to, name))
        return false;
    if (lstat(source, &st) != 0)
        return errno == ENOENT;
    if (S_ISDIR(st.st_mode))
        return spool_walk(w, source, target, depth + 1);
    if (!S_ISREG(st.st_mode) || (w->wants != NULL && !w->wants(name)))
        return true;
    if (w->links)
        return hold(source, target, &st);
    if (!w->replaces && access(target, F_OK) == 0)
        return true;
    return spool_copy_file(source, target, UINT64_MAX) || access(source, F_OK) != 0;
}

bool spool_walk(const struct spool_walk *w, const char *from, const char *to, int depth)
{
    const struct dirent *entry;
    DIR *dir = opendir(from);
    bool ok = dir != NULL && depth <= DEPTH_MAX && spool_make_folder(to, from);

    while (ok && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = walk_one(w, from, to, entry->d_name, depth);
    if (dir != NULL)
        (void)closedir(dir);
    return ok && (w->links || spool_sync_folder(to)); /* names that are held need not last */
}

bool spool_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        (void)close(fd);
    return ok;
}

bool spool_sync_above(const char *path)
{
    char above[SPOOL_PATH_MAX];

    return spool_path(above, path, "..") && spool_sync_folder(above);
}

void spool_remove(const char *path)
{
    const struct dirent *entry;
    DIR *dir = opendir(path);
    char inner[SPOOL_PATH_MAX];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            !spool_path(inner, path, entry->d_name))
            continue;
        if (unlink(inner) != 0)
            spool_remove(inner);
    }
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(path);
}
