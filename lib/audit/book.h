/*
 * The ledger's books: journal records of all shards become audit lines, and what must be remembered of them (cursors,
 * messages, postures, the chain's state) lies in state.db, changed in the same transaction. Lines are committed there
 * first and appended to the audit file then, so a crash at any point neither loses nor repeats one.
 *
 * Fold any number of records, then commit. A failure of fold or commit is one of the database: the process should end
 * and begin anew from what was committed. A failure to write the audit file is not: lines wait in the database.
 *
 * thread: any (one at a time); blocks on the disk
 */
#ifndef SP_AUDIT_BOOK_H
#define SP_AUDIT_BOOK_H

#include "audit/checkpoint.h"
#include "audit/message.h"
#include "audit/trail.h"
#include "base/clock.h"
#include "crypt/secret.h"
#include "journal/reader.h"
#include "log/log.h"

struct sp_audit_book;

struct sp_audit_book_options {
    const char *database;                 /* path of state.db */
    const char *file;                     /* path of the audit file */
    const struct sp_journal_io *io;       /* of that file's folder; NULL: the real disk; lent */
    const struct sp_audit_signer *signer; /* copied; its node text is lent */
    const struct sp_clock *clock;
    struct sp_log *log;
    uint64_t checkpoint_records;    /* a checkpoint is due after so many lines, 0: 1,000 */
    int64_t checkpoint_ms;          /* or so long after an unsigned line, 0: 60 s */
    const struct sp_digest *config; /* of the settings, for audit.started; NULL: not told */
    uint64_t generation;            /* of the configuration */
    const struct sp_secret *facts;  /* key under which facts are kept; NULL: none are */
    const struct sp_secret
        *addresses; /* key of pseudonyms (audit/pseudonym.h); NULL: addresses stand in plain */
    const char *organization;         /* in TLS reports; NULL: the signer's node */
    size_t suppressed_max;            /* addresses that are not tried, at most; 0: 100,000 */
    size_t wishes_max;                /* of what recipients chose themselves, at most; 0: 100,000 */
    const struct sp_secret *contacts; /* key of whom tenants write to; NULL: that is not kept */
    size_t contacts_max;
    int64_t contacts_keep_ms;
    uint64_t rotate_len; /* the file gives way to the next when it has so many bytes; 0: never */
    int64_t rotate_every_ms; /* or when such a piece of the UTC clock is over; 0: never */
    int64_t keep_ms;         /* what has ended so long ago is removed; 0: never */
};

/*
 * Opens database and file, mends the file's end, and says audit.started (and audit.gap, if something was wrong).
 *
 * owner:   the caller, until sp_audit_book_free
 * returns: SP_E_STORE_FAILED, SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_open(const struct sp_audit_book_options *options,
                                            struct sp_audit_book **out, struct sp_err *err);

/*
 * returns: whether a call has failed with SP_E_STORE_FAILED: a record may have been passed over, so that nothing is taken
 *          or committed any more; opened anew, the book goes on from its last commit
 */
bool sp_audit_book_is_broken(const struct sp_audit_book *b);

/* What was folded and not committed is given up. NULL is allowed. */
void sp_audit_book_free(struct sp_audit_book *b);
SP_AUTO_DEFINE(sp_audit_book)

/* Where a shard's reader goes on. returns: SP_OK (zero for a new shard) or SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_cursor(struct sp_audit_book *b, const char *shard,
                                              struct sp_journal_cursor *out, struct sp_err *err);

/*
 * Takes note that a shard's reader has gone on to another segment without a record: so the cursor never stands in one that the
 * shard may let go of.
 *
 * returns: SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_move(struct sp_audit_book *b, const char *shard,
                                            const struct sp_journal_cursor *to, struct sp_err *err);

/*
 * Takes one record.
 *
 * after:   the reader's cursor behind it
 * returns: SP_OK also for a record that can't be read: audit.gap says so; SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_fold(struct sp_audit_book *b, const char *shard,
                                            const struct sp_journal_entry *entry,
                                            const struct sp_journal_cursor *after,
                                            struct sp_err *err);

/* Says an event of the ledger itself. returns: SP_E_MALFORMED if it is none, SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_say(struct sp_audit_book *b, struct sp_bytes event,
                                           struct sp_err *err);

/*
 * Makes all since the last commit durable, then appends it to the file and renews the head.
 *
 * returns: SP_OK, also if the file can't be written now (sp_audit_book_is_behind); SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_commit(struct sp_audit_book *b, struct sp_err *err);

/* Gives back the memory of lines that are in the file. */
void sp_audit_book_trim(struct sp_audit_book *b);

