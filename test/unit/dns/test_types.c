/*
 * Every type of record that mail asks for, as it comes over the wire; and one whose bytes are no such record.
 */
#include "dns/resolver.h"
#include "support/check_main.h"
#include "support/dns_server.h"

#define NAME "x.example.test"

static struct sp_buf rdata; /* of the one record that the server has */
static struct sp_dns_record seen;
static char seen_name[64];
static char seen_data[64];
static enum sp_rc seen_rc;
static unsigned calls;

static void serve(void *arg, struct sp_bytes query, bool tcp, unsigned nth, struct sp_buf *out)
{
    (void)arg;
    (void)tcp;
    (void)nth;
    dns_reply(out, query, 0, DNS_AD);
    dns_reply_rr(out, NULL, dns_query_type(query), 60, sp_buf_bytes(&rdata), false);
}

static void keep(struct sp_bytes text, char *out, size_t room)
{
    ck_assert_uint_lt(text.len, room);
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
}

static void on_answer(void *arg, const struct sp_dns_answer *a)
{
    (void)arg;
    calls++;
    seen_rc = a->rc;
    if (a->rc != SP_OK)
        return;
    ck_assert_uint_eq(a->count, 1);
    seen = a->records[0];
    keep(seen.name, seen_name, sizeof(seen_name));
    keep(seen.data, seen_data, sizeof(seen_data));
}

/* Asks for a type of which the server has what lies in rdata. */
static void ask_for(enum sp_dns_type type, int64_t deadline_ms)
{
    struct sp_loop *loop = sp_loop_new();
    struct dns_server *server = dns_server_new(loop, serve, NULL);
    const struct sp_dns_settings settings = {
        .servers = {{{4, {127, 0, 0, 1}}, dns_server_port(server)}},
        .server_count = 1,
        .trusted = true,
        .first_try_ms = deadline_ms / 4,
        .deadline_ms = deadline_ms};
    struct sp_dns_resolver *resolver = sp_dns_resolver_new(loop, NULL, &settings);

    calls = 0;
    (void)sp_dns_ask(sp_dns_resolver_ops(resolver), SP_LIT(NAME), type, on_answer, NULL);
    for (int i = 0; i < 2000 && calls == 0; i++)
        sp_loop_run_once(loop, 5);
    ck_assert_uint_eq(calls, 1);
    sp_dns_resolver_free(resolver);
    dns_server_free(server);
    sp_loop_free(loop);
    sp_buf_reset(&rdata);
}

static void ask(enum sp_dns_type type)
{
    ask_for(type, 8000);
}

static void put_number(uint16_t n)
{
    sp_buf_put_u8(&rdata, (uint8_t)(n >> 8));
    sp_buf_put_u8(&rdata, (uint8_t)n);
}

static void put_name(const char *name)
{
    dns_name(&rdata, name);
}

START_TEST(each_type_is_read)
{
    static const uint8_t address[16] = {0x20, 1, 0xd, 0xb8, [15] = 7};

    sp_buf_init(&rdata, 512);
    sp_buf_put(&rdata, sp_bytes(address, 4));
    ask(SP_DNS_A);
    ck_assert(seen_rc == SP_OK && seen.ip.family == 4 && memcmp(seen.ip.b, address, 4) == 0);
    sp_buf_put(&rdata, sp_bytes(address, 16));
    ask(SP_DNS_AAAA);
    ck_assert(seen_rc == SP_OK && seen.ip.family == 6 && memcmp(seen.ip.b, address, 16) == 0);
    put_name("Host.example.test");
    ask(SP_DNS_PTR);
    ck_assert_int_eq(seen_rc, SP_OK);
    ck_assert_str_eq(seen_name, "host.example.test");
    put_number(5);
    put_number(7);
    put_number(389);
    put_name("ldap.example.test");
    ask(SP_DNS_SRV);
    ck_assert(seen_rc == SP_OK && seen.preference == 5 && seen.weight == 7 && seen.port == 389);
    ck_assert_str_eq(seen_name, "ldap.example.test");
    sp_buf_put(&rdata, SP_LIT("\x03one\x03two"));
    ask(SP_DNS_TXT);
    ck_assert_int_eq(seen_rc, SP_OK);
    ck_assert_str_eq(seen_data, "onetwo");
    for (int i = 0; i < 2; i++) {
        sp_buf_put(&rdata, SP_LIT("\x03\x01\x01"
                                  "0123456789abcdef0123456789abcdef"));
        ask(i == 0 ? SP_DNS_TLSA : SP_DNS_SMIMEA);
        ck_assert(seen_rc == SP_OK && seen.usage == 3 && seen.selector == 1 &&
                  seen.matching_type == 1);
        ck_assert_str_eq(seen_data, "0123456789abcdef0123456789abcdef");
    }
    sp_buf_put(&rdata, SP_LIT("a public key"));
    ask(SP_DNS_OPENPGPKEY);
    ck_assert_int_eq(seen_rc, SP_OK);
    ck_assert_str_eq(seen_data, "a public key");
    sp_buf_clear(&rdata);
}
END_TEST

/* An error, and never "there is nothing". */
START_TEST(what_is_cut_short_is_malformed)
{
    static const enum sp_dns_type types[] = {SP_DNS_A,   SP_DNS_AAAA, SP_DNS_MX,    SP_DNS_SRV,
                                             SP_DNS_TXT, SP_DNS_TLSA, SP_DNS_SMIMEA};

    sp_buf_init(&rdata, 512);
    for (size_t i = 0; i < SP_ARRAY_LEN(types); i++) {
        sp_buf_put_u8(&rdata, 9);
        ask_for(types[i], 300); /* it asks again meanwhile */
        ck_assert_msg(sp_dns_rc_is_error(seen_rc), "type %d: %s", types[i], sp_rc_name(seen_rc));
    }
    sp_buf_clear(&rdata);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, each_type_is_read);
    tcase_add_test(c, what_is_cut_short_is_malformed);
}

SP_TEST_MAIN("dns.types", add)
