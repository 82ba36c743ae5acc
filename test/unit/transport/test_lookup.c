/*
 * Routes out of answers: every shape of MX, DNSSEC status and error, and what may never be read as "there is nothing".
 */
#include "config/config.h"
#include "support/check_main.h"
#include "support/fake_dns.h"
#include "transport/posture.h"
#include "transport/transport.h"

#include <stdio.h>

#define GOOD_TLSA "3 1 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

struct world {
    struct sp_loop *loop;
    struct fake_dns *dns;
    struct sp_transport *t;
    const struct sp_route *route;
    unsigned calls;
};

static void on_route(void *arg, const struct sp_route *route)
{
    struct world *w = arg;

    w->calls++;
    sp_route_unref(w->route);
    w->route = sp_route_ref(route);
}

static void start(struct world *w, bool trusted, const struct sp_transport_settings *settings)
{
    struct sp_transport_settings plain = {.port = 2525, .next_hop = ""};
    struct sp_transport_parts parts = {0};
    struct sp_err err;

    *w = (struct world){.loop = sp_loop_new()};
    w->dns = fake_dns_new(w->loop, trusted);
    parts.loop = w->loop;
    parts.dns = fake_dns_ops(w->dns);
    ck_assert(sp_transport_new(&parts, settings == NULL ? &plain : settings, &w->t, &err) == SP_OK);
}

static void stop(struct world *w)
{
    sp_route_unref(w->route);
    sp_transport_free(w->t);
    fake_dns_free(w->dns);
    sp_loop_free(w->loop);
}

static const struct sp_route *resolve(struct world *w, const char *domain)
{
    unsigned before = w->calls;

    sp_transport_resolve(w->t, sp_bytes_cstr(domain), SP_DNS_PARTY_OURS, on_route, w);
    ck_assert_uint_eq(w->calls, before);
    for (int i = 0; i < 200 && w->calls == before; i++)
        sp_loop_run_once(w->loop, 5);
    ck_assert_uint_eq(w->calls, before + 1);
    return w->route;
}

/* A signed domain with one host; what is added before wins. */
static void add_signed(struct world *w)
{
    fake_dns_add(w->dns, "a.test", SP_DNS_MX, true, "10 mx.a.test");
    fake_dns_add(w->dns, "mx.a.test", SP_DNS_A, true, "192.0.2.1");
    fake_dns_add(w->dns, "_2525._tcp.mx.a.test", SP_DNS_TLSA, true, GOOD_TLSA);
}

START_TEST(a_signed_domain_has_dane_on_the_port_of_delivery)
{
    struct world w;
    const struct sp_route *r;

    start(&w, true, NULL);
    add_signed(&w);
    r = resolve(&w, "a.test");
    ck_assert_int_eq(r->rc, SP_OK);
    ck_assert(r->mx_secure);
    ck_assert_uint_eq(r->hop_count, 1);
    ck_assert_int_eq(r->hops[0].tlsa, SP_TLSA_USABLE);
    ck_assert_uint_eq(r->hops[0].tlsa_count, 1);
    ck_assert(sp_hop_has_dane(r, &r->hops[0]));
    ck_assert_int_eq(r->sts_why, SP_E_STS_NONE);
    ck_assert(sp_transport_find(w.t, SP_LIT("a.test")) == r);
    stop(&w);
}
END_TEST

START_TEST(errors_are_never_read_as_absence)
{
    static const struct {
        const char *name;
        const char *owner;
        enum sp_dns_type type;
        enum sp_rc rc;
        enum sp_rc route_rc;
    } cases[] = {
        {"bogus MX", "a.test", SP_DNS_MX, SP_E_DNS_BOGUS, SP_E_DNS_BOGUS},
        {"no answer for MX", "a.test", SP_DNS_MX, SP_E_DNS_TIMEOUT, SP_E_DNS_TIMEOUT},
        {"bogus address", "mx.a.test", SP_DNS_A, SP_E_DNS_BOGUS, SP_E_DNS_BOGUS},
        {"bogus TLSA", "_2525._tcp.mx.a.test", SP_DNS_TLSA, SP_E_DNS_BOGUS, SP_E_DNS_BOGUS},
        {"no answer for TLSA", "_2525._tcp.mx.a.test", SP_DNS_TLSA, SP_E_DNS_TIMEOUT,
         SP_E_DNS_TIMEOUT},
        {"no such domain", "a.test", SP_DNS_MX, SP_E_DNS_NXDOMAIN, SP_E_DNS_NXDOMAIN},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct world w;

        start(&w, true, NULL);
        fake_dns_set_rc(w.dns, cases[i].owner, cases[i].type, cases[i].rc, false);
        add_signed(&w);
        ck_assert_msg(resolve(&w, "a.test")->rc == cases[i].route_rc, "%s: %s", cases[i].name,
                      sp_rc_name(w.route->rc));
        stop(&w);
    }
}
END_TEST

