/*
 * `sallyport upgrade`: asks the supervisor to make room for the program that is now installed, and waits until that one
 * is ready. The lock file of the state folder says who the supervisor is and how far it has come (sallyport/handover.c).
 */
#include "gateway/cli-control/control.h"

#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SECONDS 120
#define STEP_NS      50000000L
#define TEXT_MAX     256

struct supervisor_state {
    uint64_t pid;
    uint64_t start;
    uint64_t tries;
    char state[32];
    char version[64];
};

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

static bool read_state(int fd, struct supervisor_state *out)
{
    char text[TEXT_MAX];
    ssize_t n = pread(fd, text, sizeof(text), 0);
    struct sp_bytes rest = sp_bytes(text, n < 0 ? 0 : (size_t)n);

    *out = (struct supervisor_state){0};
    return take_number(&rest, &out->pid) && take_number(&rest, &out->start) &&
           take_number(&rest, &out->tries) &&
           take_text(&rest, ' ', out->state, sizeof(out->state)) &&
           take_text(&rest, '\n', out->version, sizeof(out->version)) && out->pid > 1 &&
           out->pid <= INT32_MAX;
}

static int open_lock(const struct control *c)
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
        (void)fprintf(stderr, "sallyport: %s can't be read: %s\n", path, strerrordesc_np(errno));
    return fd;
}

/* A lock that can be had is nobody's. */
static bool somebody_runs(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        return errno == EWOULDBLOCK;
    (void)flock(fd, LOCK_UN);
    return false;
}

static int tell(const struct control *c, int code, const struct supervisor_state *before,
                const struct supervisor_state *now)
{
    if (c->json)
        (void)printf("{\"from\":\"%s\",\"state\":\"%s\",\"to\":\"%s\"}\n", before->version,
                     now->state, code == CONTROL_OK ? now->version : before->version);
    else if (code == CONTROL_OK)
        (void)printf("%s has taken over from %s\n", now->version, before->version);
    else if (code == CONTROL_REFUSED)
        (void)fprintf(stderr, "sallyport: the installed program can't take over; the gateway's log "
                              "says why. It goes on as it was.\n");
    else if (code == CONTROL_UNKNOWN)
        (void)fprintf(stderr, "sallyport: not over after %d s (%s): look at the gateway's log\n",
                      WAIT_SECONDS, now->state);
    else
        (void)fprintf(stderr, "sallyport: the gateway has ended\n");
    return code;
}

static int await(const struct control *c, int fd, const struct supervisor_state *before)
{
    const struct timespec step = {.tv_nsec = STEP_NS};
    struct supervisor_state now = *before;

    for (long waited = 0; waited < WAIT_SECONDS * (1000000000L / STEP_NS); waited++) {
        (void)nanosleep(&step, NULL);
        if (!somebody_runs(fd))
            return tell(c, CONTROL_ABSENT, before, &now);
        if (!read_state(fd, &now))
            continue;
        if (now.start > before->start && strcmp(now.state, "ready") == 0)
            return tell(c, CONTROL_OK, before, &now);
        if (now.start == before->start && now.tries > before->tries &&
            strcmp(now.state, "refused") == 0)
            return tell(c, CONTROL_REFUSED, before, &now);
    }
    return tell(c, CONTROL_UNKNOWN, before, &now);
}

int control_upgrade(const struct control *c)
{
    struct supervisor_state before;
    int fd = open_lock(c);
    int code;

    if (fd < 0)
        return CONTROL_NO_INPUT;
    if (!somebody_runs(fd) || !read_state(fd, &before)) {
        (void)fprintf(stderr,
                      "sallyport: no gateway runs on this folder that can be upgraded so\n");
        code = CONTROL_ABSENT;
    } else if (kill((pid_t)before.pid, SIGUSR2) != 0) {
        (void)fprintf(stderr, "sallyport: the gateway (process %ld) can't be told: %s\n",
                      (long)before.pid, strerrordesc_np(errno));
        code = CONTROL_REFUSED;
    } else {
        code = await(c, fd, &before);
    }
    close(fd);
    return code;
}
