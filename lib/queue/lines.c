/*
 * Lines, lanes, tenants. Three rings inside each other: a lane's tenants, a tenant's lines, a line's items; only what
 * could be served now is linked in, so that nobody ever searches. A heap of everything by time alone was there before:
 * then a dead domain's half million had to be taken out, tried and put back before the one behind them was seen.
 * Credits, not strict order, between lanes: a lane that is marked wrongly must not stop the others for good. The last ring is for
 * destinations that do not answer, with the fewest. Parked items are a heap of their line; one heap over such lines tells which
 * has somebody to be looked at, or may let one try.
 */
#include "queue/lines_priv.h"

#define QUANTUM  8   /* cost that a tenant may take a turn */
#define MOVE_MAX 256 /* of those that have become due, a call */
#define SLOW     SP_LANE_COUNT
#define KEY_MAX  600
#define AGAIN_MS 30000 /* a line that let one try and heard nothing lets another */

static const int credits[RINGS] = {64, 16, 4, 1};

const char *sp_lane_name(enum sp_lane lane)
{
    static const char *const names[SP_LANE_COUNT] = {"urgent", "normal", "bulk"};

    return names[lane];
}

/* ---- rings ---- */

static unsigned ring_of(const struct sp_line *line)
{
    return line->is_slow ? SLOW : (unsigned)line->lane;
}

static bool has_some(const struct sp_line *line)
{
    return line->ready > 0 || (line->is_awake && line->parked.count > 0);
}

/* Links a line in where it could be served, and only then. */
static void link_line(struct sp_lines *l, struct sp_line *line)
{
    struct share *s = &line->tenant->shares[ring_of(line)];

    if (line->is_shut || line->is_frozen || !has_some(line) || !sp_list_is_empty(&line->at))
        return;
    if (sp_list_is_empty(&s->lines))
        sp_list_append(&l->rings[ring_of(line)].shares, &s->at);
    sp_list_append(&s->lines, &line->at);
}

static void unlink_line(struct sp_line *line)
{
    struct share *s = &line->tenant->shares[ring_of(line)];

    sp_list_remove(&line->at);
    if (!sp_list_is_empty(&s->lines))
        return;
    sp_list_remove(&s->at);
    if (s->deficit > 0) /* nothing is saved up; what was taken too much is remembered */
        s->deficit = 0;
}

/* ---- lines ---- */

static struct tenant *ref_tenant(struct sp_lines *l, struct sp_bytes name)
{
    struct tenant *t = sp_map_find(l->tenants, name);
    uint8_t *copy;

    if (t == NULL) {
        t = sp_calloc(1, sizeof(*t) + name.len + 1);
        copy = (uint8_t *)(t + 1);
        if (name.len > 0)
            memcpy(copy, name.ptr, name.len);
        t->name = sp_bytes(copy, name.len);
        for (size_t i = 0; i < RINGS; i++) {
            sp_list_init(&t->shares[i].at);
            sp_list_init(&t->shares[i].lines);
        }
        (void)sp_map_put(l->tenants, name, t);
    }
    t->refs++;
    return t;
}

static void unref_tenant(struct sp_lines *l, struct tenant *t)
{
    if (--t->refs > 0)
        return;
    (void)sp_map_remove(l->tenants, t->name);
    sp_free(t);
}

/* What is too long is cut: then two share a line, and no more than that. */
static uint16_t put_key(uint8_t *key, uint16_t at, struct sp_bytes text)
{
    size_t room = KEY_MAX / 2 - 1;
    size_t len = text.len < room ? text.len : room;

    if (len > 0)
        memcpy(key + at, text.ptr, len);
    return (uint16_t)(at + len);
}

struct sp_line *sp_lines_ref(struct sp_lines *l, struct sp_bytes tenant,
                             struct sp_bytes destination, enum sp_lane lane)
{
    uint8_t key[KEY_MAX];
    uint16_t tenant_end, end;
    struct sp_line *line;

    key[0] = (uint8_t)lane;
    tenant_end = put_key(key, 1, tenant);
    key[tenant_end] = 0;
    end = put_key(key, (uint16_t)(tenant_end + 1), destination);
    line = sp_map_find(l->lines, sp_bytes(key, end));
    if (line == NULL) {
        line = sp_calloc(1, sizeof(*line) + end);
        line->tenant = ref_tenant(l, sp_bytes(key + 1, tenant_end - 1U));
        line->lane = lane;
        line->key_len = end;
        line->destination_at = (uint16_t)(tenant_end + 1);
        memcpy(line->key, key, end);
        sp_list_init(&line->at);
        sp_list_init(&line->items);
        line->again = &line->items;
        sp_heap_node_init(&line->node);
        sp_heap_node_init(&line->ends_node);
        line->handle = sp_slots_add(l->handles, line);
        (void)sp_map_put(l->lines, sp_bytes(key, end), line);
        line->is_frozen = sp_map_find(l->frozen_tenants, line->tenant->name) != NULL ||
                          sp_map_find(l->frozen_destinations, destination) != NULL;
    }
    line->refs++;
    return line;
}

