/*
 * SPF records of strangers: whatever they say, in whatever order they include each other, a walk ends within the limits of RFC
 * 7208, every network that it tells is one, and the same records give the same result again.
 */
#include "base/clock.h"
#include "dns/answer.h"
#include "dns/spf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct sp_bytes text; /* records, a line each; a name has the line that its length says */
    unsigned asked;
};

static struct sp_bytes line_of(struct sp_bytes text, size_t n)
{
    struct sp_bytes line = {NULL, 0};

    for (size_t i = 0; i <= n % 8; i++) {
        if (!sp_bytes_split(&text, '\n', &line))
            break;
    }
    return line;
}

static void on_ask(void *ctx, struct sp_bytes name, enum sp_dns_type type,
                   const struct sp_dns_answer **out)
{
    struct world *w = ctx;
    struct sp_dns_draft *d = sp_dns_draft_new();
    struct sp_dns_answer like = {.rc = SP_E_DNS_NXDOMAIN};
    struct sp_dns_record r = {.data = line_of(w->text, name.len)};

    sp_assert(++w->asked <= 300);
    if (type == SP_DNS_TXT && r.data.len > 0 && sp_dns_draft_add(d, &r) == SP_OK)
        like.rc = SP_OK;
    if (type == SP_DNS_A && sp_dns_ip_parse(SP_LIT("192.0.2.1"), &r.ip) &&
        sp_dns_draft_add(d, &r) == SP_OK)
        like.rc = SP_OK;
    *out = sp_dns_draft_finish(d, &like);
}

static void on_network(void *arg, struct sp_bytes text)
{
    struct sp_network n;

    sp_assert(sp_network_parse(text, &n));
    ++*(unsigned *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum sp_spf_result results[2];
    enum sp_rc rcs[2];
    unsigned told[2] = {0, 0};
    struct sp_addr host;

    if (!sp_addr_from_ip(SP_LIT("192.0.2.1"), 0, &host))
        return 0;
    for (int i = 0; i < 2; i++) {
        struct world w = {.text = sp_bytes(data, size)};
        struct sp_spf_ops ops = {.ask = on_ask, .ctx = &w};
        struct sp_err err = {0};

        results[i] = sp_spf_check(&ops, SP_LIT("a.test"), &host, &err);
        w.asked = 0;
        rcs[i] = sp_spf_networks(&ops, SP_LIT("a.test"), on_network, &told[i], &err);
    }
    sp_assert(results[0] == results[1] && rcs[0] == rcs[1] && told[0] == told[1]);
    return 0;
}
