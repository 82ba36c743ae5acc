/*
 * Files are memfds, so that descriptors are real and anybody can pread them; names are a list. The record keeps a copy of
 * all data written, which is what a crash is rebuilt from: writes with a good sync behind them are whole, the others are
 * cut into sectors of 512 bytes of which the seed keeps some; changes of folders behind the last sync of the folder are
 * kept up to a point, in order, as a journaling file system does.
 */
#include "support/fake_disk.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_LEN = 128, FD_MAX = 4096, SECTOR = 512, KINDS = FAKE_TRUNCATE + 1 };

struct op {
    enum fake_op kind;
    bool failed;
    int node;
    char name[NAME_MAX_LEN];
    char to[NAME_MAX_LEN];
    int64_t offset;
    uint8_t *data;
    size_t len;
};

struct name {
    char text[NAME_MAX_LEN];
    int node;
    bool used;
};

struct fault {
    size_t in; /* 0: none */
    int errnum;
    bool forever;
};

struct fake_disk {
    struct sp_journal_io io;
    pthread_mutex_t lock;
    int *nodes; /* memfds */
    size_t node_count;
    struct name *names;
    size_t name_count;
    int node_of_fd[FD_MAX];
    struct op *ops;
    size_t op_count;
    size_t op_cap;
    struct fault faults[KINDS];
    size_t short_write;
    size_t room;
    bool locked;
};

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static struct op *record(struct fake_disk *d, enum fake_op kind, int node, const char *name)
{
    struct op *op;

    if (d->op_count == d->op_cap) {
        d->op_cap = d->op_cap == 0 ? 256 : d->op_cap * 2;
        d->ops = sp_realloc(d->ops, d->op_cap * sizeof(*d->ops));
    }
    op = &d->ops[d->op_count++];
    *op = (struct op){.kind = kind, .node = node};
    if (name != NULL)
        strncpy(op->name, name, NAME_MAX_LEN - 1);
    return op;
}

/* Whether this operation is the one to fail. returns: 0 or -errno */
static int fault_of(struct fake_disk *d, enum fake_op kind)
{
    struct fault *f = &d->faults[kind];

    if (f->in == 0)
        return 0;
    if (f->in > 1) {
        f->in--;
        return 0;
    }
    if (!f->forever)
        f->in = 0;
    return -f->errnum;
}

static struct name *find(struct fake_disk *d, const char *text)
{
    for (size_t i = 0; i < d->name_count; i++)
        if (d->names[i].used && strcmp(d->names[i].text, text) == 0)
            return &d->names[i];
    return NULL;
}

static void put_name(struct fake_disk *d, const char *text, int node)
{
    struct name *n = find(d, text);

    if (n == NULL) {
        d->names = sp_realloc(d->names, (d->name_count + 1) * sizeof(*d->names));
        n = &d->names[d->name_count++];
        *n = (struct name){.used = true};
        strncpy(n->text, text, NAME_MAX_LEN - 1);
    }
    n->node = node;
}

static int new_node(struct fake_disk *d)
{
    int fd = memfd_create("fake", MFD_CLOEXEC);

    sp_assert(fd >= 0);
    d->nodes = sp_realloc(d->nodes, (d->node_count + 1) * sizeof(*d->nodes));
    d->nodes[d->node_count] = fd;
    return (int)d->node_count++;
}

static int open_node(struct fake_disk *d, int node)
{
    int fd = fcntl(d->nodes[node], F_DUPFD_CLOEXEC, 0);

    sp_assert(fd >= 0 && fd < FD_MAX);
    d->node_of_fd[fd] = node;
    return fd;
}

