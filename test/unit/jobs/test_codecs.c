/*
 * Every codec: what was encoded is decoded the same, any shorter form is refused, and what passes a limit is not sent.
 */
#include "jobs/act.h"
#include "jobs/command.h"
#include "jobs/deposit.h"
#include "jobs/fetch.h"
#include "jobs/keys.h"
#include "jobs/posture.h"
#include "jobs/report.h"
#include "jobs/scan.h"
#include "jobs/seal.h"
#include "jobs/submit.h"
#include "support/check_main.h"

static struct sp_arena *arena;
static struct sp_buf buf;

static void begin(void)
{
    arena = sp_arena_new(4096);
    sp_buf_init(&buf, 16 * 1024 * 1024);
}

static void end(void)
{
    sp_buf_clear(&buf);
    sp_arena_free(arena);
}

static void eq(struct sp_bytes got, const char *want)
{
    ck_assert_msg(sp_bytes_eq(got, sp_bytes_cstr(want)), "%.*s is not %s", SP_FMT(got), want);
}

static struct sp_content content_make(void)
{
    struct sp_content c;

    sp_content_init(&c);
    c.len = 70000;
    c.offset = 4096;
    c.id.b[0] = 9;
    return c;
}

static void content_eq(struct sp_content *got)
{
    ck_assert_uint_eq(got->len, 70000);
    ck_assert_uint_eq(got->offset, 4096);
    ck_assert_uint_eq(got->id.b[0], 9);
    ck_assert_int_eq(got->fd, -1);
    sp_content_clear(got);
}

/* decode is an expression that uses `part` and `x`; every cut of buf must be refused by it. */
#define EACH_CUT_IS_REFUSED(decode)                                                                \
    do {                                                                                           \
        for (size_t cut = 0; cut < buf.len; cut++) {                                               \
            struct sp_bytes part = sp_bytes(buf.ptr, cut);                                         \
            ck_assert_msg((decode) == SP_E_MALFORMED, "cut at %zu", cut);                          \
        }                                                                                          \
        sp_buf_put_u8(&buf, 0);                                                                    \
        {                                                                                          \
            struct sp_bytes part = sp_buf_bytes(&buf);                                             \
            ck_assert_msg((decode) == SP_E_MALFORMED, "a byte too many");                          \
        }                                                                                          \
    } while (0)

START_TEST(scan_request)
{
    struct sp_jobs_scan_request in = {.content = content_make(),
                                      .time_limit_ms = 60000,
                                      .depth_max = 8,
                                      .parts_max = 500,
                                      .unpacked_max = 1ULL << 40,
                                      .tenant = SP_LIT("clinic")};
    struct sp_jobs_scan_request out;

    begin();
    sp_jobs_scan_request_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_scan_request_decode(sp_buf_bytes(&buf), &out), SP_OK);
    content_eq(&out.content);
    ck_assert_int_eq(out.time_limit_ms, 60000);
    ck_assert_uint_eq(out.depth_max, 8);
    ck_assert_uint_eq(out.parts_max, 500);
    ck_assert_uint_eq(out.unpacked_max, 1ULL << 40);
    ck_assert(sp_bytes_eq(out.tenant, SP_LIT("clinic")));
    EACH_CUT_IS_REFUSED(sp_jobs_scan_request_decode(part, &out));
    sp_content_clear(&in.content);
    end();
}
END_TEST

START_TEST(scan_reply)
{
    static const struct sp_bytes special[] = {SP_LIT_INIT("part2"), SP_LIT_INIT("hiv")};
    static const struct sp_jobs_scan_type types[] = {{SP_LIT_INIT("MRN"), 3, 2, 95}};
    static const struct sp_jobs_scan_attachment attachments[] = {
        {SP_LIT_INIT("application/pdf"), SP_LIT_INIT("a.pdf"), true}};
    static const struct sp_jobs_scan_gap gaps[] = {{SP_LIT_INIT("2.1"), SP_LIT_INIT("encrypted")}};
    const struct sp_jobs_scan_reply in = {.state = SP_JOBS_SCAN_PARTIAL,
                                          .phi_class = SP_JOBS_PHI_SEVERE,
                                          .sealed = SP_JOBS_SEALED_PGP,
                                          .score = 92,
                                          .version = SP_LIT("2026.11.1"),
                                          .special = special,
                                          .special_count = 2,
                                          .types = types,
                                          .type_count = 1,
                                          .attachments = attachments,
                                          .attachment_count = 1,
                                          .gaps = gaps,
                                          .gap_count = 1};
    struct sp_jobs_scan_reply out;

    begin();
    sp_jobs_scan_reply_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_scan_reply_decode(sp_buf_bytes(&buf), arena, &out), SP_OK);
    ck_assert_str_eq(sp_jobs_scan_state_name(out.state), "partial");
    ck_assert_str_eq(sp_jobs_phi_class_name(out.phi_class), "severe");
    ck_assert_str_eq(sp_jobs_sealed_name(out.sealed), "pgp");
    ck_assert_uint_eq(out.score, 92);
    eq(out.version, "2026.11.1");
    ck_assert_uint_eq(out.special_count, 2);
    eq(out.special[1], "hiv");
    eq(out.types[0].name, "MRN");
    ck_assert_uint_eq(out.types[0].distinct, 2);
    eq(out.attachments[0].name, "a.pdf");
    ck_assert(out.attachments[0].is_opaque);
    eq(out.gaps[0].why, "encrypted");
    EACH_CUT_IS_REFUSED(sp_jobs_scan_reply_decode(part, arena, &out));
    end();
}
END_TEST

