/*
 * `sallyport queue freeze|thaw|drain|resume|orders|count`: what concerns the whole gateway, so that every relay is asked. It
 * counts as done only if all of them have done it.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>
#include <stdlib.h>

#define QUESTION_MAX 16384
#define GROUPS_MAX   10000
#define SHOWN        30

static void put_text(struct sp_jw *w, const char *key, const char *value)
{
    if (value != NULL)
        sp_jw_cstr(w, key, value);
}

static void ask(const struct control *c, const char *command, struct control_answer *answer)
{
    struct sp_buf question;
    struct sp_jw w;

    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", command);
    put_text(&w, "tenant", c->tenant);
    put_text(&w, "site", c->site);
    put_text(&w, "host", c->host);
    put_text(&w, "reason", c->reason);
    put_text(&w, "by", c->by);
    if (c->by != NULL)
        sp_jw_int(&w, "limit", GROUPS_MAX);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), answer);
    sp_buf_clear(&question);
}

static const struct sp_json *first_relay(const struct control_answer *answer)
{
    const struct sp_json *list = sp_json_find(answer->result, "relays");

    return list == NULL ? NULL : list->first;
}

/* Whether every relay answered; those that did not are named. returns: an exit code */
static int judge(const struct control_answer *answer)
{
    int code = CONTROL_OK;

    for (const struct sp_json *r = first_relay(answer); r != NULL; r = r->next) {
        struct sp_bytes error = sp_json_text_of(r, "error");
        bool refused = sp_bytes_eq(error, SP_LIT("usage")) || sp_bytes_eq(error, SP_LIT("limit"));

        if (error.len == 0)
            continue;
        (void)fprintf(stderr, "sallyport: relay %lld: %.*s: %.*s%s\n",
                      (long long)sp_json_int_of(r, "relay", -1), SP_FMT(error),
                      SP_FMT(sp_json_text_of(r, "detail")),
                      refused ? "" : ": unknown whether it was done, repeat");
        code = refused && code != CONTROL_UNKNOWN ? CONTROL_REFUSED : CONTROL_UNKNOWN;
    }
    return code;
}

static int order(const struct control *c, const char *command)
{
    struct control_answer answer;
    bool changed = false, known = true;
    int code;

    ask(c, command, &answer);
    code = answer.code == CONTROL_OK ? judge(&answer) : answer.code;
    for (const struct sp_json *r = first_relay(&answer); r != NULL; r = r->next) {
        changed |= sp_json_bool_of(sp_json_find(r, "says"), "changed", false);
        known &= sp_json_bool_of(sp_json_find(r, "says"), "known", true);
    }
    if (answer.code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (code == CONTROL_OK)
        (void)printf("%s: %s\n", c->words[1], changed ? "done" : "it was so already");
    if (!known && strcmp(c->words[1], "freeze") == 0)
        (void)fprintf(stderr,
                      "sallyport: there is no tenant %s now; the order stands all the same\n",
                      c->tenant);
    control_answer_clear(&answer);
    return code;
}

static int freeze_or_thaw(const struct control *c, const char *command)
{
    if ((c->tenant != NULL) + (c->site != NULL) + (c->host != NULL) != 1)
        return control_usage("what: --tenant NAME, --site DOMAIN or --host NAME");
    if (c->reason == NULL)
        return control_usage("--reason is needed: it becomes part of the audit record");
    return order(c, command);
}

static int drain_or_resume(const struct control *c, const char *command)
{
    if (c->tenant != NULL || c->site != NULL || c->host != NULL)
        return control_usage("drain and resume are for the whole gateway; see freeze and thaw");
    if (c->reason == NULL)
        return control_usage("--reason is needed: it becomes part of the audit record");
    return order(c, command);
}

static void add_orders(struct table *t, const struct sp_json *relay, const char *list,
                       const char *what)
{
    const struct sp_json *says = sp_json_find(relay, "says");
    const struct sp_json *names = sp_json_find(says, list);
    char number[24];

    (void)snprintf(number, sizeof(number), "%lld", (long long)sp_json_int_of(relay, "relay", -1));
    for (const struct sp_json *n = names == NULL ? NULL : names->first; n != NULL; n = n->next) {
        struct sp_bytes cells[] = {sp_bytes_cstr(number), sp_bytes_cstr(what), n->text};

        table_add(t, cells);
    }
}

static int show_orders(const struct control *c)
{
    static const char *const heads[] = {"RELAY", "FROZEN", "NAME"};
    struct control_answer answer;
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));
    bool draining = false;
    long long messages = 0;
    int code;

    ask(c, "queue.orders", &answer);
    code = answer.code == CONTROL_OK ? judge(&answer) : answer.code;
    for (const struct sp_json *r = first_relay(&answer); r != NULL; r = r->next) {
        add_orders(t, r, "tenants", "tenant");
        add_orders(t, r, "sites", "site");
        add_orders(t, r, "hosts", "host");
        draining |= sp_json_bool_of(sp_json_find(r, "says"), "draining", false);
        messages += sp_json_int_of(sp_json_find(r, "says"), "messages", 0);
    }
    if (answer.code == CONTROL_OK && c->json) {
        control_print_json(answer.result);
    } else if (answer.code == CONTROL_OK) {
        (void)printf("%s, %lld messages in the queue\n\n",
                     draining ? "draining: no mail is taken" : "mail is taken", messages);
        table_print(t);
    }
    table_free(t);
    control_answer_clear(&answer);
    return code;
}

