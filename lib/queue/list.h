/*
 * Going through the queue: its messages in the order of their ids, a page at a time. thread: loop
 */
#ifndef SP_QUEUE_LIST_H
#define SP_QUEUE_LIST_H

#include "base/map.h"
#include "queue/queue.h"

/* States that a question may name beside enum sp_rcpt_state, as people see them. */
enum {
    SP_QUEUE_IN_DELIVERY = SP_RCPT_STATE_COUNT,
    SP_QUEUE_FROZEN, /* kept back by an order, whatever its state */
};
/* returns: enum sp_rcpt_state, or one of these, of that name; -1 if there is none */
int sp_queue_state_find(struct sp_bytes name);
/*
 * Whether a recipient is one that a question means by a state: the one rule for lists, counts and acts. Who is in delivery
 * is that and nothing else at this moment; who is frozen stands in his own state, too.
 *
 * state:   of sp_queue_state_find; -1: any
 * returns: whether it is
 */
bool sp_queue_state_fits(int state, const struct sp_rcpt *r, bool is_busy, bool is_frozen);

struct sp_queue_query {
    int state;              /* of sp_queue_state_find, of any recipient; -1: any */
    bool quarantined_only;  /* none but those that can't be read */
    struct sp_bytes sender; /* contains, ASCII case ignored; empty: any */
    struct sp_bytes recipient;
    struct sp_bytes tenant; /* equals; empty: any */
    struct sp_bytes rule;   /* equals that of any recipient; empty: any */
    /* whether it is meant that a recipient who is not final goes there; line: as in sp_queue_seen; NULL: anywhere */
    bool (*goes_there)(void *arg, struct sp_bytes destination, sp_handle line);
    struct sp_id after; /* where the last page ended; zero to begin */
    size_t limit;       /* messages to visit; at most 1,000 that may match are read a call */
    /* m is lent for the call */
    void (*visit)(void *arg, const struct sp_queue_message *m);
    void *arg;
};

struct sp_queue_listing;
/*
 * Begins a list: messages are visited in the order of their ids, in steps, each of which takes a few milliseconds. The queue may
 * change between them; what comes meanwhile may be left out.
 *
 * query:   copied, its texts are lent until the listing is freed
 * owner:   the caller; before the queue is closed
 */
struct sp_queue_listing *sp_queue_listing_new(struct sp_queue *q,
                                              const struct sp_queue_query *query);
void sp_queue_listing_free(struct sp_queue_listing *l);
SP_AUTO_DEFINE(sp_queue_listing)
/* returns: whether there is another step to do */
bool sp_queue_listing_step(struct sp_queue_listing *l);
/* Behind the last step. last: as of sp_queue_list. returns: whether there may be more: go on after *last */
bool sp_queue_listing_more(const struct sp_queue_listing *l, struct sp_id *last);
/* returns: what to go on after when a page has ended there: zero, what has no id, would be the beginning once more */
struct sp_id sp_queue_list_behind(const struct sp_id *last);

/*
 * The same in one step.
 *
 * last:    the last one examined
 * returns: whether there may be more: go on after *last
 */
bool sp_queue_list(struct sp_queue *q, const struct sp_queue_query *query, struct sp_id *last);

/* returns: where recipient n's mail goes (struct sp_queue_way), lent till the queue changes; empty for one who is final or gone */
struct sp_bytes sp_queue_destination(const struct sp_queue *q, const struct sp_id *id, size_t n);

#define SP_QUEUE_IDS_MAX 10000
/*
 * Begins to find the ids of messages that have a recipient in a state, those behind `after`: for who goes through a long queue and
 * reads a few records a turn (sp_queue_load), since each look goes over the whole index. In steps, as a list.
 *
 * state: enum sp_rcpt_state, of who is in delivery, too; -1: any
 * max:   the first so many, at most SP_QUEUE_IDS_MAX
 * owner: the caller, sp_queue_listing_free
 */
struct sp_queue_listing *sp_queue_ids_new(struct sp_queue *q, int state, const struct sp_id *after,
                                          size_t max);
/* returns: whether there is another step to do */
bool sp_queue_ids_step(struct sp_queue_listing *l);
/* Behind the last step. out: room for max; in order. returns: how many; max: there may be more */
size_t sp_queue_ids(const struct sp_queue_listing *l, struct sp_id *out);

#endif
