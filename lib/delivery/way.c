/*
 * Which line of the queue a recipient's mail stands in: the destination is its domain, or what a rule's route puts in the
 * domain's place; the lane is the rule's. Ordinary mail has no options and is not looked into.
 */
#include "delivery/delivery.h"
#include "policy/options.h"
#include "queue/queue.h"

static bool has_word(struct sp_bytes text, struct sp_bytes word)
{
    return text.len >= word.len && memmem(text.ptr, text.len, word.ptr, word.len) != NULL;
}

void sp_delivery_way(const struct sp_accept *a, size_t n, struct sp_arena *arena,
                     struct sp_queue_way *way)
{
    struct sp_bytes text = a->decisions[a->recipients[n].decision].options;
    struct sp_options options;

    if (!has_word(text, SP_LIT("\"bulk\"")) && !has_word(text, SP_LIT("\"urgent\"")) &&
        !has_word(text, SP_LIT("\"route\"")))
        return;
    sp_arena_reset(arena);
    if (sp_options_read(text, arena, &options) != SP_OK)
        return; /* its attempt will hold it */
    if (options.route.len > 0)
        way->destination = options.route;
    if (options.is_urgent)
        way->lane = SP_LANE_URGENT;
    else if (options.is_bulk)
        way->lane = SP_LANE_BULK;
}
