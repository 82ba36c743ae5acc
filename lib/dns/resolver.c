/*
 * The resolver. Questions that are equal share one exchange; its answer goes to the cache and to all who wait. A
 * question tries the servers in turn, with growing patience, until its deadline. SERVFAIL from every server is final;
 * asked once more with CD set, it tells "does not validate" from "could not be had", which the audit wants to know and
 * which changes nothing else: both are errors. Call backs come from one timer turn, never from inside ask.
 *
 * Only so many are under way, of each party: a thousand names that nobody answers about would keep all others for minutes. And
 * who has met silence goes behind those of its party that were not asked yet, so that each is asked once before any is again.
 */
#include "dns/resolver.h"

#include "dns/dns_priv.h"
#include "dns/wire.h"
#include "io/loop.h"
#include "log/log.h"

#define FIRST_TRY_MS 800
#define DEADLINE_MS  8000
#define CACHE_MAX    20000
#define CACHE_BYTES  ((size_t)32 << 20)
#define SILENT_MAX   3    /* silences in a row after which a server rests */
#define REST_MS      1000 /* the first time, doubled at each */
#define REST_STEPS   6
#define PAUSE_MS     50 /* before the next try, doubled at each: a server may refuse at once */
#define PAUSE_STEPS  6
#define KEY_MAX      (SP_DNS_NAME_MAX + 2)

/* Questions under way. A recursive resolver has room for a thousand or so; all together never are. */
static const size_t under_way_max[] = {
    [SP_DNS_PARTY_OURS] = 256,   [SP_DNS_PARTY_PROVEN] = 256,    [SP_DNS_PARTY_KNOWN] = 128,
    [SP_DNS_PARTY_URGENT] = 128, [SP_DNS_PARTY_STRANGERS] = 192,
};

struct party {
    struct sp_dns_resolver *r;
    struct sp_dns_ops ops;
    struct sp_list line; /* questions that wait for one under way to end */
    size_t under_way;
    size_t most;
};

/* A server that has gone silent is passed over for a while; one answer makes it good again. */
struct health {
    unsigned silences; /* in a row */
    int64_t rest_until_ms;
};

struct question {
    struct sp_dns_resolver *r;
    struct party *party;
    bool is_under_way;
    size_t server;          /* that was asked last */
    struct sp_list in_line; /* while it waits for its turn */
    struct sp_list waiters;
    struct sp_dns_exchange *exchange;
    struct sp_timer *pause;
    uint8_t key[KEY_MAX]; /* type, then the name in lower case */
    size_t key_len;
    int64_t deadline_ms; /* monotonic; 0: it has had no turn yet */
    int64_t asked_ms;    /* the last time */
    unsigned tries;
    unsigned servfails; /* servers that have said so */
    bool unchecked;     /* the last question, with CD, is under way */
    enum sp_rc error;   /* what the tries so far came to */
};

struct waiter {
    struct sp_dns_resolver *r;
    struct sp_list at; /* a question's waiters, or the resolver's ready ones */
    sp_handle handle;
    struct question *question;          /* NULL once ready */
    const struct sp_dns_answer *answer; /* set then */
    sp_dns_fn fn;
    void *arg;
};

struct sp_dns_resolver {
    struct party parties[SP_DNS_PARTY_COUNT];
    struct sp_loop *loop;
    struct sp_log *log;
    struct sp_dns_settings settings;
    struct sp_dns_cache *cache;
    struct sp_map *questions; /* by key, those under way and in line */
    struct sp_slots *waiters;
    struct sp_list ready; /* waiters that have their answer */
    struct sp_timer *deliver;
    struct health health[SP_DNS_SERVERS_MAX];
    struct sp_dns_stats stats;
};

static int64_t now_ms(const struct sp_dns_resolver *r)
{
    return sp_clock_mono_ms(sp_loop_clock(r->loop));
}

static struct sp_bytes key_of(const struct question *q)
{
    return sp_bytes(q->key, q->key_len);
}

/* ---- waiters ---- */
static void make_ready(struct waiter *w, const struct sp_dns_answer *a)
{
    w->answer = sp_dns_answer_ref(a);
    w->question = NULL;
    sp_list_remove(&w->at);
    sp_list_append(&w->r->ready, &w->at);
    sp_timer_start(w->r->deliver, 0);
}

static void drop_waiter(struct waiter *w)
{
    (void)sp_slots_remove(w->r->waiters, w->handle);
    sp_list_remove(&w->at);
    sp_dns_answer_unref(w->answer);
    sp_free(w);
}

