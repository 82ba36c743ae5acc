/*
 * A scrape is two questions, to the relays and to the ledger, asked in the same way as the command line asks them, and
 * one page made of the answers. A role that does not answer in time shows as sallyport_up 0 and its figures are left
 * out: a figure of the past would look like one of now.
 */
#include "admin/metrics.h"

#include "admin/admin_priv.h"
#include "web/web.h"

#define PAGE_MAX  ((size_t)1 << 20)
#define QUESTIONS 2

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
    {"quarantined", "sallyport_queue_quarantined", NULL, "gauge",
     "Messages that could not be read"},
    {"bytes", "sallyport_queue_bytes", NULL, "gauge", "Bytes of the queue on disk"},
    {"records", "sallyport_journal_records_total", NULL, "counter",
     "Records written since the start"},
    {"batches", "sallyport_journal_batches_total", NULL, "counter",
     "Batches written since the start"},
    {"syncs", "sallyport_journal_syncs_total", NULL, "counter", "Syncs since the start"},
    {"failures", "sallyport_journal_failures_total", NULL, "counter",
     "Segments given up after a failed write or sync"},
};

static const struct figure ledger_figures[] = {
    {"last_seq", "sallyport_audit_records_total", NULL, "counter", "Records of the audit stream"},
    {"unsigned", "sallyport_audit_unsigned_records", NULL, "gauge",
     "Records behind the last checkpoint"},
    {"bytes", "sallyport_audit_bytes", NULL, "gauge", "Bytes of the audit file"},
    {"waiting_bytes", "sallyport_audit_waiting_bytes", NULL, "gauge",
     "Bytes that wait to be written"},
};

struct sp_admin_metrics {
    struct sp_admin *admin;
    struct sp_web_server *server;
    struct sp_list scrapes;
};

struct scrape {
    struct sp_list link;
    struct sp_admin_metrics *metrics;
    sp_handle request; /* stale once the client has gone */
    bool health;       /* only whether all answer */
    size_t open;
    struct sp_admin_question *questions[QUESTIONS];
};

static void put_head(struct sp_buf *out, const struct figure *f)
{
    sp_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type);
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
            put_head(out, f);
        for (size_t k = 0; k < q->count; k++) {
            const struct sp_json *said = says(&q->answers[k]);
            int64_t relay = q->route->role == SP_ROLE_RELAY ? (int64_t)q->answers[k].index : -1;

            if (said != NULL)
                put_value(out, f, relay, sp_json_int_of(said, f->member, 0));
        }
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
    sp_buf_put_cstr(
        out, "# HELP sallyport_relay_accepts Whether a relay takes mail (0: it answers 4xx)\n"
             "# TYPE sallyport_relay_accepts gauge\n");
    for (size_t k = 0; k < q->count; k++) {
        const struct sp_json *said = says(&q->answers[k]);

        if (said != NULL)
            sp_buf_printf(out, "sallyport_relay_accepts{relay=\"%u\"} %d\n", q->answers[k].index,
                          sp_bytes_eq(sp_json_text_of(said, "accepts"), SP_LIT("yes")));
    }
}

static void put_page(const struct scrape *s, struct sp_buf *out)
{
    sp_buf_put_cstr(out,
                    "# HELP sallyport_up Whether a process answers\n# TYPE sallyport_up gauge\n");
    for (size_t i = 0; i < QUESTIONS; i++)
        put_up(out, s->questions[i]);
    put_accepts(out, s->questions[0]);
    put_figures(out, s->questions[0], relay_figures, SP_ARRAY_LEN(relay_figures));
    put_figures(out, s->questions[1], ledger_figures, SP_ARRAY_LEN(ledger_figures));
}

static bool is_healthy(const struct scrape *s)
{
    for (size_t i = 0; i < QUESTIONS; i++) {
        for (size_t k = 0; k < s->questions[i]->count; k++) {
            const struct sp_json *said = says(&s->questions[i]->answers[k]);

            if (said == NULL ||
                (i == 0 && !sp_bytes_eq(sp_json_text_of(said, "accepts"), SP_LIT("yes"))))
                return false;
        }
    }
    return true;
}

static void reply(const struct scrape *s, struct sp_web_request *req)
{
    struct sp_buf out;

    if (s->health) {
        bool good = is_healthy(s);

        sp_web_reply(req, good ? 200 : 503, "text/plain",
                     good ? SP_LIT("ok\n") : SP_LIT("not ready\n"));
        return;
    }
    sp_buf_init(&out, PAGE_MAX);
    put_page(s, &out);
    sp_web_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", sp_buf_bytes(&out));
    sp_buf_clear(&out);
}

static void end_scrape(struct scrape *s)
{
    sp_list_remove(&s->link);
    for (size_t i = 0; i < QUESTIONS; i++)
        sp_admin_question_free(s->questions[i]);
    sp_free(s);
}

static void on_done(void *arg, struct sp_admin_question *q)
{
    struct scrape *s = arg;
    struct sp_web_request *req;

    (void)q;
    if (--s->open > 0)
        return;
    req = sp_web_server_find(s->metrics->server, s->request);
    if (req != NULL)
        reply(s, req);
    end_scrape(s);
}

static void ask(struct sp_admin_metrics *m, struct sp_web_request *req, bool health)
{
    static const char *const questions[QUESTIONS] = {"{\"command\":\"queue.stats\"}",
                                                     "{\"command\":\"audit.status\"}"};
    struct scrape *s = sp_calloc(1, sizeof(*s));

    s->metrics = m;
    s->request = sp_web_request_handle(req);
    s->health = health;
    s->open = QUESTIONS;
    sp_list_append(&m->scrapes, &s->link);
    for (size_t i = 0; i < QUESTIONS; i++) {
        struct sp_json_doc *json;

        sp_assert(sp_json_parse(sp_bytes_cstr(questions[i]), NULL, &json, NULL) == SP_OK);
        s->questions[i] = sp_admin_ask(
            m->admin, json, SP_LIT("{\"id\":\"metrics\",\"type\":\"system\"}"), on_done, s);
        sp_assert(s->questions[i] != NULL);
    }
}

static void on_metrics(void *arg, struct sp_web_request *req)
{
    ask(arg, req, false);
}

static void on_health(void *arg, struct sp_web_request *req)
{
    ask(arg, req, true);
}

static const struct sp_web_route routes[] = {
    {SP_WEB_GET, "/metrics", 0, on_metrics},
    {SP_WEB_GET, "/healthz", 0, on_health},
};

struct sp_admin_metrics *sp_admin_metrics_new(struct sp_admin *a, struct sp_loop *loop,
                                              struct sp_log *log, int fd)
{
    struct sp_admin_metrics *m = sp_calloc(1, sizeof(*m));
    struct sp_web_options options = {.loop = loop,
                                     .log = log,
                                     .routes = routes,
                                     .route_count = SP_ARRAY_LEN(routes),
                                     .arg = m,
                                     .headers = "Cache-Control: no-store\r\n"
                                                "X-Content-Type-Options: nosniff\r\n",
                                     .limits = {.connections = 32, .connections_address = 32}};

    m->admin = a;
    sp_list_init(&m->scrapes);
    m->server = sp_web_server_new(&options);
    sp_web_server_listen(m->server, fd);
    return m;
}

void sp_admin_metrics_free(struct sp_admin_metrics *m)
{
    if (m == NULL)
        return;
    sp_web_server_free(m->server);
    SP_LIST_EACH(node, &m->scrapes)
    {
        end_scrape(SP_CONTAINER(node, struct scrape, link));
    }
    sp_free(m);
}
