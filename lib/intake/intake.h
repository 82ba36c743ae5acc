/*
 * Mail coming in: sessions on listening sockets, who may send (tenants and their proofs, default nobody), policy at RCPT
 * and at the end of data, the scanner where a rule asks about content, and one record in the queue before the 250.
 * thread: loop
 */
#ifndef SP_INTAKE_INTAKE_H
#define SP_INTAKE_INTAKE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/text.h"
#include "config/config.h"
#include "config/tenant.h"
#include "crypt/secret.h"
#include "dns/resolver.h"
#include "io/loop.h"
#include "jobs/jobs.h"
#include "log/log.h"
#include "mail/status.h"
#include "policy/stage.h"
#include "queue/queue.h"
#include "tls/tls.h"

struct sp_intake;

struct sp_intake_parts {
    struct sp_loop *loop;
    struct sp_log *log;
    struct sp_queue *queue;
    struct sp_jobs *jobs; /* scanner, ledger */
    const struct sp_clock *clock;
    const struct sp_random *random;
    const char *kek_id;          /* of the key generation, for the audit */
    struct sp_secret mark_key;   /* of the loop mark: the same in all relays of a deployment */
    struct sp_secret return_key; /* of our return paths, likewise */
    /* What is remembered of a recipient's domain: a floor (enum sp_floor) or SP_REMEMBERED_NEVER_SEEN. May be NULL. */
    int (*remembered)(void *arg, struct sp_bytes domain);
    /* Whether the tenant has never written to that address: 1, 0, or -1 if nobody can tell. May be NULL. */
    int (*is_new)(void *arg, struct sp_bytes tenant, struct sp_bytes address);
    /* What a recipient has chosen in the portal for this tenant's mail: 1 and *out, 0 if nothing, or -1 if nobody can tell yet:
     * then it is not taken. May be NULL. */
    int (*wish)(void *arg, struct sp_bytes tenant, struct sp_bytes address,
                struct sp_fact_wish *out);
    /* A message is durable that a rule holds for a group of the policy (`by`). May be NULL. */
    void (*held)(void *arg, const struct sp_id *id, struct sp_bytes group);
    /*
     * A report says that an address takes no mail: returns until when it is left alone (wall clock), 0 if it is not. Once that is
     * on record, leave_alone says it again, to be done. May be NULL, both.
     */
    int64_t (*left_alone_until)(void *arg, int code, struct sp_status status);
    void (*leave_alone)(void *arg, struct sp_bytes address, int64_t until_ms);
    void *arg;
};

/* owner: the caller; parts are lent for its life. returns: never NULL; takes nothing before sp_intake_configure */
struct sp_intake *sp_intake_new(const struct sp_intake_parts *parts);

/* Ends all sessions at once. Messages handed to the queue go on by themselves. NULL is allowed. */
void sp_intake_free(struct sp_intake *in);
SP_AUTO_DEFINE(sp_intake)

struct sp_intake_tenant {
    struct sp_tenant *tenant; /* taken */
    struct sp_bytes
        file; /* the text it was read from, for its digest in proofs; borrowed for the call */
};

struct sp_intake_settings {
    const struct sp_config *config;      /* borrowed for the call */
    unsigned relays;                     /* limits are divided by their number */
    struct sp_policy *policy;            /* a reference is taken */
    const struct sp_policy_stage *stage; /* the draft beside it, or NULL; a reference is taken */
    struct sp_tls_context *const
        *tls; /* one of each listener, references are taken; NULL: TLS is not offered */
    struct sp_dns_resolver
        *resolver; /* taken; for keys of DKIM proofs; NULL if no tenant has one */
    struct sp_token_keys *const *issuer_keys; /* of config's oauth.issuers, in their order; taken */
    struct sp_intake_tenant *tenants;
    size_t tenant_count;
};

/* Sets a new generation of configuration: for new sessions and new transactions; those under way keep theirs. */
void sp_intake_configure(struct sp_intake *in, const struct sp_intake_settings *settings);

/* Takes connections on a listening socket. fd: lent. listen: which entry of the settings' `listen` it is */
void sp_intake_listen(struct sp_intake *in, int fd, size_t listen);

