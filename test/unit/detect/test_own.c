/* What an organisation adds: its patterns with their checks and words nearby, its terms, and exact data behind a key. */
#include "base/buf.h"
#include "detect/own.h"
#include "support/check_main.h"

static const char own_text[] =
    "{\"version\": 1, \"patterns\": ["
    "{\"name\": \"chart\", \"type\": \"MRN\", \"pattern\": \"CH-[0-9]{4}\", \"score\": 90},"
    "{\"type\": \"ACCOUNT\", \"pattern\": \"[0-9]{11}\", \"check\": \"luhn\", \"near\": "
    "[\"ledger\"]},"
    "{\"type\": \"OTHER\", \"pattern\": \"[0-9]{9}[0-9X]\", \"check\": \"mod11\", \"near\": "
    "[\"study\"]}],"
    "\"terms\": {\"health\": [\"Bluebird program\"], \"patient\": [\"camper\"], "
    "\"ignore\": [\"Mercy Whitfield\"], \"special\": {\"abuse\": [\"Harbor House\"], "
    "\"vip\": [\"Suite Nine\"]}}}";

static const uint8_t key[SP_DETECT_EXACT_KEY_LEN] = {7, 1, 9};

struct bench {
    struct sp_detect *detect;
    struct sp_detect_own *own;
    struct sp_buf index;
    struct sp_arena *arena;
    struct sp_detect_result result;
};

static void open_bench(struct bench *b)
{
    SP_AUTO(sp_detect_index) x = sp_detect_index_new(sp_bytes(key, sizeof(key)));
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_detect_exact *exact = NULL;
    struct sp_err err = {0};

    *b = (struct bench){.arena = sp_arena_new(4096)};
    sp_buf_init(&b->index, 100000);
    ck_assert(sp_detect_index_add_name(x, SP_LIT("Sunny"), SP_LIT("River")));
    ck_assert(sp_detect_index_add_name(x, SP_LIT("Zo\xc3\xab"), SP_LIT("O'Hollow")));
    ck_assert(sp_detect_index_add_name(x, SP_LIT("\xc3\x89mile"), SP_LIT("Quoz")));
    ck_assert(!sp_detect_index_add_name(x, SP_LIT("J"), SP_LIT("River")));
    ck_assert(sp_detect_index_add_value(x, SP_DETECT_MRN, SP_LIT("88-1234-5")));
    ck_assert(sp_detect_index_add_value(x, SP_DETECT_MRN, SP_LIT("8812345"))); /* the same */
    ck_assert(!sp_detect_index_add_value(x, SP_DETECT_MRN, SP_LIT("12-3")));
    ck_assert(!sp_detect_index_add_value(x, SP_DETECT_MRN, SP_LIT("nodigits")));
    ck_assert_int_eq(sp_detect_index_finish(x, &b->index), SP_OK);
    ck_assert_int_eq(sp_detect_new(&b->detect, &err), SP_OK);
    ck_assert_int_eq(
        sp_detect_exact_open(sp_buf_bytes(&b->index), sp_bytes(key, sizeof(key)), &exact, &err),
        SP_OK);
    ck_assert_uint_eq(sp_detect_exact_count(exact), 4);
    ck_assert_int_eq(sp_detect_own_load(b->detect, sp_bytes_cstr(own_text), "own.json", exact,
                                        problems, &b->own),
                     SP_OK);
    ck_assert_uint_eq(sp_problems_count(problems), 0);
}

static void close_bench(struct bench *b)
{
    sp_detect_own_free(b->own);
    sp_detect_free(b->detect);
    sp_buf_clear(&b->index);
    sp_arena_free(b->arena);
}

static const struct sp_detect_result *look(struct bench *b, const char *text, bool own)
{
    struct sp_detect_limits limits = {.findings = true, .own = own ? b->own : NULL};

    sp_arena_reset(b->arena);
    sp_detect_text(b->detect, sp_bytes_cstr(text), &limits, b->arena, &b->result);
    return &b->result;
}

