/*
 * A look at everything a shard holds: opening it read-only has read every record already (CRC and tag); here each living
 * message is read as delivery will read it, record and body to the last chunk. What is damaged is told, never touched.
 */
#include "queue/check.h"
#include "queue/queue_priv.h"

#include <errno.h>

/* Reads a body from end to end. */
static enum sp_rc read_body(struct sp_queue *q, const struct sp_id *id)
{
    struct sp_content_reader *reader;
    struct sp_content body;
    struct sp_bytes part;
    uint64_t at = 0;
    enum sp_rc rc = sp_queue_body(q, id, &body);

    if (rc != SP_OK)
        return rc;
    reader = sp_content_reader_new(&body);
    do {
        rc = sp_content_view(reader, at, &part);
        if (rc == SP_OK && part.len == 0 && at < body.len)
            rc = SP_E_CONTENT_TRUNCATED;
        at += rc == SP_OK ? part.len : 0;
    } while (rc == SP_OK && at < body.len);
    sp_content_reader_free(reader);
    sp_content_clear(&body);
    return rc;
}

static enum sp_rc check_one(struct sp_queue *q, const struct sp_queue_entry *e)
{
    SP_AUTO(sp_queue_message) m = NULL;
    enum sp_rc rc = e->quarantined ? SP_E_JOURNAL_DAMAGED : sp_queue_load(q, &e->id, &m);

    return rc == SP_OK ? read_body(q, &e->id) : rc;
}

bool sp_queue_has(const struct sp_queue *q, const struct sp_id *id)
{
    return sp_queue_entry_find(q, id) != NULL;
}

size_t sp_queue_check(struct sp_queue *q,
                      void (*visit)(void *arg, const struct sp_queue_finding *finding), void *arg)
{
    struct sp_bytes key;
    size_t found = 0;
    size_t at = 0;
    void *entry;

    while (sp_map_next(q->entries, &at, &key, &entry)) {
        const struct sp_queue_entry *e = entry;
        struct sp_queue_finding finding = {e->id, SP_OK, e->place.segment, e->place.sequence};

        finding.why = check_one(q, e);
        if (finding.why == SP_OK)
            continue;
        visit(arg, &finding);
        found++;
    }
    return found;
}
