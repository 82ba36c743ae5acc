/* Verifying a file: every kind of tampering, with and without the head file, however the bytes are split. */
#include "audit/verify.h"
#include "chain.h"
#include "support/check_main.h"

static struct chain chain;

static void set_up(void)
{
    chain_init(&chain);
}

static void tear_down(void)
{
    chain_clear(&chain);
}

struct run {
    struct sp_audit_ring ring;
    struct sp_buf head;
    size_t step; /* bytes fed at a time; 0: all */
    struct sp_audit_report report;
};

static void run(struct run *r, struct sp_bytes text)
{
    SP_AUTO(sp_audit_verifier) v = sp_audit_verifier_new(&r->ring, sp_buf_bytes(&r->head));
    size_t step = r->step == 0 ? text.len + 1 : r->step;

    for (size_t at = 0; at < text.len; at += step)
        sp_audit_verifier_feed(v, sp_bytes_slice(text, at, step));
    r->report = *sp_audit_verifier_finish(v);
}

static void expect(struct run *r, struct sp_buf *text, enum sp_audit_verdict verdict,
                   const char *what)
{
    run(r, sp_buf_bytes(text));
    ck_assert_msg(r->report.verdict == verdict, "%s: %s (%s)", what,
                  sp_audit_verdict_name(r->report.verdict), r->report.why);
}

START_TEST(an_intact_file_is_proved_however_it_is_split)
{
    struct sp_buf text;

    sp_buf_init(&text, 1 << 20);
    chain_text(&chain, 0, 10, &text);
    for (size_t step = 0; step < 300; step += 1 + step / 7) {
        struct run r = {.step = step};

        expect(&r, &text, SP_AUDIT_PROVED, "intact");
        ck_assert_uint_eq(r.report.records, 10);
        ck_assert_uint_eq(r.report.checkpoints, 2);
        ck_assert_uint_eq(r.report.signed_to, 9);
        ck_assert(r.report.key_from_file);
        ck_assert_str_eq(r.report.key, chain.signer.key.id);
    }
    sp_buf_clear(&text);
}
END_TEST

START_TEST(any_changed_byte_is_found)
{
    struct sp_buf text;

    sp_buf_init(&text, 1 << 20);
    chain_text(&chain, 0, 10, &text);
    /* the very last line end may go or change without a loss; that is a cut line then */
    for (size_t i = 0; i + 1 < text.len; i++) {
        struct run r = {0};
        uint8_t was = text.ptr[i];

        text.ptr[i] = (uint8_t)(was ^ 1);
        run(&r, sp_buf_bytes(&text));
        ck_assert_msg(r.report.verdict != SP_AUDIT_PROVED, "byte %zu", i);
        text.ptr[i] = was;
    }
    sp_buf_clear(&text);
}
END_TEST

START_TEST(any_dropped_swapped_or_doubled_line_is_found)
{
    for (size_t i = 0; i < 10; i++) {
        struct run dropped = {0};
        struct run swapped = {0};
        struct run doubled = {0};
        struct sp_buf text;

        sp_buf_init(&text, 1 << 20);
        chain_text(&chain, 0, i, &text);
        chain_text(&chain, i + 1, 10, &text);
        expect(&dropped, &text, i == 0 || i == 9 ? SP_AUDIT_IS_INCOMPLETE : SP_AUDIT_WAS_ALTERED,
               "dropped");
        sp_buf_reset(&text);
        chain_text(&chain, 0, i + 1, &text);
        chain_text(&chain, i, 10, &text);
        expect(&doubled, &text, SP_AUDIT_WAS_ALTERED, "doubled");
        sp_buf_reset(&text);
        if (i < 9) {
            chain_text(&chain, 0, i, &text);
            chain_text(&chain, i + 1, i + 2, &text);
            chain_text(&chain, i, i + 1, &text);
            chain_text(&chain, i + 2, 10, &text);
            run(&swapped, sp_buf_bytes(&text));
            ck_assert_msg(swapped.report.verdict != SP_AUDIT_PROVED, "swapped %zu", i);
        }
        sp_buf_clear(&text);
    }
}
END_TEST

START_TEST(an_added_line_with_the_right_number_and_link_is_found_by_the_checkpoint)
{
    struct chain forged;
    struct run r = {0};
    struct sp_buf text;

    /* the forger knows the format and rechains what follows, but can't sign */
    memset(&forged, 0, sizeof(forged));
    chain_signer(&forged.signer, 2);
    forged.message = chain.message;
    sp_audit_state_init(&forged.state);
    for (size_t i = 0; i < 5; i++) {
        sp_audit_state_add(&forged.state, sp_bytes_cstr(chain.line[i]));
        forged.line[forged.count++] = sp_strdup(chain.line[i]);
    }
    chain_event(&forged, "{\"event\":\"admin.acted\",\"what\":\"nothing\"}");
    chain_checkpoint(&forged);
    sp_buf_init(&text, 1 << 20);
    chain_text(&forged, 0, forged.count, &text);
    expect(&r, &text, SP_AUDIT_KEY_IS_UNKNOWN, "another key");
    sp_buf_clear(&text);
    chain_clear(&forged);
}
END_TEST

START_TEST(a_cut_tail_is_incomplete)
{
    struct sp_buf text;

    sp_buf_init(&text, 1 << 20);
    for (size_t lines = 0; lines < 10; lines++) {
        struct run r = {0};

        sp_buf_reset(&text);
        chain_text(&chain, 0, lines, &text);
        /* line 6 is a checkpoint: without a head nobody can know that there was more */
        expect(&r, &text, lines == 6 ? SP_AUDIT_PROVED : SP_AUDIT_IS_INCOMPLETE, "cut");
    }
    sp_buf_clear(&text);
}
END_TEST

