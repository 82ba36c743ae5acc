/*
 * What tenants add to the detector (detection/): whether it can be read and compiled, whose it is, and whether any rule makes something of
 * what is found by it.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/tenant.h"
#include "detect/own.h"
#include "gateway/cli-policy/cli.h"

struct folder {
    struct cli *cli;
    const struct sp_tenant *const *tenants;
    size_t count;
    const struct sp_policy *policy; /* NULL: it could not be read */
};

/* The name's stem with another suffix: its index or key. */
static const char *brother(struct cli *cli, const char *path, const char *suffix)
{
    size_t len = strlen(path) + strlen(suffix);
    char *out = sp_arena_alloc(cli->arena, len);

    snprintf(out, len, "%.*s%s", (int)strlen(path) - 5, path, suffix);
    return out;
}

static struct sp_detect_exact *check_exact(struct cli *cli, const char *path)
{
    const char *index = brother(cli, path, ".index"), *key = brother(cli, path, ".key");
    struct sp_detect_exact *exact = NULL;
    struct sp_bytes rows, secret;
    struct sp_err err = {0};

    if (access(index, F_OK) != 0)
        return NULL;
    if (cli_read(cli, index, &rows) != SP_OK)
        sp_problem_file(cli->problems, index, 0, SP_E_IO, "can't be read");
    else if (access(key, F_OK) != 0)
        sp_problem_file(cli->problems, key, 0, SP_E_NOT_FOUND, "is not there: it is the key of %s",
                        index);
    else if (cli_read(cli, key, &secret) == SP_OK && /* else this user may not */
             sp_detect_exact_open(rows, secret, &exact, &err) != SP_OK)
        sp_problem_file(cli->problems, index, 0, err.rc, "%s", err.text);
    return exact;
}

/* Words that a tenant is looked through for, and that no rule makes anything of. */
static void check_asked_for(struct cli *cli, const struct sp_policy *p, struct sp_bytes tenant,
                            struct sp_bytes text, const char *path)
{
    const struct sp_json_options options = {.comments = true, .file = path};
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *classes;
    struct sp_err err;

    if (sp_json_parse(text, &options, &doc, &err) != SP_OK)
        return; /* that was told */
    if (!sp_policy_asks_content(p)) {
        sp_problem_warn(cli->problems, sp_json_root(doc),
                        "no rule asks what is in a message: nothing is looked for; ask phi.class, "
                        "or take the file out");
        return;
    }
    classes = sp_json_find(sp_json_find(sp_json_root(doc), "terms"), "special");
    for (const struct sp_json *m = classes == NULL ? NULL : classes->first; m != NULL; m = m->next)
        if (!sp_policy_asks_special(p, tenant, m->key))
            sp_problem_warn(cli->problems, m,
                            "no rule asks for this class: ask {\"phi.special\": {\"has\": "
                            "\"%.*s\"}} and declare it under \"special\" of the policy, or take it "
                            "out",
                            SP_FMT(m->key));
}

static void check_own(const struct folder *f, struct sp_detect *detect, const char *path)
{
    struct cli *cli = f->cli;
    const char *slash = strrchr(path, '/') + 1;
    struct sp_bytes name = sp_bytes(slash, strlen(slash) - 5), text;
    struct sp_detect_exact *exact = check_exact(cli, path);
    struct sp_detect_own *own = NULL;
    bool known = sp_bytes_eq(name, SP_LIT("all"));

    for (size_t i = 0; i < f->count && !known; i++)
        known = sp_bytes_eq(name, sp_bytes_cstr(f->tenants[i]->name));
    if (!known)
        sp_problem_file(cli->problems, path, 0, SP_E_CONFIG_UNKNOWN,
                        "no tenant has this name: expected TENANT.json, or all.json for those "
                        "without a file of their own");
    if (cli_read(cli, path, &text) != SP_OK) {
        sp_problem_file(cli->problems, path, 0, SP_E_IO, "can't be read");
        sp_detect_exact_free(exact);
    } else if (sp_detect_own_load(detect, text, path, exact, cli->problems, &own) == SP_OK) {
        sp_detect_own_free(own);
        if (f->policy != NULL)
            check_asked_for(cli, f->policy, sp_bytes_eq(name, SP_LIT("all")) ? SP_LIT("") : name,
                            text, path);
    }
}

void cli_check_detection(struct cli *cli, const struct sp_tenant *const *tenants, size_t count,
                         const char *dir, const struct sp_policy *policy)
{
    const struct folder f = {cli, tenants, count, policy};
    SP_AUTO(sp_detect) detect = NULL;
    DIR *d = opendir(dir);
    const struct dirent *entry;
    struct sp_err err = {0};

    if (d == NULL)
        return;
    if (sp_detect_new(&detect, &err) != SP_OK)
        sp_problem_file(cli->problems, dir, 0, err.rc, "%s", err.text);
    while (detect != NULL && (entry = readdir(d)) != NULL)
        if (sp_bytes_ends_nocase(sp_bytes_cstr(entry->d_name), SP_LIT(".json")) &&
            entry->d_name[0] != '.')
            check_own(&f, detect, cli_join(cli, dir, entry->d_name));
    closedir(d);
}
