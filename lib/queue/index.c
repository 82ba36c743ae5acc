/*
 * The index: a map by id, lines of what is due (lines.h), and a list of each segment's living messages (live.c). An
 * entry is about 260 bytes with one recipient; addresses, rules and ladders stay in the record. All changes of a
 * recipient pass through two functions here, so that the counts can't drift.
 */
#include "base/text.h"
#include "queue/over.h"
#include "queue/queue_priv.h"

#define COST_BYTES 65536 /* of a body, that count as much as a message */

static struct sp_bytes key_of(const struct sp_id *id)
{
    return sp_bytes(id->b, SP_ID_LEN);
}

/* A recipient's first state. */
static struct sp_rcpt first_state(const struct sp_accept *a, const struct sp_accept_decision *d)
{
    struct sp_rcpt r = {.rung = UINT8_MAX, .state = SP_RCPT_PENDING, .next_at_ms = a->time_ms};

    switch (d->does) {
    case SP_ACCEPT_DO_HOLD:
        r.state = SP_RCPT_HELD;
        r.next_at_ms = d->hold_until_ms;
        break;
    case SP_ACCEPT_DO_REJECT:
        r.state = SP_RCPT_RETURNED;
        break;
    case SP_ACCEPT_DO_DISCARD:
        r.state = SP_RCPT_DISCARDED;
        break;
    default:
        break;
    }
    return r;
}

/* ---- groups ---- */

static struct sp_bytes lower_domain(struct sp_bytes address, uint8_t *room, size_t room_len)
{
    size_t at = address.len;
    size_t len = 0;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    for (; at < address.len && len < room_len; at++)
        room[len++] = sp_ascii_lower(address.ptr[at]);
    return sp_bytes(room, len);
}

/* returns: the line of recipient n, with a reference */
static struct sp_line *find_line(struct sp_queue *q, const struct sp_accept *a, size_t n,
                                 int64_t *end_ms)
{
    uint8_t domain[256];
    struct sp_queue_way way = {.lane =
                                   a->kind == SP_ACCEPT_KIND_CODE ? SP_LANE_URGENT : SP_LANE_NORMAL,
                               .end_ms = INT64_MAX};

    way.destination = lower_domain(a->recipients[n].address, domain, sizeof(domain));
    if (q->o.classify != NULL)
        q->o.classify(q->o.arg, a, n, &way);
    *end_ms = way.end_ms;
    return sp_lines_ref(q->lines, a->tenant, way.destination, way.lane);
}

static uint16_t cost_of(const struct sp_accept *a)
{
    uint64_t cost = 1 + a->body_len / COST_BYTES;

    return (uint16_t)(cost < SP_LINE_COST_MAX ? cost : SP_LINE_COST_MAX);
}

/* Takes over the reference to line. returns: the number of the group that stands in it */
static uint16_t find_group(struct sp_queue *q, struct sp_queue_group *groups, uint16_t *count,
                           struct sp_line *line)
{
    for (uint16_t i = *count; i > 0; i--) { /* neighbours often go to the same domain */
        if (groups[i - 1].item.line != line)
            continue;
        sp_lines_unref(q->lines, line);
        return (uint16_t)(i - 1);
    }
    groups[*count].item.line = line;
    return (*count)++;
}

struct place { /* of a recipient */
    uint16_t group;
    int64_t end_ms;
};

struct sp_queue_entry *sp_queue_entry_new(struct sp_queue *q, const struct sp_accept *a)
{
    struct sp_queue_group few[4] = {0};
    struct sp_queue_group *groups =
        a->recipient_count <= SP_ARRAY_LEN(few) ? few : sp_calloc(a->recipient_count, sizeof(*few));
    struct place *places = sp_calloc(a->recipient_count + 1, sizeof(*places));
    struct sp_queue_entry *e;
    uint16_t count = 0;

