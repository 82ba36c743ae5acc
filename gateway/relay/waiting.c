/*
 * Word to those who decide about mail on hold. What a rule holds `by` a group waits for people, who would have to look for it;
 * `holds.notify` names addresses for groups, and these are told that something waits: at once, then at most every
 * `holds.notify_every`. The ids of some that wait are remembered as they come; after a start, and where an address or a shard is new,
 * the queue is walked for them, a page a turn of the loop. A notice is made from those that still wait then; where none does, there is
 * no notice. It names messages by their ids, the rule and the time, and has no word, no sender and no recipient of them: whoever
 * reads that mailbox learns nothing, and releases nothing.
 */
#include "gateway/relay/command.h"

#include "mail/compose.h"
#include "queue/list.h"

#define SOON_MS    1000  /* what comes together is told together */
#define AGAIN_MS   60000 /* after the queue could not take a notice */
#define TURN_MS    20 /* between the pages of a walk, and between notices: the loop has other work */
#define PAGE       100
#define LOOK_STEPS 8  /* a turn: some milliseconds */
#define NAMED_MAX  50 /* messages that a notice names */
#define TEXT_MAX   16384

struct place { /* where a group is told */
    char *group;
    char *address;
    bool news;          /* something may wait that was not told */
    int64_t not_before; /* monotonic */
    struct sp_id ids[NAMED_MAX];
    size_t count;
    bool more; /* others wait, or did, that are not among ids */
};

struct relay_waiting {
    struct relay *relay;
    struct sp_timer *timer;
    struct place *places;
    size_t count;
    struct relay *at; /* the shard that is being walked; NULL: none is */
    struct sp_id after;
    struct sp_queue_listing *look; /* for the next ids; NULL: none is under way */
    struct sp_id
        *ids; /* of the walk: that are on hold there, and are still to be read; NULL: none */
    size_t id_count;
    size_t id_at;
};

struct told { /* a notice that is with the queue */
    struct relay *relay;
    char *group;
    char *address;
};

/* What a notice is to name. */
struct summary {
    struct relay *relay;
    struct sp_buf lines;
    struct sp_buf tenant; /* of all; empty if they are not of one */
    size_t count;
    enum sp_floor floor; /* the highest of theirs */
};

static int64_t now_ms(const struct relay_waiting *w)
{
    return sp_clock_mono_ms(sp_loop_clock(w->relay->loop));
}

/* The timer runs to the walk's next page, or to the first that has news. */
static void set_timer(struct relay_waiting *w)
{
    int64_t now = now_ms(w), first = INT64_MAX;

    for (size_t i = 0; i < w->count; i++)
        if (w->places[i].news && w->places[i].not_before < first)
            first = w->places[i].not_before;
    sp_timer_cancel(w->timer);
    if (w->at != NULL)
        sp_timer_start(w->timer, TURN_MS);
    else if (first != INT64_MAX)
        sp_timer_start(w->timer, first > now + TURN_MS ? first - now : TURN_MS);
}

/* ---- what waits ---- */

static void put_line(struct summary *s, const struct sp_queue_message *m, size_t n)
{
    const struct sp_accept_decision *d = &m->accept.decisions[m->accept.recipients[n].decision];
    char id[SP_ID_TEXT_LEN + 1], since[SP_TIME_TEXT_MAX], until[SP_TIME_TEXT_MAX];

    sp_id_format(&m->accept.id, id);
    sp_time_format_rfc3339(m->accept.time_ms, since);
    sp_time_format_rfc3339(m->rcpts[n].next_at_ms, until);
    sp_buf_printf(&s->lines, "    %s  since %s  rule %.*s", id, since, SP_FMT(d->rule));
    if (m->rcpts[n].next_at_ms > 0)
        sp_buf_printf(&s->lines, "  until %s", until);
    sp_buf_put_cstr(&s->lines, "\n");
}

static void count_tenant(struct summary *s, const struct sp_accept *a)
{
    enum sp_floor floor = sp_policy_floor(sp_policy_for(s->relay->policy, a->tenant, a->sender));

    if (s->count == 0)
        sp_buf_put(&s->tenant, a->tenant);
    else if (!sp_bytes_eq(sp_buf_bytes(&s->tenant), a->tenant))
        sp_buf_reset(&s->tenant);
    if (s->count == 0 || floor > s->floor)
        s->floor = floor;
}

