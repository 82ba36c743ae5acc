/*
 * Deleting a message for good means deleting its segment's content key, so all of a shard's content keys lie in one
 * small file that is written whole. Entries are found by the segment's salt and not by its number, because a reserve
 * segment has a key long before it has a number. Its number is noted once it holds something: from then on a file that is
 * not there is a loss, and no spare that a crash took. The commit thread adds, the disk worker adds and removes: hence the
 * lock. On a full disk a key must still be able to go, as the space of its segment comes back only then: a file of zeroes
 * keeps the room for one more keyring. Without this file no body of the shard can be read, so all of it is there twice.
 */
#include "journal/keyring_priv.h"

#include "base/reader.h"
#include "base/text.h"

#include <errno.h>
#include <pthread.h>

#define MAGIC     0x326b5053U /* "SPk2" */
#define MAGIC_1   0x316b5053U /* "SPk1": once, without numbers */
#define FILE_NAME "keyring"
#define NEW_NAME  "keyring.new"
#define ROOM_NAME "keyring.room"
enum {
    ENTRY_1_LEN = SP_SALT_LEN + SP_WRAPPED_LEN,
    ENTRY_LEN = ENTRY_1_LEN + 8,
    FIXED = 4 + 4 + SP_JOURNAL_KEK_ID_MAX + 4, /* before the entries */
    FILE_MAX = 16 * 1024 * 1024,
};

struct entry {
    uint8_t salt[SP_SALT_LEN];
    uint8_t wrapped[SP_WRAPPED_LEN];
    uint64_t number; /* 0: none yet, or it holds nothing */
};

struct sp_keyring {
    const struct sp_journal_io *io;
    const struct sp_random *random;
    struct sp_aead *kek;
    char kek_id[SP_JOURNAL_KEK_ID_MAX];
    struct sp_secret old_kek; /* of the generation before */
    char old_kek_id[SP_JOURNAL_KEK_ID_MAX];
    bool is_old;  /* the file is of that one */
    bool is_torn; /* one of the two in the file was damaged */
    pthread_mutex_t lock;
    struct entry *entries;
    size_t count;
    size_t cap;
};

