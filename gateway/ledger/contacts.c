/*
 * Whom tenants write to: all of it for relays that start, what is new for all. Nothing hangs on a relay hearing of it at
 * once: until it does, a recipient who was written to a moment ago counts as new.
 */
#include "audit/contacts.h"
#include "gateway/ledger/ledger.h"
#include "jobs/contacts.h"

#define TEXT_MAX     ((size_t)16 << 20)
#define TELL_MAX     512
#define TELL_TIMEOUT 30000

static struct sp_jobs_contacts about(const struct ledger *l, enum sp_jobs_contacts_op op)
{
    struct sp_audit_contacts c = sp_audit_book_contacts(l->book);

    return (struct sp_jobs_contacts){
        .op = op, .kept = c.kept, .full = c.full, .since_ms = c.since_ms, .oldest = c.oldest};
}

static void on_list(void *arg, struct sp_jobs_job *job)
{
    struct ledger *l = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_contacts list;
    struct sp_jobs_contact *entries;
    struct sp_audit_contact c;
    struct sp_buf out;
    size_t at = 0;
    enum sp_rc rc = sp_jobs_contacts_decode(sp_jobs_job_payload(job), arena, &list);

    sp_buf_init(&out, TEXT_MAX);
    if (rc == SP_OK) {
        ledger_tail_now(l);
        entries = sp_calloc(SP_JOBS_CONTACTS_MAX, sizeof(*entries));
        list = about(l, SP_JOBS_CONTACTS_LIST);
        list.entries = entries;
        while (list.entry_count < SP_JOBS_CONTACTS_MAX &&
               sp_audit_book_contacts_next(l->book, &at, &c))
            entries[list.entry_count++] = (struct sp_jobs_contact){c.hash, c.day};
        sp_jobs_contacts_encode(&out, &list);
        rc = sp_buf_rc(&out);
        sp_free(entries);
    }
    sp_jobs_job_reply(job, rc, rc == SP_OK ? sp_buf_bytes(&out) : SP_LIT(""), NULL, 0);
    sp_buf_clear(&out);
}

static void on_told(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct ledger *l = arg;

    (void)reply;
    if (rc != SP_OK && rc != SP_E_ROLE_GONE)
        sp_log_warn(l->log, "ledger.contacts-untold", SP_RC("why", rc));
}

static void tell_all(struct ledger *l, const struct sp_jobs_contacts *list)
{
    struct sp_buf out;
    unsigned index;
    size_t at = 0;

    sp_buf_init(&out, TEXT_MAX);
    sp_jobs_contacts_encode(&out, list);
    while (sp_jobs_peer_next(l->jobs, SP_ROLE_RELAY, &at, &index)) {
        struct sp_jobs_request request = {.role = SP_ROLE_RELAY,
                                          .index = index,
                                          .type = SP_JOBS_CONTACTS,
                                          .payload = sp_buf_bytes(&out),
                                          .timeout_ms = TELL_TIMEOUT};

        sp_jobs_call(l->jobs, &request, on_told, l);
    }
    sp_buf_clear(&out);
}

void ledger_contacts_tell(struct ledger *l)
{
    struct sp_jobs_contact entries[TELL_MAX];
    struct sp_audit_contact c;
    bool more = true;

    while (more) {
        struct sp_jobs_contacts list = about(l, SP_JOBS_CONTACTS_CHANGED);

        list.entries = entries;
        while (list.entry_count < TELL_MAX && (more = sp_audit_book_contacts_changed(l->book, &c)))
            entries[list.entry_count++] = (struct sp_jobs_contact){c.hash, c.day};
        if (list.entry_count > 0)
            tell_all(l, &list);
    }
}

void ledger_contacts_serve(struct ledger *l)
{
    sp_jobs_serve(l->jobs, SP_JOBS_CONTACTS, on_list, l);
}
