/*
 * What the files that answer an administrator share: command.c takes questions, list.c walks the queue, change.c changes
 * it.
 */
#ifndef GATEWAY_RELAY_COMMAND_H
#define GATEWAY_RELAY_COMMAND_H

#include "gateway/relay/relay.h"

#include "base/map.h"
#include "base/text.h"
#include "queue/list.h"

#define RELAY_REPLY_MAX                                                                            \
    ((size_t)7 << 20) /* of SP_JOBS_COMMAND_MAX; a message of 10,000 recipients fits */

struct relay_question {
    const struct sp_json *ask;
    struct sp_bytes actor; /* JSON object */
    struct sp_jobs_job *job;
};

/*
 * A question that is answered over several turns of the loop (task.c); the first member of what is kept about it, which was
 * allocated with sp_calloc and is freed with it.
 */
struct relay_task {
    struct sp_list at;
    struct relay *relay;
    struct relay_question q; /* its own */
    struct sp_json_doc *doc;
    struct sp_timer *next;
    bool (*step)(
        struct relay_task *t); /* returns: whether there is more to do; else it has replied */
    void (*clear)(struct relay_task *t); /* what it keeps beside this */
};

/* Begins: step and clear are set, step follows in the turns to come. owner: t is taken */
void relay_task_start(struct relay_task *t, struct relay *r, const struct relay_question *q);

/* Loads a message from whichever of the relay's shards has it. returns: that shard, NULL if none has */
struct relay *relay_load(struct relay *r, const struct sp_id *id, struct sp_queue_message **m);

/* Writes a time, or null for 0. */
void relay_put_time(struct sp_jw *w, const char *key, int64_t ms);

/* Writes a message of r's own shard as an object, with those of its recipients that concern who asks. */
void relay_put_message(struct relay *r, const struct relay_question *q,
                       const struct sp_queue_message *m, const char *key, struct sp_jw *w);

/*
 * The destinations of a shard that a question means by "site" and "host" (where.c): each is looked at when it is asked for first.
 */
struct relay_where;
/* ask: lent. owner: the caller. returns: NULL: it names neither, so all are meant */
struct relay_where *relay_where_new(struct relay *shard, const struct sp_json *ask);
void relay_where_free(struct relay_where *w);
/* line: as in sp_queue_seen, 0: not known. returns: whether a destination is meant; of NULL all are */
bool relay_where_is(struct relay_where *w, struct sp_bytes destination, sp_handle line);

/* returns: whether a host is asked for, and none is known that this destination's mail would go to */
bool relay_where_is_unknown(struct relay_where *w, struct sp_bytes destination, sp_handle line);

/* Writes where a recipient's mail goes: "site", and "hosts", four at most of those that it would go to first, and that a question means. */
void relay_put_where(struct relay *r, const struct sp_json *ask, const struct sp_id *id, size_t n,
                     struct sp_jw *w);

/* queue.freeze, queue.thaw, queue.drain, queue.resume, queue.orders. returns: false if it is none of those */
bool relay_order(struct relay *r, const struct relay_question *q);

/* queue.count */
void relay_count(struct relay *r, const struct relay_question *q);

/* queue.stats */
void relay_stats(struct relay *r, const struct relay_question *q);

/* queue.sites */
void relay_sites(struct relay *r, const struct relay_question *q);

/* Answers that a question's state is none, with all that are. */
void relay_reply_no_state(const struct relay_question *q);

/* queue.list */
void relay_list(struct relay *r, const struct relay_question *q);

/* Carries out a command that changes a message. returns: false if it is none of those */
bool relay_change(struct relay *r, const struct relay_question *q);

/* Reads "n", recipients of this message by their numbers, in its arena. returns: false if it is no such list */
bool relay_read_ns(const struct relay_question *q, const struct sp_queue_message *m,
                   struct sp_act *act);

/* returns: the group that recipient n is on hold for, since a rule says so and nothing else; empty if it is not */
struct sp_bytes relay_held_for(const struct sp_queue_message *m, size_t n);

/*
 * Whether recipient n is on hold for a group that the one who asks may speak for. Who is limited to none may speak of all.
 */
bool relay_is_for(const struct relay_question *q, const struct sp_queue_message *m, size_t n);

/* returns: whether an act is only to be tried: "queue.would-hold" tells what "queue.hold" would do */
bool relay_is_trial(const struct relay_question *q);
/* returns: whether a command's name is this one's, or its trial's */
bool relay_is_about(struct sp_bytes name, const char *command);

/* queue.redirect */
void relay_redirect(struct relay *r, const struct relay_question *q);

#endif
