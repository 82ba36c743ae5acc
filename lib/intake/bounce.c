/*
 * A listener for bounces: it takes mail from the null sender to one return path of ours, and nothing else. Whoever comes need
 * prove nothing, since the address is proof enough that we wrote to somebody (crypt/token.h); what carries no valid one is
 * refused before any of it is read, so nobody is answered by mail for it, now or later. The rest is in bounced.c.
 */
#include "intake/bounce_priv.h"

#define DAY_MS   ((int64_t)86400000)
#define DAYS_MAX 30 /* a report that comes later is nobody's any more */

static struct bounce *bounce_new(struct session *s)
{
    struct bounce *b = sp_calloc(1, sizeof(*b));

    b->in = s->in;
    b->session = s;
    b->gen = sp_intake_generation_ref(s->in->now);
    b->arena = sp_arena_new(4096);
    b->id = sp_id_new(s->in->parts.clock, s->in->parts.random);
    b->time_ms = sp_clock_wall_ms(s->in->parts.clock);
    b->skew_ms = sp_clock_skew_ms(s->in->parts.clock);
    sp_buf_init(&b->head, SP_HEADER_MAX + SP_STREAM_INPUT_MAX);
    sp_content_init(&b->content);
    return b;
}

static void bounce_free(struct bounce *b)
{
    if (b->call != 0)
        sp_jobs_cancel(b->in->parts.jobs, b->call);
    sp_content_clear(&b->content);
    sp_queue_body_free(b->body);
    sp_buf_clear(&b->head);
    sp_arena_free(b->arena);
    sp_intake_generation_unref(b->gen);
    sp_free(b);
}

void sp_intake_bounce_drop(struct session *s)
{
    if (s->bounce != NULL)
        bounce_free(s->bounce);
    s->bounce = NULL;
}

void sp_intake_bounce_orphan(struct bounce *b)
{
    b->session->bounce = NULL;
    b->session = NULL;
    if (!b->in_flight)
        bounce_free(b);
}

void sp_intake_bounce_done(struct bounce *b, enum sp_rc rc, struct sp_bytes text)
{
    struct session *s = b->session;

    if (s != NULL) {
        s->bounce = NULL;
        if (sp_rc_info(rc)->class == SP_CLASS_PERM)
            sp_intake_refused(s, NULL, "intake.refused", rc, sp_bytes(NULL, 0));
        sp_intake_session_answer(s, rc, text);
    }
    bounce_free(b);
}

/* ---- the envelope ---- */

static enum sp_rc take_mail(struct session *s, const struct sp_smtp_server_event *ev)
{
    enum sp_rc rc = sp_queue_ready(s->in->parts.queue);

    if (rc == SP_OK)
        rc = sp_intake_memory_check(s, NULL);
    if (rc == SP_OK && (ev->address.local.len > 0 || ev->address.domain.len > 0)) {
        rc = SP_E_INTAKE_REPORTS;
        sp_intake_refused(s, NULL, "intake.refused", rc, sp_bytes(NULL, 0));
    }
    if (rc == SP_OK)
        s->bounce = bounce_new(s);
    return rc;
}

/* returns: the tenant whose return paths lie in that domain, or NULL */
static const struct sp_tenant *tenant_of(const struct generation *g, struct sp_bytes domain)
{
    for (size_t i = 0; i < g->tenant_count; i++) {
        const char *own = g->tenants[i].tenant->bounces.domain;

        if (own[0] != 0 && sp_bytes_eq_nocase(domain, sp_bytes_cstr(own)))
            return g->tenants[i].tenant;
    }
    return NULL;
}

static enum sp_rc take_rcpt(struct bounce *b, const struct sp_smtp_server_event *ev)
{
    const struct sp_tenant *t = tenant_of(b->gen, ev->address.domain);
    int64_t today = b->time_ms / DAY_MS;

    if (b->tenant != NULL)
        return SP_E_SMTP_RCPT_MANY;
    if (t == NULL || sp_crypt_token_read(&b->in->parts.return_key, ev->address.local,
                                         ev->address.domain, &b->token) != SP_OK)
        return SP_E_INTAKE_PATH;
    if (b->token.day > today + 1 || b->token.day + DAYS_MAX < today)
        return SP_E_INTAKE_PATH;
    if (!sp_intake_bounce_has_room(b->in, t))
        return SP_E_INTAKE_RATE;
    b->tenant = t;
    return SP_OK;
}

