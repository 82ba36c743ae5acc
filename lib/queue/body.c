/*
 * Bodies on their way in. Up to 256 KiB the sealed chunks stay in the writer's memory and go into the record from there;
 * beyond, they are handed to the disk thread chunk by chunk, into a file under the name it will keep: if its record never
 * becomes durable, the file is removed, at the latest at the next start. Those that lie in another message's record
 * never go into a file. Small bodies are reused, because a writer's
 * cipher and hash contexts cost as much as sealing a message.
 */
#include "queue/queue_priv.h"

#include <errno.h>
#include <stdio.h>

enum {
    WAITING_MAX = 1024 * 1024, /* of one body, on its way to disk */
    WRITE_BACK_EVERY =
        1024 * 1024, /* so much, and as much again, of a body is on its way to the disk at most */
    BODY_MEMORY = 32 * 1024 * 1024,
    SPARES_MAX = 64,
    SPARE_MEMORY_MAX =
        2 * SP_CONTENT_SEALED_CHUNK, /* of one; a spare without memory is one still */
};

struct sp_queue_body {
    struct sp_queue *queue;
    struct sp_id id;
    struct sp_content_writer *writer;
    struct sp_queue_body *next; /* among spares */
    struct sp_list waiter;
    void (*on_room)(void *arg);
    void *room_arg;
    void (*done)(void *arg, enum sp_rc rc);
    void *done_arg;
    struct sp_queue_job finish;
    size_t held;    /* bytes in the writer's memory, as counted in the queue */
    size_t waiting; /* bytes on their way to disk */
    size_t jobs;    /* that will still call back */
    enum sp_rc rc;
    bool in_file;
    bool is_kept;
    bool stays;     /* in its record, whatever happens */
    bool has_plain; /* the plaintext is kept for who sends it on */
    bool has_ended; /* and who asked is told when it is safe where it is */
    bool is_freed;
    /* of the disk thread, while jobs run: */
    int fd;
    int64_t offset;
    int64_t written_back; /* up to here it is on its way to the disk */
    int64_t piece;        /* where the piece that was sent last begins */
    enum sp_rc disk_rc;
};

/* Sealed bytes for the disk thread. */
struct write_job {
    struct sp_queue_job job;
    struct sp_queue_body *body;
    enum sp_rc rc; /* the body's disk_rc behind this job: a later one may be changing that */
    size_t len;
    uint8_t data[];
};

void sp_queue_body_file(const struct sp_id *id, char *out)
{
    char text[SP_ID_TEXT_LEN + 1];

    sp_id_format(id, text);
    (void)snprintf(out, SP_QUEUE_FILE_NAME_MAX, "body-%x/%s",
                   (unsigned)(id->b[SP_ID_LEN - 1] % SP_QUEUE_FOLDERS), text);
}

static void folder_of(const struct sp_id *id, char *out)
{
    (void)snprintf(out, SP_QUEUE_FILE_NAME_MAX, "body-%x",
                   (unsigned)(id->b[SP_ID_LEN - 1] % SP_QUEUE_FOLDERS));
}

struct sp_queue_body *sp_queue_body_new(struct sp_queue *q, const struct sp_id *id)
{
    struct sp_queue_body *b = q->spare_bodies;
    struct sp_content_writer *w;

    if (b != NULL) {
        q->spare_bodies = b->next;
        q->spare_body_count--;
        w = b->writer;
        sp_content_writer_reset(w, id, NULL);
    } else {
        b = sp_calloc(1, sizeof(*b));
        w = sp_content_writer_new(id, q->o.random, NULL);
    }
    *b = (struct sp_queue_body){.queue = q, .id = *id, .writer = w, .fd = -1};
    b->has_plain = sp_queue_warm_has_room(q);
    if (b->has_plain)
        sp_content_writer_keep(w, SP_QUEUE_BODY_INLINE_MAX);
    sp_list_init(&b->waiter);
    return b;
}

