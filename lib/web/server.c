/*
 * The server: listeners, how many connections there may be (in all and from one address), requests by handle, draining.
 * Past a limit a connection is closed at once without a word: an answer would cost a handshake, which is what a flood
 * is after.
 */
#include "web/web_priv.h"

#include <unistd.h>

static const struct sp_web_limits defaults = {
    .connections = 1000,
    .connections_address = 60,
    .handshake_ms = 10000,
    .idle_ms = 60000,
    .head_ms = 10000,
    .body_ms = 30000,
    .stall_ms = 60000,
    .reply_ms = 2 * 3600 * 1000,
};

#define DEFAULT(field)                                                                             \
    do {                                                                                           \
        if (l->field == 0)                                                                         \
            l->field = defaults.field;                                                             \
    } while (0)

static void set_defaults(struct sp_web_limits *l)
{
    DEFAULT(connections);
    DEFAULT(connections_address);
    DEFAULT(handshake_ms);
    DEFAULT(idle_ms);
    DEFAULT(head_ms);
    DEFAULT(body_ms);
    DEFAULT(stall_ms);
    DEFAULT(reply_ms);
}

static void on_drain_limit(void *arg);

struct sp_web_server *sp_web_server_new(const struct sp_web_options *options)
{
    struct sp_web_server *s = sp_calloc(1, sizeof(*s));

    s->o = *options;
    set_defaults(&s->o.limits);
    s->clock = sp_loop_clock(s->o.loop);
    sp_list_init(&s->conns);
    s->addresses = sp_map_new();
    s->requests = sp_slots_new();
    s->drain_timer = sp_timer_new(s->o.loop, on_drain_limit, s);
    return s;
}

static void stop_listening(struct sp_web_server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        sp_listener_free(s->listeners[i]);
    sp_free(s->listeners);
    s->listeners = NULL;
    s->listener_count = 0;
}

static void drop_all(struct sp_web_server *s)
{
    SP_LIST_EACH(pos, &s->conns)
    {
        sp_web_conn_drop(SP_CONTAINER(pos, struct web_conn, in_server), SP_E_CANCELLED);
    }
}

void sp_web_server_free(struct sp_web_server *s)
{
    if (s == NULL)
        return;
    s->on_idle = NULL;
    stop_listening(s);
    drop_all(s);
    sp_timer_free(s->drain_timer);
    sp_map_free(s->addresses);
    sp_slots_free(s->requests);
    sp_free(s);
}

/* What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, which one household has. */
static struct sp_bytes address_key(const struct sp_addr *a)
{
    if (a->u.sa.sa_family == AF_INET)
        return sp_bytes(&a->u.in4.sin_addr, 4);
    if (a->u.sa.sa_family == AF_INET6) {
        bool mapped = IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr);

        return mapped ? sp_bytes(a->u.in6.sin6_addr.s6_addr + 12, 4)
                      : sp_bytes(a->u.in6.sin6_addr.s6_addr, 8);
    }
    return SP_LIT("local");
}

static bool has_room(struct sp_web_server *s, const struct sp_addr *peer)
{
    struct web_address *a = sp_map_find(s->addresses, address_key(peer));

    return !s->draining && s->conn_count < s->o.limits.connections &&
           (a == NULL || a->count < s->o.limits.connections_address);
}

void sp_web_server_accept(struct sp_web_server *s, int fd, const struct sp_addr *peer)
{
    struct web_address *a;

    if (!has_room(s, peer)) {
        sp_log_warn(s->o.log, "web.full", SP_INT("connections", s->conn_count));
        close(fd);
        return;
    }
    a = sp_map_find(s->addresses, address_key(peer));
    if (a == NULL) {
        a = sp_calloc(1, sizeof(*a));
        sp_map_put(s->addresses, address_key(peer), a);
    }
    a->count++;
    s->conn_count++;
    sp_web_conn_start(s, fd, peer);
}

static void on_accept(void *arg, int fd, const struct sp_addr *peer)
{
    sp_web_server_accept(arg, fd, peer);
}

void sp_web_server_listen(struct sp_web_server *s, int fd)
{
    s->listeners = sp_realloc(s->listeners, (s->listener_count + 1) * sizeof(struct sp_listener *));
    s->listeners[s->listener_count++] = sp_listener_new(s->o.loop, fd, on_accept, s);
}

static void tell_idle(struct sp_web_server *s)
{
    void (*fn)(void *arg) = s->on_idle;

    s->on_idle = NULL;
    sp_timer_cancel(s->drain_timer);
    if (fn != NULL)
        sp_loop_post(s->o.loop, fn, s->on_idle_arg);
}

void sp_web_server_lost(struct sp_web_server *s, const struct sp_addr *peer)
{
    struct web_address *a = sp_map_find(s->addresses, address_key(peer));

    sp_assert(a != NULL && a->count > 0);
    if (--a->count == 0)
        sp_free(sp_map_remove(s->addresses, address_key(peer)));
    if (--s->conn_count == 0 && s->draining)
        tell_idle(s);
}

static void on_drain_limit(void *arg)
{
    struct sp_web_server *s = arg;

    if (s->conn_count == 0)
        tell_idle(s);
    else
        drop_all(s);
}

void sp_web_server_drain(struct sp_web_server *s, int64_t limit_ms, void (*on_idle)(void *arg),
                         void *arg)
{
    s->draining = true;
    s->on_idle = on_idle;
    s->on_idle_arg = arg;
    stop_listening(s);
    SP_LIST_EACH(pos, &s->conns)
    {
        struct web_conn *c = SP_CONTAINER(pos, struct web_conn, in_server);

        c->close = true;
        if (c->state == CONN_IDLE)
            sp_web_conn_drop(c, SP_E_CANCELLED);
    }
    sp_timer_start(s->drain_timer, s->conn_count == 0 ? 0 : limit_ms);
}

struct sp_web_request *sp_web_server_find(const struct sp_web_server *s, sp_handle h)
{
    return sp_slots_find(s->requests, h);
}