    for (size_t i = 0; i < a->recipient_count; i++)
        places[i].group = find_group(q, groups, &count, find_line(q, a, i, &places[i].end_ms));
    e = sp_calloc(1, sizeof(*e) + a->recipient_count * sizeof(e->rcpts[0]) + count * sizeof(*few));
    e->id = a->id;
    sp_queue_sieve_of(a, &e->sieve);
    e->body_len = a->body_len;
    e->body_in_file = a->body_in_file;
    e->count = (uint16_t)a->recipient_count;
    e->groups = (struct sp_queue_group *)(void *)&e->rcpts[a->recipient_count];
    e->group_count = count;
    for (uint16_t i = 0; i < count; i++) {
        e->groups[i] = groups[i];
        e->groups[i].entry = e;
        e->groups[i].item.cost = cost_of(a);
    }
    for (size_t i = 0; i < a->recipient_count; i++) {
        e->rcpts[i].r = first_state(a, &a->decisions[a->recipients[i].decision]);
        e->rcpts[i].group = places[i].group;
        e->rcpts[i].end_ms = places[i].end_ms;
        if (!sp_rcpt_state_is_final(e->rcpts[i].r.state))
            e->open++;
    }
    sp_free(places);
    if (groups != few)
        sp_free(groups);
    return e;
}

void sp_queue_entry_free(struct sp_queue *q, struct sp_queue_entry *e)
{
    if (e == NULL)
        return;
    sp_queue_warm_drop(q, &e->id);
    for (uint16_t i = 0; i < e->group_count; i++) {
        sp_lines_remove(q->lines, &e->groups[i].item);
        sp_lines_unref(q->lines, e->groups[i].item.line);
    }
    sp_free(e);
}

void sp_queue_entry_accepted_now(struct sp_queue_entry *e, int64_t skew_ms)
{
    e->skew_ms = skew_ms;
    for (size_t i = 0; i < e->count; i++) {
        if (e->rcpts[i].r.next_at_ms != 0)
            e->rcpts[i].r.next_at_ms += e->skew_ms;
        if (e->rcpts[i].end_ms != INT64_MAX)
            e->rcpts[i].end_ms += e->skew_ms;
    }
}

struct sp_queue_entry *sp_queue_entry_find(const struct sp_queue *q, const struct sp_id *id)
{
    return sp_map_find(q->entries, key_of(id));
}

/* ---- counts ---- */

static void count_one(struct sp_queue *q, const struct sp_queue_rcpt *r, bool add)
{
    size_t *counter = NULL;

    if (r->busy)
        counter = &q->stats.recipients_busy;
    else if (r->r.state == SP_RCPT_PENDING || r->r.state == SP_RCPT_DEFERRED)
        counter = &q->stats.recipients_pending;
    else if (r->r.state == SP_RCPT_HELD)
        counter = &q->stats.recipients_held;
    if (counter != NULL)
        *counter = add ? *counter + 1 : *counter - 1;
    if (r->r.state == SP_RCPT_HELD && r->r.by_hand)
        q->stats.recipients_by_hand =
            add ? q->stats.recipients_by_hand + 1 : q->stats.recipients_by_hand - 1;
}

static void count_all(struct sp_queue *q, const struct sp_queue_entry *e, bool add)
{
    for (size_t i = 0; i < e->count; i++)
        count_one(q, &e->rcpts[i], add);
    if (e->quarantined)
        q->stats.quarantined = add ? q->stats.quarantined + 1 : q->stats.quarantined - 1;
}

/* ---- entries ---- */

static void drop(struct sp_queue *q, struct sp_queue_entry *e)
{
    (void)sp_map_remove(q->entries, key_of(&e->id));
    sp_queue_ages_note(q->ages, &e->id, false);
    count_all(q, e, false);
    sp_queue_live_remove(q, e);
    if (e->body_in_file)
        sp_queue_body_unlink(q, &e->id);
    sp_queue_entry_free(q, e);
}

