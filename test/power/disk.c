/*
 * The disk as its users see it. Files are memfds, because readers of bodies pread real descriptors. Names are whole paths
 * in one list; a folder is a name without a file. All that could matter to a crash goes into the record.
 */
#include "power/disk_priv.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FD_MAX = 65536 };

/* Which file a descriptor is of: they are the process's, not a disk's. */
static struct {
    int node;
    bool created; /* opened as a new file */
} fds[FD_MAX];

uint64_t power_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* ---- bytes ---- */

static struct power_blob *blob_new(void)
{
    struct power_blob *b = sp_calloc(1, sizeof(*b));

    b->fd = memfd_create("power", MFD_CLOEXEC);
    sp_assert(b->fd >= 0);
    b->refs = 1;
    return b;
}

struct power_blob *power_blob_ref(struct power_blob *b)
{
    if (b != NULL)
        b->refs++;
    return b;
}

void power_blob_unref(struct power_blob *b)
{
    if (b == NULL || --b->refs > 0)
        return;
    (void)close(b->fd);
    sp_free(b);
}

static size_t blob_len(const struct power_blob *b)
{
    struct stat st;

    if (b == NULL)
        return 0;
    sp_assert(fstat(b->fd, &st) == 0);
    return (size_t)st.st_size;
}

void power_blob_own(struct power_blob **b)
{
    struct power_blob *copy;
    size_t len = blob_len(*b);
    uint8_t *bytes;

    if (*b != NULL && (*b)->refs == 1)
        return;
    copy = blob_new();
    if (len > 0) {
        bytes = sp_malloc(len);
        sp_assert(pread((*b)->fd, bytes, len, 0) == (ssize_t)len);
        power_blob_write(copy, bytes, len, 0);
        sp_free(bytes);
    }
    power_blob_unref(*b);
    *b = copy;
}

void power_blob_write(struct power_blob *b, const void *data, size_t len, int64_t offset)
{
    sp_assert(pwrite(b->fd, data, len, offset) == (ssize_t)len);
}

void power_blob_cut(struct power_blob *b, int64_t len)
{
    sp_assert(ftruncate(b->fd, len) == 0);
}

/* ---- names ---- */

struct power_name *power_names_find(const struct power_names *n, const char *text)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->at[i].text, text) == 0)
            return &n->at[i];
    return NULL;
}

void power_names_put(struct power_names *n, const char *text, int node)
{
    struct power_name *at = power_names_find(n, text);

    sp_assert(strlen(text) < POWER_NAME_MAX);
    if (at == NULL) {
        if (n->count == n->cap) {
            n->cap = n->cap == 0 ? 64 : n->cap * 2;
            n->at = sp_realloc(n->at, n->cap * sizeof(*n->at));
        }
        at = &n->at[n->count++];
        memset(at, 0, sizeof(*at));
        memcpy(at->text, text, strlen(text));
    }
    at->node = node;
}

void power_names_remove(struct power_names *n, const char *text)
{
    struct power_name *at = power_names_find(n, text);

    if (at != NULL)
        *at = n->at[--n->count];
}

void power_names_copy(struct power_names *to, const struct power_names *from)
{
    *to = (struct power_names){sp_calloc(from->count + 1, sizeof(*to->at)), from->count,
                               from->count + 1};
    if (from->count > 0)
        memcpy(to->at, from->at, from->count * sizeof(*to->at));
}

void power_folder_of(const char *name, char out[POWER_NAME_MAX])
{
    const char *slash = strrchr(name, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - name);

    memcpy(out, name, len);
    out[len] = '\0';
}

/* ---- the record ---- */

static struct power_record *record(struct power_disk *d, enum power_op kind, int node,
                                   const char *name)
{
    struct power_record *op;

    if (d->op_count == d->op_cap) {
        d->op_cap = d->op_cap == 0 ? 1024 : d->op_cap * 2;
        d->ops = sp_realloc(d->ops, d->op_cap * sizeof(*d->ops));
    }
    op = &d->ops[d->op_count++];
    *op = (struct power_record){.kind = kind, .node = node};
    if (name != NULL)
        memcpy(op->name, name, strlen(name));
    return op;
}

/* Whether this operation is one to fail. returns: 0 or -errno; *cut: a write is to be cut short */
static int fault_of(struct power_disk *d, enum power_op kind, bool *cut)
{
    const struct power_fault *f = &d->fault;
    size_t n;

    if (cut != NULL)
        *cut = false;
    if (d->freeze_in > 0 && --d->freeze_in == 0)
        d->frozen = true;
    if (d->frozen)
        return -EIO;
    n = ++d->passed;
    if (f->count == 0 || n < f->first || n - f->first >= f->count || (f->kinds & (1U << kind)) == 0)
        return 0;
    if (cut != NULL)
        *cut = true;
    return -f->errnum;
}

