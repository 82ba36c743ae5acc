/*
 * The queue's doors: opening and closing a shard, and the records that put messages in and outcomes on them. Each is
 * encoded at once, appended, and changes the index when the journal says that it is durable; if it never will be, the
 * index stays as it was and the caller hears why.
 */
#include "base/text.h"
#include "queue/queue_priv.h"

enum { MESSAGES_MAX = 1000000, GAP_MAX = 512 };

enum sp_rc sp_queue_ready(const struct sp_queue *q)
{
    size_t max = q->o.messages_max == 0 ? MESSAGES_MAX : q->o.messages_max;

    if (q->journal == NULL) /* closing */
        return SP_E_CLOSED;
    if (sp_journal_state(q->journal) != SP_JOURNAL_OPEN)
        return SP_E_JOURNAL_FULL;
    return sp_map_count(q->entries) >= max ? SP_E_QUEUE_FULL : SP_OK;
}

bool sp_queue_may_deliver(const struct sp_queue *q)
{
    return q->journal != NULL && sp_journal_state(q->journal) != SP_JOURNAL_STOPPED;
}

/* ---- accept ---- */

/* Takes a prepared entry in, and a file with it. */
static void take_in(struct sp_queue *q, struct sp_queue_entry *e, struct sp_queue_body *body,
                    const struct sp_journal_place *place)
{
    struct sp_id id = e->id;

    if (!sp_queue_entry_put(q, e, place))
        return;
    sp_queue_body_keep(body);
    sp_queue_warm_put(q, &id, sp_queue_body_take_plain(body));
}

static void accept_done(struct sp_journal_append *a, enum sp_rc rc)
{
    struct sp_queue_pending *p = a->arg;
    struct sp_queue *q = p->queue;
    void (*done)(void *arg, enum sp_rc rc) = p->done;
    void *arg = p->arg;
    int64_t before = sp_queue_due_at(q);

    if (rc == SP_OK) {
        take_in(q, SP_STEAL(p->entry), p->body, &a->place);
        if (p->child != NULL)
            take_in(q, SP_STEAL(p->child), p->child_body, &a->place);
    }
    sp_queue_pending_free(p);
    done(arg, rc);
    if (rc == SP_OK)
        sp_queue_tell_due(q, before);
}

/* An accept with what its body says. */
static struct sp_accept with_body(const struct sp_accept *a, const struct sp_queue_body *body)
{
    struct sp_accept out = *a;

    sp_assert(!sp_id_is_zero(&a->id));
    out.body_len = sp_queue_body_len(body);
    sp_queue_body_sha256(body, out.sha256);
    out.body_in_file = sp_queue_body_in_file(body);
    return out;
}

static struct sp_queue_entry *prepare(struct sp_queue *q, const struct sp_accept *a, uint8_t type,
                                      bool is_child)
{
    struct sp_queue_entry *e = sp_queue_entry_new(q, a);

    sp_queue_entry_accepted_now(e, a->skew_ms);
    e->type = type;
    e->is_child = is_child;
    return e;
}

void sp_queue_accept(struct sp_queue *q, const struct sp_queue_accept *a)
{
    struct sp_queue_pending *p = sp_queue_pending_new(q, a->done, a->arg);
    struct sp_accept accept = with_body(a->accept, a->body);
    struct sp_accept child;
    enum sp_rc rc = sp_queue_ready(q);

    p->body = a->body;
    p->child_body = a->child_body;
    if (accept.child != NULL) {
        sp_assert(a->child_body != NULL && !sp_queue_body_in_file(a->child_body));
        child = with_body(accept.child, a->child_body);
        accept.child = &child;
    }
    if (rc == SP_OK)
        rc = sp_accept_encode(&accept, &p->meta);
    if (rc != SP_OK) {
        sp_queue_pending_end(p, rc);
        return;
    }
    p->append.type = SP_RECORD_ACCEPT;
    p->append.class = SP_JOURNAL_ASKED;
    p->append.message = accept.id;
    p->append.meta = sp_buf_bytes(&p->meta);
    p->append.done = accept_done;
    sp_queue_body_append(p->body, &p->append);
    p->entry = prepare(q, &accept, SP_RECORD_ACCEPT, false);
    if (accept.child != NULL) {
        sp_queue_body_append(p->child_body, &p->append);
        p->child = prepare(q, &child, SP_RECORD_ACCEPT, true);
    }
    sp_journal_append(q->journal, &p->append);
}

/* ---- outcome ---- */

static void note_results(struct sp_queue *q, const struct sp_outcome *o)
{
    for (size_t i = 0; i < o->result_count; i++) {
        const struct sp_result *r = &o->results[i];
        size_t rung = r->rung < SP_QUEUE_RUNGS - 1 ? r->rung : SP_QUEUE_RUNGS - 1;

        if (r->state < SP_RCPT_STATE_COUNT)
            q->stats.results[rung][r->state]++;
    }
}

