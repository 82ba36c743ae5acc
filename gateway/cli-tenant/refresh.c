/*
 * sallyport directory refresh: the lists that directories keep, asked for anew; a timer runs it. A list that can't be had
 * whole leaves the last good one, and so does one that would lose too much (keep.c). `directory list`: when each was last
 * found right.
 */
#include "gateway/cli-tenant/cli.h"

#include "config/directory.h"
#include "base/map.h"
#include "roster/ldap.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HOUR_MS         ((int64_t)3600 * 1000)
#define PASSWORD_MAX    1024
#define DIRECTORIES_MAX 64
#define SYSTEM_CA       "/etc/ssl/certs/ca-certificates.crt"

/* ---- what it takes to ask ---- */

static bool place(const struct cli *cli, const char *setting, char out[CLI_PATH_MAX],
                  struct sp_err *err)
{
    if (sp_config_place(setting, cli->dir, out, CLI_PATH_MAX) == SP_OK)
        return true;
    (void)sp_fail(err, SP_E_NOT_FOUND, "%s: no such credential was given to this command", setting);
    return false;
}

/* The file's only line. An empty password would be a log-in as nobody that looks like one (RFC 4513 5.1.2). */
static enum sp_rc read_password(const struct cli *cli, const struct sp_directory *d,
                                struct sp_buf *out, struct sp_err *err)
{
    char path[CLI_PATH_MAX];
    FILE *f;
    int c;

    if (d->password[0] == 0)
        return SP_OK;
    if (!place(cli, d->password, path, err))
        return SP_E_NOT_FOUND;
    f = fopen(path, "rbe");
    if (f == NULL)
        return sp_fail(err, SP_E_IO, "%s can't be read", path);
    setvbuf(f, NULL, _IONBF, 0); /* no copy stays behind */
    while ((c = fgetc(f)) != EOF && c != '\n' && c != '\r')
        sp_buf_put_u8(out, (uint8_t)c);
    (void)fclose(f);
    return out->len > 0 && sp_buf_rc(out) == SP_OK
               ? SP_OK
               : sp_fail(err, SP_E_CONFIG_INVALID, "%s holds no password", path);
}

static enum sp_rc connect_to(const struct cli *cli, const struct sp_directory *d,
                             struct sp_roster_ldap **out, struct sp_err *err)
{
    char ca[CLI_PATH_MAX] = SYSTEM_CA;
    struct sp_buf password;
    enum sp_rc rc;

    if (d->ca[0] != 0 && !place(cli, d->ca, ca, err))
        return SP_E_NOT_FOUND;
    sp_buf_init(&password, PASSWORD_MAX);
    rc = read_password(cli, d, &password, err);
    if (rc == SP_OK)
        rc = sp_roster_ldap_open(d, ca, sp_buf_bytes(&password), out, err);
    sp_buf_wipe(&password);
    return rc;
}

/* ---- one directory ---- */

static void tell_tally(struct findings *f, const char *list, const struct sp_roster_tally *t)
{
    if (t->without + t->gone + t->odd > 0)
        find(f, FINDING_ADVICE, list,
             "%s: of %zu people %zu have no address; %zu members are not to be found; %zu "
             "addresses are none",
             list, t->people, t->without, t->gone, t->odd);
    if (t->elsewhere > 0)
        find(f, FINDING_ADVICE, list,
             "%s: %zu parts of the directory on other servers were left out (\"referrals\")", list,
             t->elsewhere);
}

static void refresh_list(struct keeping *k, const char *source, const struct sp_roster_ldap *ldap,
                         const struct sp_directory *d, const struct sp_directory_list *l)
{
    struct sp_roster *r = sp_roster_new(SP_ROSTER_ADDRESSES);
    struct sp_roster_tally tally;
    struct sp_err err = {0};

    if (sp_roster_collect(sp_roster_ldap_source(ldap), d, l, r, &tally, &err) != SP_OK) {
        find(k->f, FINDING_WRONG, l->name, "%s: stays as it is: %s", l->name, err.text);
    } else {
        keep_list(k, l->name, source, r);
        tell_tally(k->f, l->name, &tally);
    }
    sp_roster_free(r);
}

static void refresh(struct keeping *k, const char *name, const struct sp_directory *d)
{
    struct sp_roster_ldap *ldap = NULL;
    struct sp_err err = {0};
    char source[300];

    snprintf(source, sizeof(source), "directory %s", name);
    if (connect_to(k->f->cli, d, &ldap, &err) != SP_OK)
        find(k->f, FINDING_WRONG, name, "%s: its %zu lists stay as they are: %s", name,
             d->list_count, err.text);
    for (size_t i = 0; ldap != NULL && i < d->list_count; i++)
        refresh_list(k, source, ldap, d, &d->lists[i]);
    sp_roster_ldap_close(ldap);
}

/* ---- all of them ---- */

struct directories {
    const char *names[DIRECTORIES_MAX];
    struct sp_directory *items[DIRECTORIES_MAX];
    size_t count;
};

