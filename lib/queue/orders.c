/*
 * The file is lines of text with a count at the end, so that one that was cut is seen; a shard whose orders can't be read
 * does not open, since mail that somebody has frozen must not go because a file is damaged. Who gave them lies in another one,
 * which is written before an order is given and after one is taken back, and of which only what stands is believed.
 */
#include "queue/orders.h"

#include "queue/over.h"
#include "queue/queue_priv.h"

#include <errno.h>
#include <sys/uio.h>

#define FILE_NAME "orders"
#define NEW_NAME  "orders.new"
#define HEAD      "sallyport orders 1"
#define FILE_MAX  ((size_t)SP_QUEUE_ORDERS_MAX * 300 + 100)

#define GIVEN_NAME                                                                                 \
    "orders-given" /* lines of: order, time in ms, actor, reason; with tabs between */
#define GIVEN_NEW "orders-given.new"
#define GIVEN_MAX (FILE_MAX + (size_t)SP_QUEUE_ORDERS_MAX * (2 * SP_QUEUE_GIVEN_MAX + 30))

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

/* returns: until when nobody's time ends who was frozen: there is to be a last try */
static int64_t spared_until(const struct sp_queue *q)
{
    return sp_clock_steady_ms(q->o.clock) + SP_QUEUE_SPARE_MS;
}

/* Who was kept back for a host's sake goes on, and is looked at anew. */
static void thaw_ways(struct sp_queue *q)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    while (sp_map_next(q->frozen_ways, &at, &key, &value)) {
        if (!sp_queue_is_ordered(q, SP_QUEUE_ORDER_SITE, key))
            sp_lines_freeze_destination(q->lines, key, false, spared_until(q));
        (void)sp_map_remove(q->frozen_ways, key);
    }
}

void sp_queue_freeze_way(struct sp_queue *q, struct sp_bytes destination)
{
    (void)sp_map_put(q->frozen_ways, destination, q);
    sp_lines_freeze_destination(q->lines, destination, true, 0);
}

bool sp_queue_host_fits(struct sp_bytes pattern, struct sp_bytes host)
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
        if (split_key(key, &what, &name) && what == SP_QUEUE_ORDER_HOST &&
            sp_queue_host_fits(name, host))
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
        sp_lines_freeze_tenant(q->lines, name, on, spared_until(q));
    else if (what == SP_QUEUE_ORDER_SITE)
        sp_lines_freeze_destination(q->lines, name, on, spared_until(q));
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

/* Writes a file anew: synced, renamed, the folder synced. */
static enum sp_rc replace(const struct sp_queue *q, const char *fresh, const char *name,
                          const struct sp_buf *text)
{
    const struct sp_journal_io *io = q->o.io;
    size_t done = 0;
    int fd;
    int err;

    (void)io->unlink(io->ctx, fresh);
    fd = io->open(io->ctx, fresh, SP_IO_OPEN_CREATE_PRIVATE);
    if (fd < 0)
        return SP_E_IO;
    err = sp_buf_rc(text) == SP_OK ? 0 : -1;
    while (err == 0 && done < text->len) {
        struct iovec part = {text->ptr + done, text->len - done};
        ssize_t n = io->pwritev(io->ctx, fd, &part, 1, (int64_t)done);

        err = n <= 0 ? -1 : 0;
        done += n > 0 ? (size_t)n : 0;
    }
    if (err == 0)
        err = io->sync(io->ctx, fd);
    io->close(io->ctx, fd);
    if (err == 0)
        err = io->rename(io->ctx, fresh, name);
    if (err == 0)
        err = io->sync_folder(io->ctx, ".");
    return err == 0 ? SP_OK : SP_E_IO;
}

static enum sp_rc write_orders(const struct sp_queue *q)
{
    struct sp_buf text;
    enum sp_rc rc;

    sp_buf_init(&text, FILE_MAX);
    write_text(q, &text);
    rc = replace(q, NEW_NAME, FILE_NAME, &text);
    sp_buf_clear(&text);
    return rc;
}

static enum sp_rc write_given(const struct sp_queue *q)
{
    struct sp_buf text;
    struct sp_bytes key;
    void *value;
    size_t at = 0;
    enum sp_rc rc;

    sp_buf_init(&text, GIVEN_MAX);
    while (sp_map_next(q->orders, &at, &key, &value)) {
        const struct sp_queue_given *g = value;

        if (g->time_ms != 0)
            sp_buf_printf(&text, "%.*s\t%lld\t%.*s\t%.*s\n", SP_FMT(key), (long long)g->time_ms,
                          SP_FMT(g->actor), SP_FMT(g->reason));
    }
    rc = replace(q, GIVEN_NEW, GIVEN_NAME, &text);
    sp_buf_clear(&text);
    return rc;
}