START_TEST(seal)
{
    static const struct sp_bytes recipients[] = {SP_LIT_INIT("a@b.example")};
    static const struct sp_jobs_seal_key keys[] = {
        {SP_LIT_INIT("a@b.example"), SP_LIT_INIT("smime:0b"), SP_LIT_INIT("DER"), 5}};
    static const struct sp_jobs_seal_field add[] = {{SP_LIT_INIT("X-A"), SP_LIT_INIT("b")}};
    static const struct sp_bytes strip[] = {SP_LIT_INIT("X-Secret")};
    struct sp_jobs_seal_request in = {.method = SP_JOBS_SEAL_PGP,
                                      .cipher = SP_JOBS_SEAL_CIPHER_GCM,
                                      .sign = true,
                                      .content = content_make(),
                                      .tenant = SP_LIT("hospital"),
                                      .from = SP_LIT("dr@hospital.example"),
                                      .protected_subject = SP_LIT("..."),
                                      .recipients = recipients,
                                      .recipient_count = 1,
                                      .keys = keys,
                                      .key_count = 1,
                                      .add = add,
                                      .add_count = 1,
                                      .strip = strip,
                                      .strip_count = 1};
    struct sp_jobs_seal_request out;

    begin();
    sp_jobs_seal_request_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_seal_request_decode(sp_buf_bytes(&buf), arena, &out), SP_OK);
    content_eq(&out.content);
    ck_assert_str_eq(sp_jobs_seal_method_name(out.method), "pgp");
    ck_assert_int_eq(out.cipher, SP_JOBS_SEAL_CIPHER_GCM);
    ck_assert(out.sign && !out.strip_tag);
    eq(out.from, "dr@hospital.example");
    eq(out.protected_subject, "...");
    eq(out.recipients[0], "a@b.example");
    eq(out.keys[0].bytes, "DER");
    ck_assert_uint_eq(out.keys[0].abilities, 5);
    eq(out.add[0].value, "b");
    eq(out.strip[0], "X-Secret");
    EACH_CUT_IS_REFUSED(sp_jobs_seal_request_decode(part, arena, &out));
    sp_content_clear(&in.content);
    end();
}
END_TEST

START_TEST(seal_reply)
{
    struct sp_jobs_seal_reply in = {
        .content = content_make(), .sha256 = {1, 2, 3}, .facts = SP_LIT("{}")};
    struct sp_jobs_seal_reply out;

    begin();
    sp_jobs_seal_reply_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_seal_reply_decode(sp_buf_bytes(&buf), &out), SP_OK);
    content_eq(&out.content);
    ck_assert_uint_eq(out.sha256[2], 3);
    eq(out.facts, "{}");
    EACH_CUT_IS_REFUSED(sp_jobs_seal_reply_decode(part, &out));
    sp_content_clear(&in.content);
    end();
}
END_TEST

