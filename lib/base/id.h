/*
 * Message ids: ULIDs, 48 bits of wall-clock milliseconds and 80 random bits, sorted by time, 26 characters of
 * Crockford's base 32 as text.
 */
#ifndef SP_BASE_ID_H
#define SP_BASE_ID_H

#include "base/bytes.h"
#include "base/clock.h"

#define SP_ID_LEN      16
#define SP_ID_TEXT_LEN 26

struct sp_id {
    uint8_t b[SP_ID_LEN];
};

/* returns: a new id. thread: any */
struct sp_id sp_id_new(const struct sp_clock *clock, const struct sp_random *random);

/* out: SP_ID_TEXT_LEN + 1 bytes, NUL-terminated */
void sp_id_format(const struct sp_id *id, char *out);

/* returns: false if b is not 26 characters of the alphabet (either case) that fit 128 bits */
SP_MUST_CHECK bool sp_id_parse(struct sp_bytes b, struct sp_id *out);

/* returns: whether both are the same; whether all 16 bytes are 0 */
bool sp_id_eq(const struct sp_id *a, const struct sp_id *b);
bool sp_id_is_zero(const struct sp_id *id);
/* returns: milliseconds since 1970 of its making */
int64_t sp_id_time_ms(const struct sp_id *id);

#endif
