/*
 * The audit file itself: lines appended and synced, cut and mended after a crash, with the head and the public key beside
 * it (FILE.head, FILE.pub). thread: any (one at a time); blocks on the disk
 */
#ifndef SP_AUDIT_TRAIL_H
#define SP_AUDIT_TRAIL_H

#include "base/err.h"
#include "base/mem.h"
#include "journal/io.h"

struct sp_audit_trail;

/* What was found when the file was opened. */
struct sp_audit_mend {
    uint64_t cut; /* bytes of a torn end that were cut and written again */
    uint64_t
        missing; /* bytes that should be there and are gone: nobody but an intruder or a bad disk does that */
    uint64_t foreign; /* bytes that nobody here has written; moved to FILE.foreign */
};

/* What there should be. */
struct sp_audit_trail_file {
    const struct sp_journal_io *io; /* its folder; lent as long as the trail */
    const char *name;               /* of the file in it */
    uint64_t len;                   /* what the file holds when all is well */
    struct sp_bytes tail; /* the newest lines, which may be there in whole, in part or not at all */
};

/*
 * Opens the file, mode 0640, and brings its end in order: it must be len bytes long, of which the last tail.len are tail.
 *
 * mend:    out: what was wrong
 * owner:   the caller, until sp_audit_trail_free
 * returns: SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_audit_trail_open(const struct sp_audit_trail_file *file,
                                             struct sp_audit_trail **out,
                                             struct sp_audit_mend *mend, struct sp_err *err);
void sp_audit_trail_free(struct sp_audit_trail *t);
SP_AUTO_DEFINE(sp_audit_trail)

/* returns: bytes in the file */
uint64_t sp_audit_trail_len(const struct sp_audit_trail *t);

/* Appends and syncs. returns: SP_E_IO, and the file is as before; try again with the same bytes */
SP_MUST_CHECK enum sp_rc sp_audit_trail_append(struct sp_audit_trail *t, struct sp_bytes lines,
                                               struct sp_err *err);

/* What was found when a file got its final name. */
struct sp_audit_finish {
    bool lost; /* it was not there any more: somebody has moved it away */
    bool
        aside; /* another had that name; it is now called NAME.foreign, or NAME.foreign-2 and so on */
};

/*
 * Gives a file its final name, and replaces none that has it. A file that is gone counts as done: nothing can bring it back,
 * and the lines to come need a place.
 *
 * finish:  out; aside is never set to false
 * returns: 0 or -errno; try again
 */
SP_MUST_CHECK int sp_audit_trail_finish(const struct sp_journal_io *io, const char *name,
                                        const char *final, struct sp_audit_finish *finish);

/*
 * Gives the file its final name and begins a new one under the old name. Both are durable then; what fails may be tried
 * again, and until then nothing can be appended. returns: SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_audit_trail_rotate(struct sp_audit_trail *t, const char *final,
                                               struct sp_audit_finish *finish, struct sp_err *err);

/* Reads len bytes at offset into out, whole. returns: SP_E_IO, SP_E_AUDIT_INCOMPLETE if they are not there */
SP_MUST_CHECK enum sp_rc sp_audit_trail_read(const struct sp_audit_trail *t, uint64_t offset,
                                             void *out, size_t len);

/* Writes a file beside it anew: to a temporary name, synced, then renamed. returns: SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_audit_trail_put_beside(const struct sp_audit_trail *t,
                                                   const char *suffix, struct sp_bytes text,
                                                   struct sp_err *err);

#endif
