/*
 * Names are looked up as RFC 5891 5 and UTS 46 (non-transitional) say, so that capitals and full-width forms come to the same
 * A-label. A name that is ASCII is taken as it is: whoever writes "xn--" has chosen the form that DNS is asked for anyway.
 */
#include "mail/idn.h"

#include <idn2.h>
#include <stdlib.h>
#include <uninorm.h>

#include "base/mem.h"
#include "mail/domain.h"

bool sp_text_is_ascii(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= 0x80)
            return false;
    return true;
}

enum sp_rc sp_domain_to_ascii(struct sp_bytes name, struct sp_buf *out)
{
    uint8_t text[4 * SP_DOMAIN_MAX + 1];
    enum sp_rc rc = SP_OK;
    uint8_t *ascii = NULL;
    struct sp_bytes result;

    if (sp_text_is_ascii(name)) {
        sp_domain_format(name, out);
        return sp_buf_rc(out);
    }
    if (name.len >= sizeof(text))
        return SP_E_ADDR_LONG;
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    if (idn2_lookup_u8(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return SP_E_ADDR_SYNTAX;
    result = sp_bytes_cstr((const char *)ascii);
    if (result.len > SP_DOMAIN_MAX)
        rc = SP_E_ADDR_LONG;
    else if (!sp_domain_is_valid(result))
        rc = SP_E_ADDR_SYNTAX;
    else
        sp_domain_format(result, out);
    idn2_free(ascii);
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}

bool sp_text_is_normal(struct sp_bytes text)
{
    uint8_t room[4 * SP_ADDRESS_MAX];
    size_t len = sizeof(room);
    uint8_t *normal;
    bool same;

    if (sp_text_is_ascii(text) || text.len > SP_ADDRESS_MAX)
        return true;
    normal = u8_normalize(UNINORM_NFC, text.ptr, text.len, room, &len);
    same = normal != NULL && sp_bytes_eq(sp_bytes(normal, len), text);
    if (normal != room)
        free(normal);
    return same;
}

enum sp_rc sp_address_to_ascii(struct sp_address *a, struct sp_buf *domain)
{
    enum sp_rc rc;

    if (!sp_text_is_normal(a->local))
        return SP_E_ADDR_SYNTAX;
    if (sp_text_is_ascii(a->domain))
        return SP_OK;
    sp_buf_reset(domain);
    rc = sp_domain_to_ascii(a->domain, domain);
    if (rc != SP_OK)
        return rc;
    if (a->local.len + 1 + domain->len > SP_ADDRESS_MAX)
        return SP_E_ADDR_LONG;
    a->domain = sp_buf_bytes(domain);
    return SP_OK;
}

enum sp_rc sp_address_normalise(struct sp_bytes text, struct sp_buf *out)
{
    struct sp_address a;
    struct sp_buf domain;
    enum sp_rc rc = sp_address_parse(text, &a);

    sp_buf_init(&domain, SP_DOMAIN_MAX);
    if (rc == SP_OK)
        rc = a.domain.len == 0 ? SP_E_ADDR_SYNTAX : sp_address_to_ascii(&a, &domain);
    if (rc == SP_OK) {
        sp_address_format(&a, out);
        rc = sp_buf_rc(out);
    }
    sp_buf_clear(&domain);
    return rc;
}

void sp_address_format_ascii(const struct sp_address *a, struct sp_buf *out)
{
    struct sp_address copy = *a;
    struct sp_buf domain;

    sp_buf_init(&domain, SP_DOMAIN_MAX);
    if (!sp_text_is_ascii(a->domain) && sp_domain_to_ascii(a->domain, &domain) == SP_OK)
        copy.domain = sp_buf_bytes(&domain);
    sp_address_format(&copy, out);
    sp_buf_clear(&domain);
}

enum sp_rc sp_domain_pattern_to_ascii(struct sp_bytes text, struct sp_buf *out)
{
    size_t at = text.len;
    struct sp_bytes rest, label;
    bool first = true;

    while (at > 0 && text.ptr[at - 1] != '@')
        at--;
    sp_buf_put(out, sp_bytes_slice(text, 0, at));
    rest = sp_bytes_slice(text, at, SIZE_MAX);
    while (sp_bytes_split(&rest, '.', &label)) {
        enum sp_rc rc = SP_OK;

        if (!first)
            sp_buf_put_u8(out, '.');
        first = false;
        if (sp_text_is_ascii(label))
            sp_buf_put(out, label);
        else
            rc = sp_domain_to_ascii(label, out);
        if (rc != SP_OK)
            return rc;
    }
    return sp_buf_rc(out);
}
