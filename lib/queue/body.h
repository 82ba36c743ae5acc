/*
 * A body on its way into the queue: sealed as it arrives, in memory up to 256 KiB, in a file of its own beyond (written
 * and synced by the body worker). Intake, DSN and notice makers feed one, and sp_queue_accept or sp_queue_outcome takes
 * it. thread: loop
 */
#ifndef SP_QUEUE_BODY_H
#define SP_QUEUE_BODY_H

#include "content/content.h"

#define SP_QUEUE_BODY_INLINE_MAX                                                                   \
    (256 * 1024) /* bytes of plaintext that may still lie in the record */
#define SP_QUEUE_BODY_STAY_MAX                                                                     \
    (4 * 1024 *                                                                                    \
     1024) /* the same of one that must: a report of all recipients that a record can name */

struct sp_queue;
struct sp_queue_body;

/*
 * Starts a body for the message of that id.
 *
 * owner: the caller, until sp_queue_body_free or until it is taken
 */
struct sp_queue_body *sp_queue_body_new(struct sp_queue *q, const struct sp_id *id);

/*
 * Before the first byte: this body, of a child, lies in the record of what causes it, whatever the settings are and however
 * much other bodies hold. Feeding it more than SP_QUEUE_BODY_STAY_MAX fails with SP_E_LIMIT.
 */
void sp_queue_body_stay(struct sp_queue_body *b);

/* Drops it; a file is removed. NULL is allowed. A finish that is under way is cancelled. */
void sp_queue_body_free(struct sp_queue_body *b);

/* Never blocks: what goes to disk goes through the worker. returns: SP_E_JOURNAL_FAILED, SP_E_JOURNAL_FULL of the file;
 * SP_E_LIMIT of one that stays in its record */
SP_MUST_CHECK enum sp_rc sp_queue_body_feed(struct sp_queue_body *b, struct sp_bytes plain);

/*
 * Whether the feeder should stop reading: too much of this body waits for the disk, or all bodies together hold more
 * than the cap. on_room(arg) of sp_queue_body_wait then tells when to go on.
 */
bool sp_queue_body_is_full(const struct sp_queue_body *b);
/* Calls on_room(arg) once, from the loop, when it is no longer full. Forgotten by free. */
void sp_queue_body_wait(struct sp_queue_body *b, void (*on_room)(void *arg), void *arg);

/*
 * Ends it: the last chunk is sealed; a file is synced. done(arg, rc) follows on the loop, exactly once unless freed
 * before, never within this call.
 */
void sp_queue_body_finish(struct sp_queue_body *b, void (*done)(void *arg, enum sp_rc rc),
                          void *arg);

/* returns: bytes that it holds in memory, or that wait for the disk; 0 for NULL */
size_t sp_queue_body_memory(const struct sp_queue_body *b);
/* Gives what it holds to the disk, and all that comes, unless it stays in its record, or has ended: a file that begins then is
 * synced by nobody. */
void sp_queue_body_spill(struct sp_queue_body *b);

/* returns: bytes of plaintext fed */
uint64_t sp_queue_body_len(const struct sp_queue_body *b);
/* SHA-256 of the plaintext; after finish. */
void sp_queue_body_sha256(const struct sp_queue_body *b, uint8_t out[32]);
/* returns: the id it was started with */
struct sp_id sp_queue_body_id(const struct sp_queue_body *b);

/*
 * A handle to hand to another process (a memfd, or the file), after finish.
 *
 * owner: the caller, of out
 */
SP_MUST_CHECK enum sp_rc sp_queue_body_export(const struct sp_queue_body *b,
                                              struct sp_content *out);

/*
 * A handle over memory of the body (or its file), for reading in this process while it lives; after finish.
 * owner: the caller, of out
 */
SP_MUST_CHECK enum sp_rc sp_queue_body_handle(const struct sp_queue_body *b,
                                              struct sp_content *out);

#endif
