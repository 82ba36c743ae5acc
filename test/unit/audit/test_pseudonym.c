/* Addresses as keyed hashes: which texts count as addresses, what an event looks like without them. */
#include "audit/pseudonym.h"
#include "support/check_main.h"

static const struct sp_secret key = {.b = {7}};
static const struct sp_secret other = {.b = {8}};

static void ignore(void *arg, struct sp_bytes address, const char *pseudonym)
{
    (void)address;
    ck_assert_uint_eq(strlen(pseudonym), SP_AUDIT_PSEUDONYM_LEN);
    ++*(int *)arg;
}

static char *hide(const char *event, int *hidden)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_buf out;
    char *text;

    *hidden = 0;
    ck_assert_int_eq(sp_json_parse(sp_bytes_cstr(event), NULL, &doc, NULL), SP_OK);
    sp_buf_init(&out, 65536);
    ck_assert_int_eq(sp_audit_pseudonym_hide(&key, sp_json_root(doc), ignore, hidden, &out), SP_OK);
    text = sp_strdup_bytes(sp_buf_bytes(&out));
    sp_buf_clear(&out);
    sp_json_doc_free(SP_STEAL(doc));
    ck_assert_int_eq(sp_json_parse(sp_bytes_cstr(text), NULL, &doc, NULL), SP_OK);
    return text;
}

static struct sp_bytes name(const struct sp_secret *k, const char *address, struct sp_buf *out)
{
    sp_buf_init(out, 64);
    sp_audit_pseudonym_format(k, sp_bytes_cstr(address), out);
    return sp_buf_bytes(out);
}

START_TEST(the_same_address_has_the_same_name_under_one_key)
{
    struct sp_buf a, b, c, d;

    ck_assert(
        sp_bytes_eq(name(&key, "anna@clinic.example", &a), name(&key, "Anna@CLINIC.example", &b)));
    ck_assert(!sp_bytes_eq(sp_buf_bytes(&a), name(&key, "bob@clinic.example", &c)));
    ck_assert(!sp_bytes_eq(sp_buf_bytes(&a), name(&other, "anna@clinic.example", &d)));
    ck_assert_int_ne(memcmp(a.ptr, d.ptr, 9), 0); /* the key's own name differs, too */
    ck_assert_int_eq(memcmp(a.ptr, c.ptr, 10), 0);
    ck_assert_uint_eq(sp_audit_pseudonym_of(sp_buf_bytes(&a)).len, SP_AUDIT_PSEUDONYM_LEN);
    sp_buf_clear(&a);
    sp_buf_clear(&b);
    sp_buf_clear(&c);
    sp_buf_clear(&d);
}
END_TEST

START_TEST(what_counts_as_an_address)
{
    static const struct {
        const char *text;
        const char *first; /* "" for none */
    } cases[] = {
        {"anna@clinic.example", "anna@clinic.example"},
        {"ask anna@clinic.example.", "anna@clinic.example"},
        {"<anna@clinic.example>", "anna@clinic.example"},
        {"mailto:tls@clinic.example?subject=x", "tls@clinic.example"},
        {"\"a b@c\"@clinic.example", "\"a b@c\"@clinic.example"},
        {"\"a\\\"b\"@clinic.example", "\"a\\\"b\"@clinic.example"},
        {"x@[192.0.2.1], y", "x@[192.0.2.1]"},
        {"j\xc3\xb6rg@m\xc3\xbcller.example", "j\xc3\xb6rg@m\xc3\xbcller.example"},
        {"bounce+abc=anna=clinic.example@gw.example", "bounce+abc=anna=clinic.example@gw.example"},
        {"a@localhost", "a@localhost"},
        {"no address", ""},
        {"@clinic.example", ""},
        {"anna@", ""},
        {"@ @@ @", ""},
        {"", ""},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        size_t at = 0;
        struct sp_bytes found = sp_audit_address_next(sp_bytes_cstr(cases[i].text), &at);

        ck_assert_msg(sp_bytes_eq(found, sp_bytes_cstr(cases[i].first)), "%s: %.*s", cases[i].text,
                      SP_FMT(found));
    }
}
END_TEST

