/*
 * What pool.c, place.c, learn.c, rank.c, starved.c, crowd.c and turns.c share.
 */
#ifndef SP_DELIVERY_POOL_PRIV_H
#define SP_DELIVERY_POOL_PRIV_H

#include "delivery/pool.h"
#include "io/loop.h"

struct sp_pool_host;
struct sp_pool_site;

struct sp_pool_link { /* a connection in the pool */
    struct sp_list in_host;
    struct sp_list in_idle; /* of the pool, longest idle first */
    struct sp_list in_rest; /* of the site, the same */
    struct sp_pool_host *host;
    struct sp_conn *conn;
    struct sp_timer *timer;      /* idle */
    struct sp_pool_share *asker; /* who was offered it last */
    sp_handle line;
    struct sp_list in_busy; /* of the pool, longest busy first */
    int64_t
        busy_ms; /* since when it is opened, or sends a message, or was last found to stall, monotonic; 0: neither */
    bool stalls;       /* that is too long: counted in its site and pool */
    enum sp_lane lane; /* of whom it was offered to last */
    int64_t opened_ms; /* since when it can send */
    bool ready;        /* idle, or lent for the moment */
    bool opened;       /* was ready once */
    bool leaving;      /* QUIT was said */
    bool was_stale;    /* it ended between two messages */
};

struct sp_pool_crowd { /* of a share in a lane */
    struct sp_list waiters;
    size_t count;
    struct sp_list shut; /* lines, longest shut first */
};

struct sp_pool_share { /* of a tenant in a site */
    struct sp_list at;
    struct sp_pool_crowd lanes[SP_LANE_COUNT];
    uint64_t turn; /* when it was served last */
    struct sp_site_rate rate;
    struct sp_site_rate *total; /* of the tenant everywhere, or NULL */
    size_t name_len;
    uint8_t name[];
};

struct sp_pool_waiter {
    struct sp_list at;
    struct sp_pool *pool;
    struct sp_pool_host *host; /* NULL once it is to be told */
    struct sp_pool_share *share;
    sp_handle handle;
    sp_pool_fn fn;
    void *arg;
    sp_handle line;
    enum sp_lane lane;
    bool is_stranger; /* counted so: the host had not answered */
    int64_t end_ms;   /* monotonic: its own time is over. INT64_MAX: never */
    struct sp_heap_node in_turns;
    struct sp_conn_end end; /* when it hears only that */
};

struct sp_pool_host {
    struct sp_pool *pool;
    struct sp_pool_site *site;
    struct sp_list in_site;
    struct sp_list in_unused;
    bool is_among_proven; /* which of the two lists of the unused it is in */
    struct sp_list links;
    size_t link_count;
    size_t opening;
    size_t waiting;
    bool has_worked;       /* since its last rest */
    int64_t more_after_ms; /* it wanted no more connections: none is opened before */
    int64_t more_wait_ms;  /* how long that was */
    struct sp_breaker breaker;
    struct sp_conn_end why;       /* it rests */
    const struct sp_route *route; /* of the last who asked */
    size_t hop;
    bool plain;
    const struct sp_site_source *source;
    unsigned source_turn;
    size_t key_len;
    uint8_t key[];
};

struct sp_pool_site {
    struct sp_pool *pool;
    uint64_t id;
    const struct sp_site_limits *limits;
    const struct sp_site_source *source;
    struct sp_site state;
    struct sp_site_rate rate;
    struct sp_list hosts;
    struct sp_list shares;
    struct sp_list rest;    /* idle links */
    struct sp_list starved; /* of the pool: found no room for a connection */
    unsigned starved_as;    /* which list */
    uint64_t starved_turn;  /* since when: lower is longer */
    struct sp_timer *timer; /* when a message may go again */
    int64_t wake_ms;        /* it runs until */
    size_t host_count;
    size_t link_count;
    size_t waiting;
    size_t lane_waiting[SP_LANE_COUNT]; /* of those */
    size_t shut;
    enum sp_pool_rank rank; /* as it is counted */
    unsigned score;         /* messages taken, and half of that after each that was kept waiting */
    size_t stalling;        /* links that keep one waiting now */
    uint64_t turn;
    unsigned lane_turns[SP_LANE_COUNT]; /* of this round */
    int64_t rate_from_ms;               /* monotonic */
    unsigned served;                    /* since then */
    int64_t each_us;                    /* what one took in the window before */
    enum sp_level must;
    bool plain;
    struct sp_bytes name;
    size_t key_len;
    uint8_t key[];
};

#define SP_POOL_RECENT        64
#define SP_POOL_STARVED_LISTS ((size_t)2 * SP_POOL_RANK_COUNT)