/* Files by what they are for, so that a site's name does not depend on the run. */
static const char *class_of(const char *name)
{
    static const char *const classes[] = {"keyring",
                                          "spare",
                                          "body",
                                          "audit.jsonl.head",
                                          "audit.jsonl.pub",
                                          "audit.jsonl",
                                          "state.db-wal",
                                          "state.db-journal",
                                          "state.db",
                                          "master.key.next",
                                          "master.key.root",
                                          "master.key"};
    const char *slash = strrchr(name, '/');
    const char *base = slash == NULL ? name : slash + 1;

    if (strstr(name, "/body-") != NULL)
        return strchr(strstr(name, "/body-") + 1, '/') != NULL ? "body" : "body folder";
    for (size_t i = 0; i < SP_ARRAY_LEN(classes); i++)
        if (strncmp(base, classes[i], strlen(classes[i])) == 0)
            return classes[i];
    return strstr(base, ".seg") != NULL ? "segment" : "file";
}

static const char *part_of(const char *name)
{
    return strncmp(name, "spool", 5) == 0             ? "spool"
           : strncmp(name, "keys", 4) == 0            ? "keys"
           : strncmp(name, "ledger/journal", 14) == 0 ? "acts"
                                                      : "ledger";
}

/* returns: whether the mutation leaves this sync out */
static bool is_skipped(struct power_disk *d, const char *site)
{
    size_t i = 0;

    while (i < d->site_count && strcmp(d->sites[i], site) != 0)
        i++;
    if (i == d->site_count && i < POWER_SITES) {
        (void)snprintf(d->sites[i], POWER_SITE_MAX, "%s", site);
        d->site_count++;
    }
    return strcmp(d->skip, site) == 0;
}

static const char *live_name(const struct power_disk *d, int node)
{
    for (size_t i = 0; i < d->live.count; i++)
        if (d->live.at[i].node == node)
            return d->live.at[i].text;
    return "file without a name";
}

static bool skips_sync(struct power_disk *d, int fd)
{
    const char *name = live_name(d, fds[fd].node);
    char site[POWER_SITE_MAX];
    bool again = !fds[fd].created && strstr(name, ".seg") != NULL;

    (void)snprintf(site, sizeof(site), "%s sync of %s%s", part_of(name), class_of(name),
                   again ? " at restart" : "");
    return is_skipped(d, site);
}

static bool skips_folder(struct power_disk *d, const char *folder)
{
    static const char *const done[] = {[POWER_CREATE] = "create",
                                       [POWER_RENAME] = "rename to",
                                       [POWER_UNLINK] = "unlink",
                                       [POWER_MKDIR] = "make"};
    char of[POWER_NAME_MAX];
    char site[POWER_SITE_MAX];

    for (size_t i = d->op_count; i > 0; i--) {
        const struct power_record *op = &d->ops[i - 1];

        if (op->kind == POWER_SYNC_FOLDER && strcmp(op->name, folder) == 0)
            break; /* nothing has changed since */
        if (done[op->kind < SP_ARRAY_LEN(done) ? op->kind : POWER_SYNC] == NULL)
            continue;
        power_folder_of(op->name, of);
        if (strcmp(of, folder) != 0)
            continue;
        (void)snprintf(site, sizeof(site), "%s folder sync after %s %s", part_of(folder),
                       done[op->kind], class_of(op->kind == POWER_RENAME ? op->to : op->name));
        return is_skipped(d, site);
    }
    return false;
}

/* ---- operations ---- */

static int new_node(struct power_disk *d)
{
    d->nodes = sp_realloc(d->nodes, (d->node_count + 1) * sizeof(*d->nodes));
    d->nodes[d->node_count] = (struct power_node){.live = blob_new()};
    return (int)d->node_count++;
}

static int open_node(struct power_disk *d, int node, bool writes, bool created)
{
    struct power_node *n = &d->nodes[node];
    int fd;

    if (writes || n->live == NULL)
        power_blob_own(&n->live);
    fd = fcntl(n->live->fd, F_DUPFD_CLOEXEC, 0);
    sp_assert(fd >= 0 && fd < FD_MAX);
    fds[fd].node = node;
    fds[fd].created = created;
    return fd;
}

int power_open(struct power_disk *d, const char *name, enum sp_io_open how)
{
    const struct power_name *n = power_names_find(&d->live, name);
    char folder[POWER_NAME_MAX];
    int node;
    int rc;

    if (how == SP_IO_OPEN_READ || how == SP_IO_OPEN_WRITE)
        return n == NULL || n->node < 0 ? -ENOENT
                                        : open_node(d, n->node, how == SP_IO_OPEN_WRITE, false);
    power_folder_of(name, folder);
    if (n != NULL)
        return -EEXIST;
    if (power_names_find(&d->live, folder) == NULL)
        return -ENOENT;
    rc = fault_of(d, POWER_CREATE, NULL);
    if (rc != 0)
        return rc;
    node = new_node(d);
    power_names_put(&d->live, name, node);
    (void)record(d, POWER_CREATE, node, name);
    return open_node(d, node, true, true);
}

