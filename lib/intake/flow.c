/*
 * Bytes a second of a source, of a tenant, and of all. They are kept by not reading: what comes too fast stays with its
 * sender, and nothing of it is lost. A bucket is charged with what the machine took; while one is in debt, the sessions that it
 * counts wait: new ones before their first byte is read, others before more of theirs is looked at. They go on one after
 * another, each with a piece that is paid for in advance: so neither a crowd that is let go in one turn nor who comes again
 * and again has a piece for each connection. Their order is fair among tenants (or sources, while no tenant is proved): each
 * piece moves the next one of the same tenant behind, so who sends little waits for one piece of each other at most, however
 * many sessions they have. What a session has not used of its piece when it ends goes back. No debt is more than a minute's.
 *
 * The time that it waited is not the client's: the machine's deadlines move by as much. So many may wait that a client would
 * give up before its turn comes; then MAIL is told to try again.
 *
 * Turned down: a share for each session (who opens more gets more), and holding commands of those in debt in a queue of ours
 * (the client's socket is one already).
 */
#include "intake/intake_priv.h"

#define BURST_MS 2000
#define LEAST_RATE                                                                                 \
    16.384 /* bytes a millisecond: a piece of a lower one would take longer than clients wait */
#define PIECE       ((size_t)SP_STREAM_TURN_MAX)
#define WAIT_MAX_MS 60000 /* of the last in the row, before new mail is asked to come later */
#define DEBT_MAX_MS 60000 /* more is forgiven: who owes it must come to an end, too */
#define TOLD_MS     60000
#define LOOK_MS     10 /* behind something that was given back */

/* A bucket and what flows into it. */
struct lane {
    struct flow *flow;
    double rate; /* bytes a millisecond */
};

static void refill(const struct lane *l, int64_t now)
{
    struct flow *f = l->flow;
    double most = l->rate * BURST_MS;

    if (!f->begun)
        f->room = most;
    else
        f->room += (double)(now - f->at_ms) * l->rate;
    f->begun = true;
    f->at_ms = now;
    if (f->room > most)
        f->room = most;
}

/* returns: the rate that counts for a limit */
static double floored(double rate)
{
    return rate < LEAST_RATE ? LEAST_RATE : rate;
}

bool sp_intake_flow_is_full(struct flow *f, double rate, int64_t now_ms)
{
    struct lane l = {f, floored(rate)};

    if (!f->begun || rate <= 0)
        return true;
    refill(&l, now_ms);
    return f->room >= l.rate * BURST_MS;
}

static void add(struct lane *lanes, size_t *count, struct flow *f, double rate)
{
    if (rate > 0)
        lanes[(*count)++] = (struct lane){f, floored(rate)};
}

/* Whose limits hold for a session now. t: its tenant, or NULL. returns: how many */
static size_t lanes_of(struct session *s, const struct sp_tenant *t, struct lane *lanes)
{
    struct sp_intake *in = s->in;
    size_t count = 0;

    add(lanes, &count, &in->flows.all, in->now->bytes);
    if (s->source != NULL)
        add(lanes, &count, &s->source->flow, in->now->source_bytes);
    if (t != NULL && t->limits.bytes > 0)
        add(lanes, &count, sp_intake_tenant_flow(in, t),
            (double)t->limits.bytes / in->now->relays / 1000.0);
    return count;
}

static const struct sp_tenant *tenant_of(const struct session *s)
{
    return s->tx == NULL ? NULL : s->tx->counted;
}

/* returns: how long until none of them is in debt */
static int64_t debt_ms(const struct lane *lanes, size_t count)
{
    double worst = 0;

    for (size_t i = 0; i < count; i++) {
        double ms = -lanes[i].flow->room / lanes[i].rate;

        worst = ms > worst ? ms : worst;
    }
    return worst > 0 ? (int64_t)worst + 1 : 0;
}

static void charge(struct session *s, const struct lane *lanes, size_t count, size_t bytes)
{
    int64_t now = sp_clock_mono_ms(s->in->parts.clock);

    for (size_t i = 0; i < count; i++) {
        refill(&lanes[i], now);
        lanes[i].flow->room -= (double)bytes;
        if (lanes[i].flow->room < -lanes[i].rate * DEBT_MAX_MS)
            lanes[i].flow->room = -lanes[i].rate * DEBT_MAX_MS;
    }
}

