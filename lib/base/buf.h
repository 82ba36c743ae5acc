/*
 * A growing buffer born with its maximum. Appending past it (or to a buffer that has failed before) changes nothing
 * but the sticky `failed` mark, so an encoder appends freely and asks once at the end with sp_buf_rc. Integers are
 * little-endian. thread: any (one at a time)
 */
#ifndef SP_BASE_BUF_H
#define SP_BASE_BUF_H

#include "base/bytes.h"
#include "base/err.h"

struct sp_buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

/* Starts an empty buffer that allocates nothing yet. owner: the caller, until sp_buf_clear */
void sp_buf_init(struct sp_buf *b, size_t max);

/* Frees the bytes and leaves an empty, usable buffer of the same maximum. */
void sp_buf_clear(struct sp_buf *b);

/* Like clear, but wipes the bytes first. */
void sp_buf_wipe(struct sp_buf *b);

/* Forgets the bytes and the failed mark but keeps the memory. */
void sp_buf_reset(struct sp_buf *b);

/* returns: SP_OK, or SP_E_LIMIT if anything since init or reset did not fit */
SP_MUST_CHECK enum sp_rc sp_buf_rc(const struct sp_buf *b);

/* returns: a view of what is in it; good until the next change */
struct sp_bytes sp_buf_bytes(const struct sp_buf *b);

/* Appends bytes, text of ours, or an integer. */
void sp_buf_put(struct sp_buf *b, struct sp_bytes bytes);
void sp_buf_put_cstr(struct sp_buf *b, const char *s);
void sp_buf_put_u8(struct sp_buf *b, uint8_t v);
void sp_buf_put_u16(struct sp_buf *b, uint16_t v);
void sp_buf_put_u32(struct sp_buf *b, uint32_t v);
void sp_buf_put_u64(struct sp_buf *b, uint64_t v);
/* A u32 length, then the bytes: what sp_reader_var reads. */
void sp_buf_put_var(struct sp_buf *b, struct sp_bytes bytes);
/* Decimal text of a number. */
void sp_buf_put_dec(struct sp_buf *b, int64_t v);
/* For texts of ours: foreign bytes go through sp_buf_put and its encoders. */
void sp_buf_printf(struct sp_buf *b, const char *fmt, ...) SP_PRINTF(2, 3);

/*
 * Room to write into directly.
 *
 * returns: at least len writable bytes behind the content, or NULL (and failed) past the maximum
 * after:   sp_buf_commit(b, n), n <= len, makes the first n of them content
 */
uint8_t *sp_buf_reserve(struct sp_buf *b, size_t len);

/*
 * As sp_buf_reserve, for a length that somebody else chose: NULL (and failed) too if there is no memory for it. What is
 * moved is not wiped.
 *
 * returns: as sp_buf_reserve
 */
uint8_t *sp_buf_reserve_try(struct sp_buf *b, size_t len);
void sp_buf_commit(struct sp_buf *b, size_t len);

/* Drops len bytes from the front (len <= b->len); moves the rest. */
void sp_buf_drop(struct sp_buf *b, size_t len);

/* owner: the caller, to sp_free. returns: the bytes, NUL-terminated (the NUL is not counted); b is then empty */
char *sp_buf_take_cstr(struct sp_buf *b);

#endif
