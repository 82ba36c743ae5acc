/*
 * The queue: the journal folded into an index in memory. What changes it is a record first and takes effect when that
 * is durable. The index holds each recipient's state and the times; everything else is read from the record again when
 * it is asked for. One queue a shard; thread: loop.
 *
 * Delivery takes due recipients with sp_queue_next_due (they are then busy), loads what it needs with sp_queue_load,
 * and ends each with sp_queue_outcome or sp_queue_put_back.
 */
#ifndef SP_QUEUE_QUEUE_H
#define SP_QUEUE_QUEUE_H

#include "base/map.h"
#include "content/content.h"
#include "io/loop.h"
#include "journal/journal.h"
#include "journal/records.h"
#include "queue/body.h"
#include "queue/lines.h"
#include "queue/orders.h"

struct sp_queue;

/* A file of this name in the shard's folder: it comes from a backup, so all that waits may have been delivered since. */
#define SP_QUEUE_RESTORED "restored"

#define SP_QUEUE_ALL UINT16_MAX /* recipients */

/* Where a recipient's mail stands in line. */
struct sp_queue_way {
    struct sp_bytes
        destination; /* its domain, or what takes the domain's place; lent by who sets it */
    enum sp_lane lane;
    int64_t end_ms; /* wall clock: it waits for no turn any more; INT64_MAX: always */
};

struct sp_queue_options {
    const char *dir;                    /* the shard's folder */
    const struct sp_journal_io *io;     /* NULL: the real disk at dir; else lent */
    const struct sp_journal_keys *keys; /* copied */
    struct sp_loop *loop; /* NULL (tests, tools): sp_queue_commit does the disk work */
    struct sp_log *log;
    const struct sp_clock *clock;
    const struct sp_random *random;
    size_t segment_len; /* 0: the journal's default */
    size_t reserve_len; /* 0: the journal's default */
    bool prewrite;
    bool read_only;  /* only look, as of the journal: nothing can be put in, taken out or changed */
    bool by_footers; /* with read_only: what a start would find, as of the journal */
    size_t messages_max; /* 0: 1,000,000 */
    size_t body_memory;  /* cap of all bodies in flight, bytes; 0: 32 MiB */
    size_t
        body_inline; /* bodies up to so many bytes lie in their record; 0, and at most: 256 KiB */
    /*
     * Who waits longer than this when the shard is opened is due at once: the clock has been set back since. 0: no limit.
     * Held recipients keep their time.
     */
    int64_t wait_max_ms;
    struct sp_bytes renewed;  /* event for the audit: opening completes a rotation of keys */
    struct sp_bytes restored; /* the same: the shard comes from a backup */
    /* Something is due earlier than sp_queue_due_at said before. */
    void (*on_due)(void *arg);
    /*
     * Says of recipient n what the queue can't know; way holds the domain, in lower case, the normal lane (for codes of
     * our own the urgent one) and no end. Must depend on the record alone. May be NULL.
     */
    void (*classify)(void *arg, const struct sp_accept *a, size_t n, struct sp_queue_way *way);
    /* This segment is durable up to end: tell the ledger. May be NULL. */
    void (*on_durable)(void *arg, uint64_t segment, uint64_t end);
    /* While opening: a record says that recipient n has ended; SP_QUEUE_ALL: all have. Also of messages not known. May be NULL. */
    void (*on_ended)(void *arg, const struct sp_id *id, uint16_t n);
    void *arg;
};

/*
 * Opens the shard and folds its journal; removes body files that no record names.
 *
 * owner:   the caller, until sp_queue_close
 * returns: as sp_journal_open
 */
SP_MUST_CHECK enum sp_rc sp_queue_open(const struct sp_queue_options *options,
                                       struct sp_queue **out, struct sp_err *err);

/*
 * Commits what is under way (its callbacks come first), closes the journal cleanly, frees. What a callback asks for
 * meanwhile may end with SP_E_CLOSED. Bodies must have been freed or taken. NULL is allowed.
 */
void sp_queue_close(struct sp_queue *q);

/* Without a loop: does all the disk work that waits, then the callbacks. */
void sp_queue_commit(struct sp_queue *q);

/* returns: SP_OK if mail can be taken now, else SP_E_JOURNAL_FULL, SP_E_JOURNAL_FAILED or SP_E_QUEUE_FULL to answer */
SP_MUST_CHECK enum sp_rc sp_queue_ready(const struct sp_queue *q);

/* returns: whether delivery may go on (the journal can still write outcomes) */
bool sp_queue_may_deliver(const struct sp_queue *q);

/*
 * Takes a message: done(arg, SP_OK) comes when it is durable (then say 250), another code if it is not and never will
 * be (its body file is then gone).
 *
 * accept: encoded at once, not kept. Recipients with SP_ACCEPT_DO_PROTECT are due at once, SP_ACCEPT_DO_HOLD are held, SP_ACCEPT_DO_REJECT
 *         and SP_ACCEPT_DO_DISCARD are final. `body_len`, `sha256`, `body_in_file` are set from body.
 * body:   finished; taken
 * child_body: of accept->child, finished, one that stays in its record; taken; NULL without child
 */
