/*
 * `sallyport queue count`: how many recipients wait, of all or of those that filters mean. What the index of the queue knows
 * (site, host, tenant, state) the relays count by themselves; for addresses and rules the messages are gone through here, as a
 * list is, which takes longer.
 */
#include "gateway/cli-control/control.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#define QUESTION_MAX 16384
#define GROUPS_MAX   10000
#define PAGE         1000 /* as many as a relay tells: each page is a walk over its index */
#define SHOWN        30

struct group {
    char *key;
    long long count;
};

struct groups {
    const char *by;
    struct sp_map *places; /* key -> struct group */
    struct group **list;   /* sorted in the end */
    long long total;
    long long most;    /* groups of one relay; it may have told the largest alone */
    size_t relays;     /* that answered */
    long long unknown; /* recipients who wait where no host is known */
};

static void add(struct groups *g, struct sp_bytes key, long long count)
{
    struct group *group = sp_map_find(g->places, key);

    if (group == NULL) {
        group = sp_calloc(1, sizeof(*group));
        group->key = sp_strdup_bytes(key);
        (void)sp_map_put(g->places, sp_bytes_cstr(group->key), group);
    }
    group->count += count;
}

static int more_first(const void *a, const void *b)
{
    const struct group *x = *(const struct group *const *)a;
    const struct group *y = *(const struct group *const *)b;

    return x->count == y->count ? strcmp(x->key, y->key)
                                : (x->count < y->count) - (x->count > y->count);
}

static void sort(struct groups *g)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0, count = 0;

    g->list = sp_calloc(sp_map_count(g->places) + 1, sizeof(struct group *));
    while (sp_map_next(g->places, &at, &key, &value))
        g->list[count++] = value;
    if (count > 1)
        qsort(g->list, count, sizeof(struct group *), more_first);
}

static void groups_free(struct groups *g)
{
    size_t count = sp_map_count(g->places);

    for (size_t i = 0; g->list != NULL && i < count; i++) {
        sp_free(g->list[i]->key);
        sp_free(g->list[i]);
    }
    sp_map_free(g->places);
    sp_free(g->list);
}

static void forget(struct groups *g)
{
    sort(g);
    groups_free(g);
    g->places = sp_map_new();
    g->list = NULL;
}

/* ---- by the relays ---- */

static void ask(const struct control *c, const char *by, struct control_answer *answer)
{
    const struct control_member members[] = {{"by", by},
                                             {"state", c->state},
                                             {"tenant", c->tenant},
                                             {"site", c->site},
                                             {"host", c->host}};
    struct sp_buf question;
    struct sp_jw w;

    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", "queue.count");
    for (size_t i = 0; i < SP_ARRAY_LEN(members); i++)
        if (members[i].value != NULL)
            sp_jw_cstr(&w, members[i].key, members[i].value);
    sp_jw_int(&w, "limit", GROUPS_MAX);
    control_put_without(c, &w);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), answer);
    sp_buf_clear(&question);
}

/* returns: false if it comes from a relay that knows no filters, and counted all */
static bool take_groups(struct groups *g, const struct sp_json *says)
{
    const struct sp_json *list = sp_json_find(says, "groups");

    g->total += sp_json_int_of(says, "total", 0);
    g->relays += says != NULL;
    g->unknown += sp_json_int_of(says, "host_unknown", 0);
    if (sp_json_int_of(says, "group_count", 0) > g->most)
        g->most = sp_json_int_of(says, "group_count", 0);
    for (const struct sp_json *item = list == NULL ? NULL : list->first; item != NULL;
         item = item->next)
        add(g, sp_json_text_of(item, "key"), sp_json_int_of(item, "count", 0));
    return says == NULL || sp_json_bool_of(says, "filtered", false);
}

static int count_there(const struct control *c, struct groups *g)
{
    struct control_answer answer;
    bool filtered = true;
    int code;

    ask(c, g->by, &answer);
    code = answer.code == CONTROL_OK ? control_judge(c, &answer) : answer.code;
    for (const struct sp_json *r = control_first_relay(&answer); r != NULL; r = r->next)
        filtered &= take_groups(g, sp_json_find(r, "says"));
    control_answer_clear(&answer);
    if (code == CONTROL_OK && !filtered && control_is_filtered(c)) {
        forget(g);
        return control_say(c, CONTROL_REFUSED, "unsupported",
                           "the gateway that runs is older than this program: it counts all");
    }
    return code;
}

/* ---- here ---- */

static struct sp_bytes key_of(const struct groups *g, const struct sp_json *message,
                              const struct sp_json *r)
{
    struct sp_bytes why = sp_json_text_of(r, "why");
    bool is_frozen = sp_json_bool_of(r, "frozen", false);
    struct sp_bytes state = sp_json_text_of(r, "state");

    if (strcmp(g->by, "tenant") == 0)
        return sp_json_text_of(message, "tenant");
    if (strcmp(g->by, "reason") == 0)
        return why.len > 0 ? why : SP_LIT("-");
    if (strcmp(g->by, "state") != 0)
        return sp_json_text_of(r, "site");
    return is_frozen && !sp_bytes_eq(state, SP_LIT("in-delivery")) ? SP_LIT("frozen") : state;
}

