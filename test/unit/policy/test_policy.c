/*
 * The language: layers, order, three-valued facts, floors, what is decided at RCPT, what is refused when loading, and the
 * version. The policy is a hospital's, with guards, special classes, partners and patients who chose plain mail.
 */
#include "policy/policy.h"

#include <stdio.h>

#include "policy/trace.h"
#include "support/check_main.h"

struct file {
    const char *name;
    const char *text;
};

static const char hospital[] =
    "{ \"version\": 1, \"extends\": \"base\", \"scope\": {\"tenant\": \"hospital\"},\n"
    "  \"settings\": {\"floor\": \"tls:encrypted\", \"expire\": \"2d\", \"dkim_selector\": "
    "\"gw1\",\n"
    "    \"portal\": {\"login\": [\"code\", \"passkey\"], \"notify_floor\": \"plain\"}},\n"
    "  \"fixed\": [\"floor\"],\n"
    "  \"labels\": {\"phi\": \"1f0c8a52-0000-4000-8000-000000000001\"},\n"
    "  \"lists\": {\"partners\": {\"kind\": \"partners\", \"file\": \"lists/partners.txt\"},\n"
    "    \"typos\": {\"kind\": \"domains\", \"entries\": [\"gmial.example\"]},\n"
    "    \"recovery\": {\"kind\": \"addresses\", \"entries\": [\"Staff@recovery.example\"]}},\n"
    "  \"groups\": {\"recovery-clinic\": {\"list\": \"recovery\"},\n"
    "    \"privacy-office\": {\"addresses\": [\"privacy@hospital.example\"]}},\n"
    "  \"texts\": {\"typo\": \"Address looks mistyped.\", \"no-mail\": \"Asked not to be "
    "e-mailed.\"},\n"
    "  \"ladders\": {\n"
    "    \"tls-only\": {\"rungs\": [\"tls:dane\", \"tls:authenticated\", \"tls:encrypted\"],\n"
    "       \"floor\": \"tls:encrypted\", \"at_end\": \"return\"},\n"
    "    \"pickup\": {\"rungs\": [\"portal\"], \"floor\": \"sealed\"},\n"
    "    \"chosen-plain\": {\"rungs\": [\"tls:authenticated\", \"tls:encrypted\", \"plain\", "
    "\"portal\"],\n"
    "       \"floor\": \"plain\"}},\n"
    "  \"guards\": [\n"
    "    {\"rule\": \"no-mail\", \"when\": {\"recipient.preference\": \"no-mail\"}, \"then\": "
    "{\"reject\": \"no-mail\"}},\n"
    "    {\"rule\": \"typo\", \"when\": {\"recipient.domain\": {\"in\": \"typos\"}}, \"then\": "
    "{\"reject\": \"typo\"}},\n"
    "    {\"rule\": \"special-class\", \"continue\": true,\n"
    "     \"when\": {\"any\": [{\"phi.special\": {\"has\": [\"part2\", \"hiv\"]}}, "
    "{\"sender.group\": \"recovery-clinic\"}]},\n"
    "     \"then\": {\"raise\": \"sealed\", \"tags\": [\"special\"]}}],\n"
    "  \"rules\": [\n"
    "    {\"rule\": \"unscanned\", \"when\": {\"scan\": [\"partial\", \"failed\"], "
    "\"message.sealed\": \"none\"},\n"
    "     \"then\": {\"protect\": \"sealed\"}},\n"
    "    {\"rule\": \"already-sealed\", \"when\": {\"message.sealed\": [\"smime\", \"pgp\"]}, "
    "\"then\": {\"protect\": \"tls-only\"}},\n"
    "    {\"rule\": \"mass-disclosure\", \"when\": {\"any\": [{\"phi.distinct.MRN\": "
    "{\"at_least\": 20}}],\n"
    "      \"not\": {\"recipient.domain\": {\"in\": \"partners\"}}},\n"
    "     \"then\": {\"hold\": {\"for\": \"approval\", \"by\": \"privacy-office\", \"within\": "
    "\"8h\", \"otherwise\": \"return\",\n"
    "       \"protect\": \"sealed\"}, \"notify\": {\"sender\": [\"late\", \"unread\"]}}},\n"
    "    {\"rule\": \"sender-asks\", \"when\": {\"any\": [{\"subject.tag\": \"secure\"}, "
    "{\"label\": \"phi\"}]},\n"
    "     \"then\": {\"protect\": \"sealed\", \"subject\": {\"strip_tag\": true}}},\n"
    "    {\"rule\": \"partners\", \"when\": {\"recipient.domain\": {\"in\": \"partners\"}}, "
    "\"then\": {\"protect\": \"careful\"}},\n"
    "    {\"rule\": \"patient-chose-plain\",\n"
    "     \"when\": {\"recipient.preference\": \"plain\", \"phi.class\": {\"below\": \"severe\"}, "
    "\"recipient.count\": 1},\n"
    "     \"then\": {\"protect\": \"chosen-plain\", \"lowers\": \"patient was warned and prefers "
    "e-mail\"}},\n"
    "    {\"rule\": \"phi\", \"when\": {\"phi.class\": {\"at_least\": \"phi\"}},\n"
    "     \"then\": {\"protect\": \"careful\", \"notify\": {\"sender\": [\"unread\"]}}}]}";

