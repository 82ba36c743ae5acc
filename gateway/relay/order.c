/*
 * Orders to a whole relay: freeze a tenant or a destination, thaw it, take no mail (drain), take it again. The act is in the
 * journal, with who and why, before the order takes effect; the order itself lies beside the journal (queue/orders.h) and
 * holds for all shards of the relay, also after a restart. Ordering twice does no harm.
 *
 *     {"command": "queue.freeze" | "queue.thaw", "tenant": T | "site": DOMAIN | "host": NAME, "reason": TEXT}
 *     {"command": "queue.drain" | "queue.resume", "reason": TEXT}
 *            -> {"done": "freeze", "changed": BOOL, "known": BOOL, "stands": ORDER: that one stood already}
 *     {"command": "queue.orders"}
 *            -> {"draining": BOOL, "tenants": [...], "sites": [...], "hosts": [...], "messages": N, "held_by_hand": N recipients,
 *                "orders": [{"order": "site", "name": T, "time": TIME, "actor": {...}, "reason": TEXT}]}
 */
#include "gateway/relay/command.h"

#define EVENT_MAX 65536

static const struct verb {
    const char *command;
    const char *name;
    bool on;
    bool is_drain;
} verbs[] = {
    {"queue.freeze", "freeze", true, false},
    {"queue.thaw", "thaw", false, false},
    {"queue.drain", "drain", true, true},
    {"queue.resume", "resume", false, true},
};

struct order {
    struct relay *relay;
    struct sp_jobs_job *job;
    const struct verb *verb;
    enum sp_queue_order what;
    char *name;
    char *actor, *reason;
    int64_t time_ms;
};

static void free_order(struct order *o)
{
    sp_free(o->name);
    sp_free(o->actor);
    sp_free(o->reason);
    sp_free(o);
}

/* Whether there is such a tenant. One that is gone may have mail here still, so the order stands without it, too. */
static bool is_known(const struct order *o)
{
    struct sp_buf file;
    bool found;

    if (o->what != SP_QUEUE_ORDER_TENANT)
        return true;
    sp_buf_init(&file, 4096);
    sp_buf_printf(&file, "tenants/%s.json", o->name);
    sp_buf_put_u8(&file, 0);
    found = sp_buf_rc(&file) == SP_OK &&
            sp_role_file(o->relay->role, (const char *)file.ptr).ptr != NULL;
    sp_buf_clear(&file);
    return found;
}

static enum sp_rc carry_out(const struct order *o)
{
    struct sp_bytes name = sp_bytes_cstr(o->name);
    const struct sp_queue_given given = {.time_ms = o->time_ms,
                                         .actor = sp_bytes_cstr(o->actor),
                                         .reason = sp_bytes_cstr(o->reason)};
    enum sp_rc rc = SP_OK;

    for (struct relay *x = o->relay; x != NULL && rc == SP_OK; x = x->left)
        rc = sp_queue_order(x->queue, o->what, name, o->verb->on, &given);
    if (rc == SP_OK && o->what == SP_QUEUE_ORDER_DRAIN)
        sp_intake_pause(o->relay->intake, o->verb->on);
    return rc;
}

/* An order with who gave it, when and why, as far as that is known. */
static void put_order(struct sp_jw *w, enum sp_queue_order what, struct sp_bytes name,
                      const struct sp_queue_given *given)
{
    SP_AUTO(sp_json_doc) actor = NULL;

    sp_jw_cstr(w, "order", sp_queue_order_name(what));
    sp_jw_text(w, "name", name);
    relay_put_time(w, "time", given->time_ms);
    if (given->actor.len > 0 && sp_json_parse(given->actor, NULL, &actor, NULL) == SP_OK)
        sp_jw_raw(w, "actor", given->actor);
    else
        sp_jw_null(w, "actor");
    sp_jw_text(w, "reason", given->reason);
}

struct standing {
    const struct order *order;
    struct sp_jw *w;
};

static void on_standing(void *arg, enum sp_queue_order what, struct sp_bytes name,
                        const struct sp_queue_given *given)
{
    struct standing *s = arg;

    if (what != s->order->what || !sp_bytes_eq_nocase(name, sp_bytes_cstr(s->order->name)))
        return;
    sp_jw_object(s->w, "stands");
    put_order(s->w, what, name, given);
    sp_jw_end(s->w);
}

static void reply_done(const struct order *o, bool changed)
{
    struct sp_buf json;
    struct sp_jw w;
    struct standing standing = {.order = o, .w = &w};

    sp_buf_init(&json, 8192);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "done", o->verb->name);
    sp_jw_bool(&w, "changed", changed);
    sp_jw_bool(&w, "known", is_known(o));
    if (!changed && o->verb->on)
        sp_queue_orders_each(o->relay->queue, on_standing, &standing);
    sp_jw_end(&w);
    relay_reply_json(o->job, SP_OK, &json);
    sp_buf_clear(&json);
}

static void on_recorded(void *arg, enum sp_rc rc)
{
    struct order *o = arg;

    if (rc != SP_OK) {
        relay_reply_error(o->job, rc, "it was not recorded, so it was not done");
    } else {
        rc = carry_out(o);
        if (rc == SP_OK)
            reply_done(o, true);
        else
            relay_reply_error(o->job, rc,
                              rc == SP_E_LIMIT
                                  ? "recorded, but not done: too many orders stand, thaw some"
                                  : "recorded, but the order could not be kept: repeat");
        for (struct relay *x = o->relay; x != NULL; x = x->left)
            relay_delivery_poke(x);
    }
    free_order(o);
}

