/*
 * A version that has decided mail decides it again as it did: with the days of then, and with words that are refused today. And what
 * can change a decision makes another version.
 */
#include "policy/policy.h"

#include <stdio.h>

#include "base/clock.h"
#include "support/check_main.h"
#include "support/policy_files.h"

#define TLS "{\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}"
#define BASE                                                                                       \
    "\"version\": 1, \"settings\": {\"dkim_selector\": \"gw\", \"timezone\": "                     \
    "\"America/Chicago\"}, \"texts\": {\"no\": \"No.\"},\n"                                        \
    "\"lists\": {\"l\": {\"kind\": \"domains\", \"file\": \"l.txt\"}, \"s\": {\"kind\": "          \
    "\"domains\", \"entries\": [\"a.de\"]}, \"p\": {\"kind\": \"addresses\", \"entries\": "        \
    "[\"a@b.example\"]}},\n"                                                                       \
    "\"ladders\": {\"usual\": {\"rungs\": [\"tls:encrypted\", \"portal\"], \"floor\": "            \
    "\"tls:encrypted\"}, \"best\": {\"rungs\": [\"portal\"], \"floor\": \"sealed\"}, "             \
    "\"tls\": " TLS "},\n"                                                                         \
    "\"default\": {\"protect\": \"usual\"}"
#define WITH(more)  "{" BASE ", " more "}"
#define RULE(more)  WITH("\"rules\": [{\"rule\": \"r\", " more "}]")
#define GUARD(more) WITH("\"guards\": [{\"rule\": \"g\", " more "}]")
#define WHEN(cond)  RULE("\"when\": {" cond "}, \"then\": {\"protect\": \"best\"}")

/* language 0: as a version of today. returns: NULL if it was refused */
static struct sp_policy *load(const struct file *files, unsigned language,
                              struct sp_problems *problems)
{
    const struct sp_policy_reader reader = {read_file, (void *)files, next_file};
    struct sp_policy *p = NULL;

    if (language == 0)
        (void)!sp_policy_load(&reader, "policies/policy.json", problems, &p);
    else
        (void)!sp_policy_load_past(&reader, "policies/policy.json", language, problems, &p);
    return p;
}

static const char *rule_at(const struct sp_policy *p, const char *domain, const char *time)
{
    struct sp_decision d;
    struct sp_facts f;

    sp_facts_init(&f);
    ck_assert(sp_time_parse_rfc3339(sp_bytes_cstr(time), &f.now_ms));
    sp_facts_set_text(&f, SP_FACT_RECIPIENT_DOMAIN, sp_bytes_cstr(domain));
    sp_policy_decide(p, &f, &d);
    return d.rule;
}

static bool tells(const struct sp_problems *p, const char *text, bool as_warning)
{
    struct sp_buf line;
    bool found = false;

    sp_buf_init(&line, 10000);
    for (size_t i = 0; i < sp_problems_count(p) && !found; i++) {
        sp_buf_reset(&line);
        sp_problem_format(sp_problems_at(p, i), &line);
        sp_buf_put_u8(&line, 0);
        found = sp_problems_at(p, i)->is_warning == as_warning &&
                strstr((const char *)line.ptr, text) != NULL;
    }
    sp_buf_clear(&line);
    return found;
}

START_TEST(days_are_those_of_the_language_of_then)
{
    static const struct file files[] = {
        {"policies/policy.json",
         WITH("\"rules\": [{\"rule\": \"partners\", \"when\": {\"recipient.domain\": {\"in\": "
              "\"l\"}}, \"then\": {\"protect\": \"best\"}},\n"
              "{\"rule\": \"year\", \"when\": {\"recipient.domain\": \"b.example\"}, \"until\": "
              "\"2026-06-30\", \"then\": {\"protect\": \"best\"}}]")},
        {"policies/l.txt", "a.example until=2026-06-30\n"},
        {NULL, NULL}};
    static const char evening[] = "2026-06-30T02:00:00Z"; /* of the 29th in Chicago */
    static const struct {
        unsigned language;
        const char *partner, *year;
    } cases[] = {{1, "default", "default"}, {2, "default", "default"}, {3, "partners", "year"}};

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_problems) problems = sp_problems_new();
        SP_AUTO(sp_policy) p = load(files, cases[i].language, problems);

        ck_assert(p != NULL);
        ck_assert_str_eq(rule_at(p, "a.example", evening), cases[i].partner);
        ck_assert_str_eq(rule_at(p, "b.example", evening), cases[i].year);
        ck_assert_str_eq(rule_at(p, "a.example", "2026-06-29T23:59:59Z"), "partners");
        ck_assert_str_eq(rule_at(p, "b.example", "2026-06-30T05:00:00Z"), "default");
    }
}
END_TEST

