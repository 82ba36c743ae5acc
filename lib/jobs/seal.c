/*
 * seal's codec.
 */
#include "jobs/seal.h"

#include "jobs/wire_priv.h"

static const char *const method_names[] = {"smime", "pgp", "sign"};

const char *sp_jobs_seal_method_name(enum sp_jobs_seal_method method)
{
    sp_assert(method < SP_JOBS_SEAL_METHOD_COUNT);
    return method_names[method];
}

void sp_jobs_seal_request_encode(struct sp_buf *out, const struct sp_jobs_seal_request *request)
{
    sp_buf_put_u8(out, (uint8_t)request->method);
    sp_buf_put_u8(out, (uint8_t)request->cipher);
    sp_buf_put_u8(out, request->sign);
    sp_buf_put_u8(out, request->strip_tag);
    sp_content_encode(&request->content, out);
    sp_jobs_wire_put_text(out, request->tenant, SP_JOBS_SEAL_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->from, SP_JOBS_SEAL_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->protected_subject, SP_JOBS_SEAL_TEXT_MAX);
    sp_jobs_wire_put_count(out, request->recipient_count, SP_JOBS_SEAL_RECIPIENTS_MAX);
    sp_jobs_wire_put_texts(out, request->recipients, request->recipient_count,
                           SP_JOBS_SEAL_TEXT_MAX);
    sp_jobs_wire_put_count(out, request->key_count, SP_JOBS_SEAL_KEYS_MAX);
    for (size_t i = 0; i < request->key_count; i++) {
        sp_jobs_wire_put_text(out, request->keys[i].recipient, SP_JOBS_SEAL_TEXT_MAX);
        sp_jobs_wire_put_text(out, request->keys[i].id, SP_JOBS_SEAL_TEXT_MAX);
        sp_jobs_wire_put_text(out, request->keys[i].bytes, SP_JOBS_SEAL_KEY_LEN_MAX);
        sp_buf_put_u32(out, request->keys[i].abilities);
    }
    sp_jobs_wire_put_count(out, request->add_count, SP_JOBS_SEAL_FIELDS_MAX);
    for (size_t i = 0; i < request->add_count; i++) {
        sp_jobs_wire_put_text(out, request->add[i].name, SP_JOBS_SEAL_TEXT_MAX);
        sp_jobs_wire_put_text(out, request->add[i].value, SP_JOBS_SEAL_TEXT_MAX);
    }
    sp_jobs_wire_put_count(out, request->strip_count, SP_JOBS_SEAL_FIELDS_MAX);
    sp_jobs_wire_put_texts(out, request->strip, request->strip_count, SP_JOBS_SEAL_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->above, SP_JOBS_SEAL_ADDED_MAX);
    sp_jobs_wire_put_text(out, request->below, SP_JOBS_SEAL_ADDED_MAX);
}

static void get_keys(struct sp_reader *r, struct sp_arena *arena, struct sp_jobs_seal_request *out)
{
    size_t count = sp_jobs_wire_count(r, SP_JOBS_SEAL_KEYS_MAX);
    struct sp_jobs_seal_key *list = sp_arena_alloc(arena, count * sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        list[i].recipient = sp_reader_var(r, SP_JOBS_SEAL_TEXT_MAX);
        list[i].id = sp_reader_var(r, SP_JOBS_SEAL_TEXT_MAX);
        list[i].bytes = sp_reader_var(r, SP_JOBS_SEAL_KEY_LEN_MAX);
        list[i].abilities = sp_reader_u32(r);
    }
    out->keys = list;
    out->key_count = count;
}

static void get_edits(struct sp_reader *r, struct sp_arena *arena, struct sp_jobs_seal_request *out)
{
    size_t count = sp_jobs_wire_count(r, SP_JOBS_SEAL_FIELDS_MAX);
    struct sp_jobs_seal_field *list = sp_arena_alloc(arena, count * sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        list[i].name = sp_reader_var(r, SP_JOBS_SEAL_TEXT_MAX);
        list[i].value = sp_reader_var(r, SP_JOBS_SEAL_TEXT_MAX);
    }
    out->add = list;
    out->add_count = count;
    out->strip_count = sp_jobs_wire_count(r, SP_JOBS_SEAL_FIELDS_MAX);
    out->strip = sp_jobs_wire_texts(r, arena, out->strip_count, SP_JOBS_SEAL_TEXT_MAX);
    out->above = sp_reader_var(r, SP_JOBS_SEAL_ADDED_MAX);
    out->below = sp_reader_var(r, SP_JOBS_SEAL_ADDED_MAX);
}

enum sp_rc sp_jobs_seal_request_decode(struct sp_bytes data, struct sp_arena *arena,
                                       struct sp_jobs_seal_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_seal_request request = {0};

    request.method = sp_jobs_wire_enum(&r, SP_JOBS_SEAL_METHOD_COUNT);
    request.cipher = sp_jobs_wire_enum(&r, SP_JOBS_SEAL_CIPHER_COUNT);
    request.sign = sp_jobs_wire_bool(&r);
    request.strip_tag = sp_jobs_wire_bool(&r);
    sp_content_decode(&r, -1, &request.content);
    request.tenant = sp_reader_var(&r, SP_JOBS_SEAL_TEXT_MAX);
    request.from = sp_reader_var(&r, SP_JOBS_SEAL_TEXT_MAX);
    request.protected_subject = sp_reader_var(&r, SP_JOBS_SEAL_TEXT_MAX);
    request.recipient_count = sp_jobs_wire_count(&r, SP_JOBS_SEAL_RECIPIENTS_MAX);
    request.recipients =
        sp_jobs_wire_texts(&r, arena, request.recipient_count, SP_JOBS_SEAL_TEXT_MAX);
    get_keys(&r, arena, &request);
    get_edits(&r, arena, &request);
    if (sp_reader_end(&r) != SP_OK) {
        sp_content_clear(&request.content);
        return SP_E_MALFORMED;
    }
    *out = request;
    return SP_OK;
}

void sp_jobs_seal_reply_encode(struct sp_buf *out, const struct sp_jobs_seal_reply *reply)
{
    sp_content_encode(&reply->content, out);
    sp_buf_put(out, sp_bytes(reply->sha256, sizeof(reply->sha256)));
    sp_jobs_wire_put_text(out, reply->facts, SP_JOBS_SEAL_FACTS_MAX);
}

enum sp_rc sp_jobs_seal_reply_decode(struct sp_bytes data, struct sp_jobs_seal_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_seal_reply reply = {0};

    sp_content_decode(&r, -1, &reply.content);
    sp_reader_copy(&r, reply.sha256, sizeof(reply.sha256));
    reply.facts = sp_reader_var(&r, SP_JOBS_SEAL_FACTS_MAX);
    if (sp_reader_end(&r) != SP_OK) {
        sp_content_clear(&reply.content);
        return SP_E_MALFORMED;
    }
    *out = reply;
    return SP_OK;
}
