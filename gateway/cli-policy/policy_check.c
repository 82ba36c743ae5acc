/*
 * sallyport policy check: loads policies and says what is wrong, what is worth a look, and who could get plain mail.
 */
#include <stdio.h>

#include "gateway/cli-policy/cli.h"
#include "policy/describe.h"

/* Who could get plain mail: what an administrator should know without having asked. */
static void tell_plain(struct cli *cli, const struct sp_policy *p)
{
    struct sp_policy_items all;
    size_t count = 0;

    sp_policy_describe(p, cli->arena, &all);
    for (size_t i = 0; i < all.count; i++) {
        if (all.items[i].plain == NULL)
            continue;
        count++;
        printf("  plain mail is possible if %s (rule \"%s\")\n", all.items[i].plain,
               all.items[i].name);
    }
    if (count == 0)
        printf("  plain mail is possible for nobody\n");
}

static void json_plain(struct cli *cli, const struct sp_policy *p, struct sp_jw *w)
{
    struct sp_policy_items all;

    sp_policy_describe(p, cli->arena, &all);
    sp_jw_array(w, "plain");
    for (size_t i = 0; i < all.count; i++) {
        if (all.items[i].plain == NULL)
            continue;
        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "rule", all.items[i].name);
        sp_jw_cstr(w, "for", all.items[i].plain);
        sp_jw_cstr(w, "lowers", all.items[i].lowers);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void report(struct cli *cli, const char *path, const struct sp_policy *p, struct sp_jw *w)
{
    if (cli->json) {
        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "file", path);
        sp_jw_bool(w, "ok", p != NULL);
        sp_jw_cstr(w, "hash", p == NULL ? NULL : sp_policy_hash(p));
        sp_jw_cstr(w, "floor", p == NULL ? NULL : sp_floor_name(sp_policy_floor(p)));
        sp_jw_cstr(w, "asks", p == NULL ? NULL : sp_stage_name(sp_policy_last_stage(p)));
        if (p != NULL)
            json_plain(cli, p, w);
        cli_json_problems(cli, w);
        sp_jw_end(w);
        return;
    }
    (void)cli_print_problems(cli, CLI_WRONG);
    if (p != NULL)
        printf("%s: good; floor %s, asks %s facts, version %s\n", path,
               sp_floor_name(sp_policy_floor(p)), sp_stage_name(sp_policy_last_stage(p)),
               sp_policy_hash(p));
    if (p != NULL)
        tell_plain(cli, p);
}

int cli_policy_check(struct cli *cli)
{
    struct sp_buf out;
    struct sp_jw w;
    int code = CLI_OK;

    if (!cli_arguments(cli, NULL, 0, &(struct cli_wanted){1, SIZE_MAX, "which files?"}))
        return CLI_USAGE;
    sp_buf_init(&out, 4 << 20);
    sp_jw_init(&w, &out);
    sp_jw_array(&w, NULL);
    for (size_t i = 0; i < cli->word_count; i++) {
        SP_AUTO(sp_policy) p = cli_load_policy(cli, cli->words[i]);

        report(cli, cli->words[i], p, &w);
        if (p == NULL)
            code = CLI_WRONG;
        cli_drop_problems(cli);
    }
    sp_jw_end(&w);
    if (cli->json)
        cli_print(&out);
    sp_buf_clear(&out);
    return code;
}