/* Takes room for a write. returns: bytes that fit */
static size_t take_room(struct power_disk *d, size_t have, size_t len, int64_t offset)
{
    size_t end = (size_t)offset + len;
    size_t grows = end > have ? end - have : 0;

    if (d->room == SIZE_MAX)
        return len;
    if (grows > d->room) {
        size_t lacks = grows - d->room;

        len = lacks < len ? len - lacks : 0;
        grows = len == 0 ? 0 : d->room;
    }
    d->room -= grows;
    return len;
}

ssize_t power_write(struct power_disk *d, int fd, const void *data, size_t len, int64_t offset)
{
    struct power_node *n = &d->nodes[fds[fd].node];
    struct power_record *op;
    bool cut;
    int rc = fault_of(d, POWER_WRITE, &cut);

    if (d->frozen)
        return rc;
    if (cut)
        len = (len + 1) / 2;
    len = take_room(d, blob_len(n->live), len, offset);
    if (len == 0)
        return rc != 0 ? rc : -ENOSPC;
    power_blob_write(n->live, data, len, offset);
    n->unknown = false;
    op = record(d, POWER_WRITE, fds[fd].node, NULL);
    op->offset = offset;
    op->data = sp_malloc(len);
    op->len = len;
    memcpy(op->data, data, len);
    return rc != 0 ? rc : (ssize_t)len;
}

ssize_t power_read(struct power_disk *d, int fd, void *out, size_t len, int64_t offset)
{
    const struct power_fault *f = &d->read_fault;
    size_t nth = ++d->reads;
    ssize_t n;

    if (f->count > 0 && nth >= f->first && nth - f->first < f->count)
        return -f->errnum;
    n = pread(fd, out, len, offset);
    return n < 0 ? -errno : n;
}

int power_truncate(struct power_disk *d, int fd, int64_t len)
{
    struct power_node *n = &d->nodes[fds[fd].node];
    int rc = fault_of(d, POWER_TRUNCATE, NULL);
    size_t had = blob_len(n->live);

    if (rc != 0)
        return rc;
    if (d->room != SIZE_MAX && had > (size_t)len)
        d->room += had - (size_t)len;
    power_blob_cut(n->live, len);
    record(d, POWER_TRUNCATE, fds[fd].node, NULL)->offset = len;
    return 0;
}

int power_sync(struct power_disk *d, int fd)
{
    struct power_node *n = &d->nodes[fds[fd].node];
    int rc = fault_of(d, POWER_SYNC, NULL);

    if (d->frozen)
        return rc;
    if (skips_sync(d, fd))
        return 0;
    record(d, POWER_SYNC, fds[fd].node, NULL)->failed = rc != 0;
    if (rc == 0 && n->unknown && d->false_sync[0] == '\0')
        (void)snprintf(d->false_sync, POWER_NAME_MAX, "%s", live_name(d, fds[fd].node));
    n->unknown = rc != 0;
    return rc;
}

int power_sync_folder(struct power_disk *d, const char *folder)
{
    int rc;

    if (power_names_find(&d->live, folder) == NULL)
        return -ENOENT;
    rc = fault_of(d, POWER_SYNC_FOLDER, NULL);
    if (d->frozen)
        return rc;
    if (skips_folder(d, folder))
        return 0;
    record(d, POWER_SYNC_FOLDER, -1, folder)->failed = rc != 0;
    return rc;
}

static int rename_file(struct power_disk *d, const char *from, const char *to)
{
    const struct power_name *n = power_names_find(&d->live, from);
    struct power_record *op;
    int node;
    int rc = n == NULL ? -ENOENT : fault_of(d, POWER_RENAME, NULL);

    if (rc != 0)
        return rc;
    node = n->node;
    op = record(d, POWER_RENAME, node, from);
    memcpy(op->to, to, strlen(to));
    power_names_remove(&d->live, from);
    power_names_put(&d->live, to, node);
    return 0;
}

int power_unlink(struct power_disk *d, const char *name)
{
    const struct power_name *n = power_names_find(&d->live, name);
    int rc = n == NULL || n->node < 0 ? -ENOENT : fault_of(d, POWER_UNLINK, NULL);

    if (rc != 0)
        return rc;
    if (d->room != SIZE_MAX)
        d->room += blob_len(d->nodes[n->node].live);
    (void)record(d, POWER_UNLINK, n->node, name);
    power_names_remove(&d->live, name);
    return 0;
}