static void outcome_done(struct sp_journal_append *a, enum sp_rc rc)
{
    struct sp_queue_pending *p = a->arg;
    struct sp_queue *q = p->queue;
    struct sp_queue_entry *e = sp_queue_entry_find(q, &a->message);
    void (*done)(void *arg, enum sp_rc rc) = p->done;
    void *arg = p->arg;
    int64_t before = sp_queue_due_at(q);
    struct sp_outcome o;
    enum sp_rc told = rc == SP_OK ? p->rc : rc;

    sp_arena_reset(q->arena);
    sp_queue_warm_drop(q, &a->message); /* whoever tries again reads what is on the disk */
    if (rc == SP_OK) {
        if (e != NULL && sp_outcome_decode(a->meta, q->arena, &o) == SP_OK) {
            for (size_t i = 0; i < o.result_count; i++)
                sp_queue_entry_busy(q, e, o.results[i].n, false);
            note_results(q, &o);
            sp_queue_apply_outcome(q, e, &o);
            (void)sp_queue_entry_settle(q, e);
        }
        if (p->child != NULL)
            take_in(q, SP_STEAL(p->child), p->child_body, &a->place);
    } /* else closing: what was under way may have been attempted, says the next start */
    sp_queue_pending_free(p);
    done(arg, told);
    if (rc == SP_OK) {
        sp_queue_tell_due(q, before);
        sp_queue_reclaim(q);
    }
}

static enum sp_rc check_outcome(const struct sp_queue *q, const struct sp_outcome *o)
{
    const struct sp_queue_entry *e = sp_queue_entry_find(q, &o->id);

    if (e == NULL)
        return SP_E_NOT_FOUND;
    for (size_t i = 0; i < o->result_count; i++)
        sp_assert(o->results[i].n < e->count);
    return q->journal == NULL ? SP_E_JOURNAL_FAILED : SP_OK;
}

/* Encodes it with one event that says what is missing. */
static enum sp_rc encode_gap(const struct sp_outcome *outcome, size_t events, struct sp_buf *out)
{
    struct sp_outcome o = *outcome;
    struct sp_bytes event;
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&text, GAP_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "audit.gap");
    sp_jw_id(&w, "message", o.id.b);
    sp_jw_cstr(&w, "reason", "outcome-too-large");
    sp_jw_int(&w, "events", (int64_t)events);
    sp_jw_end(&w);
    event = sp_buf_bytes(&text);
    o.audit = (struct sp_audit_list){.events = &event, .count = 1};
    sp_buf_reset(out);
    rc = sp_outcome_encode(&o, out);
    sp_buf_clear(&text);
    return rc;
}

/*
 * The outcome without its child, which no record can hold: those whom the child would have told of are held for a
 * person, or the sender would never hear of them.
 */
static enum sp_rc encode_held(const struct sp_outcome *outcome, size_t events, struct sp_buf *out)
{
    struct sp_outcome o = *outcome;
    enum sp_rc rc;

    o.child = NULL;
    o.results = sp_calloc(o.result_count + 1, sizeof(*o.results));
    for (size_t i = 0; i < o.result_count; i++) {
        o.results[i] = outcome->results[i];
        if (o.results[i].state != SP_RCPT_RETURNED && o.results[i].state != SP_RCPT_DEPOSITED)
            continue;
        o.results[i].state = SP_RCPT_HELD;
        o.results[i].next_at_ms = 0;
        o.results[i].why = SP_E_LIMIT;
    }
    rc = encode_gap(&o, events, out);
    sp_free(o.results);
    return rc;
}

/* Encodes the outcome, or as much of it as fits: its audit goes first, then its child's, then the child. */
static enum sp_rc encode_outcome(struct sp_queue_pending *p, struct sp_outcome *o,
                                 struct sp_accept *child)
{
    size_t events = o->audit.count + (o->child == NULL ? 0 : o->child->audit.count);
    enum sp_rc rc = sp_outcome_encode(o, &p->meta);

    if (rc != SP_E_LIMIT)
        return rc;
    rc = encode_gap(o, o->audit.count, &p->meta);
    if (rc != SP_OK && o->child != NULL) {
        child->audit.count = 0;
        rc = encode_gap(o, events, &p->meta);
    }
    if (rc != SP_OK && o->child != NULL) {
        rc = encode_held(o, events, &p->meta);
        o->child = NULL;
    }
    if (rc != SP_OK)
        return SP_E_MALFORMED;
    sp_log_error(p->queue->o.log, "queue.outcome-too-large", SP_ID("message", &o->id),
                 SP_INT("events", events));
    p->rc = SP_E_LIMIT;
    return SP_OK;
}

