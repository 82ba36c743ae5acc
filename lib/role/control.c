/*
 * Encodings of the few frames between supervisor and roles.
 */
#include "role/control.h"

#include "base/reader.h"

#define LOG_LEVELS (SP_LOG_ERROR + 1)

void sp_role_start_encode(struct sp_buf *out, const struct sp_role_start *start)
{
    sp_assert(start->dir_count <= SP_ROLE_DIRS_MAX && start->grant_count <= SP_ROLE_GRANTS_MAX);
    sp_buf_put_u8(out, (uint8_t)start->kind);
    sp_buf_put_u32(out, start->index);
    sp_buf_put_u32(out, start->count);
    sp_buf_put_u64(out, start->generation);
    sp_buf_put_u8(out, (uint8_t)start->log_level);
    sp_buf_put_var(out, start->state_dir);
    sp_buf_put_u32(out, (uint32_t)start->dir_count);
    for (size_t i = 0; i < start->dir_count; i++)
        sp_buf_put_var(out, start->dirs[i]);
    sp_buf_put_u32(out, (uint32_t)start->grant_count);
    for (size_t i = 0; i < start->grant_count; i++) {
        sp_buf_put_var(out, start->grants[i].path);
        sp_buf_put_u8(out, start->grants[i].may_write);
    }
}

static size_t get_count(struct sp_reader *r, size_t max)
{
    uint32_t count = sp_reader_u32(r);

    if (count <= max)
        return count;
    sp_reader_fail(r);
    return 0;
}

static bool get_bool(struct sp_reader *r)
{
    uint8_t value = sp_reader_u8(r);

    if (value > 1)
        sp_reader_fail(r);
    return value == 1;
}

enum sp_rc sp_role_start_decode(struct sp_bytes data, struct sp_role_start *out)
{
    struct sp_reader r = sp_reader(data);
    uint8_t kind = sp_reader_u8(&r);
    uint8_t level;

    out->kind = kind;
    out->index = sp_reader_u32(&r);
    out->count = sp_reader_u32(&r);
    out->generation = sp_reader_u64(&r);
    level = sp_reader_u8(&r);
    out->log_level = level;
    out->state_dir = sp_reader_var(&r, SP_ROLE_PATH_MAX);
    out->dir_count = get_count(&r, SP_ROLE_DIRS_MAX);
    for (size_t i = 0; i < out->dir_count; i++)
        out->dirs[i] = sp_reader_var(&r, SP_ROLE_PATH_MAX);
    out->grant_count = get_count(&r, SP_ROLE_GRANTS_MAX);
    for (size_t i = 0; i < out->grant_count; i++) {
        out->grants[i].path = sp_reader_var(&r, SP_ROLE_PATH_MAX);
        out->grants[i].may_write = get_bool(&r);
    }
    if (kind >= SP_ROLE_COUNT || level >= LOG_LEVELS)
        sp_reader_fail(&r);
    return sp_reader_end(&r);
}

void sp_role_peer_encode(struct sp_buf *out, const struct sp_role_peer *peer)
{
    sp_buf_put_u8(out, (uint8_t)peer->kind);
    sp_buf_put_u32(out, peer->index);
}

enum sp_rc sp_role_peer_decode(struct sp_bytes data, struct sp_role_peer *out)
{
    struct sp_reader r = sp_reader(data);
    uint8_t kind = sp_reader_u8(&r);

    out->kind = kind;
    out->index = sp_reader_u32(&r);
    if (kind >= SP_ROLE_COUNT)
        sp_reader_fail(&r);
    return sp_reader_end(&r);
}

void sp_role_result_encode(struct sp_buf *out, const struct sp_role_result *result)
{
    sp_buf_put_u16(out, (uint16_t)result->rc);
    sp_buf_put_var(out, result->text);
}

enum sp_rc sp_role_result_decode(struct sp_bytes data, struct sp_role_result *out)
{
    struct sp_reader r = sp_reader(data);
    uint16_t rc = sp_reader_u16(&r);

    out->rc = rc;
    out->text = sp_reader_var(&r, SP_ERR_TEXT_MAX);
    if (rc >= SP_RC_COUNT)
        sp_reader_fail(&r);
    return sp_reader_end(&r);
}
