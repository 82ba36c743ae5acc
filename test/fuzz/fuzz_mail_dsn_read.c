/*
 * Reports of others: whatever they say, addresses lie inside the text, numbers in their ranges, and the first of many are the
 * same as those of a shorter list.
 */
#include "base/mem.h"
#include "mail/dsn_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void assert_inside(struct sp_bytes v, const uint8_t *data, size_t len)
{
    sp_assert(v.len == 0 || (v.ptr >= data && v.ptr + v.len <= data + len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_dsn_said all[SP_DSN_READ_MAX], one[1];
    size_t count = sp_dsn_read(sp_bytes(data, len), all, SP_DSN_READ_MAX);

    sp_assert(count <= SP_DSN_READ_MAX);
    sp_assert(sp_dsn_read(sp_bytes(data, len), one, 1) == (count > 0));
    for (size_t i = 0; i < count; i++) {
        assert_inside(all[i].final, data, len);
        assert_inside(all[i].original, data, len);
        sp_assert(all[i].has_action && all[i].action <= SP_DSN_RELAYED);
        sp_assert(all[i].reply_code == 0 || (all[i].reply_code >= 200 && all[i].reply_code <= 599));
        sp_assert(all[i].final.len == 0 || sp_dsn_said_is_about(&all[i], all[i].final));
    }
    if (count > 0)
        sp_assert(one[0].final.ptr == all[0].final.ptr && one[0].reply_code == all[0].reply_code);
    return 0;
}
