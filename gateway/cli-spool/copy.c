/*
 * Files as they are: bytes, owner, mode. What is copied is synced, since a backup that a power cut can hollow out is none.
 * Root works here in folders that roles write to: no link that one of them plants leads it to a file of somebody else's, and
 * no pipe holds it up.
 */
#include "gateway/cli-spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, READ_BLOCK = 65536, DEPTH_MAX = 8 };

bool spool_path(char *out, const char *folder, const char *name)
{
    int n = name[0] == '/' ? snprintf(out, SPOOL_PATH_MAX, "%s", name)
                           : snprintf(out, SPOOL_PATH_MAX, "%s/%s", folder, name);

    return n > 0 && n < SPOOL_PATH_MAX;
}

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
        if (n > 0) /* what is left of a short write is read again: then the disk says why */
            n = pwrite(to, block, (size_t)n, (off_t)at);
        ok = n > 0;
        at += ok ? (uint64_t)n : 0;
    }
    sp_wipe(block, BLOCK);
    sp_free(block);
    return ok;
}

/* Another name for a file of somebody else's: root must not be led to it. */
static bool is_planted(const struct stat *file, const struct stat *folder)
{
    return file->st_nlink > 1 && file->st_uid != folder->st_uid;
}

int spool_open_theirs(int folder, const char *name, struct stat *is)
{
    struct stat of;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0 && (fstat(folder, &of) != 0 || fstat(fd, is) != 0 || !S_ISREG(is->st_mode) ||
                    is_planted(is, &of))) {
        (void)close(fd);
        errno = EPERM;
        fd = -1;
    }
    return fd;
}

/* The same by its path. */
static int open_theirs(const char *path, struct stat *is)
{
    char folder[SPOOL_PATH_MAX];
    char *slash;
    int dir, fd, failed;

    if (!spool_path(folder, ".", path))
        return -1;
    slash = strrchr(folder, '/');
    if (slash == NULL)
        return -1;
    *slash = 0;
    dir = open(slash == folder ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    fd = spool_open_theirs(dir, slash + 1, is);
    failed = errno;
    (void)close(dir);
    errno = failed;
    return fd;
}

bool spool_read_theirs(const char *path, struct sp_buf *out)
{
    struct stat is;
    int fd = open_theirs(path, &is);
    bool ok = fd >= 0 && spool_read_whole(fd, out);

    if (fd >= 0)
        (void)close(fd);
    return ok;
}

bool spool_read_whole(int fd, struct sp_buf *out)
{
    ssize_t n = 1;

    while (n > 0) {
        uint8_t *to = sp_buf_reserve(out, READ_BLOCK);

        n = to == NULL ? -1 : read(fd, to, READ_BLOCK);
        if (n > 0)
            sp_buf_commit(out, (size_t)n);
    }
    return n == 0;
}

/* A new file in place of what bears the name, whatever that is. */
static int open_new(const char *to)
{
    if (unlink(to) != 0 && errno != ENOENT)
        return -1;
    return open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool spool_copy_file(const char *from, const char *to, uint64_t len)
{
    struct stat st;
    int in = open_theirs(from, &st);
    int out = in < 0 ? -1 : open_new(to);
    bool ok = in >= 0 && out >= 0 && copy_bytes(in, out, len);

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
    /* the first is given by us; what lies below may be a role's, and be a symbolic link by now */
    int fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth > 0 ? O_NOFOLLOW : 0));
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    bool ok = dir != NULL && depth <= DEPTH_MAX && spool_make_folder(to, from);

    while (ok && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = walk_one(w, from, to, entry->d_name, depth);
    if (dir != NULL)
        (void)closedir(dir);
    else if (fd >= 0)
        (void)close(fd);
    return ok && (w->links || spool_sync_folder(to)); /* names that are held need not last */
}

const char *spool_why(void)
{
    switch (errno) { /* else it is what some look at a file left there that need not be */
    case ENOSPC:
        return ": no space left on the disk";
    case EDQUOT:
        return ": the disk quota is used up";
    case EROFS:
        return ": the file system is mounted read-only";
    case EIO:
        return ": the disk fails (input/output error)";
    case EACCES:
    case EPERM:
        return ": permission denied";
    default:
        return "";
    }
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

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

uint64_t *spool_list_segments(const char *folder, size_t *count)
{
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    uint64_t *numbers = NULL;

    *count = 0;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct sp_bytes name = sp_bytes_cstr(entry->d_name);
        uint64_t n;

        if (!sp_bytes_ends_nocase(name, SP_LIT(".seg")) ||
            !sp_bytes_to_u64(sp_bytes_slice(name, 0, name.len - 4), &n))
            continue;
        numbers = sp_realloc(numbers, (*count + 1) * sizeof(*numbers));
        numbers[(*count)++] = n;
    }
    if (dir != NULL)
        (void)closedir(dir);
    if (*count > 0)
        qsort(numbers, *count, sizeof(*numbers), compare);
    return numbers;
}

/* returns: whether all went well */
static bool segment_path(char *out, const char *folder, uint64_t number)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "%012llu.seg", (unsigned long long)number);
    return spool_path(out, folder, name);
}

bool spool_drop_ended(const char *held, const char *from, const char *to)
{
    size_t count;
    uint64_t *numbers = spool_list_segments(held, &count);
    char path[SPOOL_PATH_MAX];
    size_t ended = 0;

    for (size_t i = 0; i + 1 < count; i++)
        if (numbers[i + 1] > numbers[i] + 1 && segment_path(path, from, numbers[i]) &&
            access(path, F_OK) != 0)
            ended = i + 1;
    for (size_t i = 0; i < ended; i++) {
        if (segment_path(path, held, numbers[i]))
            (void)unlink(path);
        if (segment_path(path, to, numbers[i]))
            (void)unlink(path);
    }
    sp_free(numbers);
    return ended > 0;
}