START_TEST(with_the_head_file_every_cut_is_found)
{
    struct sp_buf text;
    struct run r = {0};

    sp_buf_init(&text, 1 << 20);
    sp_buf_init(&r.head, 1 << 16);
    ck_assert_int_eq(sp_audit_head_make(&chain.state, &chain.signer, 1795359846000, &r.head),
                     SP_OK);
    ck_assert(sp_audit_ring_add(&r.ring, &chain.signer.key));
    for (size_t lines = 0; lines < 10; lines++) {
        sp_buf_reset(&text);
        chain_text(&chain, 0, lines, &text);
        expect(&r, &text, SP_AUDIT_IS_INCOMPLETE, "cut");
    }
    chain_text(&chain, 9, 10, &text);
    expect(&r, &text, SP_AUDIT_PROVED, "whole");
    ck_assert_uint_eq(r.report.signed_to, 10);
    ck_assert(!r.report.key_from_file);
    sp_buf_clear(&r.head);
    sp_buf_clear(&text);
}
END_TEST

START_TEST(a_head_over_other_lines_is_altered)
{
    struct sp_audit_state other = chain.state;
    struct sp_buf text;
    struct run r = {0};

    other.head.b[0] ^= 1;
    sp_buf_init(&text, 1 << 20);
    sp_buf_init(&r.head, 1 << 16);
    ck_assert_int_eq(sp_audit_head_make(&other, &chain.signer, 1795359846000, &r.head), SP_OK);
    chain_text(&chain, 0, 10, &text);
    expect(&r, &text, SP_AUDIT_WAS_ALTERED, "another head");
    sp_buf_clear(&r.head);
    sp_buf_clear(&text);
}
END_TEST

START_TEST(a_head_changed_by_hand_is_altered)
{
    struct sp_buf text;
    struct run r = {0};
    size_t at;

    sp_buf_init(&text, 1 << 20);
    sp_buf_init(&r.head, 1 << 16);
    ck_assert_int_eq(sp_audit_head_make(&chain.state, &chain.signer, 1795359846000, &r.head),
                     SP_OK);
    at = sp_bytes_find_all(sp_buf_bytes(&r.head), SP_LIT("\"tree_size\":10"));
    ck_assert(at != SIZE_MAX);
    r.head.ptr[at + 13] = '1';
    chain_text(&chain, 0, 10, &text);
    run(&r, sp_buf_bytes(&text));
    ck_assert_int_ne(r.report.verdict, SP_AUDIT_PROVED);
    sp_buf_clear(&r.head);
    sp_buf_clear(&text);
}
END_TEST

START_TEST(a_line_cut_in_the_middle_is_incomplete)
{
    struct sp_buf text;
    struct run r = {0};

    sp_buf_init(&text, 1 << 20);
    chain_text(&chain, 0, 10, &text);
    text.len -= 20;
    expect(&r, &text, SP_AUDIT_IS_INCOMPLETE, "torn");
    ck_assert_uint_eq(r.report.line, 10);
    sp_buf_clear(&text);
}
END_TEST

START_TEST(another_key_than_the_trusted_is_unknown)
{
    struct sp_audit_signer other;
    struct sp_buf text;
    struct run r = {0};

    chain_signer(&other, 9);
    ck_assert(sp_audit_ring_add(&r.ring, &other.key));
    sp_buf_init(&text, 1 << 20);
    chain_text(&chain, 0, 10, &text);
    expect(&r, &text, SP_AUDIT_KEY_IS_UNKNOWN, "another key");
    ck_assert_ptr_nonnull(strstr(r.report.why, chain.signer.key.id));
    sp_buf_clear(&text);
}
END_TEST

START_TEST(a_key_file_reads_back_and_rejects_a_wrong_name)
{
    struct sp_audit_ring ring = {0};
    struct sp_buf text;

    sp_buf_init(&text, 4096);
    sp_audit_public_format(&chain.signer.key, &text);
    ck_assert_int_eq(sp_audit_ring_parse(&ring, sp_buf_bytes(&text), NULL), SP_OK);
    ck_assert_uint_eq(ring.count, 1);
    text.ptr[30] = text.ptr[30] == '0' ? '1' : '0';
    ck_assert_int_eq(sp_audit_ring_parse(&ring, sp_buf_bytes(&text), NULL), SP_E_AUDIT_KEY);
    ck_assert_int_eq(sp_audit_ring_parse(&ring, SP_LIT("# nothing\n\n"), NULL), SP_E_AUDIT_KEY);
    sp_buf_clear(&text);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, an_intact_file_is_proved_however_it_is_split);
    tcase_add_test(c, any_changed_byte_is_found);
    tcase_add_test(c, any_dropped_swapped_or_doubled_line_is_found);
    tcase_add_test(c, an_added_line_with_the_right_number_and_link_is_found_by_the_checkpoint);
    tcase_add_test(c, a_cut_tail_is_incomplete);
    tcase_add_test(c, with_the_head_file_every_cut_is_found);
    tcase_add_test(c, a_head_over_other_lines_is_altered);
    tcase_add_test(c, a_head_changed_by_hand_is_altered);
    tcase_add_test(c, a_line_cut_in_the_middle_is_incomplete);
    tcase_add_test(c, another_key_than_the_trusted_is_unknown);
    tcase_add_test(c, a_key_file_reads_back_and_rejects_a_wrong_name);
}

SP_TEST_MAIN("audit.verify", add)
