/*
 * A timer of the kernel that sends SIGVTALRM, whose default is to end the process, and which nobody here handles: the
 * supervisor sees by it why a role has gone. SIGALRM is taken, it limits a role's stop.
 */
#include "role/watchdog.h"

#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

struct sp_watchdog {
    timer_t timer;
};

enum sp_rc sp_watchdog_new(struct sp_watchdog **out, struct sp_err *err)
{
    struct sp_watchdog *w = sp_calloc(1, sizeof(*w));
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGVTALRM};

    if (timer_create(CLOCK_MONOTONIC, &event, &w->timer) != 0) {
        sp_fail_errno(err, SP_E_ROLE_START, errno, "a timer for the watchdog");
        sp_free(w);
        return SP_E_ROLE_START;
    }
    *out = w;
    return SP_OK;
}

void sp_watchdog_free(struct sp_watchdog *w)
{
    if (w != NULL)
        timer_delete(w->timer);
    sp_free(w);
}

static void set(struct sp_watchdog *w, int64_t limit_ms)
{
    struct itimerspec at = {
        .it_value = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000}};

    sp_assert(timer_settime(w->timer, 0, &at, NULL) == 0);
}

void sp_watchdog_start(struct sp_watchdog *w, int64_t limit_ms)
{
    set(w, limit_ms > 0 ? limit_ms : 1);
}

void sp_watchdog_cancel(struct sp_watchdog *w)
{
    set(w, 0);
}
