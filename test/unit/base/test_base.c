/*
 * The base: views, buffers, readers, ids, dates, containers and encodings, each with its edges.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/map.h"
#include "base/reader.h"
#include "base/text.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

#include <stdio.h>

START_TEST(numbers_that_do_not_fit_are_refused)
{
    uint64_t v = 7;

    ck_assert(sp_bytes_to_u64(SP_LIT("18446744073709551615"), &v) && v == UINT64_MAX);
    ck_assert(!sp_bytes_to_u64(SP_LIT("18446744073709551616"), &v));
    ck_assert(!sp_bytes_to_u64(SP_LIT(""), &v));
    ck_assert(!sp_bytes_to_u64(SP_LIT("-1"), &v));
    ck_assert(!sp_bytes_to_u64(SP_LIT("1 "), &v));
}
END_TEST

START_TEST(split_gives_every_part_once)
{
    struct sp_bytes rest = SP_LIT("a,,b");
    struct sp_bytes part;

    ck_assert(sp_bytes_split(&rest, ',', &part) && sp_bytes_eq(part, SP_LIT("a")));
    ck_assert(sp_bytes_split(&rest, ',', &part) && part.len == 0);
    ck_assert(sp_bytes_split(&rest, ',', &part) && sp_bytes_eq(part, SP_LIT("b")));
    ck_assert(!sp_bytes_split(&rest, ',', &part));
}
END_TEST

START_TEST(a_buffer_past_its_maximum_fails_and_keeps_its_bytes)
{
    struct sp_buf b;

    sp_buf_init(&b, 5);
    sp_buf_put_cstr(&b, "abc");
    sp_buf_put_cstr(&b, "def");
    ck_assert_int_eq(sp_buf_rc(&b), SP_E_LIMIT);
    sp_buf_put_cstr(&b, "d");
    ck_assert(sp_bytes_eq(sp_buf_bytes(&b), SP_LIT("abc")));
    sp_buf_reset(&b);
    sp_buf_put_cstr(&b, "hello");
    ck_assert_int_eq(sp_buf_rc(&b), SP_OK);
    sp_buf_clear(&b);
}
END_TEST

START_TEST(what_a_buffer_writes_a_reader_reads)
{
    struct sp_buf b;
    struct sp_reader r;

    sp_buf_init(&b, 1000);
    sp_buf_put_u8(&b, 200);
    sp_buf_put_u16(&b, 60000);
    sp_buf_put_u32(&b, 4000000000U);
    sp_buf_put_u64(&b, UINT64_MAX - 1);
    sp_buf_put_var(&b, SP_LIT("text"));
    r = sp_reader(sp_buf_bytes(&b));
    ck_assert_uint_eq(sp_reader_u8(&r), 200);
    ck_assert_uint_eq(sp_reader_u16(&r), 60000);
    ck_assert_uint_eq(sp_reader_u32(&r), 4000000000U);
    ck_assert_uint_eq(sp_reader_u64(&r), UINT64_MAX - 1);
    ck_assert(sp_bytes_eq(sp_reader_var(&r, 4), SP_LIT("text")));
    ck_assert_int_eq(sp_reader_end(&r), SP_OK);
    for (size_t cut = 0; cut < b.len; cut++) {
        r = sp_reader(sp_bytes(b.ptr, cut));
        sp_reader_u8(&r);
        sp_reader_u16(&r);
        sp_reader_u32(&r);
        sp_reader_u64(&r);
        sp_reader_var(&r, 4);
        ck_assert_int_eq(sp_reader_end(&r), SP_E_MALFORMED);
    }
    sp_buf_clear(&b);
}
END_TEST

START_TEST(ids_keep_their_value_as_text)
{
    struct fake_clock clock;
    struct fake_random random;
    char text[SP_ID_TEXT_LEN + 1];
    struct sp_id again;
    struct sp_id known = {{0x01, 0x56, 0x3e, 0x3a, 0xb5, 0xd3, 0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9,
                           0x93, 0x02, 0xbd, 0x5b}};

    sp_id_format(&known, text);
    ck_assert_str_eq(text,
                     "01ARZ3NDEKTSV4RRFFQ69G5FAV"); /* the example of the ULID specification */
    fake_clock_init(&clock, 0);
    fake_random_init(&random, 1);
    for (int i = 0; i < 1000; i++) {
        struct sp_id id = sp_id_new(&clock.clock, &random.random);

        sp_id_format(&id, text);
        ck_assert(sp_id_parse(sp_bytes_cstr(text), &again) && sp_id_eq(&id, &again));
        ck_assert_int_eq(sp_id_time_ms(&id), clock.wall_ms);
        fake_clock_advance(&clock, 1000003);
    }
    ck_assert(!sp_id_parse(SP_LIT("81ARZ3NDEKTSV4RRFFQ69G5FAV"), &again));
    ck_assert(!sp_id_parse(SP_LIT("01ARZ3NDEKTSV4RRFFQ69G5FAU"), &again)); /* U is no digit */
}
END_TEST

