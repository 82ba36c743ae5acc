/*
 * sallyport explain: which rule decides for a message, and what each rule before it was waiting for. Facts come from the
 * command line, from the registry of preferences and, with --message, from a file, which is examined as the scanner would;
 * nothing is looked up, but with --live what recipients have chosen in the portal, and nothing is sent.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/cli-policy/cli.h"
#include "gateway/cli-policy/wishes.h"
#include "policy/trace.h"

#define VALUES_MAX 100 /* of an option that may be given again */

struct ask {
    const char *config;
    const char *policy;
    const char *message;
    const char *from;
    struct cli_values to;
    bool live;                 /* the gateway is asked what recipients have chosen */
    struct sp_json_doc *facts; /* what the options say, under the facts' names */
};

static void set_value(struct ask *a, const char *name, const char *value)
{
    const struct sp_json *root = sp_json_root(a->facts);
    struct sp_bytes text = sp_bytes_cstr(value);
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_err err;
    uint64_t n;
    bool is_json = value[0] == '[' || value[0] == '{' || strcmp(value, "null") == 0;
    bool is_truth = sp_bytes_eq(text, SP_LIT("true")) || sp_bytes_eq(text, SP_LIT("false"));

    if (cli_fact_is_text(sp_bytes_cstr(name)))
        is_json = is_truth = false;
    if (is_json && sp_json_parse(text, NULL, &doc, &err) == SP_OK)
        sp_json_set_copy(a->facts, root, name, sp_json_root(doc));
    else if (is_truth)
        sp_json_set_bool(a->facts, root, name, value[0] == 't');
    else if (!cli_fact_is_text(sp_bytes_cstr(name)) && sp_bytes_to_u64(text, &n) &&
             n < (1ULL << 53))
        sp_json_set_int(a->facts, root, name, (int64_t)n);
    else
        sp_json_set_text(a->facts, root, name, text);
}

/* "NAME=VALUE", or "Name: value" of a header field. returns: false if there is no separator */
static bool set_pair(struct cli *cli, struct ask *a, const char *prefix, const char *pair, char sep)
{
    const char *at = strchr(pair, sep);
    struct sp_buf name;

    if (at == NULL || at == pair)
        return false;
    sp_buf_init(&name, 1024);
    sp_buf_put_cstr(&name, prefix);
    sp_buf_put(&name, sp_bytes(pair, (size_t)(at - pair)));
    set_value(a, sp_arena_cstr(cli->arena, sp_buf_bytes(&name)),
              sp_arena_cstr(cli->arena, sp_bytes_trim(sp_bytes_cstr(at + 1))));
    sp_buf_clear(&name);
    return true;
}

/* Options that are the name of a fact. */
static const struct {
    const char *option;
    const char *fact;
} shorts[] = {
    {"--subject", "subject"},
    {"--phi-class", "phi.class"},
    {"--phi-special", "phi.special"},
    {"--phi-score", "phi.score"},
    {"--scan", "scan"},
    {"--sealed", "message.sealed"},
    {"--kind", "message.kind"},
    {"--size", "message.size"},
    {"--tenant", "tenant"},
    {"--preference", "recipient.preference"},
};

static const char *inner(struct cli *cli, const char *address)
{
    return sp_arena_cstr(cli->arena, cli_inner(cli, sp_bytes_cstr(address)));
}

/* An explanation for what is no address would be one for no mail. */
static bool is_address(const struct cli *cli, const char *option, const char *text)
{
    const char *at = strrchr(text, '@');

    if (at != NULL && at != text && at[1] != '\0')
        return true;
    (void)cli_usage(cli, "%s %s: an address is NAME@DOMAIN", option, text);
    return false;
}

/* "--header" and "--fact". returns: false after saying which is none */
static bool set_pairs(struct cli *cli, struct ask *a, const struct cli_values *headers,
                      const struct cli_values *facts)
{
    for (size_t i = 0; i < headers->count; i++)
        if (!set_pair(cli, a, "header.", headers->items[i], ':')) {
            (void)cli_usage(cli, "--header %s: expected NAME: VALUE", headers->items[i]);
            return false;
        }
    for (size_t i = 0; i < facts->count; i++)
        if (!set_pair(cli, a, "", facts->items[i], '=')) {
            (void)cli_usage(cli, "--fact %s: expected NAME=VALUE", facts->items[i]);
            return false;
        }
    return true;
}