static enum sp_rc answer_rcpt(struct session *s, const struct sp_smtp_server_event *ev)
{
    enum sp_rc rc = take_rcpt(s->bounce, ev);

    if (rc == SP_E_INTAKE_PATH)
        sp_intake_refused(s, NULL, "intake.refused", rc, sp_bytes(NULL, 0));
    return rc;
}

/* ---- the bytes ---- */

static void refuse(struct bounce *b, enum sp_rc rc)
{
    b->refuse_rc = b->refuse_rc == SP_OK ? rc : b->refuse_rc;
    sp_queue_body_free(b->body);
    b->body = NULL;
}

/* What has been forwarded a hundred times goes round in a circle. */
static void look_at_header(struct bounce *b, bool whole)
{
    struct sp_header h;

    b->split = true;
    if (sp_header_parse(sp_buf_bytes(&b->head), whole, &h) == SP_OK &&
        sp_trace_is_loop(&h, SP_LIT("-")))
        refuse(b, SP_E_INTAKE_LOOP);
    sp_buf_clear(&b->head);
}

static void take_chunk(struct bounce *b, struct sp_bytes chunk)
{
    size_t from;
    enum sp_rc rc;

    if (b->refuse_rc != SP_OK)
        return;
    if (b->body == NULL)
        b->body = sp_queue_body_new(b->in->parts.queue, &b->id);
    rc = sp_queue_body_feed(b->body, chunk);
    if (rc != SP_OK) {
        refuse(b, rc);
        return;
    }
    if (b->split)
        return;
    from = b->head.len < 3 ? 0 : b->head.len - 3; /* what was looked at is not looked at again */
    sp_buf_put(&b->head, chunk);
    if (b->head.len >= SP_HEADER_MAX ||
        sp_bytes_find_all(sp_bytes_slice(sp_buf_bytes(&b->head), from, b->head.len),
                          SP_LIT("\r\n\r\n")) != SIZE_MAX)
        look_at_header(b, false);
}

static void on_room(void *arg)
{
    struct session *s = arg;

    s->holding = false;
    sp_intake_session_hold(s);
    sp_intake_session_pump(s);
}

bool sp_intake_bounce_is_full(struct session *s)
{
    if (s->bounce == NULL)
        return false;
    if (s->holding)
        return true;
    if (s->bounce->body == NULL || !sp_queue_body_is_full(s->bounce->body))
        return false;
    s->holding = true;
    sp_intake_session_hold(s);
    sp_queue_body_wait(s->bounce->body, on_room, s);
    return true;
}

static void on_finished(void *arg, enum sp_rc rc)
{
    if (rc == SP_OK)
        sp_intake_bounced(arg);
    else
        sp_intake_bounce_done(arg, rc, sp_bytes(NULL, 0));
}

static void take_end(struct bounce *b, const struct sp_smtp_data_facts *data)
{
    b->data = *data;
    if (!b->split)
        look_at_header(b, true);
    if (b->refuse_rc == SP_OK && !sp_intake_bounce_take_room(b->in, b->tenant))
        refuse(b, SP_E_INTAKE_RATE);
    if (b->refuse_rc == SP_OK && b->body == NULL)
        b->body = sp_queue_body_new(b->in->parts.queue, &b->id);
    if (b->refuse_rc != SP_OK)
        sp_intake_bounce_done(b, b->refuse_rc, sp_bytes(NULL, 0));
    else
        sp_queue_body_finish(b->body, on_finished, b);
}

bool sp_intake_bounce_event(struct session *s, const struct sp_smtp_server_event *ev)
{
    switch (ev->type) {
    case SP_SMTP_SERVER_MAIL:
        sp_smtp_server_answer(s->server, take_mail(s, ev), sp_bytes(NULL, 0));
        return true;
    case SP_SMTP_SERVER_RCPT:
        sp_smtp_server_answer(s->server, answer_rcpt(s, ev), sp_bytes(NULL, 0));
        return true;
    case SP_SMTP_SERVER_DATA:
        sp_smtp_server_answer(s->server, SP_OK, sp_bytes(NULL, 0));
        return true;
    case SP_SMTP_SERVER_CHUNK:
        take_chunk(s->bounce, ev->text);
        return true;
    case SP_SMTP_SERVER_END:
        take_end(s->bounce, &ev->data);
        return true;
    default:
        return false;
    }
}
