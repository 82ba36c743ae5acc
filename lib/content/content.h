/*
 * A body as sealed chunks. The plaintext is cut into chunks of 64 KiB; each is sealed by AES-256-GCM under the message
 * key with nonce = chunk number and AAD = message id, chunk number, last flag, so that a reader can seek, and a cut,
 * swapped or foreign chunk is seen. Sealed chunks lie one behind the other with nothing between. An empty body is one
 * empty chunk. Plaintext is never in a file or memfd.
 */
#ifndef SP_CONTENT_CONTENT_H
#define SP_CONTENT_CONTENT_H

#include "base/buf.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/reader.h"
#include "crypt/aead.h"
#include "crypt/hash.h"
#include "crypt/secret.h"

#define SP_CONTENT_CHUNK        65536
#define SP_CONTENT_SEALED_CHUNK (SP_CONTENT_CHUNK + SP_AEAD_TAG_LEN)

/*
 * The plaintext of a body that is still in memory: shared, not changed any more, wiped with the last reference.
 * thread: any (one at a time)
 */
struct sp_content_plain;
/* returns: the same, with one more owner */
struct sp_content_plain *sp_content_plain_ref(struct sp_content_plain *p);
/* NULL is allowed. */
void sp_content_plain_unref(struct sp_content_plain *p);
/* returns: its length, bytes */
size_t sp_content_plain_len(const struct sp_content_plain *p);

/* Bytes of plaintexts that are still with somebody. thread: that of the plaintexts in it */
struct sp_content_tally;
/* owner: the caller holds one reference, and each plaintext that is counted another */
struct sp_content_tally *sp_content_tally_new(void);
/* NULL is allowed. */
void sp_content_tally_unref(struct sp_content_tally *t);
/* returns: bytes of all that are counted, until their last references have gone */
size_t sp_content_tally_len(const struct sp_content_tally *t);
/* Counts it there, once, until its last reference goes. */
void sp_content_plain_count(struct sp_content_plain *p, struct sp_content_tally *t);

/*
 * A handle of a body: where its sealed chunks lie, and the key. With fd < 0 they lie in lent memory, or there is
 * the plaintext alone: it can then be read, and not exported.
 * Belongs to whoever holds it: sp_content_clear closes the descriptor and wipes the key.
 */
struct sp_content {
    struct sp_id id; /* of the message: part of every chunk's AAD */
    uint64_t len;    /* of the plaintext, bytes */
    struct sp_secret key;
    int fd;          /* of a file or memfd, or -1 */
    uint64_t offset; /* of the first chunk in it */
    struct sp_bytes memory;
    struct sp_content_plain *plain; /* NULL: only sealed */
};

/* An empty handle: no descriptor, no memory. */
void sp_content_init(struct sp_content *c);
/* A handle of plaintext alone, for reading in this process. owner: plain is taken; the caller, of out */
void sp_content_init_plain(struct sp_content *c, const struct sp_id *id,
                           struct sp_content_plain *plain);
/* Closes the descriptor, wipes the key. */
void sp_content_clear(struct sp_content *c);
/* A second handle with a descriptor of its own. owner: the caller. returns: SP_E_IO if out of descriptors */
SP_MUST_CHECK enum sp_rc sp_content_copy(const struct sp_content *c, struct sp_content *out);
/* returns: the length of all sealed chunks of a body of len bytes */
uint64_t sp_content_sealed_len(uint64_t len);

/*
 * Puts the sealed chunks alone into a sealed (write-protected) memfd, to hand them to another process.
 *
 * owner:   the caller, of out
 * returns: SP_E_IO, SP_E_CONTENT_TRUNCATED if chunks are missing
 */
SP_MUST_CHECK enum sp_rc sp_content_export_memfd(const struct sp_content *c,
                                                 struct sp_content *out);

/* For job frames: everything but the descriptor, key included. */
void sp_content_encode(const struct sp_content *c, struct sp_buf *out);
/* fd: the descriptor that came beside; owner: out from now on, whatever the result. */
void sp_content_decode(struct sp_reader *r, int fd, struct sp_content *out);

/* ---- writing ---- */

/* Takes sealed bytes as they come; what it returns other than SP_OK ends the writing with that code. */
struct sp_content_sink {
    enum sp_rc (*write)(void *arg, struct sp_bytes sealed);
    void *arg;
};

