/*
 * An attempt that asks hosts: what it makes of what each shows, and of what it has seen when it goes back to its line. Hosts,
 * pool and queue are made up here.
 */
#include "delivery/delivery_priv.h"
#include "delivery/sessions.h"
#include "delivery/unrouted_priv.h"
#include "support/check_main.h"
#include "transport/transport_priv.h"

#define HOSTS 5

struct sp_conn { /* of the pool that is made up */
    bool is_there;
    bool is_new;
    struct sp_hop_proof proof;
};

static struct {
    struct sp_conn hosts[HOSTS];
    bool is_crowded;
    unsigned load[HOSTS];
    size_t shut[HOSTS], shut_count; /* hosts for whose room a line waits */
    sp_pool_fn wait;                /* who waits for a connection */
    void *wait_arg;
    size_t wait_hop;
    int64_t wait_ms;    /* how long for its turn */
    int64_t rest_ms;    /* of connections without TLS */
    enum sp_rc send_rc; /* not SP_OK: sending fails, and the host is gone */
    unsigned put_first, rested;
    unsigned ended[2];          /* rests, of connections with TLS and without */
    unsigned asked[HOSTS];      /* how often */
    const struct sp_conn *sent; /* over which a message went */
    char events[262144];        /* of the last record */
} the;

static struct sp_delivery d;
static struct sp_queue_message message;
static struct sp_parcel parcel;
static const struct sp_route *route;
static struct sp_posture *posture;

/* ---- the engine around: the linker puts these in place of what they are named by ---- */

const struct sp_route *__wrap_sp_transport_find(struct sp_transport *t, struct sp_bytes domain);
struct sp_posture *__wrap_sp_transport_posture(struct sp_transport *t);
void __wrap_sp_transport_forget(struct sp_transport *t, struct sp_bytes domain);
bool __wrap_sp_queue_freezes_host(const struct sp_queue *q, struct sp_bytes host);
void __wrap_sp_queue_put_first(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns,
                               size_t n_count);
void __wrap_sp_queue_rest(struct sp_queue *q, sp_handle line, int64_t until_ms);
void __wrap_sp_queue_outcome(struct sp_queue *q, const struct sp_outcome *outcome,
                             struct sp_queue_body *body, void (*done)(void *arg, enum sp_rc rc),
                             void *arg);
bool __wrap_sp_queue_body_at_hand(struct sp_queue *q, const struct sp_id *id,
                                  struct sp_content *out);
struct sp_conn *__wrap_sp_pool_find(struct sp_pool *p, const struct sp_pool_ask *ask);
bool __wrap_sp_pool_shuts(struct sp_pool *p, const struct sp_pool_ask *asks, size_t count);
unsigned __wrap_sp_pool_load(struct sp_pool *p, const struct sp_pool_ask *ask);
sp_handle __wrap_sp_pool_wait(struct sp_pool *p, const struct sp_pool_ask *ask, sp_pool_fn fn,
                              void *arg);
void __wrap_sp_pool_cancel(struct sp_pool *p, sp_handle wait);
int64_t __wrap_sp_pool_rests(struct sp_pool *p, const struct sp_pool_ask *ask);
void __wrap_sp_pool_end_rest(struct sp_pool *p, const struct sp_pool_ask *ask);
size_t __wrap_sp_pool_recipients(struct sp_pool *p, const struct sp_pool_ask *ask);
bool __wrap_sp_conn_take_new(struct sp_conn *c);
const struct sp_hop_proof *__wrap_sp_conn_proof(const struct sp_conn *c);
const char *__wrap_sp_conn_ip(const struct sp_conn *c);
unsigned __wrap_sp_conn_extensions(const struct sp_conn *c);
uint64_t __wrap_sp_conn_size_limit(const struct sp_conn *c);
unsigned __wrap_sp_conn_messages(const struct sp_conn *c);
struct sp_bytes __wrap_sp_conn_tls_json(const struct sp_conn *c);
struct sp_bytes __wrap_sp_conn_chain(const struct sp_conn *c);
struct sp_bytes __wrap_sp_conn_tlsa(const struct sp_conn *c);
enum sp_rc __wrap_sp_conn_send(struct sp_conn *c, const struct sp_smtp_mail *mail,
                               struct sp_source *source, sp_conn_result_fn fn, void *arg);