static const char base[] =
    "{ \"version\": 1, // what every house has\n"
    "  \"ladders\": {\n"
    "    \"everyday\": {\"rungs\": [\"tls:dane\", \"tls:authenticated\", \"tls:verified\", "
    "\"tls:encrypted\", \"portal\"],\n"
    "       \"floor\": \"tls:encrypted\"},\n"
    "    \"careful\": {\"rungs\": [\"smime\", \"pgp\", {\"rung\": \"tls:dane\", \"stay\": "
    "{\"dropped\": \"2h\"}},\n"
    "       \"tls:authenticated\", \"portal\"], \"floor\": \"tls:authenticated\"},\n"
    "    \"sealed\": {\"rungs\": [\"smime\", \"pgp\", \"portal\"], \"floor\": \"sealed\"}},\n"
    "  \"default\": {\"protect\": \"everyday\"}}";

static const char partners[] =
    "# who signed an agreement\nclinic.example.org until=2030-01-01 # lab\n"
    ".partner.example\n\n";

static const struct file files[] = {
    {"policies/policy.json", hospital},
    {"policies/base.json", base},
    {"policies/lists/partners.txt", partners},
    {NULL, NULL},
};

static enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    for (const struct file *f = ctx; f->name != NULL; f++) {
        if (strcmp(f->name, name) != 0)
            continue;
        *out = sp_bytes_cstr(f->text);
        return SP_OK;
    }
    return SP_E_NOT_FOUND;
}

static struct sp_policy *load_files(const struct file *from, struct sp_problems *problems)
{
    struct sp_policy_reader reader = {.read = read_file, .ctx = (void *)from};
    struct sp_policy *p = NULL;

    if (sp_policy_load(&reader, "policies/policy.json", problems, &p) != SP_OK)
        return NULL;
    return p;
}

static char *all_problems(const struct sp_problems *p)
{
    struct sp_buf out;

    sp_buf_init(&out, 200000);
    for (size_t i = 0; i < sp_problems_count(p); i++) {
        sp_problem_format(sp_problems_at(p, i), &out);
        sp_buf_put_u8(&out, '\n');
    }
    return sp_buf_take_cstr(&out);
}

static struct sp_policy *load_hospital(void)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_policy *p = load_files(files, problems);
    char *said = all_problems(problems);

    ck_assert_msg(p != NULL, "%s", said);
    sp_free(said);
    return p;
}

/* One policy file alone. returns: what was said; NULL problems text never */
static char *load_text(const char *text, struct sp_policy **out)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    const struct file one[] = {
        {"policies/policy.json", text}, {"policies/base.json", base}, {NULL, NULL}};

    *out = load_files(one, problems);
    return all_problems(problems);
}

static void ordinary(struct sp_facts *f)
{
    sp_facts_init(f);
    sp_facts_set_text(f, SP_FACT_TENANT, SP_LIT("hospital"));
    sp_facts_set_sender(f, SP_LIT("dr@hospital.example"));
    sp_facts_set_recipient(f, SP_LIT("pat@example.net"));
    sp_facts_set_number(f, SP_FACT_RECIPIENT_COUNT, 1);
    sp_facts_set_headers(f, NULL, 0);
    sp_facts_set_number(f, SP_FACT_MESSAGE_SEALED, SP_SEALED_NONE);
    sp_facts_set_number(f, SP_FACT_PHI_CLASS, SP_PHI_NONE);
    sp_facts_set_texts(f, SP_FACT_PHI_SPECIAL, NULL, 0);
    sp_facts_set_types(f, NULL, 0);
    sp_facts_set_scan(f, SP_SCAN_COMPLETE);
    sp_facts_close_stage(f, SP_STAGE_ENVELOPE);
    sp_facts_close_stage(f, SP_STAGE_HEADER);
    sp_facts_close_stage(f, SP_STAGE_CONTENT);
}

static void ck_decision(const struct sp_policy *p, const struct sp_facts *f, const char *rule,
                        enum sp_floor floor)
{
    struct sp_decision d, told;
    struct sp_policy_trace trace;

    sp_policy_decide(p, f, &d);
    ck_assert_str_eq(d.rule, rule);
    ck_assert_msg(d.floor == floor, "%s: floor %s", rule, sp_floor_name(d.floor));
    sp_policy_explain(p, f, &told, &trace);
    ck_assert_str_eq(told.rule, d.rule);
    ck_assert_int_eq(told.floor, d.floor);
    ck_assert_int_eq(told.verb, d.verb);
    sp_policy_trace_clear(&trace);
}

