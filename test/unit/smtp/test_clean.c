/*
 * What many bytes at once say of text is what each byte says: against a plain walk over texts with every kind of fault at
 * every place, in any cut. And a message is stuffed as by a plain loop, whatever its lines are.
 */
#include "base/buf.h"
#include "smtp/clean.h"
#include "smtp/server.h"
#include "smtp/stuff.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

enum { TEXT_LEN = 1500, ROUNDS = 300 };

static uint32_t state = 12345;

static uint32_t any(uint32_t below)
{
    state = state * 1664525U + 1013904223U;
    return (state >> 8) % below;
}

/* Lines of all lengths, some of which begin with a dot. */
static size_t make_text(uint8_t *out, size_t len, unsigned dots)
{
    size_t at = 0;

    while (at + 2 < len) {
        size_t line = any(120);

        for (size_t i = 0; i < line && at + 3 < len; i++)
            out[at++] = (uint8_t)(i == 0 && any(100) < dots ? '.' : 'a' + any(26));
        out[at++] = '\r';
        out[at++] = '\n';
    }
    return at;
}

/* returns: the first byte that is a fault, or a dot at a line's start */
static size_t first_fault(const uint8_t *text, size_t len, uint8_t before)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t b = i == 0 ? before : text[i - 1];
        bool ends = i + 1 == len;

        if (text[i] == 0 || (text[i] == '\n' && b != '\r') || (text[i] == '.' && b == '\n') ||
            (text[i] == '\r' && !ends && text[i + 1] != '\n'))
            return i;
    }
    return len;
}

START_TEST(a_fault_at_any_place_is_not_passed_over)
{
    static const uint8_t faults[] = {0, '\n', '\r', '.'};
    uint8_t text[TEXT_LEN];
    size_t len = make_text(text, sizeof(text), 0);

    for (size_t kind = 0; kind < sizeof(faults); kind++) {
        for (size_t at = 0; at < len; at++) {
            uint8_t kept = text[at];
            size_t clean, fault;

            text[at] = faults[kind];
            fault = first_fault(text, len, '\n');
            clean = sp_smtp_clean_len(sp_bytes(text, len), '\n');
            ck_assert_msg(clean <= fault, "kind %zu at %zu: %zu of %zu", kind, at, clean, fault);
            ck_assert_msg(clean == 0 || text[clean - 1] != '\r', "kind %zu at %zu", kind, at);
            ck_assert_msg(clean + 300 > fault || fault < 300, "kind %zu at %zu: %zu of %zu", kind,
                          at, clean, fault);
            text[at] = kept;
        }
    }
}
END_TEST

START_TEST(what_came_before_counts)
{
    uint8_t text[TEXT_LEN];
    size_t len = make_text(text, sizeof(text), 0);

    text[0] = '.';
    ck_assert_uint_eq(sp_smtp_clean_len(sp_bytes(text, len), '\n'), 0);
    ck_assert_uint_gt(sp_smtp_clean_len(sp_bytes(text, len), 'x'), 0);
    text[0] = '\n';
    ck_assert_uint_eq(sp_smtp_clean_len(sp_bytes(text, len), 'x'), 0);
    text[0] = 0;
    ck_assert_uint_eq(sp_smtp_clean_len(sp_bytes(text, len), 'x'), 0);
}
END_TEST

START_TEST(a_high_byte_is_seen_at_any_place)
{
    uint8_t text[TEXT_LEN];
    size_t len = make_text(text, sizeof(text), 10);

    ck_assert(!sp_smtp_clean_has_high(sp_bytes(text, len)));
    ck_assert(!sp_smtp_clean_has_high(sp_bytes(text, 0)));
    for (size_t at = 0; at < len; at++) {
        text[at] ^= 0x80;
        ck_assert_msg(sp_smtp_clean_has_high(sp_bytes(text, len)), "at %zu", at);
        text[at] ^= 0x80;
    }
}
END_TEST

/* A plain loop's answer. */
static void stuff_plainly(const uint8_t *text, size_t len, struct sp_buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.' && (i == 0 || text[i - 1] == '\n'))
            sp_buf_put_u8(out, '.');
        sp_buf_put_u8(out, text[i]);
    }
}

START_TEST(any_text_in_any_cut_is_stuffed_the_same)
{
    uint8_t text[TEXT_LEN];
    struct sp_buf want, got;

    sp_buf_init(&want, 2 * TEXT_LEN + 2);
    sp_buf_init(&got, 2 * TEXT_LEN + 2);
    for (int round = 0; round < ROUNDS; round++) {
        size_t len = make_text(text, sizeof(text), (unsigned)round % 3 * 20);
        struct sp_smtp_stuff st = SP_SMTP_STUFF_INIT;
        bool at_start = false;

        sp_buf_reset(&want);
        sp_buf_reset(&got);
        stuff_plainly(text, len, &want);
        for (size_t at = 0; at < len;) {
            size_t n = round % 2 == 0 ? len : 1 + any(700);
            struct sp_bytes in = sp_bytes_slice(sp_bytes(text, len), at, n), slice;

            at += in.len;
            while (in.len > 0) {
                ck_assert_int_eq(sp_smtp_stuff_next(&st, &in, &slice), SP_OK);
                sp_buf_put(&got, slice);
            }
        }
        ck_assert_int_eq(sp_smtp_stuff_end(&st, &at_start), SP_OK);
        ck_assert(at_start);
        ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&got), sp_buf_bytes(&want)), "round %d", round);
    }
    sp_buf_clear(&want);
    sp_buf_clear(&got);
}
END_TEST

