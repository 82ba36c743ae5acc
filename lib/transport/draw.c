/*
 * The order in which a route's hosts are tried, drawn anew for each attempt: hosts of equal preference share the load
 * (RFC 5321 5.1), smarthosts by their weights (the way of RFC 2782). Who can't be reached is not known here: the pool
 * answers for such a host at once, and the next one has its turn.
 */
#include "base/clock.h"
#include "transport/route.h"

static uint32_t weight_of(const struct sp_hop *h)
{
    return h->weight == 0 ? 1 : h->weight;
}

/* Puts order[from, end) into the order of a draw by weight. */
static void draw_equals(const struct sp_route *r, const struct sp_random *random, uint8_t *order,
                        size_t from, size_t end)
{
    for (; from + 1 < end; from++) {
        uint32_t total = 0;
        uint32_t at;
        size_t pick = from;
        uint8_t first = order[from];

        for (size_t i = from; i < end; i++)
            total += weight_of(&r->hops[order[i]]);
        at = (uint32_t)sp_random_below(random, total);
        while (at >= weight_of(&r->hops[order[pick]]))
            at -= weight_of(&r->hops[order[pick++]]);
        order[from] = order[pick];
        order[pick] = first;
    }
}

void sp_route_draw(const struct sp_route *r, const struct sp_random *random,
                   uint8_t order[SP_TRANSPORT_HOPS_MAX])
{
    size_t from = 0;

    for (size_t i = 0; i < r->hop_count; i++) {
        size_t at = i;

        for (; at > 0 && r->hops[order[at - 1]].preference > r->hops[i].preference; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)i;
    }
    for (size_t i = 1; i <= r->hop_count; i++)
        if (i == r->hop_count || r->hops[order[i]].preference != r->hops[order[from]].preference) {
            draw_equals(r, random, order, from, i);
            from = i;
        }
}
