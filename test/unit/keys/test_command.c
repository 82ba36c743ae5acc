/* The commands of `sallyport keys`: what they answer, and what the audit is told before. */
#include "keys/command.h"

#include <time.h>

#include "base/text.h"
#include "support/check_main.h"
#include "support/tools.h"

#define ACTOR "{\"type\":\"admin\",\"id\":\"root\"}"

static char *dir;

static void setup(void)
{
    dir = tool_dir_new();
    tool_must(dir, "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.key -out k.pem -days 30 "
                   "-subj /CN=Pat -addext 'subjectAltName=email:pat@example.net'");
}

static void teardown(void)
{
    tool_dir_free(dir);
}

static struct sp_keys *open_keys(void)
{
    struct sp_keys *keys = NULL;

    ck_assert_int_eq(sp_keys_open(":memory:", &keys, NULL), SP_OK);
    return keys;
}

static enum sp_rc run(struct sp_keys *keys, const char *json, struct sp_buf *event,
                      struct sp_buf *reply)
{
    struct sp_keys_command_env env = {SP_LIT(""), dir, (int64_t)time(NULL) * 1000};
    SP_AUTO(sp_keys_command) command = NULL;
    struct sp_err err = {0};
    enum sp_rc rc =
        sp_keys_command_new(keys, &env, sp_bytes_cstr(json), SP_LIT(ACTOR), &command, &err);

    sp_buf_reset(event);
    sp_buf_reset(reply);
    if (rc == SP_OK) {
        sp_buf_put(event, sp_keys_command_event(command));
        rc = sp_keys_command_run(command, reply, &err);
    }
    ck_assert(rc == SP_OK || err.text[0] != 0);
    return rc;
}

static bool holds(const struct sp_buf *b, const char *needle)
{
    return sp_bytes_find_all(sp_buf_bytes(b), sp_bytes_cstr(needle)) != SIZE_MAX;
}

static char *import_command(const char *name, const char *more)
{
    struct sp_buf file, command;

    sp_buf_init(&file, 1U << 20);
    sp_buf_init(&command, 1U << 20);
    tool_read(dir, name, &file);
    sp_buf_put_cstr(&command, "{\"command\":\"keys.import\",\"data\":\"");
    sp_base64_encode(&command, sp_buf_bytes(&file));
    sp_buf_printf(&command, "\"%s}", more);
    sp_buf_clear(&file);
    return sp_buf_take_cstr(&command);
}

START_TEST(a_key_is_imported_listed_shown_and_removed)
{
    SP_AUTO(sp_keys) keys = open_keys();
    struct sp_buf event, reply, command;
    struct sp_bytes id;
    const char *remove;
    char *text = import_command("k.pem", ",\"reason\":\"by phone\"");

    sp_buf_init(&event, 1U << 20);
    sp_buf_init(&reply, 1U << 20);
    sp_buf_init(&command, 1U << 20);
    ck_assert_int_eq(run(keys, text, &event, &reply), SP_OK);
    ck_assert(holds(&event, "{\"event\":\"key.imported\",\"actor\":" ACTOR ",\"key\":\"smime:"));
    ck_assert(holds(&event, "\"trust\":\"pinned\""));
    ck_assert(holds(&event, "\"reason\":\"by phone\""));
    ck_assert(holds(&reply, "{\"imported\":{\"id\":\"smime:"));
    ck_assert(holds(&reply, "\"usable\":true"));

    ck_assert_int_eq(
        run(keys, "{\"command\":\"keys.list\",\"address\":\"PAT@example.net\"}", &event, &reply),
        SP_OK);
    ck_assert_uint_eq(event.len, 0);
    ck_assert(holds(&reply, "\"addresses\":[\"pat@example.net\"]"));
    ck_assert(holds(&reply, "\"next\":null"));
    id = sp_bytes_slice(sp_buf_bytes(&reply),
                        sp_bytes_find_all(sp_buf_bytes(&reply), SP_LIT("smime:")), 70);

    sp_buf_printf(&command, "{\"command\":\"keys.show\",\"id\":\"%.*s\"}", SP_FMT(id));
    sp_buf_printf(&command, "%c{\"command\":\"keys.remove\",\"id\":\"%.*s\"}%c", 0, SP_FMT(id), 0);
    ck_assert_int_eq(run(keys, (const char *)command.ptr, &event, &reply), SP_OK);
    ck_assert(holds(&reply, "\"data\":\"MII"));
    remove = (const char *)command.ptr + strlen((const char *)command.ptr) + 1;
    ck_assert_int_eq(run(keys, remove, &event, &reply), SP_OK);
    ck_assert(holds(&event, "\"event\":\"key.removed\""));
    ck_assert(holds(&reply, "{\"removed\":\"smime:"));
    ck_assert_int_eq(run(keys, remove, &event, &reply), SP_E_NOT_FOUND);
    sp_free(text);
    sp_buf_clear(&event);
    sp_buf_clear(&reply);
    sp_buf_clear(&command);
}
END_TEST