/* returns: whether there is something to commit, or to write again */
bool sp_audit_book_has_work(const struct sp_audit_book *b);

/* returns: whether lines wait for the file, so many that no more should be folded now */
bool sp_audit_book_is_behind(const struct sp_audit_book *b);

/* returns: whether a checkpoint should be made now */
bool sp_audit_book_checkpoint_is_due(const struct sp_audit_book *b);

/* returns: wall-clock time at which a checkpoint will be due, INT64_MAX if all lines are signed */
int64_t sp_audit_book_checkpoint_at(const struct sp_audit_book *b);

/* Says audit.checkpoint over all lines so far and commits. returns: SP_E_STORE_FAILED, SP_E_CRYPT_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_checkpoint(struct sp_audit_book *b, struct sp_err *err);

/*
 * Behind a checkpoint: removes an old file of which the checkpoint covers the word, begins a new file if it is due, says of
 * the oldest file that it is to go if its time is over. returns: SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_rotate(struct sp_audit_book *b, struct sp_err *err);

/* Says audit.stopped, makes a last checkpoint and commits. returns: as sp_audit_book_checkpoint */
SP_MUST_CHECK enum sp_rc sp_audit_book_stop(struct sp_audit_book *b, struct sp_err *err);

struct sp_audit_book_status {
    uint64_t last_seq;
    struct sp_digest head;
    uint64_t checkpoint_seq; /* of the newest checkpoint; 0: none */
    int64_t checkpoint_ms;   /* when it was made */
    uint64_t unsigned_lines;
    uint64_t file_len;
    uint64_t waiting_len; /* bytes that wait for the file */
};
/* returns: how the books stand */
struct sp_audit_book_status sp_audit_book_status(const struct sp_audit_book *b);

/*
 * What is remembered of a message.
 *
 * out:     lent, good until the next call on this book; NULL if it was never heard of
 * returns: SP_OK or SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_message(struct sp_audit_book *b, const struct sp_id *id,
                                               const struct sp_audit_message **out,
                                               struct sp_err *err);

/* How others name a message. */
enum sp_audit_named {
    SP_AUDIT_BY_MESSAGE_ID, /* of its header; angle brackets may be left out */
    SP_AUDIT_BY_NETWORK_ID, /* Microsoft 365's */
    SP_AUDIT_BY_COUNT,
};

#define SP_AUDIT_FOUND_MAX 100

struct sp_audit_found {
    struct sp_id ids[SP_AUDIT_FOUND_MAX]; /* the newest first */
    size_t count;
};

/* Finds the messages, settled ones too, that came under this id of others. returns: SP_OK or SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_find(struct sp_audit_book *b, enum sp_audit_named by,
                                            struct sp_bytes text, struct sp_audit_found *out,
                                            struct sp_err *err);

/* Appends one line of a message, without its line end. returns: SP_E_IO, SP_E_AUDIT_INCOMPLETE */
SP_MUST_CHECK enum sp_rc sp_audit_book_line(const struct sp_audit_book *b,
                                            const struct sp_audit_place *place, struct sp_buf *out);

/*
 * Appends the address behind a pseudonym that stands in these books.
 *
 * returns: SP_E_NOT_FOUND, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_reveal(struct sp_audit_book *b, struct sp_bytes pseudonym,
                                              struct sp_buf *out, struct sp_err *err);

/* ---- posture ---- */

