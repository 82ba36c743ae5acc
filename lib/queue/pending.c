/*
 * Records on their way. A pending owns all that the journal borrows until the record is durable (encoded metadata, the
 * bodies) and what then becomes of the index. They are reused with their buffers, so that a warm queue takes a message
 * without allocating for it but the index entry.
 */
#include "queue/queue_priv.h"

enum { SPARES_MAX = 256, SPARE_META_MAX = 16 * 1024 };

struct sp_queue_pending *sp_queue_pending_new(struct sp_queue *q,
                                              void (*done)(void *arg, enum sp_rc rc), void *arg)
{
    struct sp_queue_pending *p = q->spare_pendings;
    struct sp_buf meta;

    if (p != NULL) {
        q->spare_pendings = p->next;
        q->spare_pending_count--;
        meta = p->meta;
        sp_buf_reset(&meta);
    } else {
        p = sp_calloc(1, sizeof(*p));
        sp_buf_init(&meta, SP_RECORD_META_MAX);
    }
    *p = (struct sp_queue_pending){.queue = q, .meta = meta, .done = done, .arg = arg};
    p->append.arg = p;
    return p;
}

static void destroy(struct sp_queue_pending *p)
{
    sp_buf_clear(&p->meta);
    sp_free(p);
}

void sp_queue_pending_free(struct sp_queue_pending *p)
{
    struct sp_queue *q = p->queue;

    sp_queue_entry_free(q, p->entry);
    sp_queue_entry_free(q, p->child);
    sp_free(p->ns);
    sp_free(p->sealed);
    sp_secret_clear(&p->key);
    sp_queue_body_free(p->body);
    sp_queue_body_free(p->child_body);
    if (p->meta.cap > SPARE_META_MAX || q->spare_pending_count == SPARES_MAX) {
        destroy(p);
        return;
    }
    p->next = q->spare_pendings;
    q->spare_pendings = p;
    q->spare_pending_count++;
}

void sp_queue_pending_free_spares(struct sp_queue *q)
{
    struct sp_queue_pending *p;

    while ((p = q->spare_pendings) != NULL) {
        q->spare_pendings = p->next;
        destroy(p);
    }
    q->spare_pending_count = 0;
}

static void end_deferred(struct sp_queue_job *job)
{
    struct sp_queue_pending *p = SP_CONTAINER(job, struct sp_queue_pending, deferred);
    void (*done)(void *arg, enum sp_rc rc) = p->done;
    void *arg = p->arg;
    enum sp_rc rc = p->rc;

    sp_queue_pending_free(p);
    done(arg, rc);
}

void sp_queue_pending_end(struct sp_queue_pending *p, enum sp_rc rc)
{
    p->rc = rc;
    p->deferred = (struct sp_queue_job){.done = end_deferred};
    sp_queue_disk_defer(p->queue->disk, &p->deferred);
}
