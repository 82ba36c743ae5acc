/*
 * A message waits in one shard. One that waits in two has been copied there with its folder, as when somebody restores beside what
 * was there: each relay would send its own, and neither can know of the other.
 */
#include "gateway/cli-spool/spool.h"

#include "base/text.h"
#include "queue/list.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINES = 10 /* of words: it is the folder that is too much, and not one message */ };

void spool_twins_take(struct spool_twins *t, unsigned shard, struct sp_queue *q)
{
    struct sp_id *ids = sp_calloc(SP_QUEUE_IDS_MAX, sizeof(*ids));
    struct sp_id after = {{0}};
    size_t n;

    do {
        SP_AUTO(sp_queue_listing) l = sp_queue_ids_new(q, -1, &after, SP_QUEUE_IDS_MAX);

        while (sp_queue_ids_step(l))
            continue;
        n = sp_queue_ids(l, ids);
        t->at = sp_realloc(t->at, (t->count + n + 1) * sizeof(*t->at));
        for (size_t i = 0; i < n; i++)
            t->at[t->count++] = (struct spool_twin){ids[i], shard};
        if (n > 0)
            after = ids[n - 1];
    } while (n == SP_QUEUE_IDS_MAX);
    sp_free(ids);
}

static int compare(const void *a, const void *b)
{
    const struct spool_twin *x = a;
    const struct spool_twin *y = b;
    int order = memcmp(&x->id, &y->id, sizeof(x->id));

    return order != 0 ? order : (x->shard > y->shard) - (x->shard < y->shard);
}

static void put_one(const struct spool_twin *one, const struct spool_twin *other, size_t before,
                    struct sp_jw *w)
{
    char id[SP_ID_TEXT_LEN + 1];

    sp_jw_object(w, NULL);
    sp_jw_id(w, "message", one->id.b);
    sp_jw_array(w, "shards");
    sp_jw_int(w, NULL, one->shard);
    sp_jw_int(w, NULL, other->shard);
    sp_jw_end(w);
    sp_jw_end(w);
    sp_id_format(&one->id, id);
    if (before < LINES)
        (void)printf("  message %s waits in shard %u and in shard %u\n", id, one->shard,
                     other->shard);
}

size_t spool_twins_end(const struct spool *s, struct spool_twins *t, struct sp_jw *w)
{
    size_t found = 0;

    if (t->count > 0)
        qsort(t->at, t->count, sizeof(*t->at), compare);
    for (size_t i = 1; i < t->count; i++) {
        const struct spool_twin *one = &t->at[i - 1];
        const struct spool_twin *other = &t->at[i];

        if (one->shard == other->shard || !sp_id_eq(&one->id, &other->id) ||
            sp_id_is_zero(&one->id)) /* of what has no id each may have its own */
            continue;
        put_one(one, other, s->json ? LINES : found, w);
        found++;
    }
    if (found > 0 && !s->json)
        (void)printf("%zu message%s in two shards, and would be sent from both: one of the folders "
                     "is a copy, to be moved away while the gateway is stopped\n",
                     found, found == 1 ? " waits" : "s wait");
    sp_free(t->at);
    *t = (struct spool_twins){.count = 0};
    return found;
}
