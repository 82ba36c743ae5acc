/*
 * Bodies as sealed chunks: what is written is read again by any range, however it was fed; every cut, swap and change is
 * seen; and no plaintext reaches the sink.
 */
#include "base/text.h"
#include "content/content.h"
#include "support/check_main.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct sp_id some_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static const size_t lengths[] = {0,     1,      100,    8191,   65535,  65536,
                                 65537, 131071, 131072, 131073, 300000, 1048576};

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

static uint8_t *make_plain(size_t len)
{
    uint8_t *p = sp_malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        p[i] = byte_at(i);
    return p;
}

static void feed_in_steps(struct sp_content_writer *w, const uint8_t *plain, size_t len,
                          size_t step)
{
    for (size_t at = 0; at < len; at += step)
        ck_assert_int_eq(
            sp_content_writer_feed(w, sp_bytes(plain + at, len - at < step ? len - at : step)),
            SP_OK);
}

static void assert_reads(const struct sp_content *c, const uint8_t *plain, size_t len)
{
    static const size_t reads[] = {1000, 65536, 70001};
    SP_AUTO(sp_content_reader) r = sp_content_reader_new(c);
    uint8_t *out = sp_malloc(70001);

    for (size_t i = 0; i < SP_ARRAY_LEN(reads); i++) {
        size_t at = 0;
        size_t got = 0;

        do {
            ck_assert_int_eq(sp_content_read(r, at, out, reads[i], &got), SP_OK);
            ck_assert_uint_le(got, len - at);
            ck_assert(memcmp(out, plain + at, got) == 0);
            at += got;
        } while (got > 0);
        ck_assert_uint_eq(at, len);
    }
    sp_free(out);
}

START_TEST(what_is_written_is_read_whatever_the_steps)
{
    static const size_t steps[] = {1, 977, 65536, 100000, 2000000};
    uint8_t want[SP_SHA256_LEN];
    uint8_t got[SP_SHA256_LEN];

    for (size_t i = 0; i < SP_ARRAY_LEN(lengths); i++) {
        uint8_t *plain = make_plain(lengths[i]);

        sp_crypt_sha256(sp_bytes(plain, lengths[i]), want);
        for (size_t s = lengths[i] > 200000 ? 1 : 0; s < SP_ARRAY_LEN(steps); s++) {
            struct sp_content c;
            SP_AUTO(sp_content_writer)
            w = sp_content_writer_new(&some_id, sp_random_system(), NULL);

            feed_in_steps(w, plain, lengths[i], steps[s]);
            ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
            sp_content_writer_sha256(w, got);
            ck_assert(memcmp(want, got, sizeof(want)) == 0);
            sp_content_writer_handle(w, -1, 0, &c);
            ck_assert_uint_eq(c.memory.len, sp_content_sealed_len(lengths[i]));
            ck_assert_uint_eq(sp_content_writer_crc(w), sp_crc32c(0, c.memory));
            assert_reads(&c, plain, lengths[i]);
            sp_content_clear(&c);
        }
        sp_free(plain);
    }
}
END_TEST

START_TEST(a_body_spilled_midway_is_whole)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(lengths); i++) {
        uint8_t *plain = make_plain(lengths[i]);
        int fd = memfd_create("test", MFD_CLOEXEC);
        struct sp_content_sink sink = {sp_content_sink_fd, &fd};
        struct sp_content c;
        SP_AUTO(sp_content_writer) w = sp_content_writer_new(&some_id, sp_random_system(), NULL);

        feed_in_steps(w, plain, lengths[i] / 2, 5000);
        ck_assert_int_eq(sp_content_writer_spill(w, &sink), SP_OK);
        feed_in_steps(w, plain + lengths[i] / 2, lengths[i] - lengths[i] / 2, 5000);
        ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
        sp_content_writer_handle(w, fd, 0, &c);
        assert_reads(&c, plain, lengths[i]);
        ck_assert_int_eq(lseek(fd, 0, SEEK_END), (off_t)sp_content_sealed_len(lengths[i]));
        sp_content_clear(&c);
        sp_free(plain);
    }
}
END_TEST

