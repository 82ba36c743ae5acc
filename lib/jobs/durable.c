/*
 * durable's codec. The shard's name becomes part of a path in the ledger, so it is held to letters, digits, - and _.
 */
#include "jobs/durable.h"

#include "jobs/wire_priv.h"

static bool is_name(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!sp_ascii_is_alnum(text.ptr[i]) && text.ptr[i] != '-' && text.ptr[i] != '_')
            return false;
    }
    return text.len > 0;
}

void sp_jobs_durable_request_encode(struct sp_buf *out,
                                    const struct sp_jobs_durable_request *request)
{
    sp_jobs_wire_put_text(out, request->shard, SP_JOBS_DURABLE_SHARD_MAX);
    sp_buf_put_u64(out, request->segment);
    sp_buf_put_u64(out, request->end);
}

enum sp_rc sp_jobs_durable_request_decode(struct sp_bytes data, struct sp_jobs_durable_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_durable_request request = {0};

    request.shard = sp_reader_var(&r, SP_JOBS_DURABLE_SHARD_MAX);
    request.segment = sp_reader_u64(&r);
    request.end = sp_reader_u64(&r);
    if (!is_name(request.shard))
        sp_reader_fail(&r);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = request;
    return SP_OK;
}

void sp_jobs_durable_reply_encode(struct sp_buf *out, const struct sp_jobs_durable_reply *reply)
{
    sp_buf_put_u64(out, reply->passed);
}

enum sp_rc sp_jobs_durable_reply_decode(struct sp_bytes data, struct sp_jobs_durable_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_durable_reply reply = {0};

    reply.passed = sp_reader_u64(&r);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = reply;
    return SP_OK;
}
