/*
 * The header splitter: fields tile the header without gap or overlap, and every reader of values stays in its bounds.
 */
#include "base/mem.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/kind.h"
#include "mail/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_all(const struct sp_field *f)
{
    struct sp_buf b;
    struct sp_bytes v;

    sp_buf_init(&b, 4 * SP_HEADER_MAX);
    sp_field_unfold(f, &b);
    for (size_t i = 0; i < b.len; i++)
        sp_assert(b.ptr[i] != '\r' && b.ptr[i] != '\n');
    sp_buf_reset(&b);
    sp_field_text(f, &b);
    for (size_t i = 0; i < b.len; i++)
        sp_assert(b.ptr[i] >= 32);
    (void)sp_subject_tag(sp_buf_bytes(&b));
    (void)sp_field_message_id(f);
    (void)sp_field_token(f);
    if (sp_field_param(f, SP_LIT("boundary"), &v))
        sp_assert(v.len == 0 || (v.ptr >= f->value.ptr && v.ptr < f->value.ptr + f->value.len));
    (void)sp_trace_is_private(f, SP_LIT("x"));
    sp_buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_header h;
    struct sp_field f;
    struct sp_buf kept;
    size_t at = 0, count = 0, end = 0;

    if (sp_header_parse(sp_bytes(data, len), true, &h) != SP_OK)
        return 0;
    sp_assert(h.bytes.len <= h.body_at && h.body_at <= len);
    while (sp_header_next(&h, &at, &f)) {
        sp_assert(f.at == end && f.name.len > 0);
        end = f.at + f.raw.len;
        count++;
        read_all(&f);
    }
    sp_assert(end == h.bytes.len && count == h.count);
    (void)sp_mail_kind(&h);
    sp_buf_init(&kept, 8192);
    sp_dsn_keep_header(&h, &kept);
    sp_buf_clear(&kept);
    return 0;
}
