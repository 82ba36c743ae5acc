/*
 * Reads binary data step by step; checks each step, remembers the first failure, and returns zeroes and empty views
 * from then on, so that one test at the end tells. Integers are little-endian. Views point into the data read.
 * thread: any
 */
#ifndef SP_BASE_READER_H
#define SP_BASE_READER_H

#include "base/bytes.h"
#include "base/err.h"

struct sp_reader {
    struct sp_bytes data;
    size_t at;
    bool failed;
};

/* returns: a reader at the start of data, which stays lent; then the next integer of its size, 0 on failure */
struct sp_reader sp_reader(struct sp_bytes data);
uint8_t sp_reader_u8(struct sp_reader *r);
uint16_t sp_reader_u16(struct sp_reader *r);
uint32_t sp_reader_u32(struct sp_reader *r);
uint64_t sp_reader_u64(struct sp_reader *r);
/* returns: the next len bytes, or an empty view on failure */
struct sp_bytes sp_reader_take(struct sp_reader *r, size_t len);
/* Copies the next len bytes to out; zeroes it on failure. */
void sp_reader_copy(struct sp_reader *r, void *out, size_t len);
/* A u32 length of at most max, then as many bytes. returns: these, or an empty view on failure */
struct sp_bytes sp_reader_var(struct sp_reader *r, size_t max);
/* returns: the number of bytes not read yet, 0 after a failure */
size_t sp_reader_left(const struct sp_reader *r);
/* Marks it failed: for checks of the caller's own. */
void sp_reader_fail(struct sp_reader *r);

/* returns: SP_OK if all steps held (and, for _end, nothing is left over), else SP_E_MALFORMED */
SP_MUST_CHECK enum sp_rc sp_reader_rc(const struct sp_reader *r);
SP_MUST_CHECK enum sp_rc sp_reader_end(const struct sp_reader *r);

#endif
