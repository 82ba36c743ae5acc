/*
 * Words that load and can never hold, or never act: each is told, and what is like it and may hold is not.
 */
#include <stdio.h>

#include "support/policy_told.h"

#define THEN(more)      RULE("\"when\": {\"subject\": \"x\"}, \"then\": {" more "}")
#define ON(more)        RULE("\"continue\": true, \"when\": {\"subject\": \"x\"}, \"then\": {" more "}")
#define TLS             "\"protect\": {\"rungs\": [\"tls:dane\"], \"floor\": \"tls:dane\"}"
#define NAMED(kind, of) "\"lists\": {\"l\": {\"kind\": \"" kind "\", \"entries\": [" of "]}}, "
#define ASKED(more, cond)                                                                          \
    WITH(more "\"rules\": [{\"rule\": \"r\", \"when\": {" cond                                     \
              "}, \"then\": {\"protect\": \"best\"}}]")

static void ck_all(const struct told *cases, size_t count, bool refused)
{
    for (size_t i = 0; i < count; i++)
        ck_told(&cases[i], refused);
}

/* returns: whether nothing was told but of names that this test has no use for */
static bool is_silent(const char *said)
{
    struct sp_bytes rest = sp_bytes_cstr(said), line;

    while (sp_bytes_split(&rest, '\n', &line))
        if (line.len > 0 && !sp_bytes_ends_nocase(line, SP_LIT("no rule uses this text")) &&
            !sp_bytes_ends_nocase(line, SP_LIT("no rule uses this ladder")) &&
            !sp_bytes_ends_nocase(line, SP_LIT("ask {\"label\": \"l\"}, or take it out")))
            return false;
    return true;
}

/* Not a word of it is told. */
static void ck_silent(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct file files[] = {{"policies/policy.json", texts[i]}, {NULL, NULL}};
        char *said;
        SP_AUTO(sp_policy) p = load(files, &said);

        ck_assert_msg(p != NULL && is_silent(said), "%s:\n%s", texts[i], said);
        sp_free(said);
    }
}

START_TEST(a_type_of_an_attachment_has_a_slash)
{
    static const char *const never[] = {"\"pdf\"",
                                        "[\"application/pdf\", \"pdf\"]",
                                        "\"\"",
                                        "\"image/*\"",
                                        "\"application/\"",
                                        "\"/pdf\"",
                                        "\"a/b/c\"",
                                        "\"text/plain; charset=utf-8\"",
                                        "\"application/pdf \"",
                                        "{\"like\": \"\"}",
                                        "{\"like\": \"pdf\"}",
                                        "{\"like\": \"image/*/x\"}",
                                        "{\"like\": \".*/pdf;*\"}"};
    static const char *const taken[] = {
        WHEN("\"attachment.type\": \"application/pdf\""),
        WHEN("\"attachment.type\": \"Application/PDF\""),
        WHEN("\"attachment.type\": [\"application/vnd.ms-excel\", \"image/svg+xml\"]"),
        WHEN("\"attachment.type\": {\"like\": \"image/*\"}"),
        WHEN("\"attachment.type\": {\"like\": \"*\"}"),
        WHEN("\"attachment.type\": {\"like\": \"*pdf\"}"),
        WHEN("\"attachment.type\": {\"like\": \"application/*word*\"}"),
        WHEN("\"attachment.type\": {\"regex\": \"pdf$\"}"),
        WHEN("\"attachment.type\": {\"exists\": true}"),
        WHEN("\"attachment.type\": {\"has\": \"text/html\"}")};

    for (size_t i = 0; i < SP_ARRAY_LEN(never); i++) {
        char text[1000];

        snprintf(text, sizeof(text), WHEN("\"attachment.type\": %s"), never[i]);
        ck_told(&(struct told){text, "this never holds: a type reads like application/pdf; for all "
                                     "of a kind ask {\"like\": \"image/*\"}"},
                true);
    }
    ck_silent(taken, SP_ARRAY_LEN(taken));
}
END_TEST