START_TEST(a_host_in_error_is_skipped_and_the_other_stays)
{
    struct world w;
    const struct sp_route *r;

    start(&w, true, NULL);
    fake_dns_set_rc(w.dns, "_2525._tcp.mx.a.test", SP_DNS_TLSA, SP_E_DNS_SERVFAIL, false);
    add_signed(&w);
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, true, "20 mx2.a.test");
    fake_dns_add(w.dns, "mx2.a.test", SP_DNS_A, true, "192.0.2.2");
    r = resolve(&w, "a.test");
    ck_assert_int_eq(r->rc, SP_OK);
    ck_assert_uint_eq(r->hop_count, 2);
    ck_assert_int_eq(r->hops[0].rc, SP_E_DNS_SERVFAIL);
    ck_assert_int_eq(r->hops[1].rc, SP_OK);
    stop(&w);
}
END_TEST

START_TEST(tlsa_is_asked_only_where_the_addresses_are_secure)
{
    struct world w;
    const struct sp_route *r;

    start(&w, true, NULL);
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, false, "10 mx.a.test");
    fake_dns_add(w.dns, "mx.a.test", SP_DNS_A, false, "192.0.2.1");
    fake_dns_add(w.dns, "_2525._tcp.mx.a.test", SP_DNS_TLSA, false, GOOD_TLSA);
    r = resolve(&w, "a.test");
    ck_assert_int_eq(r->hops[0].tlsa, SP_TLSA_NONE);
    ck_assert_int_eq(r->hops[0].tlsa_why, SP_E_DANE_UNSIGNED);
    ck_assert_uint_eq(fake_dns_asked(w.dns, "_2525._tcp.mx.a.test", SP_DNS_TLSA), 0);
    stop(&w);
}
END_TEST

START_TEST(an_untrusted_resolver_gives_no_dane)
{
    struct world w;

    start(&w, false, NULL);
    add_signed(&w);
    ck_assert_int_eq(resolve(&w, "a.test")->hops[0].tlsa_why, SP_E_DANE_UNTRUSTED);
    ck_assert(!w.route->mx_secure);
    stop(&w);
}
END_TEST

START_TEST(usages_0_and_1_and_bad_digests_are_unusable)
{
    static const char *const sets[] = {
        "0 0 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "1 1 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "3 1 1 00",
        "3 2 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "3 1 3 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(sets); i++) {
        struct world w;

        start(&w, true, NULL);
        fake_dns_add(w.dns, "a.test", SP_DNS_MX, true, "10 mx.a.test");
        fake_dns_add(w.dns, "mx.a.test", SP_DNS_A, true, "192.0.2.1");
        fake_dns_add(w.dns, "_2525._tcp.mx.a.test", SP_DNS_TLSA, true, sets[i]);
        resolve(&w, "a.test");
        ck_assert_msg(w.route->hops[0].tlsa == SP_TLSA_UNUSABLE, "%s", sets[i]);
        ck_assert_int_eq(w.route->hops[0].rc, SP_OK);
        stop(&w);
    }
}
END_TEST

START_TEST(aliases_move_the_base_domain_as_far_as_they_are_signed)
{
    struct world w;
    const struct sp_hop *h;

    start(&w, true, NULL);
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, true, "10 mx.a.test");
    fake_dns_add(w.dns, "mx.a.test", SP_DNS_CNAME, true, "real.test");
    fake_dns_add(w.dns, "real.test", SP_DNS_A, true, "192.0.2.1");
    fake_dns_add(w.dns, "_2525._tcp.real.test", SP_DNS_TLSA, true, GOOD_TLSA);
    h = &resolve(&w, "a.test")->hops[0];
    ck_assert(sp_bytes_eq(h->base, SP_LIT("real.test")));
    ck_assert_int_eq(h->tlsa, SP_TLSA_USABLE);
    stop(&w);

    start(&w, true, NULL); /* the target is unsigned: only the alias's own name counts */
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, true, "10 mx.a.test");
    fake_dns_add(w.dns, "mx.a.test", SP_DNS_CNAME, true, "real.test");
    fake_dns_add(w.dns, "real.test", SP_DNS_A, false, "192.0.2.1");
    fake_dns_add(w.dns, "_2525._tcp.mx.a.test", SP_DNS_TLSA, true, GOOD_TLSA);
    h = &resolve(&w, "a.test")->hops[0];
    ck_assert(sp_bytes_eq(h->base, SP_LIT("mx.a.test")));
    ck_assert_int_eq(h->tlsa, SP_TLSA_USABLE);
    stop(&w);
}
END_TEST

