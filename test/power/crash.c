/*
 * A disk's life, and what is found when the power goes. A walk plays the record forward and keeps what is durable at each
 * moment; what is not yet durable waits in a list, in order. A crash takes the durable files as they are (shared, not
 * copied) and puts chosen parts of the list onto them. Bytes whose sync failed wait for ever: a later good sync does not
 * make them durable, only writing them anew does.
 */
#include "power/disk_priv.h"

#include "base/mem.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct waiting {
    size_t op;
    bool lost; /* its sync failed */
};

struct power_walk {
    struct power_disk *disk;
    size_t at;
    struct power_blob **files; /* what is durable of each node */
    struct power_names names;
    struct waiting *waiting;
    size_t waiting_count;
    size_t waiting_cap;
};

/* ---- a disk's birth, end, and a look at it ---- */

struct power_disk *power_disk_new(void)
{
    struct power_disk *d = sp_calloc(1, sizeof(*d));

    d->room = SIZE_MAX;
    return d;
}

void power_disk_free(struct power_disk *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->op_count; i++)
        sp_free(d->ops[i].data);
    for (size_t i = 0; i < d->node_count; i++) {
        power_blob_unref(d->nodes[i].live);
        power_blob_unref(d->nodes[i].initial);
    }
    sp_free(d->ops);
    sp_free(d->nodes);
    sp_free(d->live.at);
    sp_free(d->initial.at);
    sp_free(d);
}

void power_disk_folder(struct power_disk *d, const char *folder)
{
    power_names_put(&d->live, folder, -1);
    power_names_put(&d->initial, folder, -1);
}

size_t power_disk_now(const struct power_disk *d)
{
    return d->op_count;
}

size_t power_disk_passed(const struct power_disk *d)
{
    return d->passed;
}

void power_disk_freeze(struct power_disk *d, bool frozen)
{
    d->frozen = frozen;
    d->freeze_in = 0;
}

void power_disk_freeze_in(struct power_disk *d, size_t operations)
{
    d->freeze_in = operations;
}

bool power_disk_is_frozen(const struct power_disk *d)
{
    return d->frozen;
}

void power_disk_fail(struct power_disk *d, const struct power_fault *fault)
{
    d->fault = *fault;
}

void power_disk_fail_reads(struct power_disk *d, const struct power_fault *fault)
{
    d->read_fault = *fault;
}

size_t power_disk_reads(const struct power_disk *d)
{
    return d->reads;
}

void power_disk_room(struct power_disk *d, size_t bytes)
{
    d->room = bytes;
}

const char *power_disk_false_sync(const struct power_disk *d)
{
    return d->false_sync[0] == '\0' ? NULL : d->false_sync;
}

void power_disk_skip(struct power_disk *d, const char *site)
{
    memset(d->skip, 0, sizeof(d->skip));
    if (site != NULL)
        memcpy(d->skip, site, strlen(site));
}

const char *power_disk_site(const struct power_disk *d, size_t i)
{
    return i < d->site_count ? d->sites[i] : NULL;
}

int64_t power_disk_len(struct power_disk *d, const char *name)
{
    const struct power_name *n = power_names_find(&d->live, name);
    struct stat st;

    if (n == NULL || n->node < 0)
        return -1;
    if (d->nodes[n->node].live == NULL)
        return 0;
    sp_assert(fstat(d->nodes[n->node].live->fd, &st) == 0);
    return (int64_t)st.st_size;
}

uint8_t *power_disk_read(struct power_disk *d, const char *name, size_t *len)
{
    int64_t size = power_disk_len(d, name);
    uint8_t *out;

    if (size < 0)
        return NULL;
    *len = (size_t)size;
    out = sp_calloc(1, *len + 1);
    if (size > 0)
        sp_assert(pread(d->nodes[power_names_find(&d->live, name)->node].live->fd, out, *len, 0) ==
                  (ssize_t)size);
    return out;
}

void power_disk_each(struct power_disk *d, void (*visit)(void *arg, const char *name), void *arg)
{
    for (size_t i = 0; i < d->live.count; i++)
        if (d->live.at[i].node >= 0)
            visit(arg, d->live.at[i].text);
}