static int disk_open(void *ctx, const char *name, enum sp_io_open how)
{
    struct fake_disk *d = ctx;
    const struct name *n;
    int rc;

    pthread_mutex_lock(&d->lock);
    n = find(d, name);
    if (how == SP_IO_OPEN_READ || how == SP_IO_OPEN_WRITE) {
        rc = n == NULL ? -ENOENT : open_node(d, n->node);
    } else if (n != NULL) {
        rc = -EEXIST;
    } else {
        rc = fault_of(d, FAKE_CREATE);
        if (rc == 0) {
            int node = new_node(d);

            put_name(d, name, node);
            (void)record(d, FAKE_CREATE, node, name);
            rc = open_node(d, node);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static void disk_close(void *ctx, int fd)
{
    (void)ctx;
    (void)close(fd);
}

static size_t file_len(int fd)
{
    struct stat st;

    sp_assert(fstat(fd, &st) == 0);
    return (size_t)st.st_size;
}

/* Writes what there is room for. returns: bytes, or -errno */
static ssize_t write_node(struct fake_disk *d, int node, struct sp_bytes data, int64_t offset)
{
    size_t end = (size_t)offset + data.len;
    size_t len = file_len(d->nodes[node]);
    size_t grows = end > len ? end - len : 0;
    struct op *op;

    if (grows > d->room) {
        if (data.len <= grows - d->room)
            return -ENOSPC;
        data.len -= grows - d->room;
        grows = d->room;
    }
    if (d->room != SIZE_MAX)
        d->room -= grows;
    sp_assert(pwrite(d->nodes[node], data.ptr, data.len, offset) == (ssize_t)data.len);
    op = record(d, FAKE_WRITE, node, NULL);
    op->offset = offset;
    op->data = sp_malloc(data.len);
    op->len = data.len;
    memcpy(op->data, data.ptr, data.len);
    return (ssize_t)data.len;
}

static ssize_t disk_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    struct fake_disk *d = ctx;
    uint8_t *all;
    size_t len = 0;
    ssize_t n;
    int rc;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    all = sp_malloc(len);
    len = 0;
    for (int i = 0; i < count; i++) {
        memcpy(all + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    pthread_mutex_lock(&d->lock);
    rc = fault_of(d, FAKE_WRITE);
    if (rc != 0)
        len /= 2; /* half of it got there */
    if (d->short_write > 0 && len > d->short_write)
        len = d->short_write;
    n = write_node(d, d->node_of_fd[fd], sp_bytes(all, len), offset);
    pthread_mutex_unlock(&d->lock);
    sp_free(all);
    return rc != 0 ? rc : n;
}

static ssize_t disk_pread(void *ctx, int fd, void *out, size_t len, int64_t offset)
{
    ssize_t n = pread(fd, out, len, offset);

    (void)ctx;
    return n < 0 ? -errno : n;
}

static int disk_sync(void *ctx, int fd)
{
    struct fake_disk *d = ctx;
    int rc;

    pthread_mutex_lock(&d->lock);
    rc = fault_of(d, FAKE_SYNC);
    record(d, FAKE_SYNC, d->node_of_fd[fd], NULL)->failed = rc != 0;
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int disk_sync_folder(void *ctx, const char *name)
{
    struct fake_disk *d = ctx;
    int rc;

    pthread_mutex_lock(&d->lock);
    rc = fault_of(d, FAKE_SYNC_FOLDER);
    record(d, FAKE_SYNC_FOLDER, -1, name)->failed = rc != 0;
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int disk_write_back(void *ctx, int fd, int64_t offset, int64_t len)
{
    struct fake_disk *d = ctx;
    int rc;

    (void)fd;
    (void)offset;
    (void)len;
    pthread_mutex_lock(&d->lock);
    rc = fault_of(d, FAKE_WRITE_BACK);
    record(d, FAKE_WRITE_BACK, -1, NULL)->failed = rc != 0;
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int disk_truncate(void *ctx, int fd, int64_t len)
{
    struct fake_disk *d = ctx;
    int node, rc;

    pthread_mutex_lock(&d->lock);
    node = d->node_of_fd[fd];
    rc = fault_of(d, FAKE_TRUNCATE);
    if (rc == 0) {
        size_t before = file_len(d->nodes[node]);

        sp_assert(ftruncate(d->nodes[node], (off_t)len) == 0);
        if (d->room != SIZE_MAX && before > (size_t)len)
            d->room += before - (size_t)len;
        record(d, FAKE_TRUNCATE, node, NULL)->offset = len;
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int disk_rename(void *ctx, const char *from, const char *to)
{
    struct fake_disk *d = ctx;
    struct name *n;
    int rc;

    pthread_mutex_lock(&d->lock);
    n = find(d, from);
    rc = n == NULL ? -ENOENT : fault_of(d, FAKE_RENAME);
    if (rc == 0) {
        struct op *op = record(d, FAKE_RENAME, n->node, from);

        strncpy(op->to, to, NAME_MAX_LEN - 1);
        n->used = false;
        put_name(d, to, op->node);
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int disk_unlink(void *ctx, const char *name)
{
    struct fake_disk *d = ctx;
    struct name *n;
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    n = find(d, name);
    if (n == NULL) {
        rc = -ENOENT;
    } else {
        if (d->room != SIZE_MAX)
            d->room += file_len(d->nodes[n->node]);
        n->used = false;
        (void)record(d, FAKE_UNLINK, n->node, name);
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int disk_make_folder(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return 0;
}

static int disk_list(void *ctx, const char *folder, void (*visit)(void *arg, const char *name),
                     void *arg)
{
    struct fake_disk *d = ctx;
    char prefix[NAME_MAX_LEN] = "";
    size_t count;

    if (strcmp(folder, ".") != 0) {
        strncpy(prefix, folder, NAME_MAX_LEN - 2);
        strncat(prefix, "/", 2);
    }
    pthread_mutex_lock(&d->lock);
    count = d->name_count;
    for (size_t i = 0; i < count; i++) {
        char text[NAME_MAX_LEN];

        memcpy(text, d->names[i].text, sizeof(text));
        if (!d->names[i].used || strncmp(text, prefix, strlen(prefix)) != 0 ||
            strchr(text + strlen(prefix), '/') != NULL)
            continue;
        pthread_mutex_unlock(&d->lock);
        visit(arg, text + strlen(prefix));
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int disk_lock(void *ctx)
{
    struct fake_disk *d = ctx;

    if (d->locked)
        return -EWOULDBLOCK;
    d->locked = true;
    return 0;
}

struct fake_disk *fake_disk_new(void)
{
    struct fake_disk *d = sp_calloc(1, sizeof(*d));

    d->room = SIZE_MAX;
    pthread_mutex_init(&d->lock, NULL);
    d->io = (struct sp_journal_io){
        .open = disk_open,
        .close = disk_close,
        .pwritev = disk_pwritev,
        .pread = disk_pread,
        .sync = disk_sync,
        .sync_folder = disk_sync_folder,
        .write_back = disk_write_back,
        .truncate = disk_truncate,
        .rename = disk_rename,
        .unlink = disk_unlink,
        .make_folder = disk_make_folder,
        .list = disk_list,
        .lock = disk_lock,
        .ctx = d,
    };
    return d;
}

void fake_disk_free(struct fake_disk *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->op_count; i++)
        sp_free(d->ops[i].data);
    for (size_t i = 0; i < d->node_count; i++)
        (void)close(d->nodes[i]);
    sp_free(d->ops);
    sp_free(d->nodes);
    sp_free(d->names);
    pthread_mutex_destroy(&d->lock);
    sp_free(d);
}

const struct sp_journal_io *fake_disk_io(struct fake_disk *d)
{
    d->locked = false; /* whoever had it is gone */
    return &d->io;
}

size_t fake_disk_now(struct fake_disk *d)
{
    size_t now;

    pthread_mutex_lock(&d->lock);
    now = d->op_count;
    pthread_mutex_unlock(&d->lock);
    return now;
}

size_t fake_disk_count(struct fake_disk *d, enum fake_op kind, size_t from)
{
    size_t n = 0;

    pthread_mutex_lock(&d->lock);
    for (size_t i = from; i < d->op_count; i++)
        if (d->ops[i].kind == kind)
            n++;
    pthread_mutex_unlock(&d->lock);
    return n;
}

/*
 * Whether a good sync of the same file lies between the operation and `at`, with no failed one before it: after a failed
 * sync the kernel takes the pages for clean, so that a later good one proves nothing of them.
 */
static bool is_synced(const struct fake_disk *d, size_t op, size_t at)
{
    for (size_t i = op + 1; i < at; i++)
        if (d->ops[i].kind == FAKE_SYNC && d->ops[i].node == d->ops[op].node)
            return !d->ops[i].failed;
    return false;
}

bool fake_disk_is_synced(struct fake_disk *d, size_t at)
{
    bool all = true;

    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < at; i++)
        if (d->ops[i].kind == FAKE_WRITE && !is_synced(d, i, at))
            all = false;
    pthread_mutex_unlock(&d->lock);
    return all;
}

void fake_disk_fail(struct fake_disk *d, enum fake_op kind, size_t n, int errnum, bool forever)
{
    pthread_mutex_lock(&d->lock);
    d->faults[kind] = (struct fault){n, errnum, forever};
    pthread_mutex_unlock(&d->lock);
}

void fake_disk_mend(struct fake_disk *d)
{
    pthread_mutex_lock(&d->lock);
    memset(d->faults, 0, sizeof(d->faults));
    d->room = SIZE_MAX;
    pthread_mutex_unlock(&d->lock);
}

void fake_disk_short_writes(struct fake_disk *d, size_t at_most)
{
    d->short_write = at_most;
}

void fake_disk_set_room(struct fake_disk *d, size_t bytes)
{
    pthread_mutex_lock(&d->lock);
    d->room = bytes;
    pthread_mutex_unlock(&d->lock);
}

static bool is_folder_op(const struct op *op)
{
    return op->kind == FAKE_CREATE || op->kind == FAKE_RENAME || op->kind == FAKE_UNLINK;
}

/* Whether the folder that an operation changed was synced between it and `at`. */
static bool is_folder_synced(const struct fake_disk *d, size_t op, size_t at)
{
    const char *slash = strchr(d->ops[op].name, '/');
    size_t len = slash == NULL ? 1 : (size_t)(slash - d->ops[op].name);
    const char *folder = slash == NULL ? "." : d->ops[op].name;

    for (size_t i = op + 1; i < at; i++)
        if (d->ops[i].kind == FAKE_SYNC_FOLDER && !d->ops[i].failed &&
            strlen(d->ops[i].name) == len && strncmp(d->ops[i].name, folder, len) == 0)
            return true;
    return false;
}

/* How many of the folders' changes before `at` that were not synced survive: the first ones. */
static size_t folder_ops_kept(const struct fake_disk *d, size_t at, enum fake_crash how,
                              uint64_t *random)
{
    size_t open = 0;

    for (size_t i = 0; i < at; i++)
        if (is_folder_op(&d->ops[i]) && !is_folder_synced(d, i, at))
            open++;
    if (how == FAKE_CRASH_ALL)
        return open;
    return how == FAKE_CRASH_NONE ? 0 : (size_t)(next_random(random) % (open + 1));
}

static void replay_write(struct fake_disk *out, const struct op *op, bool whole,
                         enum fake_crash how, uint64_t *random)
{
    if (!whole && how == FAKE_CRASH_NONE)
        return;
    for (size_t at = 0; at < op->len;) {
        size_t n = SECTOR - ((size_t)op->offset + at) % SECTOR;

        if (n > op->len - at)
            n = op->len - at;
        if (whole || how == FAKE_CRASH_ALL || next_random(random) % 4 != 0)
            sp_assert(pwrite(out->nodes[op->node], op->data + at, n, op->offset + (int64_t)at) ==
                      (ssize_t)n);
        at += n;
    }
}

/* Records what is there as written and synced, so that the new disk can crash in its turn. */
static void record_baseline(struct fake_disk *d)
{
    for (size_t i = 0; i < d->name_count; i++) {
        const struct name *n = &d->names[i];
        char folder[NAME_MAX_LEN];
        const char *slash;
        struct op *op;

        if (!n->used)
            continue;
        (void)record(d, FAKE_CREATE, n->node, n->text);
        op = record(d, FAKE_WRITE, n->node, NULL);
        op->len = file_len(d->nodes[n->node]);
        op->data = sp_malloc(op->len);
        sp_assert(pread(d->nodes[n->node], op->data, op->len, 0) == (ssize_t)op->len);
        (void)record(d, FAKE_SYNC, n->node, NULL);
        slash = strchr(n->text, '/');
        snprintf(folder, sizeof(folder), "%.*s", slash == NULL ? 1 : (int)(slash - n->text),
                 slash == NULL ? "." : n->text);
        (void)record(d, FAKE_SYNC_FOLDER, -1, folder);
    }
}

struct fake_disk *fake_disk_crash(struct fake_disk *d, size_t at, enum fake_crash how,
                                  uint64_t seed)
{
    struct fake_disk *out = fake_disk_new();
    uint64_t random = seed;
    size_t folder_ops = folder_ops_kept(d, at, how, &random);

    for (size_t i = 0; i < d->node_count; i++)
        (void)new_node(out);
    for (size_t i = 0; i < at; i++) {
        const struct op *op = &d->ops[i];

        if (op->kind == FAKE_WRITE)
            replay_write(out, op, is_synced(d, i, at), how, &random);
        if (op->kind == FAKE_TRUNCATE &&
            (how == FAKE_CRASH_ALL || is_synced(d, i, at) ||
             (how == FAKE_CRASH_SOME && next_random(&random) % 2 == 0)))
            sp_assert(ftruncate(out->nodes[op->node], (off_t)op->offset) == 0);
        if (!is_folder_op(op))
            continue;
        if (!is_folder_synced(d, i, at)) {
            if (folder_ops == 0)
                continue;
            folder_ops--;
        }
        if (op->kind == FAKE_CREATE) {
            put_name(out, op->name, op->node);
            continue;
        }
        if (find(out, op->name) != NULL)
            find(out, op->name)->used = false;
        if (op->kind == FAKE_RENAME)
            put_name(out, op->to, op->node);
    }
    record_baseline(out);
    return out;
}

int64_t fake_disk_len(struct fake_disk *d, const char *name)
{
    const struct name *n = find(d, name);

    return n == NULL ? -1 : (int64_t)file_len(d->nodes[n->node]);
}

void fake_disk_peek(struct fake_disk *d, const char *name, size_t offset, void *out, size_t len)
{
    const struct name *n = find(d, name);

    sp_assert(n != NULL && pread(d->nodes[n->node], out, len, (off_t)offset) == (ssize_t)len);
}

void fake_disk_poke(struct fake_disk *d, const char *name, size_t offset, const void *data,
                    size_t len)
{
    const struct name *n = find(d, name);

    sp_assert(n != NULL && pwrite(d->nodes[n->node], data, len, (off_t)offset) == (ssize_t)len);
}

void fake_disk_cut(struct fake_disk *d, const char *name, size_t len)
{
    const struct name *n = find(d, name);

    sp_assert(n != NULL && ftruncate(d->nodes[n->node], (off_t)len) == 0);
}

size_t fake_disk_files(struct fake_disk *d, const char *prefix)
{
    size_t count = 0;

    for (size_t i = 0; i < d->name_count; i++)
        if (d->names[i].used && strncmp(d->names[i].text, prefix, strlen(prefix)) == 0)
            count++;
    return count;
}
