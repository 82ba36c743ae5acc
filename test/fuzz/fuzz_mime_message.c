/* Property: any bytes are either refused or give parts that all can be decoded to valid UTF-8 within the caps. */
#include "base/text.h"
#include "mime/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes mem = sp_bytes(data, len);
    struct sp_mime_source source = sp_mime_source_bytes(&mem);
    struct sp_mime *m = NULL;
    struct sp_buf text;

    if (sp_mime_open(&source, NULL, &m, NULL) != SP_OK)
        return 0;
    sp_buf_init(&text, 1 << 20);
    sp_assert(sp_mime_part_count(m) <= 251);
    for (size_t i = 0; i < sp_mime_part_count(m); i++) {
        sp_assert(sp_mime_part_get(m, i)->depth <= 30);
        sp_assert(sp_utf8_is_valid(sp_bytes_cstr(sp_mime_part_get(m, i)->name)));
        sp_buf_reset(&text);
        if (sp_mime_part_text(m, i, &text) == SP_OK)
            sp_assert(sp_utf8_is_valid(sp_buf_bytes(&text)));
        sp_buf_reset(&text);
        if (sp_mime_headers(m, i, &text) == SP_OK)
            sp_assert(sp_utf8_is_valid(sp_buf_bytes(&text)));
    }
    sp_buf_clear(&text);
    sp_mime_free(m);
    return 0;
}
