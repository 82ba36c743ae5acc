/*
 * Addresses that are not tried, across restarts: read from the audit's own lines (list.changed of the list "suppression"), so
 * that all of it can be told again from the journals. All lie in memory; the database gets what changed. One whose time is
 * over is shown no more, and forgotten when room is needed, without a line: the line that added it says until when.
 */
#include "audit/book_priv.h"
#include "base/clock.h"
#include "base/text.h"

#define ADDRESS_LEN_MAX 512

struct sp_audit_address {
    struct sp_list changed;
    struct sp_list dirty;
    char *address;
    char *why;
    char *reply;
    int64_t since_ms;
    int64_t until_ms;
    bool removed;
};

static bool is_over(const struct sp_audit_address *a, int64_t now_ms)
{
    return a->removed || (a->until_ms != 0 && a->until_ms <= now_ms);
}

static void put(struct sp_list *list, struct sp_list *node)
{
    sp_list_remove(node);
    sp_list_append(list, node);
}

static void free_address(struct sp_audit_address *a)
{
    sp_list_remove(&a->changed);
    sp_list_remove(&a->dirty);
    sp_free(a->address);
    sp_free(a->why);
    sp_free(a->reply);
    sp_free(a);
}

/* Is it out of the database, and are all told, then nobody need know of it. */
static void drop_if_told(struct sp_audit_book *b, struct sp_audit_address *a)
{
    if (!a->removed || !sp_list_is_empty(&a->changed) || !sp_list_is_empty(&a->dirty))
        return;
    (void)sp_map_remove(b->addresses, sp_bytes_cstr(a->address));
    free_address(a);
}

/*
 * Those whose time is over leave the database with the next commit, and the map then. A full list is looked at once, and
 * again when the next one's time is over.
 *
 * returns: whether there is room for one more
 */
static bool make_room(struct sp_audit_book *b)
{
    int64_t now_ms = sp_clock_wall_ms(b->clock);
    int64_t next_ms = INT64_MAX;
    size_t at = 0, living = 0;
    struct sp_bytes key;
    void *value;

    if (now_ms < b->addresses_full_until_ms)
        return false;
    while (sp_map_next(b->addresses, &at, &key, &value)) {
        struct sp_audit_address *a = value;

        if (a->removed) {
            drop_if_told(b, a);
        } else if (is_over(a, now_ms)) {
            a->removed = true;
            put(&b->dirty_addresses, &a->dirty);
        } else {
            living++;
            if (a->until_ms != 0 && a->until_ms < next_ms)
                next_ms = a->until_ms;
        }
    }
    b->addresses_full_until_ms = living < b->addresses_max ? 0 : next_ms;
    return living < b->addresses_max;
}

static struct sp_audit_address *get(struct sp_audit_book *b, struct sp_bytes address)
{
    struct sp_audit_address *a;
    struct sp_buf lower;

    sp_buf_init(&lower, ADDRESS_LEN_MAX);
    for (size_t i = 0; i < address.len; i++)
        sp_buf_put_u8(&lower, sp_ascii_lower(address.ptr[i]));
    a = sp_map_find(b->addresses, sp_buf_bytes(&lower));
    if (a == NULL && sp_buf_rc(&lower) == SP_OK && lower.len > 0 &&
        (sp_map_count(b->addresses) < b->addresses_max || make_room(b))) {
        a = sp_calloc(1, sizeof(*a));
        a->address = sp_strdup_bytes(sp_buf_bytes(&lower));
        sp_list_init(&a->changed);
        sp_list_init(&a->dirty);
        (void)sp_map_put(b->addresses, sp_bytes_cstr(a->address), a);
    }
    sp_buf_clear(&lower);
    return a;
}

static void set_text(char **at, struct sp_bytes text)
{
    sp_free(*at);
    *at = sp_strdup_bytes(text);
}

