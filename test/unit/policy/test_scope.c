/* Layers of tenants, domains and users, the registry of preferences, and where rules send copies. */
#include "policy/policy.h"

#include <stdio.h>

#include "base/clock.h"
#include "policy/options.h"
#include "policy/wishes.h"
#include "support/check_main.h"

struct file {
    const char *name;
    const char *text;
};

struct folder {
    const struct file *files;
};

static enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    for (const struct file *f = ((struct folder *)ctx)->files; f->name != NULL; f++) {
        if (strcmp(f->name, name) != 0)
            continue;
        *out = sp_bytes_cstr(f->text);
        return SP_OK;
    }
    return SP_E_NOT_FOUND;
}

static bool next_file(void *ctx, const char *dir, size_t *at, struct sp_bytes *name)
{
    const struct file *files = ((struct folder *)ctx)->files;

    while (files[*at].name != NULL) {
        const char *found = files[(*at)++].name;

        if (strncmp(found, dir, strlen(dir)) == 0) {
            *name = sp_bytes_cstr(found);
            return true;
        }
    }
    return false;
}

static struct sp_policy *load(const struct file *files, char *said, size_t room)
{
    struct folder folder = {files};
    struct sp_policy_reader reader = {read_file, &folder, next_file};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_policy *p = NULL;
    struct sp_buf out;

    sp_buf_init(&out, 100000);
    (void)!sp_policy_load(&reader, "policies/policy.json", problems, &p);
    for (size_t i = 0; i < sp_problems_count(problems); i++) {
        sp_problem_format(sp_problems_at(problems, i), &out);
        sp_buf_put_u8(&out, '\n');
    }
    snprintf(said, room, "%.*s", SP_FMT(sp_buf_bytes(&out)));
    sp_buf_clear(&out);
    return p;
}

#define GLOBAL                                                                                     \
    "{\"version\": 1, \"fixed\": [\"portal.login\"],\n"                                            \
    "\"settings\": {\"floor\": \"tls:encrypted\", \"dkim_selector\": \"gw\"},\n"                   \
    "\"lists\": {\"labs\": {\"kind\": \"domains\", \"entries\": [\"lab.example\"]}},\n"            \
    "\"texts\": {\"no\": \"No.\", \"part2\": \"Do not pass on.\", \"foot\": \"Clinic\"},\n"        \
    "\"preferences\": {\"file\": \"preferences.json\"},\n"                                         \
    "\"ladders\": {\"everyday\": {\"rungs\": [\"tls:dane\", \"tls:encrypted\", \"portal\"], "      \
    "\"floor\": \"tls:encrypted\"},\n"                                                             \
    " \"sealed\": {\"rungs\": [\"smime\", \"portal\"], \"floor\": \"sealed\"}},\n"                 \
    "\"guards\": [{\"rule\": \"outer\", \"when\": {\"subject\": \"stop\"}, \"then\": "             \
    "{\"reject\": \"no\"}}],\n"                                                                    \
    "\"rules\": [{\"rule\": \"wish\", \"when\": {\"recipient.preference\": \"portal\"}, "          \
    "\"then\": {\"protect\": \"sealed\"}},\n"                                                      \
    " {\"rule\": \"labs\", \"when\": {\"recipient.domain\": {\"in\": \"labs\"}}, \"then\": "       \
    "{\"protect\": \"everyday\", \"copy\": [\"a@x.example\", \"b@x.example\"], \"route\": "        \
    "\"lab-line\", \"lane\": \"bulk\", \"notice\": \"part2\", \"footer\": \"foot\"}},\n"           \
    " {\"rule\": \"moved\", \"when\": {\"recipient.address\": \"old@y.example\"}, \"then\": "      \
    "{\"protect\": \"everyday\", \"redirect\": \"new@y.example\"}}],\n"                            \
    "\"default\": {\"protect\": \"everyday\"}}"