enum sp_rc __wrap_sp_source_open(struct sp_source *s, const struct sp_content *body,
                                 struct sp_bytes trace, bool whole);
uint64_t __wrap_sp_source_total(const struct sp_source *s);
void __wrap_sp_source_clear(struct sp_source *s);

const struct sp_route *__wrap_sp_transport_find(struct sp_transport *t, struct sp_bytes domain)
{
    (void)t, (void)domain;
    return route;
}

struct sp_posture *__wrap_sp_transport_posture(struct sp_transport *t)
{
    (void)t;
    return posture;
}

void __wrap_sp_transport_forget(struct sp_transport *t, struct sp_bytes domain)
{
    (void)t, (void)domain;
}

bool __wrap_sp_queue_freezes_host(const struct sp_queue *q, struct sp_bytes host)
{
    (void)q, (void)host;
    return false;
}

void __wrap_sp_queue_put_first(struct sp_queue *q, const struct sp_id *id, const uint16_t *ns,
                               size_t n_count)
{
    (void)q, (void)id, (void)ns, (void)n_count;
    the.put_first++;
}

void __wrap_sp_queue_rest(struct sp_queue *q, sp_handle line, int64_t until_ms)
{
    (void)q, (void)line, (void)until_ms;
    the.rested++;
}

void __wrap_sp_queue_outcome(struct sp_queue *q, const struct sp_outcome *outcome,
                             struct sp_queue_body *body, void (*done)(void *arg, enum sp_rc rc),
                             void *arg)
{
    size_t len = 0;

    (void)q, (void)body;
    for (size_t i = 0; i < outcome->audit.count; i++) {
        struct sp_bytes event = outcome->audit.events[i];

        ck_assert_uint_lt(len + event.len, sizeof(the.events));
        memcpy(the.events + len, event.ptr, event.len);
        len += event.len;
    }
    the.events[len] = 0;
    done(arg, SP_OK);
}

bool __wrap_sp_queue_body_at_hand(struct sp_queue *q, const struct sp_id *id,
                                  struct sp_content *out)
{
    (void)q, (void)id;
    sp_content_init(out);
    return true;
}

struct sp_conn *__wrap_sp_pool_find(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    (void)p;
    the.asked[ask->hop]++;
    return the.hosts[ask->hop].is_there ? &the.hosts[ask->hop] : NULL;
}

bool __wrap_sp_pool_shuts(struct sp_pool *p, const struct sp_pool_ask *asks, size_t count)
{
    (void)p;
    the.shut_count = count;
    ck_assert_uint_le(count, HOSTS);
    for (size_t i = 0; i < count; i++)
        the.shut[i] = asks[i].hop;
    return the.is_crowded;
}

unsigned __wrap_sp_pool_load(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    (void)p;
    return the.load[ask->hop];
}

sp_handle __wrap_sp_pool_wait(struct sp_pool *p, const struct sp_pool_ask *ask, sp_pool_fn fn,
                              void *arg)
{
    (void)p;
    the.wait = fn;
    the.wait_arg = arg;
    the.wait_hop = ask->hop;
    the.wait_ms = ask->turn_ms;
    return 1;
}

void __wrap_sp_pool_cancel(struct sp_pool *p, sp_handle wait)
{
    (void)p, (void)wait;
}

int64_t __wrap_sp_pool_rests(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    (void)p;
    return ask->plain ? the.rest_ms : 0;
}

void __wrap_sp_pool_end_rest(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    (void)p;
    the.ended[ask->plain]++;
}

