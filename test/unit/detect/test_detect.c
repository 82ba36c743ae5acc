/* Detection: which text is what class, what counts, what is not looked at. All numbers are made up. */
#include <stdio.h>

#include "base/buf.h"
#include "base/text.h"
#include "support/detector.h"

static const struct {
    const char *text;
    enum sp_detect_class class;
    enum sp_detect_type type; /* SP_DETECT_TYPES: none is asked about */
    uint32_t score;           /* at least; 0: not found at all */
} texts[] = {
    {"See you at the meeting on Monday.", SP_DETECT_NONE, SP_DETECT_TYPES, 0},
    {"SSN: 219-45-6781", SP_DETECT_IDENTIFIER, SP_DETECT_US_SSN, 95},
    {"219-45-6781", SP_DETECT_IDENTIFIER, SP_DETECT_US_SSN, 70},
    {"219 45 6781", SP_DETECT_IDENTIFIER, SP_DETECT_US_SSN, 70},
    {"219-45 6781", SP_DETECT_NONE, SP_DETECT_US_SSN, 0},
    {"social security number 219456781", SP_DETECT_IDENTIFIER, SP_DETECT_US_SSN, 80},
    {"order 219456781", SP_DETECT_NONE, SP_DETECT_US_SSN, 0},
    {"666-45-6781 or 000-45-6781 or 912-45-6781", SP_DETECT_NONE, SP_DETECT_US_SSN, 0},
    {"219-00-6781 or 219-45-0000", SP_DETECT_NONE, SP_DETECT_US_SSN, 0},
    {"part 1219-45-67812", SP_DETECT_NONE, SP_DETECT_US_SSN, 0},
    {"773-45-6781", SP_DETECT_IDENTIFIER, SP_DETECT_US_SSN, 70},    /* issued since 2011 */
    {"My SSN is 123-45-6789", SP_DETECT_NONE, SP_DETECT_US_SSN, 0}, /* everybody's example */
    {"SSN 078-05-1120, diabetes", SP_DETECT_NONE, SP_DETECT_US_SSN, 0},
    {"SSN 000-00-0000, diabetes", SP_DETECT_NONE, SP_DETECT_US_SSN, 0},
    {"SSN 219\xe2\x80\x91"
     "45\xe2\x80\x91"
     "6781",
     SP_DETECT_IDENTIFIER, SP_DETECT_US_SSN, 95},
    {"SSN 21\xe2\x80\x8b"
     "9-45-6781",
     SP_DETECT_IDENTIFIER, SP_DETECT_US_SSN, 95},
    {"SSN \xef\xbc\x92\xef\xbc\x91\xef\xbc\x99-45-6781", SP_DETECT_IDENTIFIER, SP_DETECT_US_SSN,
     95},
    {"SSN 219-45-6781, diagnosed with diabetes", SP_DETECT_PHI, SP_DETECT_US_SSN, 95},
    {"Diabetes is on the rise, says the newsletter of our hospital.", SP_DETECT_NONE,
     SP_DETECT_DIAGNOSIS, 75},
    {"MRN: 00482911", SP_DETECT_IDENTIFIER, SP_DETECT_MRN, 90},
    {"Medical record number: A-4829-11", SP_DETECT_IDENTIFIER, SP_DETECT_MRN, 90},
    {"Patient MRN 1111111, diabetes", SP_DETECT_PHI, SP_DETECT_MRN, 90},
    {"MRN 0000000, diabetes", SP_DETECT_NONE, SP_DETECT_MRN, 0}, /* filled in */
    {"MRN 9999999, diabetes", SP_DETECT_NONE, SP_DETECT_MRN, 0},
    {"mrn none", SP_DETECT_NONE, SP_DETECT_MRN, 0},
    {"Patient MRN 00482911 is here for a refill", SP_DETECT_PHI, SP_DETECT_MRN, 90},
    {"Medicare id 1EG4-TE5-MK73", SP_DETECT_IDENTIFIER, SP_DETECT_MBI, 95},
    {"Medicare id 1EG4-TE5-MK73 billed for dialysis", SP_DETECT_PHI, SP_DETECT_MBI, 95},
    {"1EG4TE5MK73", SP_DETECT_IDENTIFIER, SP_DETECT_MBI, 90},
    {"1SG4TE5MK73", SP_DETECT_NONE, SP_DETECT_MBI, 0}, /* no S in it */
    {"0EG4TE5MK73", SP_DETECT_NONE, SP_DETECT_MBI, 0},
    {"NPI 1234567893", SP_DETECT_IDENTIFIER, SP_DETECT_NPI, 95},
    {"NPI 1234567890", SP_DETECT_NONE, SP_DETECT_NPI, 0},
    {"NPI 1234567893, cardiology; echocardiogram", SP_DETECT_IDENTIFIER, SP_DETECT_NPI, 95},
    {"DOB: 01/02/1980", SP_DETECT_IDENTIFIER, SP_DETECT_DOB, 85},
    {"Date of birth 1980-01-02", SP_DETECT_IDENTIFIER, SP_DETECT_DOB, 85},
    {"born on January 2, 1980", SP_DETECT_IDENTIFIER, SP_DETECT_DOB, 85},
    {"born 2 Jan 1980", SP_DETECT_IDENTIFIER, SP_DETECT_DOB, 85},
    {"DOB: 13/32/1980", SP_DETECT_NONE, SP_DETECT_DOB, 0},
    {"We met on 01/02/1980.", SP_DETECT_NONE, SP_DETECT_DOB, 0},
    {"Pt born 01/02/1980, on metformin", SP_DETECT_PHI, SP_DETECT_DOB, 85},
    {"Phone: (312) 555-0123", SP_DETECT_NONE, SP_DETECT_PHONE, 50},
    {"Phone: (312) 555-0123. Our clinic offers surgery.", SP_DETECT_NONE, SP_DETECT_PHONE, 50},
    {"Patient's phone 312-555-0123, had a biopsy", SP_DETECT_PHI, SP_DETECT_PHONE, 60},
    {"DX code E11.9, SSN 219-45-6781", SP_DETECT_PHI, SP_DETECT_ICD10, 85},
    {"model E11.9", SP_DETECT_NONE, SP_DETECT_ICD10, 0},
    {"MRN 00482911, HIV positive", SP_DETECT_SEVERE, SP_DETECT_MRN, 90},
    {"World AIDS day: learn about HIV", SP_DETECT_NONE, SP_DETECT_DIAGNOSIS, 75},
    {"MRN 00482911 methadone", SP_DETECT_SEVERE, SP_DETECT_MRN, 90},
    /* a longer term is as special as what stands in it */
    {"MRN 00482911 HIV test", SP_DETECT_SEVERE, SP_DETECT_MRN, 90},
    {"MRN 00482911 is on methadone", SP_DETECT_SEVERE, SP_DETECT_MRN, 90},
    {"MRN 00482911, BRCA status", SP_DETECT_SEVERE, SP_DETECT_MRN, 90},
    {"MRN 00482911 has AIDS", SP_DETECT_SEVERE, SP_DETECT_MRN, 90},
    {"MRN 00482911 has hearing aids", SP_DETECT_PHI, SP_DETECT_MRN, 90},
    {"MRN 00482911 started on Biktarvy", SP_DETECT_SEVERE, SP_DETECT_MRN, 90},
    {"The Hendersons' baby is in the NICU.", SP_DETECT_PHI, SP_DETECT_PERSON, 50},
    {"The Hendersons' boat is in the harbor.", SP_DETECT_NONE, SP_DETECT_PERSON, 50},
    {"file gastric_bypass_Vivian_Slater.pdf", SP_DETECT_PHI, SP_DETECT_PERSON, 60},
    {"Radiology addendum for Pike, Leonard: 9 mm nodule", SP_DETECT_PHI, SP_DETECT_PERSON, 70},
    /* records of machines: HL7 v2, X12 */
    {"PID|1||4481920^^^MRN||DOE^ANNA^K||19580923|F\nOBX|1|NM|2345-7^GLUCOSE||212|mg/dL|70-99|H",
     SP_DETECT_PHI, SP_DETECT_MRN, 60},
    {"PID|1||4481920^^^MRN||DOE^ANNA^K||19580923|F", SP_DETECT_PHI, SP_DETECT_DOB, 85},
    {"ST*837*0001~NM1*QC*1*HOLLOWAY*BRENDA****MI*W2291883~DMG*D8*19580923*F~CLM*2646*100~",
     SP_DETECT_PHI, SP_DETECT_DOB, 85},
    {"ERR|PID^1^5|101^required field missing", SP_DETECT_NONE, SP_DETECT_PERSON, 0},
};