static bool waits_for_time(const struct sp_queue_rcpt *r)
{
    bool waits_for_person = r->r.state == SP_RCPT_HELD && r->r.next_at_ms == 0;

    return !r->busy && !waits_for_person && !sp_rcpt_state_is_final(r->r.state);
}

/* returns: when a recipient stands in line no longer: he has a little time for his turn once he is due */
static int64_t over_at(const struct sp_queue_rcpt *r)
{
    int64_t due_ms = r->r.next_at_ms; /* may be as good as never */
    int64_t turn_ms = due_ms > INT64_MAX - SP_QUEUE_TURN_MS ? INT64_MAX : due_ms + SP_QUEUE_TURN_MS;

    return r->end_ms > turn_ms ? r->end_ms : turn_ms;
}

static void place_in_lines(struct sp_queue *q, struct sp_queue_entry *e)
{
    int64_t now_ms = sp_clock_steady_ms(q->o.clock);

    for (uint16_t i = 0; i < e->group_count; i++) {
        e->groups[i].at_ms = e->groups[i].over_ms = INT64_MAX;
        e->groups[i].item.may_wake = false;
    }
    for (size_t i = 0; i < e->count && !e->quarantined; i++) {
        struct sp_queue_group *g = &e->groups[e->rcpts[i].group];

        if (!waits_for_time(&e->rcpts[i]))
            continue;
        g->item.may_wake = g->item.may_wake || e->rcpts[i].parked;
        if (e->rcpts[i].r.next_at_ms < g->at_ms)
            g->at_ms = e->rcpts[i].r.next_at_ms;
        if (over_at(&e->rcpts[i]) < g->over_ms)
            g->over_ms = over_at(&e->rcpts[i]);
    }
    for (uint16_t i = 0; i < e->group_count; i++) {
        struct sp_queue_group *g = &e->groups[i];

        sp_lines_end_at(q->lines, &g->item, g->over_ms == INT64_MAX ? 0 : g->over_ms);
        if (g->at_ms == INT64_MAX)
            sp_lines_remove(q->lines, &g->item);
        else
            sp_lines_put(q->lines, &g->item, g->at_ms, now_ms);
    }
}

bool sp_queue_entry_put(struct sp_queue *q, struct sp_queue_entry *e,
                        const struct sp_journal_place *place)
{
    struct sp_queue_entry *old = sp_queue_entry_find(q, &e->id);

    if (e->open == 0) {
        sp_queue_entry_free(q, e);
        return false;
    }
    if (old != NULL) { /* carried: the same message, told again */
        old->body_in_file = false;
        drop(q, old);
    }
    e->place = *place;
    (void)sp_map_put(q->entries, key_of(&e->id), e);
    sp_queue_ages_note(q->ages, &e->id, true);
    count_all(q, e, true);
    sp_queue_live_add(q, e);
    place_in_lines(q, e);
    return true;
}

void sp_queue_entry_move(struct sp_queue *q, struct sp_queue_entry *e,
                         const struct sp_journal_place *place)
{
    sp_queue_live_remove(q, e);
    e->place = *place;
    sp_queue_live_add(q, e);
}

void sp_queue_entry_set(struct sp_queue *q, struct sp_queue_entry *e, uint16_t n,
                        const struct sp_rcpt *to)
{
    struct sp_queue_rcpt *r = &e->rcpts[n];

    count_one(q, r, false);
    if (!sp_rcpt_state_is_final(r->r.state))
        e->open--;
    r->r = *to;
    r->parked = false;
    if (!sp_rcpt_state_is_final(r->r.state))
        e->open++;
    count_one(q, r, true);
}

void sp_queue_entry_busy(struct sp_queue *q, struct sp_queue_entry *e, uint16_t n, bool busy)
{
    struct sp_queue_rcpt *r = &e->rcpts[n];

    count_one(q, r, false);
    r->busy = busy;
    count_one(q, r, true);
}

