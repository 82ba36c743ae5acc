/*
 * One test of a condition: a fact's name and what is asked of it. The fact's row says which questions make sense; what
 * does not fit is told with what would.
 */
#include "base/buf.h"
#include "json/units.h"
#include "mail/idn.h"
#include "policy/load_priv.h"

static const char *const operators[] = {"in",  "like",   "regex",     "at_least", "below",
                                        "has", "exists", "resembles", NULL};

static void load_fact(struct sp_loader *l, const struct sp_json *m, struct sp_policy_test *t)
{
    const char *names[SP_FACT_COUNT];
    const char *near;
    bool is_field = true, is_open;

    if (sp_fact_find(m->key, &t->fact, &t->name)) {
        t->name = sp_arena_copy(l->policy->arena, t->name);
        if (t->fact == SP_FACT_PHI_COUNT || t->fact == SP_FACT_PHI_DISTINCT)
            sp_policy_load_type_name(l, m, t->name);
        for (size_t i = 0; t->fact == SP_FACT_HEADER && i < t->name.len; i++)
            is_field =
                is_field && t->name.ptr[i] > ' ' && t->name.ptr[i] <= '~' && t->name.ptr[i] != ':';
        if (!is_field)
            sp_policy_loader_idle(
                l, m, SP_E_POLICY_INVALID,
                "this never holds: no header field has such a name; it is written "
                "like header.x-class");
        return;
    }
    for (size_t i = 0; i < SP_FACT_COUNT; i++)
        names[i] = sp_fact_rows[i].name;
    near = sp_problem_nearest(m->key, names, SP_FACT_COUNT);
    is_open = near != NULL && near[strlen(near) - 1] == '.'; /* of a kind that is named behind it */
    sp_problem(l->problems, m, SP_E_CONFIG_UNKNOWN, "unknown fact%s%s%s%s",
               near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
               !is_open                       ? ""
               : strcmp(near, "header.") == 0 ? "NAME"
                                              : "TYPE",
               near == NULL ? "" : "\"?");
}

static bool is_number_kind(enum sp_fact_kind kind)
{
    return kind == SP_KIND_OF_NUMBER || kind == SP_KIND_OF_NAMED_NUMBER ||
           kind == SP_KIND_OF_TRUTH || kind == SP_KIND_OF_CLOSED;
}

/* A number, truth or name of a closed list as its number. */
static bool load_number(struct sp_loader *l, const struct sp_json *v, enum sp_fact fact,
                        int64_t *out)
{
    const struct sp_fact_row *row = &sp_fact_rows[fact];

    if (row->kind == SP_KIND_OF_CLOSED) {
        int word = sp_policy_loader_word(l, v, row->values, "value");

        *out = word + row->first;
        return word >= 0;
    }
    if (row->kind == SP_KIND_OF_TRUTH) {
        bool truth = false;
        bool ok = sp_policy_loader_bool(l, v, &truth);

        *out = truth;
        return ok;
    }
    *out = v->integer;
    if (fact == SP_FACT_MESSAGE_SIZE && v->type == SP_JSON_TEXT) {
        if (sp_units_parse_size(v->text, out))
            return true;
        sp_problem(l->problems, v, SP_E_CONFIG_TYPE,
                   "expected a size like \"25MiB\", or a number of bytes");
        return false;
    }
    return sp_policy_loader_type(l, v, SP_JSON_INT);
}

/* The least and greatest number that the fact ever has. most: INT64_MAX: there is none */
static void range_of(enum sp_fact fact, int64_t *least, int64_t *most)
{
    const struct sp_fact_row *row = &sp_fact_rows[fact];

    *least = fact == SP_FACT_RECIPIENT_COUNT ? 1 : 0;
    *most = INT64_MAX;
    if (fact == SP_FACT_TIME_HOUR)
        *most = 23;
    if (fact == SP_FACT_PHI_SCORE)
        *most = 100;
    if (row->kind != SP_KIND_OF_CLOSED)
        return;
    *least = *most = row->first;
    while (row->values[*most - row->first + 1] != NULL)
        (*most)++;
    if (fact == SP_FACT_DOMAIN_REMEMBERED)
        *most = SP_FLOOR_TLS_DANE; /* a host proves no more: "sealed" is no matter of hosts */
}