START_TEST(nothing_in_the_clear_is_left_in_a_writer_that_waits)
{
    enum { LEN = 5000 };
    uint8_t *plain = sp_malloc(LEN);
    struct sp_bytes sealed;
    size_t left = 0;
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&some_id, sp_random_system(), NULL);

    memset(plain, 'p', LEN);
    feed_in_steps(w, plain, LEN, 1000); /* and there it breaks off */
    sp_content_writer_trim(w, 2 * SP_CONTENT_SEALED_CHUNK);
    sealed = sp_content_writer_sealed(w);
    ck_assert(sealed.ptr != NULL);
    for (size_t i = 0; i < LEN; i++)
        left += sealed.ptr[i] == 'p';
    ck_assert_uint_eq(left, 0);
    sp_content_writer_reset(w, &some_id, NULL);
    sp_content_writer_keep(w, LEN);
    feed_in_steps(w, plain, LEN, 1000); /* whole, but refused */
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    sp_content_writer_trim(w, 2 * SP_CONTENT_SEALED_CHUNK);
    ck_assert_ptr_null(sp_content_writer_take_plain(w));
    sp_free(plain);
}
END_TEST

START_TEST(an_export_holds_this_body_alone_and_cannot_be_changed)
{
    uint8_t *plain = make_plain(100000);
    struct sp_content c;
    struct sp_content out;
    struct sp_content copy;
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&some_id, sp_random_system(), NULL);

    feed_in_steps(w, plain, 100000, 100000);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    sp_content_writer_handle(w, -1, 0, &c);
    ck_assert_int_eq(sp_content_export_memfd(&c, &out), SP_OK);
    ck_assert_int_eq(lseek(out.fd, 0, SEEK_END), (off_t)sp_content_sealed_len(100000));
    ck_assert_int_eq(pwrite(out.fd, "x", 1, 0), -1);
    ck_assert_int_eq(sp_content_copy(&out, &copy), SP_OK);
    sp_content_clear(&out);
    assert_reads(&copy, plain, 100000);
    c.len = 100001;
    c.memory.len--;
    ck_assert_int_eq(sp_content_export_memfd(&c, &out), SP_E_CONTENT_TRUNCATED);
    sp_content_clear(&copy);
    sp_content_clear(&c);
    sp_free(plain);
}
END_TEST

/* Reads the whole body; returns what the reader said first. */
static enum sp_rc read_all(const struct sp_content *c)
{
    uint8_t out[4096];
    uint64_t at = 0;
    size_t got = 0;
    enum sp_rc rc;
    SP_AUTO(sp_content_reader) r = sp_content_reader_new(c);

    do {
        rc = sp_content_read(r, at, out, sizeof(out), &got);
        at += got;
    } while (rc == SP_OK && got > 0);
    return rc;
}

START_TEST(cut_swapped_and_foreign_chunks_are_seen)
{
    uint8_t *plain = make_plain(3 * SP_CONTENT_CHUNK);
    uint8_t *mem;
    struct sp_content c;
    struct sp_content bad;
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&some_id, sp_random_system(), NULL);

    feed_in_steps(w, plain, 3 * SP_CONTENT_CHUNK, 7777);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    sp_content_writer_handle(w, -1, 0, &c);
    ck_assert_int_eq(read_all(&c), SP_OK);

    bad = c; /* one chunk fewer, length to match */
    bad.len = 2 * SP_CONTENT_CHUNK;
    bad.memory.len = 2 * SP_CONTENT_SEALED_CHUNK;
    ck_assert_int_eq(read_all(&bad), SP_E_CONTENT_DAMAGED);
    bad = c; /* the same, length as told */
    bad.memory.len = 2 * SP_CONTENT_SEALED_CHUNK;
    ck_assert_int_eq(read_all(&bad), SP_E_CONTENT_TRUNCATED);
    bad = c; /* another message's id */
    bad.id.b[0] ^= 1;
    ck_assert_int_eq(read_all(&bad), SP_E_CONTENT_DAMAGED);
    bad = c; /* another key */
    bad.key.b[31] ^= 1;
    ck_assert_int_eq(read_all(&bad), SP_E_CONTENT_DAMAGED);

    mem = sp_malloc(c.memory.len); /* chunks 0 and 1 swapped */
    memcpy(mem, c.memory.ptr + SP_CONTENT_SEALED_CHUNK, SP_CONTENT_SEALED_CHUNK);
    memcpy(mem + SP_CONTENT_SEALED_CHUNK, c.memory.ptr, SP_CONTENT_SEALED_CHUNK);
    memcpy(mem + 2 * SP_CONTENT_SEALED_CHUNK, c.memory.ptr + 2 * SP_CONTENT_SEALED_CHUNK,
           SP_CONTENT_SEALED_CHUNK);
    bad = c;
    bad.memory.ptr = mem;
    ck_assert_int_eq(read_all(&bad), SP_E_CONTENT_DAMAGED);
    sp_free(mem);
    sp_content_clear(&c);
    sp_free(plain);
}
END_TEST

