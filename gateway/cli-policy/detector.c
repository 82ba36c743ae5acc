/*
 * Which version of the detector would examine a tenant's mail now, by the files that the scanners are given: its own in
 * detection/TENANT.json, else all.json's. So that replay can say whether what was found then came from another.
 */
#include "detect/own.h"
#include "gateway/cli-policy/cli.h"

static struct sp_bytes read_or_nothing(struct cli *cli, const char *path)
{
    struct sp_bytes text;

    return cli_read(cli, path, &text) == SP_OK ? text : SP_LIT("");
}

const char *cli_detector_version(struct cli *cli, const char *dir, struct sp_bytes tenant)
{
    char out[SP_DETECT_VERSION_LEN];
    struct sp_bytes text = SP_LIT(""), index = SP_LIT("");
    const char *names[] = {sp_arena_cstr(cli->arena, tenant), "all"};

    for (size_t i = 0; i < SP_ARRAY_LEN(names) && text.len == 0; i++) {
        struct sp_buf path;

        sp_buf_init(&path, 1024);
        sp_buf_printf(&path, "%s/detection/%s.json", dir, names[i]);
        text = read_or_nothing(cli, sp_arena_cstr(cli->arena, sp_buf_bytes(&path)));
        sp_buf_reset(&path);
        sp_buf_printf(&path, "%s/detection/%s.index", dir, names[i]);
        if (text.len > 0)
            index = read_or_nothing(cli, sp_arena_cstr(cli->arena, sp_buf_bytes(&path)));
        sp_buf_clear(&path);
    }
    sp_detect_own_version(text, index, out);
    return sp_arena_cstr(cli->arena, sp_bytes_cstr(out));
}
