/*
 * What the files of the queue share. For the queue alone.
 */
#ifndef SP_QUEUE_QUEUE_PRIV_H
#define SP_QUEUE_QUEUE_PRIV_H

#include "base/map.h"
#include "queue/list.h"
#include "queue/disk_priv.h"
#include "queue/lines.h"
#include "queue/queue.h"

#define SP_QUEUE_FOLDERS       16 /* of body files, by the id's last digit */
#define SP_QUEUE_FILE_NAME_MAX 48
#define SP_QUEUE_TURN_MS       10000 /* who becomes due has so long for his turn, though his time ends */
#define SP_QUEUE_META_MAX      (SP_RECORD_META_MAX + 16)

/* A recipient in the index. */
struct sp_queue_rcpt {
    struct sp_rcpt r;
    bool busy;
    bool parked;    /* next_at_ms is when it has to be looked at, and in memory alone */
    int64_t end_ms; /* steady: it waits for no turn of its line any more; INT64_MAX: always */
    uint16_t group;
};

/* Those of a message's recipients who stand in the same line. */
struct sp_queue_group {
    struct sp_line_item item;
    struct sp_queue_entry *entry;
    int64_t at_ms;   /* earliest next_at_ms of one who is idle and not final; INT64_MAX: none */
    int64_t over_ms; /* the same of when they stand in line no longer */
};

#define SP_SIEVE_ANY 0U

/* What a list knows of a message, or asks, before it reads a record. (sieve.c) */
struct sp_queue_sieve {
    uint64_t grams[4]; /* a bit for each three characters of its addresses */
    uint32_t tenant;   /* hash; SP_SIEVE_ANY: any */
    uint32_t rule;
};

void sp_queue_sieve_of(const struct sp_accept *a, struct sp_queue_sieve *out);
void sp_queue_sieve_ask(const struct sp_queue_query *query, struct sp_queue_sieve *out);
/* returns: false if it can't be what is asked for */
bool sp_queue_sieve_passes(const struct sp_queue_sieve *has, const struct sp_queue_sieve *wanted);

/* A message in the index: what is not here is read from its record again. */
struct sp_queue_entry {
    struct sp_id id;
    struct sp_journal_place place;
    struct sp_list neighbours;     /* among those that live in its segment */
    struct sp_queue_group *groups; /* behind rcpts, in the same memory */
    struct sp_queue_sieve sieve;
    uint64_t body_len;
    int64_t skew_ms; /* steady time less the record's, at acceptance; 0 after a restart */
    uint8_t type;    /* of the record */
    bool is_child;   /* the record's child */
    bool body_in_file;
    bool possibly_attempted;
    bool quarantined;
    bool damage_told; /* that it is, stands on record */
    uint16_t count;
    uint16_t open; /* recipients that are not final */
    uint16_t group_count;
    struct sp_queue_rcpt rcpts[];
};

/* The living messages that have their record in a segment. */
struct sp_queue_live {
    uint64_t segment;
    size_t messages;
    struct sp_list entries;
};

struct sp_queue_pending;

#define SP_QUEUE_AGE_MINUTES (7 * 24 * 60)

/* Messages by the minute of their acceptance; a place is used again after 7 days, what is older is only counted. */
struct sp_queue_ages {
    struct {
        int64_t minute;
        size_t messages;
    } at[SP_QUEUE_AGE_MINUTES];
    size_t older;
};

struct sp_queue {
    struct sp_queue_options o;
    struct sp_journal_io own_io; /* the real disk, if none was given */
    struct sp_journal *journal;
    struct sp_queue_disk *disk;
    struct sp_map *entries; /* by id */
    struct sp_lines *lines;
    struct sp_map
        *orders; /* "tenant hospital" -> struct sp_queue_given, what an administrator has ordered */
    struct sp_map *frozen_ways;  /* destinations kept back for the sake of a frozen host */
    struct sp_queue_live **live; /* by segment, rising */
    size_t live_count;
    size_t live_cap;
    struct sp_queue_stats stats; /* of recipients */
    struct sp_queue_ages *ages;
    struct sp_arena *arena; /* for decoding while folding */
    size_t body_held;       /* bytes of bodies in memory */
    size_t body_waiting;    /* of those, on their way to disk */
    struct sp_queue_body *spare_bodies;
    size_t spare_body_count;
    struct sp_queue_warm *warm; /* NULL until there is some */
    struct sp_queue_pending *spare_pendings;
    size_t spare_pending_count;
    struct sp_list waiters; /* bodies whose feeder waits for room */
    size_t carry_open;      /* carries on their way */
    uint64_t carry_from;    /* segment that they come from */
    size_t carry_count;     /* done, out of that one */
    bool carrying;
    struct sp_map
        *carried; /* by id: the segment that it was carried into last, until that one's key goes */
    struct sp_map *
        told; /* by segment: how many of its content.destroyed are on record, from before a crash */
    uint64_t
        lost_to;    /* the last segment of which something is lost, nobody knows what; 0: of none */
    uint64_t *lost; /* the numbers of all of these, rising */
    uint16_t *lost_low; /* their low bits, as records name them */
    size_t lost_count;
    size_t lost_cap;
    uint64_t carry_failed_at; /* segment that was written when one could not be carried; 0: none */
};

