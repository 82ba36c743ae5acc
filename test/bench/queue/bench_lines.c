/*
 * What it costs to find the next message: CPU time and steps of 10,000 hand-outs out of 10,000 to 1,000,000 that wait for up to
 * 50,000 destinations of three tenants, and beside a destination that does not answer and has 500,000 of them. A hand-out
 * is taken, tried in vain and put back for later, as a message that is deferred.
 *
 *     cmake --build build/bench --target bench_lines && build/bench/test/bench_lines
 */
#include "queue/lines.h"

#include <stdio.h>
#include <time.h>

#define HANDED_OUT 10000

struct waiting {
    struct sp_lines *lines;
    struct sp_line_item *items;
    size_t count;
};

static int64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void add(struct waiting *w, size_t tenant, const char *to, int64_t at_ms)
{
    static const char *const tenants[] = {"hospital", "clinic", "lab"};
    struct sp_line_item *i = &w->items[w->count++];

    i->line =
        sp_lines_ref(w->lines, sp_bytes_cstr(tenants[tenant]), sp_bytes_cstr(to), SP_LANE_NORMAL);
    sp_lines_put(w->lines, i, at_ms, 0);
}

static void measure(const char *name, struct waiting *w, size_t dead)
{
    uint64_t steps = sp_lines_steps(w->lines);
    int64_t from = now_ns();
    size_t of_dead = 0;
    size_t n = 0;

    for (; n < HANDED_OUT; n++) {
        struct sp_line_item *i = sp_lines_next(w->lines, 0);

        if (i == NULL)
            break;
        of_dead += i < &w->items[dead];
        sp_lines_put(w->lines, i, 300000 + (int64_t)n, 0);
    }
    (void)printf("%-46s %8.0f ns %6.2f steps  %5.1f %% to the dead\n", name,
                 (double)(now_ns() - from) / (double)n,
                 (double)(sp_lines_steps(w->lines) - steps) / (double)n,
                 100.0 * (double)of_dead / (double)n);
}

static void free_all(struct waiting *w)
{
    for (size_t i = 0; i < w->count; i++) {
        sp_lines_remove(w->lines, &w->items[i]);
        sp_lines_unref(w->lines, w->items[i].line);
    }
    sp_lines_free(w->lines);
    sp_free(w->items);
}

static void among(size_t count, size_t dead)
{
    struct waiting w = {.lines = sp_lines_new(), .items = sp_calloc(count, sizeof(*w.items))};
    char name[80];

    for (size_t i = 0; i < dead; i++)
        add(&w, 0, "dead.example", 0);
    if (dead > 0)
        sp_lines_slow(w.lines, sp_line_handle(w.items[0].line), true);
    for (size_t i = dead; i < count; i++) {
        (void)snprintf(name, sizeof(name), "d%u.example", (unsigned)(i % 50000));
        add(&w, i % 3, name, 0);
    }
    (void)snprintf(name, sizeof(name), "%u wait, %u of them for a dead domain", (unsigned)count,
                   (unsigned)dead);
    measure(name, &w, dead);
    free_all(&w);
}

int main(void)
{
    among(20000, 0);
    among(100000, 0);
    among(1000000, 0);
    among(520000, 500000);
    return 0;
}
