/*
 * The page of metrics, from the roles' answers: three tables say which member of an answer is which figure. A name's
 * description is always there, so that the names are known from the first scrape and can be compared with the
 * documentation; its values only for roles that answered.
 */
#include "admin/admin_priv.h"

#define LABELS_MAX 3
#define TEXT_MAX   600

struct figure {
    const char *member; /* of the answer */
    const char *name;
    const char *state; /* label, or NULL */
    const char *type;
    const char *help;
};

#define RECIPIENTS "Recipients in the queue by state"

/* Rows of one name stand together: the format wants it. */
static const struct figure relay_figures[] = {
    {"messages", "sallyport_queue_messages", NULL, "gauge", "Messages in the queue"},
    {"pending", "sallyport_queue_recipients", "pending", "gauge", RECIPIENTS},
    {"held", "sallyport_queue_recipients", "held", "gauge", RECIPIENTS},
    {"in_delivery", "sallyport_queue_recipients", "in_delivery", "gauge", RECIPIENTS},
    {"oldest_s", "sallyport_queue_oldest_seconds", NULL, "gauge", "Age of the oldest message"},
    {"sites_count", "sallyport_queue_sites", NULL, "gauge", "Destinations that somebody waits for"},
    {"quarantined", "sallyport_queue_quarantined", NULL, "gauge",
     "Messages that could not be read"},
    {"bytes", "sallyport_queue_bytes", NULL, "gauge", "Bytes of the queue on disk"},
    {"living_bytes", "sallyport_queue_living_bytes", NULL, "gauge",
     "Of those, the records of messages in the queue"},
    {"carried", "sallyport_queue_carried_total", NULL, "counter",
     "Messages moved out of old segments since the start"},
    {"carried_bytes", "sallyport_queue_carried_bytes_total", NULL, "counter",
     "Bytes of those messages' records"},
    {"records", "sallyport_journal_records_total", NULL, "counter",
     "Records written since the start"},
    {"batches", "sallyport_journal_batches_total", NULL, "counter",
     "Batches written since the start"},
    {"syncs", "sallyport_journal_syncs_total", NULL, "counter", "Syncs since the start"},
    {"failures", "sallyport_journal_failures_total", NULL, "counter",
     "Segments given up after a failed write or sync"},
    {"sessions", "sallyport_sessions_total", NULL, "counter", "SMTP sessions since the start"},
    {"sessions_now", "sallyport_sessions", NULL, "gauge", "SMTP sessions now"},
    {"slowed", "sallyport_sessions_slowed", NULL, "gauge",
     "Sessions that are not read from now: a limit of bytes a second"},
    {"slowings", "sallyport_sessions_slowings_total", NULL, "counter",
     "Times that a session was not read from, for such a limit"},
    {"memory", "sallyport_intake_memory_bytes", NULL, "gauge",
     "Memory of sessions and of messages on their way in"},
    {"memory_refused", "sallyport_intake_memory_refused_total", NULL, "counter",
     "Connections, commands and messages refused for lack of it"},
    {"turned_away", "sallyport_sessions_turned_away_total", NULL, "counter",
     "Connections answered with 421 at once"},
    {"timed_out", "sallyport_sessions_timed_out_total", NULL, "counter",
     "Sessions closed for silence or slowness"},
    {"handshakes_failed", "sallyport_handshakes_failed_total", NULL, "counter",
     "TLS handshakes of clients that failed"},
    {"handshakes_timed_out", "sallyport_handshakes_timed_out_total", NULL, "counter",
     "Of those, that took too long"},
    {"accepted", "sallyport_accepted_messages_total", NULL, "counter",
     "Messages answered with 250 since the start"},
    {"scans", "sallyport_scans_total", NULL, "counter", "Messages whose content was examined"},
    {"scans_failed", "sallyport_scans_failed_total", NULL, "counter",
     "Of those, that could not be examined"},
};

