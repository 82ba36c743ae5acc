/*
 * sallyport preference: what recipients have said about mail to them, in the file that the policy names under "preferences".
 * A change must leave a policy that loads; it is put on record by the running gateway (preference.changed, with the user
 * that the kernel names) before it is in its place, and counts from the next reload. The new file is whole on the disk by then,
 * so that the record is of what comes; if its last step fails all the same, that is on record, too. Who changes it waits for
 * whoever is doing so. What a recipient has chosen in the portal is
 * shown beside it; it lies with the gateway, and counts at once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "config/replace.h"
#include "gateway/cli-policy/publish.h"
#include "gateway/cli-policy/wishes.h"

#define FILE_LEN_MAX  ((size_t)8 << 20)
#define ENTRY_LEN_MAX 8192
#define DAY_S         86400 /* a day may have begun elsewhere */

struct registry {
    const char *config, *live, *path;
    struct sp_json_doc *doc;
    const struct sp_json *all; /* array; NULL: none yet */
};

struct wish {
    const char *address, *preference, *by, *given, *until, *warning, *reason;
    const char *config;
    bool offline;
    bool own; /* of what the recipient has chosen in the portal */
};

/* Which options a command takes. */
enum act { SET, LOOK, REMOVE };

static bool read_wish(struct cli *cli, struct wish *w, enum act act,
                      const struct cli_wanted *wanted)
{
    const struct cli_option options[] = {
        /* of SET */
        {"--by", .value = &w->by},
        {"--given", .value = &w->given},
        {"--until", .value = &w->until},
        {"--warning", .value = &w->warning},
        /* of all */
        {"-c", .value = &w->config},
        {"--config", .value = &w->config},
        {"--offline", .is_on = &w->offline},
        /* of REMOVE */
        {"--reason", .value = &w->reason},
        {"--own", .is_on = &w->own},
    };
    size_t first = act == SET ? 0 : 4;
    size_t end = act == REMOVE ? SP_ARRAY_LEN(options) : 7;

    w->config = "/etc/sallyport/sallyport.json";
    if (!cli_arguments(cli, options + first, end - first, wanted))
        return false;
    if (cli->word_count > 0)
        w->address = sp_arena_cstr(cli->arena, cli_inner(cli, sp_bytes_cstr(cli->words[0])));
    if (cli->word_count > 1)
        w->preference = cli->words[1];
    return true;
}

/* ---- the file ---- */

/* Where the policy says that it lies. returns: NULL, with a word to the user */
static const char *find_file(struct cli *cli, const char *live)
{
    struct sp_json_options options = {.comments = true};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text, file;
    struct sp_err err;

    options.file = live;
    if (cli_read(cli, live, &text) != SP_OK) {
        (void)cli_tell(cli, CLI_USAGE, "input", "%s: can't be read: %s", live,
                       strerrordesc_np(errno));
        return NULL;
    }
    if (sp_json_parse(text, &options, &doc, &err) != SP_OK) {
        (void)cli_tell(cli, CLI_USAGE, "input", "%s", err.text);
        return NULL;
    }
    file = sp_json_text_of(sp_json_find(sp_json_root(doc), "preferences"), "file");
    if (file.len == 0) {
        (void)cli_tell(cli, CLI_USAGE, "not-found",
                       "%s names no registry: \"preferences\": {\"file\": \"preferences.json\"}",
                       live);
        return NULL;
    }
    return cli_join(cli, cli_dirname(cli, live), sp_arena_cstr(cli->arena, file));
}

