/*
 * What publishing, staging and taking back have in common: where the live policy lies, who acts, versions that are kept
 * whole under their hash in .history/, and the two places where an act is told: the log there, and published.json beside
 * the policy, from which the ledger records it when the gateway takes the new version up.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/replace.h"
#include "gateway/cli-policy/publish.h"
#include "json/json.h"

#define TEXT_MAX_LEN ((size_t)128 << 20)

const char *publish_text(struct cli *cli, const char *fmt, ...)
{
    char text[8192];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return sp_arena_cstr(cli->arena, sp_bytes_cstr(text));
}

static const char *who_acts(struct cli *cli)
{
    const char *sudo = getenv("SUDO_USER"); /* NOLINT(concurrency-mt-unsafe): one thread */

    if (sudo != NULL && sudo[0] != 0 && strlen(sudo) < 64)
        return publish_text(cli, "uid %u (%s)", (unsigned)getuid(), sudo);
    return publish_text(cli, "uid %u", (unsigned)getuid());
}

/* "shadow", "25%", "full". returns: false if it is none of these */
static bool read_stage(struct publish *p)
{
    struct sp_bytes text;
    uint64_t n;

    p->percent = 100;
    if (p->stage == NULL || strcmp(p->stage, "full") == 0)
        return true;
    p->shadow = strcmp(p->stage, "shadow") == 0;
    p->percent = 0;
    if (p->shadow)
        return true;
    text = sp_bytes_cstr(p->stage);
    if (text.len < 2 || text.ptr[text.len - 1] != '%' ||
        !sp_bytes_to_u64(sp_bytes(text.ptr, text.len - 1), &n) || n < 1 || n > 99)
        return false;
    p->percent = (unsigned)n;
    return true;
}

static bool read_words(struct cli *cli, struct publish *p, unsigned takes)
{
    const struct {
        struct cli_option option;
        unsigned need;
    } all[] = {{{"-c", .value = &p->config}, 0},
               {{"--config", .value = &p->config}, 0},
               {{"--reason", .value = &p->reason}, PUBLISH_REASON},
               {{"--approved-by", .value = &p->approver}, PUBLISH_APPROVER},
               {{"--stage", .value = &p->stage}, PUBLISH_STAGE},
               {{"--dry-run", .is_on = &p->dry_run}, PUBLISH_DRY_RUN}};
    struct cli_wanted wanted = {.what = "which draft, or version?"};
    struct cli_option own[SP_ARRAY_LEN(all)];
    size_t count = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        if ((takes & all[i].need) == all[i].need)
            own[count++] = all[i].option;
    wanted.least = wanted.most = (takes & PUBLISH_WORD) != 0;
    if (!cli_arguments(cli, own, count, &wanted))
        return false;
    p->word = cli->word_count > 0 ? cli->words[0] : NULL;
    return true;
}

bool publish_options(struct cli *cli, struct publish *p, unsigned takes)
{
    p->config = "/etc/sallyport/sallyport.json";
    if (!read_words(cli, p, takes))
        return false;
    p->who = who_acts(cli);
    if ((takes & PUBLISH_REASON) != 0 &&
        (p->reason == NULL || sp_bytes_trim(sp_bytes_cstr(p->reason)).len < 5))
        (void)cli_usage(cli, "say why, in five letters or more: --reason TEXT; it stands in the "
                             "audit");
    else if (p->reason != NULL && !cli_is_line(p->reason))
        (void)cli_usage(cli, "--reason: one line of UTF-8, since it stands in the audit");
    else if (p->approver != NULL && !cli_is_line(p->approver))
        (void)cli_usage(cli, "--approved-by: one line of UTF-8, since it stands in the audit");
    else if (!read_stage(p))
        (void)cli_usage(cli, "--stage %s: expected shadow, full, or a share of the mail like 10%%",
                        p->stage);
    else
        return true;
    return false;
}

/* Where the live policy lies. returns: false, with problems, if the settings can't be read */
bool publish_find_live(struct cli *cli, struct publish *p)
{
    SP_AUTO(sp_config) config = cli_load_config(cli, p->config);

    if (config == NULL) {
        (void)cli_print_problems(cli, CLI_USAGE);
        return false;
    }
    cli_drop_problems(cli); /* what is worth a look in the settings is for "check" to tell */
    p->live = cli_join(cli, cli_dirname(cli, p->config), config->policy);
    if (strchr(p->live, '/') == NULL)
        p->live = publish_text(cli, "./%s", p->live);
    p->folder = cli_dirname(cli, p->live);
    p->second_person = config->publishing.second_person;
    return true;
}

const char *publish_history_path(struct cli *cli, const struct publish *p, const char *name)
{
    return publish_text(cli, "%s/.history/%s", p->folder, name);
}

/* ---- versions ---- */

/* The names of the files that are the program's own and none of this house. */
static void set_shipped(struct sp_json_doc *doc, const struct sp_json *root,
                        const struct cli_files *files, size_t skip)
{
    const struct sp_json *list = sp_json_set_object(doc, root, "shipped");

    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].is_shipped)
            sp_json_set_bool(doc, list, files->items[i].name + skip, true);
}

