/*
 * Everything that is limited, as people see it: each site with its connections, limit, rate and breaker, and what waits for
 * it in the queue. Lines find their site through the routes that are known now; what goes where nobody has looked yet, or
 * not lately, stands under its destination. Nothing is kept for this while mail flows: it is counted when asked, in steps, since
 * fifty thousand destinations take longer than mail should wait. Sites have numbers, as one may go between two steps and another lie in its
 * memory; an engine that ends leaves the board, which begins anew with the one that has followed it.
 */
#include "delivery/board_priv.h"

#define ELSEWHERE_MAX 50
#define SITES_SHOWN   2000
#define QUIET_SHOWN   200 /* of those with nothing to tell */

struct queued { /* for a site */
    size_t ready;
    size_t waits;
    size_t parked; /* of those */
    size_t shut;
    size_t slow;
    size_t lines;
};

struct elsewhere {
    struct sp_line_view line;
    uint8_t name[300];
};

enum phase { LINES, SITES, END };

struct sp_delivery_board {
    struct sp_list at;     /* of the engine's boards */
    struct sp_delivery *d; /* NULL: it has begun with none, or that one has ended */
    enum phase phase;
    struct sp_map_walk walk;
    struct sp_buf json;
    struct sp_jw w;
    struct sp_map *queued; /* by the site's number */
    struct elsewhere largest[ELSEWHERE_MAX + 1];
    size_t count;
    size_t shown;         /* sites */
    struct queued others; /* of all lines without a site */
};

static struct sp_bytes key_of(const uint64_t *site)
{
    return sp_bytes((const uint8_t *)site, sizeof(*site));
}

static void add(struct queued *q, const struct sp_line_view *v)
{
    q->ready += v->ready;
    q->waits += v->waits;
    q->parked += v->parked;
    q->shut += v->is_shut;
    q->slow += v->is_slow;
    q->lines++;
}

/* Keeps the largest few. */
static void keep(struct sp_delivery_board *b, const struct sp_line_view *v)
{
    size_t at = b->count;
    size_t len = v->destination.len < sizeof(b->largest[0].name) ? v->destination.len : 0;

    while (at > 0 &&
           b->largest[at - 1].line.ready + b->largest[at - 1].line.waits < v->ready + v->waits)
        at--;
    if (at == ELSEWHERE_MAX)
        return;
    if (b->count < ELSEWHERE_MAX)
        b->count++;
    memmove(&b->largest[at + 1], &b->largest[at], (b->count - at - 1) * sizeof(*b->largest));
    b->largest[at].line = *v;
    b->largest[at].line.destination = sp_bytes(NULL, len); /* the line may go before it is told */
    if (len > 0)
        memcpy(b->largest[at].name, v->destination.ptr, len);
}

/* Smarthosts stand in the order of the settings, and each is a site: what waits counts where it would go to first. */
static size_t first_hop(const struct sp_route *r)
{
    size_t first = 0;

    for (size_t i = 1; i < r->hop_count; i++)
        if (r->hops[i].preference < r->hops[first].preference)
            first = i;
    return first;
}

static void on_line(void *arg, const struct sp_line_view *v)
{
    struct sp_delivery_board *b = arg;
    struct sp_pool_ask ask = {.route = sp_transport_look(b->d->parts.transport, v->destination),
                              .tenant = v->tenant};
    uint64_t site = 0;
    struct queued *q;

    if (v->ready + v->waits == 0)
        return;
    if (ask.route != NULL && ask.route->hop_count > 0) {
        ask.hop = first_hop(ask.route);
        site = sp_pool_site_id(b->d->pool, &ask);
    }
    if (site == 0) {
        add(&b->others, v);
        keep(b, v);
        return;
    }
    q = sp_map_find(b->queued, key_of(&site));
    if (q == NULL) {
        q = sp_calloc(1, sizeof(*q));
        (void)sp_map_put(b->queued, key_of(&site), q);
    }
    add(q, v);
}

static void put_queued(struct sp_jw *w, const struct queued *q)
{
    sp_jw_int(w, "ready", (int64_t)q->ready);
    sp_jw_int(w, "later", (int64_t)q->waits);
    sp_jw_int(w, "parked", (int64_t)q->parked);
    sp_jw_int(w, "lines", (int64_t)q->lines);
    sp_jw_int(w, "lines_shut", (int64_t)q->shut);
}