void sp_lines_unref(struct sp_lines *l, struct sp_line *line)
{
    if (--line->refs > 0)
        return;
    sp_assert(line->ready == 0 && line->waits == 0);
    unlink_line(line);
    sp_heap_clear(&line->parked);
    sp_heap_clear(&line->ends);
    (void)sp_slots_remove(l->handles, line->handle);
    (void)sp_map_remove(l->lines, sp_bytes(line->key, line->key_len));
    unref_tenant(l, line->tenant);
    sp_free(line);
}

struct sp_bytes sp_line_destination(const struct sp_line *line)
{
    return sp_bytes(line->key + line->destination_at,
                    (size_t)(line->key_len - line->destination_at));
}

sp_handle sp_line_handle(const struct sp_line *line)
{
    return line->handle;
}

enum sp_lane sp_line_lane(const struct sp_line *line)
{
    return line->lane;
}

/* ---- items ---- */

/* next: who stands behind it; the line's list: nobody */
static void stand(struct sp_lines *l, struct sp_line_item *i, struct sp_list *next)
{
    struct sp_line *line = i->line;

    i->stands = READY;
    i->is_woken = false;
    sp_list_init(&i->at);
    sp_list_append(next, &i->at);
    line->ready++;
    sp_lines_end_comes(l, i);
    link_line(l, line);
}

/* Finds its place in wakes anew. */
static void set_wake(struct sp_lines *l, struct sp_line *line)
{
    const struct sp_heap_node *first = sp_heap_first(&line->parked);

    if (first == NULL)
        sp_heap_remove(&l->wakes, &line->node);
    else /* the times of the parked hold in an awake line as well: it may have much to do, or be shut */
        sp_heap_put(&l->wakes, &line->node,
                    line->is_awake || first->key < line->wake_ms ? first->key : line->wake_ms);
}

void sp_lines_remove(struct sp_lines *l, struct sp_line_item *i)
{
    struct sp_line *line = i->line;

    if (i->stands == FUTURE) {
        sp_heap_remove(&l->future, &i->node);
        line->waits--;
    } else if (i->stands == READY) {
        if (line->again == &i->at)
            line->again = i->at.prev;
        sp_list_remove(&i->at);
        line->ready--;
        sp_lines_end_goes(l, i);
    } else if (i->stands == PARKED) {
        sp_heap_remove(&line->parked, &i->node);
        line->waits--;
        set_wake(l, line);
    }
    if (i->stands != FUTURE && !has_some(line))
        unlink_line(line);
    i->stands = NOWHERE;
}

void sp_lines_put(struct sp_lines *l, struct sp_line_item *i, int64_t at_ms, int64_t now_ms)
{
    uint8_t later = i->may_wake ? PARKED : FUTURE;
    struct sp_line *line = i->line;

    if (i->stands == READY && (at_ms <= now_ms || (i->is_woken && i->may_wake)))
        return; /* the turn that its line gave it included */
    if (i->stands == later && at_ms > now_ms && i->node.key == at_ms)
        return;
    sp_lines_remove(l, i);
    if (at_ms <= now_ms) {
        stand(l, i, &i->line->items);
        return;
    }
    i->stands = later;
    sp_heap_node_init(&i->node);
    sp_heap_put(i->may_wake ? &line->parked : &l->future, &i->node, at_ms);
    line->waits++;
    if (i->may_wake)
        set_wake(l, line);
    link_line(l, line); /* which may be awake */
}

void sp_lines_put_first(struct sp_lines *l, struct sp_line_item *i)
{
    sp_lines_remove(l, i);
    stand(l, i, i->line->items.next);
}

void sp_lines_put_again(struct sp_lines *l, struct sp_line_item *i)
{
    sp_lines_remove(l, i);
    stand(l, i, i->line->again->next);
    i->line->again = &i->at;
}

/* Of a line's parked those join it whose own time has come, and one who tries for all. */
static void wake_some(struct sp_lines *l, int64_t now_ms)
{
    for (int n = 0; n < MOVE_MAX; n++) {
        struct sp_heap_node *node = sp_heap_first(&l->wakes);
        struct sp_line *line;
        struct sp_line_item *i;

        if (node == NULL || node->key > now_ms)
            return;
        l->steps++;
        line = SP_CONTAINER(node, struct sp_line, node);
        i = SP_CONTAINER(sp_heap_first(&line->parked), struct sp_line_item, node);
        if (i->node.key > now_ms)
            line->wake_ms = now_ms + AGAIN_MS;
        sp_lines_remove(l, i);
        stand(l, i, &i->line->items);
        i->is_woken = true;
    }
}

