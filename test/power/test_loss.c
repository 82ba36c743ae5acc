/*
 * Power loss: random days of a gateway's storage are recorded, and the power goes at every operation of them, each time
 * with everything, nothing and seeded parts of what was not synced kept. Each disk so found is opened and judged; some are
 * run on to their end, and from some the power is taken again while they recover.
 *
 * A failure prints how to repeat it alone: SP_POWER="RUN AT HOW SEED" power_loss. SP_POWER_RUNS=N: another number of days
 * than the default (which comes to more than 10,000 recoveries).
 */
#include "power/cut.h"

#include "support/check_main.h"

#include <stdio.h>
#include <stdlib.h>

/* Every second day is a tight one. */
enum { RUNS = 4, STEPS = 80, END_EVERY = 97, PROOFS_EVERY = 16, AGAIN_EVERY = 41 };

static size_t recoveries;
static struct world_met met;

static void judge_one(const struct world *day, uint64_t run, struct power_walk *walk,
                      struct power_cut c)
{
    struct world_verdict v;

    c.proofs = recoveries % PROOFS_EVERY == 0;
    c.records = recoveries % 4 == 0;
    c.to_end = recoveries % END_EVERY == 0;
    c.again = recoveries % AGAIN_EVERY == 0;
    power_cut(day, walk, &c, &v);
    recoveries += c.again ? 2 : 1;
    ck_assert_msg(v.text[0] == '\0', "%s (repeat: SP_POWER=\"%llu %zu %d %llu\")", v.text,
                  (unsigned long long)run, c.at, (int)c.how, (unsigned long long)c.seed);
}

static void every_moment(uint64_t run)
{
    static struct world day;
    struct power_walk *walk;

    size_t from = power_record(&day, &(struct power_day){run, STEPS, NULL, run % 2 == 0}, &met);

    walk = power_walk_new(day.disk);
    for (size_t at = from; at <= power_disk_now(day.disk); at++) {
        power_walk_to(walk, at);
        judge_one(&day, run, walk, (struct power_cut){.at = at, .how = POWER_ALL, .seed = at});
        if (power_walk_open(walk) == 0) /* everything is durable: there is nothing to choose */
            continue;
        judge_one(&day, run, walk, (struct power_cut){.at = at, .how = POWER_NONE, .seed = at});
        for (uint64_t seed = 0; seed < 4; seed++)
            judge_one(&day, run, walk,
                      (struct power_cut){.at = at, .how = POWER_SOME, .seed = at * 1000 + seed});
    }
    power_walk_free(walk);
    world_clear(&day);
}

static void repeat(const char *text)
{
    static struct world day;
    struct power_walk *walk;
    struct power_cut c = {.proofs = true};
    struct world_verdict v;
    unsigned long long run = strtoull(text, (char **)&text, 10);

    c.at = strtoull(text, (char **)&text, 10);
    c.how = (enum power_crash)strtoul(text, (char **)&text, 10);
    c.seed = strtoull(text, (char **)&text, 10);
    (void)power_record(&day, &(struct power_day){run, STEPS, NULL, run % 2 == 0}, NULL);
    walk = power_walk_new(day.disk);
    power_walk_to(walk, c.at);
    c.again = true;
    c.to_end = true;
    power_cut(&day, walk, &c, &v);
    power_walk_free(walk);
    world_clear(&day);
    ck_assert_msg(v.text[0] == '\0', "%s", v.text);
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
    printf("power.loss: %zu recoveries; %zu footers read, %zu carried, %zu redirected\n",
           recoveries, met.footers, met.carried, met.redirected);
    if (runs != NULL)
        return;
    ck_assert_uint_ge(recoveries, 10000);
    ck_assert_uint_gt(met.footers, 0);
    ck_assert_uint_gt(met.carried, 0);
    ck_assert_uint_gt(met.redirected, 0);
}
END_TEST

static void add(TCase *c)
{
    power_allow_files();
    tcase_set_timeout(c, 600);
    tcase_add_test(c, whatever_a_power_cut_leaves_every_promise_is_kept);
}

SP_TEST_MAIN("power.loss", add)