START_TEST(an_ordinary_message_goes_by_the_default)
{
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;
    struct sp_decision d;

    ordinary(&f);
    ck_decision(p, &f, "default", SP_FLOOR_TLS_ENCRYPTED);
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.ladder->name, "everyday");
    ck_assert_uint_eq(d.ladder->count, 5);
    ck_assert_int_eq(d.expire_ms, 2LL * 86400000);
    ck_assert_uint_eq(d.portal.login, SP_LOGIN_CODE | SP_LOGIN_PASSKEY);
    ck_assert_int_eq(d.portal.notify_floor, SP_FLOOR_PLAIN);
    ck_assert(sp_policy_asks_content(p));
    ck_assert_uint_eq(strlen(sp_policy_hash(p)), SP_POLICY_HASH_LEN);
}
END_TEST

START_TEST(phi_raises_the_ladder_and_first_match_decides)
{
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;
    struct sp_decision d;

    ordinary(&f);
    sp_facts_set_number(&f, SP_FACT_PHI_CLASS, SP_PHI_PHI);
    ck_decision(p, &f, "phi", SP_FLOOR_TLS_AUTHENTICATED);
    sp_policy_decide(p, &f, &d);
    ck_assert_uint_eq(d.notify, SP_NOTIFY_UNREAD);
    ck_assert_int_eq(d.ladder->rungs[2].stay_dropped_ms, 2LL * 3600000);
    sp_facts_set_recipient(&f, SP_LIT("x@clinic.example.org"));
    ck_decision(p, &f, "partners", SP_FLOOR_TLS_AUTHENTICATED);
    sp_facts_set_recipient(&f, SP_LIT("x@deep.partner.example"));
    ck_decision(p, &f, "partners", SP_FLOOR_TLS_AUTHENTICATED);
    sp_facts_set_recipient(&f, SP_LIT("x@partner.example"));
    ck_decision(p, &f, "phi", SP_FLOOR_TLS_AUTHENTICATED);
}
END_TEST

START_TEST(list_entries_end_on_their_day)
{
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;

    ordinary(&f);
    sp_facts_set_recipient(&f, SP_LIT("x@clinic.example.org"));
    f.now_ms = 1893455999000; /* 2029-12-31T23:59:59Z */
    ck_decision(p, &f, "partners", SP_FLOOR_TLS_AUTHENTICATED);
    f.now_ms = 1893456000000;
    ck_decision(p, &f, "default", SP_FLOOR_TLS_ENCRYPTED);
}
END_TEST

START_TEST(a_guard_raises_over_every_wish)
{
    static const struct sp_bytes special[] = {SP_LIT_INIT("part2")};
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;
    struct sp_decision d;

    ordinary(&f);
    sp_facts_set_number(&f, SP_FACT_RECIPIENT_PREFERENCE, SP_PREFERENCE_PLAIN);
    ck_decision(p, &f, "patient-chose-plain", SP_FLOOR_PLAIN);
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.lowers, "patient was warned and prefers e-mail");
    sp_facts_set_texts(&f, SP_FACT_PHI_SPECIAL, special, 1);
    ck_decision(p, &f, "patient-chose-plain", SP_FLOOR_SEALED);
    sp_policy_decide(p, &f, &d);
    ck_assert_ptr_null(d.lowers);
    ck_assert_uint_eq(d.raised_by.count, 1);
    ck_assert_str_eq(d.raised_by.names[0], "special-class");
    ck_assert_str_eq(d.tags.names[0], "special");
}
END_TEST

START_TEST(a_group_is_asked_of_the_sender)
{
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;

    ordinary(&f);
    sp_facts_set_sender(&f, SP_LIT("staff@RECOVERY.example"));
    ck_decision(p, &f, "default", SP_FLOOR_SEALED);
}
END_TEST

