/*
 * Who waits for a connection waits his turn: messages a minute, the limit of connections and others who came before may keep him
 * for hours. He waits no longer than his own time, and leaves without having asked anybody. A host that is being asked for the first time
 * is waited for, since what comes of that is what he came for, and is known soon.
 */
#include "delivery/pool_priv.h"

#define LEAST_MS                                                                                   \
    10000 /* who comes when it is over has so long all the same: it may be his last try */
#define AGAIN_MS 2000

static int64_t now_ms(const struct sp_pool *p)
{
    return sp_clock_mono_ms(sp_loop_clock(p->settings.loop));
}

static void wait_for_first(struct sp_pool *p)
{
    const struct sp_heap_node *first = sp_heap_first(&p->turns);
    int64_t now = now_ms(p);

    if (first == NULL)
        sp_timer_cancel(p->turn);
    else
        sp_timer_start(p->turn, first->key > now ? first->key - now : 0);
}

void sp_pool_turn_begins(struct sp_pool_waiter *w, int64_t turn_ms)
{
    struct sp_pool *p = w->pool;

    if (turn_ms == 0)
        return;
    sp_heap_put(&p->turns, &w->in_turns, now_ms(p) + (turn_ms > LEAST_MS ? turn_ms : LEAST_MS));
    if (sp_heap_first(&p->turns) == &w->in_turns)
        wait_for_first(p);
}

void sp_pool_turn_ends(struct sp_pool_waiter *w)
{
    sp_heap_remove(&w->pool->turns, &w->in_turns);
}

static bool is_opening(const struct sp_pool_host *h)
{
    return h->opening > 0 && h->link_count == h->opening;
}

void sp_pool_on_turn(void *arg)
{
    static const struct sp_conn_end over = {.rc = SP_E_DELIVERY_TURN};
    struct sp_pool *p = arg;
    struct sp_heap_node *first;

    while ((first = sp_heap_first(&p->turns)) != NULL && first->key <= now_ms(p)) {
        struct sp_pool_waiter *w = SP_CONTAINER(first, struct sp_pool_waiter, in_turns);

        if (is_opening(w->host))
            sp_heap_put(&p->turns, first, now_ms(p) + AGAIN_MS);
        else
            sp_pool_tell(w, &over);
    }
    wait_for_first(p);
}
