/*
 * What the files of intake share: the generation of configuration, the session (a connection's life) and the transaction
 * (a message's life, which may outlast its session while the journal writes).
 */
#ifndef SP_INTAKE_INTAKE_PRIV_H
#define SP_INTAKE_INTAKE_PRIV_H

#include "base/arena.h"
#include "base/map.h"
#include "crypt/hash.h"
#include "crypt/scram.h"
#include "token/token.h"
#include "dkim/dkim.h"
#include "dns/resolver.h"
#include "intake/flow_priv.h"
#include "intake/late_priv.h"
#include "intake/memory_priv.h"
#include "intake/generation_priv.h"
#include "intake/intake.h"
#include "intake/proof_priv.h"
#include "intake/share_priv.h"
#include "io/stream.h"
#include "io/worker.h"
#include "jobs/scan.h"
#include "journal/records.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/trace.h"
#include "smtp/server.h"

#define REFUSALS_BURST      20 /* audited refusals at once; more are counted and told together */
#define REFUSALS_PER_SECOND 2

/* ---- intake ---- */
struct gate {
    struct sp_intake *in;
    struct sp_listener *listener;
    size_t index;
    struct sp_list link;
};

struct sp_intake {
    unsigned refs; /* the owner, and whatever calls back from threads and the queue */
    struct sp_intake_parts parts;
    struct generation *now;
    struct sp_slots *sessions;
    struct sp_list all;   /* sessions */
    struct sp_list gates; /* listeners */
    struct sp_worker *passwords;
    struct sp_map *sources; /* by address: struct source of limits.c */
    struct sp_map *quotas;  /* by tenant: struct quota of limits.c */
    struct sp_map *seen;    /* by tenant: struct seen of seen.c */
    struct shares shares;
    struct flows flows;
    size_t late; /* sessions whose refusal waits */
    struct memories memories;
    struct sp_dkim *dkim; /* made when the first signature is looked at */
    struct sp_intake_stats stats;
    int64_t told_many_ms; /* when it was logged that some are turned away; 0: never */
    uint64_t turned_away_untold;
    int64_t told_full_ms;  /* when it was logged that descriptors have run out; 0: never */
    unsigned transactions; /* handed to the scanner or the queue, not ended */
    bool draining;
    struct sp_timer *drain_timer;
    void (*drained)(void *arg);
    void *drained_arg;
    /* refusals told to the ledger */
    bool paused;
    uint64_t refused_why[SP_RC_COUNT];
    double refusal_tokens;
    int64_t refusal_at_ms;
    uint64_t refusals_untold;
};

/* Counted: what waits for a callback keeps the struct (not the sessions) alive. */
void sp_intake_ref(struct sp_intake *in);
void sp_intake_unref(struct sp_intake *in);

/* Tells whoever drains that there is one session or transaction less. */
void sp_intake_check_drained(struct sp_intake *in);

struct session {
    struct sp_intake *in;
    sp_handle handle;
    struct sp_list link;
    struct generation *gen;
    size_t listen;
    struct sp_stream *stream;
    struct sp_smtp_server *server;
    struct sp_timer *timer;
    const struct sp_tls_proof *proof; /* NULL without TLS */
    char ip[SP_ADDR_TEXT_MAX];
    struct sp_addr peer;
    struct sp_buf helo;
    char *user_tenant; /* name of that proved by AUTH, or NULL; found anew in each generation */
    struct sp_buf user;
    const char *login;     /* how the user was proved: "auth-plain", ... */
    bool counted;          /* among its source's sessions */
    struct source *source; /* if counted */
    struct share *share;   /* its source's, then its tenant's; NULL: none */
    struct flow_place flow;
    struct late late;
    struct {
        size_t of_all, of_source; /* bytes counted there */
        bool waits;               /* its message: there is no room for more of it */
        int64_t since_ms;
        struct sp_timer *timer; /* NULL: it never had to */
    } memory;
    int64_t held_at_ms; /* since when we don't read from it; 0: we do */
    unsigned failures;  /* of AUTH */
    struct sp_timer *delay;
    struct {
        struct sp_scram *exchange; /* NULL: none is under way */
        struct sp_buf user;
        char *tenant; /* NULL: there is no such user */
        bool proved;  /* the client; its last, empty response is awaited */
    } scram;
    bool token_failed; /* its error is on its way; whatever the client says to it, it is refused */
    bool proxied;      /* a load balancer's: its PROXY header is awaited */
    bool wants_tls;    /* STARTTLS was answered: the handshake begins when the output has drained */
    bool in_handshake;
    bool holding;    /* reading waits until the body has room */
    bool is_stuffed; /* reading waits until the peer has taken our replies */
    bool is_held;    /* reading waits, whatever for */
    bool closing;    /* the last output is on its way */
    bool pumping;
    struct proof refused;   /* what failed at the last MAIL; who NULL: nothing to tell */
    struct transaction *tx; /* NULL outside */
    struct bounce *bounce;  /* the same, of a listener for bounces */
};