struct sp_queue_accept {
    const struct sp_accept *accept;
    struct sp_queue_body *body;
    struct sp_queue_body *child_body;
    void (*done)(void *arg, enum sp_rc rc);
    void *arg;
};
void sp_queue_accept(struct sp_queue *q, const struct sp_queue_accept *a);

/* ---- what is due ---- */

#define SP_QUEUE_DUE_MAX 64 /* recipients handed out at once; the rest comes with the next call */

struct sp_queue_due {
    struct sp_id id;
    uint16_t ns[SP_QUEUE_DUE_MAX];
    size_t n_count;
    sp_handle line; /* in which they stood; all in the same */
    enum sp_lane lane;
    bool possibly_attempted; /* by a run that ended uncleanly after it was accepted */
    int64_t ends_ms; /* steady: until when they might have stood there; INT64_MAX: for ever */
    bool is_over;    /* their time has ended while they waited for their turn */
};

/*
 * The next message with recipients that are due at now_ms and not busy; they become busy. Lanes, tenants and destinations
 * take turns as queue/lines.h says, so the cost does not grow with the queue. Due times here and below
 * are steady ones (sp_clock_steady_ms), so that nobody who sets the wall clock moves them. returns: false if none
 */
bool sp_queue_next_due(struct sp_queue *q, int64_t now_ms, struct sp_queue_due *out);

/* returns: steady time at which something will be due or over, INT64_MAX if nothing */
int64_t sp_queue_due_at(const struct sp_queue *q);

/* Calls on_due if something is due earlier than `before` (INT64_MAX: at all). Not for who is being called by it. */
void sp_queue_tell_due(struct sp_queue *q, int64_t before);

/* Busy recipients are idle again and due at next_at_ms; nothing is written. */
void sp_queue_put_back(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns,
                       size_t n_count, int64_t next_at_ms);

/* Busy recipients of one line are idle again and stand first in it, as if they had not been handed out; on_due is told of it. */
void sp_queue_put_first(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns,
                        size_t n_count);

/* The lines, for who shuts and opens them. returns: lent for the queue's life */
struct sp_lines *sp_queue_lines(struct sp_queue *q);

/* ---- reading ---- */

/* A message with its record: views and arrays live in its own arena. */
struct sp_queue_message {
    struct sp_accept accept; /* without audit and child */
    struct sp_rcpt *rcpts;   /* state now; accept.recipient_count of them */
    bool *busy;
    bool *frozen; /* an order keeps it where it is: its tenant, site or host is frozen */
    bool possibly_attempted;
    bool quarantined;       /* the record can't be read; nothing but accept.id is known */
    int64_t accepted_at_ms; /* steady time, where accept.time_ms is what the wall clock said */
    struct sp_arena *arena;
    struct sp_buf meta;
};

/*
 * owner:   the caller, sp_queue_message_free
 * returns: SP_E_NOT_FOUND (settled or never there); SP_E_JOURNAL_DAMAGED: it is quarantined from now on; SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_queue_load(struct sp_queue *q, const struct sp_id *id,
                                       struct sp_queue_message **out);
/* One of which nothing but the id is known. owner: the caller, sp_queue_message_free */
struct sp_queue_message *sp_queue_message_quarantined(const struct sp_id *id);
void sp_queue_message_free(struct sp_queue_message *m);
SP_AUTO_DEFINE(sp_queue_message)

/* The body, for sending in this process (its descriptor reads the journal or the body's file). owner: the caller, of out */
SP_MUST_CHECK enum sp_rc sp_queue_body(struct sp_queue *q, const struct sp_id *id,
                                       struct sp_content *out);
/* The same from memory. owner: the caller, of out. returns: false if it was not accepted just now: it has to be read */
bool sp_queue_body_at_hand(struct sp_queue *q, const struct sp_id *id, struct sp_content *out);
/* The same to hand to another process: chunks of this message alone. owner: the caller, of out */
SP_MUST_CHECK enum sp_rc sp_queue_body_for_role(struct sp_queue *q, const struct sp_id *id,
                                                struct sp_content *out);

/* ---- changing ---- */

/*
 * Writes what an attempt came to; busy recipients it names are idle again when it is durable. When the last recipient is
 * final the message leaves the queue.
 *
 * outcome:    encoded at once, not kept; its child is a message of its own from then on
 * child_body: of outcome->child, finished, one that stays in its record; taken; NULL without child
 * done:       SP_OK when durable; SP_E_LIMIT when durable, but with audit.gap for the audit events, which did not fit;
 *             SP_E_NOT_FOUND if the message is gone; SP_E_JOURNAL_FAILED at closing, where it could never be written.
 *             A shard that has stopped keeps it until it can write again; the recipients are busy so long
 */