START_TEST(what_no_fact_reads_like_is_refused)
{
    static const struct told cases[] = {
        {WHEN("\"sender.address\": \"@a.example\""), "an address reads like"},
        {WHEN("\"recipient.address\": \"nurse@\""), "an address reads like"},
        {WHEN("\"recipient.address\": \"Pat <pat@a.example>\""), "an address reads like"},
        {WHEN("\"recipient.address\": \"\""), "an address reads like"},
        {WHEN("\"from.address\": {\"like\": \"@a.example\"}"), "an address reads like"},
        {WHEN("\"from.address\": {\"like\": \"\"}"), "an address reads like"},
        {WHEN("\"recipient.domain\": \"a..example\""), "a domain reads like"},
        {WHEN("\"recipient.domain\": {\"like\": \".a.example\"}"), "a domain reads like"},
        {WHEN("\"recipient.domain\": {\"like\": \"*.a.example.\"}"), "a domain reads like"},
        {WHEN("\"recipient.domain\": {\"like\": \"https://*\"}"), "a domain reads like"},
        {WHEN("\"subject.tag\": \"\""), "where there is no tag, ask {\"exists\": false}"},
        {WHEN("\"subject.tag\": \"secure \""), "without spaces around it"},
        {WHEN("\"subject.tag\": {\"like\": \"[secure]*\"}"), "without its brackets"},
        {WHEN("\"subject\": \" urgent\""), "a field's text has no spaces around it"},
        {WHEN("\"subject\": {\"like\": \"* \"}"), "a field's text has no spaces around it"},
        {WHEN("\"header.x-class\": \"a \""), "a field's text has no spaces around it"},
        {WHEN("\"attachment.name\": \"\""), "a name that is empty counts as none"},
        {WHEN("\"tenant\": \"St. Mary\""), "a tenant's name is made of letters"},
        {WITH("\"labels\": {\"l\": \"\"}"), "no mail has such a label"},
        {WITH("\"labels\": {\"l\": \"two words\"}"), "no mail has such a label"},
        {WITH("\"scope\": {\"domain\": \"*.a.example\"}"), "scope.domain: nobody sends from"},
        {WITH("\"scope\": {\"domain\": \"a@b.example\"}"), "\"domain\" is a domain, like"},
        {WITH("\"scope\": {\"user\": \"dr\"}"), "\"user\" is an address, like"},
    };
    static const struct told told[] = {
        {WHEN("\"attachment.name\": \"*.pdf\""), "stand for themselves here"},
        {SETTINGS("\"portal\": {\"expires\": \"3d\", \"remind\": [\"1d\", \"3d\"]}"),
         "settings.portal.remind: a reminder comes before the package goes"},
        {WITH("\"labels\": {\"l\": \"1f0c8a52-0000-4000-8000-00000000001\"}"),
         "has 36 letters and hyphens"},
    };
    static const char *const taken[] = {
        WHEN("\"sender.address\": {\"exists\": false}"),
        WHEN("\"sender.address\": \"Bounces+a=b@A.example\""),
        WHEN("\"recipient.address\": \"dr@[192.0.2.1]\""),
        WHEN("\"recipient.address\": \"J\xc3\xb6rg@b\xc3\xbc.example\""),
        WHEN("\"recipient.address\": {\"like\": \"*@a.example\"}"),
        WHEN("\"recipient.address\": {\"like\": \"nurse@*\"}"),
        WHEN("\"recipient.domain\": {\"like\": \"*ipv6:*\"}"),
        WHEN("\"recipient.domain\": {\"like\": \"*\"}"),
        WHEN("\"recipient.domain\": {\"like\": \"a*\"}"),
        WHEN("\"subject\": \"\""),
        WHEN("\"subject\": {\"like\": \"*urgent*\"}"),
        WHEN("\"subject.tag\": {\"like\": \"sec*\"}"),
        WHEN("\"tenant\": \"st.mary_2\""),
        WHEN("\"attachment.name\": {\"like\": \"*.pdf\"}"),
        WITH("\"labels\": {\"l\": \"1F0c8a52-0000-4000-8000-000000000001\"}"),
        WITH("\"scope\": {\"tenant\": \"t\", \"user\": \"dr@a.example\"}"),
    };

    ck_all(cases, SP_ARRAY_LEN(cases), true);
    ck_all(told, SP_ARRAY_LEN(told), false);
    ck_silent(taken, SP_ARRAY_LEN(taken));
}
END_TEST