/* Runs the machine on what has come, and sends what it says. */
void sp_intake_session_pump(struct session *s);
/* Reads from it, or does not, as the session's state asks. */
void sp_intake_session_hold(struct session *s);
/* Answers the event that waits, and goes on. text: may be empty */
void sp_intake_session_answer(struct session *s, enum sp_rc rc, struct sp_bytes text);
void sp_intake_session_start(struct sp_intake *in, size_t listen, int fd,
                             const struct sp_addr *peer);
/* returns: whether the peer is a load balancer of this listener's, which speaks for others */
bool sp_intake_is_proxy(const struct generation *g, size_t listen, const struct sp_addr *peer);
/* Ends it at once. */
void sp_intake_session_free(struct session *s);

/* Looks at what AUTH says; the answer may come later. */
void sp_intake_auth_check(struct session *s, const struct sp_smtp_server_event *ev);
/* Forgets an exchange under way. */
void sp_intake_login_forget(struct session *s);

/* ---- transaction ---- */

struct recipient {
    struct sp_bytes address;
    struct sp_bytes orcpt;
    unsigned notify;
    bool decided; /* for certain, at RCPT */
    struct sp_decision decision;
    const struct sp_decision *would; /* what the policy said where it is only observed; else NULL */
    bool is_copy;                    /* added by a rule */
    struct sp_bytes was;             /* whom the sender named, where a rule redirected; or empty */
    const char *way_rule;            /* the rule that added or redirected; lent by policy */
    uint16_t group;
};

struct transaction {
    struct sp_intake *in;
    struct session *session; /* NULL once it is gone */
    struct generation *gen;
    struct sp_arena *arena;
    const struct sp_policy *policy; /* that decides: the live one, or at the end the draft */
    const struct sp_policy *other;  /* that is only asked; NULL: nothing is staged */
    size_t otherwise;               /* recipients for whom it says something else */
    struct sp_id id;
    int64_t time_ms; /* wall clock, of MAIL */
    int64_t skew_ms; /* of the steady clock then */
    struct proof proof;
    struct memory *memory;           /* where its bytes are counted: the tenant's; NULL: nowhere */
    size_t of_tenant, of_all;        /* of_all: behind its session's end */
    const struct sp_tenant *counted; /* as a session of this tenant's; NULL: not known yet whose */
    struct candidates among;
    struct signature *signature; /* NULL: no DKIM proof is asked for */
    struct sp_bytes sender;
    struct sp_mail_params mail;
    /* on the heap: they are large, and an arena would keep all that they outgrew */
    struct recipient *recipients;
    uint32_t *marks; /* of the sender's recipients: equal where they may be the same */
    size_t recipient_count, recipient_cap;
    struct sp_facts facts;
    struct sp_buf replay;      /* JSON objects of recipients: their facts and decisions */
    struct sp_buf replay_last; /* the decision of the last of them */
    struct sp_id recall;       /* the message that this one takes back */
    char recall_mac[25];       /* as it was given; "": it is no such mail */
    struct sp_bytes probe;     /* token of a probe: nothing is relayed; empty: it is a message */
    const struct sp_decision *whole_reject; /* a rule refused the whole message at RCPT */
    struct sp_decision whole_reject_decision;