/* Accepts no connection until the end: they wait in the kernel's queue for who listens on the same sockets next. */
void sp_intake_leave_connections(struct sp_intake *in);

/* Takes no mail for a while: who comes gets 421, and sessions end as soon as they may. Mail of our own goes on. */
void sp_intake_pause(struct sp_intake *in, bool paused);

/* Takes no more: idle sessions get 421, transactions may end; fn comes once all are gone, at the latest after patience_ms. */
void sp_intake_drain(struct sp_intake *in, int64_t patience_ms, void (*fn)(void *arg), void *arg);

struct sp_intake_stats {
    uint64_t sessions;           /* since the start */
    uint64_t accepted;           /* messages */
    uint64_t bounced;            /* taken at our return paths */
    uint64_t refused;            /* messages and recipients, by policy or proof */
    const uint64_t *refused_why; /* the same by enum sp_rc, SP_RC_COUNT of them; lent */
    uint64_t scans, scans_failed;
    uint64_t turned_away;          /* connections answered with 421 at once */
    uint64_t timed_out;            /* sessions that were too slow, or silent */
    uint64_t handshakes_failed;    /* of TLS; those that took too long, too */
    uint64_t handshakes_timed_out; /* took too long */
    unsigned active;               /* sessions now */
    unsigned slowed;               /* of those, that are not read from: bytes a second */
    size_t memory;                 /* bytes that sessions and coming messages hold */
    uint64_t memory_refused;       /* for lack of it: connections, commands, messages */
    uint64_t slowings;             /* how often one was, since the start */
};
/* returns: counts since the start */
struct sp_intake_stats sp_intake_stats(const struct sp_intake *in);

/* ---- another recipient ---- */

struct sp_intake_redirect {
    const struct sp_accept *accept; /* of a message in the queue */
    size_t n;                       /* the recipient of it */
    struct sp_bytes to;             /* who takes its place */
};

/*
 * Decides for another recipient by the policy of now, from the facts of then; never below the floor that was decided for the
 * one whose place it takes.
 *
 * out:     set on success; texts are the policy's own or copies in arena, so use it in this turn
 * returns: SP_OK; SP_E_USAGE, SP_E_NOT_FOUND, SP_E_INTAKE_POLICY, SP_E_DELIVERY_FLOOR, SP_E_LIMIT
 */
SP_MUST_CHECK enum sp_rc sp_intake_redecide(struct sp_intake *in,
                                            const struct sp_intake_redirect *r,
                                            struct sp_arena *arena, struct sp_accept_decision *out,
                                            struct sp_err *err);
/* returns: hash of the policy of now, lent until the next sp_intake_configure */
struct sp_bytes sp_intake_policy_hash(const struct sp_intake *in);

/*
 * Writes what was last seen of a tenant as members "accepted", "refused" and "probed" of the object that is open: time,
 * which signals were required and which failed. What never was, is left out.
 */
void sp_intake_put_seen(const struct sp_intake *in, struct sp_bytes tenant, struct sp_jw *w);

/* ---- mail of our own ---- */

/* A message of ours on its way into the queue: notices, codes, reports, DSNs. */
struct sp_intake_own {
    uint8_t kind;           /* enum sp_accept_kind */
    struct sp_id parent;    /* its cause; zero if none */
    struct sp_bytes tenant; /* name; empty: the gateway's own */
    struct sp_bytes from;   /* envelope sender; empty: the null sender */
    struct sp_bytes to;
    enum sp_floor floor;
    int64_t expire_at_ms;       /* 0: the policy's expiry from now */
    uint32_t needs;             /* SP_ASKED_* of journal/records.h */
    struct sp_bytes message_id; /* of its header, with <>; may be empty */
    struct sp_bytes content;    /* borrowed for the call */
    bool again;                 /* it may have been queued before: the audit says so */
};

/* Queues it; done(arg, rc, id) follows exactly once, SP_OK when it is durable. */
void sp_intake_submit(struct sp_intake *in, const struct sp_intake_own *own,
                      void (*done)(void *arg, enum sp_rc rc, const struct sp_id *id), void *arg);

#endif