START_TEST(mx_shapes)
{
    struct world w;
    const struct sp_route *r;

    start(&w, true, NULL);
    fake_dns_add(w.dns, "null.test", SP_DNS_MX, true, "0 .");
    fake_dns_add(w.dns, "bare.test", SP_DNS_A, true, "192.0.2.5");
    fake_dns_add(w.dns, "hollow.test", SP_DNS_MX, true, "10 nowhere.test");
    fake_dns_add(w.dns, "many.test", SP_DNS_MX, true, "20 bare.test");
    fake_dns_add(w.dns, "many.test", SP_DNS_MX, true, "10 first.test");
    fake_dns_add(w.dns, "first.test", SP_DNS_AAAA, true, "2001:db8::1");
    ck_assert_int_eq(resolve(&w, "null.test")->rc, SP_E_DNS_NULL_MX);
    r = resolve(&w, "bare.test");
    ck_assert_int_eq(r->via, SP_VIA_IMPLICIT);
    ck_assert_uint_eq(r->hops[0].address_count, 1);
    ck_assert_int_eq(resolve(&w, "hollow.test")->rc, SP_E_DNS_NXDOMAIN);
    r = resolve(&w, "many.test");
    ck_assert_uint_eq(r->hop_count, 2);
    ck_assert(sp_bytes_eq(r->hops[0].name, SP_LIT("first.test")));
    ck_assert_int_eq(resolve(&w, "nowhere.test")->rc, SP_E_DNS_NXDOMAIN);
    r = resolve(&w, "[192.0.2.9]");
    ck_assert_int_eq(r->via, SP_VIA_LITERAL);
    ck_assert(r->hops[0].is_address);
    stop(&w);
}
END_TEST

START_TEST(settings_come_before_the_dns)
{
    struct sp_config_route routes[] = {{.domain = "a.test", .to = "inner.test:26"}};
    struct sp_transport_settings settings = {
        .port = 25, .next_hop = "127.0.0.1:2526", .routes = routes, .route_count = 1};
    struct world w;
    const struct sp_route *r;

    start(&w, true, &settings);
    fake_dns_add(w.dns, "inner.test", SP_DNS_A, true, "192.0.2.7");
    r = resolve(&w, "a.test");
    ck_assert_int_eq(r->via, SP_VIA_ROUTE);
    ck_assert_uint_eq(r->hops[0].port, 26);
    ck_assert(sp_bytes_eq(r->pin, SP_LIT("inner.test")));
    r = resolve(&w, "other.test");
    ck_assert_int_eq(r->via, SP_VIA_NEXT_HOP);
    ck_assert(r->hops[0].is_address);
    ck_assert_uint_eq(r->hops[0].port, 2526);
    ck_assert(sp_transport_find(w.t, SP_LIT("third.test")) == r);
    stop(&w);
}
END_TEST

