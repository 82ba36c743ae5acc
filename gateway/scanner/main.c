/*
 * The scanner: one message a job, examined right on the loop, since it does nothing else. It gets a descriptor and the
 * key of that message, and answers with types, counts and scores; it writes nothing and keeps nothing. A message that
 * kills it, or keeps it until the watchdog does, costs that message: the relay sees the channel end, tries once more
 * elsewhere, and then takes the message as most sensitive.
 */
#include "base/mem.h"
#include "base/strike.h"
#include "detect/detect.h"
#include "gateway/scanner/own.h"
#include "jobs/bounce.h"
#include "jobs/jobs.h"
#include "jobs/scan.h"
#include "mime/bounce.h"
#include "role/role.h"
#include "role/watchdog.h"

#include "content/content.h"

#include <stdio.h>

#define REPLY_MAX (SP_JOBS_PAYLOAD_MAX)
#define GRACE_MS  250         /* past the asker's patience, before the watchdog bites */
#define LARGE     (64 * 1024) /* a message after which memory is given back */

struct scanner {
    struct sp_role *role;
    struct sp_jobs *jobs;
    struct sp_detect *detect;
    struct scanner_owns *owns; /* what tenants add */
    struct sp_watchdog *watchdog;
    uint64_t len; /* of the message in hand */
};

/* ---- the answer ---- */

static enum sp_jobs_phi_class class_of(enum sp_detect_class class)
{
    static const enum sp_jobs_phi_class classes[] = {
        [SP_DETECT_NONE] = SP_JOBS_PHI_NONE,
        [SP_DETECT_IDENTIFIER] = SP_JOBS_PHI_IDENTIFIER,
        [SP_DETECT_PHI] = SP_JOBS_PHI_PHI,
        [SP_DETECT_SEVERE] = SP_JOBS_PHI_SEVERE,
    };

    return classes[class];
}

static enum sp_jobs_sealed sealed_of(enum sp_detect_sealed sealed)
{
    static const enum sp_jobs_sealed all[] = {
        [SP_DETECT_NOT_SEALED] = SP_JOBS_SEALED_NONE,
        [SP_DETECT_SMIME] = SP_JOBS_SEALED_SMIME,
        [SP_DETECT_PGP] = SP_JOBS_SEALED_PGP,
        [SP_DETECT_SIGNED] = SP_JOBS_SEALED_SIGNED,
    };

    return all[sealed];
}

static size_t list_types(const struct sp_detect_result *r, struct sp_jobs_scan_type *out)
{
    size_t n = 0;

    for (enum sp_detect_type t = 0; t < SP_DETECT_TYPES; t++)
        if (r->types[t].count > 0)
            out[n++] =
                (struct sp_jobs_scan_type){sp_bytes_cstr(sp_detect_type_name(t)), r->types[t].count,
                                           r->types[t].distinct, r->types[t].score};
    return n;
}

static size_t list_specials(const struct sp_detect_result *r, const struct sp_detect_own *own,
                            struct sp_bytes *out)
{
    const char *name;
    size_t n = 0;

    for (size_t i = 0; (name = sp_detect_own_special(own, i)) != NULL; i++)
        if ((r->special & 1U << i) != 0)
            out[n++] = sp_bytes_cstr(name);
    return n;
}

/* Names are for rules: a long one is cut, the end (its suffix) kept. */
static struct sp_bytes name_of(const char *name)
{
    struct sp_bytes b = sp_bytes_cstr(name);

    return b.len > 250 ? sp_bytes_slice(b, b.len - 250, 250) : b;
}

static size_t list_attachments(const struct sp_detect_result *r,
                               struct sp_jobs_scan_attachment *out)
{
    for (size_t i = 0; i < r->attachment_count; i++)
        out[i] = (struct sp_jobs_scan_attachment){sp_bytes_cstr(r->attachments[i].type),
                                                  name_of(r->attachments[i].name),
                                                  r->attachments[i].opaque};
    return r->attachment_count;
}

static size_t list_gaps(const struct sp_detect_result *r, struct sp_arena *arena,
                        struct sp_jobs_scan_gap *out)
{
    for (size_t i = 0; i < r->gap_count; i++) {
        char *part = sp_arena_alloc(arena, 16);

        snprintf(part, 16, "%u", r->gaps[i].part);
        out[i] = (struct sp_jobs_scan_gap){sp_bytes_cstr(part), sp_bytes_cstr(r->gaps[i].why)};
    }
    return r->gap_count;
}