START_TEST(a_text_has_its_class)
{
    struct sp_detect_result r;

    begin();
    sp_detect_text(detect, sp_bytes_cstr(texts[_i].text), NULL, arena, &r);
    ck_assert_msg(r.class == texts[_i].class, "%s: class %d", texts[_i].text, (int)r.class);
    ck_assert(!r.partial);
    if (texts[_i].type != SP_DETECT_TYPES)
        ck_assert_msg(texts[_i].score == 0 ? r.types[texts[_i].type].score == 0
                                           : r.types[texts[_i].type].score >= texts[_i].score,
                      "%s: score %u", texts[_i].text, r.types[texts[_i].type].score);
    end();
}
END_TEST

START_TEST(special_categories_are_named_with_phi_only)
{
    struct sp_detect_result r;

    begin();
    sp_detect_text(detect, SP_LIT("MRN 00482911: HIV, BRCA1, suboxone"), NULL, arena, &r);
    ck_assert_uint_eq(r.special, SP_DETECT_HIV | SP_DETECT_GENETIC | SP_DETECT_PART2);
    sp_detect_text(detect, SP_LIT("HIV, BRCA1, suboxone"), NULL, arena, &r);
    ck_assert_uint_eq(r.special, 0);
    ck_assert_str_eq(sp_detect_special_name(0), "part2");
    end();
}
END_TEST

