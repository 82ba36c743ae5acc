/*
 * scan's codec. A reply that does not decode is, to the caller, a scan that failed: most sensitive.
 */
#include "jobs/scan.h"

#include "jobs/wire_priv.h"

static const char *const state_names[] = {"complete", "partial", "failed"};
static const char *const phi_names[] = {"none", "identifier", "phi", "severe"};
static const char *const sealed_names[] = {"none", "smime", "pgp", "signed"};

const char *sp_jobs_scan_state_name(enum sp_jobs_scan_state state)
{
    sp_assert(state < SP_JOBS_SCAN_STATE_COUNT);
    return state_names[state];
}

const char *sp_jobs_phi_class_name(enum sp_jobs_phi_class class)
{
    sp_assert(class < SP_JOBS_PHI_COUNT);
    return phi_names[class];
}

const char *sp_jobs_sealed_name(enum sp_jobs_sealed sealed)
{
    sp_assert(sealed < SP_JOBS_SEALED_COUNT);
    return sealed_names[sealed];
}

void sp_jobs_scan_request_encode(struct sp_buf *out, const struct sp_jobs_scan_request *request)
{
    sp_content_encode(&request->content, out);
    sp_buf_put_u64(out, (uint64_t)request->time_limit_ms);
    sp_buf_put_u32(out, request->depth_max);
    sp_buf_put_u32(out, request->parts_max);
    sp_buf_put_u64(out, request->unpacked_max);
    sp_jobs_wire_put_text(out, request->tenant, SP_JOBS_SCAN_TEXT_MAX);
}

enum sp_rc sp_jobs_scan_request_decode(struct sp_bytes data, struct sp_jobs_scan_request *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_scan_request request = {0};

    sp_content_decode(&r, -1, &request.content);
    request.time_limit_ms = (int64_t)sp_reader_u64(&r);
    request.depth_max = sp_reader_u32(&r);
    request.parts_max = sp_reader_u32(&r);
    request.unpacked_max = sp_reader_u64(&r);
    request.tenant = sp_reader_var(&r, SP_JOBS_SCAN_TEXT_MAX);
    if (sp_reader_end(&r) != SP_OK || request.time_limit_ms < 0) {
        sp_content_clear(&request.content);
        return SP_E_MALFORMED;
    }
    *out = request;
    return SP_OK;
}

void sp_jobs_scan_reply_encode(struct sp_buf *out, const struct sp_jobs_scan_reply *reply)
{
    sp_buf_put_u8(out, (uint8_t)reply->state);
    sp_buf_put_u8(out, (uint8_t)reply->phi_class);
    sp_buf_put_u8(out, (uint8_t)reply->sealed);
    sp_buf_put_u32(out, reply->score);
    sp_jobs_wire_put_text(out, reply->version, SP_JOBS_SCAN_TEXT_MAX);
    sp_jobs_wire_put_count(out, reply->special_count, SP_JOBS_SCAN_LIST_MAX);
    sp_jobs_wire_put_texts(out, reply->special, reply->special_count, SP_JOBS_SCAN_TEXT_MAX);
    sp_jobs_wire_put_count(out, reply->type_count, SP_JOBS_SCAN_LIST_MAX);
    for (size_t i = 0; i < reply->type_count; i++) {
        sp_jobs_wire_put_text(out, reply->types[i].name, SP_JOBS_SCAN_TEXT_MAX);
        sp_buf_put_u32(out, reply->types[i].count);
        sp_buf_put_u32(out, reply->types[i].distinct);
        sp_buf_put_u32(out, reply->types[i].score);
    }
    sp_jobs_wire_put_count(out, reply->attachment_count, SP_JOBS_SCAN_LIST_MAX);
    for (size_t i = 0; i < reply->attachment_count; i++) {
        sp_jobs_wire_put_text(out, reply->attachments[i].type, SP_JOBS_SCAN_TEXT_MAX);
        sp_jobs_wire_put_text(out, reply->attachments[i].name, SP_JOBS_SCAN_TEXT_MAX);
        sp_buf_put_u8(out, reply->attachments[i].is_opaque);
    }
    sp_jobs_wire_put_count(out, reply->gap_count, SP_JOBS_SCAN_LIST_MAX);
    for (size_t i = 0; i < reply->gap_count; i++) {
        sp_jobs_wire_put_text(out, reply->gaps[i].part, SP_JOBS_SCAN_TEXT_MAX);
        sp_jobs_wire_put_text(out, reply->gaps[i].why, SP_JOBS_SCAN_TEXT_MAX);
    }
}

static void get_types(struct sp_reader *r, struct sp_arena *arena, struct sp_jobs_scan_reply *out)
{
    size_t count = sp_jobs_wire_count(r, SP_JOBS_SCAN_LIST_MAX);
    struct sp_jobs_scan_type *list = sp_arena_alloc(arena, count * sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        list[i].name = sp_reader_var(r, SP_JOBS_SCAN_TEXT_MAX);
        list[i].count = sp_reader_u32(r);
        list[i].distinct = sp_reader_u32(r);
        list[i].score = sp_reader_u32(r);
        if (list[i].score > 100)
            sp_reader_fail(r);
    }
    out->types = list;
    out->type_count = count;
}

static void get_attachments(struct sp_reader *r, struct sp_arena *arena,
                            struct sp_jobs_scan_reply *out)
{
    size_t count = sp_jobs_wire_count(r, SP_JOBS_SCAN_LIST_MAX);
    struct sp_jobs_scan_attachment *list = sp_arena_alloc(arena, count * sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        list[i].type = sp_reader_var(r, SP_JOBS_SCAN_TEXT_MAX);
        list[i].name = sp_reader_var(r, SP_JOBS_SCAN_TEXT_MAX);
        list[i].is_opaque = sp_jobs_wire_bool(r);
    }
    out->attachments = list;
    out->attachment_count = count;
}

static void get_gaps(struct sp_reader *r, struct sp_arena *arena, struct sp_jobs_scan_reply *out)
{
    size_t count = sp_jobs_wire_count(r, SP_JOBS_SCAN_LIST_MAX);
    struct sp_jobs_scan_gap *list = sp_arena_alloc(arena, count * sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        list[i].part = sp_reader_var(r, SP_JOBS_SCAN_TEXT_MAX);
        list[i].why = sp_reader_var(r, SP_JOBS_SCAN_TEXT_MAX);
    }
    out->gaps = list;
    out->gap_count = count;
}

enum sp_rc sp_jobs_scan_reply_decode(struct sp_bytes data, struct sp_arena *arena,
                                     struct sp_jobs_scan_reply *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_jobs_scan_reply reply = {0};

    reply.state = sp_jobs_wire_enum(&r, SP_JOBS_SCAN_STATE_COUNT);
    reply.phi_class = sp_jobs_wire_enum(&r, SP_JOBS_PHI_COUNT);
    reply.sealed = sp_jobs_wire_enum(&r, SP_JOBS_SEALED_COUNT);
    reply.score = sp_reader_u32(&r);
    reply.version = sp_reader_var(&r, SP_JOBS_SCAN_TEXT_MAX);
    reply.special_count = sp_jobs_wire_count(&r, SP_JOBS_SCAN_LIST_MAX);
    reply.special = sp_jobs_wire_texts(&r, arena, reply.special_count, SP_JOBS_SCAN_TEXT_MAX);
    get_types(&r, arena, &reply);
    get_attachments(&r, arena, &reply);
    get_gaps(&r, arena, &reply);
    if (sp_reader_end(&r) != SP_OK || reply.score > 100)
        return SP_E_MALFORMED;
    *out = reply;
    return SP_OK;
}