static void fill_reply(const struct sp_detect_result *r, const struct scanner_own *added,
                       struct sp_arena *arena, struct sp_jobs_scan_reply *reply)
{
    struct sp_jobs_scan_type *types = sp_arena_alloc(arena, SP_DETECT_TYPES * sizeof(*types));
    struct sp_bytes *special =
        sp_arena_alloc(arena, (SP_DETECT_SPECIALS + SP_DETECT_OWN_SPECIALS_MAX) * sizeof(*special));
    struct sp_jobs_scan_attachment *attachments =
        sp_arena_alloc(arena, (r->attachment_count + 1) * sizeof(*attachments));
    struct sp_jobs_scan_gap *gaps = sp_arena_alloc(arena, (r->gap_count + 1) * sizeof(*gaps));

    *reply = (struct sp_jobs_scan_reply){
        .state = r->partial ? SP_JOBS_SCAN_PARTIAL : SP_JOBS_SCAN_COMPLETE,
        .phi_class = class_of(r->class),
        .sealed = sealed_of(r->sealed),
        .score = r->score,
        .version = sp_bytes_cstr(added->version),
        .special = special,
        .special_count = list_specials(r, added->own, special),
        .types = types,
        .type_count = list_types(r, types),
        .attachments = attachments,
        .attachment_count = list_attachments(r, attachments),
        .gaps = gaps,
        .gap_count = list_gaps(r, arena, gaps),
    };
}

/* ---- the job ---- */

static enum sp_rc examine(struct scanner *s, const struct sp_jobs_scan_request *request,
                          const struct sp_detect_own *own, struct sp_arena *arena,
                          struct sp_detect_result *result)
{
    SP_AUTO(sp_content_reader) reader = sp_content_reader_new(&request->content);
    struct sp_mime_source source = sp_mime_source_content(reader, request->content.len);
    const struct sp_clock *clock = sp_loop_clock(sp_role_loop(s->role));
    struct sp_bytes head = {0};
    struct sp_detect_limits limits = {
        .mime = {.depth = request->depth_max, .parts = request->parts_max},
        .unpacked_max = request->unpacked_max,
        .clock = request->time_limit_ms > 0 ? clock : NULL,
        .deadline_ms = sp_clock_mono_ms(clock) + request->time_limit_ms,
        .own = own,
    };

    if (sp_content_view(reader, 0, &head) == SP_OK)
        SP_STRIKE("scanner", sp_bytes_slice(head, 0, SP_STRIKE_HEAD_LEN));
    return sp_detect_message(s->detect, &source, &limits, arena, result);
}

static enum sp_rc scan(struct scanner *s, struct sp_jobs_job *job, struct sp_arena *arena,
                       struct sp_buf *out)
{
    struct sp_jobs_scan_request request;
    struct sp_jobs_scan_reply reply = {.state = SP_JOBS_SCAN_FAILED,
                                       .phi_class = SP_JOBS_PHI_SEVERE,
                                       .version = sp_bytes_cstr(sp_detect_version())};
    struct sp_detect_result result;
    const struct scanner_own *added;
    enum sp_rc rc = sp_jobs_scan_request_decode(sp_jobs_job_payload(job), &request);

    if (rc != SP_OK)
        return rc;
    added = scanner_own_of(s->owns, request.tenant);
    request.content.fd = sp_jobs_job_take_fd(job, 0);
    s->len = request.content.len;
    rc = request.content.fd < 0 ? SP_E_MALFORMED : examine(s, &request, added->own, arena, &result);
    if (rc == SP_OK)
        fill_reply(&result, added, arena, &reply);
    else
        sp_log_warn(sp_role_log(s->role), "scanner.failed", SP_ID("message", &request.content.id),
                    SP_RC("why", rc));
    sp_content_clear(&request.content);
    sp_jobs_scan_reply_encode(out, &reply);
    return sp_buf_rc(out);
}

static void on_scan(void *arg, struct sp_jobs_job *job)
{
    struct scanner *s = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(16384);
    struct sp_buf out;
    enum sp_rc rc;

    sp_buf_init(&out, REPLY_MAX);
    sp_jobs_job_started(job);
    sp_watchdog_start(s->watchdog, sp_jobs_job_deadline_ms(job) + GRACE_MS -
                                       sp_clock_mono_ms(sp_loop_clock(sp_role_loop(s->role))));
    rc = scan(s, job, arena, &out);
    sp_watchdog_cancel(s->watchdog);
    if (rc != SP_OK)
        sp_buf_reset(&out);
    sp_jobs_job_reply(job, rc, sp_buf_bytes(&out), NULL, 0);
    sp_buf_wipe(&out);
    if (s->len >= LARGE)
        sp_mem_trim();
}

