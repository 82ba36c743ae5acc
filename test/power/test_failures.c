/*
 * A disk that fails: the n-th operation of a day's storage fails (with EIO, ENOSPC, or as a short write), once, several
 * times in a row, or from then on until the disk is mended, for n = 1, 2, ... until none is left. Nothing acknowledged may
 * be lost, nothing refused may come back, nothing is sent twice, no sync is believed that follows a failed one of the same
 * bytes, and when the disk works again so does the gateway, without a hand. Last the power goes, and what is on the
 * platter is judged.
 *
 * The same for reads and for large allocations, of a start and of the day after it: nothing is taken for damage that can't be
 * read, or held, for a moment.
 *
 * A failure prints how to repeat it alone: SP_POWER="RUN ERRNO COUNT N" test/power_failures, or SP_POWER_START.
 */
#include "power/cut.h"

#include "base/mem.h"
#include "support/check_main.h"
#include "support/fault_board.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 34, START_STEPS = 12, EVERY = 0x7fffffff };

static size_t failures, starts;
static struct world_met met;

struct plan {
    uint64_t run;
    int errnum;
    size_t count;
    size_t n;
};

static void say(struct world_verdict *v, const char *text, const char *of)
{
    if (v->text[0] == '\0')
        (void)snprintf(v->text, sizeof(v->text), "%s%s", text, of);
}

/* Once the disk works, a few seconds are enough: a client is served, everything is delivered, once. */
static void must_work_again(struct world *w, struct world_verdict *v)
{
    struct world_message *m;

    power_disk_fail(w->disk, &(struct power_fault){0});
    for (int i = 0; i < 4; i++) {
        fake_clock_advance(&w->clock, 5000);
        if (w->queue == NULL)
            (void)world_open(w);
        if (w->own == NULL)
            say(v, "the ledger's journal is down", "");
        world_commit(w);
        world_turn(w);
    }
    if (w->queue == NULL || sp_queue_ready(w->queue) != SP_OK) {
        say(v, "the shard takes no mail though the disk works", "");
        return;
    }
    m = world_submit(w, 3000, 1);
    world_commit(w);
    if (m == NULL || m->accepted == 0)
        say(v, "a client was refused though the disk works", "");
    if (w->book == NULL)
        say(v, "the books are closed though the disk works", "");
    world_deliver_all(w, SP_RCPT_DELIVERED);
    for (size_t i = 0; i < w->message_count; i++)
        for (size_t n = 0; n < WORLD_RECIPIENTS; n++)
            if (w->sent_to[i][n] > 1)
                say(v, "a message was sent twice", "");
    if (sp_queue_stats(w->queue).recipients_busy > 0)
        say(v, "recipients are left busy", "");
    if (power_disk_false_sync(w->disk) != NULL)
        say(v, "a sync was believed after a failed one of the same bytes, of ",
            power_disk_false_sync(w->disk));
}

/* The power goes at the end, and nothing that was not synced is there. */
static void judge_platter(struct world *day, struct world_verdict *v)
{
    static struct world found;
    struct power_walk *walk = power_walk_new(day->disk);
    size_t now = power_disk_now(day->disk);

    power_walk_to(walk, now);
    world_init_found(&found, day, now, power_walk_crash(walk, POWER_NONE, 0));
    if (world_open(&found) != SP_OK)
        say(v, "the queue can't be opened after the power went", "");
    else
        world_judge(&found, now, failures % 8 == 0, v);
    world_clear(&found);
    power_walk_free(walk);
}

/* returns: false if there was no n-th operation to fail */
static bool run_one(const struct plan *p)
{
    static struct world day;
    struct world_verdict v = {""};
    struct power_fault fault = {p->n, p->count, p->errnum, ~0U};
    bool reached;

    world_init(&day, p->run);
    day.met = &met;
    if (p->run % 2 == 0)
        world_make_tight(&day);
    day.is_calm = true;
    if (p->errnum == 0)
        fault.kinds = 1U << POWER_WRITE;
    ck_assert_int_eq(world_open(&day), SP_OK);
    world_past(&day);
    fault.first += power_disk_passed(day.disk);
    power_disk_fail(day.disk, &fault);
    world_steps(&day, STEPS);
    reached = power_disk_passed(day.disk) >= fault.first;
    must_work_again(&day, &v);
    judge_platter(&day, &v);
    world_clear(&day);
    failures++;
    ck_assert_msg(v.text[0] == '\0', "%s (repeat: SP_POWER=\"%llu %d %zu %zu\")", v.text,
                  (unsigned long long)p->run, p->errnum, p->count, p->n);
    return reached;
}

/* One run alone, or another test's. */
static bool is_repeat(const char *name, const char *other, bool (*run)(const struct plan *p))
{
    const char *text = getenv(name);
    struct plan p;

    if (text == NULL)
        return getenv(other) != NULL;
    p.run = strtoull(text, (char **)&text, 10);
    p.errnum = (int)strtol(text, (char **)&text, 10);
    p.count = strtoull(text, (char **)&text, 10);
    p.n = strtoull(text, (char **)&text, 10);
    (void)run(&p);
    return true;
}