START_TEST(what_all_mail_has_is_not_asked_for)
{
    static const char *const always[] = {
        "recipient.address", "recipient.count", "time.hour", "time.weekday",
        "message.kind",      "message.size",    "phi.class", "scan"};
    static const char *const taken[] = {
        WHEN("\"recipient.preference\": {\"exists\": false}"),
        WHEN("\"subject\": {\"exists\": false}"),
        WHEN(
            "\"from.address\": {\"exists\": false}"), /* unknown where it can't be read: in doubt */
        WHEN("\"phi.score\": {\"exists\": false}"),
        WHEN("\"label\": {\"exists\": true}"),
        WHEN("\"phi.count.MRN\": {\"exists\": false}")};

    for (size_t i = 0; i < 2 * SP_ARRAY_LEN(always); i++) {
        char text[1000];

        snprintf(text, sizeof(text), WHEN("\"%s\": {\"exists\": %s}"), always[i / 2],
                 i % 2 == 0 ? "true" : "false");
        ck_told(&(struct told){text, i % 2 == 0 ? "this always holds: all mail has"
                                                : "this never holds: all mail has"},
                i % 2 == 1);
    }
    ck_silent(taken, SP_ARRAY_LEN(taken));
}
END_TEST

START_TEST(an_expression_finds_something_and_not_everything)
{
    static const struct told never[] = {
        {WHEN("\"subject\": {\"regex\": \"a^b\"}"), "this never holds: no text is found by it"},
        {WHEN("\"subject\": {\"regex\": \"$100\"}"), "this never holds: no text is found by it"},
        {WHEN("\"subject\": {\"regex\": \"(a|b)$.\"}"), "no text is found by it"},
        {WHEN("\"subject\": {\"regex\": \"[^\\\\d\\\\D]\"}"), "no text is found by it"},
        {WHEN("\"attachment.name\": {\"regex\": \"a$|b^\"}"), ""},
    };
    static const struct told always[] = {
        {WHEN("\"subject\": {\"regex\": \"\"}"), "this always holds where it is known"},
        {WHEN("\"subject\": {\"regex\": \"invoice|\"}"), "this always holds where it is known"},
        {WHEN("\"subject\": {\"regex\": \"(?i)x*\"}"), "this always holds where it is known"},
    };
    static const char *const taken[] = {
        WHEN("\"subject\": {\"regex\": \"^$\"}"),
        WHEN("\"subject\": {\"regex\": \"$^\"}"),
        WHEN("\"subject\": {\"regex\": \"^a*$\"}"),
        WHEN("\"subject\": {\"regex\": \"x*^a\"}"),
        WHEN("\"subject\": {\"regex\": \"a$b*\"}"),
        WHEN("\"subject\": {\"regex\": \"(a^)?b\"}"),
        WHEN("\"subject\": {\"regex\": \"\\\\$100\"}"),
        WHEN("\"subject\": {\"regex\": \"(?i)invoice \\\\d{4,12}\"}"),
    };

    ck_all(never, SP_ARRAY_LEN(never) - 1, true);
    ck_told(&never[SP_ARRAY_LEN(never) - 1], false);
    ck_all(always, SP_ARRAY_LEN(always), false);
    ck_silent(taken, SP_ARRAY_LEN(taken));
}
END_TEST

