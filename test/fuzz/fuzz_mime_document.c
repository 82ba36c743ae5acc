/* Property: a foreign RTF document or PDF is read to an end or refused, and its text stays inside the buffer's limit. */
#include "base/mem.h"
#include "mime/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_mime_pdf_found found;
    struct sp_bytes rest = sp_bytes(data, len);
    const struct sp_mime_input in = sp_mime_input_bytes(&rest);
    struct sp_buf out;
    const struct sp_mime_output text = sp_mime_output_buf(&out);
    enum sp_rc rc;

    sp_buf_init(&out, 1 << 20);
    rc = sp_mime_rtf_text(&in, &text);
    sp_assert(rc == SP_OK || rc == SP_E_LIMIT || rc == SP_E_MALFORMED);
    sp_assert(out.len <= 1 << 20);
    sp_buf_reset(&out);
    rc = sp_mime_pdf_text(sp_bytes(data, len), 20, &text, &found);
    sp_assert(rc == SP_OK || rc == SP_E_LIMIT || rc == SP_E_MALFORMED);
    sp_buf_clear(&out);
    return 0;
}
