/*
 * Learnt from the audit's own lines, so that all of it can be told again from the journals. Rows change in the transaction of
 * the line that says so; memory holds only how many there are and what the relays have not been told yet. A wish whose time
 * is over is found no more, and leaves the table when the books are opened or the table is full.
 */
#include "audit/wishes.h"

#include "audit/book_priv.h"
#include "base/text.h"
#include "policy/wishes.h"

struct sp_audit_told_wish {
    struct sp_list link;
    char *tenant;
    char *address;
    struct sp_fact_wish wish;
    bool removed;
};

static char *lower(struct sp_bytes address)
{
    char *text = sp_strdup_bytes(address);

    for (char *c = text; *c != 0; c++)
        *c = (char)sp_ascii_lower((uint8_t)*c);
    return text;
}

static void free_told(struct sp_audit_told_wish *t)
{
    if (t == NULL)
        return;
    sp_list_remove(&t->link);
    sp_free(t->tenant);
    sp_free(t->address);
    sp_free(t);
}

static bool read_wish(const struct sp_audit_line *line, struct sp_fact_wish *out)
{
    const struct sp_json *entry = sp_json_find(line->root, "entry");

    return sp_fact_value_parse(SP_FACT_RECIPIENT_PREFERENCE, sp_json_text_of(entry, "preference"),
                               &out->preference) &&
           sp_fact_is_wish(out->preference) &&
           sp_time_parse_rfc3339(sp_json_text_of(entry, "given"), &out->given_ms) &&
           sp_time_parse_rfc3339(sp_json_text_of(entry, "until"), &out->until_ms);
}

static enum sp_rc count_all(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(b->store, "SELECT count(*) FROM wish");
    bool row = false;
    enum sp_rc rc = sp_store_next(q, &row, err);

    if (rc == SP_OK && row)
        b->wish_count = (size_t)sp_store_int(q, 0);
    sp_store_done(q);
    return rc;
}

static enum sp_rc store(struct sp_audit_book *b, const struct sp_audit_told_wish *t,
                        struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, t->removed ? "DELETE FROM wish WHERE tenant = ?1 AND address = ?2"
                                            : "INSERT OR REPLACE INTO wish (tenant, address,"
                                              " preference, given, until)"
                                              " VALUES (?1, ?2, ?3, ?4, ?5)");
    enum sp_rc rc;

    sp_store_bind_text(q, 1, sp_bytes_cstr(t->tenant));
    sp_store_bind_text(q, 2, sp_bytes_cstr(t->address));
    if (!t->removed) {
        sp_store_bind_int(q, 3, t->wish.preference);
        sp_store_bind_int(q, 4, t->wish.given_ms);
        sp_store_bind_int(q, 5, t->wish.until_ms);
    }
    rc = sp_store_run(q, err);
    return rc == SP_OK ? count_all(b, err) : rc;
}

enum sp_rc sp_audit_wish_learn(struct sp_audit_book *b, const struct sp_audit_line *line,
                               struct sp_err *err)
{
    struct sp_bytes tenant = sp_json_text_of(line->root, "tenant");
    struct sp_bytes address = sp_json_text_of(line->root, "recipient");
    uint8_t key[SP_POLICY_WISH_KEY_MAX];
    struct sp_audit_told_wish *t;

    if (strcmp(line->event->name, "preference.changed") != 0 ||
        !sp_bytes_eq(sp_json_text_of(line->root, "source"), SP_LIT("recipient")) ||
        sp_policy_wishes_key(tenant, address, key) == 0)
        return SP_OK;
    t = sp_calloc(1, sizeof(*t));
    sp_list_init(&t->link);
    t->removed = !sp_bytes_eq(sp_json_text_of(line->root, "change"), SP_LIT("set"));
    if (!t->removed && !read_wish(line, &t->wish)) {
        free_told(t);
        return SP_OK;
    }
    t->tenant = sp_strdup_bytes(tenant);
    t->address = lower(address);
    sp_list_append(&b->told_wishes, &t->link);
    return sp_audit_book_note(b, store(b, t, err));
}