START_TEST(columns_under_a_heading_are_values)
{
    struct sp_detect_result r;
    struct sp_buf b;

    begin();
    sp_buf_init(&b, 1 << 20);
    sp_buf_put_cstr(&b, "Name,MRN,DOB,Note\n");
    for (int i = 0; i < 40; i++)
        sp_buf_printf(&b, "Person %d,%08d,0%d/1%d/19%02d,diabetes\n", i, 4000000 + i * 7, 1 + i % 9,
                      i % 10, 40 + i);
    sp_detect_text(detect, sp_buf_bytes(&b), NULL, arena, &r);
    ck_assert_uint_eq(r.types[SP_DETECT_MRN].distinct, 40);
    ck_assert_uint_eq(r.types[SP_DETECT_DOB].distinct, 40);
    ck_assert_int_eq(r.class, SP_DETECT_SEVERE); /* a list of patients */
    sp_buf_clear(&b);
    end();
}
END_TEST

START_TEST(nothing_is_lost_or_counted_twice_at_a_seam)
{
    struct sp_detect_result r;
    struct sp_buf b;

    begin();
    sp_buf_init(&b, 1 << 20);
    for (size_t shift = 0; shift < 1400; shift += 7) {
        sp_buf_reset(&b);
        for (size_t i = 0; i < 64 * 1024 - 1200 + shift; i++)
            sp_buf_put_u8(&b, i % 60 == 59 ? '\n' : 'x');
        sp_buf_put_cstr(&b, " SSN 219-45-6781 ");
        for (size_t i = 0; i < 3000; i++)
            sp_buf_put_u8(&b, 'y');
        sp_detect_text(detect, sp_buf_bytes(&b), NULL, arena, &r);
        ck_assert_msg(r.types[SP_DETECT_US_SSN].count == 1 && r.types[SP_DETECT_US_SSN].score == 95,
                      "shift %zu: %u", shift, r.types[SP_DETECT_US_SSN].count);
    }
    sp_buf_clear(&b);
    end();
}
END_TEST

static void put_lines(struct sp_buf *b, size_t len)
{
    for (size_t i = len; i > 0; i--)
        sp_buf_put_u8(b, i % 60 == 1 ? '\n' : 'x');
}

/* What has been joined is not joined again: places in the overlap would move. */
START_TEST(letters_apart_move_nothing_at_a_seam)
{
    struct sp_detect_result r;
    struct sp_buf b;

    begin();
    sp_buf_init(&b, 1 << 20);
    for (size_t shift = 0; shift < 2000; shift += 61) {
        sp_buf_reset(&b);
        put_lines(&b, 64 * 1024 - 3000 + shift);
        sp_buf_put_cstr(&b, "x y z u");
        for (size_t i = 0; i < 500; i++)
            sp_buf_put_cstr(&b, "\tv");
        sp_buf_put_cstr(&b, "\nSSN 219-45-6781\n");
        put_lines(&b, 3000);
        sp_detect_text(detect, sp_buf_bytes(&b), NULL, arena, &r);
        ck_assert_msg(r.types[SP_DETECT_US_SSN].count == 1, "shift %zu: %u", shift,
                      r.types[SP_DETECT_US_SSN].count);
    }
    sp_buf_clear(&b);
    end();
}
END_TEST

/* A number spelled out with its label is read whole wherever a window ends. */
START_TEST(letters_apart_are_joined_at_a_seam)
{
    struct sp_detect_result r;
    struct sp_buf b;

    begin();
    sp_buf_init(&b, 1 << 20);
    for (size_t shift = 0; shift < 80; shift++) {
        sp_buf_reset(&b);
        put_lines(&b, 64 * 1024 - 60 + shift);
        sp_buf_put_cstr(&b, "S S N :  2 1 9 - 4 5 - 6 7 8 1\n");
        put_lines(&b, 3000);
        sp_detect_text(detect, sp_buf_bytes(&b), NULL, arena, &r);
        ck_assert_msg(r.types[SP_DETECT_US_SSN].count == 1 && r.types[SP_DETECT_US_SSN].score == 95,
                      "shift %zu: %u", shift, r.types[SP_DETECT_US_SSN].count);
    }
    sp_buf_clear(&b);
    end();
}
END_TEST

/* ---- messages ---- */

static void scan(const char *text, struct sp_detect_result *r)
{
    struct sp_bytes mem = sp_bytes_cstr(text);
    struct sp_mime_source source = sp_mime_source_bytes(&mem);
    struct sp_detect_limits limits = {0};

    ck_assert_int_eq(sp_detect_message(detect, &source, &limits, arena, r), SP_OK);
}

#define MIXED                                                                                      \
    "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"