size_t __wrap_sp_pool_recipients(struct sp_pool *p, const struct sp_pool_ask *ask)
{
    (void)p, (void)ask;
    return SP_QUEUE_DUE_MAX;
}

bool __wrap_sp_conn_take_new(struct sp_conn *c)
{
    bool is_new = c->is_new;

    c->is_new = false;
    return is_new;
}

const struct sp_hop_proof *__wrap_sp_conn_proof(const struct sp_conn *c)
{
    return &c->proof;
}

const char *__wrap_sp_conn_ip(const struct sp_conn *c)
{
    (void)c;
    return "192.0.2.1";
}

unsigned __wrap_sp_conn_extensions(const struct sp_conn *c)
{
    (void)c;
    return 0;
}

uint64_t __wrap_sp_conn_size_limit(const struct sp_conn *c)
{
    (void)c;
    return 0;
}

unsigned __wrap_sp_conn_messages(const struct sp_conn *c)
{
    (void)c;
    return 0;
}

struct sp_bytes __wrap_sp_conn_tls_json(const struct sp_conn *c)
{
    (void)c;
    return SP_LIT("");
}

struct sp_bytes __wrap_sp_conn_chain(const struct sp_conn *c)
{
    (void)c;
    return SP_LIT("");
}

struct sp_bytes __wrap_sp_conn_tlsa(const struct sp_conn *c)
{
    (void)c;
    return SP_LIT("");
}

enum sp_rc __wrap_sp_conn_send(struct sp_conn *c, const struct sp_smtp_mail *mail,
                               struct sp_source *source, sp_conn_result_fn fn, void *arg)
{
    (void)mail, (void)source, (void)fn, (void)arg;
    if (the.send_rc != SP_OK)
        c->is_there = false;
    else
        the.sent = c;
    return the.send_rc;
}

enum sp_rc __wrap_sp_source_open(struct sp_source *s, const struct sp_content *body,
                                 struct sp_bytes trace, bool whole)
{
    (void)s, (void)body, (void)trace, (void)whole;
    return SP_OK;
}

uint64_t __wrap_sp_source_total(const struct sp_source *s)
{
    (void)s;
    return 0;
}

void __wrap_sp_source_clear(struct sp_source *s)
{
    (void)s;
}

/* ---- */

static struct sp_accept_rung rungs[3];
static struct sp_accept_decision decision;
static struct sp_accept_recipient recipient = {.address = SP_LIT_INIT("anna@example.test")};
static struct sp_rcpt rcpt;

static struct sp_hop hops[HOSTS];

static void set_hosts(void)
{
    static const char *const names[HOSTS] = {"mx0.example.test", "mx1.example.test",
                                             "mx2.example.test", "mx3.example.test",
                                             "mx4.example.test"};

    memset(hops, 0, sizeof(hops));
    for (size_t i = 0; i < HOSTS; i++) {
        hops[i].name = sp_bytes_cstr(names[i]);
        hops[i].port = 25;
        hops[i].preference = (uint16_t)i;
        hops[i].tlsa_why = SP_E_DANE_NONE;
    }
}

static void set_route(struct sp_bytes domain)
{
    const struct sp_route like = {.domain = domain,
                                  .via = SP_VIA_MX,
                                  .mx_secure = true,
                                  .hops = hops,
                                  .hop_count = HOSTS,
                                  .sts_why = SP_E_STS_NONE};

    sp_route_unref(route);
    route = sp_route_copy(&like);
}

