/*
 * Facts by their names in rules, from JSON: for the tests of policies and for explain. What a case does not mention is as
 * in an ordinary message: one recipient, nothing found, nothing sealed, scanned to the end.
 */
#include "base/clock.h"
#include "gateway/cli-policy/cli.h"
#include "json/units.h"
#include "mail/idn.h"
#include "mail/kind.h"

#define VALUES_MAX 64

static const char *const open_names[] = {"header.", "phi.count.", "phi.distinct."};

static void wrong(struct cli *cli, const struct sp_json *m, const char *expected)
{
    sp_problem(cli->problems, m, SP_E_CONFIG_TYPE, "expected %s", expected);
}

static void set_header(struct cli *cli, struct cli_facts *f, struct sp_bytes name,
                       const struct sp_json *m)
{
    if (m->type != SP_JSON_TEXT || f->header_count == CLI_FACTS_HEADERS_MAX)
        wrong(cli, m, "text, for at most 64 fields");
    else
        f->headers[f->header_count++] = (struct sp_fact_header){name, m->text};
}

static void set_count(struct cli *cli, struct cli_facts *f, struct sp_bytes name,
                      const struct sp_json *m, bool is_distinct)
{
    struct sp_fact_type *type = NULL;
    const char *near;

    if (!sp_fact_is_type(name, &near))
        sp_problem(cli->problems, m, SP_E_CONFIG_UNKNOWN, "unknown type of findings%s%s%s",
                   near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                   near == NULL ? "" : "\"?");
    for (size_t k = 0; k < f->type_count; k++)
        if (sp_bytes_eq_nocase(f->types[k].name, name))
            type = &f->types[k];
    if (type == NULL && f->type_count < CLI_FACTS_TYPES_MAX) {
        type = &f->types[f->type_count++];
        type->name = name;
    }
    if (m->type != SP_JSON_INT || m->integer < 0 || type == NULL)
        wrong(cli, m, "a whole number, for at most 64 types");
    else if (is_distinct)
        type->distinct = m->integer;
    else
        type->count = m->integer;
}

/* header.NAME, phi.count.TYPE, phi.distinct.TYPE. returns: whether it is one of them */
static bool set_open(struct cli *cli, struct cli_facts *f, const struct sp_json *m)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(open_names); i++) {
        struct sp_bytes prefix = sp_bytes_cstr(open_names[i]);
        struct sp_bytes name = sp_bytes_slice(m->key, prefix.len, SIZE_MAX);

        if (!sp_bytes_starts_nocase(m->key, prefix) || name.len == 0)
            continue;
        if (i == 0)
            set_header(cli, f, name, m);
        else
            set_count(cli, f, name, m, i == 2);
        return true;
    }
    return false;
}

static bool find(struct sp_bytes name, enum sp_fact *out)
{
    for (size_t i = 0; i < SP_FACT_COUNT; i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(sp_fact_name((enum sp_fact)i)))) {
            *out = (enum sp_fact)i;
            return true;
        }
    }
    return false;
}

static void unknown_name(struct cli *cli, const struct sp_json *m)
{
    const char *names[SP_FACT_COUNT];
    const char *near;

    for (size_t i = 0; i < SP_FACT_COUNT; i++)
        names[i] = sp_fact_name((enum sp_fact)i);
    near = sp_problem_nearest(m->key, names, SP_FACT_COUNT);
    sp_problem(cli->problems, m, SP_E_CONFIG_UNKNOWN, "unknown fact%s%s%s",
               near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
               near == NULL ? "" : "\"?");
}

/* Any name may be the organisation's own, but for one that is nearly the detector's. */
static void check_specials(struct cli *cli, const struct sp_json *m, const struct sp_bytes *texts,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *near;

        if (!sp_fact_is_special(texts[i], &near) && near != NULL)
            sp_problem(cli->problems, m, SP_E_CONFIG_UNKNOWN,
                       "unknown special class \"%.*s\"; did you mean \"%s\"?", SP_FMT(texts[i]),
                       near);
    }
}

static void set_texts(struct cli *cli, struct cli_facts *f, enum sp_fact fact,
                      const struct sp_json *m)
{
    size_t count = m->type == SP_JSON_ARRAY ? m->count : 1, n = 0;
    struct sp_bytes *texts = sp_arena_alloc(cli->arena, (count + 1) * sizeof(*texts));

    if (m->type == SP_JSON_TEXT)
        texts[n++] = m->text;
    else if (m->type != SP_JSON_ARRAY)
        wrong(cli, m, "an array of texts");
    else
        for (const struct sp_json *i = m->first; i != NULL; i = i->next) {
            if (i->type != SP_JSON_TEXT)
                wrong(cli, i, "text");
            texts[n++] = i->text;
        }
    if (fact == SP_FACT_PHI_SPECIAL)
        check_specials(cli, m, texts, n);
    sp_facts_set_texts(&f->facts, fact, texts, n);
}