START_TEST(dates_are_written_and_read_back)
{
    static const struct {
        int64_t ms;
        const char *iso;
        const char *mail;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 +0000"},
        {951782400000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 +0000"},
        {1795446245118, "2026-11-23T15:04:05.118Z", "Mon, 23 Nov 2026 15:04:05 +0000"},
        {4107542399999, "2100-02-28T23:59:59.999Z", "Sun, 28 Feb 2100 23:59:59 +0000"},
    };
    char text[SP_TIME_TEXT_MAX];
    int64_t ms;

    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        sp_time_format_rfc3339(rows[i].ms, text);
        ck_assert_str_eq(text, rows[i].iso);
        ck_assert(sp_time_parse_rfc3339(sp_bytes_cstr(text), &ms));
        ck_assert_int_eq(ms, rows[i].ms);
        sp_time_format_rfc5322(rows[i].ms, text);
        ck_assert_str_eq(text, rows[i].mail);
    }
    ck_assert(!sp_time_parse_rfc3339(SP_LIT("2026-13-01T00:00:00Z"), &ms));
    ck_assert(!sp_time_parse_rfc3339(SP_LIT("2026-11-23T15:04:05"), &ms));
    ck_assert(!sp_time_parse_rfc3339(SP_LIT("2026-11-23T15:04:05.Z"), &ms));
    ck_assert(sp_time_parse_rfc3339(SP_LIT("2026-11-23T15:04:05.5Z"), &ms) && ms % 1000 == 500);
}
END_TEST

START_TEST(a_map_finds_what_was_put_and_forgets_what_was_removed)
{
    struct sp_map *m = sp_map_new();
    static int values[2000];
    char key[32];
    size_t at = 0;
    size_t seen = 0;
    void *value;
    struct sp_bytes name;

    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        ck_assert_ptr_null(sp_map_put(m, sp_bytes_cstr(key), &values[i]));
    }
    for (int i = 0; i < 2000; i += 2) {
        snprintf(key, sizeof(key), "key-%d", i);
        ck_assert_ptr_eq(sp_map_remove(m, sp_bytes_cstr(key)), &values[i]);
        ck_assert_ptr_null(sp_map_remove(m, sp_bytes_cstr(key)));
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        ck_assert_ptr_eq(sp_map_find(m, sp_bytes_cstr(key)), i % 2 == 0 ? NULL : &values[i]);
    }
    while (sp_map_next(m, &at, &name, &value)) {
        seen++;
        ck_assert_ptr_eq(sp_map_remove(m, name), value);
    }
    ck_assert_uint_eq(seen, 1000);
    ck_assert_uint_eq(sp_map_count(m), 0);
    sp_map_free(m);
}
END_TEST

#define WALKED 5000 /* of them, the first half stays */

static void put_number(struct sp_map *m, int *values, int i)
{
    char key[32];

    snprintf(key, sizeof(key), "key-%d", i);
    (void)sp_map_put(m, sp_bytes_cstr(key), values + i);
}

static void on_walked(void *arg, void *value)
{
    (void)arg;
    ++*(int *)value;
}

START_TEST(a_walk_in_steps_meets_once_what_stays_whatever_comes_and_goes)
{
    static int values[WALKED]; /* how often each was met */

    for (size_t places = 1; places < 5000; places = places * 3 + 1) {
        struct sp_map *m = sp_map_new();
        struct sp_map_walk walk = {0};
        struct fake_random random;
        int next = WALKED / 2;
        char key[32];

        fake_random_init(&random, places);
        memset(values, 0, sizeof(values));
        for (int i = 0; i < WALKED / 2 + 100; i++)
            put_number(m, values, i);
        while (sp_map_walk(m, &walk, places, on_walked, NULL)) {
            /* the map grows meanwhile, and what others had been shifted by goes */
            for (int i = 0; i < 20 && next < WALKED; i++)
                put_number(m, values, next++);
            for (int i = 0; i < 10; i++) {
                int which = (int)sp_random_below(&random.random, WALKED / 2);

                snprintf(key, sizeof(key), "key-%d", WALKED / 2 + which);
                (void)sp_map_remove(m, sp_bytes_cstr(key));
            }
        }
        ck_assert(!sp_map_walk(m, &walk, places, on_walked, NULL));
        for (int i = 0; i < WALKED; i++)
            ck_assert_msg(values[i] == 1 || (i >= WALKED / 2 && values[i] <= 1),
                          "%zu places: %d met %d times", places, i, values[i]);
        sp_map_free(m);
    }
}
END_TEST