/* Keeps all files of a version; the main one is named policy. returns: SP_OK or why not */
enum sp_rc publish_keep(struct cli *cli, const struct publish *p, const char *hash,
                        const struct cli_files *files)
{
    const char *path = publish_history_path(cli, p, publish_text(cli, "%s.json", hash));
    SP_AUTO(sp_json_doc) none = sp_json_doc_new();
    SP_AUTO(sp_json_doc) doc = sp_json_doc_new();
    const struct sp_json *root = sp_json_root(doc), *list;
    size_t skip = strlen(p->folder) + 1;
    struct sp_buf text;
    enum sp_rc rc = SP_OK;

    if (access(path, F_OK) == 0)
        return SP_OK;
    if (mkdir(publish_history_path(cli, p, ""), 0755) != 0 && errno != EEXIST)
        rc = SP_E_IO;
    sp_json_set_int(doc, root, "version", 1);
    sp_json_set_text(doc, root, "hash", sp_bytes_cstr(hash));
    sp_json_set_copy(doc, root, "files", sp_json_root(none));
    list = sp_json_find(root, "files");
    for (size_t i = 0; i < files->count; i++) /* the main file was read first */
        sp_json_set_text(doc, list, i == 0 ? cli_basename(p->live) : files->items[i].name + skip,
                         files->items[i].text);
    set_shipped(doc, root, files, skip);
    sp_buf_init(&text, TEXT_MAX_LEN);
    if (rc == SP_OK)
        rc = sp_json_canonical(root, &text);
    if (rc == SP_OK)
        rc = sp_config_replace(path, sp_buf_bytes(&text), 0640); /* lists of people are in it */
    sp_buf_clear(&text);
    return rc;
}

static void write_act(struct sp_jw *w, const struct publish *p, const struct publish_act *act)
{
    char now[SP_TIME_TEXT_MAX];
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    sp_time_format_rfc3339((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000, now);
    sp_jw_object(w, NULL);
    sp_jw_int(w, "version", 1);
    sp_jw_cstr(w, "event", act->event);
    sp_jw_cstr(w, "time", now);
    sp_jw_cstr(w, "who", p->who);
    if (p->approver != NULL)
        sp_jw_cstr(w, "approver", p->approver);
    sp_jw_cstr(w, "reason", p->reason);
    sp_jw_cstr(w, "before", act->before);
    sp_jw_cstr(w, "after", act->after);
    if (act->rules != NULL)
        sp_jw_cstr(w, "rules", act->rules);
    if (act->restored != NULL)
        sp_jw_cstr(w, "restored", act->restored);
    if (p->percent < 100) {
        sp_jw_cstr(w, "mode", p->shadow ? "shadow" : "percent");
        sp_jw_int(w, "percent", p->percent);
    }
    sp_jw_int(w, "tests", (int64_t)p->passed);
    sp_jw_end(w);
}

/* One line more in the log, and the same beside the policy for the ledger to read. */
enum sp_rc publish_tell(struct cli *cli, const struct publish *p, const struct publish_act *act)
{
    struct sp_bytes old = {NULL, 0};
    const char *log = publish_history_path(cli, p, "log.jsonl");
    struct sp_buf line, all;
    struct sp_jw w;
    enum sp_rc rc = cli_read(cli, log, &old);

    sp_buf_init(&line, 65536);
    sp_buf_init(&all, TEXT_MAX_LEN);
    sp_jw_init(&w, &line);
    write_act(&w, p, act);
    sp_buf_put_u8(&line, '\n');
    sp_buf_put(&all, old);
    sp_buf_put(&all, sp_buf_bytes(&line));
    if (rc == SP_OK || rc == SP_E_NOT_FOUND)
        rc = sp_buf_rc(&all) == SP_OK ? cli_write(log, sp_buf_bytes(&all)) : SP_E_LIMIT;
    if (rc == SP_OK && act->file != NULL)
        rc = cli_write(publish_text(cli, "%s/%s", p->folder, act->file), sp_buf_bytes(&line));
    sp_buf_clear(&line);
    sp_buf_clear(&all);
    return rc;
}

static void print_act(const char *what, const struct publish_act *act)
{
    struct sp_buf text;
    struct sp_jw w;

    sp_buf_init(&text, TEXT_MAX_LEN);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "done", what);
    sp_jw_cstr(&w, "before", act->before);
    sp_jw_cstr(&w, "after", act->after);
    if (act->restored != NULL) {
        sp_jw_cstr(&w, "restored", act->restored);
        sp_jw_array(&w, "left");
        for (size_t i = 0; i < act->left_count; i++)
            sp_jw_cstr(&w, NULL, act->left[i]); /* names of files: anything may be in them */
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    printf("%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

int publish_end(struct cli *cli, const struct publish *p, enum sp_rc rc, const char *what,
                const struct publish_act *act)
{
    if (rc != SP_OK)
        return cli_tell(cli, CLI_WRONG, sp_rc_name(rc), "%s: %s", p->folder, sp_rc_name(rc));
    if (cli->json)
        print_act(what, act);
    else if (strcmp(act->before, act->after) == 0)
        printf("this is what is live already\n");
    else
        printf("%s %.16s%s%.16s; the gateway takes it up when it reloads (SIGHUP)\n", what,
               act->after, p->percent < 100 ? " beside " : " in the place of ", act->before);
    return CLI_OK;
}