START_TEST(smarthosts_of_a_route_are_hosts_of_it)
{
    static const struct sp_hop_self self = {.helo = "us.test", .certificate = "us.pem"};
    static const struct sp_hop_self *const selves[] = {&self, NULL, NULL, NULL, NULL};
    struct sp_config_smarthost hosts[] = {
        {.route = "m365", .host = "one.test:26", .priority = 10, .weight = 3, .name = "cert.test"},
        {.route = "m365", .host = "127.0.0.9:27", .priority = 20, .weight = 1, .name = ""},
        {.route = "*", .host = "all.test:28", .priority = 10, .weight = 1, .name = ""},
        {.route = "partner.test", .host = "lost.test", .priority = 1, .weight = 1, .name = ""},
        {.route = "partner.test", .host = "all.test", .priority = 2, .weight = 1, .name = ""}};
    struct sp_transport_settings settings = {.port = 25,
                                             .next_hop = "",
                                             .smarthosts = hosts,
                                             .smarthost_count = SP_ARRAY_LEN(hosts),
                                             .selves = selves};
    struct world w;
    const struct sp_route *r;

    start(&w, true, &settings);
    fake_dns_add(w.dns, "one.test", SP_DNS_A, true, "192.0.2.7");
    fake_dns_add(w.dns, "all.test", SP_DNS_A, true, "192.0.2.8");
    fake_dns_set_rc(w.dns, "lost.test", SP_DNS_A, SP_E_DNS_SERVFAIL, false);
    fake_dns_set_rc(w.dns, "lost.test", SP_DNS_AAAA, SP_E_DNS_SERVFAIL, false);
    r = resolve(&w, "m365");
    ck_assert_int_eq(r->rc, SP_OK);
    ck_assert_int_eq(r->via, SP_VIA_ROUTE);
    ck_assert_uint_eq(r->hop_count, 2);
    ck_assert(r->hops[0].preference == 10 && r->hops[0].weight == 3 && r->hops[0].port == 26);
    ck_assert(r->hops[0].self == &self && r->hops[1].self == NULL);
    ck_assert(sp_bytes_eq(r->hops[0].pin, SP_LIT("cert.test")));
    ck_assert(sp_bytes_eq(r->hops[1].pin, SP_LIT("127.0.0.9"))); /* its own name, each */
    ck_assert(r->pin.len == 0 && sp_hop_has_pin(r, &r->hops[0]));
    r = resolve(&w, "anybody.test");
    ck_assert_int_eq(r->via, SP_VIA_NEXT_HOP);
    ck_assert(sp_bytes_eq(r->hops[0].name, SP_LIT("all.test")));
    r = resolve(&w, "partner.test"); /* a host that can't be found is one host less */
    ck_assert_int_eq(r->rc, SP_OK);
    ck_assert_int_eq(r->hops[0].rc, SP_E_DNS_SERVFAIL);
    ck_assert_int_eq(r->hops[1].rc, SP_OK);
    stop(&w);
}
END_TEST

START_TEST(equal_look_ups_share_one_run_and_a_cancelled_one_is_silent)
{
    struct world w;
    sp_handle h;

    start(&w, true, NULL);
    add_signed(&w);
    for (int i = 0; i < 3; i++)
        sp_transport_resolve(w.t, SP_LIT("a.test"), SP_DNS_PARTY_OURS, on_route, &w);
    h = sp_transport_resolve(w.t, SP_LIT("a.test"), SP_DNS_PARTY_OURS, on_route, &w);
    sp_transport_cancel(w.t, h);
    for (int i = 0; i < 50; i++)
        sp_loop_run_once(w.loop, 2);
    ck_assert_uint_eq(w.calls, 3);
    ck_assert_uint_eq(fake_dns_asked(w.dns, "a.test", SP_DNS_MX), 1);
    sp_transport_forget(w.t, SP_LIT("a.test"));
    ck_assert(sp_transport_find(w.t, SP_LIT("a.test")) == NULL);
    fake_dns_set_rc(w.dns, "slow.test", SP_DNS_MX, SP_E_CANCELLED, false);
    sp_transport_resolve(w.t, SP_LIT("slow.test"), SP_DNS_PARTY_OURS, on_route,
                         &w); /* still out at the end */
    stop(&w);
}
END_TEST

START_TEST(a_domain_with_many_hosts_asks_few_things_at_a_time)
{
    char name[32], mx[48], ip[32];
    const struct sp_route *r;
    struct world w;

    start(&w, true, NULL);
    for (int silent = 1; silent >= 0; silent--) {
        unsigned asked = 0;

        for (int i = 0; i < SP_TRANSPORT_HOPS_MAX; i++) {
            (void)snprintf(name, sizeof(name), "h%d.test", i);
            (void)snprintf(mx, sizeof(mx), "%d %s", i, name);
            (void)snprintf(ip, sizeof(ip), "192.0.2.%d", i + 1);
            fake_dns_add(w.dns, silent ? "silent.test" : "loud.test", SP_DNS_MX, false, mx);
            if (silent)
                fake_dns_set_rc(w.dns, name, SP_DNS_A, SP_E_CANCELLED, false);
            else
                fake_dns_add(w.dns, name, SP_DNS_A, false, ip);
        }
        if (!silent) {
            r = resolve(&w, "loud.test");
            ck_assert_int_eq(r->rc, SP_OK);
            ck_assert_uint_eq(r->hop_count, SP_TRANSPORT_HOPS_MAX);
            for (size_t i = 0; i < r->hop_count; i++)
                ck_assert_uint_eq(r->hops[i].address_count, 1);
            continue;
        }
        sp_transport_resolve(w.t, SP_LIT("silent.test"), SP_DNS_PARTY_OURS, on_route, &w);
        for (int i = 0; i < 50; i++)
            sp_loop_run_once(w.loop, 2);
        for (int i = 0; i < SP_TRANSPORT_HOPS_MAX; i++) {
            (void)snprintf(name, sizeof(name), "h%d.test", i);
            asked += fake_dns_asked(w.dns, name, SP_DNS_A);
        }
        ck_assert_uint_eq(asked, 6);
        fake_dns_clear(w.dns);
    }
    stop(&w);
}
END_TEST

