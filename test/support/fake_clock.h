/*
 * A clock that moves only when told to.
 */
#ifndef SP_TEST_SUPPORT_FAKE_CLOCK_H
#define SP_TEST_SUPPORT_FAKE_CLOCK_H

#include "base/clock.h"

struct fake_clock {
    struct sp_clock clock; /* hand &fake.clock to what is tested */
    int64_t mono_ms;
    int64_t wall_ms;
};

/* Starts at wall_ms (0: 2026-11-22T12:00:00Z) and a monotonic time of 1,000,000 ms. */
void fake_clock_init(struct fake_clock *fake, int64_t wall_ms);

/* Moves both times on. */
void fake_clock_advance(struct fake_clock *fake, int64_t ms);

/* Random numbers that repeat: a seeded sequence. Not for keys of real use. */
struct fake_random {
    struct sp_random random;
    uint64_t state;
};
void fake_random_init(struct fake_random *fake, uint64_t seed);

#endif
