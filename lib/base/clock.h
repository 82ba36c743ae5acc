/*
 * Time and randomness, handed in so that tests can fake them. The real clock lives in io (io/clock.h).
 */
#ifndef SP_BASE_CLOCK_H
#define SP_BASE_CLOCK_H

#include "base/bytes.h"

struct sp_clock {
    int64_t (*mono_ms)(void *ctx); /* rises always; for deadlines */
    int64_t (*wall_ms)(void *ctx); /* since 1970 UTC; for records */
    void *ctx;
    int64_t (*steady_ms)(void *ctx); /* see sp_clock_steady_ms; NULL: the wall clock is never set */
};

/* thread: any. returns: milliseconds */
static inline int64_t sp_clock_mono_ms(const struct sp_clock *c)
{
    return c->mono_ms(c->ctx);
}
static inline int64_t sp_clock_wall_ms(const struct sp_clock *c)
{
    return c->wall_ms(c->ctx);
}

/*
 * The wall clock as it would be had nobody set it since the process began: for what is due at a time, and for how long
 * something has waited. A wall clock that jumps a day ahead and back would give mail up a day early, or let it lie for one.
 */
static inline int64_t sp_clock_steady_ms(const struct sp_clock *c)
{
    return c->steady_ms == NULL ? c->wall_ms(c->ctx) : c->steady_ms(c->ctx);
}

/* returns: what to add to a time that the wall clock says now to have it on the steady one */
static inline int64_t sp_clock_skew_ms(const struct sp_clock *c)
{
    return c->steady_ms == NULL ? 0 : c->steady_ms(c->ctx) - c->wall_ms(c->ctx);
}

struct sp_random {
    void (*fill)(void *ctx, void *out, size_t len); /* never fails */
    void *ctx;
};

/* The kernel's random numbers, or the test's. */
static inline void sp_random_fill(const struct sp_random *r, void *out, size_t len)
{
    r->fill(r->ctx, out, len);
}

/* returns: a number in 0 .. below-1, evenly distributed; below > 0 */
uint64_t sp_random_below(const struct sp_random *r, uint64_t below);

/* returns: getrandom(2) as a sp_random, static. thread: any */
const struct sp_random *sp_random_system(void);

#define SP_TIME_TEXT_MAX 40

/* Formats wall-clock milliseconds as 2026-11-23T15:04:05.118Z (RFC 3339). out: SP_TIME_TEXT_MAX bytes */
void sp_time_format_rfc3339(int64_t wall_ms, char *out);

/* Formats as Mon, 23 Nov 2026 15:04:05 +0000 (RFC 5322 3.3), always UTC. out: SP_TIME_TEXT_MAX bytes */
void sp_time_format_rfc5322(int64_t wall_ms, char *out);

/* returns: false if b is no RFC 3339 date-time in UTC ("Z") */
SP_MUST_CHECK bool sp_time_parse_rfc3339(struct sp_bytes b, int64_t *wall_ms);

#endif