static void take_message(const struct control *c, struct groups *g, const struct sp_json *message)
{
    const struct sp_json *list = sp_json_find(message, "recipients");

    if (!control_is_from(c, message))
        return;
    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next) {
        if (!control_fits(c, r) || (c->state == NULL && control_is_final(r)))
            continue;
        add(g, key_of(g, message, r), 1);
        g->total++;
    }
}

static int count_here(const struct control *c, struct groups *g)
{
    char after[CONTROL_AFTER_MAX] = "";
    bool more = true, is_silent = false;
    int code = CONTROL_OK;

    while (more && code == CONTROL_OK) {
        struct control_answer page;
        const struct sp_json *list;

        control_ask_page(c, after, PAGE, &page);
        code = page.code;
        is_silent |= control_note_silent(c, page.result);
        list = sp_json_find(page.result, "messages");
        for (const struct sp_json *m = list == NULL ? NULL : list->first; m != NULL; m = m->next)
            take_message(c, g, m);
        more = control_next_page(page.result, after);
        control_answer_clear(&page);
    }
    return code == CONTROL_OK && is_silent
               ? control_say_silent(c, "the count is not complete, repeat")
               : code;
}

static void say_unknown(const struct control *c, long long count)
{
    if (count > 0 && c->silent->count == 0) /* who is missing has been told */
        (void)control_say(c, CONTROL_OK, "host-unknown",
                          "%lld recipient%s more wait where no host was looked up since the relay "
                          "began: --site means them",
                          count, count == 1 ? "" : "s");
}

void control_tell_unknown(const struct control *c)
{
    struct control quiet = *c;
    struct control_answer answer;
    long long count = 0;

    if (c->host == NULL || c->silent->count > 0)
        return;
    quiet.quiet = true;
    ask(&quiet, "site", &answer);
    for (const struct sp_json *r = control_first_relay(&answer); r != NULL; r = r->next)
        count += sp_json_int_of(sp_json_find(r, "says"), "host_unknown", 0);
    control_answer_clear(&answer);
    say_unknown(c, count);
}

/* ---- telling ---- */

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
    bool unread =
        c->state != NULL && strcmp(c->state, "quarantined") == 0; /* of whom, nobody knows */
    const char *heads[] = {unread ? "MESSAGES" : "RECIPIENTS", unread ? "STATE" : head_of(g->by)};
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));
    size_t count = sp_map_count(g->places);

    for (size_t i = 0; i < count && i < limit; i++) {
        char number[24];

        (void)snprintf(number, sizeof(number), "%lld", g->list[i]->count);
        struct sp_bytes cells[] = {sp_bytes_cstr(number), sp_bytes_cstr(g->list[i]->key)};
        table_add(t, cells);
    }
    if (count > 0 && limit > 0)
        table_print(t);
    table_free(t);
    (void)printf("%lld %s%s, ", g->total, unread ? "message" : "recipient",
                 g->total == 1 ? "" : "s");
    if (g->most > (long long)count) /* of several relays nobody knows how many are the same */
        (void)printf("%s%lld groups", g->relays > 1 ? "at least " : "", g->most);
    else
        (void)printf("%zu group%s", count, count == 1 ? "" : "s");
    (void)printf("%s\n",
                 count > limit || g->most > (long long)limit ? ", the largest are shown" : "");
}

static void print_groups_json(const struct groups *g, size_t limit, bool complete)
{
    size_t count = sp_map_count(g->places);
    struct sp_buf text;
    struct sp_jw w;

    sp_buf_init(&text, CONTROL_LINE_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "by", g->by);
    sp_jw_array(&w, "groups");
    for (size_t i = 0; i < count && i < limit; i++) {
        sp_jw_object(&w, NULL);
        sp_jw_cstr(&w, "key", g->list[i]->key);
        sp_jw_int(&w, "count", g->list[i]->count);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_int(&w, "total", g->total);
    sp_jw_bool(&w, "complete", complete);
    sp_jw_end(&w);
    (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

static bool is_way(const char *by)
{
    static const char *const ways[] = {"site", "domain", "tenant", "reason", "state"};

    for (size_t i = 0; i < SP_ARRAY_LEN(ways); i++)
        if (strcmp(by, ways[i]) == 0)
            return true;
    return false;
}

int control_count(const struct control *c)
{
    struct groups g = {.by = c->by == NULL ? "site" : c->by};
    bool reads = c->sender != NULL || c->recipient != NULL || c->rule != NULL;
    const char *slip = control_find_slip(c);
    uint64_t limit = SHOWN;
    bool is_told;
    int code;

    if (c->limit != NULL && !sp_bytes_to_u64(sp_bytes_cstr(c->limit), &limit))
        return control_usage(c, "--limit: a number");
    if (!is_way(g.by))
        return control_usage(c, "--by: site, tenant, reason or state");
    if (slip != NULL)
        return control_usage(c, slip);
    g.places = sp_map_new();
    code = reads ? count_here(c, &g) : count_there(c, &g);
    sort(&g);
    is_told = code == CONTROL_OK || sp_map_count(g.places) > 0; /* some is better than nothing */
    if (is_told && c->json)
        print_groups_json(&g, (size_t)limit, code == CONTROL_OK);
    else if (is_told)
        print_groups(c, &g, (size_t)limit);
    groups_free(&g);
    if (code == CONTROL_OK && reads)
        control_tell_unknown(c);
    else if (code == CONTROL_OK && c->host != NULL)
        say_unknown(c, g.unknown);
    return code;
}