/* returns: whether the text has a bare CR or LF, or a NUL */
static bool is_faulty(const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == 0 || (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) ||
            (text[i] == '\r' && (i + 1 == len || text[i + 1] != '\n')))
            return true;
    return false;
}

START_TEST(no_fault_leaves_in_any_cut)
{
    static const uint8_t faults[] = {0, '\n', '\r', 'x'};
    uint8_t text[TEXT_LEN];
    size_t len = make_text(text, sizeof(text), 5);

    for (size_t at = 0; at + 1 < len; at++) {
        uint8_t kept = text[at];
        struct sp_smtp_stuff st = SP_SMTP_STUFF_INIT;
        enum sp_rc rc = SP_OK;
        bool at_start;
        size_t n = 1 + any(900);

        text[at] = faults[at % 4];
        for (size_t from = 0; from < len && rc == SP_OK; from += n) {
            struct sp_bytes in = sp_bytes_slice(sp_bytes(text, len), from, n), slice;

            while (in.len > 0 && rc == SP_OK)
                rc = sp_smtp_stuff_next(&st, &in, &slice);
        }
        if (rc == SP_OK)
            rc = sp_smtp_stuff_end(&st, &at_start);
        ck_assert_msg((rc == SP_E_SMTP_BARE_DATA) == is_faulty(text, len),
                      "at %zu in pieces of %zu", at, n);
        text[at] = kept;
    }
}
END_TEST

/* Longest line of a text without faults, its CRLF and a stuffed dot left out. */
static size_t longest_line(const uint8_t *text, size_t len)
{
    size_t longest = 0, start = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\n')
            continue;
        start += text[start] == '.';
        longest = i - 1 - start > longest ? i - 1 - start : longest;
        start = i + 1;
    }
    return longest;
}

/* Gives the server a message in pieces of n bytes. returns: what it says of it */
static struct sp_smtp_data_facts take_message(struct sp_smtp_server *s, struct sp_bytes message,
                                              size_t n)
{
    struct sp_smtp_data_facts facts = {0};
    struct sp_buf in;

    sp_buf_init(&in, 10000);
    sp_buf_put(&in, SP_LIT("EHLO a.example\r\nMAIL FROM:<a@b.example>\r\n"
                           "RCPT TO:<c@d.example>\r\nDATA\r\n"));
    while (in.len > 0 || message.len > 0) {
        struct sp_bytes left, piece = sp_bytes_slice(message, 0, n);
        struct sp_smtp_server_event ev;

        sp_buf_put(&in, piece);
        message = sp_bytes_slice(message, piece.len, SIZE_MAX);
        left = sp_buf_bytes(&in);
        while (sp_smtp_server_next(s, &left, &ev)) {
            if (ev.type == SP_SMTP_SERVER_END)
                facts = ev.data;
            if (ev.type == SP_SMTP_SERVER_MAIL || ev.type == SP_SMTP_SERVER_RCPT ||
                ev.type == SP_SMTP_SERVER_DATA || ev.type == SP_SMTP_SERVER_END)
                sp_smtp_server_answer(s, SP_OK, sp_bytes(NULL, 0));
        }
        sp_buf_drop(&in, in.len - left.len);
        sp_smtp_server_sent(s, sp_smtp_server_output(s).len);
    }
    sp_buf_clear(&in);
    return facts;
}

START_TEST(the_longest_line_is_the_same_in_any_cut)
{
    struct fake_clock clock;
    struct sp_smtp_server_config config = {.hostname = "gw.example",
                                           .clock = &clock.clock,
                                           .size_limit = 1000000,
                                           .line_limit = 2000,
                                           .max_recipients = 100,
                                           .max_errors = 1000,
                                           .max_idle = 100000};
    struct sp_smtp_server *s;

    fake_clock_init(&clock, 0);
    s = sp_smtp_server_new(&config);
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t text[TEXT_LEN + 3];
        size_t len = make_text(text, TEXT_LEN, round % 2 == 0 ? 0 : 5);
        size_t n = round % 3 == 0 ? sizeof(text) : 1 + any(900);
        struct sp_smtp_data_facts facts;
        size_t longest = 0;

        for (size_t i = 1; i < len; i++) /* a dot that begins a line is stuffed, and never alone */
            if (text[i - 1] == '.' && text[i] == '\r')
                text[i - 1] = 'x';
        longest = longest_line(text, len);
        memcpy(text + len, ".\r\n", 3);
        facts = take_message(s, sp_bytes(text, len + 3), n);
        ck_assert_msg(facts.line_max == longest, "round %d in pieces of %zu: %zu, not %zu", round,
                      n, facts.line_max, longest);
    }
    sp_smtp_server_free(s);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_fault_at_any_place_is_not_passed_over);
    tcase_add_test(c, what_came_before_counts);
    tcase_add_test(c, a_high_byte_is_seen_at_any_place);
    tcase_add_test(c, any_text_in_any_cut_is_stuffed_the_same);
    tcase_add_test(c, no_fault_leaves_in_any_cut);
    tcase_add_test(c, the_longest_line_is_the_same_in_any_cut);
}

SP_TEST_MAIN("clean", add)
