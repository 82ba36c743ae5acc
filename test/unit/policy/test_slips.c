/*
 * What an author would believe and what would not hold: words that were taken and did nothing. Each is an error now, or holds.
 */
#include "policy/describe.h"

#include <stdio.h>

#include "mail/header.h"
#include "support/check_main.h"
#include "support/policy_told.h"

START_TEST(words_that_would_do_nothing_are_refused)
{
    static const struct told cases[] = {
        {WITH("\"fixed\": [\"flor\"]"), "fixed[0]: no such setting; did you mean \"floor\"?"},
        {WITH("\"fixed\": [\"portal.expries\"]"), "did you mean \"portal.expires\"?"},
        {WHEN("\"recipient.domain\": {\"in\": []}"), "expected at least one list"},
        {WHEN("\"recipient.domain\": {\"resembles\": []}"), "expected at least one list"},
        {WHEN("\"time.hour\": 24"), "this never holds: time.hour is 0 to 23"},
        {WHEN("\"time.hour\": {\"below\": 0}"), "this never holds"},
        {WHEN("\"phi.score\": {\"at_least\": 101}"), "this never holds: phi.score is 0 to 100"},
        {WHEN("\"recipient.count\": [1, 0]"), "this never holds: recipient.count is at least 1"},
        {WHEN("\"phi.count.MRN\": {\"below\": 0}"), "this never holds"},
        {WHEN("\"phi.class\": {\"below\": \"none\"}"),
         "this never holds: phi.class is none to severe"},
        {WHEN("\"message.size\": {\"below\": \"0B\"}"),
         "this never holds: message.size is at least 0"},
        {WHEN("\"domain.remembered\": {\"below\": \"never-seen\"}"),
         "this never holds: domain.remembered is never-seen to tls:dane"},
        {WHEN("\"recipient.count\": {\"below\": 1}"), "this never holds"},
        {WHEN("\"not\": {\"phi.class\": {\"below\": \"none\"}}"), "this never holds"},
        {RULE("\"continue\": true, \"then\": {\"tags\": [\"x\"], \"lowers\": \"because it is\"}"),
         "a rule that continues lowers nothing"},
        {RULE("\"continue\": true, \"whole_message\": true, \"then\": {\"tags\": [\"x\"]}"),
         "\"whole_message\" goes with reject and hold only"},
        {RULE("\"then\": {\"hold\": {\"for\": \"delay\", \"protect\": \"best\"}}"),
         "\"within\" is missing"},
        {RULE("\"then\": {\"hold\": {\"for\": \"approval\", \"otherwise\": \"protect\", "
              "\"protect\": \"best\"}}"),
         "\"within\" is missing"},
        {RULE("\"then\": {\"hold\": {\"for\": \"delay\", \"within\": \"0s\", \"protect\": "
              "\"best\"}}"),
         "expected a duration above 0"},
        {RULE("\"then\": {\"protect\": \"best\", \"expire\": \"0h\"}"), "above 0"},
        {SETTINGS("\"expire\": \"0s\""), "settings.expire: expected a duration above 0"},
        {SETTINGS("\"portal\": {\"expires\": \"0d\"}"), "settings.portal.expires: expected"},
        {SETTINGS("\"portal\": {\"remind\": [\"1d\", \"0d\"]}"), "settings.portal.remind[1]:"},
        {SETTINGS("\"portal\": {\"unread_after\": \"0d\"}"), "settings.portal.unread_after:"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_told(&cases[i], true);
}
END_TEST

START_TEST(a_guard_neither_lowers_nor_edits_nor_sends_elsewhere)
{
    static const char *const members[] = {"\"lowers\": \"because I say so\"",
                                          "\"header\": {\"strip\": [\"x-a\"]}",
                                          "\"subject\": {\"strip_tag\": true}",
                                          "\"portal\": {\"notify_floor\": \"plain\"}",
                                          "\"expire\": \"1d\"",
                                          "\"smime\": {\"cipher\": \"aes-256-cbc\"}",
                                          "\"copy\": \"a@b.example\"",
                                          "\"redirect\": \"a@b.example\"",
                                          "\"route\": \"r\"",
                                          "\"lane\": \"bulk\"",
                                          "\"notice\": \"no\"",
                                          "\"footer\": \"no\""};
    static const struct told good = {
        GUARD("\"then\": {\"hold\": {\"for\": \"quarantine\", \"protect\": \"best\"}, \"raise\": "
              "\"sealed\", \"tags\": [\"x\"], \"notify\": {\"sender\": [\"late\"]}}"),
        ""};

    for (size_t i = 0; i < SP_ARRAY_LEN(members); i++) {
        char text[1000];

        snprintf(text, sizeof(text),
                 GUARD("\"then\": {\"hold\": {\"for\": \"quarantine\", \"protect\": \"best\"}, "
                       "%s}"),
                 members[i]);
        ck_told(&(struct told){text, "a guard sends nothing elsewhere, edits nothing and lowers"},
                true);
    }
    ck_told(&good, false);
}
END_TEST

START_TEST(a_guard_that_edits_is_told_what_to_write)
{
    static const struct told cases[] = {
        {GUARD("\"continue\": true, \"when\": {\"subject\": {\"like\": \"*x*\"}}, \"then\": "
               "{\"tags\": [\"x\"], \"header\": {\"strip\": [\"x-a\"]}, \"lane\": \"bulk\"}"),
         "write it as the first of \"rules\": {\"rule\": \"g-more\", \"continue\": true, \"when\": "
         "{\"subject\":{\"like\":\"*x*\"}}, \"then\": {\"lane\": \"bulk\", \"header\": "
         "{\"strip\":[\"x-a\"]}}}\n"},
        {GUARD("\"continue\": true, \"then\": {\"tags\": [\"x\"], \"expire\": \"1h\"}"),
         "{\"rule\": \"g-more\", \"continue\": true, \"then\": {\"expire\": \"1h\"}}\n"},
        {GUARD("\"then\": {\"hold\": {\"for\": \"quarantine\", \"protect\": \"best\"}, \"copy\": "
               "\"a@b.example\"}"),
         "move this hold to the beginning of \"rules\", where it may have \"copy\": "
         "\"a@b.example\"\n"},
        {GUARD("\"then\": {\"reject\": \"no\", \"lane\": \"bulk\"}"),
         "mail that is refused goes nowhere, so take this out: \"lane\": \"bulk\"\n"},
        {GUARD(
             "\"continue\": true, \"then\": {\"tags\": [\"x\"], \"lowers\": \"because I say so\"}"),
         "say \"lowers\" in the rule that decides, under \"rules\"\n"},
    };
    static const struct file said_so[] = {
        {"policies/policy.json",
         WITH(
             "\"guards\": [{\"rule\": \"g\", \"continue\": true, \"when\": {\"subject\": "
             "{\"like\": "
             "\"*x*\"}}, \"then\": {\"tags\": [\"x\"]}}], \"rules\": [{\"rule\": \"g-more\", "
             "\"continue\": true, \"when\": {\"subject\":{\"like\":\"*x*\"}}, \"then\": {\"lane\": "
             "\"bulk\", \"header\": {\"strip\":[\"x-a\"]}}}]")},
        {NULL, NULL}};
    char *said;
    SP_AUTO(sp_policy) p = load(said_so, &said);

    ck_assert_msg(p != NULL, "%s", said); /* what is told is taken */
    sp_free(said);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_told(&cases[i], true);
}
END_TEST

/* What does not fit a line is left to its author. */
START_TEST(a_long_condition_of_a_guard_is_not_shown)
{
    struct sp_buf text;

    sp_buf_init(&text, 10000);
    sp_buf_put_cstr(&text,
                    "{" BASE ", \"guards\": [{\"rule\": \"g\", \"continue\": true, \"then\": "
                    "{\"tags\": [\"x\"], \"lane\": \"bulk\"}, \"when\": {\"subject\": [\"s\"");
    for (int i = 0; i < 100; i++)
        sp_buf_printf(&text, ", \"s%d\"", i);
    sp_buf_put_cstr(&text, "]}}]}");
    sp_buf_put_u8(&text, 0);
    ck_told(
        &(struct told){(const char *)text.ptr,
                       "\"continue\": true, \"when\": (as here), \"then\": {\"lane\": \"bulk\"}}"},
        true);
    sp_buf_clear(&text);
}
END_TEST

START_TEST(what_is_likely_a_slip_is_told)
{
    static const struct told cases[] = {
        {WHEN("\"phi.class\": {\"at_least\": \"none\"}"),
         "this always holds where it is known: phi.class is none to severe"},
        {WHEN("\"domain.remembered\": {\"at_least\": \"never-seen\"}"), "this always holds"},
        {WHEN("\"message.size\": {\"at_least\": \"0B\"}"), "this always holds"},
        {WHEN("\"time.hour\": {\"below\": 24}"), "this always holds where it is known: time.hour"},
        {WHEN("\"phi.score\": {\"below\": 101}"), "this always holds"},
        {WHEN("\"recipient.count\": {\"at_least\": 1}"), "this always holds"},
        {WHEN("\"phi.count.MRN\": {\"at_least\": -3}"), "this always holds"},
        {WHEN("\"phi.class\": [\"none\", \"phi\", \"severe\", \"identifier\"]"),
         "these are all values of phi.class"},
        {WHEN("\"attachment.opaque\": [true, false]"), "all values of attachment.opaque"},
        {RULE("\"from\": \"2026-05-01\", \"until\": \"2026-01-01\", \"when\": {\"subject\": "
              "\"x\"}, \"then\": {\"protect\": \"best\"}"),
         "rules[0]: never asked: it ends before it begins"},
        {RULE("\"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": {\"rungs\": [\"portal\", "
              "\"tls:dane\"], \"floor\": \"tls:dane\"}}"),
         "rung \"tls:dane\" stands behind \"portal\", which takes all mail"},
        {RULE("\"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": {\"rungs\": "
              "[\"tls:encrypted\", \"tls:dane\"], \"floor\": \"tls:encrypted\"}}"),
         "rung \"tls:dane\" stands behind \"tls:encrypted\", which takes whatever it would"},
        {WITH("\"lists\": {\"l\": {\"kind\": \"domains\", \"file\": \"l.txt\"}}, \"rules\": "
              "[{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": "
              "{\"protect\": \"best\"}}]"),
         "line 2: \"a.example\" stands before with another end; this line counts"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_told(&cases[i], false);
}
END_TEST

#define LISTED(entry)                                                                              \
    WITH("\"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\"" entry "\"]}}, \"rules\": "  \
         "[{\"rule\": \"r\", \"when\": {\"recipient.domain\": {\"in\": \"l\"}}, \"then\": "        \
         "{\"protect\": \"best\"}}]")

START_TEST(what_is_no_name_of_mail_is_refused)
{
    static const struct told refused[] = {
        {LISTED("*.a.example"), "lists.l.entries[0]: expected a domain like example.org"},
        {LISTED("a.example."), "expected a domain"},
        {LISTED("https://a.example"), "expected a domain"},
        {LISTED("."), "expected a domain"},
        {WHEN("\"recipient.domain\": \"*.a.example\""),
         "this never holds: a domain reads like example.org; for all below it ask {\"like\":"},
        {WHEN("\"recipient.domain\": [\"b.example\", \".a.example\"]"), "domain[1]: this never"},
        {WHEN("\"sender.domain\": \"dr@a.example\""), "this never holds: a domain"},
        {WHEN("\"sender.domain\": \"a.example.\""), "this never holds: a domain"},
        {WHEN("\"recipient.domain\": {\"like\": \"*@a.example\"}"), "this never holds: a domain"},
        {WHEN("\"recipient.address\": \"a.example\""), "this never holds: an address"},
        {WHEN("\"subject.tag\": [\"secure\", \"[secure]\"]"), "without its brackets"},
        {WHEN("\"sender.address\": \"\""),
         "this never holds: of mail without a sender's address ask {\"exists\": false}"},
        {WHEN("\"header.x-class:\": \"a\""), "this never holds: no header field has such a name"},
        {WHEN("\"header.x class\": \"a\""), "this never holds: no header field has such a name"},
        {WHEN("\"from.address\": {\"like\": \"a.example\"}"), "this never holds: an address"},
    };
    static const struct told taken[] = {
        {LISTED(".a.example"), ""},
        {LISTED("b\xc3\xbc.example"), ""},
        {LISTED("[192.0.2.1]"), ""},
        {LISTED("[IPv6:2001:db8::1]"), ""},
        {WHEN("\"recipient.domain\": \"B\xc3\xbc.example\""), ""},
        {WHEN("\"recipient.domain\": {\"like\": \"*.a.example\"}"), ""},
        {WHEN("\"recipient.address\": {\"like\": \"*.a.example\"}"), ""},
        {WHEN("\"subject.tag\": [\"secure\", \"phi\"]"), ""},
        {WHEN("\"header.X-Class\": \"a\""), ""},
        {WHEN("\"recipient.address\": \"*@a.example\""), "stand for themselves here"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(refused); i++)
        ck_told(&refused[i], true);
    for (size_t i = 0; i < SP_ARRAY_LEN(taken); i++)
        ck_told(&taken[i], false);
}
END_TEST

START_TEST(what_may_hold_or_not_is_not_told_of)
{
    static const char *const texts[] = {
        WHEN("\"phi.class\": {\"at_least\": \"severe\"}"),
        WHEN("\"phi.class\": {\"below\": \"identifier\"}"),
        WHEN("\"domain.remembered\": {\"below\": \"plain\"}"),
        WHEN("\"message.size\": {\"below\": \"1B\"}"),
        WHEN("\"time.hour\": {\"at_least\": 23}"),
        WHEN("\"time.hour\": {\"below\": 23}"),
        WHEN("\"recipient.count\": {\"below\": 2}"),
        WHEN("\"attachment.opaque\": [true]"),
        WHEN("\"phi.class\": [\"none\", \"phi\", \"severe\"]"),
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(texts); i++) {
        const struct file files[] = {{"policies/policy.json", texts[i]}, {NULL, NULL}};
        char *said;
        SP_AUTO(sp_policy) p = load(files, &said);

        ck_assert_msg(p != NULL && strstr(said, " holds") == NULL, "%s:\n%s", texts[i], said);
        sp_free(said);
    }
}
END_TEST

/* Rules that continue, each with so many, before the default. apart: one of them at most can speak */
static void write_edits(struct sp_buf *out, const char *what, size_t rules, size_t each, bool apart)
{
    sp_buf_put_cstr(out, "{" BASE ", \"rules\": [");
    for (size_t r = 0; r < rules; r++) {
        sp_buf_printf(out, "%s{\"rule\": \"c%zu\", \"continue\": true, \"when\": {",
                      r == 0 ? "" : ", ", r);
        sp_buf_printf(out,
                      apart ? "\"sender.address\": \"a%zu@b.example\"}, \"then\": {"
                            : "\"subject\": {\"like\": \"*%zu*\"}}, \"then\": {",
                      r);
        sp_buf_put_cstr(out, what);
        for (size_t i = 0; i < each; i++)
            sp_buf_printf(out, "%s\"x%zu%zu@b.example\"", i == 0 ? "" : ", ", r, i);
        sp_buf_put_cstr(out, strstr(what, "strip") != NULL ? "]}}}" : "]}}");
    }
    sp_buf_put_cstr(out, "]}");
}

START_TEST(no_edit_and_no_copy_is_left_out_for_want_of_room)
{
    static const char *const whats[] = {"\"header\": {\"strip\": [", "\"copy\": ["};
    static const struct {
        size_t rules, each;
        bool apart;
        const char *expected;
    } cases[] = {{1, 33, false, "may come together here"},
                 {3, 11, false, "33 "},
                 {2, 16, false, ""},
                 {3, 11, true, ""}};

    for (size_t w = 0; w < SP_ARRAY_LEN(whats); w++) {
        for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
            struct sp_buf text;
            struct told t;

            sp_buf_init(&text, 100000);
            write_edits(&text, whats[w], cases[i].rules, cases[i].each, cases[i].apart);
            sp_buf_put_u8(&text, 0);
            t = (struct told){(const char *)text.ptr, cases[i].expected};
            if (w == 1 && i == 0)
                t.expected = "at most 32 copies";
            ck_told(&t, t.expected[0] != 0);
            sp_buf_clear(&text);
        }
    }
}
END_TEST

/* Rules that continue, all together: each gives what all give, and some of its own. */
static void write_common(struct sp_buf *out, const char *what, size_t rules, size_t own)
{
    sp_buf_put_cstr(out, "{" BASE ", \"rules\": [");
    for (size_t r = 0; r < rules; r++) {
        sp_buf_printf(out,
                      "%s{\"rule\": \"c%zu\", \"continue\": true, \"when\": {\"subject\": "
                      "{\"like\": \"*%zu*\"}}, \"then\": {%s\"%c@b.example\"",
                      r == 0 ? "" : ", ", r, r, what,
                      r % 2 == 1 && strstr(what, "strip") != NULL ? 'X' : 'x');
        for (size_t i = 0; i < own; i++)
            sp_buf_printf(out, ", \"x%zuy%zu@b.example\"", r, i);
        sp_buf_put_cstr(out, strstr(what, "strip") != NULL ? "]}}}" : "]}}");
    }
    sp_buf_put_cstr(out, "]}");
    sp_buf_put_u8(out, 0);
}

START_TEST(what_several_rules_give_counts_once)
{
    static const char *const whats[] = {"\"header\": {\"strip\": [", "\"copy\": ["};
    static const struct {
        size_t rules, own;
        const char *expected; /* "": taken */
        size_t count;
    } cases[] = {{40, 0, "", 1}, {31, 1, "", 32}, {32, 1, "33 ", 0}, {3, 12, "37 ", 0}};

    for (size_t k = 0; k < 2 * SP_ARRAY_LEN(cases); k++) {
        const char *what = whats[k % 2], *expected = cases[k / 2].expected;
        struct sp_decision d;
        struct sp_facts f;
        struct sp_buf text;
        char *said;

        sp_buf_init(&text, 100000);
        write_common(&text, what, cases[k / 2].rules, cases[k / 2].own);
        {
            const struct file files[] = {{"policies/policy.json", (const char *)text.ptr},
                                         {NULL, NULL}};
            SP_AUTO(sp_policy) p = load(files, &said);

            ck_assert_msg((p == NULL) == (expected[0] != 0) && strstr(said, expected) != NULL,
                          "%s: %s", text.ptr, said);
            sp_free(said);
            if (p != NULL) {
                sp_facts_init(&f);
                sp_facts_set_text(
                    &f, SP_FACT_SUBJECT,
                    SP_LIT("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 "
                           "27 28 29 30 31 32 33 34 35 36 37 38 39 40"));
                sp_policy_decide(p, &f, &d);
                ck_assert_uint_eq(d.edits.header_count + d.copies.count, cases[k / 2].count);
            }
        }
        sp_buf_clear(&text);
    }
}
END_TEST

START_TEST(what_an_unknown_fact_parts_may_come_together)
{
    static const struct {
        const char *one, *other;
        bool refused;
    } cases[] = {
        {"\"phi.score\": {\"at_least\": 50}", "\"phi.score\": {\"below\": 50}", true},
        {"\"attachment.opaque\": true", "\"attachment.opaque\": false", true},
        {"\"phi.score\": {\"at_least\": 50}, \"sender.domain\": \"a.example\"",
         "\"phi.score\": {\"below\": 50}, \"sender.domain\": \"b.example\"", false},
        {"\"phi.class\": \"phi\"", "\"phi.class\": \"severe\"", false},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const char *const conds[] = {cases[i].one, cases[i].other};
        struct sp_buf text;

        sp_buf_init(&text, 100000);
        sp_buf_put_cstr(&text, "{" BASE ", \"rules\": [");
        for (size_t r = 0; r < 2; r++) {
            sp_buf_printf(&text,
                          "%s{\"rule\": \"c%zu\", \"continue\": true, \"when\": {%s}, "
                          "\"then\": {\"header\": {\"strip\": [\"z%zu\"",
                          r == 0 ? "" : ", ", r, conds[r], r);
            for (size_t k = 0; k < 19; k++)
                sp_buf_printf(&text, ", \"x%zu%zu\"", r, k);
            sp_buf_put_cstr(&text, "]}}}");
        }
        sp_buf_put_cstr(&text, "]}");
        sp_buf_put_u8(&text, 0);
        ck_told(&(struct told){(const char *)text.ptr,
                               cases[i].refused ? "40 edits of the header may come together" : ""},
                cases[i].refused);
        sp_buf_clear(&text);
    }
}
END_TEST

START_TEST(international_names_are_asked_for_in_a_labels)
{
    static const char registry[] =
        "{\"version\": 1, \"preferences\": [{\"recipient\": \"Jo@B\xc3\xbc"
        "cher.example\", \"preference\": \"no-mail\", \"given\": \"2026-01-01\", \"by\": "
        "\"phone\"}]}";
    static const struct file files[] = {
        {"policies/policy.json",
         WITH("\"preferences\": {\"file\": \"p.json\"}, \"rules\": [{\"rule\": \"no\", \"when\": "
              "{\"recipient.preference\": \"no-mail\"}, \"then\": {\"reject\": \"no\"}}, "
              "{\"rule\": \"from\", \"when\": {\"from.address\": \"dr@b\xc3\xbc"
              "cher.example\"}, \"then\": {\"protect\": \"best\"}}]")},
        {"policies/p.json", registry},
        {"policies/layers/d.json", "{\"version\": 1, \"scope\": {\"tenant\": \"t\", \"domain\": "
                                   "\"b\xc3\xbc"
                                   "cher.example\"}, \"settings\": {\"floor\": \"sealed\"}}"},
        {"policies/layers/u.json", "{\"version\": 1, \"scope\": {\"tenant\": \"t\", \"user\": "
                                   "\"dr@\xc3\xa4rzte.example\"}, \"settings\": {\"floor\": "
                                   "\"tls:dane\"}}"},
        {NULL, NULL}};
    struct sp_facts f;
    struct sp_decision d;
    char *said;
    SP_AUTO(sp_policy) p = load(files, &said);

    ck_assert_msg(p != NULL, "%s", said);
    sp_free(said);
    sp_facts_init(&f);
    sp_facts_set_text(&f, SP_FACT_TENANT, SP_LIT("t"));
    sp_facts_set_sender(&f, SP_LIT("a@xn--bcher-kva.example"));
    sp_facts_set_recipient(&f, SP_LIT("jo@xn--bcher-kva.example"));
    sp_policy_fill(p, &f);
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.rule, "no");
    sp_facts_set_recipient(&f, SP_LIT("other@xn--bcher-kva.example"));
    sp_policy_fill(p, &f);
    sp_facts_set_text(&f, SP_FACT_FROM_ADDRESS, SP_LIT("dr@xn--bcher-kva.example"));
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.rule, "from");
    sp_facts_set_absent(&f, SP_FACT_FROM_ADDRESS);
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.rule, "default");
    ck_assert_int_eq(d.floor, SP_FLOOR_SEALED);
    sp_facts_set_sender(&f, SP_LIT("Dr@xn--rzte-koa.example"));
    sp_policy_decide(p, &f, &d);
    ck_assert_int_eq(d.floor, SP_FLOOR_TLS_DANE);
}
END_TEST

START_TEST(whose_layers_there_are)
{
    static const struct file files[] = {
        {"policies/policy.json", WITH("\"note\": \"of all\"")},
        {"policies/layers/t.json", "{\"version\": 1, \"scope\": {\"tenant\": \"t\"}}"},
        {"policies/layers/u.json",
         "{\"version\": 1, \"scope\": {\"tenant\": \"t\", \"user\": \"a@b.example\"}}"},
        {NULL, NULL}};
    struct sp_policy_whose w;
    size_t at = 0;
    char *said;
    SP_AUTO(sp_policy) p = load(files, &said);

    ck_assert_msg(p != NULL, "%s", said);
    sp_free(said);
    ck_assert(sp_policy_whose_next(p, &at, &w));
    ck_assert_str_eq(w.file, "policies/layers/t.json");
    ck_assert(sp_bytes_eq(w.tenant, SP_LIT("t")) && w.domain.len == 0);
    ck_assert(sp_policy_whose_next(p, &at, &w));
    ck_assert(sp_bytes_eq(w.domain, SP_LIT("b.example")));
    ck_assert(!sp_policy_whose_next(p, &at, &w));
}
END_TEST

START_TEST(a_set_that_is_extended_has_no_registry)
{
    static const struct file files[] = {
        {"policies/policy.json", "{\"version\": 1, \"extends\": \"site\"}"},
        {"policies/site.json", WITH("\"preferences\": {\"file\": \"p.json\"}")},
        {"policies/p.json", "{\"version\": 1, \"preferences\": []}"},
        {NULL, NULL}};
    char *said;
    SP_AUTO(sp_policy) p = load(files, &said);

    ck_assert_ptr_null(p);
    ck_assert_ptr_nonnull(strstr(said, "site.json:"));
    ck_assert_ptr_nonnull(strstr(said, "name it in the main file"));
    sp_free(said);
}
END_TEST

START_TEST(a_description_has_the_days_as_they_are_written)
{
    static const struct file files[] = {
        {"policies/policy.json",
         "{" BASE ", \"rules\": [{\"rule\": \"r\", \"from\": \"2026-01-05\", \"until\": "
         "\"2026-06-30\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": \"best\"}}]}"},
        {"policies/layers/t.json", "{\"version\": 1, \"scope\": {\"tenant\": \"t\"}, \"settings\": "
                                   "{\"timezone\": \"Australia/Sydney\"}, \"rules\": [{\"rule\": "
                                   "\"s\", \"from\": \"2026-01-05\", \"until\": "
                                   "\"2026-06-30T12:00:00Z\", \"when\": {\"subject\": \"y\"}, "
                                   "\"then\": {\"protect\": \"best\"}}]}"},
        {NULL, NULL}};
    SP_AUTO(sp_arena) arena = sp_arena_new(1024);
    struct sp_policy_items all;
    size_t found = 0;
    char *said;
    SP_AUTO(sp_policy) p = load(files, &said);

    ck_assert_msg(p != NULL, "%s", said);
    sp_free(said);
    sp_policy_describe(p, arena, &all);
    for (size_t i = 0; i < all.count; i++) {
        if (strcmp(all.items[i].kind, "rule") != 0)
            continue;
        found++;
        ck_assert_msg(strstr(all.items[i].text, "From 2026-01-05 until ") != NULL, "%s",
                      all.items[i].text);
        ck_assert_msg(strstr(all.items[i].text, all.items[i].scope[0] == 0
                                                    ? "until 2026-06-30: "
                                                    : "until 2026-06-30T12:00:00Z: ") != NULL,
                      "%s", all.items[i].text);
    }
    ck_assert_uint_eq(found, 2);
}
END_TEST

START_TEST(every_label_counts)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(1024);
    struct sp_facts f;
    struct sp_header h;
    struct sp_buf text;

    sp_buf_init(&text, 10000);
    sp_buf_put_cstr(&text, "From: a@b.example\r\nmsip_labels: ");
    for (int i = 0; i < 20; i++)
        sp_buf_printf(&text, "MSIP_Label_%d_Enabled=true; MSIP_Label_%d_SiteId=7;\r\n ", i, i);
    sp_buf_put_cstr(&text, "MSIP_Label_phi_Enabled=True\r\n\r\n");
    ck_assert_int_eq(sp_header_parse(sp_buf_bytes(&text), true, &h), SP_OK);
    sp_facts_init(&f);
    sp_facts_read_header(&f, &h, arena);
    ck_assert_uint_eq(f.values[SP_FACT_LABEL].count, 21);
    ck_assert(sp_bytes_eq(f.values[SP_FACT_LABEL].texts[20], SP_LIT("phi")));
    sp_buf_clear(&text);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, words_that_would_do_nothing_are_refused);
    tcase_add_test(c, a_guard_neither_lowers_nor_edits_nor_sends_elsewhere);
    tcase_add_test(c, a_guard_that_edits_is_told_what_to_write);
    tcase_add_test(c, a_long_condition_of_a_guard_is_not_shown);
    tcase_add_test(c, what_is_likely_a_slip_is_told);
    tcase_add_test(c, what_is_no_name_of_mail_is_refused);
    tcase_add_test(c, what_may_hold_or_not_is_not_told_of);
    tcase_add_test(c, no_edit_and_no_copy_is_left_out_for_want_of_room);
    tcase_add_test(c, what_several_rules_give_counts_once);
    tcase_add_test(c, what_an_unknown_fact_parts_may_come_together);
    tcase_add_test(c, international_names_are_asked_for_in_a_labels);
    tcase_add_test(c, whose_layers_there_are);
    tcase_add_test(c, a_set_that_is_extended_has_no_registry);
    tcase_add_test(c, a_description_has_the_days_as_they_are_written);
    tcase_add_test(c, every_label_counts);
}

SP_TEST_MAIN("policy.slips", add)
