/*
 * Whom a relay takes for new, by what the ledger tells: gateway/relay/contacts.c, without a ledger.
 */
#include "gateway/relay/relay.h"

#include "crypt/hash.h"
#include "jobs/contacts.h"
#include "policy/contacts.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

#define DAY_MS ((int64_t)86400000)

/* What it has asked the ledger for, and whom it hears the ledger by. */
static struct {
    sp_jobs_done_fn on_list;
    void (*on_changed)(void *arg, struct sp_jobs_job *job);
    void *arg;
    struct sp_bytes told;
    enum sp_rc replied;
} ledger;

/* The wall clock may leap; as it would be had nobody set it, it stands still. */
static struct fake_clock leaps;
static int64_t steady_ms;

static struct relay relay;
static struct sp_config config;
static struct relay_contacts *contacts;
static uint16_t today; /* when the test began */

/* ---- jobs: the linker puts these in place of what they are named by ---- */

sp_handle __wrap_sp_jobs_call(struct sp_jobs *jobs, const struct sp_jobs_request *request,
                              sp_jobs_done_fn done, void *arg);
void __wrap_sp_jobs_serve(struct sp_jobs *jobs, enum sp_jobs_type type,
                          void (*handler)(void *arg, struct sp_jobs_job *job), void *arg);
struct sp_bytes __wrap_sp_jobs_job_payload(const struct sp_jobs_job *job);
void __wrap_sp_jobs_job_reply(struct sp_jobs_job *job, enum sp_rc rc, struct sp_bytes payload,
                              const int *fds, size_t fd_count);

sp_handle __wrap_sp_jobs_call(struct sp_jobs *jobs, const struct sp_jobs_request *request,
                              sp_jobs_done_fn done, void *arg)
{
    (void)jobs;
    ck_assert_int_eq(request->type, SP_JOBS_CONTACTS);
    ledger.on_list = done;
    ledger.arg = arg;
    return 1;
}

void __wrap_sp_jobs_serve(struct sp_jobs *jobs, enum sp_jobs_type type,
                          void (*handler)(void *arg, struct sp_jobs_job *job), void *arg)
{
    (void)jobs, (void)arg;
    ck_assert_int_eq(type, SP_JOBS_CONTACTS);
    ledger.on_changed = handler;
}

struct sp_bytes __wrap_sp_jobs_job_payload(const struct sp_jobs_job *job)
{
    (void)job;
    return ledger.told;
}

void __wrap_sp_jobs_job_reply(struct sp_jobs_job *job, enum sp_rc rc, struct sp_bytes payload,
                              const int *fds, size_t fd_count)
{
    (void)job, (void)payload, (void)fds, (void)fd_count;
    ledger.replied = rc;
}

const struct sp_clock *__wrap_sp_loop_clock(const struct sp_loop *loop);

const struct sp_clock *__wrap_sp_loop_clock(const struct sp_loop *loop)
{
    (void)loop;
    return &leaps.clock;
}

static int64_t get_steady_ms(void *ctx)
{
    (void)ctx;
    return steady_ms;
}

/* ---- */

static int64_t now_ms(void)
{
    return steady_ms;
}

static uint64_t hash_of(const char *address)
{
    struct sp_secret key;

    sp_crypt_hkdf(sp_secret_bytes(&relay.keys.record), SP_POLICY_CONTACTS_INFO, &key);
    return sp_policy_contacts_hash(&key, SP_LIT("clinic"), sp_bytes_cstr(address));
}

static int is_new(const char *address)
{
    return relay_contacts_is_new(&relay, SP_LIT("clinic"), sp_bytes_cstr(address));
}

/* The ledger's whole list, or that one is new, and since which day it remembers any. */
static void tell(enum sp_jobs_contacts_op op, uint16_t oldest,
                 const struct sp_jobs_contact *entries, size_t count)
{
    struct sp_jobs_contacts list = {.op = op,
                                    .kept = true,
                                    .since_ms = now_ms() - 100 * DAY_MS,
                                    .oldest = oldest,
                                    .entries = entries,
                                    .entry_count = count};
    struct sp_jobs_reply reply = {0};
    struct sp_buf text;

    sp_buf_init(&text, 4096);
    sp_jobs_contacts_encode(&text, &list);
    reply.payload = ledger.told = sp_buf_bytes(&text);
    if (op == SP_JOBS_CONTACTS_LIST)
        ledger.on_list(ledger.arg, SP_OK, &reply);
    else
        ledger.on_changed(ledger.arg, NULL);
    ck_assert_int_eq(ledger.replied, SP_OK);
    sp_buf_clear(&text);
}

