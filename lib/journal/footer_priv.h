/*
 * The footer of a closed segment: its records' metadata again, cut to what a restart needs, sealed as one piece behind
 * its end. For the journal alone. thread: any that the segment is lent to
 */
#ifndef SP_JOURNAL_FOOTER_PRIV_H
#define SP_JOURNAL_FOOTER_PRIV_H

#include "journal/scan_priv.h"

/*
 * Reads a closed segment up to s->end and writes its footer there. One that is torn later is none.
 *
 * returns: SP_E_JOURNAL_DAMAGED if a record can't be read: then there is none; SP_E_LIMIT, SP_E_IO, SP_E_JOURNAL_FULL
 */
SP_MUST_CHECK enum sp_rc sp_footer_write(const struct sp_journal_io *io, const struct sp_segment *s,
                                         const struct sp_random *random);

/*
 * Gives out the rows of a footer, in the order of the records, if there is a whole one at `end`; else none.
 *
 * visit:   e->meta is a record of its type without audit events and other texts that only readers of one message need
 * returns: SP_OK; SP_E_NOT_FOUND: read the segment itself; SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_footer_read(const struct sp_journal_io *io, const struct sp_segment *s,
                                        uint64_t end,
                                        void (*visit)(void *arg, const struct sp_journal_entry *e),
                                        void *arg);

/*
 * Appends to out the record cut to what a restart needs.
 *
 * returns: SP_E_NOT_FOUND: a restart needs nothing of it; SP_E_MALFORMED; SP_E_LIMIT
 */
SP_MUST_CHECK enum sp_rc sp_record_brief(uint8_t type, struct sp_bytes meta, struct sp_arena *arena,
                                         struct sp_buf *out);

#endif
