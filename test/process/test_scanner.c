/* The scanner as a process, in its sandbox: charsets, archives, a damaged body, one job after another. */
#include "jobs/scan.h"
#include "process/child.h"
#include "support/check_main.h"
#include "support/tools.h"

#include <unistd.h>

static char *dir;
static struct child scanner;

static void setup(void)
{
    dir = tool_dir_new();
    child_init(&scanner, SP_ROLE_SCANNER);
    child_peer(&scanner, SP_ROLE_RELAY);
    ck_assert_int_eq(sp_role_bundle_add(scanner.bundle, "sallyport.json", SP_LIT("{}")), SP_OK);
    child_start(&scanner, dir);
}

static void teardown(void)
{
    child_end(&scanner);
    tool_dir_free(dir);
}

/* Seals a message as the relay does and has it scanned. raw: holds what reply lends */
static enum sp_rc scan(const char *text, bool damaged, struct sp_arena *arena, struct sp_buf *raw,
                       struct sp_jobs_scan_reply *reply)
{
    struct sp_id id = {{7}};
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&id, sp_random_system(), NULL);
    struct sp_jobs_scan_request request = {.time_limit_ms = 20000};
    struct sp_content memory;
    struct sp_buf out;
    enum sp_rc rc;
    int fds[2];

    ck_assert_int_eq(sp_content_writer_feed(w, sp_bytes_cstr(text)), SP_OK);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    sp_content_writer_handle(w, -1, 0, &memory);
    ck_assert_int_eq(sp_content_export_memfd(&memory, &request.content), SP_OK);
    if (damaged)
        request.content.key.b[0] ^= 1;
    sp_buf_init(&out, 10000);
    sp_jobs_scan_request_encode(&out, &request);
    fds[0] = fds[1] = request.content.fd;
    rc = child_call(&scanner, SP_ROLE_RELAY, SP_JOBS_SCAN, sp_buf_bytes(&out), fds, raw);
    sp_content_clear(&request.content);
    sp_content_clear(&memory);
    sp_buf_clear(&out);
    if (rc == SP_OK)
        ck_assert_int_eq(sp_jobs_scan_reply_decode(sp_buf_bytes(raw), arena, reply), SP_OK);
    return rc;
}

static const struct {
    const char *name;
    const char *text;
    enum sp_jobs_scan_state state;
    enum sp_jobs_phi_class class;
} cases[] = {
    {"nothing", "Subject: x\r\n\r\nhello\r\n", SP_JOBS_SCAN_COMPLETE, SP_JOBS_PHI_NONE},
    {"phi", "Subject: x\r\n\r\nPatient, MRN 4815162342, has diabetes\r\n", SP_JOBS_SCAN_COMPLETE,
     SP_JOBS_PHI_PHI},
    {"utf-16 in base 64",
     "Content-Type: text/plain; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n\r\n"
     "TQBSAE4AIAA0ADgAMQA1ADEANgAgAGQAaQBhAGIAZQB0AGUAcwA=\r\n",
     SP_JOBS_SCAN_COMPLETE, SP_JOBS_PHI_PHI},
    {"an eastern charset",
     "Content-Type: text/plain; charset=euc-kr\r\n\r\nMRN 481516 diabetes \xc7\xd1\r\n",
     SP_JOBS_SCAN_COMPLETE, SP_JOBS_PHI_PHI},
    {"a zip",
     "Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
     "UEsDBBQAAAAIAGwYdl3TAqo3GgAAABgAAAAFAAAAYS50eHQLDvZTMDK01DUx1TUztzBUSMlMTEotSS0GAFBLAQIU\r\n"
     "AxQAAAAIAGwYdl3TAqo3GgAAABgAAAAFAAAAAAAAAAAAAACAAQAAAABhLnR4dFBLBQYAAAAAAQABADMAAAA9AAAA\r\n"
     "AAA=\r\n",
     SP_JOBS_SCAN_COMPLETE, SP_JOBS_PHI_PHI},
    {"no boundary", "Content-Type: multipart/mixed\r\n\r\nx\r\n", SP_JOBS_SCAN_PARTIAL,
     SP_JOBS_PHI_NONE},
};

START_TEST(a_message_is_examined)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_scan_reply reply;
    struct sp_buf raw;

    sp_buf_init(&raw, 1U << 20);
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        ck_assert_int_eq(scan(cases[i].text, false, arena, &raw, &reply), SP_OK);
        ck_assert_msg(reply.state == cases[i].state, "%s: state %d", cases[i].name, reply.state);
        ck_assert_msg(reply.phi_class == cases[i].class, "%s: class %d", cases[i].name,
                      reply.phi_class);
        ck_assert_uint_gt(reply.version.len, 0);
    }
    sp_buf_clear(&raw);
}
END_TEST

START_TEST(what_can_not_be_opened_has_failed)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_scan_reply reply;
    struct sp_buf raw;

    sp_buf_init(&raw, 1U << 20);
    ck_assert_int_eq(scan(cases[0].text, true, arena, &raw, &reply), SP_OK);
    ck_assert(reply.state == SP_JOBS_SCAN_FAILED && reply.phi_class == SP_JOBS_PHI_SEVERE);
    ck_assert_int_eq(scan(cases[0].text, false, arena, &raw, &reply), SP_OK);
    ck_assert_int_eq(reply.state, SP_JOBS_SCAN_COMPLETE);
    sp_buf_clear(&raw);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, a_message_is_examined);
    tcase_add_test(c, what_can_not_be_opened_has_failed);
}

SP_TEST_MAIN("process.scanner", add)