static void leave(struct session *s)
{
    struct flow_place *p = &s->flow;

    if (!p->waits)
        return;
    p->waits = false;
    s->in->flows.now--;
    sp_list_remove(&p->link);
    for (size_t i = 0; i < p->payer_count; i++)
        p->payers[i]->waiting--;
    if (p->share != NULL && --p->share->waiting == 0 && p->share->turn > s->in->flows.turn + 1)
        p->share->turn = s->in->flows.turn + 1; /* what left without a piece has had none */
    p->share = NULL;
}

/* ---- waiting ---- */

static void tell(struct session *s, struct flow *f)
{
    struct sp_intake *in = s->in;
    int64_t now = sp_clock_mono_ms(in->parts.clock);
    const struct sp_tenant *t = tenant_of(s);

    if (f->told_ms != 0 && now - f->told_ms < TOLD_MS)
        return;
    f->told_ms = now;
    if (f == &in->flows.all)
        sp_log_warn(in->parts.log, "intake.slowed", SP_TEXT("limit", "intake.max_bytes"),
                    SP_INT("waiting", f->waiting));
    else if (s->source != NULL && f == &s->source->flow)
        sp_log_warn(in->parts.log, "intake.slowed", SP_TEXT("limit", "intake.max_source_bytes"),
                    SP_INT("waiting", f->waiting), SP_DOMAIN("client", sp_bytes_cstr(s->ip)));
    else
        sp_log_warn(in->parts.log, "intake.slowed", SP_TEXT("limit", "limits.bytes"),
                    SP_INT("waiting", f->waiting), SP_TEXT("tenant", t == NULL ? "" : t->name));
}

static void on_time(void *arg);

static void wake_in(struct sp_intake *in, int64_t ms)
{
    struct flows *f = &in->flows;
    int64_t due = sp_clock_mono_ms(in->parts.clock) + ms;

    if (f->timer == NULL)
        f->timer = sp_timer_new(in->parts.loop, on_time, in);
    if (sp_timer_is_running(f->timer) && f->due_ms <= due)
        return;
    f->due_ms = due;
    sp_timer_start(f->timer, ms);
}

/* Who waits for what is given back need not wait until the debt would have ended: the row is looked at soon. Not at once, since
 * a look costs as much as the row is long, and connections that come and go give back as often as they like. */
static void give_back(struct session *s)
{
    struct flow_place *p = &s->flow;
    bool is_missed = false;

    for (size_t i = 0; i < p->payer_count; i++) {
        p->payers[i]->room += (double)p->paid;
        is_missed = is_missed || (p->paid > 0 && p->payers[i]->waiting > 0);
    }
    p->paid = 0;
    p->payer_count = 0;
    if (is_missed)
        wake_in(s->in, LOOK_MS);
}

void sp_intake_flow_forget(struct session *s)
{
    leave(s);
    give_back(s);
}

/* Finds its place in the row: behind what its tenant has had, and not before who went last. */
static void line_up(struct session *s)
{
    struct flows *f = &s->in->flows;
    struct flow_place *p = &s->flow;
    struct sp_list *at = f->waiters.prev;

    p->turn = f->turn;
    if (s->share != NULL) {
        if (s->share->turn > p->turn)
            p->turn = s->share->turn;
        s->share->turn = p->turn + 1;
        s->share->waiting++;
        p->share = s->share;
    }
    while (at != &f->waiters && SP_CONTAINER(at, struct session, flow.link)->flow.turn > p->turn)
        at = at->prev;
    sp_list_append(at->next, &p->link); /* before what stands behind it */
}

static void wait(struct session *s, const struct lane *lanes, size_t count)
{
    struct flow_place *p = &s->flow;

    p->waits = true;
    s->in->flows.waits++;
    s->in->flows.now++;
    p->payer_count = count;
    for (size_t i = 0; i < count; i++) {
        p->payers[i] = lanes[i].flow;
        lanes[i].flow->waiting++;
        if (lanes[i].flow->room < 0)
            tell(s, lanes[i].flow);
    }
    line_up(s);
    sp_intake_session_hold(s);
    wake_in(s->in, debt_ms(lanes, count));
}