/* A resolver that notes who asks. */
static struct parties {
    const struct sp_dns_ops *true_ops;
    struct sp_dns_ops ops[SP_DNS_PARTY_COUNT];
    enum sp_dns_party as[SP_DNS_PARTY_COUNT]; /* ctx of each */
    unsigned asked[SP_DNS_PARTY_COUNT];
    unsigned hurried[SP_DNS_PARTY_COUNT];
} parties;

static sp_handle ask_noted(void *ctx, struct sp_bytes name, enum sp_dns_type type, sp_dns_fn fn,
                           void *arg)
{
    parties.asked[*(enum sp_dns_party *)ctx]++;
    return sp_dns_ask(parties.true_ops, name, type, fn, arg);
}

static void cancel_noted(void *ctx, sp_handle question)
{
    (void)ctx;
    sp_dns_cancel(parties.true_ops, question);
}

static bool is_trusted_noted(const void *ctx)
{
    (void)ctx;
    return true;
}

static const struct sp_dns_ops *party_noted(void *ctx, enum sp_dns_party party)
{
    (void)ctx;
    return &parties.ops[party];
}

static void hurry_noted(void *ctx, sp_handle question)
{
    parties.hurried[*(enum sp_dns_party *)ctx] += question != 0;
}

START_TEST(who_is_better_hurries_a_look_up_and_who_went_away_finds_its_route)
{
    struct sp_err err;
    struct world w;
    sp_handle h;

    start(&w, true, NULL);
    sp_transport_free(w.t);
    parties = (struct parties){.true_ops = fake_dns_ops(w.dns)};
    for (unsigned i = 0; i < SP_DNS_PARTY_COUNT; i++) {
        parties.as[i] = (enum sp_dns_party)i;
        parties.ops[i] =
            (struct sp_dns_ops){ask_noted,   cancel_noted, is_trusted_noted, party_noted,
                                hurry_noted, NULL,         &parties.as[i]};
    }
    {
        struct sp_transport_parts parts = {.loop = w.loop, .dns = &parties.ops[SP_DNS_PARTY_OURS]};
        struct sp_transport_settings settings = {.port = 25, .next_hop = ""};

        ck_assert_int_eq(sp_transport_new(&parts, &settings, &w.t, &err), SP_OK);
    }
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, false, "10 mx.test");
    fake_dns_set_rc(w.dns, "mx.test", SP_DNS_A, SP_E_DNS_TIMEOUT, false);
    h = sp_transport_resolve(w.t, SP_LIT("a.test"), SP_DNS_PARTY_STRANGERS, on_route, &w);
    ck_assert(sp_transport_is_asking(w.t, SP_LIT("a.test")));
    ck_assert_uint_eq(parties.asked[SP_DNS_PARTY_STRANGERS], 2);
    sp_transport_cancel(
        w.t, sp_transport_resolve(w.t, SP_LIT("a.test"), SP_DNS_PARTY_URGENT, on_route, &w));
    ck_assert_uint_eq(parties.hurried[SP_DNS_PARTY_URGENT], 2); /* MX and the policy's record */
    sp_transport_cancel(
        w.t, sp_transport_resolve(w.t, SP_LIT("a.test"), SP_DNS_PARTY_URGENT, on_route, &w));
    ck_assert_uint_eq(parties.hurried[SP_DNS_PARTY_URGENT], 2);
    sp_transport_cancel(w.t, h);
    for (int i = 0; i < 200 && sp_transport_is_asking(w.t, SP_LIT("a.test")); i++)
        sp_loop_run_once(w.loop, 5);
    ck_assert_uint_eq(w.calls, 0);
    ck_assert_uint_eq(parties.asked[SP_DNS_PARTY_STRANGERS], 2);
    ck_assert_uint_eq(parties.asked[SP_DNS_PARTY_URGENT], 2); /* its host's addresses */
    ck_assert(sp_transport_find(w.t, SP_LIT("a.test")) != NULL);
    ck_assert_int_ne(sp_transport_find(w.t, SP_LIT("a.test"))->rc, SP_OK);
    stop(&w);
}
END_TEST

