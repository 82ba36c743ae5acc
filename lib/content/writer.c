/*
 * The writer copies plaintext to where its chunk will lie sealed, and seals in place when more comes or the body ends
 * (only then is it known whether a chunk is the last). So a small body costs one copy, one pass of AES and one of
 * SHA-256, and its memory is what goes into the journal. With a sink one chunk's memory is used over and over. Where the
 * plaintext is to be kept, it is copied there instead, and sealed from there: the work is the same.
 */
#include "content/chunk_priv.h"

#include "base/fault.h"
#include "base/text.h"

#include <errno.h>
#include <unistd.h>

enum { FIRST_CAP = 8192 };

struct sp_content_writer {
    struct sp_id id;
    struct sp_secret key;
    const struct sp_random *random;
    struct sp_content_sink sink; /* write NULL: gather in memory */
    struct sp_aead *aead;
    struct sp_sha256 *sha;
    uint8_t *mem;
    size_t cap;
    size_t sealed;                 /* bytes of sealed chunks at the front of mem */
    size_t plain;                  /* bytes of plaintext behind them, or at the end of kept */
    struct sp_content_plain *kept; /* NULL: not wanted, or not any more */
    size_t kept_max;
    uint32_t crc; /* of the sealed chunks in mem */
    uint64_t number;
    uint64_t len;
    uint8_t digest[SP_SHA256_LEN];
    enum sp_rc rc; /* sticky */
    bool finished;
};

struct sp_content_writer *sp_content_writer_new(const struct sp_id *id,
                                                const struct sp_random *random,
                                                const struct sp_content_sink *sink)
{
    struct sp_content_writer *w = sp_calloc(1, sizeof(*w));

    w->random = random;
    w->aead = sp_aead_new(NULL);
    w->sha = sp_sha256_new();
    sp_content_writer_reset(w, id, sink);
    return w;
}

/* Wipes what is there in the clear. */
static void forget_plain(struct sp_content_writer *w)
{
    if (w->plain > 0 && w->kept == NULL)
        sp_wipe(w->mem + w->sealed, w->plain);
    w->plain = 0;
    sp_content_plain_unref(SP_STEAL(w->kept));
}

void sp_content_writer_free(struct sp_content_writer *w)
{
    if (w == NULL)
        return;
    sp_secret_clear(&w->key);
    forget_plain(w);
    sp_free(w->mem);
    sp_sha256_free(w->sha);
    sp_aead_free(w->aead);
    sp_free(w);
}

void sp_content_writer_reset(struct sp_content_writer *w, const struct sp_id *id,
                             const struct sp_content_sink *sink)
{
    uint8_t unused[SP_SHA256_LEN];

    forget_plain(w);
    if (w->len > 0 && !w->finished)
        sp_sha256_finish(w->sha, unused);
    w->id = *id;
    w->sink = sink != NULL ? *sink : (struct sp_content_sink){NULL, NULL};
    w->sealed = 0;
    w->crc = 0;
    w->number = 0;
    w->len = 0;
    w->rc = SP_OK;
    w->finished = false;
    sp_secret_init(&w->key, w->random);
    sp_aead_set_key(w->aead, &w->key);
}

/* Room for one more chunk's first `plain` bytes and its tag. returns: false if there is none, and then the body has failed */
static bool make_room(struct sp_content_writer *w, size_t plain)
{
    size_t need = w->sealed + plain + SP_AEAD_TAG_LEN;
    size_t open = w->kept == NULL ? w->plain : 0;
    size_t cap = FIRST_CAP;
    uint8_t *moved;

    if (need <= w->cap)
        return true;
    if (need > FIRST_CAP) /* whole chunks, and half as much again as there was */
        cap = ((need > w->cap + w->cap / 2 ? need : w->cap + w->cap / 2) + SP_CONTENT_SEALED_CHUNK -
               1) /
              SP_CONTENT_SEALED_CHUNK * SP_CONTENT_SEALED_CHUNK;
    moved = sp_malloc_try(cap);
    if (moved == NULL) {
        w->rc = SP_E_IO;
        return false;
    }
    if (w->sealed + open > 0)
        memcpy(moved, w->mem, w->sealed + open);
    if (open > 0) /* no plaintext is left behind in freed memory */
        sp_wipe(w->mem + w->sealed, open);
    sp_free(w->mem);
    w->mem = moved;
    w->cap = cap;
    return true;
}

static void seal_chunk(struct sp_content_writer *w, bool last)
{
    uint8_t aad[SP_CHUNK_AAD_LEN];
    const uint8_t *from;
    uint8_t *at;

    if (!make_room(w, w->plain))
        return;
    from = at = w->mem + w->sealed;
    sp_chunk_aad(&w->id, w->number, last, aad);
    if (w->kept != NULL && w->plain > 0)
        from = w->kept->data + w->kept->len - w->plain;
    sp_aead_seal(w->aead, sp_aead_nonce_of(w->number), sp_bytes(aad, sizeof(aad)),
                 sp_bytes(from, w->plain), at);
    if (w->sink.write ==
        NULL) /* while it is in this core's cache: the disk thread's has to fetch it */
        w->crc = sp_crc32c(w->crc, sp_bytes(at, w->plain + SP_AEAD_TAG_LEN));
    w->number++;
    w->sealed += w->plain + SP_AEAD_TAG_LEN;
    w->plain = 0;
    if (w->sink.write != NULL) {
        w->rc = w->sink.write(w->sink.arg, sp_bytes(w->mem, w->sealed));
        w->sealed = 0;
    }
}

