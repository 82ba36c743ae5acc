/*
 * The lines of a message that lie in files that have ended, which may be long and compressed: named on the loop, read by a
 * worker, and lent to the books for the answer. thread: any (one at a time); sp_audit_old_read blocks on the disk
 */
#ifndef SP_AUDIT_OLD_H
#define SP_AUDIT_OLD_H

#include "audit/book.h"

struct sp_audit_old;

/* owner: the caller, until sp_audit_old_free. returns: none yet */
struct sp_audit_old *sp_audit_old_new(const struct sp_audit_book *b);
/* Names those of a message; nothing is opened. */
void sp_audit_old_add(struct sp_audit_old *old, const struct sp_audit_book *b,
                      const struct sp_audit_message *m);
/* returns: how many lines are named */
size_t sp_audit_old_count(const struct sp_audit_old *old);
void sp_audit_old_free(struct sp_audit_old *old);
SP_AUTO_DEFINE(sp_audit_old)

/* Reads them: each file once, from its beginning. Shares nothing with the books. */
void sp_audit_old_read(struct sp_audit_old *old);

/* From now on sp_audit_book_line takes from it what it holds; NULL: no more. old is lent until then. */
void sp_audit_book_lend(struct sp_audit_book *b, const struct sp_audit_old *old);

#endif