bool sp_queue_entry_settle(struct sp_queue *q, struct sp_queue_entry *e)
{
    if (e->open == 0) {
        drop(q, e);
        return false;
    }
    place_in_lines(q, e);
    return true;
}

void sp_queue_entry_quarantine(struct sp_queue *q, struct sp_queue_entry *e)
{
    if (e->quarantined)
        return;
    e->quarantined = true;
    q->stats.quarantined++;
    sp_log_error(q->o.log, "queue.quarantined", SP_ID("message", &e->id));
    place_in_lines(q, e);
    sp_queue_tell_damage(q, e);
}

void sp_queue_entry_give_up(struct sp_queue *q, struct sp_queue_entry *e)
{
    const struct sp_rcpt deleted = {.state = SP_RCPT_DELETED, .rung = UINT8_MAX};

    for (uint16_t n = 0; n < e->count; n++)
        if (!sp_rcpt_state_is_final(e->rcpts[n].r.state))
            sp_queue_entry_set(q, e, n, &deleted);
    e->open = 0;
}

static void mend_times(struct sp_queue *q, struct sp_queue_entry *e, int64_t now_ms)
{
    for (size_t i = 0; i < e->count; i++) {
        struct sp_rcpt *r = &e->rcpts[i].r;

        if (e->rcpts[i].end_ms < now_ms + SP_QUEUE_SPARE_MS)
            e->rcpts[i].end_ms = now_ms + SP_QUEUE_SPARE_MS;
        if (q->o.wait_max_ms > 0 && (r->state == SP_RCPT_PENDING || r->state == SP_RCPT_DEFERRED) &&
            r->next_at_ms > now_ms + q->o.wait_max_ms)
            r->next_at_ms = now_ms;
    }
    place_in_lines(q, e);
}

void sp_queue_index_mend_times(struct sp_queue *q)
{
    int64_t now_ms = sp_clock_steady_ms(q->o.clock);
    struct sp_bytes key;
    size_t at = 0;
    void *entry;

    while (sp_map_next(q->entries, &at, &key, &entry))
        mend_times(q, entry, now_ms);
}

int64_t sp_queue_due_at(const struct sp_queue *q)
{
    int64_t due_ms = sp_lines_due_at(q->lines), over_ms = sp_lines_ends_at(q->lines);

    return due_ms < over_ms ? due_ms : over_ms;
}

struct sp_lines *sp_queue_lines(struct sp_queue *q)
{
    return q->lines;
}

void sp_queue_tell_due(struct sp_queue *q, int64_t before)
{
    if (q->o.on_due != NULL && sp_queue_due_at(q) < before)
        q->o.on_due(q->o.arg);
}

/* returns: what the lines were made with, if that is later */
static int64_t now_of(const struct sp_queue *q, int64_t now_ms)
{
    int64_t clock_ms = sp_clock_steady_ms(q->o.clock);

    return now_ms < clock_ms ? clock_ms : now_ms;
}

/* returns: the group that is handed out, of which nobody is yet */
static struct sp_queue_group *hand_out(struct sp_line_item *item, struct sp_queue_due *out)
{
    struct sp_queue_group *g = SP_CONTAINER(item, struct sp_queue_group, item);

    *out = (struct sp_queue_due){
        .id = g->entry->id,
        .possibly_attempted = g->entry->possibly_attempted,
        .line = sp_line_handle(item->line),
        .lane = sp_line_lane(item->line),
        .ends_ms = sp_line_spared_until(item->line),
    };
    return g;
}

static void take(struct sp_queue *q, struct sp_queue_entry *e, uint16_t n, struct sp_queue_due *out)
{
    e->rcpts[n].parked = false;
    if (over_at(&e->rcpts[n]) > out->ends_ms)
        out->ends_ms = over_at(&e->rcpts[n]);
    out->ns[out->n_count++] = n;
    sp_queue_entry_busy(q, e, n, true);
}