void sp_queue_outcome(struct sp_queue *q, const struct sp_outcome *outcome,
                      struct sp_queue_body *child_body, void (*done)(void *arg, enum sp_rc rc),
                      void *arg)
{
    struct sp_queue_pending *p = sp_queue_pending_new(q, done, arg);
    struct sp_outcome o = *outcome;
    struct sp_accept child = {0};
    enum sp_rc rc = check_outcome(q, outcome);

    p->child_body = child_body;
    if (o.child != NULL) {
        sp_assert(child_body != NULL && !sp_queue_body_in_file(child_body));
        child = with_body(o.child, child_body);
        o.child = &child;
    }
    if (rc == SP_OK)
        rc = encode_outcome(p, &o, &child);
    if (rc != SP_OK) {
        sp_queue_pending_end(p, rc);
        return;
    }
    p->append.type = SP_RECORD_OUTCOME;
    p->append.class = SP_JOURNAL_HAPPENED;
    p->append.message = o.id;
    p->append.meta = sp_buf_bytes(&p->meta);
    p->append.done = outcome_done;
    if (o.child != NULL) {
        sp_queue_body_append(child_body, &p->append);
        p->child = prepare(q, &child, SP_RECORD_OUTCOME, true);
    }
    sp_journal_append(q->journal, &p->append);
}

/* ---- opening and closing ---- */

static void on_durable(void *arg, uint64_t segment, uint64_t end)
{
    struct sp_queue *q = arg;

    if (q->o.on_durable != NULL)
        q->o.on_durable(q->o.arg, segment, end);
}

/* Deliveries that were put off may begin again. */
static void on_state(void *arg)
{
    struct sp_queue *q = arg;

    if (q->journal != NULL && q->o.on_due != NULL && sp_queue_may_deliver(q))
        q->o.on_due(q->o.arg);
}

static struct sp_queue *queue_new(const struct sp_queue_options *options)
{
    struct sp_queue *q = sp_calloc(1, sizeof(*q));

    q->o = *options;
    q->entries = sp_map_new();
    q->ages = sp_calloc(1, sizeof(*q->ages));
    q->orders = sp_map_new();
    q->frozen_ways = sp_map_new();
    q->lines = sp_lines_new();
    q->carried = sp_map_new();
    q->told = sp_map_new();
    q->arena = sp_arena_new(16384);
    q->disk = sp_queue_disk_new(options->loop);
    sp_list_init(&q->waiters);
    return q;
}

static void free_notes(struct sp_map *map)
{
    size_t at = 0;
    struct sp_bytes key;
    void *value;

    while (sp_map_next(map, &at, &key, &value))
        sp_free(value);
    sp_map_free(map);
}

static void free_entries(struct sp_queue *q)
{
    size_t at = 0;
    struct sp_bytes key;
    void *entry;

    free_notes(q->carried);
    free_notes(q->told);
    while (sp_map_next(q->entries, &at, &key, &entry))
        sp_queue_entry_free(q, entry);
    sp_map_free(q->entries);
    sp_lines_free(q->lines);
}

static void queue_free(struct sp_queue *q)
{
    sp_queue_disk_free(q->disk);
    sp_queue_body_free_spares(q);
    sp_queue_warm_free(q);
    sp_queue_pending_free_spares(q);
    free_entries(q);
    free_notes(q->orders);
    sp_map_free(q->frozen_ways);
    sp_free(q->ages);
    sp_queue_live_free(q);
    sp_free(q->lost);
    sp_free(q->lost_low);
    sp_arena_free(q->arena);
    if (q->own_io.ctx != NULL)
        sp_journal_io_posix_free(&q->own_io);
    sp_free(q);
}

/*
 * After a stop that was not clean any recipient without an outcome may have been under way; where a part of the log is lost,
 * an outcome of what stands before it. to: the last segment that is meant
 */
static void mark_attempted(struct sp_queue *q, uint64_t to)
{
    size_t at = 0;
    struct sp_bytes key;
    void *entry;

    while (to > 0 && sp_map_next(q->entries, &at, &key, &entry)) {
        struct sp_queue_entry *e = entry;

        e->possibly_attempted = e->possibly_attempted || e->place.segment <= to;
    }
}

/* A doubt is kept by the log from here on: the file has done its work. */
static bool is_restored(const struct sp_queue *q)
{
    const struct sp_journal_io *io = q->o.io;
    int fd = io->open(io->ctx, SP_QUEUE_RESTORED, SP_IO_OPEN_READ);

    if (fd < 0)
        return false;
    io->close(io->ctx, fd);
    (void)io->unlink(io->ctx, SP_QUEUE_RESTORED);
    sp_log_warn(q->o.log, "queue.restored");
    return true;
}