START_TEST(a_list_may_have_addresses_with_a_number_sign)
{
    static const struct file from[] = {
        {"policies/policy.json",
         "{\"version\": 1, \"lists\": {\"staff\": {\"kind\": \"addresses\", \"file\": "
         "\"lists/staff.txt\"}}, \"groups\": {\"staff\": {\"list\": \"staff\"}}, "
         "\"ladders\": {\"sealed\": {\"rungs\": [\"portal\"], \"floor\": \"sealed\"}}, "
         "\"guards\": [{\"rule\": \"g\", \"continue\": true, \"when\": {\"sender.group\": "
         "\"staff\"}, \"then\": {\"raise\": \"sealed\"}}], \"default\": {\"protect\": "
         "{\"rungs\": [\"tls:encrypted\", \"portal\"], \"floor\": \"tls:encrypted\"}}}"},
        {"policies/lists/staff.txt",
         "# kept from a table\n#no@h.example\na#b@h.example\t# a note\n c@h.example #x\n"},
        {NULL, NULL},
    };
    static const struct {
        const char *sender;
        enum sp_floor floor;
    } cases[] = {{"A#b@h.example", SP_FLOOR_SEALED},
                 {"c@h.example", SP_FLOOR_SEALED},
                 {"#no@h.example", SP_FLOOR_TLS_ENCRYPTED},
                 {"a@h.example", SP_FLOOR_TLS_ENCRYPTED}};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_policy) p = load_files(from, problems);
    char *said = all_problems(problems);

    ck_assert_msg(p != NULL, "%s", said);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_facts f;

        ordinary(&f);
        sp_facts_set_sender(&f, sp_bytes_cstr(cases[i].sender));
        ck_decision(p, &f, "default", cases[i].floor);
    }
    sp_free(said);
}
END_TEST

START_TEST(a_failed_scan_is_the_most_sensitive)
{
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;

    ordinary(&f);
    sp_facts_set_scan(&f, SP_SCAN_CRASHED);
    /* phi.special is unknown: the guard that raises matches, too */
    ck_decision(p, &f, "unscanned", SP_FLOOR_SEALED);
    sp_facts_init(&f);
    sp_facts_set_sender(&f, SP_LIT("dr@hospital.example"));
    sp_facts_set_recipient(&f, SP_LIT("pat@example.net"));
    sp_facts_close_stage(&f, SP_STAGE_ENVELOPE);
    sp_facts_close_stage(&f, SP_STAGE_HEADER);
    sp_facts_close_stage(&f, SP_STAGE_CONTENT); /* nobody scanned */
    ck_decision(p, &f, "unscanned", SP_FLOOR_SEALED);
}
END_TEST

START_TEST(unknown_facts_never_lower_and_always_protect)
{
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;

    ordinary(&f);
    sp_facts_set_unknown(&f, SP_FACT_RECIPIENT_PREFERENCE); /* registry is down */
    sp_facts_set_number(&f, SP_FACT_PHI_CLASS, SP_PHI_IDENTIFIER);
    /* unknown: the reject of no-mail matches rather than passes */
    ck_decision(p, &f, "no-mail", SP_FLOOR_TLS_ENCRYPTED);
    ordinary(&f);
    sp_facts_set_unknown(&f, SP_FACT_PHI_CLASS);
    ck_decision(p, &f, "phi", SP_FLOOR_TLS_AUTHENTICATED);
}
END_TEST

START_TEST(ciphertext_passes_and_keeps_its_worth)
{
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;
    struct sp_decision d;

    ordinary(&f);
    sp_facts_set_number(&f, SP_FACT_MESSAGE_SEALED, SP_SEALED_PGP);
    ck_decision(p, &f, "already-sealed", SP_FLOOR_TLS_ENCRYPTED);
    sp_policy_decide(p, &f, &d);
    ck_assert(d.is_sealed);
}
END_TEST

START_TEST(tags_labels_and_counts_are_facts)
{
    static const struct sp_fact_header subject[] = {
        {SP_LIT_INIT("Subject"), SP_LIT_INIT("Re: [Secure] results")}};
    static const struct sp_bytes label[] = {SP_LIT_INIT("1F0C8A52-0000-4000-8000-000000000001")};
    static const struct sp_fact_type types[] = {{SP_LIT_INIT("MRN"), 40, 40}};
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;
    struct sp_decision d;

    ordinary(&f);
    sp_facts_set_headers(&f, subject, 1);
    ck_decision(p, &f, "sender-asks", SP_FLOOR_SEALED);
    sp_policy_decide(p, &f, &d);
    ck_assert(d.edits.strip_subject_tag && sp_edits_any(&d.edits));
    ordinary(&f);
    sp_facts_set_texts(&f, SP_FACT_LABEL, label, 1);
    ck_decision(p, &f, "sender-asks", SP_FLOOR_SEALED);
    ordinary(&f);
    sp_facts_set_types(&f, types, 1);
    ck_decision(p, &f, "mass-disclosure", SP_FLOOR_SEALED);
    sp_policy_decide(p, &f, &d);
    ck_assert_int_eq(d.verb, SP_DO_HOLD);
    ck_assert_str_eq(d.hold.by, "privacy-office");
    ck_assert_int_eq(d.hold.within_ms, 8LL * 3600000);
    ck_assert_str_eq(d.ladder->name, "sealed");
    sp_facts_set_recipient(&f, SP_LIT("x@clinic.example.org"));
    ck_decision(p, &f, "partners", SP_FLOOR_TLS_AUTHENTICATED);
}
END_TEST