bool sp_queue_next_due(struct sp_queue *q, int64_t now_ms, struct sp_queue_due *out)
{
    struct sp_line_item *next;
    struct sp_queue_group *g;
    struct sp_queue_entry *e;

    now_ms = now_of(q, now_ms);
    next = sp_lines_next(q->lines, now_ms);
    if (next == NULL)
        return false;
    g = hand_out(next, out);
    e = g->entry;
    for (uint16_t i = 0; i < e->count && out->n_count < SP_QUEUE_DUE_MAX; i++) {
        struct sp_queue_rcpt *r = &e->rcpts[i];

        if (e->groups + r->group != g || !waits_for_time(r))
            continue;
        if (r->parked && next->is_woken && r->r.next_at_ms > now_ms)
            r->r.next_at_ms = now_ms;
        if (r->r.next_at_ms <= now_ms)
            take(q, e, i, out);
    }
    place_in_lines(q, e);
    return true;
}

bool sp_queue_next_over(struct sp_queue *q, int64_t now_ms, struct sp_queue_due *out)
{
    struct sp_line_item *next;
    struct sp_queue_group *g;
    struct sp_queue_entry *e;

    now_ms = now_of(q, now_ms);
    next = sp_lines_ended(q->lines, now_ms);
    if (next == NULL)
        return false;
    g = hand_out(next, out);
    e = g->entry;
    out->is_over = true;
    for (uint16_t i = 0; i < e->count && out->n_count < SP_QUEUE_DUE_MAX; i++)
        if (e->groups + e->rcpts[i].group == g && waits_for_time(&e->rcpts[i]) &&
            over_at(&e->rcpts[i]) <= now_ms)
            take(q, e, i, out);
    place_in_lines(q, e);
    return true;
}

/* put: at which place of their line */
static void stand_at_head(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns,
                          size_t n_count, void (*put)(struct sp_lines *l, struct sp_line_item *i))
{
    struct sp_queue_entry *e = sp_queue_entry_find(q, id);
    int64_t before = sp_queue_due_at(q);

    if (e == NULL)
        return;
    for (size_t i = 0; i < n_count; i++) {
        sp_assert(ns[i] < e->count);
        sp_queue_entry_busy(q, e, ns[i], false);
    }
    place_in_lines(q, e);
    if (n_count > 0 && e->groups[e->rcpts[ns[0]].group].at_ms != INT64_MAX)
        put(q->lines, &e->groups[e->rcpts[ns[0]].group].item);
    sp_queue_tell_due(q, before); /* behind a reload another engine takes what one gives back */
}

void sp_queue_stand_again(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns,
                          size_t n_count, int64_t end_ms)
{
    struct sp_queue_entry *e = sp_queue_entry_find(q, id);

    for (size_t i = 0; e != NULL && i < n_count; i++) {
        sp_assert(ns[i] < e->count);
        e->rcpts[ns[i]].end_ms = end_ms;
    }
    stand_at_head(q, id, ns, n_count, sp_lines_put_again);
}

void sp_queue_put_first(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns,
                        size_t n_count)
{
    stand_at_head(q, id, ns, n_count, sp_lines_put_first);
}

void sp_queue_put_back(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns,
                       size_t n_count, int64_t next_at_ms)
{
    struct sp_queue_entry *e = sp_queue_entry_find(q, id);
    int64_t before = sp_queue_due_at(q);

    if (e == NULL)
        return;
    for (size_t i = 0; i < n_count; i++) {
        sp_assert(ns[i] < e->count);
        sp_queue_entry_busy(q, e, ns[i], false);
        if (!sp_rcpt_state_is_final(e->rcpts[ns[i]].r.state))
            e->rcpts[ns[i]].r.next_at_ms = next_at_ms;
    }
    place_in_lines(q, e);
    sp_queue_tell_due(q, before);
}