static void on_deliver(void *arg)
{
    struct sp_dns_resolver *r = arg;
    struct sp_list batch;

    /* Whoever becomes ready meanwhile waits for the next turn. */
    sp_list_init(&batch);
    SP_LIST_EACH(at, &r->ready)
    {
        sp_list_remove(at);
        sp_list_append(&batch, at);
    }
    while (!sp_list_is_empty(&batch)) {
        struct waiter *w = SP_CONTAINER(batch.next, struct waiter, at);
        const struct sp_dns_answer *a = sp_dns_answer_ref(w->answer);
        sp_dns_fn fn = w->fn;
        void *fn_arg = w->arg;

        drop_waiter(w);
        fn(fn_arg, a);
        sp_dns_answer_unref(a);
    }
}

/* ---- questions ---- */
static void start_next(struct party *p);
static void try_again(struct question *q);

static void free_question(void *ptr)
{
    struct question *q = ptr;

    sp_dns_exchange_free(q->exchange);
    sp_timer_free(q->pause);
    sp_free(q);
}

static void drop_question(struct question *q)
{
    (void)sp_map_remove(q->r->questions, key_of(q));
    sp_list_remove(&q->in_line);
    free_question(q);
}

static void end_question(struct question *q, const struct sp_dns_answer *a)
{
    struct sp_dns_resolver *r = q->r;
    struct party *p = q->party;

    if (a->good_until_ms > now_ms(r))
        sp_dns_cache_put(r->cache, key_of(q), a);
    SP_LIST_EACH(at, &q->waiters)
    make_ready(SP_CONTAINER(at, struct waiter, at), a);
    drop_question(q);
    p->under_way--;
    start_next(p);
}

static void end_with_error(struct question *q, enum sp_rc rc)
{
    const struct sp_dns_answer *a = sp_dns_answer_error(rc, now_ms(q->r) + 2000);

    sp_log_info(q->r->log, "dns.failed", SP_DOMAIN("name", sp_bytes(q->key + 2, q->key_len - 2)),
                SP_INT("type", q->key[0] | q->key[1] << 8), SP_RC("why", rc),
                SP_INT("tries", q->tries));
    end_question(q, a);
    sp_dns_answer_unref(a);
}

/* Others of its party have not been asked yet: it is again behind them. */
static void step_back(struct question *q)
{
    q->is_under_way = false;
    q->party->under_way--;
    sp_list_append(&q->party->line, &q->in_line);
    start_next(q->party);
}

static void weigh_failure(struct question *q, enum sp_rc rc)
{
    struct sp_dns_resolver *r = q->r;
    int64_t pause_ms = PAUSE_MS << (q->tries < PAUSE_STEPS ? q->tries : PAUSE_STEPS);

    if (rc == SP_E_DNS_SERVFAIL && ++q->servfails >= r->settings.server_count) {
        if (!r->settings.trusted) {
            end_with_error(q, SP_E_DNS_SERVFAIL);
            return;
        }
        q->unchecked = true;
        pause_ms = 0;
    }
    /* A refusal says more than a silence. */
    if (q->error == SP_OK || q->error == SP_E_DNS_TIMEOUT)
        q->error = rc;
    if (now_ms(r) + pause_ms >= q->deadline_ms)
        end_with_error(q, q->error);
    else if (now_ms(r) - q->asked_ms >= pause_ms && !sp_list_is_empty(&q->party->line))
        step_back(q); /* who is refused at once pauses first */
    else
        sp_timer_start(q->pause, pause_ms);
}

static void note_health(struct sp_dns_resolver *r, size_t server, bool silent)
{
    struct health *h = &r->health[server];
    unsigned step;

    if (!silent) {
        *h = (struct health){0};
        return;
    }
    if (++h->silences < SILENT_MAX)
        return;
    step = h->silences - SILENT_MAX;
    h->rest_until_ms = now_ms(r) + ((int64_t)REST_MS << (step < REST_STEPS ? step : REST_STEPS));
}

/* The servers in turn, without those that rest; if all do, they are asked all the same. */
static size_t choose_server(struct sp_dns_resolver *r, unsigned tries)
{
    size_t count = r->settings.server_count;

    for (size_t i = 0; i < count; i++) {
        size_t at = (tries + i) % count;

        if (r->health[at].rest_until_ms <= now_ms(r))
            return at;
        r->stats.rested++;
    }
    return tries % count;
}

