/* What the files beside a policy claim, against what the books know: who approved, and what was live before. */
#include <stdio.h>
#include <unistd.h>

#include "audit/policies.h"
#include "chain.h"
#include "support/check_main.h"

#define WALL_MS 1795359845118

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HASH_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define CLAIMS                                                                                     \
    "\"who\":\"uid 0\",\"approver\":\"Privacy Officer\",\"reason\":\"by hand\",\"tests\":9"
#define UNAPPROVED(what) "\"what\":\"" what ", not approved by a second person\""

static char folder[64];
static char file_path[128];
static char base_path[128];
static struct fake_clock fake;
static struct sp_audit_signer signer;
static struct sp_audit_book *book;
static size_t lines_end; /* of the file, as it was before the last step */
static char said[16384]; /* what the last step wrote */

static void set_up(void)
{
    struct sp_audit_book_options options = {
        .database = base_path, .file = file_path, .signer = &signer, .clock = &fake.clock};
    struct sp_err err = {0};

    snprintf(folder, sizeof(folder), "/tmp/sp-policies-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file_path, sizeof(file_path), "%s/audit.jsonl", folder);
    snprintf(base_path, sizeof(base_path), "%s/state.db", folder);
    fake_clock_init(&fake, WALL_MS);
    chain_signer(&signer, 1);
    lines_end = 0;
    ck_assert_msg(sp_audit_book_open(&options, &book, &err) == SP_OK, "%s", err.text);
}

static void tear_down(void)
{
    static const char *const names[] = {"audit.jsonl", "audit.jsonl.head", "audit.jsonl.pub",
                                        "state.db",    "state.db-wal",     "state.db-shm"};
    char path[160];

    sp_audit_book_free(book);
    book = NULL;
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* Reads what was written since the last time. */
static void read_on(void)
{
    FILE *f = fopen(file_path, "r");
    size_t len;

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, (long)lines_end, SEEK_SET), 0);
    len = fread(said, 1, sizeof(said) - 1, f);
    fclose(f);
    said[len] = 0;
    lines_end += len;
}

static void expect(const char *needle)
{
    ck_assert_msg(strstr(said, needle) != NULL, "no %s in: %s", needle, said);
}

static void expect_not(const char *needle)
{
    ck_assert_msg(strstr(said, needle) == NULL, "%s in: %s", needle, said);
}

static void take(const char *hash, const char *published, const char *staging, bool second_person)
{
    struct sp_audit_policy p = {.hash = sp_bytes_cstr(hash),
                                .canonical = SP_LIT("{}"),
                                .published = sp_bytes_cstr(published),
                                .staging = sp_bytes_cstr(staging),
                                .second_person = second_person};
    struct sp_err err = {0};

    ck_assert_msg(sp_audit_book_policy(book, &p, &err) == SP_OK, "%s", err.text);
    read_on();
}

static const char *act(const char *event, const char *after)
{
    static char text[512];

    snprintf(text, sizeof(text), "{\"event\":\"%s\",\"after\":\"%s\"," CLAIMS "}", event, after);
    return text;
}

static const char *stage(const char *mode, int percent, const char *after)
{
    static char text[512];

    snprintf(text, sizeof(text),
             "{\"event\":\"policy.staged\",\"before\":\"" HASH_A "\",\"after\":\"%s\"," CLAIMS
             ",\"mode\":\"%s\",\"percent\":%d}",
             after, mode, percent);
    return text;
}

static void approve(const char *hash)
{
    struct sp_audit_vote ann = {sp_bytes_cstr(hash),
                                SP_LIT("{\"type\":\"admin\",\"id\":\"uid:1\"}"), SP_LIT("labs")};
    struct sp_audit_vote bob = {sp_bytes_cstr(hash),
                                SP_LIT("{\"type\":\"admin\",\"id\":\"uid:2\"}"), SP_LIT("read it")};

    ck_assert_int_eq(sp_audit_book_propose(book, &ann, NULL), SP_OK);
    ck_assert_int_eq(sp_audit_book_approve(book, &bob, NULL), SP_OK);
    read_on();
}

/* ---- what takes effect ---- */

START_TEST(a_version_that_never_was_live_is_no_rollback)
{
    take(HASH_A, "", "", true);
    take(HASH_B, act("policy.rolled-back", HASH_B), "", true);
    expect("\"event\":\"config.changed\"");
    expect(UNAPPROVED("policy files"));
    expect("\"after\":\"" HASH_B "\",\"before\":\"" HASH_A "\"");
    expect_not("policy.rolled-back");
    expect_not("Privacy Officer");
}
END_TEST

START_TEST(a_version_that_was_live_is_taken_back_by_one_person)
{
    take(HASH_A, "", "", true);
    approve(HASH_B);
    take(HASH_B, act("policy.published", HASH_B), "", true);
    expect("\"event\":\"policy.published\"");
    expect("\"approver\":\"uid:2\"");
    take(HASH_A, act("policy.rolled-back", HASH_A), "", true);
    expect("\"event\":\"policy.rolled-back\"");
    expect("\"after\":\"" HASH_A "\",\"before\":\"" HASH_B "\"");
    expect_not("config.changed");
    expect_not("\"approver\""); /* the file's word for it is nobody's */
}
END_TEST

