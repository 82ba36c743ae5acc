/*
 * Addresses, domains, literals, lists of addresses in header fields.
 */
#include "mail/address.h"
#include "mail/domain.h"
#include "support/check_main.h"

static const struct {
    const char *text;
    enum sp_rc rc;
} addresses[] = {
    {"a@b.example", SP_OK},
    {"A.b-c+d=e!#$%&'*/?^_`{|}~@b.example", SP_OK},
    {"\"odd local\"@b.example", SP_OK},
    {"\"a\\\"b\\\\c\"@b.example", SP_OK},
    {"\"\"@b.example", SP_OK},
    {"a@[192.0.2.1]", SP_OK},
    {"a@[IPv6:2001:db8::1]", SP_OK},
    {"a@[IPv6:::ffff:192.0.2.1]", SP_OK},
    {"a@localhost", SP_OK},
    {"", SP_E_ADDR_SYNTAX},
    {"a", SP_E_ADDR_SYNTAX},
    {"@b.example", SP_E_ADDR_SYNTAX},
    {"a@", SP_E_ADDR_SYNTAX},
    {".a@b.example", SP_E_ADDR_SYNTAX},
    {"a.@b.example", SP_E_ADDR_SYNTAX},
    {"a..b@b.example", SP_E_ADDR_SYNTAX},
    {"a b@b.example", SP_E_ADDR_SYNTAX},
    {"a@b.example ", SP_E_ADDR_SYNTAX},
    {"a@b@c.example", SP_E_ADDR_SYNTAX},
    {"a@-b.example", SP_E_ADDR_SYNTAX},
    {"a@b-.example", SP_E_ADDR_SYNTAX},
    {"a@b..example", SP_E_ADDR_SYNTAX},
    {"a@b.example.", SP_E_ADDR_SYNTAX},
    {"a@b_c.example", SP_E_ADDR_SYNTAX},
    {"a@[192.0.2.256]", SP_E_ADDR_SYNTAX},
    {"a@[192.0.2]", SP_E_ADDR_SYNTAX},
    {"a@[IPv6:2001:db8::1::2]", SP_E_ADDR_SYNTAX},
    {"a@[IPv6:1:2:3:4:5:6:7]", SP_E_ADDR_SYNTAX},
    {"a@[IPv6:1:2:3:4:5:6:7:8:9]", SP_E_ADDR_SYNTAX},
    {"a@[x-tag:whatever]", SP_E_ADDR_SYNTAX},
    {"\"a@b.example", SP_E_ADDR_SYNTAX},
    {"\"a\"b@b.example", SP_E_ADDR_SYNTAX},
    {"a\n@b.example", SP_E_ADDR_SYNTAX},
    {"\"a\r\n\"@b.example", SP_E_ADDR_SYNTAX},
    {"gr\xc3\xbcn@b.example",
     SP_OK}, /* RFC 6531; whether it may stand somewhere is for others to say */
    {"\"gr\xc3\xbcn \"@b.example", SP_OK},
    {"a@b\xc3\xbc.example", SP_OK},
    {"\xf0\x9f\x93\xa7@b.example", SP_OK},
    {"gr\xc3n@b.example", SP_E_ADDR_SYNTAX},         /* cut short */
    {"gr\xc0\xafn@b.example", SP_E_ADDR_SYNTAX},     /* overlong */
    {"gr\xed\xa0\x80n@b.example", SP_E_ADDR_SYNTAX}, /* a surrogate */
    {"gr\xfcn@b.example", SP_E_ADDR_SYNTAX},         /* ISO 8859-1 */
    {"gr\xc2\x85n@b.example", SP_E_ADDR_SYNTAX},     /* NEL */
    {"gr\xe2\x80\xa8n@b.example", SP_E_ADDR_SYNTAX}, /* line separator */
    {"\"\\\xc3\xbc\"@b.example", SP_E_ADDR_SYNTAX},
    {"a@\xc3\xbc..example", SP_E_ADDR_SYNTAX},
    {"a@[\xc3\xbc]", SP_E_ADDR_SYNTAX},
    {"a@[IPv6:2001:db8\xff\xff 0]", SP_E_ADDR_SYNTAX},
    {"a@[\xc3\xbc\r\nDATA]", SP_E_ADDR_SYNTAX},
    {"a@[192.0.2.1\xc3\xbc]", SP_E_ADDR_SYNTAX},
    {"a@\xc3\xbc.example.", SP_E_ADDR_SYNTAX},
    {"a@-\xc3\xbc.example", SP_E_ADDR_SYNTAX},
    {"a@\xc3\xbc_.example", SP_E_ADDR_SYNTAX},
    {"a@b.example>\r\nDATA", SP_E_ADDR_SYNTAX},
    {";rm -rf x@b.example", SP_E_ADDR_SYNTAX},
};

START_TEST(mailbox_grammar)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(addresses); i++) {
        struct sp_address a;

        ck_assert_msg(sp_address_parse(sp_bytes_cstr(addresses[i].text), &a) == addresses[i].rc,
                      "case %zu: %s", i, addresses[i].text);
    }
}
END_TEST

START_TEST(lengths_are_limited)
{
    uint8_t text[400];
    struct sp_address a;

    memset(text, 'a', sizeof(text));
    memcpy(text + 65, "@b.example", 10);
    ck_assert_int_eq(sp_address_parse(sp_bytes(text, 75), &a), SP_E_ADDR_LONG);
    ck_assert_int_eq(sp_address_parse(sp_bytes(text + 1, 74), &a), SP_OK);
    memset(text, 'a', sizeof(text));
    text[64] = '@';
    text[65] = 'b';
    for (size_t i = 66; i < sizeof(text); i += 10)
        text[i] = '.';
    ck_assert_int_eq(sp_address_parse(sp_bytes(text, 255), &a), SP_E_ADDR_LONG);
    ck_assert_int_eq(sp_address_parse(sp_bytes(text, 253), &a), SP_OK);
}
END_TEST

