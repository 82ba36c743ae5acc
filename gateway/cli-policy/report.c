/*
 * sallyport policy report: how the last days' mail fared under each rule, and how it would have fared under a draft that is
 * tried beside it: a line a day and rule, with how many recipients go where. Where a copy goes is told by the ladder that
 * was decided on and by what the recipient's domain had proved by then (or has since); message encryption is not counted
 * on, since whose key is there is not in the facts. A portal that nobody needed is one for a message in which nothing was
 * found, which nobody asked to have protected.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "gateway/cli-policy/publish.h"
#include "policy/ladder.h"

#define ANSWER_LEN_MAX ((size_t)512 << 20)
#define WHERE_OTHERS   5 /* behind the rungs */

enum { WHERE_REJECT = SP_RUNG_COUNT, WHERE_HOLD, WHERE_DISCARD, WHERE_RETURN, WHERE_UNKNOWN };
#define WHERE_COUNT (SP_RUNG_COUNT + WHERE_OTHERS)

struct row {
    const char *day;
    const char *by; /* "live", "draft", or "observed": by the live one, and not done */
    const char *rule;
    size_t recipients;
    size_t where[WHERE_COUNT];
    size_t needless; /* portals */
};

struct report {
    const char *config;
    const char *days;
    struct sp_map *rows;
    struct sp_map *domains; /* name -> level that it has proved, as number + 1 */
    size_t messages, unjudged;
};

static const char *where_name(size_t where)
{
    static const char *const others[] = {"reject", "hold", "discard", "return", "not-known"};

    return where < SP_RUNG_COUNT ? sp_rung_name((enum sp_rung)where)
                                 : others[where - SP_RUNG_COUNT];
}

/* ---- where a copy would go ---- */

/* The level that the domain has proved: then, or by now. returns: false if nobody knows */
static bool level_of(const struct report *r, const struct sp_json *recipient, enum sp_floor *out)
{
    struct sp_bytes address = sp_json_text_of(recipient, "recipient.address");
    size_t at = sp_bytes_find(address, '@');
    const enum sp_floor *now;

    if (sp_floor_parse(sp_json_text_of(recipient, "domain.remembered"), out))
        return true;
    now =
        at == SIZE_MAX ? NULL : sp_map_find(r->domains, sp_bytes_slice(address, at + 1, SIZE_MAX));
    if (now != NULL)
        *out = *now;
    return now != NULL;
}

static bool text_is(const struct sp_json *object, const char *key, const char *a, const char *b)
{
    struct sp_bytes text = sp_json_text_of(object, key);

    return sp_bytes_eq(text, sp_bytes_cstr(a)) || sp_bytes_eq(text, sp_bytes_cstr(b));
}

static size_t on_ladder(const struct report *r, const struct sp_json *facts,
                        const struct sp_json *recipient, const struct sp_json *decided)
{
    const struct sp_json *ladder = sp_json_find(decided, "ladder");
    bool sealed = text_is(facts, "message.sealed", "smime", "pgp");
    enum sp_floor floor = SP_FLOOR_SEALED, level = SP_FLOOR_PLAIN;
    bool known = level_of(r, recipient, &level);
    enum sp_rung rung;

    (void)!sp_floor_parse(sp_json_text_of(decided, "floor"), &floor);
    for (const struct sp_json *s = ladder == NULL ? NULL : ladder->first; s != NULL; s = s->next) {
        if (s->first == NULL || !sp_rung_parse(s->first->text, &rung) ||
            !sp_rung_meets(rung, floor, sealed) || sp_rung_is_crypto(rung))
            continue;
        if (rung == SP_RUNG_PORTAL)
            return rung;
        if (!known)
            return WHERE_UNKNOWN;
        if (sp_rung_floor(rung) <= level)
            return rung;
    }
    return WHERE_RETURN;
}

static size_t where_of(const struct report *r, const struct sp_json *facts,
                       const struct sp_json *recipient, const struct sp_json *decided)
{
    struct sp_bytes verb = sp_json_text_of(decided, "do");

    if (sp_bytes_eq(verb, SP_LIT("reject")))
        return WHERE_REJECT;
    if (sp_bytes_eq(verb, SP_LIT("hold")))
        return WHERE_HOLD;
    if (sp_bytes_eq(verb, SP_LIT("discard")))
        return WHERE_DISCARD;
    return on_ladder(r, facts, recipient, decided);
}

static bool is_empty(const struct sp_json *list)
{
    return list == NULL || list->count == 0;
}

