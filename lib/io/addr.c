/*
 * Addresses as text and back, and networks. IPv4 is kept as IPv4 in sockets, and compared as IPv4-mapped IPv6 in
 * networks, so that "10.0.0.0/8" also covers a client that a dual-stack socket shows as ::ffff:10.0.0.1.
 */
#include "io/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

bool sp_addr_from_ip(struct sp_bytes ip, uint16_t port, struct sp_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t raw[16];

    if (ip.len == 0 || ip.len >= sizeof(text) || sp_bytes_find(ip, 0) != SIZE_MAX)
        return false;
    memcpy(text, ip.ptr, ip.len);
    text[ip.len] = '\0';
    if (inet_pton(AF_INET, text, raw) == 1)
        return sp_addr_from_raw(sp_bytes(raw, 4), port, out);
    if (inet_pton(AF_INET6, text, raw) == 1)
        return sp_addr_from_raw(sp_bytes(raw, 16), port, out);
    return false;
}

bool sp_addr_from_raw(struct sp_bytes raw, uint16_t port, struct sp_addr *out)
{
    struct sp_addr a;

    memset(&a, 0, sizeof(a));
    if (raw.len == 4) {
        a.u.in4.sin_family = AF_INET;
        a.u.in4.sin_port = htons(port);
        memcpy(&a.u.in4.sin_addr, raw.ptr, 4);
        a.len = sizeof(a.u.in4);
    } else if (raw.len == 16) {
        a.u.in6.sin6_family = AF_INET6;
        a.u.in6.sin6_port = htons(port);
        memcpy(&a.u.in6.sin6_addr, raw.ptr, 16);
        a.len = sizeof(a.u.in6);
    } else {
        return false;
    }
    *out = a;
    return true;
}

bool sp_addr_parse(struct sp_bytes text, struct sp_addr *out)
{
    size_t colon = text.len;
    struct sp_bytes ip;
    uint64_t port;

    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || !sp_bytes_to_u64(sp_bytes_slice(text, colon, SIZE_MAX), &port) ||
        port > 65535)
        return false;
    ip = sp_bytes_slice(text, 0, colon - 1);
    if (ip.len >= 2 && ip.ptr[0] == '[' && ip.ptr[ip.len - 1] == ']')
        ip = sp_bytes_slice(ip, 1, ip.len - 2);
    else if (sp_bytes_find(ip, ':') != SIZE_MAX)
        return false; /* an IPv6 address needs its brackets here */
    return sp_addr_from_ip(ip, (uint16_t)port, out);
}

void sp_addr_format_ip(const struct sp_addr *a, char *out)
{
    if (a->u.sa.sa_family == AF_INET)
        inet_ntop(AF_INET, &a->u.in4.sin_addr, out, SP_ADDR_TEXT_MAX);
    else if (a->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr))
        inet_ntop(AF_INET, &a->u.in6.sin6_addr.s6_addr[12], out, SP_ADDR_TEXT_MAX);
    else if (a->u.sa.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a->u.in6.sin6_addr, out, SP_ADDR_TEXT_MAX);
    else
        snprintf(out, SP_ADDR_TEXT_MAX, "local");
}

void sp_addr_format(const struct sp_addr *a, char *out)
{
    char ip[SP_ADDR_TEXT_MAX];

    sp_addr_format_ip(a, ip);
    if (strchr(ip, ':') != NULL)
        snprintf(out, SP_ADDR_TEXT_MAX, "[%.46s]:%u", ip, sp_addr_port(a));
    else
        snprintf(out, SP_ADDR_TEXT_MAX, "%.46s:%u", ip, sp_addr_port(a));
}

uint16_t sp_addr_port(const struct sp_addr *a)
{
    if (a->u.sa.sa_family == AF_INET)
        return ntohs(a->u.in4.sin_port);
    return a->u.sa.sa_family == AF_INET6 ? ntohs(a->u.in6.sin6_port) : 0;
}

/* The address as 16 bytes, IPv4 mapped; false if it is neither. */
static bool to_mapped(const struct sp_addr *a, uint8_t out[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (a->u.sa.sa_family == AF_INET) {
        memcpy(out, prefix, sizeof(prefix));
        memcpy(out + 12, &a->u.in4.sin_addr, 4);
        return true;
    }
    if (a->u.sa.sa_family == AF_INET6) {
        memcpy(out, &a->u.in6.sin6_addr, 16);
        return true;
    }
    return false;
}

bool sp_addr_eq(const struct sp_addr *a, const struct sp_addr *b)
{
    uint8_t x[16];
    uint8_t y[16];

    return to_mapped(a, x) && to_mapped(b, y) && memcmp(x, y, 16) == 0 &&
           sp_addr_port(a) == sp_addr_port(b);
}

bool sp_addr_is_loopback(const struct sp_addr *a)
{
    static const uint8_t six[16] = {[15] = 1};
    uint8_t x[16];

    if (!to_mapped(a, x))
        return false;
    return memcmp(x, six, 16) == 0 || (x[10] == 0xff && x[11] == 0xff && x[12] == 127);
}

bool sp_addr_can_leave_from(const struct sp_addr *a)
{
    int fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can;

    if (fd < 0)
        return false;
    can = bind(fd, &a->u.sa, a->len) == 0;
    (void)close(fd);
    return can;
}

bool sp_network_parse(struct sp_bytes text, struct sp_network *out)
{
    size_t slash = sp_bytes_find(text, '/');
    struct sp_addr a;
    uint64_t bits;
    unsigned most;

    if (!sp_addr_from_ip(sp_bytes_slice(text, 0, slash), 0, &a) || !to_mapped(&a, out->ip))
        return false;
    most = a.u.sa.sa_family == AF_INET ? 32 : 128;
    bits = most;
    if (slash != SIZE_MAX &&
        (!sp_bytes_to_u64(sp_bytes_slice(text, slash + 1, SIZE_MAX), &bits) || bits > most))
        return false;
    out->bits = (unsigned)bits + (128 - most);
    return true;
}

bool sp_network_has(const struct sp_network *n, const struct sp_addr *a)
{
    uint8_t x[16];
    unsigned whole = n->bits / 8;
    unsigned rest = n->bits % 8;
    uint8_t mask = (uint8_t)(0xff00U >> rest);

    if (!to_mapped(a, x) || memcmp(x, n->ip, whole) != 0)
        return false;
    return rest == 0 || (x[whole] & mask) == (n->ip[whole] & mask);
}
