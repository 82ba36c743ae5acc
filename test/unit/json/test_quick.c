/*
 * The reader of plain text beside the one with places: the same verdict and the same tree for audit events, for every cut
 * of them and for many small changes; and the order of members, against the definition in RFC 8785 itself.
 */
#include "base/text.h"
#include "json/json.h"
#include "support/check_main.h"

#define ROUNDS 20000

static const char *const texts[] = {
    "{\"event\":\"message.accepted\",\"tenant\":\"test\",\"message\":"
    "\"01M84EZ1QY6Q2N8W4M5T7R3HBC\","
    "\"actor\":{\"type\":\"client\",\"ip\":\"127.0.0.1\",\"helo\":\"a.example\",\"auth\":\"none\"},"
    "\"tls\":null,\"origin\":{\"message_id\":\"<a\\\"b\\\\c@x.example>\"},\"to\":[\"a@b.example\"],"
    "\"content\":{\"size\":4096,\"removed\":[]},\"decisions\":[{\"n\":[0,1],\"lowers\":null}],"
    "\"storage\":{\"durable\":true,\"cipher\":\"aes-256-gcm\"},\"reply\":\"250 2.0.0\"}",
    "[0,-1,10,-0,007,1.5,-2e3,123456789012345,1234567890123456,9007199254740993,"
    "99999999999999999999]",
    "{\"a\":1,\"b\":2,\"a\":3}",
    "{\"k\\n\":\"\\u0041\\ud83d\\ude00\",\"\xc3\xa4\":\"\xe2\x82\xac\\t\xf0\x9f\x98\x80\"}",
    "[\"\\u0000\",\"\xc0\x80\",\"\xed\xa0\x80\"]",
    " { \"x\" : [ true , false , null ] , \"y\" : { } } ",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    "[1,]",
    "{\"a\":1,}",
    "[1]x",
    "\"only text\"",
    "17",
    "true",
    "",
};

static const struct sp_json *step(const struct sp_json *v)
{
    if (v->first != NULL)
        return v->first;
    while (v != NULL && v->next == NULL)
        v = v->parent;
    return v == NULL ? NULL : v->next;
}

static void ck_same_tree(const struct sp_json *a, const struct sp_json *b)
{
    while (a != NULL && b != NULL) {
        ck_assert_int_eq(a->type, b->type);
        ck_assert(sp_bytes_eq(a->key, b->key) && (a->key.ptr == NULL) == (b->key.ptr == NULL));
        ck_assert(sp_bytes_eq(a->text, b->text));
        ck_assert(a->type != SP_JSON_TEXT || a->text.ptr[a->text.len] == 0);
        ck_assert_int_eq(a->integer, b->integer);
        ck_assert(a->real == b->real);
        ck_assert_uint_eq(a->count, b->count);
        ck_assert_uint_eq(a->index, b->index);
        a = step(a);
        b = step(b);
    }
    ck_assert(a == NULL && b == NULL);
}

static bool ck_same(struct sp_bytes text)
{
    struct sp_json_options places = {.file = "test"};
    SP_AUTO(sp_json_doc) plain = NULL;
    SP_AUTO(sp_json_doc) placed = NULL;
    struct sp_buf one, other;
    enum sp_rc rc = sp_json_parse(text, &places, &placed, NULL);

    ck_assert_msg(sp_json_parse(text, NULL, &plain, NULL) == rc, "%.*s", SP_FMT(text));
    if (rc != SP_OK)
        return false;
    ck_same_tree(sp_json_root(plain), sp_json_root(placed));
    sp_buf_init(&one, SP_JSON_LEN_MAX);
    sp_buf_init(&other, SP_JSON_LEN_MAX);
    ck_assert_int_eq(sp_json_canonical(sp_json_root(plain), &one), SP_OK);
    ck_assert_int_eq(sp_json_canonical(sp_json_root(placed), &other), SP_OK);
    ck_assert(sp_bytes_eq(sp_buf_bytes(&one), sp_buf_bytes(&other)));
    sp_buf_clear(&one);
    sp_buf_clear(&other);
    return true;
}

START_TEST(plain_text_reads_as_with_places)
{
    size_t taken = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(texts); i++)
        taken += ck_same(sp_bytes_cstr(texts[i]));
    ck_assert_uint_ge(taken, 5);
}
END_TEST

START_TEST(every_cut_is_judged_alike)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(texts); i++) {
        struct sp_bytes whole = sp_bytes_cstr(texts[i]);

        for (size_t len = 0; len < whole.len; len++)
            (void)ck_same(sp_bytes_slice(whole, 0, len));
    }
}
END_TEST