START_TEST(what_is_certain_at_rcpt_is_decided_there)
{
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;
    struct sp_decision d;

    sp_facts_init(&f);
    sp_facts_set_sender(&f, SP_LIT("dr@hospital.example"));
    sp_facts_set_recipient(&f, SP_LIT("pat@gmial.example"));
    sp_facts_set_absent(&f, SP_FACT_RECIPIENT_PREFERENCE);
    ck_assert(sp_policy_decide_envelope(p, &f, &d));
    ck_assert_int_eq(d.verb, SP_DO_REJECT);
    ck_assert_str_eq(d.rule, "typo");
    ck_assert_int_eq(d.stage, SP_STAGE_ENVELOPE);
    ck_assert(sp_bytes_eq(d.text, SP_LIT("Address looks mistyped.")));
    sp_facts_set_recipient(&f, SP_LIT("pat@example.net"));
    sp_facts_set_absent(&f, SP_FACT_RECIPIENT_PREFERENCE);
    ck_assert(!sp_policy_decide_envelope(p, &f, &d));
    /* a preference that is not there yet may still turn out to be no-mail: nothing is certain */
    sp_facts_set_recipient(&f, SP_LIT("pat@gmial.example"));
    f.values[SP_FACT_RECIPIENT_PREFERENCE].state = SP_FACT_PENDING;
    ck_assert(!sp_policy_decide_envelope(p, &f, &d));
}
END_TEST

START_TEST(another_tenants_mail_is_refused)
{
    SP_AUTO(sp_policy) p = NULL;
    struct sp_facts f;
    char *said =
        load_text("{\"version\": 1, \"scope\": {\"tenant\": \"hospital\"},\n"
                  "\"ladders\": {\"a\": {\"rungs\": [\"portal\"], \"floor\": \"sealed\"}},\n"
                  "\"default\": {\"protect\": \"a\"}}",
                  &p);

    ck_assert_msg(p != NULL, "%s", said);
    sp_free(said);
    ordinary(&f);
    ck_decision(p, &f, "default", SP_FLOOR_SEALED);
    sp_facts_set_text(&f, SP_FACT_TENANT, SP_LIT("other"));
    ck_decision(p, &f, "scope", SP_FLOOR_PLAIN);
    ck_assert(!sp_policy_asks_content(p));
}
END_TEST

