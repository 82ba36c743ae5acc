/*
 * Inside delivery: the engine, a message being worked on, and one attempt for a group of its recipients. thread: loop
 */
#ifndef SP_DELIVERY_DELIVERY_PRIV_H
#define SP_DELIVERY_DELIVERY_PRIV_H

#include "base/map.h"
#include "base/text.h"
#include "crypt/hash.h"
#include "delivery/delivery.h"
#include "delivery/outcome.h"
#include "delivery/places.h"
#include "delivery/pool.h"
#include "delivery/source.h"
#include "delivery/suppress.h"
#include "io/loop.h"
#include "jobs/jobs.h"
#include "jobs/seal.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "policy/options.h"
#include "queue/queue.h"
#include "transport/posture.h"
#include "transport/transport.h"

/* one for each recipient that a host refuses, and what else an attempt has to say */
#define SP_AUDIT_EVENTS_MAX (2 * SP_QUEUE_DUE_MAX + 16) /* an attempt and a suppression each */
#define SP_CITED_MAX        3
#define SP_FRESH_MAX        (2 * SP_CITED_MAX)
#define SP_DIGEST_MAX       80

struct sp_delivery {
    struct sp_delivery_parts parts;
    struct sp_delivery_settings settings;
    struct sp_pool *pool;
    struct sp_timer *take; /* looks for what is due */
    struct sp_list attempts, boards;
    struct sp_places places; /* attempts under way */
    size_t over;             /* of those, for whom no host is asked */
    struct sp_unrouted *unrouted;
    bool holds_back;   /* some lanes are not served */
    size_t committing; /* outcomes that are not durable yet */
    struct sp_delivery_stats stats;
    struct {
        int64_t minute_ms;
        unsigned told; /* in that minute */
        uint64_t untold;
    } news;
    struct {
        struct sp_id id;
        size_t left;         /* recipients that are still to be tried */
    } asked_now[8];          /* messages whose hosts are asked though they rest, oldest first */
    struct sp_map *evidence; /* digests in durable records since the start */
    bool draining;
    struct sp_timer *patience;
    void (*drained)(void *arg);
    void *drained_arg;
};

/* A message with its body, shared by the attempts for its recipients. */
struct sp_parcel {
    unsigned refs;
    struct sp_queue_message *m;
    enum sp_lane lane;
    sp_handle line;
    int64_t ends_ms; /* steady: until when it might have stood there */
    bool is_over, has_body;
    struct sp_content body;
};

void sp_parcel_unref(struct sp_parcel *p);
/* Opens the body once. returns: as sp_queue_body */
SP_MUST_CHECK enum sp_rc sp_parcel_body(struct sp_delivery *d, struct sp_parcel *p);

struct sp_key_ring;
struct sp_commit;
struct sp_bounce_rcpt;

/* What a host of the route showed last in this attempt. */
struct sp_host_asked {
    bool was_asked;
    bool has_put_off; /* for rc, once it had shown verdict: it is not asked again, others are */
    enum sp_rc rc;    /* SP_OK: it talks with us, and verdict is set */
    enum sp_rc lacks; /* what the bytes need; SP_OK: nothing */
    struct sp_hop_verdict verdict;
};

struct sp_attempt {
    struct sp_list at;
    struct sp_delivery *d;
    struct sp_parcel *p;
    const struct sp_accept_decision *decision;
    uint16_t ns[SP_QUEUE_DUE_MAX];
    size_t n_count;
    struct sp_bytes domain;
    struct sp_bytes way; /* whose route is asked for: the domain's, or what a rule says */
    struct sp_ladder ladder;
    struct sp_standing s;
    struct sp_options *options; /* in arena */
    struct sp_arena *arena;
    int64_t started_ms; /* monotonic */
    uint32_t number;
    uint32_t noise; /* one for all: who waits alike comes together again; 0: none is drawn yet */

    const struct sp_route *route;
    size_t hop;
    size_t turn; /* in order */
    uint8_t order[SP_TRANSPORT_HOPS_MAX];
    size_t only_hop;      /* SIZE_MAX, or the one host that is asked again */
    bool plain;           /* a connection without TLS is wanted */
    bool was_bare;        /* a host of this round would do in the clear: others are asked first */
    unsigned rounds;      /* how often the hosts were asked */
    enum sp_rc no_more;   /* why none is asked any more; SP_OK: they may be */
    bool has_asked;       /* a host answered, or failed to for its sake */
    struct sp_conn *conn; /* only while a callback that brought it runs */
    sp_handle wait_route;
    struct sp_unrouted_as unrouted;
    sp_handle wait_conn;
    sp_handle wait_job;

