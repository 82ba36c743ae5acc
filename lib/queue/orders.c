/*
 * The file is lines of text with a count at the end, so that one that was cut is seen; a shard whose orders can't be read
 * does not open, since mail that somebody has frozen must not go because a file is damaged.
 */
#include "queue/orders.h"

#include "queue/queue_priv.h"

#include <errno.h>
#include <sys/uio.h>

#define FILE_NAME "orders"
#define NEW_NAME  "orders.new"
#define HEAD      "sallyport orders 1"
#define FILE_MAX  ((size_t)SP_QUEUE_ORDERS_MAX * 300 + 100)

const char *sp_queue_order_name(enum sp_queue_order what)
{
    static const char *const names[SP_QUEUE_ORDER_COUNT] = {"drain", "tenant", "site", "host"};

    return names[what];
}

/* "tenant hospital": how an order stands in the map and in the file */
static void key_of(enum sp_queue_order what, struct sp_bytes name, struct sp_buf *out)
{
    sp_buf_put_cstr(out, sp_queue_order_name(what));
    sp_buf_put_u8(out, ' ');
    for (size_t i = 0; i < name.len; i++)
        sp_buf_put_u8(out,
                      what == SP_QUEUE_ORDER_TENANT ? name.ptr[i] : sp_ascii_lower(name.ptr[i]));
}

/* returns: false if it is no order */
static bool split_key(struct sp_bytes key, enum sp_queue_order *what, struct sp_bytes *name)
{
    struct sp_bytes word;

    if (!sp_bytes_split(&key, ' ', &word))
        return false;
    for (int i = 0; i < SP_QUEUE_ORDER_COUNT; i++) {
        if (!sp_bytes_eq(word, sp_bytes_cstr(sp_queue_order_name((enum sp_queue_order)i))))
            continue;
        *what = (enum sp_queue_order)i;
        *name = key;
        return true;
    }
    return false;
}

static bool is_name(enum sp_queue_order what, struct sp_bytes name)
{
    if (what == SP_QUEUE_ORDER_DRAIN)
        return name.len == 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] == 0x7f)
            return false;
    }
    return name.len > 0 && name.len <= SP_QUEUE_ORDER_NAME_MAX;
}

/* Who was kept back for a host's sake goes on, and is looked at anew. */
static void thaw_ways(struct sp_queue *q)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    while (sp_map_next(q->frozen_ways, &at, &key, &value)) {
        if (!sp_queue_is_ordered(q, SP_QUEUE_ORDER_SITE, key))
            sp_lines_freeze_destination(q->lines, key, false);
        (void)sp_map_remove(q->frozen_ways, key);
    }
}

void sp_queue_freeze_way(struct sp_queue *q, struct sp_bytes destination)
{
    (void)sp_map_put(q->frozen_ways, destination, q);
    sp_lines_freeze_destination(q->lines, destination, true);
}

/* returns: whether a host's name is meant: the same, or below what follows "*." */
static bool fits(struct sp_bytes pattern, struct sp_bytes host)
{
    struct sp_bytes end = sp_bytes_slice(pattern, 1, pattern.len);

    if (pattern.len < 2 || pattern.ptr[0] != '*')
        return sp_bytes_eq_nocase(pattern, host);
    return host.len > end.len &&
           sp_bytes_eq_nocase(sp_bytes_slice(host, host.len - end.len, end.len), end);
}

bool sp_queue_freezes_host(const struct sp_queue *q, struct sp_bytes host)
{
    enum sp_queue_order what;
    struct sp_bytes key, name;
    void *value;
    size_t at = 0;

    while (sp_map_next(q->orders, &at, &key, &value))
        if (split_key(key, &what, &name) && what == SP_QUEUE_ORDER_HOST && fits(name, host))
            return true;
    return false;
}

static void apply(struct sp_queue *q, struct sp_bytes key, bool on)
{
    enum sp_queue_order what;
    struct sp_bytes name;

    if (!split_key(key, &what, &name))
        return;
    if (what == SP_QUEUE_ORDER_TENANT)
        sp_lines_freeze_tenant(q->lines, name, on);
    else if (what == SP_QUEUE_ORDER_SITE)
        sp_lines_freeze_destination(q->lines, name, on);
    else if (what == SP_QUEUE_ORDER_HOST && !on)
        thaw_ways(q);
}

/* ---- the file ---- */

static void write_text(const struct sp_queue *q, struct sp_buf *out)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    sp_buf_put_cstr(out, HEAD "\n");
    while (sp_map_next(q->orders, &at, &key, &value)) {
        sp_buf_put(out, key);
        sp_buf_put_u8(out, '\n');
    }
    sp_buf_printf(out, "end %zu\n", sp_map_count(q->orders));
}

static enum sp_rc write_file(const struct sp_queue *q)
{
    const struct sp_journal_io *io = q->o.io;
    struct sp_buf text;
    size_t done = 0;
    int fd;
    int err;