/* An error is good for two seconds: who comes back when others have heard of it must not ask anew. */
START_TEST(who_went_away_finds_a_route_that_others_have_heard_of)
{
    struct world w;
    int64_t until_ms;

    start(&w, true, NULL);
    fake_dns_set_rc(w.dns, "a.test", SP_DNS_MX, SP_E_DNS_TIMEOUT, false);
    sp_transport_cancel(
        w.t, sp_transport_resolve(w.t, SP_LIT("a.test"), SP_DNS_PARTY_OURS, on_route, &w));
    ck_assert_int_eq(resolve(&w, "a.test")->rc, SP_E_DNS_TIMEOUT);
    ck_assert_uint_eq(w.calls, 1);
    until_ms = sp_clock_mono_ms(sp_loop_clock(w.loop)) + 2500;
    while (sp_clock_mono_ms(sp_loop_clock(w.loop)) < until_ms)
        sp_loop_run_once(w.loop, 50);
    ck_assert(sp_transport_look(w.t, SP_LIT("a.test")) == NULL);
    ck_assert(sp_transport_find(w.t, SP_LIT("a.test")) != NULL); /* the one who went away */
    ck_assert(sp_transport_find(w.t, SP_LIT("a.test")) == NULL); /* all others ask anew */
    fake_dns_clear(w.dns);
    add_signed(&w);
    ck_assert_int_eq(resolve(&w, "a.test")->rc, SP_OK);
    stop(&w);
}
END_TEST

static bool is_alone;

static bool has_room_if_alone(const void *ctx)
{
    (void)ctx;
    return is_alone;
}

/* Sixteen hosts, none of which is answered about. */
START_TEST(a_domain_with_many_silent_hosts_asks_all_at_once_where_nobody_else_waits)
{
    enum { HOSTS = 16 };
    struct sp_dns_ops ops;
    struct sp_err err;
    char name[32], mx[40];
    struct world w;

    for (unsigned alone = 0; alone < 2; alone++) {
        struct sp_transport_parts parts = {.dns = &ops};
        struct sp_transport_settings settings = {.port = 25, .next_hop = ""};
        unsigned asked = 0;

        start(&w, true, NULL);
        sp_transport_free(w.t);
        ops = *fake_dns_ops(w.dns);
        ops.party = NULL;
        ops.has_room = has_room_if_alone;
        is_alone = alone;
        parts.loop = w.loop;
        ck_assert_int_eq(sp_transport_new(&parts, &settings, &w.t, &err), SP_OK);
        for (unsigned i = 0; i < HOSTS; i++) {
            (void)snprintf(name, sizeof(name), "mx%u.test", i);
            (void)snprintf(mx, sizeof(mx), "%u %s", i, name);
            fake_dns_add(w.dns, "many.test", SP_DNS_MX, false, mx);
            fake_dns_set_rc(w.dns, name, SP_DNS_A, SP_E_CANCELLED, false);
            fake_dns_set_rc(w.dns, name, SP_DNS_AAAA, SP_E_CANCELLED, false);
        }
        (void)sp_transport_resolve(w.t, SP_LIT("many.test"), SP_DNS_PARTY_OURS, on_route, &w);
        for (int k = 0; k < 1000 && asked < (alone ? 2 * HOSTS : 6); k++) {
            sp_loop_run_once(w.loop, 5);
            asked = 0;
            for (unsigned i = 0; i < HOSTS; i++) {
                (void)snprintf(name, sizeof(name), "mx%u.test", i);
                asked += fake_dns_asked(w.dns, name, SP_DNS_A) +
                         fake_dns_asked(w.dns, name, SP_DNS_AAAA);
            }
        }
        ck_assert_uint_eq(asked, alone ? 2 * HOSTS : 6);
        if (!alone) { /* the others have gone */
            is_alone = true;
            for (int k = 0; k < 2000 && fake_dns_asked(w.dns, "mx15.test", SP_DNS_AAAA) == 0; k++)
                sp_loop_run_once(w.loop, 5);
            ck_assert_uint_eq(fake_dns_asked(w.dns, "mx15.test", SP_DNS_AAAA), 1);
        }
        stop(&w);
    }
}
END_TEST