/* Members of an answer that are lists of objects, each with a value and what names it. */
static const struct listed {
    const char *list;
    const char *value;
    const char *name;
    const char *type;
    const char *help;
    struct {
        const char *label;
        const char *member;
    } by[LABELS_MAX];
} lists[] = {
    {"refused",
     "count",
     "sallyport_refused_total",
     "counter",
     "Sessions, messages and recipients refused, by reason",
     {{"reason", "reason"}}},
    {"results",
     "count",
     "sallyport_delivery_results_total",
     "counter",
     "Recipients by what an attempt came to, and by its rung",
     {{"rung", "rung"}, {"result", "result"}}},
    {"ages",
     "count",
     "sallyport_queue_older_messages",
     "gauge",
     "Messages in the queue that are older than so many seconds",
     {{"seconds", "older_than_s"}}},
    {"sites",
     "count",
     "sallyport_queue_site_recipients",
     "gauge",
     "What waits, by destination: those with most",
     {{"site", "site"}}},
    {"pool",
     "connections",
     "sallyport_site_connections",
     "gauge",
     "Connections open to a site",
     {{"site", "site"}, {"source", "source"}, {"level", "level"}}},
    {"pool",
     "may",
     "sallyport_site_connections_limit",
     "gauge",
     "Connections that a site may have now: halved on trouble",
     {{"site", "site"}, {"source", "source"}, {"level", "level"}}},
    {"pool",
     "waiting",
     "sallyport_site_waiting",
     "gauge",
     "Messages that wait for a connection to a site",
     {{"site", "site"}, {"source", "source"}, {"level", "level"}}},
    {"pool",
     "sent",
     "sallyport_site_taken_total",
     "counter",
     "Messages that a site has taken",
     {{"site", "site"}, {"source", "source"}, {"level", "level"}}},
    {"pool",
     "throttled",
     "sallyport_site_throttled_total",
     "counter",
     "Times a site asked for less or broke connections off",
     {{"site", "site"}, {"source", "source"}, {"level", "level"}}},
    {"pool",
     "rests",
     "sallyport_site_rests",
     "gauge",
     "1 while a host of the site is left alone",
     {{"site", "site"}, {"source", "source"}, {"level", "level"}}},
    {"helpers",
     "up",
     "sallyport_helpers",
     "gauge",
     "Helper processes that a relay can ask",
     {{"role", "role"}}},
    {"helpers",
     "busy",
     "sallyport_helpers_busy",
     "gauge",
     "Of those, that work for this relay",
     {{"role", "role"}}},
    {"helpers",
     "queued",
     "sallyport_helper_jobs_queued",
     "gauge",
     "Requests of this relay that wait for a helper",
     {{"role", "role"}}},
    {"helpers",
     "came",
     "sallyport_helper_starts_total",
     "counter",
     "Helper processes that this relay has seen start",
     {{"role", "role"}}},
};

static const struct figure ledger_figures[] = {
    {"last_seq", "sallyport_audit_records_total", NULL, "counter", "Records of the audit stream"},
    {"unsigned", "sallyport_audit_unsigned_records", NULL, "gauge",
     "Records behind the last checkpoint"},
    {"bytes", "sallyport_audit_bytes", NULL, "gauge", "Bytes of the audit file"},
    {"waiting_bytes", "sallyport_audit_waiting_bytes", NULL, "gauge",
     "Bytes that wait to be written"},
    {"behind_bytes", "sallyport_audit_behind_bytes", NULL, "gauge",
     "Bytes of the journals that are not yet in the audit"},
};

