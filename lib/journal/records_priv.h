/*
 * Steps that the codecs of all record types share. For the journal alone.
 */
#ifndef SP_JOURNAL_RECORDS_PRIV_H
#define SP_JOURNAL_RECORDS_PRIV_H

#include "journal/records.h"

/* The first byte of every encoded record; another one is another layout. */
#define SP_RECORD_LAYOUT 1

/* A text with its length; too long fails the buffer. */
void sp_record_put_text(struct sp_buf *out, struct sp_bytes text);
struct sp_bytes sp_record_get_text(struct sp_reader *r);

void sp_record_put_audit(struct sp_buf *out, const struct sp_audit_list *list);
void sp_record_get_audit(struct sp_reader *r, struct sp_arena *arena, struct sp_audit_list *list);

/* A count of at most max, each of whose elements takes at least `least` bytes of what is left; else fails, and is 0. */
size_t sp_record_get_count(struct sp_reader *r, size_t max, size_t least);

/* An accept without its layout byte; with_child: whether one may follow. */
void sp_record_put_accept(struct sp_buf *out, const struct sp_accept *a, bool with_child);
void sp_record_get_accept(struct sp_reader *r, struct sp_arena *arena, struct sp_accept *a,
                          bool with_child);

/* The child of an accept or outcome: present or not, then the accept. */
void sp_record_put_child(struct sp_buf *out, const struct sp_accept *child);
const struct sp_accept *sp_record_get_child(struct sp_reader *r, struct sp_arena *arena);

#endif
