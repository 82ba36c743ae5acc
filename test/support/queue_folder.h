/*
 * A queue with its threads, on a real folder of its own, and the least message to put into it.
 *
 *     setup:     queue_folder_make(&at); at.disk is the real disk's table, to be copied where a test watches it
 *                queue_folder_open(&at, &(struct sp_queue_options){.io = &watched});
 *     teardown:  queue_folder_remove(&at);
 */
#ifndef SP_TEST_SUPPORT_QUEUE_FOLDER_H
#define SP_TEST_SUPPORT_QUEUE_FOLDER_H

#include "queue/queue.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct queue_folder {
    struct sp_loop *loop;
    struct sp_queue *queue; /* NULL: closed */
    struct sp_journal_io disk;
    char dir[64];
};

static inline void queue_folder_make(struct queue_folder *f)
{
    memset(f, 0, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "%s", "/tmp/sallyport-queue-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    f->loop = sp_loop_new();
    ck_assert_int_eq(sp_journal_io_posix(f->dir, &f->disk, NULL), SP_OK);
}

/* with: io, and what else a test wants to be so; the rest is set here. */
static inline void queue_folder_open(struct queue_folder *f, const struct sp_queue_options *with)
{
    struct sp_journal_keys keys = {.kek_id = "kek"};
    struct sp_queue_options o = *with;
    struct sp_err err = {0};

    memset(keys.content.b, 1, SP_SECRET_LEN);
    memset(keys.record.b, 2, SP_SECRET_LEN);
    o.keys = &keys;
    o.loop = f->loop;
    o.clock = sp_loop_clock(f->loop);
    o.random = sp_random_system();
    o.segment_len = 1024 * 1024;
    o.reserve_len = 64 * 1024;
    ck_assert_msg(sp_queue_open(&o, &f->queue, &err) == SP_OK, "%s", err.text);
}

static inline void queue_folder_close(struct queue_folder *f)
{
    sp_queue_close(f->queue); /* whose callbacks still use it */
    f->queue = NULL;
}

static inline void queue_folder_remove(struct queue_folder *f)
{
    char command[128];

    queue_folder_close(f);
    sp_loop_free(f->loop);
    sp_journal_io_posix_free(&f->disk);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    ck_assert_int_eq(system(command), 0); // NOLINT(cert-env33-c): a folder of our own
}

/* A message with one recipient and a new id. */
static inline struct sp_accept queue_folder_accept(struct queue_folder *f)
{
    static struct sp_accept_decision decision = {.rule = SP_LIT_INIT("r")};
    static struct sp_accept_recipient recipient = {.address = SP_LIT_INIT("a@b.example")};

    return (struct sp_accept){.id = sp_id_new(sp_loop_clock(f->loop), sp_random_system()),
                              .decisions = &decision,
                              .decision_count = 1,
                              .recipients = &recipient,
                              .recipient_count = 1};
}

#endif