static const struct {
    const char *name;
    const char *text;
    enum sp_detect_class class;
    bool partial;
    enum sp_detect_sealed sealed;
} messages[] = {
    {"plain", "Subject: x\r\n\r\nSSN 219-45-6781 diabetes", SP_DETECT_PHI, false, 0},
    {"subject", "Subject: SSN 219-45-6781\r\n\r\ndiabetes", SP_DETECT_PHI, false, 0},
    {"encoded subject", "Subject: =?utf-8?b?U1NOIDIxOS00NS02Nzgx?=\r\n\r\ndiabetes", SP_DETECT_PHI,
     false, 0},
    {"other fields", "Message-ID: <219-45-6781@x>\r\nSubject: x\r\n\r\ndiabetes", SP_DETECT_NONE,
     false, 0},
    {"base64", "Content-Transfer-Encoding: base64\r\n\r\nU1NOIDIxOS00NS02NzgxIGRpYWJldGVz\r\n",
     SP_DETECT_PHI, false, 0},
    {"html", "Content-Type: text/html\r\n\r\n<p>SSN 219-<b>45</b>-6781 <i>dia</i>betes",
     SP_DETECT_PHI, false, 0},
    {"hidden html",
     "Content-Type: text/html\r\n\r\n<p style='display:none'>SSN 219-45-6781</p>diabetes",
     SP_DETECT_PHI, false, 0},
    {"preamble",
     "Content-Type: multipart/mixed; boundary=b\r\n\r\nSSN 219-45-6781\r\n--b\r\n\r\ndiabetes\r\n"
     "--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"epilogue",
     "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ndiabetes\r\n--b--\r\n"
     "SSN 219-45-6781\r\n",
     SP_DETECT_PHI, false, 0},
    {"file name",
     MIXED "Content-Type: application/octet-stream; name=\"diabetes MRN 00482911.txt\"\r\n\r\n"
           "x\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"inner message",
     MIXED "Content-Type: message/rfc822\r\n\r\nSubject: SSN 219-45-6781\r\n\r\ndiabetes\r\n"
           "--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a message as a file",
     MIXED "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
           "TUlNRS1WZXJzaW9uOiAxLjANClN1YmplY3Q6IHkNCkNvbnRlbnQtVHJhbnNmZXItRW"
           "5jb2Rpbmc6IGJhc2U2NA0KDQpVMU5PSURJeE9TMDBOUzAyTnpneElHUnBZV0psZEdW"
           "eg0K"
           "\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a message in base64",
     MIXED "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
           "TUlNRS1WZXJzaW9uOiAxLjANClN1YmplY3Q6IHkNCkNvbnRlbnQtVHJhbnNmZXItRW"
           "5jb2Rpbmc6IGJhc2U2NA0KDQpVMU5PSURJeE9TMDBOUzAyTnpneElHUnBZV0psZEdW"
           "eg0K"
           "\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"an mbox",
     MIXED "Content-Type: application/mbox\r\n\r\nFrom a@b Mon Mar  4 10:00:00 2024\r\n"
           "MIME-Version: 1.0\r\nSubject: first\r\n\r\nhello\r\n\r\n"
           "From a@b Mon Mar  4 11:00:00 2024\r\nMIME-Version: 1.0\r\nSubject: second\r\n"
           "Content-Transfer-Encoding: base64\r\n\r\nU1NOIDIxOS00NS02NzgxIGRpYWJldGVz\r\n"
           "--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a paragraph of an mbox that begins as its parting lines do",
     MIXED "Content-Type: application/mbox\r\n\r\nFrom a@b Mon Mar  4 10:00:00 2024\r\n"
           "MIME-Version: 1.0\r\nSubject: first\r\n\r\nhello\r\n\r\n"
           "From SSN 219-45-6781 we hear of diabetes\r\nNote: call\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a form that begins as mail does",
     MIXED "Content-Type: application/octet-stream\r\n\r\nReceived: 01/02/2024\r\n"
           "From: Dr. Reyes\r\nSSN: 219-45-6781\r\nDiagnosis: diabetes\r\n\r\nCall.\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"fields that no mail program writes, in a message as a file",
     MIXED "Content-Type: application/octet-stream\r\n\r\nMessage-ID: <a@b>\r\n"
           "MIME-Version: 1.0\r\nSSN: 219-45-6781\r\nDiagnosis: diabetes\r\n\r\nCall.\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"those that they do write, there",
     MIXED "Content-Type: application/octet-stream\r\n\r\nMessage-ID: <219-45-6781@b>\r\n"
           "MIME-Version: 1.0\r\nX-Id: SSN\r\n 219-45-6781\r\n\r\ndiabetes\r\n--b--\r\n",
     SP_DETECT_NONE, false, 0},
    {"a text behind two fields",
     MIXED "Content-Type: application/octet-stream\r\n\r\nMessage-ID: 4\r\nFrom: Ann\r\n"
           "SSN 219-45-6781 diabetes\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"messages as files in messages as files",
     MIXED "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
           "TUlNRS1WZXJzaW9uOiAxLjANCkNvbnRlbnQtVHlwZTogYXBwbGljYXRpb24vb2N0ZX"
           "Qtc3RyZWFtDQpDb250ZW50LVRyYW5zZmVyLUVuY29kaW5nOiBiYXNlNjQNCg0KVFVs"
           "TlJTMVdaWEp6YVc5dU9pQXhMakFOQ2tOdmJuUmxiblF0Vkhsd1pUb2dZWEJ3Ykdsal"
           "lYUnBiMjR2YjJOMFpYUXRjM1J5WldGdERRcERiMjUwWlc1MExWUnlZVzV6Wm1WeUxV"
           "VnVZMjlrYVc1bk9pQmlZWE5sTmpRTkNnMEtWRlZzVGxKVE1WZGFXRXA2WVZjNWRVOX"
           "BRWGhNYWtGT1EydE9kbUp1VW14aWJsRjBWa2hzZDFwVWIyZFpXRUozWWtkc2FsbFlV"
           "bkJpTWpSMllqSk9NRnBZVVhSak0xSjVXbGRHZEVSUmNFUmlNalV3V2xjMU1FeFdVbm"
           "xaVnpWNldtMVdlVXhWVm5WWk1qbHJZVmMxYms5cFFtbFpXRTVzVG1wUlRrTm5NRXRX"
           "UmxaelZHeEtWRTFXWkdGWFJYQTJXVlpqTldSVk9YQlJXR2hOWVd0R1QxRXllRTlOVm"
           "14MFkwZDRXazB4UlRKVFZXaHlWR3RPY2xSdVdtbGliRXB6V1cwMVVtUkdXa2xUYldo"
           "cFltczFkRmRzYUVwa1JrcFlUbGR3YVUxc1NuZFpiVEZxVG10c1NGTnRhR3BOYkZWNV"
           "ZHdEZkMU13VWxKalJscE9WbFJXVVZVeFZsTlRiVlpHVDFaU1RsSkZTbEJXV0hCQ1pW"
           "WlNkV05ITld4U1YzaEpWbGMxUTFkc1dYZGpTRTVoVWxkU1dGcFhZM2RUZHpCTERRbz"
           "0NCg=="
           "\r\n--b--\r\n",
     SP_DETECT_NONE, true, 0},
    {"a list of fields is no message",
     MIXED "Content-Type: text/plain\r\n\r\nFrom: Ann\r\nTo: Tom\r\nSubject: lunch\r\n\r\nNoon?\r\n"
           "--b--\r\n",
     SP_DETECT_NONE, false, 0},
    {"a record in XML, by attributes",
     MIXED "Content-Type: application/xml\r\n\r\n<?xml version=\"1.0\"?><patients>"
           "<patient mrn=\"4482910\" diagnosis=\"lupus\"/></patients>\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a record in XML, by elements",
     MIXED "Content-Type: text/xml\r\n\r\n<?xml version=\"1.0\"?><p:patients xmlns:p=\"x\">"
           "<p:ssn>219456781</p:ssn><p:dx>lupus</p:dx></p:patients>\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a summary by HL7",
     MIXED "Content-Type: text/xml\r\n\r\n<?xml version=\"1.0\"?><ClinicalDocument>"
           "<id root=\"2.16.840.1.113883.4.1\" extension=\"219456781\"/>"
           "<code codeSystem=\"2.16.840.1.113883.6.96\" code=\"44054006\"/>"
           "</ClinicalDocument>\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a table in a summary by HL7",
     MIXED
     "Content-Type: application/xml\r\n\r\n<?xml version=\"1.0\"?><ClinicalDocument><table><tr>"
     "<td>Visit</td><td>SSN</td><td>Note</td></tr><tr><td><content ID=\"a\">2</content></td>"
     "<td><content>219456781</content></td><td><content>lupus</content></td></tr></table>"
     "</ClinicalDocument>\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a page in XML is no record",
     MIXED "Content-Type: text/html\r\n\r\n<?xml version=\"1.0\"?><html><p class=\"mrn\">4482910"
           "</p><p>lupus</p></html>\r\n--b--\r\n",
     SP_DETECT_NONE, false, 0},
    {"a wide heading",
     "Content-Type: text/html\r\n\r\n<table><tr><th colspan=\"2\">Patient</th><th>MRN</th><th>Note"
     "</th></tr><tr><td>a</td><td>b</td><td>4482910</td><td>lupus</td></tr></table>",
     SP_DETECT_PHI, false, 0},
    {"text claimed to be a picture",
     MIXED "Content-Type: image/jpeg\r\n\r\nBM SSN 219-45-6781 diabetes\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a picture",
     MIXED "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
           "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ\r\n--b--\r\n",
     SP_DETECT_NONE, false, 0},
    {"a pdf",
     MIXED "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
           "JVBERi0xLjcKJeLjz9MK\r\n--b--\r\n",
     SP_DETECT_NONE, true, 0},
    {"an odd encoding", "Content-Transfer-Encoding: x-rot13\r\n\r\nSSN 219-45-6781 diabetes",
     SP_DETECT_PHI, true, 0},
    {"no boundary", "Content-Type: multipart/mixed\r\n\r\nx", SP_DETECT_NONE, true, 0},
    {"signed",
     "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nSSN 219-45-6781 diabetes\r\n"
     "--b\r\nContent-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n"
     "--b--\r\n",
     SP_DETECT_PHI, false, SP_DETECT_SIGNED},
    {"a label is no signature",
     MIXED "Content-Type: application/pgp-signature\r\n\r\nSSN 219-45-6781 diabetes\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"nor is this one",
     MIXED "Content-Type: application/pkcs7-signature\r\n\r\nSSN 219-45-6781 diabetes\r\n--b--\r\n",
     SP_DETECT_PHI, false, 0},
    {"a label is no ciphertext",
     "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\nContent-Type: "
     "application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\nContent-Type: "
     "application/octet-stream\r\n\r\nSSN 219-45-6781 diabetes\r\n--b--\r\n",
     SP_DETECT_PHI, false, SP_DETECT_NOT_SEALED},
    {"armor round plain packets",
     "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\nContent-Type: "
     "application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\nContent-Type: "
     "application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\n"
     "yxR0AGJyAAAAAEhlbGxvIHdvcmxkIQ==\r\n-----END PGP MESSAGE-----\r\n--b--\r\n",
     SP_DETECT_NONE, true, SP_DETECT_NOT_SEALED},
};