static void put_breaker(struct sp_jw *w, const struct sp_pool_view *v)
{
    sp_jw_object(w, "breaker");
    sp_jw_cstr(w, "state", sp_breaker_name(v->breaker));
    if (v->breaker != SP_BREAKER_CLOSED) {
        sp_jw_text(w, "host", v->breaker_host);
        sp_jw_int(w, "rests_ms", v->breaker_ms);
        sp_jw_cstr(w, "why", sp_rc_name(v->breaker_why));
    }
    sp_jw_end(w);
}

static void on_site(void *arg, const struct sp_pool_view *v)
{
    static const struct queued none = {0};
    struct sp_delivery_board *b = arg;
    struct sp_jw *w = &b->w;
    const struct queued *q = sp_map_find(b->queued, key_of(&v->id));

    if (b->shown >= SITES_SHOWN || (b->shown >= QUIET_SHOWN && q == NULL && v->open == 0 &&
                                    v->state->why[0] == '\0' && v->breaker == SP_BREAKER_CLOSED))
        return;
    b->shown++;
    sp_jw_object(w, NULL);
    sp_jw_text(w, "site", v->name);
    sp_jw_text(w, "entry", v->entry);
    sp_jw_text(w, "source", v->source);
    sp_jw_cstr(w, "level", v->level);
    sp_jw_int(w, "hosts", (int64_t)v->host_count);
    put_queued(w, q == NULL ? &none : q);
    sp_jw_int(w, "waiting", (int64_t)v->waiting);
    sp_jw_int(w, "connections", (int64_t)v->open);
    sp_jw_int(w, "busy", (int64_t)v->busy);
    sp_jw_int(w, "concurrency", v->state->limit);
    sp_jw_int(w, "concurrency_max", v->state->max);
    sp_jw_int(w, "per_minute", v->per_minute);
    sp_jw_int(w, "next_ms", v->next_ms);
    sp_jw_int(w, "sent", (int64_t)v->state->sent);
    sp_jw_int(w, "throttled", (int64_t)v->state->throttled);
    put_breaker(w, v);
    sp_jw_cstr(w, "why", v->state->why);
    sp_jw_end(w);
}

/* ---- for machines ---- */

struct figures { /* of sites that bear one name: they count together */
    struct sp_bytes name, source;
    const char *level;
    uint64_t open, may, waiting, sent, throttled;
    bool rests, troubled;
};

struct few { /* those that matter most */
    struct figures *list;
    size_t count, max;
};

static bool is_same(const struct figures *a, const struct figures *b)
{
    return sp_bytes_eq(a->name, b->name) && sp_bytes_eq(a->source, b->source) &&
           strcmp(a->level, b->level) == 0;
}

static bool matters_more(const struct figures *a, const struct figures *b)
{
    return a->troubled != b->troubled ? a->troubled : a->open + a->waiting > b->open + b->waiting;
}

static void add_figures(struct figures *to, const struct figures *f)
{
    to->open += f->open;
    to->may += f->may;
    to->waiting += f->waiting;
    to->sent += f->sent;
    to->throttled += f->throttled;
    to->rests |= f->rests;
    to->troubled |= f->troubled;
}

static void on_view(void *arg, const struct sp_pool_view *v)
{
    struct few *few = arg;
    struct figures f = {.name = v->name,
                        .source = v->source,
                        .level = v->level,
                        .open = v->open,
                        .may = v->state->limit,
                        .waiting = v->waiting,
                        .sent = v->state->sent,
                        .throttled = v->state->throttled,
                        .rests = v->breaker != SP_BREAKER_CLOSED};
    size_t at;

    f.troubled = f.rests || v->state->why[0] != '\0';
    if (f.open + f.waiting + f.sent == 0 && !f.troubled)
        return;
    for (at = 0; at < few->count; at++) {
        if (!is_same(&few->list[at], &f))
            continue;
        add_figures(&few->list[at], &f);
        return;
    }
    while (at > 0 && matters_more(&f, &few->list[at - 1]))
        at--;
    if (at == few->max)
        return;
    few->count += few->count < few->max;
    memmove(&few->list[at + 1], &few->list[at], (few->count - at - 1) * sizeof(f));
    few->list[at] = f;
}

