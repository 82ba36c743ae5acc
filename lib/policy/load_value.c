/*
 * Words of a condition that no fact ever holds. A fact has a form of its own (a media type has a slash, a tag no brackets), so a
 * value of another form makes a rule that is never taken, and its author believes in it. What is said to be so must be so for all mail: what
 * is merely odd is left, or told as a warning.
 */
#include "mail/idn.h"
#include "policy/load_priv.h"

#define TAG_MAX    63 /* bytes between the brackets: sp_subject_tag */
#define TENANT_MAX 64

#define ADDRESS_FORM                                                                               \
    "an address reads like nurse@example.org; of a domain ask sender.domain or recipient.domain"
#define DOMAIN_FORM                                                                                \
    "a domain reads like example.org; for all below it ask {\"like\": \"*.example.org\"}, or for " \
    "a list that has .example.org"
#define TYPE_FORM "a type reads like application/pdf; for all of a kind ask {\"like\": \"image/*\"}"

static bool is_wild(uint8_t c)
{
    return c == '*' || c == '?';
}

static bool has_wild(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_wild(text.ptr[i]))
            return true;
    return false;
}

static bool has(struct sp_bytes text, uint8_t c)
{
    return sp_bytes_find(text, c) != SIZE_MAX;
}

static bool is_trimmed(struct sp_bytes text)
{
    return sp_bytes_trim(text).len == text.len;
}

/* A pattern of domains is one if letters in the place of its signs make a domain. */
static bool may_be_domain(struct sp_loader *l, struct sp_bytes text, bool is_like)
{
    uint8_t *example;
    bool is_open = is_like && text.len > 0 && is_wild(text.ptr[0]);

    if (!is_like)
        return sp_policy_loader_is_domain(text);
    if (text.len == 0)
        return false;
    example = sp_arena_alloc(l->policy->arena, text.len);
    for (size_t i = 0; i < text.len; i++)
        example[i] = is_wild(text.ptr[i]) ? 'a' : text.ptr[i];
    if (is_open && has(text, ':')) /* a literal: [IPv6:2001:db8::1] */
        example[0] = '[';
    return sp_policy_loader_is_domain(sp_bytes(example, text.len));
}

/* returns: whether an address may read so: it is one, in the form that addresses have inside */
static bool is_address(struct sp_bytes text)
{
    struct sp_buf made;
    bool ok;

    sp_buf_init(&made, SP_ADDRESS_MAX);
    ok =
        sp_address_normalise(text, &made) == SP_OK && sp_bytes_eq_nocase(sp_buf_bytes(&made), text);
    sp_buf_clear(&made);
    return ok;
}

/* A pattern is told only of what it says at its ends; the rest may be any of what a local part holds. */
static bool may_be_address(struct sp_bytes text, bool is_like)
{
    if (!is_like)
        return has(text, '@') && (!sp_text_is_ascii(text) || is_address(text));
    return text.len > 0 && (has(text, '@') || has_wild(text)) && text.ptr[0] != '@' &&
           text.ptr[text.len - 1] != '@';
}

/* RFC 6838 4.2; the scanner leaves other letters out. */
static bool may_be_type(struct sp_bytes text, bool is_like)
{
    size_t slash = sp_bytes_find(text, '/'), wild = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        wild += is_like && is_wild(c);
        if (!sp_ascii_is_alnum(c) && !has(SP_LIT("!#$&^_.+-"), c) && !(is_like && is_wild(c)) &&
            i != slash)
            return false;
    }
    if (slash == SIZE_MAX)
        return wild > 0;
    return slash > 0 && slash + 1 < text.len;
}

static bool is_tenant(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!sp_ascii_is_alnum(text.ptr[i]) && !has(SP_LIT("-._"), text.ptr[i]))
            return false;
    return text.len > 0 && text.len <= TENANT_MAX;
}

/* returns: NULL, or what a tag of a subject looks like */
static const char *why_no_tag(struct sp_bytes text, bool is_like)
{
    if (has(text, ']'))
        return "the word stands without its brackets, like secure";
    if (text.len == 0)
        return "where there is no tag, ask {\"exists\": false}";
    if (!is_trimmed(text) || (!is_like && text.len > TAG_MAX))
        return "the word stands without spaces around it, and has at most 63 bytes";
    return NULL;
}

/* returns: NULL if the fact may hold such a text, or what it looks like */
static const char *why_never(struct sp_loader *l, enum sp_fact fact, struct sp_bytes text,
                             bool is_like)
{
    switch (fact) {
    case SP_FACT_SENDER_ADDRESS:
        if (text.len == 0)
            return "of mail without a sender's address ask {\"exists\": false}";
        return may_be_address(text, is_like) ? NULL : ADDRESS_FORM;
    case SP_FACT_RECIPIENT_ADDRESS:
    case SP_FACT_FROM_ADDRESS:
        return may_be_address(text, is_like) ? NULL : ADDRESS_FORM;
    case SP_FACT_SENDER_DOMAIN:
    case SP_FACT_RECIPIENT_DOMAIN:
        return may_be_domain(l, text, is_like) ? NULL : DOMAIN_FORM;
    case SP_FACT_SUBJECT_TAG:
        return why_no_tag(text, is_like);
    case SP_FACT_ATTACHMENT_TYPE:
        return may_be_type(text, is_like) ? NULL : TYPE_FORM;
    case SP_FACT_ATTACHMENT_NAME:
        return text.len > 0 ? NULL : "a name that is empty counts as none";
    case SP_FACT_TENANT:
        return is_like || is_tenant(text)
                   ? NULL
                   : "a tenant's name is made of letters, digits and - . _, at most 64";
    case SP_FACT_SUBJECT:
    case SP_FACT_HEADER:
        return is_trimmed(text) ? NULL : "a field's text has no spaces around it";
    default:
        return NULL;
    }
}