static int make_folder(struct power_disk *d, const char *name)
{
    int rc;

    if (power_names_find(&d->live, name) != NULL)
        return 0;
    rc = fault_of(d, POWER_MKDIR, NULL);
    if (rc != 0)
        return rc;
    (void)record(d, POWER_MKDIR, -1, name);
    power_names_put(&d->live, name, -1);
    return 0;
}

/* ---- the table ---- */

static void whole_name(const struct power_view *v, const char *name, char out[POWER_NAME_MAX])
{
    int n = strcmp(name, ".") == 0 ? snprintf(out, POWER_NAME_MAX, "%s", v->folder)
                                   : snprintf(out, POWER_NAME_MAX, "%s/%s", v->folder, name);

    sp_assert(n > 0 && n < POWER_NAME_MAX);
}

static int view_open(void *ctx, const char *name, enum sp_io_open how)
{
    const struct power_view *v = ctx;
    char whole[POWER_NAME_MAX];

    whole_name(v, name, whole);
    return power_open(v->disk, whole, how);
}

static void view_close(void *ctx, int fd)
{
    (void)ctx;
    (void)close(fd);
}

static ssize_t view_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    const struct power_view *v = ctx;
    size_t len = 0;
    uint8_t *all;
    ssize_t n;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    all = sp_malloc(len);
    len = 0;
    for (int i = 0; i < count; i++) {
        memcpy(all + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    n = power_write(v->disk, fd, all, len, offset);
    sp_free(all);
    return n;
}

static ssize_t view_pread(void *ctx, int fd, void *out, size_t len, int64_t offset)
{
    const struct power_view *v = ctx;

    return power_read(v->disk, fd, out, len, offset);
}

static int view_sync(void *ctx, int fd)
{
    const struct power_view *v = ctx;

    return power_sync(v->disk, fd);
}

static int view_truncate(void *ctx, int fd, int64_t len)
{
    const struct power_view *v = ctx;

    return power_truncate(v->disk, fd, len);
}

static int view_sync_folder(void *ctx, const char *name)
{
    const struct power_view *v = ctx;
    char whole[POWER_NAME_MAX];

    whole_name(v, name, whole);
    return power_sync_folder(v->disk, whole);
}

static int view_write_back(void *ctx, int fd, int64_t offset, int64_t len)
{
    (void)ctx;
    (void)fd;
    (void)offset;
    (void)len;
    return 0;
}

static int view_rename(void *ctx, const char *from, const char *to)
{
    const struct power_view *v = ctx;
    char whole_from[POWER_NAME_MAX];
    char whole_to[POWER_NAME_MAX];

    whole_name(v, from, whole_from);
    whole_name(v, to, whole_to);
    return rename_file(v->disk, whole_from, whole_to);
}

static int view_unlink(void *ctx, const char *name)
{
    const struct power_view *v = ctx;
    char whole[POWER_NAME_MAX];

    whole_name(v, name, whole);
    return power_unlink(v->disk, whole);
}

static int view_make_folder(void *ctx, const char *name)
{
    const struct power_view *v = ctx;
    char whole[POWER_NAME_MAX];

    whole_name(v, name, whole);
    return make_folder(v->disk, whole);
}

static int view_list(void *ctx, const char *folder, void (*visit)(void *arg, const char *name),
                     void *arg)
{
    const struct power_view *v = ctx;
    struct power_names names;
    char whole[POWER_NAME_MAX];
    char of[POWER_NAME_MAX];

    whole_name(v, folder, whole);
    if (power_names_find(&v->disk->live, whole) == NULL)
        return -ENOENT;
    power_names_copy(&names, &v->disk->live); /* visitors may unlink */
    for (size_t i = 0; i < names.count; i++) {
        power_folder_of(names.at[i].text, of);
        if (strcmp(of, whole) == 0)
            visit(arg, names.at[i].text + strlen(whole) + 1);
    }
    sp_free(names.at);
    return 0;
}

static int view_lock(void *ctx)
{
    (void)ctx; /* whoever had it is dead */
    return 0;
}

void power_view_init(struct power_view *v, struct power_disk *d, const char *folder)
{
    *v = (struct power_view){.disk = d};
    memcpy(v->folder, folder, strlen(folder));
    v->io = (struct sp_journal_io){
        .open = view_open,
        .close = view_close,
        .pwritev = view_pwritev,
        .pread = view_pread,
        .sync = view_sync,
        .sync_folder = view_sync_folder,
        .write_back = view_write_back,
        .truncate = view_truncate,
        .rename = view_rename,
        .unlink = view_unlink,
        .make_folder = view_make_folder,
        .list = view_list,
        .lock = view_lock,
        .ctx = v,
    };
}