void sp_queue_body_stay(struct sp_queue_body *b)
{
    sp_assert(sp_content_writer_len(b->writer) == 0);
    b->stays = true;
}

static void destroy(struct sp_queue_body *b)
{
    sp_content_writer_free(b->writer);
    sp_free(b);
}

void sp_queue_body_free_spares(struct sp_queue *q)
{
    struct sp_queue_body *b;

    while ((b = q->spare_bodies) != NULL) {
        q->spare_bodies = b->next;
        destroy(b);
    }
    q->spare_body_count = 0;
}

/* Lets those go on who waited for room. */
static void tell_room(struct sp_queue *q)
{
    SP_LIST_EACH(pos, &q->waiters)
    {
        struct sp_queue_body *b = SP_CONTAINER(pos, struct sp_queue_body, waiter);

        if (sp_queue_body_is_full(b))
            continue;
        sp_list_remove(&b->waiter);
        b->on_room(b->room_arg);
    }
}

static void hold(struct sp_queue_body *b, size_t bytes)
{
    b->queue->body_held += bytes;
    b->queue->body_held -= b->held;
    b->held = bytes;
}

/* All its jobs have called back: close the file, remove it unless a record names it, go. */
static void end(struct sp_queue_body *b)
{
    struct sp_queue *q = b->queue;

    if (b->fd >= 0)
        q->o.io->close(q->o.io->ctx, b->fd);
    b->fd = -1;
    if (b->in_file && !b->is_kept)
        sp_queue_body_unlink(q, &b->id);
    if (b->in_file || q->spare_body_count == SPARES_MAX) {
        destroy(b);
        return;
    }
    sp_content_writer_trim(b->writer, SPARE_MEMORY_MAX);
    b->next = q->spare_bodies;
    q->spare_bodies = b;
    q->spare_body_count++;
}

void sp_queue_body_free(struct sp_queue_body *b)
{
    if (b == NULL)
        return;
    sp_assert(!b->is_freed);
    b->is_freed = true;
    sp_list_remove(&b->waiter);
    hold(b, 0);
    if (b->jobs == 0)
        end(b);
}

/* A job of this body has called back. returns: whether the body is still there */
static bool job_ended(struct sp_queue_body *b)
{
    b->jobs--;
    if (b->is_freed && b->jobs == 0)
        end(b);
    else if (!b->is_freed)
        return true;
    return false;
}

/* ---- to the disk ---- */

static enum sp_rc rc_of(int errnum)
{
    return errnum == -ENOSPC || errnum == -EDQUOT ? SP_E_JOURNAL_FULL : SP_E_JOURNAL_FAILED;
}

/*
 * Sends what was written since on its way, and waits for the piece before: a long queue at the disk would stand before
 * every commit. What a commit finds there are the last two pieces of each disk thread's body.
 */
static void write_back(struct sp_queue_body *b)
{
    const struct sp_journal_io *io = b->queue->o.io;
    int err = io->write_back(io->ctx, b->fd, b->piece, b->offset - b->piece);

    b->piece = b->written_back;
    b->written_back = b->offset;
    if (err != 0)
        b->disk_rc = rc_of(err);
}

static void write_sealed(struct write_job *w)
{
    struct sp_queue_body *b = w->body;
    const struct sp_journal_io *io = b->queue->o.io;
    char name[SP_QUEUE_FILE_NAME_MAX];
    size_t done = 0;

    if (b->disk_rc != SP_OK)
        return;
    if (b->fd < 0) {
        sp_queue_body_file(&b->id, name);
        b->fd = io->open(io->ctx, name, SP_IO_OPEN_CREATE_PRIVATE);
        if (b->fd < 0) {
            b->disk_rc = rc_of(b->fd);
            b->fd = -1;
            return;
        }
    }
    while (done < w->len) {
        struct iovec iov = {w->data + done, w->len - done};
        ssize_t n = io->pwritev(io->ctx, b->fd, &iov, 1, b->offset);

        if (n == -EINTR)
            continue;
        if (n <= 0) {
            b->disk_rc = rc_of(n == 0 ? -EIO : (int)n);
            return;
        }
        done += (size_t)n;
        b->offset += n;
    }
    if (b->offset - b->written_back >= WRITE_BACK_EVERY)
        write_back(b);
}

