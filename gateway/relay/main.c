/*
 * The relay role: mail in, mail out, one shard of the queue. Intake and delivery meet only in the queue: what one has made
 * durable is the other's work.
 */
#include "gateway/relay/relay.h"

#include "crypt/hash.h"

#define DRAIN_MS 15000 /* for what is under way at a stop; less than SP_ROLE_STOP_MS */
#define HAND_OVER_MS                                                                               \
    8000 /* for deliveries, then for sessions, when a successor waits for the sockets */

static int is_new(void *arg, struct sp_bytes tenant, struct sp_bytes address)
{
    return relay_contacts_is_new(arg, tenant, address);
}

static int wish(void *arg, struct sp_bytes tenant, struct sp_bytes address,
                struct sp_fact_wish *out)
{
    return relay_wishes_find(arg, tenant, address, out);
}

static void held(void *arg, const struct sp_id *id, struct sp_bytes group)
{
    relay_waiting_news(arg, id, group);
}

static int remembered(void *arg, struct sp_bytes domain)
{
    return relay_delivery_remembered(arg, domain);
}

static void make_intake(struct relay *r)
{
    struct sp_intake_parts parts = {
        .loop = r->loop,
        .log = r->log,
        .queue = r->queue,
        .jobs = r->jobs,
        .clock = sp_loop_clock(r->loop),
        .random = sp_random_system(),
        .kek_id = r->keys.kek_id,
        .remembered = remembered,
        .is_new = is_new,
        .wish = wish,
        .held = held,
        .left_alone_until = relay_suppress_until,
        .leave_alone = relay_suppress_add,
        .arg = r,
    };

    sp_crypt_hkdf(sp_secret_bytes(&r->keys.record), SP_LIT("sallyport loop mark 1"),
                  &parts.mark_key);
    relay_keys_return(r, &parts.return_key);
    r->intake = sp_intake_new(&parts);
    sp_secret_clear(&parts.mark_key);
    sp_secret_clear(&parts.return_key);
}

/* Sockets of the settings' `listen` come as "listen/0", "listen/1", ... */
static void listen_all(struct relay *r)
{
    const char *name;
    size_t at = 0;
    int fd;

    while (r->draining == 0 && sp_role_listener_next(r->role, &at, &name, &fd)) {
        struct sp_bytes text = sp_bytes_cstr(name);
        uint64_t index;

        if (sp_bytes_starts_nocase(text, SP_LIT("listen/")) &&
            sp_bytes_to_u64(sp_bytes_slice(text, 7, text.len), &index))
            sp_intake_listen(r->intake, fd, (size_t)index);
    }
}

static void on_peer_seen(void *arg, enum sp_role_kind role, unsigned index, bool up)
{
    (void)index;
    if (role != SP_ROLE_LEDGER || !up)
        return;
    for (struct relay *r = arg; r != NULL; r = r->left)
        relay_durable_again(r->durable);
    relay_posture_again(((struct relay *)arg)->posture);
    relay_suppress_again(((struct relay *)arg)->suppress);
    relay_contacts_again(((struct relay *)arg)->contacts);
    relay_wishes_again(((struct relay *)arg)->wishes);
}

/* The shard is open: everything that works on it. */
static enum sp_rc go_on(struct relay *r, struct sp_err *err)
{
    enum sp_rc rc;

    make_intake(r);
    sp_intake_pause(r->intake, sp_queue_is_ordered(r->queue, SP_QUEUE_ORDER_DRAIN, SP_LIT("")));
    rc = relay_settings_load(r, err);
    if (rc == SP_OK)
        rc = relay_delivery_start(r, err);
    if (rc != SP_OK)
        return rc;
    relay_left_open(r);
    relay_waiting_configure(r->waiting);
    sp_jobs_watch_peers(r->jobs, on_peer_seen, r);
    r->submit = relay_submit_new(r);
    relay_report_serve(r);
    relay_command_serve(r);
    relay_wishes_then(r->wishes, listen_all);
    sp_log_info(r->log, "relay.started", SP_INT("shard", sp_role_index(r->role)),
                SP_INT("messages", sp_queue_stats(r->queue).messages));
    return SP_OK;
}

