/*
 * Typed requests between roles. A caller names a role, a type, a payload, descriptors and a deadline, and is called back
 * exactly once: with the reply, or with the reason why there is none. A server registers a handler a type and replies
 * when it is done, now or later. Codecs for the payloads: jobs/scan.h, seal.h, deposit.h, keys.h, command.h, act.h,
 * submit.h, fetch.h, posture.h, durable.h, report.h, suppress.h, bounce.h, wishes.h.
 *
 * thread: loop. Callbacks never come from within sp_jobs_call, nor after sp_jobs_cancel or sp_jobs_free.
 */
#ifndef SP_JOBS_JOBS_H
#define SP_JOBS_JOBS_H

#include "base/err.h"
#include "base/map.h"
#include "io/loop.h"
#include "ipc/ipc.h"
#include "ipc/roles.h"
#include "log/log.h"

enum sp_jobs_type {
    SP_JOBS_SCAN = 1, /* relay -> scanner, scan.h */
    SP_JOBS_SEAL,     /* relay -> sealer, seal.h */
    SP_JOBS_DEPOSIT,  /* relay -> portal, deposit.h */
    SP_JOBS_KEYS,     /* relay -> keeper, keys.h */
    SP_JOBS_COMMAND,  /* admin -> any, command.h */
    SP_JOBS_ACT,      /* any -> ledger, act.h */
    SP_JOBS_SUBMIT,   /* portal, ledger -> relay, submit.h */
    SP_JOBS_FETCH,    /* relay -> fetcher, fetch.h */
    SP_JOBS_POSTURE,  /* relay <-> ledger, posture.h */
    SP_JOBS_DURABLE,  /* relay -> ledger, durable.h */
    SP_JOBS_REPORT,   /* ledger -> relay, report.h */
    SP_JOBS_SUPPRESS, /* relay <-> ledger, suppress.h */
    SP_JOBS_CONTACTS, /* relay <-> ledger, contacts.h */
    SP_JOBS_BOUNCE,   /* relay -> scanner, bounce.h */
    SP_JOBS_ORIGIN,   /* relay -> ledger, bounce.h */
    SP_JOBS_RETURNED, /* relay -> portal, deposit.h */
    SP_JOBS_WISHES,   /* relay <-> ledger, portal -> ledger: wishes.h */
    SP_JOBS_TYPE_COUNT
};

#define SP_JOBS_ANY         UINT32_MAX /* index of a peer: the least busy one */
#define SP_JOBS_OUT_MAX     4096       /* calls without an answer at a time; then SP_E_IPC_FULL */
#define SP_JOBS_PAYLOAD_MAX (SP_IPC_PAYLOAD_MAX - 64)

struct sp_jobs;
struct sp_jobs_job;

/* owner: the caller. log: kept, not owned; may be NULL */
struct sp_jobs *sp_jobs_new(struct sp_loop *loop, struct sp_log *log);

/* Frees it with all channels. Calls without an answer are dropped silently; jobs being served are gone. NULL is allowed. */
void sp_jobs_free(struct sp_jobs *jobs);
SP_AUTO_DEFINE(sp_jobs)

/*
 * Adds a channel to a peer (role.h's on_peer). One to the same role and index replaces the old, whose calls fail with
 * SP_E_ROLE_GONE.
 *
 * owner: fd is jobs' from now on
 */
void sp_jobs_add_peer(struct sp_jobs *jobs, enum sp_role_kind role, unsigned index, int fd);

/* returns: how many live peers of that role there are */
size_t sp_jobs_peers(const struct sp_jobs *jobs, enum sp_role_kind role);

/*
 * Walks the live peers of a role.
 *
 * at:      0 to begin, else what the last call left
 * returns: false at the end
 */
bool sp_jobs_peer_next(const struct sp_jobs *jobs, enum sp_role_kind role, size_t *at,
                       unsigned *index);

/* How the peers of a role stand. */
struct sp_jobs_view {
    size_t up;      /* that are there */
    size_t busy;    /* of them, with a request unanswered */
    size_t asked;   /* requests unanswered */
    size_t waiting; /* requests that wait for a peer */
    uint64_t came;  /* peers since the start, each restart one more */
};
/* returns: how they stand now. cost: O(peers and requests that wait) */
struct sp_jobs_view sp_jobs_look(const struct sp_jobs *jobs, enum sp_role_kind role);

/* Asks to be told of each peer that comes (up) or goes. One function; NULL ends it. */
void sp_jobs_watch_peers(struct sp_jobs *jobs,
                         void (*fn)(void *arg, enum sp_role_kind role, unsigned index, bool up),
                         void *arg);

