/*
 * Ends this process when a piece of work takes too long: for work that a peer's input may drive into a loop, in code that
 * does not look at clocks. The kernel does it, whatever the process does. thread: any
 */
#ifndef SP_ROLE_WATCHDOG_H
#define SP_ROLE_WATCHDOG_H

#include "base/err.h"

struct sp_watchdog;

/* owner: the caller. returns: SP_OK, or SP_E_ROLE_START: the kernel has no timer left */
SP_MUST_CHECK enum sp_rc sp_watchdog_new(struct sp_watchdog **out, struct sp_err *err);

/* Cancels it. NULL is allowed. */
void sp_watchdog_free(struct sp_watchdog *w);

/* From now on the process has so long; what was set before no longer counts. limit_ms: at least 1 */
void sp_watchdog_start(struct sp_watchdog *w, int64_t limit_ms);

/* The work is done. */
void sp_watchdog_cancel(struct sp_watchdog *w);

#endif