enum sp_rc sp_audit_wish_load(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(b->store, "DELETE FROM wish WHERE until <= ?1");
    enum sp_rc rc;

    sp_store_bind_int(q, 1, sp_audit_book_sure_ms(b));
    rc = sp_store_run(q, err);
    return rc == SP_OK ? count_all(b, err) : rc;
}

void sp_audit_wish_free(struct sp_audit_book *b)
{
    while (b->told_wishes.next != NULL && !sp_list_is_empty(&b->told_wishes))
        free_told(SP_CONTAINER(b->told_wishes.next, struct sp_audit_told_wish, link));
    free_told(b->told_wish);
}

static struct sp_fact_wish read_row(const struct sp_store_query *q, int at)
{
    return (struct sp_fact_wish){.preference = sp_store_int(q, at),
                                 .given_ms = sp_store_int(q, at + 1),
                                 .until_ms = sp_store_int(q, at + 2)};
}

enum sp_rc sp_audit_book_wishes(struct sp_audit_book *b, struct sp_bytes tenant,
                                struct sp_bytes address, sp_audit_wish_fn fn, void *arg,
                                struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "SELECT tenant, address, preference, given, until FROM wish"
                  " WHERE (tenant, address) > (?1, ?2) AND until > ?3 ORDER BY tenant, address");
    bool row = true, more = true;
    enum sp_rc rc = SP_OK;

    sp_store_bind_text(q, 1, tenant);
    sp_store_bind_text(q, 2, address);
    sp_store_bind_int(q, 3, sp_clock_wall_ms(b->clock));
    while (more && (rc = sp_store_next(q, &row, err)) == SP_OK && row) {
        struct sp_audit_wish w = {
            .tenant = sp_store_text(q, 0), .address = sp_store_text(q, 1), .wish = read_row(q, 2)};

        more = fn(arg, &w);
    }
    sp_store_done(q);
    return rc;
}

enum sp_rc sp_audit_book_wish_find(struct sp_audit_book *b, struct sp_bytes tenant,
                                   struct sp_bytes address, struct sp_fact_wish *out,
                                   struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT preference, given, until FROM wish"
                                 " WHERE tenant = ?1 AND address = ?2 AND until > ?3");
    char *name = lower(address);
    bool row = false;
    enum sp_rc rc;

    sp_store_bind_text(q, 1, tenant);
    sp_store_bind_text(q, 2, sp_bytes_cstr(name));
    sp_store_bind_int(q, 3, sp_clock_wall_ms(b->clock));
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && row)
        *out = read_row(q, 0);
    sp_store_done(q);
    sp_free(name);
    return rc == SP_OK && !row ? SP_E_NOT_FOUND : rc;
}

bool sp_audit_book_wish_changed(struct sp_audit_book *b, struct sp_audit_wish *out)
{
    free_told(b->told_wish);
    b->told_wish = NULL;
    if (sp_list_is_empty(&b->told_wishes))
        return false;
    b->told_wish = SP_CONTAINER(b->told_wishes.next, struct sp_audit_told_wish, link);
    sp_list_remove(&b->told_wish->link);
    *out = (struct sp_audit_wish){.tenant = sp_bytes_cstr(b->told_wish->tenant),
                                  .address = sp_bytes_cstr(b->told_wish->address),
                                  .wish = b->told_wish->wish,
                                  .removed = b->told_wish->removed};
    return true;
}

enum sp_rc sp_audit_book_wish_fits(struct sp_audit_book *b, struct sp_bytes tenant,
                                   struct sp_bytes address, struct sp_err *err)
{
    struct sp_fact_wish before;
    enum sp_rc rc = SP_OK;

    if (b->wish_count >= b->wishes_max)
        rc = sp_audit_book_note(b, sp_audit_wish_load(b, err));
    if (rc != SP_OK || b->wish_count < b->wishes_max)
        return rc;
    rc = sp_audit_book_wish_find(b, tenant, address, &before, err);
    return rc == SP_E_NOT_FOUND ? SP_E_LIMIT : rc;
}
