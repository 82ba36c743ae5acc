/* What could not be done goes to standard error, so that standard output holds an answer or nothing. */
#include "gateway/cli-control/refusal.h"

#include "base/buf.h"
#include "base/text.h"

#include <stdio.h>

int cli_refuse(bool json, int code, const char *error, const char *detail)
{
    struct sp_buf text;
    struct sp_jw w;

    if (!json) {
        (void)fprintf(stderr, "sallyport: %s\n", detail);
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