    /* what the last host showed, for the audit */
    bool has_verdict, has_before;
    enum sp_level before;
    struct sp_hop_verdict verdict;
    size_t seen_hop; /* SIZE_MAX: none was asked */
    struct sp_bytes tls_json;
    struct sp_bytes chain;
    struct sp_bytes tlsa_matched;            /* "3 1 1 8d02..." */
    char cited[SP_CITED_MAX][SP_DIGEST_MAX]; /* evidence of the event being written */
    size_t cited_count;
    uint8_t fresh[SP_FRESH_MAX][SP_SHA256_LEN]; /* evidence among the events */
    size_t fresh_count;
    struct sp_bytes ip;
    struct sp_host_asked asked[SP_TRANSPORT_HOPS_MAX]; /* by host of the route */
    struct sp_smtp_reply put_off; /* what the last one said who put it off; code 0: nothing */
    size_t put_off_hop;           /* who that was */
    struct sp_list sessions;      /* that it has seen and not written; sessions.c */
    bool alerted;
    bool went_on; /* split from another, or sent already: there is something to write about it */
    enum sp_lane lane;
    sp_handle line; /* in which its recipients stood */
    bool is_over;   /* they stood there until their time was over */

    size_t taken; /* index of the rung under way */
    struct sp_source source;
    bool has_source;

    /* sealing */
    struct sp_key_ring *keys; /* what the keeper has; seal.c's own */
    struct sp_content sealed;
    bool has_copy; /* sealed is there, made by copy_method */
    enum sp_jobs_seal_method copy_method;
    int seal_fd;              /* of the sealer's output while a job is under way, or -1 */
    bool sends_copy;          /* the transaction under way carries it */
    struct sp_commit *commit; /* while the child's body is being finished */
    struct sp_bytes seal_facts;
    uint8_t sealed_sha256[32];
    uint64_t sent_bytes;
    uint64_t sent_removed;
    bool reuses;        /* the connection has carried other mail before */
    unsigned stales;    /* of those so many had ended before this mail was heard */
    bool unsure;        /* a connection was lost behind the last dot: it may be there (RFC 1047) */
    bool passes_notify; /* the next hop knows DSN: it was told of what the sender wants to hear */

    /* what is written in the end */
    struct sp_result results[SP_QUEUE_DUE_MAX];
    size_t result_count;
    struct sp_buf events[SP_AUDIT_EVENTS_MAX];
    size_t event_count;
    size_t child_events;         /* those from here on go with the child */
    struct sp_bounce_rcpt *told; /* in arena: what the sender is to hear */
    size_t told_count;
};

/* ---- attempt.c ---- */
/* Starts an attempt; ns are busy in the queue. */
void sp_attempt_start(struct sp_delivery *d, struct sp_parcel *p, const uint16_t *ns,
                      size_t n_count);
/* A second attempt that goes on from where this one stands, for some of its recipients. returns: it, not yet stepped */
struct sp_attempt *sp_attempt_split(const struct sp_attempt *a, const uint16_t *ns, size_t n_count);

/* ---- damage.c ---- */
/* Holds the recipients if the body can't be read, as rc says. returns: whether it did; the attempt is then at its end */
SP_MUST_CHECK bool sp_attempt_is_damaged(struct sp_attempt *a, enum sp_rc rc);
/* The rung taken has failed: on with the next, or with a hold if the body is damaged. */
void sp_attempt_rung_failed(struct sp_attempt *a, enum sp_rc rc);

void sp_attempt_step(struct sp_attempt *a); /* Does what outcome says next. May free a. */
/* Ends it without a word; its recipients must have been settled, put back or split off. */
void sp_attempt_free(struct sp_attempt *a);
/* The recipients stand first in their line again, which is shut. Frees a. */
void sp_attempt_put_first(struct sp_attempt *a);
/* returns: what the attempt asks of the pool for a host of its route */
struct sp_pool_ask sp_attempt_pool_ask(const struct sp_attempt *a, size_t hop);
/* returns: the recipient's address as the record has it */
struct sp_bytes sp_attempt_address(const struct sp_attempt *a, size_t i);
/* returns: whether it is a tenant's, not ours */
bool sp_attempt_is_mail(const struct sp_attempt *a);
/* returns: whether an address is not tried, by word of the ledger */
bool sp_delivery_suppresses(const struct sp_delivery *d, struct sp_bytes address);
/* returns: whether the envelope sender is not the tenant's own: no report goes there */
bool sp_attempt_is_foreign(const struct sp_attempt *a);

/* ---- news.c ---- */