static void load(struct cli *cli, const char *name, struct directories *all)
{
    char path[CLI_PATH_MAX];
    struct sp_bytes text;
    enum sp_rc rc = SP_E_LIMIT;

    if (all->count < DIRECTORIES_MAX && strchr(name, '/') == NULL &&
        snprintf(path, sizeof(path), "%s/" SP_DIRECTORY_FOLDER "/%s.json", cli->dir, name) <
            CLI_PATH_MAX)
        rc = cli_read(cli, path, &text);
    if (rc != SP_OK)
        sp_problem_file(cli->problems, name, 0, rc, "there is no such directory in %s/%s", cli->dir,
                        SP_DIRECTORY_FOLDER);
    else if (sp_directory_load(text, path, cli->problems, &all->items[all->count]) == SP_OK)
        all->names[all->count++] = name;
}

static void load_all(struct cli *cli, struct directories *all)
{
    char path[CLI_PATH_MAX];
    const struct dirent *entry;
    DIR *dir = NULL;

    if (snprintf(path, sizeof(path), "%s/" SP_DIRECTORY_FOLDER, cli->dir) < CLI_PATH_MAX)
        dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct sp_bytes file = sp_bytes_cstr(entry->d_name);

        if (entry->d_name[0] != '.' && sp_bytes_ends_nocase(file, SP_LIT(".json")))
            load(cli, sp_arena_cstr(cli->arena, sp_bytes_slice(file, 0, file.len - 5)), all);
    }
    if (dir != NULL)
        closedir(dir);
}

/* Two that keep the same list would take it from each other. */
static void check_lists(struct cli *cli, const struct directories *all)
{
    SP_AUTO(sp_map) seen = sp_map_new();

    for (size_t i = 0; i < all->count; i++)
        for (size_t k = 0; k < all->items[i]->list_count; k++)
            if (sp_map_put(seen, sp_bytes_cstr(all->items[i]->lists[k].name), seen) != NULL)
                sp_problem_file(cli->problems, all->names[i], 0, SP_E_EXISTS,
                                "the list \"%s\" is another directory's, too",
                                all->items[i]->lists[k].name);
}

static int refresh_all(struct cli *cli, const struct directories *all)
{
    struct findings f;
    struct keeping k;
    struct sp_err err = {0};

    findings_begin(&f, cli);
    if (keep_begin(&k, &f, &err) != SP_OK)
        find(&f, FINDING_WRONG, "lists", "%s", err.text);
    else
        for (size_t i = 0; i < all->count; i++)
            if (cli->name == NULL || strcmp(cli->name, all->names[i]) == 0)
                refresh(&k, all->names[i], all->items[i]);
    keep_end(&k);
    return findings_end(&f);
}

int cli_directory_refresh(struct cli *cli)
{
    struct directories all = {.count = 0};
    int code = CLI_USAGE;
    bool found;

    if (!cli_settings(cli))
        return CLI_USAGE;
    load_all(cli, &all);
    check_lists(cli, &all);
    found = cli->name == NULL && all.count > 0;
    for (size_t i = 0; cli->name != NULL && i < all.count; i++)
        found = found || strcmp(cli->name, all.names[i]) == 0;
    if (!found && sp_problems_errors(cli->problems) == 0)
        sp_problem_file(cli->problems, cli->dir, 0, SP_E_NOT_FOUND,
                        "no such directory: expected " SP_DIRECTORY_FOLDER "/NAME.json");
    if (sp_problems_errors(cli->problems) == 0)
        code = refresh_all(cli, &all);
    else
        (void)cli_print_problems(cli, CLI_USAGE);
    for (size_t i = 0; i < all.count; i++)
        sp_directory_free(all.items[i]);
    return code;
}

/* ---- directory list ---- */

static void on_age(void *arg, const struct sp_directory_age *age)
{
    struct findings *f = arg;

    if (f->cli->name != NULL && strcmp(f->cli->name, age->directory) != 0)
        return;
    if (age->age_ms < 0)
        find(f, FINDING_WRONG, age->list, "%s of %s: never loaded", age->list, age->directory);
    else
        find(f, age->is_stale ? FINDING_WRONG : FINDING_OK, age->list,
             "%s of %s: refreshed %lld hours ago%s", age->list, age->directory,
             (long long)(age->age_ms / HOUR_MS), age->is_stale ? ", too old" : "");
}

int cli_directory_list(struct cli *cli)
{
    struct timespec now;
    struct findings f;
    int code;

    if (!cli_settings(cli))
        return CLI_USAGE;
    findings_begin(&f, cli);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    sp_directory_ages(cli->dir, cli->settings->policy, (int64_t)now.tv_sec * 1000, cli->problems,
                      on_age, &f);
    code = findings_end(&f);
    if (sp_problems_errors(cli->problems) > 0)
        code = CLI_USAGE;
    return cli_print_problems(cli, code);
}