/* As text of a line of the file, and not longer than is kept. returns: its length in out */
static size_t clean(struct sp_bytes text, uint8_t *out)
{
    size_t len = text.len < SP_QUEUE_GIVEN_MAX ? text.len : SP_QUEUE_GIVEN_MAX;

    while (len < text.len && len > 0 && (text.ptr[len] & 0xc0) == 0x80)
        len--; /* no half of a character */
    for (size_t i = 0; i < len; i++)
        out[i] = text.ptr[i] < ' ' || text.ptr[i] == 0x7f ? ' ' : text.ptr[i];
    return len;
}

/* owner: the caller, sp_free; with its texts behind it in the same memory */
static struct sp_queue_given *keep(const struct sp_queue_given *from)
{
    struct sp_queue_given *g = sp_calloc(1, sizeof(*g) + 2 * SP_QUEUE_GIVEN_MAX);
    uint8_t *at = (uint8_t *)(g + 1);

    if (from == NULL)
        return g;
    g->time_ms = from->time_ms;
    g->actor = sp_bytes(at, from->actor.len > SP_QUEUE_GIVEN_MAX ? 0 : clean(from->actor, at));
    at += SP_QUEUE_GIVEN_MAX;
    g->reason = sp_bytes(at, clean(from->reason, at));
    return g;
}

/* One line, of an order that stands; others are from before. */
static void read_given_line(struct sp_queue *q, struct sp_bytes line)
{
    struct sp_queue_given given = {0};
    struct sp_bytes key, time;
    uint64_t ms;

    if (!sp_bytes_split(&line, '\t', &key) || !sp_bytes_split(&line, '\t', &time) ||
        !sp_bytes_split(&line, '\t', &given.actor) || !sp_bytes_to_u64(time, &ms) ||
        ms > INT64_MAX || sp_map_find(q->orders, key) == NULL)
        return;
    given.time_ms = (int64_t)ms;
    given.reason = line;
    sp_free(sp_map_put(q->orders, key, keep(&given)));
}

/* A file that is not there, or can't be read, leaves open who it was. */
static void load_given(struct sp_queue *q)
{
    const struct sp_journal_io *io = q->o.io;
    int fd = io->open(io->ctx, GIVEN_NAME, SP_IO_OPEN_READ);
    struct sp_bytes text, line;
    uint8_t *all;
    ssize_t n;

    if (fd < 0)
        return;
    all = sp_malloc(GIVEN_MAX);
    n = io->pread(io->ctx, fd, all, GIVEN_MAX, 0);
    io->close(io->ctx, fd);
    text = sp_bytes(all, n > 0 ? (size_t)n : 0);
    while (sp_bytes_split(&text, '\n', &line))
        read_given_line(q, line);
    sp_free(all);
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
        sp_free(sp_map_put(q->orders, line, keep(NULL)));
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
    if (good)
        load_given(q);
    return good
               ? SP_OK
               : sp_fail(err, SP_E_JOURNAL_DAMAGED,
                         FILE_NAME ": what was frozen here can't be told: mend or remove the file");
}

/* ---- orders ---- */

static enum sp_rc give(struct sp_queue *q, struct sp_bytes key, const struct sp_queue_given *given)
{
    enum sp_rc rc;

    (void)sp_map_put(q->orders, key, keep(given));
    rc = write_given(q);
    if (rc == SP_OK)
        rc = write_orders(q);
    if (rc != SP_OK)
        sp_free(sp_map_remove(q->orders, key));
    return rc;
}

static enum sp_rc take_back(struct sp_queue *q, struct sp_bytes key)
{
    struct sp_queue_given *given = sp_map_remove(q->orders, key);
    enum sp_rc rc = write_orders(q);

    if (rc != SP_OK) {
        (void)sp_map_put(q->orders, key, given);
        return rc;
    }
    sp_free(given);
    (void)!write_given(q); /* what is told of an order that does not stand is not believed */
    return SP_OK;
}

enum sp_rc sp_queue_order(struct sp_queue *q, enum sp_queue_order what, struct sp_bytes name,
                          bool on, const struct sp_queue_given *given)
{
    struct sp_buf key;
    enum sp_rc rc = SP_OK;

    if (!is_name(what, name) || (on && sp_map_count(q->orders) >= SP_QUEUE_ORDERS_MAX))
        return SP_E_LIMIT;
    sp_buf_init(&key, SP_QUEUE_ORDER_NAME_MAX + 16);
    key_of(what, name, &key);
    if ((sp_map_find(q->orders, sp_buf_bytes(&key)) != NULL) != on) {
        int64_t before = sp_queue_due_at(q);

        rc = on ? give(q, sp_buf_bytes(&key), given) : take_back(q, sp_buf_bytes(&key));
        if (rc == SP_OK) {
            apply(q, sp_buf_bytes(&key), on);
            sp_queue_tell_due(q, before);
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
                          void (*visit)(void *arg, enum sp_queue_order what, struct sp_bytes name,
                                        const struct sp_queue_given *given),
                          void *arg)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    while (sp_map_next(q->orders, &at, &key, &value)) {
        enum sp_queue_order what;
        struct sp_bytes name;

        if (split_key(key, &what, &name))
            visit(arg, what, name, value);
    }
}
