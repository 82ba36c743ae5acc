/*
 * Domain names and address literals. Names are ASCII only: an internationalised name is brought into A-labels at the door
 * (mail/idn.h). The underscore is refused: it is legal in DNS but in no mail domain. The IPv6 form is
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

/* How an IPv6 address is read: groups so far, and whether "::" has stood. */
struct ipv6 {
    unsigned groups;
    bool gap;
};

/* returns: the number of hexadecimal digits at the start of text */
static size_t hex_span(struct sp_bytes text)
{
    size_t n = 0;

    while (n < text.len && is_hex(text.ptr[n]))
        n++;
    return n;
}

/* Takes the ":" or "::" behind a group. returns: false if neither is there, or nothing follows a lone one */
static bool take_colons(struct sp_bytes *text, struct ipv6 *a)
{
    if (text->ptr[0] != ':' || text->len == 1)
        return false;
    *text = sp_bytes_slice(*text, 1, text->len);
    if (text->ptr[0] != ':')
        return true;
    if (a->gap)
        return false;
    a->gap = true;
    *text = sp_bytes_slice(*text, 1, text->len);
    return true;
}

/* Groups of 1 to 4 hexadecimal digits; "::" once; the last two groups may be an IPv4 address. */
static bool is_ipv6(struct sp_bytes text)
{
    struct ipv6 a = {0, false};

    if (sp_bytes_starts_nocase(text, SP_LIT("::"))) {
        a.gap = true;
        text = sp_bytes_slice(text, 2, text.len);
    }
    while (text.len > 0) {
        size_t digits = hex_span(text);

        if (digits < text.len && text.ptr[digits] == '.')
            return is_ipv4(text) && (a.gap ? a.groups <= 5 : a.groups == 6);
        if (digits == 0 || digits > 4 || ++a.groups > 8)
            return false;
        text = sp_bytes_slice(text, digits, text.len);
        if (text.len > 0 && !take_colons(&text, &a))
            return false;
    }
    return a.gap ? a.groups <= 7 : a.groups == 8;
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
