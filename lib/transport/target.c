/*
 * Hosts as settings and address literals write them.
 */
#include "transport/transport_priv.h"

#include "dns/wire.h"

static bool read_port(struct sp_bytes text, uint16_t *out)
{
    uint64_t port;

    if (!sp_bytes_to_u64(text, &port) || port == 0 || port > UINT16_MAX)
        return false;
    *out = (uint16_t)port;
    return true;
}

static bool read_host(struct sp_bytes host, struct sp_target *out)
{
    out->host = host;
    out->is_address = sp_dns_ip_parse(host, &out->ip);
    return out->is_address || sp_dns_name_is_valid(host);
}

bool sp_target_parse(struct sp_bytes text, uint16_t port, struct sp_target *out)
{
    struct sp_target t = {.port = port};
    struct sp_bytes host = text;
    size_t colon = sp_bytes_find(text, ':');

    if (text.len > 0 && text.ptr[0] == '[') {
        size_t end = sp_bytes_find(text, ']');

        if (end == SIZE_MAX)
            return false;
        host = sp_bytes_slice(text, 1, end - 1);
        colon = end + 1 < text.len ? end + 1 : SIZE_MAX;
        if (colon != SIZE_MAX && text.ptr[colon] != ':')
            return false;
    } else if (colon != SIZE_MAX) {
        host = sp_bytes_slice(text, 0, colon);
    }
    if (colon != SIZE_MAX && !read_port(sp_bytes_slice(text, colon + 1, text.len), &t.port))
        return false;
    if (!read_host(host, &t))
        return false;
    *out = t;
    return true;
}

bool sp_target_parse_literal(struct sp_bytes domain, uint16_t port, struct sp_target *out)
{
    static const struct sp_bytes v6 = SP_LIT_INIT("IPv6:");
    struct sp_target t = {.port = port};
    struct sp_bytes host;

    if (domain.len < 3 || domain.ptr[0] != '[' || domain.ptr[domain.len - 1] != ']')
        return false;
    host = sp_bytes_slice(domain, 1, domain.len - 2);
    if (sp_bytes_starts_nocase(host, v6))
        host = sp_bytes_slice(host, v6.len, host.len);
    if (!read_host(host, &t) || !t.is_address)
        return false;
    *out = t;
    return true;
}
