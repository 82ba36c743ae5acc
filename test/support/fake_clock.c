/*
 * Time and randomness under a test's control, so that no test sleeps and every failure repeats.
 */
#include "support/fake_clock.h"

#define NOON 1795348800000 /* 2026-11-22T12:00:00Z */

static int64_t mono_ms(void *ctx)
{
    return ((struct fake_clock *)ctx)->mono_ms;
}

static int64_t wall_ms(void *ctx)
{
    return ((struct fake_clock *)ctx)->wall_ms;
}

void fake_clock_init(struct fake_clock *fake, int64_t wall)
{
    *fake = (struct fake_clock){
        .clock = {mono_ms, wall_ms, fake}, .mono_ms = 1000000, .wall_ms = wall == 0 ? NOON : wall};
}

void fake_clock_advance(struct fake_clock *fake, int64_t ms)
{
    fake->mono_ms += ms;
    fake->wall_ms += ms;
}

/* splitmix64, by Sebastiano Vigna, in the public domain */
static void fill(void *ctx, void *out, size_t len)
{
    struct fake_random *fake = ctx;
    uint8_t *at = out;

    for (size_t i = 0; i < len; i++) {
        uint64_t z = (fake->state += 0x9e3779b97f4a7c15U);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        at[i] = (uint8_t)(z >> 56);
    }
}

void fake_random_init(struct fake_random *fake, uint64_t seed)
{
    *fake = (struct fake_random){.random = {fill, fake}, .state = seed};
}
