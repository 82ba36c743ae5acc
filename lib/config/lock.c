/*
 * The lock is a file that its owner alone can open. The folder itself would do for all who behave, but whoever may read a folder may
 * lock it, and so any user of the machine could keep its administrators from changing a policy. Owner is who owns what is changed,
 * since he may do so beside root. Only what was made here is given to him: what lies there already may be a link to something else.
 */
#include "config/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LEN_MAX 4096

/* Somebody's who acts as himself is his already. */
static void give(int fd, const struct stat *to)
{
    if (geteuid() == 0)
        (void)!fchown(fd, to->st_uid, to->st_gid);
}

static enum sp_rc make_history(const char *folder, const struct stat *owner, char *path)
{
    int n = snprintf(path, PATH_LEN_MAX, "%s/" SP_CONFIG_HISTORY, folder);
    int fd;

    if (n < 0 || n >= PATH_LEN_MAX) {
        errno = ENAMETOOLONG;
        return SP_E_IO;
    }
    if (mkdir(path, 0755) != 0)
        return errno == EEXIST ? SP_OK : SP_E_IO;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        give(fd, owner);
        (void)close(fd);
    }
    return SP_OK;
}

static int open_file(const char *path, const struct stat *owner)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd >= 0)
        give(fd, owner);
    else if (errno == EEXIST)
        fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd;
}

enum sp_rc sp_config_lock(const char *folder, const char *name, const char *like, int *fd)
{
    char history[PATH_LEN_MAX], path[PATH_LEN_MAX + 64];
    struct stat owner;
    int held, why;

    if (stat(like, &owner) != 0 && stat(folder, &owner) != 0)
        return SP_E_IO;
    if (make_history(folder, &owner, history) != SP_OK)
        return SP_E_IO;
    (void)snprintf(path, sizeof(path), "%s/%s", history, name);
    held = open_file(path, &owner);
    if (held < 0)
        return SP_E_IO;
    if (flock(held, LOCK_EX | LOCK_NB) == 0) {
        *fd = held;
        return SP_OK;
    }
    why = errno;
    (void)close(held);
    errno = why;
    return why == EWOULDBLOCK ? SP_E_EXISTS : SP_E_IO;
}
