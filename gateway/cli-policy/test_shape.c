/*
 * What a file of tests must look like before it is run: a member of a wrong type, or a word that is none, would else be a
 * test that asks nothing and passes. policies/schema/test.json says the same to editors.
 */
#include "gateway/cli-policy/test.h"

struct member {
    const char *name;
    enum sp_json_type type;
    bool needed;
};

static const struct member top[] = {{"version", SP_JSON_INT, true},
                                    {"policy", SP_JSON_TEXT, true},
                                    {"cases", SP_JSON_ARRAY, true},
                                    {"given", SP_JSON_OBJECT, false},
                                    {"note", SP_JSON_TEXT, false}};
static const struct member of_case[] = {{"name", SP_JSON_TEXT, true},
                                        {"when", SP_JSON_OBJECT, false},
                                        {"expect", SP_JSON_OBJECT, false},
                                        {"delivery", SP_JSON_ARRAY, false},
                                        {"note", SP_JSON_TEXT, false}};
static const struct member of_expect[] = {
    {"rule", SP_JSON_TEXT, false},       {"floor", SP_JSON_TEXT, false},
    {"do", SP_JSON_TEXT, false},         {"stage", SP_JSON_TEXT, false},
    {"tags", SP_JSON_ARRAY, false},      {"ladder", SP_JSON_TEXT, false},
    {"lowers", SP_JSON_TEXT, false},     {"text", SP_JSON_TEXT, false},
    {"raised_by", SP_JSON_ARRAY, false}, {"continued", SP_JSON_ARRAY, false},
    {"hold_by", SP_JSON_TEXT, false},    {"copies", SP_JSON_ARRAY, false},
    {"redirect", SP_JSON_TEXT, false},   {"route", SP_JSON_TEXT, false},
    {"lane", SP_JSON_TEXT, false},       {"notice", SP_JSON_BOOL, false}};
static const struct member of_delivery[] = {
    {"offers", SP_JSON_TEXT, true}, {"keys", SP_JSON_ARRAY, false}, {"before", SP_JSON_TEXT, false},
    {"after", SP_JSON_TEXT, false}, {"rung", SP_JSON_TEXT, false},  {"wait", SP_JSON_BOOL, false},
    {"end", SP_JSON_TEXT, false},   {"late", SP_JSON_BOOL, false}};

static bool wrong(struct cli *cli, const struct sp_json *at, const char *expected)
{
    sp_problem(cli->problems, at, SP_E_CONFIG_TYPE, "expected %s", expected);
    return false;
}

static bool check_members(struct cli *cli, const struct sp_json *object, const struct member *all,
                          size_t count)
{
    bool good = true;

    if (object->type != SP_JSON_OBJECT)
        return wrong(cli, object, sp_json_type_name(SP_JSON_OBJECT));
    for (size_t i = 0; i < count; i++) {
        const struct sp_json *m = sp_json_find(object, all[i].name);

        if (m == NULL && all[i].needed) {
            sp_problem(cli->problems, object, SP_E_CONFIG_MISSING, "\"%s\" is missing",
                       all[i].name);
            good = false;
        }
        if (m != NULL && m->type != all[i].type)
            good = wrong(cli, m, sp_json_type_name(all[i].type));
    }
    return good;
}

/* Texts of an array, each of them one of the words (NULL: any). */
static bool check_texts(struct cli *cli, const struct sp_json *array, const char *const *words)
{
    bool good = true;

    for (const struct sp_json *i = array == NULL ? NULL : array->first; i != NULL; i = i->next) {
        bool known = words == NULL;

        for (size_t k = 0; words != NULL && words[k] != NULL; k++)
            known = known || sp_bytes_eq(i->text, sp_bytes_cstr(words[k]));
        if (i->type != SP_JSON_TEXT || !known)
            good = wrong(cli, i, words == NULL ? "a text" : "smime or pgp");
    }
    return good;
}