static void write_run(struct sp_queue_job *job)
{
    struct write_job *w = SP_CONTAINER(job, struct write_job, job);

    write_sealed(w);
    w->rc = w->body->disk_rc;
}

static void write_done(struct sp_queue_job *job)
{
    struct write_job *w = SP_CONTAINER(job, struct write_job, job);
    struct sp_queue_body *b = w->body;
    struct sp_queue *q = b->queue;

    b->waiting -= w->len;
    q->body_waiting -= w->len;
    q->body_held -= w->len;
    if (b->rc == SP_OK)
        b->rc = w->rc;
    sp_free(w);
    (void)job_ended(b);
    tell_room(q);
}

static enum sp_rc to_disk(void *arg, struct sp_bytes sealed)
{
    struct sp_queue_body *b = arg;
    struct write_job *w = sp_malloc(sizeof(*w) + sealed.len);

    w->job = (struct sp_queue_job){.run = write_run, .done = write_done};
    w->body = b;
    w->len = sealed.len;
    memcpy(w->data, sealed.ptr, sealed.len);
    b->jobs++;
    b->waiting += sealed.len;
    b->queue->body_waiting += sealed.len;
    b->queue->body_held += sealed.len;
    sp_queue_disk_submit(b->queue->disk, &w->job);
    return SP_OK;
}

static enum sp_rc spill(struct sp_queue_body *b)
{
    struct sp_content_sink sink = {to_disk, b};

    b->in_file = true;
    b->has_plain = false;
    return sp_content_writer_spill(b->writer, &sink);
}

static size_t inline_limit(const struct sp_queue *q)
{
    return q->o.body_inline == 0 || q->o.body_inline > SP_QUEUE_BODY_INLINE_MAX
               ? SP_QUEUE_BODY_INLINE_MAX
               : q->o.body_inline;
}

static size_t memory_cap(const struct sp_queue *q)
{
    return q->o.body_memory == 0 ? BODY_MEMORY : q->o.body_memory;
}

/* returns: whether it is too much for its place in the record, or for memory */
static bool is_for_file(const struct sp_queue_body *b)
{
    return !b->stays && (sp_content_writer_len(b->writer) > inline_limit(b->queue) ||
                         b->queue->body_held > memory_cap(b->queue));
}

enum sp_rc sp_queue_body_feed(struct sp_queue_body *b, struct sp_bytes plain)
{
    enum sp_rc rc;

    if (b->rc != SP_OK)
        return b->rc;
    if (b->stays && sp_content_writer_len(b->writer) + plain.len > SP_QUEUE_BODY_STAY_MAX)
        return b->rc = SP_E_LIMIT;
    rc = sp_content_writer_feed(b->writer, plain);
    if (rc == SP_OK && !b->in_file && is_for_file(b))
        rc = spill(b);
    if (b->in_file)
        hold(b, SP_CONTENT_SEALED_CHUNK);
    else
        hold(b, (size_t)sp_content_writer_len(b->writer) * (b->has_plain ? 2 : 1));
    if (b->rc == SP_OK)
        b->rc = rc;
    return b->rc;
}

size_t sp_queue_body_memory(const struct sp_queue_body *b)
{
    return b == NULL ? 0 : b->held + b->waiting;
}

void sp_queue_body_spill(struct sp_queue_body *b)
{
    enum sp_rc rc;

    if (b->has_ended || b->in_file || b->stays || b->rc != SP_OK ||
        sp_content_writer_len(b->writer) == 0)
        return;
    rc = spill(b);
    hold(b, SP_CONTENT_SEALED_CHUNK);
    if (b->rc == SP_OK)
        b->rc = rc;
}

bool sp_queue_body_is_full(const struct sp_queue_body *b)
{
    return b->waiting > WAITING_MAX ||
           (b->waiting > 0 && b->queue->body_held > memory_cap(b->queue));
}

