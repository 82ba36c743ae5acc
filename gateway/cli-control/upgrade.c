/*
 * `sallyport upgrade`: asks the supervisor to make room for the program that is now installed, and waits until that one
 * is ready. The lock file of the state folder says who the supervisor is and how far it has come (sallyport/handover.c).
 */
#include "gateway/cli-control/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SECONDS 120
#define STEP_NS      50000000L

static int tell(const struct control *c, int code, const struct control_supervisor *before,
                const struct control_supervisor *now)
{
    if (c->json)
        (void)printf("{\"from\":\"%s\",\"state\":\"%s\",\"to\":\"%s\"}\n", before->version,
                     now->state, code == CONTROL_OK ? now->version : before->version);
    else if (code == CONTROL_OK)
        (void)printf("%s has taken over from %s\n", now->version, before->version);
    if (code == CONTROL_REFUSED)
        (void)control_say(c, code, "refused",
                          "the installed program can't take over; the gateway's log says why. It "
                          "goes on as it was.");
    else if (code == CONTROL_UNKNOWN)
        (void)control_say(c, code, "unknown", "not over after %d s (%s): look at the gateway's log",
                          WAIT_SECONDS, now->state);
    else if (code != CONTROL_OK)
        (void)control_say(c, code, "absent", "the gateway has ended");
    return code;
}

static int await(const struct control *c, int fd, const struct control_supervisor *before)
{
    const struct timespec step = {.tv_nsec = STEP_NS};
    struct control_supervisor now = *before;

    for (long waited = 0; waited < WAIT_SECONDS * (1000000000L / STEP_NS); waited++) {
        (void)nanosleep(&step, NULL);
        if (!control_supervisor_runs(fd))
            return tell(c, CONTROL_ABSENT, before, &now);
        if (!control_supervisor_read(fd, &now))
            continue;
        if (now.start > before->start && strcmp(now.state, "ready") == 0)
            return tell(c, CONTROL_OK, before, &now);
        if (now.start == before->start && now.tries > before->tries &&
            strcmp(now.state, "refused") == 0)
            return tell(c, CONTROL_REFUSED, before, &now);
    }
    return tell(c, CONTROL_UNKNOWN, before, &now);
}

/* Who asks for it is on record before anything is done; a ledger that can't be told is no reason to stay with the old. */
static void note(const struct control *c)
{
    const struct control_member what = {"what", "upgrade"};
    struct control asked = *c;
    struct control_answer answer;

    asked.mute = true;
    if (control_ask_about(&asked, "audit.note", &what, 1, &answer) != CONTROL_OK)
        (void)control_say(c, CONTROL_OK, "audit", "the audit was not told of this upgrade");
    control_answer_clear(&answer);
}

int control_upgrade(const struct control *c)
{
    struct control_supervisor before;
    int fd = control_supervisor_open(c);
    int code;

    if (fd < 0)
        return CONTROL_NO_INPUT;
    if (control_supervisor_runs(fd))
        note(c);
    if (!control_supervisor_runs(fd) || !control_supervisor_read(fd, &before)) {
        code = control_say(c, CONTROL_ABSENT, "absent",
                           "no gateway runs on this folder that can be upgraded so");
    } else if (kill((pid_t)before.pid, SIGUSR2) != 0) {
        code = control_say(c, CONTROL_REFUSED, "refused",
                           "the gateway (process %ld) can't be told: %s", (long)before.pid,
                           strerrordesc_np(errno));
    } else {
        code = await(c, fd, &before);
    }
    close(fd);
    return code;
}