/* The pool's on_news: a line for the audit. arg: the engine */
void sp_delivery_news(void *arg, const struct sp_pool_news *n);
/* ---- verp.c ---- */
/* Each: of a copy, and of a notice too. returns: whether it goes under a return path of its own */
bool sp_delivery_has_own_path(const struct sp_delivery *d, const struct sp_accept *a);
bool sp_attempt_has_own_path(const struct sp_attempt *a);
/* returns: what MAIL FROM says, lent or in a's arena */
struct sp_bytes sp_attempt_return_path(const struct sp_attempt *a);
/* ---- hops.c ---- */

/* Resolves and asks the hosts in turn, anew, or tells outcome that none is asked any more; the attempt goes on. May free a. */
void sp_attempt_ask_hops(struct sp_attempt *a);
/* ---- seal.c ---- */
void sp_attempt_ask_keys(struct sp_attempt *a);
void sp_attempt_seal(struct sp_attempt *a, enum sp_rung rung);
void sp_attempt_clear_seal(struct sp_attempt *a);
/* returns: whether it may go under SMTPUTF8 alone */
bool sp_attempt_is_utf8(const struct sp_attempt *a);
/* returns: whether the rung's copy is not the message as received */
bool sp_attempt_needs_copy(const struct sp_attempt *a, enum sp_rung rung);
/* returns: whether the copy that this rung needs is there */
bool sp_attempt_has_copy(const struct sp_attempt *a, enum sp_rung rung);

/* ---- deposit.c ---- */
void sp_attempt_deposit(struct sp_attempt *a);

/* ---- settle.c ---- */

/* WAIT: all recipients are deferred. Frees a. */
void sp_attempt_settle_wait(struct sp_attempt *a, const struct sp_next *next);
/* RETURN, HOLD: all recipients are given up or held. Frees a. */
void sp_attempt_settle_end(struct sp_attempt *a, const struct sp_next *next);
/* A transaction is over. own: SP_OK, or why we could not send all. May free a. */
void sp_attempt_settle_sent(struct sp_attempt *a, enum sp_rc own, const struct sp_smtp_result *r);

/* A mail of our own that this outcome causes. accept's texts and body stay the caller's, for the call */
struct sp_child {
    struct sp_accept accept;
    struct sp_bytes content;
};
/* Stops a commit whose child is not finished yet; the recipients stay as they are. */
void sp_attempt_cancel_commit(struct sp_attempt *a);
/* Writes results and events as one record, with a child or without (NULL). Frees a. */
void sp_attempt_commit(struct sp_attempt *a, const struct sp_child *child);

/* ---- bounce.c ---- */
struct sp_bounce_rcpt {
    uint16_t n;
    enum sp_rc why;
    struct sp_smtp_reply reply;
    int64_t until_ms; /* by the wall clock: tried no longer than this; of what is put off */
    enum sp_dsn_action action;
};
/*
 * Makes one DSN of all that the sender is to hear (a->told), and the audit's events of it.
 *
 * content: empty before; gets the message
 * child:   set; its texts lie in a's arena
 * returns: SP_OK, or why it can't be made
 */
SP_MUST_CHECK enum sp_rc sp_bounce_make(struct sp_attempt *a, struct sp_buf *content,
                                        struct sp_child *child);
/* A decision for mail of our own: every TLS rung, best first, and plain if the floor allows it. In a's arena. */
struct sp_accept_decision *sp_bounce_decision(struct sp_attempt *a, const char *rule,
                                              enum sp_floor floor, int64_t expire_at_ms);

/* ---- tell.c: a word to the sender ---- */
/* Notes that a recipient is given up. returns: whether the sender is to hear */
bool sp_attempt_hears_failed(struct sp_attempt *a, const struct sp_bounce_rcpt *r);
/* Notes that a recipient has to wait. returns: the same */
bool sp_attempt_hears_late(struct sp_attempt *a, const struct sp_bounce_rcpt *r, bool broken);
/* Notes that the next hop has taken it, for a sender who asked. */
void sp_attempt_hears_passed(struct sp_attempt *a, const struct sp_bounce_rcpt *r);
/* returns: SP_JOBS_DEPOSIT_TELL_*: what the sender hears of recipient n's package */
uint8_t sp_attempt_portal_reports(const struct sp_attempt *a, uint16_t n);
/* The sender has heard that a package's notice reached nobody: the portal makes no other report of it. */
void sp_delivery_unreached(struct sp_delivery *d, struct sp_bytes package);
/* returns: whether the sender is to hear that this notice was accepted */
bool sp_report_tells_portal(const struct sp_attempt *a);
/* Makes that mail. content: empty before. returns: SP_OK, or why it can't be made; then nobody is told */
SP_MUST_CHECK enum sp_rc sp_report_tell(struct sp_attempt *a, struct sp_buf *content,
                                        struct sp_child *child);

/* ---- delivery.c ---- */
void sp_delivery_ended(struct sp_delivery *d);

#endif