void sp_queue_body_wait(struct sp_queue_body *b, void (*on_room)(void *arg), void *arg)
{
    b->on_room = on_room;
    b->room_arg = arg;
    sp_list_remove(&b->waiter);
    sp_list_append(&b->queue->waiters, &b->waiter);
}

/* ---- the end of one ---- */

static void sync_prepare(struct sp_queue_job *job)
{
    struct sp_queue_body *b = SP_CONTAINER(job, struct sp_queue_body, finish);

    if (b->disk_rc == SP_OK)
        write_back(b);
}

static void sync_run(struct sp_queue_job *job)
{
    struct sp_queue_body *b = SP_CONTAINER(job, struct sp_queue_body, finish);
    const struct sp_journal_io *io = b->queue->o.io;
    int err;

    if (b->disk_rc != SP_OK)
        return;
    err = io->sync(io->ctx, b->fd);
    if (err != 0)
        b->disk_rc = rc_of(err);
}

static int sync_folder(struct sp_queue_job *job)
{
    struct sp_queue_body *b = SP_CONTAINER(job, struct sp_queue_body, finish);
    const struct sp_journal_io *io = b->queue->o.io;
    char folder[SP_QUEUE_FILE_NAME_MAX];

    folder_of(&b->id, folder);
    return io->sync_folder(io->ctx, folder);
}

static void finish_done(struct sp_queue_job *job)
{
    struct sp_queue_body *b = SP_CONTAINER(job, struct sp_queue_body, finish);

    if (b->rc == SP_OK)
        b->rc = b->disk_rc;
    if (b->rc == SP_OK && job->folder_err != 0)
        b->rc = rc_of(job->folder_err);
    if (job_ended(b))
        b->done(b->done_arg, b->rc);
}

void sp_queue_body_finish(struct sp_queue_body *b, void (*done)(void *arg, enum sp_rc rc),
                          void *arg)
{
    enum sp_rc rc = sp_content_writer_finish(b->writer);

    if (b->rc == SP_OK)
        b->rc = rc;
    b->has_ended = true;
    b->done = done;
    b->done_arg = arg;
    b->jobs++;
    b->finish = (struct sp_queue_job){.run = sync_run,
                                      .done = finish_done,
                                      .prepare = sync_prepare,
                                      .sync_folder = sync_folder,
                                      .folder = b->id.b[SP_ID_LEN - 1] % SP_QUEUE_FOLDERS};
    if (b->in_file)
        sp_queue_disk_submit(b->queue->disk, &b->finish);
    else
        sp_queue_disk_defer(b->queue->disk, &b->finish);
}

uint64_t sp_queue_body_len(const struct sp_queue_body *b)
{
    return sp_content_writer_len(b->writer);
}

void sp_queue_body_sha256(const struct sp_queue_body *b, uint8_t out[32])
{
    sp_content_writer_sha256(b->writer, out);
}

struct sp_id sp_queue_body_id(const struct sp_queue_body *b)
{
    return b->id;
}

enum sp_rc sp_queue_body_handle(const struct sp_queue_body *b, struct sp_content *out)
{
    const struct sp_journal_io *io = b->queue->o.io;
    char name[SP_QUEUE_FILE_NAME_MAX];
    int fd = -1;

    if (b->rc != SP_OK)
        return b->rc;
    if (b->in_file) {
        sp_queue_body_file(&b->id, name);
        fd = io->open(io->ctx, name, SP_IO_OPEN_READ);
        if (fd < 0)
            return SP_E_IO;
    }
    sp_content_writer_handle(b->writer, fd, 0, out);
    return SP_OK;
}

enum sp_rc sp_queue_body_export(const struct sp_queue_body *b, struct sp_content *out)
{
    struct sp_content in;
    enum sp_rc rc = sp_queue_body_handle(b, &in);

    if (rc != SP_OK)
        return rc;
    if (in.fd >= 0) {
        *out = in;
        return SP_OK;
    }
    rc = sp_content_export_memfd(&in, out);
    sp_content_clear(&in);
    return rc;
}