static void set_up(void)
{
    memset(&the, 0, sizeof(the));
    d = (struct sp_delivery){.parts.loop = sp_loop_new(), .draining = true};
    d.parts.sessions = sp_sessions_new(3);
    d.settings.retry_first_ms = d.settings.retry_max_ms = 60000;
    d.settings.resolver = "";
    d.evidence = sp_map_new();
    sp_list_init(&d.attempts);
    d.unrouted = sp_unrouted_new(&d);
    decision = (struct sp_accept_decision){.rungs = rungs, .expire_at_ms = 3600000};
    message = (struct sp_queue_message){
        .accept = {.decisions = &decision,
                   .decision_count = 1,
                   .recipients = &recipient,
                   .recipient_count = 1,
                   .kind = SP_ACCEPT_KIND_MAIL},
        .rcpts = &rcpt,
        .accepted_at_ms = sp_clock_steady_ms(sp_loop_clock(d.parts.loop)),
    };
    parcel = (struct sp_parcel){.refs = 1, .m = &message};
    set_hosts();
    set_route(SP_LIT("example.test"));
    posture = sp_posture_new(10);
}

static void tear_down(void)
{
    SP_LIST_EACH(at, &d.attempts)
    sp_attempt_free(SP_CONTAINER(at, struct sp_attempt, at));
    sp_unrouted_free(d.unrouted);
    sp_map_free(d.evidence);
    sp_sessions_free(d.parts.sessions);
    sp_loop_free(d.parts.loop);
    sp_route_unref(route);
    route = NULL;
    sp_posture_free(posture);
}

static void set_ladder(enum sp_rung first, enum sp_rung second, enum sp_floor floor)
{
    rungs[0] = (struct sp_accept_rung){.rung = (uint8_t)first, .unreachable_ms = -1};
    rungs[1] = (struct sp_accept_rung){.rung = (uint8_t)second, .unreachable_ms = -1};
    decision.rung_count = first == second ? 1 : 2;
    decision.floor = (uint8_t)floor;
}

static void start(void)
{
    uint16_t n = 0;

    the.events[0] = 0;
    the.sent = NULL;
    sp_attempt_start(&d, &parcel, &n, 1);
}

/* Who waits for a connection hears that there is none. */
static void hears(const struct sp_conn_end *end)
{
    sp_pool_fn fn = the.wait;

    the.wait = NULL;
    fn(the.wait_arg, NULL, end);
}

/* Nobody answers of those who are waited for. */
static void are_silent(void)
{
    const struct sp_conn_end end = {.rc = SP_E_HOP_UNREACHABLE};

    while (the.wait != NULL)
        hears(&end);
}

static unsigned count(const char *word)
{
    unsigned n = 0;

    for (const char *at = the.events; (at = strstr(at, word)) != NULL; at++)
        n++;
    return n;
}

START_TEST(what_was_seen_before_it_went_back_is_reported_once)
{
    set_up();
    set_ladder(SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_VERIFIED, SP_FLOOR_TLS_VERIFIED);
    the.hosts[0] = (struct sp_conn){.is_there = true, .is_new = true, .proof.tls = true};
    the.is_crowded = true; /* the next host is */
    start();
    ck_assert_uint_eq(the.put_first, 1);
    the.is_crowded = false;
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        start();
        are_silent();
        ck_assert_uint_eq(count("\"outcome\":"), 1);
        ck_assert_uint_eq(count("\"sessions\":[{\"mx\":\"mx0.example.test\""), attempt == 0);
        ck_assert_uint_eq(count("\"policy\":\"no-policy-found\""), attempt == 0);
    }
    tear_down();
}
END_TEST

START_TEST(what_was_seen_of_another_domain_waits_for_that)
{
    set_up();
    set_ladder(SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_VERIFIED, SP_FLOOR_TLS_VERIFIED);
    the.hosts[0] = (struct sp_conn){.is_there = true, .is_new = true, .proof.tls = true};
    start(); /* and waits for the next host when its engine ends, after a reload */
    sp_attempt_free(SP_CONTAINER(d.attempts.next, struct sp_attempt, at));
    set_route(SP_LIT("example.org"));
    start();
    are_silent();
    ck_assert_uint_eq(count("\"sessions\""), 0);
    set_route(SP_LIT("example.test"));
    for (unsigned i = 0; i < 4; i++) { /* three are kept */
        the.hosts[0].is_new = true;
        the.is_crowded = true;
        start();
    }
    the.is_crowded = false;
    start();
    are_silent();
    ck_assert_uint_eq(count("\"result\":"), 3);
    tear_down();
}
END_TEST

