/*
 * jobs' own: the steps that all codecs share. thread: any
 */
#ifndef SP_JOBS_WIRE_PRIV_H
#define SP_JOBS_WIRE_PRIV_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/reader.h"

/* Puts text of at most max bytes; longer text marks out as failed. */
void sp_jobs_wire_put_text(struct sp_buf *out, struct sp_bytes text, size_t max);

/* Puts the length of a list of at most max entries; a longer one marks out as failed. */
void sp_jobs_wire_put_count(struct sp_buf *out, size_t count, size_t max);

/* Puts a list of texts. */
void sp_jobs_wire_put_texts(struct sp_buf *out, const struct sp_bytes *list, size_t count,
                            size_t max);

/* returns: the length of a list; 0 and r failed if over max */
size_t sp_jobs_wire_count(struct sp_reader *r, size_t max);

/* returns: a number below count; 0 and r failed if it is not */
unsigned sp_jobs_wire_enum(struct sp_reader *r, unsigned count);

/* returns: a bool; r failed if it is neither 0 nor 1 */
bool sp_jobs_wire_bool(struct sp_reader *r);

/* owner: the list is arena's. returns: a list of texts of at most text_max bytes each */
const struct sp_bytes *sp_jobs_wire_texts(struct sp_reader *r, struct sp_arena *arena, size_t count,
                                          size_t text_max);

#endif
