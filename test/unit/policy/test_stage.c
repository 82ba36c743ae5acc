/*
 * A draft beside the live policy: what counts as one, which messages are its own, and that pinned partners are part of a
 * version.
 */
#include "policy/stage.h"

#include <stdio.h>

#include "support/check_main.h"

#define LIVE                                                                                       \
    "{\"version\": 1, \"settings\": {\"floor\": \"plain\"}, \"default\": {\"protect\": "           \
    "{\"rungs\": [\"plain\"], \"floor\": \"plain\"}}}"
#define DRAFT                                                                                      \
    "{\"version\": 1, \"default\": {\"protect\": {\"rungs\": [\"portal\"], \"floor\": "            \
    "\"sealed\"}}}"

struct file {
    const char *name, *text;
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

static enum sp_rc load(struct file *files, struct sp_policy_stage *out)
{
    struct sp_policy_reader reader = {read_file, files, NULL};
    SP_AUTO(sp_problems) problems = sp_problems_new();

    return sp_policy_stage_load(&reader, "policies/policy.json", problems, out);
}

/* returns: the hash of a policy of these files; to be freed */
static char *hash_of(struct file *files, const char *path)
{
    struct sp_policy_reader reader = {read_file, files, NULL};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_policy) p = NULL;

    ck_assert_int_eq(sp_policy_load(&reader, path, problems, &p), SP_OK);
    return sp_strdup(sp_policy_hash(p));
}

START_TEST(only_the_version_that_was_staged_counts)
{
    char staging[512];
    struct file files[] = {{"policies/policy.json", LIVE},
                           {"policies/staged.json", DRAFT},
                           {"policies/staging.json", staging},
                           {NULL, NULL}};
    struct sp_policy_stage stage;
    char *hash = hash_of(files, "policies/staged.json");

    snprintf(staging, sizeof(staging),
             "{\"mode\": \"percent\", \"percent\": 25, \"after\": \"%s\"}", hash);
    ck_assert_int_eq(load(files, &stage), SP_OK);
    ck_assert_ptr_nonnull(stage.draft);
    ck_assert_uint_eq(stage.percent, 25);
    sp_policy_unref(stage.draft);
    snprintf(staging, sizeof(staging), "{\"mode\": \"shadow\", \"after\": \"%s\"}", hash);
    ck_assert_int_eq(load(files, &stage), SP_OK);
    ck_assert_uint_eq(stage.percent, 0);
    sp_policy_unref(stage.draft);
    files[1].text = LIVE; /* somebody has changed it */
    ck_assert_int_ne(load(files, &stage), SP_OK);
    ck_assert_ptr_null(stage.draft);
    files[1].text = DRAFT;
    snprintf(staging, sizeof(staging),
             "{\"mode\": \"percent\", \"percent\": 101, \"after\": \"%s\"}", hash);
    ck_assert_int_ne(load(files, &stage), SP_OK);
    snprintf(staging, sizeof(staging), "nonsense");
    ck_assert_int_ne(load(files, &stage), SP_OK);
    files[2].name = "elsewhere";
    ck_assert_int_eq(load(files, &stage), SP_OK); /* nothing is staged */
    ck_assert_ptr_null(stage.draft);
    sp_free(hash);
}
END_TEST

START_TEST(members_of_a_kept_list_may_change_meanwhile)
{
    static const char draft[] =
        "{\"version\": 1, \"lists\": {\"l\": {\"kind\": \"addresses\", \"file\": \"l.txt\"}}, "
        "\"ladders\": {\"l\": {\"rungs\": [\"tls:encrypted\"], \"floor\": \"tls:encrypted\"}}, "
        "\"rules\": [{\"rule\": \"r\", \"when\": {\"sender.address\": {\"in\": \"l\"}}, \"then\": "
        "{\"protect\": \"l\"}}], \"default\": {\"protect\": \"l\"}}";
    static const char kept[] = "# kept by sallyport directory: directory h\n";
    static const struct {
        const char *now;
        bool counts;
    } cases[] = {
        {"# kept by sallyport directory: directory h\nb@h.example\nc@h.example\n", true},
        {"# kept by sallyport directory: import\nc@h.example\n", true},
        {"# kept by hand\na@h.example\n", false},
        {"b@h.example\n", false},
    };
    struct sp_policy_reader reader = {read_file, NULL, NULL};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_policy) staged = NULL;
    struct file files[] = {{"policies/policy.json", LIVE},
                           {"policies/staged.json", draft},
                           {"policies/l.txt", kept},
                           {"policies/staging.json", NULL},
                           {NULL, NULL}};
    struct sp_policy_stage stage;
    char staging[512];

    reader.ctx = files;
    ck_assert_int_eq(sp_policy_load(&reader, "policies/staged.json", problems, &staged), SP_OK);
    snprintf(staging, sizeof(staging),
             "{\"mode\": \"shadow\", \"after\": \"%s\", \"rules\": \"%s\"}", sp_policy_hash(staged),
             sp_policy_rules_hash(staged));
    files[3].text = staging;
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        files[2].text = cases[i].now;
        ck_assert_msg((load(files, &stage) == SP_OK) == cases[i].counts, "case %zu", i);
        ck_assert(stage.draft == NULL ||
                  strcmp(sp_policy_hash(stage.draft), sp_policy_hash(staged)) != 0);
        sp_policy_unref(stage.draft);
    }
}
END_TEST

START_TEST(a_share_only_grows_and_is_about_what_it_says)
{
    size_t count[101] = {0};

    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t mixed = i * 0x9e3779b97f4a7c15U;
        bool before = false;
        uint8_t mac[32] = {0};

        for (size_t k = 0; k < 8; k++)
            mac[k] = (uint8_t)(mixed >> (56 - 8 * k));
        ck_assert(!sp_policy_stage_takes(0, mac));
        ck_assert(sp_policy_stage_takes(100, mac));
        for (unsigned percent = 1; percent <= 100; percent++) {
            bool takes = sp_policy_stage_takes(percent, mac);

            ck_assert(takes || !before); /* never given back */
            before = takes;
            count[percent] += takes;
        }
    }
    for (size_t percent = 1; percent <= 100; percent++)
        ck_assert(count[percent] > percent * 15 && count[percent] < percent * 25 + 20);
}
END_TEST

START_TEST(pinned_partners_are_part_of_the_version)
{
    struct file files[] = {{"policies/policy.json", LIVE}, {NULL, NULL}, {NULL, NULL}};
    char *none = hash_of(files, "policies/policy.json"), *one, *other, *commented;

    files[1] = (struct file){"policies/partners.json", "{\"version\": 1, \"partners\": []}"};
    one = hash_of(files, "policies/policy.json");
    files[1].text = "{\"version\": 1, /* none yet */ \"partners\": []}";
    commented = hash_of(files, "policies/policy.json");
    files[1].text = "{\"version\": 1, \"partners\": [{\"domain\": \"lab.example\"}]}";
    other = hash_of(files, "policies/policy.json");
    ck_assert_str_ne(none, one);
    ck_assert_str_ne(one, other);
    ck_assert_str_eq(one, commented);
    sp_free(none);
    sp_free(one);
    sp_free(other);
    sp_free(commented);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, only_the_version_that_was_staged_counts);
    tcase_add_test(c, members_of_a_kept_list_may_change_meanwhile);
    tcase_add_test(c, a_share_only_grows_and_is_about_what_it_says);
    tcase_add_test(c, pinned_partners_are_part_of_the_version);
}

SP_TEST_MAIN("policy.stage", add)