static void on_answer(void *arg, const struct sp_dns_answer *a)
{
    struct question *q = arg;

    note_health(q->r, q->server, a->rc == SP_E_DNS_TIMEOUT);
    sp_dns_exchange_free(q->exchange);
    q->exchange = NULL;
    if (q->unchecked) {
        bool there = !sp_dns_rc_is_error(a->rc);

        end_with_error(q, there ? SP_E_DNS_BOGUS : SP_E_DNS_SERVFAIL);
    } else if (sp_dns_rc_is_error(a->rc)) {
        weigh_failure(q, a->rc);
    } else {
        end_question(q, a);
    }
    sp_dns_answer_unref(a);
}

static void try_again(struct question *q)
{
    struct sp_dns_resolver *r = q->r;
    int64_t left_ms = q->deadline_ms - now_ms(r);
    unsigned round = q->tries / (unsigned)r->settings.server_count;
    size_t server = choose_server(r, q->tries);
    struct sp_dns_exchange_plan plan = {
        .loop = r->loop,
        .random = sp_random_system(),
        .server = &r->settings.servers[server],
        .stats = &r->stats,
        .name = sp_bytes(q->key + 2, q->key_len - 2),
        .type = (enum sp_dns_type)(q->key[0] | q->key[1] << 8),
        .unchecked = q->unchecked,
        .trusted = r->settings.trusted && !q->unchecked,
        .timeout_ms = r->settings.first_try_ms << (round < 4 ? round : 4),
    };

    if (left_ms <= 0) {
        end_with_error(q, q->error == SP_OK ? SP_E_DNS_TIMEOUT : q->error);
        return;
    }
    if (plan.timeout_ms > left_ms)
        plan.timeout_ms = left_ms;
    q->tries++;
    q->asked_ms = now_ms(r);
    q->server = server;
    q->exchange = sp_dns_exchange_new(&plan, on_answer, q);
}

static void on_pause(void *arg)
{
    try_again(arg);
}

/* Waiting in line costs no patience at first, and later at most what is more than one try. */
static void set_deadline(struct question *q)
{
    const struct sp_dns_settings *s = &q->r->settings;
    int64_t least_ms = now_ms(q->r) + s->first_try_ms;

    if (q->deadline_ms == 0)
        q->deadline_ms = now_ms(q->r) + s->deadline_ms;
    else if (q->deadline_ms < least_ms)
        q->deadline_ms = least_ms;
}

static void start_next(struct party *p)
{
    while (p->under_way < p->most && !sp_list_is_empty(&p->line)) {
        struct question *q = SP_CONTAINER(p->line.next, struct question, in_line);

        if (sp_list_is_empty(&q->waiters)) { /* all were cancelled */
            drop_question(q);
            continue;
        }
        sp_list_remove(&q->in_line);
        set_deadline(q);
        q->is_under_way = true;
        p->under_way++;
        sp_timer_start(q->pause, 0);
    }
}

/* A better party asks for the same. */
static void move(struct question *q, struct party *to)
{
    struct party *from = q->party;

    if (to >= from)
        return;
    q->party = to;
    if (q->is_under_way) {
        from->under_way--;
        to->under_way++;
    } else {
        sp_list_remove(&q->in_line);
        sp_list_append(&to->line, &q->in_line);
    }
    start_next(from);
    start_next(to);
}

static struct question *new_question(struct party *p, struct sp_bytes key)
{
    struct sp_dns_resolver *r = p->r;
    struct question *q = sp_calloc(1, sizeof(*q));

    q->r = r;
    q->party = p;
    q->pause = sp_timer_new(r->loop, on_pause, q);
    sp_list_init(&q->waiters);
    sp_list_init(&q->in_line);
    memcpy(q->key, key.ptr, key.len);
    q->key_len = key.len;
    (void)sp_map_put(r->questions, key_of(q), q);
    sp_list_append(&p->line, &q->in_line);
    return q;
}

static void join_question(struct party *p, struct sp_bytes key, struct waiter *w)
{
    struct question *q = sp_map_find(p->r->questions, key);
    bool is_new = q == NULL;

    if (is_new)
        q = new_question(p, key);
    w->question = q;
    sp_list_append(&q->waiters, &w->at);
    if (is_new) {
        start_next(p);
    } else {
        p->r->stats.merged++;
        move(q, p);
    }
}

