/*
 * Outbound mail: takes what is due from the queue, one group of recipients and one attempt at a time, resolves, lets
 * protect choose the rung, seals or deposits or speaks SMTP, and writes the outcome back as one record. Which host,
 * which rung, retry, bounce or hold comes next is decided in outcome.c alone.
 */
#ifndef SP_DELIVERY_DELIVERY_H
#define SP_DELIVERY_DELIVERY_H

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/mem.h"

struct sp_accept;
struct sp_arena;
struct sp_delivery;
struct sp_queue_way;
struct sp_jw;
struct sp_sites;
struct sp_loop;
struct sp_log;
struct sp_queue;
struct sp_transport;
struct sp_tls_context;
struct sp_jobs;
struct sp_sessions;
struct sp_suppress;

struct sp_retry_class;
struct sp_secret;

/* A tenant with return paths of its own, and their domain. */
struct sp_delivery_bounces {
    const char *tenant;
    const char *domain;
};

struct sp_delivery_settings {
    const char *hostname;                 /* EHLO, Received, DSN: our name */
    const char *resolver;                 /* for the audit: the first resolver's address */
    int64_t retry_first_ms;               /* delivery.retry_first */
    int64_t retry_max_ms;                 /* longest wait between attempts; 0: 4 h */
    const struct sp_retry_class *retries; /* lent for its life */
    size_t retry_count;
    int64_t connect_ms;    /* patience with a connection; 0: 30 s */
    int64_t command_ms;    /* patience with a reply; 0: the limits of RFC 5321 */
    int64_t dsn_delay_ms;  /* age at which the sender hears of a delay; 0: never */
    int64_t suppress_ms;   /* how long an address that does not exist is left alone; 0: it is not */
    int64_t own_expire_ms; /* life of a report to a sender; 0: 2 d */
    int64_t idle_ms;       /* how long an idle connection is kept; 0: 30 s */
    int64_t job_ms;        /* patience with sealer, keeper and portal; 0: 60 s */
    bool long_lines;       /* hosts are asked to take lines of more than 998 bytes */
    bool has_portal;       /* the portal is switched on */
    const char *work_dir;  /* folder for unnamed files that the sealer fills */
    const char *portal_name;  /* sender name of notices where the policy gives none */
    unsigned connections_max; /* in all; 0: 200 */
    unsigned site_max;        /* to one host; 0: 20 */
    unsigned messages_max;    /* over one connection; 0: 1000 */
    unsigned relays;          /* the limits of sites are divided by their number; 0: 1 */

    const struct sp_delivery_bounces *bounces; /* lent for its life */
    size_t bounce_count;
    const struct sp_secret *return_key; /* of those paths; lent likewise; NULL without them */

    const struct sp_sites *sites; /* lent for the delivery's life; NULL: no limits but these */

    char *const *signers; /* names of tenants whose mail of ours is signed; lent for its life */
    size_t signer_count;
};

struct sp_delivery_parts {
    struct sp_loop *loop;
    struct sp_log *log;
    struct sp_queue *queue;
    struct sp_transport *transport;
    struct sp_tls_context *tls;   /* client context: system trust and delivery.ca */
    struct sp_jobs *jobs;         /* sealer, keeper, portal */
    struct sp_suppress *suppress; /* addresses that are not tried; or NULL */
    struct sp_sessions *sessions; /* seen and not on record yet; NULL: these are forgotten */
};

/* owner: the caller, to sp_delivery_free. Parts and the settings' texts are lent for its life. returns: never NULL */
struct sp_delivery *sp_delivery_new(const struct sp_delivery_parts *parts,
                                    const struct sp_delivery_settings *settings);
/* Drops connections and attempts under way; what they were about stays queued. NULL is allowed. */
void sp_delivery_free(struct sp_delivery *d);
SP_AUTO_DEFINE(sp_delivery)

/* Something may be due now: a message was accepted, released, or asked to be tried again. thread: loop; cheap */
void sp_delivery_poke(struct sp_delivery *d);

/*
 * So many recipients of a message, which are due now, ask their hosts even if these rest. Forgotten if they are not tried before a
 * few other messages are to do so.
 */
void sp_delivery_ask_now(struct sp_delivery *d, const struct sp_id *id, size_t recipients);

/* Takes nothing new; fn is called once all attempts under way are recorded, at the latest after patience_ms. */
void sp_delivery_drain(struct sp_delivery *d, int64_t patience_ms, void (*fn)(void *arg),
                       void *arg);

/* The queue's classify: lane, destination and end of recipient n. arena: for what way then holds; reset by each call */
void sp_delivery_way(const struct sp_accept *a, size_t n, struct sp_arena *arena,
                     struct sp_queue_way *way);

/* All that is limited, and why, as an object with "sites", "elsewhere" and "destinations". board.c */
struct sp_delivery_board;
/* json_max: of the object. owner: the caller, to sp_delivery_board_free. returns: never NULL */
struct sp_delivery_board *sp_delivery_board_new(size_t json_max);
/* NULL is allowed. */
void sp_delivery_board_free(struct sp_delivery_board *b);
/*
 * Looks at some of it: a millisecond or so.
 *
 * d:       the engine that takes mail now; if it is another than the last time, the board begins anew. It may end at any time
 * returns: whether there is more to do
 */
bool sp_delivery_board_step(struct sp_delivery_board *b, struct sp_delivery *d);
/* After the last step. returns: the object; failed if it had no room. Lent for the board's life */
const struct sp_buf *sp_delivery_board_json(const struct sp_delivery_board *b);

/* Writes "pool" into an object: at most max sites, those in trouble and the busiest, for metrics. board.c */
void sp_delivery_put_pool(struct sp_delivery *d, size_t max, struct sp_jw *w);

struct sp_delivery_stats {
    uint64_t attempts;
    uint64_t delivered; /* recipients */
    uint64_t deferred;
    uint64_t failed;
    uint64_t connections; /* opened */
    uint64_t reused;      /* transactions over one that was there */
    unsigned active;      /* attempts under way */
};
/* returns: counts since the start */
struct sp_delivery_stats sp_delivery_stats(const struct sp_delivery *d);

#endif