static void put_head(struct sp_buf *out, const char *name, const char *type, const char *help)
{
    sp_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_value(struct sp_buf *out, const struct figure *f, int64_t relay, int64_t value)
{
    sp_buf_printf(out, "%s", f->name);
    if (relay >= 0)
        sp_buf_printf(out, "{relay=\"%lld\"", (long long)relay);
    if (f->state != NULL)
        sp_buf_printf(out, ",state=\"%s\"", f->state);
    sp_buf_printf(out, "%s %lld\n", relay >= 0 ? "}" : "", (long long)value);
}

static const struct sp_json *says(const struct sp_admin_answer *a)
{
    return a->rc == SP_OK && a->json != NULL ? sp_json_root(a->json) : NULL;
}

static void put_figures(struct sp_buf *out, const struct sp_admin_question *q,
                        const struct figure *figures, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct figure *f = &figures[i];

        if (i == 0 || strcmp(figures[i - 1].name, f->name) != 0)
            put_head(out, f->name, f->type, f->help);
        for (size_t k = 0; k < q->count; k++) {
            const struct sp_json *said = says(&q->answers[k]);
            int64_t relay = q->route->role == SP_ROLE_RELAY ? (int64_t)q->answers[k].index : -1;

            if (said != NULL)
                put_value(out, f, relay, sp_json_int_of(said, f->member, 0));
        }
    }
}

/* A label's value: what could end it is escaped. */
static void put_label(struct sp_buf *out, const struct sp_json *item, const char *label,
                      const char *member)
{
    const struct sp_json *v = sp_json_find(item, member);
    struct sp_bytes text = sp_json_text_of(item, member);

    sp_buf_printf(out, ",%s=\"", label);
    if (v != NULL && v->type == SP_JSON_INT)
        sp_buf_put_dec(out, v->integer);
    for (size_t i = 0; i < text.len && i < TEXT_MAX; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            sp_buf_put_u8(out, '\\');
        sp_buf_put_u8(out, text.ptr[i] == '\n' ? ' ' : text.ptr[i]);
    }
    sp_buf_put_u8(out, '"');
}

static void put_item(struct sp_buf *out, const struct listed *l, unsigned relay,
                     const struct sp_json *item)
{
    sp_buf_printf(out, "%s{relay=\"%u\"", l->name, relay);
    for (size_t i = 0; i < LABELS_MAX && l->by[i].label != NULL; i++)
        put_label(out, item, l->by[i].label, l->by[i].member);
    sp_buf_printf(out, "} %lld\n", (long long)sp_json_int_of(item, l->value, 0));
}

static void put_list(struct sp_buf *out, const struct sp_admin_question *q, const struct listed *l)
{
    put_head(out, l->name, l->type, l->help);
    for (size_t k = 0; k < q->count; k++) {
        const struct sp_json *list = sp_json_find(says(&q->answers[k]), l->list);

        for (const struct sp_json *item = list == NULL ? NULL : list->first; item != NULL;
             item = item->next)
            put_item(out, l, q->answers[k].index, item);
    }
}

static void put_sync(struct sp_buf *out, unsigned relay, const struct sp_json *said)
{
    static const char name[] = "sallyport_journal_sync_seconds";
    const struct sp_json *steps = sp_json_find(said, "sync_steps");
    long long count = (long long)sp_json_int_of(said, "syncs", 0);
    long long us = (long long)sp_json_int_of(said, "sync_us", 0);

    for (const struct sp_json *step = steps == NULL ? NULL : steps->first; step != NULL;
         step = step->next) {
        long long end = (long long)sp_json_int_of(step, "us", 0);

        sp_buf_printf(out, "%s_bucket{relay=\"%u\",le=\"%lld.%06lld\"} %lld\n", name, relay,
                      end / 1000000, end % 1000000, (long long)sp_json_int_of(step, "count", 0));
    }
    sp_buf_printf(out, "%s_bucket{relay=\"%u\",le=\"+Inf\"} %lld\n", name, relay, count);
    sp_buf_printf(out, "%s_sum{relay=\"%u\"} %lld.%06lld\n", name, relay, us / 1000000,
                  us % 1000000);
    sp_buf_printf(out, "%s_count{relay=\"%u\"} %lld\n", name, relay, count);
}