/* Thousands of recipients may share a decision: it is read once. */
static bool is_as_before(const struct sp_queue_message *m, size_t n)
{
    return n > 0 && m->rcpts[n].state == m->rcpts[n - 1].state &&
           m->rcpts[n].by_hand == m->rcpts[n - 1].by_hand &&
           m->accept.recipients[n].decision == m->accept.recipients[n - 1].decision;
}

static bool knows(const struct place *p, const struct sp_id *id)
{
    for (size_t i = p->count; i > 0; i--)
        if (sp_id_eq(&p->ids[i - 1], id))
            return true;
    return false;
}

static void set_news(struct relay_waiting *w, struct place *p)
{
    int64_t soon = now_ms(w) + SOON_MS;

    if (p->news)
        return;
    p->news = true;
    if (p->not_before < soon)
        p->not_before = soon;
    set_timer(w);
}

/* One that was just held takes the place of the oldest, one that a walk found does not. */
static void add(struct relay_waiting *w, struct place *p, const struct sp_id *id, bool is_new)
{
    if (knows(p, id))
        return;
    if (p->count == NAMED_MAX) {
        if (is_new || !p->more)
            set_news(w, p);
        p->more = true;
        if (!is_new)
            return;
        memmove(p->ids, p->ids + 1, --p->count * sizeof(p->ids[0]));
    }
    p->ids[p->count++] = *id;
    set_news(w, p);
}

static void add_to_all(struct relay_waiting *w, struct sp_bytes group, const struct sp_id *id,
                       bool is_new)
{
    for (size_t i = 0; i < w->count; i++)
        if (sp_bytes_eq(sp_bytes_cstr(w->places[i].group), group))
            add(w, &w->places[i], id, is_new);
}

static void on_found(void *arg, const struct sp_queue_message *m)
{
    for (size_t n = 0; n < m->accept.recipient_count; n++)
        if (!is_as_before(m, n))
            add_to_all(arg, relay_held_for(m, n), &m->accept.id, false);
}

/* returns: whether nothing that a walk may find would be told */
static bool all_are_full(const struct relay_waiting *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->places[i].count < NAMED_MAX || !w->places[i].more)
            return false;
    return true;
}

static void forget_ids(struct relay_waiting *w)
{
    sp_queue_listing_free(SP_STEAL(w->look));
    sp_free(w->ids);
    w->ids = NULL;
    w->id_count = w->id_at = 0;
}

/* What is on hold in the shard, behind what was read. Each look goes over the whole index: so it fetches thousands, a share of the
 * index a turn. returns: whether they are there */
static bool fetch_ids(struct relay_waiting *w)
{
    if (w->look == NULL)
        w->look = sp_queue_ids_new(w->at->queue, SP_RCPT_HELD, &w->after, SP_QUEUE_IDS_MAX);
    for (int step = 0; step < LOOK_STEPS; step++) {
        if (sp_queue_ids_step(w->look))
            continue;
        w->ids = sp_calloc(SP_QUEUE_IDS_MAX, sizeof(*w->ids));
        w->id_count = sp_queue_ids(w->look, w->ids);
        sp_queue_listing_free(SP_STEAL(w->look));
        return true;
    }
    return false;
}

/* returns: whether there may be more in this shard */
static bool read_page(struct relay_waiting *w)
{
    bool more;

    if (w->ids == NULL && !fetch_ids(w))
        return true;
    for (size_t n = 0; n < PAGE && w->id_at < w->id_count; n++) {
        SP_AUTO(sp_queue_message) m = NULL;

        w->after = w->ids[w->id_at++];
        if (sp_queue_load(w->at->queue, &w->after, &m) == SP_OK)
            on_found(w, m);
    }
    if (w->id_at < w->id_count)
        return true;
    more = w->id_count == SP_QUEUE_IDS_MAX;
    forget_ids(w);
    return more;
}

static void begin_shard(struct relay_waiting *w, struct relay *r)
{
    forget_ids(w);
    w->at = r;
    w->after = (struct sp_id){0};
}

/* One page, of one of the shards that this relay has. */
static void walk(struct relay_waiting *w)
{
    if (w->at->queue != NULL && read_page(w) && !all_are_full(w))
        return;
    begin_shard(w, all_are_full(w) ? NULL : w->at->left);
}