START_TEST(what_did_nothing_then_does_nothing_again)
{
    static const char *const texts[] = {
        WITH("\"note\": \"x\""), /* its list has what is none */
        WITH("\"fixed\": [\"flor\"]"),
        WHEN("\"recipient.domain\": {\"in\": []}"),
        WHEN("\"recipient.domain\": {\"resembles\": []}"),
        WHEN("\"time.hour\": 24"),
        WHEN("\"recipient.domain\": \"*.a.example\""),
        WHEN("\"phi.count.MNR\": {\"at_least\": 1}"),
        WHEN("\"phi.special\": {\"has\": \"qqqqqqqqqqq\"}"),
        WHEN("\"phi.special\": {\"has\": \"prat2\"}"),
        RULE("\"continue\": true, \"then\": {\"tags\": [\"x\"], \"lowers\": \"because it is\"}"),
        RULE("\"continue\": true, \"whole_message\": true, \"then\": {\"tags\": [\"x\"]}"),
        RULE("\"then\": {\"hold\": {\"for\": \"delay\", \"protect\": \"best\"}}"),
        RULE("\"then\": {\"hold\": {\"for\": \"delay\", \"within\": \"0s\", \"protect\": "
             "\"best\"}}"),
        RULE("\"then\": {\"protect\": \"best\", \"expire\": \"0h\"}"),
        GUARD("\"certain\": true, \"then\": {\"reject\": \"no\"}"),
        GUARD("\"then\": {\"reject\": \"no\", \"expire\": \"1h\"}"),
        WITH("\"preferences\": {\"file\": \"wishes.json\"}"),
        WHEN("\"attachment.type\": \"pdf\""),
        WHEN("\"sender.group\": {\"in\": \"l\"}"),
        WHEN("\"label\": {\"like\": \"*\"}"),
        WHEN("\"subject\": {\"regex\": \"a^\"}"),
        WHEN("\"phi.class\": {\"exists\": false}"),
        WITH("\"labels\": {\"x\": \"\"}"),
        RULE("\"continue\": true, \"then\": {}"),
        RULE("\"then\": {\"reject\": \"no\", \"lane\": \"bulk\"}"),
        RULE("\"then\": {\"protect\": \"best\", \"smime\": {\"cipher\": \"aes-256-cbc\"}}"),
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(texts); i++) {
        const struct file files[] = {{"policies/policy.json", texts[i]},
                                     {"policies/l.txt", i == 0 ? "*.a.example" : ""},
                                     {"policies/wishes.json", "{\"version\": 1, \"preferences\": "
                                                              "[{\"recipient\": \"nobody\"}]}"},
                                     {NULL, NULL}};
        SP_AUTO(sp_problems) now = sp_problems_new();
        SP_AUTO(sp_problems) then = sp_problems_new();
        SP_AUTO(sp_policy) today = load(files, 0, now);
        SP_AUTO(sp_policy) past = load(files, SP_POLICY_LANGUAGE, then);

        ck_assert_msg(today == NULL, "%s", texts[i]);
        ck_assert_msg(past != NULL && strlen(sp_policy_hash(past)) == SP_POLICY_HASH_LEN, "%s",
                      texts[i]);
    }
}
END_TEST

#define PART    "\"version\": 1"
#define EXTENDS "{" PART ", \"extends\": \"base\"}"
#define SUBJECT "\"when\": {\"subject\": \"x\"}, "
#define EMPTY(cond)                                                                                \
    WITH(                                                                                          \
        "\"groups\": {\"e\": {\"addresses\": []}}, \"rules\": [{\"rule\": \"r\", \"when\": {" cond \
        "}, \"then\": {\"protect\": \"best\"}}]")

