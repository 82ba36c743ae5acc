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

void sp_id_format(const struct sp_id *id, char *out)
{
    /* 130 bits of text hold 128 bits of id: the first digit carries three bits only */
    for (int i = 0; i < SP_ID_TEXT_LEN; i++) {
        int low = 125 - 5 * i; /* number of the last bit of this digit */
        unsigned v = 0;

        for (int bit = 4; bit >= 0; bit--) {
            int at = low + bit; /* bit number, 0 is the last of the id */

            v = v << 1 | (at > 127 ? 0U : (unsigned)(id->b[15 - at / 8] >> (at % 8)) & 1U);
        }
        out[i] = alphabet[v];
    }
    out[SP_ID_TEXT_LEN] = '\0';
}

static int digit(uint8_t c)
{
    for (int i = 0; i < 32; i++)
        if (sp_ascii_lower((uint8_t)alphabet[i]) == sp_ascii_lower(c))
            return i;
    return -1;
}

bool sp_id_parse(struct sp_bytes b, struct sp_id *out)
{
    struct sp_id id = {{0}};

    if (b.len != SP_ID_TEXT_LEN)
        return false;
    for (int i = 0; i < SP_ID_TEXT_LEN; i++) {
        int v = digit(b.ptr[i]);

        if (v < 0 || (i == 0 && v > 7))
            return false;
        for (int bit = 0; bit < 5; bit++) {
            int at = 125 - 5 * i + bit;

            if (at < 128 && (v >> bit & 1) != 0)
                id.b[15 - at / 8] = (uint8_t)(id.b[15 - at / 8] | 1U << (at % 8));
        }
    }
    *out = id;
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