START_TEST(no_address_is_left_wherever_it_stands)
{
    int hidden;
    char *text = hide("{\"event\":\"message.accepted\",\"from\":\"anna@clinic.example\",\"to\":["
                      "\"bob@x.example\","
                      "\"carl@x.example\"],\"actor\":{\"id\":\"user@clinic.example\",\"n\":[[],{},{"
                      "\"deep\":\"d@x.example\"}]},"
                      "\"reason\":\"asked by anna@clinic.example, not "
                      "eve@x.example\",\"n\":[0,1],\"ok\":true,\"none\":null,"
                      "\"share\":0.5,\"tenant\":\"clinic\"}",
                      &hidden);

    ck_assert_int_eq(hidden, 7);
    ck_assert_msg(strstr(text, "anna") == NULL && strstr(text, "bob") == NULL &&
                      strstr(text, "carl") == NULL && strstr(text, "user") == NULL &&
                      strstr(text, "\"d@") == NULL && strstr(text, "eve@") == NULL,
                  "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "\"from\":{\"domain\":\"clinic.example\",\"h\":\"k"));
    ck_assert_ptr_nonnull(strstr(text, "@clinic.example, not k"));
    ck_assert_ptr_nonnull(
        strstr(text, "\"n\":[0,1],\"ok\":true,\"none\":null,\"share\":0.5,\"tenant\":\"clinic\"}"));
    sp_free(text);
}
END_TEST

START_TEST(what_others_named_stays)
{
    int hidden;
    char *text =
        hide("{\"origin\":{\"message_id\":\"<1@clinic.example>\",\"network_message_id\":\"a@b\"},"
             "\"object\":\"mx: a@b\",\"from\":\"\"}",
             &hidden);

    ck_assert_int_eq(hidden, 0);
    ck_assert_str_eq(
        text, "{\"origin\":{\"message_id\":\"<1@clinic.example>\",\"network_message_id\":\"a@b\"},"
              "\"object\":\"mx: a@b\",\"from\":\"\"}");
    sp_free(text);
}
END_TEST

START_TEST(an_address_at_the_deepest_place_is_hidden_too)
{
    char event[256] = "{\"a\":";
    int hidden;
    char *text;

    for (int i = 0; i < SP_JSON_DEPTH_MAX - 1; i++)
        strcat(event, "[");
    strcat(event, "\"anna@x.example\"");
    for (int i = 0; i < SP_JSON_DEPTH_MAX - 1; i++)
        strcat(event, "]");
    strcat(event, "}");
    text = hide(event, &hidden);
    ck_assert_int_eq(hidden, 1);
    ck_assert_ptr_null(strstr(text, "anna"));
    sp_free(text);
}
END_TEST

START_TEST(other_texts_are_no_names)
{
    static const char *const cases[] = {"",
                                        "k",
                                        "k0123456:0123456789abcdef0123456789abcdef",
                                        "k01234567:0123456789abcdef0123456789abcdeF",
                                        "x01234567:0123456789abcdef0123456789abcdef",
                                        "k01234567:0123456789abcdef0123456789abcdef0"};
    struct sp_bytes name = SP_LIT("k01234567:0123456789abcdef0123456789abcdef@x.example");

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_assert_msg(sp_audit_pseudonym_of(sp_bytes_cstr(cases[i])).len == 0, "%s", cases[i]);
    ck_assert_uint_eq(sp_audit_pseudonym_of(name).len, SP_AUDIT_PSEUDONYM_LEN);
}
END_TEST

static void add_tests(TCase *c)
{
    tcase_add_test(c, the_same_address_has_the_same_name_under_one_key);
    tcase_add_test(c, what_counts_as_an_address);
    tcase_add_test(c, no_address_is_left_wherever_it_stands);
    tcase_add_test(c, what_others_named_stays);
    tcase_add_test(c, an_address_at_the_deepest_place_is_hidden_too);
    tcase_add_test(c, other_texts_are_no_names);
}

SP_TEST_MAIN("audit.pseudonym", add_tests)