static struct sp_keys_command *plan(struct sp_keys *keys, const char *json)
{
    struct sp_keys_command_env env = {SP_LIT(""), dir, (int64_t)time(NULL) * 1000};
    struct sp_keys_command *command = NULL;
    struct sp_err err;

    ck_assert_int_eq(
        sp_keys_command_new(keys, &env, sp_bytes_cstr(json), SP_LIT(ACTOR), &command, &err), SP_OK);
    return command;
}

START_TEST(what_fails_behind_its_event_has_another)
{
    SP_AUTO(sp_keys) keys = open_keys();
    char *text = import_command("k.pem", "");
    SP_AUTO(sp_keys_command) first = NULL;
    SP_AUTO(sp_keys_command) second = NULL;
    struct sp_buf event, reply, remove;
    struct sp_err err;
    struct sp_bytes id;

    sp_buf_init(&event, 1U << 20);
    sp_buf_init(&reply, 1U << 20);
    sp_buf_init(&remove, 1000);
    ck_assert_int_eq(run(keys, text, &event, &reply), SP_OK);
    id = sp_bytes_slice(sp_buf_bytes(&reply),
                        sp_bytes_find_all(sp_buf_bytes(&reply), SP_LIT("smime:")), 70);
    sp_buf_printf(&remove, "{\"command\":\"keys.remove\",\"id\":\"%.*s\"}", SP_FMT(id));
    sp_buf_put_u8(&remove, 0);
    first = plan(keys, (const char *)remove.ptr); /* two administrators at once */
    second = plan(keys, (const char *)remove.ptr);
    sp_buf_reset(&reply);
    ck_assert_int_eq(sp_keys_command_run(first, &reply, &err), SP_OK);
    ck_assert_int_eq(sp_keys_command_run(second, &reply, &err), SP_E_NOT_FOUND);
    sp_buf_reset(&event);
    sp_keys_command_failed(second, SP_E_NOT_FOUND, &event);
    ck_assert(holds(&event, "{\"event\":\"admin.acted\",\"act\":\"keys.remove\",\"failed\":"
                            "\"not-found\",\"key\":\"smime:"));
    ck_assert(holds(&event, "\"actor\":{\"id\":\"root\",\"type\":\"admin\"}}"));
    sp_free(text);
    sp_buf_clear(&event);
    sp_buf_clear(&reply);
    sp_buf_clear(&remove);
}
END_TEST