START_TEST(a_message_has_its_class)
{
    struct sp_detect_result r;

    begin();
    scan(messages[_i].text, &r);
    ck_assert_msg(r.class == messages[_i].class, "%s: class %d", messages[_i].name, (int)r.class);
    ck_assert_msg(r.partial == messages[_i].partial, "%s: partial", messages[_i].name);
    ck_assert_msg(r.sealed == messages[_i].sealed, "%s: sealed %d", messages[_i].name,
                  (int)r.sealed);
    end();
}
END_TEST

static void put_packets(struct sp_buf *out, struct sp_bytes packets, const char *comment,
                        const char *behind)
{
    struct sp_buf armor;

    sp_buf_init(&armor, 4000);
    sp_base64_encode(&armor, packets);
    sp_buf_printf(out,
                  "Subject: x\r\nContent-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n"
                  "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\n"
                  "Content-Type: application/octet-stream\r\n\r\n"
                  "-----BEGIN PGP MESSAGE-----\r\n%s\r\n%.*s\r\n=AAAA\r\n"
                  "-----END PGP MESSAGE-----\r\n%s--b--\r\n",
                  comment, SP_FMT(armor), behind);
    sp_buf_put_u8(out, 0);
    sp_buf_clear(&armor);
}

/* PKESK (tag 1, 12 bytes), SEIPD (tag 18, 40 bytes), armored. */
static void put_pgp(struct sp_buf *out, const char *comment, const char *behind)
{
    uint8_t packets[2 + 12 + 2 + 40] = {0xc1, 12};

    packets[14] = 0xd2;
    packets[15] = 40;
    put_packets(out, sp_bytes(packets, sizeof(packets)), comment, behind);
}

