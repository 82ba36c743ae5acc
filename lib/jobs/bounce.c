/*
 * bounce's codecs. Of a report only what is used goes over: addresses to compare, an action, numbers.
 */
#include "jobs/bounce.h"

#include "jobs/wire_priv.h"

#define KINDS  16
#define FLOORS 16

const char *sp_jobs_bounce_kind_name(enum sp_jobs_bounce_kind kind)
{
    static const char *const names[SP_JOBS_BOUNCE_KIND_COUNT] = {"report", "auto-reply", "other"};

    return names[kind];
}

void sp_jobs_bounce_request_encode(struct sp_buf *out, const struct sp_jobs_bounce_request *r)
{
    sp_content_encode(&r->content, out);
}

enum sp_rc sp_jobs_bounce_request_decode(struct sp_bytes data, struct sp_jobs_bounce_request *out)
{
    struct sp_jobs_bounce_request request;
    struct sp_reader r = sp_reader(data);

    sp_content_decode(&r, -1, &request.content);
    if (sp_reader_end(&r) != SP_OK) {
        sp_content_clear(&request.content);
        return SP_E_MALFORMED;
    }
    *out = request;
    return SP_OK;
}

static void put_said(struct sp_buf *out, const struct sp_dsn_said *s)
{
    sp_jobs_wire_put_text(out, s->final, SP_JOBS_BOUNCE_TEXT_MAX);
    sp_jobs_wire_put_text(out, s->original, SP_JOBS_BOUNCE_TEXT_MAX);
    sp_buf_put_u8(out, (uint8_t)s->action);
    sp_buf_put_u16(out, (uint16_t)s->status.class);
    sp_buf_put_u16(out, (uint16_t)s->status.subject);
    sp_buf_put_u16(out, (uint16_t)s->status.detail);
    sp_buf_put_u16(out, (uint16_t)s->reply_code);
}

void sp_jobs_bounce_reply_encode(struct sp_buf *out, const struct sp_jobs_bounce_reply *r)
{
    sp_buf_put_u8(out, (uint8_t)r->kind);
    sp_jobs_wire_put_count(out, r->said_count, SP_DSN_READ_MAX);
    for (size_t i = 0; i < r->said_count; i++)
        put_said(out, &r->said[i]);
}

static void get_said(struct sp_reader *r, struct sp_dsn_said *s)
{
    *s = (struct sp_dsn_said){.has_action = true};
    s->final = sp_reader_var(r, SP_JOBS_BOUNCE_TEXT_MAX);
    s->original = sp_reader_var(r, SP_JOBS_BOUNCE_TEXT_MAX);
    s->action = (enum sp_dsn_action)sp_jobs_wire_enum(r, SP_DSN_RELAYED + 1);
    s->status.class = sp_reader_u16(r);
    s->status.subject = sp_reader_u16(r);
    s->status.detail = sp_reader_u16(r);
    s->reply_code = sp_reader_u16(r);
    if (s->status.class > 5 || s->status.subject > 999 || s->status.detail > 999 ||
        s->reply_code > 599)
        sp_reader_fail(r);
}

enum sp_rc sp_jobs_bounce_reply_decode(struct sp_bytes data, struct sp_arena *arena,
                                       struct sp_jobs_bounce_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_bounce_reply reply = {0};
    struct sp_dsn_said *said;

    reply.kind = (enum sp_jobs_bounce_kind)sp_jobs_wire_enum(&r, SP_JOBS_BOUNCE_KIND_COUNT);
    reply.said_count = sp_jobs_wire_count(&r, SP_DSN_READ_MAX);
    said = sp_arena_alloc(arena, (reply.said_count + 1) * sizeof(*said));
    for (size_t i = 0; i < reply.said_count; i++)
        get_said(&r, &said[i]);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    reply.said = said;
    *out = reply;
    return SP_OK;
}

void sp_jobs_origin_request_encode(struct sp_buf *out, const struct sp_jobs_origin_request *r)
{
    sp_buf_put(out, sp_bytes(r->id.b, SP_ID_LEN));
    sp_buf_put_u16(out, r->n);
}

enum sp_rc sp_jobs_origin_request_decode(struct sp_bytes data, struct sp_jobs_origin_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_origin_request request = {0};

    sp_reader_copy(&r, request.id.b, SP_ID_LEN);
    request.n = sp_reader_u16(&r);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = request;
    return SP_OK;
}

void sp_jobs_origin_reply_encode(struct sp_buf *out, const struct sp_jobs_origin_reply *r)
{
    sp_buf_put_u8(out, r->known ? 1 : 0);
    sp_buf_put_u8(out, r->kind);
    sp_buf_put_u8(out, r->floor);
    sp_jobs_wire_put_text(out, r->tenant, SP_JOBS_BOUNCE_TEXT_MAX);
    sp_jobs_wire_put_text(out, r->sender, SP_JOBS_BOUNCE_TEXT_MAX);
    sp_jobs_wire_put_text(out, r->recipient, SP_JOBS_BOUNCE_TEXT_MAX);
    sp_buf_put(out, sp_bytes(r->message.b, SP_ID_LEN));
    sp_buf_put_u16(out, r->n);
    sp_jobs_wire_put_text(out, r->package, SP_JOBS_BOUNCE_TEXT_MAX);
}

enum sp_rc sp_jobs_origin_reply_decode(struct sp_bytes data, struct sp_jobs_origin_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_origin_reply reply = {0};

    reply.known = sp_jobs_wire_bool(&r);
    reply.kind = (uint8_t)sp_jobs_wire_enum(&r, KINDS);
    reply.floor = (uint8_t)sp_jobs_wire_enum(&r, FLOORS);
    reply.tenant = sp_reader_var(&r, SP_JOBS_BOUNCE_TEXT_MAX);
    reply.sender = sp_reader_var(&r, SP_JOBS_BOUNCE_TEXT_MAX);
    reply.recipient = sp_reader_var(&r, SP_JOBS_BOUNCE_TEXT_MAX);
    sp_reader_copy(&r, reply.message.b, SP_ID_LEN);
    reply.n = sp_reader_u16(&r);
    reply.package = sp_reader_var(&r, SP_JOBS_BOUNCE_TEXT_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = reply;
    return SP_OK;
}