/* ---- index (index.c) ---- */

/* A new entry of an accept, in no container yet; recipients as the decisions say. owner: the caller */
struct sp_queue_entry *sp_queue_entry_new(struct sp_queue *q, const struct sp_accept *a);
/* Takes it out of its lines and frees it. NULL is allowed. */
void sp_queue_entry_free(struct sp_queue *q, struct sp_queue_entry *e);

/* Sets an entry's times to the steady clock; for one accepted in this run. */
void sp_queue_entry_accepted_now(struct sp_queue_entry *e, int64_t skew_ms);

/* Makes due at once who waits for longer than anybody can: at the end of opening. */
void sp_queue_index_mend_times(struct sp_queue *q);

/* returns: the message of its record. owner: the caller, of *out. (read.c) */
SP_MUST_CHECK enum sp_rc sp_queue_entry_load(struct sp_queue *q, const struct sp_queue_entry *e,
                                             struct sp_queue_message **out);
/* returns: where a recipient's mail goes, lent; empty of one who is final. (read.c) */
struct sp_bytes sp_queue_entry_destination(const struct sp_queue_entry *e,
                                           const struct sp_queue_rcpt *r);
/* returns: whether an order keeps it back. (read.c) */
bool sp_queue_entry_is_frozen(const struct sp_queue_entry *e, const struct sp_queue_rcpt *r);

/* Takes an entry in, once its record is durable (or drops it, if no recipient is open). returns: whether it lives */
bool sp_queue_entry_put(struct sp_queue *q, struct sp_queue_entry *e,
                        const struct sp_journal_place *place);
struct sp_queue_entry *sp_queue_entry_find(const struct sp_queue *q, const struct sp_id *id);
/* The record moved to another segment. */
void sp_queue_entry_move(struct sp_queue *q, struct sp_queue_entry *e,
                         const struct sp_journal_place *place);
void sp_queue_entry_set(struct sp_queue *q, struct sp_queue_entry *e, uint16_t n,
                        const struct sp_rcpt *to);
void sp_queue_entry_busy(struct sp_queue *q, struct sp_queue_entry *e, uint16_t n, bool busy);
/* Its record can't be read: it goes nowhere, and waits for a person. Told once. */
void sp_queue_entry_quarantine(struct sp_queue *q, struct sp_queue_entry *e);
/* Puts on record that it is, unless that stands there. Opening does it at its end, for all. (damage.c) */
void sp_queue_tell_damage(struct sp_queue *q, struct sp_queue_entry *e);
void sp_queue_tell_damages(struct sp_queue *q);
/* returns: whether it is such a record */
bool sp_queue_act_tells_damage(uint8_t type, const struct sp_act *act);
/* Something of a segment is lost, nobody knows whose: at opening, in the order of the log. */
void sp_queue_note_lost(struct sp_queue *q, uint64_t segment);
/* Says in an act about what has no id which segments it knows of: in place of recipients. */
void sp_queue_act_put_lost(const struct sp_queue *q, struct sp_act *act);
/* returns: whether an act about what has no id knows of all that is lost; of others true */
bool sp_queue_act_knows_lost(const struct sp_queue *q, const struct sp_act *act);
/* A quarantined one is deleted, with recipients of which nothing is known. */
void sp_queue_entry_give_up(struct sp_queue *q, struct sp_queue_entry *e);
/* After changes: its places in the lines anew; gone if nothing is open. returns: whether it still lives */
bool sp_queue_entry_settle(struct sp_queue *q, struct sp_queue_entry *e);

/* ---- what lives in each segment (live.c) ---- */

/* An entry comes into the index with its place, or leaves it. */
void sp_queue_live_add(struct sp_queue *q, struct sp_queue_entry *e);
void sp_queue_live_remove(struct sp_queue *q, struct sp_queue_entry *e);
void sp_queue_live_free(struct sp_queue *q);
/* returns: of the oldest segment in which something lives, lent; NULL: nothing lives */
struct sp_queue_live *sp_queue_live_oldest(const struct sp_queue *q);
/* returns: the oldest segment that a living message needs, or the current one */
uint64_t sp_queue_oldest_needed(const struct sp_queue *q);

/* A message comes into the index, or leaves it. (ages.c) */
void sp_queue_ages_note(struct sp_queue_ages *ages, const struct sp_id *id, bool comes);

/* Reads the files of orders. returns: SP_E_IO, SP_E_JOURNAL_DAMAGED. (orders.c) */
SP_MUST_CHECK enum sp_rc sp_queue_orders_load(struct sp_queue *q, struct sp_err *err);

/* ---- what records change (fold.c) ---- */

void sp_queue_apply_outcome(struct sp_queue *q, struct sp_queue_entry *e,
                            const struct sp_outcome *o);