struct sp_pool_used { /* by sites of a rank */
    size_t links;
    size_t waiting[SP_LANE_COUNT];
};

struct sp_pool {
    struct sp_pool_settings settings;
    struct sp_map *hosts;
    struct sp_map *sites;
    uint64_t sites_made;
    struct sp_map *totals; /* rates of tenants, by name */
    struct sp_slots *waiters;
    struct sp_list idle;
    struct sp_list unused[2]; /* hosts, longest first; [true]: of sites that take mail */
    size_t unused_count[2];
    struct sp_list busy;                           /* links */
    struct sp_timer *stall;                        /* the first of them may stall then */
    size_t stalling;                               /* of them, that do */
    size_t lane_stalling[SP_LANE_COUNT];           /* of those, with a message */
    struct sp_list starved[SP_POOL_STARVED_LISTS]; /* sites: see starved.c */
    size_t without_any;                            /* in the first half of these */
    uint64_t starved_turn;
    unsigned given;       /* connections, to those who waited in these */
    size_t leaving;       /* links */
    struct sp_heap turns; /* waiters whose time ends, soonest first */
    struct sp_timer *turn;
    struct sp_list told; /* waiters that hear that there is none, next turn */
    struct sp_timer *tell;
    struct sp_timer *tick; /* while lines are shut */
    struct sp_list
        strangers; /* lines shut since too many wait for hosts that have not answered yet */
    struct sp_pool_host *recent[SP_POOL_RECENT];
    struct sp_pool_used used[SP_POOL_RANK_COUNT];
    size_t stranger_waiters;
    size_t shut;
    size_t open;
    uint64_t opened;
};

/* ---- place.c: hosts and sites ---- */

/* returns: the host that is asked for, made if it is not there */
struct sp_pool_host *sp_pool_get_host(struct sp_pool *p, const struct sp_pool_ask *ask);
/* returns: it, or NULL */
struct sp_pool_host *sp_pool_find_host(struct sp_pool *p, const struct sp_pool_ask *ask);
/* It is about to have a link or a waiter. */
void sp_pool_host_used(struct sp_pool_host *h);
/* A link or a waiter of it has gone. If it was the last, it may go when room is needed. */
void sp_pool_host_unused(struct sp_pool_host *h);
/* Frees a host that is unused, and its site if it was the last. */
void sp_pool_host_free(struct sp_pool_host *h);
/* returns: time at which a message of this share may go; now_ms or before: now */
int64_t sp_pool_site_at(struct sp_pool_site *s, struct sp_pool_share *share, int64_t now_ms);

/* ---- pool.c ---- */

/* Gives what is ready to who may go, and opens what the others need. */
void sp_pool_serve(struct sp_pool_site *s);
/* returns: whether who asks hears at once that there is none. why: set to the reason, if so */
bool sp_pool_is_closed(const struct sp_pool_host *h, const struct sp_pool_ask *ask,
                       struct sp_conn_end *why);
/* Says QUIT on a link that sends nothing now. */
void sp_pool_retire(struct sp_pool_link *l);

/* ---- learn.c: what answers tell ---- */

/* It is in trouble, for this reason; reply: or NULL */
void sp_pool_note_trouble(struct sp_pool_site *s, const char *why,
                          const struct sp_smtp_reply *reply);
/* A temporary reply, as the table of sites weighs it. */
void sp_pool_note_reply(struct sp_pool_site *s, const struct sp_smtp_reply *reply);
/* A message has been taken, or not; either way the site's rate is known better. */
void sp_pool_note_served(struct sp_pool_site *s);
/* One has been taken. */
void sp_pool_note_taken(struct sp_pool_site *s);
/* It rests, for h->why; was: it did before, which is told once. */
void sp_pool_host_down(const struct sp_pool_host *h, bool was);
/* A connection works again. */
void sp_pool_host_back(const struct sp_pool_host *h);

/* ---- rank.c: what a site may have for what it has shown ---- */

