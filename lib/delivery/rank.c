/*
 * What a site has shown, and what it may have for that. Who takes a message and never says so holds a connection for ten minutes,
 * and nothing tells beforehand who will: so each rank has a part of all that those below it never get, however many they
 * are. It rises with messages taken and falls by half with each half minute that one is kept waiting. What each rank has is counted
 * as it changes, and the connections that wait for an answer stand in order of time, so that no question walks over sites.
 *
 * Parts alone leave those out who have shown much and stall all at once, when they have all there is. So a connection that stalls counts
 * half from then on, and its message's place does: half a minute later half of all is there for others. As those may stall in
 * turn, there are never twice as many as without.
 */
#include "delivery/pool_priv.h"

#define STALLS_MS                                                                                  \
    30000 /* who takes longer for a message, or to begin, stalls; and again after as long */
#define PROOF     16 /* messages */
#define SCORE_MAX 64

static int64_t mono_ms(const struct sp_pool *p)
{
    return sp_clock_mono_ms(sp_loop_clock(p->settings.loop));
}

size_t sp_pool_part(enum sp_pool_rank rank, size_t all)
{
    switch (rank) {
    case SP_POOL_RANK_NEW:
        return all - all / 4;
    case SP_POOL_RANK_KNOWN:
        return all - all / 8;
    default:
        return all;
    }
}

static enum sp_pool_rank shown_by(const struct sp_pool_site *s)
{
    if (s->stalling > 0 || s->score == 0)
        return SP_POOL_RANK_NEW;
    return s->score < PROOF ? SP_POOL_RANK_KNOWN : SP_POOL_RANK_PROVEN;
}

static void weigh(struct sp_pool_site *s)
{
    enum sp_pool_rank rank = shown_by(s);
    struct sp_pool_used *from = &s->pool->used[s->rank], *to = &s->pool->used[rank];

    if (rank == s->rank)
        return;
    from->links -= s->link_count;
    to->links += s->link_count;
    for (size_t i = 0; i < SP_LANE_COUNT; i++) {
        from->waiting[i] -= s->lane_waiting[i];
        to->waiting[i] += s->lane_waiting[i];
    }
    s->rank = rank;
}

/* ---- connections that wait for an answer ---- */

void sp_pool_begins(struct sp_pool_link *l)
{
    struct sp_pool *p = l->host->pool;

    l->busy_ms = mono_ms(p);
    sp_list_append(&p->busy, &l->in_busy);
    if (!sp_timer_is_running(p->stall))
        sp_timer_start(p->stall, STALLS_MS + 1);
}

/* A link that is being opened has no message yet. */
static void count_stall(struct sp_pool_link *l, bool stalls)
{
    struct sp_pool_site *s = l->host->site;
    struct sp_pool *p = s->pool;

    l->stalls = stalls;
    if (stalls) {
        s->stalling++;
        p->stalling++;
        p->lane_stalling[l->lane] += l->opened;
    } else {
        s->stalling--;
        p->stalling--;
        p->lane_stalling[l->lane] -= l->opened;
    }
}

void sp_pool_answers(struct sp_pool_link *l)
{
    sp_list_remove(&l->in_busy);
    l->busy_ms = 0;
    if (!l->stalls)
        return;
    count_stall(l, false);
    weigh(l->host->site);
}

/* They stand in order of time: looked at are those that have stalled since the last look, each once, and one more. */
static void note_stalls(struct sp_pool *p)
{
    int64_t now_ms = mono_ms(p);

    SP_LIST_EACH(at, &p->busy)
    {
        struct sp_pool_link *l = SP_CONTAINER(at, struct sp_pool_link, in_busy);

        if (now_ms - l->busy_ms <= STALLS_MS)
            return;
        l->busy_ms = now_ms;
        sp_list_remove(&l->in_busy);
        sp_list_append(&p->busy, &l->in_busy);
        if (!l->stalls)
            count_stall(l, true);
        l->host->site->score /= 2;
        weigh(l->host->site);
    }
}

void sp_pool_on_stall(void *arg)
{
    struct sp_pool *p = arg;

    note_stalls(p);
    if (!sp_list_is_empty(&p->busy)) {
        const struct sp_pool_link *first = SP_CONTAINER(p->busy.next, struct sp_pool_link, in_busy);

        sp_timer_start(p->stall, first->busy_ms + STALLS_MS + 1 - mono_ms(p));
    }
    if (p->stalling == 0)
        return;
    sp_pool_serve_starved(p);
    if (p->settings.on_room != NULL)
        p->settings.on_room(p->settings.arg);
}

/* ---- what it may have ---- */

void sp_pool_score(struct sp_pool_site *s)
{
    if (s->score < SCORE_MAX)
        s->score++;
    weigh(s);
}

enum sp_pool_rank sp_pool_rank_of(const struct sp_pool_site *s)
{
    note_stalls(s->pool);
    return s->rank;
}

enum sp_pool_rank sp_pool_rank_at(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    const struct sp_pool_host *h = sp_pool_find_host(p, ask);

    return h == NULL ? SP_POOL_RANK_NEW : sp_pool_rank_of(h->site);
}

struct sp_pool_used sp_pool_used(struct sp_pool *p, enum sp_pool_rank rank)
{
    struct sp_pool_used all = {0};

    note_stalls(p);
    for (size_t i = 0; i <= (size_t)rank; i++) {
        all.links += p->used[i].links;
        for (size_t k = 0; k < SP_LANE_COUNT; k++)
            all.waiting[k] += p->used[i].waiting[k];
    }
    return all;
}

static size_t left_of(size_t most, size_t taken)
{
    return taken < most ? most - taken : 0;
}

/* A site that has one that stalls is new: all of them are in each rank's sum. */
size_t sp_pool_left_of_part(struct sp_pool *p, enum sp_pool_rank rank)
{
    size_t links = sp_pool_used(p, rank).links;

    return left_of(sp_pool_part(rank, p->settings.total_max), links - p->stalling / 2);
}

size_t sp_pool_open_now(struct sp_pool *p)
{
    note_stalls(p);
    return p->open - p->stalling / 2;
}

size_t sp_pool_stalling(struct sp_pool *p, enum sp_lane lane)
{
    note_stalls(p);
    return p->lane_stalling[lane];
}

enum sp_pool_rank sp_pool_full_for(struct sp_pool *p, enum sp_pool_rank rank)
{
    unsigned at = rank;

    while (at < SP_POOL_RANK_PROVEN && sp_pool_left_of_part(p, (enum sp_pool_rank)at) > 0)
        at++;
    return (enum sp_pool_rank)at;
}

/* Who is below counts in each part above, or known and new sites together would fill what is for the proven. */
size_t sp_pool_left_for(const struct sp_pool_site *s)
{
    size_t left = left_of(s->pool->settings.total_max, sp_pool_open_now(s->pool));

    for (unsigned at = sp_pool_rank_of(s); at < SP_POOL_RANK_PROVEN; at++) {
        size_t theirs = sp_pool_left_of_part(s->pool, (enum sp_pool_rank)at);

        left = theirs < left ? theirs : left;
    }
    return left;
}
