/*
 * Reading whole files, with a limit, and joining paths.
 */
#include "gateway/sallyport/supervisor.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static enum sp_rc read_all(int fd, const char *path, struct sp_buf *out, struct sp_err *err)
{
    for (;;) {
        uint8_t *room = sp_buf_reserve(out, 65536);
        ssize_t n;

        if (room == NULL)
            return sp_fail(err, SP_E_LIMIT, "%s is too long", path);
        n = SP_FAULT_ERRNO("supervisor.read", EIO) ? -1 : read(fd, room, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sp_fail_errno(err, SP_E_IO, errno, "%s", path);
        if (n == 0)
            return SP_OK;
        sp_buf_commit(out, (size_t)n);
    }
}

enum sp_rc file_read(const char *path, struct sp_buf *out, struct sp_err *err)
{
    int fd = SP_FAULT_ERRNO("supervisor.open", EMFILE)
                 ? -1
                 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum sp_rc rc;

    if (fd < 0)
        return sp_fail_errno(err, errno == ENOENT ? SP_E_NOT_FOUND : SP_E_IO, errno, "%s", path);
    rc = read_all(fd, path, out, err);
    close(fd);
    return rc;
}

enum sp_rc path_join(const char *folder, const char *name, char out[PATH_LEN_MAX])
{
    int len;

    if (name[0] == '/')
        len = snprintf(out, PATH_LEN_MAX, "%s", name);
    else
        len = snprintf(out, PATH_LEN_MAX, "%s/%s", folder, name);
    return len < 0 || len >= PATH_LEN_MAX ? SP_E_LIMIT : SP_OK;
}