struct spy {
    const uint8_t *secret;
    size_t len;
    size_t seen;
    size_t fail_after;
};

static enum sp_rc spy_on(void *arg, struct sp_bytes sealed)
{
    struct spy *spy = arg;

    ck_assert_uint_eq(sp_bytes_find_all(sealed, sp_bytes(spy->secret, spy->len)), SIZE_MAX);
    spy->seen += sealed.len;
    return spy->seen > spy->fail_after ? SP_E_IO : SP_OK;
}

START_TEST(a_sink_sees_no_plaintext_and_may_end_the_writing)
{
    uint8_t *plain = make_plain(400000);
    struct spy spy = {plain, 64, 0, SIZE_MAX};
    struct sp_content_sink sink = {spy_on, &spy};
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&some_id, sp_random_system(), &sink);

    feed_in_steps(w, plain, 400000, 3000);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    ck_assert_uint_eq(spy.seen, sp_content_sealed_len(400000));
    sp_content_writer_reset(w, &some_id, &sink);
    spy.fail_after = 0;
    ck_assert_int_eq(sp_content_writer_feed(w, sp_bytes(plain, 200000)), SP_E_IO);
    ck_assert_int_eq(sp_content_writer_feed(w, sp_bytes(plain, 1)), SP_E_IO);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_E_IO);
    sp_free(plain);
}
END_TEST

START_TEST(a_reset_writer_takes_another_key_and_hash)
{
    enum { LEN = 100000 };
    uint8_t *plain = make_plain(LEN);
    uint8_t want[SP_SHA256_LEN];
    uint8_t got[SP_SHA256_LEN];
    struct sp_secret first;
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&some_id, sp_random_system(), NULL);

    first = *sp_content_writer_key(w);
    ck_assert_int_eq(sp_content_writer_feed(w, SP_LIT("left over")), SP_OK);
    feed_in_steps(w, plain, LEN, LEN);
    sp_content_writer_reset(w, &some_id, NULL);
    ck_assert_int_eq(sp_content_writer_feed(w, SP_LIT("abc")), SP_OK);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    sp_content_writer_sha256(w, got);
    sp_crypt_sha256(SP_LIT("abc"), want);
    ck_assert(memcmp(want, got, sizeof(want)) == 0);
    ck_assert(memcmp(first.b, sp_content_writer_key(w)->b, SP_SECRET_LEN) != 0);
    ck_assert_uint_eq(sp_content_writer_len(w), 3);
    ck_assert_uint_eq(sp_content_writer_crc(w), sp_crc32c(0, sp_content_writer_sealed(w)));
    sp_free(plain);
}
END_TEST

START_TEST(a_handle_survives_the_frame)
{
    struct sp_content c;
    struct sp_content out;
    struct sp_buf b;
    struct sp_reader r;

    sp_content_init(&c);
    c.id = some_id;
    c.len = 12345;
    c.offset = 678;
    sp_secret_init(&c.key, sp_random_system());
    sp_buf_init(&b, 1024);
    sp_content_encode(&c, &b);
    r = sp_reader(sp_buf_bytes(&b));
    sp_content_decode(&r, -1, &out);
    ck_assert_int_eq(sp_reader_end(&r), SP_OK);
    ck_assert(sp_id_eq(&out.id, &c.id) && out.len == c.len && out.offset == c.offset);
    ck_assert(memcmp(out.key.b, c.key.b, SP_SECRET_LEN) == 0);
    sp_buf_clear(&b);
}
END_TEST