static enum sp_rc open_journal(struct sp_queue *q, struct sp_err *err)
{
    struct sp_journal_options o = {
        .io = q->o.io,
        .keys = q->o.keys,
        .loop = q->o.loop,
        .log = q->o.log,
        .clock = q->o.clock,
        .random = q->o.random,
        .segment_len = q->o.segment_len,
        .reserve_len = q->o.reserve_len,
        .prewrite = q->o.prewrite,
        .read_only = q->o.read_only,
        .by_footers = q->o.by_footers,
        .on_entry = sp_queue_on_entry,
        .on_durable = on_durable,
        .on_going = sp_queue_on_going,
        .on_noted = sp_queue_on_noted,
        .on_gone = sp_queue_on_gone,
        .on_state = on_state,
        .arg = q,
    };
    struct sp_journal_recovery found;
    bool restored;
    struct sp_journal *journal = NULL;
    enum sp_rc rc = sp_journal_open(&o, &journal, &found, err);

    if (rc != SP_OK)
        return rc;
    q->stats.damaged = found.damaged;
    q->stats.copies = found.copies;
    q->stats.is_torn = found.is_torn;
    q->stats.known_from = found.first;
    q->stats.footers = found.footers;
    q->stats.dropped = found.dropped;
    q->stats.records = found.records;
    q->stats.segments = found.segments;
    if (q->o.read_only) {
        q->journal = journal;
        return SP_OK;
    }
    restored = is_restored(q);
    mark_attempted(q, restored || !found.clean ? UINT64_MAX : q->lost_to);
    sp_queue_index_mend_times(q);
    rc = sp_queue_body_folders(q, found.damaged > 0, err);
    q->journal = journal;
    sp_log_info(q->o.log, "queue.opened", SP_INT("messages", sp_map_count(q->entries)),
                SP_INT("records", found.records), SP_INT("footers", found.footers),
                SP_INT("damaged", found.damaged), SP_INT("dropped", found.dropped),
                SP_BOOL("clean", found.clean));
    if (rc == SP_OK)
        sp_queue_tell_damages(q);
    if (rc == SP_OK && found.renewed && q->o.renewed.len > 0)
        sp_queue_say(q, q->o.renewed);
    if (rc == SP_OK && restored && q->o.restored.len > 0)
        sp_queue_say(q, q->o.restored);
    if (rc == SP_OK)
        sp_queue_reclaim(q);
    return rc;
}

enum sp_rc sp_queue_open(const struct sp_queue_options *options, struct sp_queue **out,
                         struct sp_err *err)
{
    struct sp_queue *q = queue_new(options);
    enum sp_rc rc = SP_OK;

    if (q->o.io == NULL) {
        rc = sp_journal_io_posix(options->dir, &q->own_io, err);
        q->o.io = &q->own_io;
    }
    if (rc == SP_OK)
        rc = sp_queue_orders_load(q, err);
    if (rc == SP_OK)
        rc = open_journal(q, err);
    if (rc != SP_OK) {
        sp_journal_close(q->journal);
        queue_free(q);
        return rc;
    }
    *out = q;
    return SP_OK;
}

/* A doubt about an attempt outlasts this run: whose outcome is not known, here or from before, may have been delivered. */
static bool has_no_doubt(void *arg)
{
    const struct sp_queue *q = arg;
    struct sp_bytes key;
    size_t at = 0;
    void *entry;

    while (sp_map_next(q->entries, &at, &key, &entry))
        if (((const struct sp_queue_entry *)entry)->possibly_attempted)
            return false;
    return q->stats.recipients_busy == 0;
}

void sp_queue_close(struct sp_queue *q)
{
    if (q == NULL)
        return;
    q->carrying = true;          /* no new carries */
    sp_queue_disk_stop(q->disk); /* bodies that end now still go into records */
    sp_journal_close_as(SP_STEAL(q->journal), has_no_doubt, q);
    queue_free(q);
}

void sp_queue_commit(struct sp_queue *q)
{
    sp_assert(q->o.loop == NULL);
    do
        sp_journal_commit(q->journal);
    while (sp_queue_disk_run(q->disk));
}

struct sp_queue_stats sp_queue_stats(const struct sp_queue *q)
{
    struct sp_queue_stats s = q->stats;

    s.messages = sp_map_count(q->entries);
    s.disk_len = sp_journal_disk_len(q->journal);
    s.first_segment = sp_journal_first(q->journal);
    s.current_segment = sp_journal_current(q->journal);
    s.journal = sp_journal_stats(q->journal);
    return s;
}

void sp_queue_ledger_passed(struct sp_queue *q, uint64_t segment)
{
    sp_journal_passed(q->journal, segment);
    sp_queue_reclaim(q);
}
