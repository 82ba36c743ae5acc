/*
 * sallyport policy describe, list and diff: a policy told to people. describe numbers its sentences, so that a meeting can
 * speak of "number 14"; list prints one kind of thing; diff says what two versions do differently.
 */
#include <stdio.h>
#include <string.h>

#include "gateway/cli-policy/cli.h"
#include "policy/describe.h"

/* Width of a line of text, and where it begins behind its number. */
#define WIDTH 100

static const char *const sections[][2] = {
    {"setting", "What holds for all mail"},
    {"guard", "What is asked first, and nothing may undo"},
    {"rule", "What is asked then; the first that fits decides"},
    {"default", "What happens to all the rest"},
    {"ladder", "The ladders: ways to protect a copy, best first"},
    {"list", "The lists"},
    {"group", "The groups"},
    {"label", "The labels, by the identifiers that Microsoft 365 gives them"},
    {"special class", "Special classes of our own"},
    {"text", "The texts"},
    {"preferences", "What people have asked for"},
};

/* Breaks a text into lines behind an indent; column: where the line stands that it goes on with. */
static void print_behind(const char *text, int indent, int column)
{
    struct sp_bytes rest = sp_bytes_cstr(text), word;

    while (sp_bytes_split(&rest, ' ', &word)) {
        if (column > indent && column + 1 + (int)word.len > WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", SP_FMT(word));
        column += (int)word.len;
    }
    putchar('\n');
}

static void print_wrapped(const char *text, int indent)
{
    print_behind(text, indent, indent);
}

static void json_item(struct sp_jw *w, const char *key, const struct sp_policy_item *item)
{
    sp_jw_object(w, key);
    sp_jw_cstr(w, "scope", item->scope[0] == 0 ? NULL : item->scope);
    sp_jw_cstr(w, "kind", item->kind);
    sp_jw_cstr(w, "name", item->name);
    sp_jw_cstr(w, "file", item->file);
    sp_jw_int(w, "line", item->line);
    sp_jw_cstr(w, "text", item->text);
    if (item->lowers != NULL)
        sp_jw_cstr(w, "lowers", item->lowers);
    if (item->plain != NULL)
        sp_jw_cstr(w, "plain_for", item->plain);
    sp_jw_end(w);
}

static void print_scope(const struct sp_policy_items *all, const char *scope, size_t *number)
{
    for (size_t s = 0; s < SP_ARRAY_LEN(sections); s++) {
        bool said = false;

        for (size_t i = 0; i < all->count; i++) {
            const struct sp_policy_item *item = &all->items[i];

            if (strcmp(item->scope, scope) != 0 || strcmp(item->kind, sections[s][0]) != 0)
                continue;
            if (!said)
                printf("\n%s\n\n", sections[s][1]);
            said = true;
            printf("%4zu. ", ++*number);
            if (strcmp(item->kind, "setting") != 0 && strcmp(item->kind, "default") != 0)
                print_behind(item->text, 6, 6 + printf("%s:", item->name));
            else
                print_wrapped(item->text, 6);
        }
    }
}

static void print_description(const struct sp_policy *p, const struct sp_policy_items *all,
                              const char *path)
{
    size_t number = 0;

    printf("The encryption policy %s\nVersion %s\n", path, sp_policy_hash(p));
    print_scope(all, "", &number);
    for (size_t i = 0; i < all->count; i++) {
        const char *scope = all->items[i].scope;

        if (scope[0] == 0 || (i > 0 && strcmp(all->items[i - 1].scope, scope) == 0))
            continue;
        printf("\n---- Besides, for %s ----\n", scope);
        print_scope(all, scope, &number);
    }
}

static bool wants_all(const struct sp_policy_item *item)
{
    (void)item;
    return true;
}

static bool wants_lowers(const struct sp_policy_item *item)
{
    return item->lowers != NULL;
}

static bool wants_plain(const struct sp_policy_item *item)
{
    return item->plain != NULL;
}

static bool wants_rules(const struct sp_policy_item *item)
{
    return strcmp(item->kind, "guard") == 0 || strcmp(item->kind, "rule") == 0 ||
           strcmp(item->kind, "default") == 0;
}

static bool wants_lists(const struct sp_policy_item *item)
{
    return strcmp(item->kind, "list") == 0 || strcmp(item->kind, "preferences") == 0;
}

static void print_items(struct cli *cli, const struct sp_policy *p,
                        const struct sp_policy_items *all,
                        bool (*wants)(const struct sp_policy_item *item))
{
    struct sp_buf out;
    struct sp_jw w;
    size_t count = 0;

    sp_buf_init(&out, 64 << 20);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "hash", sp_policy_hash(p));
    sp_jw_array(&w, "items");
    for (size_t i = 0; i < all->count; i++) {
        const struct sp_policy_item *item = &all->items[i];

        if (!wants(item))
            continue;
        count++;
        json_item(&w, NULL, item);
        if (cli->json)
            continue;
        printf("%s %s (%s:%u)%s%s\n    ", item->kind, item->name, item->file, item->line,
               item->scope[0] == 0 ? "" : " for ", item->scope);
        print_wrapped(wants == wants_plain ? item->plain : item->text, 4);
    }
    sp_jw_end(&w);
    sp_jw_end(&w);
    if (cli->json)
        cli_print(&out);
    else if (count == 0)
        printf("none\n");
    sp_buf_clear(&out);
}

