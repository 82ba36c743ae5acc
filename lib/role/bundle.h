/*
 * The named files that a role gets instead of read access to the configuration folder, in a memfd that nobody can change
 * any more. thread: any (one at a time)
 */
#ifndef SP_ROLE_BUNDLE_H
#define SP_ROLE_BUNDLE_H

#include "base/buf.h"
#include "base/mem.h"

#define SP_ROLE_BUNDLE_MAX       (256 * 1024 * 1024) /* bytes of all files */
#define SP_ROLE_BUNDLE_FILES_MAX 10000
#define SP_ROLE_BUNDLE_NAME_MAX  1024

struct sp_role_bundle;

/* owner: the caller. returns: an empty bundle */
struct sp_role_bundle *sp_role_bundle_new(void);

/* Frees it and wipes what was in it. NULL is allowed. */
void sp_role_bundle_free(struct sp_role_bundle *b);
SP_AUTO_DEFINE(sp_role_bundle)

/* Copies a file in; one of the same name is replaced. returns: SP_OK, or SP_E_LIMIT */
SP_MUST_CHECK enum sp_rc sp_role_bundle_add(struct sp_role_bundle *b, const char *name,
                                            struct sp_bytes data);

/* returns: the file, lent; ptr NULL if there is none (an empty file has a ptr) */
struct sp_bytes sp_role_bundle_find(const struct sp_role_bundle *b, struct sp_bytes name);

/* Walks the files in the order of their names. at: 0 to begin. returns: false at the end */
bool sp_role_bundle_next(const struct sp_role_bundle *b, size_t *at, struct sp_bytes *name,
                         struct sp_bytes *data);

/* Appends its encoding. */
void sp_role_bundle_encode(const struct sp_role_bundle *b, struct sp_buf *out);

/* owner: the caller, of *out. returns: SP_OK, or SP_E_MALFORMED */
SP_MUST_CHECK enum sp_rc sp_role_bundle_decode(struct sp_bytes data, struct sp_role_bundle **out);

/* owner: the caller, of *fd. returns: SP_OK and a sealed memfd, or SP_E_IO, SP_E_LIMIT */
SP_MUST_CHECK enum sp_rc sp_role_bundle_to_memfd(const struct sp_role_bundle *b, int *fd);

/* owner: the caller, of *out; fd stays the caller's. returns: SP_OK, SP_E_MALFORMED, SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_role_bundle_from_memfd(int fd, struct sp_role_bundle **out);

#endif
