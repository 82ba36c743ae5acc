/*
 * Time zones: a name of the IANA list to the rule that holds there now, and wall-clock hours by that rule. The rules lie
 * in the program (zones.def), so that the same policy decides the same on every machine. thread: any
 */
#ifndef SP_POLICY_ZONE_H
#define SP_POLICY_ZONE_H

#include "base/bytes.h"

struct
    sp_zone_turn { /* month, week (5: the last) and weekday (0 Sunday) of a change, and its local second of the day */
    int month, week, weekday;
    int64_t second;
};

struct sp_zone {
    const char *rule; /* as in RFC 9636, static */
    int64_t offset_s; /* east of Greenwich */
    bool has_summer;
    int64_t summer_offset_s;
    struct sp_zone_turn begins, ends;
};

struct sp_local_time {
    int hour;
    int weekday; /* 1 Monday to 7 Sunday */
    int64_t offset_s;
};

/* returns: whether the name is known ("America/Chicago", "UTC"); *out is set only then */
SP_MUST_CHECK bool sp_zone_find(struct sp_bytes name, struct sp_zone *out);

/* returns: the nearest known name, for messages, static; NULL if none is near */
const char *sp_zone_nearest(struct sp_bytes name);

/* returns: when a day begins there, wall clock in ms; where clocks leave midnight out, at one. day_ms: midnight of that day in UTC */
int64_t sp_zone_day(const struct sp_zone *zone, int64_t day_ms);

/* returns: hour and weekday there */
struct sp_local_time sp_zone_local(const struct sp_zone *zone, int64_t wall_ms);

#endif
