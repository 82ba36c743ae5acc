/*
 * Who the supervisor is and how far it has come: the lock file of the state folder says so (sallyport/handover.c). What
 * is told by signal, as upgrade and reload, goes to the process that holds the lock, and to no other.
 */
#include "gateway/cli-control/control.h"

#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define TEXT_MAX 256

static bool take_text(struct sp_bytes *rest, uint8_t separator, char *out, size_t len)
{
    struct sp_bytes part;

    if (!sp_bytes_split(rest, separator, &part) || part.len >= len)
        return false;
    memcpy(out, part.ptr, part.len);
    out[part.len] = 0;
    return true;
}

static bool take_number(struct sp_bytes *rest, uint64_t *out)
{
    struct sp_bytes part;

    return sp_bytes_split(rest, ' ', &part) && sp_bytes_to_u64(part, out);
}

bool control_supervisor_read(int fd, struct control_supervisor *out)
{
    char text[TEXT_MAX];
    ssize_t n = pread(fd, text, sizeof(text), 0);
    struct sp_bytes rest = sp_bytes(text, n < 0 ? 0 : (size_t)n);

    *out = (struct control_supervisor){0};
    return take_number(&rest, &out->pid) && take_number(&rest, &out->start) &&
           take_number(&rest, &out->tries) &&
           take_text(&rest, ' ', out->state, sizeof(out->state)) &&
           take_text(&rest, '\n', out->version, sizeof(out->version)) && out->pid > 1 &&
           out->pid <= INT32_MAX;
}

int control_supervisor_open(const struct control *c)
{
    SP_AUTO(sp_config) config = NULL;
    char path[4096];
    int fd = -1;
    int n;

    if (control_settings(c, &config) != CONTROL_OK)
        return -1;
    n = snprintf(path, sizeof(path), "%s/supervisor.lock", config->state_dir);
    if (n > 0 && (size_t)n < sizeof(path))
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        (void)control_say(c, CONTROL_NO_INPUT, "input", "%s can't be read: %s", path,
                          strerrordesc_np(errno));
    return fd;
}

/* A lock that can be had is nobody's. */
bool control_supervisor_runs(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        return errno == EWOULDBLOCK;
    (void)flock(fd, LOCK_UN);
    return false;
}

int control_reload(const struct control *c)
{
    struct control_supervisor now;
    int fd = control_supervisor_open(c);
    int code = CONTROL_ABSENT;

    if (fd < 0)
        return code;
    if (control_supervisor_runs(fd) && control_supervisor_read(fd, &now))
        code = kill((pid_t)now.pid, SIGHUP) == 0 ? CONTROL_OK : CONTROL_REFUSED;
    close(fd);
    return code;
}