static bool still_waits(struct summary *s, const struct place *p, const struct sp_id *id)
{
    SP_AUTO(sp_queue_message) m = NULL;

    for (struct relay *r = s->relay; r != NULL && m == NULL; r = r->left)
        if (r->queue != NULL && sp_queue_load(r->queue, id, &m) != SP_OK)
            m = NULL; /* not in this shard, or it can't be read */
    for (size_t n = 0; m != NULL && n < m->accept.recipient_count; n++) {
        if (is_as_before(m, n) || !sp_bytes_eq(relay_held_for(m, n), sp_bytes_cstr(p->group)))
            continue;
        count_tenant(s, &m->accept);
        s->count++;
        put_line(s, m, n);
        return true;
    }
    return false;
}

/* What was decided meanwhile is forgotten. */
static void sum_up(struct summary *s, struct place *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->count; i++)
        if (still_waits(s, p, &p->ids[i]))
            p->ids[kept++] = p->ids[i];
    p->count = kept;
}

/* ---- the notice ---- */

static void write_text(const struct summary *s, const struct place *to, struct sp_buf *text)
{
    sp_buf_printf(text, "%s%zu %s here until somebody of the group \"%s\" has decided:\n\n",
                  to->more ? "At least " : "", s->count,
                  s->count == 1 ? "message waits" : "messages wait", to->group);
    sp_buf_put(text, sp_buf_bytes(&s->lines));
    if (to->more)
        sp_buf_put_cstr(text, "    and more, which the first of these commands lists\n");
    sp_buf_put_cstr(
        text, "\nTimes are UTC. Behind \"until\" the rule's own end follows.\n\n"
              "    sallyport queue list --state held\n"
              "    sallyport queue release MESSAGE --reason TEXT\n"
              "    sallyport queue delete MESSAGE --reason TEXT\n\n"
              "This notice is written by the gateway, tells nothing of the messages themselves,\n"
              "and answering it releases nothing.\n");
}

static enum sp_rc build(const struct summary *s, const struct place *to, struct sp_bytes from,
                        struct sp_buf *out)
{
    const struct sp_clock *clock = sp_loop_clock(s->relay->loop);
    struct sp_buf text, subject;
    struct sp_notice n = {.id = sp_id_new(clock, sp_random_system()),
                          .host = sp_bytes_cstr(s->relay->config->hostname),
                          .from = from,
                          .to = sp_bytes_cstr(to->address),
                          .now_ms = sp_clock_wall_ms(clock)};
    enum sp_rc rc;

    sp_buf_init(&text, TEXT_MAX);
    sp_buf_init(&subject, 256);
    sp_buf_printf(&subject, "Mail waits for %s: %zu%s", to->group, s->count,
                  to->more ? " or more" : "");
    write_text(s, to, &text);
    n.subject = sp_buf_bytes(&subject);
    n.text = sp_buf_bytes(&text);
    rc = sp_buf_rc(&text) == SP_OK ? sp_notice_build(&n, out) : SP_E_LIMIT;
    sp_buf_clear(&text);
    sp_buf_clear(&subject);
    return rc;
}

static struct place *find(struct relay_waiting *w, struct sp_bytes group, struct sp_bytes address)
{
    for (size_t i = 0; i < w->count; i++)
        if (sp_bytes_eq(sp_bytes_cstr(w->places[i].group), group) &&
            sp_bytes_eq(sp_bytes_cstr(w->places[i].address), address))
            return &w->places[i];
    return NULL;
}

static void on_told(void *arg, enum sp_rc rc, const struct sp_id *id)
{
    struct told *t = arg;
    struct relay_waiting *w = t->relay->waiting;
    struct place *to = find(w, sp_bytes_cstr(t->group), sp_bytes_cstr(t->address));

    (void)id;
    if (rc != SP_OK)
        sp_log_warn(t->relay->log, "relay.hold-untold", SP_RC("why", rc));
    if (rc != SP_OK && to != NULL) {
        to->news = true;
        to->not_before = now_ms(w) + AGAIN_MS;
        if (t->relay->draining == 0)
            set_timer(w);
    }
    sp_free(t->group);
    sp_free(t->address);
    sp_free(t);
}

