/*
 * What could not be done, on standard error: a sentence, or with --json one object a line with a name that does not change from
 * version to version, so that standard output holds an answer or nothing.
 */
#include "gateway/cli-control/control.h"
#include "gateway/cli/refusal.h"

#include <stdarg.h>

int control_say(const struct control *c, int code, const char *error, const char *format, ...)
{
    const struct cli_voice voice = {c->json, "sallyport"};
    va_list args;

    if (c->mute)
        return code;
    va_start(args, format);
    (void)cli_refuse_list(&voice, code, error, format, args);
    va_end(args);
    return code;
}
