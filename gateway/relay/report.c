/*
 * TLS reports (RFC 8460) for the ledger: where a domain wants them, by its TXT record, and one report to one of those
 * places. By mail it goes into our own queue, signed by the sealer when its turn comes, below every promise of the receiver
 * (it tells that these are broken) but not below the policy's floor for reports; by HTTPS it goes through the fetcher.
 */
#include "gateway/relay/relay.h"

#include "jobs/fetch.h"
#include "jobs/report.h"
#include "mail/tls_report.h"
#include "transport/tlsrpt.h"

#include <stdio.h>

#define LIFE_MS     ((int64_t)24 * 3600 * 1000) /* RFC 8460 5.5 */
#define FETCH_MS    60000
#define MAIL_MAX    ((size_t)8 << 20)
#define PAYLOAD_MAX ((size_t)3 << 20)
#define NAME_MAX_   (SP_DNS_NAME_MAX + 32)
#define PREFIX      "_smtp._tls."

struct relay_report { /* a job under way */
    struct sp_list at;
    struct relay *relay;
    struct sp_jobs_job *job;
    struct sp_arena *arena;
    struct sp_jobs_report_request ask; /* lent from the job */
    struct sp_tlsrpt_uri uri;
    sp_handle questions[2];
    unsigned open;
    enum sp_rc dns_rc;
    struct sp_bytes addresses[SP_JOBS_FETCH_ADDRESSES_MAX];
    size_t address_count;
    sp_handle call;
    bool in_queue; /* the queue has it: it can't be called back */
};

static void end(struct relay_report *t, enum sp_rc rc, struct sp_bytes payload)
{
    if (t->job != NULL)
        sp_jobs_job_reply(t->job, rc, payload, NULL, 0);
    t->job = NULL;
    if (t->in_queue)
        return; /* on_queued frees it */
    for (size_t i = 0; i < SP_ARRAY_LEN(t->questions); i++)
        if (t->questions[i] != 0)
            sp_dns_cancel(relay_delivery_dns(t->relay), t->questions[i]);
    if (t->call != 0)
        sp_jobs_cancel(t->relay->jobs, t->call);
    sp_list_remove(&t->at);
    sp_arena_free(t->arena);
    sp_free(t);
}

static void fail(struct relay_report *t, enum sp_rc rc)
{
    end(t, rc, SP_LIT(""));
}

static void empty_reply(struct relay_report *t, enum sp_rc rc)
{
    struct sp_jobs_report_reply reply = {.uri_count = 0};
    struct sp_buf payload;

    sp_buf_init(&payload, 64);
    sp_jobs_report_reply_encode(&payload, &reply);
    end(t, rc, rc == SP_OK ? sp_buf_bytes(&payload) : SP_LIT(""));
    sp_buf_clear(&payload);
}

/* ---- where it goes ---- */

/* The address that reports come from. */
static struct sp_bytes contact(const struct relay_report *t)
{
    const struct relay *r = t->relay;
    struct sp_bytes text;
    struct sp_buf b;

    if (r->config->tls_reports.contact[0] != 0)
        return sp_bytes_cstr(r->config->tls_reports.contact);
    sp_buf_init(&b, 512);
    sp_buf_put_cstr(&b, "postmaster@");
    sp_buf_put_cstr(&b, r->report_domain != NULL ? r->report_domain : r->config->hostname);
    text = sp_arena_copy(t->arena, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return text;
}

static enum sp_rc read_record(const struct sp_dns_answer *a, struct sp_tlsrpt_record *out)
{
    struct sp_bytes texts[SP_DNS_RECORDS_MAX];

