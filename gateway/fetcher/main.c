/*
 * The fetcher role: HTTPS for roles that must not speak it. MTA-STS policies: one GET to the addresses that the relay
 * resolved, with the limits of RFC 8461 3.3. Whether the text is a policy is the relay's to say; that it came from the
 * domain's policy host, as text/plain, in time and in size, is said here. And TLS reports: one POST (RFC 8460 5.4); what a
 * receiver has taken is remembered by its key, so that an asker who died before it heard of it does not have it sent twice.
 */
#include "base/buf.h"
#include "config/config.h"
#include "fetch/fetch.h"
#include "jobs/fetch.h"
#include "jobs/jobs.h"
#include "role/role.h"

#define HOST_PREFIX "mta-sts."
#define POLICY_PATH "/.well-known/mta-sts.txt"
#define HOST_MAX    300
#define PATH_MAX_   (SP_JOBS_FETCH_PATH_MAX + 1)
#define REPORT_TYPE "application/tlsrpt+gzip"
#define ANSWER_MAX  4096 /* of a report's receiver: nobody reads it */
#define TAKEN_MAX   1024 /* reports whose taking is remembered; the oldest makes room */
#define KEY_MAX     SP_JOBS_FETCH_TEXT_MAX

struct fetcher {
    struct sp_role *role;
    struct sp_log *log;
    struct sp_jobs *jobs;
    struct sp_config *config;
    struct sp_fetch *fetch;
    struct sp_list posting;     /* struct wanted */
    char (*taken)[KEY_MAX + 1]; /* a ring of TAKEN_MAX keys */
    size_t taken_at;
};

struct wanted { /* a job under way */
    struct fetcher *f;
    struct sp_jobs_job *job;
    struct sp_list posting;
    char host[HOST_MAX];
    char key[KEY_MAX + 1]; /* of a report; else empty */
};

static enum sp_rc load_config(struct fetcher *f, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_config *config;
    enum sp_rc rc = sp_config_load(sp_role_file(f->role, "sallyport.json"), "sallyport.json",
                                   problems, &config);

    if (rc != SP_OK)
        return sp_problems_rc(problems, err);
    sp_config_free(f->config);
    f->config = config;
    return SP_OK;
}

/* ---- policies ---- */

static void on_fetched(void *arg, const struct sp_fetch_reply *got)
{
    struct wanted *w = arg;
    struct sp_jobs_fetch_reply reply = {.body = got->body};
    enum sp_rc rc = got->rc;
    struct sp_buf payload;

    if (rc == SP_OK && !sp_bytes_eq_nocase(got->type, SP_LIT("text/plain")))
        rc = SP_E_STS_INVALID;
    sp_buf_init(&payload, SP_JOBS_FETCH_BODY_MAX + 1024);
    if (rc == SP_OK)
        sp_jobs_fetch_reply_encode(&payload, &reply);
    if (rc == SP_OK)
        rc = sp_buf_rc(&payload);
    sp_log_info(w->f->log, "fetch.policy", SP_DOMAIN("host", sp_bytes_cstr(w->host)),
                SP_INT("status", got->status), SP_RC("why", rc));
    sp_jobs_job_reply(w->job, rc, sp_buf_bytes(&payload), NULL, 0);
    sp_buf_clear(&payload);
    sp_free(w);
}

static void reply_empty(struct sp_jobs_job *job, enum sp_rc rc)
{
    struct sp_jobs_fetch_reply reply = {.body = SP_LIT("")};
    struct sp_buf payload;

    sp_buf_init(&payload, 64);
    sp_jobs_fetch_reply_encode(&payload, &reply);
    sp_jobs_job_reply(job, rc, rc == SP_OK ? sp_buf_bytes(&payload) : SP_LIT(""), NULL, 0);
    sp_buf_clear(&payload);
}

