/*
 * Facts from header fields, and that deciding from them allocates nothing.
 */
#include <malloc.h>

#include "policy/facts.h"
#include "policy/facts_read.h"
#include "policy/policy.h"
#include "mail/kind.h"
#include "support/check_main.h"

static void read(struct sp_facts *f, const char *text, struct sp_arena *arena)
{
    struct sp_header h;

    ck_assert_int_eq(sp_header_parse(sp_bytes_cstr(text), true, &h), SP_OK);
    sp_facts_init(f);
    sp_facts_read_header(f, &h, arena);
}

static bool text_is(const struct sp_facts *f, enum sp_fact fact, const char *text)
{
    const struct sp_fact_value *v = &f->values[fact];

    return v->state == SP_FACT_KNOWN && sp_bytes_eq(v->text, sp_bytes_cstr(text));
}

START_TEST(header_facts_are_unfolded_and_decoded)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(1024);
    struct sp_facts f;

    read(&f,
         "From: Dr <dr@Hospital.example>\r\nSubject: =?utf-8?Q?[Secure]_R=C3=A9sum=C3=A9?=\r\n"
         "X-Long: one\r\n two\r\n"
         "msip_labels: MSIP_Label_1f0c8a52-0000_Enabled=true;\r\n "
         "MSIP_Label_2_Enabled=false\r\n\r\nbody",
         arena);
    ck_assert(text_is(&f, SP_FACT_FROM_ADDRESS, "dr@hospital.example"));
    ck_assert(text_is(&f, SP_FACT_SUBJECT, "[Secure] R\xc3\xa9sum\xc3\xa9"));
    ck_assert(text_is(&f, SP_FACT_SUBJECT_TAG, "Secure"));
    ck_assert_int_eq(f.values[SP_FACT_MESSAGE_KIND].number, SP_KIND_MAIL);
    ck_assert_uint_eq(f.values[SP_FACT_LABEL].count, 1);
    ck_assert(sp_bytes_eq(f.values[SP_FACT_LABEL].texts[0], SP_LIT("1f0c8a52-0000")));
    ck_assert_uint_eq(f.header_count, 4);
    ck_assert(sp_bytes_eq(f.headers[2].value, SP_LIT("one two")));
}
END_TEST

START_TEST(a_from_that_is_not_one_address_is_unknown)
{
    static const char *const headers[] = {
        "Subject: x\r\n\r\n",
        "From: a@b.example, c@d.example\r\n\r\n",
        "From: a@b.example\r\nFrom: c@d.example\r\n\r\n",
        "From: nobody\r\n\r\n",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(headers); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(1024);
        struct sp_facts f;

        read(&f, headers[i], arena);
        ck_assert_msg(f.values[SP_FACT_FROM_ADDRESS].state == SP_FACT_UNKNOWN, "%s", headers[i]);
    }
}
END_TEST

START_TEST(stages_close_to_absent_but_never_content_to_nothing_found)
{
    struct sp_facts f;

    sp_facts_init(&f);
    sp_facts_close_stage(&f, SP_STAGE_HEADER);
    ck_assert_int_eq(f.values[SP_FACT_SUBJECT].state, SP_FACT_ABSENT);
    ck_assert_int_eq(f.values[SP_FACT_SENDER_ADDRESS].state, SP_FACT_PENDING);
    sp_facts_close_stage(&f, SP_STAGE_CONTENT);
    ck_assert_int_eq(f.values[SP_FACT_SCAN].number, SP_SCAN_CRASHED);
    ck_assert_int_eq(f.values[SP_FACT_PHI_CLASS].number, SP_PHI_SEVERE);
    ck_assert_int_eq(f.values[SP_FACT_PHI_SPECIAL].state, SP_FACT_UNKNOWN);
    ck_assert_int_eq(f.values[SP_FACT_MESSAGE_SEALED].state, SP_FACT_UNKNOWN);
    sp_facts_set_sender(&f, SP_LIT(""));
    ck_assert_int_eq(f.values[SP_FACT_SENDER_ADDRESS].state, SP_FACT_ABSENT);
    sp_facts_set_recipient(&f, SP_LIT("\"a@b\"@c.example"));
    ck_assert(text_is(&f, SP_FACT_RECIPIENT_DOMAIN, "c.example"));
}
END_TEST