void sp_audit_suppress_learn(struct sp_audit_book *b, const struct sp_audit_line *line)
{
    struct sp_audit_address *a;

    if (strcmp(line->event->name, "list.changed") != 0 ||
        !sp_bytes_eq(sp_json_text_of(line->root, "list"), SP_LIT("suppression")))
        return;
    a = get(b, sp_json_text_of(line->root, "address"));
    if (a == NULL)
        return;
    a->removed = sp_bytes_eq(sp_json_text_of(line->root, "change"), SP_LIT("removed"));
    if (a->removed)
        b->addresses_full_until_ms = 0;
    a->since_ms = line->time_ms;
    if (!sp_time_parse_rfc3339(sp_json_text_of(line->root, "until"), &a->until_ms))
        a->until_ms = 0;
    if (a->until_ms != 0 && a->until_ms < b->addresses_full_until_ms)
        b->addresses_full_until_ms = a->until_ms;
    set_text(&a->why, sp_json_text_of(line->root, "why"));
    set_text(&a->reply, sp_json_text_of(line->root, "reply"));
    put(&b->changed_addresses, &a->changed);
    put(&b->dirty_addresses, &a->dirty);
}

enum sp_rc sp_audit_suppress_load(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT address, why, reply, since, until FROM suppression");
    enum sp_rc rc;
    bool row;

    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_audit_address *a = get(b, sp_store_text(q, 0));

        if (a == NULL)
            continue;
        set_text(&a->why, sp_store_text(q, 1));
        set_text(&a->reply, sp_store_text(q, 2));
        a->since_ms = sp_store_int(q, 3);
        a->until_ms = sp_store_int(q, 4);
    }
    return rc;
}

static enum sp_rc store_one(struct sp_audit_book *b, const struct sp_audit_address *a,
                            struct sp_err *err)
{
    struct sp_store_query *q;

    if (a->removed) {
        q = sp_store_query(b->store, "DELETE FROM suppression WHERE address = ?1");
        sp_store_bind_text(q, 1, sp_bytes_cstr(a->address));
        return sp_store_run(q, err);
    }
    q = sp_store_query(b->store, "INSERT OR REPLACE INTO suppression (address, why, reply, since,"
                                 " until) VALUES (?1, ?2, ?3, ?4, ?5)");
    sp_store_bind_text(q, 1, sp_bytes_cstr(a->address));
    sp_store_bind_text(q, 2, sp_bytes_cstr(a->why));
    sp_store_bind_text(q, 3, sp_bytes_cstr(a->reply));
    sp_store_bind_int(q, 4, a->since_ms);
    sp_store_bind_int(q, 5, a->until_ms);
    return sp_store_run(q, err);
}

enum sp_rc sp_audit_suppress_store(struct sp_audit_book *b, struct sp_err *err)
{
    while (!sp_list_is_empty(&b->dirty_addresses)) {
        struct sp_audit_address *a =
            SP_CONTAINER(b->dirty_addresses.next, struct sp_audit_address, dirty);
        enum sp_rc rc = store_one(b, a, err);

        if (rc != SP_OK)
            return rc;
        sp_list_remove(&a->dirty);
        drop_if_told(b, a);
    }
    return SP_OK;
}

void sp_audit_suppress_free(struct sp_audit_book *b)
{
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    while (sp_map_next(b->addresses, &at, &key, &value)) {
        sp_map_remove(b->addresses, key);
        free_address(value);
    }
}

static struct sp_audit_suppressed show(const struct sp_audit_address *a)
{
    return (struct sp_audit_suppressed){
        .address = sp_bytes_cstr(a->address),
        .why = a->why == NULL ? SP_LIT("") : sp_bytes_cstr(a->why),
        .reply = a->reply == NULL ? SP_LIT("") : sp_bytes_cstr(a->reply),
        .since_ms = a->since_ms,
        .until_ms = a->until_ms,
        .removed = a->removed,
    };
}

bool sp_audit_book_suppressed_next(const struct sp_audit_book *b, size_t *at,
                                   struct sp_audit_suppressed *out)
{
    int64_t now_ms = sp_clock_wall_ms(b->clock);
    struct sp_bytes key;
    void *value;

    while (sp_map_next(b->addresses, at, &key, &value)) {
        *out = show(value);
        if (!is_over(value, now_ms))
            return true;
    }
    return false;
}

bool sp_audit_book_suppressed_changed(struct sp_audit_book *b, struct sp_audit_suppressed *out)
{
    struct sp_audit_address *a;

    if (sp_list_is_empty(&b->changed_addresses))
        return false;
    a = SP_CONTAINER(b->changed_addresses.next, struct sp_audit_address, changed);
    sp_list_remove(&a->changed);
    *out = show(a);
    return true;
}