static const struct {
    const char *text;
    enum sp_detect_type type;
    bool with;    /* found with what is added */
    bool without; /* and without */
} values[] = {
    {"ref CH-4471, lupus", SP_DETECT_MRN, true, false},
    {"ref ch-4471, lupus", SP_DETECT_MRN, true, false},
    {"ref XCH-4471, lupus", SP_DETECT_MRN, false, false}, /* no whole word */
    {"ref CH-44711, lupus", SP_DETECT_MRN, false, false},
    {"ledger 79927398713, lupus", SP_DETECT_ACCOUNT, true, false},
    {"ledger 79927398714, lupus", SP_DETECT_ACCOUNT, false, false}, /* its check digit is wrong */
    {"number 79927398713, lupus", SP_DETECT_ACCOUNT, false, false}, /* nothing near */
    {"Study no 0306406152, lupus", SP_DETECT_OTHER, true, false},
    {"Study no 0306406153, lupus", SP_DETECT_OTHER, false, false},
    {"Study no 080442957X, lupus", SP_DETECT_OTHER, true, false},
    {"Sunny River starts insulin", SP_DETECT_PERSON, true, false},
    {"River, Sunny starts insulin", SP_DETECT_PERSON, true, false},
    {"Sunny K. River starts insulin", SP_DETECT_PERSON, true, false},
    {"ZO\xc3\xab O'Hollow starts insulin", SP_DETECT_PERSON, true, false},
    {"\xc3\x89mile Quoz starts insulin", SP_DETECT_PERSON, true, true}, /* by its shape */
    {"MRN-8812345 has lupus", SP_DETECT_MRN, true, true},
    {"sunny river starts insulin", SP_DETECT_PERSON, false, false},
    {"the 88-1234-5 has lupus", SP_DETECT_MRN, true, false},
    {"the 88.12345 has lupus", SP_DETECT_MRN, true, false},
    {"the 88-1234-6 has lupus", SP_DETECT_MRN, false, false},
};

START_TEST(classes_of_its_own_make_a_message_special)
{
    static const struct {
        const char *text;
        unsigned own; /* bits behind the detector's */
        bool hiv;
    } cases[] = {
        {"Patient John Miller, MRN 00918273, stays at Harbor House.", 1, false},
        {"Patient John Miller, MRN 00918273, in suite nine, has lupus.", 2, false},
        {"Patient John Miller, MRN 00918273, HIV positive, is at Harbor House.", 1, true},
        {"Patient John Miller, MRN 00918273, has lupus.", 0, false},
        {"Patient John Miller, MRN 00918273, has lupus; Harbor Houses are built.", 0, false},
        {"The board of Harbor House meets at nine.", 0, false}, /* nobody's health */
    };
    struct bench b;

    open_bench(&b);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        const struct sp_detect_result *r = look(&b, cases[i].text, true);

        ck_assert_msg(r->special >> SP_DETECT_SPECIALS == cases[i].own, "%s: %x", cases[i].text,
                      r->special);
        ck_assert_msg(((r->special & SP_DETECT_HIV) != 0) == cases[i].hiv, "%s", cases[i].text);
        ck_assert_msg((r->class == SP_DETECT_SEVERE) == (r->special != 0), "%s", cases[i].text);
        r = look(&b, cases[i].text, false);
        ck_assert_msg(r->special >> SP_DETECT_SPECIALS == 0, "without: %s", cases[i].text);
    }
    ck_assert_str_eq(sp_detect_own_special(b.own, 0), "part2");
    ck_assert_str_eq(sp_detect_own_special(b.own, SP_DETECT_SPECIALS), "abuse");
    ck_assert_str_eq(sp_detect_own_special(b.own, SP_DETECT_SPECIALS + 1), "vip");
    ck_assert_ptr_null(sp_detect_own_special(b.own, SP_DETECT_SPECIALS + 2));
    ck_assert_ptr_null(sp_detect_own_special(NULL, SP_DETECT_SPECIALS));
    close_bench(&b);
}
END_TEST

START_TEST(values_are_found_with_what_is_added)
{
    struct bench b;

    open_bench(&b);
    for (size_t i = 0; i < SP_ARRAY_LEN(values); i++) {
        const struct sp_detect_result *r = look(&b, values[i].text, true);

        ck_assert_msg((r->types[values[i].type].count > 0) == values[i].with, "with: %s",
                      values[i].text);
        ck_assert_msg((r->class == SP_DETECT_PHI) == values[i].with, "verdict with: %s (%u)",
                      values[i].text, r->class);
        r = look(&b, values[i].text, false);
        ck_assert_msg((r->types[values[i].type].count > 0) == values[i].without, "without: %s",
                      values[i].text);
    }
    close_bench(&b);
}
END_TEST

START_TEST(own_terms_count_like_the_dictionarys)
{
    struct bench b;

    open_bench(&b);
    ck_assert_int_eq(look(&b, "Maria Gonzalez starts the Bluebird Program.", false)->class,
                     SP_DETECT_NONE);
    ck_assert_int_eq(look(&b, "Maria Gonzalez starts the Bluebird Program.", true)->class,
                     SP_DETECT_PHI);
    ck_assert_int_eq(look(&b, "Mercy Whitfield has asthma.", false)->class, SP_DETECT_PHI);
    ck_assert_int_eq(look(&b, "Mercy Whitfield has asthma.", true)->class, SP_DETECT_NONE);
    ck_assert_int_eq(look(&b, "Mercy Whitfield and Maria Gonzalez, who has asthma.", true)->class,
                     SP_DETECT_PHI);
    close_bench(&b);
}
END_TEST