struct sp_bytes cli_inner(struct cli *cli, struct sp_bytes text)
{
    struct sp_bytes inner = text;
    struct sp_buf ascii;

    sp_buf_init(&ascii, 4096);
    if (!sp_text_is_ascii(text) && sp_domain_pattern_to_ascii(text, &ascii) == SP_OK)
        inner = sp_arena_copy(cli->arena, sp_buf_bytes(&ascii));
    sp_buf_clear(&ascii);
    return inner;
}

static void set_text(struct cli *cli, struct cli_facts *f, enum sp_fact fact,
                     const struct sp_json *m)
{
    if (m->type != SP_JSON_TEXT) {
        wrong(cli, m, "text");
        return;
    }
    if (fact == SP_FACT_SENDER_ADDRESS)
        sp_facts_set_sender(&f->facts, cli_inner(cli, m->text));
    else if (fact == SP_FACT_RECIPIENT_ADDRESS)
        sp_facts_set_recipient(&f->facts, cli_inner(cli, m->text));
    else if (fact == SP_FACT_SENDER_DOMAIN || fact == SP_FACT_RECIPIENT_DOMAIN ||
             fact == SP_FACT_FROM_ADDRESS)
        sp_facts_set_text(&f->facts, fact, cli_inner(cli, m->text));
    else
        sp_facts_set_text(&f->facts, fact, m->text);
}

/* The values of a closed list, with the nearest to what was written. */
static void wrong_value(struct cli *cli, enum sp_fact fact, const struct sp_json *m)
{
    const char *names[VALUES_MAX];
    const char *near;
    struct sp_buf all;
    size_t count = 0;

    sp_buf_init(&all, 1024);
    for (int64_t n = -1; n < VALUES_MAX - 1; n++) {
        const char *name = sp_fact_value_name(fact, n);

        if (name == NULL)
            continue;
        names[count++] = name;
        sp_buf_printf(&all, " %s", name);
    }
    near = m->type == SP_JSON_TEXT ? sp_problem_nearest(m->text, names, count) : NULL;
    sp_problem(cli->problems, m, SP_E_CONFIG_RANGE, "unknown value; %s%s%sknown are:%.*s",
               near == NULL ? "" : "did you mean \"", near == NULL ? "" : near,
               near == NULL ? "" : "\"? ", SP_FMT(sp_buf_bytes(&all)));
    sp_buf_clear(&all);
}

/* Mail never has other numbers: what is decided from them would tell nothing. returns: NULL, or what it has */
static const char *why_never(enum sp_fact fact, int64_t n)
{
    switch (fact) {
    case SP_FACT_PHI_SCORE:
        return n >= 0 && n <= 100 ? NULL : "0 to 100";
    case SP_FACT_TIME_HOUR:
        return n >= 0 && n <= 23 ? NULL : "0 to 23";
    case SP_FACT_RECIPIENT_COUNT:
        return n >= 1 ? NULL : "at least 1";
    default:
        return n >= 0 ? NULL : "at least 0";
    }
}

/* returns: whether there is a number */
static bool read_number(struct cli *cli, enum sp_fact fact, const struct sp_json *m, int64_t *n)
{
    bool is_truth = fact == SP_FACT_RECIPIENT_FIRST_CONTACT || fact == SP_FACT_ATTACHMENT_OPAQUE;
    const char *why;

    *n = m->integer;
    if (fact == SP_FACT_MESSAGE_SIZE && m->type == SP_JSON_TEXT && sp_units_parse_size(m->text, n))
        return true;
    if (is_truth && (m->type == SP_JSON_BOOL ||
                     (m->type == SP_JSON_INT && (*n == 0 || *n == 1)))) /* as records have it */
        return true;
    if (is_truth || m->type != SP_JSON_INT) {
        wrong(cli, m,
              is_truth                       ? "true or false"
              : fact == SP_FACT_MESSAGE_SIZE ? "a size like \"25MiB\", or a number of bytes"
                                             : "a whole number");
        return false;
    }
    why = why_never(fact, *n);
    if (why != NULL)
        sp_problem(cli->problems, m, SP_E_CONFIG_RANGE, "no mail has this: %s is %s",
                   sp_fact_name(fact), why);
    return why == NULL;
}

static void set_number(struct cli *cli, struct cli_facts *f, enum sp_fact fact,
                       const struct sp_json *m)
{
    int64_t n = 0;

    if (sp_fact_is_closed(fact) &&
        (m->type != SP_JSON_TEXT || !sp_fact_value_parse(fact, m->text, &n))) {
        wrong_value(cli, fact, m);
        return;
    }
    if (!sp_fact_is_closed(fact) && !read_number(cli, fact, m, &n))
        return;
    if (fact == SP_FACT_SCAN) { /* last: it changes what the others say */
        f->has_scan = true;
        f->scan = n;
    } else {
        sp_facts_set_number(&f->facts, fact, n);
    }
}

