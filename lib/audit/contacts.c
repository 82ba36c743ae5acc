/*
 * A recipient is known to a tenant once mail has reached it: delivered, or told of its package in the portal. What is held,
 * refused or comes back teaches nothing, so that a slip that was caught stays a stranger's address. The hash is made when
 * the message is accepted, where the address is at hand, and waits in the message's row; what is learnt goes into the
 * transaction of the record that says so.
 */
#include "audit/contacts.h"

#include "audit/book_priv.h"
#include "policy/contacts.h"

void sp_audit_contact_note(struct sp_audit_book *b, struct sp_audit_message *m,
                           const struct sp_accept *accept)
{
    if (b->contacts == NULL || accept->kind != SP_ACCEPT_KIND_MAIL || accept->tenant.len == 0)
        return;
    for (size_t i = 0; i < accept->recipient_count && i < m->rcpt_count; i++)
        m->rcpts[i].contact =
            sp_policy_contacts_hash(&b->contact_key, accept->tenant, accept->recipients[i].address);
}

static void note_told(struct sp_audit_book *b, uint64_t hash, uint16_t day)
{
    if (b->told_count < SP_AUDIT_CONTACTS_TOLD)
        b->told[b->told_count++] = (struct sp_audit_contact){hash, day};
}

/* Once a day, so that a set that is full has room again, in memory and in the database. By the time that is sure: a clock that
 * leaps must not make strangers of all. */
static enum sp_rc forget_old(struct sp_audit_book *b, struct sp_err *err)
{
    int64_t now_ms = sp_audit_book_sure_ms(b);
    uint16_t since = sp_policy_contacts_day(now_ms - b->contacts_keep_ms);
    struct sp_store_query *q;

    if (sp_policy_contacts_day(now_ms) == b->contacts_day)
        return SP_OK;
    b->contacts_day = sp_policy_contacts_day(now_ms);
    b->contacts_oldest = since;
    sp_policy_contacts_expire(b->contacts, since);
    q = sp_store_query(b->store, "DELETE FROM contact WHERE day < ?1");
    sp_store_bind_int(q, 1, since);
    return sp_store_run(q, err);
}

enum sp_rc sp_audit_contact_learn(struct sp_audit_book *b, const struct sp_audit_message *m,
                                  uint16_t n, struct sp_err *err)
{
    uint16_t day = sp_policy_contacts_day(sp_clock_wall_ms(b->clock));
    struct sp_store_query *q;
    uint64_t hash;
    enum sp_rc rc;

    if (b->contacts == NULL || n >= m->rcpt_count || m->rcpts[n].contact == 0)
        return SP_OK;
    hash = m->rcpts[n].contact;
    rc = sp_audit_book_note(b, forget_old(b, err));
    if (rc != SP_OK || !sp_policy_contacts_put(b->contacts, hash, day))
        return rc;
    note_told(b, hash, day);
    q = sp_store_query(b->store, "INSERT OR REPLACE INTO contact VALUES (?1, ?2)");
    sp_store_bind_int(q, 1, (int64_t)hash);
    sp_store_bind_int(q, 2, day);
    return sp_audit_book_note(b, sp_store_run(q, err));
}

static enum sp_rc load_since(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "INSERT INTO contact_since VALUES (1, ?1) ON CONFLICT (id) DO NOTHING");
    bool row = false;
    enum sp_rc rc;

    sp_store_bind_int(q, 1, sp_clock_wall_ms(b->clock));
    rc = sp_store_run(q, err);
    if (rc != SP_OK)
        return rc;
    q = sp_store_query(b->store, "SELECT at FROM contact_since WHERE id = 1");
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && row)
        b->contacts_since_ms = sp_store_int(q, 0);
    sp_store_done(q);
    return rc;
}

enum sp_rc sp_audit_contact_load(struct sp_audit_book *b,
                                 const struct sp_audit_book_options *options, struct sp_err *err)
{
    struct sp_store_query *q;
    enum sp_rc rc;
    bool row;

    if (options->contacts == NULL)
        return SP_OK;
    b->contact_key = *options->contacts;
    b->contacts = sp_policy_contacts_new(options->contacts_max);
    b->contacts_keep_ms = options->contacts_keep_ms;
    rc = load_since(b, err);
    if (rc == SP_OK)
        rc = forget_old(b, err);
    if (rc != SP_OK)
        return rc;
    q = sp_store_query(b->store, "SELECT hash, day FROM contact ORDER BY day DESC");
    while ((rc = sp_store_next(q, &row, err)) == SP_OK && row)
        (void)sp_policy_contacts_put(b->contacts, (uint64_t)sp_store_int(q, 0),
                                     (uint16_t)sp_store_int(q, 1));
    sp_store_done(q);
    return rc;
}

void sp_audit_contact_free(struct sp_audit_book *b)
{
    sp_policy_contacts_free(b->contacts);
    sp_secret_clear(&b->contact_key);
}

struct sp_audit_contacts sp_audit_book_contacts(const struct sp_audit_book *b)
{
    if (b->contacts == NULL)
        return (struct sp_audit_contacts){.kept = false};
    return (struct sp_audit_contacts){.kept = true,
                                      .full = sp_policy_contacts_is_full(b->contacts),
                                      .since_ms = b->contacts_since_ms,
                                      .oldest = b->contacts_oldest};
}

bool sp_audit_book_contacts_next(const struct sp_audit_book *b, size_t *at,
                                 struct sp_audit_contact *out)
{
    return b->contacts != NULL && sp_policy_contacts_next(b->contacts, at, &out->hash, &out->day);
}

bool sp_audit_book_contacts_changed(struct sp_audit_book *b, struct sp_audit_contact *out)
{
    if (b->told_count == 0)
        return false;
    *out = b->told[--b->told_count];
    return true;
}