START_TEST(a_published_version_is_not_free_because_it_was_live)
{
    take(HASH_A, "", "", true);
    take(HASH_B, "", "", true);
    take(HASH_A, act("policy.published", HASH_A), "", true);
    expect(UNAPPROVED("policy files"));
}
END_TEST

START_TEST(without_the_setting_the_acts_word_is_taken)
{
    take(HASH_A, "", "", false);
    take(HASH_B, act("policy.published", HASH_B), stage("percent", 5, HASH_C), false);
    expect("\"event\":\"policy.published\"");
    expect("\"event\":\"policy.staged\"");
    expect("\"approver\":\"Privacy Officer\"");
    expect_not("config.changed");
}
END_TEST

/* ---- what is staged ---- */

START_TEST(a_share_of_the_mail_needs_the_approval_of_that_very_draft)
{
    take(HASH_A, "", "", true);
    approve(HASH_B);
    take(HASH_A, "", stage("percent", 100, HASH_C), true);
    expect("\"event\":\"config.changed\"");
    expect(UNAPPROVED("policy stage"));
    expect("\"percent\":100");
    expect("\"draft\":\"" HASH_C "\"");
    expect_not("policy.staged");
    expect_not("Privacy Officer");
    take(HASH_A, "", stage("percent", 1, "bbbbbbbb"), true); /* only begins like it */
    expect(UNAPPROVED("policy stage"));
    take(HASH_A, "", stage("all", 0, HASH_C), true); /* no stage that a relay would take */
    expect(UNAPPROVED("policy stage"));
    take(HASH_A, "", "", true);
    expect("\"event\":\"policy.unstaged\"");
}
END_TEST

START_TEST(the_approver_of_a_stage_is_whom_the_books_know)
{
    take(HASH_A, "", "", true);
    approve(HASH_B);
    take(HASH_A, "", stage("percent", 60, HASH_B), true);
    expect("\"event\":\"policy.staged\"");
    expect("\"approver\":\"uid:2\"");
    expect("\"percent\":60");
    expect_not("Privacy Officer");
    expect_not("config.changed");
}
END_TEST

START_TEST(shadow_is_free_and_decides_nothing)
{
    take(HASH_A, "", "", true);
    take(HASH_A, "", stage("shadow", 60, HASH_C), true);
    expect("\"event\":\"policy.staged\"");
    expect("\"percent\":0");
    expect_not("\"approver\"");
}
END_TEST

START_TEST(a_stage_that_nobody_tells_of_is_recorded_as_such)
{
    static const char *const acts[] = {
        "{\"mode\":\"percent\",\"percent\":60,\"after\":\"" HASH_B "\"}",
        "{\"event\":\"policy.approved\",\"mode\":\"percent\",\"percent\":60,"
        "\"after\":\"" HASH_B "\"," CLAIMS "}",
        "{\"event\":\"policy.staged\",\"mode\":\"percent\",\"percent\":60," CLAIMS "}",
    };

    take(HASH_A, "", "", false);
    for (size_t i = 0; i < SP_ARRAY_LEN(acts); i++) {
        take(HASH_A, "", acts[i], i == 1);
        expect("\"event\":\"config.changed\"");
        expect("\"what\":\"policy stage, not published\"");
        expect_not("policy.approved");
    }
}
END_TEST

#define KEPT(members) "\"# kept by sallyport directory: directory h\\n" members "\""

/* A version with this canonical text takes effect, and nobody has said so. */
static void take_text(const char *hash, const char *canonical)
{
    struct sp_audit_policy p = {.hash = sp_bytes_cstr(hash), .canonical = sp_bytes_cstr(canonical)};
    struct sp_err err = {0};

    ck_assert_msg(sp_audit_book_policy(book, &p, &err) == SP_OK, "%s", err.text);
    read_on();
}

