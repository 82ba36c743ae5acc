/* Notifications of other mail systems, as they write them: who, what, and which code; nothing from words for people. */
#include "mail/dsn_read.h"
#include "support/check_main.h"

static const char postfix[] =
    "Reporting-MTA: dns; mx.example.net\r\n"
    "X-Postfix-Queue-ID: 4F1\r\nArrival-Date: Mon, 23 Nov 2026 10:00:00 +0000 (UTC)\r\n"
    "\r\n"
    "Final-Recipient: rfc822; Nobody@example.net\r\n"
    "Original-Recipient: rfc822;no+2Bbody@example.net\r\n"
    "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; inner.example.net\r\n"
    "Diagnostic-Code: smtp; 550 5.1.1 <nobody@example.net>: Recipient address\r\n"
    "    rejected: User unknown\r\n"
    "\r\n"
    "Final-Recipient: rfc822; slow@example.net\r\nAction: delayed\r\nStatus: 4.4.1\r\n";

START_TEST(what_postfix_writes)
{
    struct sp_dsn_said s[4];

    ck_assert_uint_eq(sp_dsn_read(sp_bytes_cstr(postfix), s, 4), 2);
    ck_assert(sp_bytes_eq(s[0].final, SP_LIT("Nobody@example.net")));
    ck_assert(s[0].has_action && s[0].action == SP_DSN_FAILED && s[0].reply_code == 550);
    ck_assert(s[0].status.class == 5 && s[0].status.subject == 1 && s[0].status.detail == 1);
    ck_assert(s[1].action == SP_DSN_DELAYED && s[1].status.class == 4 && s[1].reply_code == 0);
    ck_assert(sp_dsn_said_is_about(&s[0], SP_LIT("nobody@EXAMPLE.net")));
    ck_assert(sp_dsn_said_is_about(&s[0], SP_LIT("no+body@example.net")));
    ck_assert(!sp_dsn_said_is_about(&s[0], SP_LIT("slow@example.net")));
    ck_assert(!sp_dsn_said_is_about(&s[0], SP_LIT("")));
    ck_assert_uint_eq(sp_dsn_read(sp_bytes_cstr(postfix), s, 1), 1);
}
END_TEST

/* RFC 6533 3: in a report that is ASCII, and in one that is not. */
START_TEST(who_is_not_ascii)
{
    static const char *const finals[] = {
        "utf-8; \\x{EC}\\x{F1}@example.net",
        "utf-8;\\x{EC}\xC3\xB1@EXAMPLE.net",
        "utf-8; \xC3\xAC\xC3\xB1@example.net",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(finals); i++) {
        struct sp_dsn_said s[1];
        struct sp_buf text;

        sp_buf_init(&text, 512);
        sp_buf_printf(&text, "X: y\n\nFinal-Recipient: %s\nAction: failed\n", finals[i]);
        ck_assert_uint_eq(sp_dsn_read(sp_buf_bytes(&text), s, 1), 1);
        ck_assert_msg(sp_dsn_said_is_about(&s[0], SP_LIT("\xC3\xAC\xC3\xB1@example.net")), "%zu",
                      i);
        ck_assert(!sp_dsn_said_is_about(&s[0], SP_LIT("\xC3\xAC\xC3\xB2@example.net")));
        sp_buf_clear(&text);
    }
}
END_TEST

START_TEST(what_others_write)
{
    static const struct {
        const char *text;
        size_t count;
        int code;
        unsigned class;
    } cases[] = {
        {"", 0, 0, 0},
        {"\n\n\n", 0, 0, 0},
        {"Final-Recipient: rfc822;a@b.c\nAction: failed\nStatus: 5.0.0\n", 1, 0,
         5}, /* no first group */
        {"X: y\n\nfinal-recipient:<a@b.c>\nACTION: FAILED\n", 1, 0, 0},
        {"X: y\n\nFinal-Recipient: rfc822;a@b.c\nAction: expanded\n", 0, 0,
         0}, /* none that is told of */
        {"X: y\n\nFinal-Recipient: rfc822;a@b.c\nAction: exploded\n", 0, 0, 0},
        {"X: y\n\nAction: failed\nStatus: 5.1.1\n", 0, 0, 0}, /* about nobody */
        {"X: y\n\nFinal-Recipient: rfc822;a@b.c\nAction: failed\nDiagnostic-Code: x-qq; 550\n", 1,
         0, 0},
        {"X: y\n\nFinal-Recipient: rfc822;a@b.c\nAction: failed\nDiagnostic-Code: smtp;9999 \n", 1,
         0, 0},
        {"X: y\n\nFinal-Recipient: rfc822;a@b.c\nAction: failed\nDiagnostic-Code: smtp;554\n", 1,
         554, 0},
        {"X: y\n\nFinal-Recipient: rfc822;a@b.c\nAction: failed\nStatus: nonsense\n", 1, 0, 0},
        {"X: y\n\nFinal-Recipient: rfc822;a@b.c\n Action: failed\n", 0, 0,
         0}, /* a folded line is no field */
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_dsn_said s[2];
        size_t count = sp_dsn_read(sp_bytes_cstr(cases[i].text), s, 2);

        ck_assert_msg(count == cases[i].count, "case %zu: %zu", i, count);
        if (count == 0)
            continue;
        ck_assert_msg(sp_dsn_said_is_about(&s[0], SP_LIT("a@b.c")), "case %zu", i);
        ck_assert_msg(s[0].reply_code == cases[i].code && s[0].status.class == cases[i].class,
                      "case %zu: %d", i, s[0].reply_code);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, what_postfix_writes);
    tcase_add_test(c, who_is_not_ascii);
    tcase_add_test(c, what_others_write);
}

SP_TEST_MAIN("mail.dsn_read", add)