/* Lets one go on, with a piece that is paid for. */
static void let_go(struct session *s, const struct lane *lanes, size_t count)
{
    struct flow_place *p = &s->flow;

    if (p->turn > s->in->flows.turn)
        s->in->flows.turn = p->turn;
    leave(s);
    charge(s, lanes, count, PIECE);
    p->paid = PIECE;
    p->payer_count = count;
    for (size_t i = 0; i < count; i++)
        p->payers[i] = lanes[i].flow;
    sp_intake_session_hold(s);
}

/* Lets those go whose buckets have filled; each of them empties some again. */
static void on_time(void *arg)
{
    struct sp_intake *in = arg;
    struct lane lanes[FLOW_LANES];
    int64_t next = WAIT_MAX_MS;

    SP_LIST_EACH(pos, &in->flows.waiters)
    {
        struct session *s = SP_CONTAINER(pos, struct session, flow.link);
        size_t count = lanes_of(s, tenant_of(s), lanes);
        int64_t ms;

        charge(s, lanes, count, 0);
        ms = debt_ms(lanes, count);
        if (ms == 0)
            let_go(s, lanes, count);
        else if (ms < next)
            next = ms;
        if (in->now->bytes > 0 && in->flows.all.room < 0) {
            next = debt_ms(lanes, 1); /* the first lane is everybody's: nobody goes before that */
            break;
        }
    }
    if (!sp_list_is_empty(&in->flows.waiters))
        wake_in(in, next);
}

/* returns: whether what was paid for was paid to all that count now */
static bool is_paid_to(const struct flow_place *p, const struct lane *lanes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;

        while (k < p->payer_count && p->payers[k] != lanes[i].flow)
            k++;
        if (k == p->payer_count)
            return false;
    }
    return true;
}

void sp_intake_flow_ask(struct session *s)
{
    struct flow_place *p = &s->flow;
    struct lane lanes[FLOW_LANES];
    size_t count = lanes_of(s, tenant_of(s), lanes);

    if (p->waits || p->paid > 0 || count == 0 || s->in->draining || s->in->paused || s->closing)
        return;
    charge(s, lanes, count, 0);
    if (debt_ms(lanes, count) > 0)
        wait(s, lanes, count);
}

void sp_intake_flow_took(struct session *s, size_t bytes)
{
    struct flow_place *p = &s->flow;
    struct lane lanes[FLOW_LANES];
    size_t count = lanes_of(s, tenant_of(s), lanes);
    size_t paid;

    if (bytes == 0 || p->waits || (count == 0 && p->paid == 0))
        return;
    if (p->paid > 0 && !is_paid_to(p, lanes, count))
        give_back(s);
    paid = bytes < p->paid ? bytes : p->paid;
    p->paid -= paid;
    charge(s, lanes, count, bytes - paid);
    if (p->paid == 0 && debt_ms(lanes, count) > 0 && !s->in->draining && !s->closing)
        wait(s, lanes, count);
}

/* returns: whether others of its own stand in the row: else it is the next, whoever waits */
static bool is_behind_its_own(struct session *s, const struct sp_tenant *t)
{
    const struct share *share = t == NULL ? s->share : sp_intake_tenant_share(s->in, t);

    return share == NULL || share->turn > s->in->flows.turn + 1;
}

enum sp_rc sp_intake_flow_check(struct session *s, const struct sp_tenant *t)
{
    struct lane lanes[FLOW_LANES];
    size_t count = lanes_of(s, t, lanes);

    if (sp_list_is_empty(&s->in->flows.waiters))
        return SP_OK;
    charge(s, lanes, count, 0);
    for (size_t i = 0; i < count; i++) {
        double due = (double)(lanes[i].flow->waiting * PIECE) - lanes[i].flow->room;

        if (due > lanes[i].rate * WAIT_MAX_MS &&
            (lanes[i].flow != &s->in->flows.all || is_behind_its_own(s, t)))
            return SP_E_INTAKE_RATE;
    }
    return SP_OK;
}

void sp_intake_flows_look(struct sp_intake *in)
{
    if (sp_list_is_empty(&in->flows.waiters))
        return;
    in->flows.due_ms = INT64_MAX;
    wake_in(in, 0);
}

void sp_intake_flows_init(struct flows *f)
{
    sp_list_init(&f->waiters);
}

void sp_intake_flows_clear(struct sp_intake *in)
{
    sp_timer_free(in->flows.timer);
    in->flows.timer = NULL;
}