struct sp_audit_posture {
    struct sp_bytes domain;
    enum sp_floor best;       /* plain: it has proved nothing, or is forgotten */
    int64_t proved_at_ms;     /* 0: never */
    int64_t accepted_at_ms;   /* 0: none */
    struct sp_bytes host;     /* that proved it */
    struct sp_bytes evidence; /* digests that its line cited, by spaces */
    struct sp_bytes now;      /* what was seen last: a level, or "broken" */
    int64_t now_at_ms;        /* since when */
    struct sp_bytes sts;      /* text of its MTA-STS policy; empty: none */
    struct sp_bytes sts_id;
    int64_t sts_fetched_at_ms;
    int64_t sts_until_ms;
};

/*
 * Walks all postures.
 *
 * at:      0 to begin, else what the last call left
 * returns: false at the end
 */
bool sp_audit_book_posture_next(const struct sp_audit_book *b, size_t *at,
                                struct sp_audit_posture *out);

/* returns: whether the domain's MTA-STS policy is known, and the one of this digest ("sts:" and SHA-256 in hex). cost: O(its text) */
bool sp_audit_book_policy_is(const struct sp_audit_book *b, struct sp_bytes domain,
                             struct sp_bytes digest);

/* returns: false if nothing is known of the domain */
bool sp_audit_book_posture_find(const struct sp_audit_book *b, struct sp_bytes domain,
                                struct sp_audit_posture *out);

/* p: lent for the call. returns: false to end the walk behind it */
typedef bool (*sp_audit_posture_fn)(void *arg, const struct sp_audit_posture *p);
/* Walks the postures of the last commit, in the order of their names, behind `after`. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_postures(struct sp_audit_book *b, struct sp_bytes after,
                                                sp_audit_posture_fn fn, void *arg,
                                                struct sp_err *err);

/*
 * Visits the hosts at which the domain was seen, who was seen last at the end: in host, best, proved_at_ms, evidence, now and
 * now_at_ms what that host has proved. What binds is the domain's own best.
 *
 * returns: how many were visited
 */
size_t sp_audit_book_posture_hosts(const struct sp_audit_book *b, struct sp_bytes domain,
                                   sp_audit_posture_fn fn, void *arg);

/* Takes one posture that has changed since it was last asked. returns: false if there is none */
bool sp_audit_book_posture_changed(struct sp_audit_book *b, struct sp_audit_posture *out);

/* ---- addresses that are not tried ---- */

struct sp_audit_suppressed {
    struct sp_bytes address; /* lower case */
    struct sp_bytes why;     /* an error's name, or "administrator" */
    struct sp_bytes reply;   /* code and status of the peer, or empty */
    int64_t since_ms;
    int64_t until_ms; /* 0: until it is removed */
    bool removed;
};

/* Walks those that hold now. at: 0 to begin, else what the last call left. returns: false at the end */
bool sp_audit_book_suppressed_next(const struct sp_audit_book *b, size_t *at,
                                   struct sp_audit_suppressed *out);

/* Takes one that has changed since it was last asked. returns: false if there is none */
bool sp_audit_book_suppressed_changed(struct sp_audit_book *b, struct sp_audit_suppressed *out);

/* ---- TLS reports (RFC 8460) ---- */

struct sp_audit_tlsrpt {
    struct sp_bytes day; /* "2026-11-22", UTC */
    struct sp_bytes domain;
    int64_t successful;
    int64_t failed;
};

/* t: lent for the call */
typedef void (*sp_audit_tlsrpt_fn)(void *arg, const struct sp_audit_tlsrpt *t);
/* Walks the domains of a day, or of all days where day is empty. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_tlsrpt(struct sp_audit_book *b, struct sp_bytes day,
                                              sp_audit_tlsrpt_fn fn, void *arg, struct sp_err *err);

struct sp_audit_tlsrpt_ask {
    struct sp_bytes day;
    struct sp_bytes domain;
    struct sp_bytes contact; /* for contact-info; empty: it is left out */
};

/*
 * Appends one domain's report of a day, as JSON (RFC 8460 4.4).
 *
 * returns: SP_E_NOT_FOUND if no session was seen, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_tlsrpt_report(struct sp_audit_book *b,
                                                     const struct sp_audit_tlsrpt_ask *ask,
                                                     struct sp_buf *out, struct sp_err *err);

#endif
