/*
 * Whom tenants write to: one memory for all shards of this process, filled by the ledger at start and by its word of those
 * who are new. Until the list is here, while the gateway is still learning, and where the ledger's memory is full, nobody
 * is said to be new: the fact is unknown then, and the policy does what is safe.
 */
#include "gateway/relay/relay.h"

#include "crypt/hash.h"
#include "jobs/contacts.h"
#include "policy/contacts.h"

#define LIST_MS  60000
#define AGAIN_MS 1000

struct relay_contacts {
    struct relay *relay;
    struct sp_policy_contacts *set;
    struct sp_timer *again;
    sp_handle call;
    struct sp_secret key;
    bool has_key;
    bool known;
    bool kept, full;
    int64_t since_ms;
    uint16_t oldest;
};

static void take_all(struct relay_contacts *m, const struct sp_jobs_contacts *list)
{
    if (list->oldest > m->oldest) { /* the ledger's word, not our clock's: that may leap */
        m->oldest = list->oldest;
        sp_policy_contacts_expire(m->set, m->oldest);
    }
    for (size_t i = 0; i < list->entry_count; i++)
        (void)sp_policy_contacts_put(m->set, list->entries[i].hash, list->entries[i].day);
    m->kept = list->kept;
    m->full = list->full;
    m->since_ms = list->since_ms;
}

static void on_list(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct relay_contacts *m = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_contacts list;

    m->call = 0;
    if (rc == SP_OK)
        rc = sp_jobs_contacts_decode(reply->payload, arena, &list);
    if (rc == SP_OK) {
        take_all(m, &list);
        m->known = true;
        return;
    }
    sp_log_warn(m->relay->log, "relay.contacts-unknown", SP_RC("why", rc));
    sp_timer_start(m->again, AGAIN_MS);
}

static void ask(void *arg)
{
    struct relay_contacts *m = arg;
    struct sp_jobs_contacts list = {.op = SP_JOBS_CONTACTS_LIST};
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_CONTACTS,
                                   .timeout_ms = LIST_MS,
                                   .wait_for_peer = true};
    struct sp_buf payload;

    sp_buf_init(&payload, 1024);
    sp_jobs_contacts_encode(&payload, &list);
    call.payload = sp_buf_bytes(&payload);
    m->call = sp_jobs_call(m->relay->jobs, &call, on_list, m);
    sp_buf_clear(&payload);
}

static void on_changed(void *arg, struct sp_jobs_job *job)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_contacts list;
    enum sp_rc rc = sp_jobs_contacts_decode(sp_jobs_job_payload(job), arena, &list);

    if (rc == SP_OK)
        take_all(arg, &list);
    sp_jobs_job_reply(job, rc, sp_bytes(NULL, 0), NULL, 0);
}

struct relay_contacts *relay_contacts_new(struct relay *r)
{
    struct relay_contacts *m = sp_calloc(1, sizeof(*m));

    m->relay = r;
    m->set = sp_policy_contacts_new(SP_POLICY_CONTACTS_MAX);
    m->again = sp_timer_new(r->loop, ask, m);
    sp_jobs_serve(r->jobs, SP_JOBS_CONTACTS, on_changed, m);
    ask(m);
    return m;
}

void relay_contacts_free(struct relay_contacts *m)
{
    if (m == NULL)
        return;
    sp_timer_free(m->again);
    sp_policy_contacts_free(m->set);
    sp_secret_clear(&m->key);
    sp_free(m);
}

void relay_contacts_again(struct relay_contacts *m)
{
    if (m != NULL && m->call == 0)
        ask(m);
}

int relay_contacts_is_new(const struct relay *r, struct sp_bytes tenant, struct sp_bytes address)
{
    struct relay_contacts *m = r->first != NULL ? r->first->contacts : r->contacts;
    int64_t now_ms =
        sp_clock_steady_ms(sp_loop_clock(r->loop)); /* nobody is new since a clock leapt */
    uint64_t hash;

    if (m == NULL || !m->known || !m->kept)
        return -1;
    if (!m->has_key)
        sp_crypt_hkdf(sp_secret_bytes(&r->keys.record), SP_POLICY_CONTACTS_INFO, &m->key);
    m->has_key = true;
    hash = sp_policy_contacts_hash(&m->key, tenant, address);
    if (sp_policy_contacts_has(m->set, hash,
                               sp_policy_contacts_day(now_ms - r->config->contacts.keep_ms)))
        return 0;
    return m->full || now_ms < m->since_ms + r->config->contacts.learn_ms ? -1 : 1;
}
