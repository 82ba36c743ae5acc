/*
 * Who waits when the loop has more to do than time. What a session makes the relay do is counted for its tenant, or, while no
 * tenant is proved, for its source; what was counted fades within seconds. One that takes clearly more than the mean of those
 * who are active now is ahead: its sessions are served a few in a turn, in their order, and all others at once. So one
 * tenant's flood leaves another's latency alone, and who sends alone is held up by nobody. Nothing is lost by it: input that
 * waits stays in its buffer, and then in the client.
 *
 * A share is of now, not of the past: someone who is ahead has its turn in each turn of the loop, and is not ahead any more
 * when the others do as much. Turned down: priorities of the event library (its rounds end only when all events are done),
 * and a fixed share for each (idle ones would have theirs, too).
 */
#include "intake/limits_priv.h"

#define EPOCH_MS        250
#define EPOCHS_MAX      24   /* after so many nothing is left */
#define AHEAD           1.25 /* times the mean */
#define TURN_COST       50   /* that all who are ahead may have in a turn together */
#define AHEAD_LINES     25   /* of each of them */
#define TURN_LINES      100  /* commands of one session in a turn; then the others have theirs */
#define LONG_TURN       200  /* in a turn that has cost so much, */
#define LONG_TURN_LINES 10   /* the rest have so many: who comes new waits for the turn */
#define LEAST_TOTAL     2000 /* who does less than this in a second or so holds up nobody */

static int64_t epoch_of(const struct sp_intake *in)
{
    return sp_clock_mono_ms(in->parts.clock) / EPOCH_MS;
}

/* Half of it is gone after a second. */
static double faded(double work, int64_t epochs)
{
    if (epochs >= EPOCHS_MAX)
        return 0;
    for (; epochs > 0; epochs--)
        work *= 0.84;
    return work;
}

static void move_on(struct sp_intake *in)
{
    struct shares *all = &in->shares;
    int64_t now = epoch_of(in);

    if (now == all->epoch)
        return;
    all->total = faded(all->total, now - all->epoch);
    all->active_before = now - all->epoch < EPOCHS_MAX / 6 ? all->active : 0;
    all->active = 0;
    all->epoch = now;
}

static void begin_turn(struct sp_intake *in)
{
    uint64_t turn = sp_loop_turn(in->parts.loop);

    if (turn != in->shares.busy_turn)
        in->shares.busy = 0;
    in->shares.busy_turn = turn;
}

unsigned sp_intake_share_lines(struct sp_intake *in, const struct share *share)
{
    begin_turn(in);
    if (in->shares.busy >= LONG_TURN)
        return LONG_TURN_LINES;
    return share != NULL && share->is_ahead ? AHEAD_LINES : TURN_LINES;
}

void sp_intake_share_took(struct sp_intake *in, struct share *share, unsigned cost)
{
    struct shares *all = &in->shares;

    if (share == NULL)
        return;
    move_on(in);
    if (share->epoch != all->epoch) {
        share->work = faded(share->work, all->epoch - share->epoch);
        share->epoch = all->epoch;
        all->active++;
    }
    share->work += cost;
    all->total += cost;
    begin_turn(in);
    all->busy += cost;
    if (share->is_ahead)
        all->spent += cost;
}

/* Whose turn it is was the last turn's: all may be served again. */
static void on_turn(void *arg)
{
    ((struct sp_intake *)arg)->shares.spent = 0;
}

void sp_intake_shares_clear(struct sp_intake *in)
{
    sp_timer_free(in->shares.turn);
    in->shares.turn = NULL;
}

/* returns: whether nothing may be served in this turn any more */
static bool is_spent(struct sp_intake *in)
{
    struct shares *all = &in->shares;

    if (all->turn == NULL)
        all->turn = sp_timer_new(in->parts.loop, on_turn, in);
    if (!sp_timer_is_running(all->turn))
        sp_timer_start(all->turn, 0);
    return all->spent >= TURN_COST;
}

bool sp_intake_share_waits(struct sp_intake *in, struct share *share)
{
    struct shares *all = &in->shares;
    unsigned active;

    if (share == NULL)
        return false;
    move_on(in);
    active = all->active > all->active_before ? all->active : all->active_before;
    share->is_ahead = active > 1 && all->total >= LEAST_TOTAL &&
                      faded(share->work, all->epoch - share->epoch) * active > all->total * AHEAD;
    return share->is_ahead && is_spent(in);
}