static const char preferences[] =
    "{\"version\": 1, \"preferences\": [\n"
    "{\"recipient\": \"Pat@example.net\", \"preference\": \"portal\", \"given\": \"2026-01-01\", "
    "\"by\": \"front desk\", \"until\": \"2026-06-01\"},\n"
    "{\"recipient\": \"no@example.net\", \"preference\": \"no-mail\", \"given\": \"2025-01-01\", "
    "\"by\": \"phone\"}]}";

static const struct file files[] = {
    {"policies/policy.json", GLOBAL},
    {"policies/preferences.json", preferences},
    {"policies/layers/hospital.json",
     "{\"version\": 1, \"scope\": {\"tenant\": \"hospital\"},\n"
     "\"settings\": {\"floor\": \"tls:dane\", \"expire\": \"1d\", \"timezone\": "
     "\"America/Chicago\"},\n"
     "\"ladders\": {\"everyday\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": "
     "\"tls:dane\"}},\n"
     "\"guards\": [{\"rule\": \"inner\", \"when\": {\"subject\": \"stop\"}, \"then\": {\"reject\": "
     "\"no\"}}],\n"
     "\"rules\": [{\"rule\": \"labs-first\", \"when\": {\"recipient.domain\": {\"in\": \"labs\"}, "
     "\"phi.class\": \"phi\"}, \"then\": {\"protect\": \"sealed\"}}]}"},
    {"policies/layers/oncology.json",
     "{\"version\": 1, \"scope\": {\"tenant\": \"hospital\", \"domain\": \"onco.example\"},\n"
     "\"rules\": [{\"rule\": \"onco\", \"when\": {\"subject\": \"x\"}, \"then\": {\"protect\": "
     "\"sealed\"}}]}"},
    {"policies/layers/dr.json", "{\"version\": 1, \"scope\": {\"tenant\": \"hospital\", \"user\": "
                                "\"Dr@onco.example\"}, \"settings\": {\"expire\": \"3h\"}}"},
    {NULL, NULL},
};

static void facts_for(struct sp_facts *f, const char *tenant, const char *from, const char *to)
{
    sp_facts_init(f);
    ck_assert(sp_time_parse_rfc3339(SP_LIT("2026-03-01T03:00:00Z"), &f->now_ms));
    sp_facts_set_text(f, SP_FACT_TENANT, sp_bytes_cstr(tenant));
    sp_facts_set_sender(f, sp_bytes_cstr(from));
    sp_facts_set_recipient(f, sp_bytes_cstr(to));
    sp_facts_set_text(f, SP_FACT_SUBJECT, SP_LIT("x"));
    sp_facts_set_number(f, SP_FACT_MESSAGE_SEALED, SP_SEALED_NONE);
    sp_facts_set_number(f, SP_FACT_PHI_CLASS, SP_PHI_NONE);
    sp_facts_set_types(f, NULL, 0);
    sp_facts_set_scan(f, SP_SCAN_COMPLETE);
}

static void close_all(const struct sp_policy *p, struct sp_facts *f)
{
    sp_policy_fill(p, f);
    sp_facts_close_stage(f, SP_STAGE_ENVELOPE);
    sp_facts_close_stage(f, SP_STAGE_HEADER);
    sp_facts_close_stage(f, SP_STAGE_CONTENT);
}