/* Each word that is refused today: a version that has it still loads, and says so. */
START_TEST(what_is_refused_today_is_a_warning_of_the_past)
{
    static const struct {
        const char *text;
        const char *list;        /* if it has entries, nothing is told of the past */
        const char *set, *layer; /* NULL: there is none */
        const char *told;
    } cases[] = {
        {WITH("\"scope\": {\"domain\": \"a@b.example\"}"), "", NULL, NULL,
         "\"domain\" is a domain"},
        {WITH("\"scope\": {\"user\": \"dr\"}"), "", NULL, NULL, "\"user\" is an address"},
        {WITH("\"scope\": {\"domain\": \"*.b.example\"}"), "", NULL, NULL, "nobody sends from"},
        {EXTENDS, "", WITH("\"preferences\": {\"file\": \"wishes.json\"}"), NULL,
         "the registry of preferences is one"},
        {WITH("\"note\": \"x\""), "", NULL,
         "{" PART ", \"scope\": {\"tenant\": \"t\"}, \"preferences\": {\"file\": \"wishes.json\"}}",
         "the registry of preferences is one"},
        {WITH("\"groups\": {\"g\": {\"addresses\": [\"@b.example\"]}}"), "x.example\n", NULL, NULL,
         "expected an address like"},
        {WITH("\"note\": \"x\""), "a..example\n", NULL, NULL, "expected a domain like"},
        {WITH("\"groups\": {\"g\": {\"list\": \"none\"}}"), "", NULL, NULL,
         "\"none\" is not in \"lists\" of any layer"},
        {WHEN("\"header.x class\": \"a\""), "", NULL, NULL, "no header field has such a name"},
        {WHEN("\"recipient.count\": 0"), "", NULL, NULL, "recipient.count is at least 1"},
        {WHEN("\"phi.score\": {\"at_least\": 101}"), "", NULL, NULL, "phi.score is 0 to 100"},
        {WHEN("\"phi.class\": {\"below\": \"none\"}"), "", NULL, NULL,
         "phi.class is none to severe"},
        {WHEN("\"domain.remembered\": \"sealed\""), "", NULL, NULL, "never-seen to tls:dane"},
        {WHEN("\"sender.address\": \"@a.example\""), "", NULL, NULL, "an address reads like"},
        {WHEN("\"from.address\": {\"like\": \"\"}"), "", NULL, NULL, "an address reads like"},
        {WHEN("\"subject.tag\": \"[secure]\""), "", NULL, NULL, "without its brackets"},
        {WHEN("\"subject.tag\": \"\""), "", NULL, NULL, "ask {\"exists\": false}"},
        {WHEN("\"tenant\": \"St. Mary\""), "", NULL, NULL, "a tenant's name is made of"},
        {WHEN("\"subject\": \" x\""), "", NULL, NULL, "no spaces around it"},
        {WHEN("\"attachment.name\": \"\""), "", NULL, NULL, "a name that is empty"},
        {EMPTY("\"sender.group\": \"e\""), "", NULL, NULL, "nothing is in \"e\""},
        {WITH("\"rules\": "
              "[{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"p\"}}, \"then\": "
              "{\"protect\": "
              "\"best\"}}]"),
         "", NULL, NULL, "\"p\" lists addresses"},
        {WITH("\"rules\": [{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"resembles\": "
              "\"s\"}}, "
              "\"then\": {\"protect\": \"best\"}}]"),
         "", NULL, NULL, "names in \"s\" are too short"},
        {RULE(SUBJECT "\"then\": {\"protect\": {\"rungs\": [{\"rung\": \"smime\", \"stay\": {}}], "
                      "\"floor\": \"sealed\"}}"),
         "", NULL, NULL, "stay: this does nothing"},
        {RULE(SUBJECT "\"then\": {\"protect\": {\"rungs\": [{\"rung\": \"portal\", \"stay\": "
                      "{\"dropped\": \"1h\"}}], \"floor\": \"sealed\"}}"),
         "", NULL, NULL, "only a rung of TLS is dropped"},
        {RULE(SUBJECT "\"then\": {\"protect\": " TLS ", \"portal\": {\"expires\": \"3d\"}}"), "",
         NULL, NULL, "then.portal: this does nothing"},
        {RULE(SUBJECT "\"then\": {\"protect\": " TLS ", \"notify\": {\"sender\": [\"unread\"]}}"),
         "", NULL, NULL, "nobody hears of it"},
        {RULE(SUBJECT
              "\"then\": {\"protect\": \"best\", \"portal\": {\"expires\": \"1d\", \"remind\": "
              "[\"2d\"]}}"),
         "", NULL, NULL, "a reminder comes before"},
        {RULE("\"continue\": true, \"then\": {\"tags\": []}"), "", NULL, NULL,
         "then.tags: this does nothing"},
        {RULE("\"continue\": true, \"then\": {\"raise\": \"plain\"}"), "", NULL, NULL,
         "this raises nothing"},
        {RULE("\"continue\": true, \"then\": {\"header\": {}}"), "", NULL, NULL,
         "then.header: this does nothing"},
        {GUARD("\"continue\": true, \"then\": {\"raise\": \"sealed\", \"lane\": \"bulk\"}"), "",
         NULL, NULL, "write it as the first of"},
        {GUARD(SUBJECT
               "\"then\": {\"hold\": {\"for\": \"quarantine\", \"protect\": \"best\"}, \"lane\": "
               "\"bulk\"}"),
         "", NULL, NULL, "move this hold to the beginning of"},
        {GUARD("\"continue\": true, \"then\": {\"raise\": \"sealed\", \"lowers\": \"because it "
               "is\"}"),
         "", NULL, NULL, "in the rule that decides"},
        {"{" PART ", \"extends\": \"base\", \"rules\": [{\"rule\": \"r\", " SUBJECT
         "\"then\": {\"protect\": \"tls\", \"portal\": {\"expires\": \"3d\"}}}]}",
         "", WITH("\"note\": \"x\""), NULL, "then.portal: this does nothing"},
        {"{" PART
         ", \"extends\": \"base\", \"rules\": [{\"rule\": \"r\", \"when\": {\"sender.group\": "
         "\"e\"}, \"then\": {\"protect\": \"best\"}}]}",
         "", WITH("\"groups\": {\"e\": {\"addresses\": []}}"), NULL, "nothing is in \"e\""},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct file files[] = {
            {"policies/policy.json", cases[i].text},
            {"policies/l.txt", cases[i].list},
            {"policies/wishes.json", "{\"version\": 1, \"preferences\": []}"},
            {cases[i].set != NULL ? "policies/base.json" : "-", cases[i].set},
            {cases[i].layer != NULL ? "policies/layers/t.json" : "-", cases[i].layer},
            {NULL, NULL}};
        SP_AUTO(sp_problems) now = sp_problems_new();
        SP_AUTO(sp_problems) then = sp_problems_new();
        SP_AUTO(sp_policy) today = load(files, 0, now);
        SP_AUTO(sp_policy) past = load(files, SP_POLICY_LANGUAGE, then);

        ck_assert_msg(today == NULL, "case %zu: %s", i, cases[i].text);
        ck_assert_msg(tells(now, cases[i].told, false), "case %zu: %s", i, cases[i].text);
        ck_assert_msg(past != NULL && sp_problems_errors(then) == 0, "case %zu: %s", i,
                      cases[i].text);
        ck_assert_msg(cases[i].list[0] != 0 || tells(then, cases[i].told, true), "case %zu: %s", i,
                      cases[i].text);
        ck_assert_ptr_nonnull(rule_at(past, "c.example", "2026-06-30T02:00:00Z"));
    }
}
END_TEST

