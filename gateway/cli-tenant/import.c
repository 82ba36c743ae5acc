/*
 * sallyport directory import: a table of people becomes lists, one a group. All of it is read before anything is written, and
 * a table with anything wrong in it changes nothing.
 */
#include "gateway/cli-tenant/cli.h"

#include "roster/csv.h"

#include <stdio.h>
#include <string.h>

#define SOURCE "import"

static struct sp_roster_groups *read_table(struct cli *cli)
{
    const struct sp_roster_wanted wanted = {cli->lists.items, cli->lists.count};
    bool is_input = strcmp(cli->name, "-") == 0;
    struct sp_roster_groups *groups = NULL;
    FILE *f = is_input ? stdin : fopen(cli->name, "rbe");
    struct sp_buf text;
    uint8_t *at;
    size_t n = 0;

    sp_buf_init(&text, SP_ROSTER_CSV_MAX);
    while (f != NULL && (at = sp_buf_reserve(&text, 65536)) != NULL &&
           (n = fread(at, 1, 65536, f)) > 0)
        sp_buf_commit(&text, n);
    if (f == NULL || ferror(f) != 0)
        sp_problem_file(cli->problems, cli->name, 0, SP_E_IO, "can't be read");
    else if (sp_buf_rc(&text) != SP_OK)
        sp_problem_file(cli->problems, cli->name, 0, SP_E_LIMIT, "is longer than %zu MiB",
                        SP_ROSTER_CSV_MAX >> 20);
    else if (sp_roster_csv_read(sp_buf_bytes(&text), is_input ? "standard input" : cli->name,
                                &wanted, cli->problems, &groups) != SP_OK)
        groups = NULL;
    if (f != NULL && !is_input)
        (void)fclose(f);
    sp_buf_wipe(&text);
    return groups;
}

static int keep_all(struct cli *cli, const struct sp_roster_groups *groups)
{
    struct findings f;
    struct keeping k;
    struct sp_err err = {0};

    findings_begin(&f, cli);
    if (keep_begin(&k, &f, &err) != SP_OK)
        find(&f, FINDING_WRONG, "lists", "%s", err.text);
    else if (groups->count == 0)
        find(&f, FINDING_WRONG, "lists", "no row names a group: nothing is written");
    k.named = groups->ungrouped;
    if (f.wrong == 0)
        for (size_t i = 0; i < groups->count; i++)
            keep_list(&k, groups->items[i].name, SOURCE, groups->items[i].roster);
    if (groups->doubles > 0)
        find(&f, FINDING_ADVICE, "doubles", "%zu times a member stands in a group twice",
             groups->doubles);
    if (groups->left_out > 0)
        find(&f, FINDING_ADVICE, "left-out", "%zu of %zu rows are in no list", groups->left_out,
             groups->rows);
    keep_end(&k);
    return findings_end(&f);
}

int cli_directory_import(struct cli *cli)
{
    struct sp_roster_groups *groups;
    int code = CLI_USAGE;

    if (!cli_settings(cli))
        return CLI_USAGE;
    groups = read_table(cli);
    if (groups == NULL)
        (void)cli_print_problems(cli, CLI_USAGE);
    else
        code = keep_all(cli, groups);
    sp_roster_groups_free(groups);
    return code;
}
