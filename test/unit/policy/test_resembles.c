/* Names that look like a known one: by a letter, by letters of other scripts, by both. Domains stand as A-labels, as addresses do. */
#include "policy/policy.h"

#include <stdio.h>

#include "support/check_main.h"

static const char text[] =
    "{\"version\": 1, \"lists\": {\"known\": {\"kind\": \"domains\", \"entries\": ["
    "\"lab.example\", \"insurer.example\", \"hospital-group.example\", \"apple.com\", "
    "\"outlook.com\", "
    "\"b\u00fccher.example\", \"banknow.example\", \".partner.example\", \"ab.de\"]}},"
    "\"texts\": {\"no\": \"No.\"}, \"ladders\": {\"all\": {\"rungs\": [\"tls:encrypted\"], "
    "\"floor\": \"tls:encrypted\"}},"
    "\"guards\": [{\"rule\": \"like\", \"when\": {\"recipient.domain\": {\"resembles\": "
    "\"known\"}}, \"then\": {\"reject\": \"no\"}}],"
    "\"default\": {\"protect\": \"all\"}}";

static enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    (void)ctx;
    *out = sp_bytes_cstr(text);
    return strcmp(name, "policies/policy.json") == 0 ? SP_OK : SP_E_NOT_FOUND;
}

static struct sp_policy *load(void)
{
    const struct sp_policy_reader reader = {.read = read_file};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_policy *p = NULL;
    struct sp_err err = {0};
    enum sp_rc rc = sp_policy_load(&reader, "policies/policy.json", problems, &p);

    if (rc != SP_OK)
        rc = sp_problems_rc(problems, &err);
    ck_assert_msg(p != NULL, "%s", err.text);
    return p;
}

static bool is_like(const struct sp_policy *p, const char *domain)
{
    struct sp_bytes at = sp_bytes_cstr(domain);
    struct sp_decision d;
    struct sp_facts f;
    char address[600];

    (void)snprintf(address, sizeof(address), "%s%s", sp_bytes_find(at, '@') == SIZE_MAX ? "a@" : "",
                   domain);
    sp_facts_init(&f);
    sp_facts_set_sender(&f, SP_LIT("dr@x.example"));
    sp_facts_set_recipient(&f, sp_bytes_cstr(address));
    sp_policy_decide(p, &f, &d);
    return strcmp(d.rule, "like") == 0;
}

START_TEST(what_reads_like_a_known_name_is_found)
{
    static const struct {
        const char *name, *domain;
        bool like;
    } cases[] = {
        {"the name itself", "insurer.example", false},
        {"in capitals", "INSURER.example", false},
        {"a branch of a partner", "a.partner.example", false},
        {"an address", "claims@insurrer.example", true},
        {"a letter too many", "insurrer.example", true},
        {"two letters too few", "insrr.example", false},
        {"one letter too few", "insuer.example", true},
        {"another letter", "insuren.example", true},
        {"two swapped", "inusrer.example", true},
        {"rn read as m", "1ab.exarnple", true},
        {"one for l", "1ab.example", true},
        {"two other letters", "imsuner.example", false},
        {"another name", "garden.example", false},
        {"all Cyrillic", "xn--80ak6aa92e.com", true},
        {"Cyrillic and Latin", "xn--pple-43d.com", true},
        {"Cyrillic k, m, t, h, b", "xn--nnw-5cdj4c3a.example", true},
        {"Greek o", "xn--utlk-zndda.com", true},
        {"dotless i", "xn--nsurer-o9a.example", true},
        {"l with a stroke", "xn--ab-wqa.example", true},
        {"an accent", "xn--insrer-5ya.example", true},
        {"accents everywhere", "xn--nsrr-dpau7g.xn--exmpl-yqa3d", true},
        {"script g", "xn--hospital-roup-xrf.example", true},
        {"Armenian o and a letter swapped", "xn--utlko-lye99t.com", true},
        {"the list's own IDN", "xn--bcher-kva.example", false},
        {"without its accent", "bucher.example", true},
        {"with another one", "xn--bcher-7ua.example", true},
        {"a letter of it missing", "xn--bher-0ra.example", true},
        {"Han letters", "xn--r8jz45g.example", false},
        {"Cyrillic of its own", "xn--e1afmkfd.example", false},
    };
    SP_AUTO(sp_policy) p = load();

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_assert_msg(is_like(p, cases[i].domain) == cases[i].like, "%s: %s", cases[i].name,
                      cases[i].domain);
}
END_TEST

START_TEST(names_that_nobody_could_register_do_no_harm)
{
    static const char *const domains[] = {"xn--.example",
                                          "xn--a",
                                          "xn--99999999999999.example",
                                          "xn---.example",
                                          "xn--\xff\xfe.example",
                                          "",
                                          ".",
                                          "..",
                                          "xn--0.xn--0.xn--0"};
    SP_AUTO(sp_policy) p = load();
    char far[300];

    for (size_t i = 0; i < SP_ARRAY_LEN(domains); i++)
        ck_assert_msg(!is_like(p, domains[i]), "%s", domains[i]);
    for (size_t len = 200; len < sizeof(far); len++) {
        memset(far, 'a', len);
        far[len] = 0;
        (void)is_like(p, far);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, what_reads_like_a_known_name_is_found);
    tcase_add_test(c, names_that_nobody_could_register_do_no_harm);
}

SP_TEST_MAIN("policy.resembles", add)
