/*
 * A scrape is two questions, to the relays and to the ledger, asked in the same way as the command line asks them, and
 * one page made of the answers and of what the supervisor shows. A role that does not answer in time shows as
 * sallyport_up 0 and its figures are left out: a figure of the past would look like one of now.
 */
#include "admin/metrics.h"

#include "admin/admin_priv.h"
#include "web/web.h"

#define PAGE_MAX  ((size_t)1 << 20)
#define QUESTIONS 2

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

static const struct sp_json *says(const struct sp_admin_answer *a)
{
    return a->rc == SP_OK && a->json != NULL ? sp_json_root(a->json) : NULL;
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
    SP_AUTO(sp_json_doc) state = NULL;
    struct sp_buf out;

    if (s->health) {
        bool good = is_healthy(s);

        sp_web_reply(req, good ? 200 : 503, "text/plain",
                     good ? SP_LIT("ok\n") : SP_LIT("not ready\n"));
        return;
    }
    sp_buf_init(&out, PAGE_MAX);
    state = sp_admin_state_read(s->metrics->admin);
    sp_admin_figures_put(s->questions, QUESTIONS, state == NULL ? NULL : sp_json_root(state), &out);
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