void sp_policy_load_value_check(struct sp_loader *l, const struct sp_json *v,
                                const struct sp_policy_test *t)
{
    const char *why = why_never(l, t->fact, v->text, t->op == SP_TEST_LIKE);
    bool is_open = t->fact == SP_FACT_SENDER_ADDRESS || t->fact == SP_FACT_RECIPIENT_ADDRESS ||
                   t->fact == SP_FACT_FROM_ADDRESS || t->fact == SP_FACT_ATTACHMENT_NAME;

    if (why != NULL)
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID, "this never holds: %s", why);
    else if (is_open && has_wild(v->text) && t->op != SP_TEST_LIKE)
        sp_problem_warn(l->problems, v,
                        "\"*\" and \"?\" stand for themselves here: a pattern is {\"like\": ...}");
}

void sp_policy_load_exists_check(struct sp_loader *l, const struct sp_json *v,
                                 const struct sp_policy_test *t)
{
    static const enum sp_fact always[] = {
        SP_FACT_RECIPIENT_ADDRESS, SP_FACT_RECIPIENT_COUNT, SP_FACT_TIME_HOUR, SP_FACT_TIME_WEEKDAY,
        SP_FACT_MESSAGE_KIND,      SP_FACT_MESSAGE_SIZE,    SP_FACT_PHI_CLASS, SP_FACT_SCAN};

    for (size_t i = 0; i < SP_ARRAY_LEN(always); i++) {
        if (t->fact != always[i])
            continue;
        if (t->numbers[0] == 0)
            sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                                  "this never holds: all mail has %s, so ask what it is",
                                  sp_fact_rows[t->fact].name);
        else
            sp_problem_warn(l->problems, v, "this always holds: all mail has %s",
                            sp_fact_rows[t->fact].name);
    }
}

void sp_policy_load_regex_check(struct sp_loader *l, const struct sp_json *v,
                                const struct sp_regex *re)
{
    if (!sp_policy_regex_may_match(re))
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                              "this never holds: no text is found by it; \"^\" stands at the "
                              "beginning and \"$\" at the end, and \"\\\\$\" is the sign itself");
    else if (sp_policy_regex_takes_all(re))
        sp_problem_warn(l->problems, v,
                        "this always holds where it is known: a part of it that may be empty is "
                        "found in every text");
}

void sp_policy_load_alike_check(struct sp_loader *l, const struct sp_json *v,
                                const struct sp_policy_list *list)
{
    const struct sp_json *entries = sp_json_find(list->source, "entries");

    if (entries != NULL && entries->count > 0 && sp_map_count(list->lookalikes) == 0 &&
        sp_policy_loader_knows(l, v, "lists", list->source))
        sp_policy_loader_idle(l, v, SP_E_CONFIG_RANGE,
                              "this never holds: names in \"%s\" are too short; only those of six "
                              "letters and more are compared",
                              list->name);
}

/* The rule is right, and a nearer layer has put a list of another kind in the place of the one that it asks for. */
static void tell_other_kind(struct sp_loader *l, const struct sp_json *v,
                            const struct sp_policy_list *list)
{
    sp_policy_loader_idle(l, list->source, SP_E_POLICY_INVALID,
                          "this lists addresses, and a rule asks it for domains (%s:%u): list "
                          "domains, or give it another name",
                          sp_json_file(v->doc), v->line);
}

void sp_policy_load_list_check(struct sp_loader *l, const struct sp_json *v,
                               const struct sp_policy_list *list, const struct sp_policy_test *t)
{
    const struct sp_json *members = sp_json_find(list->source, "entries");
    bool has_at = t->fact != SP_FACT_SENDER_DOMAIN && t->fact != SP_FACT_RECIPIENT_DOMAIN &&
                  t->fact != SP_FACT_TENANT;

    bool is_group = sp_json_find(list->source, "kind") == NULL;
    bool is_known = sp_policy_loader_knows(l, v, is_group ? "groups" : "lists", list->source);

    if (is_group)
        members = sp_json_find(list->source, "addresses");
    if (list->kind == SP_LIST_ADDRESSES && !has_at && !is_known)
        tell_other_kind(l, v, list);
    else if (list->kind == SP_LIST_ADDRESSES && !has_at)
        sp_policy_loader_idle(
            l, v, SP_E_POLICY_INVALID,
            "\"%s\" lists addresses: ask sender.address or recipient.address for it", list->name);
    else if (is_known && members != NULL && members->type == SP_JSON_ARRAY && members->count == 0)
        sp_policy_loader_idle(l, v, SP_E_CONFIG_RANGE, "this never holds: nothing is in \"%.*s\"",
                              SP_FMT(v->text));
}

void sp_policy_load_in_check(struct sp_loader *l, const struct sp_json *v, enum sp_fact fact)
{
    static const struct {
        enum sp_fact fact;
        const char *instead;
    } none[] = {
        {SP_FACT_SENDER_GROUP,
         "name the groups in an array; of a list ask {\"sender.address\": {\"in\": LIST}}"},
        {SP_FACT_LABEL, "name the labels in an array"},
        {SP_FACT_PHI_SPECIAL, "name the classes in an array"},
        {SP_FACT_ATTACHMENT_TYPE, "name the types in an array"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(none); i++)
        if (none[i].fact == fact)
            sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                                  "a list holds domains or addresses: %s", none[i].instead);
}