/* "time.hour is 0 to 23", "recipient.count is at least 1", "phi.class is none to severe" */
static const char *range_text(struct sp_loader *l, enum sp_fact fact, int64_t least, int64_t most)
{
    const struct sp_fact_row *row = &sp_fact_rows[fact];
    struct sp_buf text;
    const char *copy;

    sp_buf_init(&text, 200);
    if (row->kind == SP_KIND_OF_CLOSED)
        sp_buf_printf(&text, "%s is %s to %s", row->name, row->values[0],
                      row->values[most - least]);
    else if (most == INT64_MAX)
        sp_buf_printf(&text, "%s is at least %lld", row->name, (long long)least);
    else
        sp_buf_printf(&text, "%s is %lld to %lld", row->name, (long long)least, (long long)most);
    copy = sp_arena_cstr(l->policy->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return copy;
}

/* A number that the fact never has makes a rule that is never taken; one that all of them meet asks nothing. */
static void check_number(struct sp_loader *l, const struct sp_json *v,
                         const struct sp_policy_test *t, int64_t n)
{
    bool never, always;
    int64_t least, most;

    range_of(t->fact, &least, &most);
    never = t->op == SP_TEST_BELOW ? n <= least : n > most;
    if (t->op != SP_TEST_BELOW && t->op != SP_TEST_AT_LEAST)
        never = never || n < least;
    always = (t->op == SP_TEST_BELOW && n > most) || (t->op == SP_TEST_AT_LEAST && n <= least);
    if (never)
        sp_policy_loader_idle(l, v, SP_E_CONFIG_RANGE, "this never holds: %s",
                              range_text(l, t->fact, least, most));
    else if (always)
        sp_problem_warn(l->problems, v, "this always holds where it is known: %s",
                        range_text(l, t->fact, least, most));
}

/* All names of a closed list, or both truths. */
static void check_all(struct sp_loader *l, const struct sp_json *v, const struct sp_policy_test *t)
{
    bool is_truth = sp_fact_rows[t->fact].kind == SP_KIND_OF_TRUTH;
    int64_t least, most;
    size_t met = 0;

    if (!is_truth && sp_fact_rows[t->fact].kind != SP_KIND_OF_CLOSED)
        return;
    range_of(t->fact, &least, &most);
    if (is_truth)
        most = 1;
    for (int64_t n = least; n <= most; n++) {
        bool found = false;

        for (size_t i = 0; i < t->count; i++)
            found = found || t->numbers[i] == n;
        met += found;
    }
    if (met == (size_t)(most - least) + 1)
        sp_problem_warn(l->problems, v,
                        "this always holds where it is known: these are all values of %s",
                        sp_fact_rows[t->fact].name);
}

static void add_group(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    const struct sp_json *group = sp_policy_loader_find(l, "groups", v->text);
    const struct sp_json *name = sp_json_find(group, "list");
    struct sp_policy_list *list;

    if (group == NULL) {
        sp_policy_loader_unknown(l, v, "groups", v->text);
        return;
    }
    sp_policy_loader_use(l, group);
    for (list = l->policy->lists; list != NULL; list = list->next)
        if (list->source == group)
            break;
    if (name != NULL && name->type == SP_JSON_TEXT)
        list = sp_policy_load_list_find(l, name->text);
    if (list == NULL && name != NULL)
        sp_policy_loader_unknown(l, name, "lists", name->text);
    if (list != NULL)
        sp_policy_load_list_check(l, v, list, t);
    t->lists[t->count] = list;
}

/* A label's name and the identifier that the sender's mail program writes for it, both of which the fact may hold. */
static void add_label(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    const struct sp_json *id = sp_policy_loader_find(l, "labels", v->text);
    struct sp_bytes *texts = (struct sp_bytes *)t->texts;

    if (id == NULL)
        sp_policy_loader_unknown(l, v, "labels", v->text);
    else
        sp_policy_loader_use(l, id);
    if (id != NULL && id->type == SP_JSON_TEXT) /* what else it is was told with its layer */
        texts[t->count++] = sp_arena_copy(l->policy->arena, id->text);
}

/* Addresses and domains are asked for in A-labels, however a rule writes them. returns: a copy */
static struct sp_bytes take_text(struct sp_loader *l, const struct sp_json *v, enum sp_fact fact)
{
    bool is_address = fact == SP_FACT_SENDER_ADDRESS || fact == SP_FACT_SENDER_DOMAIN ||
                      fact == SP_FACT_RECIPIENT_ADDRESS || fact == SP_FACT_RECIPIENT_DOMAIN ||
                      fact == SP_FACT_FROM_ADDRESS;
    struct sp_bytes copy = v->text;
    struct sp_buf ascii;

    sp_buf_init(&ascii, 4096);
    if (is_address && !sp_text_is_ascii(v->text)) {
        if (sp_domain_pattern_to_ascii(v->text, &ascii) != SP_OK)
            sp_problem(l->problems, v, SP_E_POLICY_INVALID, "the domain in it is no name");
        copy = sp_buf_bytes(&ascii);
    }
    copy = sp_arena_copy(l->policy->arena, copy);
    sp_buf_clear(&ascii);
    return copy;
}

/* One value of "equals" or "has", or of an array of them. */
static void add_value(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    int64_t *numbers = (int64_t *)t->numbers;
    struct sp_bytes *texts = (struct sp_bytes *)t->texts;

    if (is_number_kind(sp_fact_rows[t->fact].kind)) {
        if (load_number(l, v, t->fact, &numbers[t->count]))
            check_number(l, v, t, numbers[t->count++]);
        return;
    }
    if (!sp_policy_loader_type(l, v, SP_JSON_TEXT))
        return;
    sp_policy_load_value_check(l, v, t);
    texts[t->count] = take_text(l, v, t->fact);
    if (t->fact == SP_FACT_SENDER_GROUP)
        add_group(l, v, t);
    if (t->fact == SP_FACT_PHI_SPECIAL)
        sp_policy_load_special_name(l, v);
    t->count++;
    if (t->fact == SP_FACT_LABEL)
        add_label(l, v, t);
}

static void load_values(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    size_t room = 2 * (v->type == SP_JSON_ARRAY ? v->count + 1 : 1); /* a label has two texts */
    struct sp_arena *a = l->policy->arena;

    t->numbers = sp_arena_alloc(a, room * sizeof(int64_t));
    t->texts = sp_arena_alloc(a, room * sizeof(struct sp_bytes));
    t->lists = sp_arena_alloc(a, room * sizeof(struct sp_policy_list *));
    if (v->type != SP_JSON_ARRAY) {
        add_value(l, v, t);
        return;
    }
    for (const struct sp_json *i = v->first; i != NULL; i = i->next)
        add_value(l, i, t);
    if (v->count == 0)
        sp_problem(l->problems, v, SP_E_CONFIG_RANGE, "expected at least one value");
    check_all(l, v, t);
}

static void add_list(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    const struct sp_policy_list *list;

    if (!sp_policy_loader_type(l, v, SP_JSON_TEXT))
        return;
    list = sp_policy_load_list_find(l, v->text);
    if (list == NULL) {
        sp_policy_loader_unknown(l, v, "lists", v->text);
        return;
    }
    sp_policy_load_list_check(l, v, list, t);
    t->lists[t->count++] = list;
}

static void load_in(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    enum sp_fact_kind kind = sp_fact_rows[t->fact].kind;

    if (kind != SP_KIND_OF_TEXT && kind != SP_KIND_OF_NAMED_TEXT && kind != SP_KIND_OF_SET) {
        sp_problem(l->problems, v, SP_E_POLICY_INVALID, "\"in\" asks texts only");
        return;
    }
    sp_policy_load_in_check(l, v, t->fact);
    t->lists = sp_arena_alloc(l->policy->arena, (v->count + 1) * sizeof(struct sp_policy_list *));
    if (v->type != SP_JSON_ARRAY)
        add_list(l, v, t);
    else
        for (const struct sp_json *i = v->first; i != NULL; i = i->next)
            add_list(l, i, t);
    if (v->type == SP_JSON_ARRAY && v->count == 0)
        sp_policy_loader_idle(l, v, SP_E_CONFIG_RANGE, "expected at least one list");
}

static void load_resembles(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    if (t->fact != SP_FACT_RECIPIENT_DOMAIN && t->fact != SP_FACT_RECIPIENT_ADDRESS) {
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "\"resembles\" asks recipient.domain or recipient.address only");
        return;
    }
    load_in(l, v, t);
    for (size_t i = 0; i < t->count; i++) {
        if (t->lists[i]->kind == SP_LIST_ADDRESSES)
            sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                       "\"%s\" lists addresses: \"resembles\" needs domains", t->lists[i]->name);
        else if (!sp_policy_list_make_lookalikes(l->policy->arena,
                                                 (struct sp_policy_list *)t->lists[i]))
            sp_problem(l->problems, v, SP_E_LIMIT,
                       "\"%s\" is too long for \"resembles\": at most 20000 names",
                       t->lists[i]->name);
        else
            sp_policy_load_alike_check(l, v, t->lists[i]);
    }
}

