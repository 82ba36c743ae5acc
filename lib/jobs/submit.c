/*
 * submit's codec.
 */
#include "jobs/submit.h"

#include "jobs/wire_priv.h"

static const char *const kind_names[] = {"code", "notice", "report", "reply", "word", "dsn"};

const char *sp_jobs_submit_kind_name(enum sp_jobs_submit_kind kind)
{
    sp_assert(kind < SP_JOBS_SUBMIT_KIND_COUNT);
    return kind_names[kind];
}

void sp_jobs_submit_request_encode(struct sp_buf *out, const struct sp_jobs_submit_request *request)
{
    sp_buf_put_u8(out, (uint8_t)request->kind);
    sp_jobs_wire_put_text(out, request->tenant, SP_JOBS_SUBMIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->from, SP_JOBS_SUBMIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->to, SP_JOBS_SUBMIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->floor, SP_JOBS_SUBMIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->once, SP_JOBS_SUBMIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->content, SP_JOBS_SUBMIT_BODY_MAX);
    sp_buf_put(out, sp_bytes(request->cause.b, SP_ID_LEN));
    sp_buf_put_u64(out, (uint64_t)request->expires_at_ms);
    sp_buf_put_u8(out, request->requires_tls);
    sp_buf_put_u8(out, request->again);
}

enum sp_rc sp_jobs_submit_request_decode(struct sp_bytes data, struct sp_jobs_submit_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_submit_request request = {0};

    request.kind = sp_jobs_wire_enum(&r, SP_JOBS_SUBMIT_KIND_COUNT);
    request.tenant = sp_reader_var(&r, SP_JOBS_SUBMIT_TEXT_MAX);
    request.from = sp_reader_var(&r, SP_JOBS_SUBMIT_TEXT_MAX);
    request.to = sp_reader_var(&r, SP_JOBS_SUBMIT_TEXT_MAX);
    request.floor = sp_reader_var(&r, SP_JOBS_SUBMIT_TEXT_MAX);
    request.once = sp_reader_var(&r, SP_JOBS_SUBMIT_TEXT_MAX);
    request.content = sp_reader_var(&r, SP_JOBS_SUBMIT_BODY_MAX);
    sp_reader_copy(&r, request.cause.b, SP_ID_LEN);
    request.expires_at_ms = (int64_t)sp_reader_u64(&r);
    request.requires_tls = sp_jobs_wire_bool(&r);
    request.again = sp_jobs_wire_bool(&r);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = request;
    return SP_OK;
}

void sp_jobs_submit_reply_encode(struct sp_buf *out, const struct sp_jobs_submit_reply *reply)
{
    sp_buf_put(out, sp_bytes(reply->id.b, SP_ID_LEN));
}

enum sp_rc sp_jobs_submit_reply_decode(struct sp_bytes data, struct sp_jobs_submit_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_submit_reply reply = {0};

    sp_reader_copy(&r, reply.id.b, SP_ID_LEN);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = reply;
    return SP_OK;
}
