/*
 * A flood that is refused must cost next to nothing. A refusal is quickly made and quickly answered, so who does not care
 * asks again at once: fifty sessions of a tenant that is over its limit made the loop do ten thousand answers a second, and
 * their wake-ups took more processors than mail does. So an answer that says no comes the later, the more of them its tenant
 * (or its source, where no tenant is proved) has had lately. A few are answered at once, as many a second as a client that
 * honours them needs, and whoever is not refused never waits, even behind the same address: what is late is the refusal
 * itself, not the session's other commands.
 *
 * It holds a session and nothing else. Half of a source's sessions, and half of all, can wait at a time: many tenants may share
 * a provider's address, and the others need the rest. The client's time does not run meanwhile, as with any answer.
 *
 * Turned down: ending such sessions (a new connection costs more than ten refusals, with TLS a hundred), and delays by
 * session alone (who comes again would begin anew).
 */
#include "intake/intake_priv.h"

#define AT_ONCE     20    /* in a row */
#define FORGIVEN    0.002 /* a millisecond: two a second are always answered at once */
#define STEP_MS     10    /* that each one more makes the next later */
#define LATE_MAX_MS 5000  /* clients wait for minutes (RFC 5321 4.5.3.2) */
#define COUNT_MAX   (AT_ONCE + (double)LATE_MAX_MS / STEP_MS)

static void forgive(struct refusals *r, int64_t now_ms)
{
    r->count -= (double)(now_ms - r->at_ms) * FORGIVEN;
    r->at_ms = now_ms;
    if (r->count < 0)
        r->count = 0;
}

int64_t sp_intake_refusals_add(struct refusals *r, int64_t now_ms)
{
    forgive(r, now_ms);
    if (r->count < COUNT_MAX)
        r->count += 1.0;
    return r->count <= AT_ONCE ? 0 : (int64_t)((r->count - AT_ONCE) * STEP_MS);
}

bool sp_intake_refusals_are_none(struct refusals *r, int64_t now_ms)
{
    forgive(r, now_ms);
    return r->count <= 0;
}

/* returns: what is to be answered; it waits no more */
static enum sp_rc take(struct session *s)
{
    struct late *l = &s->late;

    l->waits = false;
    s->in->late--;
    if (l->source != NULL)
        l->source->late--;
    l->source = NULL;
    return l->rc;
}

static void on_time(void *arg)
{
    struct session *s = arg;

    sp_intake_session_answer(s, take(s), sp_bytes(NULL, 0));
}

/* returns: whether one more may wait: others need sessions, too */
static bool has_room(const struct session *s)
{
    const struct generation *now = s->in->now;

    return s->in->late < now->max_sessions / 2 &&
           (s->source == NULL || s->source->late < now->max_source / 2);
}

void sp_intake_answer_late(struct session *s, enum sp_rc rc, struct refusals *r)
{
    int64_t now = sp_clock_mono_ms(s->in->parts.clock);
    int64_t ms = r == NULL ? 0 : sp_intake_refusals_add(r, now);
    struct late *l = &s->late;

    if (ms == 0 || !has_room(s) || s->in->draining || s->in->paused) {
        sp_smtp_server_answer(s->server, rc, sp_bytes(NULL, 0));
        return;
    }
    if (l->timer == NULL)
        l->timer = sp_timer_new(s->in->parts.loop, on_time, s);
    l->waits = true;
    l->rc = rc;
    l->source = s->source;
    if (l->source != NULL)
        l->source->late++;
    s->in->late++;
    sp_timer_start(l->timer, ms);
}

void sp_intake_late_now(struct session *s)
{
    if (!s->late.waits)
        return;
    sp_timer_cancel(s->late.timer);
    sp_smtp_server_answer(s->server, take(s), sp_bytes(NULL, 0));
}

void sp_intake_late_forget(struct session *s)
{
    if (s->late.waits)
        (void)take(s);
    sp_timer_free(s->late.timer);
    s->late.timer = NULL;
}