bool cli_fact_is_text(struct sp_bytes name)
{
    enum sp_fact fact;

    return sp_bytes_starts_nocase(name, SP_LIT("header.")) ||
           (find(name, &fact) && sp_fact_is_text(fact) && !sp_fact_is_set(fact));
}

bool cli_fact_is_address(struct sp_bytes name)
{
    static const enum sp_fact facts[] = {SP_FACT_TENANT, SP_FACT_SENDER_ADDRESS,
                                         SP_FACT_SENDER_DOMAIN, SP_FACT_RECIPIENT_ADDRESS,
                                         SP_FACT_RECIPIENT_DOMAIN};

    for (size_t i = 0; i < SP_ARRAY_LEN(facts); i++)
        if (sp_bytes_eq(name, sp_bytes_cstr(sp_fact_name(facts[i]))))
            return true;
    return sp_bytes_eq(name, SP_LIT("time"));
}

/* "time": the moment of the decision, for dates and hours. returns: whether it is this one */
static bool set_time(struct cli *cli, struct cli_facts *f, const struct sp_json *m)
{
    if (!sp_bytes_eq(m->key, SP_LIT("time")))
        return false;
    if (m->type != SP_JSON_TEXT || !sp_time_parse_rfc3339(m->text, &f->facts.now_ms))
        wrong(cli, m, "a time like \"2026-11-23T15:04:05Z\"");
    return true;
}

void cli_fact_set(struct cli *cli, struct cli_facts *f, const struct sp_json *m)
{
    enum sp_fact fact;

    if (set_open(cli, f, m) || set_time(cli, f, m))
        return;
    if (!find(m->key, &fact))
        unknown_name(cli, m);
    else if (m->type == SP_JSON_NULL)
        sp_facts_set_absent(&f->facts, fact);
    else if (sp_json_bool_of(m, "unknown", false))
        sp_facts_set_unknown(&f->facts, fact);
    else if (sp_fact_is_set(fact))
        set_texts(cli, f, fact, m);
    else if (sp_fact_is_text(fact))
        set_text(cli, f, fact, m);
    else
        set_number(cli, f, fact, m);
}

static void assume(struct sp_facts *f, enum sp_fact fact, int64_t number)
{
    if (f->values[fact].state == SP_FACT_PENDING)
        sp_facts_set_number(f, fact, number);
}

const struct sp_facts *cli_facts_end(struct cli_facts *f)
{
    struct sp_facts *facts = &f->facts;
    struct sp_fact_value subject = facts->values[SP_FACT_SUBJECT];
    struct sp_fact_value tag = facts->values[SP_FACT_SUBJECT_TAG];

    if (facts->values[SP_FACT_HEADER].state == SP_FACT_PENDING) {
        sp_facts_set_headers(facts, f->headers, f->header_count);
        if (subject.state != SP_FACT_PENDING)
            facts->values[SP_FACT_SUBJECT] = subject;
        if (subject.state == SP_FACT_KNOWN && sp_subject_tag(subject.text).len > 0)
            sp_facts_set_text(facts, SP_FACT_SUBJECT_TAG, sp_subject_tag(subject.text));
        if (tag.state != SP_FACT_PENDING)
            facts->values[SP_FACT_SUBJECT_TAG] = tag;
    }
    assume(facts, SP_FACT_RECIPIENT_COUNT, 1);
    assume(facts, SP_FACT_MESSAGE_KIND, SP_KIND_MAIL);
    assume(facts, SP_FACT_MESSAGE_SEALED, SP_SEALED_NONE);
    assume(facts, SP_FACT_PHI_CLASS, SP_PHI_NONE);
    if (facts->values[SP_FACT_PHI_COUNT].state == SP_FACT_PENDING)
        sp_facts_set_types(facts, f->types, f->type_count);
    sp_facts_set_scan(facts, f->has_scan ? (enum sp_scan)f->scan : SP_SCAN_COMPLETE);
    sp_facts_close_stage(facts, SP_STAGE_ENVELOPE);
    sp_facts_close_stage(facts, SP_STAGE_HEADER);
    sp_facts_close_stage(facts, SP_STAGE_CONTENT);
    return facts;
}

void cli_facts_envelope(const struct cli_facts *f, struct sp_facts *out)
{
    *out = f->facts;
    for (size_t i = 0; i < SP_FACT_COUNT; i++)
        if (sp_fact_stage((enum sp_fact)i) != SP_STAGE_ENVELOPE)
            out->values[i].state = SP_FACT_PENDING;
}
