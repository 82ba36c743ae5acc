/*
 * The networks of a provider, as `sallyport providers refresh` writes them: text, so that an administrator can read, compare
 * and mend it with any tool. Read as strictly as settings are, since each line opens the door a little. Lists that came out
 * too wide by a mistake in somebody's DNS are caught here as well as where they are made. A network is judged as peers are
 * compared with it: IPv4 as mapped (RFC 4291 2.5.5.2), however it is written. That a list comes from DNS and yet names
 * networks of nobody's on the Internet, like loopback, is told apart: an administrator's own file may do that.
 */
#include "config/tenant.h"

#include "base/clock.h"
#include "config/table.h"

#include <arpa/inet.h>

#define COMMENT   SP_LIT("#")
#define REFRESHED SP_LIT("# refreshed ")
#define MAPPED    SP_LIT("::ffff:0:0/96") /* all of IPv4 */
#define MAPPED_V4 96
#define LEAST_V4  10
#define LEAST_V6  24

struct range {
    uint8_t ip[16]; /* IPv4 as mapped */
    unsigned bits;  /* of 128 */
};

/* returns: false if it is no network */
static bool parse(struct sp_bytes network, struct range *out)
{
    size_t slash = sp_bytes_find(network, '/');
    struct sp_bytes ip = sp_bytes_slice(network, 0, slash);
    char text[INET6_ADDRSTRLEN];
    unsigned most = 128;
    uint64_t bits;

    *out = (struct range){.ip = {[10] = 0xff, [11] = 0xff}};
    if (ip.len == 0 || ip.len >= sizeof(text))
        return false;
    memcpy(text, ip.ptr, ip.len);
    text[ip.len] = 0;
    if (inet_pton(AF_INET, text, out->ip + 12) == 1)
        most = 32;
    else if (inet_pton(AF_INET6, text, out->ip) != 1)
        return false;
    bits = most;
    if (slash != SIZE_MAX &&
        (!sp_bytes_to_u64(sp_bytes_slice(network, slash + 1, network.len), &bits) || bits > most))
        return false;
    out->bits = (unsigned)bits + (128 - most);
    return true;
}

/* returns: whether one lies in the other */
static bool meets(const struct range *a, struct sp_bytes network)
{
    struct range b;
    unsigned bits, rest;

    if (!parse(network, &b))
        return false;
    bits = a->bits < b.bits ? a->bits : b.bits;
    rest = bits % 8;
    return memcmp(a->ip, b.ip, bits / 8) == 0 &&
           (rest == 0 || ((a->ip[bits / 8] ^ b.ip[bits / 8]) >> (8 - rest)) == 0);
}

static bool is_wide(struct sp_bytes network)
{
    struct range r;

    return !parse(network, &r) || r.bits < (meets(&r, MAPPED) ? MAPPED_V4 + LEAST_V4 : LEAST_V6);
}

/* Who sends from there is in no provider's network, but in ours or in everybody's (RFC 6890). */
static bool is_private(struct sp_bytes network)
{
    static const char *const ranges[] = {
        "0.0.0.0/8",     "10.0.0.0/8",     "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4",   "240.0.0.0/4", "::/127",
        "fc00::/7",      "fe80::/10",      "ff00::/8",
    };
    struct range r;

    if (!parse(network, &r))
        return true;
    for (size_t i = 0; i < SP_ARRAY_LEN(ranges); i++) {
        if (meets(&r, sp_bytes_cstr(ranges[i])))
            return true;
    }
    return false;
}

/* The next network of the text. returns: false at its end */
static bool next(struct sp_bytes *text, struct sp_bytes *out, uint32_t *line, int64_t *refreshed_ms)
{
    while (sp_bytes_split(text, '\n', out)) {
        (*line)++;
        if (sp_bytes_starts_nocase(*out, REFRESHED) && refreshed_ms != NULL &&
            !sp_time_parse_rfc3339(sp_bytes_trim(sp_bytes_slice(*out, REFRESHED.len, out->len)),
                                   refreshed_ms))
            *refreshed_ms = 0;
        *out = sp_bytes_trim(*out);
        if (out->len > 0 && !sp_bytes_starts_nocase(*out, COMMENT))
            return true;
    }
    return false;
}

/* returns: how many there are; 0 with problems if any is wrong */
static size_t look(struct sp_bytes text, int64_t *refreshed_ms, const char *file,
                   struct sp_problems *problems)
{
    size_t before = sp_problems_errors(problems), count = 0;
    struct sp_bytes network;
    uint32_t line = 0;

    while (next(&text, &network, &line, refreshed_ms)) {
        const char *wanted = sp_config_form_check(SP_FORM_CIDR, network);

        count++;
        if (wanted != NULL)
            sp_problem_file(problems, file, line, SP_E_CONFIG_INVALID, "expected %s", wanted);
        else if (is_wide(network))
            sp_problem_file(problems, file, line, SP_E_CONFIG_INVALID,
                            "%.*s is too much of the Internet: nobody's network", SP_FMT(network));
    }
    if (count == 0)
        sp_problem_file(problems, file, 0, SP_E_CONFIG_INVALID, "it names no network");
    return sp_problems_errors(problems) > before ? 0 : count;
}

size_t sp_tenant_count_networks(struct sp_bytes text, int64_t *refreshed_ms,
                                struct sp_problems *problems)
{
    *refreshed_ms = 0;
    return look(text, refreshed_ms, "networks", problems);
}

bool sp_tenant_networks_are_public(struct sp_bytes text, struct sp_problems *problems)
{
    struct sp_bytes network;
    uint32_t line = 0;
    bool all = true;

    while (next(&text, &network, &line, NULL)) {
        if (!is_private(network))
            continue;
        all = false;
        sp_problem_file(problems, "networks", line, SP_E_CONFIG_INVALID,
                        "%.*s is loopback or private: no provider's network", SP_FMT(network));
    }
    return all;
}

enum sp_rc sp_tenant_add_networks(struct sp_tenant *t, struct sp_bytes text, const char *file,
                                  struct sp_problems *problems)
{
    size_t count = look(text, NULL, file, problems);
    struct sp_config_texts *own = &t->proofs.networks;
    struct sp_bytes network;
    const char **items;
    uint32_t line = 0;

    if (count == 0)
        return SP_E_CONFIG_INVALID;
    items = sp_arena_alloc(t->arena, (own->count + count) * sizeof(*items));
    if (own->count > 0)
        memcpy(items, own->items, own->count * sizeof(*items));
    own->items = items;
    while (next(&text, &network, &line, NULL))
        own->items[own->count++] = sp_arena_cstr(t->arena, network);
    return SP_OK;
}
