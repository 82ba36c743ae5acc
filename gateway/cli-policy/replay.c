/*
 * sallyport policy replay: decisions of the past, decided again. With --message, by the version that decided then: the text
 * of the decision must come out byte for byte as it was recorded, or something is not as the audit says. With --days, by a
 * draft (or by what is live): who would fare otherwise, counted and listed. The facts come from the running gateway, which
 * records who has asked for them; deciding happens here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/cli-policy/publish.h"
#include "gateway/cli-policy/replay.h"
#include "json/json.h"
#include "policy/facts_read.h"
#include "policy/record.h"

#define ANSWER_MAX ((size_t)512 << 20)
#define SHOWN_MAX  20
#define KINDS_MAX  200

struct kind { /* one way in which decisions change */
    const char *from;
    const char *to;
    size_t count;
};

struct replay {
    const char *config;
    const char *message;
    const char *days;
    const char *draft;
    const char *live;
    struct sp_policy
        *by; /* draft or live, of --days; of --message what decided then, if it is had */
    struct replay_version then;
    size_t recipients, changed, unjudged;
    size_t other_detector; /* messages whose content another version of the detector found */
    struct kind kinds[KINDS_MAX];
    size_t kind_count;
    size_t kinds_left;   /* recipients in ways that have no room */
    struct sp_buf shown; /* lines or JSON objects */
    struct sp_jw w;
};

/* ---- the facts, from the gateway ---- */

/* returns: whether the gateway gave them */
static bool ask_facts(struct cli *cli, const struct replay *r, struct sp_buf *out)
{
    const char *what = r->message != NULL ? r->message : r->days;
    const char *words[] = {"audit", "facts", what, "--config", r->config, NULL};

    return cli_ask_gateway(cli, words, CLI_USAGE, out) == 0;
}

/* ---- from record to facts ---- */

static void set_members(struct cli *cli, struct cli_facts *f, const struct sp_json *object,
                        bool addresses)
{
    static const char *const others[] = {"unknown",  "types",      "time_ms", "policy",
                                         "header",   "decided",    "other",   "stage",
                                         "observed", "recipients", "language"};

    for (const struct sp_json *m = object->first; m != NULL; m = m->next) {
        bool is_other = false;

        for (size_t i = 0; i < SP_ARRAY_LEN(others); i++)
            is_other = is_other || sp_bytes_eq(m->key, sp_bytes_cstr(others[i]));
        if (!is_other && cli_fact_is_address(m->key) == addresses &&
            !sp_bytes_eq(m->key, SP_LIT("scan")))
            cli_fact_set(cli, f, m);
    }
}

static struct cli_facts *facts_of(struct cli *cli, const struct sp_json *record,
                                  const struct sp_json *recipient)
{
    struct cli_facts *f = sp_arena_alloc(cli->arena, sizeof(*f));

    memset(f, 0, sizeof(*f));
    sp_facts_read_record(record, cli->arena, &f->facts);
    set_members(cli, f, recipient, true);
    set_members(cli, f, recipient, false);
    sp_facts_read_unknown(sp_json_find(recipient, "unknown"), &f->facts);
    for (size_t i = 0; i < SP_FACT_COUNT; i++) /* what was recorded is all there was */
        if (f->facts.values[i].state == SP_FACT_PENDING)
            sp_facts_set_absent(&f->facts, (enum sp_fact)i);
    return f;
}

/* ---- judging ---- */

static void count_kind(struct replay *r, const char *from, const char *to)
{
    for (size_t i = 0; i < r->kind_count; i++) {
        if (strcmp(r->kinds[i].from, from) == 0 && strcmp(r->kinds[i].to, to) == 0) {
            r->kinds[i].count++;
            return;
        }
    }
    if (r->kind_count < KINDS_MAX)
        r->kinds[r->kind_count++] = (struct kind){from, to, 1};
    else
        r->kinds_left++;
}

/* The most frequent first. */
static int by_count(const void *a, const void *b)
{
    size_t x = ((const struct kind *)a)->count, y = ((const struct kind *)b)->count;

    return (x < y) - (x > y);
}

static const char *short_form(struct cli *cli, const char *verb, const char *rule,
                              const char *floor)
{
    char text[512];

    snprintf(text, sizeof(text), "%s by %s, floor %s", verb, rule, floor);
    return sp_arena_cstr(cli->arena, sp_bytes_cstr(text));
}

static const char *form_of_text(struct cli *cli, const struct sp_json *decided)
{
    return short_form(cli, (const char *)sp_json_text_of(decided, "do").ptr,
                      (const char *)sp_json_text_of(decided, "rule").ptr,
                      (const char *)sp_json_text_of(decided, "floor").ptr);
}

