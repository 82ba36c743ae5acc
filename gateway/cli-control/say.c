/*
 * What could not be done, on standard error: a sentence, or with --json one object a line with a name that does not change from
 * version to version, so that standard output holds an answer or nothing.
 */
#include "gateway/cli-control/control.h"

#include <stdarg.h>
#include <stdio.h>

#define DETAIL_MAX 8192
#define TEXT_MAX   65536

int control_say(const struct control *c, int code, const char *error, const char *format, ...)
{
    char detail[DETAIL_MAX];
    struct sp_buf text;
    struct sp_jw w;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    if (!c->json) {
        (void)fprintf(stderr, "sallyport: %s\n", detail);
    } else {
        sp_buf_init(&text, TEXT_MAX);
        sp_jw_init(&w, &text);
        sp_jw_object(&w, NULL);
        sp_jw_cstr(&w, "error", error);
        sp_jw_cstr(&w, "detail", detail);
        sp_jw_int(&w, "exit", code);
        sp_jw_end(&w);
        (void)fprintf(stderr, "%.*s\n", SP_FMT(sp_buf_bytes(&text)));
        sp_buf_clear(&text);
    }
    return code;
}
