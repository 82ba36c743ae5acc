/*
 * A zone's rule is the line at the end of its file in the IANA data ("CST6CDT,M3.2.0,M11.1.0"): what holds from now on.
 * The past is not kept, since decisions are made now and replayed from the facts that were recorded then. The rules are
 * compiled in rather than read from the machine: roles see no files, and a decision must not hang on who installed what.
 */
#include "policy/zone.h"

#include "json/problem.h"

#define DAY_S ((int64_t)86400)

#define SP_ZONE(name, rule) {name, rule},
static const struct {
    const char *name;
    const char *rule;
} zones[] = {
#include "policy/zones.def"
};

static int64_t read_number(struct sp_bytes *rest)
{
    bool minus = rest->len > 0 && rest->ptr[0] == '-';
    int64_t n = 0;

    if (rest->len > 0 && (rest->ptr[0] == '-' || rest->ptr[0] == '+'))
        *rest = sp_bytes_slice(*rest, 1, SIZE_MAX);
    while (rest->len > 0 && sp_ascii_is_digit(rest->ptr[0])) {
        n = 10 * n + (rest->ptr[0] - '0');
        *rest = sp_bytes_slice(*rest, 1, SIZE_MAX);
    }
    return minus ? -n : n;
}

static bool take(struct sp_bytes *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != (uint8_t)c)
        return false;
    *rest = sp_bytes_slice(*rest, 1, SIZE_MAX);
    return true;
}

/* "CST", "<+0530>": the short name, which nobody needs. */
static void skip_name(struct sp_bytes *rest)
{
    if (take(rest, '<')) {
        while (rest->len > 0 && !take(rest, '>'))
            *rest = sp_bytes_slice(*rest, 1, SIZE_MAX);
        return;
    }
    while (rest->len > 0 && sp_ascii_lower(rest->ptr[0]) >= 'a' &&
           sp_ascii_lower(rest->ptr[0]) <= 'z')
        *rest = sp_bytes_slice(*rest, 1, SIZE_MAX);
}

/* hh[:mm[:ss]] in seconds; the sign is the whole's. */
static int64_t read_time(struct sp_bytes *rest)
{
    bool minus = rest->len > 0 && rest->ptr[0] == '-';
    int64_t h = read_number(rest), m = 0, s = 0;

    if (take(rest, ':'))
        m = read_number(rest);
    if (take(rest, ':'))
        s = read_number(rest);
    return h * 3600 + (minus ? -1 : 1) * (m * 60 + s);
}

static struct sp_zone_turn read_turn(struct sp_bytes *rest)
{
    struct sp_zone_turn t = {.second = 7200};

    (void)take(rest, ',');
    (void)take(rest, 'M');
    t.month = (int)read_number(rest);
    (void)take(rest, '.');
    t.week = (int)read_number(rest);
    (void)take(rest, '.');
    t.weekday = (int)read_number(rest);
    if (take(rest, '/'))
        t.second = read_time(rest);
    return t;
}

static void read_rule(const char *rule, struct sp_zone *out)
{
    struct sp_bytes rest = sp_bytes_cstr(rule);

    *out = (struct sp_zone){.rule = rule};
    skip_name(&rest);
    out->offset_s = -read_time(&rest);
    out->has_summer = rest.len > 0;
    if (!out->has_summer)
        return;
    skip_name(&rest);
    out->summer_offset_s = out->offset_s + 3600;
    if (rest.len > 0 && rest.ptr[0] != ',')
        out->summer_offset_s = -read_time(&rest);
    out->begins = read_turn(&rest);
    out->ends = read_turn(&rest);
}

bool sp_zone_find(struct sp_bytes name, struct sp_zone *out)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(zones); i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(zones[i].name))) {
            read_rule(zones[i].rule, out);
            return true;
        }
    }
    return false;
}

const char *sp_zone_nearest(struct sp_bytes name)
{
    const char *names[SP_ARRAY_LEN(zones)];

    for (size_t i = 0; i < SP_ARRAY_LEN(zones); i++)
        names[i] = zones[i].name;
    return sp_problem_nearest(name, names, SP_ARRAY_LEN(zones));
}

/* Days since 1970-01-01 in the Gregorian calendar; the year is reckoned from March, so that leap days come last. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t year_of(int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);

    return yoe + era * 400 + (doy >= 306 ? 1 : 0); /* January and February belong to the next */
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* 0 Sunday; 1970-01-01 was a Thursday. */
static int weekday_of(int64_t days)
{
    return (int)(((days + 4) % 7 + 7) % 7);
}

/* The turn's local second since 1970 in that year. */
static int64_t turn_at(const struct sp_zone_turn *t, int64_t year)
{
    int64_t first = days_of(year, t->month, 1);
    int64_t next = t->month == 12 ? days_of(year + 1, 1, 1) : days_of(year, t->month + 1, 1);
    int64_t day = first + (t->weekday - weekday_of(first) + 7) % 7 + (int64_t)(t->week - 1) * 7;

    while (day >= next)
        day -= 7;
    return day * DAY_S + t->second;
}

static bool is_summer(const struct sp_zone *z, int64_t utc_s)
{
    int64_t year = year_of(floor_div(utc_s + z->offset_s, DAY_S));
    int64_t begins = turn_at(&z->begins, year) - z->offset_s;
    int64_t ends = turn_at(&z->ends, year) - z->summer_offset_s;

    if (begins < ends)
        return utc_s >= begins && utc_s < ends;
    return utc_s >= begins || utc_s < ends; /* south of the equator */
}

struct sp_local_time sp_zone_local(const struct sp_zone *zone, int64_t wall_ms)
{
    int64_t utc_s = floor_div(wall_ms, 1000);
    struct sp_local_time out = {.offset_s = zone->offset_s};
    int64_t local, days;

    if (zone->has_summer && is_summer(zone, utc_s))
        out.offset_s = zone->summer_offset_s;
    local = utc_s + out.offset_s;
    days = floor_div(local, DAY_S);
    out.hour = (int)((local - days * DAY_S) / 3600);
    out.weekday = weekday_of(days) == 0 ? 7 : weekday_of(days);
    return out;
}

int64_t sp_zone_day(const struct sp_zone *zone, int64_t day_ms)
{
    int64_t begins[2], ms = day_ms;

    for (int i = 0; i < 2; i++) /* the second time by the offset that is in force then */
        begins[i] = ms = day_ms - sp_zone_local(zone, ms).offset_s * 1000;
    if (ms + sp_zone_local(zone, ms).offset_s * 1000 == day_ms)
        return ms;
    return begins[0] > begins[1] ? begins[0] : begins[1]; /* clocks go on at midnight, to one */
}