static void show(struct cli *cli, struct replay *r, struct sp_bytes message, struct sp_bytes to,
                 const char *from, const char *now)
{
    if (cli->json) {
        sp_jw_object(&r->w, NULL);
        sp_jw_text(&r->w, "message", message);
        sp_jw_text(&r->w, "recipient", to);
        sp_jw_cstr(&r->w, "recorded", from);
        sp_jw_cstr(&r->w, "replayed", now);
        sp_jw_end(&r->w);
    } else if (r->changed <= SHOWN_MAX) {
        sp_buf_printf(&r->shown, "  %.*s to %.*s: %s; was %s\n", SP_FMT(message), SP_FMT(to), now,
                      from);
    }
}

static void judge(struct cli *cli, struct replay *r, struct sp_bytes message,
                  const struct sp_json *record, const struct sp_json *recipient,
                  const struct sp_json *decided)
{
    struct cli_facts *f = facts_of(cli, record, recipient);
    struct sp_buf then, now;
    struct sp_decision d;
    const char *from, *to;

    sp_policy_decide(r->by, &f->facts, &d);
    sp_buf_init(&then, SP_DECISION_TEXT_MAX);
    sp_buf_init(&now, SP_DECISION_TEXT_MAX);
    sp_decision_write(&d, &now);
    r->recipients++;
    from = form_of_text(cli, decided);
    to = short_form(cli, sp_do_name(d.verb), d.rule, sp_floor_name(d.floor));
    if (sp_json_canonical(decided, &then) != SP_OK) {
        r->unjudged++;
    } else {
        SP_AUTO(sp_json_doc) again = NULL;
        struct sp_err err;

        sp_buf_reset(&then); /* both in the canonical order of keys */
        if (sp_json_parse(sp_buf_bytes(&now), NULL, &again, &err) == SP_OK) {
            sp_buf_reset(&now);
            (void)!sp_json_canonical(sp_json_root(again), &now);
            (void)!sp_json_canonical(decided, &then);
        }
        if (!sp_bytes_eq(sp_buf_bytes(&then), sp_buf_bytes(&now))) {
            r->changed++;
            count_kind(r, from, to);
            show(cli, r, message, sp_json_text_of(recipient, "recipient.address"), from, to);
        } else if (r->message != NULL && !cli->json) {
            sp_buf_printf(&r->shown, "  %.*s: %s: the same, byte for byte (%zu bytes)\n",
                          SP_FMT(sp_json_text_of(recipient, "recipient.address")), to, now.len);
        }
    }
    sp_buf_clear(&then);
    sp_buf_clear(&now);
}

/* The version that decided then, by the language of then. returns: false if it can't be had; r->then.lost says why */
static bool take_version(struct cli *cli, struct replay *r, const struct sp_json *facts)
{
    struct replay_version *v = &r->then;
    struct sp_policy *found;

    if (r->draft != NULL || (r->days != NULL && r->by != NULL))
        return true;
    v->hash = sp_arena_cstr(cli->arena, sp_json_text_of(facts, "policy"));
    v->language = (unsigned)sp_json_int_of(facts, "language", 1);
    if (r->by != NULL && v->language == SP_POLICY_LANGUAGE &&
        strcmp(sp_policy_hash(r->by), v->hash) == 0)
        return true;
    found = replay_version_find(cli, v);
    sp_policy_unref(r->by);
    r->by = found;
    return found != NULL;
}

/* Content facts are what the detector of then found: by another one a message may hold something else. */
static void compare_detector(struct cli *cli, struct replay *r, const struct sp_json *facts)
{
    struct sp_bytes then = sp_json_text_of(facts, "detector");
    const char *now;

    if (then.len == 0) /* nobody looked into it */
        return;
    now = cli_detector_version(cli, cli_dirname(cli, r->config), sp_json_text_of(facts, "tenant"));
    r->other_detector += !sp_bytes_eq(then, sp_bytes_cstr(now));
    if (r->message == NULL || cli->json)
        return;
    sp_buf_printf(&r->shown, "  what it holds was found by detector %.*s", SP_FMT(then));
    if (sp_bytes_eq(then, sp_bytes_cstr(now)))
        sp_buf_put_cstr(&r->shown, ", the present one\n");
    else
        sp_buf_printf(&r->shown, "; the present one is %s, and may find something else\n", now);
}

static int replay_line(struct cli *cli, struct replay *r, struct sp_bytes line)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *facts, *all, *decided = NULL;
    struct sp_err err;

    if (sp_json_parse(line, NULL, &doc, &err) != SP_OK)
        return CLI_WRONG;
    facts = sp_json_find(sp_json_root(doc), "facts");
    all = sp_json_find(facts, "recipients");
    if (all == NULL) { /* mail of ours, or more recipients than were kept */
        r->unjudged++;
        return CLI_OK;
    }
    if (!take_version(cli, r, facts))
        return REPLAY_LOST;
    compare_detector(cli, r, facts);
    for (const struct sp_json *to = all->first; to != NULL; to = to->next) {
        if (sp_json_find(to, "decided") != NULL)
            decided = sp_json_find(to, "decided");
        if (decided != NULL)
            judge(cli, r, sp_json_text_of(sp_json_root(doc), "message"), facts, to, decided);
    }
    return CLI_OK;
}

