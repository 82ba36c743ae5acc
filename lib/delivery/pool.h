/*
 * Inside delivery: connections by host, and what may be asked of the site that a host belongs to. A host is all that its
 * connections' proofs rest on (sp_hop_put_site): only who would have proved the same shares them. A site is what limits
 * count for: an entry of policies/sites.json, or else the same set of MX hosts, at the same security level, seen from
 * the same addresses of ours; many domains at one provider are one site. thread: loop
 */
#ifndef SP_DELIVERY_POOL_H
#define SP_DELIVERY_POOL_H

#include "base/map.h"
#include "config/sites.h"
#include "delivery/conn.h"
#include "delivery/site.h"
#include "queue/lines.h"

#include <limits.h>

struct sp_pool;

/* A site or a host is not as it was before. */
struct sp_pool_news {
    enum sp_pool_turn {
        SP_POOL_SITE_SLOWED, /* it asked for less, or broke connections off */
        SP_POOL_SITE_WELL,
        SP_POOL_HOST_DOWN, /* it can't be reached, and rests */
        SP_POOL_HOST_UP,
    } what;
    struct sp_bytes name;
    const char *why; /* or NULL */
    int reply_code;  /* 0: none */
    int64_t for_ms;  /* that it is left alone; 0: it is not */
};

/*
 * What a site has shown. Each has a part of all connections and places that those below it never get, however many they are. Each
 * half minute that a message is kept waiting takes half of what was shown before, and from the first of them on its connection counts
 * half: others have that room, so who stalls keeps nobody for as long as he stalls.
 */
enum sp_pool_rank {
    SP_POOL_RANK_NEW,    /* it has taken no message, or has one waiting for half a minute now */
    SP_POOL_RANK_KNOWN,  /* it takes mail */
    SP_POOL_RANK_PROVEN, /* it has taken 16 messages */
    SP_POOL_RANK_COUNT,
};
/* returns: how many of all sites of a rank and those below may have together: three quarters, seven eighths, all */
size_t sp_pool_part(enum sp_pool_rank rank, size_t all);

/* Connections, and who waits for one. */
struct sp_pool_taken {
    size_t all;
    size_t urgent; /* of these, who waits in the urgent lane */
    size_t bulk;   /* of these, those that may be of the bulk lane */
};

/* For whom places are asked. */
struct sp_pool_places {
    enum sp_lane lane;
    enum sp_pool_rank rank;
    bool is_first; /* its site has none: what proven sites have does not keep it from one */
    struct sp_pool_taken used[SP_POOL_RANK_COUNT]; /* by sites of a rank and those below it */
};

/* Sets what sites of each rank have now. */
void sp_pool_count_places(struct sp_pool *p, struct sp_pool_places *ask);
/* returns: how many messages of a lane are kept waiting for half a minute, and count half */
size_t sp_pool_stalling(struct sp_pool *p, enum sp_lane lane);

struct sp_pool_settings {
    struct sp_loop *loop;
    struct sp_log *log;
    struct sp_tls_context *tls;
    const char *hostname;
    int64_t connect_ms;
    int64_t command_ms; /* 0: the limits of RFC 5321 */
    int64_t idle_ms;
    int64_t rest_ms; /* how long a host that could not be reached is left alone, the first time */
    int64_t rest_max_ms; /* at most; 0: always rest_ms */
    unsigned total_max;  /* connections in all, of which those that stall count half */
    unsigned site_max;   /* to one site, where sites does not say */
    unsigned messages_max;
    unsigned relays;              /* the limits of sites are divided by their number; 0: 1 */
    const struct sp_sites *sites; /* NULL: no limits but these */
    struct sp_lines *lines; /* those who wait for a crowded site; NULL: nobody is ever crowded */
    /* returns: how many attempts more a lane may have, of which no site may take all. May be NULL: they don't matter */
    size_t (*places)(void *arg, const struct sp_pool_places *ask);
    void (*on_room)(void *arg);                               /* a line was opened, or woken */
    void (*on_news)(void *arg, const struct sp_pool_news *n); /* lent for the call. May be NULL */
    void *arg;
};

/* settings: copied; what they point at is lent. owner: the caller. returns: never NULL */
struct sp_pool *sp_pool_new(const struct sp_pool_settings *settings);
/* Drops all connections and waiters without calling back, and opens all lines. NULL is allowed. */
void sp_pool_free(struct sp_pool *p);

