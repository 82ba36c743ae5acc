/*
 * Domain names as people see them: any bytes give at most as many code points as a name has room for, and a name that libidn2
 * has brought into A-labels comes back to the same A-labels.
 */
#include "base/mem.h"
#include "mail/idn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void put_point(uint32_t c, struct sp_buf *out)
{
    if (c < 0x80) {
        sp_buf_put_u8(out, (uint8_t)c);
        return;
    }
    if (c < 0x800) {
        sp_buf_put_u8(out, (uint8_t)(0xC0 | c >> 6));
    } else {
        if (c < 0x10000) {
            sp_buf_put_u8(out, (uint8_t)(0xE0 | c >> 12));
        } else {
            sp_buf_put_u8(out, (uint8_t)(0xF0 | c >> 18));
            sp_buf_put_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3F)));
        }
        sp_buf_put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3F)));
    }
    sp_buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3F)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint32_t points[SP_DOMAIN_POINTS_MAX];
    struct sp_bytes name = sp_bytes(data, len);
    struct sp_buf ascii, again, back;
    size_t count;

    sp_assert(sp_domain_read(name, points) <= SP_DOMAIN_POINTS_MAX);
    sp_buf_init(&ascii, 1024);
    sp_buf_init(&again, 4096);
    sp_buf_init(&back, 1024);
    if (!sp_text_is_ascii(name) && sp_domain_to_ascii(name, &ascii) == SP_OK) {
        count = sp_domain_read(sp_buf_bytes(&ascii), points);
        for (size_t i = 0; i < count; i++)
            put_point(points[i], &again);
        sp_assert(sp_domain_to_ascii(sp_buf_bytes(&again), &back) == SP_OK);
        sp_assert(sp_bytes_eq(sp_buf_bytes(&ascii), sp_buf_bytes(&back)));
    }
    sp_buf_clear(&ascii);
    sp_buf_clear(&again);
    sp_buf_clear(&back);
    return 0;
}