START_TEST(records_without_end_hide_no_attempt)
{
    static const uint8_t key[440], certificate[900];

    set_up();
    set_ladder(SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_VERIFIED, SP_FLOOR_TLS_VERIFIED);
    for (size_t i = 0; i < HOSTS; i++) {
        the.hosts[i] = (struct sp_conn){.is_there = true, .is_new = true, .proof.tls = true};
        hops[i].tlsa_count = SP_TRANSPORT_TLSA_MAX;
        for (size_t n = 0; n < SP_TRANSPORT_TLSA_MAX; n++)
            hops[i].tlsa_set[n].data =
                n > 0 ? sp_bytes(key, sizeof(key)) : sp_bytes(certificate, sizeof(certificate));
    }
    set_route(SP_LIT("example.test"));
    start();
    ck_assert_uint_eq(count("\"outcome\":"), 1);
    ck_assert_uint_eq(count("\"policy\":\"no"), 2); /* what has no room comes with the next */
    start();
    ck_assert_uint_eq(count("\"policy\":\"no"), 2);
    tear_down();
}
END_TEST

START_TEST(a_dropped_rung_is_told_as_dropped)
{
    set_up();
    set_ladder(SP_RUNG_TLS_ENCRYPTED, SP_RUNG_PLAIN, SP_FLOOR_PLAIN);
    rungs[0].unreachable_ms = 0;
    rungs[0].dropped_ms = 600000;
    (void)sp_posture_learn(posture, SP_LIT("example.test"), SP_LEVEL_ENCRYPTED);
    the.hosts[0] = (struct sp_conn){.is_there = true};
    start(); /* the others are silent, which nobody waits for any more */
    are_silent();
    ck_assert_ptr_null(the.sent);
    ck_assert_uint_eq(count("\"rung\":\"tls:encrypted\",\"taken\":false,\"cause\":\"dropped\","
                            "\"why\":\"tls.not-offered\""),
                      1);
    ck_assert_uint_eq(count("\"outcome\":\"deferred\",\"why\":\"tls.not-offered\""), 1);
    tear_down();
}
END_TEST

START_TEST(a_first_host_with_tls_has_the_mail_though_its_rung_is_plain)
{
    set_up();
    set_ladder(SP_RUNG_TLS_DANE, SP_RUNG_PLAIN, SP_FLOOR_PLAIN);
    hops[1].tlsa =
        SP_TLSA_USABLE; /* and its key has another digest, which is nothing to the first */
    set_route(SP_LIT("example.test"));
    the.hosts[0] = (struct sp_conn){.is_there = true, .proof.tls = true};
    the.hosts[1] = (struct sp_conn){.is_there = true, .proof.tls = true};
    start();
    ck_assert_ptr_eq(the.sent, &the.hosts[0]);
    ck_assert_uint_eq(the.asked[1], 0);
    tear_down();
}
END_TEST

START_TEST(a_host_with_tls_has_the_mail_before_one_without)
{
    for (size_t tls = 1; tls < HOSTS + 1; tls++) { /* at last none has it */
        set_up();
        set_ladder(SP_RUNG_TLS_DANE, SP_RUNG_PLAIN, SP_FLOOR_PLAIN);
        for (size_t i = 0; i < HOSTS; i++)
            the.hosts[i] = (struct sp_conn){.is_there = true, .proof.tls = i == tls};
        start();
        ck_assert_ptr_eq(the.sent, &the.hosts[tls % HOSTS]);
        tear_down();
    }
}
END_TEST

static int compare_sizes(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x < y ? -1 : x > y;
}