static bool has_addresses(struct cli *cli, struct ask *a)
{
    if (a->from == NULL || a->to.count == 0) {
        (void)cli_usage(cli, "give --from ADDRESS and at least one --to ADDRESS");
        return false;
    }
    a->from = inner(cli, a->from);
    if (a->from[0] != '\0' &&
        !is_address(cli, "--from", a->from)) /* empty: mail without a sender */
        return false;
    for (size_t i = 0; i < a->to.count; i++) {
        a->to.items[i] = inner(cli, a->to.items[i]);
        if (!is_address(cli, "--to", a->to.items[i]))
            return false;
    }
    return true;
}

static bool read_options(struct cli *cli, struct ask *a)
{
    const char *header[VALUES_MAX], *fact[VALUES_MAX], *values[SP_ARRAY_LEN(shorts)] = {NULL};
    struct cli_values headers = {header, VALUES_MAX, 0}, facts = {fact, VALUES_MAX, 0};
    struct cli_option options[SP_ARRAY_LEN(shorts) + 9] = {
        {"-c", .value = &a->config},       {"--config", .value = &a->config},
        {"--policy", .value = &a->policy}, {"--message", .value = &a->message},
        {"--from", .value = &a->from},     {"--to", .values = &a->to},
        {"--header", .values = &headers},  {"--fact", .values = &facts},
    };
    size_t count = 8;
    bool is_live = false;

    options[count++] = (struct cli_option){"--live", .is_on = &is_live};
    for (size_t i = 0; i < SP_ARRAY_LEN(shorts); i++)
        options[count++] = (struct cli_option){shorts[i].option, .value = &values[i]};
    if (!cli_arguments(cli, options, count, &(struct cli_wanted){.most = 0}))
        return false;
    a->live = is_live;
    for (size_t i = 0; i < SP_ARRAY_LEN(shorts); i++)
        if (values[i] != NULL)
            set_value(a, shorts[i].fact, values[i]);
    return set_pairs(cli, a, &headers, &facts) && has_addresses(cli, a);
}

static struct sp_policy *load_policy(struct cli *cli, const struct ask *a)
{
    SP_AUTO(sp_config) config = NULL;

    if (a->policy != NULL)
        return cli_load_policy(cli, a->policy);
    config = cli_load_config(cli, a->config);
    if (config == NULL)
        return NULL;
    return cli_load_policy(cli, cli_join(cli, cli_dirname(cli, a->config), config->policy));
}

static void read_message(struct cli *cli, struct cli_facts *f, const char *path)
{
    struct sp_header header;
    struct sp_bytes text, start;
    enum sp_rc rc = cli_read(cli, path, &text);

    start = sp_bytes_slice(text, 0, SP_HEADER_MAX);
    if (rc == SP_OK)
        rc = sp_header_parse(start, start.len == text.len, &header);
    if (rc != SP_OK) {
        sp_problem_file(cli->problems, path, 0, rc, "can't read the message: %s", sp_rc_name(rc));
        return;
    }
    sp_facts_read_header(&f->facts, &header, cli->arena);
    sp_facts_set_number(&f->facts, SP_FACT_MESSAGE_SIZE, (int64_t)text.len);
    cli_scan(cli, f, path, text);
}

/* What the policy itself knows, as of now if no other time was asked for; what an option says counts before it. */
static void fill(struct cli *cli, const struct ask *a, const struct sp_policy *policy,
                 struct sp_facts *f, const char *to)
{
    struct sp_bytes tenant = f->values[SP_FACT_TENANT].text;
    SP_AUTO(sp_json_doc) wishes = a->live ? cli_wishes(cli, a->config, to) : NULL;
    struct sp_fact_wish wish;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (f->now_ms == 0)
        f->now_ms = (int64_t)now.tv_sec * 1000;
    if (a->live && wishes == NULL)
        sp_problem_file(cli->problems, a->config, 0, SP_E_ROLE_GONE,
                        "what %s has chosen in the portal is not known", to);
    if (cli_wishes_find(cli, wishes, sp_bytes_cstr(to), tenant, &wish))
        sp_facts_set_wish(f, &wish);
    sp_policy_fill(policy, f);
}