/* It is being opened, or sends a message; until sp_pool_answers. */
void sp_pool_begins(struct sp_pool_link *l);
/* It is ready, or goes. Not to be busy is allowed. */
void sp_pool_answers(struct sp_pool_link *l);
/* A message has been taken. */
void sp_pool_score(struct sp_pool_site *s);
/* The timer of who stalls: somebody else may have room for that. arg: the pool */
void sp_pool_on_stall(void *arg);
/* returns: the connections that there are, as they count: of those that stall each second one does not */
size_t sp_pool_open_now(struct sp_pool *p);
/* returns: its rank now. cost: O(1), and once for each link that begins to stall */
enum sp_pool_rank sp_pool_rank_of(const struct sp_pool_site *s);
/* returns: what sites of a rank and those below have together. cost: the same */
struct sp_pool_used sp_pool_used(struct sp_pool *p, enum sp_pool_rank rank);
/* returns: connections that these may open still, as far as their part goes */
size_t sp_pool_left_of_part(struct sp_pool *p, enum sp_pool_rank rank);
/* returns: the first part that a rank counts in and that is used up: who is of that rank or below makes room; PROVEN: anybody */
enum sp_pool_rank sp_pool_full_for(struct sp_pool *p, enum sp_pool_rank rank);
/* returns: connections of which it may have half */
size_t sp_pool_left_for(const struct sp_pool_site *s);

/* ---- starved.c: who waits for a connection that may not be opened yet ---- */

/*
 * It found no room: it stands behind those who are as badly off, unless it stands there. Who has no connection comes first, by rank,
 * but each fourth goes to whoever of these has waited longest. So a site without any has one after at most 4 (k + 1) that
 * come free for its rank, where k sites without any have waited longer, whatever mail there is for others.
 */
void sp_pool_starve(struct sp_pool_site *s);
/* It waits no more. Not to wait is allowed. */
void sp_pool_starve_end(struct sp_pool_site *s);
/* A connection has gone, or a part has grown: serves those who may have one now. cost: for each that is served at most
   a step for each connection, a few as a rule */
void sp_pool_serve_starved(struct sp_pool *p);
/*
 * A site may have no more than half of what it leaves, so that sites that are slow with all they have leave some for the next.
 * returns: whether it may have one more; if not, something idle ends that keeps it from one, and it stands in line
 */
bool sp_pool_has_room(struct sp_pool_site *s);
/* returns: for whom the end of a link would make room, who has not been helped yet; or NULL. cost: a few steps */
struct sp_pool_site *sp_pool_wants(const struct sp_pool_link *l);
/* returns: whether a link has been open for so long that it ends for who waits for a first one, or would if it were idle */
bool sp_pool_is_over(const struct sp_pool_link *l);
/* Ends what has been idle longest, of those whose end helps it. */
void sp_pool_end_idle_for(const struct sp_pool_site *s);
/* The same among the site's own. returns: false if none is idle */
bool sp_pool_end_own_idle(struct sp_pool_site *s);

/* ---- turns.c: whose time ends before his turn comes ---- */

/* It waits so long, ms; 0: for ever. */
void sp_pool_turn_begins(struct sp_pool_waiter *w, int64_t turn_ms);
/* It waits no more. */
void sp_pool_turn_ends(struct sp_pool_waiter *w);
/* The timer of the first. arg: the pool */
void sp_pool_on_turn(void *arg);

/* ---- crowd.c: who waits ---- */

struct sp_pool_share *sp_pool_get_share(struct sp_pool_site *s, struct sp_bytes tenant);
void sp_pool_share_free(struct sp_pool_share *share);
/* returns: a waiter in the crowd of its share, counted */
struct sp_pool_waiter *sp_pool_join(struct sp_pool_host *h, const struct sp_pool_ask *ask);
/* It leaves the crowd and the pool; a line may open in its place. */
void sp_pool_leave(struct sp_pool_waiter *w);
/* It leaves the crowd, and hears why on the next turn. Its line is slow now, but if it was only its turn that did not come. */
void sp_pool_tell(struct sp_pool_waiter *w, const struct sp_conn_end *e);
/* The timer of those who are told. arg: the pool */
void sp_pool_on_tell(void *arg);
/*
 * host:    whose connection is ready; NULL: one may be opened, to any host that may have one more now
 * at_ms:   set to when somebody else may go; INT64_MAX: not by time alone
 * returns: who is to be served first; NULL: nobody may go now
 */
struct sp_pool_waiter *sp_pool_first(struct sp_pool_site *s, const struct sp_pool_host *host,
                                     int64_t now_ms, int64_t *at_ms);
/* Somebody of this lane is served: it has one turn less before those behind it have theirs. */
void sp_pool_count_turn(struct sp_pool_site *s, enum sp_lane lane);
/* Opens lines where there is room. */
void sp_pool_feed(struct sp_pool_site *s);
/* Opens a line for each crowd that has shut some, so that nobody is forgotten. arg: the pool */
void sp_pool_on_tick(void *arg);
/* returns: whether so many of this share wait that others had better not come */
bool sp_pool_is_crowded(const struct sp_pool_host *h, const struct sp_pool_share *share,
                        enum sp_lane lane);
/* Opens all lines of a list. */
void sp_pool_open_lines(struct sp_pool *p, struct sp_list *shut);

#endif