/* The first three are equal, by an operator's word. */
static void name_equals(enum sp_via via)
{
    const struct sp_route like = {.domain = SP_LIT_INIT("example.test"),
                                  .via = via,
                                  .hops = hops,
                                  .hop_count = HOSTS,
                                  .sts_why = SP_E_STS_NONE};

    for (size_t i = 0; i < HOSTS; i++)
        hops[i].preference = i < 3 ? 10 : 20;
    sp_route_unref(route);
    route = sp_route_copy(&like);
}

START_TEST(of_equal_smarthosts_one_with_room_is_asked)
{
    static const struct {
        unsigned load[HOSTS];
        size_t host;
    } cases[] = {
        {{SP_POOL_CROWDED, 0, SP_POOL_CROWDED}, 1},
        {{3, 2, 3}, 1},
        {{SP_POOL_CROWDED, SP_POOL_CROWDED, SP_POOL_CROWDED - 1, 0, 0}, 2},
        {{5, SP_POOL_CLOSED, 5, 0, 0}, SIZE_MAX}, /* who is closed says so if it was drawn */
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases) * 20; i++) { /* whoever is drawn */
        size_t at = i / 20;

        set_up();
        set_ladder(SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_VERIFIED, SP_FLOOR_TLS_VERIFIED);
        name_equals(i % 2 == 0 ? SP_VIA_ROUTE : SP_VIA_NEXT_HOP);
        memcpy(the.load, cases[at].load, sizeof(the.load));
        start();
        if (cases[at].host != SIZE_MAX)
            ck_assert_uint_eq(the.wait_hop, cases[at].host);
        else
            ck_assert_uint_lt(the.wait_hop, 3);
        tear_down();
    }
}
END_TEST

START_TEST(where_no_equal_has_room_the_line_waits_for_each)
{
    for (unsigned i = 0; i < 2; i++) {
        set_up();
        set_ladder(SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_VERIFIED, SP_FLOOR_TLS_VERIFIED);
        name_equals(i == 0 ? SP_VIA_ROUTE : SP_VIA_MX);
        for (size_t n = 0; n < HOSTS; n++)
            the.load[n] = SP_POOL_CROWDED;
        the.is_crowded = true;
        start();
        ck_assert_uint_eq(the.put_first, 1);
        ck_assert_uint_eq(the.shut_count, i == 0 ? 3 : 1);
        qsort(the.shut, the.shut_count, sizeof(the.shut[0]), compare_sizes);
        for (size_t n = 0; i == 0 && n < 3; n++)
            ck_assert_uint_eq(the.shut[n], n);
        tear_down();
    }
}
END_TEST

START_TEST(whose_turn_does_not_come_is_not_spoken_for_by_another_host)
{
    static const struct sp_conn_end over = {.rc = SP_E_DELIVERY_TURN};

    for (unsigned tls = 0; tls < 2; tls++) { /* less than is wanted, of the first host */
        set_up();
        set_ladder(SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_VERIFIED, SP_FLOOR_TLS_VERIFIED);
        the.hosts[0] = (struct sp_conn){.is_there = true, .proof.tls = tls == 1};
        start();
        ck_assert_uint_eq(the.wait_hop, 1);
        ck_assert_int_gt(the.wait_ms, 1800000); /* of an hour that the mail has */
        hears(&over);
        ck_assert_uint_eq(count("\"outcome\":\"deferred\",\"why\":\"delivery.no-turn\""), 1);
        tear_down();
    }
}
END_TEST