START_TEST(all_that_is_wrong_is_told_at_once)
{
    static const char text[] =
        "{\"version\": 1, \"extends\": \"base\", \"setings\": {},\n"
        "\"settings\": {\"flor\": \"plain\", \"expire\": \"2 days\", \"portal\": {\"login\": "
        "[\"cod\"]}},\n"
        "\"lists\": {\"l\": {\"kind\": \"domans\"}, \"m\": {\"kind\": \"domains\", \"file\": "
        "\"../etc\"},\n"
        "  \"n\": {\"kind\": \"domains\", \"entries\": [\"a@b\"]}},\n"
        "\"ladders\": {\"x\": {\"rungs\": [\"tls:dne\", \"pgp\", \"pgp\"], \"floor\": "
        "\"sealed\"},\n"
        "  \"y\": {\"rungs\": [\"plain\"], \"floor\": \"tls:encrypted\"}},\n"
        "\"rules\": [\n"
        " {\"rule\": \"a\", \"when\": {\"recipent.domain\": \"x.example\"}, \"then\": "
        "{\"protect\": \"everday\"}},\n"
        " {\"rule\": \"a\", \"when\": {\"phi.class\": \"sever\"}, \"then\": {\"protect\": \"x\", "
        "\"reject\": \"t\"}},\n"
        " {\"rule\": \"c\", \"when\": {\"subject\": {\"regex\": \"(a\"}}, \"then\": {\"raise\": "
        "\"sealed\"}},\n"
        " {\"rule\": \"d\", \"when\": {\"phi.special\": {\"at_least\": 1}}, \"then\": {\"copy\": "
        "\"x\", \"notice\": \"t\", \"protect\": \"x\"}},\n"
        " {\"rule\": \"e\", \"when\": {\"all\": []}, \"then\": {\"discard\": \"because\"}},\n"
        " {\"rule\": \"F\", \"then\": {\"protect\": \"x\", \"lowers\": \"so\"}},\n"
        " {\"rule\": \"g\", \"when\": {\"recipient.domain\": {\"in\": \"partner\"}}, \"then\": "
        "{\"hold\": {\"for\": \"x\"}}}],\n"
        "\"guards\": [{\"rule\": \"h\", \"then\": {\"protect\": \"x\"}}]}";
    static const char *const expected[] = {
        "policies/policy.json:1: setings: unknown key; did you mean \"settings\"?",
        "policies/policy.json:2: settings.flor: unknown key; did you mean \"floor\"?",
        "policies/policy.json:2: settings.expire: expected a duration",
        "policies/policy.json:2: settings.portal.login[0]: unknown way to log in; did you mean "
        "\"code\"?",
        "policies/policy.json:3: lists.l.kind: unknown kind of list; did you mean \"domains\"?",
        "policies/policy.json:3: lists.m.file: expected a file below the policy's folder",
        "policies/policy.json:4: lists.n.entries[0]: expected a domain",
        "policies/policy.json:5: ladders.x.rungs[0]: unknown rung; did you mean \"tls:dane\"?",
        "policies/policy.json:5: ladders.x.rungs[2]: this rung stands in the ladder already",
        "policies/policy.json:6: ladders.y.rungs: rung \"plain\" lies below the ladder's floor",
        "policies/policy.json:8: rules[0].when.recipent.domain: unknown fact; did you mean "
        "\"recipient.domain\"?",
        "policies/policy.json:8: rules[0].then.protect: \"everday\" is not in \"ladders\" of any "
        "layer; "
        "did you mean \"everyday\"?",
        "policies/policy.json:9: rules[1].rule: this name is taken by the rule in "
        "policies/policy.json:8",
        "policies/policy.json:9: rules[1].when.phi.class: unknown value; did you mean \"severe\"?",
        "policies/policy.json:9: rules[1].then: expected exactly one of protect, reject",
        "policies/policy.json:10: rules[2].when.subject.regex: a ( has no )",
        "policies/policy.json:10: rules[2].then: expected exactly one of",
        "policies/policy.json:11: rules[3].when.phi.special.at_least: \"phi.special\" has no order",
        "policies/policy.json:11: rules[3].then.notice: \"t\" is not in \"texts\"",
        "policies/policy.json:11: rules[3].then.copy: expected an address like",
        "policies/policy.json:12: rules[4].when.all: this condition is empty",
        "policies/policy.json:12: rules[4].then.discard: discard is for machines' mail only",
        "policies/policy.json:13: rules[5].rule: a rule's name is made of",
        "policies/policy.json:13: rules[5].then.lowers: say why",
        "policies/policy.json:14: rules[6].when.recipient.domain.in: \"partner\" is not in "
        "\"lists\"",
        "policies/policy.json:14: rules[6].then.hold.for: unknown hold",
        "policies/policy.json:14: rules[6].then.hold: \"protect\" is missing",
        "policies/policy.json:15: guards[0]: a guard may tag, raise, hold or reject",
    };
    struct sp_policy *p = NULL;
    char *said = load_text(text, &p);

    ck_assert_ptr_null(p);
    for (size_t i = 0; i < SP_ARRAY_LEN(expected); i++)
        ck_assert_msg(strstr(said, expected[i]) != NULL, "missing: %s\nin:\n%s", expected[i], said);
    sp_free(said);
}
END_TEST

START_TEST(a_policy_that_can_not_work_is_refused)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"{\"version\": 1}", "\"default\" is missing"},
        {"{\"version\": 2, \"default\": {\"protect\": \"everyday\"}, \"extends\": \"base\"}",
         "expected \"version\": 1"},
        {"{\"version\": 1, \"extends\": \"base\", \"settings\": {\"floor\": \"sealed\"},\n"
         "\"rules\": [{\"rule\": \"a\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": "
         "{\"rungs\": "
         "[\"tls:dane\"], \"floor\": \"tls:dane\"}}}]}",
         "no rung of its own ladder meets the floor \"sealed\""},
        {"{\"version\": 1, \"extends\": \"base\", \"rules\": [{\"rule\": \"a\", \"when\": "
         "{\"subject\": \"x\"}, "
         "\"then\": {\"protect\": \"sealed\", \"subject\": {\"strip_tag\": true}}}]}",
         "give settings.dkim_selector"},
        {"{\"version\": 1, \"extends\": \"policy\", \"default\": {\"protect\": \"a\"}}",
         "extend each other too often"},
        {"{\"version\": 1, \"extends\": \"absent\"}", "there is no set \"absent\""},
        {"{\"version\": 1, \"extends\": \"base\", \"fixed\": [1]}", "expected text"},
        {"{\"version\": 1, \"extends\": \"base\", \"rules\": [{\"rule\": \"a\", \"then\": "
         "{\"protect\": "
         "\"everyday\", \"redirect\": \"a@\xe2\x99\xa5.example\"}}]}",
         "rules[0].then.redirect: expected an address like"},
        {"{\"version\": 1, \"extends\": \"base\", \"settings\": {\"portal\": {\"notify_from\": "
         "\"a\\nb\"}}}",
         "settings.portal.notify_from: a name in a mail's From is one line of at most 256 bytes"},
        {"[]", "expected object"},
        {"{", "policies/policy.json:1:"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_policy *p = NULL;
        char *said = load_text(cases[i].text, &p);

        ck_assert_msg(p == NULL && strstr(said, cases[i].expected) != NULL, "%s:\n%s",
                      cases[i].text, said);
        sp_free(said);
    }
}
END_TEST