START_TEST(each_sender_has_its_layers)
{
    static const struct {
        const char *tenant, *from, *rule;
        enum sp_floor floor;
        int64_t expire_ms;
    } cases[] = {
        {"clinic", "a@clinic.example", "default", SP_FLOOR_TLS_ENCRYPTED, 172800000},
        {"hospital", "a@hospital.example", "default", SP_FLOOR_TLS_DANE, 86400000},
        {"HOSPITAL", "a@Hospital.example", "default", SP_FLOOR_TLS_DANE, 86400000},
        {"hospital", "nurse@onco.example", "onco", SP_FLOOR_SEALED, 86400000},
        {"hospital", "dr@ONCO.example", "onco", SP_FLOOR_SEALED, 10800000},
        {"clinic", "dr@onco.example", "default", SP_FLOOR_TLS_ENCRYPTED, 172800000},
    };
    char said[20000];
    SP_AUTO(sp_policy) p = load(files, said, sizeof(said));

    ck_assert_msg(p != NULL, "%s", said);
    ck_assert_msg(strstr(said, "hospital.json:3: ladders.everyday: replaces the one in") != NULL,
                  "%s", said);
    ck_assert(sp_policy_asks_content(p)); /* by the tenant's rule alone */
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_decision d;
        struct sp_facts f;

        facts_for(&f, cases[i].tenant, cases[i].from, "c@d.example");
        close_all(p, &f);
        sp_policy_decide(p, &f, &d);
        ck_assert_msg(strcmp(d.rule, cases[i].rule) == 0 && d.floor == cases[i].floor &&
                          d.expire_ms == cases[i].expire_ms,
                      "%s: rule %s, floor %s", cases[i].from, d.rule, sp_floor_name(d.floor));
    }
}
END_TEST

START_TEST(guards_are_asked_outermost_first_and_rules_innermost_first)
{
    char said[20000];
    SP_AUTO(sp_policy) p = load(files, said, sizeof(said));
    struct sp_decision d;
    struct sp_facts f;

    facts_for(&f, "hospital", "a@hospital.example", "r@lab.example");
    sp_facts_set_number(&f, SP_FACT_PHI_CLASS, SP_PHI_PHI);
    close_all(p, &f);
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.rule, "labs-first");
    sp_facts_set_text(&f, SP_FACT_SUBJECT, SP_LIT("stop"));
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.rule, "outer");
    ck_assert_int_eq(f.values[SP_FACT_TIME_HOUR].number, 21); /* in Chicago */
    ck_assert_int_eq(f.values[SP_FACT_TIME_WEEKDAY].number, 6);
}
END_TEST

START_TEST(a_preference_holds_until_it_ends)
{
    char said[20000];
    SP_AUTO(sp_policy) p = load(files, said, sizeof(said));
    struct sp_decision d;
    struct sp_facts f;

    facts_for(&f, "clinic", "a@clinic.example", "pat@EXAMPLE.net");
    close_all(p, &f);
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.rule, "wish");
    facts_for(&f, "clinic", "a@clinic.example", "pat@example.net");
    ck_assert(sp_time_parse_rfc3339(SP_LIT("2026-06-01T00:00:00Z"), &f.now_ms));
    close_all(p, &f);
    ck_assert_int_eq(f.values[SP_FACT_RECIPIENT_PREFERENCE].state, SP_FACT_ABSENT);
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.rule, "default");
}
END_TEST

/* Mail to an address of whom the registry says what it does, and who chose that in the portal. */
static void decide_wish(const struct sp_policy *p, const char *to, const char *now,
                        const struct sp_fact_wish *wish, struct sp_facts *f)
{
    sp_facts_init(f);
    sp_facts_set_text(f, SP_FACT_TENANT, SP_LIT("clinic"));
    sp_facts_set_sender(f, SP_LIT("a@clinic.example"));
    sp_facts_set_recipient(f, sp_bytes_cstr(to));
    sp_facts_set_wish(f, wish);
    ck_assert(sp_time_parse_rfc3339(sp_bytes_cstr(now), &f->now_ms));
    sp_policy_fill(p, f);
}

