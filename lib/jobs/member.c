/*
 * Being a member of a pool: one job in hand at a time, and an asker sends only in its turn. The turn stays with an asker
 * until another asks; they get it in the order in which they asked. It changes hands only while nothing is in hand: the
 * old holder is told, and what it has sent in its old turn, not knowing yet, is not looked at; it knows by that word. So
 * no job is started twice, and none lies unread while another one hangs.
 *
 * Who has asked and is given the turn either uses it, yields it, or loses it after GRANT_MS to the next: a relay that is
 * slow to answer must not keep a free member from the others.
 */
#include "jobs/jobs_priv.h"

#define GRANT_MS 100
#define NEWS_MS  500 /* who waits longer is told that we live */

static void tell(struct peer *peer, uint16_t flags)
{
    const struct sp_ipc_frame frame = {.flags = flags, .id = peer->jobs->turn};
    enum sp_rc rc = sp_ipc_send(peer->ipc, &frame);

    /* it would wait for this for ever; over a new channel it is greeted anew */
    if (rc != SP_OK && rc != SP_E_CLOSED)
        sp_jobs_peer_drop(peer, SP_E_IPC_FRAME);
}

static struct peer *first_asker(const struct sp_jobs *jobs)
{
    struct peer *first = NULL;

    SP_LIST_EACH(pos, (struct sp_list *)&jobs->peers)
    {
        struct peer *p = SP_CONTAINER(pos, struct peer, at);

        if (p->ipc != NULL && p->wants > 0 && (first == NULL || p->wants < first->wants))
            first = p;
    }
    return first;
}

/* Who asks hears nothing while others have their turns; after a while it would take us for dead. */
static void tell_waiting(struct sp_jobs *jobs)
{
    int64_t now = sp_clock_mono_ms(jobs->clock);

    SP_LIST_EACH(pos, &jobs->peers)
    {
        struct peer *p = SP_CONTAINER(pos, struct peer, at);

        if (p->ipc == NULL || p->wants == 0 || now - p->wants_since_ms < NEWS_MS)
            continue;
        p->wants_since_ms = now;
        tell(p, FLAG_REVOKE);
    }
}

/* Gives the turn to who asked first, unless something is in hand or about to come. */
static void pass_on(struct sp_jobs *jobs)
{
    struct peer *next = first_asker(jobs), *old = jobs->holder;

    if (next == NULL || jobs->in_hand > 0 || jobs->fresh || jobs->freed)
        return;
    next->wants = 0;
    jobs->holder = next;
    jobs->turn++;
    jobs->fresh = true;
    sp_timer_start(jobs->grant_timer, GRANT_MS);
    if (old != NULL && old != next)
        tell(old, FLAG_REVOKE);
    if (jobs->holder == next)
        tell(next, FLAG_GRANT);
    tell_waiting(jobs);
}

void sp_jobs_member_greet(struct peer *peer)
{
    struct sp_jobs *jobs = peer->jobs;

    if (!jobs->singly)
        return;
    if (jobs->holder != NULL || jobs->in_hand > 0) {
        tell(peer, FLAG_REVOKE);
        return;
    }
    jobs->holder = peer;
    jobs->turn++;
    tell(peer, FLAG_GRANT);
}

void sp_jobs_member_lost(const struct peer *peer)
{
    struct sp_jobs *jobs = peer->jobs;

    if (jobs->holder == peer) {
        jobs->holder = NULL;
        jobs->fresh = false;
        pass_on(jobs);
    }
}

void sp_jobs_member_on_word(struct peer *peer, const struct sp_ipc_frame *frame)
{
    struct sp_jobs *jobs = peer->jobs;

    if (!jobs->singly) {
        sp_jobs_peer_drop(peer, SP_E_IPC_FRAME);
        return;
    }
    if (frame->flags == FLAG_ASK) {
        peer->wants = ++jobs->asks;
        peer->wants_since_ms = sp_clock_mono_ms(jobs->clock);
    } else if (jobs->holder == peer) {
        jobs->fresh = false;
    }
    pass_on(jobs);
}

bool sp_jobs_member_takes(const struct peer *peer, uint64_t turn)
{
    struct sp_jobs *jobs = peer->jobs;

    if (jobs->holder != peer || jobs->turn != turn || jobs->in_hand > 0)
        return false;
    jobs->fresh = false;
    jobs->in_hand++;
    return true;
}

void sp_jobs_member_done(struct sp_jobs *jobs)
{
    if (!jobs->singly)
        return;
    jobs->in_hand--;
    pass_on(jobs);
}

void sp_jobs_member_on_timer(void *arg)
{
    struct sp_jobs *jobs = arg;

    jobs->fresh = false;
    pass_on(jobs);
}