void power_disk_flip(struct power_disk *d, const char *name, size_t offset)
{
    const struct power_name *n = power_names_find(&d->live, name);
    uint8_t byte;

    sp_assert(n != NULL);
    power_blob_own(&d->nodes[n->node].live);
    sp_assert(pread(d->nodes[n->node].live->fd, &byte, 1, (off_t)offset) == 1);
    byte ^= 0x10;
    power_blob_write(d->nodes[n->node].live, &byte, 1, (int64_t)offset);
}

/* ---- the walk ---- */

struct power_walk *power_walk_new(struct power_disk *disk)
{
    struct power_walk *w = sp_calloc(1, sizeof(*w));

    w->disk = disk;
    w->files = sp_calloc(disk->node_count + 1, sizeof(struct power_blob *));
    for (size_t i = 0; i < disk->node_count; i++)
        w->files[i] = power_blob_ref(disk->nodes[i].initial);
    power_names_copy(&w->names, &disk->initial);
    return w;
}

void power_walk_free(struct power_walk *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->disk->node_count; i++)
        power_blob_unref(w->files[i]);
    sp_free(w->files);
    sp_free(w->names.at);
    sp_free(w->waiting);
    sp_free(w);
}

static void apply_bytes(struct power_blob **file, const struct power_record *op)
{
    power_blob_own(file);
    if (op->kind == POWER_WRITE)
        power_blob_write(*file, op->data, op->len, op->offset);
    else
        power_blob_cut(*file, op->offset);
}

static void apply_name(struct power_names *names, const struct power_record *op)
{
    switch (op->kind) {
    case POWER_CREATE:
    case POWER_MKDIR:
        power_names_put(names, op->name, op->node);
        break;
    case POWER_RENAME:
        power_names_remove(names, op->name);
        power_names_put(names, op->to, op->node);
        break;
    default:
        power_names_remove(names, op->name);
        break;
    }
}

static bool is_bytes(const struct power_record *op)
{
    return op->kind == POWER_WRITE || op->kind == POWER_TRUNCATE;
}

/* Whether new durable bytes lie over old ones that were lost: nothing of those can come back then. */
static bool covers(const struct power_record *over, const struct power_record *lost)
{
    if (over->kind != POWER_WRITE || lost->kind != POWER_WRITE || over->node != lost->node)
        return false;
    return over->offset < lost->offset + (int64_t)lost->len &&
           lost->offset < over->offset + (int64_t)over->len;
}

static void forget_covered(struct power_walk *w, size_t count, const struct power_record *over)
{
    for (size_t i = 0; i < count; i++)
        if (w->waiting[i].lost && w->waiting[i].op != SIZE_MAX &&
            covers(over, &w->disk->ops[w->waiting[i].op]))
            w->waiting[i].op = SIZE_MAX;
}

/* A good sync of a file or folder: what waits for it is durable. */
static void settle(struct power_walk *w, const struct power_record *sync)
{
    size_t kept = 0;
    char folder[POWER_NAME_MAX];

    for (size_t i = 0; i < w->waiting_count; i++) {
        const struct power_record *op =
            w->waiting[i].op == SIZE_MAX ? NULL : &w->disk->ops[w->waiting[i].op];
        bool is_its;

        if (op == NULL)
            continue;
        power_folder_of(op->name, folder);
        is_its = sync->kind == POWER_SYNC ? is_bytes(op) && op->node == sync->node
                                          : !is_bytes(op) && strcmp(folder, sync->name) == 0;
        if (!is_its || w->waiting[i].lost) {
            w->waiting[kept++] = w->waiting[i];
            continue;
        }
        if (!is_bytes(op)) {
            apply_name(&w->names, op);
            continue;
        }
        forget_covered(w, kept, op);
        apply_bytes(&w->files[op->node], op);
    }
    w->waiting_count = kept;
}

static void play(struct power_walk *w, size_t at)
{
    const struct power_record *op = &w->disk->ops[at];

    if (op->kind == POWER_SYNC && op->failed) {
        for (size_t i = 0; i < w->waiting_count; i++)
            if (w->waiting[i].op != SIZE_MAX && is_bytes(&w->disk->ops[w->waiting[i].op]) &&
                w->disk->ops[w->waiting[i].op].node == op->node)
                w->waiting[i].lost = true;
        return;
    }
    if (op->kind == POWER_SYNC || op->kind == POWER_SYNC_FOLDER) {
        if (!op->failed)
            settle(w, op);
        return;
    }
    if (w->waiting_count == w->waiting_cap) {
        w->waiting_cap = w->waiting_cap == 0 ? 64 : w->waiting_cap * 2;
        w->waiting = sp_realloc(w->waiting, w->waiting_cap * sizeof(*w->waiting));
    }
    w->waiting[w->waiting_count++] = (struct waiting){at, false};
}