int cli_policy_describe(struct cli *cli)
{
    SP_AUTO(sp_policy) p = NULL;
    struct sp_policy_items all;

    if (!cli_arguments(cli, NULL, 0, &(struct cli_wanted){1, 1, "which file?"}))
        return CLI_USAGE;
    p = cli_load_policy(cli, cli->words[0]);
    if (p == NULL)
        return cli_print_problems(cli, CLI_WRONG);
    sp_policy_describe(p, cli->arena, &all);
    if (cli->json)
        print_items(cli, p, &all, wants_all);
    else
        print_description(p, &all, cli->words[0]);
    return CLI_OK;
}

int cli_policy_list(struct cli *cli)
{
    static bool (*const kinds[])(const struct sp_policy_item *item) = {wants_lowers, wants_plain,
                                                                       wants_rules, wants_lists};
    bool is_wanted[SP_ARRAY_LEN(kinds)] = {false};
    const struct cli_option options[] = {{"--lowers", .is_on = &is_wanted[0]},
                                         {"--plain", .is_on = &is_wanted[1]},
                                         {"--rules", .is_on = &is_wanted[2]},
                                         {"--lists", .is_on = &is_wanted[3]}};
    SP_AUTO(sp_policy) p = NULL;
    struct sp_policy_items all;
    size_t kind = 0, count = 0;

    if (!cli_arguments(cli, options, SP_ARRAY_LEN(options),
                       &(struct cli_wanted){1, 1, "which file?"}))
        return CLI_USAGE;
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        kind = is_wanted[i] ? i : kind;
        count += is_wanted[i];
    }
    if (count != 1)
        return cli_usage(cli, "one of --lowers, --plain, --rules and --lists says what to list");
    p = cli_load_policy(cli, cli->words[0]);
    if (p == NULL)
        return cli_print_problems(cli, CLI_WRONG);
    sp_policy_describe(p, cli->arena, &all);
    print_items(cli, p, &all, kinds[kind]);
    return CLI_OK;
}

/* ---- diff ---- */

static void print_change(const struct sp_policy_change *c)
{
    const struct sp_policy_item *item = c->after != NULL ? c->after : c->before;

    printf("%s %s %s%s%s\n", sp_policy_change_name(c->kind), item->kind, item->name,
           item->scope[0] == 0 ? "" : " for ", item->scope);
    if (c->kind == SP_CHANGE_MOVED) {
        printf("    is now asked %s%s\n", c->detail == NULL ? "first" : "after ",
               c->detail == NULL ? "" : c->detail);
        return;
    }
    if (c->before != NULL && (c->after == NULL || strcmp(c->before->text, c->after->text) != 0)) {
        printf("  - ");
        print_wrapped(c->before->text, 4);
    }
    if (c->after != NULL && (c->before == NULL || strcmp(c->before->text, c->after->text) != 0)) {
        printf("  + ");
        print_wrapped(c->after->text, 4);
    }
    if (c->detail != NULL) {
        printf("    ");
        print_wrapped(c->detail, 4);
    }
}

static void json_change(struct sp_jw *w, const struct sp_policy_change *c)
{
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "change", sp_policy_change_name(c->kind));
    if (c->before != NULL)
        json_item(w, "before", c->before);
    if (c->after != NULL)
        json_item(w, "after", c->after);
    if (c->detail != NULL)
        sp_jw_cstr(w, c->kind == SP_CHANGE_MOVED ? "behind" : "entries", c->detail);
    sp_jw_end(w);
}

size_t cli_print_diff(struct cli *cli, const struct sp_policy *a, const struct sp_policy *b)
{
    struct sp_policy_items before, after;
    struct sp_policy_changes changes;
    struct sp_buf out;
    struct sp_jw w;

    sp_policy_describe(a, cli->arena, &before);
    sp_policy_describe(b, cli->arena, &after);
    sp_policy_diff(&before, &after, cli->arena, &changes);
    sp_buf_init(&out, 64 << 20);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "before", sp_policy_hash(a));
    sp_jw_cstr(&w, "after", sp_policy_hash(b));
    sp_jw_array(&w, "changes");
    for (size_t i = 0; i < changes.count; i++) {
        if (!cli->json)
            print_change(&changes.changes[i]);
        json_change(&w, &changes.changes[i]);
    }
    sp_jw_end(&w);
    sp_jw_end(&w);
    if (cli->json)
        cli_print(&out);
    else if (changes.count == 0)
        printf("%s\n", strcmp(sp_policy_hash(a), sp_policy_hash(b)) == 0
                           ? "no difference"
                           : "nothing that can be told in words differs, but the versions do");
    sp_buf_clear(&out);
    return changes.count;
}

int cli_policy_diff(struct cli *cli)
{
    SP_AUTO(sp_policy) a = NULL;
    SP_AUTO(sp_policy) b = NULL;

    if (!cli_arguments(cli, NULL, 0, &(struct cli_wanted){2, 2, "which two files?"}))
        return CLI_USAGE;
    a = cli_load_policy(cli, cli->words[0]);
    b = cli_load_policy(cli, cli->words[1]);
    if (a == NULL || b == NULL)
        return cli_print_problems(cli, CLI_USAGE);
    return cli_print_diff(cli, a, b) == 0 && strcmp(sp_policy_hash(a), sp_policy_hash(b)) == 0
               ? CLI_OK
               : CLI_WRONG;
}
