/*
 * Scanners and sealers are pools whose jobs may kill or hang them, and each relay may ask each of them. A member takes one
 * job at a time, and only from the asker whose turn it is (member.c). So a job is never in the line of a busy member: it
 * waits here, and goes to whoever is free first. The turn stays with us from job to job while nobody else asks for it, so
 * that a job costs no word beforehand; we ask one member at once if no turn is ours, and all when a job has waited ASK_MS. A turn taken away means that what we sent meanwhile was not looked at: it waits again.
 *
 * A job that dies with a member before it was started has done nothing and is given to another; only one that was started
 * fails. A member that has not answered when the time of a job has passed twice over never will: it is dropped as faulty,
 * so that the supervisor makes a new one.
 *
 * Tried and dropped: sending to a member that is not busy with a job of ours and taking a scan back when it had not
 * started after 100 ms. A scan could wait behind another relay's hanging one until that was ended, and a seal, which must
 * not be done twice, always did.
 */
#include "jobs/jobs_priv.h"

#define ASK_MS       10   /* in which a member that we have is likely to become free */
#define LOOK_MS      100  /* between two looks for members that never answer */
#define GRACE_MIN_MS 1000 /* what a late one is given at least before it counts as faulty */

bool sp_jobs_is_pool(enum sp_role_kind role)
{
    return role == SP_ROLE_SCANNER || role == SP_ROLE_SEALER;
}

/* Whether all members of a pool live and run, and none is stuck. */
static bool is_whole(const struct sp_jobs *jobs, enum sp_role_kind role)
{
    size_t good = 0;

    SP_LIST_EACH(pos, (struct sp_list *)&jobs->peers)
    {
        const struct peer *p = SP_CONTAINER(pos, struct peer, at);

        good += p->role == role && p->ipc != NULL && p->heard && !p->overdue;
    }
    return good >= jobs->most[role];
}

static bool is_ripe(const struct call *call, enum sp_role_kind role)
{
    return call->role == role && (!call->suspect || is_whole(call->jobs, role));
}

/* Gives a member one of the jobs that wait, if it is free and its turn is ours. */
static void feed(struct peer *peer)
{
    SP_LIST_EACH(pos, &peer->jobs->waiting)
    {
        struct call *call = SP_CONTAINER(pos, struct call, at);

        if (peer->ipc == NULL || !peer->granted || peer->busy > 0)
            return;
        if (is_ripe(call, peer->role) && (call->index == SP_JOBS_ANY || call->index == peer->index))
            sp_jobs_dispatch_kept(call, peer);
    }
}

/* returns: how long the first of a role's jobs has waited, or -1 if none could go to a member now */
static int64_t waited_ms(const struct sp_jobs *jobs, enum sp_role_kind role)
{
    SP_LIST_EACH(pos, (struct sp_list *)&jobs->waiting)
    {
        const struct call *call = SP_CONTAINER(pos, struct call, at);

        if (is_ripe(call, role))
            return sp_clock_mono_ms(jobs->clock) - call->waits_since_ms;
    }
    return -1;
}

static void arm(struct sp_jobs *jobs, int64_t after_ms)
{
    if (!sp_timer_is_running(jobs->pool_timer))
        sp_timer_start(jobs->pool_timer, after_ms);
}

static void ask_one(struct peer *peer)
{
    const struct sp_ipc_frame frame = {.flags = FLAG_ASK};

    if (sp_ipc_send(peer->ipc, &frame) != SP_OK) {
        arm(peer->jobs, LOOK_MS);
        return;
    }
    peer->asked = true;
    peer->asked_at_ms = sp_clock_mono_ms(peer->jobs->clock);
}

static bool can_ask(const struct peer *peer, enum sp_role_kind role)
{
    return peer->role == role && peer->ipc != NULL && peer->heard && !peer->granted && !peer->asked;
}

/* Asks one member at first: if all relays asked all, each would take the others' turns from them all the time. */
static void ask(struct sp_jobs *jobs, enum sp_role_kind role)
{
    int64_t now = sp_clock_mono_ms(jobs->clock), waited = waited_ms(jobs, role);
    bool early = waited < ASK_MS;

    if (waited < 0)
        return;
    SP_LIST_EACH(pos, &jobs->peers)
    {
        const struct peer *p = SP_CONTAINER(pos, struct peer, at);

        if (early && p->role == role &&
            (p->granted || (p->asked && now - p->asked_at_ms < ASK_MS))) {
            arm(jobs, ASK_MS - waited);
            return;
        }
    }
    SP_LIST_EACH(pos, &jobs->peers)
    {
        struct peer *p = SP_CONTAINER(pos, struct peer, at);

        if (!can_ask(p, role))
            continue;
        ask_one(p);
        if (early) {
            arm(jobs, ASK_MS - waited);
            return;
        }
    }
}