void sp_lines_move_due(struct sp_lines *l, int64_t now_ms)
{
    wake_some(l, now_ms);
    for (int n = 0; n < MOVE_MAX; n++) {
        struct sp_heap_node *first = sp_heap_first(&l->future);
        struct sp_line_item *i;

        if (first == NULL || first->key > now_ms)
            return;
        l->steps++;
        i = SP_CONTAINER(first, struct sp_line_item, node);
        sp_lines_remove(l, i);
        stand(l, i, &i->line->items);
    }
}

/* ---- the next ---- */

static bool is_served(const struct sp_lines *l, unsigned ring)
{
    return !sp_list_is_empty(&l->rings[ring].shares) &&
           (ring == SLOW || (l->served & 1U << ring) != 0);
}

/* returns: the ring whose turn it is, or RINGS */
static unsigned choose_ring(struct sp_lines *l)
{
    unsigned any = RINGS;

    for (unsigned r = RINGS; r > 0; r--)
        if (is_served(l, r - 1))
            any = r - 1;
    if (any == RINGS)
        return any;
    for (unsigned r = any; r < RINGS; r++) {
        l->steps++;
        if (is_served(l, r) && l->rings[r].credit > 0)
            return r;
    }
    for (unsigned r = 0; r < RINGS; r++)
        l->rings[r].credit = credits[r];
    return any;
}

/* returns: the share whose turn it is, with something to spend */
static struct share *choose_share(struct sp_lines *l, unsigned ring)
{
    struct sp_list *shares = &l->rings[ring].shares;

    for (;;) {
        struct share *s = SP_CONTAINER(shares->next, struct share, at);

        l->steps++;
        s->deficit += s->deficit > 0 ? 0 : QUANTUM;
        if (s->deficit > 0)
            return s;
        sp_list_remove(&s->at);
        sp_list_append(shares, &s->at);
    }
}

static uint16_t cost_of(const struct sp_line_item *i)
{
    if (i->cost == 0)
        return 1;
    return i->cost > SP_LINE_COST_MAX ? SP_LINE_COST_MAX : i->cost;
}

/* Awake, it serves the parked and who stands in it by turns: neither has to wait until there are no more of the other. */
static struct sp_line_item *take_turn(struct sp_line *line)
{
    line->had_parked =
        line->ready == 0 || (!line->had_parked && line->is_awake && line->parked.count > 0);
    if (line->had_parked)
        return SP_CONTAINER(sp_heap_first(&line->parked), struct sp_line_item, node);
    return SP_CONTAINER(line->items.next, struct sp_line_item, at);
}

struct sp_line_item *sp_lines_next(struct sp_lines *l, int64_t now_ms)
{
    struct sp_line_item *i;
    struct sp_line *line;
    struct share *s;
    unsigned ring;

    sp_lines_move_due(l, now_ms);
    ring = choose_ring(l);
    if (ring == RINGS)
        return NULL;
    s = choose_share(l, ring);
    line = SP_CONTAINER(s->lines.next, struct sp_line, at);
    i = take_turn(line);
    i->is_woken = i->is_woken || i->stands == PARKED;
    l->rings[ring].credit--;
    s->deficit -= cost_of(i);
    sp_list_remove(&line->at); /* its next turn is after the tenant's other lines */
    sp_list_append(&s->lines, &line->at);
    if (s->deficit <= 0) {
        sp_list_remove(&s->at);
        sp_list_append(&l->rings[ring].shares, &s->at);
    }
    sp_lines_remove(l, i);
    return i;
}

int64_t sp_lines_due_at(const struct sp_lines *l)
{
    const struct sp_heap_node *first = sp_heap_first(&l->future);
    const struct sp_heap_node *wake = sp_heap_first(&l->wakes);
    int64_t at_ms = first == NULL ? INT64_MAX : first->key;

    for (unsigned r = 0; r < RINGS; r++)
        if (is_served(l, r))
            return 0;
    return wake == NULL || wake->key > at_ms ? at_ms : wake->key;
}

void sp_lines_serve(struct sp_lines *l, unsigned lanes)
{
    l->served = lanes;
}

/* ---- who may not be served ---- */

bool sp_lines_shut(struct sp_lines *l, sp_handle handle, bool is_shut)
{
    struct sp_line *line = sp_slots_find(l->handles, handle);

    if (line == NULL || line->is_shut == is_shut)
        return false;
    if (is_shut)
        unlink_line(line);
    line->is_shut = is_shut;
    link_line(l, line);
    return true;
}