static void start_fetch(struct wanted *w, struct sp_fetch_request *request,
                        const struct sp_jobs_fetch_request *what, sp_fetch_fn fn)
{
    char *addresses[SP_FETCH_ADDRESSES_MAX] = {NULL};

    for (size_t i = 0; i < what->address_count && i < SP_FETCH_ADDRESSES_MAX; i++) {
        addresses[i] = sp_strdup_bytes(what->addresses[i]);
        request->addresses[request->address_count++] = addresses[i];
    }
    (void)sp_fetch_start(w->f->fetch, request, fn, w);
    for (size_t i = 0; i < request->address_count; i++)
        sp_free(addresses[i]);
}

static enum sp_rc put_host(struct wanted *w, const char *prefix, struct sp_bytes domain)
{
    struct sp_buf host;
    enum sp_rc rc;

    sp_buf_init(&host, sizeof(w->host) - 1);
    sp_buf_put_cstr(&host, prefix);
    sp_buf_put(&host, domain);
    rc = sp_buf_rc(&host) == SP_OK ? SP_OK : SP_E_MALFORMED;
    if (rc == SP_OK)
        memcpy(w->host, host.ptr, host.len);
    sp_buf_clear(&host);
    return rc;
}

static enum sp_rc start_policy(struct wanted *w, const struct sp_jobs_fetch_request *what)
{
    struct sp_fetch_request request = {
        .host = w->host,
        .port = (uint16_t)w->f->config->fetcher.sts_port,
        .path = POLICY_PATH,
        .body_max = SP_JOBS_FETCH_BODY_MAX,
        .timeout_ms = w->f->config->fetcher.timeout_ms,
    };
    enum sp_rc rc = put_host(w, HOST_PREFIX, what->domain);

    if (rc == SP_OK)
        start_fetch(w, &request, what, on_fetched);
    return rc;
}

/* ---- reports ---- */

static bool is_taken(const struct fetcher *f, struct sp_bytes key)
{
    for (size_t i = 0; i < TAKEN_MAX; i++)
        if (f->taken[i][0] != '\0' && sp_bytes_eq(sp_bytes_cstr(f->taken[i]), key))
            return true;
    return false;
}

static bool is_under_way(const struct fetcher *f, struct sp_bytes key)
{
    SP_LIST_EACH(at, &f->posting)
    if (sp_bytes_eq(sp_bytes_cstr(SP_CONTAINER(at, struct wanted, posting)->key), key))
        return true;
    return false;
}

static void note_taken(struct fetcher *f, const char *key)
{
    memcpy(f->taken[f->taken_at], key, sizeof(f->taken[0]));
    f->taken_at = (f->taken_at + 1) % TAKEN_MAX;
}

static void on_posted(void *arg, const struct sp_fetch_reply *got)
{
    struct wanted *w = arg;
    enum sp_rc rc = got->rc;

    if (rc == SP_E_LIMIT) /* it answered at length */
        rc = got->status / 100 == 2 ? SP_OK : SP_E_FETCH_STATUS;
    sp_log_info(w->f->log, "fetch.report", SP_DOMAIN("host", sp_bytes_cstr(w->host)),
                SP_INT("status", got->status), SP_RC("why", rc));
    if (rc == SP_OK)
        note_taken(w->f, w->key);
    reply_empty(w->job, rc);
    sp_list_remove(&w->posting);
    sp_free(w);
}

/* The path goes into a request line: a foreign one that could end it was refused by who read it, and is here once more. */
static bool is_path(struct sp_bytes path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] <= ' ' || path.ptr[i] > '~')
            return false;
    return path.len > 0 && path.ptr[0] == '/';
}

static enum sp_rc start_report(struct wanted *w, const struct sp_jobs_fetch_request *what)
{
    char path[PATH_MAX_] = "";
    struct sp_fetch_request request = {
        .host = w->host,
        .port = what->port,
        .path = path,
        .body_max = ANSWER_MAX,
        .timeout_ms = w->f->config->fetcher.timeout_ms,
        .type = REPORT_TYPE,
        .content = what->content,
    };
    enum sp_rc rc = put_host(w, "", what->domain);