    if (sp_dns_rc_is_error(a->rc))
        return a->rc;
    for (size_t i = 0; i < a->count; i++)
        texts[i] = a->records[i].data;
    return a->rc == SP_OK ? sp_tlsrpt_record_parse(texts, a->count, out) : SP_E_NOT_FOUND;
}

static void on_record(void *arg, const struct sp_dns_answer *a)
{
    struct relay_report *t = arg;
    struct sp_jobs_report_reply reply = {.contact = contact(t)};
    struct sp_bytes *uris = sp_arena_alloc(t->arena, SP_TLSRPT_URIS_MAX * sizeof(*uris));
    struct sp_tlsrpt_record record = {.uri_count = 0};
    enum sp_rc rc = read_record(a, &record);
    struct sp_tlsrpt_uri uri;
    struct sp_buf payload;

    t->questions[0] = 0;
    for (size_t i = 0; i < record.uri_count; i++)
        if (sp_tlsrpt_uri_parse(record.uris[i], &uri))
            uris[reply.uri_count++] = record.uris[i];
    if (rc == SP_OK && reply.uri_count == 0)
        rc = SP_E_NOT_FOUND;
    reply.uris = uris;
    sp_buf_init(&payload, PAYLOAD_MAX);
    sp_jobs_report_reply_encode(&payload, &reply);
    if (rc == SP_OK)
        rc = sp_buf_rc(&payload);
    end(t, rc, rc == SP_OK ? sp_buf_bytes(&payload) : SP_LIT(""));
    sp_buf_clear(&payload);
}

static void find(struct relay_report *t)
{
    char name[NAME_MAX_];
    int len = snprintf(name, sizeof(name), PREFIX "%.*s", SP_FMT(t->ask.domain));

    if (len < 0 || (size_t)len >= sizeof(name))
        fail(t, SP_E_NOT_FOUND);
    else
        t->questions[0] = sp_dns_ask(relay_delivery_dns(t->relay), sp_bytes(name, (size_t)len),
                                     SP_DNS_TXT, on_record, t);
}

/* ---- by mail ---- */

static void on_queued(void *arg, enum sp_rc rc, const struct sp_id *id)
{
    struct relay_report *t = arg;

    (void)id;
    t->in_queue = false;
    empty_reply(t, rc);
}

static enum sp_rc write_mail(struct relay_report *t, struct sp_bytes message_id, struct sp_buf *out)
{
    struct sp_tls_report report = {
        .domain = t->ask.domain,
        .submitter = sp_bytes_cstr(t->relay->report_domain),
        .from = contact(t),
        .to = sp_bytes(t->uri.address, t->uri.address_len),
        .id = t->ask.id,
        .message_id = message_id,
        .from_s = t->ask.from_s,
        .to_s = t->ask.to_s,
        .gzip = t->ask.content,
        .now_ms = sp_clock_wall_ms(sp_loop_clock(t->relay->loop)),
    };

