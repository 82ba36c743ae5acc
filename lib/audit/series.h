/*
 * One audit file after the other: FILE is written, FILE.000000048212 is what it was called before and is final; its number
 * is that of its first record. Every file but the very first begins with audit.continued, which brings what a reader needs
 * to go on from there without the older ones: the digest of the last line (prev) and the right edge of the tree. A final
 * file ends with a checkpoint, and may be compressed (FILE.000000048212.gz) or taken elsewhere by anybody at any time.
 * thread: any (one at a time); blocks on the disk
 */
#ifndef SP_AUDIT_SERIES_H
#define SP_AUDIT_SERIES_H

#include "audit/checkpoint.h"

#define SP_AUDIT_SERIES_NAME_MAX 4200

/* ---- audit.continued ---- */

/* Which file it goes on from. */
struct sp_audit_before {
    const char *file; /* its name from now on, without a folder */
    uint64_t first_seq;
};

/* Appends the event that begins a new file behind the lines of the state. returns: SP_OK, SP_E_LIMIT */
SP_MUST_CHECK enum sp_rc sp_audit_continued_make(const struct sp_audit_state *state,
                                                 const struct sp_audit_before *before,
                                                 const struct sp_audit_public *key,
                                                 struct sp_buf *out);

/* returns: whether a line begins a file that goes on from another; then the state before it is in out */
SP_MUST_CHECK bool sp_audit_continued_get(const struct sp_audit_line *line,
                                          struct sp_audit_state *out);

/* ---- files in order ---- */

struct sp_audit_series;

/* Appends the name of a final file and a NUL. */
void sp_audit_series_name(const char *path, uint64_t first_seq, struct sp_buf *out);

/*
 * Looks for the final files beside path, which itself is the last one, there or not.
 *
 * owner:   the caller, until sp_audit_series_free
 * returns: SP_E_IO if the folder can't be read
 */
SP_MUST_CHECK enum sp_rc sp_audit_series_list(const char *path, struct sp_audit_series **out,
                                              struct sp_err *err);
void sp_audit_series_free(struct sp_audit_series *s);
SP_AUTO_DEFINE(sp_audit_series)

/* returns: how many there are, the one that is written included */
size_t sp_audit_series_count(const struct sp_audit_series *s);
/* returns: path of the i-th from the oldest, lent */
const char *sp_audit_series_path(const struct sp_audit_series *s, size_t i);
/* returns: the number in its name; 0: it is the one that is written */
uint64_t sp_audit_series_first(const struct sp_audit_series *s, size_t i);
/* returns: whether both name the same files */
bool sp_audit_series_same(const struct sp_audit_series *a, const struct sp_audit_series *b);
/*
 * Reads the number from the name of a final file.
 *
 * base_len: out: length of what stands before it; may be NULL
 * returns:  0 if it is no such name
 */
uint64_t sp_audit_series_number(const char *path, size_t *base_len);

/* ---- reading one, plain or compressed ---- */

struct sp_audit_source;

/* path: "-" is standard input. owner: the caller, until sp_audit_source_free. returns: SP_E_IO, SP_E_NOT_FOUND */
SP_MUST_CHECK enum sp_rc sp_audit_source_open(const char *path, struct sp_audit_source **out,
                                              struct sp_err *err);
void sp_audit_source_free(struct sp_audit_source *s);
SP_AUTO_DEFINE(sp_audit_source)
/* Reads up to max bytes. returns: how many, 0 at the end, -1 if it can't be read (a compressed file that is cut, too) */
int sp_audit_source_read(struct sp_audit_source *s, void *out, unsigned max);
/* Reads len bytes from an offset of what was compressed. returns: SP_E_AUDIT_INCOMPLETE if they are not there */
SP_MUST_CHECK enum sp_rc sp_audit_source_read_at(struct sp_audit_source *s, uint64_t offset,
                                                 void *out, unsigned len);

#endif
