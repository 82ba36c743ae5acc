/*
 * A queue on a fake disk, without threads, and messages to put into it.
 */
#ifndef SP_TEST_UNIT_QUEUE_RIG_H
#define SP_TEST_UNIT_QUEUE_RIG_H

#include "base/arena.h"
#include "queue/queue.h"
#include "support/check_main.h"
#include "support/fake_clock.h"
#include "support/fake_disk.h"

#include <stdio.h>

#define PENDING_RC ((enum sp_rc)9999)

struct rig {
    struct fake_disk *disk;
    struct fake_clock clock;
    struct sp_journal_keys keys;
    struct sp_queue_options options;
    struct sp_queue *queue;
    struct sp_arena *arena;
    size_t due_told;
    enum sp_rc rc; /* of the last done */
    size_t done_count;
};

static inline void rig_on_due(void *arg)
{
    struct rig *r = arg;

    r->due_told++;
}

static inline void rig_done(void *arg, enum sp_rc rc)
{
    struct rig *r = arg;

    r->rc = rc;
    r->done_count++;
}

static inline void rig_init(struct rig *r, struct fake_disk *disk)
{
    memset(r, 0, sizeof(*r));
    r->disk = disk;
    fake_clock_init(&r->clock, 0);
    memset(r->keys.content.b, 0x11, SP_SECRET_LEN);
    memset(r->keys.record.b, 0x22, SP_SECRET_LEN);
    strcpy(r->keys.kek_id, "kek-test");
    r->arena = sp_arena_new(4096);
    r->options = (struct sp_queue_options){
        .keys = &r->keys,
        .clock = &r->clock.clock,
        .random = sp_random_system(),
        .segment_len = 256 * 1024,
        .reserve_len = 64 * 1024,
        .on_due = rig_on_due,
        .arg = r,
    };
}

static inline enum sp_rc rig_open(struct rig *r)
{
    struct sp_err err = {0};

    r->options.io = fake_disk_io(r->disk);
    r->queue = NULL;
    return sp_queue_open(&r->options, &r->queue, &err);
}

static inline void rig_free(struct rig *r)
{
    sp_queue_close(r->queue);
    sp_arena_free(r->arena);
    fake_disk_free(r->disk);
}

static inline void rig_reopen(struct rig *r)
{
    sp_queue_close(r->queue);
    ck_assert_int_eq(rig_open(r), SP_OK);
}

/* The power goes (or the process dies), and it starts again. */
static inline void rig_crash(struct rig *r, enum fake_crash how, uint64_t seed)
{
    struct fake_disk *after = fake_disk_crash(r->disk, fake_disk_now(r->disk), how, seed);

    sp_queue_close(r->queue);
    fake_disk_free(r->disk);
    r->disk = after;
    ck_assert_int_eq(rig_open(r), SP_OK);
}

static inline struct sp_id rig_id(struct rig *r)
{
    fake_clock_advance(&r->clock, 1);
    return sp_id_new(&r->clock.clock, sp_random_system());
}

/* An accept with so many recipients, all protected by one decision; in the arena. */
static inline struct sp_accept *rig_accept(struct rig *r, size_t recipients)
{
    struct sp_accept *a = sp_arena_alloc(r->arena, sizeof(*a));

    a->id = rig_id(r);
    a->time_ms = r->clock.wall_ms;
    a->tenant = SP_LIT("hospital");
    a->sender = SP_LIT("dr@hospital.example");
    a->policy = SP_LIT("41f0");
    a->decisions = sp_arena_alloc(r->arena, 2 * sizeof(*a->decisions));
    a->decision_count = 2;
    a->decisions[0].does = SP_ACCEPT_DO_PROTECT;
    a->decisions[0].rule = SP_LIT("phi");
    a->decisions[0].rungs = sp_arena_alloc(r->arena, sizeof(struct sp_accept_rung));
    a->decisions[0].rung_count = 1;
    a->decisions[1].does = SP_ACCEPT_DO_HOLD;
    a->decisions[1].rule = SP_LIT("hold-it");
    a->recipients = sp_arena_alloc(r->arena, recipients * sizeof(*a->recipients));
    a->recipient_count = recipients;
    for (size_t i = 0; i < recipients; i++) {
        char text[64];

        (void)snprintf(text, sizeof(text), "p%u@clinic%u.example", (unsigned)i, (unsigned)i % 3);
        a->recipients[i].address = sp_arena_copy(r->arena, sp_bytes_cstr(text));
    }
    a->audit.events = sp_arena_alloc(r->arena, sizeof(*a->audit.events));
    a->audit.events[0] = SP_LIT("{\"event\":\"message.accepted\"}");
    a->audit.count = 1;
    return a;
}

