/*
 * Record metadata as a damaged or forged disk might give it: the first byte is the type, the rest the record. What is
 * decoded is encoded again, and that decodes to the same bytes.
 */
#include "base/mem.h"
#include "journal/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union record {
    struct sp_accept accept;
    struct sp_outcome outcome;
    struct sp_act act;
    struct sp_carry carry;
};

static enum sp_rc decode(uint8_t type, struct sp_bytes in, struct sp_arena *arena, union record *r)
{
    switch (type) {
    case SP_RECORD_ACCEPT:
        return sp_accept_decode(in, arena, &r->accept);
    case SP_RECORD_OUTCOME:
        return sp_outcome_decode(in, arena, &r->outcome);
    case SP_RECORD_CARRY:
        return sp_carry_decode(in, arena, &r->carry);
    default:
        return sp_act_decode(in, arena, &r->act);
    }
}

static enum sp_rc encode(uint8_t type, const union record *r, struct sp_buf *out)
{
    switch (type) {
    case SP_RECORD_ACCEPT:
        return sp_accept_encode(&r->accept, out);
    case SP_RECORD_OUTCOME:
        return sp_outcome_encode(&r->outcome, out);
    case SP_RECORD_CARRY:
        return sp_carry_encode(&r->carry, out);
    default:
        return sp_act_encode(&r->act, out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_arena *arena;
    struct sp_buf once;
    struct sp_buf twice;
    struct sp_audit_list audit;
    union record r;
    int64_t time_ms;
    uint8_t type;

    if (size == 0)
        return 0;
    type = (uint8_t)(data[0] % SP_RECORD_TYPE_COUNT);
    memset(&r, 0, sizeof(r));
    arena = sp_arena_new(4096);
    sp_buf_init(&once, SP_RECORD_META_MAX);
    sp_buf_init(&twice, SP_RECORD_META_MAX);
    if (sp_record_audit(type, sp_bytes(data + 1, size - 1), arena, &time_ms, &audit) == SP_OK)
        sp_assert(audit.count <= 2 * SP_RECORD_AUDIT_MAX);
    if (decode(type, sp_bytes(data + 1, size - 1), arena, &r) == SP_OK &&
        encode(type, &r, &once) == SP_OK) {
        sp_assert(decode(type, sp_buf_bytes(&once), arena, &r) == SP_OK);
        sp_assert(encode(type, &r, &twice) == SP_OK);
        sp_assert(sp_bytes_eq(sp_buf_bytes(&once), sp_buf_bytes(&twice)));
    }
    sp_buf_clear(&once);
    sp_buf_clear(&twice);
    sp_arena_free(arena);
    return 0;
}
