/* Texts in charsets that nobody named, or that were named wrongly: each is read, and its places are those of what was read. */
#include "base/buf.h"
#include "base/text.h"
#include "support/detector.h"

static const struct sp_detect_finding *find(const struct sp_detect_result *r,
                                            enum sp_detect_type type)
{
    for (size_t i = 0; i < r->finding_count; i++)
        if (r->findings[i].type == type)
            return &r->findings[i];
    return NULL;
}

START_TEST(bytes_that_are_no_utf8_are_characters_of_windows_1252)
{
    struct sp_detect_limits limits = {.findings = true};
    const struct sp_detect_finding *f;
    struct sp_detect_result r;
    struct sp_buf text;

    begin();
    sp_buf_init(&text, 4096);
    limits.text = &text;
    sp_detect_text(detect,
                   SP_LIT("J\xfcrgen\xe9 \xe2\x82, SSN 219\x96"
                          "45\x96"
                          "6781, lupus \xc3"),
                   &limits, arena, &r);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&text),
                          SP_LIT("J\xc3\xbcrgen\xc3\xa9 \xc3\xa2\xe2\x80\x9a, SSN 219\xe2\x80\x93"
                                 "45\xe2\x80\x93"
                                 "6781, lupus \xc3\x83")));
    f = find(&r, SP_DETECT_US_SSN);
    ck_assert(f != NULL);
    ck_assert_uint_eq(f->start, 16);
    ck_assert_uint_eq(f->end, 27);
    sp_buf_clear(&text);
    end();
}
END_TEST

/* A note in some charset as a message's attachment. */
static void scan(const char *label, struct sp_bytes note, struct sp_detect_result *r)
{
    struct sp_detect_limits limits = {.findings = true};
    struct sp_mime_source source;
    struct sp_bytes whole;
    struct sp_buf mail;

    sp_buf_init(&mail, 65536);
    sp_buf_put_cstr(&mail, "Subject: a note\r\nMIME-Version: 1.0\r\nContent-Type: ");
    sp_buf_put_cstr(&mail, label);
    sp_buf_put_cstr(&mail, "\r\nContent-Disposition: attachment; filename=\"x\"\r\n"
                           "Content-Transfer-Encoding: base64\r\n\r\n");
    sp_base64_encode(&mail, note);
    whole = sp_buf_bytes(&mail);
    source = sp_mime_source_bytes(&whole);
    ck_assert_int_eq(sp_detect_message(detect, &source, &limits, arena, r), SP_OK);
    sp_buf_clear(&mail);
}

/* UTF-16 of a text in ASCII, with or without a byte order mark. */
static void put_wide(struct sp_buf *out, const char *text, bool big_endian, bool mark)
{
    if (mark)
        sp_buf_put(out, big_endian ? SP_LIT("\xfe\xff") : SP_LIT("\xff\xfe"));
    for (; *text != '\0'; text++) {
        if (big_endian)
            sp_buf_put_u8(out, 0);
        sp_buf_put_u8(out, (uint8_t)*text);
        if (!big_endian)
            sp_buf_put_u8(out, 0);
    }
}

static const char note[] = "Patient: Maria Gonzalez\r\nMRN: 4482910\r\nDiagnosis: lupus\r\n";

START_TEST(unicode_text_as_windows_saves_it_is_read)
{
    static const char *const labels[] = {"text/plain",
                                         "text/plain; charset=us-ascii",
                                         "text/csv",
                                         "text/plain; charset=utf-16",
                                         "application/octet-stream",
                                         "application/vnd.ms-excel"};

    begin();
    for (size_t i = 0; i < SP_ARRAY_LEN(labels); i++)
        for (int big_endian = 0; big_endian < 2; big_endian++) {
            struct sp_detect_result r;
            struct sp_buf wide;

            sp_buf_init(&wide, 4096);
            put_wide(&wide, note, big_endian, true);
            scan(labels[i], sp_buf_bytes(&wide), &r);
            ck_assert_msg(!r.partial, "%s", labels[i]);
            ck_assert_msg(r.class == SP_DETECT_PHI, "%s", labels[i]);
            ck_assert_msg(find(&r, SP_DETECT_PERSON) != NULL, "%s", labels[i]);
            ck_assert_msg(find(&r, SP_DETECT_MRN) != NULL, "%s", labels[i]);
            ck_assert_uint_eq(r.types[SP_DETECT_MRN].distinct, 1);
            sp_buf_clear(&wide);
        }
    end();
}
END_TEST