/* ---- what came back ---- */

static enum sp_rc read_bounce(struct scanner *s, struct sp_jobs_job *job, struct sp_buf *out)
{
    struct sp_jobs_bounce_request request;
    struct sp_mime_bounce b;
    enum sp_rc rc = sp_jobs_bounce_request_decode(sp_jobs_job_payload(job), &request);

    if (rc != SP_OK)
        return rc;
    request.content.fd = sp_jobs_job_take_fd(job, 0);
    s->len = request.content.len;
    rc = request.content.fd < 0 ? SP_E_MALFORMED : SP_OK;
    if (rc == SP_OK) {
        SP_AUTO(sp_content_reader) reader = sp_content_reader_new(&request.content);
        struct sp_mime_source source = sp_mime_source_content(reader, request.content.len);
        struct sp_jobs_bounce_reply reply = {.kind = SP_JOBS_BOUNCE_OTHER};

        sp_mime_bounce_read(&source, &b);
        reply.said = b.said;
        reply.said_count = b.said_count;
        if (b.said_count > 0)
            reply.kind = SP_JOBS_BOUNCE_REPORT;
        else if (b.is_auto)
            reply.kind = SP_JOBS_BOUNCE_AUTO;
        sp_jobs_bounce_reply_encode(out, &reply);
        sp_mime_bounce_clear(&b);
        rc = sp_buf_rc(out);
    }
    sp_content_clear(&request.content);
    return rc;
}

static void on_bounce(void *arg, struct sp_jobs_job *job)
{
    struct scanner *s = arg;
    struct sp_buf out;
    enum sp_rc rc;

    sp_buf_init(&out, REPLY_MAX);
    sp_jobs_job_started(job);
    sp_watchdog_start(s->watchdog, sp_jobs_job_deadline_ms(job) + GRACE_MS -
                                       sp_clock_mono_ms(sp_loop_clock(sp_role_loop(s->role))));
    rc = read_bounce(s, job, &out);
    sp_watchdog_cancel(s->watchdog);
    if (rc != SP_OK)
        sp_buf_reset(&out);
    sp_jobs_job_reply(job, rc, sp_buf_bytes(&out), NULL, 0);
    sp_buf_wipe(&out);
}

/* ---- start and stop ---- */

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct scanner *s = sp_calloc(1, sizeof(*s));
    enum sp_rc rc;

    *state = s;
    s->role = role;
    rc = sp_detect_new(&s->detect, err);
    if (rc == SP_OK)
        rc = scanner_owns_load(role, s->detect, &s->owns, err);
    if (rc == SP_OK)
        rc = sp_watchdog_new(&s->watchdog, err);
    if (rc != SP_OK)
        return rc;
    s->jobs = sp_jobs_new(sp_role_loop(role), sp_role_log(role));
    sp_jobs_on_faulty(s->jobs, sp_role_peer_faulty, role);
    sp_jobs_serve_singly(s->jobs, SP_JOBS_SCAN, on_scan, s);
    sp_jobs_serve_singly(s->jobs, SP_JOBS_BOUNCE, on_bounce, s);
    return SP_OK;
}

static void on_peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
{
    struct scanner *s = state;

    sp_jobs_add_peer(s->jobs, kind, index, fd);
}

/* Between two jobs, always: none holds what is replaced. */
static enum sp_rc on_reload(struct sp_role *role, void *state, struct sp_err *err)
{
    struct scanner *s = state;
    struct scanner_owns *owns;
    enum sp_rc rc = scanner_owns_load(role, s->detect, &owns, err);

    if (rc != SP_OK)
        return rc;
    scanner_owns_free(s->owns);
    s->owns = owns;
    return SP_OK;
}

static void stop(struct sp_role *role, void *state)
{
    (void)state;
    sp_role_stopped(role); /* between two jobs, always */
}

static void free_state(void *state)
{
    struct scanner *s = state;

    sp_jobs_free(s->jobs);
    scanner_owns_free(s->owns);
    sp_detect_free(s->detect);
    sp_watchdog_free(s->watchdog);
    sp_free(s);
}

int main(void)
{
    static const struct sp_role_ops ops = {
        .kind = SP_ROLE_SCANNER,
        .start = start,
        .on_peer = on_peer,
        .on_reload = on_reload,
        .stop = stop,
        .free = free_state,
    };

    return sp_role_main(&ops);
}
