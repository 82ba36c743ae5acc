/* The message view: parts, names, texts, and the caps that hold before GMime sees a byte. */
#include "mime/mime.h"
#include "support/check_main.h"

#include "content/content.h"

static const char letter[] =
    "From: Dr A <dr@hospital.example>\r\n"
    "Subject: =?utf-8?q?Caf=C3=A9?= and\r\n more\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=\"out er\"\r\n\r\n"
    "preamble\r\n"
    "--out er\r\n"
    "Content-Type: multipart/alternative; boundary=inner\r\n\r\n"
    "--inner\r\n"
    "Content-Type: text/plain; charset=iso-8859-1\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    "Caf=E9 =3D good\r\nline two\r\n"
    "--inner\r\n"
    "Content-Type: text/html\r\n\r\n"
    "<p>hello\r\n"
    "--inner--\r\n"
    "--out er\r\n"
    "Content-Type: APPLICATION/PDF; name=\"x\"\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    "Content-Disposition: attachment; filename*=utf-8''r%C3%A9sum%C3%A9.pdf\r\n\r\n"
    "aGVsbG8gd29y\r\nbGQ=\r\n"
    "--out er\r\n"
    "Content-Type: message/rfc822\r\n\r\n"
    "Subject: inside\r\n"
    "Content-Type: text/plain\r\n\r\n"
    "inner text\r\n"
    "--out er--\r\n";

static struct sp_mime *open_text(struct sp_bytes *mem, enum sp_rc want)
{
    struct sp_mime_source source = sp_mime_source_bytes(mem);
    struct sp_mime *m = NULL;
    struct sp_err err = {0};
    enum sp_rc rc = sp_mime_open(&source, NULL, &m, &err);

    ck_assert_msg(rc == want, "%s: %s", sp_rc_name(rc), err.text);
    return m;
}

static void text_is(struct sp_mime *m, size_t part, const char *want)
{
    struct sp_buf b;

    sp_buf_init(&b, 1000);
    ck_assert_int_eq(sp_mime_part_text(m, part, &b), SP_OK);
    ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&b), sp_bytes_cstr(want)), "got: %.*s", SP_FMT(b));
    sp_buf_clear(&b);
}

START_TEST(a_letter_is_seen_as_its_parts)
{
    struct sp_bytes mem = sp_bytes_cstr(letter);
    SP_AUTO(sp_mime) m = open_text(&mem, SP_OK);
    static const char *const types[] = {"text/plain", "text/html", "application/pdf",
                                        "message/rfc822", "text/plain"};

    ck_assert_uint_eq(sp_mime_part_count(m), SP_ARRAY_LEN(types));
    for (size_t i = 0; i < SP_ARRAY_LEN(types); i++)
        ck_assert_str_eq(sp_mime_part_get(m, i)->type, types[i]);
    ck_assert_uint_eq(sp_mime_body_text(m), 0);
    ck_assert_uint_eq(sp_mime_body_html(m), 1);
    ck_assert(sp_mime_part_get(m, 2)->attachment);
    ck_assert_str_eq(sp_mime_part_get(m, 2)->name, "r\xc3\xa9sum\xc3\xa9.pdf");
    ck_assert_int_eq(sp_mime_part_get(m, 3)->kind, SP_MIME_MESSAGE);
    ck_assert_uint_eq(sp_mime_part_get(m, 4)->depth, sp_mime_part_get(m, 3)->depth + 1);
    text_is(m, 0, "Caf\xc3\xa9 = good\nline two");
    text_is(m, 2, "hello world");
    text_is(m, 4, "inner text");
}
END_TEST

START_TEST(headers_are_decoded)
{
    struct sp_bytes mem = sp_bytes_cstr(letter);
    SP_AUTO(sp_mime) m = open_text(&mem, SP_OK);
    struct sp_buf b;

    sp_buf_init(&b, 2000);
    ck_assert_int_eq(sp_mime_header(m, "subject", &b), SP_OK);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&b), SP_LIT("Caf\xc3\xa9 and more")));
    ck_assert_int_eq(sp_mime_header(m, "x-none", &b), SP_E_NOT_FOUND);
    sp_buf_reset(&b);
    ck_assert_int_eq(sp_mime_headers(m, SP_MIME_NONE, &b), SP_OK);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&b), SP_LIT("Subject: Caf\xc3\xa9 and more\n")) !=
              SIZE_MAX);
    sp_buf_reset(&b);
    ck_assert_int_eq(sp_mime_headers(m, 3, &b), SP_OK);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&b), SP_LIT("Subject: inside\n")) != SIZE_MAX);
    sp_buf_clear(&b);
}
END_TEST

