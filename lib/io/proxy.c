/*
 * PROXY version 2. The header is fixed in form, so it is checked from the first byte on: a wrong one is known at once and not
 * when its length has come. Extensions behind the addresses are skipped. Datagrams and unix sockets are nothing that a mail
 * client comes over, and a proxied connection without an address would be a client that nobody knows: both are malformed.
 */
#include "io/proxy.h"

static const uint8_t signature[12] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                      0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};

enum { LOCAL = 0x20, PROXY = 0x21, TCP4 = 0x11, TCP6 = 0x21 };

/* Takes source address, destination address, source port, destination port. */
static enum sp_rc take_client(struct sp_bytes body, size_t ip_len, struct sp_addr *out)
{
    uint16_t port;

    if (body.len < 2 * ip_len + 4)
        return SP_E_MALFORMED;
    port = (uint16_t)(body.ptr[2 * ip_len] << 8 | body.ptr[2 * ip_len + 1]);
    return sp_addr_from_raw(sp_bytes_slice(body, 0, ip_len), port, out) ? SP_OK : SP_E_MALFORMED;
}

enum sp_rc sp_proxy_parse(struct sp_bytes in, struct sp_proxy *out)
{
    size_t seen = in.len < sizeof(signature) ? in.len : sizeof(signature), len;
    struct sp_bytes body;

    if (seen > 0 && memcmp(in.ptr, signature, seen) != 0)
        return SP_E_MALFORMED;
    if (in.len > 12 && in.ptr[12] != LOCAL && in.ptr[12] != PROXY)
        return SP_E_MALFORMED;
    *out = (struct sp_proxy){.len = SP_PROXY_MIN};
    if (in.len < SP_PROXY_MIN)
        return SP_E_CLOSED;
    len = (size_t)(in.ptr[14] << 8 | in.ptr[15]);
    if (SP_PROXY_MIN + len > SP_PROXY_MAX)
        return SP_E_MALFORMED;
    out->len = SP_PROXY_MIN + len;
    out->is_local = in.ptr[12] == LOCAL;
    if (in.len < out->len)
        return SP_E_CLOSED;
    body = sp_bytes_slice(in, SP_PROXY_MIN, len);
    if (out->is_local)
        return SP_OK;
    if (in.ptr[13] == TCP4)
        return take_client(body, 4, &out->client);
    return in.ptr[13] == TCP6 ? take_client(body, 16, &out->client) : SP_E_MALFORMED;
}
