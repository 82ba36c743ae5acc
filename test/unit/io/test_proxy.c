/*
 * PROXY version 2: headers as balancers write them, cut at every byte, and what is none.
 */
#include "io/proxy.h"

#include "support/check_main.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

struct row {
    const char *what;
    struct sp_bytes bytes;
    enum sp_rc rc;
    const char *client; /* "" for none */
};

static const struct row rows[] = {
    {"tcp4", SP_LIT_INIT(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0\x19"), SP_OK,
     "192.0.2.1:12345"},
    {"tcp6",
     SP_LIT_INIT(SIGNATURE "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0"
                           "\0\0\0\0\0\0\0\0\0\2\0\x50\0\x19"),
     SP_OK, "[2001:db8::1]:80"},
    {"extensions are skipped",
     SP_LIT_INIT(SIGNATURE "\x21\x11\0\x10\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0\x19\4\0\1x"), SP_OK,
     "192.0.2.1:12345"},
    {"local", SP_LIT_INIT(SIGNATURE "\x20\0\0\0"), SP_OK, ""},
    {"local with a body", SP_LIT_INIT(SIGNATURE "\x20\x11\0\2ab"), SP_OK, ""},
    {"version 1", SP_LIT_INIT("PROXY TCP4 192.0.2.1 198.51.100.1 1 25\r\n"), SP_E_MALFORMED, ""},
    {"no header", SP_LIT_INIT("EHLO client.example\r\n"), SP_E_MALFORMED, ""},
    {"a line end", SP_LIT_INIT("\r\nEHLO"), SP_E_MALFORMED, ""},
    {"version 3", SP_LIT_INIT(SIGNATURE "\x31\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0\x19"),
     SP_E_MALFORMED, ""},
    {"another command",
     SP_LIT_INIT(SIGNATURE "\x22\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0\x19"), SP_E_MALFORMED,
     ""},
    {"no family", SP_LIT_INIT(SIGNATURE "\x21\0\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0\x19"),
     SP_E_MALFORMED, ""},
    {"datagrams", SP_LIT_INIT(SIGNATURE "\x21\x12\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0\x19"),
     SP_E_MALFORMED, ""},
    {"unix", SP_LIT_INIT(SIGNATURE "\x21\x31\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0\x19"),
     SP_E_MALFORMED, ""},
    {"short for its family",
     SP_LIT_INIT(SIGNATURE "\x21\x11\0\x0b\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0"), SP_E_MALFORMED, ""},
    {"tcp4's length with tcp6",
     SP_LIT_INIT(SIGNATURE "\x21\x21\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0\x19"), SP_E_MALFORMED,
     ""},
    {"longer than any", SP_LIT_INIT(SIGNATURE "\x21\x11\xff\xff"), SP_E_MALFORMED, ""},
    {"not whole", SP_LIT_INIT(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x30\x39\0"),
     SP_E_CLOSED, ""},
    {"nothing", SP_LIT_INIT(""), SP_E_CLOSED, ""},
};

START_TEST(each_row_is_what_it_is)
{
    const struct row *row = &rows[_i];
    struct sp_proxy p;
    char text[SP_ADDR_TEXT_MAX] = "";

    ck_assert_msg(sp_proxy_parse(row->bytes, &p) == row->rc, "%s", row->what);
    if (row->rc != SP_OK)
        return;
    ck_assert_uint_eq(p.len, row->bytes.len);
    if (!p.is_local)
        sp_addr_format(&p.client, text);
    ck_assert_str_eq(text, row->client);
    for (size_t n = 0; n < row->bytes.len; n++) {
        ck_assert_msg(sp_proxy_parse(sp_bytes_slice(row->bytes, 0, n), &p) == SP_E_CLOSED,
                      "%s cut at %zu", row->what, n);
        ck_assert_uint_eq(p.len, n < SP_PROXY_MIN ? SP_PROXY_MIN : row->bytes.len);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_loop_test(c, each_row_is_what_it_is, 0, (int)SP_ARRAY_LEN(rows));
}

SP_TEST_MAIN("io.proxy", add)
