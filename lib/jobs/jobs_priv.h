/*
 * jobs' own: what the calling and the serving side share. thread: loop
 */
#ifndef SP_JOBS_JOBS_PRIV_H
#define SP_JOBS_JOBS_PRIV_H

#include "base/buf.h"
#include "base/mem.h"
#include "jobs/jobs.h"

enum { FLAG_REQUEST = 0, FLAG_REPLY = 1, FLAG_CANCEL = 2, FLAG_STARTED = 3 };

struct sp_jobs {
    struct sp_loop *loop;
    struct sp_log *log;
    const struct sp_clock *clock;
    struct sp_timer *timer;
    struct sp_slots *calls; /* struct call */
    struct sp_heap deadlines;
    struct sp_list peers;
    struct sp_list waiting; /* calls that wait for a peer */
    struct sp_list failed;  /* calls whose failure is told next turn */
    struct sp_list orphans; /* jobs in service whose asker has gone */
    struct {
        void (*fn)(void *arg, struct sp_jobs_job *job);
        void *arg;
    } handlers[SP_JOBS_TYPE_COUNT];
    void (*on_peer)(void *arg, enum sp_role_kind role, unsigned index, bool up);
    void *on_peer_arg;
    void (*on_faulty)(void *arg, enum sp_role_kind role, unsigned index);
    void *on_faulty_arg;
    struct sp_timer *
        pull; /* looks for scans that wait in a scanner's line, and for members that never answer */
    size_t most[SP_ROLE_COUNT]; /* peers that there have been at a time */
    bool freed;
};

struct peer {
    struct sp_list at;
    struct sp_jobs *jobs;
    enum sp_role_kind role;
    unsigned index;
    struct sp_ipc *ipc;    /* NULL once gone */
    struct sp_list calls;  /* ours, waiting for their reply */
    struct sp_list served; /* theirs, in our hands */
    size_t busy;           /* requests that it has not answered */
    bool overdue;          /* one of them past its deadline */
    int64_t lost_at_ms;    /* overdue, of a pool: when it counts as faulty */
};

struct call {
    struct sp_list at; /* in a peer's calls, in waiting, or in failed */
    struct sp_heap_node deadline;
    struct sp_jobs *jobs;
    struct peer *peer;
    sp_handle handle;
    enum sp_jobs_type type;
    enum sp_role_kind role;
    uint32_t index;
    enum sp_rc failure;
    sp_jobs_done_fn done;
    void *arg;
    bool started; /* a pool's member has said so */
    bool suspect;
    int64_t timeout_ms;
    int64_t sent_ms;    /* to the peer that has it */
    struct sp_buf kept; /* payload and descriptors while it may still go to another peer */
    int fds[SP_IPC_FDS_MAX];
    size_t fd_count;
};

/* Ends a peer with all that hangs on it. */
void sp_jobs_peer_drop(struct peer *peer, enum sp_rc why);

/* The serving side's frames. */
void sp_jobs_on_request(struct peer *peer, const struct sp_ipc_frame *frame);
void sp_jobs_on_cancel(struct peer *peer, const struct sp_ipc_frame *frame);

/* The asker has gone: its jobs stay in our hands, unwanted, until they are replied to. */
void sp_jobs_orphan(struct peer *peer);
/* Frees the jobs in service. */
void sp_jobs_drop_served(struct peer *peer);
void sp_jobs_drop_orphans(struct sp_jobs *jobs);

#endif