struct sp_keyring *sp_keyring_new(const struct sp_journal_io *io,
                                  const struct sp_journal_keys *keys,
                                  const struct sp_random *random)
{
    struct sp_keyring *k = sp_calloc(1, sizeof(*k));

    k->io = io;
    k->random = random;
    k->kek = sp_aead_new(&keys->content);
    memcpy(k->kek_id, keys->kek_id, sizeof(k->kek_id));
    k->old_kek = keys->old_content;
    memcpy(k->old_kek_id, keys->old_kek_id, sizeof(k->old_kek_id));
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

void sp_keyring_free(struct sp_keyring *k)
{
    if (k == NULL)
        return;
    sp_aead_free(k->kek);
    sp_secret_clear(&k->old_kek);
    pthread_mutex_destroy(&k->lock);
    sp_free(k->entries);
    sp_free(k);
}

/* Reads a whole file of ours, of at most FILE_MAX bytes. */
static enum sp_rc read_file(const struct sp_journal_io *io, const char *name, struct sp_buf *out)
{
    int fd = io->open(io->ctx, name, SP_IO_OPEN_READ);
    ssize_t n;

    if (fd < 0)
        return fd == -ENOENT ? SP_E_NOT_FOUND : SP_E_IO;
    do {
        uint8_t *to = sp_buf_reserve(out, SP_BLOCK);

        n = to == NULL ? -EFBIG : io->pread(io->ctx, fd, to, SP_BLOCK, (int64_t)out->len);
        if (n > 0)
            sp_buf_commit(out, (size_t)n);
    } while (n > 0 || n == -EINTR);
    io->close(io->ctx, fd);
    return n == 0 ? SP_OK : SP_E_IO;
}

static struct entry *push(struct sp_keyring *k)
{
    if (k->count == k->cap) {
        k->cap = k->cap == 0 ? 16 : k->cap * 2;
        k->entries = sp_realloc(k->entries, k->cap * sizeof(*k->entries));
    }
    return &k->entries[k->count++];
}

/* One of the two, or the only one of a file of version 1. in: may be longer */
static enum sp_rc decode_one(struct sp_keyring *k, struct sp_bytes in,
                             char kek_id[SP_JOURNAL_KEK_ID_MAX])
{
    struct sp_reader r = sp_reader(in);
    uint32_t magic = sp_reader_u32(&r);
    uint32_t crc = sp_reader_u32(&r);
    size_t entry_len = magic == MAGIC_1 ? ENTRY_1_LEN : ENTRY_LEN;
    uint32_t count;
    size_t len;

    sp_reader_copy(&r, (uint8_t *)kek_id, SP_JOURNAL_KEK_ID_MAX);
    count = sp_reader_u32(&r);
    len = FIXED + (size_t)count * entry_len;
    if (sp_reader_rc(&r) != SP_OK || (magic != MAGIC && magic != MAGIC_1) || in.len < len ||
        (magic == MAGIC_1 && in.len > len) || crc != sp_crc32c(0, sp_bytes_slice(in, 8, len - 8)))
        return SP_E_JOURNAL_DAMAGED;
    for (uint32_t i = 0; i < count; i++) {
        struct entry *e = push(k);

        sp_reader_copy(&r, e->salt, SP_SALT_LEN);
        sp_reader_copy(&r, e->wrapped, SP_WRAPPED_LEN);
        e->number = magic == MAGIC_1 ? 0 : sp_reader_u64(&r);
    }
    return sp_reader_rc(&r);
}

static enum sp_rc decode(struct sp_keyring *k, struct sp_bytes in,
                         char kek_id[SP_JOURNAL_KEK_ID_MAX])
{
    struct sp_keyring second = {.io = NULL};
    struct sp_bytes half = sp_bytes_slice(in, in.len / 2, in.len);
    char other[SP_JOURNAL_KEK_ID_MAX];
    enum sp_rc rc = decode_one(k, in, kek_id);

    if (rc == SP_OK && sp_bytes_eq(sp_bytes_slice(in, 0, 4), sp_bytes_cstr("SPk1")))
        return SP_OK;
    if (rc == SP_OK)
        k->is_torn = decode_one(&second, half, other) != SP_OK;
    else {
        rc = decode_one(k, half, kek_id);
        k->is_torn = true;
    }
    sp_free(second.entries);
    return rc;
}

/* Wraps every entry under another key; all or none. */
static enum sp_rc wrap_anew(struct sp_keyring *k, struct sp_aead *from, struct sp_aead *to)
{
    struct entry *fresh = sp_calloc(k->count + 1, sizeof(*fresh));
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; i < k->count && rc == SP_OK; i++) {
        struct sp_bytes salt = sp_bytes(k->entries[i].salt, SP_SALT_LEN);
        struct sp_secret key;

        rc = sp_crypt_unwrap(from, salt, sp_bytes(k->entries[i].wrapped, SP_WRAPPED_LEN), &key);
        if (rc != SP_OK)
            break;
        memcpy(fresh[i].salt, salt.ptr, SP_SALT_LEN);
        fresh[i].number = k->entries[i].number;
        sp_crypt_wrap(to, k->random, salt, &key, fresh[i].wrapped);
        sp_secret_clear(&key);
    }
    if (rc == SP_OK && k->count > 0)
        memcpy(k->entries, fresh, k->count * sizeof(*fresh));
    sp_free(fresh);
    return rc;
}

bool sp_keyring_is_old(const struct sp_keyring *k)
{
    return k->is_old;
}

bool sp_keyring_is_torn(const struct sp_keyring *k)
{
    return k->is_torn;
}

