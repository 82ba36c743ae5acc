/*
 * A key file is written whole and durable, readable by its owner alone, who is the owner of its folder: the command may run as
 * root, the gateway's files may be somebody else's. It is never put over one that is there.
 */
#include "gateway/cli-dkim/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens the folder that path lies in. returns: its descriptor, or -1 with errno */
static int open_parent(const char *path, struct stat *st)
{
    char copy[PATH_MAX];
    int fd;

    snprintf(copy, sizeof(copy), "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, st) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

bool key_folder_make(const char *path)
{
    struct stat st;
    int parent, fd, why;
    bool ok;

    if (mkdir(path, 0700) != 0)
        return errno == EEXIST;
    parent = open_parent(path, &st);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    ok = parent >= 0 && fd >= 0 && (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0) &&
         fsync(parent) == 0;
    why = errno;
    if (fd >= 0)
        (void)close(fd);
    if (parent >= 0)
        (void)close(parent);
    if (!ok)
        (void)rmdir(path);
    errno = why;
    return ok;
}

bool key_file_write(const char *path, struct sp_bytes pem)
{
    struct stat st;
    int dir = open_parent(path, &st), fd = -1, why;
    bool ok = false;

    if (dir >= 0)
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        ok = (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0) &&
             write(fd, pem.ptr, pem.len) == (ssize_t)pem.len && fsync(fd) == 0;
        ok = close(fd) == 0 && ok && fsync(dir) == 0;
        if (!ok)
            (void)unlink(path);
    }
    why = errno;
    if (dir >= 0)
        (void)close(dir);
    errno = why;
    return ok;
}
