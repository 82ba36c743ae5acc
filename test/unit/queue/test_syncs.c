/*
 * Bodies with files of their own, with the queue's threads, on a real folder: the syncs of a group run side by side, none
 * is left out, and a body has ended only when its file and its name are durable.
 */
#include "queue/queue.h"
#include "support/check_main.h"
#include "support/fault_board.h"
#include "support/queue_folder.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BODIES = 24, FOLDERS = 16, FDS = 4096, LONG_S = 120 };

struct body {
    struct sp_id id;
    struct sp_queue_body *body;
    struct sp_accept accept;
    enum sp_rc rc;
    bool has_ended;
};

static struct queue_folder at;
static struct sp_journal_io watched; /* the disk, watched */
static struct body bodies[BODIES];
static size_t begun, ended, accepted;

/* What the disk has been asked for, by whichever thread. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct {
    size_t now;                /* a number for each thing that happens */
    size_t inside, most;       /* syncs of bodies and their folders that are under way at once */
    size_t wanted;             /* a sync waits until there were so many at once */
    size_t file_syncs;         /* of bodies */
    size_t folder_syncs;       /* of their folders */
    size_t created[BODIES];    /* when; 0: not yet */
    bool synced[BODIES];       /* the file is durable */
    size_t name_since[BODIES]; /* 0, or the folder of this body was synced, begun then */
    int fail_file;             /* which body's file can't be synced; -1: none */
    int fail_folder;
    int body_of[FDS]; /* number + 1 of the body whose file that descriptor is; 0: of none */
} seen;

/* returns: which body's file has this name, -1: none */
static int body_named(const char *name)
{
    const char *slash = strchr(name, '/');
    struct sp_id id;

    if (strncmp(name, "body-", 5) != 0 || slash == NULL ||
        !sp_id_parse(sp_bytes_cstr(slash + 1), &id))
        return -1;
    for (size_t i = 0; i < begun; i++)
        if (sp_id_eq(&id, &bodies[i].id))
            return (int)i;
    return -1;
}

static unsigned folder_of(size_t i)
{
    return bodies[i].id.b[SP_ID_LEN - 1] % FOLDERS;
}