START_TEST(what_a_recipient_chose_counts_beside_the_registry)
{
    static const char jan[] = "2026-01-15T00:00:00Z";
    static const struct {
        const char *name, *to, *now, *given;
        int wish, is, by; /* -1: nothing */
    } cases[] = {
        {"alone", "lee@example.net", jan, "2026-01-10T00:00:00Z", SP_PREFERENCE_PORTAL,
         SP_PREFERENCE_PORTAL, SP_PREFERENCE_BY_RECIPIENT},
        {"nobody said anything", "lee@example.net", jan, jan, -1, -1, -1},
        {"the registry alone", "pat@example.net", jan, jan, -1, SP_PREFERENCE_PORTAL,
         SP_PREFERENCE_BY_REGISTRY},
        {"its time is over", "lee@example.net", "2027-02-01T00:00:00Z", jan, SP_PREFERENCE_TLS, -1,
         -1},
        {"chosen later", "pat@example.net", jan, "2026-01-10T00:00:00Z", SP_PREFERENCE_TLS,
         SP_PREFERENCE_TLS, SP_PREFERENCE_BY_RECIPIENT},
        {"put down later", "pat@example.net", jan, "2025-12-10T00:00:00Z", SP_PREFERENCE_TLS,
         SP_PREFERENCE_PORTAL, SP_PREFERENCE_BY_REGISTRY},
        {"at once: the more careful", "pat@example.net", jan, "2026-01-01T00:00:00Z",
         SP_PREFERENCE_TLS, SP_PREFERENCE_PORTAL, SP_PREFERENCE_BY_REGISTRY},
        {"the registry's has ended", "pat@example.net", "2026-07-01T00:00:00Z",
         "2025-12-10T00:00:00Z", SP_PREFERENCE_SEALED, SP_PREFERENCE_SEALED,
         SP_PREFERENCE_BY_RECIPIENT},
        {"no mail is not chosen away", "no@example.net", jan, "2026-01-10T00:00:00Z",
         SP_PREFERENCE_TLS, SP_PREFERENCE_NO_MAIL, SP_PREFERENCE_BY_REGISTRY},
        {"plain is nobody's to choose", "lee@example.net", jan, jan, SP_PREFERENCE_PLAIN, -1, -1},
        {"no mail neither", "lee@example.net", jan, jan, SP_PREFERENCE_NO_MAIL, -1, -1},
    };
    char said[20000];
    SP_AUTO(sp_policy) p = load(files, said, sizeof(said));
    struct sp_facts f;

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_fact_wish wish = {.preference = cases[i].wish};
        const struct sp_fact_value *v = &f.values[SP_FACT_RECIPIENT_PREFERENCE];
        const struct sp_fact_value *by = &f.values[SP_FACT_RECIPIENT_PREFERENCE_BY];

        ck_assert(sp_time_parse_rfc3339(sp_bytes_cstr(cases[i].given), &wish.given_ms));
        wish.until_ms = wish.given_ms + 365LL * 24 * 3600 * 1000;
        decide_wish(p, cases[i].to, cases[i].now, cases[i].wish < 0 ? NULL : &wish, &f);
        ck_assert_msg((v->state == SP_FACT_KNOWN) == (cases[i].is >= 0), "%s", cases[i].name);
        if (cases[i].is >= 0)
            ck_assert_msg(v->number == cases[i].is && by->number == cases[i].by, "%s: %lld by %lld",
                          cases[i].name, (long long)v->number, (long long)by->number);
    }
    sp_facts_set_recipient(&f, SP_LIT("other@example.net")); /* it is nobody else's */
    ck_assert(!f.has_wish);
}
END_TEST