START_TEST(domains_that_lead_nowhere_make_no_other_be_forgotten)
{
    struct world w;
    char name[32];

    start(&w, true, NULL);
    add_signed(&w);
    ck_assert_int_eq(resolve(&w, "a.test")->rc, SP_OK);
    for (unsigned i = 0; i < 10050; i++) { /* more than are kept, and none is there */
        (void)snprintf(name, sizeof(name), "n%u.test", i);
        sp_transport_resolve(w.t, sp_bytes_cstr(name), SP_DNS_PARTY_OURS, on_route, &w);
        if (i % 50 != 49)
            continue;
        for (int k = 0; k < 2000 && w.calls < i + 2; k++)
            sp_loop_run_once(w.loop, 5);
        ck_assert_uint_eq(w.calls, i + 2);
    }
    ck_assert(sp_transport_last(w.t, SP_LIT("a.test")) != NULL);
    ck_assert(sp_transport_last(w.t, SP_LIT("n0.test")) == NULL);
    ck_assert(sp_transport_last(w.t, SP_LIT("n10049.test")) != NULL);
    stop(&w);
}
END_TEST

START_TEST(what_leads_nowhere_is_kept_for_a_while_among_many_that_lead_somewhere)
{
    struct world w;
    char name[32];

    start(&w, true, NULL);
    for (unsigned i = 0; i < 10050; i++) { /* more than are kept, and all are there */
        (void)snprintf(name, sizeof(name), "[10.0.%u.%u]", i / 250, i % 250);
        ck_assert_int_eq(resolve(&w, name)->rc, SP_OK);
    }
    for (unsigned i = 0; i < 1000; i++) { /* who asked gave the place back */
        (void)snprintf(name, sizeof(name), "n%u.test", i);
        sp_transport_cancel(w.t, sp_transport_resolve(w.t, sp_bytes_cstr(name),
                                                      SP_DNS_PARTY_STRANGERS, on_route, &w));
        for (int k = 0; k < 200 && sp_transport_is_asking(w.t, sp_bytes_cstr(name)); k++)
            sp_loop_run_once(w.loop, 5);
    }
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "n%u.test", i);
        ck_assert_msg(sp_transport_find(w.t, sp_bytes_cstr(name)) != NULL, "%s", name);
    }
    ck_assert(sp_transport_last(w.t, SP_LIT("[10.0.0.0]")) == NULL);
    ck_assert(sp_transport_last(w.t, SP_LIT("[10.0.0.50]")) != NULL);
    stop(&w);
}
END_TEST

START_TEST(a_remembered_sts_policy_binds_though_the_record_is_gone)
{
    struct world w;
    const struct sp_route *r;

    start(&w, true, NULL);
    add_signed(&w);
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, true, "20 stranger.test");
    fake_dns_add(w.dns, "stranger.test", SP_DNS_A, false, "192.0.2.66");
    ck_assert(sp_sts_cache_put(sp_transport_sts(w.t), SP_LIT("a.test"), SP_LIT("1"),
                               SP_LIT("version: STSv1\nmode: enforce\nmx: mx.a.test\n"
                                      "max_age: 86400\n"),
                               sp_clock_wall_ms(sp_loop_clock(w.loop))) == SP_OK);
    r = resolve(&w, "a.test");
    ck_assert_int_eq(r->sts.mode, SP_STS_MODE_ENFORCE);
    ck_assert(r->hops[0].sts_match);
    ck_assert(!r->hops[1].sts_match);
    stop(&w);
}
END_TEST

START_TEST(hosts_that_are_ourselves_or_worse_are_not_tried)
{
    struct sp_transport_settings settings = {.hostname = "gw.test", .port = 2525, .next_hop = ""};
    struct world w;
    const struct sp_route *r;

    start(&w, true, &settings);
    add_signed(&w);
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, true, "20 GW.test");
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, true, "20 same.test");
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, true, "30 worse.test");
    r = resolve(&w, "a.test");
    ck_assert_int_eq(r->rc, SP_OK);
    ck_assert_uint_eq(r->hop_count, 1);
    fake_dns_add(w.dns, "loop.test", SP_DNS_MX, true, "10 gw.test");
    ck_assert_int_eq(resolve(&w, "loop.test")->rc, SP_E_HOP_LOOP);
    stop(&w);
}
END_TEST

