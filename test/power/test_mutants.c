/*
 * The test of the test: each place where storage is synced is left out in turn (the disk says that it did well and has
 * done nothing), and the judgement of power cuts must notice. Places are found by running: a new sync is a new mutant,
 * which must be caught or stand below with the reason why it may be missing.
 *
 * SP_POWER_SITE="...": that one alone.
 */
#include "power/cut.h"

#include "base/bytes.h"
#include "support/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 100, PASSES = 4 };

/* Each is looked at in turn, until one shows what is missing. */
static const struct power_day days[] = {
    {.run = 1}, {.run = 2, .is_tight = true},
    {.run = 7}, {.run = 4, .is_tight = true},
    {.run = 2}, {.run = 3},
    {.run = 4},
};

/* Syncs for speed or order that something else makes safe, too. */
static const struct {
    const char *site;
    const char *why;
} not_needed[] = {
    {"acts sync of spare", "the same code as the spool's, which is caught"},
    {"acts folder sync after rename to keyring",
     "it guards nothing; the numbering of the segment follows"},
    {"acts sync of segment at restart", "the same code as the spool's, which is caught"},
    {"acts folder sync after unlink segment",
     "a file that comes back has no key, and there is nothing to tell"},
    {"ledger sync of state.db-journal", "SQLite's own, while it makes an empty database"},
    {"ledger folder sync after create state.db-journal", "as above"},
    {"ledger folder sync after create state.db-wal",
     "the audit file's folder is the same, and is synced next"},
    {"ledger folder sync after rename to audit.jsonl.pub", "written anew at every start"},
    {"ledger folder sync after rename to audit.jsonl.head",
     "as above; an older one speaks of fewer lines"},
};

static char sites[POWER_SITES][POWER_SITE_MAX];
static size_t site_count;

static void collect(void)
{
    static struct world day;

    for (size_t n = 0; n < SP_ARRAY_LEN(days); n++) {
        struct power_day of = days[n];

        of.steps = STEPS;
        (void)power_record(&day, &of, NULL);
        for (size_t i = 0; power_disk_site(day.disk, i) != NULL; i++) {
            const char *site = power_disk_site(day.disk, i);
            size_t k = 0;

            while (k < site_count && strcmp(sites[k], site) != 0)
                k++;
            if (k == site_count && k < POWER_SITES)
                memcpy(sites[site_count++], site, POWER_SITE_MAX);
        }
        world_clear(&day);
    }
}

/* pass: another look at the same day, with other things lost. returns: whether a day without that sync is found out */
static bool is_caught(const char *site, size_t n, uint64_t pass, size_t *cuts,
                      struct world_verdict *v)
{
    static struct world day;
    struct power_day of = days[n];
    struct power_walk *walk;
    size_t from;

    of.steps = STEPS;
    of.skip = site;
    from = power_record(&day, &of, NULL);
    walk = power_walk_new(day.disk);
    v->text[0] = '\0';
    for (size_t at = from; at <= power_disk_now(day.disk) && v->text[0] == '\0'; at += 1) {
        struct power_cut c = {.at = at,
                              .seed = at * 31 + of.run + pass * 7919,
                              .records = true,
                              .to_end = at % 96 == 0};

        power_walk_to(walk, at);
        c.how = pass == 0 && at % 2 == 0 ? POWER_NONE : POWER_SOME;
        power_cut(&day, walk, &c, v);
        (*cuts)++;
    }
    power_walk_free(walk);
    world_clear(&day);
    return v->text[0] != '\0';
}

static const char *reason(const char *site)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(not_needed); i++)
        if (strcmp(not_needed[i].site, site) == 0)
            return not_needed[i].why;
    return NULL;
}

START_TEST(no_sync_can_be_left_out)
{
    const char *only = getenv("SP_POWER_SITE");
    size_t missed = 0;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);

    collect();
    ck_assert_uint_gt(site_count, 12);
    for (size_t i = 0; i < site_count; i++) {
        struct world_verdict v = {""};
        size_t cuts = 0;

        if ((only != NULL && strcmp(only, sites[i]) != 0) || reason(sites[i]) != NULL)
            continue;
        for (uint64_t look = 0; look < SP_ARRAY_LEN(days) * PASSES && v.text[0] == '\0'; look++)
            (void)is_caught(sites[i], look % SP_ARRAY_LEN(days), look / SP_ARRAY_LEN(days), &cuts,
                            &v);
        printf("%-55s %5zu cuts: %s\n", sites[i], cuts, v.text[0] == '\0' ? "MISSED" : v.text);
        missed += v.text[0] == '\0' ? 1 : 0;
    }
    ck_assert_uint_eq(missed, 0);
}
END_TEST

static void add(TCase *c)
{
    power_allow_files();
    tcase_set_timeout(c, 600);
    tcase_add_test(c, no_sync_can_be_left_out);
}

SP_TEST_MAIN("power.mutants", add)
