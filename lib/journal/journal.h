/*
 * The append-only log of one shard: segments of batches of records, group commit, a keyring, recovery. The format and
 * the rules of failure are in docs/journal.md.
 *
 * Records are appended from the loop; a commit thread writes what has gathered as one batch, syncs once, and the done
 * callbacks follow on the loop. Nobody may act on a record before its callback.
 */
#ifndef SP_JOURNAL_JOURNAL_H
#define SP_JOURNAL_JOURNAL_H

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "crypt/secret.h"
#include "io/loop.h"
#include "journal/io.h"
#include "journal/records.h"
#include "log/log.h"

#define SP_JOURNAL_BODIES_MAX 2
#define SP_JOURNAL_KEK_ID_MAX 32

/* The keys above the segments' own. The ledger holds the record key alone. */
struct sp_journal_keys {
    struct sp_secret content;
    struct sp_secret record;
    char kek_id[SP_JOURNAL_KEK_ID_MAX]; /* of the generation, "kek-2026-2"; for audit and keyring */
    struct sp_secret
        old_content; /* of the generation before, while not all keyrings are rewritten */
    char old_kek_id[SP_JOURNAL_KEK_ID_MAX]; /* "": there is none */
};

enum sp_journal_class {
    SP_JOURNAL_ASKED, /* may be refused: an accept, an act. Fails alone if its batch fails. */
    SP_JOURNAL_HAPPENED, /* has happened already: an outcome. Written again elsewhere if its batch fails; where
                            nothing can be written it waits until that is possible again, or the close. */
};

enum sp_journal_state {
    SP_JOURNAL_OPEN,
    SP_JOURNAL_DRAINING, /* no room: only what has happened is taken (452 for the rest) */
    SP_JOURNAL_STOPPED, /* nothing can be written: 452, and no delivery; tried again every few seconds */
};

/* A body that comes with a record. */
struct sp_journal_body {
    struct sp_id id; /* of its message, which its chunks are bound to */
    const struct sp_secret
        *key; /* message key: wrapped under the segment's content key into the record */
    struct sp_bytes sealed; /* chunks to lie in the record; empty if they lie in a file */
    bool has_crc;           /* crc is their CRC-32C; else it is computed when they are written */
    uint32_t crc;
};

/* Where a record lies. */
struct sp_journal_place {
    uint64_t segment;
    uint64_t offset; /* of the record in its segment */
    uint32_t len;    /* of the whole record */
    uint64_t sequence;
};

/* One append: lives with its caller from sp_journal_append to done. */
struct sp_journal_append {
    uint8_t type; /* enum sp_record_type */
    enum sp_journal_class class;
    struct sp_id message;
    struct sp_bytes meta;                                 /* lent until done */
    struct sp_journal_body bodies[SP_JOURNAL_BODIES_MAX]; /* lent until done */
    size_t body_count;
    void (*done)(struct sp_journal_append *a, enum sp_rc rc);
    void *arg;                      /* the caller's */
    struct sp_journal_place place;  /* set before done(SP_OK) */
    struct sp_journal_append *next; /* the journal's, from here on */
    enum sp_rc rc;
};

/* A record as recovery and readers see it. */
struct sp_journal_entry {
    uint8_t type;
    struct sp_id message;
    struct sp_journal_place place;
    struct sp_bytes meta; /* in the clear; lent for the call */
    uint8_t body_count;
    uint32_t body_len[SP_JOURNAL_BODIES_MAX]; /* sealed bytes in the record */
    bool
        damaged; /* the record is below the durable end and broken: meta is empty, only what the clear
                                header or the batch says is known */
};

