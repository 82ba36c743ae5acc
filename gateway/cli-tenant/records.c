/*
 * What DNS says of a tenant: our own name, SPF, the delegated DKIM selector, DMARC, and for the domain's own mail MTA-STS. A
 * question that could not be asked is told as such: it is not the same as a record that is missing.
 */
#include "gateway/cli-tenant/cli.h"

#include <stdio.h>

#define ADDRESSES_MAX 16
#define NAME_MAX_     300

/* returns: whether the name has one TXT record that begins so; *rc: of the look-up. out: it, in the arena */
static bool has_txt(struct cli *cli, const char *name, struct sp_bytes begins, struct sp_bytes *out,
                    enum sp_rc *rc)
{
    const struct sp_dns_answer *a = cli_ask(cli, name, SP_DNS_TXT);
    bool found = false;

    *rc = a->rc;
    for (size_t i = 0; a->rc == SP_OK && i < a->count && !found; i++) {
        found = sp_bytes_starts_nocase(a->records[i].data, begins);
        if (found)
            *out = sp_arena_copy(cli->arena, a->records[i].data);
    }
    sp_dns_answer_unref(a);
    return found;
}

static bool is_same(const struct sp_dns_ip *a, const struct sp_dns_ip *b)
{
    return a->family == b->family && memcmp(a->b, b->b, a->family == 4 ? 4 : 16) == 0;
}

/* The name that an address is asked for in reverse (RFC 1035 3.5, RFC 3596 2.5). */
static void reverse_name(const struct sp_dns_ip *ip, struct sp_buf *out)
{
    for (int i = ip->family == 4 ? 3 : 15; i >= 0; i--) {
        if (ip->family == 4)
            sp_buf_printf(out, "%u.", (unsigned)ip->b[i]);
        else
            sp_buf_printf(out, "%x.%x.", ip->b[i] & 15U, (unsigned)ip->b[i] >> 4);
    }
    sp_buf_put_cstr(out, ip->family == 4 ? "in-addr.arpa" : "ip6.arpa");
    sp_buf_put_u8(out, 0);
}

/* Receivers look an address up in reverse and the name forward again. */
static void check_reverse(struct findings *f, const struct sp_dns_ip *ip)
{
    const char *hostname = f->cli->settings->hostname;
    const struct sp_dns_answer *a;
    bool found = false;
    struct sp_buf name;
    char text[64];

    sp_dns_ip_format(ip, text);
    sp_buf_init(&name, NAME_MAX_);
    reverse_name(ip, &name);
    a = cli_ask(f->cli, (const char *)name.ptr, SP_DNS_PTR);
    for (size_t i = 0; a->rc == SP_OK && i < a->count; i++)
        found = found || sp_bytes_eq_nocase(a->records[i].name, sp_bytes_cstr(hostname));
    if (sp_dns_rc_is_error(a->rc))
        find(f, FINDING_ADVICE, "dns.reverse", "%s: its reverse name could not be looked up (%s)",
             text, sp_rc_name(a->rc));
    else
        find(f, found ? FINDING_OK : FINDING_ADVICE, "dns.reverse",
             found ? "%s leads back to %s"
                   : "%s does not lead back to %s: ask who gave the address",
             text, hostname);
    sp_dns_answer_unref(a);
    sp_buf_clear(&name);
}

static void check_spf(struct findings *f, const char *domain, const struct sp_dns_ip *ip)
{
    struct sp_err err = {0};
    struct sp_addr host;
    char text[64];
    enum sp_spf_result result;

    sp_dns_ip_format(ip, text);
    if (!sp_addr_from_ip(sp_bytes_cstr(text), 0, &host))
        return;
    result = sp_spf_check(&f->cli->spf, sp_bytes_cstr(domain), &host, &err);
    if (result == SP_SPF_PASS)
        find(f, FINDING_OK, "dns.spf", "SPF of %s lets %s send", domain, text);
    else if (result == SP_SPF_PERMERROR || result == SP_SPF_TEMPERROR)
        find(f, FINDING_WRONG, "dns.spf", "SPF of %s is in error for everybody: %s", domain,
             err.text);
    else
        find(f, FINDING_WRONG, "dns.spf",
             "SPF of %s says \"%s\" to %s: put  a:%s  into its v=spf1 record", domain,
             sp_spf_result_name(result), text, f->cli->settings->hostname);
}

/* The addresses that a route's own source settings may change are the machine's: what DNS says of our name is asked. */
static void check_name(struct findings *f, const struct sp_tenant *t)
{
    const char *hostname = f->cli->settings->hostname;
    struct sp_dns_ip ips[ADDRESSES_MAX];
    enum sp_rc rc;
    size_t count = cli_addresses(f->cli, hostname, ips, ADDRESSES_MAX, &rc);

    if (count == 0) {
        find(f, FINDING_WRONG, "dns.hostname",
             "%s has no address in DNS (%s): nobody finds the door", hostname,
             rc == SP_OK ? "no record" : sp_rc_name(rc));
        return;
    }
    find(f, FINDING_OK, "dns.hostname", "%s has %zu address%s in DNS", hostname, count,
         count == 1 ? "" : "es");
    for (size_t i = 0; i < count; i++) {
        bool seen = false;

        for (size_t k = 0; k < i; k++)
            seen = seen || is_same(&ips[i], &ips[k]);
        if (seen)
            continue;
        check_reverse(f, &ips[i]);
        for (size_t d = 0; d < t->domains.count; d++)
            check_spf(f, t->domains.items[d], &ips[i]);
    }
}

/* One record at a name under the domain, and what it is good for. */
static void check_advice(struct findings *f, const char *what, const char *under,
                         const char *domain, struct sp_bytes begins, const char *why)
{
    char name[NAME_MAX_];
    struct sp_bytes record;
    enum sp_rc rc;

    (void)snprintf(name, sizeof(name), "%s.%s", under, domain);
    if (has_txt(f->cli, name, begins, &record, &rc))
        find(f, FINDING_OK, what, "%s is published", name);
    else
        find(f, FINDING_ADVICE, what, "%s: %s: %s", name,
             sp_dns_rc_is_error(rc) ? sp_rc_name(rc) : "no record", why);
}

void check_dns(struct findings *f, const struct sp_tenant *t)
{
    check_name(f, t);
    check_selectors(f, t);
    for (size_t i = 0; i < t->domains.count; i++) {
        check_advice(f, "dns.dmarc", "_dmarc", t->domains.items[i], SP_LIT("v=DMARC1"),
                     "receivers do not know what to make of forged mail");
        check_advice(f, "dns.mta-sts", "_mta-sts", t->domains.items[i], SP_LIT("v=STSv1"),
                     "mail to the domain may be read on its way; see RFC 8461");
    }
}