enum sp_rc sp_keyring_rewrap(struct sp_keyring *k, const struct sp_journal_keys *keys)
{
    struct sp_aead *to = sp_aead_new(&keys->content);
    enum sp_rc rc;

    pthread_mutex_lock(&k->lock);
    rc = wrap_anew(k, k->kek, to);
    if (rc == SP_OK) {
        sp_aead_set_key(k->kek, &keys->content);
        memcpy(k->kek_id, keys->kek_id, sizeof(k->kek_id));
    }
    pthread_mutex_unlock(&k->lock);
    sp_aead_free(to);
    return rc;
}

enum sp_rc sp_keyring_load(struct sp_keyring *k)
{
    char kek_id[SP_JOURNAL_KEK_ID_MAX];
    struct sp_buf file;
    enum sp_rc rc;

    sp_buf_init(&file, FILE_MAX);
    rc = read_file(k->io, FILE_NAME, &file);
    if (rc == SP_OK)
        rc = decode(k, sp_buf_bytes(&file), kek_id);
    if (rc == SP_OK && k->old_kek_id[0] != 0 &&
        memcmp(kek_id, k->old_kek_id, sizeof(kek_id)) == 0 &&
        memcmp(kek_id, k->kek_id, sizeof(kek_id)) != 0) {
        struct sp_aead *old = sp_aead_new(&k->old_kek);

        rc = wrap_anew(k, old, k->kek);
        sp_aead_free(old);
        k->is_old = rc == SP_OK;
    }
    sp_buf_clear(&file);
    return rc;
}

static struct entry *find(struct sp_keyring *k, const uint8_t *salt)
{
    for (size_t i = 0; i < k->count; i++)
        if (memcmp(k->entries[i].salt, salt, SP_SALT_LEN) == 0)
            return &k->entries[i];
    return NULL;
}

enum sp_rc sp_keyring_reload(struct sp_keyring *k, bool *has_lost)
{
    size_t count = k->count;
    struct entry *before = sp_calloc(count + 1, sizeof(*before));
    enum sp_rc rc;

    if (count > 0)
        memcpy(before, k->entries, count * sizeof(*before));
    k->count = 0;
    rc = sp_keyring_load(k);
    for (size_t i = 0; has_lost != NULL && i < count; i++)
        *has_lost |= find(k, before[i].salt) == NULL;
    sp_free(before);
    return rc;
}

enum sp_rc sp_keyring_find(struct sp_keyring *k, const uint8_t salt[SP_SALT_LEN],
                           struct sp_secret *out)
{
    const struct entry *e;
    enum sp_rc rc = SP_E_NOT_FOUND;

    pthread_mutex_lock(&k->lock);
    e = find(k, salt);
    if (e != NULL)
        rc = sp_crypt_unwrap(k->kek, sp_bytes(salt, SP_SALT_LEN),
                             sp_bytes(e->wrapped, SP_WRAPPED_LEN), out);
    pthread_mutex_unlock(&k->lock);
    return rc;
}

void sp_keyring_add(struct sp_keyring *k, const uint8_t salt[SP_SALT_LEN], struct sp_secret *out)
{
    struct entry *e;

    sp_secret_init(out, k->random);
    pthread_mutex_lock(&k->lock);
    e = push(k);
    memcpy(e->salt, salt, SP_SALT_LEN);
    e->number = 0;
    sp_crypt_wrap(k->kek, k->random, sp_bytes(salt, SP_SALT_LEN), out, e->wrapped);
    pthread_mutex_unlock(&k->lock);
}

void sp_keyring_number(struct sp_keyring *k, const uint8_t salt[SP_SALT_LEN], uint64_t number)
{
    struct entry *e;

    pthread_mutex_lock(&k->lock);
    e = find(k, salt);
    if (e != NULL)
        e->number = number;
    pthread_mutex_unlock(&k->lock);
}

