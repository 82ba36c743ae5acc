/*
 * Shards that another relay left behind: a gateway that now runs fewer relays still has the mail that the others had
 * taken. Each such folder gets a queue and a delivery of its own in this process, on the same loop, and no intake, so that
 * it empties. One that can't be opened keeps nobody else from working: it is tried again.
 */
#include "gateway/relay/relay.h"

#include "base/arena.h"
#include "base/text.h"

#define AGAIN_MS 10000

static void on_due(void *arg)
{
    relay_delivery_poke(arg);
}

static void on_durable(void *arg, uint64_t segment, uint64_t end)
{
    relay_durable_tell(((struct relay *)arg)->durable, segment, end);
}

static void classify(void *arg, const struct sp_accept *a, size_t n, struct sp_queue_way *way)
{
    sp_delivery_way(a, n, ((struct relay *)arg)->ways, way);
}

/* What the audit says of a shard that `queue restore` has made: the command ran without the gateway. */
static void put_restored(const struct relay *r, struct sp_buf *out)
{
    struct sp_jw w;

    sp_buf_init(out, 8192);
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "backup.restored");
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "admin");
    sp_jw_cstr(&w, "id", "root");
    sp_jw_end(&w);
    sp_jw_cstr(&w, "reason", "queue restore");
    sp_jw_cstr(&w, "shard", r->dir);
    sp_jw_end(&w);
}

enum sp_rc relay_queue_open(struct relay *r, struct sp_err *err)
{
    struct sp_queue_options options = {
        .dir = r->dir,
        .keys = &r->keys,
        .loop = r->loop,
        .log = r->log,
        .clock = sp_loop_clock(r->loop),
        .random = sp_random_system(),
        .prewrite = r->first == NULL,
        .wait_max_ms = 2 * r->config->delivery.retry_max_ms,
        .body_memory = (size_t)r->config->intake.memory,
        .messages_max = ((size_t)r->config->intake.max_queue + sp_role_count(r->role) - 1) /
                        sp_role_count(r->role),
        .body_inline =
            r->config->intake.inline_limit == 0 ? 1 : (size_t)r->config->intake.inline_limit,
        .on_due = on_due,
        .classify = classify,
        .on_durable = on_durable,
        .arg = r,
    };
    struct sp_buf renewed, restored;
    enum sp_rc rc;

    relay_keys_renewed(r, &renewed);
    put_restored(r, &restored);
    options.renewed = sp_buf_bytes(&renewed);
    options.restored = sp_buf_bytes(&restored);
    if (r->ways == NULL)
        r->ways = sp_arena_new(1024);
    rc = sp_queue_open(&options, &r->queue, err);
    sp_buf_clear(&renewed);
    sp_buf_clear(&restored);
    return rc;
}

static void left_free(struct relay *x)
{
    relay_delivery_free(x);
    sp_queue_close(x->queue);
    sp_arena_free(x->ways);
    relay_durable_free(x->durable);
    relay_keys_clear(&x->keys);
    sp_free(x);
}

static enum sp_rc open_one(struct relay *r, const char *dir, struct sp_err *err)
{
    struct relay *x = sp_calloc(1, sizeof(*x));
    enum sp_rc rc;

    x->role = r->role;
    x->loop = r->loop;
    x->log = r->log;
    x->jobs = r->jobs;
    x->config = r->config;
    x->keys = r->keys;
    x->dir = dir;
    x->first = r;
    sp_list_init(&x->probes);
    x->durable = relay_durable_new(x);
    rc = relay_queue_open(x, err);
    if (rc == SP_OK)
        rc = relay_delivery_start(x, err);
    if (rc != SP_OK) {
        left_free(x);
        return rc;
    }
    x->left = r->left;
    r->left = x;
    relay_waiting_look(r->waiting);
    sp_log_info(x->log, "relay.left-behind", SP_TEXT("folder", dir),
                SP_INT("messages", sp_queue_stats(x->queue).messages));
    return SP_OK;
}

static bool is_open(const struct relay *r, const char *dir)
{
    const struct relay *x = r->left;

    while (x != NULL && x->dir != dir)
        x = x->left;
    return x != NULL;
}

/* Each that is not open yet is tried, and told of when it fails. */
static void open_all(void *arg)
{
    struct relay *r = arg;
    const char *dir;
    size_t at = 0;

    (void)sp_role_dir_next(r->role, &at); /* the first is r's own */
    while (r->draining == 0 && (dir = sp_role_dir_next(r->role, &at)) != NULL) {
        struct sp_err err = {0};

        if (is_open(r, dir) || open_one(r, dir, &err) == SP_OK)
            continue;
        sp_log_error(r->log, "relay.left-closed", SP_TEXT("folder", dir), SP_RC("why", err.rc),
                     SP_TEXT("detail", err.text));
        sp_timer_start(r->left_again, AGAIN_MS);
    }
}

void relay_left_open(struct relay *r)
{
    r->left_again = sp_timer_new(r->loop, open_all, r);
    open_all(r);
}

enum sp_rc relay_left_reload(struct relay *r, struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    for (struct relay *x = r->left; x != NULL && rc == SP_OK; x = x->left) {
        x->config = r->config;
        rc = relay_delivery_reload(x, err);
    }
    return rc;
}

unsigned relay_left_drain(struct relay *r, int64_t patience_ms, void (*fn)(void *arg))
{
    unsigned count = 0;

    for (struct relay *x = r->left; x != NULL; x = x->left) {
        relay_delivery_drain(x, patience_ms, fn);
        count++;
    }
    return count;
}

void relay_left_free(struct relay *r)
{
    sp_timer_free(r->left_again);
    while (r->left != NULL) {
        struct relay *x = r->left;

        r->left = x->left;
        left_free(x);
    }
}