START_TEST(changed_bytes_are_judged_alike)
{
    static const char bytes[] = "{}[]\",:\\0123456789-+.eEtfnu \n\x01\x80\xc3\xf0z";
    uint32_t seed = 20261122, taken = 0;

    for (int round = 0; round < ROUNDS; round++) {
        struct sp_bytes whole;
        uint8_t text[1024];

        seed = seed * 1664525 + 1013904223;
        whole = sp_bytes_cstr(texts[(seed >> 8) % (SP_ARRAY_LEN(texts) - 1)]);
        ck_assert_uint_lt(whole.len, sizeof(text));
        memcpy(text, whole.ptr, whole.len);
        for (int changes = 0; changes < 2; changes++) {
            seed = seed * 1664525 + 1013904223;
            text[(seed >> 8) % whole.len] = (uint8_t)bytes[(seed >> 20) % (sizeof(bytes) - 1)];
        }
        taken += ck_same(sp_bytes(text, whole.len));
    }
    ck_assert_uint_gt(taken, 100);
}
END_TEST

START_TEST(many_members_are_left_to_the_other_reader)
{
    struct sp_buf text;

    sp_buf_init(&text, 65536);
    sp_buf_put_u8(&text, '{');
    for (int i = 0; i < 300; i++)
        sp_buf_printf(&text, "%s\"k%d\":[{\"b\":%d,\"a\":{}}]", i == 0 ? "" : ",", (i * 7919) % 300,
                      i);
    sp_buf_put_u8(&text, '}');
    ck_assert(ck_same(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}
END_TEST

/* The UTF-16 code units of valid UTF-8. */
static size_t units_of(struct sp_bytes s, uint16_t *out)
{
    size_t n = 0;

    while (s.len > 0) {
        size_t len = sp_utf8_step(s);
        uint32_t code = len == 1 ? s.ptr[0] : s.ptr[0] & (0x7fU >> len);

        for (size_t i = 1; i < len; i++)
            code = code << 6 | (s.ptr[i] & 0x3fU);
        if (code >= 0x10000) {
            out[n++] = (uint16_t)(0xd800 + ((code - 0x10000) >> 10));
            out[n++] = (uint16_t)(0xdc00 + ((code - 0x10000) & 0x3ff));
        } else {
            out[n++] = (uint16_t)code;
        }
        s = sp_bytes_slice(s, len, SIZE_MAX);
    }
    return n;
}

static bool comes_before(struct sp_bytes a, struct sp_bytes b)
{
    uint16_t x[64], y[64];
    size_t m = units_of(a, x), n = units_of(b, y);

    for (size_t i = 0; i < m && i < n; i++)
        if (x[i] != y[i])
            return x[i] < y[i];
    return m < n;
}

START_TEST(members_are_in_the_order_of_utf16)
{
    static const char *const keys[] = {"",
                                       "a",
                                       "ab",
                                       "b",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xc3\xb6",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xe2\x82\xac",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xac\xb3",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf0\x9f\x98\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "a\xef\xbf\xbf",
                                       "a\xf0\x90\x80\x80",
                                       "a\xf0\x90\x80\x80z"};

    for (size_t i = 0; i < SP_ARRAY_LEN(keys); i++) {
        for (size_t k = 0; k < SP_ARRAY_LEN(keys); k++) {
            struct sp_bytes a = sp_bytes_cstr(keys[i]), b = sp_bytes_cstr(keys[k]);
            struct sp_buf text, out;

            if (i == k)
                continue;
            sp_buf_init(&text, 256);
            sp_buf_init(&out, 256);
            sp_buf_printf(&text, "{\"%s\":1,\"%s\":2}", keys[i], keys[k]);
            ck_assert_int_eq(sp_json_canonicalise(sp_buf_bytes(&text), &out, NULL), SP_OK);
            sp_buf_reset(&text);
            sp_buf_printf(&text, "{\"%.*s\":%d,\"%.*s\":%d}", SP_FMT(comes_before(a, b) ? a : b),
                          comes_before(a, b) ? 1 : 2, SP_FMT(comes_before(a, b) ? b : a),
                          comes_before(a, b) ? 2 : 1);
            ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&text), sp_buf_bytes(&out)), "%.*s",
                          SP_FMT(sp_buf_bytes(&out)));
            sp_buf_clear(&text);
            sp_buf_clear(&out);
        }
    }
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, plain_text_reads_as_with_places);
    tcase_add_test(c, every_cut_is_judged_alike);
    tcase_add_test(c, changed_bytes_are_judged_alike);
    tcase_add_test(c, many_members_are_left_to_the_other_reader);
    tcase_add_test(c, members_are_in_the_order_of_utf16);
}

SP_TEST_MAIN("json.quick", add)