START_TEST(parts_decode_in_pieces_and_side_by_side)
{
    struct sp_bytes mem = sp_bytes_cstr(letter);
    SP_AUTO(sp_mime) m = open_text(&mem, SP_OK);
    SP_AUTO(sp_mime_decoder) a = sp_mime_decoder_new(m, 2, SP_MIME_AS_BYTES);
    SP_AUTO(sp_mime_decoder) b = sp_mime_decoder_new(m, 2, SP_MIME_AS_BYTES);
    char text[12] = {0};

    for (size_t i = 0; i < 11; i++) {
        uint8_t x = 0, y = 0;
        size_t got = 0;

        ck_assert(sp_mime_decoder_read(a, &x, 1, &got) == SP_OK && got == 1);
        ck_assert(sp_mime_decoder_read(b, &y, 1, &got) == SP_OK && got == 1);
        ck_assert_int_eq(x, y);
        text[i] = (char)x;
    }
    ck_assert_str_eq(text, "hello world");
}
END_TEST

START_TEST(content_is_read_by_range)
{
    struct sp_id id = {{1}};
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&id, sp_random_system(), NULL);
    struct sp_content c;
    struct sp_mime_source source;
    struct sp_mime *m = NULL;
    struct sp_buf big;

    sp_buf_init(&big, 1 << 20);
    sp_buf_put_cstr(&big, "Subject: x\r\n\r\n");
    while (big.len < 300000)
        sp_buf_put_cstr(&big, "some words in a line\r\n");
    ck_assert_int_eq(sp_content_writer_feed(w, sp_buf_bytes(&big)), SP_OK);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    sp_content_writer_handle(w, -1, 0, &c);
    {
        SP_AUTO(sp_content_reader) reader = sp_content_reader_new(&c);
        SP_AUTO(sp_mime_decoder) d = NULL;
        uint8_t piece[1000];
        size_t got = 1, sum = 0;

        source = sp_mime_source_content(reader, c.len);
        ck_assert_int_eq(sp_mime_open(&source, NULL, &m, NULL), SP_OK);
        d = sp_mime_decoder_new(m, 0, SP_MIME_AS_BYTES);
        while (got > 0) {
            ck_assert_int_eq(sp_mime_decoder_read(d, piece, sizeof(piece), &got), SP_OK);
            sum += got;
        }
        ck_assert_uint_eq(sum, big.len - 14);
        sp_mime_decoder_free(SP_STEAL(d));
        sp_mime_free(m);
    }
    sp_content_clear(&c);
    sp_buf_clear(&big);
}
END_TEST

static const struct {
    const char *name;
    const char *text;
    enum sp_rc rc;
} oddities[] = {
    {"no boundary", "Content-Type: multipart/mixed\r\n\r\n--a\r\n\r\nx\r\n", SP_E_MALFORMED},
    {"two boundaries", "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n\r\nx",
     SP_E_MALFORMED},
    {"boundary in RFC 2231 form", "Content-Type: multipart/mixed; boundary*0=a\r\n\r\n--a\r\n\r\nx",
     SP_E_MALFORMED},
    {"two types", "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx", SP_E_MALFORMED},
    {"a quoted boundary with a semicolon",
     "Content-Type: multipart/mixed; boundary=\"a;b\"\r\n\r\n--a;b\r\n\r\nx\r\n--a;b--\r\n", SP_OK},
    {"a folded type", "Content-Type: multipart/mixed;\r\n\tboundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--",
     SP_OK},
    {"never closed", "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n", SP_OK},
    {"headers alone", "Subject: x\r\n", SP_OK},
};

START_TEST(what_two_parsers_could_read_in_two_ways_is_refused)
{
    struct sp_bytes mem = sp_bytes_cstr(oddities[_i].text);
    struct sp_mime_source source = sp_mime_source_bytes(&mem);
    struct sp_mime *m = NULL;
    enum sp_rc rc = sp_mime_open(&source, NULL, &m, NULL);

    ck_assert_msg(rc == oddities[_i].rc, "%s: %s", oddities[_i].name, sp_rc_name(rc));
    sp_mime_free(m);
}
END_TEST

/* Opens what is in b, which is then empty. */
static enum sp_rc open_filled(struct sp_buf *b)
{
    struct sp_bytes mem = sp_buf_bytes(b);
    struct sp_mime_source source = sp_mime_source_bytes(&mem);
    struct sp_mime *m = NULL;
    enum sp_rc rc = sp_mime_open(&source, NULL, &m, NULL);

