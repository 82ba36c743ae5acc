/*
 * jobs' own: what the calling and the serving side share. thread: loop
 */
#ifndef SP_JOBS_JOBS_PRIV_H
#define SP_JOBS_JOBS_PRIV_H

#include "base/buf.h"
#include "base/mem.h"
#include "jobs/jobs.h"

enum {
    FLAG_REQUEST,
    FLAG_REPLY,
    FLAG_CANCEL,
    FLAG_STARTED,
    /* of pools: member.c */
    FLAG_ASK,    /* asker to member: I have something */
    FLAG_YIELD,  /* asker to member: not any more */
    FLAG_GRANT,  /* member to asker: the turn is yours; its number is the frame's id */
    FLAG_REVOKE, /* member to asker: no more */
};

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
    void (*on_faulty)(void *arg, enum sp_role_kind role, unsigned index, enum sp_rc why);
    void *on_faulty_arg;
    size_t most[SP_ROLE_COUNT];   /* peers that there have been at a time */
    uint64_t came[SP_ROLE_COUNT]; /* peers that there have been at all */
    struct sp_timer *pool_timer;  /* asks for what waits, and looks for members that never answer */
    /* as a member of a pool */
    bool singly;
    struct peer *holder; /* the asker whose turn it is; it may be idle */
    uint64_t turn;
    uint64_t asks;
    bool fresh;     /* the holder has asked for its turn and not used it yet */
    size_t in_hand; /* jobs, of askers that have gone too */
    struct sp_timer *grant_timer;
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
    /* it is a pool's member */
    bool heard;    /* it has spoken: it runs */
    bool granted;  /* we have its turn */
    uint64_t turn; /* number of that */
    bool asked;    /* and it has not answered */
    int64_t asked_at_ms;
    bool overdue;       /* an answer should have come */
    int64_t lost_at_ms; /* overdue: when it counts as faulty */
    /* we are */
    uint64_t wants; /* when it asked, by order; 0: it has not */
    int64_t wants_since_ms;
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
    int64_t waits_since_ms;
    struct sp_buf kept; /* payload and descriptors while it may still go to another peer */
    int fds[SP_IPC_FDS_MAX];
    size_t fd_count;
};

/* Ends a peer with all that hangs on it. */
void sp_jobs_peer_drop(struct peer *peer, enum sp_rc why);

/* Has a call's failure told on the next turn. */
void sp_jobs_fail_later(struct call *call, enum sp_rc why);
/* Sends a call that waits. */
void sp_jobs_dispatch_kept(struct call *call, struct peer *peer);

/* ---- pool.c: asking the members of a pool ---- */
bool sp_jobs_is_pool(enum sp_role_kind role);
/* Hands out what waits for a role to members whose turn is ours, and asks the others. */
void sp_jobs_pool_share(struct sp_jobs *jobs, enum sp_role_kind role);
/* What a member has not started waits for another. */
void sp_jobs_pool_take_back(struct peer *peer);
void sp_jobs_pool_on_word(struct peer *peer, const struct sp_ipc_frame *frame);
/* A call's time has passed without an answer. */
void sp_jobs_pool_late(const struct call *call);
void sp_jobs_pool_on_timer(void *arg);

/* ---- member.c: being one; nothing happens where jobs does not serve singly ---- */
void sp_jobs_member_greet(struct peer *peer);
void sp_jobs_member_lost(const struct peer *peer);
void sp_jobs_member_on_word(struct peer *peer, const struct sp_ipc_frame *frame);
/* returns: whether a request of this turn is taken; it is in hand then */
bool sp_jobs_member_takes(const struct peer *peer, uint64_t turn);
/* A job is ended. */
void sp_jobs_member_done(struct sp_jobs *jobs);
void sp_jobs_member_on_timer(void *arg);

/* The serving side's frames. */
void sp_jobs_on_request(struct peer *peer, const struct sp_ipc_frame *frame);
void sp_jobs_on_cancel(struct peer *peer, const struct sp_ipc_frame *frame);

/* The asker has gone: its jobs stay in our hands, unwanted, until they are replied to. */
void sp_jobs_orphan(struct peer *peer);
/* Frees the jobs in service. */
void sp_jobs_drop_served(struct peer *peer);
void sp_jobs_drop_orphans(struct sp_jobs *jobs);

#endif
