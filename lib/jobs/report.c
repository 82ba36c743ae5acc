/*
 * report's codec.
 */
#include "jobs/report.h"

#include "jobs/wire_priv.h"

void sp_jobs_report_request_encode(struct sp_buf *out, const struct sp_jobs_report_request *request)
{
    sp_buf_put_u8(out, (uint8_t)request->op);
    sp_jobs_wire_put_text(out, request->domain, SP_JOBS_REPORT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->uri, SP_JOBS_REPORT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->id, SP_JOBS_REPORT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->key, SP_JOBS_REPORT_TEXT_MAX);
    sp_buf_put_u64(out, (uint64_t)request->from_s);
    sp_buf_put_u64(out, (uint64_t)request->to_s);
    sp_jobs_wire_put_text(out, request->content, SP_JOBS_REPORT_CONTENT_MAX);
}

enum sp_rc sp_jobs_report_request_decode(struct sp_bytes data, struct sp_jobs_report_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_report_request request = {0};

    request.op = sp_jobs_wire_enum(&r, SP_JOBS_REPORT_OP_COUNT);
    request.domain = sp_reader_var(&r, SP_JOBS_REPORT_TEXT_MAX);
    request.uri = sp_reader_var(&r, SP_JOBS_REPORT_TEXT_MAX);
    request.id = sp_reader_var(&r, SP_JOBS_REPORT_TEXT_MAX);
    request.key = sp_reader_var(&r, SP_JOBS_REPORT_TEXT_MAX);
    request.from_s = (int64_t)sp_reader_u64(&r);
    request.to_s = (int64_t)sp_reader_u64(&r);
    request.content = sp_reader_var(&r, SP_JOBS_REPORT_CONTENT_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = request;
    return SP_OK;
}

void sp_jobs_report_reply_encode(struct sp_buf *out, const struct sp_jobs_report_reply *reply)
{
    sp_jobs_wire_put_text(out, reply->contact, SP_JOBS_REPORT_TEXT_MAX);
    sp_jobs_wire_put_count(out, reply->uri_count, SP_JOBS_REPORT_URIS_MAX);
    sp_jobs_wire_put_texts(out, reply->uris, reply->uri_count, SP_JOBS_REPORT_TEXT_MAX);
}

enum sp_rc sp_jobs_report_reply_decode(struct sp_bytes data, struct sp_arena *arena,
                                       struct sp_jobs_report_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_report_reply reply = {0};

    reply.contact = sp_reader_var(&r, SP_JOBS_REPORT_TEXT_MAX);
    reply.uri_count = sp_jobs_wire_count(&r, SP_JOBS_REPORT_URIS_MAX);
    reply.uris = sp_jobs_wire_texts(&r, arena, reply.uri_count, SP_JOBS_REPORT_TEXT_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = reply;
    return SP_OK;
}