/* 33 copies: as many as a decision has room for, as it was decided then. */
START_TEST(what_is_cut_for_want_of_room_was_cut_then)
{
    struct sp_buf text;
    struct sp_decision d;
    struct sp_facts f;

    sp_buf_init(&text, 10000);
    sp_buf_put_cstr(&text, "{" BASE ", \"rules\": [{\"rule\": \"r\", \"then\": {\"protect\": "
                           "\"best\", \"copy\": [\"x@a.example\"");
    for (int i = 0; i < 32; i++)
        sp_buf_printf(&text, ", \"x%d@a.example\"", i);
    sp_buf_put_cstr(&text, "]}}]}");
    sp_buf_put_u8(&text, 0);
    {
        const struct file files[] = {
            {"policies/policy.json", (const char *)text.ptr}, {"policies/l.txt", ""}, {NULL, NULL}};
        SP_AUTO(sp_problems) problems = sp_problems_new();
        SP_AUTO(sp_policy) p = load(files, 2, problems);

        ck_assert(p != NULL);
        sp_facts_init(&f);
        sp_policy_decide(p, &f, &d);
        ck_assert_str_eq(d.rule, "r");
        ck_assert_uint_eq(d.copies.count, SP_DECISION_NAMES_MAX);
    }
    sp_buf_clear(&text);
}
END_TEST