void sp_queue_outcome(struct sp_queue *q, const struct sp_outcome *outcome,
                      struct sp_queue_body *child_body, void (*done)(void *arg, enum sp_rc rc),
                      void *arg);

/* returns: whether a recipient that stands so is one that an act of this type changes, if it is not busy */
bool sp_queue_act_fits(uint8_t type, const struct sp_rcpt *r);

/*
 * Writes an act of the record types HOLD, RELEASE, RETRY, DELETE (busy recipients are left alone: SP_E_EXISTS if all
 * that it names are) or ACT. Repeating one is harmless. A quarantined message can be deleted as a whole, nothing else.
 *
 * act:  encoded at once, not kept
 * done: SP_OK when durable; SP_E_NOT_FOUND, SP_E_EXISTS, SP_E_JOURNAL_DAMAGED, SP_E_JOURNAL_FULL, SP_E_JOURNAL_FAILED
 */
void sp_queue_act(struct sp_queue *q, uint8_t type, const struct sp_act *act,
                  void (*done)(void *arg, enum sp_rc rc), void *arg);

/* ---- figures ---- */

#define SP_QUEUE_RUNGS 16 /* more than there are; the last is for none */

struct sp_queue_stats {
    size_t messages;
    size_t
        recipients_pending; /* pending and deferred; each recipient counts once: who is busy is neither this nor held */
    size_t recipients_held;
    size_t recipients_by_hand; /* of them, by somebody's act */
    size_t recipients_busy;
    size_t quarantined;         /* messages whose record is damaged */
    uint64_t segments, records; /* found at the start, and so are the next three */
    uint64_t dropped, footers;  /* records at the tail that nobody was promised; footers read */
    uint64_t damaged;           /* records and segments that were found so at the start */
    uint64_t
        copies; /* headers and keyrings that were read from their copy, or whose copy was damaged */
    bool
        is_torn; /* of a look at a shard that is written: it was never one moment's, so messages may be absent */
    uint64_t disk_len, living_len; /* of all segments, and of living messages' records in them */
    uint64_t carried, carried_len; /* messages moved out of old segments, and their records */
    uint64_t first_segment, current_segment;
    uint64_t
        known_from; /* the oldest segment that was there at the start, or should have been; 0: none */
    struct sp_journal_stats journal;
    /* recipients by what attempts came to since opening: by rung taken or tried last (the last row: none), and state */
    uint64_t results[SP_QUEUE_RUNGS][SP_RCPT_STATE_COUNT];
};
/* returns: figures of now. cost: O(segments) */
struct sp_queue_stats sp_queue_stats(const struct sp_queue *q);

/* Records an event for the audit that belongs to no message; lost if nothing can be written now. */
void sp_queue_say(struct sp_queue *q, struct sp_bytes event);

/*
 * Wraps the bodies' keys under another generation's key; see sp_journal_rekey. event: for the audit, recorded behind it
 *
 * returns: SP_OK, SP_E_CLOSED, or why it may not be durable
 */
SP_MUST_CHECK enum sp_rc sp_queue_rekey(struct sp_queue *q, const struct sp_journal_keys *keys,
                                        struct sp_bytes event);

/*
 * Counts messages by age, by the minute of their acceptance.
 *
 * limits:  ages in seconds, rising
 * counts:  out: for each, how many messages are at least so old
 * returns: age of the oldest in seconds, 0 if there is none; at least 7 days are told apart, beyond it is 7 days
 */
int64_t sp_queue_ages(const struct sp_queue *q, const int64_t *limits, size_t limit_count,
                      size_t *counts);

/* A recipient of a message in the queue. */
struct sp_queue_seen {
    struct sp_bytes tenant;
    struct sp_bytes destination;
    sp_handle
        line; /* the same for all that wait in one line, so for one destination; never another's */
    const struct sp_rcpt *rcpt;
    bool is_busy;
    bool is_frozen;
    bool is_quarantined; /* its message */
};

/*
 * Visits all recipients of all messages, those that are final too, in no order; the first in steps of a few milliseconds, between which the queue may
 * change: what comes or goes meanwhile may be left out.
 *
 * walk:    all zero to begin
 * v:       lent for the call. cost: O(messages), no disk
 * returns: whether there is another step to do
 */
bool sp_queue_each_some(const struct sp_queue *q, struct sp_map_walk *walk,
                        void (*visit)(void *arg, const struct sp_queue_seen *v), void *arg);
void sp_queue_each(const struct sp_queue *q,
                   void (*visit)(void *arg, const struct sp_queue_seen *v), void *arg);

/* The ledger has durably folded all segments before this one. */
void sp_queue_ledger_passed(struct sp_queue *q, uint64_t segment);

#endif
