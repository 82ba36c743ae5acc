/*
 * keys' codec.
 */
#include "jobs/keys.h"

#include "jobs/wire_priv.h"

static const char *const kind_names[] = {"smime", "pgp"};

const char *sp_jobs_key_kind_name(enum sp_jobs_key_kind kind)
{
    sp_assert(kind < SP_JOBS_KEY_KIND_COUNT);
    return kind_names[kind];
}

void sp_jobs_keys_request_encode(struct sp_buf *out, const struct sp_jobs_keys_request *request)
{
    sp_jobs_wire_put_text(out, request->address, SP_JOBS_KEYS_TEXT_MAX);
    sp_jobs_wire_put_text(out, request->tenant, SP_JOBS_KEYS_TEXT_MAX);
}

enum sp_rc sp_jobs_keys_request_decode(struct sp_bytes data, struct sp_jobs_keys_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_keys_request request = {0};

    request.address = sp_reader_var(&r, SP_JOBS_KEYS_TEXT_MAX);
    request.tenant = sp_reader_var(&r, SP_JOBS_KEYS_TEXT_MAX);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = request;
    return SP_OK;
}

void sp_jobs_keys_reply_encode(struct sp_buf *out, const struct sp_jobs_keys_reply *reply)
{
    sp_jobs_wire_put_count(out, reply->key_count, SP_JOBS_KEYS_MAX);
    for (size_t i = 0; i < reply->key_count; i++) {
        sp_buf_put_u8(out, (uint8_t)reply->keys[i].kind);
        sp_buf_put_u32(out, reply->keys[i].abilities);
        sp_buf_put_u64(out, (uint64_t)reply->keys[i].not_after_ms);
        sp_jobs_wire_put_text(out, reply->keys[i].id, SP_JOBS_KEYS_TEXT_MAX);
        sp_jobs_wire_put_text(out, reply->keys[i].bytes, SP_JOBS_KEYS_LEN_MAX);
    }
    sp_jobs_wire_put_count(out, reply->refused_count, SP_JOBS_KEYS_MAX);
    for (size_t i = 0; i < reply->refused_count; i++) {
        sp_jobs_wire_put_text(out, reply->refused[i].id, SP_JOBS_KEYS_TEXT_MAX);
        sp_jobs_wire_put_text(out, reply->refused[i].why, SP_JOBS_KEYS_TEXT_MAX);
    }
}

static void get_keys(struct sp_reader *r, struct sp_arena *arena, struct sp_jobs_keys_reply *out)
{
    size_t count = sp_jobs_wire_count(r, SP_JOBS_KEYS_MAX);
    struct sp_jobs_key *list = sp_arena_alloc(arena, count * sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        list[i].kind = sp_jobs_wire_enum(r, SP_JOBS_KEY_KIND_COUNT);
        list[i].abilities = sp_reader_u32(r);
        list[i].not_after_ms = (int64_t)sp_reader_u64(r);
        list[i].id = sp_reader_var(r, SP_JOBS_KEYS_TEXT_MAX);
        list[i].bytes = sp_reader_var(r, SP_JOBS_KEYS_LEN_MAX);
    }
    out->keys = list;
    out->key_count = count;
}

static void get_refused(struct sp_reader *r, struct sp_arena *arena, struct sp_jobs_keys_reply *out)
{
    size_t count = sp_jobs_wire_count(r, SP_JOBS_KEYS_MAX);
    struct sp_jobs_key_refused *list = sp_arena_alloc(arena, count * sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        list[i].id = sp_reader_var(r, SP_JOBS_KEYS_TEXT_MAX);
        list[i].why = sp_reader_var(r, SP_JOBS_KEYS_TEXT_MAX);
    }
    out->refused = list;
    out->refused_count = count;
}

enum sp_rc sp_jobs_keys_reply_decode(struct sp_bytes data, struct sp_arena *arena,
                                     struct sp_jobs_keys_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_keys_reply reply = {0};

    get_keys(&r, arena, &reply);
    get_refused(&r, arena, &reply);
    if (sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = reply;
    return SP_OK;
}