START_TEST(what_is_wrong_elsewhere_makes_no_policy_without_a_version)
{
    static const struct file bad[] = {{"policies/policy.json", "{"}, {NULL, NULL}};
    static const struct file good[] = {
        {"policies/policy.json", WITH("\"note\": \"x\"")}, {"policies/l.txt", ""}, {NULL, NULL}};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_policy) none = load(bad, 0, problems);
    SP_AUTO(sp_policy) p = load(good, 0, problems);

    ck_assert(none == NULL && p != NULL);
    ck_assert_uint_eq(strlen(sp_policy_hash(p)), SP_POLICY_HASH_LEN);
}
END_TEST

#define LAYER(zone)                                                                                \
    "{\"version\": 1, \"scope\": {\"tenant\": \"clinic\"}, \"settings\": {\"timezone\": \"" zone   \
    "\"}}"

/* The clocks of a layer may be put otherwise in a later release, and its days and hours then decide otherwise. */
START_TEST(the_rule_of_a_layers_zone_is_in_the_version)
{
    static const struct {
        const char *layer;
        unsigned language;
        bool has_rule;
    } cases[] = {{LAYER("Europe/Berlin"), 0, true},
                 {LAYER("Europe/Berlin"), 2, false},
                 {LAYER("Europe/Berlin"), 3, true},
                 {LAYER("Asia/Tokyo"), 0, false}};
    char hashes[SP_ARRAY_LEN(cases)][SP_POLICY_HASH_LEN + 1];

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct file files[] = {{"policies/policy.json", WITH("\"note\": \"x\"")},
                                     {"policies/l.txt", ""},
                                     {"policies/layers/clinic.json", cases[i].layer},
                                     {NULL, NULL}};
        SP_AUTO(sp_problems) problems = sp_problems_new();
        SP_AUTO(sp_policy) p = load(files, cases[i].language, problems);
        const struct sp_bytes rule =
            SP_LIT("\"timezone-rule:Europe/Berlin\":\"CET-1CEST,M3.5.0,M10.5.0/3\"");
        struct sp_bytes text;
        bool found = false;

        ck_assert(p != NULL);
        text = sp_policy_canonical(p);
        for (size_t k = 0; k + rule.len <= text.len; k++)
            found = found || sp_bytes_eq(sp_bytes_slice(text, k, rule.len), rule);
        ck_assert_msg(found == cases[i].has_rule, "case %zu: %.*s", i, SP_FMT(text));
        snprintf(hashes[i], sizeof(hashes[i]), "%s", sp_policy_hash(p));
    }
    ck_assert_str_eq(hashes[0], hashes[2]);
    ck_assert_str_ne(hashes[0], hashes[1]);
    ck_assert_str_ne(hashes[0], hashes[3]);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, days_are_those_of_the_language_of_then);
    tcase_add_test(c, what_did_nothing_then_does_nothing_again);
    tcase_add_test(c, what_is_refused_today_is_a_warning_of_the_past);
    tcase_add_test(c, what_is_cut_for_want_of_room_was_cut_then);
    tcase_add_test(c, what_is_wrong_elsewhere_makes_no_policy_without_a_version);
    tcase_add_test(c, the_rule_of_a_layers_zone_is_in_the_version);
}

SP_TEST_MAIN("policy.past", add)