static bool is_needless(const struct sp_json *facts, const struct sp_json *decided)
{
    return text_is(facts, "phi.class", "none", "identifier") &&
           is_empty(sp_json_find(facts, "phi.special")) &&
           sp_json_text_of(facts, "subject.tag").len == 0 &&
           is_empty(sp_json_find(facts, "label")) && is_empty(sp_json_find(decided, "raised_by"));
}

/* ---- counting ---- */

static struct row *row_of(struct cli *cli, struct report *r, const char *day, const char *by,
                          struct sp_bytes rule)
{
    const char *key = publish_text(cli, "%s %s %.*s", day, by, SP_FMT(rule));
    struct row *row = sp_map_find(r->rows, sp_bytes_cstr(key));

    if (row == NULL) {
        row = sp_arena_alloc(cli->arena, sizeof(*row));
        memset(row, 0, sizeof(*row));
        row->day = day;
        row->by = by;
        row->rule = sp_arena_cstr(cli->arena, rule);
        (void)sp_map_put(r->rows, sp_bytes_cstr(key), row);
    }
    return row;
}

/* One recipient of one message. */
struct copy {
    const char *day;
    const struct sp_json *facts;
    const struct sp_json *recipient;
};

static void count(struct cli *cli, struct report *r, const struct copy *c, const char *by,
                  const struct sp_json *decided)
{
    struct row *row = row_of(cli, r, c->day, by, sp_json_text_of(decided, "rule"));
    size_t where = where_of(r, c->facts, c->recipient, decided);

    row->recipients++;
    row->where[where]++;
    row->needless += where == SP_RUNG_PORTAL && is_needless(c->facts, decided);
}

static void count_message(struct cli *cli, struct report *r, const struct sp_json *record)
{
    const struct sp_json *facts = sp_json_find(record, "facts");
    const struct sp_json *all = sp_json_find(facts, "recipients"), *decided = NULL;
    const struct sp_json *stage = sp_json_find(facts, "stage");
    bool drafted = sp_bytes_eq(sp_json_text_of(stage, "decided_by"), SP_LIT("draft"));
    const char *live = sp_json_bool_of(facts, "observed", false) ? "observed" : "live";
    char time[SP_TIME_TEXT_MAX];
    const char *day;

    sp_time_format_rfc3339(sp_json_int_of(record, "time_ms", 0), time);
    day = sp_arena_cstr(cli->arena, sp_bytes_slice(sp_bytes_cstr(time), 0, 10));
    r->messages++;
    r->unjudged += all == NULL; /* more recipients than were kept */
    for (const struct sp_json *to = all == NULL ? NULL : all->first; to != NULL; to = to->next) {
        const struct sp_json *other = sp_json_find(to, "other");
        const struct copy c = {day, facts, to};

        if (sp_json_find(to, "decided") != NULL)
            decided = sp_json_find(to, "decided");
        if (decided == NULL)
            continue;
        count(cli, r, &c, drafted ? "draft" : live, decided);
        if (stage != NULL)
            count(cli, r, &c, drafted ? live : "draft", other != NULL ? other : decided);
    }
}

/* ---- from the gateway ---- */

static bool read_domains(struct cli *cli, struct report *r)
{
    const char *words[] = {"posture", "list", "--config", r->config, "--json", NULL};
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *list;
    struct sp_err err;
    struct sp_buf out;
    bool ok;

    sp_buf_init(&out, ANSWER_LEN_MAX);
    ok = cli_ask_gateway(cli, words, CLI_USAGE, &out) == 0 &&
         sp_json_parse(sp_buf_bytes(&out), NULL, &doc, &err) == SP_OK;
    list = ok ? sp_json_find(sp_json_root(doc), "domains") : NULL;
    for (const struct sp_json *d = list == NULL ? NULL : list->first; d != NULL; d = d->next) {
        enum sp_floor *level = sp_arena_alloc(cli->arena, sizeof(*level));

        if (sp_floor_parse(sp_json_text_of(d, "best"), level))
            (void)sp_map_put(r->domains, sp_arena_copy(cli->arena, sp_json_text_of(d, "domain")),
                             level);
    }
    sp_buf_clear(&out);
    return ok;
}

static bool read_facts(struct cli *cli, struct report *r)
{
    const char *words[] = {"audit", "facts", r->days, "--config", r->config, NULL};
    struct sp_buf out;
    struct sp_bytes rest, line;
    bool ok;

    sp_buf_init(&out, ANSWER_LEN_MAX);
    ok = cli_ask_gateway(cli, words, CLI_USAGE, &out) == 0;
    rest = sp_buf_bytes(&out);
    while (ok && sp_bytes_split(&rest, '\n', &line)) {
        SP_AUTO(sp_json_doc) doc = NULL;
        struct sp_err err;

        if (line.len > 0 && sp_json_parse(line, NULL, &doc, &err) == SP_OK)
            count_message(cli, r, sp_json_root(doc));
    }
    sp_buf_wipe(&out);
    return ok;
}