/* The facts of one recipient. */
static struct cli_facts *facts_for(struct cli *cli, const struct ask *a,
                                   const struct sp_policy *policy, const char *to)
{
    struct cli_facts *f = sp_arena_alloc(cli->arena, sizeof(*f));

    sp_facts_init(&f->facts);
    if (a->message != NULL)
        read_message(cli, f, a->message);
    sp_facts_set_sender(&f->facts, sp_bytes_cstr(a->from));
    sp_facts_set_recipient(&f->facts, sp_bytes_cstr(to));
    sp_facts_set_number(&f->facts, SP_FACT_RECIPIENT_COUNT, (int64_t)a->to.count);
    for (const struct sp_json *m = sp_json_root(a->facts)->first; m != NULL; m = m->next)
        cli_fact_set(cli, f, m);
    fill(cli, a, policy, &f->facts, to);
    for (const struct sp_json *m = sp_json_root(a->facts)->first; m != NULL; m = m->next)
        if (m->type == SP_JSON_NULL) /* nothing, whatever the registry has */
            cli_fact_set(cli, f, m);
    cli_facts_end(f);
    return f;
}

static void print_ladder(const struct sp_decision *d)
{
    printf("  ladder %s:", d->ladder->name[0] ? d->ladder->name : "(in place)");
    for (size_t i = 0; i < d->ladder->count; i++) {
        bool met = sp_rung_meets(d->ladder->rungs[i].rung, d->floor, d->is_sealed);

        printf("%s %s%s", i == 0 ? "" : ",", sp_rung_name(d->ladder->rungs[i].rung),
               met ? "" : " (below the floor, never)");
    }
    printf("; then %s\n", sp_at_end_name(d->ladder->at_end));
}

static void print_names(const char *what, const struct sp_names *names)
{
    if (names->count == 0)
        return;
    printf("  %s", what);
    for (size_t i = 0; i < names->count; i++)
        printf(" %s", names->names[i]);
    printf("\n");
}

/* returns: the name of a fact's value, NULL if it has none */
static const char *value_name(const struct sp_facts *f, enum sp_fact fact)
{
    return f->values[fact].state == SP_FACT_KNOWN ? sp_fact_value_name(fact, f->values[fact].number)
                                                  : NULL;
}

static void print_preference(const struct sp_facts *f)
{
    const char *what = value_name(f, SP_FACT_RECIPIENT_PREFERENCE);
    const char *by = value_name(f, SP_FACT_RECIPIENT_PREFERENCE_BY);

    if (what != NULL)
        printf("  preference %s%s\n", what,
               by == NULL                     ? ""
               : strcmp(by, "recipient") == 0 ? ", chosen by the recipient in the portal"
                                              : ", by the registry");
}

static void print_text(const char *to, const struct sp_facts *f, const struct sp_decision *d,
                       const struct sp_policy_trace *trace)
{
    printf("%s: %s by rule \"%s\" (known at the %s)\n", to, sp_do_name(d->verb), d->rule,
           sp_stage_name(d->stage));
    if (d->ladder != NULL) {
        printf("  floor %s\n", sp_floor_name(d->floor));
        print_ladder(d);
    }
    if (d->text.len > 0)
        printf("  text: %.*s\n", SP_FMT(d->text));
    if (d->lowers != NULL)
        printf("  lowers the floor: %s\n", d->lowers);
    print_preference(f);
    print_names("floor raised by", &d->raised_by);
    print_names("tags", &d->tags);
    for (size_t i = 0; i < trace->count; i++) {
        const struct sp_trace_step *s = &trace->steps[i];

        if (s->result == SP_TRACE_NOT_REACHED)
            continue;
        printf("  %-16s %s \"%s\" (%s:%u)", sp_trace_result_name(s->result), s->section, s->rule,
               s->layer, s->line);
        if (s->condition != NULL)
            printf(": %s is %s, asked %s", s->fact, s->value, s->condition);
        printf("\n");
    }
}

static void json_names(struct sp_jw *w, const char *key, const struct sp_names *names)
{
    sp_jw_array(w, key);
    for (size_t i = 0; i < names->count; i++)
        sp_jw_cstr(w, NULL, names->names[i]);
    sp_jw_end(w);
}

