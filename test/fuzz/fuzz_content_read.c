/*
 * Sealed chunks that somebody has had his hands on, and ranges of them. The head of the input says how long a body is
 * sealed, what is then done to its chunks (a bit turned, a cut, a chunk put elsewhere, another message's id, another
 * length), and whether they lie in memory or in a file; pairs of numbers behind it are ranges. What is read is the body's
 * own bytes or an error, for any range; untouched chunks are always read; bytes that were never sealed never are.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "content/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum harm { NONE, TURN, CUT, SWAP, ID, LENGTH, KEY, FOREIGN, HARM_COUNT };

#define BODY_MAX  ((size_t)3 * SP_CONTENT_CHUNK)
#define RANGE_MAX 70000

struct body {
    uint8_t *plain;
    size_t len;
    uint8_t *sealed; /* a copy, to be harmed */
    size_t sealed_len;
    struct sp_content handle;
    bool changed;
};

static void fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    memset(out, 0x5A, len);
}

/* Lengths around the borders of chunks are the ones to look at. */
static size_t choose_len(uint32_t number)
{
    static const size_t near[] = {0,
                                  1,
                                  SP_CONTENT_CHUNK - 1,
                                  SP_CONTENT_CHUNK,
                                  SP_CONTENT_CHUNK + 1,
                                  (size_t)2 * SP_CONTENT_CHUNK};

    if ((number & 1) == 0)
        return near[(number >> 1) % SP_ARRAY_LEN(near)];
    return (number >> 1) % BODY_MAX;
}

static void seal(struct body *b, size_t piece)
{
    static const struct sp_random random = {fill, NULL};
    const struct sp_id id = {{7}};
    SP_AUTO(sp_content_writer) w = sp_content_writer_new(&id, &random, NULL);
    struct sp_bytes sealed;

    b->plain = sp_malloc(b->len);
    for (size_t i = 0; i < b->len; i++)
        b->plain[i] = (uint8_t)(i * 31 + (i >> 8) + 1);
    for (size_t at = 0; at < b->len; at += piece)
        sp_assert(sp_content_writer_feed(
                      w, sp_bytes_slice(sp_bytes(b->plain, b->len), at, piece)) == SP_OK);
    sp_assert(sp_content_writer_finish(w) == SP_OK);
    sealed = sp_content_writer_sealed(w);
    sp_assert(sealed.len == sp_content_sealed_len(b->len) && sp_content_writer_len(w) == b->len);
    sp_content_writer_handle(w, -1, 0, &b->handle);
    b->sealed_len = sealed.len;
    b->sealed = sp_malloc(sealed.len);
    memcpy(b->sealed, sealed.ptr, sealed.len);
}

static void swap_chunks(struct body *b)
{
    uint8_t *keep;

    if (b->sealed_len < (size_t)2 * SP_CONTENT_SEALED_CHUNK)
        return;
    keep = sp_malloc(SP_CONTENT_SEALED_CHUNK);
    memcpy(keep, b->sealed, SP_CONTENT_SEALED_CHUNK);
    memcpy(b->sealed, b->sealed + SP_CONTENT_SEALED_CHUNK, SP_CONTENT_SEALED_CHUNK);
    memcpy(b->sealed + SP_CONTENT_SEALED_CHUNK, keep, SP_CONTENT_SEALED_CHUNK);
    sp_free(keep);
    b->changed = true;
}

static void harm(struct body *b, enum harm how, uint32_t number, struct sp_bytes foreign)
{
    switch (how) {
    case TURN:
        b->sealed[number % b->sealed_len] ^= (uint8_t)(1U << (number % 8));
        b->changed = true;
        break;
    case CUT:
        b->changed = number % b->sealed_len < b->sealed_len;
        b->sealed_len = number % b->sealed_len;
        break;
    case SWAP:
        swap_chunks(b);
        break;
    case ID:
        b->handle.id.b[number % SP_ID_LEN] ^= 1;
        b->changed = true;
        break;
    case LENGTH: /* what a frame of another process may say */
        b->handle.len = (uint64_t)number * number * number;
        b->changed = b->handle.len != b->len;
        break;
    case KEY:
        b->handle.key.b[number % SP_SECRET_LEN] ^= 1;
        b->changed = true;
        break;
    case FOREIGN: /* chunks that nobody has sealed */
        b->sealed_len = foreign.len;
        b->sealed = sp_realloc(b->sealed, foreign.len);
        if (foreign.len > 0)
            memcpy(b->sealed, foreign.ptr, foreign.len);
        b->changed = true;
        break;
    default:
        break;
    }
}

/* The chunks behind some bytes of another, in a file without a name. */
static int to_file(const struct body *b, uint64_t offset)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    sp_assert(fd >= 0 && ftruncate(fd, (off_t)offset) == 0);
    sp_assert(pwrite(fd, b->sealed, b->sealed_len, (off_t)offset) == (ssize_t)b->sealed_len);
    return fd;
}

static void check(struct body *b, enum harm how, struct sp_content_reader *r, uint64_t offset,
                  size_t want)
{
    uint8_t *out = sp_malloc(want);
    struct sp_bytes view;
    size_t got = 0;

    if (sp_content_read(r, offset, out, want, &got) == SP_OK) {
        sp_assert(got <= want);
        sp_assert(got == 0 || (offset < b->len && got <= b->len - offset));
        sp_assert(got == 0 || memcmp(out, b->plain + offset, got) == 0);
        sp_assert(got == 0 || (how != FOREIGN && how != ID && how != KEY));
        if (!b->changed)
            sp_assert(got == (offset >= b->len         ? 0
                              : want < b->len - offset ? want
                                                       : b->len - offset));
    } else {
        sp_assert(b->changed);
    }
    if (sp_content_view(r, offset, &view) == SP_OK && view.len > 0)
        sp_assert(view.len <= b->len - offset &&
                  memcmp(view.ptr, b->plain + offset, view.len) == 0);
    sp_free(out);
}

static void read_ranges(struct body *b, enum harm how, struct sp_reader *in)
{
    SP_AUTO(sp_content_reader) r = sp_content_reader_new(&b->handle);
    size_t all = 0;

    while (sp_reader_left(in) >= 8 && all++ < 16) {
        uint64_t offset = sp_reader_u32(in);
        size_t want = sp_reader_u32(in) % RANGE_MAX;

        check(b, how, r, (offset & 1) != 0 ? offset >> 1 : (offset >> 1) % (b->len + 1), want);
    }
    check(b, how, r, 0, b->len + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_reader in = sp_reader(sp_bytes(data, len));
    struct body b = {.len = choose_len(sp_reader_u32(&in))};
    size_t piece = sp_reader_u16(&in) + 64U;
    enum harm how = sp_reader_u8(&in) % HARM_COUNT;
    bool file = (sp_reader_u8(&in) & 1) != 0;
    uint32_t number = sp_reader_u32(&in);

    if (sp_reader_rc(&in) != SP_OK)
        return 0;
    seal(&b, piece);
    harm(&b, how, number, sp_bytes(data, len));
    b.handle.memory = sp_bytes(b.sealed, b.sealed_len);
    if (file) {
        b.handle.offset = number % 5000;
        b.handle.fd = to_file(&b, b.handle.offset);
    }
    read_ranges(&b, how, &in);
    sp_content_clear(&b.handle);
    sp_free(b.sealed);
    sp_free(b.plain);
    return 0;
}