START_TEST(international_domains_are_kept_in_a_labels)
{
    static const char text[] = "{\"version\": 1, \"extends\": \"base\", \"rules\": [{\"rule\": "
                               "\"a\", \"then\": {\"protect\": "
                               "\"everyday\", \"redirect\": \"Jo@b\xc3\xbc"
                               "cher.example\", \"copy\": [\"c@B\xc3\xbc"
                               "cher.example\", "
                               "\"d@X.example\"]}}]}";
    SP_AUTO(sp_policy) p = NULL;
    char *said = load_text(text, &p);
    struct sp_facts facts;
    struct sp_decision d;

    ck_assert_msg(p != NULL, "%s", said);
    sp_free(said);
    sp_facts_init(&facts);
    sp_policy_decide(p, &facts, &d);
    ck_assert_str_eq(d.redirect, "Jo@xn--bcher-kva.example");
    ck_assert_uint_eq(d.copies.count, 2);
    ck_assert_str_eq(d.copies.names[0], "c@xn--bcher-kva.example");
    ck_assert_str_eq(d.copies.names[1], "d@x.example");
}
END_TEST

START_TEST(a_fixed_setting_binds_the_layers_within)
{
    static const char outer[] =
        "{\"version\": 1, \"extends\": \"root\", \"fixed\": [\"floor\", \"portal.expires\"],\n"
        "\"settings\": {\"floor\": \"tls:verified\"}}";
    static const char inner[] =
        "{\"version\": 1, \"extends\": \"base\",\n"
        "\"settings\": {\"floor\": \"plain\", \"portal\": {\"expires\": \"1d\"}}}";
    const struct file layered[] = {{"policies/policy.json", inner},
                                   {"policies/base.json", outer},
                                   {"policies/root.json", base},
                                   {NULL, NULL}};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    char *said;

    ck_assert_ptr_null(load_files(layered, problems));
    said = all_problems(problems);
    ck_assert_ptr_nonnull(
        strstr(said, "policy.json:2: settings.floor: \"floor\" is fixed by policies/base.json"));
    ck_assert_ptr_nonnull(strstr(said, "settings.portal.expires: \"portal.expires\" is fixed"));
    sp_free(said);
}
END_TEST

START_TEST(authors_are_warned)
{
    static const char text[] =
        "{\"version\": 1, \"extends\": \"base\", \"lists\": {\"spare\": {\"kind\": \"domains\", "
        "\"entries\": [\"a.example\"]}},\n"
        "\"guards\": [{\"rule\": \"up\", \"continue\": true, \"when\": {\"subject\": \"x\"}, "
        "\"then\": {\"raise\": \"sealed\"}}],\n"
        "\"ladders\": {\"tls\": {\"rungs\": [\"tls:dane\", \"plain\"], \"floor\": \"plain\"}, "
        "\"idle\": {\"rungs\": [\"portal\"], \"floor\": \"sealed\"}}, \"texts\": {\"unsaid\": "
        "\"x\"},\n"
        "\"rules\": [{\"rule\": \"all\", \"then\": {\"protect\": \"tls\"}},\n"
        " {\"rule\": \"dead\", \"when\": {\"subject\": \"y\"}, \"then\": {\"protect\": "
        "\"sealed\", \"notify\": {\"sender\": [\"late\", \"unread\"]}}}],\n"
        "\"settings\": {\"portal\": {\"remind\": [\"3d\"], \"unread_after\": \"7d\"}}}";
    static const char *const expected[] = {
        "lists.spare: no rule uses this list",
        "ladders.idle: no rule uses this ladder",
        "texts.unsaid: no rule uses this text",
        "rules[0]: where \"up\" raises the floor to \"sealed\", ladder \"tls\" has no rung left",
        "rules[0]: ladder \"tls\" has rungs below the settings' floor",
        "rules[1]: never asked: rule \"all\"",
    };
    SP_AUTO(sp_policy) p = NULL;
    char *said = load_text(text, &p);

    ck_assert_msg(p != NULL, "%s", said);
    for (size_t i = 0; i < SP_ARRAY_LEN(expected); i++)
        ck_assert_msg(strstr(said, expected[i]) != NULL, "missing: %s\nin:\n%s", expected[i], said);
    sp_free(said);
}
END_TEST