static void submit(struct relay_waiting *w, const struct summary *s, const struct place *to)
{
    struct relay *r = w->relay;
    struct sp_intake_own own = {.kind = SP_ACCEPT_KIND_DSN,
                                .tenant = sp_buf_bytes(&s->tenant),
                                .to = sp_bytes_cstr(to->address),
                                .floor = s->floor};
    struct told *t = sp_calloc(1, sizeof(*t));
    struct sp_buf from, content;
    enum sp_rc rc;

    t->relay = r;
    t->group = sp_strdup(to->group);
    t->address = sp_strdup(to->address);
    sp_buf_init(&from, 512);
    sp_buf_init(&content, (size_t)4 * TEXT_MAX);
    if (r->postmaster != NULL)
        sp_buf_put_cstr(&from, r->postmaster);
    else
        sp_buf_printf(&from, "postmaster@%s", r->config->hostname);
    rc = build(s, to, sp_buf_bytes(&from), &content);
    own.content = sp_buf_bytes(&content);
    if (rc == SP_OK)
        rc = sp_queue_ready(r->queue);
    if (rc == SP_OK)
        sp_intake_submit(r->intake, &own, on_told, t);
    else
        on_told(t, rc, NULL);
    sp_buf_clear(&content);
    sp_buf_clear(&from);
}

static void tell(struct relay_waiting *w, struct place *to)
{
    struct summary s = {.relay = w->relay};

    to->news = false;
    sp_buf_init(&s.lines, TEXT_MAX);
    sp_buf_init(&s.tenant, SP_DOMAIN_MAX);
    sum_up(&s, to);
    if (s.count > 0) {
        to->not_before = now_ms(w) + w->relay->config->holds.notify_every_ms;
        submit(w, &s, to);
    }
    if (to->more && to->count < NAMED_MAX) { /* there is room for others again */
        to->more = false;
        relay_waiting_look(w);
    }
    sp_buf_clear(&s.lines);
    sp_buf_clear(&s.tenant);
}

static struct place *first_due(struct relay_waiting *w)
{
    int64_t now = now_ms(w);

    for (size_t i = 0; i < w->count; i++)
        if (w->places[i].news && w->places[i].not_before <= now)
            return &w->places[i];
    return NULL;
}

static void on_time(void *arg)
{
    struct relay_waiting *w = arg;
    struct place *due = first_due(w);

    if (w->relay->draining > 0)
        return;
    if (w->at != NULL)
        walk(w);
    else if (due != NULL)
        tell(w, due);
    set_timer(w);
}

void relay_waiting_news(struct relay *r, const struct sp_id *id, struct sp_bytes group)
{
    add_to_all(r->waiting, group, id, true);
}

void relay_waiting_look(struct relay_waiting *w)
{
    begin_shard(w, w->count > 0 ? w->relay : NULL);
    set_timer(w);
}

/* ---- settings ---- */

static void drop(struct place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sp_free(places[i].group);
        sp_free(places[i].address);
    }
    sp_free(places);
}

void relay_waiting_configure(struct relay_waiting *w)
{
    const struct sp_config_texts *texts = &w->relay->config->holds.notify;
    struct place *places = sp_calloc(texts->count + 1, sizeof(*places));
    bool any_new = false;

    for (size_t i = 0; i < texts->count; i++) {
        struct sp_bytes text = sp_bytes_cstr(texts->items[i]);
        size_t colon = sp_bytes_find(text, ':');
        struct sp_bytes group = sp_bytes_slice(text, 0, colon);
        struct sp_bytes address = sp_bytes_slice(text, colon + 1, text.len);
        const struct place *before = find(w, group, address);

        any_new = any_new || before == NULL;
        if (before != NULL)
            places[i] = *before;
        places[i].group = sp_strdup_bytes(group);
        places[i].address = sp_strdup_bytes(address);
    }
    drop(w->places, w->count);
    w->places = places;
    w->count = texts->count;
    if (any_new || w->count == 0)
        relay_waiting_look(w);
    else
        set_timer(w);
}

struct relay_waiting *relay_waiting_new(struct relay *r)
{
    struct relay_waiting *w = sp_calloc(1, sizeof(*w));

    w->relay = r;
    w->timer = sp_timer_new(r->loop, on_time, w);
    return w;
}

void relay_waiting_free(struct relay_waiting *w)
{
    if (w == NULL)
        return;
    sp_timer_free(w->timer);
    drop(w->places, w->count);
    forget_ids(w);
    sp_free(w);
}
