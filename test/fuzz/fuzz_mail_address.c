/*
 * Address grammar: what parses is clean, and parses to the same after being formatted; the list walker ends.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "mail/address.h"

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
        sp_assert(text.ptr[i] >= 32 && text.ptr[i] < 127);
    if (a->domain.len > 0) {
        sp_assert(sp_address_parse(sp_buf_bytes(&text), &b) == SP_OK);
        sp_assert(sp_address_eq(a, &b));
        sp_address_format(&b, &again);
        sp_assert(sp_bytes_eq(sp_buf_bytes(&text), sp_buf_bytes(&again)));
    }
    sp_buf_clear(&text);
    sp_buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes in = sp_bytes(data, len), rest;
    struct sp_address a;
    bool failed = false;
    size_t count = 0;

    if (sp_address_parse(in, &a) == SP_OK)
        check(&a);
    if (sp_address_parse_path(in, &a, &rest) == SP_OK)
        check(&a);
    rest = in;
    while (sp_address_list_next(&rest, &a, &failed)) {
        check(&a);
        sp_assert(++count <= len);
    }
    return 0;
}