START_TEST(an_address_is_no_mail_host)
{
    struct world w;
    const struct sp_route *r;

    start(&w, true, NULL);
    add_signed(&w);
    fake_dns_add(w.dns, "a.test", SP_DNS_MX, true, "5 192.0.2.7");
    r = resolve(&w, "a.test");
    ck_assert_int_eq(r->rc, SP_OK);
    ck_assert_uint_eq(r->hop_count, 2);
    ck_assert_int_eq(r->hops[0].rc, SP_E_HOP_LITERAL);
    ck_assert_int_eq(r->hops[1].rc, SP_OK);
    fake_dns_add(w.dns, "lit.test", SP_DNS_MX, true, "5 192.0.2.7");
    ck_assert_int_eq(resolve(&w, "lit.test")->rc, SP_E_HOP_LITERAL);
    stop(&w);
}
END_TEST

START_TEST(posture_only_rises_by_itself)
{
    struct sp_posture *p = sp_posture_new(2);
    enum sp_level level;

    ck_assert(!sp_posture_find(p, SP_LIT("a.test"), &level));
    ck_assert(!sp_posture_learn(p, SP_LIT("a.test"), SP_LEVEL_PLAIN));
    ck_assert(sp_posture_learn(p, SP_LIT("a.test"), SP_LEVEL_VERIFIED));
    ck_assert(!sp_posture_learn(p, SP_LIT("a.test"), SP_LEVEL_ENCRYPTED));
    ck_assert(sp_posture_find(p, SP_LIT("a.test"), &level) && level == SP_LEVEL_VERIFIED);
    ck_assert(!sp_posture_tell(p, SP_LIT("a.test"), SP_LEVEL_ENCRYPTED, 0));
    ck_assert(sp_posture_find(p, SP_LIT("a.test"), &level) && level == SP_LEVEL_VERIFIED);
    ck_assert(sp_posture_tell(p, SP_LIT("a.test"), SP_LEVEL_ENCRYPTED, 3));
    ck_assert(sp_posture_find(p, SP_LIT("a.test"), &level) && level == SP_LEVEL_ENCRYPTED);
    ck_assert(sp_posture_learn(p, SP_LIT("a.test"), SP_LEVEL_DANE));
    ck_assert(!sp_posture_tell(p, SP_LIT("a.test"), SP_LEVEL_ENCRYPTED, 3)); /* told again */
    ck_assert(sp_posture_find(p, SP_LIT("a.test"), &level) && level == SP_LEVEL_DANE);
    ck_assert(sp_posture_learn(p, SP_LIT("b.test"), SP_LEVEL_DANE));
    ck_assert(sp_posture_learn(p, SP_LIT("c.test"), SP_LEVEL_DANE));
    ck_assert(!sp_posture_find(p, SP_LIT("a.test"), &level)); /* the longest unseen */
    sp_posture_free(p);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_signed_domain_has_dane_on_the_port_of_delivery);
    tcase_add_test(c, errors_are_never_read_as_absence);
    tcase_add_test(c, a_host_in_error_is_skipped_and_the_other_stays);
    tcase_add_test(c, tlsa_is_asked_only_where_the_addresses_are_secure);
    tcase_add_test(c, an_untrusted_resolver_gives_no_dane);
    tcase_add_test(c, usages_0_and_1_and_bad_digests_are_unusable);
    tcase_add_test(c, aliases_move_the_base_domain_as_far_as_they_are_signed);
    tcase_add_test(c, mx_shapes);
    tcase_add_test(c, settings_come_before_the_dns);
    tcase_add_test(c, smarthosts_of_a_route_are_hosts_of_it);
    tcase_add_test(c, equal_look_ups_share_one_run_and_a_cancelled_one_is_silent);
    tcase_add_test(c, a_domain_with_many_hosts_asks_few_things_at_a_time);
    tcase_add_test(c, a_domain_with_many_silent_hosts_asks_all_at_once_where_nobody_else_waits);
    tcase_add_test(c, who_went_away_finds_a_route_that_others_have_heard_of);
    tcase_add_test(c, domains_that_lead_nowhere_make_no_other_be_forgotten);
    tcase_add_test(c, what_leads_nowhere_is_kept_for_a_while_among_many_that_lead_somewhere);
    tcase_add_test(c, who_is_better_hurries_a_look_up_and_who_went_away_finds_its_route);
    tcase_add_test(c, a_remembered_sts_policy_binds_though_the_record_is_gone);
    tcase_add_test(c, hosts_that_are_ourselves_or_worse_are_not_tried);
    tcase_add_test(c, an_address_is_no_mail_host);
    tcase_add_test(c, posture_only_rises_by_itself);
}

SP_TEST_MAIN("transport.lookup", add)