/*
 * Asks to be told of each peer whose channel is closed on this side, so that there must be a new one: why is
 * SP_E_IPC_FRAME for a peer that talks nonsense or, as a member of a pool, never answers; else the channel itself has
 * failed, and the peer is not to blame. One function; NULL ends it.
 */
void sp_jobs_on_faulty(struct sp_jobs *jobs,
                       void (*fn)(void *arg, enum sp_role_kind role, unsigned index,
                                  enum sp_rc why),
                       void *arg);

/* ---- calling ---- */
struct sp_jobs_reply {
    struct sp_bytes payload; /* lent for the callback */
    size_t fd_count;
    struct sp_ipc *from; /* jobs' own: for sp_jobs_reply_fd */
};

/* rc: SP_OK and reply; or what the server replied, SP_E_ROLE_GONE, SP_E_JOB_DEADLINE, SP_E_IPC_FULL, SP_E_LIMIT, with an
 * empty reply (a server's error may have a payload) */
typedef void (*sp_jobs_done_fn)(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply);

struct sp_jobs_request {
    enum sp_role_kind role;
    uint32_t index; /* SP_JOBS_ANY, or a given peer */
    enum sp_jobs_type type;
    struct sp_bytes payload; /* borrowed for the call */
    const int *fds;          /* borrowed for the call (duplicated) */
    size_t fd_count;
    int64_t timeout_ms; /* > 0; the server is told */
    bool
        wait_for_peer; /* no live peer: wait for one until the deadline, not SP_E_ROLE_GONE at once */
    bool suspect; /* of a pool: it has ended a member before, or kept it. It waits until all of them
                   * run and answer, so that others still find one if it does so again */
};

/*
 * Sends a job. done(arg, ...) follows exactly once, on a later turn.
 *
 * returns: a handle for sp_jobs_cancel, never 0
 */
sp_handle sp_jobs_call(struct sp_jobs *jobs, const struct sp_jobs_request *request,
                       sp_jobs_done_fn done, void *arg);

/* Makes sure that done never comes; the server is told that nobody waits. A stale handle is ignored. */
void sp_jobs_cancel(struct sp_jobs *jobs, sp_handle call);

/* Takes a descriptor out of a reply. owner: the caller. returns: it, or -1 if there is none */
int sp_jobs_reply_fd(const struct sp_jobs_reply *reply, size_t index);

/* returns: calls without an answer yet */
size_t sp_jobs_out(const struct sp_jobs *jobs);

/* ---- serving ---- */

/*
 * Sets who serves a type. A job of a type that nobody serves is answered with SP_E_UNSUPPORTED.
 *
 * handler: gets a job that it must end by exactly one sp_jobs_reply, now or later
 */
void sp_jobs_serve(struct sp_jobs *jobs, enum sp_jobs_type type,
                   void (*handler)(void *arg, struct sp_jobs_job *job), void *arg);

/*
 * The same for a member of a pool (scanner, sealer): it has one job in hand at a time, whoever asks, and starts no other
 * before that is replied to. Before the first sp_jobs_add_peer.
 */
void sp_jobs_serve_singly(struct sp_jobs *jobs, enum sp_jobs_type type,
                          void (*handler)(void *arg, struct sp_jobs_job *job), void *arg);

/* returns: the request's payload, good until the job is replied to */
struct sp_bytes sp_jobs_job_payload(const struct sp_jobs_job *job);

/* owner: the caller; those not taken are closed with the job. returns: the descriptor, or -1 if there is none */
int sp_jobs_job_take_fd(struct sp_jobs_job *job, size_t index);

/* returns: who asks */
enum sp_role_kind sp_jobs_job_role(const struct sp_jobs_job *job);
unsigned sp_jobs_job_index(const struct sp_jobs_job *job);

/* returns: when the asker gives up, by the loop's monotonic clock in ms */
int64_t sp_jobs_job_deadline_ms(const struct sp_jobs_job *job);

/* returns: whether the asker still waits: false after its cancel, its deadline or its death */
bool sp_jobs_job_is_wanted(const struct sp_jobs_job *job);

/*
 * Says that work on a job begins. Scanner and sealer do, before they look at what came with it: if one dies, its asker gives
 * what was not started to another, and only this fails. cost: one frame
 */
void sp_jobs_job_started(struct sp_jobs_job *job);

/*
 * Ends a job.
 *
 * rc:      SP_OK or an error for the caller's done
 * payload: borrowed for the call; fds too
 * owner:   the job is gone afterwards
 */
void sp_jobs_job_reply(struct sp_jobs_job *job, enum sp_rc rc, struct sp_bytes payload,
                       const int *fds, size_t fd_count);

#endif
