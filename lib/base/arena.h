/*
 * What belongs to one thing (a message, a job, a policy) and goes with it. thread: any (one at a time)
 */
#ifndef SP_BASE_ARENA_H
#define SP_BASE_ARENA_H

#include "base/bytes.h"
#include "base/mem.h"

struct sp_arena;

/* owner: the caller. block_len: size of the first block in bytes; later ones double up to 64 KiB */
struct sp_arena *sp_arena_new(size_t block_len);

/* Frees everything ever allocated from it. NULL is allowed. */
void sp_arena_free(struct sp_arena *a);
SP_AUTO_DEFINE(sp_arena)

/* Empties it but keeps the first block, so that a warm arena allocates nothing. */
void sp_arena_reset(struct sp_arena *a);

/* owner: the arena. returns: zeroed memory, aligned for any type, never NULL */
void *sp_arena_alloc(struct sp_arena *a, size_t len);

/* owner: the arena. returns: a copy */
struct sp_bytes sp_arena_copy(struct sp_arena *a, struct sp_bytes b);

/* owner: the arena. returns: a NUL-terminated copy */
char *sp_arena_cstr(struct sp_arena *a, struct sp_bytes b);

/* returns: bytes taken from the system */
size_t sp_arena_size(const struct sp_arena *a);

#endif
