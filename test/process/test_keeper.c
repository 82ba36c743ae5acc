/* The keeper as a process: an administrator imports, the ledger is asked first, a relay finds. */
#include <stdio.h>

#include "base/text.h"
#include "jobs/act.h"
#include "jobs/command.h"
#include "jobs/keys.h"
#include "process/child.h"
#include "support/check_main.h"
#include "support/tools.h"

#define GPG "gpg --homedir home --batch --no-tty --pinentry-mode loopback --passphrase '' "

static char *dir;
static struct child keeper;
static struct sp_buf events; /* what the ledger was told */
static enum sp_rc ledger_says;

static void on_act(void *arg, struct sp_jobs_job *job)
{
    struct sp_jobs_act_request request;

    (void)arg;
    ck_assert_int_eq(sp_jobs_act_request_decode(sp_jobs_job_payload(job), &request), SP_OK);
    sp_buf_put(&events, request.event);
    sp_jobs_job_reply(job, ledger_says, SP_LIT(""), NULL, 0);
}

static void setup(void)
{
    dir = tool_dir_new();
    sp_buf_init(&events, 1U << 20);
    tool_must(dir, "mkdir keeper; mkdir -m 700 home; "
                   "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.key -out k.pem -days 30 "
                   "-subj /CN=Pat -addext 'subjectAltName=email:pat@example.net' && " GPG
                   "--quick-gen-key pat@example.net future-default default never && " GPG
                   "--export pat@example.net > k.pgp; gpgconf --homedir home --kill gpg-agent");
    child_init(&keeper, SP_ROLE_KEEPER);
    child_peer(&keeper, SP_ROLE_ADMIN);
    child_peer(&keeper, SP_ROLE_LEDGER);
    child_peer(&keeper, SP_ROLE_RELAY);
    sp_jobs_serve(keeper.peers[SP_ROLE_LEDGER], SP_JOBS_ACT, on_act, NULL);
    ck_assert_int_eq(sp_role_bundle_add(keeper.bundle, "sallyport.json", SP_LIT("{}")), SP_OK);
    {
        char own[100];

        snprintf(own, sizeof(own), "%s/keeper", dir);
        child_start(&keeper, own);
    }
}

static void teardown(void)
{
    child_end(&keeper);
    tool_must(dir, "ls keeper | grep -x keys.db && ! ls -d keeper/gpg.*");
    sp_buf_clear(&events);
    tool_dir_free(dir);
}

static enum sp_rc command(const char *json, struct sp_buf *answer)
{
    struct sp_jobs_command_request request = {SP_LIT("{\"type\":\"admin\",\"id\":\"root\"}"),
                                              sp_bytes_cstr(json)};
    struct sp_jobs_command_reply reply;
    struct sp_buf out, raw;
    enum sp_rc rc;

    sp_buf_init(&out, 1U << 22);
    sp_buf_init(&raw, 1U << 22);
    sp_buf_reset(&events);
    sp_jobs_command_request_encode(&out, &request);
    rc = child_call(&keeper, SP_ROLE_ADMIN, SP_JOBS_COMMAND, sp_buf_bytes(&out), NULL, &raw);
    ck_assert_int_eq(sp_jobs_command_reply_decode(sp_buf_bytes(&raw), &reply), SP_OK);
    sp_buf_reset(answer);
    sp_buf_put(answer, reply.json);
    sp_buf_clear(&out);
    sp_buf_clear(&raw);
    return rc;
}

static enum sp_rc import(const char *name, struct sp_buf *answer)
{
    struct sp_buf file, json;
    enum sp_rc rc;
    char *text;

    sp_buf_init(&file, 1U << 20);
    sp_buf_init(&json, 1U << 22);
    tool_read(dir, name, &file);
    sp_buf_put_cstr(&json, "{\"command\":\"keys.import\",\"data\":\"");
    sp_base64_encode(&json, sp_buf_bytes(&file));
    sp_buf_put_cstr(&json, "\"}");
    text = sp_buf_take_cstr(&json);
    rc = command(text, answer);
    sp_free(text);
    sp_buf_clear(&file);
    return rc;
}

static bool holds(const struct sp_buf *b, const char *needle)
{
    return sp_bytes_find_all(sp_buf_bytes(b), sp_bytes_cstr(needle)) != SIZE_MAX;
}

static void find(const char *address, size_t want_keys, size_t want_refused)
{
    struct sp_jobs_keys_request request = {.address = sp_bytes_cstr(address)};
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_keys_reply reply;
    struct sp_buf out, raw;

    sp_buf_init(&out, 10000);
    sp_buf_init(&raw, 1U << 22);
    sp_jobs_keys_request_encode(&out, &request);
    ck_assert_int_eq(
        child_call(&keeper, SP_ROLE_RELAY, SP_JOBS_KEYS, sp_buf_bytes(&out), NULL, &raw), SP_OK);
    ck_assert_int_eq(sp_jobs_keys_reply_decode(sp_buf_bytes(&raw), arena, &reply), SP_OK);
    ck_assert_uint_eq(reply.key_count, want_keys);
    ck_assert_uint_eq(reply.refused_count, want_refused);
    for (size_t i = 0; i < reply.key_count; i++)
        ck_assert_uint_gt(reply.keys[i].bytes.len, 100);
    sp_buf_clear(&out);
    sp_buf_clear(&raw);
}

START_TEST(a_key_is_imported_when_the_audit_has_it)
{
    struct sp_buf answer;

    sp_buf_init(&answer, 1U << 22);
    ledger_says = SP_E_JOURNAL_FAILED;
    ck_assert_int_eq(import("k.pem", &answer), SP_E_JOURNAL_FAILED);
    ck_assert(holds(&answer, "\"error\":\"journal.failed\""));
    find("pat@example.net", 0, 0);

    ledger_says = SP_OK;
    ck_assert_int_eq(import("k.pem", &answer), SP_OK);
    ck_assert(holds(&events, "\"event\":\"key.imported\""));
    find("Pat@Example.NET", 1, 0);
    ck_assert_int_eq(import("k.pgp", &answer), SP_OK);
    ck_assert(holds(&answer, "\"id\":\"pgp:"));
    find("pat@example.net", 2, 0);
    find("nobody@example.net", 0, 0);
    find("not an address", 0, 0);
    sp_buf_clear(&answer);
}
END_TEST

START_TEST(a_refusal_is_answered_and_audited)
{
    struct sp_buf answer;

    sp_buf_init(&answer, 1U << 22);
    ledger_says = SP_OK;
    ck_assert_int_eq(import("k.key", &answer), SP_E_KEYS_FORMAT);
    ck_assert(holds(&events, "\"event\":\"key.refused\""));
    ck_assert(holds(&answer, "\"error\":\"keys.format\""));
    ck_assert_int_eq(command("{\"command\":\"keys.nonsense\"}", &answer), SP_E_USAGE);
    ck_assert_uint_eq(events.len, 0);
    sp_buf_clear(&answer);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, a_key_is_imported_when_the_audit_has_it);
    tcase_add_test(c, a_refusal_is_answered_and_audited);
}

SP_TEST_MAIN("process.keeper", add)