static void on_opened(struct relay *r)
{
    struct sp_err err = {0};

    if (go_on(r, &err) != SP_OK)
        sp_role_fail(r->role, &err);
}

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct relay *r = sp_calloc(1, sizeof(*r));
    enum sp_rc rc;

    *state = r;
    r->role = role;
    r->loop = sp_role_loop(role);
    r->log = sp_role_log(role);
    r->dir = sp_role_dir(role);
    sp_list_init(&r->probes);
    sp_list_init(&r->reports);
    sp_list_init(&r->tasks);
    r->jobs = sp_jobs_new(r->loop, r->log);
    sp_jobs_on_faulty(r->jobs, sp_role_peer_faulty, role);
    r->durable = relay_durable_new(r);
    r->posture = relay_posture_new(r);
    r->suppress = relay_suppress_new(r);
    r->contacts = relay_contacts_new(r);
    r->wishes = relay_wishes_new(r);
    r->waiting = relay_waiting_new(r);
    rc = relay_keys_load(r, &r->keys, err);
    if (rc == SP_OK)
        rc = relay_settings_first(r, err);
    if (rc != SP_OK)
        return rc;
    if (relay_queue_open(r, err) == SP_OK)
        return go_on(r, err);
    r->door = relay_door_new(r, err, on_opened);
    return SP_OK;
}

static void on_peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
{
    sp_jobs_add_peer(((struct relay *)state)->jobs, kind, index, fd);
}

static enum sp_rc on_reload(struct sp_role *role, void *state, struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    (void)role;
    if (((struct relay *)state)->door != NULL) {
        relay_acts_record(state);                /* they are in this bundle alone */
        return relay_settings_check(state, err); /* what is good is taken when the shard opens */
    }
    rc = relay_settings_load(state, err);
    if (rc == SP_OK)
        rc = relay_delivery_reload(state, err);
    if (rc == SP_OK)
        rc = relay_left_reload(state, err);
    if (rc == SP_OK)
        relay_waiting_configure(((struct relay *)state)->waiting);
    relay_acts_record(state);
    return rc == SP_OK ? relay_keys_renew(state, err) : rc;
}

static void on_drained(void *arg)
{
    struct relay *part = arg;
    struct relay *r = part->first != NULL ? part->first : part;

    if (--r->draining == 0)
        sp_role_stopped(r->role);
}

/* What was being delivered has ended: now the door, behind which connections begin to wait. */
static void on_delivered(void *arg)
{
    struct relay *part = arg;
    struct relay *r = part->first != NULL ? part->first : part;

    if (--r->draining > 0)
        return;
    r->draining = 1;
    sp_intake_leave_connections(r->intake);
    sp_intake_drain(r->intake, HAND_OVER_MS, on_drained, r);
}

static void stop(struct sp_role *role, void *state)
{
    struct relay *r = state;

    if (r->door != NULL) {
        sp_role_stopped(role);
        return;
    }
    if (sp_role_is_handed_over(role)) {
        r->draining = 1 + relay_left_drain(r, HAND_OVER_MS, on_delivered);
        relay_delivery_drain(r, HAND_OVER_MS, on_delivered);
        return;
    }
    r->draining = 2 + relay_left_drain(r, DRAIN_MS, on_drained);
    sp_intake_drain(r->intake, DRAIN_MS, on_drained, r);
    relay_delivery_drain(r, DRAIN_MS, on_drained);
}

/* Sessions and attempts end first, then the queue commits what they left under way. */
static void relay_free(void *state)
{
    struct relay *r = state;

    relay_door_free(r->door);
    sp_intake_free(r->intake);
    relay_command_cancel(r);
    relay_probe_cancel(r);
    relay_report_cancel(r);
    relay_delivery_free(r);
    relay_left_free(r);
    sp_queue_close(r->queue);
    sp_arena_free(r->ways);
    relay_submit_free(r->submit);
    relay_durable_free(r->durable);
    sp_jobs_free(r->jobs);
    relay_posture_free(r->posture);
    relay_suppress_free(r->suppress);
    relay_contacts_free(r->contacts);
    relay_wishes_free(r->wishes);
    relay_waiting_free(r->waiting);
    sp_policy_unref(r->policy);
    sp_config_free(r->config);
    sp_free(r->postmaster);
    sp_free(r->report_tenant);
    sp_free(r->report_domain);
    relay_keys_clear(&r->keys);
    sp_free(r);
}

int main(void)
{
    static const struct sp_role_ops ops = {.kind = SP_ROLE_RELAY,
                                           .start = start,
                                           .on_peer = on_peer,
                                           .on_reload = on_reload,
                                           .stop = stop,
                                           .free = relay_free};

    return sp_role_main(&ops);
}