struct sp_pool_ask {
    const struct sp_route *route;
    size_t hop;
    bool plain; /* a connection that stays without TLS */
    struct sp_bytes tenant;
    enum sp_lane lane;
    sp_handle line;  /* in which the message stood; 0: none */
    bool has_next;   /* another host will do as well: none waits for what becomes of a probe */
    int64_t ends_ms; /* its own time is over by then, and no longer pause is waited for; 0: never */
    /* how long it waits for its turn: then it hears SP_E_DELIVERY_TURN, but a few seconds after it came at the earliest; 0: for ever */
    int64_t turn_ms;
};

/*
 * c:   ready to send, lent until this call returns or, if a message is sent on it, until its result; NULL without one
 * end: why there is none
 */
typedef void (*sp_pool_fn)(void *arg, struct sp_conn *c, const struct sp_conn_end *end);

/* returns: an idle connection, to be used at once or left alone; or NULL */
struct sp_conn *sp_pool_find(struct sp_pool *p, const struct sp_pool_ask *ask);

/*
 * Asks before waiting: where enough of this tenant's mail waits for the site already, its line is shut until there is
 * room, so that a long backlog for a slow site is not looked at over and over.
 *
 * asks:    for the host itself, and for others that are as good, which have no room either: the first that has opens the line
 * returns: whether the line was shut: give the message back to it
 */
bool sp_pool_shuts(struct sp_pool *p, const struct sp_pool_ask *asks, size_t count);

#define SP_POOL_CLOSED  UINT_MAX       /* it is left alone: who asks hears so at once */
#define SP_POOL_CROWDED (UINT_MAX - 1) /* its line would be shut */
/* returns: 0 if who asks for a host now would have a connection, else more the more wait there for what it has */
unsigned sp_pool_load(struct sp_pool *p, const struct sp_pool_ask *ask);

/* Waits for a connection. returns: a handle; fn is called exactly once, on a later turn, and never after cancel */
sp_handle sp_pool_wait(struct sp_pool *p, const struct sp_pool_ask *ask, sp_pool_fn fn, void *arg);
void sp_pool_cancel(struct sp_pool *p, sp_handle wait);

/* returns: how long a host is left alone still, ms: who waits for it hears so at once; 0: it may be asked */
int64_t sp_pool_rests(struct sp_pool *p, const struct sp_pool_ask *ask);

/* A host that is left alone since it can't be reached is asked by who comes next. What its site asked for, a pause, stays. */
void sp_pool_end_rest(struct sp_pool *p, const struct sp_pool_ask *ask);

/* returns: what the site has shown that is asked for; NEW if there is none yet */
enum sp_pool_rank sp_pool_rank_at(struct sp_pool *p, const struct sp_pool_ask *ask);

/* returns: how many recipients a transaction there may have */
size_t sp_pool_recipients(struct sp_pool *p, const struct sp_pool_ask *ask);

struct sp_pool_stats {
    uint64_t opened;
    size_t open;
};
/* returns: counts since the start */
struct sp_pool_stats sp_pool_stats(const struct sp_pool *p);

/* A site as people see it. */
struct sp_pool_view {
    uint64_t id;            /* as sp_pool_site_id */
    struct sp_bytes name;   /* of its entry, or its best host */
    struct sp_bytes entry;  /* of policies/sites.json, "default" */
    struct sp_bytes source; /* pool of addresses, or empty */
    const char *
        level; /* what all connections must prove by a partner's entry; "plain" for those without TLS */
    size_t host_count;
    size_t open; /* connections */
    size_t busy;
    size_t waiting; /* messages for a connection */
    size_t shut;    /* lines */
    const struct sp_site *state;
    int64_t per_minute;            /* limit here; 0: none */
    int64_t next_ms;               /* until a message may go; 0: now */
    enum sp_breaker_state breaker; /* of the worst host */
    struct sp_bytes breaker_host;
    int64_t breaker_ms; /* that it rests still */
    enum sp_rc breaker_why;
};
/* Visits every site. v: lent for the call */
void sp_pool_each(struct sp_pool *p, void (*visit)(void *arg, const struct sp_pool_view *v),
                  void *arg);
/* The same in steps of a millisecond or so, between which sites may come and go. walk: all zero to begin. returns: whether there is more */
bool sp_pool_each_some(struct sp_pool *p, struct sp_map_walk *walk,
                       void (*visit)(void *arg, const struct sp_pool_view *v), void *arg);
/* returns: a number that no other site of this pool has or had; 0 if nobody has asked for it */
uint64_t sp_pool_site_id(struct sp_pool *p, const struct sp_pool_ask *ask);
/* returns: which site it is, to compare with views; NULL if nobody has asked for it */
const void *sp_pool_site_of(struct sp_pool *p, const struct sp_pool_ask *ask);

#endif