START_TEST(nul_is_no_part_of_an_address)
{
    static const uint8_t text[] = {'a', 0, '@', 'b', '.', 'c', 'd'};
    struct sp_address a;

    ck_assert_int_eq(sp_address_parse(sp_bytes(text, sizeof(text)), &a), SP_E_ADDR_SYNTAX);
}
END_TEST

static const struct {
    const char *text;
    enum sp_rc rc;
    const char *local, *domain, *rest;
} paths[] = {
    {"<a@b.example> SIZE=1", SP_OK, "a", "b.example", " SIZE=1"},
    {"<>", SP_OK, "", "", ""},
    {"<Postmaster>", SP_OK, "Postmaster", "", ""},
    {"<@x.example,@y.example:a@b.example>", SP_OK, "a", "b.example", ""},
    {"<\"a>b\"@b.example>", SP_OK, "\"a>b\"", "b.example", ""},
    {"<a@b.example", SP_E_ADDR_SYNTAX, NULL, NULL, NULL},
    {"a@b.example>", SP_E_ADDR_SYNTAX, NULL, NULL, NULL},
    {"<a@b.example >", SP_E_ADDR_SYNTAX, NULL, NULL, NULL},
    {"<@x.example>", SP_E_ADDR_SYNTAX, NULL, NULL, NULL},
    {"<@x.example:>", SP_E_ADDR_SYNTAX, NULL, NULL, NULL},
    {"<@x.example,:a@b.example>", SP_E_ADDR_SYNTAX, NULL, NULL, NULL},
    {"<", SP_E_ADDR_SYNTAX, NULL, NULL, NULL},
    {"", SP_E_ADDR_SYNTAX, NULL, NULL, NULL},
};

START_TEST(paths_in_brackets)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(paths); i++) {
        struct sp_bytes rest;
        struct sp_address a;
        enum sp_rc rc = sp_address_parse_path(sp_bytes_cstr(paths[i].text), &a, &rest);

        ck_assert_msg(rc == paths[i].rc, "case %zu: %s", i, paths[i].text);
        if (rc != SP_OK)
            continue;
        ck_assert(sp_bytes_eq(a.local, sp_bytes_cstr(paths[i].local)));
        ck_assert(sp_bytes_eq(a.domain, sp_bytes_cstr(paths[i].domain)));
        ck_assert(sp_bytes_eq(rest, sp_bytes_cstr(paths[i].rest)));
    }
}
END_TEST

static const struct {
    const char *value;
    size_t count;
    bool failed;
    const char *first;
} lists[] = {
    {"a@b.example", 1, false, "a@b.example"},
    {" Dr. A <a@B.EXAMPLE>", 1, false, "a@b.example"},
    {"\"A, \\\"B\\\"\" <a@b.example>, c@d.example", 2, false, "a@b.example"},
    {"(note (nested)) a@b.example (more)", 1, false, "a@b.example"},
    {"Staff: a@b.example, B <b@b.example>;, c@d.example", 3, false, "a@b.example"},
    {"undisclosed-recipients:;", 0, false, NULL},
    {"A\r\n <a@b.example>", 1, false, "a@b.example"},
    {"=?utf-8?Q?A?= <a@b.example>", 1, false, "a@b.example"},
    {"dr@hospital.example <evil@x.example>", 2, false, "dr@hospital.example"},
    {"a@b.example <", 1, true, "a@b.example"},
    {"(open a@b.example", 0, true, NULL},
    {"<a@b.example", 0, true, NULL},
    {"\"open <a@b.example>", 0, true, NULL},
    {"", 0, false, NULL},
};

START_TEST(address_lists_of_fields)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(lists); i++) {
        struct sp_bytes rest = sp_bytes_cstr(lists[i].value);
        struct sp_address a;
        struct sp_buf text;
        bool failed = false;
        size_t count = 0;

        sp_buf_init(&text, 1000);
        while (sp_address_list_next(&rest, &a, &failed)) {
            if (count++ == 0)
                sp_address_format(&a, &text);
        }
        ck_assert_msg(count == lists[i].count && failed == lists[i].failed, "case %zu: %s", i,
                      lists[i].value);
        if (lists[i].first != NULL)
            ck_assert(sp_bytes_eq(sp_buf_bytes(&text), sp_bytes_cstr(lists[i].first)));
        sp_buf_clear(&text);
    }
}
END_TEST

START_TEST(domains_within)
{
    ck_assert(sp_domain_is_within(SP_LIT("a.B.example"), SP_LIT("b.example")));
    ck_assert(sp_domain_is_within(SP_LIT("b.example"), SP_LIT("b.example")));
    ck_assert(!sp_domain_is_within(SP_LIT("ab.example"), SP_LIT("b.example")));
    ck_assert(!sp_domain_is_within(SP_LIT("example"), SP_LIT("b.example")));
    ck_assert(!sp_domain_is_within(SP_LIT("b.example"), SP_LIT("")));
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, mailbox_grammar);
    tcase_add_test(c, lengths_are_limited);
    tcase_add_test(c, nul_is_no_part_of_an_address);
    tcase_add_test(c, paths_in_brackets);
    tcase_add_test(c, address_lists_of_fields);
    tcase_add_test(c, domains_within);
}

SP_TEST_MAIN("mail.address", add)
