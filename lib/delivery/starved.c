/*
 * Who waits for a connection when all that there may be are taken. Who has none at all comes before who has some, better ranks before
 * others; but each fourth connection goes to whoever of those without any has waited longest, or a stranger would wait for ever
 * beside providers without end. A list for each rank keeps the order, so that picking looks at six heads, however many wait.
 *
 * Nobody goes round the lists: who lost a connection stands at their end like all others. And since a site with much may keep a
 * connection busy for a thousand messages, one that has been open for a while ends while somebody waits for a first one.
 */
#include "delivery/pool_priv.h"

#define AGED    4     /* one connection in so many goes by age */
#define TURN_MS 10000 /* a connection may stay open so long while others wait for a first one */

static bool is_in(const struct sp_pool_site *s)
{
    return !sp_list_is_empty(&s->starved);
}

/* The better off, the later: those without any first, then those with some; in each half the best rank first. */
static unsigned list_of(const struct sp_pool_site *s)
{
    unsigned below_best = SP_POOL_RANK_PROVEN - sp_pool_rank_of(s);

    return s->link_count > 0 ? SP_POOL_RANK_COUNT + below_best : below_best;
}

static enum sp_pool_rank rank_in(unsigned list)
{
    return (enum sp_pool_rank)(SP_POOL_RANK_PROVEN - list % SP_POOL_RANK_COUNT);
}

void sp_pool_starve_end(struct sp_pool_site *s)
{
    if (is_in(s) && s->starved_as < SP_POOL_RANK_COUNT)
        s->pool->without_any--;
    sp_list_remove(&s->starved);
}

void sp_pool_starve(struct sp_pool_site *s)
{
    struct sp_pool *p = s->pool;
    unsigned list = list_of(s);

    if (is_in(s) && s->starved_as == list)
        return;
    sp_pool_starve_end(s);
    s->starved_as = list;
    s->starved_turn = ++p->starved_turn;
    sp_list_append(&p->starved[list], &s->starved);
    p->without_any += list < SP_POOL_RANK_COUNT;
}

/* returns: the first of a list, or NULL. Who has been served meanwhile goes, who is better or worse off goes to his own */
static struct sp_pool_site *head(struct sp_pool *p, unsigned list)
{
    while (!sp_list_is_empty(&p->starved[list])) {
        struct sp_pool_site *s = SP_CONTAINER(p->starved[list].next, struct sp_pool_site, starved);

        if (s->waiting == 0)
            sp_pool_starve_end(s);
        else if (list_of(s) != list)
            sp_pool_starve(s);
        else
            return s;
    }
    return NULL;
}

static bool may_have_one(const struct sp_pool_site *s)
{
    size_t left = sp_pool_left_for(s);

    return left > 0 && s->link_count <= left / 2;
}

/* returns: the first of a list who may have one, or NULL. Who has too many of his own goes behind: another may have fewer */
static struct sp_pool_site *first_who_may(struct sp_pool *p, unsigned list)
{
    for (size_t n = p->open + 1; n > 0; n--) {
        struct sp_pool_site *s = head(p, list);

        if (s == NULL || sp_pool_left_for(s) == 0)
            return NULL;
        if (may_have_one(s))
            return s;
        sp_list_remove(&s->starved);
        sp_list_append(&p->starved[list], &s->starved);
    }
    return NULL;
}

/* returns: who is served next; NULL: nobody who waits may have one */
static struct sp_pool_site *next(struct sp_pool *p)
{
    bool is_by_age = p->given % AGED == AGED - 1;
    struct sp_pool_site *best = NULL;

    for (unsigned i = 0; i < SP_POOL_STARVED_LISTS; i++) {
        struct sp_pool_site *s;

        if (best != NULL && (!is_by_age || i >= SP_POOL_RANK_COUNT))
            continue;
        s = first_who_may(p, i);
        if (s != NULL && (best == NULL || s->starved_turn < best->starved_turn))
            best = s;
    }
    return best;
}

static bool is_owed(const struct sp_pool *p, unsigned list)
{
    return list < SP_POOL_RANK_COUNT ? p->leaving < p->without_any : p->leaving == 0;
}

/* returns: whether the end of one link more would let it have one */
static bool one_helps(const struct sp_pool_site *s)
{
    return s->link_count <= (sp_pool_left_for(s) + 1) / 2;
}

/* For the first who waits still, whom his part would let. */
static void end_idle_for_first(struct sp_pool *p)
{
    for (unsigned i = 0; i < SP_POOL_STARVED_LISTS; i++) {
        const struct sp_pool_site *s = head(p, i);

        if (s == NULL || sp_pool_full_for(p, rank_in(i)) != SP_POOL_RANK_PROVEN)
            continue;
        if (is_owed(p, i) && one_helps(s))
            sp_pool_end_idle_for(s);
        return;
    }
}

void sp_pool_serve_starved(struct sp_pool *p)
{
    struct sp_pool_site *s;

    while ((s = next(p)) != NULL) {
        size_t open = p->open;

        sp_pool_starve_end(s);
        sp_pool_serve(s);
        p->given += p->open > open;
    }
    if (!sp_list_is_empty(&p->idle))
        end_idle_for_first(p);
}

struct sp_pool_site *sp_pool_wants(const struct sp_pool_link *l)
{
    struct sp_pool *p = l->host->pool;
    enum sp_pool_rank rank = sp_pool_rank_of(l->host->site);

    for (unsigned i = 0; i < SP_POOL_STARVED_LISTS; i++) {
        struct sp_pool_site *s = head(p, i);

        if (s != NULL && s != l->host->site && (l->ready || i < SP_POOL_RANK_COUNT) &&
            one_helps(s) && is_owed(p, i) && rank <= sp_pool_full_for(p, rank_in(i)))
            return s;
    }
    return NULL;
}

bool sp_pool_is_over(const struct sp_pool_link *l)
{
    int64_t now_ms = sp_clock_mono_ms(sp_loop_clock(l->host->pool->settings.loop));

    return now_ms - l->opened_ms >= TURN_MS && sp_pool_wants(l) != NULL;
}

void sp_pool_end_idle_for(const struct sp_pool_site *s)
{
    enum sp_pool_rank most = sp_pool_full_for(s->pool, sp_pool_rank_of(s));

    SP_LIST_EACH(at, &s->pool->idle)
    {
        struct sp_pool_link *l = SP_CONTAINER(at, struct sp_pool_link, in_idle);

        if (sp_pool_rank_of(l->host->site) > most)
            continue;
        sp_pool_retire(l);
        return;
    }
}

bool sp_pool_end_own_idle(struct sp_pool_site *s)
{
    if (sp_list_is_empty(&s->rest))
        return false;
    sp_pool_retire(SP_CONTAINER(s->rest.next, struct sp_pool_link, in_rest));
    return true;
}

bool sp_pool_has_room(struct sp_pool_site *s)
{
    if (may_have_one(s))
        return true;
    if (!sp_pool_end_own_idle(s))
        sp_pool_end_idle_for(s);
    sp_pool_starve(s);
    return false;
}