START_TEST(members_of_kept_lists_are_told_as_such)
{
    static const char first[] =
        "{\"file:lists/a.txt\":" KEPT("a@h.example") ",\"file:t.txt\":\"x\","
                                                     "\"layer0\":{\"rules\":[1]}}";
    static const struct {
        const char *text;
        bool only_lists;
    } cases[] = {
        {"{\"file:lists/a.txt\":" KEPT(
             "b@h.example") ",\"file:t.txt\":\"x\",\"layer0\":{\"rules\":[1]}}",
         true},
        {"{\"file:lists/a.txt\":" KEPT(
             "b@h.example") ",\"file:t.txt\":\"x\",\"layer0\":{\"rules\":[2]}}",
         false},
        {"{\"file:lists/a.txt\":" KEPT(
             "b@h.example") ",\"file:t.txt\":\"y\",\"layer0\":{\"rules\":[1]}}",
         false},
        {"{\"file:lists/a.txt\":\"b@h.example\",\"file:t.txt\":\"x\",\"layer0\":{\"rules\":[1]}}",
         false},
        {"{\"file:lists/a.txt\":" KEPT("b@h.example") ",\"layer0\":{\"rules\":[1]}}", false},
        {"{\"file:lists/a.txt\":" KEPT(
             "b@h.example") ",\"file:t.txt\":\"x\",\"layer0\":{\"rules\":[1]},"
                            "\"layer1\":{}}",
         false},
        {"", false},
    };
    char hash[SP_ARRAY_LEN(cases)][2][65];

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        snprintf(hash[i][0], sizeof(hash[i][0]), "%064zx", 2 * i + 1);
        snprintf(hash[i][1], sizeof(hash[i][1]), "%064zx", 2 * i + 2);
        take_text(hash[i][0], first);
        take_text(hash[i][1], cases[i].text);
        expect("\"event\":\"config.changed\"");
        if (cases[i].only_lists) {
            expect("\"what\":\"members of lists that are marked as kept from a directory or a "
                   "table\"");
            expect("\"files\":[\"lists/a.txt\"]");
        } else {
            expect("\"what\":\"policy files, not published\"");
            expect_not("\"files\"");
        }
        expect_not("h.example");
    }
}
END_TEST

/* A version with this text, whose act says that it restored another. */
static void take_back(const char *hash, const char *restored, const char *canonical)
{
    char text[1024];
    struct sp_audit_policy p = {
        .hash = sp_bytes_cstr(hash), .canonical = sp_bytes_cstr(canonical), .second_person = true};
    struct sp_err err = {0};

    snprintf(text, sizeof(text),
             "{\"event\":\"policy.rolled-back\",\"before\":\"x\",\"after\":\"%s\","
             "\"restored\":\"%s\"," CLAIMS "}",
             hash, restored);
    p.published = sp_bytes_cstr(text);
    ck_assert_msg(sp_audit_book_policy(book, &p, &err) == SP_OK, "%s", err.text);
    read_on();
}

#define VERSION(wishes, list, kept, set, rules)                                                    \
    "{\"file:a.txt\":\"" list "\",\"file:k.txt\":" KEPT(                                           \
        kept) ",\"file:p.json\":\"" wishes "\","                                                   \
              "\"layer0\":{\"rules\":[" set "]},"                                                  \
              "\"layer1\":{\"preferences\":{\"file\":\"p.json\"},\"rules\":[" rules "]}}"

START_TEST(rules_of_before_beside_what_is_recorded_now_are_taken_back_by_one_person)
{
    static const char then[] = VERSION("plain", "lab", "ann", "1", "1");
    static const char now[] = VERSION("none", "other", "bob", "2", "2");
    static const struct {
        const char *what, *text;
        bool free;
    } cases[] = {
        {"wishes, members and set of now", VERSION("none", "lab", "bob", "2", "1"), true},
        {"all of then", VERSION("plain", "lab", "ann", "1", "1"), true},
        {"another list than any", VERSION("none", "new", "bob", "2", "1"), false},
        {"the list of now", VERSION("none", "other", "bob", "2", "1"), false},
        {"wishes that nobody recorded", VERSION("new", "lab", "bob", "2", "1"), false},
        {"a set that never was", VERSION("none", "lab", "bob", "3", "1"), false},
        {"rules that never were", VERSION("none", "lab", "bob", "2", "3"), false},
        {"a file more", "{\"file:z.txt\":\"x\"}", false},
    };
    char hash[SP_ARRAY_LEN(cases)][3][65];

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        for (size_t k = 0; k < 3; k++)
            snprintf(hash[i][k], sizeof(hash[i][k]), "%064zx", 16 + 4 * i + k);
        take_text(hash[i][0], then);
        take_text(hash[i][1], now);
        take_back(hash[i][2], hash[i][0], cases[i].text);
        if (cases[i].free) {
            expect("\"event\":\"policy.rolled-back\"");
            expect("\"restored\":\"");
            expect_not(UNAPPROVED("policy files"));
        } else {
            expect(UNAPPROVED("policy files"));
            expect_not("policy.rolled-back");
        }
    }
    take_back(HASH_C, HASH_B, then); /* these books never had it */
    expect(UNAPPROVED("policy files"));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, a_version_that_never_was_live_is_no_rollback);
    tcase_add_test(c, a_version_that_was_live_is_taken_back_by_one_person);
    tcase_add_test(c, a_published_version_is_not_free_because_it_was_live);
    tcase_add_test(c, without_the_setting_the_acts_word_is_taken);
    tcase_add_test(c, a_share_of_the_mail_needs_the_approval_of_that_very_draft);
    tcase_add_test(c, the_approver_of_a_stage_is_whom_the_books_know);
    tcase_add_test(c, shadow_is_free_and_decides_nothing);
    tcase_add_test(c, a_stage_that_nobody_tells_of_is_recorded_as_such);
    tcase_add_test(c, rules_of_before_beside_what_is_recorded_now_are_taken_back_by_one_person);
    tcase_add_test(c, members_of_kept_lists_are_told_as_such);
}

SP_TEST_MAIN("audit.policies", add)
