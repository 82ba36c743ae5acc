/*
 * sallyport settings: prints docs/settings.md. The page is made of the tables that read the files.
 */
#include <stdio.h>

#include "gateway/cli-policy/cli.h"
#include "config/config.h"
#include "config/directory.h"
#include "config/tenant.h"

static const char head[] = "# Settings\n\n"
                           "Made by `sallyport settings` from the tables in `lib/config`; a test "
                           "compares, so edit those.\n"
                           "Files are JSON with `//` and `/* */` comments. Durations are written "
                           "`250ms 30s 15m 4h 2d`, sizes `64KiB 25MiB`.\n"
                           "A name with dots stands for nested objects: `intake.size_limit` is "
                           "`{\"intake\": {\"size_limit\": ...}}`.\n"
                           "Paths are relative to the folder of `sallyport.json` where nothing "
                           "else is said. `sallyport check` tells everything\n"
                           "that is wrong at once.\n\n";

/* file, list (null: none), setting, type, choices or least and most, default (null: must be given), text */
static void print_json(void)
{
    struct sp_buf out;
    struct sp_jw w;

    sp_buf_init(&out, 1 << 20);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "settings");
    sp_config_list_settings(&w);
    sp_tenant_list_settings(&w);
    sp_directory_list_settings(&w);
    sp_jw_end(&w);
    sp_jw_end(&w);
    cli_print(&out);
    sp_buf_clear(&out);
}

int cli_settings(struct cli *cli)
{
    struct sp_buf out;

    if (!cli_arguments(cli, NULL, 0, &(struct cli_wanted){.most = 0}))
        return CLI_USAGE;
    if (cli->json) {
        print_json();
        return CLI_OK;
    }
    sp_buf_init(&out, 1 << 20);
    sp_buf_put_cstr(&out, head);
    sp_config_reference(&out);
    sp_buf_put_u8(&out, '\n');
    sp_tenant_reference(&out);
    sp_buf_put_u8(&out, '\n');
    sp_directory_reference(&out);
    fwrite(out.ptr, 1, out.len, stdout);
    sp_buf_clear(&out);
    return CLI_OK;
}