START_TEST(a_heap_gives_the_least_first_whatever_moves)
{
    struct fake_random random;
    static struct sp_heap_node nodes[500];
    struct sp_heap heap = {0};
    int64_t last = INT64_MIN;
    size_t left = 0;

    fake_random_init(&random, 7);
    for (size_t i = 0; i < SP_ARRAY_LEN(nodes); i++) {
        sp_heap_node_init(&nodes[i]);
        sp_heap_put(&heap, &nodes[i], (int64_t)sp_random_below(&random.random, 1000));
    }
    for (size_t i = 0; i < SP_ARRAY_LEN(nodes); i += 3)
        sp_heap_put(&heap, &nodes[i], (int64_t)sp_random_below(&random.random, 1000));
    for (size_t i = 1; i < SP_ARRAY_LEN(nodes); i += 5)
        sp_heap_remove(&heap, &nodes[i]);
    for (struct sp_heap_node *n = sp_heap_first(&heap); n != NULL; n = sp_heap_first(&heap)) {
        ck_assert(n->key >= last);
        last = n->key;
        sp_heap_remove(&heap, n);
        left++;
    }
    ck_assert_uint_eq(left, 400);
    sp_heap_clear(&heap);
}
END_TEST

START_TEST(a_stale_handle_finds_nothing)
{
    struct sp_slots *s = sp_slots_new();
    int a = 1;
    int b = 2;
    sp_handle first = sp_slots_add(s, &a);
    sp_handle second;

    ck_assert_ptr_eq(sp_slots_remove(s, first), &a);
    second = sp_slots_add(s, &b);
    ck_assert_ptr_null(sp_slots_find(s, first));
    ck_assert_ptr_null(sp_slots_remove(s, first));
    ck_assert_ptr_eq(sp_slots_find(s, second), &b);
    ck_assert(first != second && second != 0);
    sp_slots_free(s);
}
END_TEST

/* As the polynomial says it. */
static uint32_t crc_by_bits(const uint8_t *data, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1U ? 0x82f63b78U : 0);
    }
    return ~crc;
}

START_TEST(a_crc_is_the_same_for_any_length_and_cut)
{
    static const size_t lengths[] = {0, 1, 7, 8, 511, 1535, 1536, 1537, 3071, 3072, 5000, 20000};
    static uint8_t data[20001];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 131 + i / 257);
    for (size_t i = 0; i < SP_ARRAY_LEN(lengths); i++) {
        size_t len = lengths[i], cut = len / 3;
        uint32_t want = crc_by_bits(data + 1, len);

        ck_assert_msg(sp_crc32c(0, sp_bytes(data + 1, len)) == want, "%zu bytes", len);
        ck_assert_msg(sp_crc32c(sp_crc32c(0, sp_bytes(data + 1, cut)),
                                sp_bytes(data + 1 + cut, len - cut)) == want,
                      "%zu bytes, cut", len);
        ck_assert_msg(sp_crc32c_join(sp_crc32c(0, sp_bytes(data + 1, cut)),
                                     sp_crc32c(0, sp_bytes(data + 1 + cut, len - cut)),
                                     (uint32_t)(len - cut)) == want,
                      "%zu bytes, joined", len);
    }
}
END_TEST

/* Of zeroes that are added the value depends on their number alone, so each bit of it has its say. */
START_TEST(a_crc_is_joined_over_any_length)
{
    static const uint8_t zeroes[4096];

    for (uint32_t len = 1; len <= 1U << 22; len = len * 2 + 1) {
        uint32_t first = sp_crc32c(0, SP_LIT("123456789")), all = first, behind = 0;

        for (uint32_t left = len; left > 0;) {
            size_t n = left < sizeof(zeroes) ? left : sizeof(zeroes);

            all = sp_crc32c(all, sp_bytes(zeroes, n));
            behind = sp_crc32c(behind, sp_bytes(zeroes, n));
            left -= (uint32_t)n;
        }
        ck_assert_msg(sp_crc32c_join(first, behind, len) == all, "%u bytes", len);
    }
}
END_TEST