/* ---- the slots ---- */
static sp_handle ask(void *ctx, struct sp_bytes name, enum sp_dns_type type, sp_dns_fn fn,
                     void *arg)
{
    struct party *p = ctx;
    struct sp_dns_resolver *r = p->r;
    struct waiter *w = sp_calloc(1, sizeof(*w));
    const struct sp_dns_answer *known;
    uint8_t key[KEY_MAX] = {(uint8_t)type, (uint8_t)((unsigned)type >> 8)};

    r->stats.asked++;
    w->r = r;
    w->fn = fn;
    w->arg = arg;
    w->handle = sp_slots_add(r->waiters, w);
    sp_list_init(&w->at);
    if (!sp_dns_name_is_valid(name) || r->settings.server_count == 0) {
        bool possible = sp_dns_name_is_valid(name);

        known = sp_dns_answer_error(possible ? SP_E_DNS_TIMEOUT : SP_E_DNS_NXDOMAIN, 0);
        make_ready(w, known);
        sp_dns_answer_unref(known);
        return w->handle;
    }
    for (size_t i = 0; i < name.len; i++)
        key[2 + i] = sp_ascii_lower(name.ptr[i]);
    known = sp_dns_cache_find(r->cache, sp_bytes(key, name.len + 2), now_ms(r));
    if (known != NULL) {
        r->stats.cached++;
        make_ready(w, known);
    } else {
        join_question(p, sp_bytes(key, name.len + 2), w);
    }
    return w->handle;
}

static void cancel(void *ctx, sp_handle handle)
{
    struct waiter *w = sp_slots_find(((struct party *)ctx)->r->waiters, handle);

    if (w != NULL)
        drop_waiter(w);
}

static bool is_trusted(const void *ctx)
{
    return ((const struct party *)ctx)->r->settings.trusted;
}

static const struct sp_dns_ops *ops_of(void *ctx, enum sp_dns_party party)
{
    return &((struct party *)ctx)->r->parties[party].ops;
}

static void hurry(void *ctx, sp_handle handle)
{
    struct waiter *w = sp_slots_find(((struct party *)ctx)->r->waiters, handle);

    if (w != NULL && w->question != NULL)
        move(w->question, ctx);
}

static bool has_room(const void *ctx)
{
    const struct party *p = ctx;

    return sp_list_is_empty(&p->line) && p->under_way < p->most / 2;
}

struct sp_dns_resolver *sp_dns_resolver_new(struct sp_loop *loop, struct sp_log *log,
                                            const struct sp_dns_settings *settings)
{
    struct sp_dns_resolver *r = sp_calloc(1, sizeof(*r));

    sp_assert(settings->server_count <= SP_DNS_SERVERS_MAX);
    r->loop = loop;
    r->log = log;
    r->settings = *settings;
    if (r->settings.first_try_ms == 0)
        r->settings.first_try_ms = FIRST_TRY_MS;
    if (r->settings.deadline_ms == 0)
        r->settings.deadline_ms = DEADLINE_MS;
    r->cache = sp_dns_cache_new(settings->cache_max == 0 ? CACHE_MAX : settings->cache_max,
                                settings->cache_bytes == 0 ? CACHE_BYTES : settings->cache_bytes);
    r->questions = sp_map_new();
    r->waiters = sp_slots_new();
    sp_list_init(&r->ready);
    r->deliver = sp_timer_new(loop, on_deliver, r);
    for (size_t i = 0; i < SP_ARRAY_LEN(r->parties); i++) {
        struct party *p = &r->parties[i];

        p->r = r;
        p->most = under_way_max[i];
        p->ops = (struct sp_dns_ops){ask, cancel, is_trusted, ops_of, hurry, has_room, p};
        sp_list_init(&p->line);
    }
    return r;
}

void sp_dns_resolver_free(struct sp_dns_resolver *r)
{
    size_t at = 0;
    struct sp_bytes key;
    void *value;

    if (r == NULL)
        return;
    while (sp_map_next(r->questions, &at, &key, &value)) {
        struct question *q = value;

        SP_LIST_EACH(w, &q->waiters)
        drop_waiter(SP_CONTAINER(w, struct waiter, at));
        free_question(q);
    }
    SP_LIST_EACH(w, &r->ready)
    drop_waiter(SP_CONTAINER(w, struct waiter, at));
    sp_timer_free(r->deliver);
    sp_map_free(r->questions);
    sp_slots_free(r->waiters);
    sp_dns_cache_free(r->cache);
    sp_free(r);
}

const struct sp_dns_ops *sp_dns_resolver_ops(struct sp_dns_resolver *r)
{
    return &r->parties[SP_DNS_PARTY_OURS].ops;
}

void sp_dns_resolver_flush(struct sp_dns_resolver *r)
{
    sp_dns_cache_flush(r->cache);
}

struct sp_dns_stats sp_dns_resolver_stats(const struct sp_dns_resolver *r)
{
    return r->stats;
}