struct sp_journal_options {
    const struct sp_journal_io *io;     /* lent as long as the journal */
    const struct sp_journal_keys *keys; /* copied */
    struct sp_loop
        *loop; /* NULL: no thread; sp_journal_commit does the work and calls back (tests, tools) */
    struct sp_log *log;
    const struct sp_clock *clock;
    const struct sp_random *random;
    size_t segment_len; /* bytes; 0: 64 MiB */
    size_t reserve_len; /* 0: 4 MiB */
    size_t batch_len;   /* aim of one batch; 0: 1 MiB */
    bool
        read_only; /* only look: no lock, nothing is written, no footer is trusted; its owner may run meanwhile */
    bool
        by_footers; /* with read_only: footers are trusted, as at a start; so nothing is found that one would not find */
    bool prewrite;  /* fill segments with zeroes beforehand: commits 2.4 times as often */
    /* A record found at opening, in order. */
    void (*on_entry)(void *arg, const struct sp_journal_entry *e);
    /*
     * A record with a body in a segment whose key is about to go, or went before a crash: what is put into notes comes
     * back by on_gone when the keyring without that key is durable. thread: the disk worker's. May be NULL.
     */
    void (*on_going)(void *arg, const struct sp_journal_entry *e, struct sp_buf *notes);
    /* The notes of each of the segments that go together, before on_gone of the first. thread: loop. May be NULL. */
    void (*on_noted)(void *arg, uint64_t segment, struct sp_bytes notes);
    /* The key is gone; the file waits for sp_journal_told. Not told before the first sp_journal_forget. thread: loop */
    void (*on_gone)(void *arg, uint64_t segment, struct sp_bytes notes);
    /* The state has changed. thread: loop. May be NULL. */
    void (*on_state)(void *arg);
    /* All of this segment up to `end` is durable: for the ledger. May be NULL. */
    void (*on_durable)(void *arg, uint64_t segment, uint64_t end);
    void *arg;
};

/* What recovery found. */
struct sp_journal_recovery {
    uint64_t segments;
    uint64_t
        first; /* number of the oldest that has a key and a file, or should have one; 0: none */
    uint64_t footers; /* segments of which the footer was read, not the records */
    uint64_t records;
    uint64_t damaged; /* records below the durable end that are broken */
    uint64_t dropped; /* torn or unacknowledged records at the tail */
    uint64_t
        copies; /* headers and keyrings of which one of two was damaged; mended, unless read_only */
    bool clean; /* the last one to write closed it */
    bool renewed; /* the keyring was of the generation before, and is so no more */
    bool
        is_torn; /* read_only: segments went each time while they were being opened, so what was in them may have been seen nowhere */
};

struct sp_journal;

/*
 * Locks the folder, recovers what is there (on_entry for each record), and opens a new segment. With no room for one it
 * opens all the same, draining or stopped.
 *
 * owner:   the caller, until sp_journal_close
 * returns: SP_E_JOURNAL_LOCKED, SP_E_JOURNAL_DAMAGED (keyring gone or of other keys), SP_E_IO
 * thread:  loop
 */
SP_MUST_CHECK enum sp_rc sp_journal_open(const struct sp_journal_options *options,
                                         struct sp_journal **out, struct sp_journal_recovery *found,
                                         struct sp_err *err);

/*
 * Commits what was appended, calls back, marks the end as clean if is_clean(arg) says so then (NULL: it does), frees. A
 * journal of NULL is allowed. thread: loop
 */
void sp_journal_close_as(struct sp_journal *j, bool (*is_clean)(void *arg), void *arg);
/* The same, clean. */
void sp_journal_close(struct sp_journal *j);

/*
 * Hands over a record. done(a, rc) follows on the loop, exactly once, never within this call: SP_OK when it is durable,
 * SP_E_JOURNAL_FULL or SP_E_JOURNAL_FAILED if it is not and never will be.
 *
 * thread: loop
 */
void sp_journal_append(struct sp_journal *j, struct sp_journal_append *a);

/* Without a loop: writes and syncs what was appended, then calls back. */
void sp_journal_commit(struct sp_journal *j);

/*
 * Wraps all segments' keys under the content key of another generation, and makes that durable: from then on the one
 * before is not needed. The record key stays as it is. Repeating it is harmless.
 *
 * returns: SP_OK; SP_E_JOURNAL_FULL, SP_E_IO: the keyring on disk may still be of the generation before
 * thread:  loop; blocks on the disk
 */