/* changes: nobody else may from now on. returns: an exit code */
static int open_registry(struct cli *cli, const char *config_path, bool changes, struct registry *r)
{
    SP_AUTO(sp_config) config = cli_load_config(cli, config_path);
    struct sp_json_options options = {.comments = true};
    struct sp_bytes text;
    struct sp_err err;
    enum sp_rc rc;

    if (config == NULL) {
        return cli_print_problems(cli, CLI_USAGE);
    }
    r->config = config_path;
    r->live = cli_join(cli, cli_dirname(cli, config_path), config->policy);
    if (strchr(r->live, '/') == NULL)
        r->live = publish_text(cli, "./%s", r->live);
    r->path = find_file(cli, r->live);
    if (r->path == NULL)
        return CLI_USAGE;
    if (changes && !cli_lock(cli, r->live))
        return CLI_WRONG;
    rc = cli_read(cli, r->path, &text);
    if (rc == SP_E_NOT_FOUND) {
        r->doc = sp_json_doc_new();
        return CLI_OK;
    }
    if (rc != SP_OK) {
        return cli_tell(cli, CLI_USAGE, "input", "%s: can't be read: %s", r->path,
                        strerrordesc_np(errno));
    }
    options.file = r->path;
    if (sp_json_parse(text, &options, &r->doc, &err) != SP_OK) {
        return cli_tell(cli, CLI_USAGE, "input", "%s", err.text);
    }
    r->all = sp_json_find(sp_json_root(r->doc), "preferences");
    return CLI_OK;
}

static bool is_about(struct cli *cli, const struct sp_json *entry, const char *address)
{
    return sp_bytes_eq_nocase(cli_inner(cli, sp_json_text_of(entry, "recipient")),
                              sp_bytes_cstr(address));
}

static const struct sp_json *find(struct cli *cli, const struct registry *r, const char *address)
{
    for (const struct sp_json *e = r->all == NULL ? NULL : r->all->first; e != NULL; e = e->next)
        if (is_about(cli, e, address))
            return e;
    return NULL;
}

static void put_line(struct sp_buf *out, const char *between, struct sp_bytes entry)
{
    sp_buf_put_cstr(out, between);
    sp_buf_put_cstr(out, "\n    ");
    sp_buf_put(out, entry);
}

/* The file with one entry in the place of what was said before, or without it (entry empty). */
static enum sp_rc rewrite(struct cli *cli, const struct registry *r, const char *address,
                          struct sp_bytes entry, struct sp_buf *out)
{
    struct sp_buf one;
    const char *between = "";
    enum sp_rc rc = SP_OK;

    sp_buf_init(&one, ENTRY_LEN_MAX);
    sp_buf_put_cstr(out, "{\n  \"version\": 1,\n  \"preferences\": [");
    for (const struct sp_json *e = r->all == NULL ? NULL : r->all->first; e != NULL && rc == SP_OK;
         e = e->next) {
        if (is_about(cli, e, address))
            continue;
        sp_buf_reset(&one);
        rc = sp_json_canonical(e, &one);
        put_line(out, between, sp_buf_bytes(&one));
        between = ",";
    }
    if (entry.len > 0)
        put_line(out, between, entry);
    sp_buf_put_cstr(out, "\n  ]\n}\n");
    sp_buf_clear(&one);
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}

/* Comments would be lost. */
static bool has_comments(struct cli *cli, const char *path)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text;
    struct sp_err err;

    return cli_read(cli, path, &text) == SP_OK && sp_json_parse(text, NULL, &doc, &err) != SP_OK;
}

/* ---- a change ---- */

/* change: "set", "removed", or that this failed behind its record. returns: an exit code, 0 if it is on record */
static int ask_record(struct cli *cli, const struct registry *r, const struct wish *w,
                      const char *change, struct sp_bytes entry)
{
    const char *text = sp_arena_cstr(cli->arena, entry.len == 0 ? SP_LIT("{}") : entry);
    const char *words[] = {"preference", change,   w->address,  "--reason",       w->reason,
                           "--entry",    text,     "--request", cli_request(cli), "--config",
                           r->config,    "--json", NULL};
    struct sp_buf out;
    int code;

    sp_buf_init(&out, ENTRY_LEN_MAX);
    code = cli_ask_gateway(cli, words, CLI_WRONG, &out);
    sp_buf_clear(&out);
    return code;
}

static bool record(struct cli *cli, const struct registry *r, const struct wish *w,
                   struct sp_bytes entry)
{
    int code =
        w->offline ? CLI_OK : ask_record(cli, r, w, entry.len == 0 ? "removed" : "set", entry);