void power_walk_to(struct power_walk *w, size_t at)
{
    sp_assert(at <= w->disk->op_count);
    while (w->at < at)
        play(w, w->at++);
}

size_t power_walk_open(const struct power_walk *w)
{
    return w->waiting_count;
}

/* ---- what is found ---- */

/* How a crash of the kind POWER_SOME chooses. */
struct choice {
    enum power_crash how;
    uint64_t random;
    size_t grain;      /* bytes that survive together; 0: a whole write */
    uint64_t keep;     /* of 8 grains, or changes of folders in any order */
    size_t names_left; /* changes of folders that survive, if in order */
    bool in_order;
};

static void choose(struct choice *c, const struct power_walk *w, enum power_crash how,
                   uint64_t seed)
{
    static const size_t grains[] = {512, 4096, 0};
    size_t names = 0;

    *c = (struct choice){.how = how, .random = seed};
    for (size_t i = 0; i < w->waiting_count; i++)
        if (w->waiting[i].op != SIZE_MAX && !is_bytes(&w->disk->ops[w->waiting[i].op]))
            names++;
    c->grain = grains[power_random(&c->random) % 3];
    c->keep = 1 + power_random(&c->random) % 7;
    c->in_order = power_random(&c->random) % 2 == 0;
    c->names_left = (size_t)(power_random(&c->random) % (names + 1));
}

static bool keeps(struct choice *c)
{
    return c->how == POWER_ALL || (c->how == POWER_SOME && power_random(&c->random) % 8 < c->keep);
}

static bool keeps_name(struct choice *c)
{
    if (c->how != POWER_SOME || !c->in_order)
        return keeps(c);
    if (c->names_left == 0)
        return false;
    c->names_left--;
    return true;
}

static void put_bytes(struct power_disk *out, struct choice *c, const struct power_record *op)
{
    struct power_blob **file = &out->nodes[op->node].live;

    if (op->kind == POWER_TRUNCATE || c->grain == 0 || c->how != POWER_SOME) {
        if (keeps(c))
            apply_bytes(file, op);
        return;
    }
    power_blob_own(file);
    for (size_t at = 0; at < op->len;) {
        size_t n = c->grain - ((size_t)op->offset + at) % c->grain;

        if (n > op->len - at)
            n = op->len - at;
        if (keeps(c))
            power_blob_write(*file, op->data + at, n, op->offset + (int64_t)at);
        at += n;
    }
}

/* A file in a folder that is gone can't be found. */
static void drop_unreachable(struct power_names *names)
{
    char folder[POWER_NAME_MAX];

    for (size_t i = names->count; i > 0; i--) {
        power_folder_of(names->at[i - 1].text, folder);
        if (folder[0] != '\0' && strchr(folder, '/') != NULL &&
            power_names_find(names, folder) == NULL)
            names->at[i - 1] = names->at[--names->count];
    }
}

struct power_disk *power_walk_crash(struct power_walk *w, enum power_crash how, uint64_t seed)
{
    struct power_disk *out = power_disk_new();
    struct choice c;

    choose(&c, w, how, seed);
    out->node_count = w->disk->node_count;
    out->nodes = sp_calloc(out->node_count + 1, sizeof(*out->nodes));
    for (size_t i = 0; i < out->node_count; i++)
        out->nodes[i].live = power_blob_ref(w->files[i]);
    power_names_copy(&out->live, &w->names);
    for (size_t i = 0; i < w->waiting_count; i++) {
        const struct power_record *op =
            w->waiting[i].op == SIZE_MAX ? NULL : &w->disk->ops[w->waiting[i].op];

        if (op == NULL)
            continue;
        if (is_bytes(op))
            put_bytes(out, &c, op);
        else if (keeps_name(&c))
            apply_name(&out->live, op);
    }
    drop_unreachable(&out->live);
    for (size_t i = 0; i < out->node_count; i++)
        out->nodes[i].initial = power_blob_ref(out->nodes[i].live);
    power_names_copy(&out->initial, &out->live);
    return out;
}
