/*
 * Addresses are tried in the order in which the route has them, families in turn; the next one starts when the one before
 * has failed or has not connected within a quarter of a second, and goes on beside it. Who connects first wins, the others
 * are closed before a byte was said. The family of the route's first address begins (IPv4 where there is any: many
 * receivers judge IPv6 senders by stricter rules, and nothing is lost when the other one is near).
 */
#include "delivery/dial.h"

#include "io/loop.h"

struct lane {
    struct sp_dial *dial;
    struct sp_stream *stream; /* NULL: not started, or over */
    char ip[SP_ADDR_TEXT_MAX];
};

struct sp_dial {
    struct sp_dial_plan plan;
    sp_dial_fn fn;
    void *arg;
    struct lane lanes[SP_TRANSPORT_ADDRESSES_MAX]; /* by place in order */
    uint8_t order[SP_TRANSPORT_ADDRESSES_MAX];     /* of the hop's addresses */
    size_t count;
    size_t started;
    size_t open; /* under way */
    struct sp_timer *timer;
};

static void start_next(struct sp_dial *d);

/* Families in turn, beginning with that of the first address (RFC 8305 4). */
static void set_order(struct sp_dial *d)
{
    const struct sp_hop *h = d->plan.hop;
    bool used[SP_TRANSPORT_ADDRESSES_MAX] = {false};
    unsigned family = h->addresses[0].family;

    while (d->count < h->address_count) {
        size_t pick = SIZE_MAX;

        for (size_t i = 0; i < h->address_count && pick == SIZE_MAX; i++)
            if (!used[i] && h->addresses[i].family == family)
                pick = i;
        for (size_t i = 0; i < h->address_count && pick == SIZE_MAX; i++)
            if (!used[i])
                pick = i;
        used[pick] = true;
        d->order[d->count++] = (uint8_t)pick;
        family = h->addresses[pick].family == 4 ? 6 : 4;
    }
}

static void close_lanes(struct sp_dial *d)
{
    for (size_t i = 0; i < d->started; i++) {
        sp_stream_free(d->lanes[i].stream);
        d->lanes[i].stream = NULL;
    }
    d->open = 0;
    sp_timer_cancel(d->timer);
}

static void end(struct sp_dial *d, struct sp_stream *stream, const char *ip)
{
    close_lanes(d);
    d->fn(d->arg, stream, ip);
}

static void on_connected(void *arg, enum sp_rc rc)
{
    struct lane *lane = arg;
    struct sp_dial *d = lane->dial;
    struct sp_stream *stream = lane->stream;

    lane->stream = NULL;
    d->open--;
    if (rc == SP_OK) {
        end(d, stream, lane->ip);
        return;
    }
    sp_stream_free(stream);
    start_next(d);
}

static const struct sp_stream_events events = {.on_connected = on_connected};

/* returns: false if this address can't be tried at all */
static bool start_lane(struct sp_dial *d, struct lane *lane, const struct sp_dns_ip *ip)
{
    const struct sp_addr *source = NULL;
    struct sp_addr from, to;

    if (!sp_addr_from_raw(sp_bytes(ip->b, ip->family == 4 ? 4 : 16), d->plan.hop->port, &to))
        return false;
    if (d->plan.choose != NULL && !d->plan.choose(d->plan.choose_arg, ip->family, &from, &source))
        return false;
    lane->dial = d;
    sp_addr_format_ip(&to, lane->ip);
    lane->stream = sp_stream_connect(d->plan.loop, &to, source, d->plan.connect_ms, &events, lane);
    d->open++;
    return true;
}

/* Starts one more; when none is left and none under way, it is over. */
static void start_next(struct sp_dial *d)
{
    while (d->started < d->count) {
        size_t at = d->started++;

        if (!start_lane(d, &d->lanes[at], &d->plan.hop->addresses[d->order[at]]))
            continue;
        if (d->started < d->count)
            sp_timer_start(d->timer, SP_DIAL_STAGGER_MS);
        return;
    }
    if (d->open == 0)
        end(d, NULL, "");
}

static void on_timer(void *arg)
{
    start_next(arg);
}

struct sp_dial *sp_dial_new(const struct sp_dial_plan *plan, sp_dial_fn fn, void *arg)
{
    struct sp_dial *d = sp_calloc(1, sizeof(*d));

    d->plan = *plan;
    d->fn = fn;
    d->arg = arg;
    d->timer = sp_timer_new(plan->loop, on_timer, d);
    set_order(d);
    sp_timer_start(d->timer, 0); /* fn comes on a later turn, whatever happens */
    return d;
}

static void destroy(void *ptr)
{
    sp_free(ptr);
}

void sp_dial_free(struct sp_dial *d)
{
    if (d == NULL)
        return;
    close_lanes(d);
    sp_timer_free(d->timer);
    d->timer = NULL;
    sp_loop_free_later(d->plan.loop, destroy, d);
}