START_TEST(a_list_is_asked_for_what_it_may_hold)
{
    static const struct told cases[] = {
        {ASKED(NAMED("addresses", "\"a@b.example\""), "\"sender.group\": {\"in\": \"l\"}"),
         "a list holds domains or addresses: name the groups in an array; of a list ask "
         "{\"sender.address\": {\"in\": LIST}}"},
        {ASKED(NAMED("domains", "\"a.example\""), "\"sender.group\": {\"in\": [\"l\"]}"),
         "name the groups in an array"},
        {ASKED(NAMED("domains", "\"a.example\""), "\"label\": {\"in\": \"l\"}"),
         "name the labels in an array"},
        {ASKED(NAMED("domains", "\"a.example\""), "\"phi.special\": {\"in\": \"l\"}"),
         "name the classes in an array"},
        {ASKED(NAMED("domains", "\"a.example\""), "\"attachment.type\": {\"in\": \"l\"}"),
         "name the types in an array"},
        {ASKED(NAMED("addresses", "\"a@b.example\""), "\"tenant\": {\"in\": \"l\"}"),
         "\"l\" lists addresses"},
        {ASKED(NAMED("addresses", "\"@b.example\""), "\"sender.address\": {\"in\": \"l\"}"),
         "lists.l.entries[0]: expected an address"},
        {ASKED(NAMED("addresses", "\"nurse@\""), "\"sender.address\": {\"in\": \"l\"}"),
         "lists.l.entries[0]: expected an address"},
        {ASKED(NAMED("addresses", ""), "\"sender.address\": {\"in\": \"l\"}"),
         "this never holds: nothing is in \"l\""},
        {ASKED(NAMED("domains", ""), "\"recipient.domain\": {\"resembles\": [\"l\"]}"),
         "this never holds: nothing is in \"l\""},
        {ASKED("\"groups\": {\"g\": {\"addresses\": []}}, ", "\"sender.group\": \"g\""),
         "this never holds: nothing is in \"g\""},
        {WHEN("\"label\": {\"like\": \"conf*\"}"), "name the labels in an array"},
        {WHEN("\"label\": {\"regex\": \"conf\"}"), "name the labels in an array"},
    };
    static const char *const taken[] = {
        ASKED(NAMED("addresses", "\"a@b.example\""), "\"sender.address\": {\"in\": \"l\"}"),
        ASKED(NAMED("domains", "\"b.example\""), "\"sender.address\": {\"in\": [\"l\"]}"),
        ASKED(NAMED("domains", "\".exe\""), "\"attachment.name\": {\"in\": \"l\"}"),
        ASKED("\"groups\": {\"g\": {\"addresses\": [\"a@b.example\"]}}, ",
              "\"sender.group\": \"g\""),
        ASKED("\"groups\": {\"g\": {\"addresses\": [\"a@b.example\"]}}, ",
              "\"sender.group\": {\"has\": [\"g\"]}"),
    };

    ck_all(cases, SP_ARRAY_LEN(cases), true);
    ck_silent(taken, SP_ARRAY_LEN(taken));
}
END_TEST

/* A file is filled by somebody else, and may be so tomorrow. */
START_TEST(a_list_in_a_file_may_be_empty)
{
    static const struct file files[] = {
        {"policies/policy.json",
         ASKED("\"lists\": {\"l\": {\"kind\": \"domains\", \"file\": \"l.txt\"}}, ",
               "\"recipient.domain\": {\"in\": \"l\"}")},
        {"policies/l.txt", "# nobody yet\n"},
        {NULL, NULL}};
    char *said;
    SP_AUTO(sp_policy) p = load(files, &said);

    ck_assert_msg(p != NULL && is_silent(said), "%s", said);
    sp_free(said);
}
END_TEST