    sp_mime_free(m);
    sp_buf_clear(b);
    return rc;
}

static void put_nested(struct sp_buf *b, int depth)
{
    for (int i = 0; i < depth; i++)
        sp_buf_printf(b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
    sp_buf_put_cstr(b, "\r\nx\r\n");
}

static void put_messages(struct sp_buf *b, int depth)
{
    for (int i = 0; i < depth; i++)
        sp_buf_put_cstr(b, "Content-Type: message/rfc822\r\n\r\n");
    sp_buf_put_cstr(b, "\r\nx\r\n");
}

static void put_parts(struct sp_buf *b, int parts)
{
    sp_buf_put_cstr(b, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    for (int i = 0; i < parts; i++)
        sp_buf_put_cstr(b, "--b\r\n\r\nx\r\n");
    sp_buf_put_cstr(b, "--b--\r\n");
}

START_TEST(caps_hold_before_the_parser_runs)
{
    struct sp_buf b;

    sp_buf_init(&b, 8 << 20);
    put_nested(&b, 29);
    ck_assert_int_eq(open_filled(&b), SP_OK);
    put_nested(&b, 31);
    ck_assert_int_eq(open_filled(&b), SP_E_SCAN_LIMIT);
    put_messages(&b, 2000);
    ck_assert_int_eq(open_filled(&b), SP_E_SCAN_LIMIT);
    put_parts(&b, 250);
    ck_assert_int_eq(open_filled(&b), SP_OK);
    put_parts(&b, 251);
    ck_assert_int_eq(open_filled(&b), SP_E_SCAN_LIMIT);
    for (int i = 0; i < 200000; i++)
        sp_buf_put_cstr(&b, "A: b\r\n");
    ck_assert_int_eq(open_filled(&b), SP_E_SCAN_LIMIT);
    sp_buf_put_cstr(&b, "Subject: ");
    for (int i = 0; i < 300000; i++)
        sp_buf_put_u8(&b, 'x');
    ck_assert_int_eq(open_filled(&b), SP_E_SCAN_LIMIT);
    put_parts(&b, 1);
    sp_buf_put_cstr(&b, "--b\r\n"); /* behind the end: an epilogue, no part */
    for (int i = 0; i < 9000; i++)
        sp_buf_put_cstr(&b, "A: b\r\n");
    ck_assert_int_eq(open_filled(&b), SP_OK);
}
END_TEST

START_TEST(text_of_any_charset_becomes_utf8)
{
    struct sp_bytes mem =
        SP_LIT("Content-Type: text/plain; charset=x-nonsense\r\n\r\nSSN \xff\xe2\x82 ok\x81");
    SP_AUTO(sp_mime) m = open_text(&mem, SP_OK);

    /* windows-1252, where 0x81 is nothing */
    text_is(m, 0, "SSN \xc3\xbf\xc3\xa2\xe2\x80\x9a ok\xef\xbf\xbd");
}
END_TEST

static enum sp_rc fail_late(void *ctx, uint64_t offset, uint8_t *out, size_t len)
{
    unsigned *calls = ctx;

    (void)offset;
    memset(out, 'a', len);
    return (*calls)-- == 0 ? SP_E_CONTENT_DAMAGED : SP_OK;
}

START_TEST(a_failing_source_is_told)
{
    for (unsigned n = 0; n < 4; n++) {
        unsigned calls = n;
        struct sp_mime_source source = {fail_late, &calls, 120000};
        struct sp_mime *m = NULL;
        enum sp_rc rc = sp_mime_open(&source, NULL, &m, NULL);

        ck_assert(rc == SP_E_CONTENT_DAMAGED || rc == SP_E_SCAN_LIMIT);
        ck_assert_ptr_null(m);
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_letter_is_seen_as_its_parts);
    tcase_add_test(c, headers_are_decoded);
    tcase_add_test(c, parts_decode_in_pieces_and_side_by_side);
    tcase_add_test(c, content_is_read_by_range);
    tcase_add_loop_test(c, what_two_parsers_could_read_in_two_ways_is_refused, 0,
                        SP_ARRAY_LEN(oddities));
    tcase_add_test(c, caps_hold_before_the_parser_runs);
    tcase_add_test(c, text_of_any_charset_becomes_utf8);
    tcase_add_test(c, a_failing_source_is_told);
}

SP_TEST_MAIN("mime.mime", add)
