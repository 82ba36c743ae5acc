/*
 * CRC-32C over records: SSE 4.2 has an instruction for it; elsewhere it is done bit by bit. The instruction's result comes
 * three cycles later, so of long data three lanes are walked at once, and their values joined: that of a lane is moved
 * over the bytes behind it by a carry-less product with x^(8 n - 33) modulo the polynomial, n being their number.
 */
#include "base/text.h"

#if defined(__x86_64__)
#include <wmmintrin.h>
#endif

#define POLYNOMIAL 0x82f63b78U /* Castagnoli, reflected */

static uint32_t by_bits(uint32_t crc, struct sp_bytes data)
{
    for (size_t i = 0; i < data.len; i++) {
        crc ^= data.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (POLYNOMIAL & (0U - (crc & 1U)));
    }
    return crc;
}

#if defined(__x86_64__)
enum { LANE = 512 };

#define OVER_ONE 0xdd7e3b0cULL /* x^(8 * LANE - 33), bits reversed */
#define OVER_TWO 0x170076faULL /* x^(8 * 2 * LANE - 33) */

__attribute__((target("sse4.2,pclmul"))) static uint64_t move_over(uint64_t crc, uint64_t factor)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc),
                                           _mm_cvtsi64_si128((int64_t)factor), 0);

    return __builtin_ia32_crc32di(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* Takes three lanes at a time as long as there are; *data: what is left */
__attribute__((target("sse4.2,pclmul"))) static uint32_t by_lanes(uint32_t crc,
                                                                  struct sp_bytes *data)
{
    uint64_t first = crc;

    while (data->len >= (size_t)3 * LANE) {
        uint64_t second = 0, third = 0;

        for (size_t i = 0; i < LANE; i += 8) {
            uint64_t v[3];

            memcpy(&v[0], data->ptr + i, 8);
            memcpy(&v[1], data->ptr + LANE + i, 8);
            memcpy(&v[2], data->ptr + (size_t)2 * LANE + i, 8);
            first = __builtin_ia32_crc32di(first, v[0]);
            second = __builtin_ia32_crc32di(second, v[1]);
            third = __builtin_ia32_crc32di(third, v[2]);
        }
        first = move_over(first, OVER_TWO) ^ move_over(second, OVER_ONE) ^ third;
        *data = sp_bytes(data->ptr + (size_t)3 * LANE, data->len - (size_t)3 * LANE);
    }
    return (uint32_t)first;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, struct sp_bytes data)
{
    uint64_t wide = crc;
    size_t i = 0;

    for (; i + 8 <= data.len; i += 8) {
        uint64_t v;

        memcpy(&v, data.ptr + i, sizeof(v));
        wide = __builtin_ia32_crc32di(wide, v);
    }
    crc = (uint32_t)wide;
    for (; i < data.len; i++)
        crc = __builtin_ia32_crc32qi(crc, data.ptr[i]);
    return crc;
}
#endif

/* x^(8 * 2^i) modulo the polynomial, bits reversed */
static const uint32_t over_bytes[32] = {
    0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a, 0xb82be955, 0xb8fdb1e7,
    0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a, 0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc,
    0xfe7740e6, 0xf946610b, 0x3c204f8f, 0x538586e3, 0x59726915, 0x734d5309, 0xbc1ac763, 0x7d0722cc,
    0xd289cabe, 0xe94ca9bc, 0x05b74f3f, 0xa51e1f42, 0x40000000, 0x20000000, 0x08000000, 0x00800000,
};

/* Modulo the polynomial; the highest bit is that of x^0. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (; a != 0; a <<= 1) {
        product ^= b & (0U - (a >> 31));
        b = b >> 1 ^ (POLYNOMIAL & (0U - (b & 1U)));
    }
    return product;
}

uint32_t sp_crc32c_join(uint32_t before, uint32_t behind, uint32_t behind_len)
{
    for (size_t i = 0; behind_len != 0; i++, behind_len >>= 1)
        if ((behind_len & 1U) != 0)
            before = multiply(over_bytes[i], before);
    return before ^ behind;
}

uint32_t sp_crc32c(uint32_t crc, struct sp_bytes data)
{
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        crc = by_lanes(crc, &data);
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(crc, data);
#endif
    return ~by_bits(crc, data);
}