    if (code == CLI_ASK_UNKNOWN)
        (void)cli_tell(cli, CLI_WRONG, "unknown",
                       "whether it is on record is unknown; nothing was changed: repeat it");
    else if (code != CLI_OK)
        (void)cli_tell(cli, CLI_WRONG, "refused",
                       "the gateway did not put it on record, so nothing was changed; --offline "
                       "changes the file alone");
    return code == CLI_OK;
}

static int tell_unwritten(const struct cli *cli, const struct registry *r, enum sp_rc rc)
{
    if (sp_config_is_link(r->path))
        return cli_tell_link(cli, r->path);
    return cli_tell(cli, CLI_WRONG, "output", "%s: can't be written: %s; nothing was changed",
                    r->path, rc == SP_E_IO ? strerrordesc_np(errno) : sp_rc_name(rc));
}

/* The new file, on record between being written and being in its place. */
static int put_file(struct cli *cli, const struct registry *r, const struct wish *w,
                    struct sp_bytes entry, struct sp_bytes text)
{
    struct sp_config_draft draft;
    enum sp_rc rc = sp_config_draft_write(&draft, r->path, text, 0644);
    int code;

    if (rc != SP_OK)
        return tell_unwritten(cli, r, rc);
    if (!record(cli, r, w, entry)) {
        sp_config_draft_drop(&draft);
        return CLI_WRONG;
    }
    rc = sp_config_draft_put(&draft);
    if (rc == SP_OK)
        return CLI_OK;
    code = tell_unwritten(cli, r, rc);
    if (!w->offline && ask_record(cli, r, w, "failed", entry) != CLI_OK)
        (void)cli_tell(cli, CLI_WRONG, "refused",
                       "the audit has it as changed: repeat it when the file can be written");
    return code;
}

/* What decided until now is kept, so that it can be replayed. A version that does not load has decided nothing. */
static bool keep_live(struct cli *cli, const struct registry *r)
{
    const struct publish p = {.live = r->live, .folder = cli_dirname(cli, r->live)};
    struct cli_files *files = cli_files_new(cli);
    SP_AUTO(sp_policy) live = cli_load_policy_files(cli, r->live, files);
    enum sp_rc rc = SP_OK;

    if (live != NULL)
        rc = publish_keep(cli, &p, sp_policy_hash(live), files);
    if (rc != SP_OK)
        (void)cli_tell(cli, CLI_WRONG, sp_rc_name(rc), "%s/.history: %s", p.folder, sp_rc_name(rc));
    cli_drop_problems(cli);
    return rc == SP_OK;
}

static void print_done(const char *done, const char *recipient)
{
    struct sp_buf out;
    struct sp_jw w;

    sp_buf_init(&out, ENTRY_LEN_MAX);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "done", done);
    sp_jw_cstr(&w, "recipient", recipient);
    sp_jw_end(&w);
    cli_print(&out);
    sp_buf_clear(&out);
}

static int tell_too_long(const struct cli *cli)
{
    return cli_tell(cli, CLI_WRONG, "limit", "that is too long for the registry");
}

static int change(struct cli *cli, const struct registry *r, const struct wish *w,
                  struct sp_bytes entry)
{
    SP_AUTO(sp_policy) policy = NULL;
    struct sp_buf text;
    int code = CLI_WRONG;

    if (has_comments(cli, r->path))
        return cli_tell(cli, CLI_WRONG, "refused",
                        "%s has comments, which would be lost: change it by hand", r->path);
    if (!keep_live(cli, r))
        return CLI_WRONG;
    sp_buf_init(&text, FILE_LEN_MAX);
    if (rewrite(cli, r, w->address, entry, &text) == SP_OK) {
        struct cli_files *instead = cli_files_new(cli);

        instead->items[instead->count++] =
            (struct cli_file){.name = r->path, .text = sp_buf_bytes(&text)};
        cli->instead = instead;
        policy = cli_load_policy(cli, r->live);
        cli->instead = NULL;
        if (policy == NULL)
            (void)cli_print_problems(cli, CLI_WRONG);
        else
            code = put_file(cli, r, w, entry, sp_buf_bytes(&text));
    } else {
        (void)tell_too_long(cli);
    }
    sp_buf_clear(&text);
    if (code == CLI_OK && cli->json)
        print_done(entry.len == 0 ? "removed" : "set", w->address);
    else if (code == CLI_OK)
        printf("%s: %s; it counts when the gateway reloads (SIGHUP)\n", w->address,
               entry.len == 0 ? "nothing is on record any more" : w->preference);
    return code;
}