START_TEST(an_outcome_that_does_nothing_is_refused)
{
    static const struct told cases[] = {
        {ON(""), "this rule does nothing"},
        {ON("\"tags\": []"), "then.tags: this does nothing"},
        {ON("\"copy\": []"), "then.copy: this does nothing"},
        {ON("\"header\": {}"), "then.header: this does nothing"},
        {ON("\"header\": {\"strip\": [], \"add\": {}}"), "then.header: this does nothing"},
        {ON("\"subject\": {\"strip_tag\": false}"), "then.subject: this does nothing"},
        {ON("\"notify\": {\"sender\": []}"), "then.notify: this does nothing"},
        {ON("\"raise\": \"plain\""), "this raises nothing"},
        {GUARD("\"continue\": true, \"then\": {\"raise\": \"plain\"}"), "this raises nothing"},
        {THEN("\"reject\": \"no\", \"lane\": \"bulk\""), "then.lane: mail that is refused goes"},
        {THEN("\"reject\": \"no\", \"copy\": \"a@b.example\""), "then.copy: mail that is refused"},
        {RULE("\"when\": {\"message.kind\": \"dsn\"}, \"then\": {\"discard\": \"noise\", "
              "\"redirect\": \"a@b.example\"}"),
         "then.redirect: mail that is discarded goes nowhere"},
        {THEN(TLS ", \"portal\": {\"expires\": \"3d\"}"), "the ladder has no rung \"portal\""},
        {THEN(TLS ", \"notify\": {\"sender\": [\"late\", \"unread\"]}"),
         "notify.sender[1]: nobody hears of it"},
        {THEN("\"protect\": \"best\", \"smime\": {\"cipher\": \"aes-256-cbc\"}"),
         "the ladder has no rung \"smime\""},
        {THEN("\"protect\": \"best\", \"portal\": {\"expires\": \"3d\", \"remind\": [\"1d\", "
              "\"3d\"]}"),
         "then.portal.remind: a reminder comes before the package goes"},
        {"{\"version\": 1, \"default\": {" TLS ", \"portal\": {\"expires\": \"3d\"}}}",
         "default.portal: this does nothing"},
    };
    static const char *const taken[] = {
        ON("\"tags\": [\"x\"]"),
        ON("\"header\": {\"strip\": [\"x-a\"], \"add\": {}}"),
        ON("\"portal\": {\"remind\": []}"),
        ON("\"smime\": {\"cipher\": \"aes-256-cbc\"}"),
        THEN("\"reject\": \"no\", \"tags\": [\"x\"]"),
        THEN(TLS ", \"notify\": {\"sender\": [\"late\"]}"),
        THEN("\"protect\": \"best\", \"portal\": {\"expires\": \"3d\", \"remind\": [\"1d\"]}"),
        /* taken in doubt, it has its own options and the ladder of a rule behind it */
        THEN("\"hold\": {\"for\": \"quarantine\", " TLS "}, \"portal\": {\"expires\": \"3d\"}"),
    };

    ck_all(cases, SP_ARRAY_LEN(cases), true);
    ck_silent(taken, SP_ARRAY_LEN(taken));
}
END_TEST

START_TEST(conditions_that_leave_nothing_are_told)
{
    static const struct told cases[] = {
        {WHEN("\"phi.class\": \"phi\", \"not\": {\"phi.class\": \"phi\"}"), "never decides: what"},
        {WHEN("\"phi.class\": \"phi\", \"not\": {\"phi.class\": {\"at_least\": \"identifier\"}}"),
         "never decides: what"},
        {WHEN("\"all\": [{\"subject.tag\": \"x\"}, {\"any\": [{\"subject.tag\": \"y\"}, "
              "{\"subject.tag\": {\"exists\": false}}]}]"),
         "never decides: what \"any\" or \"not\" asks here can't be where the rest holds"},
        {WHEN("\"phi.class\": \"phi\", \"any\": [{\"phi.class\": \"none\"}]"), "never decides"},
        {WHEN("\"all\": [{\"phi.class\": \"phi\"}, {\"phi.class\": \"none\"}]"),
         "can't hold at once"},
    };
    static const char *const taken[] = {
        WHEN("\"phi.class\": {\"at_least\": \"phi\"}, \"not\": {\"phi.class\": \"severe\"}"),
        WHEN("\"not\": {\"all\": [{\"phi.class\": \"phi\"}, {\"subject.tag\": \"x\"}]}, "
             "\"phi.class\": \"phi\""),
        WHEN("\"any\": [{\"phi.class\": \"phi\"}, {\"not\": {\"phi.class\": \"phi\"}}]"),
        WHEN("\"any\": [{\"subject.tag\": \"x\", \"phi.class\": \"phi\"}, {\"subject.tag\": "
             "\"y\"}], \"phi.class\": \"none\""),
    };

    ck_all(cases, SP_ARRAY_LEN(cases), false);
    ck_silent(taken, SP_ARRAY_LEN(taken));
}
END_TEST

