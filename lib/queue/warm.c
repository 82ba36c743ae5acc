/*
 * Plaintext of messages that were just accepted. Most are sent on within milliseconds, and the first attempt would read
 * from the disk and open what had been sealed a moment before. A table of fixed size without chains: who falls on another's
 * place takes it, since whatever is not here is read from the record. Nothing outlasts the end of the first attempt or
 * some seconds, and all together, with what attempts have borrowed, is not more than a few megabytes; it is wiped when it goes.
 */
#include "queue/queue_priv.h"

enum {
    PLACES = 512,
    MEMORY_MAX = 8 * 1024 * 1024, /* of a shard */
    STAY_MS = 5000,
};

struct place {
    struct sp_id id;
    struct sp_content_plain *plain; /* NULL: free */
    int64_t until_ms;
};

struct sp_queue_warm {
    struct place places[PLACES];
    struct sp_content_tally *tally; /* of what is here or lent from here */
    struct sp_timer *timer;
};

static struct place *place_of(struct sp_queue_warm *w, const struct sp_id *id)
{
    unsigned at = (unsigned)id->b[SP_ID_LEN - 1] | (unsigned)id->b[SP_ID_LEN - 2] << 8;

    return &w->places[at % PLACES];
}

static void clear_place(struct place *p)
{
    sp_content_plain_unref(SP_STEAL(p->plain));
}

static void on_time(void *arg)
{
    struct sp_queue *q = arg;
    int64_t now_ms = sp_clock_mono_ms(q->o.clock);
    bool any = false;

    for (size_t i = 0; i < PLACES; i++) {
        if (q->warm->places[i].until_ms <= now_ms)
            clear_place(&q->warm->places[i]);
        any = any || q->warm->places[i].plain != NULL;
    }
    if (any)
        sp_timer_start(q->warm->timer, STAY_MS);
}

bool sp_queue_warm_has_room(const struct sp_queue *q)
{
    return q->o.loop != NULL && !q->o.read_only &&
           (q->warm == NULL || sp_content_tally_len(q->warm->tally) < MEMORY_MAX);
}

void sp_queue_warm_put(struct sp_queue *q, const struct sp_id *id, struct sp_content_plain *plain)
{
    struct sp_queue_warm *w = q->warm;
    struct place *p;

    if (plain == NULL)
        return;
    if (w == NULL) {
        w = q->warm = sp_calloc(1, sizeof(*w));
        w->tally = sp_content_tally_new();
        w->timer = sp_timer_new(q->o.loop, on_time, q);
    }
    p = place_of(w, id);
    clear_place(p);
    if (sp_content_tally_len(w->tally) + sp_content_plain_len(plain) > MEMORY_MAX) {
        sp_content_plain_unref(plain);
        return;
    }
    *p = (struct place){*id, plain, sp_clock_mono_ms(q->o.clock) + STAY_MS};
    sp_content_plain_count(plain, w->tally);
    if (!sp_timer_is_running(w->timer))
        sp_timer_start(w->timer, STAY_MS);
}

struct sp_content_plain *sp_queue_warm_find(const struct sp_queue *q, const struct sp_id *id)
{
    const struct place *p = q->warm == NULL ? NULL : place_of(q->warm, id);

    return p != NULL && p->plain != NULL && sp_id_eq(&p->id, id) ? p->plain : NULL;
}

void sp_queue_warm_drop(struct sp_queue *q, const struct sp_id *id)
{
    if (sp_queue_warm_find(q, id) != NULL)
        clear_place(place_of(q->warm, id));
}

void sp_queue_warm_free(struct sp_queue *q)
{
    if (q->warm == NULL)
        return;
    for (size_t i = 0; i < PLACES; i++)
        clear_place(&q->warm->places[i]);
    sp_content_tally_unref(q->warm->tally);
    sp_timer_free(q->warm->timer);
    sp_free(SP_STEAL(q->warm));
}