START_TEST(real_pgp_ciphertext_is_sealed)
{
    struct sp_detect_result r;
    struct sp_buf b;

    begin();
    sp_buf_init(&b, 10000);
    put_pgp(&b, "", "");
    scan((char *)b.ptr, &r);
    ck_assert(r.sealed == SP_DETECT_PGP && !r.partial && r.class == SP_DETECT_NONE);
    sp_buf_reset(&b);
    put_pgp(&b, "Comment: SSN 219-45-6781\r\n", "");
    scan((char *)b.ptr, &r);
    ck_assert(r.sealed == SP_DETECT_NOT_SEALED);
    sp_buf_reset(&b);
    put_pgp(&b, "", "and in clear: SSN 219-45-6781\r\n");
    scan((char *)b.ptr, &r);
    ck_assert(r.sealed == SP_DETECT_NOT_SEALED);
    sp_buf_clear(&b);
    end();
}
END_TEST

/* ContentInfo in hex */
#define OID_ENVELOPED "06092a864886f70d010703"
#define OID_AUTH      "060b2a864886f70d0109100117"
#define OID_SIGNED    "06092a864886f70d010702"
#define KEY           "3003020100" /* as far as is looked at */
#define CONTENT       "301f" OID_DATA "3000" BYTES
#define OID_DATA      "06092a864886f70d010701"
#define BYTES         "801000112233445566778899aabbccddeeff"
#define WALKED                                                                                     \
    "020100"                                                                                       \
    "3105" KEY CONTENT

static const struct {
    const char *name, *der;
    enum sp_detect_sealed sealed;
} smime[] = {
    {"definite", "303a" OID_ENVELOPED "a02d302b" WALKED, SP_DETECT_SMIME},
    {"indefinite",
     "3080" OID_ENVELOPED "a0803080"
     "020100"
     "3180" KEY "0000"
     "3080" OID_DATA "30800000"
     "a080"
     "0408"
     "0011223344556677"
     "0408"
     "8899aabbccddeeff"
     "0000"
     "0000"
     "0000"
     "0000"
     "0000",
     SP_DETECT_SMIME},
    {"authenticated",
     "3040" OID_AUTH "a031"
     "302f" WALKED "0402"
     "0102",
     SP_DETECT_SMIME},
    {"no MAC",
     "303c" OID_AUTH "a02d"
     "302b" WALKED,
     SP_DETECT_NOT_SEALED},
    {"signed", "303a" OID_SIGNED "a02d302b" WALKED, SP_DETECT_SIGNED},
    {"bytes behind", "303a" OID_ENVELOPED "a02d302b" WALKED "53534e", SP_DETECT_NOT_SEALED},
    {"indefinite, bytes behind",
     "3080" OID_ENVELOPED "a02d302b" WALKED "0000"
     "53534e",
     SP_DETECT_NOT_SEALED},
    {"OID alone", "300b" OID_ENVELOPED, SP_DETECT_NOT_SEALED},
    {"indefinite, text", "3080" OID_ENVELOPED "53534e203231392d34352d36373831",
     SP_DETECT_NOT_SEALED},
    {"cut",
     "303a" OID_ENVELOPED "a02d302b"
     "020100"
     "3105" KEY,
     SP_DETECT_NOT_SEALED},
    {"no recipients",
     "3035" OID_ENVELOPED "a0283026"
     "020100"
     "3100" CONTENT,
     SP_DETECT_NOT_SEALED},
    {"no ciphertext",
     "3028" OID_ENVELOPED "a01b3019"
     "020100"
     "3105" KEY "300d" OID_DATA "3000",
     SP_DETECT_NOT_SEALED},
    {"attributes",
     "303e" OID_ENVELOPED "a031302f" WALKED "a102"
     "0500",
     SP_DETECT_NOT_SEALED},
    {"inner too long", "303a" OID_ENVELOPED "a02d302c" WALKED, SP_DETECT_NOT_SEALED},
};

