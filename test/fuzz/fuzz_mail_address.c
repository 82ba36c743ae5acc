/*
 * Address grammar: what parses is clean, and parses to the same after being formatted; the list walker ends.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "mail/address.h"
#include "mail/envelope.h"
#include "mail/idn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct sp_address *a)
{
    struct sp_buf text, again;
    struct sp_address b;

    sp_buf_init(&text, SP_ADDRESS_MAX + 1);
    sp_buf_init(&again, SP_ADDRESS_MAX + 1);
    sp_address_format(a, &text);
    sp_assert(sp_buf_rc(&text) == SP_OK);
    for (size_t i = 0; i < text.len; i++)
        sp_assert(text.ptr[i] >= 32 && text.ptr[i] != 127);
    if (a->domain.len > 0) {
        sp_assert(sp_address_parse(sp_buf_bytes(&text), &b) == SP_OK);
        sp_assert(sp_address_eq(a, &b));
        sp_address_format(&b, &again);
        sp_assert(sp_bytes_eq(sp_buf_bytes(&text), sp_buf_bytes(&again)));
    }
    sp_buf_clear(&text);
    sp_buf_clear(&again);
}

/* A domain in A-labels is ASCII, is a mailbox's, and stays as it is. */
static void check_ascii(struct sp_address a)
{
    struct sp_buf domain, again, text;
    struct sp_address b;

    sp_buf_init(&domain, SP_DOMAIN_MAX);
    sp_buf_init(&again, SP_DOMAIN_MAX);
    sp_buf_init(&text, SP_ADDRESS_MAX + 1);
    if (sp_address_to_ascii(&a, &domain) == SP_OK && a.domain.len > 0) {
        sp_assert(sp_text_is_ascii(a.domain) && sp_text_is_normal(a.local));
        sp_address_format(&a, &text);
        sp_assert(sp_address_parse(sp_buf_bytes(&text), &b) == SP_OK);
        sp_assert(sp_domain_to_ascii(b.domain, &again) == SP_OK);
        sp_assert(sp_bytes_eq_nocase(sp_buf_bytes(&again), b.domain));
    }
    sp_buf_clear(&domain);
    sp_buf_clear(&again);
    sp_buf_clear(&text);
}

/* ORCPT of type utf-8: what encodes is ASCII, and says the same when it is decoded. */
static void check_orcpt(struct sp_bytes value)
{
    struct sp_buf encoded, plain, again;

    sp_buf_init(&encoded, SP_ORCPT_MAX);
    sp_buf_init(&plain, SP_ORCPT_MAX);
    sp_buf_init(&again, SP_ORCPT_MAX);
    if (sp_orcpt_utf8_encode(value, &encoded) == SP_OK) {
        sp_assert(sp_xtext_is_valid(sp_buf_bytes(&encoded)));
        sp_assert(sp_orcpt_utf8_decode(value, &plain));
        sp_assert(sp_orcpt_utf8_decode(sp_buf_bytes(&encoded), &again));
        sp_assert(sp_bytes_eq(sp_buf_bytes(&plain), sp_buf_bytes(&again)));
    }
    sp_buf_clear(&encoded);
    sp_buf_clear(&plain);
    sp_buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes in = sp_bytes(data, len), rest;
    struct sp_address a;
    bool failed = false;
    size_t count = 0;

    check_orcpt(in);
    if (sp_address_parse(in, &a) == SP_OK) {
        check(&a);
        check_ascii(a);
    }
    if (sp_address_parse_path(in, &a, &rest) == SP_OK)
        check(&a);
    rest = in;
    while (sp_address_list_next(&rest, &a, &failed)) {
        check(&a);
        sp_assert(++count <= len);
    }
    return 0;
}
