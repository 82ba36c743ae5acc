/*
 * Any bytes as a message to be sealed; the first byte chooses the options. What comes out: no Bcc outside or inside the
 * header, a protected subject not outside, and the inner entity ends with the message's body, byte for byte.
 */
#include <stdint.h>

#include "base/mem.h"
#include "mail/header.h"
#include "seal/entity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum sp_rc read_memory(void *ctx, uint64_t offset, void *buf, size_t len)
{
    memcpy(buf, (const uint8_t *)ctx + offset, len);
    return SP_OK;
}

static void check_outer(struct sp_bytes outer, bool protect)
{
    struct sp_header h;
    struct sp_field f;

    if (sp_header_parse(outer, true, &h) != SP_OK)
        return;
    for (size_t at = 0; sp_header_next(&h, &at, &f);) {
        sp_assert(!sp_field_is(&f, SP_LIT("Bcc")));
        sp_assert(!sp_field_is_content(&f));
        if (protect && sp_field_is(&f, SP_LIT("Subject")))
            sp_assert(sp_bytes_eq(sp_bytes_trim(f.value), SP_LIT(SP_SEAL_SUBJECT_PLAIN)));
    }
}

static void check_inner(struct sp_seal_entity *e, struct sp_bytes message)
{
    size_t total = (size_t)sp_seal_entity_len(e);
    uint8_t *inner = sp_malloc(total);
    struct sp_header h;
    size_t at = 0;
    size_t got = 1;

    while (got > 0) {
        sp_assert(sp_seal_entity_read(e, inner + at, total - at < 100 ? total - at : 100, &got) ==
                  SP_OK);
        at += got;
    }
    sp_assert(at == total);
    if (sp_header_parse(message, true, &h) == SP_OK) {
        struct sp_bytes body = sp_bytes_slice(message, h.body_at, SIZE_MAX);

        sp_assert(total >= body.len + 2);
        sp_assert(sp_bytes_eq(sp_bytes(inner + total - body.len, body.len), body));
    }
    sp_free(inner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_seal_options options = {.protect_subject = len > 0 && (data[0] & 1) != 0,
                                      .strip_tag = len > 0 && (data[0] & 2) != 0};
    struct sp_bytes message = sp_bytes(data + (len > 0), len - (len > 0));
    struct sp_seal_source source = {read_memory, message.len, (void *)message.ptr};
    SP_AUTO(sp_seal_entity) e = NULL;

    if (sp_seal_entity_new(source, &options, &e, NULL) != SP_OK)
        return 0;
    check_outer(sp_seal_entity_outer(e), options.protect_subject);
    check_inner(e, message);
    return 0;
}