static void set_up(void)
{
    memset(&ledger, 0, sizeof(ledger));
    fake_clock_init(&leaps, 0);
    leaps.clock.steady_ms = get_steady_ms;
    steady_ms = leaps.wall_ms;
    config = (struct sp_config){.contacts = {.learn_ms = DAY_MS, .keep_ms = 365 * DAY_MS}};
    relay = (struct relay){.loop = sp_loop_new(), .config = &config, .keys.record = {.b = {7}}};
    today = sp_policy_contacts_day(now_ms());
    contacts = relay.contacts = relay_contacts_new(&relay);
}

static void tear_down(void)
{
    relay_contacts_free(contacts);
    sp_loop_free(relay.loop);
}

START_TEST(nobody_is_new_until_the_list_is_here)
{
    ck_assert_int_eq(is_new("old@a.test"), -1);
    tell(SP_JOBS_CONTACTS_LIST, 0, NULL, 0);
    ck_assert_int_eq(is_new("old@a.test"), 1);
}
END_TEST

START_TEST(what_the_ledger_forgets_the_relay_forgets)
{
    struct sp_jobs_contact all[] = {{hash_of("late@a.test"), today},
                                    {hash_of("old@a.test"), (uint16_t)(today - 20)}};
    struct sp_jobs_contact next = {hash_of("next@a.test"), today};

    tell(SP_JOBS_CONTACTS_LIST, (uint16_t)(today - 30), all, 2);
    ck_assert_int_eq(is_new("late@a.test"), 0);
    ck_assert_int_eq(is_new("old@a.test"), 0);
    tell(SP_JOBS_CONTACTS_CHANGED, (uint16_t)(today - 20), &next, 1);
    ck_assert_int_eq(is_new("old@a.test"), 0); /* of the oldest day itself */
    ck_assert_int_eq(is_new("next@a.test"), 0);
    tell(SP_JOBS_CONTACTS_CHANGED, (uint16_t)(today - 19), &next, 1);
    ck_assert_int_eq(is_new("old@a.test"), 1);
    ck_assert_int_eq(is_new("late@a.test"), 0);
    ck_assert_int_eq(is_new("next@a.test"), 0);
}
END_TEST

/* The ledger's clock went back, or is another one's. */
START_TEST(an_earlier_day_forgets_nobody)
{
    struct sp_jobs_contact old = {hash_of("old@a.test"), (uint16_t)(today - 20)};

    tell(SP_JOBS_CONTACTS_LIST, (uint16_t)(today - 30), &old, 1);
    tell(SP_JOBS_CONTACTS_CHANGED, 0, &old, 1);
    tell(SP_JOBS_CONTACTS_CHANGED, (uint16_t)(today - 25), &old, 1);
    ck_assert_int_eq(is_new("old@a.test"), 0);
}
END_TEST

START_TEST(nobody_is_new_or_known_since_a_clock_leapt)
{
    struct sp_jobs_contact old = {hash_of("old@a.test"), (uint16_t)(today - 20)};

    tell(SP_JOBS_CONTACTS_LIST, (uint16_t)(today - 30), &old, 1);
    leaps.wall_ms += 3 * 365 * DAY_MS; /* past the time that anybody is kept */
    ck_assert_int_eq(is_new("old@a.test"), 0);
    leaps.wall_ms -= 6 * 365 * DAY_MS; /* before anything was learned */
    ck_assert_int_eq(is_new("old@a.test"), 0);
    ck_assert_int_eq(is_new("other@a.test"), 1);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, nobody_is_new_until_the_list_is_here);
    tcase_add_test(c, what_the_ledger_forgets_the_relay_forgets);
    tcase_add_test(c, an_earlier_day_forgets_nobody);
    tcase_add_test(c, nobody_is_new_or_known_since_a_clock_leapt);
}

SP_TEST_MAIN("delivery.relay_contacts", add)
