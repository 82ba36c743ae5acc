/*
 * Amounts as people write them in settings and policies. thread: any
 */
#ifndef SP_JSON_UNITS_H
#define SP_JSON_UNITS_H

#include "base/bytes.h"

struct sp_buf;

/* Reads a duration: digits and one of ms s m h d w ("15m", "4h", "30d"). returns: false if it is none or too large */
SP_MUST_CHECK bool sp_units_parse_duration(struct sp_bytes text, int64_t *ms);

/* Reads a size: digits and one of B KiB MiB GiB KB MB GB, or digits alone for bytes. returns: false if not */
SP_MUST_CHECK bool sp_units_parse_size(struct sp_bytes text, int64_t *bytes);

/* Appends the shortest exact form ("90m", "2d", "150MiB"). */
void sp_units_format_duration(int64_t ms, struct sp_buf *out);
void sp_units_format_size(int64_t bytes, struct sp_buf *out);

#endif
