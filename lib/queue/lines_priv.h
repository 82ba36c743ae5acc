/*
 * What the files of the lines share.
 */
#ifndef SP_QUEUE_LINES_PRIV_H
#define SP_QUEUE_LINES_PRIV_H

#include "queue/lines.h"

#define RINGS (SP_LANE_COUNT + 1)

enum { NOWHERE, FUTURE, READY, PARKED };

struct share { /* of a tenant in a ring */
    struct sp_list at;
    struct sp_list lines; /* that could be served now */
    int deficit;
};

struct tenant {
    struct sp_bytes name; /* in the line's or its own memory: own */
    size_t refs;
    struct share shares[RINGS];
};

struct sp_line {
    struct tenant *tenant;
    struct sp_list at; /* in its share, while it could be served */
    struct sp_list items;
    struct sp_list *again; /* the last of those at its head who stand there again; items: nobody */
    struct sp_heap parked;
    struct sp_heap_node node;      /* in wakes, while anybody is parked */
    int64_t wake_ms;               /* one of the parked may try */
    struct sp_heap ends;           /* of those who stand in line and may not do so for ever */
    struct sp_heap_node ends_node; /* in the ends of all lines, unless it is frozen */
    int64_t spared_ms;             /* none of them is taken out of turn before */
    size_t refs;
    size_t ready;
    size_t waits;     /* parked or not */
    sp_handle handle; /* from here on is what lists of a million look at: side by side */
    enum sp_lane lane;
    bool is_awake;   /* the parked are served as if they were due */
    bool had_parked; /* the turn before */
    bool is_shut;
    bool is_slow;
    bool is_frozen; /* tenant or destination */
    uint16_t key_len;
    uint16_t destination_at;
    uint8_t key[];
};

struct sp_lines {
    struct sp_map *lines;
    struct sp_map *tenants;
    struct sp_slots *handles;
    struct sp_heap future;
    struct sp_heap wakes;          /* lines with parked items */
    struct sp_heap ends;           /* lines in which somebody's time ends */
    struct sp_map *frozen_tenants; /* name -> the lines */
    struct sp_map *frozen_destinations;
    struct {
        struct sp_list shares;
        int credit;
    } rings[RINGS];
    unsigned served;
    uint64_t steps;
};

/* Those whose time has come join their lines. */
void sp_lines_move_due(struct sp_lines *l, int64_t now_ms);

/* ---- lines_ends.c ---- */

/* It stands in its line now, or no more. */
void sp_lines_end_comes(struct sp_lines *l, struct sp_line_item *i);
void sp_lines_end_goes(struct sp_lines *l, struct sp_line_item *i);
/* Finds the line's place among the ends of all anew. */
void sp_lines_set_ends(struct sp_lines *l, struct sp_line *line);

/* returns: struct sp_line by key; lent */
const struct sp_map *sp_lines_all(const struct sp_lines *l);

#endif