/* ---- count ---- */

struct group {
    struct sp_bytes key;
    long long count;
};

struct groups {
    struct group *list;
    size_t count;
    size_t cap;
    long long total;
};

static int by_key(const void *a, const void *b)
{
    return sp_bytes_cmp(((const struct group *)a)->key, ((const struct group *)b)->key);
}

static int more_first(const void *a, const void *b)
{
    const struct group *x = a;
    const struct group *y = b;

    return x->count == y->count ? by_key(a, b) : (x->count < y->count) - (x->count > y->count);
}

static void take_groups(struct groups *g, const struct sp_json *says)
{
    const struct sp_json *list = sp_json_find(says, "groups");

    g->total += sp_json_int_of(says, "total", 0);
    for (const struct sp_json *item = list == NULL ? NULL : list->first; item != NULL;
         item = item->next) {
        if (g->count == g->cap) {
            g->cap = g->cap == 0 ? 64 : g->cap * 2;
            g->list = sp_realloc(g->list, g->cap * sizeof(*g->list));
        }
        g->list[g->count++] = (struct group){.key = sp_json_text_of(item, "key"),
                                             .count = sp_json_int_of(item, "count", 0)};
    }
}

/* The relays' groups of one key become one. */
static void merge(struct groups *g)
{
    size_t out = 0;

    if (g->count < 2)
        return;
    qsort(g->list, g->count, sizeof(*g->list), by_key);
    for (size_t i = 1; i < g->count; i++) {
        if (sp_bytes_eq(g->list[out].key, g->list[i].key))
            g->list[out].count += g->list[i].count;
        else
            g->list[++out] = g->list[i];
    }
    g->count = out + 1;
    qsort(g->list, g->count, sizeof(*g->list), more_first);
}

static const char *head_of(const char *by)
{
    static const char *const heads[][2] = {
        {"tenant", "TENANT"}, {"reason", "REASON"}, {"state", "STATE"}};

    for (size_t i = 0; i < SP_ARRAY_LEN(heads); i++) {
        if (strcmp(by, heads[i][0]) == 0)
            return heads[i][1];
    }
    return "SITE";
}

static void print_groups(const struct control *c, const struct groups *g, size_t limit)
{
    const char *heads[] = {"RECIPIENTS", head_of(c->by)};
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));

    for (size_t i = 0; i < g->count && i < limit; i++) {
        char number[24];

        (void)snprintf(number, sizeof(number), "%lld", g->list[i].count);
        struct sp_bytes cells[] = {sp_bytes_cstr(number), g->list[i].key};
        table_add(t, cells);
    }
    table_print(t);
    table_free(t);
    (void)printf("%lld recipient%s, %zu group%s%s\n", g->total, g->total == 1 ? "" : "s", g->count,
                 g->count == 1 ? "" : "s", g->count > limit ? ", the largest are shown" : "");
}

static void print_groups_json(const struct control *c, const struct groups *g, size_t limit)
{
    struct sp_buf text;
    struct sp_jw w;

    sp_buf_init(&text, CONTROL_LINE_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "by", c->by);
    sp_jw_array(&w, "groups");
    for (size_t i = 0; i < g->count && i < limit; i++) {
        sp_jw_object(&w, NULL);
        sp_jw_text(&w, "key", g->list[i].key);
        sp_jw_int(&w, "count", g->list[i].count);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_int(&w, "total", g->total);
    sp_jw_end(&w);
    (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

static int count(const struct control *c)
{
    struct control with = *c;
    struct control_answer answer;
    struct groups g = {0};
    uint64_t limit = SHOWN;
    int code;

    if (c->limit != NULL && !sp_bytes_to_u64(sp_bytes_cstr(c->limit), &limit))
        return control_usage("--limit: a number");
    with.by = c->by == NULL ? "site" : c->by;
    ask(&with, "queue.count", &answer);
    code = answer.code == CONTROL_OK ? judge(&answer) : answer.code;
    for (const struct sp_json *r = first_relay(&answer); r != NULL; r = r->next)
        take_groups(&g, sp_json_find(r, "says"));
    merge(&g);
    if (code == CONTROL_OK && c->json)
        print_groups_json(&with, &g, (size_t)limit);
    else if (code == CONTROL_OK)
        print_groups(&with, &g, (size_t)limit);
    sp_free(g.list);
    control_answer_clear(&answer);
    return code;
}

int control_orders(const struct control *c)
{
    const char *verb = c->words[1];

    if (strcmp(verb, "freeze") == 0)
        return freeze_or_thaw(c, "queue.freeze");
    if (strcmp(verb, "thaw") == 0)
        return freeze_or_thaw(c, "queue.thaw");
    if (strcmp(verb, "drain") == 0)
        return drain_or_resume(c, "queue.drain");
    if (strcmp(verb, "resume") == 0)
        return drain_or_resume(c, "queue.resume");
    if (strcmp(verb, "orders") == 0)
        return show_orders(c);
    return strcmp(verb, "count") == 0 ? count(c) : -1;
}