static void put_smime(struct sp_buf *out, const char *der)
{
    struct sp_buf raw;

    sp_buf_init(&raw, 1000);
    for (; *der != 0; der += 2) {
        unsigned v;

        ck_assert_int_eq(sscanf(der, "%2x", &v), 1); /* NOLINT(cert-err34-c): our own literals */
        sp_buf_put_u8(&raw, (uint8_t)v);
    }
    sp_buf_put_cstr(out, "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
                         "Content-Transfer-Encoding: base64\r\n\r\n");
    sp_base64_encode(out, sp_buf_bytes(&raw));
    sp_buf_put_cstr(out, "\r\n");
    sp_buf_clear(&raw);
}

START_TEST(real_smime_ciphertext_is_sealed)
{
    struct sp_detect_result r;
    struct sp_buf b;

    begin();
    sp_buf_init(&b, 10000);
    put_smime(&b, smime[_i].der);
    sp_buf_put_u8(&b, 0);
    scan((char *)b.ptr, &r);
    ck_assert_msg(r.sealed == smime[_i].sealed, "%s: %d", smime[_i].name, (int)r.sealed);
    ck_assert_msg(r.partial == (r.sealed != SP_DETECT_SMIME), "%s: partial", smime[_i].name);
    sp_buf_clear(&b);
    end();
}
END_TEST

START_TEST(text_behind_the_base64_is_not_sealed)
{
    struct sp_detect_result r;
    struct sp_buf b;

    begin();
    sp_buf_init(&b, 10000);
    for (size_t i = 0; i < SP_ARRAY_LEN(smime);
         i++) { /* with padding and without: it hides nothing */
        sp_buf_reset(&b);
        put_smime(&b, smime[i].der);
        sp_buf_put_cstr(&b, "SSN 219-45-6781 diabetes\r\n");
        sp_buf_put_u8(&b, 0);
        scan((char *)b.ptr, &r);
        ck_assert_int_ne(r.sealed, SP_DETECT_SMIME);
        sp_buf_reset(&b);
        put_smime(&b, smime[i].der);
        sp_buf_put_cstr(&b, "=\r\n219456781\r\n");
        sp_buf_put_u8(&b, 0);
        scan((char *)b.ptr, &r);
        ck_assert_int_ne(r.sealed, SP_DETECT_SMIME);
    }
    sp_buf_clear(&b);
    end();
}
END_TEST

/* A partial length, the last piece, and what lies behind: within the same armor. */
START_TEST(pgp_in_pieces_is_walked_to_its_end)
{
    static const struct {
        uint8_t last, behind; /* length of the last piece, bytes behind it */
        bool cut;
        enum sp_detect_sealed sealed;
    } cases[] = {{40, 0, false, SP_DETECT_PGP},
                 {40, 5, false, SP_DETECT_NOT_SEALED},
                 {40, 0, true, SP_DETECT_NOT_SEALED}};

    begin();
    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        uint8_t packets[1000] = {0xc1, 12};
        size_t len = (size_t)529 + cases[i].last + cases[i].behind - cases[i].cut;
        struct sp_detect_result r;
        struct sp_buf b;

        packets[14] = 0xd2;
        packets[15] = 0xe9; /* 512 bytes, and more */
        packets[16 + 512] = cases[i].last;
        sp_buf_init(&b, 10000);
        put_packets(&b, sp_bytes(packets, len), "", "");
        scan((char *)b.ptr, &r);
        ck_assert_msg(r.sealed == cases[i].sealed, "case %zu: %d", i, (int)r.sealed);
        sp_buf_clear(&b);
    }
    end();
}
END_TEST