START_TEST(what_a_cut_scan_had_found_counts_as_it_did_when_it_was_recorded)
{
    static const struct {
        const char *record;
        enum sp_fact_state state;
    } cases[] = {
        {"\"scan\":\"partial\",\"language\":2", SP_FACT_LEAST},
        {"\"scan\":\"partial\"", SP_FACT_UNKNOWN}, /* of a time that did not count what was found */
        {"\"scan\":\"failed\",\"language\":2", SP_FACT_UNKNOWN},
        {"\"scan\":\"complete\"", SP_FACT_KNOWN},
        {"\"scan\":\"complete\",\"language\":2", SP_FACT_KNOWN},
    };
    static const enum sp_fact facts[] = {SP_FACT_PHI_SPECIAL, SP_FACT_PHI_COUNT,
                                         SP_FACT_PHI_DISTINCT};

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        SP_AUTO(sp_arena) arena = sp_arena_new(4096);
        struct sp_facts f;
        char text[512];

        snprintf(text, sizeof(text),
                 "{%s,\"phi.class\":\"severe\",\"phi.special\":[\"hiv\"],\"types\":"
                 "{\"MRN\":{\"count\":3,\"distinct\":2}}}",
                 cases[i].record);
        ck_assert_int_eq(sp_facts_read(sp_bytes_cstr(text), arena, &f), SP_OK);
        for (size_t k = 0; k < SP_ARRAY_LEN(facts); k++)
            ck_assert_msg(f.values[facts[k]].state == cases[i].state, "%s: %s", cases[i].record,
                          sp_fact_name(facts[k]));
    }
}
END_TEST

static const char policy_text[] =
    "{\"version\": 1, \"lists\": {\"l\": {\"kind\": \"domains\", \"entries\": [\".b.example\"]}},\n"
    "\"guards\": [{\"rule\": \"g\", \"continue\": true, \"when\": {\"phi.class\": {\"at_least\": "
    "\"phi\"}}, "
    "\"then\": {\"raise\": \"sealed\", \"tags\": [\"t\"]}}],\n"
    "\"rules\": [{\"rule\": \"a\", \"when\": {\"any\": [{\"recipient.domain\": {\"in\": \"l\"}}, "
    "{\"subject\": "
    "{\"regex\": \"(x+x+)+y\"}}, {\"subject\": {\"like\": \"*q*\"}}]}, \"then\": {\"protect\": "
    "{\"rungs\": "
    "[\"portal\"], \"floor\": \"sealed\"}}}],\n"
    "\"default\": {\"protect\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": \"tls:dane\"}}}";

static enum sp_rc read_policy(void *ctx, const char *name, struct sp_bytes *out)
{
    (void)ctx;
    (void)name;
    *out = sp_bytes_cstr(policy_text);
    return SP_OK;
}

START_TEST(deciding_allocates_nothing)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_policy) p = NULL;
    struct sp_policy_reader reader = {.read = read_policy};
    struct sp_facts f;
    struct sp_decision d;
    size_t before;

    ck_assert_int_eq(sp_policy_load(&reader, "p.json", problems, &p), SP_OK);
    sp_facts_init(&f);
    sp_facts_set_sender(&f, SP_LIT("dr@a.example"));
    sp_facts_set_recipient(&f, SP_LIT("pat@deep.b.example"));
    sp_facts_set_text(&f, SP_FACT_SUBJECT, SP_LIT("xxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    sp_facts_set_number(&f, SP_FACT_PHI_CLASS, SP_PHI_PHI);
    sp_policy_decide(p, &f, &d);
    before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++) {
        sp_policy_decide(p, &f, &d);
        (void)sp_policy_decide_envelope(p, &f, &d);
    }
    ck_assert_uint_eq(mallinfo2().uordblks, before);
    ck_assert_str_eq(d.rule, "a");
    ck_assert_int_eq(d.floor, SP_FLOOR_SEALED);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, header_facts_are_unfolded_and_decoded);
    tcase_add_test(c, a_from_that_is_not_one_address_is_unknown);
    tcase_add_test(c, what_a_cut_scan_had_found_counts_as_it_did_when_it_was_recorded);
    tcase_add_test(c, stages_close_to_absent_but_never_content_to_nothing_found);
    tcase_add_test(c, deciding_allocates_nothing);
}

SP_TEST_MAIN("policy.facts", add)
