/*
 * The writing end of a journal: one thread's work, without the thread. It puts appends into batches, syncs, rotates
 * segments, and keeps the rule of failure. For the journal alone. thread: commit (or the caller's, without a loop)
 */
#ifndef SP_JOURNAL_WRITER_PRIV_H
#define SP_JOURNAL_WRITER_PRIV_H

#include "journal/segment_priv.h"

#define SP_COMMIT_OPENED_MAX 4

struct sp_writer;

/* What one commit came to. */
struct sp_commit {
    struct sp_commit *next;
    struct sp_journal_append *appends; /* those that have ended, with rc and place set */
    struct sp_segment
        *opened[SP_COMMIT_OPENED_MAX]; /* segments activated, in order; the receiver's to free */
    size_t opened_count;
    uint64_t segment; /* durable up to end */
    uint64_t end;
    enum sp_journal_state state;
    struct sp_journal_stats stats; /* since opening */
    bool wants_next;               /* no spare is at hand */
    bool wants_reserve;
};

/*
 * owner:    the caller. maker is lent
 * last:     number of the last segment there was, 0 if none; last_end: where it ends
 */
struct sp_writer *sp_writer_new(const struct sp_segment_maker *maker, struct sp_log *log,
                                uint64_t segment_len, uint64_t last, uint64_t last_end);
/* Drops spares it holds; segments activated are others'. */
void sp_writer_free(struct sp_writer *w);

/* Hands a spare over: for the next rotation, or for the worst day. */
void sp_writer_give_next(struct sp_writer *w, struct sp_segment *s);
void sp_writer_give_reserve(struct sp_writer *w, struct sp_segment *s);

/*
 * Writes a batch (list may be NULL: a batch that only says how far all is durable), syncs it, and sets each append's rc.
 * After a stop it begins again if it has been given a spare since; what has happened and can't be written stays with it.
 * clean: mark it as the last one before a close.
 */
void sp_writer_commit(struct sp_writer *w, struct sp_journal_append *list, bool clean,
                      struct sp_commit *out);

/* What has happened and could never be written: at closing. returns: the appends, with rc set */
struct sp_journal_append *sp_writer_give_up(struct sp_writer *w);

/* returns: bytes that an append takes in a batch */
size_t sp_writer_cost(const struct sp_journal_append *a);

#endif