static void json_decision(struct sp_jw *w, const struct sp_decision *d)
{
    sp_jw_cstr(w, "do", sp_do_name(d->verb));
    sp_jw_cstr(w, "rule", d->rule);
    sp_jw_cstr(w, "stage", sp_stage_name(d->stage));
    sp_jw_cstr(w, "floor", sp_floor_name(d->floor));
    if (d->ladder != NULL) {
        sp_jw_cstr(w, "ladder_name", d->ladder->name);
        sp_jw_array(w, "ladder");
        for (size_t i = 0; i < d->ladder->count; i++)
            sp_jw_cstr(w, NULL, sp_rung_name(d->ladder->rungs[i].rung));
        sp_jw_end(w);
        sp_jw_cstr(w, "at_end", sp_at_end_name(d->ladder->at_end));
    }
    sp_jw_text(w, "text", d->text);
    sp_jw_cstr(w, "lowers", d->lowers);
    json_names(w, "raised_by", &d->raised_by);
    json_names(w, "tags", &d->tags);
}

static void json_trace(struct sp_jw *w, const struct sp_policy_trace *trace)
{
    sp_jw_array(w, "rules");
    for (size_t i = 0; i < trace->count; i++) {
        const struct sp_trace_step *s = &trace->steps[i];

        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "rule", s->rule);
        sp_jw_cstr(w, "section", s->section);
        sp_jw_cstr(w, "file", s->layer);
        sp_jw_int(w, "line", s->line);
        sp_jw_cstr(w, "result", sp_trace_result_name(s->result));
        sp_jw_cstr(w, "condition", s->condition);
        sp_jw_cstr(w, "fact", s->fact);
        sp_jw_cstr(w, "value", s->value);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void explain_one(struct cli *cli, const struct ask *a, const struct sp_policy *policy,
                        const char *to, struct sp_jw *w)
{
    struct cli_facts *f = facts_for(cli, a, policy, to);
    struct sp_policy_trace trace;
    struct sp_decision d;

    if (sp_problems_errors(cli->problems) > 0)
        return;
    sp_policy_explain(policy, &f->facts, &d, &trace);
    if (!cli->json)
        print_text(to, &f->facts, &d, &trace);
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "to", to);
    json_decision(w, &d);
    if (value_name(&f->facts, SP_FACT_RECIPIENT_PREFERENCE) != NULL) {
        sp_jw_cstr(w, "preference", value_name(&f->facts, SP_FACT_RECIPIENT_PREFERENCE));
        sp_jw_cstr(w, "preference_by", value_name(&f->facts, SP_FACT_RECIPIENT_PREFERENCE_BY));
    }
    json_trace(w, &trace);
    sp_jw_end(w);
    sp_policy_trace_clear(&trace);
}

static int explain_all(struct cli *cli, const struct ask *a)
{
    SP_AUTO(sp_policy) policy = load_policy(cli, a);
    struct sp_buf out;
    struct sp_jw w;

    sp_buf_init(&out, 64 << 20);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "policy", policy == NULL ? NULL : sp_policy_hash(policy));
    sp_jw_cstr(&w, "from", a->from);
    sp_jw_array(&w, "recipients");
    for (size_t i = 0; policy != NULL && i < a->to.count; i++)
        explain_one(cli, a, policy, a->to.items[i], &w);
    sp_jw_end(&w);
    cli_json_problems(cli, &w);
    sp_jw_end(&w);
    if (cli->json)
        cli_print(&out);
    else if (sp_problems_errors(cli->problems) > 0)
        (void)cli_print_problems(cli, CLI_WRONG);
    sp_buf_clear(&out);
    return sp_problems_errors(cli->problems) == 0 ? CLI_OK : CLI_WRONG;
}

int cli_explain(struct cli *cli)
{
    struct ask *a = sp_arena_alloc(cli->arena, sizeof(*a));
    int code = CLI_USAGE;

    memset(a, 0, sizeof(*a));
    a->config = "/etc/sallyport/sallyport.json";
    a->to.items = sp_arena_alloc(cli->arena, VALUES_MAX * sizeof(*a->to.items));
    a->to.max = VALUES_MAX;
    a->facts = sp_json_doc_new();
    if (read_options(cli, a))
        code = explain_all(cli, a);
    sp_json_doc_free(a->facts);
    return code;
}
