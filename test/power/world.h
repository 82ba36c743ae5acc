/*
 * What of a gateway touches the disk, on a simulated one: a shard's queue with its bodies, the ledger's own journal, the
 * books (state.db, audit file), and the folding between them; and a diary of what was asked of them and what was answered,
 * with the moment (position in the disk's record) of each. The diary is what a disk found after a power cut is judged by.
 */
#ifndef SP_TEST_POWER_WORLD_H
#define SP_TEST_POWER_WORLD_H

#include "audit/book.h"
#include "journal/journal.h"
#include "power/disk.h"
#include "queue/queue.h"
#include "support/fake_clock.h"

#define WORLD_OTHER "elsewhere@clinic.example" /* where a recipient is redirected to */

enum {
    WORLD_MESSAGES = 64,
    WORLD_RECIPIENTS = 3,
    WORLD_CHANGES = 12, /* of one recipient */
    WORLD_ACTS = 24,
    WORLD_SEGMENTS = 256,
    WORLD_GENERATIONS = 8,
    WORLD_PAST = 60, /* steps that a tight day has behind it before anybody looks */
};

/* What days and recoveries have met: a test that never meets a thing proves nothing of it. */
struct world_met {
    size_t footers; /* read at a start */
    size_t carried;
    size_t redirected;
};

/* A step of a recipient. */
struct world_change {
    uint8_t state;
    size_t from; /* moment when it was asked for */
    size_t at;   /* when it was acknowledged; 0: never */
};

struct world_rcpt {
    struct world_change changes[WORLD_CHANGES];
    size_t count;
    size_t moved_from; /* moment when another address was asked for; 0: never */
    size_t moved_at;   /* when that was acknowledged */
};

struct world_message {
    struct sp_id id;
    struct world_message *parent; /* of a DSN */
    uint16_t parent_n;
    size_t body_len;
    size_t asked;    /* moment when it was handed over */
    size_t accepted; /* when it was acknowledged; 0: not */
    size_t refused;  /* when it was refused; 0: not */
    bool may_return; /* refused when nothing could be written: may come back after a power cut */
    size_t rcpt_count;
    struct world_rcpt rcpts[WORLD_RECIPIENTS];
};

struct world_act {
    struct sp_journal_append append;
    struct world *world;
    struct sp_buf meta;
    size_t asked;
    size_t done; /* 0: not acknowledged */
    bool busy;
};

/* A segment of the shard of which the audit file has said that its key is gone. */
struct world_gone {
    uint64_t segment;
    size_t at; /* moment when that stood in the file */
};

/* The keys that the relay is given from a moment on: a generation of the content key, and the one before. */
struct world_generation {
    size_t at;
    struct sp_journal_keys keys;
};

struct world {
    struct power_disk *disk;
    struct power_view spool;
    struct power_view ledger;
    struct power_view acts;
    struct fake_clock clock;
    struct fake_random random; /* of ids and keys: a seed gives the same day again */
    uint64_t dice;
    struct sp_journal_keys keys;
    struct sp_journal_keys acts_keys; /* of the ledger's own journal */
    struct world_generation generations[WORLD_GENERATIONS];
    size_t generation_count;
    bool is_renewed; /* the relay has said that its keyring is of the last one */
    size_t segment_len;
    bool prewrite;
    bool is_calm;  /* no restarts in its days */
    bool is_tight; /* tiny segments, small bodies, some that wait for a day: much is carried */
    struct world_met *met; /* lent; NULL: nobody counts */
    struct sp_arena *arena;
    char folder[64]; /* a real one, for SQLite's first look at its file */
    struct sp_audit_signer signer;

    struct sp_queue *queue; /* NULL: down */
    struct sp_journal *own;
    struct sp_journal_reader *own_reader;
    struct sp_journal_reader *reader;
    struct sp_audit_book *book; /* NULL: down, opened again by the next turn */
    size_t book_failures;

    struct world_message messages[WORLD_MESSAGES];
    size_t message_count;
    struct world_act act[WORLD_ACTS];
    size_t act_count;
    struct world_gone gone[WORLD_SEGMENTS];
    size_t gone_count;
    size_t audit_seen;          /* bytes of the audit file that were looked at for that */
    struct power_disk *history; /* of a found disk: the one whose power went; else NULL */
    size_t history_at;          /* and when */
    bool dead;                  /* answers come from the grave: nobody hears them */
    uint8_t sent_to[WORLD_MESSAGES][WORLD_RECIPIENTS]; /* deliveries, as the next hop counts them */
};

/* Makes an empty gateway on a new disk, all closed. seed: of all that is random */
void world_init(struct world *w, uint64_t seed);
/* Its days are tight; before it is opened. */
void world_make_tight(struct world *w);
/* Takes another disk for the same gateway: what was found at that moment. The diary is copied. */
void world_init_found(struct world *w, const struct world *was, size_t at,
                      struct power_disk *found);
/* Closes what is open, frees all. */
void world_clear(struct world *w);

/* Starts the roles' storage. returns: of the queue; the books try again with every turn */
enum sp_rc world_open(struct world *w);
/* Ends it in good order. */
void world_close(struct world *w);
/* kill -9 of all: nothing more reaches the disk. What a new start then finds is put down in the diary as durable. */
void world_kill(struct world *w);

/* returns: whether those who would hear an answer are dead */
bool world_is_dead(const struct world *w);

/* The ledger's turn: folds what is durable, commits, tells the relay. */
void world_turn(struct world *w);

uint64_t world_roll(struct world *w, uint64_t below);
size_t world_now(const struct world *w);

/* ---- load.c ---- */

/* One random step of a day: mail in, outcomes, DSNs, acts, deletions, turns, and now and then a restart. */
void world_step(struct world *w);
/* A tight day's steps before it is looked at: segments enough that some are footed, and some carried. */
void world_past(struct world *w);
/* So many steps, fewer of a tight day (of more operations each), and all that is under way to its end. */
void world_steps(struct world *w, int steps);
/* A client hands over a message of that size. returns: NULL if the diary is full */
struct world_message *world_submit(struct world *w, size_t body_len, size_t recipients);
/* Takes what is due and ends it with that state, until nothing is due. */
void world_deliver_all(struct world *w, uint8_t state);
void world_commit(struct world *w);

/* ---- judge.c ---- */

/* What was found wrong, as a sentence; empty: nothing. */
struct world_verdict {
    char text[256];
};

/*
 * Judges the storage of w, opened from what was found at that moment of the diary's world.
 *
 * proofs: also walk the whole audit file with the verifier
 */
void world_judge(struct world *w, size_t at, bool proofs, struct world_verdict *v);
/* Judges the bytes found, before anything is opened: w from world_init_found. */
void world_judge_raw(struct world *w, struct world_verdict *v);
/* The same of the journal's records: a segment whose end is on record must have no key. */
void world_judge_records(struct world *w, struct world_verdict *v);
/* Looks through the lines that are new in the audit file for keys that are gone. */
void world_note_gone(struct world *w);
/* Lets it run on to the end: all delivered, all folded, old segments gone; judges what auditors then read. */
void world_judge_end(struct world *w, struct world_verdict *v);

#endif
