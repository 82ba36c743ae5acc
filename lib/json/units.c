/*
 * Durations and sizes. One table each, largest unit first, so that formatting finds the shortest exact form. Bounds keep
 * every sum of two of them within 63 bits: a hundred years, a pebibyte.
 */
#include "json/units.h"

#include "base/buf.h"

struct unit {
    const char *name;
    int64_t factor;
    bool shown; /* used when formatting */
};

#define DURATION_MAX ((int64_t)100 * 366 * 86400 * 1000)
#define SIZE_LIMIT   ((int64_t)1 << 50)

static const struct unit durations[] = {
    {"w", 7LL * 86400000, false}, {"d", 86400000, true}, {"h", 3600000, true},
    {"m", 60000, true},           {"s", 1000, true},     {"ms", 1, true},
};

static const struct unit sizes[] = {
    {"GiB", 1LL << 30, true}, {"MiB", 1LL << 20, true},
    {"KiB", 1LL << 10, true}, {"GB", 1000000000, false},
    {"MB", 1000000, false},   {"KB", 1000, false},
    {"B", 1, true},           {"", 1, false},
};

static bool parse(struct sp_bytes text, const struct unit *units, size_t count, int64_t max,
                  int64_t *out)
{
    size_t digits = 0;
    uint64_t n;

    while (digits < text.len && sp_ascii_is_digit(text.ptr[digits]))
        digits++;
    if (!sp_bytes_to_u64(sp_bytes_slice(text, 0, digits), &n))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!sp_bytes_eq(sp_bytes_slice(text, digits, SIZE_MAX), sp_bytes_cstr(units[i].name)))
            continue;
        if (n > (uint64_t)(max / units[i].factor))
            return false;
        *out = (int64_t)n * units[i].factor;
        return true;
    }
    return false;
}

static void format(int64_t v, const struct unit *units, size_t count, struct sp_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        bool last = units[i].factor == 1;

        if (!units[i].shown || (!last && (v == 0 || v % units[i].factor != 0)))
            continue;
        sp_buf_put_dec(out, v / units[i].factor);
        sp_buf_put_cstr(out, units[i].name);
        return;
    }
}

bool sp_units_parse_duration(struct sp_bytes text, int64_t *ms)
{
    return parse(text, durations, SP_ARRAY_LEN(durations), DURATION_MAX, ms);
}

bool sp_units_parse_size(struct sp_bytes text, int64_t *bytes)
{
    return parse(text, sizes, SP_ARRAY_LEN(sizes), SIZE_LIMIT, bytes);
}

void sp_units_format_duration(int64_t ms, struct sp_buf *out)
{
    format(ms, durations, SP_ARRAY_LEN(durations), out);
}

void sp_units_format_size(int64_t bytes, struct sp_buf *out)
{
    format(bytes, sizes, SP_ARRAY_LEN(sizes), out);
}