START_TEST(the_version_is_what_can_change_a_decision)
{
    static const char commented[] = "{ /* new words */ \"version\": 1,\n \"default\": "
                                    "{\"protect\": \"everyday\"}, \"extends\": \"base\"}";
    static const char plain[] =
        "{\"version\": 1, \"extends\": \"base\", \"default\": {\"protect\": \"everyday\"}}";
    static const char other[] =
        "{\"version\": 1, \"extends\": \"base\", \"default\": {\"protect\": \"careful\"}}";
    SP_AUTO(sp_policy) a = NULL;
    SP_AUTO(sp_policy) b = NULL;
    SP_AUTO(sp_policy) c = NULL;
    SP_AUTO(sp_policy) d = load_hospital();
    SP_AUTO(sp_policy) e = NULL;
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct file changed[SP_ARRAY_LEN(files)];

    sp_free(load_text(commented, &a));
    sp_free(load_text(plain, &b));
    sp_free(load_text(other, &c));
    ck_assert_str_eq(sp_policy_hash(a), sp_policy_hash(b));
    ck_assert_str_ne(sp_policy_hash(a), sp_policy_hash(c));
    memcpy(changed, files, sizeof(files));
    changed[2].text = "clinic.example.org\n";
    e = load_files(changed, problems);
    ck_assert_ptr_nonnull(e);
    ck_assert_str_ne(sp_policy_hash(d), sp_policy_hash(e));
}
END_TEST

START_TEST(the_trace_tells_what_turned_each_rule)
{
    SP_AUTO(sp_policy) p = load_hospital();
    struct sp_facts f;
    struct sp_decision d;
    struct sp_policy_trace trace;
    bool seen = false;

    ordinary(&f);
    sp_facts_set_number(&f, SP_FACT_PHI_CLASS, SP_PHI_PHI);
    sp_policy_explain(p, &f, &d, &trace);
    for (size_t i = 0; i < trace.count; i++) {
        const struct sp_trace_step *s = &trace.steps[i];

        if (strcmp(s->rule, "typo") == 0) {
            ck_assert_int_eq(s->result, SP_TRACE_FAILED);
            ck_assert_str_eq(s->condition, "\"recipient.domain\": {\"in\":\"typos\"}");
            ck_assert_str_eq(s->value, "example.net");
            seen = true;
        }
        if (strcmp(s->rule, "phi") == 0) {
            ck_assert_int_eq(s->result, SP_TRACE_MATCHED);
            ck_assert_str_eq(s->value, "phi");
        }
        if (strcmp(s->rule, "default") == 0)
            ck_assert_int_eq(s->result, SP_TRACE_NOT_REACHED);
    }
    ck_assert(seen);
    sp_policy_trace_clear(&trace);
}
END_TEST

START_TEST(the_schema_knows_the_facts)
{
    static const char file[] = SP_SOURCE_DIR "/policies/schema/policy.json";
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *known, *open;
    char text[65536];
    FILE *f = fopen(file, "rb");
    size_t open_count = 0;

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(
        sp_json_parse(sp_bytes(text, fread(text, 1, sizeof(text), f)), NULL, &doc, NULL), SP_OK);
    fclose(f);
    known = sp_json_find_path(sp_json_root(doc), "$defs.condition.properties");
    open = sp_json_find_path(sp_json_root(doc), "$defs.condition.patternProperties");
    for (size_t i = 0; i < SP_FACT_COUNT; i++) {
        const char *name = sp_fact_name((enum sp_fact)i);

        if (name[strlen(name) - 1] == '.')
            open_count++;
        else
            ck_assert_msg(sp_json_find(known, name) != NULL, "%s: %s is missing", file, name);
    }
    ck_assert_uint_eq(known->count + open_count, SP_FACT_COUNT + 3); /* all, any, not */
    ck_assert_uint_eq(open->count, 2);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, the_schema_knows_the_facts);
    tcase_add_test(c, an_ordinary_message_goes_by_the_default);
    tcase_add_test(c, phi_raises_the_ladder_and_first_match_decides);
    tcase_add_test(c, list_entries_end_on_their_day);
    tcase_add_test(c, a_guard_raises_over_every_wish);
    tcase_add_test(c, a_group_is_asked_of_the_sender);
    tcase_add_test(c, a_list_may_have_addresses_with_a_number_sign);
    tcase_add_test(c, a_failed_scan_is_the_most_sensitive);
    tcase_add_test(c, unknown_facts_never_lower_and_always_protect);
    tcase_add_test(c, ciphertext_passes_and_keeps_its_worth);
    tcase_add_test(c, tags_labels_and_counts_are_facts);
    tcase_add_test(c, what_is_certain_at_rcpt_is_decided_there);
    tcase_add_test(c, another_tenants_mail_is_refused);
    tcase_add_test(c, all_that_is_wrong_is_told_at_once);
    tcase_add_test(c, a_policy_that_can_not_work_is_refused);
    tcase_add_test(c, international_domains_are_kept_in_a_labels);
    tcase_add_test(c, a_fixed_setting_binds_the_layers_within);
    tcase_add_test(c, authors_are_warned);
    tcase_add_test(c, the_version_is_what_can_change_a_decision);
    tcase_add_test(c, the_trace_tells_what_turned_each_rule);
}

SP_TEST_MAIN("policy", add)
