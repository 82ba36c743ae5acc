/*
 * One event, one line, one write(2): lines of several processes on one descriptor never mix, and a reader can follow
 * any role by its name. The field types are the redaction: there is no way to hand over free text of a message.
 */
#include "log/log.h"

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"

#include <unistd.h>

#define LINE_MAX_LEN 4096

struct sp_log {
    int fd;
    const char *role;
    enum sp_log_level least;
    const struct sp_clock *clock;
};

struct sp_log *sp_log_new(int fd, const char *role, enum sp_log_level least,
                          const struct sp_clock *clock)
{
    struct sp_log *log = sp_calloc(1, sizeof(*log));

    *log = (struct sp_log){.fd = fd, .role = role, .least = least, .clock = clock};
    return log;
}

void sp_log_free(struct sp_log *log)
{
    sp_free(log);
}

static void put_domain(struct sp_jw *w, const char *name, struct sp_bytes domain)
{
    uint8_t safe[256];
    size_t len = domain.len < sizeof(safe) ? domain.len : sizeof(safe);

    for (size_t i = 0; i < len; i++) {
        uint8_t c = domain.ptr[i];

        safe[i] = sp_ascii_is_alnum(c) || (c != 0 && strchr("-._:[]", c) != NULL) ? c : '?';
    }
    sp_jw_text(w, name, sp_bytes(safe, len));
}

static void put_field(struct sp_jw *w, const struct sp_log_field *f)
{
    switch (f->kind) {
    case SP_LOG_KIND_INT:
        sp_jw_int(w, f->name, f->number);
        break;
    case SP_LOG_KIND_BOOL:
        sp_jw_bool(w, f->name, f->number != 0);
        break;
    case SP_LOG_KIND_TEXT:
        sp_jw_cstr(w, f->name, f->text);
        break;
    case SP_LOG_KIND_DOMAIN:
        put_domain(w, f->name, f->bytes);
        break;
    case SP_LOG_KIND_ID:
        sp_jw_id(w, f->name, f->bytes.ptr);
        break;
    case SP_LOG_KIND_RC:
        sp_jw_cstr(w, f->name, sp_rc_name((enum sp_rc)f->number));
        break;
    case SP_LOG_KIND_END:
        break;
    }
}

void sp_log_write(struct sp_log *log, enum sp_log_level level, const char *event,
                  const struct sp_log_field *fields)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    struct sp_buf line;
    struct sp_jw w;
    char time[SP_TIME_TEXT_MAX];
    ssize_t written;

    if (log == NULL || level < log->least)
        return;
    sp_buf_init(&line, LINE_MAX_LEN);
    sp_jw_init(&w, &line);
    sp_time_format_rfc3339(sp_clock_wall_ms(log->clock), time);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "time", time);
    sp_jw_cstr(&w, "level", levels[level]);
    sp_jw_cstr(&w, "role", log->role);
    sp_jw_cstr(&w, "event", event);
    for (const struct sp_log_field *f = fields; f->kind != SP_LOG_KIND_END; f++)
        put_field(&w, f);
    sp_jw_end(&w);
    sp_buf_put_u8(&line, '\n');
    if (sp_buf_rc(&line) == SP_OK) {
        written = SP_FAULT("log.write") ? -1 : write(log->fd, line.ptr, line.len);
        (void)written; /* a log that can't be written must not stop the mail */
    }
    sp_buf_clear(&line);
}
