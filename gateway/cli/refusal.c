/* What could not be done goes to standard error, so that standard output holds an answer or nothing. */
#include "gateway/cli/refusal.h"

#include "base/buf.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int cli_refuse_list(const struct cli_voice *v, int code, const char *error, const char *format,
                    va_list values)
{
    char detail[CLI_DETAIL_MAX];
    struct sp_buf text;
    struct sp_jw w;

    (void)vsnprintf(detail, sizeof(detail), format, values);
    if (!v->json) {
        (void)fprintf(stderr, "%s: %s\n", v->name, detail);
        return code;
    }
    sp_buf_init(&text, (size_t)8 * CLI_DETAIL_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "error", error);
    sp_jw_cstr(&w, "detail", detail);
    sp_jw_int(&w, "exit", code);
    sp_jw_end(&w);
    (void)fprintf(stderr, "%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
    return code;
}

int cli_refuse(const struct cli_voice *v, int code, const char *error, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)cli_refuse_list(v, code, error, format, values);
    va_end(values);
    return code;
}

int cli_flush(const struct cli_voice *v, int code, int no_output)
{
    bool is_now = fflush(stdout) != 0; /* of a failure before nobody knows any more why */

    if (!is_now && ferror(stdout) == 0)
        return code;
    return cli_refuse(v, no_output, "output", "standard output: %s",
                      is_now ? strerrordesc_np(errno) : "can't be written");
}

bool cli_wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}