SP_MUST_CHECK enum sp_rc sp_journal_rekey(struct sp_journal *j, const struct sp_journal_keys *keys);

/* returns: what it can take now */
enum sp_journal_state sp_journal_state(const struct sp_journal *j);

/*
 * Reads one record again. May block on the disk.
 *
 * meta:    the metadata in the clear is appended
 * returns: SP_E_JOURNAL_DAMAGED, SP_E_NOT_FOUND if its segment is gone, SP_E_IO
 * thread:  loop
 */
SP_MUST_CHECK enum sp_rc sp_journal_read(struct sp_journal *j, const struct sp_journal_place *at,
                                         struct sp_buf *meta, struct sp_journal_entry *entry);

/* A record's body: its key, and where it lies. */
struct sp_journal_body_place {
    struct sp_secret key;
    int fd;          /* a descriptor of its own on the segment; -1 if the body lies in a file */
    uint64_t offset; /* of the first chunk */
};

/*
 * The key and place of a record's body. owner: the caller, of out->fd and the key
 *
 * which:   0, or 1 for a second body
 * returns: as sp_journal_read; SP_E_CRYPT_AUTH if the key was destroyed or is another's
 * thread:  loop
 */
SP_MUST_CHECK enum sp_rc sp_journal_body(struct sp_journal *j, const struct sp_journal_place *at,
                                         size_t which, struct sp_journal_body_place *out);

/* The ledger has durably folded all before this segment. thread: loop */
void sp_journal_passed(struct sp_journal *j, uint64_t segment);

/*
 * Nothing in segments before this one is needed any more. Those that the ledger has passed lose their key (the keyring
 * is written anew), then their file. thread: loop
 */
void sp_journal_forget(struct sp_journal *j, uint64_t before);

/*
 * What on_gone gave is on record, durably: the file may go. A segment that is not told before the process ends comes by
 * on_gone again after the next start. thread: loop
 */
void sp_journal_told(struct sp_journal *j, uint64_t segment);

/* returns: number of the oldest segment, of the one written now, and bytes that all take on disk */
uint64_t sp_journal_first(const struct sp_journal *j);
uint64_t sp_journal_current(const struct sp_journal *j);
uint64_t sp_journal_disk_len(const struct sp_journal *j);
/* returns: bytes that this segment and those behind it take */
uint64_t sp_journal_len_from(const struct sp_journal *j, uint64_t segment);

/*
 * How far a segment says that it is durable: what lies before may be copied while its owner writes on.
 *
 * returns: as opening a segment: SP_E_JOURNAL_DAMAGED, SP_E_CRYPT_AUTH, SP_E_NOT_FOUND, SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_journal_durable_end(const struct sp_journal_io *io,
                                                const struct sp_secret *record_kek, uint64_t number,
                                                uint64_t *end);

/*
 * All keys of two copies of one shard's keyring, as one keyring file, appended to out.
 *
 * kek_id:  out: their generation
 * returns: SP_E_JOURNAL_DAMAGED if one of them is none, SP_E_CRYPT_AUTH if they are of two generations
 */
SP_MUST_CHECK enum sp_rc sp_journal_merge_keyrings(struct sp_bytes a, struct sp_bytes b,
                                                   char kek_id[SP_JOURNAL_KEK_ID_MAX],
                                                   struct sp_buf *out);

#define SP_JOURNAL_SYNC_STEPS 11 /* of sync_steps */

struct sp_journal_stats {
    uint64_t records, batches, syncs, bytes, failures;
    uint64_t sync_us; /* that all syncs of batches took */
    uint64_t sync_steps[SP_JOURNAL_SYNC_STEPS +
                        1]; /* batches by how long writing and syncing took, upper ends:
                                                       sp_journal_sync_step_us; the last: longer */
};

/* returns: microseconds that step i (below SP_JOURNAL_SYNC_STEPS) reaches to */
int64_t sp_journal_sync_step_us(size_t i);

/* returns: figures since opening */
struct sp_journal_stats sp_journal_stats(const struct sp_journal *j);

#endif
