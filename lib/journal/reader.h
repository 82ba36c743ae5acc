/*
 * Reads a shard's journal from another process: the ledger's way in. It holds the record key alone, so bodies stay
 * closed, and never goes past what is known to be durable: what a later batch header says of the earlier ones, what the
 * next segment says of the one before, or what the relay tells. thread: any (one at a time)
 */
#ifndef SP_JOURNAL_READER_H
#define SP_JOURNAL_READER_H

#include "journal/journal.h"

struct sp_journal_reader;

/* Where a reader stands: everything before it has been given out. Zero: the beginning of what there is. */
struct sp_journal_cursor {
    uint64_t segment;
    uint64_t offset; /* of a record */
};

/* owner: the caller. io, clock-less; from: kept by value. thread: any */
struct sp_journal_reader *sp_journal_reader_new(const struct sp_journal_io *io,
                                                const struct sp_secret *record_kek,
                                                const struct sp_journal_cursor *from);
void sp_journal_reader_free(struct sp_journal_reader *r);
SP_AUTO_DEFINE(sp_journal_reader)

/* The relay says that this segment is durable up to end. */
void sp_journal_reader_tell(struct sp_journal_reader *r, uint64_t segment, uint64_t end);

/*
 * The next record.
 *
 * out:     meta is lent until the next call
 * returns: SP_OK; SP_E_NOT_FOUND when there is nothing more that is durable now (call again later);
 *          SP_E_JOURNAL_DAMAGED once for a stretch that can't be read (out->place says where it goes on);
 *          SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_journal_reader_next(struct sp_journal_reader *r,
                                                struct sp_journal_entry *out);

/*
 * Gives back the memory of the largest batch and record so far; those to come take what they need. A batch that was begun
 * keeps its own.
 *
 * after: what the last call gave out is gone
 */
void sp_journal_reader_trim(struct sp_journal_reader *r);

/* returns: bytes of memory that its buffers take */
size_t sp_journal_reader_bytes(const struct sp_journal_reader *r);

/* returns: bytes that are known to be durable and were not read yet; whole segments between are not counted */
uint64_t sp_journal_reader_behind(const struct sp_journal_reader *r);

/* returns: where the next call goes on: to be stored with what was made of the records so far */
struct sp_journal_cursor sp_journal_reader_cursor(const struct sp_journal_reader *r);

#endif