    if (rc == SP_OK &&
        (!is_path(what->path) || what->port == 0 || what->key.len == 0 || what->key.len > KEY_MAX))
        rc = SP_E_MALFORMED;
    if (rc == SP_OK && is_under_way(w->f, what->key))
        rc = SP_E_FETCH_FAILED; /* for one who is gone: what comes of it is known at the next try */
    if (rc != SP_OK)
        return rc;
    memcpy(w->key, what->key.ptr, what->key.len);
    sp_list_append(&w->f->posting, &w->posting);
    memcpy(path, what->path.ptr, what->path.len);
    start_fetch(w, &request, what, on_posted);
    return SP_OK;
}

/* The domain becomes part of a URL: nothing but the letters of a host name may be in it. */
static bool is_host(struct sp_bytes domain)
{
    for (size_t i = 0; i < domain.len; i++)
        if (!sp_ascii_is_alnum(domain.ptr[i]) && domain.ptr[i] != '.' && domain.ptr[i] != '-')
            return false;
    return domain.len > 0;
}

static void on_job(void *arg, struct sp_jobs_job *job)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(1024);
    struct sp_jobs_fetch_request what;
    struct wanted *w;
    enum sp_rc rc = sp_jobs_fetch_request_decode(sp_jobs_job_payload(job), arena, &what);

    if (rc == SP_OK && !is_host(what.domain))
        rc = SP_E_MALFORMED;
    if (rc != SP_OK) {
        sp_jobs_job_reply(job, rc, SP_LIT(""), NULL, 0);
        return;
    }
    if (what.kind == SP_JOBS_FETCH_REPORT && is_taken(arg, what.key)) {
        reply_empty(job, SP_OK);
        return;
    }
    w = sp_calloc(1, sizeof(*w));
    w->f = arg;
    w->job = job;
    sp_list_init(&w->posting);
    rc = what.kind == SP_JOBS_FETCH_STS ? start_policy(w, &what) : start_report(w, &what);
    if (rc == SP_OK)
        return;
    sp_jobs_job_reply(job, rc, SP_LIT(""), NULL, 0);
    sp_free(w);
}

/* ---- the role ---- */

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct fetcher *f = sp_calloc(1, sizeof(*f));
    enum sp_rc rc;

    *state = f;
    f->role = role;
    f->log = sp_role_log(role);
    f->jobs = sp_jobs_new(sp_role_loop(role), f->log);
    sp_jobs_on_faulty(f->jobs, sp_role_peer_faulty, role);
    sp_list_init(&f->posting);
    f->taken = sp_calloc(TAKEN_MAX, sizeof(*f->taken));
    rc = load_config(f, err);
    if (rc == SP_OK)
        rc = sp_fetch_new(sp_role_loop(role), f->log, sp_role_file(role, "secret/fetcher.sts_ca"),
                          &f->fetch);
    if (rc != SP_OK)
        return rc;
    sp_jobs_serve(f->jobs, SP_JOBS_FETCH, on_job, f);
    return SP_OK;
}

static void on_peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
{
    sp_jobs_add_peer(((struct fetcher *)state)->jobs, kind, index, fd);
}

static void stop(struct sp_role *role, void *state)
{
    (void)state;
    sp_role_stopped(role); /* who waits hears that we are gone, and asks again */
}

static void fetcher_free(void *state)
{
    struct fetcher *f = state;

    sp_fetch_free(f->fetch);
    sp_jobs_free(f->jobs);
    sp_config_free(f->config);
    sp_free(f->taken);
    sp_free(f);
}

int main(void)
{
    static const struct sp_role_ops ops = {
        .kind = SP_ROLE_FETCHER,
        .start = start,
        .on_peer = on_peer,
        .stop = stop,
        .free = fetcher_free,
    };

    return sp_role_main(&ops);
}