struct sp_content_writer;

/*
 * Starts a body under a fresh random key. thread: any (one at a time)
 *
 * sink:  NULL to gather all chunks in memory, until sp_content_writer_spill
 * owner: the caller
 */
struct sp_content_writer *sp_content_writer_new(const struct sp_id *id,
                                                const struct sp_random *random,
                                                const struct sp_content_sink *sink);
void sp_content_writer_free(struct sp_content_writer *w);
SP_AUTO_DEFINE(sp_content_writer)

/* Makes a used writer ready for another body, under a fresh key; keeps its memory. */
void sp_content_writer_reset(struct sp_content_writer *w, const struct sp_id *id,
                             const struct sp_content_sink *sink);

/* Wipes what is there in the clear, and gives memory back that is larger than max. after: what was written is not needed any more */
void sp_content_writer_trim(struct sp_content_writer *w, size_t max);

/*
 * Keeps the plaintext beside the sealed chunks, as long as it is not longer than max and nothing goes to a sink. Before
 * the first byte, and again after each reset.
 */
void sp_content_writer_keep(struct sp_content_writer *w, size_t max);
/* After finish. owner: the caller. returns: the plaintext, or NULL if it was not kept */
struct sp_content_plain *sp_content_writer_take_plain(struct sp_content_writer *w);

/* returns: what the sink returned. cost: one copy, AES and SHA-256 of the bytes */
SP_MUST_CHECK enum sp_rc sp_content_writer_feed(struct sp_content_writer *w, struct sp_bytes plain);

/* Seals the last chunk. after: no more feeding. returns: what the sink returned */
SP_MUST_CHECK enum sp_rc sp_content_writer_finish(struct sp_content_writer *w);

/* From now on chunks go to the sink; those already in memory go first. returns: what the sink returned */
SP_MUST_CHECK enum sp_rc sp_content_writer_spill(struct sp_content_writer *w,
                                                 const struct sp_content_sink *sink);

/* returns: the bytes of plaintext fed so far */
uint64_t sp_content_writer_len(const struct sp_content_writer *w);
/* returns: the sealed chunks that lie in memory (all of them once finished without a sink); good until the next call */
struct sp_bytes sp_content_writer_sealed(const struct sp_content_writer *w);
/* returns: their CRC-32C, computed as they were sealed; without a sink */
uint32_t sp_content_writer_crc(const struct sp_content_writer *w);
/* returns: the key, lent */
const struct sp_secret *sp_content_writer_key(const struct sp_content_writer *w);
/* SHA-256 of the plaintext; after finish. */
void sp_content_writer_sha256(const struct sp_content_writer *w, uint8_t out[SP_SHA256_LEN]);
/* A handle of what was written: over memory that the writer owns (fd -1), or over fd from offset (taken). */
void sp_content_writer_handle(const struct sp_content_writer *w, int fd, uint64_t offset,
                              struct sp_content *out);

/* Writes all sealed bytes to a descriptor, at its position. For roles that may block. arg: int *. returns: SP_E_IO */
enum sp_rc sp_content_sink_fd(void *arg, struct sp_bytes sealed);

/* ---- reading ---- */

struct sp_content_reader;

/*
 * Reads a body by ranges; keeps one chunk in the clear. May block on the disk. thread: any (one at a time)
 *
 * content: lent until free
 * owner:   the caller
 */
struct sp_content_reader *sp_content_reader_new(const struct sp_content *content);
/* Wipes the chunk it holds. */
void sp_content_reader_free(struct sp_content_reader *r);
SP_AUTO_DEFINE(sp_content_reader)

/*
 * Reads up to len bytes from offset on.
 *
 * got:     fewer than len only at the end of the body
 * returns: SP_E_CONTENT_DAMAGED, SP_E_CONTENT_TRUNCATED or SP_E_IO; out is then undefined
 */
SP_MUST_CHECK enum sp_rc sp_content_read(struct sp_content_reader *r, uint64_t offset, void *out,
                                         size_t len, size_t *got);

/*
 * A view of the plaintext from offset to the end of its chunk, or of the body where that is at hand, without a copy; empty
 * at the end of the body.
 * Good until the next call. returns: as sp_content_read
 */
SP_MUST_CHECK enum sp_rc sp_content_view(struct sp_content_reader *r, uint64_t offset,
                                         struct sp_bytes *out);

#endif