/* The plaintext is not kept any longer: what of it is not sealed yet goes where it would have been without. */
static bool stop_keeping(struct sp_content_writer *w)
{
    if (w->kept == NULL)
        return true;
    if (!make_room(w, w->plain))
        return false;
    if (w->plain > 0)
        memcpy(w->mem + w->sealed, w->kept->data + w->kept->len - w->plain, w->plain);
    sp_content_plain_unref(SP_STEAL(w->kept));
    return true;
}

/* returns: where the next n bytes of plaintext go, or NULL: there is no memory, and the body has failed */
static uint8_t *room_for(struct sp_content_writer *w, size_t n)
{
    if (w->kept != NULL && !sp_content_plain_reserve(w->kept, w->kept->len + n)) {
        w->rc = SP_E_IO;
        return NULL;
    }
    if (w->kept != NULL)
        return w->kept->data + w->kept->len;
    return make_room(w, w->plain + n) ? w->mem + w->sealed + w->plain : NULL;
}

enum sp_rc sp_content_writer_feed(struct sp_content_writer *w, struct sp_bytes plain)
{
    sp_assert(!w->finished);
    if (plain.len == 0 || w->rc != SP_OK)
        return w->rc;
    sp_sha256_feed(w->sha, plain);
    w->len += plain.len;
    if (w->kept != NULL && w->len > w->kept_max && !stop_keeping(w))
        return w->rc;
    while (plain.len > 0 && w->rc == SP_OK) {
        uint8_t *to;
        size_t n;

        if (w->plain == SP_CONTENT_CHUNK) { /* more has come, so it is not the last */
            seal_chunk(w, false);
            continue;
        }
        n = SP_CONTENT_CHUNK - w->plain;
        if (n > plain.len)
            n = plain.len;
        to = room_for(w, n);
        if (to == NULL)
            break;
        memcpy(to, plain.ptr, n);
        w->plain += n;
        if (w->kept != NULL)
            w->kept->len += n;
        plain = sp_bytes_slice(plain, n, plain.len);
    }
    return w->rc;
}

enum sp_rc sp_content_writer_finish(struct sp_content_writer *w)
{
    sp_assert(!w->finished);
    sp_sha256_finish(w->sha, w->digest);
    w->finished = true;
    if (w->rc == SP_OK)
        seal_chunk(w, true);
    return w->rc;
}

enum sp_rc sp_content_writer_spill(struct sp_content_writer *w, const struct sp_content_sink *sink)
{
    if (!stop_keeping(w))
        return w->rc;
    w->sink = *sink;
    if (w->sealed == 0 || w->rc != SP_OK)
        return w->rc;
    w->rc = sink->write(sink->arg, sp_bytes(w->mem, w->sealed));
    if (w->plain > 0) {
        memmove(w->mem, w->mem + w->sealed, w->plain);
        sp_wipe(w->mem + w->plain, w->sealed);
    }
    w->sealed = 0;
    return w->rc;
}

void sp_content_writer_trim(struct sp_content_writer *w, size_t max)
{
    forget_plain(w); /* a body that was refused or broken off has left some */
    if (w->cap <= max)
        return;
    sp_free(SP_STEAL(w->mem));
    w->cap = w->sealed = 0;
}

void sp_content_writer_keep(struct sp_content_writer *w, size_t max)
{
    sp_assert(w->len == 0 && w->sink.write == NULL);
    sp_content_plain_unref(w->kept);
    w->kept = sp_calloc(1, sizeof(*w->kept));
    w->kept->refs = 1;
    w->kept_max = max;
}

struct sp_content_plain *sp_content_writer_take_plain(struct sp_content_writer *w)
{
    sp_assert(w->finished);
    return w->rc == SP_OK ? SP_STEAL(w->kept) : NULL;
}

uint64_t sp_content_writer_len(const struct sp_content_writer *w)
{
    return w->len;
}

struct sp_bytes sp_content_writer_sealed(const struct sp_content_writer *w)
{
    return sp_bytes(w->mem, w->sealed);
}

uint32_t sp_content_writer_crc(const struct sp_content_writer *w)
{
    sp_assert(w->sink.write == NULL);
    return w->crc;
}

const struct sp_secret *sp_content_writer_key(const struct sp_content_writer *w)
{
    return &w->key;
}

void sp_content_writer_sha256(const struct sp_content_writer *w, uint8_t out[SP_SHA256_LEN])
{
    sp_assert(w->finished);
    memcpy(out, w->digest, SP_SHA256_LEN);
}

void sp_content_writer_handle(const struct sp_content_writer *w, int fd, uint64_t offset,
                              struct sp_content *out)
{
    sp_content_init(out);
    out->id = w->id;
    out->len = w->len;
    out->key = w->key;
    out->fd = fd;
    out->offset = offset;
    if (fd < 0)
        out->memory = sp_content_writer_sealed(w);
}

enum sp_rc sp_content_sink_fd(void *arg, struct sp_bytes sealed)
{
    int fd = *(const int *)arg;

    while (sealed.len > 0) {
        ssize_t n =
            SP_FAULT_ERRNO("content.write", ENOSPC) ? -1 : write(fd, sealed.ptr, sealed.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return SP_E_IO;
        sealed = sp_bytes_slice(sealed, (size_t)n, sealed.len);
    }
    return SP_OK;
}