    return sp_tls_report_build(&report, out);
}

static void send_mail(struct relay_report *t)
{
    struct relay *r = t->relay;
    struct sp_intake_own own = {.kind = SP_ACCEPT_KIND_REPORT, .needs = SP_ASKED_TLS_NO};
    struct sp_buf message_id;
    struct sp_buf content;
    enum sp_rc rc = r->report_tenant == NULL ? SP_E_DKIM_FAILED : sp_queue_ready(r->queue);

    sp_buf_init(&message_id, 1024);
    sp_buf_init(&content, MAIL_MAX);
    if (rc == SP_OK) {
        sp_buf_printf(&message_id, "<%.*s@%s>", SP_FMT(t->ask.key), r->report_domain);
        rc = sp_buf_rc(&message_id);
    }
    if (rc == SP_OK)
        rc = write_mail(t, sp_buf_bytes(&message_id), &content);
    if (rc == SP_OK) {
        own.tenant = sp_bytes_cstr(r->report_tenant);
        own.to = sp_bytes(t->uri.address, t->uri.address_len);
        own.floor = sp_policy_report_floor(r->policy);
        own.expire_at_ms = sp_clock_wall_ms(sp_loop_clock(r->loop)) + LIFE_MS;
        own.content = sp_buf_bytes(&content);
        own.message_id = sp_buf_bytes(&message_id);
        t->in_queue = true;
        sp_intake_submit(r->intake, &own, on_queued, t);
    }
    sp_buf_clear(&content);
    sp_buf_clear(&message_id);
    if (rc != SP_OK)
        fail(t, rc);
}

/* ---- by HTTPS ---- */

static void on_posted(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct relay_report *t = arg;

    (void)reply;
    t->call = 0;
    empty_reply(t, rc);
}

static void post(struct relay_report *t)
{
    struct sp_jobs_fetch_request what = {.kind = SP_JOBS_FETCH_REPORT,
                                         .domain = t->uri.host,
                                         .addresses = t->addresses,
                                         .address_count = t->address_count,
                                         .port = t->uri.port,
                                         .path = t->uri.path,
                                         .content = t->ask.content,
                                         .key = t->ask.key};
    struct sp_jobs_request call = {.role = SP_ROLE_FETCHER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_FETCH,
                                   .timeout_ms = FETCH_MS};
    struct sp_buf payload;
    enum sp_rc rc;

    sp_buf_init(&payload, PAYLOAD_MAX);
    sp_jobs_fetch_request_encode(&payload, &what);
    rc = sp_buf_rc(&payload);
    call.payload = sp_buf_bytes(&payload);
    if (rc == SP_OK)
        t->call = sp_jobs_call(t->relay->jobs, &call, on_posted, t);
    sp_buf_clear(&payload);
    if (rc != SP_OK)
        fail(t, rc);
}

static void on_address(void *arg, const struct sp_dns_answer *a)
{
    struct relay_report *t = arg;
    char text[64];

    if (sp_dns_rc_is_error(a->rc))
        t->dns_rc = a->rc;
    for (size_t i = 0; i < a->count && t->address_count < SP_JOBS_FETCH_ADDRESSES_MAX; i++) {
        sp_dns_ip_format(&a->records[i].ip, text);
        t->addresses[t->address_count++] = sp_arena_copy(t->arena, sp_bytes_cstr(text));
    }
    if (--t->open > 0)
        return;
    t->questions[0] = t->questions[1] = 0;
    if (t->address_count > 0)
        post(t);
    else
        fail(t, t->dns_rc != SP_OK ? t->dns_rc : SP_E_FETCH_FAILED);
}

static void send_post(struct relay_report *t)
{
    static const enum sp_dns_type types[] = {SP_DNS_A, SP_DNS_AAAA};

    t->open = SP_ARRAY_LEN(types);
    for (size_t i = 0; i < SP_ARRAY_LEN(types); i++)
        t->questions[i] =
            sp_dns_ask(relay_delivery_dns(t->relay), t->uri.host, types[i], on_address, t);
}

/* ---- jobs ---- */

static void on_report(void *arg, struct sp_jobs_job *job)
{
    struct relay *r = arg;
    struct sp_jobs_report_request ask;
    struct relay_report *t;

    if (sp_jobs_report_request_decode(sp_jobs_job_payload(job), &ask) != SP_OK) {
        sp_jobs_job_reply(job, SP_E_MALFORMED, SP_LIT(""), NULL, 0);
        return;
    }
    t = sp_calloc(1, sizeof(*t));
    t->relay = r;
    t->job = job;
    t->ask = ask;
    t->arena = sp_arena_new(1024);
    sp_list_append(&r->reports, &t->at);
    if (ask.op == SP_JOBS_REPORT_FIND)
        find(t);
    else if (!sp_tlsrpt_uri_parse(ask.uri, &t->uri))
        fail(t, SP_E_MALFORMED);
    else if (t->uri.is_mail)
        send_mail(t);
    else
        send_post(t);
}

void relay_report_serve(struct relay *r)
{
    sp_jobs_serve(r->jobs, SP_JOBS_REPORT, on_report, r);
}

void relay_report_cancel(struct relay *r)
{
    SP_LIST_EACH(at, &r->reports)
    {
        fail(SP_CONTAINER(at, struct relay_report, at), SP_E_ROLE_GONE);
    }
}
