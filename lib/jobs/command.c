/*
 * command's and act's codecs: JSON text that the ends understand, with what a frame must say beside.
 */
#include "jobs/command.h"

#include "jobs/act.h"
#include "jobs/wire_priv.h"

void sp_jobs_command_request_encode(struct sp_buf *out,
                                    const struct sp_jobs_command_request *request)
{
    sp_jobs_wire_put_text(out, request->actor, SP_JOBS_COMMAND_MAX);
    sp_jobs_wire_put_text(out, request->json, SP_JOBS_COMMAND_MAX);
}

enum sp_rc sp_jobs_command_request_decode(struct sp_bytes data, struct sp_jobs_command_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_command_request request = {0};

    request.actor = sp_reader_var(&r, SP_JOBS_COMMAND_MAX);
    request.json = sp_reader_var(&r, SP_JOBS_COMMAND_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = request;
    return SP_OK;
}

void sp_jobs_command_reply_encode(struct sp_buf *out, const struct sp_jobs_command_reply *reply)
{
    sp_buf_put_u8(out, reply->has_file);
    sp_jobs_wire_put_text(out, reply->json, SP_JOBS_COMMAND_MAX);
}

enum sp_rc sp_jobs_command_reply_decode(struct sp_bytes data, struct sp_jobs_command_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_command_reply reply = {0};

    reply.has_file = sp_jobs_wire_bool(&r);
    reply.json = sp_reader_var(&r, SP_JOBS_COMMAND_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = reply;
    return SP_OK;
}

void sp_jobs_act_request_encode(struct sp_buf *out, const struct sp_jobs_act_request *request)
{
    sp_buf_put_u8(out, request->batch);
    sp_jobs_wire_put_text(out, request->event, SP_JOBS_ACT_MAX);
}

enum sp_rc sp_jobs_act_request_decode(struct sp_bytes data, struct sp_jobs_act_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_act_request request = {0};

    request.batch = sp_jobs_wire_bool(&r);
    request.event = sp_reader_var(&r, SP_JOBS_ACT_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = request;
    return SP_OK;
}
