/*
 * A TLS report's mail: what RFC 8460 5.3 gives to the letter, and nothing foreign that could end a line.
 */
#include "mail/tls_report.h"
#include "support/check_main.h"

static struct sp_tls_report sample(void)
{
    return (struct sp_tls_report){.domain = SP_LIT("example.net"),
                                  .submitter = SP_LIT("clinic.test"),
                                  .from = SP_LIT("postmaster@clinic.test"),
                                  .to = SP_LIT("tls@example.net"),
                                  .id = SP_LIT("2026-11-21.example.net@gw1"),
                                  .message_id = SP_LIT("<x1@clinic.test>"),
                                  .from_s = 1795219200,
                                  .to_s = 1795305599,
                                  .gzip = SP_LIT("0123456789012345678901234567890123456789012345"
                                                 "678901234567890123456789"),
                                  .now_ms = 1795309200000};
}

START_TEST(the_mail_is_as_the_rfc_has_it)
{
    static const char *const holds[] = {
        "\r\nSubject: Report Domain: example.net Submitter: clinic.test",
        "<2026-11-21.example.net@gw1>\r\n",
        "\r\nTLS-Report-Domain: example.net\r\n",
        "\r\nTLS-Report-Submitter: clinic.test\r\n",
        "\r\nTLS-Required: No\r\n",
        "\r\nMessage-ID: <x1@clinic.test>\r\n",
        "\r\nContent-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=",
        "\r\nContent-Type: application/tlsrpt+gzip\r\n",
        "filename=\"clinic.test!example.net!1795219200!1795305599.json.gz\"\r\n",
        "\r\nMDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2\r\n"
        "Nzg5MDEyMzQ1Njc4OQ==\r\n",
    };
    struct sp_tls_report r = sample();
    struct sp_buf out;

    sp_buf_init(&out, 65536);
    ck_assert_int_eq(sp_tls_report_build(&r, &out), SP_OK);
    sp_buf_put_u8(&out, 0);
    for (size_t i = 0; i < SP_ARRAY_LEN(holds); i++)
        ck_assert_msg(strstr((const char *)out.ptr, holds[i]) != NULL, "%s\n%s", holds[i],
                      (const char *)out.ptr);
    sp_buf_clear(&out);
}
END_TEST

START_TEST(no_value_adds_a_line)
{
    struct sp_tls_report r = sample();
    struct sp_buf out;

    sp_buf_init(&out, 65536);
    r.id = SP_LIT("x\r\nBcc: spy@example.net");
    ck_assert_int_eq(sp_tls_report_build(&r, &out), SP_E_SMTP_INJECTION);
    sp_buf_clear(&out);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, the_mail_is_as_the_rfc_has_it);
    tcase_add_test(c, no_value_adds_a_line);
}

SP_TEST_MAIN("mail.tls_report", add)