START_TEST(a_wrong_label_hides_nothing)
{
    static const char *const labels[] = {
        "text/plain; charset=utf-16", "text/plain; charset=UTF-16LE", "text/html; charset=utf-32",
        "text/plain; charset=x-nonsense", "text/plain; charset=utf-8"};
    struct sp_detect_result r;

    begin();
    for (size_t i = 0; i < SP_ARRAY_LEN(labels); i++) {
        scan(labels[i], sp_bytes_cstr(note), &r);
        ck_assert_msg(r.class == SP_DETECT_PHI, "%s", labels[i]);
        ck_assert_msg(find(&r, SP_DETECT_MRN) != NULL, "%s", labels[i]);
    }
    end();
}
END_TEST

/* Who reads mail by its mark sees the text, whatever order of bytes the label says. */
START_TEST(a_label_of_the_other_order_hides_nothing)
{
    static const char *const labels[] = {
        "text/plain; charset=utf-16be", "text/plain; charset=utf-16", "text/plain; charset=utf-32"};
    uint8_t wide[512] = {0xff, 0xfe};
    size_t len = 2;
    struct sp_detect_result r;

    for (size_t i = 0; note[i] != '\0'; i++, len += 2)
        wide[len] = (uint8_t)note[i];
    begin();
    for (size_t i = 0; i < SP_ARRAY_LEN(labels); i++) {
        scan(labels[i], sp_bytes(wide, len), &r);
        ck_assert_msg(r.class == SP_DETECT_PHI, "%s", labels[i]);
    }
    end();
}
END_TEST

START_TEST(a_mark_alone_makes_no_text)
{
    static const struct sp_bytes files[] = {
        {(const uint8_t *)"\xff\xfe", 2},
        {(const uint8_t *)"\xff\xfe\0\0a\0\0\0", 8}, /* UTF-32 */
        {(const uint8_t *)"\xff\xfe\1\0\2\0\3\0", 8},
    };
    static const char *const marks[] = {"\xff\xfe", "\xfe\xff"};
    struct sp_detect_result r;
    uint8_t noise[4096];
    uint32_t seed = 1;

    begin();
    for (size_t i = 0; i < SP_ARRAY_LEN(files); i++) {
        scan("application/octet-stream", files[i], &r);
        ck_assert_msg(i == 0 || r.partial, "file %zu", i);
    }
    for (size_t i = 0; i < sizeof(noise); i++) {
        seed = seed * 1664525 + 1013904223;
        noise[i] = (uint8_t)((seed >> 24) | 1); /* no NUL: it is not that which tells */
    }
    for (size_t i = 0; i < SP_ARRAY_LEN(marks); i++) {
        memcpy(noise, marks[i], 2);
        scan("application/octet-stream", sp_bytes(noise, sizeof(noise)), &r);
        ck_assert_msg(r.partial, "noise behind mark %zu", i);
    }
    end();
}
END_TEST

/* The note as a mainframe writes it, in code page 037 with NL at the ends of lines. */
static const char ebcdic[] = "\xd7\x81\xa3\x89\x85\x95\xa3\x7a\x40\xd4\x81\x99\x89\x81\x40\xc7"
                             "\x96\x95\xa9\x81\x93\x85\xa9\x15\xd4\xd9\xd5\x7a\x40\xf4\xf4\xf8"
                             "\xf2\xf9\xf1\xf0\x15\xc4\x89\x81\x87\x95\x96\xa2\x89\xa2\x7a\x40"
                             "\x93\xa4\x97\xa4\xa2\x15";

