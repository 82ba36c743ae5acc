/*
 * What a stream still has to write: bytes of its own, and at most one lent piece among them. For io alone.
 */
#ifndef SP_IO_OUTPUT_PRIV_H
#define SP_IO_OUTPUT_PRIV_H

#include "base/buf.h"

#include <sys/uio.h>

#define SP_OUTPUT_PIECES 3

struct sp_output {
    struct sp_buf own;
    size_t at;            /* bytes of own that are gone */
    struct sp_bytes lent; /* goes out behind the first lent_at bytes of own; empty: none */
    size_t lent_at;
};

void sp_output_init(struct sp_output *o);
/* Nothing is left, and no memory held. */
void sp_output_clear(struct sp_output *o);
/* returns: bytes that are left */
size_t sp_output_len(const struct sp_output *o);
/* Copies bytes behind what is there. */
void sp_output_put(struct sp_output *o, struct sp_bytes bytes);
/* Puts bytes that stay where they are behind what is there. returns: false if there is a lent piece already */
bool sp_output_lend(struct sp_output *o, struct sp_bytes bytes);
/* Takes a copy of what is left of the lent piece. */
void sp_output_end_lending(struct sp_output *o);
/* What is left, in order. iov: SP_OUTPUT_PIECES of them. returns: how many it takes */
size_t sp_output_list(const struct sp_output *o, struct iovec *iov);
/* The first n bytes are gone. */
void sp_output_drop(struct sp_output *o, size_t n);
/* Gives back what is gone, if it is more than max. */
void sp_output_trim(struct sp_output *o, size_t max);

#endif