static bool check_expect(struct cli *cli, const struct sp_json *expect)
{
    static const char *const lists[] = {"tags", "raised_by", "continued", "copies"};
    const struct sp_json *floor, *verb, *stage;
    bool good = check_members(cli, expect, of_expect, SP_ARRAY_LEN(of_expect));
    bool known = false;
    enum sp_floor level;

    if (!good)
        return false;
    for (size_t i = 0; i < SP_ARRAY_LEN(lists); i++)
        good = check_texts(cli, sp_json_find(expect, lists[i]), NULL) && good;
    floor = sp_json_find(expect, "floor");
    if (floor != NULL && !sp_floor_parse(floor->text, &level))
        good = wrong(cli, floor, "a floor: plain, tls:encrypted, ..., sealed");
    verb = sp_json_find(expect, "do");
    for (enum sp_do d = SP_DO_PROTECT; verb != NULL && d <= SP_DO_DISCARD; d++)
        known = known || sp_bytes_eq(verb->text, sp_bytes_cstr(sp_do_name(d)));
    if (verb != NULL && !known)
        good = wrong(cli, verb, "protect, reject, hold or discard");
    stage = sp_json_find(expect, "stage");
    known = stage == NULL;
    for (enum sp_stage s = SP_STAGE_ENVELOPE; !known && s <= SP_STAGE_CONTENT; s++)
        known = sp_bytes_eq(stage->text, sp_bytes_cstr(sp_stage_name(s)));
    return known ? good : wrong(cli, stage, "envelope, header or content");
}

static bool check_delivery(struct cli *cli, const struct sp_json *ask)
{
    static const char *const key_words[] = {"smime", "pgp", NULL};
    static const char *const ends[] = {"return", "hold"};
    const struct sp_json *rung, *wait, *end;
    enum sp_rung known;

    if (!check_members(cli, ask, of_delivery, SP_ARRAY_LEN(of_delivery)) ||
        !check_texts(cli, sp_json_find(ask, "keys"), key_words))
        return false;
    rung = sp_json_find(ask, "rung");
    wait = sp_json_find(ask, "wait");
    end = sp_json_find(ask, "end");
    if ((rung != NULL) + (wait != NULL) + (end != NULL) != 1)
        return wrong(cli, ask, "one of \"rung\", \"wait\": true and \"end\"");
    if (rung != NULL && !sp_rung_parse(rung->text, &known))
        return wrong(cli, rung, "a rung: plain, tls:encrypted, ..., smime, pgp, portal");
    if (wait != NULL && wait->integer == 0)
        return wrong(cli, wait, "true");
    if (end != NULL && !sp_bytes_eq(end->text, sp_bytes_cstr(ends[0])) &&
        !sp_bytes_eq(end->text, sp_bytes_cstr(ends[1])))
        return wrong(cli, end, "return or hold");
    return true;
}

/* A name alone is nobody's address, and no rule about domains would hold for it. */
static bool check_addresses(struct cli *cli, const struct sp_json *facts)
{
    static const char *const names[] = {"sender.address", "recipient.address", "from.address"};
    bool good = true;

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        const struct sp_json *v = sp_json_find(facts, names[i]);

        if (v != NULL && v->type == SP_JSON_TEXT && v->text.len > 0 &&
            sp_bytes_find(v->text, '@') == SIZE_MAX &&
            !sp_bytes_eq_nocase(v->text, SP_LIT("postmaster"))) /* RFC 5321 2.3.5 */
            good = wrong(cli, v, "an address like pat@example.net");
    }
    return good;
}

static bool check_case(struct cli *cli, const struct sp_json *c)
{
    const struct sp_json *expect, *delivery;
    bool good = check_members(cli, c, of_case, SP_ARRAY_LEN(of_case));

    if (!good)
        return false;
    expect = sp_json_find(c, "expect");
    delivery = sp_json_find(c, "delivery");
    if (expect != NULL)
        good = check_expect(cli, expect) && good;
    good = check_addresses(cli, sp_json_find(c, "when")) && good;
    for (const struct sp_json *ask = delivery == NULL ? NULL : delivery->first; ask != NULL;
         ask = ask->next)
        good = check_delivery(cli, ask) && good;
    return good;
}

bool cli_test_shape(struct cli *cli, const struct sp_json *root)
{
    const struct sp_json *cases;
    bool good = check_members(cli, root, top, SP_ARRAY_LEN(top));

    if (!good)
        return false;
    if (sp_json_int_of(root, "version", 0) != 1)
        good = wrong(cli, sp_json_find(root, "version"), "\"version\": 1");
    good = check_addresses(cli, sp_json_find(root, "given")) && good;
    cases = sp_json_find(root, "cases");
    if (cases->count == 0)
        good = wrong(cli, cases, "at least one case");
    for (const struct sp_json *c = cases->first; c != NULL; c = c->next)
        good = check_case(cli, c) && good;
    return good;
}