/* "[[:alpha:]]" is a class of the marks and letters that it is written with, and nobody means that. */
static bool has_posix_class(struct sp_bytes text)
{
    for (size_t i = 0; i + 3 < text.len; i++)
        if (text.ptr[i] == '[' && text.ptr[i + 1] == ':')
            for (size_t k = i + 2; k + 1 < text.len && sp_ascii_is_alpha(text.ptr[k]); k++)
                if (text.ptr[k + 1] == ':')
                    return true;
    return false;
}

static void load_pattern(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    struct sp_bytes *text = sp_arena_alloc(l->policy->arena, sizeof(*text));
    const char *wrong = NULL;

    if (is_number_kind(sp_fact_rows[t->fact].kind) || t->fact == SP_FACT_SENDER_GROUP) {
        sp_problem(l->problems, v, SP_E_POLICY_INVALID, "patterns ask texts only");
        return;
    }
    if (!sp_policy_loader_type(l, v, SP_JSON_TEXT))
        return;
    if (t->fact == SP_FACT_LABEL)
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                              "a pattern would ask for a label's identifier: name the labels in an "
                              "array");
    if (t->op == SP_TEST_LIKE)
        sp_policy_load_value_check(l, v, t);
    *text = t->op == SP_TEST_REGEX ? sp_arena_copy(l->policy->arena, v->text)
                                   : take_text(l, v, t->fact);
    t->texts = text;
    t->count = 1;
    if (t->op == SP_TEST_REGEX)
        wrong = sp_policy_regex_compile(l->policy->arena, v->text, &t->regex);
    if (wrong == NULL && t->op == SP_TEST_REGEX && has_posix_class(v->text))
        sp_policy_loader_idle(
            l, v, SP_E_POLICY_INVALID,
            "classes are written [a-zA-Z], \\\\d, \\\\w or \\\\s: [:alpha:] would be "
            "these signs themselves");
    if (wrong != NULL)
        sp_problem(l->problems, v, SP_E_POLICY_INVALID, "%s", wrong);
    else if (t->op == SP_TEST_REGEX)
        sp_policy_load_regex_check(l, v, t->regex);
}

