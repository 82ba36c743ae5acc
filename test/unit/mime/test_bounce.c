/* What comes back: reports by their own part alone, automatic answers by their field, all else is just mail. */
#include "mime/bounce.h"
#include "support/check_main.h"

#define REPORT(type, part)                                                                         \
    "From: MAILER-DAEMON@example.net\r\nTo: b@gw.example\r\nSubject: Undelivered\r\n"              \
    "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: " type                     \
    "; report-type=delivery-status; boundary=\"b/1\"\r\n\r\n"                                      \
    "--b/1\r\nContent-Type: text/plain\r\n\r\nFinal-Recipient: rfc822;forged@example.net\r\n\r\n"  \
    "--b/1\r\nContent-Type: " part "\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n"            \
    "Final-Recipient: rfc822; nobody@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"           \
    "Diagnostic-Code: smtp; 550 5.1.1 no\r\n\r\n"                                                  \
    "--b/1\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: it was this\r\n\r\n--b/1--\r\n"

#define PLAIN(fields)                                                                              \
    "From: a@example.net\r\n" fields "\r\nFinal-Recipient: rfc822;a@b.c\r\nAction: failed\r\n"

START_TEST(what_it_is)
{
    static const struct {
        const char *text;
        size_t said;
        bool is_auto;
    } cases[] = {
        {REPORT("multipart/report", "message/delivery-status"), 1, true},
        {REPORT("multipart/report", "message/global-delivery-status; charset=utf-8"), 1, true},
        {REPORT("multipart/mixed", "message/delivery-status"), 0, true},
        {REPORT("multipart/report", "text/plain"), 0, true},
        {PLAIN("Auto-Submitted: auto-replied (vacation)\r\n"), 0, true},
        {PLAIN("Auto-Submitted: no\r\n"), 0, false},
        {PLAIN(""), 0, false},
        {PLAIN("Subject: Undelivered Mail Returned to Sender\r\n"), 0, false},
        {"", 0, false},
        {"\r\n", 0, false},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_bytes text = sp_bytes_cstr(cases[i].text);
        struct sp_mime_source source = sp_mime_source_bytes(&text);
        struct sp_mime_bounce b;

        sp_mime_bounce_read(&source, &b);
        ck_assert_msg(b.said_count == cases[i].said, "case %zu: %zu", i, b.said_count);
        ck_assert_msg(b.is_auto == cases[i].is_auto, "case %zu", i);
        if (b.said_count > 0) {
            ck_assert(sp_dsn_said_is_about(&b.said[0], SP_LIT("nobody@example.net")));
            ck_assert(b.said[0].reply_code == 550 && b.said[0].status.class == 5);
        }
        sp_mime_bounce_clear(&b);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, what_it_is);
}

SP_TEST_MAIN("mime.bounce", add)