START_TEST(deposit)
{
    struct sp_jobs_deposit_request in = {.content = content_make(),
                                         .n = 3,
                                         .tenant = SP_LIT("hospital"),
                                         .sender = SP_LIT("a@b"),
                                         .recipient = SP_LIT("c@d"),
                                         .login = SP_LIT("code"),
                                         .accepted_at_ms = 5,
                                         .expires_at_ms = -1,
                                         .may_reply = true,
                                         .reports = SP_JOBS_DEPOSIT_TELL_OPENED,
                                         .envid = SP_LIT("e-1"),
                                         .orcpt = SP_LIT("rfc822;c@d")};
    const struct sp_jobs_returned_request returned_in = {.package = SP_LIT("pkg-1")};
    struct sp_jobs_returned_request returned;
    struct sp_jobs_deposit_request out;
    const struct sp_jobs_deposit_reply reply_in = {
        .package = SP_LIT("pkg-1"), .link = SP_LIT("https://p#t"), .key = SP_LIT("pk-1")};
    struct sp_jobs_deposit_reply reply;

    begin();
    sp_jobs_deposit_request_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_deposit_request_decode(sp_buf_bytes(&buf), &out), SP_OK);
    content_eq(&out.content);
    ck_assert_uint_eq(out.n, 3);
    eq(out.recipient, "c@d");
    ck_assert_int_eq(out.expires_at_ms, -1);
    ck_assert(out.may_reply && !out.may_forward);
    ck_assert_uint_eq(out.reports, SP_JOBS_DEPOSIT_TELL_OPENED);
    eq(out.envid, "e-1");
    eq(out.orcpt, "rfc822;c@d");
    EACH_CUT_IS_REFUSED(sp_jobs_deposit_request_decode(part, &out));
    sp_buf_reset(&buf);
    sp_jobs_deposit_reply_encode(&buf, &reply_in);
    ck_assert_int_eq(sp_jobs_deposit_reply_decode(sp_buf_bytes(&buf), &reply), SP_OK);
    eq(reply.link, "https://p#t");
    EACH_CUT_IS_REFUSED(sp_jobs_deposit_reply_decode(part, &reply));
    sp_buf_reset(&buf);
    sp_jobs_returned_request_encode(&buf, &returned_in);
    ck_assert_int_eq(sp_jobs_returned_request_decode(sp_buf_bytes(&buf), &returned), SP_OK);
    eq(returned.package, "pkg-1");
    EACH_CUT_IS_REFUSED(sp_jobs_returned_request_decode(part, &returned));
    sp_content_clear(&in.content);
    end();
}
END_TEST

START_TEST(keys)
{
    static const struct sp_jobs_key list[] = {
        {SP_JOBS_KEY_PGP, 1, 77, SP_LIT_INIT("pgp:1"), SP_LIT_INIT("KEY")}};
    static const struct sp_jobs_key_refused refused[] = {
        {SP_LIT_INIT("smime:2"), SP_LIT_INIT("expired")}};
    const struct sp_jobs_keys_request in = {.address = SP_LIT("a@b"), .tenant = SP_LIT("t")};
    const struct sp_jobs_keys_reply reply_in = {
        .keys = list, .key_count = 1, .refused = refused, .refused_count = 1};
    struct sp_jobs_keys_request out;
    struct sp_jobs_keys_reply reply;

    begin();
    sp_jobs_keys_request_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_keys_request_decode(sp_buf_bytes(&buf), &out), SP_OK);
    eq(out.address, "a@b");
    EACH_CUT_IS_REFUSED(sp_jobs_keys_request_decode(part, &out));
    sp_buf_reset(&buf);
    sp_jobs_keys_reply_encode(&buf, &reply_in);
    ck_assert_int_eq(sp_jobs_keys_reply_decode(sp_buf_bytes(&buf), arena, &reply), SP_OK);
    ck_assert_str_eq(sp_jobs_key_kind_name(reply.keys[0].kind), "pgp");
    ck_assert_int_eq(reply.keys[0].not_after_ms, 77);
    eq(reply.keys[0].bytes, "KEY");
    eq(reply.refused[0].why, "expired");
    EACH_CUT_IS_REFUSED(sp_jobs_keys_reply_decode(part, arena, &reply));
    end();
}
END_TEST

START_TEST(command_and_act)
{
    const struct sp_jobs_command_request in = {.actor = SP_LIT("{}"), .json = SP_LIT("{\"a\":1}")};
    const struct sp_jobs_command_reply reply_in = {.json = SP_LIT("[]"), .has_file = true};
    const struct sp_jobs_act_request act_in = {.batch = true, .event = SP_LIT("{}")};
    struct sp_jobs_command_request out;
    struct sp_jobs_command_reply reply;
    struct sp_jobs_act_request act;

    begin();
    sp_jobs_command_request_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_command_request_decode(sp_buf_bytes(&buf), &out), SP_OK);
    eq(out.json, "{\"a\":1}");
    EACH_CUT_IS_REFUSED(sp_jobs_command_request_decode(part, &out));
    sp_buf_reset(&buf);
    sp_jobs_command_reply_encode(&buf, &reply_in);
    ck_assert_int_eq(sp_jobs_command_reply_decode(sp_buf_bytes(&buf), &reply), SP_OK);
    ck_assert(reply.has_file);
    eq(reply.json, "[]");
    EACH_CUT_IS_REFUSED(sp_jobs_command_reply_decode(part, &reply));
    sp_buf_reset(&buf);
    sp_jobs_act_request_encode(&buf, &act_in);
    ck_assert_int_eq(sp_jobs_act_request_decode(sp_buf_bytes(&buf), &act), SP_OK);
    ck_assert(act.batch);
    eq(act.event, "{}");
    EACH_CUT_IS_REFUSED(sp_jobs_act_request_decode(part, &act));
    end();
}
END_TEST