    /* the message */
    struct sp_buf head; /* until the header is split; then the header as received */
    bool split;
    bool whole;           /* its end has come: it goes its way, and is not given up any more */
    enum sp_rc refuse_rc; /* refused at the end of data */
    struct sp_header header;
    unsigned removed; /* REMOVED_ bits */
    struct sp_queue_body *body;
    struct sp_smtp_data_facts data;

    /* the scanner */
    struct sp_content scan_content;
    sp_handle scan_call;
    unsigned scan_tries;
    int64_t scan_deadline_ms; /* monotonic */
    struct sp_buf scan_reply_bytes;
    struct sp_jobs_scan_reply scan;
    bool scanned;        /* asked, whatever came */
    enum sp_rc scan_why; /* it failed; SP_OK: it did not */

    /* the record */
    struct sp_accept accept;
    struct sp_accept child;
    struct sp_queue_body *child_body;
    size_t refused_count;
    enum sp_rc record_rc; /* what kept the record from being built */
    bool in_flight;       /* counted in in->transactions */
};

enum { REMOVED_BCC = 1, REMOVED_EXCHANGE = 2, REMOVED_SECRET = 4 };

struct transaction *sp_intake_tx_new(struct session *s, const struct proof *proof,
                                     const struct candidates *among,
                                     const struct sp_smtp_server_event *ev);
void sp_intake_tx_free(struct transaction *tx);
/* The session is gone: drops it, unless the queue has it. */
void sp_intake_tx_orphan(struct transaction *tx);

/* Takes a recipient. returns: what to answer; text: lent by policy */
SP_MUST_CHECK enum sp_rc sp_intake_tx_rcpt(struct transaction *tx,
                                           const struct sp_smtp_server_event *ev,
                                           struct sp_bytes *text);
/* Takes bytes of the message. */
void sp_intake_tx_chunk(struct transaction *tx, struct sp_bytes chunk);
/* It is refused at its end, and keeps nothing until then. before: its end. after: sp_intake_session_hold */
void sp_intake_tx_give_up(struct transaction *tx, enum sp_rc rc);
/* returns: whether the session should stop reading until tx's body has room (it pumps then) */
bool sp_intake_tx_is_full(struct transaction *tx);
/* The message is whole: finishes, scans, decides, queues; the session's answer follows. */
void sp_intake_tx_end(struct transaction *tx, const struct sp_smtp_data_facts *data);

/* Answers the session (if it is there) and frees the transaction. */
void sp_intake_tx_done(struct transaction *tx, enum sp_rc rc, struct sp_bytes text);

/* The scanner: then sp_intake_decide. */
void sp_intake_scan(struct transaction *tx);
/* Fills the facts of the header and content stages, decides for all, and queues. */
void sp_intake_decide(struct transaction *tx);
/* returns: a new recipient at the end of the list, not yet set; those before may have moved */
struct recipient *sp_intake_tx_add(struct transaction *tx);
/* returns: whether the tenant's rules are only observed */
bool sp_intake_observes(const struct transaction *tx);
/* Puts TLS in the place of every decision, and keeps what was decided. */
void sp_intake_observe(struct transaction *tx);
/* Builds the record from the decisions and hands it to the queue. */
void sp_intake_record(struct transaction *tx);

/* Writes the loop mark of a message that this tenant sends: 32 hexadecimal digits and a NUL. */
#define MARK_LEN 32
void sp_intake_mark(const struct transaction *tx, char out[MARK_LEN + 1]);

#include "intake/evidence_priv.h" /* last: they need all of the above */
#include "intake/limits_priv.h"
#include "intake/stage_priv.h"

#endif