/* A sync has begun: it waits for company, if that is wanted. The lock is held. returns: when it began */
static size_t enter(void)
{
    size_t since = ++seen.now;
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LONG_S;
    if (++seen.inside > seen.most)
        seen.most = seen.inside;
    pthread_cond_broadcast(&changed);
    while (seen.most < seen.wanted)
        if (pthread_cond_timedwait(&changed, &lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&lock);
    return since;
}

static void leave(void)
{
    pthread_mutex_lock(&lock);
    seen.inside--;
}

static int watch_open(void *ctx, const char *name, enum sp_io_open how)
{
    int fd = at.disk.open(ctx, name, how);
    int i = body_named(name);

    if (fd < 0)
        return fd;
    sp_assert(fd < FDS);
    pthread_mutex_lock(&lock);
    seen.body_of[fd] = i + 1;
    if (i >= 0 && how == SP_IO_OPEN_CREATE_PRIVATE)
        seen.created[i] = ++seen.now;
    pthread_mutex_unlock(&lock);
    return fd;
}

static int watch_sync(void *ctx, int fd)
{
    int i;
    int rc;

    pthread_mutex_lock(&lock);
    i = seen.body_of[fd] - 1;
    if (i < 0) {
        pthread_mutex_unlock(&lock);
        return at.disk.sync(ctx, fd);
    }
    seen.file_syncs++;
    (void)enter();
    rc = i == seen.fail_file ? -EIO : at.disk.sync(ctx, fd);
    leave();
    seen.synced[i] = rc == 0;
    pthread_mutex_unlock(&lock);
    return rc;
}

static int watch_sync_folder(void *ctx, const char *name)
{
    unsigned folder;
    size_t since;
    int rc;

    if (strncmp(name, "body-", 5) != 0)
        return at.disk.sync_folder(ctx, name);
    folder = (unsigned)strtoul(name + 5, NULL, 16);
    pthread_mutex_lock(&lock);
    seen.folder_syncs++;
    since = enter();
    rc = (int)folder == seen.fail_folder ? -EIO : at.disk.sync_folder(ctx, name);
    leave();
    for (size_t i = 0; rc == 0 && i < begun; i++)
        if (folder_of(i) == folder && since > seen.name_since[i])
            seen.name_since[i] = since;
    pthread_mutex_unlock(&lock);
    return rc;
}

static void open_queue(void)
{
    queue_folder_open(&at, &(struct sp_queue_options){.io = &watched});
}

static void setup(void)
{
    queue_folder_make(&at);
    watched = at.disk;
    watched.open = watch_open;
    watched.sync = watch_sync;
    watched.sync_folder = watch_sync_folder;
    memset(&seen, 0, sizeof(seen));
    seen.fail_file = seen.fail_folder = -1;
    memset(bodies, 0, sizeof(bodies));
    begun = ended = accepted = 0;
    open_queue();
}

static void teardown(void)
{
    queue_folder_remove(&at);
}

/* All that must be durable before a body has ended is. */
static void must_be_durable(size_t i)
{
    bool synced;
    size_t created, name_since;

    pthread_mutex_lock(&lock);
    synced = seen.synced[i];
    created = seen.created[i];
    name_since = seen.name_since[i];
    pthread_mutex_unlock(&lock);
    ck_assert_msg(synced, "body %zu has ended before its file's sync", i);
    ck_assert_msg(created > 0 && name_since > created,
                  "body %zu has ended before a sync of its folder that knows of it", i);
}

static void on_accepted(void *arg, enum sp_rc rc)
{
    (void)arg;
    ck_assert_int_eq(rc, SP_OK);
    if (++accepted == begun)
        sp_loop_stop(at.loop);
}

static void on_ended(void *arg, enum sp_rc rc)
{
    struct body *b = arg;
    size_t i = (size_t)(b - bodies);

    ck_assert(!b->has_ended);
    b->has_ended = true;
    b->rc = rc;
    ended++;
    if (rc == SP_OK) {
        must_be_durable(i);
        sp_queue_accept(at.queue, &(struct sp_queue_accept){
                                      .accept = &b->accept, .body = b->body, .done = on_accepted});
        return;
    }
    sp_queue_body_free(b->body);
    if (++accepted == begun)
        sp_loop_stop(at.loop);
}

/* So many bodies of more than can lie in a record, in that many folders. */
static void begin(size_t count, unsigned folders)
{
    static const uint8_t text[60000] = "its own text";

    for (; begun < count; begun++) {
        struct body *b = &bodies[begun];

        b->accept = queue_folder_accept(&at);
        b->accept.id.b[SP_ID_LEN - 1] = (uint8_t)(begun % folders);
        b->id = b->accept.id;
    }
    for (size_t i = 0; i < count; i++) {
        bodies[i].body = sp_queue_body_new(at.queue, &bodies[i].id);
        for (int block = 0; block < 6; block++)
            ck_assert_int_eq(sp_queue_body_feed(bodies[i].body, sp_bytes(text, sizeof(text))),
                             SP_OK);
    }
    for (size_t i = 0; i < count; i++)
        sp_queue_body_finish(bodies[i].body, on_ended, &bodies[i]);
}

START_TEST(a_file_and_its_folder_are_synced_side_by_side)
{
    seen.wanted = 2;
    begin(1, FOLDERS);
    sp_loop_run(at.loop);
    ck_assert_int_eq(bodies[0].rc, SP_OK);
    ck_assert_uint_eq(seen.most, 2);
    ck_assert_uint_eq(seen.file_syncs, 1);
    ck_assert_uint_eq(seen.folder_syncs, 1);
}
END_TEST

START_TEST(no_sync_of_a_group_is_left_out)
{
    begin(BODIES, FOLDERS);
    sp_loop_run(at.loop); /* on_ended looks at each */
    ck_assert_uint_eq(ended, BODIES);
    ck_assert_uint_eq(seen.file_syncs, BODIES);
    ck_assert_uint_le(seen.folder_syncs, BODIES);
    ck_assert_uint_eq(sp_queue_stats(at.queue).messages, BODIES);
}
END_TEST

START_TEST(a_file_that_can_not_be_synced_costs_its_message_alone)
{
    seen.fail_file = 5;
    begin(BODIES, FOLDERS);
    sp_loop_run(at.loop);
    for (int i = 0; i < BODIES; i++)
        ck_assert_int_eq(bodies[i].rc, i == 5 ? SP_E_JOURNAL_FAILED : SP_OK);
    ck_assert_uint_eq(sp_queue_stats(at.queue).messages, BODIES - 1);
}
END_TEST

START_TEST(a_folder_that_can_not_be_synced_costs_those_in_it)
{
    seen.fail_folder = 2;
    begin(BODIES, 4);
    sp_loop_run(at.loop);
    for (int i = 0; i < BODIES; i++)
        ck_assert_int_eq(bodies[i].rc, i % 4 == 2 ? SP_E_JOURNAL_FAILED : SP_OK);
    ck_assert_uint_eq(sp_queue_stats(at.queue).messages, BODIES - BODIES / 4);
}
END_TEST

START_TEST(without_more_threads_one_does_it_all)
{
    queue_folder_close(&at); /* the board comes and goes while there is one thread */
    if (!fault_board_arm("queue.sync-thread", 1))
        return;
    open_queue();
    begin(1, FOLDERS);
    sp_loop_run(at.loop);
    queue_folder_close(&at);
    ck_assert(fault_board_struck());
    fault_board_end();
    ck_assert_int_eq(bodies[0].rc, SP_OK);
    ck_assert_uint_eq(seen.most, 1);
    ck_assert_uint_eq(seen.file_syncs + seen.folder_syncs, 2);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_file_and_its_folder_are_synced_side_by_side);
    tcase_add_test(c, no_sync_of_a_group_is_left_out);
    tcase_add_test(c, a_file_that_can_not_be_synced_costs_its_message_alone);
    tcase_add_test(c, a_folder_that_can_not_be_synced_costs_those_in_it);
    tcase_add_test(c, without_more_threads_one_does_it_all);
}

SP_TEST_MAIN("queue.syncs", add)
