/*
 * Property: files of a foreign workbook, parted by NUL bytes, are read or refused in whatever order they come, and what is
 * written of them stays within the buffer's limit.
 */
#include "base/mem.h"
#include "mime/workbook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const names[] = {"xl/worksheets/a.xml", "xl/sharedStrings.xml", "xl/styles.xml",
                                    "xl/workbook.xml"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    SP_AUTO(sp_mime_workbook) w = sp_mime_workbook_new(65536);
    struct sp_bytes rest = sp_bytes(data, len), file;
    struct sp_buf out;
    const struct sp_mime_output text = sp_mime_output_buf(&out);
    enum sp_rc rc;

    while (sp_bytes_split(&rest, 0, &file)) {
        size_t which = file.len > 0 ? file.ptr[0] & 3u : 0;
        struct sp_bytes body = sp_bytes_slice(file, 1, SIZE_MAX);
        const struct sp_mime_input in = sp_mime_input_bytes(&body);

        rc = sp_mime_workbook_take(w, names[which], &in);
        sp_assert(rc == SP_OK || rc == SP_E_LIMIT || rc == SP_E_MALFORMED);
    }
    sp_buf_init(&out, 1 << 20);
    rc = sp_mime_workbook_text(w, &text);
    sp_assert(rc == SP_OK || rc == SP_E_LIMIT);
    sp_assert(out.len <= 1 << 20);
    sp_buf_clear(&out);
    return 0;
}
