/*
 * What recipients have chosen in the portal: one memory for all shards of this process, filled by the ledger at start and by
 * its word of changes. Until it is here nobody can say what a recipient wants, so that no mail is taken: the door is opened
 * behind it, or, if the ledger is long in coming, who writes is told to come later.
 */
#include "gateway/relay/relay.h"

#include "base/fault.h"
#include "jobs/wishes.h"
#include "policy/wishes.h"

#define LIST_MS  60000
#define AGAIN_MS 1000
#define LATE_MS  5000

struct relay_wishes {
    struct relay *relay;
    struct sp_policy_wishes *set;
    struct sp_policy_wishes *next; /* being filled by a list that comes in pages; NULL: none */
    struct sp_timer *again;
    struct sp_timer *late;
    sp_handle call;
    bool known;
    void (*on_known)(struct relay *r); /* once; NULL: it was called */
};

/* returns: false if there is no room: of those whose time is over, which a new list leaves out */
static bool take(struct sp_policy_wishes *set, const struct sp_jobs_wish *e)
{
    struct sp_fact_wish wish = {e->preference, e->given_ms, e->until_ms};

    if (!e->removed && sp_fact_is_wish(wish.preference))
        return sp_policy_wishes_set(set, e->tenant, e->address, &wish);
    sp_policy_wishes_remove(set, e->tenant, e->address);
    return true;
}

static void go_on(struct relay_wishes *m)
{
    void (*fn)(struct relay * r) = m->on_known;

    m->on_known = NULL;
    sp_timer_cancel(m->late);
    if (fn != NULL)
        fn(m->relay);
}

static void on_late(void *arg)
{
    go_on(arg);
}

static void ask(struct relay_wishes *m, const struct sp_jobs_wish *behind);

static void on_list(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct relay_wishes *m = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_wishes list;

    m->call = 0;
    if (rc == SP_OK)
        rc = sp_jobs_wishes_decode(reply->payload, arena, &list);
    if (rc != SP_OK) {
        sp_log_warn(m->relay->log, "relay.wishes-unknown", SP_RC("why", rc));
        sp_timer_start(m->again, AGAIN_MS);
        return;
    }
    for (size_t i = 0; i < list.entry_count; i++)
        (void)take(m->next, &list.entries[i]);
    if (list.entry_count > 0) {
        ask(m, &list.entries[list.entry_count - 1]);
        return;
    }
    sp_policy_wishes_free(m->set);
    m->set = SP_STEAL(m->next);
    m->known = true;
    go_on(m);
}

/* behind: the last of the page before; NULL: from the first */
static void ask(struct relay_wishes *m, const struct sp_jobs_wish *behind)
{
    struct sp_jobs_wishes list = {
        .op = SP_JOBS_WISHES_LIST, .entries = behind, .entry_count = behind != NULL};
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_WISHES,
                                   .timeout_ms = LIST_MS,
                                   .wait_for_peer = true};
    struct sp_buf payload;

    sp_buf_init(&payload, 4096);
    sp_jobs_wishes_encode(&payload, &list);
    call.payload = sp_buf_bytes(&payload);
    m->call = sp_jobs_call(m->relay->jobs, &call, on_list, m);
    sp_buf_clear(&payload);
}

static void begin(void *arg)
{
    struct relay_wishes *m = arg;

    sp_timer_cancel(m->again);
    if (m->call != 0) /* a list that began before fills no page of this one */
        sp_jobs_cancel(m->relay->jobs, m->call);
    sp_policy_wishes_free(m->next);
    m->next = sp_policy_wishes_new(SP_JOBS_WISHES_MAX);
    ask(m, NULL);
}

/* No entry: this process missed one, and asks for all. */
static void on_changed(void *arg, struct sp_jobs_job *job)
{
    struct relay_wishes *m = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_wishes list;
    enum sp_rc rc = sp_jobs_wishes_decode(sp_jobs_job_payload(job), arena, &list);

    if (rc == SP_OK && SP_FAULT("relay.wish-told"))
        rc = SP_E_LIMIT;
    for (size_t i = 0; rc == SP_OK && i < list.entry_count; i++) {
        if (!take(m->set, &list.entries[i]))
            rc = SP_E_LIMIT;
        if (m->next != NULL)
            (void)take(m->next, &list.entries[i]);
    }
    if (rc == SP_OK && list.entry_count == 0)
        begin(m);
    sp_jobs_job_reply(job, rc, sp_bytes(NULL, 0), NULL, 0);
}

struct relay_wishes *relay_wishes_new(struct relay *r)
{
    struct relay_wishes *m = sp_calloc(1, sizeof(*m));

    m->relay = r;
    m->set = sp_policy_wishes_new(SP_JOBS_WISHES_MAX);
    m->again = sp_timer_new(r->loop, begin, m);
    m->late = sp_timer_new(r->loop, on_late, m);
    sp_jobs_serve(r->jobs, SP_JOBS_WISHES, on_changed, m);
    begin(m);
    return m;
}

void relay_wishes_free(struct relay_wishes *m)
{
    if (m == NULL)
        return;
    sp_timer_free(m->again);
    sp_timer_free(m->late);
    sp_policy_wishes_free(m->set);
    sp_policy_wishes_free(m->next);
    sp_free(m);
}

void relay_wishes_again(struct relay_wishes *m)
{
    if (m != NULL)
        begin(m);
}

void relay_wishes_then(struct relay_wishes *m, void (*fn)(struct relay *r))
{
    if (m->known) {
        fn(m->relay);
        return;
    }
    m->on_known = fn;
    sp_timer_start(m->late, LATE_MS);
}

int relay_wishes_find(const struct relay *r, struct sp_bytes tenant, struct sp_bytes address,
                      struct sp_fact_wish *out)
{
    const struct relay_wishes *m = r->first != NULL ? r->first->wishes : r->wishes;
    const struct sp_fact_wish *wish;

    if (m == NULL || !m->known)
        return -1;
    wish = sp_policy_wishes_find(m->set, tenant, address);
    if (wish == NULL)
        return 0;
    *out = *wish;
    return 1;
}