void sp_lines_slow(struct sp_lines *l, sp_handle handle, bool is_slow)
{
    struct sp_line *line = sp_slots_find(l->handles, handle);

    if (line == NULL || line->is_slow == is_slow)
        return;
    unlink_line(line);
    line->is_slow = is_slow;
    link_line(l, line);
}

void sp_lines_rest(struct sp_lines *l, sp_handle handle, int64_t until_ms)
{
    struct sp_line *line = sp_slots_find(l->handles, handle);

    if (line == NULL)
        return;
    line->wake_ms = until_ms;
    line->is_awake = false;
    set_wake(l, line);
    if (!has_some(line))
        unlink_line(line);
}

bool sp_lines_wake(struct sp_lines *l, sp_handle handle)
{
    struct sp_line *line = sp_slots_find(l->handles, handle);

    if (line == NULL || line->is_awake)
        return false;
    line->is_awake = true;
    set_wake(l, line);
    link_line(l, line);
    return line->parked.count > 0;
}

static void freeze_line(struct sp_lines *l, struct sp_line *line, int64_t spare_ms)
{
    struct sp_line_view v = sp_line_look(line);
    bool is_frozen = sp_map_find(l->frozen_tenants, v.tenant) != NULL ||
                     sp_map_find(l->frozen_destinations, v.destination) != NULL;

    if (line->is_frozen == is_frozen)
        return;
    if (is_frozen)
        unlink_line(line);
    line->is_frozen = is_frozen;
    line->spared_ms = spare_ms;
    sp_lines_set_ends(l, line);
    link_line(l, line);
}

static void freeze(struct sp_lines *l, struct sp_map *set, struct sp_bytes name, bool on,
                   int64_t spare_ms)
{
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    if (on)
        (void)sp_map_put(set, name, l);
    else
        (void)sp_map_remove(set, name);
    while (sp_map_next(l->lines, &at, &key, &value))
        freeze_line(l, value, spare_ms);
}

void sp_lines_freeze_tenant(struct sp_lines *l, struct sp_bytes tenant, bool on, int64_t spare_ms)
{
    freeze(l, l->frozen_tenants, tenant, on, spare_ms);
}

void sp_lines_freeze_destination(struct sp_lines *l, struct sp_bytes destination, bool on,
                                 int64_t spare_ms)
{
    freeze(l, l->frozen_destinations, destination, on, spare_ms);
}

void sp_lines_open_all(struct sp_lines *l)
{
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    while (sp_map_next(l->lines, &at, &key, &value)) {
        struct sp_line *line = value;

        sp_lines_slow(l, line->handle, false);
        (void)sp_lines_shut(l, line->handle, false);
        (void)sp_lines_wake(l, line->handle);
    }
}

struct sp_line_view sp_line_look(const struct sp_line *line)
{
    return (struct sp_line_view){
        .tenant = line->tenant->name,
        .destination = sp_line_destination(line),
        .lane = line->lane,
        .ready = line->ready,
        .waits = line->waits,
        .parked = line->parked.count,
        .wake_ms = line->is_awake ? 0 : line->wake_ms,
        .is_shut = line->is_shut,
        .is_slow = line->is_slow,
        .is_frozen = line->is_frozen,
    };
}

const struct sp_map *sp_lines_all(const struct sp_lines *l)
{
    return l->lines;
}

uint64_t sp_lines_steps(const struct sp_lines *l)
{
    return l->steps;
}

struct sp_lines *sp_lines_new(void)
{
    struct sp_lines *l = sp_calloc(1, sizeof(*l));

    l->lines = sp_map_new();
    l->tenants = sp_map_new();
    l->handles = sp_slots_new();
    l->frozen_tenants = sp_map_new();
    l->frozen_destinations = sp_map_new();
    l->served = SP_LANES_ALL;
    for (size_t i = 0; i < RINGS; i++) {
        sp_list_init(&l->rings[i].shares);
        l->rings[i].credit = credits[i];
    }
    return l;
}

void sp_lines_free(struct sp_lines *l)
{
    if (l == NULL)
        return;
    sp_assert(sp_map_count(l->lines) == 0 && l->future.count == 0);
    sp_heap_clear(&l->future);
    sp_heap_clear(&l->wakes);
    sp_heap_clear(&l->ends);
    sp_map_free(l->lines);
    sp_map_free(l->tenants);
    sp_slots_free(l->handles);
    sp_map_free(l->frozen_tenants);
    sp_map_free(l->frozen_destinations);
    sp_free(l);
}