START_TEST(an_index_tells_nothing_and_wants_its_key)
{
    struct bench b;
    struct sp_detect_exact *exact = NULL;
    struct sp_err err = {0};
    struct sp_bytes index;

    open_bench(&b);
    index = sp_buf_bytes(&b.index);
    ck_assert(memmem(index.ptr, index.len, "8812345", 7) == NULL);
    ck_assert(memmem(index.ptr, index.len, "unny", 4) == NULL);
    ck_assert_int_eq(
        sp_detect_exact_open(index, sp_bytes(own_text, SP_DETECT_EXACT_KEY_LEN), &exact, &err),
        SP_E_CRYPT_KEY);
    ck_assert_int_eq(sp_detect_exact_open(index, sp_bytes(key, 31), &exact, &err), SP_E_CRYPT_KEY);
    for (size_t cut = 0; cut < index.len; cut++)
        ck_assert_int_eq(sp_detect_exact_open(sp_bytes_slice(index, 0, cut),
                                              sp_bytes(key, sizeof(key)), &exact, &err),
                         SP_E_MALFORMED);
    ck_assert_ptr_null(exact);
    close_bench(&b);
}
END_TEST

static const struct {
    const char *text;
    const char *says; /* in the first problem */
} wrong[] = {
    {"{\"version\": 2}", "version"},
    {"{\"version\": 1, \"paterns\": []}", "meant: patterns"},
    {"{\"version\": 1, \"patterns\": [{\"type\": \"MRN\"}]}", "\"pattern\" is missing"},
    {"{\"version\": 1, \"patterns\": [{\"pattern\": \"A[0-9\"}]}", "nterminated"},
    {"{\"version\": 1, \"patterns\": [{\"pattern\": \"A(?=B)\"}]}", "not supported"},
    {"{\"version\": 1, \"patterns\": [{\"pattern\": \"A1\", \"type\": \"MRM\"}]}",
     "expected a type"},
    {"{\"version\": 1, \"patterns\": [{\"pattern\": \"A1\", \"check\": \"mod10\"}]}", "mod11"},
    {"{\"version\": 1, \"patterns\": [{\"pattern\": \"A1\", \"score\": 101}]}", "1 to 100"},
    {"{\"version\": 1, \"patterns\": [{\"pattern\": \"A1\", \"naer\": [\"x\"]}]}", "meant: near"},
    {"{\"version\": 1, \"patterns\": [{\"pattern\": \"A1\", \"near\": []}]}", "words"},
    {"{\"version\": 1, \"terms\": {\"helth\": []}}", "meant: health"},
    {"{\"version\": 1, \"terms\": {\"health\": [\"x\"]}}", "expected a term"},
    {"{\"version\": 1, \"terms\": {\"special\": {\"hiv\": [\"house\"]}}}",
     "none of the detector's"},
    {"{\"version\": 1, \"terms\": {\"special\": {\"My Own\": [\"house\"]}}}",
     "a class of your own"},
    {"{\"version\": 1, \"terms\": {\"special\": [\"house\"]}}", "at most 16 classes"},
    {"{\"version\": 1, \"terms\": {\"special\": {\"own\": \"house\"}}}", "expected an array"},
    {"{\"version\": 1", ""},
};

START_TEST(what_is_wrong_is_told)
{
    struct sp_err err = {0};
    SP_AUTO(sp_detect) d = NULL;

    ck_assert_int_eq(sp_detect_new(&d, &err), SP_OK);
    for (size_t i = 0; i < SP_ARRAY_LEN(wrong); i++) {
        SP_AUTO(sp_problems) problems = sp_problems_new();
        struct sp_detect_own *own = NULL;

        ck_assert_int_ne(
            sp_detect_own_load(d, sp_bytes_cstr(wrong[i].text), "own.json", NULL, problems, &own),
            SP_OK);
        ck_assert_ptr_null(own);
        ck_assert_uint_ge(sp_problems_count(problems), 1);
        ck_assert_msg(strstr(sp_problems_at(problems, 0)->text, wrong[i].says) != NULL, "%s: %s",
                      wrong[i].text, sp_problems_at(problems, 0)->text);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, classes_of_its_own_make_a_message_special);
    tcase_add_test(c, values_are_found_with_what_is_added);
    tcase_add_test(c, own_terms_count_like_the_dictionarys);
    tcase_add_test(c, an_index_tells_nothing_and_wants_its_key);
    tcase_add_test(c, what_is_wrong_is_told);
}

SP_TEST_MAIN("detect.own", add)