START_TEST(what_no_host_proves_and_no_rung_does_is_refused)
{
    static const struct told cases[] = {
        {WHEN("\"domain.remembered\": \"sealed\""), "never-seen to tls:dane"},
        {WHEN("\"domain.remembered\": {\"at_least\": \"sealed\"}"), "never-seen to tls:dane"},
        {THEN("\"protect\": {\"rungs\": [{\"rung\": \"smime\", \"stay\": {\"dropped\": \"2h\"}}], "
              "\"floor\": \"sealed\"}"),
         "stay.dropped: this does nothing: only a rung of TLS is dropped"},
        {THEN("\"protect\": {\"rungs\": [{\"rung\": \"smime\", \"stay\": {}}], \"floor\": "
              "\"sealed\"}"),
         "stay: this does nothing"},
        {ASKED(NAMED("domains", "\"a.de\", \"b.fr\""),
               "\"recipient.domain\": {\"resembles\": \"l\"}"),
         "names in \"l\" are too short"},
    };
    static const char *const taken[] = {
        WHEN("\"domain.remembered\": {\"at_least\": \"tls:dane\"}"),
        THEN(
            "\"protect\": {\"rungs\": [{\"rung\": \"smime\", \"stay\": {\"unreachable\": \"2h\"}}, "
            "{\"rung\": \"tls:dane\", \"stay\": {\"dropped\": \"2h\"}}], \"floor\": \"tls:dane\"}"),
        ASKED(NAMED("domains", "\"a.de\", \"clinic.example\""),
              "\"recipient.domain\": {\"resembles\": \"l\"}"),
    };

    ck_all(cases, SP_ARRAY_LEN(cases), true);
    ck_told(&(struct told){WHEN("\"domain.remembered\": {\"below\": \"sealed\"}"),
                           "this always holds where it is known"},
            false);
    ck_silent(taken, SP_ARRAY_LEN(taken));
}
END_TEST

START_TEST(who_asks_for_any_class_or_label_asks_for_all)
{
    static const char *const taken[] = {
        ASKED("\"special\": {\"vip\": \"x\"}, ", "\"phi.special\": {\"exists\": true}"),
        ASKED("\"special\": {\"vip\": \"x\"}, ", "\"phi.special\": {\"like\": \"v*\"}"),
        ASKED("\"labels\": {\"s\": \"1f0c8a52-0000-4000-8000-000000000001\"}, ",
              "\"label\": {\"exists\": true}"),
    };

    ck_silent(taken, SP_ARRAY_LEN(taken));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_type_of_an_attachment_has_a_slash);
    tcase_add_test(c, what_no_fact_reads_like_is_refused);
    tcase_add_test(c, what_all_mail_has_is_not_asked_for);
    tcase_add_test(c, an_expression_finds_something_and_not_everything);
    tcase_add_test(c, a_list_is_asked_for_what_it_may_hold);
    tcase_add_test(c, a_list_in_a_file_may_be_empty);
    tcase_add_test(c, an_outcome_that_does_nothing_is_refused);
    tcase_add_test(c, what_no_host_proves_and_no_rung_does_is_refused);
    tcase_add_test(c, conditions_that_leave_nothing_are_told);
    tcase_add_test(c, who_asks_for_any_class_or_label_asks_for_all);
}

SP_TEST_MAIN("policy.idle", add)