START_TEST(who_refuses_starttls_is_in_a_report)
{
    static const struct {
        struct sp_conn_end end;
        const char *result;
    } cases[] = {
        {{.rc = SP_E_TLS_HANDSHAKE, .reply_code = 454, .is_new = true}, "starttls-not-supported"},
        {{.rc = SP_E_TLS_HANDSHAKE, .reply_code = 502, .is_new = true}, "starttls-not-supported"},
        {{.rc = SP_E_TLS_HANDSHAKE, .is_new = true}, "validation-failure"},
        {{.rc = SP_E_TLS_HANDSHAKE, .reply_code = 454}, NULL}, /* another has seen it first */
        {{.rc = SP_E_HOP_DEFERRED, .reply_code = 421, .is_new = true}, NULL}, /* its greeting */
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        set_up();
        set_ladder(SP_RUNG_TLS_VERIFIED, SP_RUNG_TLS_VERIFIED, SP_FLOOR_TLS_VERIFIED);
        start();
        hears(&cases[i].end);
        are_silent();
        ck_assert_uint_eq(count("\"result\":"), cases[i].result != NULL);
        ck_assert_uint_eq(cases[i].result == NULL ? 0 : count(cases[i].result),
                          cases[i].result != NULL);
        tear_down();
    }
}
END_TEST

START_TEST(a_line_rests_no_longer_than_the_hosts_connection_with_tls)
{
    static const struct sp_conn_end no_tls = {.rc = SP_E_TLS_HANDSHAKE};

    set_up();
    set_ladder(SP_RUNG_TLS_ENCRYPTED, SP_RUNG_PLAIN, SP_FLOOR_PLAIN);
    rungs[0].unreachable_ms = 0;
    parcel.line = 1;
    the.rest_ms = 900000;
    start();
    hears(&no_tls);
    are_silent(); /* the other hosts, then the first without TLS */
    ck_assert_uint_eq(the.wait_hop, 0);
    ck_assert_uint_eq(count("\"outcome\":\"deferred\""), 1);
    ck_assert_uint_eq(the.rested, 0);
    tear_down();
}
END_TEST

START_TEST(who_knows_that_a_rung_comes_to_nothing_does_not_go_back_to_find_out_again)
{
    set_up();
    set_ladder(SP_RUNG_TLS_ENCRYPTED, SP_RUNG_PLAIN, SP_FLOOR_PLAIN);
    rungs[0].unreachable_ms = 0;
    the.hosts[0] = (struct sp_conn){.is_there = true, .proof.tls = true};
    the.send_rc = SP_E_IO;
    the.is_crowded = true;
    start();
    ck_assert_uint_eq(the.put_first, 0);
    ck_assert_uint_eq(the.asked[0], 2); /* for the next rung */
    ck_assert_ptr_nonnull(the.wait);
    tear_down();
}
END_TEST

START_TEST(who_is_to_be_asked_now_rests_in_no_way)
{
    set_up();
    set_ladder(SP_RUNG_TLS_ENCRYPTED, SP_RUNG_PLAIN, SP_FLOOR_PLAIN);
    sp_delivery_ask_now(&d, &message.accept.id, 1);
    start();
    ck_assert_uint_eq(the.ended[0], HOSTS);
    ck_assert_uint_eq(the.ended[1], HOSTS);
    tear_down();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, who_is_to_be_asked_now_rests_in_no_way);
    tcase_add_test(c, who_knows_that_a_rung_comes_to_nothing_does_not_go_back_to_find_out_again);
    tcase_add_test(c, whose_turn_does_not_come_is_not_spoken_for_by_another_host);
    tcase_add_test(c, who_refuses_starttls_is_in_a_report);
    tcase_add_test(c, a_line_rests_no_longer_than_the_hosts_connection_with_tls);
    tcase_add_test(c, of_equal_smarthosts_one_with_room_is_asked);
    tcase_add_test(c, where_no_equal_has_room_the_line_waits_for_each);
    tcase_add_test(c, a_first_host_with_tls_has_the_mail_though_its_rung_is_plain);
    tcase_add_test(c, a_host_with_tls_has_the_mail_before_one_without);
    tcase_add_test(c, a_dropped_rung_is_told_as_dropped);
    tcase_add_test(c, records_without_end_hide_no_attempt);
    tcase_add_test(c, what_was_seen_before_it_went_back_is_reported_once);
    tcase_add_test(c, what_was_seen_of_another_domain_waits_for_that);
}

SP_TEST_MAIN("delivery.hops", add)
