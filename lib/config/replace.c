/*
 * The new file begins as one that only who writes can read, and is opened to others before anything is in it, to those alone
 * who could read the old one: an administrator who closed a list of people would not see that a nightly refresh opened it.
 * What can't be given back to its owner is not written, since with another group the same mode means other people. The mode
 * is set first: who has given a file away may not change it. A link is neither replaced, since what it points at would stay as it is
 * and somebody believes in it, nor followed, since who owns the folder may not own that.
 */
#include "config/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* returns: whether the owner, group and mode are now those of the file at path, if there is one */
static enum sp_rc make_like(int fd, const char *path, mode_t mode)
{
    struct stat old, own;

    if (stat(path, &old) != 0) {
        mode_t mask = umask(0);

        (void)umask(mask);
        return errno == ENOENT && fchmod(fd, mode & ~mask) == 0 ? SP_OK : SP_E_IO;
    }
    if (fstat(fd, &own) != 0 || fchmod(fd, old.st_mode & 0777) != 0)
        return SP_E_IO;
    if (own.st_uid == old.st_uid && own.st_gid == old.st_gid)
        return SP_OK;
    return fchown(fd, old.st_uid, old.st_gid) == 0 ? SP_OK : SP_E_DENIED;
}

static enum sp_rc write_whole(int fd, struct sp_bytes text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return SP_E_IO;
        text = sp_bytes_slice(text, (size_t)n, text.len);
    }
    return fsync(fd) == 0 ? SP_OK : SP_E_IO;
}

static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

void sp_config_sync_beside(const char *path)
{
    static const char *const which[] = {".", ".."};
    const char *slash = strrchr(path, '/');
    char folder[SP_CONFIG_PATH_MAX];

    for (size_t i = 0; i < SP_ARRAY_LEN(which); i++) {
        int len = snprintf(folder, sizeof(folder), "%.*s%s",
                           slash == NULL ? 0 : (int)(slash - path + 1), path, which[i]);

        if (len > 0 && (size_t)len < sizeof(folder))
            sync_folder(folder);
    }
}

bool sp_config_is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

enum sp_rc sp_config_draft_write(struct sp_config_draft *d, const char *path, struct sp_bytes text,
                                 mode_t mode)
{
    int n = snprintf(d->path, sizeof(d->path), "%s", path);
    int m = snprintf(d->beside, sizeof(d->beside), "%s.new~",
                     path); /* what ends so is no configuration */
    enum sp_rc rc;
    int fd;

    if (n < 0 || m < 0 || (size_t)m >= sizeof(d->beside))
        return SP_E_LIMIT;
    if (sp_config_is_link(path))
        return SP_E_DENIED;
    (void)unlink(d->beside); /* one that was never ended, with whatever mode */
    fd = open(d->beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return SP_E_IO;
    rc = make_like(fd, path, mode);
    if (rc == SP_OK)
        rc = write_whole(fd, text);
    if (close(fd) != 0 && rc == SP_OK)
        rc = SP_E_IO;
    if (rc != SP_OK)
        (void)unlink(d->beside);
    return rc;
}

enum sp_rc sp_config_draft_put(struct sp_config_draft *d)
{
    if (rename(d->beside, d->path) != 0) {
        sp_config_draft_drop(d);
        return SP_E_IO;
    }
    sp_config_sync_beside(d->path);
    return SP_OK;
}

void sp_config_draft_drop(struct sp_config_draft *d)
{
    int why = errno;

    (void)unlink(d->beside);
    errno = why;
}

enum sp_rc sp_config_replace(const char *path, struct sp_bytes text, mode_t mode)
{
    struct sp_config_draft d;
    enum sp_rc rc = sp_config_draft_write(&d, path, text, mode);

    return rc == SP_OK ? sp_config_draft_put(&d) : rc;
}