/* Reads all of it in views. */
static void expect_plain(const struct sp_content *c, const uint8_t *plain, size_t len)
{
    SP_AUTO(sp_content_reader) r = sp_content_reader_new(c);
    size_t at = 0;

    for (;;) {
        struct sp_bytes view;

        ck_assert_int_eq(sp_content_view(r, at, &view), SP_OK);
        if (view.len == 0)
            break;
        ck_assert(at + view.len <= len && memcmp(view.ptr, plain + at, view.len) == 0);
        at += view.len;
    }
    ck_assert_uint_eq(at, len);
}

START_TEST(kept_plaintext_is_what_was_sealed)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(lengths); i++) {
        size_t len = lengths[i];
        uint8_t *plain = make_plain(len);
        SP_AUTO(sp_content_writer)
        w = sp_content_writer_new(&some_id, sp_random_system(), NULL);
        struct sp_content_plain *kept;
        struct sp_content sealed, c, copy;

        sp_content_writer_keep(w, 300000);
        feed_in_steps(w, plain, len, 1 + len / 3);
        ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
        sp_content_writer_handle(w, -1, 0, &sealed);
        ck_assert_uint_eq(sp_content_writer_crc(w), sp_crc32c(0, sealed.memory));
        expect_plain(&sealed, plain, len);
        kept = sp_content_writer_take_plain(w);
        ck_assert_msg((kept != NULL) == (len <= 300000), "%zu bytes", len);
        if (kept != NULL) {
            ck_assert_uint_eq(sp_content_plain_len(kept), len);
            sp_content_init_plain(&c, &some_id, kept);
            ck_assert_int_eq(sp_content_copy(&c, &copy), SP_OK);
            sp_content_clear(&c);
            expect_plain(&copy, plain, len);
            sp_content_clear(&copy);
        }
        sp_content_clear(&sealed);
        sp_free(plain);
    }
}
END_TEST

START_TEST(plaintext_is_kept_no_longer_than_wanted)
{
    enum { LEN = 200000 };
    uint8_t *plain = make_plain(LEN);
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&some_id, sp_random_system(), NULL);
    int fd = memfd_create("kept", MFD_CLOEXEC);
    struct sp_content_sink sink = {sp_content_sink_fd, &fd};
    struct sp_content c;

    sp_content_writer_keep(w, LEN);
    feed_in_steps(w, plain, LEN / 2, 777);
    ck_assert_int_eq(sp_content_writer_spill(w, &sink), SP_OK);
    ck_assert_int_eq(sp_content_writer_feed(w, sp_bytes(plain + LEN / 2, LEN - LEN / 2)), SP_OK);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    ck_assert_ptr_null(sp_content_writer_take_plain(w));
    sp_content_writer_handle(w, fd, 0, &c);
    expect_plain(&c, plain, LEN);
    sp_content_clear(&c);
    sp_content_writer_reset(w, &some_id, NULL); /* and the next body is not kept unasked */
    sp_content_writer_trim(w, 1000);
    feed_in_steps(w, plain, LEN, 70000);
    ck_assert_int_eq(sp_content_writer_finish(w), SP_OK);
    ck_assert_ptr_null(sp_content_writer_take_plain(w));
    sp_content_writer_handle(w, -1, 0, &c);
    expect_plain(&c, plain, LEN);
    sp_content_clear(&c);
    sp_free(plain);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, what_is_written_is_read_whatever_the_steps);
    tcase_add_test(c, a_body_spilled_midway_is_whole);
    tcase_add_test(c, nothing_in_the_clear_is_left_in_a_writer_that_waits);
    tcase_add_test(c, an_export_holds_this_body_alone_and_cannot_be_changed);
    tcase_add_test(c, cut_swapped_and_foreign_chunks_are_seen);
    tcase_add_test(c, a_sink_sees_no_plaintext_and_may_end_the_writing);
    tcase_add_test(c, a_reset_writer_takes_another_key_and_hash);
    tcase_add_test(c, a_handle_survives_the_frame);
    tcase_add_test(c, kept_plaintext_is_what_was_sealed);
    tcase_add_test(c, plaintext_is_kept_no_longer_than_wanted);
}

SP_TEST_MAIN("content", add)
