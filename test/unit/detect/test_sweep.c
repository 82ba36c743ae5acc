/* Bits and sweeps: what is told sixteen bytes at once is what one byte after the other says. */
#include "detect/bits_priv.h"
#include "support/check_main.h"

#define LEN    400
#define ROUNDS 1000

static uint64_t state = 88172645463325252U;

static unsigned draw(unsigned below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % below;
}

/* Words, blanks and now and then any byte at all. */
static size_t make(uint8_t text[LEN])
{
    static const char signs[] = " ,;.<>&=|\t\n~@!?'-/_\x7f\x80\xc3hmwHAZaz09[{";
    size_t len = draw(LEN);
    unsigned rare = 2 + draw(200);

    for (size_t i = 0; i < len; i++)
        text[i] = draw(rare) == 0  ? (uint8_t)draw(256)
                  : draw(4) == 0   ? (uint8_t)signs[draw(sizeof(signs) - 1)]
                  : draw(rare) > 1 ? (uint8_t)('a' + draw(26))
                                   : ' ';
    return len;
}

static bool is_word(uint8_t c)
{
    return sp_ascii_is_alnum(c) || c >= 0x80;
}

static bool calls(const uint8_t *text, size_t i)
{
    uint8_t c = text[i];

    if (c >= 'a' && c <= 'z')
        return strchr("hmw", c) != NULL && (i == 0 || !is_word(text[i - 1]));
    return is_word(c) || (c != 0 && strchr("\n.!?@~", c) != NULL);
}

START_TEST(bits_tell_words_and_calls)
{
    struct detect_bits bits = {0};
    uint8_t text[LEN];

    for (int round = 0; round < ROUNDS; round++) {
        size_t len = make(text);

        sp_detect_bits_fill(&bits, sp_bytes(text, len));
        for (size_t i = 0; i < len; i++)
            if ((bits.words[i / 64] >> i % 64 & 1) != is_word(text[i]) ||
                (bits.letters[i / 64] >> i % 64 & 1) !=
                    (is_word(text[i]) && !sp_ascii_is_digit(text[i])) ||
                ((bits.calls[i / 64] >> i % 64 & 1) != calls(text, i) && text[i] != '/'))
                ck_abort_msg("byte %u at %zu of %zu", text[i], i, len);
        ck_assert_uint_eq(bits.words[len / 64] >> len % 64, 0);
    }
    sp_detect_bits_clear(&bits);
}
END_TEST

START_TEST(places_are_found_in_both_directions)
{
    struct detect_bits bits = {0};
    uint8_t text[LEN];

    for (int round = 0; round < ROUNDS; round++) {
        size_t len = make(text), at = len == 0 ? 0 : draw((unsigned)len), next = at, end = at,
               begin;

        sp_detect_bits_fill(&bits, sp_bytes(text, len));
        while (next < len && !is_word(text[next]))
            next++;
        while (end < len && is_word(text[end]))
            end++;
        ck_assert_uint_eq(sp_detect_bits_set(bits.words, at, len), next);
        ck_assert_uint_eq(sp_detect_bits_unset(bits.words, at), end);
        if (at == 0)
            continue;
        for (begin = at - 1; begin > 0 && is_word(text[begin - 1]) == is_word(text[at - 1]);)
            begin--;
        ck_assert_uint_eq(sp_detect_bits_begin(bits.words, at), begin);
    }
    sp_detect_bits_clear(&bits);
}
END_TEST

static bool plain(uint8_t c, bool markup)
{
    if (c <= ' ' || c >= 0x7f || strchr(",;=>|", c) != NULL)
        return false;
    return !markup || (c != '&' && c != '<');
}

static bool seen(uint8_t c, bool markup)
{
    return c > ' ' && c < 0x7f && (!markup || (c != '&' && c != '<'));
}

static size_t plain_len(struct sp_bytes text, bool markup)
{
    size_t n = 0;

    for (; n < text.len; n++) {
        uint8_t c = text.ptr[n], next = n + 1 < text.len ? text.ptr[n + 1] : 0;

        if (!plain(c, markup) && (n == 0 || c != ' ' || !plain(next, markup)))
            break;
    }
    return n;
}

/* What stands at a place of a run: a blank before something seen, a '=' before something plain, anything seen. */
static size_t run_len(struct sp_bytes text, bool markup, unsigned *cells)
{
    size_t n = 0;

    for (; n < text.len; n++) {
        uint8_t c = text.ptr[n], next = n + 1 < text.len ? text.ptr[n + 1] : 0;

        if (n == 0 && !plain(c, markup))
            break;
        if (c == ' ' ? !seen(next, markup) : c == '=' ? !plain(next, markup) : !seen(c, markup))
            break;
        *cells += c == '|' || (strchr(",;", c) != NULL && plain(next, markup));
    }
    return n;
}

START_TEST(plain_text_ends_where_it_must)
{
    uint8_t text[LEN];

    for (int round = 0; round < ROUNDS * 4; round++) {
        struct sp_bytes all = sp_bytes(text, make(text));
        bool markup = draw(2) == 0;
        unsigned cells = 0, want = 0;

        all = sp_bytes_slice(all, all.len > 0 ? draw((unsigned)all.len) : 0, SIZE_MAX);
        ck_assert_uint_eq(sp_detect_sweep_plain(all, markup), plain_len(all, markup));
        ck_assert_uint_eq(sp_detect_sweep_run(all, markup, &cells), run_len(all, markup, &want));
        ck_assert_uint_eq(cells, want);
    }
}
END_TEST

START_TEST(long_runs_go_to_their_end)
{
    static uint8_t text[40000];
    struct sp_bytes all = sp_bytes(text, sizeof(text));
    unsigned cells = 0;

    memset(text, 'a', sizeof(text));
    memcpy(text + 20000, " | b, c,d;", 10);
    ck_assert_uint_eq(sp_detect_sweep_plain(all, false), 20000);
    ck_assert_uint_eq(sp_detect_sweep_run(all, false, &cells), sizeof(text));
    ck_assert_uint_eq(cells, 3);
    text[39999] = ' ';
    ck_assert_uint_eq(sp_detect_sweep_run(all, false, &cells), sizeof(text) - 1);
}
END_TEST

START_TEST(signs_of_tables_are_counted)
{
    static uint8_t many[6000];
    uint8_t text[LEN];
    struct detect_signs n;

    for (int round = 0; round < ROUNDS; round++) {
        size_t len = make(text), tabs = 0, digits = 0, blanks = 0, commas = 0;

        for (size_t i = 0; i < len; i++) {
            tabs += text[i] == '\t';
            digits += sp_ascii_is_digit(text[i]);
            blanks += text[i] == ' ';
            commas += text[i] == ',';
        }
        n = sp_detect_sweep_signs(sp_bytes(text, len));
        ck_assert_uint_eq(n.tabs, tabs);
        ck_assert_uint_eq(n.digits, digits);
        ck_assert_uint_eq(n.blanks, blanks);
        ck_assert_uint_eq(n.commas, commas);
    }
    memset(many, '|', sizeof(many)); /* more than a byte counts */
    n = sp_detect_sweep_signs(sp_bytes(many, sizeof(many)));
    ck_assert_uint_eq(n.bars, sizeof(many));
    ck_assert_uint_eq(n.semicolons, 0);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, bits_tell_words_and_calls);
    tcase_add_test(c, places_are_found_in_both_directions);
    tcase_add_test(c, plain_text_ends_where_it_must);
    tcase_add_test(c, long_runs_go_to_their_end);
    tcase_add_test(c, signs_of_tables_are_counted);
}

SP_TEST_MAIN("detect.sweep", add)