void sp_queue_apply_act(struct sp_queue *q, struct sp_queue_entry *e, uint8_t type,
                        const struct sp_act *a);
/* The journal's on_entry. arg: the queue */
void sp_queue_on_entry(void *arg, const struct sp_journal_entry *e);

/* ---- a message as it stands, written anew (carry.c) ---- */

/*
 * Appends a carry with the body that the message has; its recipients are busy until done.
 *
 * c:       encoded at once, not kept
 * returns: SP_OK and done follows, with p as the append's arg; else p is as it was
 */
SP_MUST_CHECK enum sp_rc sp_queue_carry_append(struct sp_queue_pending *p, const struct sp_carry *c,
                                               void (*done)(struct sp_journal_append *a,
                                                            enum sp_rc rc));
/* All recipients are busy, or idle again. */
void sp_queue_entry_busy_all(struct sp_queue *q, struct sp_queue_entry *e, bool busy);
/* The message as such a record has it; old: the entry whose place it takes, or NULL. (fold.c) */
void sp_queue_put_carried(struct sp_queue *q, const struct sp_carry *c,
                          const struct sp_journal_place *place, const struct sp_queue_entry *old);

/* ---- bodies (body.c) ---- */

/* out: SP_QUEUE_FILE_NAME_MAX bytes */
void sp_queue_body_file(const struct sp_id *id, char *out);
/* Removes a message's body file, on the disk thread. */
void sp_queue_body_unlink(struct sp_queue *q, const struct sp_id *id);
/* What a record needs of a body. */
bool sp_queue_body_in_file(const struct sp_queue_body *b);
void sp_queue_body_append(const struct sp_queue_body *b, struct sp_journal_append *a);
/* The record that names it is durable: a file stays. */
void sp_queue_body_keep(struct sp_queue_body *b);
/* Makes the folders; removes files that no entry names, unless records are damaged: one of those may have named it. */
SP_MUST_CHECK enum sp_rc sp_queue_body_folders(struct sp_queue *q, bool is_damaged,
                                               struct sp_err *err);
void sp_queue_body_free_spares(struct sp_queue *q);
/* Once its record is durable. owner: the caller. returns: the plaintext, or NULL if it was not kept */
struct sp_content_plain *sp_queue_body_take_plain(struct sp_queue_body *b);

/* ---- plaintext kept for the first attempt (warm.c) ---- */

struct sp_queue_warm;
/* returns: whether the plaintext of one more body may be kept */
bool sp_queue_warm_has_room(const struct sp_queue *q);
/* Keeps it for a while. owner: plain is taken; NULL is allowed */
void sp_queue_warm_put(struct sp_queue *q, const struct sp_id *id, struct sp_content_plain *plain);
/* returns: the plaintext, lent; NULL if it is not kept */
struct sp_content_plain *sp_queue_warm_find(const struct sp_queue *q, const struct sp_id *id);
/* The message is gone, or an attempt has ended. */
void sp_queue_warm_drop(struct sp_queue *q, const struct sp_id *id);
void sp_queue_warm_free(struct sp_queue *q);

/* ---- records on their way (pending.c) ---- */

/* One append of ours. */
struct sp_queue_pending {
    struct sp_journal_append append;
    struct sp_queue *queue;
    struct sp_buf meta;
    struct sp_queue_entry *entry; /* accept: to be taken in; of the child likewise */
    struct sp_queue_entry *child;
    struct sp_queue_body *body;
    struct sp_queue_body *child_body;
    uint8_t *sealed; /* carry: the body's chunks */
    struct sp_secret key;
    uint16_t *ns; /* act: the recipients it keeps busy */
    size_t n_count;
    void (*done)(void *arg, enum sp_rc rc);
    void *arg;
    struct sp_queue_job deferred;
    enum sp_rc rc;
    struct sp_queue_pending *next;
};

struct sp_queue_pending *sp_queue_pending_new(struct sp_queue *q,
                                              void (*done)(void *arg, enum sp_rc rc), void *arg);
void sp_queue_pending_free(struct sp_queue_pending *p);
void sp_queue_pending_free_spares(struct sp_queue *q);
/* Ends it without a record: done(arg, rc) follows from the loop, then it is freed. */
void sp_queue_pending_end(struct sp_queue_pending *p, enum sp_rc rc);

/* The journal's on_going, on_noted and on_gone. (destroyed.c) */
void sp_queue_on_going(void *arg, const struct sp_journal_entry *e, struct sp_buf *notes);
void sp_queue_on_noted(void *arg, uint64_t segment, struct sp_bytes notes);
void sp_queue_on_gone(void *arg, uint64_t segment, struct sp_bytes notes);
/* The message has a record, and its key, in that segment too. */
void sp_queue_note_carried(struct sp_queue *q, const struct sp_id *id, uint64_t into);
/* A record of content.destroyed found at a restart. */
void sp_queue_note_told(struct sp_queue *q, const struct sp_act *act);

/* Frees segments that nobody needs; carries what lives out of the oldest while that pays. (carry.c) */
void sp_queue_reclaim(struct sp_queue *q);

#endif