uint64_t sp_keyring_next(struct sp_keyring *k, uint64_t above)
{
    uint64_t least = 0;

    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->count; i++) {
        uint64_t number = k->entries[i].number;

        if (number > above && (least == 0 || number < least))
            least = number;
    }
    pthread_mutex_unlock(&k->lock);
    return least;
}

void sp_keyring_remove(struct sp_keyring *k, const uint8_t salt[SP_SALT_LEN])
{
    struct entry *e;

    pthread_mutex_lock(&k->lock);
    e = find(k, salt);
    if (e != NULL) {
        *e = k->entries[--k->count];
        sp_wipe(&k->entries[k->count], sizeof(*k->entries));
    }
    pthread_mutex_unlock(&k->lock);
}

/* Forgets what is not to be kept. */
static void cull(struct sp_keyring *k, bool (*is_kept)(void *arg, const struct entry *e), void *arg)
{
    size_t kept = 0;

    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->count; i++)
        if (is_kept(arg, &k->entries[i]))
            k->entries[kept++] = k->entries[i];
    if (kept < k->count)
        sp_wipe(k->entries + kept, (k->count - kept) * sizeof(*k->entries));
    k->count = kept;
    pthread_mutex_unlock(&k->lock);
}

static bool is_later(void *arg, const struct entry *e)
{
    return e->number == 0 || e->number > *(const uint64_t *)arg;
}

void sp_keyring_remove_to(struct sp_keyring *k, uint64_t number)
{
    cull(k, is_later, &number);
}

struct wanted {
    bool (*is_kept)(void *arg, const uint8_t *salt);
    void *arg;
};

static bool is_wanted(void *arg, const struct entry *e)
{
    const struct wanted *w = arg;

    return e->number != 0 || w->is_kept(w->arg, e->salt);
}

void sp_keyring_keep(struct sp_keyring *k, bool (*is_kept)(void *arg, const uint8_t *salt),
                     void *arg)
{
    struct wanted w = {is_kept, arg};

    cull(k, is_wanted, &w);
}

static void encode(const struct sp_keyring *k, struct sp_buf *out)
{
    struct sp_buf rest;

    sp_buf_init(&rest, FILE_MAX);
    sp_buf_put(&rest, sp_bytes(k->kek_id, sizeof(k->kek_id)));
    sp_buf_put_u32(&rest, (uint32_t)k->count);
    for (size_t i = 0; i < k->count; i++) {
        sp_buf_put(&rest, sp_bytes(k->entries[i].salt, SP_SALT_LEN));
        sp_buf_put(&rest, sp_bytes(k->entries[i].wrapped, SP_WRAPPED_LEN));
        sp_buf_put_u64(&rest, k->entries[i].number);
    }
    for (int i = 0; i < 2; i++) { /* each in blocks of its own */
        sp_buf_put_u32(out, MAGIC);
        sp_buf_put_u32(out, sp_crc32c(0, sp_buf_bytes(&rest)));
        sp_buf_put(out, sp_buf_bytes(&rest));
        while (out->len % SP_BLOCK != 0 && sp_buf_rc(out) == SP_OK)
            sp_buf_put_u8(out, 0);
    }
    sp_buf_clear(&rest);
}

/* Writes all of it or says why not. */
static int write_all(const struct sp_journal_io *io, int fd, struct sp_bytes data)
{
    int64_t at = 0;

    while (data.len > 0) {
        struct iovec iov = {(void *)data.ptr, data.len};
        ssize_t n = io->pwritev(io->ctx, fd, &iov, 1, at);

        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -EIO : (int)n;
        at += n;
        data = sp_bytes_slice(data, (size_t)n, data.len);
    }
    return 0;
}

