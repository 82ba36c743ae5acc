/*
 * Findings: one line each, with a tick or a cross, and the same as JSON for programs. Advice is a cross that fails nothing:
 * what would be better, and is no condition for mail to flow.
 */
#include "gateway/cli-tenant/cli.h"

#include <stdarg.h>
#include <stdio.h>

#define FINDINGS_MAX (256 * 1024)
#define LINE_MAX_    2048

void findings_begin(struct findings *f, struct cli *cli)
{
    *f = (struct findings){.cli = cli};
    sp_buf_init(&f->json, FINDINGS_MAX);
    sp_jw_init(&f->w, &f->json);
    sp_jw_object(&f->w, NULL);
    sp_jw_cstr(&f->w, cli->key, cli->name);
    sp_jw_array(&f->w, "findings");
}

/* Text from DNS may be in it: what a terminal would take for more than text is shown as "?". */
static void clean(char *text)
{
    for (; *text != 0; text++) {
        if ((uint8_t)*text < 0x20 || (uint8_t)*text == 0x7f)
            *text = '?';
    }
}

void find(struct findings *f, enum finding kind, const char *what, const char *fmt, ...)
{
    char text[LINE_MAX_];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    clean(text);
    if (kind == FINDING_WRONG)
        f->wrong++;
    if (!f->cli->json)
        (void)printf("%s %s%s\n", kind == FINDING_OK ? "\u2713" : "\u2717",
                     kind == FINDING_ADVICE ? "(advice) " : "", text);
    sp_jw_object(&f->w, NULL);
    sp_jw_cstr(&f->w, "what", what);
    sp_jw_bool(&f->w, "ok", kind == FINDING_OK);
    sp_jw_bool(&f->w, "advice", kind == FINDING_ADVICE);
    sp_jw_cstr(&f->w, "text", text);
    sp_jw_end(&f->w);
}

int findings_end(struct findings *f)
{
    sp_jw_end(&f->w);
    sp_jw_bool(&f->w, "ok", f->wrong == 0);
    sp_jw_int(&f->w, "missing", (int64_t)f->wrong);
    sp_jw_end(&f->w);
    if (f->cli->json)
        (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&f->json)));
    else if (f->wrong > 0)
        (void)printf("\n%zu missing\n", f->wrong);
    else
        (void)printf("\nall is well\n");
    sp_buf_clear(&f->json);
    return f->wrong == 0 ? CLI_OK : CLI_WRONG;
}