/* ---- for the records ---- */

bool sp_queue_body_in_file(const struct sp_queue_body *b)
{
    return b->in_file;
}

void sp_queue_body_append(const struct sp_queue_body *b, struct sp_journal_append *a)
{
    struct sp_journal_body *to = &a->bodies[a->body_count++];

    to->id = b->id;
    to->key = sp_content_writer_key(b->writer);
    to->sealed = sp_bytes(NULL, 0);
    to->has_crc = !b->in_file;
    if (b->in_file)
        return;
    to->sealed = sp_content_writer_sealed(b->writer);
    to->crc = sp_content_writer_crc(b->writer);
}

void sp_queue_body_keep(struct sp_queue_body *b)
{
    b->is_kept = true;
}

struct sp_content_plain *sp_queue_body_take_plain(struct sp_queue_body *b)
{
    return sp_content_writer_take_plain(b->writer);
}

/* ---- files ---- */

struct unlink_job {
    struct sp_queue_job job;
    const struct sp_journal_io *io;
    char name[SP_QUEUE_FILE_NAME_MAX];
};

static void unlink_run(struct sp_queue_job *job)
{
    struct unlink_job *u = SP_CONTAINER(job, struct unlink_job, job);

    (void)u->io->unlink(u->io->ctx, u->name);
}

static void unlink_done(struct sp_queue_job *job)
{
    sp_free(SP_CONTAINER(job, struct unlink_job, job));
}

void sp_queue_body_unlink(struct sp_queue *q, const struct sp_id *id)
{
    struct unlink_job *u;

    if (q->journal == NULL) /* at restart, files that no entry names are removed all together */
        return;
    u = sp_calloc(1, sizeof(*u));
    u->job = (struct sp_queue_job){.run = unlink_run, .done = unlink_done};
    u->io = q->o.io;
    sp_queue_body_file(id, u->name);
    sp_queue_disk_submit(q->disk, &u->job);
}

struct sweep {
    struct sp_queue *queue;
    struct sp_buf unnamed; /* file names, each with its NUL */
    unsigned folder;
};

static void on_file(void *arg, const char *name)
{
    struct sweep *s = arg;
    const struct sp_queue_entry *e;
    struct sp_id id;

    if (sp_id_parse(sp_bytes_cstr(name), &id)) {
        e = sp_queue_entry_find(s->queue, &id);
        if (e != NULL && e->body_in_file)
            return;
    }
    sp_buf_printf(&s->unnamed, "body-%x/%s", s->folder, name);
    sp_buf_put_u8(&s->unnamed, 0);
}

enum sp_rc sp_queue_body_folders(struct sp_queue *q, bool is_damaged, struct sp_err *err)
{
    const struct sp_journal_io *io = q->o.io;
    struct sweep s = {.queue = q};
    struct sp_bytes rest;
    struct sp_bytes name;
    char folder[SP_QUEUE_FILE_NAME_MAX];

    sp_buf_init(&s.unnamed, 16 * 1024 * 1024);
    for (s.folder = 0; s.folder < SP_QUEUE_FOLDERS; s.folder++) {
        (void)snprintf(folder, sizeof(folder), "body-%x", s.folder);
        if (io->make_folder(io->ctx, folder) != 0 || io->list(io->ctx, folder, on_file, &s) != 0) {
            sp_buf_clear(&s.unnamed);
            return sp_fail(err, SP_E_IO, "the folder %s can't be made or read", folder);
        }
    }
    rest = sp_buf_bytes(&s.unnamed);
    while (!is_damaged && sp_bytes_split(&rest, '\0', &name))
        if (name.len > 0)
            (void)io->unlink(io->ctx, (const char *)name.ptr);
    sp_buf_clear(&s.unnamed);
    if (io->sync_folder(io->ctx, ".") != 0)
        return sp_fail(err, SP_E_IO, "the shard's folder can't be synced");
    return SP_OK;
}
