/*
 * Power loss: random days of a gateway's storage are recorded, and the power goes at every operation of them, each time
 * with everything, nothing and seeded parts of what was not synced kept. Each disk so found is opened and judged; some are
 * run on to their end, and from some the power is taken again while they recover.
 *
 * A failure prints how to repeat it alone: SP_POWER="RUN AT HOW SEED" test/power_loss. SP_POWER_RUNS=N: other numbers of
 * runs than the default (which comes to more than 10,000 recoveries).
 */
#include "power/world.h"

#include "base/mem.h"
#include "support/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { RUNS = 4, STEPS = 90, END_EVERY = 97, PROOFS_EVERY = 16, AGAIN_EVERY = 41 };

/* Where memory was taken costs a third of the time, and is asked for by repeating one with it. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "malloc_context_size=2:quarantine_size_mb=8";
}

static size_t recoveries;

/* Judges one disk found. again: how the power goes once more during recovery, if below POWER_CRASHES */
static void judge_one(const struct world *day, uint64_t run, size_t at, struct power_walk *walk,
                      enum power_crash how, uint64_t seed)
{
    static struct world w;
    struct world_verdict v = {""};

    world_init_found(&w, day, at, power_walk_crash(walk, how, seed));
    world_judge_raw(&w, &v);
    if (world_open(&w) != SP_OK)
        (void)snprintf(v.text, sizeof(v.text), "the queue can't be opened");
    else
        world_judge(&w, at, recoveries % PROOFS_EVERY == 0, &v);
    if (v.text[0] == '\0' && recoveries % END_EVERY == 0)
        world_judge_end(&w, &v);
    recoveries++;
    if (v.text[0] == '\0' && recoveries % AGAIN_EVERY == 0) { /* and goes again while it recovers */
        struct power_walk *again = power_walk_new(w.disk);
        size_t now = power_disk_now(w.disk);
        static struct world second;

        power_walk_to(again, now == 0 ? 0 : (size_t)(seed * 7919) % now);
        world_init_found(&second, &w, at, power_walk_crash(again, POWER_SOME, seed + 1));
        if (world_open(&second) != SP_OK)
            (void)snprintf(v.text, sizeof(v.text), "the queue can't be opened after a second cut");
        else
            world_judge(&second, at, false, &v);
        world_clear(&second);
        power_walk_free(again);
        recoveries++;
    }
    world_clear(&w);
    ck_assert_msg(v.text[0] == '\0', "%s (repeat: SP_POWER=\"%llu %zu %d %llu\")", v.text,
                  (unsigned long long)run, at, (int)how, (unsigned long long)seed);
}

static void record_day(struct world *day, uint64_t run)
{
    world_init(day, run);
    ck_assert_int_eq(world_open(day), SP_OK);
    for (int i = 0; i < STEPS; i++)
        world_step(day);
    world_commit(day);
    world_turn(day);
}

static void every_moment(uint64_t run)
{
    static struct world day;
    struct power_walk *walk;

    record_day(&day, run);
    walk = power_walk_new(day.disk);
    for (size_t at = 0; at <= power_disk_now(day.disk); at++) {
        power_walk_to(walk, at);
        judge_one(&day, run, at, walk, POWER_ALL, at);
        if (power_walk_open(walk) == 0) /* everything is durable: there is nothing to choose */
            continue;
        judge_one(&day, run, at, walk, POWER_NONE, at);
        for (uint64_t seed = 0; seed < 4; seed++)
            judge_one(&day, run, at, walk, POWER_SOME, at * 1000 + seed);
    }
    power_walk_free(walk);
    world_clear(&day);
}

static void repeat(const char *text)
{
    unsigned long long run = strtoull(text, (char **)&text, 10);
    size_t at = strtoull(text, (char **)&text, 10);
    enum power_crash how = (enum power_crash)strtoull(text, (char **)&text, 10);
    uint64_t seed = strtoull(text, (char **)&text, 10);
    static struct world day;
    struct power_walk *walk;

    record_day(&day, run);
    walk = power_walk_new(day.disk);
    power_walk_to(walk, at);
    judge_one(&day, run, at, walk, how, seed);
    power_walk_free(walk);
    world_clear(&day);
}

START_TEST(whatever_a_power_cut_leaves_every_promise_is_kept)
{
    const char *runs = getenv("SP_POWER_RUNS");
    uint64_t count = runs == NULL ? RUNS : strtoull(runs, NULL, 10);

    if (getenv("SP_POWER") != NULL) {
        repeat(getenv("SP_POWER"));
        return;
    }
    for (uint64_t run = 1; run <= count; run++)
        every_moment(run);
    printf("power.loss: %zu recoveries\n", recoveries);
    if (runs == NULL)
        ck_assert_uint_ge(recoveries, 10000);
}
END_TEST

static void add(TCase *c)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < 65000 ? files.rlim_max : 65000;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    tcase_set_timeout(c, 600);
    tcase_add_test(c, whatever_a_power_cut_leaves_every_promise_is_kept);
}

SP_TEST_MAIN("power.loss", add)