/* errnum ENOMEM: the n-th allocation of something large fails; else reads do. */
static void strike(struct world *w, const struct plan *p, struct power_fault *fault)
{
    *fault = (struct power_fault){p->n + power_disk_reads(w->disk), p->count, p->errnum, 0};
    if (p->errnum == ENOMEM)
        (void)fault_board_arm("memory.large", p->n);
    else
        power_disk_fail_reads(w->disk, fault);
}

/* returns: whether something failed */
static bool strike_end(struct world *w, const struct plan *p, const struct power_fault *fault)
{
    bool reached = power_disk_reads(w->disk) >= fault->first;

    if (p->errnum == ENOMEM) {
        reached = fault_board_struck();
        fault_board_end();
    }
    power_disk_fail_reads(w->disk, &(struct power_fault){0});
    return reached;
}

/* The n-th read, or large allocation, of a start behind a kill or a clean stop, and of the day after it. returns: as run_one */
static bool start_one(const struct plan *p)
{
    static struct world day;
    struct world_verdict v = {""};
    struct power_fault fault;
    bool reached;

    world_init(&day, p->run);
    day.met = &met;
    if (p->run % 2 == 0)
        world_make_tight(&day);
    day.is_calm = true;
    ck_assert_int_eq(world_open(&day), SP_OK);
    world_past(&day);
    world_steps(&day, STEPS);
    if (p->run % 4 < 2)
        world_close(&day);
    strike(&day, p, &fault);
    if (p->run % 4 < 2)
        (void)world_open(&day);
    else
        world_kill(&day);
    if (day.queue != NULL)
        world_steps(&day, p->errnum == ENOMEM ? 2 * STEPS : START_STEPS);
    reached = strike_end(&day, p, &fault);
    if (day.queue == NULL || day.own == NULL) /* who did not come up is started anew */
        world_kill(&day);
    must_work_again(&day, &v);
    judge_platter(&day, &v);
    world_clear(&day);
    starts++;
    ck_assert_msg(v.text[0] == '\0', "%s (repeat: SP_POWER_START=\"%llu %d %zu %zu\")", v.text,
                  (unsigned long long)p->run, p->errnum, p->count, p->n);
    return reached;
}

/* least: runs that each plan must have */
static void walk_starts(const struct plan *plans, size_t count, size_t least)
{
    for (size_t i = 0; i < count; i++) {
        struct plan p = plans[i];

        do
            p.n += 1 + p.n / 24; /* the first each, then in growing steps: they are much alike */
        while (start_one(&p));
        ck_assert_uint_gt(p.n, least);
    }
}

START_TEST(any_read_may_fail)
{
    static const struct plan plans[] = {
        {1, EIO, 1, 0}, {2, EIO, 1, 0}, {3, EIO, 3, 0}, {4, EIO, EVERY, 0}, {6, EIO, 1, 0}};

    if (is_repeat("SP_POWER_START", "SP_POWER", start_one))
        return;
    walk_starts(plans, SP_ARRAY_LEN(plans), 40);
    printf("power.failures: %zu runs with reads that fail\n", starts);
}
END_TEST

START_TEST(any_large_allocation_may_fail)
{
    static const struct plan plans[] = {
        {1, ENOMEM, 1, 0}, {2, ENOMEM, 1, 0}, {3, ENOMEM, 1, 0}, {6, ENOMEM, 1, 0}};
    bool has_points = fault_board_arm("memory.large", 1);

    fault_board_end();
    if (!has_points || getenv("SP_POWER_START") != NULL || getenv("SP_POWER") != NULL)
        return;
    starts = 0;
    walk_starts(plans, SP_ARRAY_LEN(plans), 4); /* bodies and what is carried: a few a day */
    printf("power.failures: %zu runs without memory\n", starts);
}
END_TEST

START_TEST(any_operation_may_fail)
{
    static const struct plan plans[] = {
        {1, EIO, 1, 0},     {2, ENOSPC, 1, 0},     {3, EIO, 3, 0},
        {4, EIO, EVERY, 0}, {5, ENOSPC, EVERY, 0}, {6, 0, 1, 0},
    };

    if (is_repeat("SP_POWER", "SP_POWER_START", run_one))
        return;
    for (size_t i = 0; i < SP_ARRAY_LEN(plans); i++) {
        struct plan p = plans[i];

        do
            p.n++;
        while (run_one(&p));
        ck_assert_uint_gt(p.n, 40);
    }
    printf("power.failures: %zu runs; %zu footers read, %zu carried, %zu redirected\n", failures,
           met.footers, met.carried, met.redirected);
    ck_assert_uint_gt(met.footers, 0);
    ck_assert_uint_gt(met.carried, 0);
    ck_assert_uint_gt(met.redirected, 0);
}
END_TEST

static void add(TCase *c)
{
    power_allow_files();
    tcase_set_timeout(c, 600);
    tcase_add_test(c, any_operation_may_fail);
    tcase_add_test(c, any_read_may_fail);
    tcase_add_test(c, any_large_allocation_may_fail);
}

SP_TEST_MAIN("power.failures", add)
