/*
 * Domain names and address literals. Names are ASCII only: an internationalised name travels as A-labels, since
 * SMTPUTF8 is not offered. The underscore is refused: it is legal in DNS but in no mail domain. The IPv6 form is
 * checked by hand, because inet_pton wants NUL-terminated text.
 */
#include "mail/domain.h"

#include "mail/address.h"

bool sp_domain_is_valid(struct sp_bytes text)
{
    size_t label = 0;

    if (text.len == 0 || text.len > SP_DOMAIN_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '.') {
            if (label == 0 || text.ptr[i - 1] == '-')
                return false;
            label = 0;
            continue;
        }
        if (!sp_ascii_is_alnum(c) && (c != '-' || label == 0))
            return false;
        if (++label > 63)
            return false;
    }
    return label > 0 && text.ptr[text.len - 1] != '-';
}

static bool is_ipv4(struct sp_bytes text)
{
    struct sp_bytes part;
    unsigned parts = 0;

    while (sp_bytes_split(&text, '.', &part)) {
        uint64_t value = 0;

        if (part.len == 0 || part.len > 3 || !sp_bytes_to_u64(part, &value) || value > 255)
            return false;
        if (++parts > 4)
            return false;
    }
    return parts == 4;
}

static bool is_hex(uint8_t c)
{
    c = sp_ascii_lower(c);
    return sp_ascii_is_digit(c) || (c >= 'a' && c <= 'f');
}

/* Groups of 1 to 4 hexadecimal digits; "::" once; the last two groups may be an IPv4 address. */
static bool is_ipv6(struct sp_bytes text)
{
    unsigned groups = 0;
    bool gap = false;
    size_t i = 0;

    if (text.len >= 2 && text.ptr[0] == ':' && text.ptr[1] == ':') {
        gap = true;
        i = 2;
    }
    while (i < text.len) {
        size_t digits = 0;

        while (i + digits < text.len && is_hex(text.ptr[i + digits]))
            digits++;
        if (i + digits < text.len && text.ptr[i + digits] == '.')
            return is_ipv4(sp_bytes_slice(text, i, text.len)) && (gap ? groups <= 5 : groups == 6);
        if (digits == 0 || digits > 4 || ++groups > 8)
            return false;
        i += digits;
        if (i == text.len)
            break;
        if (text.ptr[i++] != ':' || i == text.len)
            return false;
        if (text.ptr[i] == ':') {
            if (gap)
                return false;
            gap = true;
            i++;
        }
    }
    return gap ? groups <= 7 : groups == 8;
}

bool sp_domain_is_literal(struct sp_bytes text)
{
    struct sp_bytes inner;

    if (text.len < 3 || text.len > SP_DOMAIN_MAX || text.ptr[0] != '[' ||
        text.ptr[text.len - 1] != ']')
        return false;
    inner = sp_bytes_slice(text, 1, text.len - 2);
    if (sp_bytes_starts_nocase(inner, SP_LIT("IPv6:")))
        return is_ipv6(sp_bytes_slice(inner, 5, inner.len));
    return is_ipv4(inner);
}

bool sp_domain_eq(struct sp_bytes a, struct sp_bytes b)
{
    return sp_bytes_eq_nocase(a, b);
}

bool sp_domain_is_within(struct sp_bytes name, struct sp_bytes parent)
{
    if (parent.len == 0 || !sp_bytes_ends_nocase(name, parent))
        return false;
    return name.len == parent.len || name.ptr[name.len - parent.len - 1] == '.';
}

void sp_domain_format(struct sp_bytes name, struct sp_buf *out)
{
    uint8_t *to = sp_buf_reserve(out, name.len);

    if (to == NULL)
        return;
    for (size_t i = 0; i < name.len; i++)
        to[i] = sp_ascii_lower(name.ptr[i]);
    sp_buf_commit(out, name.len);
}
