/*
 * --lines: one JSON object in, one out, in the same order. A line that is no such object gets an answer too, with an error
 * and, as with everything unexamined, as most sensitive.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/cli-detect/cli.h"
#include "gateway/cli-detect/output.h"
#include "json/json.h"

/* NUL can't stand in a text of ours; a space looks the same and keeps places true. */
static void replace_nul(char *line, size_t len)
{
    for (size_t i = 0; i + 6 <= len; i++) {
        if (line[i] != '\\')
            continue;
        if (memcmp(line + i, "\\u0000", 6) == 0)
            line[i + 4] = '2';
        i++;
    }
}

static void put_id(struct sp_jw *w, const struct sp_json *id)
{
    if (id != NULL && id->type == SP_JSON_TEXT)
        sp_jw_text(w, "id", id->text);
    else if (id != NULL && id->type == SP_JSON_INT)
        sp_jw_int(w, "id", id->integer);
    else
        sp_jw_null(w, "id");
}

static void answer(struct cli_detect *cli, struct sp_buf *out, char *line, size_t len)
{
    struct sp_detect_limits limits = {.findings = true, .own = cli->own};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_err err = {0};
    const struct sp_json *root, *text = NULL;
    struct sp_jw w;

    replace_nul(line, len);
    root = sp_json_parse(sp_bytes(line, len), NULL, &doc, &err) == SP_OK ? sp_json_root(doc) : NULL;
    if (root != NULL)
        text = sp_json_find(root, "text");
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    put_id(&w, root == NULL ? NULL : sp_json_find(root, "id"));
    if (text == NULL || text->type != SP_JSON_TEXT) {
        cli->result = (struct sp_detect_result){.class = SP_DETECT_SEVERE, .score = 100};
        sp_jw_cstr(&w, "error", root == NULL ? err.text : "no member \"text\"");
    } else {
        sp_arena_reset(cli->arena);
        sp_detect_text(cli->detect, text->text, &limits, cli->arena, &cli->result);
    }
    cli_detect_put_result(&w, &cli->result);
    sp_jw_end(&w);
}

int cli_detect_lines(struct cli_detect *cli, const char *path)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    struct sp_buf out;

    if (f == NULL)
        return cli_detect_say(cli, CLI_DETECT_NO_INPUT, "input", "can't read %s: %s", path,
                              strerrordesc_np(errno));
    sp_buf_init(&out, CLI_DETECT_TEXT_MAX);
    while ((len = getline(&line, &cap, f)) >= 0) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            len--;
        if (len == 0)
            continue;
        sp_buf_reset(&out);
        answer(cli, &out, line, (size_t)len);
        sp_buf_put_u8(&out, '\n');
        fwrite(out.ptr, 1, out.len, stdout);
    }
    free(line); /* getline's */
    sp_buf_clear(&out);
    if (f != stdin)
        fclose(f);
    return CLI_DETECT_OK;
}