static void put_event(const struct relay_question *q, const struct order *o, struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "admin.acted");
    sp_jw_cstr(&w, "act", o->verb->command);
    if (o->what == SP_QUEUE_ORDER_TENANT)
        sp_jw_cstr(&w, "tenant", o->name);
    else if (o->what != SP_QUEUE_ORDER_DRAIN)
        sp_jw_cstr(&w, sp_queue_order_name(o->what), o->name);
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    sp_jw_text(&w, "reason", sp_json_text_of(q->ask, "reason"));
    sp_jw_end(&w);
}

/* returns: what is wrong with the question, or NULL */
static const char *read_order(const struct relay_question *q, struct order *o)
{
    size_t given = 0;

    if (sp_bytes_trim(sp_json_text_of(q->ask, "reason")).len == 0)
        return "reason: needed, it is part of the audit record";
    for (int i = SP_QUEUE_ORDER_TENANT; i < SP_QUEUE_ORDER_COUNT; i++) {
        struct sp_bytes name = sp_json_text_of(q->ask, sp_queue_order_name((enum sp_queue_order)i));

        if (name.len == 0)
            continue;
        given++;
        o->what = (enum sp_queue_order)i;
        sp_free(o->name);
        o->name = sp_strdup_bytes(name);
    }
    if (o->verb->is_drain) {
        o->what = SP_QUEUE_ORDER_DRAIN;
        sp_free(o->name);
        o->name = sp_strdup("");
        return given > 0 ? "drain and resume are for the whole gateway" : NULL;
    }
    if (given != 1)
        return "one of tenant, site and host";
    for (const char *c = o->name; *c != 0; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return "a name has no spaces";
    }
    return strlen(o->name) <= SP_QUEUE_ORDER_NAME_MAX ? NULL : "a name is not so long";
}

/* Whether all shards stand so already. */
static bool stands(const struct order *o)
{
    for (const struct relay *x = o->relay; x != NULL; x = x->left) {
        if (sp_queue_is_ordered(x->queue, o->what, sp_bytes_cstr(o->name)) != o->verb->on)
            return false;
    }
    return true;
}

static void give(struct relay *r, const struct relay_question *q, const struct verb *verb)
{
    struct order *o = sp_calloc(1, sizeof(*o));
    const char *wrong;
    struct sp_act act = {.time_ms = sp_clock_wall_ms(sp_loop_clock(r->loop))};
    struct sp_bytes event;
    struct sp_buf text;

    o->relay = r;
    o->job = q->job;
    o->verb = verb;
    o->actor = sp_strdup_bytes(q->actor);
    o->reason = sp_strdup_bytes(sp_json_text_of(q->ask, "reason"));
    o->time_ms = act.time_ms;
    wrong = read_order(q, o);
    if (wrong != NULL || stands(o)) {
        if (wrong != NULL)
            relay_reply_error(q->job, SP_E_USAGE, wrong);
        else
            reply_done(o, false);
        free_order(o);
        return;
    }
    sp_buf_init(&text, EVENT_MAX);
    put_event(q, o, &text);
    event = sp_buf_bytes(&text);
    act.audit = (struct sp_audit_list){.events = &event, .count = 1};
    sp_queue_act(r->queue, SP_RECORD_ACT, &act, on_recorded, o);
    sp_buf_clear(&text);
}

struct listing {
    struct sp_jw *w;
    enum sp_queue_order what;
    bool draining;
};

static void on_order(void *arg, enum sp_queue_order what, struct sp_bytes name,
                     const struct sp_queue_given *given)
{
    struct listing *l = arg;

    (void)given;
    l->draining |= what == SP_QUEUE_ORDER_DRAIN;
    if (what == l->what)
        sp_jw_text(l->w, NULL, name);
}

static void put_names(const struct relay *r, struct listing *l, enum sp_queue_order what,
                      const char *list)
{
    l->what = what;
    sp_jw_array(l->w, list);
    sp_queue_orders_each(r->queue, on_order, l);
    sp_jw_end(l->w);
}

static void on_given(void *arg, enum sp_queue_order what, struct sp_bytes name,
                     const struct sp_queue_given *given)
{
    struct sp_jw *w = arg;

    sp_jw_object(w, NULL);
    put_order(w, what, name, given);
    sp_jw_end(w);
}

static void tell(const struct relay *r, const struct relay_question *q)
{
    struct listing l = {.draining = false};
    size_t messages = 0, held = 0;
    struct sp_buf json;
    struct sp_jw w;

    for (const struct relay *x = r; x != NULL; x = x->left) {
        messages += sp_queue_stats(x->queue).messages;
        held += sp_queue_stats(x->queue).recipients_by_hand;
    }
    sp_buf_init(&json, RELAY_REPLY_MAX);
    sp_jw_init(&w, &json);
    l.w = &w;
    sp_jw_object(&w, NULL);
    put_names(r, &l, SP_QUEUE_ORDER_TENANT, "tenants");
    put_names(r, &l, SP_QUEUE_ORDER_SITE, "sites");
    put_names(r, &l, SP_QUEUE_ORDER_HOST, "hosts");
    sp_jw_bool(&w, "draining", l.draining);
    sp_jw_int(&w, "messages", (int64_t)messages);
    sp_jw_int(&w, "held_by_hand", (int64_t)held);
    sp_jw_array(&w, "orders");
    sp_queue_orders_each(r->queue, on_given, &w);
    sp_jw_end(&w);
    sp_jw_end(&w);
    relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

bool relay_order(struct relay *r, const struct relay_question *q)
{
    struct sp_bytes name = sp_json_text_of(q->ask, "command");

    if (sp_bytes_eq(name, SP_LIT("queue.orders"))) {
        tell(r, q);
        return true;
    }
    for (size_t i = 0; i < SP_ARRAY_LEN(verbs); i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(verbs[i].command))) {
            give(r, q, &verbs[i]);
            return true;
        }
    }
    return false;
}