START_TEST(a_refused_import_is_an_event_and_no_key)
{
    SP_AUTO(sp_keys) keys = open_keys();
    struct sp_buf event, reply;
    char *unchained = import_command("k.pem", ",\"pin\":false");
    char *secret = import_command("k.key", "");

    sp_buf_init(&event, 1U << 20);
    sp_buf_init(&reply, 1U << 20);
    ck_assert_int_eq(run(keys, unchained, &event, &reply), SP_E_KEYS_UNUSABLE);
    ck_assert(holds(&event, "\"event\":\"key.refused\""));
    ck_assert(holds(&event, "\"why\":\"keys.unusable\""));
    ck_assert_int_eq(run(keys, secret, &event, &reply), SP_E_KEYS_FORMAT);
    ck_assert(holds(&event, "\"event\":\"key.refused\""));
    ck_assert_int_eq(run(keys, "{\"command\":\"keys.list\"}", &event, &reply), SP_OK);
    ck_assert(holds(&reply, "{\"keys\":[],\"next\":null}"));
    sp_free(unchained);
    sp_free(secret);
    sp_buf_clear(&event);
    sp_buf_clear(&reply);
}
END_TEST

START_TEST(pages_follow_each_other)
{
    SP_AUTO(sp_keys) keys = open_keys();
    struct sp_buf event, reply;

    sp_buf_init(&event, 1U << 20);
    sp_buf_init(&reply, 1U << 20);
    for (char c = 'a'; c < 'd'; c++) {
        struct sp_keys_key key = {.kind = SP_KEYS_PGP, .address_count = 1};

        key.id[0] = c;
        key.addresses[0][0] = c;
        ck_assert_int_eq(sp_keys_put(keys, &key, 1, NULL), SP_OK);
    }
    ck_assert_int_eq(run(keys, "{\"command\":\"keys.list\",\"limit\":2}", &event, &reply), SP_OK);
    ck_assert(holds(&reply, "\"next\":\"b\""));
    ck_assert_int_eq(
        run(keys, "{\"command\":\"keys.list\",\"limit\":2,\"after\":\"b\"}", &event, &reply),
        SP_OK);
    ck_assert(holds(&reply, "\"id\":\"c\""));
    ck_assert(holds(&reply, "\"next\":null"));
    sp_buf_clear(&event);
    sp_buf_clear(&reply);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    static const struct {
        const char *json;
        enum sp_rc want;
    } cases[] = {
        {"", SP_E_JSON_SYNTAX},
        {"{}", SP_E_USAGE},
        {"[]", SP_E_USAGE},
        {"{\"command\":\"keys.burn\"}", SP_E_USAGE},
        {"{\"command\":\"keys.show\"}", SP_E_USAGE},
        {"{\"command\":\"keys.show\",\"id\":\"x\"}", SP_E_NOT_FOUND},
        {"{\"command\":\"keys.remove\",\"id\":\"x\"}", SP_E_NOT_FOUND},
        {"{\"command\":\"keys.import\"}", SP_E_USAGE},
        {"{\"command\":\"keys.import\",\"data\":\"!\"}", SP_E_USAGE},
        {"{\"command\":\"keys.import\",\"data\":\"aGVsbG8=\"}", SP_E_KEYS_FORMAT},
        {"{\"command\":\"keys.list\",\"limit\":0}", SP_E_USAGE},
        {"{\"command\":\"keys.list\",\"address\":\"x\"}", SP_E_USAGE},
    };
    SP_AUTO(sp_keys) keys = open_keys();
    struct sp_buf event, reply;

    sp_buf_init(&event, 1U << 20);
    sp_buf_init(&reply, 1U << 20);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_assert_msg(run(keys, cases[i].json, &event, &reply) == cases[i].want, "case %zu", i);
    sp_buf_clear(&event);
    sp_buf_clear(&reply);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, a_key_is_imported_listed_shown_and_removed);
    tcase_add_test(c, what_fails_behind_its_event_has_another);
    tcase_add_test(c, a_refused_import_is_an_event_and_no_key);
    tcase_add_test(c, pages_follow_each_other);
    tcase_add_test(c, nonsense_is_refused);
}

SP_TEST_MAIN("keys.command", add)