/* ---- showing ---- */

static int by_day(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    int d = strcmp(x->day, y->day);

    if (d == 0)
        d = -strcmp(x->by, y->by); /* the draft last */
    return d != 0 ? d : strcmp(x->rule, y->rule);
}

static struct row **sorted(struct cli *cli, const struct report *r, size_t *n)
{
    struct row **rows =
        sp_arena_alloc(cli->arena, (sp_map_count(r->rows) + 1) * sizeof(struct row *));
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    *n = 0;
    while (sp_map_next(r->rows, &at, &key, &value))
        rows[(*n)++] = value;
    qsort(rows, *n, sizeof(struct row *), by_day);
    return rows;
}

static void put_row(struct sp_jw *w, const struct row *row)
{
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "day", row->day);
    sp_jw_cstr(w, "by", row->by);
    sp_jw_cstr(w, "rule", row->rule);
    sp_jw_int(w, "recipients", (int64_t)row->recipients);
    sp_jw_object(w, "where");
    for (size_t i = 0; i < WHERE_COUNT; i++)
        if (row->where[i] > 0)
            sp_jw_int(w, where_name(i), (int64_t)row->where[i]);
    sp_jw_end(w);
    sp_jw_int(w, "portals_nobody_needed", (int64_t)row->needless);
    sp_jw_end(w);
}

static void print_json(struct row *const *rows, size_t n, const struct report *r)
{
    struct sp_buf out;
    struct sp_jw w;

    sp_buf_init(&out, ANSWER_LEN_MAX);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_int(&w, "messages", (int64_t)r->messages);
    sp_jw_int(&w, "not_judged", (int64_t)r->unjudged);
    sp_jw_array(&w, "rows");
    for (size_t i = 0; i < n; i++)
        put_row(&w, rows[i]);
    sp_jw_end(&w);
    sp_jw_end(&w);
    cli_print(&out);
    sp_buf_clear(&out);
}

static void print_row(const struct row *row)
{
    const char *between = "";

    printf("  %-8s  %-24s %6zu  ", row->by, row->rule, row->recipients);
    for (size_t i = WHERE_COUNT; i-- > 0;) {
        if (row->where[i] == 0)
            continue;
        printf("%s%zu %s", between, row->where[i], where_name(i));
        between = ", ";
    }
    if (row->needless > 0)
        printf(" (%zu portals nobody needed)", row->needless);
    printf("\n");
}

static void print_text(struct row *const *rows, size_t n, const struct report *r)
{
    size_t live = 0, draft = 0;

    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(rows[i]->day, rows[i - 1]->day) != 0)
            printf("%s\n", rows[i]->day);
        print_row(rows[i]);
        if (strcmp(rows[i]->by, "draft") == 0)
            draft += rows[i]->needless;
        else
            live += rows[i]->needless;
    }
    printf("%zu messages; portals that nobody needed: %zu by what is live", r->messages, live);
    printf(draft > 0 ? ", %zu by the draft" : "", draft);
    printf(r->unjudged > 0 ? "; %zu messages had more recipients than are kept\n" : "\n",
           r->unjudged);
}

int cli_policy_report(struct cli *cli)
{
    struct report r = {.config = "/etc/sallyport/sallyport.json", .days = "7"};
    const struct cli_option options[] = {
        {"-c", .value = &r.config}, {"--config", .value = &r.config}, {"--days", .value = &r.days}};
    int code = CLI_USAGE;

    if (!cli_arguments(cli, options, SP_ARRAY_LEN(options), &(struct cli_wanted){.most = 0}))
        return CLI_USAGE;
    if (!cli_is_days(r.days))
        return cli_usage(cli, "--days %s: expected a number from 1 to %d", r.days, CLI_DAYS_MAX);
    r.rows = sp_map_new();
    r.domains = sp_map_new();
    if (read_domains(cli, &r) && read_facts(cli, &r)) {
        size_t n;
        struct row **rows = sorted(cli, &r, &n);

        if (cli->json)
            print_json(rows, n, &r);
        else
            print_text(rows, n, &r);
        code = CLI_OK;
    }
    sp_map_free(r.rows);
    sp_map_free(r.domains);
    return code;
}
