/*
 * --own FILE.json: judges with an organisation's own patterns and terms, and with the exact data beside them (FILE.index, with
 * its key in FILE.key), as the gateway does for mail of the tenant whose detection/NAME.json that is.
 */
#include "gateway/cli-detect/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PATH_LEN_MAX 4096

/* FILE.json's brother. returns: false if the name is too long or no ".json" */
bool cli_detect_brother(const char *path, const char *suffix, char *out, size_t len)
{
    size_t stem = strlen(path);

    if (stem < 5 || strcmp(path + stem - 5, ".json") != 0)
        return false;
    return snprintf(out, len, "%.*s%s", (int)(stem - 5), path, suffix) < (int)len;
}

/* returns: false if there is an index that can't be used; it has been told */
static bool load_exact(struct cli_detect *cli, const char *path, struct sp_detect_exact **out)
{
    char index[PATH_LEN_MAX], key[PATH_LEN_MAX];
    struct sp_buf secret;
    struct sp_err err = {0};
    enum sp_rc rc = SP_OK;

    if (!cli_detect_brother(path, ".index", index, sizeof(index)) ||
        !cli_detect_brother(path, ".key", key, sizeof(key)))
        return true;
    if (!cli_detect_read(index, &cli->index)) {
        if (errno != ENOENT)
            fprintf(stderr, "sallyport detect: can't read %s\n", index);
        return errno == ENOENT;
    }
    sp_buf_init(&secret, 2 << 20);
    if (!cli_detect_read(key, &secret)) {
        fprintf(stderr, "sallyport detect: can't read %s, the key of %s\n", key, index);
        rc = SP_E_IO;
    } else if ((rc = sp_detect_exact_open(sp_buf_bytes(&cli->index), sp_buf_bytes(&secret), out,
                                          &err)) != SP_OK) {
        fprintf(stderr, "sallyport detect: %s: %s\n", index, err.text);
    }
    sp_buf_wipe(&secret);
    return rc == SP_OK;
}

bool cli_detect_own(struct cli_detect *cli, const char *path)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_detect_exact *exact = NULL;
    struct sp_buf text, line;
    bool ok;

    sp_buf_init(&text, 4 << 20);
    if (!cli_detect_read(path, &text)) {
        fprintf(stderr, "sallyport detect: can't read %s\n", path);
        sp_buf_clear(&text);
        return false;
    }
    if (!load_exact(cli, path, &exact)) {
        sp_buf_clear(&text);
        return false;
    }
    sp_buf_init(&line, 65536);
    ok = sp_detect_own_load(cli->detect, sp_buf_bytes(&text), path, exact, problems, &cli->own) ==
         SP_OK;
    for (size_t i = 0; i < sp_problems_count(problems); i++) {
        sp_buf_reset(&line);
        sp_problem_format(sp_problems_at(problems, i), &line);
        fprintf(stderr, "%.*s\n", SP_FMT(sp_buf_bytes(&line)));
    }
    sp_buf_clear(&line);
    sp_buf_clear(&text);
    return ok;
}