START_TEST(submit)
{
    const struct sp_jobs_submit_request in = {.kind = SP_JOBS_SUBMIT_REPLY,
                                              .tenant = SP_LIT("t"),
                                              .from = SP_LIT(""),
                                              .to = SP_LIT("c@d"),
                                              .floor = SP_LIT("plain"),
                                              .once = SP_LIT("1"),
                                              .content = SP_LIT("From: x\r\n\r\n"),
                                              .cause = {{1, 2}},
                                              .expires_at_ms = 9};
    const struct sp_jobs_submit_reply reply_in = {.id = {{7}}};
    struct sp_jobs_submit_request out;
    struct sp_jobs_submit_reply reply;

    begin();
    sp_jobs_submit_request_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_submit_request_decode(sp_buf_bytes(&buf), &out), SP_OK);
    ck_assert_str_eq(sp_jobs_submit_kind_name(out.kind), "reply");
    eq(out.to, "c@d");
    eq(out.floor, "plain");
    eq(out.content, "From: x\r\n\r\n");
    ck_assert_uint_eq(out.cause.b[1], 2);
    ck_assert_int_eq(out.expires_at_ms, 9);
    EACH_CUT_IS_REFUSED(sp_jobs_submit_request_decode(part, &out));
    sp_buf_reset(&buf);
    sp_jobs_submit_reply_encode(&buf, &reply_in);
    ck_assert_int_eq(sp_jobs_submit_reply_decode(sp_buf_bytes(&buf), &reply), SP_OK);
    ck_assert_uint_eq(reply.id.b[0], 7);
    EACH_CUT_IS_REFUSED(sp_jobs_submit_reply_decode(part, &reply));
    end();
}
END_TEST

START_TEST(fetch)
{
    static const struct sp_bytes addresses[] = {SP_LIT_INIT("203.0.113.7")};
    const struct sp_jobs_fetch_request in = {.kind = SP_JOBS_FETCH_STS,
                                             .domain = SP_LIT("example.net"),
                                             .addresses = addresses,
                                             .address_count = 1};
    const struct sp_jobs_fetch_request report = {.kind = SP_JOBS_FETCH_REPORT,
                                                 .domain = SP_LIT("r.example.net"),
                                                 .addresses = addresses,
                                                 .address_count = 1,
                                                 .port = 8443,
                                                 .path = SP_LIT("/v1?x=1"),
                                                 .content = SP_LIT("gzip"),
                                                 .key = SP_LIT("2026-11-21.k")};
    const struct sp_jobs_fetch_reply reply_in = {.body = SP_LIT("version: STSv1")};
    struct sp_jobs_fetch_request out;
    struct sp_jobs_fetch_reply reply;

    begin();
    sp_jobs_fetch_request_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_fetch_request_decode(sp_buf_bytes(&buf), arena, &out), SP_OK);
    eq(out.domain, "example.net");
    eq(out.addresses[0], "203.0.113.7");
    EACH_CUT_IS_REFUSED(sp_jobs_fetch_request_decode(part, arena, &out));
    sp_buf_reset(&buf);
    sp_jobs_fetch_request_encode(&buf, &report);
    ck_assert_int_eq(sp_jobs_fetch_request_decode(sp_buf_bytes(&buf), arena, &out), SP_OK);
    ck_assert(out.kind == SP_JOBS_FETCH_REPORT && out.port == 8443);
    eq(out.path, "/v1?x=1");
    eq(out.content, "gzip");
    eq(out.key, "2026-11-21.k");
    sp_buf_reset(&buf);
    sp_jobs_fetch_reply_encode(&buf, &reply_in);
    ck_assert_int_eq(sp_jobs_fetch_reply_decode(sp_buf_bytes(&buf), &reply), SP_OK);
    eq(reply.body, "version: STSv1");
    EACH_CUT_IS_REFUSED(sp_jobs_fetch_reply_decode(part, &reply));
    end();
}
END_TEST

