/*
 * Who is next. What is due stands in a line: one for each destination of a tenant in a lane. What is not due yet waits in
 * one heap by time. A line can be shut while its destination takes no more, and what stands in it is then not looked at
 * at all; so taking the next costs the same whether ten wait or a million, and a dead destination costs its own line. What
 * could only hear again that its destination is left alone is parked beside its line: one of them tries from time to
 * time, and all go when that one finds somebody.
 *
 * Lanes come first (urgent before normal before bulk, by credits, so that none starves), tenants share a lane by deficit
 * round robin, a tenant's lines take turns. Pure: no clock, no disk. thread: any (one at a time)
 */
#ifndef SP_QUEUE_LINES_H
#define SP_QUEUE_LINES_H

#include "base/map.h"

enum sp_lane {
    SP_LANE_URGENT, /* somebody waits for it: a one-time code */
    SP_LANE_NORMAL,
    SP_LANE_BULK,
    SP_LANE_COUNT,
};
#define SP_LANES_ALL ((1U << SP_LANE_COUNT) - 1)

/* returns: "urgent", "normal", "bulk"; static */
const char *sp_lane_name(enum sp_lane lane);

struct sp_lines;
struct sp_line;

/* A place in a line, in the struct of what waits. Zero it, then set line, cost and may_wake. */
struct sp_line_item {
    union {
        struct sp_heap_node node; /* while it is not due, or parked */
        struct sp_list at;        /* in its line */
    };
    struct sp_line *line;
    int64_t end_ms;          /* it stands in line no longer than that; 0: for ever */
    struct sp_heap_node end; /* lines_ends.c's own */
    uint16_t cost;           /* 1 and more for what is large */
    bool may_wake;  /* while it is not due it is parked, as sp_lines_rest must have told before */
    uint8_t stands; /* lines.c's own */
    bool is_woken;  /* for who takes it: it was parked, and may be before its time */
};

#define SP_LINE_COST_MAX 32

/* owner: the caller, to sp_lines_free. returns: never NULL */
struct sp_lines *sp_lines_new(void);
/* Items must have left, lines been given back. NULL is allowed. */
void sp_lines_free(struct sp_lines *l);

/*
 * The line of a tenant's mail to a destination, made if it is not there.
 *
 * returns: it, with one more reference. owner: the caller, to sp_lines_unref
 */
struct sp_line *sp_lines_ref(struct sp_lines *l, struct sp_bytes tenant,
                             struct sp_bytes destination, enum sp_lane lane);
void sp_lines_unref(struct sp_lines *l, struct sp_line *line);
/* returns: a handle that finds nothing once the line has gone */
sp_handle sp_line_handle(const struct sp_line *line);
/* returns: where its mail goes; lent while the line is there. Cheaper than all that sp_line_look tells */
struct sp_bytes sp_line_destination(const struct sp_line *line);
/* returns: before that nobody who stands there is over, as it was frozen until lately */
int64_t sp_line_spared_until(const struct sp_line *line);
/* returns: its lane */
enum sp_lane sp_line_lane(const struct sp_line *line);

/* It is due at at_ms: at the end of its line if that is not after now_ms. Who stands in line already keeps the place. */
void sp_lines_put(struct sp_lines *l, struct sp_line_item *i, int64_t at_ms, int64_t now_ms);
/* It was handed out and not tried: it stands first in its line again. */
void sp_lines_put_first(struct sp_lines *l, struct sp_line_item *i);
/* The same, but behind those who came so before: many who do keep their order. */
void sp_lines_put_again(struct sp_lines *l, struct sp_line_item *i);
/* It waits no more. Not to wait is allowed. */
void sp_lines_remove(struct sp_lines *l, struct sp_line_item *i);

/* Takes the next one that is due. returns: NULL if there is none in a line that is open and a lane that is served */
struct sp_line_item *sp_lines_next(struct sp_lines *l, int64_t now_ms);

/* returns: 0 if sp_lines_next has one now, else when it will, INT64_MAX if never */
int64_t sp_lines_due_at(const struct sp_lines *l);

/*
 * When its own time ends. Who stands in line then is told out of turn, though the line is shut, slow or far too long: it waits for
 * nobody any more. In a frozen line nobody's time ends.
 */
void sp_lines_end_at(struct sp_lines *l, struct sp_line_item *i, int64_t end_ms);
/* returns: the first whose time has ended, which stays where it is; NULL if there is none. cost: O(log n), however many wait */
struct sp_line_item *sp_lines_ended(struct sp_lines *l, int64_t now_ms);
/* returns: when sp_lines_ended has one, INT64_MAX if never */
int64_t sp_lines_ends_at(const struct sp_lines *l);

/* Which lanes are served: bits 1 << lane; all at first. */
void sp_lines_serve(struct sp_lines *l, unsigned lanes);

/* Shuts a line, or opens it. A stale handle is ignored. returns: whether it changed */
bool sp_lines_shut(struct sp_lines *l, sp_handle line, bool is_shut);
/* Its destination does not answer: it is served after all others, with one in so many. */
void sp_lines_slow(struct sp_lines *l, sp_handle line, bool is_slow);
/*
 * Its destination is left alone until until_ms: then one of the parked comes, and while nothing is heard of that one another
 * each half minute. A stale handle is ignored, here and below.
 */
void sp_lines_rest(struct sp_lines *l, sp_handle line, int64_t until_ms);
/* Its destination answers: those parked come, in turn with those who stand in line. returns: whether any would not have come yet */
bool sp_lines_wake(struct sp_lines *l, sp_handle line);
/*
 * Keeps a tenant's lines, or those to a destination, from being served, also such as are made later; or no longer: then nobody's
 * time ends before spare_ms, or all would be over at once.
 */
void sp_lines_freeze_tenant(struct sp_lines *l, struct sp_bytes tenant, bool on, int64_t spare_ms);
void sp_lines_freeze_destination(struct sp_lines *l, struct sp_bytes destination, bool on,
                                 int64_t spare_ms);

/* Opens all lines, makes none slow and wakes all: whoever shut them has gone. */
void sp_lines_open_all(struct sp_lines *l);

struct sp_line_view {
    struct sp_bytes tenant;
    struct sp_bytes destination;
    enum sp_lane lane;
    size_t ready; /* due now */
    size_t waits; /* due later, parked or not */
    size_t parked;
    int64_t wake_ms; /* when one of these tries; 0: all may go */
    bool is_shut;
    bool is_slow;
    bool is_frozen;
};
/* returns: a line as it stands; texts lent for its life */
struct sp_line_view sp_line_look(const struct sp_line *line);
/*
 * Visits every line, in no order, in steps of a millisecond or less, between which lines may change, come and go.
 *
 * walk:    all zero to begin
 * v:       lent for the call, in which no line may change
 * returns: whether there is another step to do
 */
bool sp_lines_each_some(const struct sp_lines *l, struct sp_map_walk *walk,
                        void (*visit)(void *arg, const struct sp_line_view *v), void *arg);

/* returns: steps taken by all calls so far: what tests count instead of time */
uint64_t sp_lines_steps(const struct sp_lines *l);

#endif
