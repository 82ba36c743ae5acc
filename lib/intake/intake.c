/*
 * Intake as a whole: listeners, the list of sessions, the generation of configuration that new ones begin under, and
 * draining. A full house still accepts, to say 421: a silent listener would swallow its share of connections.
 */
#include "intake/intake_priv.h"

#define BUSY         "421 4.3.2 too busy, try again\r\n"
#define TELL_FULL_MS 10000

struct sp_intake *sp_intake_new(const struct sp_intake_parts *parts)
{
    struct sp_intake *in = sp_calloc(1, sizeof(*in));

    in->refs = 1;
    in->parts = *parts;
    in->sessions = sp_slots_new();
    sp_list_init(&in->all);
    sp_list_init(&in->gates);
    in->passwords = sp_worker_new(parts->loop, "passwords");
    in->refusal_tokens = REFUSALS_BURST;
    in->sources = sp_map_new();
    in->quotas = sp_map_new();
    in->seen = sp_map_new();
    sp_intake_flows_init(&in->flows);
    return in;
}

void sp_intake_free(struct sp_intake *in)
{
    if (in == NULL)
        return;
    in->drained = NULL;
    SP_LIST_EACH(pos, &in->gates)
    {
        struct gate *g = SP_CONTAINER(pos, struct gate, link);

        sp_listener_free(g->listener);
        sp_free(g);
    }
    SP_LIST_EACH(each, &in->all)
    {
        sp_intake_session_free(SP_CONTAINER(each, struct session, link));
    }
    sp_timer_free(in->drain_timer);
    in->drain_timer = NULL;
    sp_intake_shares_clear(in);
    sp_intake_flows_clear(in);
    sp_worker_free(in->passwords);
    sp_dkim_free(in->dkim);
    in->dkim = NULL;
    sp_intake_generation_unref(in->now);
    in->now = NULL;
    sp_intake_unref(in);
}

void sp_intake_ref(struct sp_intake *in)
{
    in->refs++;
}

void sp_intake_unref(struct sp_intake *in)
{
    if (--in->refs > 0)
        return;
    sp_slots_free(in->sessions);
    sp_intake_limits_free(in);
    sp_intake_seen_free(in);
    sp_secret_clear(&in->parts.mark_key);
    sp_secret_clear(&in->parts.return_key);
    sp_free(in);
}

void sp_intake_configure(struct sp_intake *in, const struct sp_intake_settings *settings)
{
    struct generation *old = in->now;

    in->now = sp_intake_generation_new(settings, in->parts.clock);
    sp_intake_generation_unref(old);
    sp_intake_flows_look(in);
}

static void turn_away(struct sp_intake *in, int fd)
{
    int64_t now_ms = sp_clock_mono_ms(in->parts.clock);

    in->stats.turned_away++;
    sp_stream_dismiss(in->parts.loop, fd, SP_LIT(BUSY));
    in->turned_away_untold++;
    if (in->paused || (in->told_many_ms != 0 && now_ms - in->told_many_ms < TELL_FULL_MS))
        return;
    in->told_many_ms = now_ms;
    sp_log_warn(in->parts.log, "intake.too-many", SP_INT("sessions", in->stats.active),
                SP_INT("turned_away", in->turned_away_untold));
    in->turned_away_untold = 0;
}

/* returns: whether a session may start on this listener now */
static bool has_room(const struct gate *g)
{
    const struct sp_intake *in = g->in;
    const struct generation *now = in->now;

    if (in->draining || in->paused || in->stats.active >= now->max_sessions ||
        g->index >= now->listen_count)
        return false;
    return now->listen_tls[g->index] != SP_LISTEN_IMPLICIT || now->tls != NULL;
}

static void on_accept(void *arg, int fd, const struct sp_addr *peer)
{
    struct gate *g = arg;
    struct sp_intake *in = g->in;

    if (!has_room(g) ||
        (!sp_intake_is_proxy(in->now, g->index, peer) && !sp_intake_source_enter(in, peer)))
        turn_away(in, fd);
    else
        sp_intake_session_start(in, g->index, fd, peer);
}

/* The listener has no descriptor for who comes. One line a while is enough. */
static void on_full(void *arg)
{
    struct sp_intake *in = ((struct gate *)arg)->in;
    int64_t now_ms = sp_clock_mono_ms(in->parts.clock);

    in->stats.sessions++;
    in->stats.turned_away++;
    if (in->told_full_ms != 0 && now_ms - in->told_full_ms < TELL_FULL_MS)
        return;
    in->told_full_ms = now_ms;
    sp_log_error(in->parts.log, "intake.out-of-descriptors", SP_INT("sessions", in->stats.active));
}

void sp_intake_listen(struct sp_intake *in, int fd, size_t listen)
{
    struct gate *g = sp_calloc(1, sizeof(*g));

    g->in = in;
    g->index = listen;
    g->listener = sp_listener_new(in->parts.loop, fd, on_accept, g);
    sp_listener_when_full(g->listener, SP_LIT(BUSY), on_full);
    sp_list_append(&in->gates, &g->link);
}

void sp_intake_leave_connections(struct sp_intake *in)
{
    SP_LIST_EACH(pos, &in->gates)
    {
        sp_listener_hold(SP_CONTAINER(pos, struct gate, link)->listener, true);
    }
}

static void tell_drained(void *arg)
{
    struct sp_intake *in = arg;
    void (*fn)(void *) = in->drained;

    in->drained = NULL;
    if (fn != NULL)
        fn(in->drained_arg);
}

void sp_intake_check_drained(struct sp_intake *in)
{
    if (in->drained != NULL && in->stats.active == 0 && in->transactions == 0)
        sp_timer_start(in->drain_timer, 0);
}

static void shut_sessions(struct sp_intake *in)
{
    SP_LIST_EACH(pos, &in->all)
    {
        struct session *s = SP_CONTAINER(pos, struct session, link);

        if (s->server == NULL)
            continue;
        sp_intake_flow_forget(s);
        sp_intake_session_hold(s);
        sp_intake_late_now(s);
        sp_smtp_server_shut(s->server, SP_E_SMTP_SHUTDOWN);
        sp_intake_session_pump(s);
    }
}

void sp_intake_pause(struct sp_intake *in, bool paused)
{
    in->paused = paused;
    if (paused)
        shut_sessions(in);
}

void sp_intake_drain(struct sp_intake *in, int64_t patience_ms, void (*fn)(void *arg), void *arg)
{
    in->draining = true;
    in->drained = fn;
    in->drained_arg = arg;
    in->drain_timer = sp_timer_new(in->parts.loop, tell_drained, in);
    sp_timer_start(in->drain_timer, patience_ms);
    shut_sessions(in);
    sp_intake_check_drained(in);
}

struct sp_intake_stats sp_intake_stats(const struct sp_intake *in)
{
    struct sp_intake_stats stats = in->stats;

    stats.refused_why = in->refused_why;
    stats.slowed = in->flows.now;
    stats.memory = in->memories.all.bytes;
    stats.memory_refused = in->memories.refused;
    stats.slowings = in->flows.waits;
    return stats;
}