START_TEST(a_mainframes_text_is_read_whatever_its_label)
{
    static const char *const labels[] = {
        "text/plain; charset=ibm037",    "text/plain; charset=cp500",
        "text/plain; charset=ebcdic-us", "text/plain",
        "text/plain; charset=utf-8",     "text/plain; charset=x-nonsense",
        "text/csv; charset=iso-8859-1",  "application/octet-stream"};
    struct sp_detect_result r;

    begin();
    for (size_t i = 0; i < SP_ARRAY_LEN(labels); i++) {
        scan(labels[i], sp_bytes((const uint8_t *)ebcdic, sizeof(ebcdic) - 1), &r);
        ck_assert_msg(!r.partial, "%s", labels[i]);
        ck_assert_msg(r.class == SP_DETECT_PHI, "%s", labels[i]);
        ck_assert_msg(find(&r, SP_DETECT_PERSON) != NULL, "%s", labels[i]);
        ck_assert_msg(find(&r, SP_DETECT_MRN) != NULL, "%s", labels[i]);
        ck_assert_uint_eq(r.types[SP_DETECT_MRN].distinct, 1);
    }
    end();
}
END_TEST

START_TEST(a_text_labelled_as_a_mainframes_is_read_as_what_it_is)
{
    static const char *const labels[] = {"text/plain; charset=ibm037", "text/plain; charset=cp1047",
                                         "text/plain; charset=ibm01140",
                                         "text/html; charset=ebcdic-international"};
    struct sp_detect_result r;

    begin();
    for (size_t i = 0; i < SP_ARRAY_LEN(labels); i++) {
        scan(labels[i], sp_bytes_cstr(note), &r);
        ck_assert_msg(r.class == SP_DETECT_PHI, "%s", labels[i]);
        ck_assert_msg(find(&r, SP_DETECT_MRN) != NULL, "%s", labels[i]);
    }
    end();
}
END_TEST

/* Units of two or four bytes, with a mark or without, under labels that say nothing or something else. */
START_TEST(wide_characters_need_no_mark_and_no_label)
{
    static const char *const labels[] = {"text/plain",
                                         "text/html",
                                         "text/html; charset=us-ascii",
                                         "text/plain; charset=utf-32le",
                                         "text/plain; charset=iso-10646-ucs-2",
                                         "application/octet-stream"};
    struct sp_detect_result r;

    begin();
    for (size_t i = 0; i < SP_ARRAY_LEN(labels); i++)
        for (unsigned kind = 0; kind < 8; kind++) {
            size_t size = (kind & 1) != 0 ? 4 : 2;
            bool big_endian = (kind & 2) != 0;
            uint8_t unit[4] = {0};
            struct sp_buf wide;

            sp_buf_init(&wide, 4096);
            if ((kind & 4) != 0) {
                unit[big_endian ? size - 2 : 1] = 0xfe;
                unit[big_endian ? size - 1 : 0] = 0xff;
                sp_buf_put(&wide, sp_bytes(unit, size));
                memset(unit, 0, sizeof(unit));
            }
            for (const char *c = note; *c != '\0'; c++) {
                unit[big_endian ? size - 1 : 0] = (uint8_t)*c;
                sp_buf_put(&wide, sp_bytes(unit, size));
            }
            scan(labels[i], sp_buf_bytes(&wide), &r);
            ck_assert_msg(!r.partial, "%s, kind %u", labels[i], kind);
            ck_assert_msg(r.class == SP_DETECT_PHI, "%s, kind %u", labels[i], kind);
            ck_assert_msg(find(&r, SP_DETECT_MRN) != NULL, "%s, kind %u", labels[i], kind);
            sp_buf_clear(&wide);
        }
    end();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_mainframes_text_is_read_whatever_its_label);
    tcase_add_test(c, a_text_labelled_as_a_mainframes_is_read_as_what_it_is);
    tcase_add_test(c, wide_characters_need_no_mark_and_no_label);
    tcase_add_test(c, bytes_that_are_no_utf8_are_characters_of_windows_1252);
    tcase_add_test(c, unicode_text_as_windows_saves_it_is_read);
    tcase_add_test(c, a_wrong_label_hides_nothing);
    tcase_add_test(c, a_label_of_the_other_order_hides_nothing);
    tcase_add_test(c, a_mark_alone_makes_no_text);
}

SP_TEST_MAIN("detect.charset", add)