static int replace_file(const struct sp_journal_io *io, struct sp_bytes data)
{
    int fd;
    int rc;

    (void)io->unlink(io->ctx, NEW_NAME);
    fd = io->open(io->ctx, NEW_NAME, SP_IO_OPEN_CREATE_PRIVATE);
    if (fd < 0)
        return fd;
    rc = write_all(io, fd, data);
    if (rc == 0)
        rc = io->sync(io->ctx, fd);
    io->close(io->ctx, fd);
    if (rc == 0)
        rc = io->rename(io->ctx, NEW_NAME, FILE_NAME);
    if (rc == 0)
        rc = io->sync_folder(io->ctx, ".");
    return rc;
}

/* Makes the file that keeps room for a keyring of this length, unless it is there. A failure is no harm yet. */
static void keep_room(const struct sp_journal_io *io, size_t len)
{
    size_t room = (size_t)sp_block_up(2 * len);
    int fd = io->open(io->ctx, ROOM_NAME, SP_IO_OPEN_CREATE_PRIVATE);
    uint8_t *zeroes;

    if (fd < 0)
        return;
    zeroes = sp_calloc(1, room);
    if (write_all(io, fd, sp_bytes(zeroes, room)) != 0 || io->sync(io->ctx, fd) != 0)
        (void)io->unlink(io->ctx, ROOM_NAME);
    sp_free(zeroes);
    io->close(io->ctx, fd);
}

/* Replaces the file; where there is no room, in the room that was kept. */
static int replace_in_room(const struct sp_journal_io *io, struct sp_bytes data)
{
    int rc = replace_file(io, data);

    if (rc == -ENOSPC && io->unlink(io->ctx, ROOM_NAME) == 0)
        rc = replace_file(io, data);
    if (rc == 0)
        keep_room(io, data.len);
    return rc;
}

enum sp_rc sp_keyring_save(struct sp_keyring *k)
{
    struct sp_buf file;
    int rc = -EFBIG;

    sp_buf_init(&file, FILE_MAX);
    pthread_mutex_lock(&k->lock);
    encode(k, &file);
    if (sp_buf_rc(&file) == SP_OK)
        rc = replace_in_room(k->io, sp_buf_bytes(&file));
    pthread_mutex_unlock(&k->lock);
    sp_buf_clear(&file);
    if (rc == 0)
        return SP_OK;
    return rc == -ENOSPC ? SP_E_JOURNAL_FULL : SP_E_IO;
}

size_t sp_keyring_count(struct sp_keyring *k)
{
    size_t count;

    pthread_mutex_lock(&k->lock);
    count = k->count;
    pthread_mutex_unlock(&k->lock);
    return count;
}

/*
 * Drops every entry whose salt stands before it already. Numbers go: between the two looks at a log one of its segments
 * may have ended, which is no loss.
 */
static void drop_doubles(struct sp_keyring *k)
{
    size_t kept = 0;

    for (size_t i = 0; i < k->count; i++) {
        size_t j = 0;

        while (j < kept && memcmp(k->entries[j].salt, k->entries[i].salt, SP_SALT_LEN) != 0)
            j++;
        if (j == kept)
            k->entries[kept++] = k->entries[i];
    }
    for (size_t i = 0; i < kept; i++)
        k->entries[i].number = 0;
    k->count = kept;
}

enum sp_rc sp_journal_merge_keyrings(struct sp_bytes a, struct sp_bytes b,
                                     char kek_id[SP_JOURNAL_KEK_ID_MAX], struct sp_buf *out)
{
    struct sp_keyring k = {.io = NULL};
    enum sp_rc rc = decode(&k, a, k.kek_id);

    if (rc == SP_OK)
        rc = decode(&k, b, kek_id);
    if (rc == SP_OK && memcmp(kek_id, k.kek_id, sizeof(k.kek_id)) != 0)
        rc = SP_E_CRYPT_AUTH;
    if (rc == SP_OK) {
        drop_doubles(&k);
        encode(&k, out);
        rc = sp_buf_rc(out);
    }
    sp_free(k.entries);
    return rc;
}