START_TEST(wishes_are_kept_by_tenant_and_address)
{
    SP_AUTO(sp_policy_wishes) w = sp_policy_wishes_new(2);
    struct sp_fact_wish a = {SP_PREFERENCE_TLS, 1, 2}, b = {SP_PREFERENCE_PORTAL, 3, 4};
    char far[1000];

    memset(far, 'x', sizeof(far));
    ck_assert(sp_policy_wishes_set(w, SP_LIT("clinic"), SP_LIT("Pat@Example.net"), &a));
    ck_assert_ptr_null(sp_policy_wishes_find(w, SP_LIT("other"), SP_LIT("pat@example.net")));
    ck_assert_int_eq(
        sp_policy_wishes_find(w, SP_LIT("clinic"), SP_LIT("pat@example.NET"))->until_ms, 2);
    ck_assert(sp_policy_wishes_set(w, SP_LIT("other"), SP_LIT("pat@example.net"), &b));
    ck_assert(!sp_policy_wishes_set(w, SP_LIT("third"), SP_LIT("pat@example.net"), &b));
    ck_assert(sp_policy_wishes_set(w, SP_LIT("clinic"), SP_LIT("pat@example.net"), &b));
    ck_assert_int_eq(
        sp_policy_wishes_find(w, SP_LIT("clinic"), SP_LIT("pat@example.net"))->until_ms, 4);
    sp_policy_wishes_remove(w, SP_LIT("clinic"), SP_LIT("PAT@example.net"));
    sp_policy_wishes_remove(w, SP_LIT("clinic"), SP_LIT("PAT@example.net"));
    ck_assert_uint_eq(sp_policy_wishes_count(w), 1);
    ck_assert(!sp_policy_wishes_set(w, SP_LIT("clinic"), SP_LIT(""), &b));
    ck_assert(!sp_policy_wishes_set(w, SP_LIT("clinic"), sp_bytes(far, sizeof(far)), &b));
    ck_assert_ptr_null(sp_policy_wishes_find(w, SP_LIT(""), SP_LIT("pat@example.net")));
}
END_TEST

START_TEST(ways_and_texts_stand_in_the_decision)
{
    char said[20000];
    SP_AUTO(sp_policy) p = load(files, said, sizeof(said));
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_options *o = calloc(1, sizeof(*o));
    struct sp_decision d;
    struct sp_facts f;
    struct sp_buf text;
    size_t at = 0;

    sp_buf_init(&text, SP_OPTIONS_MAX);

    facts_for(&f, "clinic", "a@clinic.example", "r@lab.example");
    close_all(p, &f);
    sp_policy_decide(p, &f, &d);
    ck_assert_uint_eq(d.copies.count, 2);
    ck_assert_str_eq(d.copies.names[1], "b@x.example");
    ck_assert_str_eq(d.route, "lab-line");
    sp_options_of_decision(&d, o);
    ck_assert(o->is_bulk && sp_bytes_eq(o->route, SP_LIT("lab-line")));
    ck_assert(sp_bytes_eq(o->notice, SP_LIT("Do not pass on.")));
    ck_assert(sp_bytes_eq(o->footer, SP_LIT("Clinic")));
    ck_assert_str_eq(sp_policy_route_next(p, &at), "lab-line");
    sp_facts_set_number(&f, SP_FACT_MESSAGE_SEALED, SP_SEALED_SIGNED); /* a signature stays whole */
    sp_policy_decide(p, &f, &d);
    ck_assert(d.edits.notice.len == 0 && d.edits.footer.len == 0);
    sp_options_of_decision(&d, o); /* the portal shows it beside the message */
    ck_assert(o->notice.len == 0 && sp_bytes_eq(o->portal.notice, SP_LIT("Do not pass on.")));
    ck_assert_int_eq(sp_options_write(o, &text), SP_OK);
    ck_assert_int_eq(sp_options_read(sp_buf_bytes(&text), arena, o), SP_OK);
    ck_assert(sp_bytes_eq(o->portal.notice, SP_LIT("Do not pass on.")));
    f.language = 1; /* as it was decided before */
    sp_policy_decide(p, &f, &d);
    ck_assert(d.edits.notice.len == 0 && d.page_notice.len == 0);
    sp_buf_clear(&text);
    facts_for(&f, "clinic", "a@clinic.example", "OLD@y.example");
    close_all(p, &f);
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.redirect, "new@y.example");
    free(o);
}
END_TEST