START_TEST(report)
{
    static const struct sp_bytes uris[] = {SP_LIT_INIT("mailto:tls@example.net")};
    const struct sp_jobs_report_request in = {.op = SP_JOBS_REPORT_SEND,
                                              .domain = SP_LIT("example.net"),
                                              .uri = uris[0],
                                              .id = SP_LIT("1"),
                                              .key = SP_LIT("ab"),
                                              .from_s = 5,
                                              .to_s = 9,
                                              .content = SP_LIT("gzip")};
    const struct sp_jobs_report_reply reply_in = {
        .contact = SP_LIT("a@b.test"), .uris = uris, .uri_count = 1};
    struct sp_jobs_report_request out;
    struct sp_jobs_report_reply reply;

    begin();
    sp_jobs_report_request_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_report_request_decode(sp_buf_bytes(&buf), &out), SP_OK);
    ck_assert(out.op == SP_JOBS_REPORT_SEND && out.from_s == 5 && out.to_s == 9);
    eq(out.domain, "example.net");
    eq(out.uri, "mailto:tls@example.net");
    eq(out.id, "1");
    eq(out.key, "ab");
    eq(out.content, "gzip");
    EACH_CUT_IS_REFUSED(sp_jobs_report_request_decode(part, &out));
    sp_buf_reset(&buf);
    sp_jobs_report_reply_encode(&buf, &reply_in);
    ck_assert_int_eq(sp_jobs_report_reply_decode(sp_buf_bytes(&buf), arena, &reply), SP_OK);
    eq(reply.contact, "a@b.test");
    eq(reply.uris[0], "mailto:tls@example.net");
    EACH_CUT_IS_REFUSED(sp_jobs_report_reply_decode(part, arena, &reply));
    end();
}
END_TEST

START_TEST(posture)
{
    static const struct sp_jobs_posture_entry entries[] = {{.domain = SP_LIT_INIT("a.example"),
                                                            .best = SP_LIT_INIT("tls:dane"),
                                                            .proved_at_ms = 4,
                                                            .sts = SP_LIT_INIT("version: STSv1"),
                                                            .sts_id = SP_LIT_INIT("1"),
                                                            .sts_until_ms = 8}};
    const struct sp_jobs_posture in = {
        .op = SP_JOBS_POSTURE_CHANGED, .entries = entries, .entry_count = 1};
    struct sp_jobs_posture out;

    begin();
    sp_jobs_posture_encode(&buf, &in);
    ck_assert_int_eq(sp_jobs_posture_decode(sp_buf_bytes(&buf), arena, &out), SP_OK);
    ck_assert_int_eq(out.op, SP_JOBS_POSTURE_CHANGED);
    ck_assert_uint_eq(out.entry_count, 1);
    eq(out.entries[0].best, "tls:dane");
    ck_assert_int_eq(out.entries[0].sts_until_ms, 8);
    EACH_CUT_IS_REFUSED(sp_jobs_posture_decode(part, arena, &out));
    end();
}
END_TEST

START_TEST(over_the_limit_is_not_encoded)
{
    static uint8_t text[SP_JOBS_KEYS_TEXT_MAX + 1];
    static const struct sp_jobs_key many[SP_JOBS_KEYS_MAX + 1];
    const struct sp_jobs_keys_request in = {.address = sp_bytes(text, sizeof(text))};
    const struct sp_jobs_keys_reply reply = {.keys = many, .key_count = SP_ARRAY_LEN(many)};

    begin();
    sp_jobs_keys_request_encode(&buf, &in);
    ck_assert_int_eq(sp_buf_rc(&buf), SP_E_LIMIT);
    sp_buf_reset(&buf);
    sp_jobs_keys_reply_encode(&buf, &reply);
    ck_assert_int_eq(sp_buf_rc(&buf), SP_E_LIMIT);
    end();
}
END_TEST

START_TEST(a_short_frame_asks_for_no_memory)
{
    struct sp_jobs_posture out;
    size_t before;

    begin();
    before = sp_arena_size(arena);
    /* op, then a count of 20,000 with nothing behind it */
    ck_assert_int_eq(sp_jobs_posture_decode(SP_LIT("\1\x20\x4e\0\0"), arena, &out), SP_E_MALFORMED);
    ck_assert_uint_le(sp_arena_size(arena), before + 4096);
    end();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, scan_request);
    tcase_add_test(c, scan_reply);
    tcase_add_test(c, seal);
    tcase_add_test(c, seal_reply);
    tcase_add_test(c, deposit);
    tcase_add_test(c, keys);
    tcase_add_test(c, command_and_act);
    tcase_add_test(c, submit);
    tcase_add_test(c, fetch);
    tcase_add_test(c, report);
    tcase_add_test(c, posture);
    tcase_add_test(c, over_the_limit_is_not_encoded);
    tcase_add_test(c, a_short_frame_asks_for_no_memory);
}

SP_TEST_MAIN("jobs.codecs", add)