START_TEST(encodings_are_strict)
{
    uint8_t point[4];
    struct sp_buf b;

    sp_buf_init(&b, 100);
    sp_base64_encode(&b, SP_LIT("fooba"));
    ck_assert(sp_bytes_eq(sp_buf_bytes(&b), SP_LIT("Zm9vYmE=")));
    sp_buf_reset(&b);
    ck_assert(sp_base64_decode(&b, SP_LIT("Zm9vYmE=")));
    ck_assert(sp_bytes_eq(sp_buf_bytes(&b), SP_LIT("fooba")));
    ck_assert(!sp_base64_decode(&b, SP_LIT("Zm9vYmF=")));
    ck_assert(!sp_base64_decode(&b, SP_LIT("Zm9vYmE")));
    ck_assert(!sp_base64_decode(&b, SP_LIT("Zm9 YmE=")));
    sp_buf_reset(&b);
    ck_assert(sp_hex_decode(&b, SP_LIT("00fF")));
    ck_assert(sp_bytes_eq(sp_buf_bytes(&b), SP_LIT("\0\xff")));
    ck_assert(!sp_hex_decode(&b, SP_LIT("0g")));
    ck_assert_uint_eq(sp_crc32c(0, SP_LIT("123456789")),
                      0xe3069283U); /* the check value of CRC-32C */
    ck_assert(sp_utf8_is_valid(SP_LIT("\xc3\xa4\xf0\x9f\x98\x80")));
    ck_assert(!sp_utf8_is_valid(SP_LIT("\xc0\x80")));
    ck_assert(!sp_utf8_is_valid(SP_LIT("\xed\xa0\x80")));
    ck_assert(sp_utf8_may_grow(SP_LIT("\xf0\x9f\x98")));
    ck_assert(!sp_utf8_may_grow(SP_LIT("\xf0\x9f\x41")));
    ck_assert(!sp_utf8_may_grow(SP_LIT("\xc3\xa4")));
    ck_assert_uint_eq(sp_utf8_encode(0x1f600, point), 4);
    ck_assert_mem_eq(point, "\xf0\x9f\x98\x80", 4);
    ck_assert_uint_eq(sp_windows1252_point(0x80), 0x20ac);
    ck_assert_uint_eq(sp_windows1252_point(0xe9), 0xe9);
    ck_assert_uint_eq(sp_windows1252_point(0x81), 0xfffd);
    ck_assert_uint_eq(sp_text_distance(SP_LIT("recipient"), SP_LIT("recpiient"), 3), 1);
    ck_assert_uint_eq(sp_text_distance(SP_LIT("abc"), SP_LIT("xyz"), 2), 3);
    sp_buf_clear(&b);
}
END_TEST

START_TEST(json_text_is_escaped_and_well_formed)
{
    struct sp_buf b;
    struct sp_jw w;

    sp_buf_init(&b, 1000);
    sp_jw_init(&w, &b);
    sp_jw_object(&w, NULL);
    sp_jw_text(&w, "t", SP_LIT("a\"\\\n\x01\xff\xc3\xa4"));
    sp_jw_array(&w, "n");
    sp_jw_int(&w, NULL, -5);
    sp_jw_bool(&w, NULL, true);
    sp_jw_cstr(&w, NULL, NULL);
    sp_jw_end(&w);
    sp_jw_end(&w);
    ck_assert(sp_bytes_eq(
        sp_buf_bytes(&b),
        SP_LIT("{\"t\":\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa4\",\"n\":[-5,true,null]}")));
    sp_buf_clear(&b);
}
END_TEST

START_TEST(an_arena_reset_keeps_its_first_block_only)
{
    struct sp_arena *a = sp_arena_new(256);
    size_t before = sp_arena_size(a);

    for (int i = 0; i < 100; i++)
        sp_arena_copy(a, SP_LIT("some bytes that fill the arena block after block"));
    ck_assert(sp_arena_size(a) > before);
    sp_arena_reset(a);
    ck_assert_uint_eq(sp_arena_size(a), before);
    ck_assert_str_eq(sp_arena_cstr(a, SP_LIT("x")), "x");
    sp_arena_free(a);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_crc_is_the_same_for_any_length_and_cut);
    tcase_add_test(c, a_crc_is_joined_over_any_length);
    tcase_add_test(c, numbers_that_do_not_fit_are_refused);
    tcase_add_test(c, split_gives_every_part_once);
    tcase_add_test(c, a_buffer_past_its_maximum_fails_and_keeps_its_bytes);
    tcase_add_test(c, what_a_buffer_writes_a_reader_reads);
    tcase_add_test(c, ids_keep_their_value_as_text);
    tcase_add_test(c, dates_are_written_and_read_back);
    tcase_add_test(c, a_map_finds_what_was_put_and_forgets_what_was_removed);
    tcase_add_test(c, a_walk_in_steps_meets_once_what_stays_whatever_comes_and_goes);
    tcase_add_test(c, a_heap_gives_the_least_first_whatever_moves);
    tcase_add_test(c, a_stale_handle_finds_nothing);
    tcase_add_test(c, encodings_are_strict);
    tcase_add_test(c, json_text_is_escaped_and_well_formed);
    tcase_add_test(c, an_arena_reset_keeps_its_first_block_only);
}

SP_TEST_MAIN("base", add)