/* Feeds it len bytes and finishes it. */
static inline struct sp_queue_body *rig_fill(struct rig *r, struct sp_queue_body *b, size_t len)
{
    uint8_t block[8192];

    memset(block, 'b', sizeof(block));
    while (len > 0) {
        size_t n = len < sizeof(block) ? len : sizeof(block);

        ck_assert_int_eq(sp_queue_body_feed(b, sp_bytes(block, n)), SP_OK);
        len -= n;
    }
    r->rc = PENDING_RC;
    sp_queue_body_finish(b, rig_done, r);
    ck_assert_int_eq(r->rc, PENDING_RC);
    sp_queue_commit(r->queue);
    ck_assert_int_eq(r->rc, SP_OK);
    return b;
}

/* A finished body of len bytes. */
static inline struct sp_queue_body *rig_body(struct rig *r, const struct sp_id *id, size_t len)
{
    return rig_fill(r, sp_queue_body_new(r->queue, id), len);
}

/* The same, for a child. */
static inline struct sp_queue_body *rig_child_body(struct rig *r, const struct sp_id *id,
                                                   size_t len)
{
    struct sp_queue_body *b = sp_queue_body_new(r->queue, id);

    sp_queue_body_stay(b);
    return rig_fill(r, b, len);
}

static inline void rig_submit(struct rig *r, const struct sp_accept *a, size_t body_len)
{
    struct sp_queue_accept accept = {
        .accept = a, .body = rig_body(r, &a->id, body_len), .done = rig_done, .arg = r};

    r->rc = PENDING_RC;
    if (a->child != NULL)
        accept.child_body = rig_child_body(r, &a->child->id, 500);
    r->rc = PENDING_RC;
    sp_queue_accept(r->queue, &accept);
    ck_assert_int_eq(r->rc, PENDING_RC);
}

/* Takes a message with one recipient in; returns its id. */
static inline struct sp_id rig_put(struct rig *r, size_t body_len)
{
    struct sp_accept *a = rig_accept(r, 1);

    rig_submit(r, a, body_len);
    sp_queue_commit(r->queue);
    ck_assert_int_eq(r->rc, SP_OK);
    return a->id;
}

/* One result for each n, all alike, as one outcome. */
static inline enum sp_rc rig_outcome(struct rig *r, const struct sp_queue_due *due, uint8_t state,
                                     int64_t next_at_ms)
{
    struct sp_result results[SP_QUEUE_DUE_MAX] = {{0}};
    struct sp_outcome o = {.id = due->id,
                           .time_ms = r->clock.wall_ms,
                           .attempt = 1,
                           .results = results,
                           .result_count = due->n_count};

    for (size_t i = 0; i < due->n_count; i++)
        results[i] = (struct sp_result){
            .n = due->ns[i], .state = state, .rung = 2, .smtp = 250, .next_at_ms = next_at_ms};
    r->rc = PENDING_RC;
    sp_queue_outcome(r->queue, &o, NULL, rig_done, r);
    ck_assert_int_eq(r->rc, PENDING_RC);
    sp_queue_commit(r->queue);
    return r->rc;
}

static inline bool rig_due(struct rig *r, struct sp_queue_due *out)
{
    return sp_queue_next_due(r->queue, r->clock.wall_ms, out);
}

/* Takes one due recipient group and delivers it. returns: whether there was one */
static inline bool rig_deliver_one(struct rig *r)
{
    struct sp_queue_due due;

    if (!rig_due(r, &due))
        return false;
    ck_assert_int_eq(rig_outcome(r, &due, SP_RCPT_DELIVERED, 0), SP_OK);
    return true;
}

static inline enum sp_rc rig_act(struct rig *r, uint8_t type, const struct sp_id *id)
{
    struct sp_act act = {.id = *id, .time_ms = r->clock.wall_ms, .reason = SP_LIT("test")};

    r->rc = PENDING_RC;
    sp_queue_act(r->queue, type, &act, rig_done, r);
    ck_assert_int_eq(r->rc, PENDING_RC);
    sp_queue_commit(r->queue);
    return r->rc;
}

#endif