    (void)io->unlink(io->ctx, NEW_NAME);
    fd = io->open(io->ctx, NEW_NAME, SP_IO_OPEN_CREATE_PRIVATE);
    if (fd < 0)
        return SP_E_IO;
    sp_buf_init(&text, FILE_MAX);
    write_text(q, &text);
    err = sp_buf_rc(&text) == SP_OK ? 0 : -1;
    while (err == 0 && done < text.len) {
        struct iovec part = {text.ptr + done, text.len - done};
        ssize_t n = io->pwritev(io->ctx, fd, &part, 1, (int64_t)done);

        err = n <= 0 ? -1 : 0;
        done += n > 0 ? (size_t)n : 0;
    }
    if (err == 0)
        err = io->sync(io->ctx, fd);
    io->close(io->ctx, fd);
    if (err == 0)
        err = io->rename(io->ctx, NEW_NAME, FILE_NAME);
    if (err == 0)
        err = io->sync_folder(io->ctx, ".");
    sp_buf_clear(&text);
    return err == 0 ? SP_OK : SP_E_IO;
}

static bool read_text(struct sp_queue *q, struct sp_bytes text)
{
    struct sp_bytes line;
    enum sp_queue_order what;
    struct sp_bytes name;
    uint64_t count = 0;

    if (text.len == 0 || text.ptr[text.len - 1] != '\n' || !sp_bytes_split(&text, '\n', &line) ||
        !sp_bytes_eq(line, SP_LIT(HEAD)))
        return false;
    while (sp_bytes_split(&text, '\n', &line)) {
        if (sp_bytes_eq(sp_bytes_slice(line, 0, 4), SP_LIT("end ")))
            return sp_bytes_to_u64(sp_bytes_slice(line, 4, line.len), &count) &&
                   count == sp_map_count(q->orders) && text.len == 0;
        if (!split_key(line, &what, &name) || !is_name(what, name) ||
            sp_map_count(q->orders) >= SP_QUEUE_ORDERS_MAX)
            return false;
        (void)sp_map_put(q->orders, line, q);
        apply(q, line, true);
    }
    return false;
}

enum sp_rc sp_queue_orders_load(struct sp_queue *q, struct sp_err *err)
{
    const struct sp_journal_io *io = q->o.io;
    uint8_t *text;
    ssize_t n;
    bool good;
    int fd = io->open(io->ctx, FILE_NAME, SP_IO_OPEN_READ);

    if (fd == -ENOENT)
        return SP_OK;
    if (fd < 0)
        return sp_fail_errno(err, SP_E_IO, -fd, FILE_NAME);
    text = sp_malloc(FILE_MAX);
    n = io->pread(io->ctx, fd, text, FILE_MAX, 0);
    io->close(io->ctx, fd);
    good = n > 0 && read_text(q, sp_bytes(text, (size_t)n));
    sp_free(text);
    return good
               ? SP_OK
               : sp_fail(err, SP_E_JOURNAL_DAMAGED,
                         FILE_NAME ": what was frozen here can't be told: mend or remove the file");
}

/* ---- orders ---- */

enum sp_rc sp_queue_order(struct sp_queue *q, enum sp_queue_order what, struct sp_bytes name,
                          bool on)
{
    struct sp_buf key;
    enum sp_rc rc = SP_OK;
    bool was;

    if (!is_name(what, name) || (on && sp_map_count(q->orders) >= SP_QUEUE_ORDERS_MAX))
        return SP_E_LIMIT;
    sp_buf_init(&key, SP_QUEUE_ORDER_NAME_MAX + 16);
    key_of(what, name, &key);
    was = sp_map_find(q->orders, sp_buf_bytes(&key)) != NULL;
    if (was != on) {
        int64_t before = sp_queue_due_at(q);

        if (on)
            (void)sp_map_put(q->orders, sp_buf_bytes(&key), q);
        else
            (void)sp_map_remove(q->orders, sp_buf_bytes(&key));
        rc = write_file(q);
        if (rc == SP_OK) {
            apply(q, sp_buf_bytes(&key), on);
            sp_queue_tell_due(q, before);
        } else if (on) {
            (void)sp_map_remove(q->orders, sp_buf_bytes(&key));
        } else {
            (void)sp_map_put(q->orders, sp_buf_bytes(&key), q);
        }
    }
    sp_buf_clear(&key);
    return rc;
}

bool sp_queue_is_ordered(const struct sp_queue *q, enum sp_queue_order what, struct sp_bytes name)
{
    struct sp_buf key;
    bool is;

    sp_buf_init(&key, SP_QUEUE_ORDER_NAME_MAX + 16);
    key_of(what, name, &key);
    is = sp_buf_rc(&key) == SP_OK && sp_map_find(q->orders, sp_buf_bytes(&key)) != NULL;
    sp_buf_clear(&key);
    return is;
}

void sp_queue_orders_each(const struct sp_queue *q,
                          void (*visit)(void *arg, enum sp_queue_order what, struct sp_bytes name),
                          void *arg)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    while (sp_map_next(q->orders, &at, &key, &value)) {
        enum sp_queue_order what;
        struct sp_bytes name;

        if (split_key(key, &what, &name))
            visit(arg, what, name);
    }
}
