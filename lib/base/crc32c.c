/*
 * CRC-32C over record and batch headers: SSE 4.2 has an instruction for it; elsewhere it is done bit by bit.
 */
#include "base/text.h"

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

uint32_t sp_crc32c(uint32_t crc, struct sp_bytes data)
{
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(crc, data);
#endif
    return ~by_bits(crc, data);
}