static void load_bound(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    const struct sp_fact_row *row = &sp_fact_rows[t->fact];
    int64_t *number = sp_arena_alloc(l->policy->arena, sizeof(*number));

    t->numbers = number;
    t->count = 1;
    if (row->kind == SP_KIND_OF_NUMBER || row->kind == SP_KIND_OF_NAMED_NUMBER ||
        (row->kind == SP_KIND_OF_CLOSED && row->ordered)) {
        if (load_number(l, v, t->fact, number))
            check_number(l, v, t, *number);
    } else {
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "\"%s\" has no order: ask for its values in an array", row->name);
    }
}

static void load_exists(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    int64_t *number = sp_arena_alloc(l->policy->arena, sizeof(*number));
    bool truth = false;

    sp_policy_loader_bool(l, v, &truth);
    *number = truth;
    t->numbers = number;
    if (t->fact == SP_FACT_SENDER_GROUP)
        sp_problem(l->problems, v, SP_E_POLICY_INVALID, "name the groups in an array");
    sp_policy_load_exists_check(l, v, t);
}

static void load_operator(struct sp_loader *l, const struct sp_json *v, struct sp_policy_test *t)
{
    static const enum sp_test_op ops[] = {SP_TEST_IN,       SP_TEST_LIKE,     SP_TEST_REGEX,
                                          SP_TEST_AT_LEAST, SP_TEST_BELOW,    SP_TEST_HAS,
                                          SP_TEST_EXISTS,   SP_TEST_RESEMBLES};
    size_t i = 0;

    sp_policy_loader_keys(l, v, operators);
    if (v->count != 1) {
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "expected one operator; join several tests with \"all\"");
        return;
    }
    while (operators[i] != NULL && !sp_bytes_eq(v->first->key, sp_bytes_cstr(operators[i])))
        i++;
    if (operators[i] == NULL)
        return;
    t->op = ops[i];
    if (t->op == SP_TEST_IN)
        load_in(l, v->first, t);
    else if (t->op == SP_TEST_RESEMBLES)
        load_resembles(l, v->first, t);
    else if (t->op == SP_TEST_LIKE || t->op == SP_TEST_REGEX)
        load_pattern(l, v->first, t);
    else if (t->op == SP_TEST_AT_LEAST || t->op == SP_TEST_BELOW)
        load_bound(l, v->first, t);
    else if (t->op == SP_TEST_EXISTS)
        load_exists(l, v->first, t);
    else if (sp_fact_rows[t->fact].kind != SP_KIND_OF_SET)
        sp_problem(l->problems, v->first, SP_E_POLICY_INVALID,
                   "\"has\" asks sets only; write the value alone");
    else
        load_values(l, v->first, t);
}

void sp_policy_load_test(struct sp_loader *l, const struct sp_json *m, struct sp_policy_test *t)
{
    size_t before = sp_problems_errors(l->problems);
    struct sp_buf text;

    sp_buf_init(&text, SP_JSON_LEN_MAX);
    sp_buf_printf(&text, "\"%.*s\": ", SP_FMT(m->key));
    if (sp_json_canonical(m, &text) == SP_OK)
        t->source = sp_arena_cstr(l->policy->arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    load_fact(l, m, t);
    if (sp_problems_errors(l->problems) > before)
        return; /* whether the value fits can't be said */
    if (m->type == SP_JSON_OBJECT)
        load_operator(l, m, t);
    else
        load_values(l, m, t);
    if (t->op != SP_TEST_EQUALS && t->op != SP_TEST_HAS && t->fact == SP_FACT_PHI_SPECIAL)
        sp_policy_loader_use_all(l, "special");
    if (t->op != SP_TEST_EQUALS && t->op != SP_TEST_HAS && t->fact == SP_FACT_LABEL)
        sp_policy_loader_use_all(l, "labels");
}
