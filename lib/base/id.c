/*
 * ULIDs. They sort by the time of their making, which keeps a day's messages together in every list and index, and
 * their 80 random bits make two gateways' ids differ without talking.
 */
#include "base/id.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct sp_id sp_id_new(const struct sp_clock *clock, const struct sp_random *random)
{
    struct sp_id id;
    uint64_t ms = (uint64_t)sp_clock_wall_ms(clock);

    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (8 * (5 - i)));
    sp_random_fill(random, id.b + 6, SP_ID_LEN - 6);
    return id;
}

/* 128 bits as one number, first byte highest */
static unsigned __int128 number_of(const struct sp_id *id)
{
    unsigned __int128 n = 0;

    for (int i = 0; i < SP_ID_LEN; i++)
        n = n << 8 | id->b[i];
    return n;
}

void sp_id_format(const struct sp_id *id, char *out)
{
    unsigned __int128 n = number_of(id);

    for (int i = SP_ID_TEXT_LEN; i-- > 0; n >>= 5)
        out[i] = alphabet[(unsigned)n & 31];
    out[SP_ID_TEXT_LEN] = '\0';
}

/* What a digit stands for, plus one; 0 is no digit. Capitals only: see digit. */
static const uint8_t digits['Z' + 1] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    ['G'] = 17, ['H'] = 18, ['J'] = 19, ['K'] = 20, ['M'] = 21, ['N'] = 22, ['P'] = 23, ['Q'] = 24,
    ['R'] = 25, ['S'] = 26, ['T'] = 27, ['V'] = 28, ['W'] = 29, ['X'] = 30, ['Y'] = 31, ['Z'] = 32,
};

static int digit(uint8_t c)
{
    if (c >= 'a' && c <= 'z')
        c = (uint8_t)(c - 'a' + 'A');
    return c < sizeof(digits) ? digits[c] - 1 : -1;
}

bool sp_id_parse(struct sp_bytes b, struct sp_id *out)
{
    unsigned __int128 n = 0;

    if (b.len != SP_ID_TEXT_LEN)
        return false;
    for (int i = 0; i < SP_ID_TEXT_LEN; i++) {
        int v = digit(b.ptr[i]);

        if (v < 0 || (i == 0 && v > 7)) /* 130 bits of text hold 128 of an id */
            return false;
        n = n << 5 | (unsigned)v;
    }
    for (int i = SP_ID_LEN; i-- > 0; n >>= 8)
        out->b[i] = (uint8_t)n;
    return true;
}

bool sp_id_eq(const struct sp_id *a, const struct sp_id *b)
{
    return memcmp(a->b, b->b, SP_ID_LEN) == 0;
}

bool sp_id_is_zero(const struct sp_id *id)
{
    static const struct sp_id zero;

    return sp_id_eq(id, &zero);
}

int64_t sp_id_time_ms(const struct sp_id *id)
{
    uint64_t ms = 0;

    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->b[i];
    return (int64_t)ms;
}
