/*
 * What lives in each segment: the living messages whose record lies there, in a list, and how many bytes of records live
 * in all. So the oldest segment that is needed, its messages, and what it would cost to carry all that lives are known
 * without a walk over the index, which may hold a million.
 */
#include "queue/queue_priv.h"

/* returns: the place of the first segment that is not before this one */
static size_t find(const struct sp_queue *q, uint64_t segment)
{
    size_t low = 0;
    size_t high = q->live_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (q->live[middle]->segment < segment)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct sp_queue_live *get(struct sp_queue *q, uint64_t segment)
{
    size_t at = find(q, segment);
    struct sp_queue_live *live;

    if (at < q->live_count && q->live[at]->segment == segment)
        return q->live[at];
    if (q->live_count == q->live_cap) {
        q->live_cap = q->live_cap == 0 ? 16 : q->live_cap * 2;
        q->live = sp_realloc(q->live, q->live_cap * sizeof(struct sp_queue_live *));
    }
    memmove(q->live + at + 1, q->live + at, (q->live_count - at) * sizeof(struct sp_queue_live *));
    live = sp_calloc(1, sizeof(*live));
    live->segment = segment;
    sp_list_init(&live->entries);
    q->live[at] = live;
    q->live_count++;
    return live;
}

void sp_queue_live_add(struct sp_queue *q, struct sp_queue_entry *e)
{
    struct sp_queue_live *live = get(q, e->place.segment);

    live->messages++;
    q->stats.living_len += e->place.len;
    sp_list_append(&live->entries, &e->neighbours);
}

void sp_queue_live_remove(struct sp_queue *q, struct sp_queue_entry *e)
{
    size_t at = find(q, e->place.segment);
    struct sp_queue_live *live = q->live[at];

    sp_list_remove(&e->neighbours);
    q->stats.living_len -= e->place.len;
    if (--live->messages > 0)
        return;
    q->live_count--;
    memmove(q->live + at, q->live + at + 1, (q->live_count - at) * sizeof(struct sp_queue_live *));
    sp_free(live);
}

void sp_queue_live_free(struct sp_queue *q)
{
    for (size_t i = 0; i < q->live_count; i++)
        sp_free(q->live[i]);
    sp_free(q->live);
}

struct sp_queue_live *sp_queue_live_oldest(const struct sp_queue *q)
{
    return q->live_count > 0 ? q->live[0] : NULL;
}

uint64_t sp_queue_oldest_needed(const struct sp_queue *q)
{
    return q->live_count > 0 ? q->live[0]->segment : sp_journal_current(q->journal);
}