/* To the second: the later of two words counts, the recipient's own in the portal and this one. */
static const char *now_text(struct cli *cli)
{
    char text[SP_TIME_TEXT_MAX];
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    sp_time_format_rfc3339((int64_t)t.tv_sec * 1000, text);
    return sp_arena_cstr(cli->arena, sp_bytes_cstr(text));
}

static void put(struct sp_json_doc *doc, const char *key, const char *value)
{
    if (value != NULL)
        sp_json_set_text(doc, sp_json_root(doc), key, sp_bytes_cstr(value));
}

/* A day as it begins in UTC, or a time. returns: false if it is neither, which loading tells */
static bool read_time(const char *text, int64_t *out)
{
    char day[40];

    snprintf(day, sizeof(day), "%sT00:00:00Z", text);
    return sp_time_parse_rfc3339(sp_bytes_cstr(strlen(text) == 10 ? day : text), out);
}

/* What would never count, or counts before it was said, is somebody's slip. */
static bool may_be(const struct cli *cli, const struct wish *w)
{
    const char *const texts[] = {w->by, w->warning, w->reason};
    int64_t given, until;
    struct timespec now;

    for (size_t i = 0; i < SP_ARRAY_LEN(texts); i++)
        if (texts[i] != NULL && !cli_is_line(texts[i])) {
            (void)cli_tell(cli, CLI_WRONG, "refused",
                           "who, how, why and the warning are one line of UTF-8 each");
            return false;
        }
    clock_gettime(CLOCK_REALTIME, &now);
    if (w->given == NULL || !read_time(w->given, &given))
        return true;
    if (given > ((int64_t)now.tv_sec + DAY_S) * 1000) {
        (void)cli_tell(cli, CLI_WRONG, "refused", "--given %s has not come yet: it counts at once",
                       w->given);
        return false;
    }
    if (w->until != NULL && read_time(w->until, &until) && until <= given) {
        (void)cli_tell(cli, CLI_WRONG, "refused", "--until %s is over before it begins", w->until);
        return false;
    }
    return true;
}

int cli_preference_set(struct cli *cli)
{
    struct wish w = {0};
    struct registry r = {0};
    struct sp_buf entry;
    int code;

    if (!read_wish(cli, &w, SET, &(struct cli_wanted){2, 2, "whose, and which preference?"}))
        return CLI_USAGE;
    if (w.by == NULL)
        return cli_usage(cli, "who said so, and how? --by TEXT");
    if (w.given == NULL)
        w.given = now_text(cli);
    w.reason = w.by;
    if (!may_be(cli, &w))
        return CLI_WRONG;
    code = open_registry(cli, w.config, true, &r);
    if (code == CLI_OK) {
        SP_AUTO(sp_json_doc) doc = sp_json_doc_new();

        put(doc, "recipient", w.address);
        put(doc, "preference", w.preference);
        put(doc, "given", w.given);
        put(doc, "by", w.by);
        put(doc, "until", w.until);
        put(doc, "warning", w.warning);
        sp_buf_init(&entry, ENTRY_LEN_MAX);
        if (sp_json_canonical(sp_json_root(doc), &entry) == SP_OK)
            code = change(cli, &r, &w, sp_buf_bytes(&entry));
        else
            code = tell_too_long(cli);
        sp_buf_clear(&entry);
    }
    sp_json_doc_free(r.doc);
    return code;
}

static int remove_own(struct cli *cli, const struct wish *w)
{
    if (!cli_wishes_forget(cli, w->config, w->address, w->reason))
        return CLI_WRONG;
    if (cli->json)
        print_done("removed", w->address);
    else
        printf("%s: what was chosen in the portal does not count any more\n", w->address);
    return CLI_OK;
}

