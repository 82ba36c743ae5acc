/* Base-64 lines and line ends, however the bytes are cut. */
#include "seal/stream.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "support/check_main.h"
#include "support/fake_clock.h"
#include "support/seal_memory.h"

static void encode_cut(struct sp_bytes in, struct sp_random *random, struct sp_buf *out)
{
    struct sp_seal_base64 *b = sp_malloc(sizeof(*b));

    sp_seal_base64_init(b, memory_sink(out));
    while (in.len > 0) {
        size_t n = random == NULL ? in.len : 1 + (size_t)sp_random_below(random, 200);

        n = n < in.len ? n : in.len;
        ck_assert_int_eq(sp_seal_base64_feed(b, sp_bytes(in.ptr, n)), SP_OK);
        in = sp_bytes(in.ptr + n, in.len - n);
    }
    ck_assert_int_eq(sp_seal_base64_finish(b), SP_OK);
    sp_free(b);
}

static void join_lines(struct sp_bytes text, struct sp_buf *out)
{
    struct sp_bytes line;

    while (sp_bytes_split(&text, '\n', &line)) {
        if (line.len == 0)
            continue;
        ck_assert_uint_le(line.len, SP_SEAL_LINE_CHARS + 1);
        ck_assert_uint_eq(line.ptr[line.len - 1], '\r');
        sp_buf_put(out, sp_bytes(line.ptr, line.len - 1));
    }
}

START_TEST(base64_lines_are_the_same_however_cut)
{
    static const size_t lens[] = {0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 100000};
    struct fake_random random;
    uint8_t *data = sp_malloc(100000);

    fake_random_init(&random, 7);
    sp_random_fill(&random.random, data, 100000);
    for (size_t i = 0; i < SP_ARRAY_LEN(lens); i++) {
        struct sp_buf whole, cut, joined, want;

        sp_buf_init(&whole, 1U << 20);
        sp_buf_init(&cut, 1U << 20);
        sp_buf_init(&joined, 1U << 20);
        sp_buf_init(&want, 1U << 20);
        encode_cut(sp_bytes(data, lens[i]), NULL, &whole);
        encode_cut(sp_bytes(data, lens[i]), &random.random, &cut);
        ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&whole), sp_buf_bytes(&cut)), "%zu bytes", lens[i]);
        join_lines(sp_buf_bytes(&whole), &joined);
        sp_base64_encode(&want, sp_bytes(data, lens[i]));
        ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&joined), sp_buf_bytes(&want)), "%zu bytes",
                      lens[i]);
        sp_buf_clear(&whole);
        sp_buf_clear(&cut);
        sp_buf_clear(&joined);
        sp_buf_clear(&want);
    }
    sp_free(data);
}
END_TEST

START_TEST(bare_lf_becomes_crlf_and_crlf_stays)
{
    static const char in[] = "a\nb\r\nc\n\n\r\r\n";
    static const char want[] = "a\r\nb\r\nc\r\n\r\n\r\r\n";

    for (size_t at = 0; at < sizeof(in); at++) {
        struct sp_buf out;
        struct sp_seal_crlf c;

        sp_buf_init(&out, 100);
        c = (struct sp_seal_crlf){memory_sink(&out), false};
        ck_assert_int_eq(sp_seal_crlf_feed(&c, sp_bytes(in, at)), SP_OK);
        ck_assert_int_eq(sp_seal_crlf_feed(&c, sp_bytes(in + at, sizeof(in) - 1 - at)), SP_OK);
        ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&out), sp_bytes_cstr(want)), "cut at %zu", at);
        sp_buf_clear(&out);
        if (at == sizeof(in) - 1)
            break;
    }
}
END_TEST

static enum sp_rc refuse(void *ctx, struct sp_bytes data)
{
    (void)ctx, (void)data;
    return SP_E_JOURNAL_FULL;
}

START_TEST(what_the_sink_says_comes_back)
{
    struct sp_seal_base64 *b = sp_malloc(sizeof(*b));
    struct sp_seal_crlf c = {{refuse, NULL}, false};

    sp_seal_base64_init(b, (struct sp_seal_sink){refuse, NULL});
    ck_assert_int_eq(sp_seal_base64_feed(b, SP_LIT("x")), SP_OK);
    ck_assert_int_eq(sp_seal_base64_finish(b), SP_E_JOURNAL_FULL);
    ck_assert_int_eq(sp_seal_crlf_feed(&c, SP_LIT("x\n")), SP_E_JOURNAL_FULL);
    sp_free(b);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, base64_lines_are_the_same_however_cut);
    tcase_add_test(c, bare_lf_becomes_crlf_and_crlf_stays);
    tcase_add_test(c, what_the_sink_says_comes_back);
}

SP_TEST_MAIN("seal.stream", add)