static void put_syncs(struct sp_buf *out, const struct sp_admin_question *q)
{
    put_head(out, "sallyport_journal_sync_seconds", "histogram",
             "How long writing and syncing a batch took");
    for (size_t k = 0; k < q->count; k++) {
        const struct sp_json *said = says(&q->answers[k]);

        if (said != NULL)
            put_sync(out, q->answers[k].index, said);
    }
}

static void put_up(struct sp_buf *out, const struct sp_admin_question *q)
{
    for (size_t k = 0; k < q->count; k++) {
        unsigned index = q->answers[k].index;

        sp_buf_printf(out, "sallyport_up{role=\"%s\",index=\"%u\"} %d\n",
                      sp_ipc_role_name(q->route->role), index == SP_JOBS_ANY ? 0 : index,
                      says(&q->answers[k]) != NULL);
    }
}

static void put_accepts(struct sp_buf *out, const struct sp_admin_question *q)
{
    put_head(out, "sallyport_relay_accepts", "gauge",
             "Whether a relay takes mail (0: it answers 4xx)");
    for (size_t k = 0; k < q->count; k++) {
        const struct sp_json *said = says(&q->answers[k]);

        if (said != NULL)
            sp_buf_printf(out, "sallyport_relay_accepts{relay=\"%u\"} %d\n", q->answers[k].index,
                          sp_bytes_eq(sp_json_text_of(said, "accepts"), SP_LIT("yes")));
    }
}

/* A role that can't open its database says so there, too. */
static bool is_refused(const struct sp_json *refused)
{
    const struct sp_json *r = refused == NULL ? NULL : refused->first;

    while (r != NULL && sp_bytes_eq(sp_json_text_of(r, "what"), SP_LIT("database")))
        r = r->next;
    return r != NULL;
}

/* Which configuration each process runs, and whether that is the one on the disk. */
static void put_configuration(struct sp_buf *out, const struct sp_json *state)
{
    const struct sp_json *roles = sp_json_find(state, "roles");
    const struct sp_json *refused = sp_json_find(state, "refused");

    put_head(out, "sallyport_configuration_refused", "gauge",
             "1 while what lies on the disk was refused");
    if (state != NULL)
        sp_buf_printf(out, "sallyport_configuration_refused %d\n", is_refused(refused));
    put_head(out, "sallyport_configuration_newest", "gauge",
             "Number of the newest configuration that was read");
    if (state != NULL)
        sp_buf_printf(out, "sallyport_configuration_newest %lld\n",
                      (long long)sp_json_int_of(state, "newest", 0));
    put_head(out, "sallyport_configuration", "gauge",
             "Number of the configuration that a process has taken last");
    for (const struct sp_json *r = roles == NULL ? NULL : roles->first; r != NULL; r = r->next)
        sp_buf_printf(out, "sallyport_configuration{role=\"%.*s\",index=\"%lld\"} %lld\n",
                      SP_FMT(sp_json_text_of(r, "role")), (long long)sp_json_int_of(r, "index", 0),
                      (long long)sp_json_int_of(r, "generation", 0));
}

void sp_admin_figures_put(struct sp_admin_question *const *questions, size_t count,
                          const struct sp_json *state, struct sp_buf *out)
{
    const struct sp_admin_question *relays = questions[0];

    put_head(out, "sallyport_up", "gauge", "Whether a process answers");
    for (size_t i = 0; i < count; i++)
        put_up(out, questions[i]);
    put_configuration(out, state);
    put_accepts(out, relays);
    put_figures(out, relays, relay_figures, SP_ARRAY_LEN(relay_figures));
    put_syncs(out, relays);
    for (size_t i = 0; i < SP_ARRAY_LEN(lists); i++)
        put_list(out, relays, &lists[i]);
    put_figures(out, questions[1], ledger_figures, SP_ARRAY_LEN(ledger_figures));
}
