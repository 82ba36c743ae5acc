/*
 * Structured events: one JSON object a line, {"time":..., "level":..., "role":..., "event":..., fields}. Event names
 * stand in docs/events.md, or lint fails. Fields have types, and none takes message bytes, subjects, local parts or
 * secrets: what cannot be passed cannot leak.
 *
 *     sp_log_info(log, "delivery.done", SP_ID("message", &id), SP_DOMAIN("next_hop", hop), SP_MS("took", ms));
 */
#ifndef SP_LOG_LOG_H
#define SP_LOG_LOG_H

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"

struct sp_log;

enum sp_log_level { SP_LOG_DEBUG, SP_LOG_INFO, SP_LOG_WARN, SP_LOG_ERROR };

enum sp_log_kind {
    SP_LOG_KIND_END,
    SP_LOG_KIND_INT,
    SP_LOG_KIND_BOOL,
    SP_LOG_KIND_TEXT, /* a word of ours: names of rules, roles, files of ours, static texts */
    SP_LOG_KIND_DOMAIN, /* a domain or host name; anything but letters, digits, - . _ : [ ] becomes ? */
    SP_LOG_KIND_ID,     /* a message id */
    SP_LOG_KIND_RC,     /* a code of errors.def, by its name */
};

struct sp_log_field {
    const char *name;
    enum sp_log_kind kind;
    int64_t number;
    const char *text;
    struct sp_bytes bytes;
};

#define SP_INT(n, v)                                                                               \
    ((struct sp_log_field){.name = (n), .kind = SP_LOG_KIND_INT, .number = (int64_t)(v)})
#define SP_MS(n, v)                                                                                \
    ((struct sp_log_field){.name = n "_ms", .kind = SP_LOG_KIND_INT, .number = (int64_t)(v)})
#define SP_BOOL(n, v) ((struct sp_log_field){.name = (n), .kind = SP_LOG_KIND_BOOL, .number = (v)})
#define SP_TEXT(n, v) ((struct sp_log_field){.name = (n), .kind = SP_LOG_KIND_TEXT, .text = (v)})
#define SP_DOMAIN(n, v)                                                                            \
    ((struct sp_log_field){.name = (n), .kind = SP_LOG_KIND_DOMAIN, .bytes = (v)})
#define SP_ID(n, v)                                                                                \
    ((struct sp_log_field){.name = (n), .kind = SP_LOG_KIND_ID, .bytes = {(v)->b, SP_ID_LEN}})
#define SP_RC(n, v) ((struct sp_log_field){.name = (n), .kind = SP_LOG_KIND_RC, .number = (v)})
#define SP_LOG_END  ((struct sp_log_field){.kind = SP_LOG_KIND_END})

/*
 * owner:   the caller, until sp_log_free
 * fd:      where lines go (2 as a rule); not closed here. A line is one write, so lines of processes do not mix.
 * role:    static text, "relay"
 * clock:   kept, not owned
 */
struct sp_log *sp_log_new(int fd, const char *role, enum sp_log_level least,
                          const struct sp_clock *clock);
void sp_log_free(struct sp_log *log);

/* Writes one line. log NULL: nothing happens. Use the macros. thread: any */
void sp_log_write(struct sp_log *log, enum sp_log_level level, const char *event,
                  const struct sp_log_field *fields);

#ifdef __cppcheck__ /* cppcheck 2.10 can't read __VA_OPT__ */
#define sp_log_debug(log, ...) sp_log_write((log), SP_LOG_DEBUG, "", NULL)
#define sp_log_info(log, ...)  sp_log_write((log), SP_LOG_INFO, "", NULL)
#define sp_log_warn(log, ...)  sp_log_write((log), SP_LOG_WARN, "", NULL)
#define sp_log_error(log, ...) sp_log_write((log), SP_LOG_ERROR, "", NULL)
#else
#define sp_log_at(log, level, event, ...)                                                          \
    sp_log_write((log), (level), (event),                                                          \
                 (const struct sp_log_field[]){__VA_ARGS__ __VA_OPT__(, ) SP_LOG_END})
#define sp_log_debug(log, event, ...) sp_log_at(log, SP_LOG_DEBUG, event __VA_OPT__(, ) __VA_ARGS__)
#define sp_log_info(log, event, ...)  sp_log_at(log, SP_LOG_INFO, event __VA_OPT__(, ) __VA_ARGS__)
#define sp_log_warn(log, event, ...)  sp_log_at(log, SP_LOG_WARN, event __VA_OPT__(, ) __VA_ARGS__)
#define sp_log_error(log, event, ...) sp_log_at(log, SP_LOG_ERROR, event __VA_OPT__(, ) __VA_ARGS__)
#endif

#endif