void sp_jobs_pool_share(struct sp_jobs *jobs, enum sp_role_kind role)
{
    SP_LIST_EACH(pos, &jobs->peers)
    {
        struct peer *p = SP_CONTAINER(pos, struct peer, at);

        if (p->role == role)
            feed(p);
    }
    ask(jobs, role);
}

void sp_jobs_pool_take_back(struct peer *peer)
{
    struct sp_list *waiting = &peer->jobs->waiting;

    SP_LIST_EACH(pos, &peer->calls)
    {
        struct call *call = SP_CONTAINER(pos, struct call, at);

        if (call->started)
            continue;
        call->peer = NULL;
        sp_list_remove(&call->at);
        sp_list_append(waiting->next, &call->at); /* before all others: it has waited longest */
    }
}

static void on_grant(struct peer *peer, uint64_t turn)
{
    const struct sp_ipc_frame yield = {.flags = FLAG_YIELD};

    peer->turn = turn;
    peer->granted = true;
    feed(peer);
    if (peer->ipc != NULL && peer->busy == 0) /* what it was for has gone to another */
        (void)!sp_ipc_send(peer->ipc, &yield);
}

void sp_jobs_pool_on_word(struct peer *peer, const struct sp_ipc_frame *frame)
{
    if (!sp_jobs_is_pool(peer->role)) {
        sp_jobs_peer_drop(peer, SP_E_IPC_FRAME);
        return;
    }
    /* either word says that it has nothing of ours in hand */
    sp_jobs_pool_take_back(peer);
    if (!sp_list_is_empty(&peer->calls)) {
        sp_jobs_peer_drop(peer, SP_E_IPC_FRAME);
        return;
    }
    peer->heard = true;
    peer->granted = peer->overdue = false;
    peer->busy = 0;
    peer->asked_at_ms = sp_clock_mono_ms(peer->jobs->clock); /* it lives: wait on */
    if (frame->flags == FLAG_GRANT) {
        peer->asked = false;
        on_grant(peer, frame->id);
    }
    sp_jobs_pool_share(peer->jobs, peer->role);
}

static void set_overdue(struct peer *peer, int64_t timeout_ms)
{
    struct sp_jobs *jobs = peer->jobs;

    if (!peer->overdue)
        peer->lost_at_ms =
            sp_clock_mono_ms(jobs->clock) + (timeout_ms > GRACE_MIN_MS ? timeout_ms : GRACE_MIN_MS);
    peer->overdue = true;
    arm(jobs, LOOK_MS);
}

void sp_jobs_pool_late(const struct call *call)
{
    struct sp_jobs *jobs = call->jobs;

    if (call->peer != NULL) {
        set_overdue(call->peer, call->timeout_ms);
        return;
    }
    SP_LIST_EACH(pos, &jobs->peers)
    {
        struct peer *p = SP_CONTAINER(pos, struct peer, at);

        if (p->role == call->role && p->asked &&
            sp_clock_mono_ms(jobs->clock) - p->asked_at_ms >= call->timeout_ms)
            set_overdue(p, call->timeout_ms);
    }
}

/* returns: the first member that is so late that it counts as faulty, or NULL; late: whether any is overdue */
static struct peer *find_lost(const struct sp_jobs *jobs, bool *late)
{
    *late = false;
    SP_LIST_EACH(pos, (struct sp_list *)&jobs->peers)
    {
        struct peer *p = SP_CONTAINER(pos, struct peer, at);

        if (!p->overdue)
            continue;
        *late = true;
        if (sp_clock_mono_ms(jobs->clock) >= p->lost_at_ms)
            return p;
    }
    return NULL;
}

void sp_jobs_pool_on_timer(void *arg)
{
    struct sp_jobs *jobs = arg;
    struct peer *lost;
    bool late;

    while ((lost = find_lost(jobs, &late)) != NULL)
        sp_jobs_peer_drop(lost, SP_E_IPC_FRAME);
    for (enum sp_role_kind role = 0; role < SP_ROLE_COUNT; role++) {
        if (sp_jobs_is_pool(role))
            sp_jobs_pool_share(jobs, role);
    }
    if (late)
        arm(jobs, LOOK_MS);
}
