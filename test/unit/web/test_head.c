/* The request head: what is taken, what is refused and how, whatever the cut. */
#include "base/buf.h"
#include "support/check_main.h"
#include "web/head.h"

struct story {
    const char *name;
    const char *text;
    int status;
};

static const struct story stories[] = {
    {"a plain get", "GET /p HTTP/1.1\r\nHost: a.example\r\n\r\n", 200},
    {"lower-case field names", "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 200},
    {"a query", "GET /p?a=%20b&c HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n", 200},
    {"unfinished", "GET / HTTP/1.1\r\nHost: a\r\n", 0},
    {"unfinished at a CR", "GET / HTTP/1.1\r\nHost: a\r\n\r", 0},
    {"bare LF lines", "GET / HTTP/1.1\nHost: a\n\n", 400},
    {"one bare LF", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
    {"a bare CR", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400},
    {"an empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"no host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
    {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
    {"an odd host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
     400},
    {"a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400},
    {"a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
    {"a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400},
    {"length and coding",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"a coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
    {"a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
    {"a folded line", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400},
    {"no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400},
    {"a control byte", "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", 400},
    {"http 1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 505},
    {"http 2", "PRI * HTTP/2.0\r\n\r\n", 501},
    {"no version", "GET /\r\nHost: a\r\n\r\n", 400},
    {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    {"an unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    {"an absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"percent in the path", "GET /%2e%2e HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"dots in the path", "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a dot in the path", "GET /./b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"empty segments", "GET //b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a fragment", "GET /p#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"an unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 400},
};

static int parse_whole(struct sp_bytes in, struct sp_web_head *h)
{
    size_t scanned = 0, used = 0;

    return sp_web_head_parse(in, &scanned, &used, h);
}

START_TEST(every_story_has_its_status_however_cut)
{
    const struct story *s = &stories[_i];
    struct sp_bytes in = sp_bytes_cstr(s->text);
    struct sp_web_head h;
    size_t scanned = 0, used = 0;
    int status = 0;

    ck_assert_msg(parse_whole(in, &h) == s->status, "%s: %d", s->name, parse_whole(in, &h));
    for (size_t n = 0; n <= in.len && status == 0; n++)
        status = sp_web_head_parse(sp_bytes_slice(in, 0, n), &scanned, &used, &h);
    ck_assert_msg(status == s->status, "%s, byte by byte: %d", s->name, status);
}
END_TEST

START_TEST(a_head_is_read_into_its_parts)
{
    struct sp_bytes in = SP_LIT("POST /m/pkg-1/part/3?q=1 HTTP/1.1\r\nHost: a.example:8443\r\n"
                                "Cookie: s=1\r\nConnection: keep-alive, Close\r\n"
                                "Expect: 100-Continue\r\nContent-Length: 12\r\n\r\nthe body");
    struct sp_web_head h;
    struct sp_bytes segments[SP_WEB_SEGMENTS_MAX];
    size_t scanned = 0, used = 0;

    ck_assert_int_eq(sp_web_head_parse(in, &scanned, &used, &h), 200);
    ck_assert_uint_eq(used, in.len - 8);
    ck_assert(h.method == SP_WEB_POST && h.content_length == 12 && h.close && h.expect_continue);
    ck_assert(sp_bytes_eq(h.path, SP_LIT("/m/pkg-1/part/3")) &&
              sp_bytes_eq(h.query, SP_LIT("q=1")));
    ck_assert(sp_bytes_eq(sp_web_head_field(&h, SP_LIT("cookie")), SP_LIT("s=1")));
    ck_assert(sp_web_path_fits(h.path, "/m/:/part/:", segments));
    ck_assert(sp_bytes_eq(segments[0], SP_LIT("pkg-1")) && sp_bytes_eq(segments[1], SP_LIT("3")));
    ck_assert(!sp_web_path_fits(h.path, "/m/:", segments));
    ck_assert(!sp_web_path_fits(SP_LIT("/m/"), "/m/:", segments));
    ck_assert(!sp_web_path_fits(SP_LIT("/m"), "/m/:", segments));
    ck_assert(sp_web_path_fits(SP_LIT("/"), "/", segments));
}
END_TEST

static int parse_filled(struct sp_buf *b)
{
    struct sp_web_head h;
    int status = parse_whole(sp_buf_bytes(b), &h);

    sp_buf_clear(b);
    return status;
}

START_TEST(limits_hold)
{
    struct sp_buf b;

    sp_buf_init(&b, 1 << 20);
    sp_buf_put_cstr(&b, "GET /");
    for (int i = 0; i < SP_WEB_TARGET_MAX; i++)
        sp_buf_put_u8(&b, 'a');
    sp_buf_put_cstr(&b, " HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_int_eq(parse_filled(&b), 414);
    sp_buf_put_cstr(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < SP_WEB_FIELDS_MAX; i++)
        sp_buf_put_cstr(&b, "a: b\r\n");
    sp_buf_put_cstr(&b, "\r\n");
    ck_assert_int_eq(parse_filled(&b), 431);
    for (int i = 0; i < SP_WEB_HEAD_MAX; i++)
        sp_buf_put_u8(&b, 'G');
    ck_assert_int_eq(parse_filled(&b), 431);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_loop_test(c, every_story_has_its_status_however_cut, 0, SP_ARRAY_LEN(stories));
    tcase_add_test(c, a_head_is_read_into_its_parts);
    tcase_add_test(c, limits_hold);
}

SP_TEST_MAIN("web.head", add)
