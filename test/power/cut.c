/*
 * The disk found is another world with the same diary; nothing of it is left when it has been judged.
 */
#include "power/cut.h"

#include <stdio.h>
#include <sys/resource.h>

/* Where memory was taken costs a third of the time under ASan, and can be asked for when one cut is repeated. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "malloc_context_size=2:quarantine_size_mb=8";
}

void power_allow_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < 65000 ? files.rlim_max : 65000;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

size_t power_record(struct world *day, const struct power_day *of, struct world_met *met)
{
    size_t from;

    world_init(day, of->run);
    day->met = met;
    if (of->is_tight)
        world_make_tight(day);
    power_disk_skip(day->disk, of->skip);
    (void)world_open(day);
    world_past(day);
    from = day->is_tight ? world_now(day) : 0;
    world_steps(day, of->steps);
    return from;
}

static void open_and_judge(struct world *w, const struct power_cut *c, bool proofs,
                           struct world_verdict *v)
{
    if (world_open(w) != SP_OK)
        (void)snprintf(v->text, sizeof(v->text), "the queue can't be opened");
    else
        world_judge(w, c->at, proofs, v);
}

/* The power goes once more, somewhere in what the recovery of `first` has done. */
static void cut_again(struct world *first, const struct power_cut *c, struct world_verdict *v)
{
    static struct world second;
    struct power_walk *walk = power_walk_new(first->disk);
    size_t now = power_disk_now(first->disk);

    power_walk_to(walk, now == 0 ? 0 : (size_t)(c->seed * 7919) % now);
    world_init_found(&second, first, c->at, power_walk_crash(walk, POWER_SOME, c->seed + 1));
    open_and_judge(&second, c, false, v);
    world_clear(&second);
    power_walk_free(walk);
}

void power_cut(const struct world *day, struct power_walk *walk, const struct power_cut *c,
               struct world_verdict *v)
{
    static struct world found;

    *v = (struct world_verdict){""};
    world_init_found(&found, day, c->at, power_walk_crash(walk, c->how, c->seed));
    world_judge_raw(&found, v);
    if (c->records)
        world_judge_records(&found, v);
    open_and_judge(&found, c, c->proofs, v);
    if (v->text[0] == '\0' && c->again)
        cut_again(&found, c, v);
    if (v->text[0] == '\0' && c->to_end)
        world_judge_end(&found, v);
    world_clear(&found);
}