/* ---- the command ---- */

static bool read_options(struct cli *cli, struct replay *r)
{
    const struct cli_option options[] = {{"-c", .value = &r->config},
                                         {"--config", .value = &r->config},
                                         {"--message", .value = &r->message},
                                         {"--days", .value = &r->days},
                                         {"--draft", .value = &r->draft}};

    r->config = "/etc/sallyport/sallyport.json";
    if (!cli_arguments(cli, options, SP_ARRAY_LEN(options), &(struct cli_wanted){.most = 0}))
        return false;
    if ((r->message == NULL) == (r->days == NULL))
        (void)cli_usage(cli, "give either --message ID or --days N");
    else if (r->days != NULL && !cli_is_days(r->days))
        (void)cli_usage(cli, "--days %s: expected a number from 1 to %d", r->days, CLI_DAYS_MAX);
    else
        return true;
    return false;
}

static void print_end(struct cli *cli, struct replay *r)
{
    if (cli->json) {
        sp_jw_end(&r->w);
        sp_jw_int(&r->w, "recipients", (int64_t)r->recipients);
        sp_jw_int(&r->w, "changed", (int64_t)r->changed);
        sp_jw_int(&r->w, "not_judged", (int64_t)r->unjudged);
        sp_jw_int(&r->w, "other_detector", (int64_t)r->other_detector);
        sp_jw_cstr(&r->w, "policy", r->by == NULL ? NULL : sp_policy_hash(r->by));
        replay_version_write(cli, &r->then, &r->w);
        sp_jw_end(&r->w);
        cli_print(&r->shown);
        return;
    }
    printf("%zu recipients decided again, %zu otherwise than recorded", r->recipients, r->changed);
    printf(r->unjudged > 0 ? ", %zu messages without recorded decisions\n" : "\n", r->unjudged);
    if (r->other_detector > 0 && r->message == NULL)
        printf("%zu messages were examined by another version of the detector than the present "
               "one\n",
               r->other_detector);
    qsort(r->kinds, r->kind_count, sizeof(r->kinds[0]), by_count);
    for (size_t i = 0; i < r->kind_count; i++)
        printf("%6zu  %s; was %s\n", r->kinds[i].count, r->kinds[i].to, r->kinds[i].from);
    if (r->kinds_left > 0)
        printf("%6zu  in other ways: --json lists all\n", r->kinds_left);
    printf("%.*s", SP_FMT(sp_buf_bytes(&r->shown)));
    if (r->changed > SHOWN_MAX)
        printf("  and %zu more: --json lists all\n", r->changed - SHOWN_MAX);
}

static int replay_all(struct cli *cli, struct replay *r, struct sp_buf *facts)
{
    struct sp_bytes rest = sp_buf_bytes(facts), line;
    int code = CLI_OK;

    sp_buf_init(&r->shown, ANSWER_MAX);
    if (cli->json) {
        sp_jw_init(&r->w, &r->shown);
        sp_jw_object(&r->w, NULL);
        sp_jw_array(&r->w, "changes");
    }
    while (code == CLI_OK && sp_bytes_split(&rest, '\n', &line))
        if (line.len > 0)
            code = replay_line(cli, r, line);
    if (code == REPLAY_LOST && !cli->json)
        replay_version_print(cli, &r->then);
    else if (code == CLI_OK || code == REPLAY_LOST)
        print_end(cli, r);
    sp_buf_clear(&r->shown);
    return code == CLI_OK && r->changed > 0 ? CLI_WRONG : code;
}

int cli_policy_replay(struct cli *cli)
{
    struct replay *r = sp_arena_alloc(cli->arena, sizeof(*r));
    SP_AUTO(sp_config) config = NULL;
    struct sp_buf facts;
    int code = CLI_USAGE;

    memset(r, 0, sizeof(*r));
    if (!read_options(cli, r))
        return CLI_USAGE;
    config = cli_load_config(cli, r->config);
    if (config != NULL) {
        r->live = cli_join(cli, cli_dirname(cli, r->config), config->policy);
        r->by = cli_load_policy(cli, r->draft != NULL ? r->draft : r->live);
        r->then = (struct replay_version){.config = r->config, .live = r->live};
    }
    if (config == NULL || (r->by == NULL && (r->draft != NULL || r->days != NULL))) {
        sp_policy_unref(r->by);
        return cli_print_problems(cli, CLI_USAGE);
    }
    sp_buf_init(&facts, ANSWER_MAX);
    if (ask_facts(cli, r, &facts))
        code = replay_all(cli, r, &facts);
    sp_buf_wipe(&facts);
    sp_problems_free(r->then.problems);
    sp_policy_unref(r->by);
    return code;
}
