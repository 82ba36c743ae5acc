/*
 * deposit's codec.
 */
#include "jobs/deposit.h"

#include "jobs/wire_priv.h"

void sp_jobs_deposit_request_encode(struct sp_buf *out,
                                    const struct sp_jobs_deposit_request *request)
{
    sp_content_encode(&request->content, out);
    sp_buf_put_u32(out, request->n);
    sp_jobs_wire_put_text(out, request->tenant, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->sender, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->recipient, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->floor, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->login, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_buf_put_u64(out, (uint64_t)request->accepted_at_ms);
    sp_buf_put_u64(out, (uint64_t)request->expires_at_ms);
    sp_buf_put_u8(out, request->may_reply);
    sp_buf_put_u8(out, request->may_forward);
    for (size_t i = 0; i < SP_JOBS_DEPOSIT_REMIND_MAX; i++)
        sp_buf_put_u64(out, (uint64_t)request->remind_at_ms[i]);
    sp_buf_put_u64(out, (uint64_t)request->unread_at_ms);
    sp_jobs_wire_put_text(out, request->name, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_buf_put_u8(out, request->reports);
    sp_jobs_wire_put_text(out, request->envid, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->orcpt, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->notice, SP_JOBS_DEPOSIT_NOTICE_MAX);
}

enum sp_rc sp_jobs_deposit_request_decode(struct sp_bytes data, struct sp_jobs_deposit_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_deposit_request request = {0};

    sp_content_decode(&r, -1, &request.content);
    request.n = sp_reader_u32(&r);
    request.tenant = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    request.sender = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    request.recipient = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    request.floor = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    request.login = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    request.accepted_at_ms = (int64_t)sp_reader_u64(&r);
    request.expires_at_ms = (int64_t)sp_reader_u64(&r);
    request.may_reply = sp_jobs_wire_bool(&r);
    request.may_forward = sp_jobs_wire_bool(&r);
    for (size_t i = 0; i < SP_JOBS_DEPOSIT_REMIND_MAX; i++)
        request.remind_at_ms[i] = (int64_t)sp_reader_u64(&r);
    request.unread_at_ms = (int64_t)sp_reader_u64(&r);
    request.name = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    request.reports = sp_reader_u8(&r);
    request.envid = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    request.orcpt = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    request.notice = sp_reader_var(&r, SP_JOBS_DEPOSIT_NOTICE_MAX);
    if (sp_reader_end(&r) != SP_OK) {
        sp_content_clear(&request.content);
        return SP_E_MALFORMED;
    }
    *out = request;
    return SP_OK;
}

void sp_jobs_returned_request_encode(struct sp_buf *out,
                                     const struct sp_jobs_returned_request *request)
{
    sp_jobs_wire_put_text(out, request->package, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_buf_put_u8(out, request->tells);
    sp_jobs_wire_put_text(out, request->status, SP_JOBS_DEPOSIT_TEXT_MAX);
}

enum sp_rc sp_jobs_returned_request_decode(struct sp_bytes data,
                                           struct sp_jobs_returned_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_returned_request request = {0};

    request.package = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    request.tells = sp_jobs_wire_bool(&r);
    request.status = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = request;
    return SP_OK;
}

void sp_jobs_deposit_reply_encode(struct sp_buf *out, const struct sp_jobs_deposit_reply *reply)
{
    sp_jobs_wire_put_text(out, reply->package, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, reply->link, SP_JOBS_DEPOSIT_TEXT_MAX);
    sp_jobs_wire_put_text(out, reply->key, SP_JOBS_DEPOSIT_TEXT_MAX);
}

enum sp_rc sp_jobs_deposit_reply_decode(struct sp_bytes data, struct sp_jobs_deposit_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_deposit_reply reply = {0};

    reply.package = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    reply.link = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    reply.key = sp_reader_var(&r, SP_JOBS_DEPOSIT_TEXT_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = reply;
    return SP_OK;
}