void sp_delivery_put_pool(struct sp_delivery *d, size_t max, struct sp_jw *w)
{
    struct few few = {.max = max};

    few.list = sp_calloc(max + 1, sizeof(*few.list));
    sp_pool_each(d->pool, on_view, &few);
    sp_jw_array(w, "pool");
    for (size_t i = 0; i < few.count; i++) {
        const struct figures *f = &few.list[i];

        sp_jw_object(w, NULL);
        sp_jw_text(w, "site", f->name);
        sp_jw_text(w, "source", f->source);
        sp_jw_cstr(w, "level", f->level);
        sp_jw_int(w, "connections", (int64_t)f->open);
        sp_jw_int(w, "may", (int64_t)f->may);
        sp_jw_int(w, "waiting", (int64_t)f->waiting);
        sp_jw_int(w, "sent", (int64_t)f->sent);
        sp_jw_int(w, "throttled", (int64_t)f->throttled);
        sp_jw_int(w, "rests", f->rests);
        sp_jw_end(w);
    }
    sp_jw_end(w);
    sp_free(few.list);
}

/* ---- the board ---- */

static void put_elsewhere(struct sp_delivery_board *b)
{
    struct sp_jw *w = &b->w;

    sp_jw_object(w, "elsewhere");
    put_queued(w, &b->others);
    sp_jw_end(w);
    sp_jw_array(w, "destinations");
    for (size_t i = 0; i < b->count; i++) {
        const struct sp_line_view *v = &b->largest[i].line;

        sp_jw_object(w, NULL);
        sp_jw_text(w, "destination", sp_bytes(b->largest[i].name, v->destination.len));
        sp_jw_cstr(w, "lane", sp_lane_name(v->lane));
        sp_jw_int(w, "ready", (int64_t)v->ready);
        sp_jw_int(w, "later", (int64_t)v->waits);
        sp_jw_int(w, "parked", (int64_t)v->parked);
        sp_jw_bool(w, "shut", v->is_shut);
        sp_jw_bool(w, "slow", v->is_slow);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void forget(struct sp_delivery_board *b)
{
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    while (sp_map_next(b->queued, &at, &key, &value))
        sp_free(value);
    sp_map_free(b->queued);
    b->queued = sp_map_new();
    b->count = b->shown = 0;
    b->others = (struct queued){0};
    sp_buf_reset(&b->json);
}

static void begin(struct sp_delivery_board *b, struct sp_delivery *d)
{
    forget(b);
    sp_list_remove(&b->at);
    sp_list_append(&d->boards, &b->at);
    b->d = d;
    b->phase = LINES;
    b->walk = (struct sp_map_walk){0};
}

static void begin_sites(struct sp_delivery_board *b)
{
    b->phase = SITES;
    b->walk = (struct sp_map_walk){0};
    sp_jw_init(&b->w, &b->json);
    sp_jw_object(&b->w, NULL);
    sp_jw_array(&b->w, "sites");
}

bool sp_delivery_board_step(struct sp_delivery_board *b, struct sp_delivery *d)
{
    if (b->d != d)
        begin(b, d);
    if (b->phase == LINES) {
        if (!sp_lines_each_some(sp_queue_lines(d->parts.queue), &b->walk, on_line, b))
            begin_sites(b);
        return true;
    }
    if (b->phase == SITES && !sp_pool_each_some(d->pool, &b->walk, on_site, b)) {
        sp_jw_end(&b->w);
        put_elsewhere(b);
        sp_jw_end(&b->w);
        b->phase = END;
    }
    return b->phase != END;
}

const struct sp_buf *sp_delivery_board_json(const struct sp_delivery_board *b)
{
    sp_assert(b->phase == END);
    return &b->json;
}

struct sp_delivery_board *sp_delivery_board_new(size_t json_max)
{
    struct sp_delivery_board *b = sp_calloc(1, sizeof(*b));

    sp_list_init(&b->at);
    sp_buf_init(&b->json, json_max);
    b->queued = sp_map_new();
    return b;
}

void sp_delivery_board_free(struct sp_delivery_board *b)
{
    if (b == NULL)
        return;
    forget(b);
    sp_map_free(b->queued);
    sp_list_remove(&b->at);
    sp_buf_clear(&b->json);
    sp_free(b);
}

void sp_delivery_boards_leave(struct sp_delivery *d)
{
    SP_LIST_EACH(at, &d->boards)
    {
        SP_CONTAINER(at, struct sp_delivery_board, at)->d = NULL;
        sp_list_remove(at);
    }
}