static uint32_t crc32_of(const char *text)
{
    uint32_t crc = 0xffffffff;

    for (; *text != 0; text++) {
        crc ^= (uint8_t)*text;
        for (int i = 0; i < 8; i++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* A zip with one stored file. */
static void put_zip(struct sp_buf *z, const char *name, const char *text, bool encrypted)
{
    size_t n = strlen(name), len = strlen(text);
    size_t at;

    sp_buf_put_u32(z, 0x04034b50);
    sp_buf_put_u16(z, 20);
    sp_buf_put_u16(z, encrypted ? 1 : 0);
    sp_buf_put_u16(z, 0);
    sp_buf_put_u32(z, 0);
    sp_buf_put_u32(z, crc32_of(text));
    sp_buf_put_u32(z, (uint32_t)len);
    sp_buf_put_u32(z, (uint32_t)len);
    sp_buf_put_u16(z, (uint16_t)n);
    sp_buf_put_u16(z, 0);
    sp_buf_put_cstr(z, name);
    sp_buf_put_cstr(z, text);
    at = z->len;
    sp_buf_put_u32(z, 0x02014b50);
    for (int i = 0; i < 42; i++)
        sp_buf_put_u8(z, 0);
    sp_buf_put_u32(z, 0x06054b50);
    for (int i = 0; i < 8; i++)
        sp_buf_put_u8(z, 0);
    sp_buf_put_u32(z, 46);
    sp_buf_put_u32(z, (uint32_t)at);
    sp_buf_put_u16(z, 0);
}

static void scan_zip(const char *name, const char *text, bool encrypted, struct sp_detect_result *r)
{
    struct sp_buf zip, b;

    sp_buf_init(&zip, 100000);
    sp_buf_init(&b, 200000);
    put_zip(&zip, name, text, encrypted);
    sp_buf_put_cstr(&b, MIXED "Content-Type: application/octet-stream\r\nContent-Disposition: "
                              "attachment; filename=\"a.bin\"\r\n"
                              "Content-Transfer-Encoding: base64\r\n\r\n");
    sp_base64_encode(&b, sp_buf_bytes(&zip));
    sp_buf_put_cstr(&b, "\r\n--b--\r\n");
    sp_buf_put_u8(&b, 0);
    scan((char *)b.ptr, r);
    sp_buf_clear(&b);
    sp_buf_clear(&zip);
}

/* By itself, not in a message: read as one, so that what is encoded in it counts. */
START_TEST(a_message_is_no_plain_text)
{
    const struct sp_bytes mbox =
        SP_LIT("From a@b Mon Mar  4 10:00:00 2024\nMIME-Version: 1.0\nSubject: x\n"
               "Content-Transfer-Encoding: base64\n\nU1NOIDIxOS00NS02NzgxIGRpYWJldGVz\n");
    struct sp_detect_limits limits = {0};
    struct sp_detect_result r;

    begin();
    ck_assert(!sp_detect_is_text(mbox));
    ck_assert_int_eq(sp_detect_file(detect, mbox, &limits, arena, &r), SP_OK);
    ck_assert(r.class == SP_DETECT_PHI && !r.partial);
    end();
}
END_TEST

START_TEST(archives_are_opened)
{
    struct sp_detect_result r;

    begin();
    scan_zip("a.txt", "SSN 219-45-6781 diabetes", false, &r);
    ck_assert_int_eq(r.class, SP_DETECT_PHI);
    ck_assert_uint_eq(r.attachment_count, 1);
    ck_assert_str_eq(r.attachments[0].type, "application/zip");
    scan_zip(
        "word/document.xml",
        "<?xml version=\"1.0\"?><w:document><w:p><w:r><w:t>SSN 219-</w:t></w:r><w:r><w:t>45-6781"
        "</w:t></w:r></w:p><w:p><w:t>diabetes</w:t></w:p></w:document>",
        false, &r);
    ck_assert_int_eq(r.class, SP_DETECT_PHI);
    scan_zip("a.txt", "garbage", true, &r);
    ck_assert(r.partial && r.attachments[0].opaque);
    end();
}
END_TEST

START_TEST(a_cut_archive_is_a_gap)
{
    struct sp_detect_result r;

    begin();
    scan(MIXED "Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
               "UEsDBBQAAAAIAAAA\r\n--b--\r\n",
         &r);
    ck_assert(r.partial && r.gap_count > 0);
    end();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_loop_test(c, a_text_has_its_class, 0, SP_ARRAY_LEN(texts));
    tcase_add_test(c, special_categories_are_named_with_phi_only);
    tcase_add_test(c, columns_under_a_heading_are_values);
    tcase_add_test(c, nothing_is_lost_or_counted_twice_at_a_seam);
    tcase_add_test(c, letters_apart_move_nothing_at_a_seam);
    tcase_add_test(c, letters_apart_are_joined_at_a_seam);
    tcase_add_loop_test(c, a_message_has_its_class, 0, SP_ARRAY_LEN(messages));
    tcase_add_test(c, real_pgp_ciphertext_is_sealed);
    tcase_add_loop_test(c, real_smime_ciphertext_is_sealed, 0, SP_ARRAY_LEN(smime));
    tcase_add_test(c, text_behind_the_base64_is_not_sealed);
    tcase_add_test(c, pgp_in_pieces_is_walked_to_its_end);
    tcase_add_test(c, a_message_is_no_plain_text);
    tcase_add_test(c, archives_are_opened);
    tcase_add_test(c, a_cut_archive_is_a_gap);
}

SP_TEST_MAIN("detect.detect", add)
