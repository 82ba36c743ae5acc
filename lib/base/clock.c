/*
 * Dates as text, and the kernel's random numbers. Civil dates come from the calendar arithmetic below and not from
 * gmtime, which keeps its result in static memory.
 */
#include "base/clock.h"

#include "base/mem.h"

#include <stdio.h>
#include <sys/random.h>

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second, ms, weekday;
};

/* Days since 1970-01-01 to a date of the Gregorian calendar, counting years from March. */
static struct civil to_civil(int64_t wall_ms)
{
    int64_t days = wall_ms / 86400000;
    int64_t rest = wall_ms % 86400000;
    struct civil c;
    int64_t era;
    int64_t day_of_era;
    int64_t year_of_era;
    int64_t day_of_year;
    int64_t month;

    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    c.weekday = (unsigned)((days % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    day_of_era = days - era * 146097;
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month = (5 * day_of_year + 2) / 153;
    c.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
    c.month = (unsigned)(month < 10 ? month + 3 : month - 9);
    c.year = year_of_era + era * 400 + (c.month <= 2);
    c.hour = (unsigned)(rest / 3600000);
    c.minute = (unsigned)(rest / 60000 % 60);
    c.second = (unsigned)(rest / 1000 % 60);
    c.ms = (unsigned)(rest % 1000);
    return c;
}

static int64_t from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t shifted = month > 2 ? (int64_t)month - 3 : (int64_t)month + 9;
    int64_t day_of_year = (153 * shifted + 2) / 5 + (int64_t)day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

void sp_time_format_rfc3339(int64_t wall_ms, char *out)
{
    struct civil c = to_civil(wall_ms);

    snprintf(out, SP_TIME_TEXT_MAX, "%04lld-%02u-%02uT%02u:%02u:%02u.%03uZ", (long long)c.year,
             c.month, c.day, c.hour, c.minute, c.second, c.ms);
}

void sp_time_format_rfc5322(int64_t wall_ms, char *out)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct civil c = to_civil(wall_ms);

    snprintf(out, SP_TIME_TEXT_MAX, "%s, %02u %s %04lld %02u:%02u:%02u +0000", days[c.weekday],
             c.day, months[c.month - 1], (long long)c.year, c.hour, c.minute, c.second);
}

/* Reads the digits of text where pattern has '0', and wants the same byte elsewhere. */
static bool digits(struct sp_bytes text, const char *pattern, unsigned *fields)
{
    size_t field = 0;
    bool inside = false;

    for (size_t i = 0; pattern[i] != '\0'; i++) {
        if (i >= text.len)
            return false;
        if (pattern[i] != '0') {
            if (text.ptr[i] != (uint8_t)pattern[i])
                return false;
            field += inside ? 1 : 0;
            inside = false;
            continue;
        }
        if (!sp_ascii_is_digit(text.ptr[i]))
            return false;
        fields[field] = (inside ? fields[field] * 10 : 0) + (unsigned)(text.ptr[i] - '0');
        inside = true;
    }
    return true;
}

bool sp_time_parse_rfc3339(struct sp_bytes b, int64_t *wall_ms)
{
    static const unsigned month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned f[6];
    int64_t ms = 0;
    size_t at = 19;

    if (b.len < 20 || !digits(b, "0000-00-00T00:00:00", f) || b.ptr[b.len - 1] != 'Z')
        return false;
    if (f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > month_days[f[1] - 1] || f[3] > 23 ||
        f[4] > 59 || f[5] > 60)
        return false;
    if (b.ptr[at] == '.') {
        int64_t scale = 100;

        if (b.len < 22 || b.len > 30)
            return false;
        for (at++; at < b.len - 1; at++, scale /= 10) {
            if (!sp_ascii_is_digit(b.ptr[at]))
                return false;
            ms += scale * (b.ptr[at] - '0');
        }
    }
    if (at != b.len - 1)
        return false;
    *wall_ms = from_civil(f[0], f[1], f[2]) * 86400000 + (int64_t)f[3] * 3600000 +
               (int64_t)f[4] * 60000 + (int64_t)f[5] * 1000 + ms;
    return true;
}

uint64_t sp_random_below(const struct sp_random *r, uint64_t below)
{
    uint64_t unfair;
    uint64_t v;

    sp_assert(below > 0);
    unfair = (UINT64_MAX % below + 1) %
             below; /* so many values at the top would favour the low results */
    do
        sp_random_fill(r, &v, sizeof(v));
    while (unfair > 0 && v > UINT64_MAX - unfair);
    return v % below;
}

static void fill_from_kernel(void *ctx, void *out, size_t len)
{
    uint8_t *at = out;

    (void)ctx;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);

        if (n < 0)
            continue; /* EINTR only: the pool is ready by the time that any role runs */
        at += n;
        len -= (size_t)n;
    }
}

const struct sp_random *sp_random_system(void)
{
    static const struct sp_random kernel = {fill_from_kernel, NULL};

    return &kernel;
}