static int tell_none(const struct cli *cli, const struct wish *w)
{
    return cli_tell(cli, CLI_WRONG, "not-found", "%s: nothing is on record", w->address);
}

int cli_preference_remove(struct cli *cli)
{
    struct wish w = {0};
    struct registry r = {0};
    int code;

    if (!read_wish(cli, &w, REMOVE, &(struct cli_wanted){1, 1, "whose?"}))
        return CLI_USAGE;
    if (w.reason == NULL)
        return cli_usage(cli, "why? --reason TEXT");
    if (!may_be(cli, &w))
        return CLI_WRONG;
    if (w.own)
        return remove_own(cli, &w);
    code = open_registry(cli, w.config, true, &r);
    if (code == CLI_OK) {
        code =
            find(cli, &r, w.address) != NULL ? change(cli, &r, &w, SP_LIT("")) : tell_none(cli, &w);
    }
    sp_json_doc_free(r.doc);
    return code;
}

/* ---- looking ---- */

static void print_entry(struct cli *cli, const struct sp_json *e)
{
    struct sp_bytes until = sp_json_text_of(e, "until"), warning = sp_json_text_of(e, "warning");
    struct sp_bytes tenant = sp_json_text_of(e, "tenant");

    if (cli->json) {
        struct sp_buf text;

        sp_buf_init(&text, ENTRY_LEN_MAX);
        if (sp_json_canonical(e, &text) == SP_OK)
            cli_print(&text);
        sp_buf_clear(&text);
        return;
    }
    printf("%-32.*s %-8.*s since %.*s by %.*s%s%.*s%s%.*s%s%.*s\n",
           SP_FMT(sp_json_text_of(e, "recipient")), SP_FMT(sp_json_text_of(e, "preference")),
           SP_FMT(sp_json_text_of(e, "given")), SP_FMT(sp_json_text_of(e, "by")),
           tenant.len > 0 ? ", for mail of " : "", SP_FMT(tenant), until.len > 0 ? ", until " : "",
           SP_FMT(until), warning.len > 0 ? ", warned by " : "", SP_FMT(warning));
}

/* Prints those of the address, or all. returns: how many */
static size_t print_entries(struct cli *cli, const struct sp_json *first, const char *address)
{
    size_t count = 0;

    for (const struct sp_json *e = first; e != NULL; e = e->next) {
        if (address != NULL && !is_about(cli, e, address))
            continue;
        print_entry(cli, e);
        count++;
    }
    return count;
}

/* A house may have no registry and yet a portal. What can't be read is said by who opens the registry. */
static bool has_registry(struct cli *cli, const struct wish *w)
{
    SP_AUTO(sp_config) config = cli_load_config(cli, w->config);
    SP_AUTO(sp_policy) policy = NULL;

    if (config != NULL)
        policy = cli_load_policy(cli, cli_join(cli, cli_dirname(cli, w->config), config->policy));
    if (policy == NULL) {
        cli_drop_problems(cli);
    }
    return policy == NULL || sp_policy_has_registry(policy);
}

static int look(struct cli *cli, const struct cli_wanted *wanted)
{
    struct wish w = {0};
    struct registry r = {0};
    SP_AUTO(sp_json_doc) own = NULL;
    size_t count;

    if (!read_wish(cli, &w, LOOK, wanted))
        return CLI_USAGE;
    if (has_registry(cli, &w) && open_registry(cli, w.config, false, &r) != CLI_OK)
        return CLI_USAGE;
    count = print_entries(cli, r.all == NULL ? NULL : r.all->first, w.address);
    fflush(stdout);
    if (!w.offline)
        own = cli_wishes(cli, w.config, w.address);
    count += print_entries(cli, cli_wishes_first(own), w.address);
    sp_json_doc_free(r.doc);
    return w.address != NULL && count == 0 ? tell_none(cli, &w) : CLI_OK;
}

int cli_preference_list(struct cli *cli)
{
    return look(cli, &(struct cli_wanted){.most = 1});
}

int cli_preference_show(struct cli *cli)
{
    return look(cli, &(struct cli_wanted){1, 1, "whose?"});
}
