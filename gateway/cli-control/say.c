/*
 * What could not be done, on standard error: a sentence, or with --json one object a line with a name that does not change from
 * version to version, so that standard output holds an answer or nothing.
 */
#include "gateway/cli-control/control.h"
#include "gateway/cli-control/refusal.h"

#include <stdarg.h>
#include <stdio.h>

int control_say(const struct control *c, int code, const char *error, const char *format, ...)
{
    char detail[CLI_DETAIL_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    return cli_refuse(c->json, code, error, detail);
}
