/*
 * fetch's codec.
 */
#include "jobs/fetch.h"

#include "jobs/wire_priv.h"

void sp_jobs_fetch_request_encode(struct sp_buf *out, const struct sp_jobs_fetch_request *request)
{
    sp_buf_put_u8(out, (uint8_t)request->kind);
    sp_jobs_wire_put_text(out, request->domain, SP_JOBS_FETCH_TEXT_MAX);
    sp_jobs_wire_put_count(out, request->address_count, SP_JOBS_FETCH_ADDRESSES_MAX);
    sp_jobs_wire_put_texts(out, request->addresses, request->address_count, SP_JOBS_FETCH_TEXT_MAX);
    sp_buf_put_u16(out, request->port);
    sp_jobs_wire_put_text(out, request->path, SP_JOBS_FETCH_PATH_MAX);
    sp_jobs_wire_put_text(out, request->content, SP_JOBS_FETCH_CONTENT_MAX);
    sp_jobs_wire_put_text(out, request->key, SP_JOBS_FETCH_TEXT_MAX);
}

enum sp_rc sp_jobs_fetch_request_decode(struct sp_bytes data, struct sp_arena *arena,
                                        struct sp_jobs_fetch_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_fetch_request request = {0};

    request.kind = sp_jobs_wire_enum(&r, SP_JOBS_FETCH_KIND_COUNT);
    request.domain = sp_reader_var(&r, SP_JOBS_FETCH_TEXT_MAX);
    request.address_count = sp_jobs_wire_count(&r, SP_JOBS_FETCH_ADDRESSES_MAX);
    request.addresses =
        sp_jobs_wire_texts(&r, arena, request.address_count, SP_JOBS_FETCH_TEXT_MAX);
    request.port = sp_reader_u16(&r);
    request.path = sp_reader_var(&r, SP_JOBS_FETCH_PATH_MAX);
    request.content = sp_reader_var(&r, SP_JOBS_FETCH_CONTENT_MAX);
    request.key = sp_reader_var(&r, SP_JOBS_FETCH_TEXT_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = request;
    return SP_OK;
}

void sp_jobs_fetch_reply_encode(struct sp_buf *out, const struct sp_jobs_fetch_reply *reply)
{
    sp_jobs_wire_put_text(out, reply->body, SP_JOBS_FETCH_BODY_MAX);
}

enum sp_rc sp_jobs_fetch_reply_decode(struct sp_bytes data, struct sp_jobs_fetch_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_fetch_reply reply = {0};

    reply.body = sp_reader_var(&r, SP_JOBS_FETCH_BODY_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = reply;
    return SP_OK;
}