START_TEST(layers_that_can_not_be_meant_are_refused)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{\"version\": 1}", "needs \"scope\": {\"tenant\": NAME}"},
        {"{\"version\": 1, \"scope\": {\"tenant\": \"t\", \"domain\": \"d.example\", \"user\": "
         "\"a@b.example\"}}",
         "is for a domain or for a user"},
        {"{\"version\": 1, \"scope\": {\"tenant\": \"t\", \"user\": \"a@b.example\"}, \"rules\": "
         "[]}",
         "rules: unknown key"},
        {"{\"version\": 1, \"scope\": {\"tenant\": \"t\"}, \"extends\": \"strict\"}",
         "extends nothing else"},
        {"{\"version\": 1, \"scope\": {\"tenant\": \"hospital\"}}", "is for this scope already"},
        {"{\"version\": 1, \"scope\": {\"tenant\": \"t\"}, \"settings\": {\"portal\": {\"login\": "
         "[\"code\"]}}}",
         "\"portal.login\" is fixed by policies/policy.json"},
        {"{\"version\": 1, \"scope\": {\"tenant\": \"t\"}, \"settings\": {\"timezone\": "
         "\"America/Chicgo\"}}",
         "did you mean \"America/Chicago\"?"},
        {"{\"version\": 1, \"scope\": {\"tenant\": \"t\"}, \"rules\": [{\"rule\": \"labs\", "
         "\"then\": {\"protect\": \"everyday\"}}]}",
         "this name is taken by the rule in"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct file with[] = {
            files[0], files[1], files[2], {"policies/layers/z.json", cases[i].text}, {NULL, NULL}};
        char said[20000];
        SP_AUTO(sp_policy) p = load(with, said, sizeof(said));

        ck_assert_msg(p == NULL, "case %zu was taken", i);
        ck_assert_msg(strstr(said, cases[i].expected) != NULL, "case %zu: %s", i, said);
    }
}
END_TEST

START_TEST(plain_mail_needs_a_warning_that_was_given)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{\"version\": 1, \"preferences\": [{\"recipient\": \"a@b.example\", \"preference\": "
         "\"plain\", \"given\": \"2026-01-01\", \"by\": \"desk\", \"until\": \"2027-01-01\"}]}",
         "\"warning\" is missing"},
        {"{\"version\": 1, \"preferences\": [{\"recipient\": \"a@b.example\", \"preference\": "
         "\"plain\", \"given\": \"2026-01-01\", \"by\": \"desk\", \"warning\": \"risk-1\"}]}",
         "\"plain\" needs \"warning\""},
        {"{\"version\": 1, \"preferences\": [{\"recipient\": \"a@b.example\", \"preference\": "
         "\"palin\", \"given\": \"2026-01-01\", \"by\": \"desk\"}]}",
         "did you mean \"plain\"?"},
        {"{\"version\": 1, \"preferences\": [{\"recipient\": \"b.example\", \"preference\": "
         "\"tls\", \"given\": \"2026-01-01\", \"by\": \"desk\"}]}",
         "expected an address"},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct file with[] = {
            files[0], {"policies/preferences.json", cases[i].text}, {NULL, NULL}};
        char said[20000];
        SP_AUTO(sp_policy) p = load(with, said, sizeof(said));

        ck_assert_msg(p == NULL, "case %zu was taken", i);
        ck_assert_msg(strstr(said, cases[i].expected) != NULL, "case %zu: %s", i, said);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, each_sender_has_its_layers);
    tcase_add_test(c, guards_are_asked_outermost_first_and_rules_innermost_first);
    tcase_add_test(c, a_preference_holds_until_it_ends);
    tcase_add_test(c, what_a_recipient_chose_counts_beside_the_registry);
    tcase_add_test(c, wishes_are_kept_by_tenant_and_address);
    tcase_add_test(c, ways_and_texts_stand_in_the_decision);
    tcase_add_test(c, layers_that_can_not_be_meant_are_refused);
    tcase_add_test(c, plain_mail_needs_a_warning_that_was_given);
}

SP_TEST_MAIN("policy.scope", add)
