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
        bool is_absent = errno == ENOENT;

        if (!is_absent)
            (void)cli_detect_say(cli, CLI_DETECT_NO_INPUT, "input", "can't read %s: %s", index,
                                 strerrordesc_np(errno));
        return is_absent;
    }
    sp_buf_init(&secret, 2 << 20);
    if (!cli_detect_read(key, &secret)) {
        (void)cli_detect_say(cli, CLI_DETECT_NO_INPUT, "input", "can't read %s, the key of %s: %s",
                             key, index, strerrordesc_np(errno));
        rc = SP_E_IO;
    } else if ((rc = sp_detect_exact_open(sp_buf_bytes(&cli->index), sp_buf_bytes(&secret), out,
                                          &err)) != SP_OK) {
        (void)cli_detect_say(cli, CLI_DETECT_NO_INPUT, "input", "%s: %s", index, err.text);
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
        (void)cli_detect_say(cli, CLI_DETECT_NO_INPUT, "input", "can't read %s: %s", path,
                             strerrordesc_np(errno));
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
        const struct sp_problem *p = sp_problems_at(problems, i);

        sp_buf_reset(&line);
        sp_problem_format(p, &line);
        if (cli->json)
            (void)cli_detect_say(cli, p->is_warning ? CLI_DETECT_OK : CLI_DETECT_NO_INPUT,
                                 p->is_warning ? "warning" : sp_rc_name(p->rc), "%.*s",
                                 SP_FMT(sp_buf_bytes(&line)));
        else
            fprintf(stderr, "%.*s\n", SP_FMT(sp_buf_bytes(&line)));
    }
    sp_buf_clear(&line);
    sp_buf_clear(&text);
    return ok;
}
