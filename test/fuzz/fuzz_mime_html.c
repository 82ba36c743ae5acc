/* Property: a cleaned page holds no element, attribute or address that could act or fetch. */
#include "base/mem.h"
#include "mime/html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const forbidden[] = {"<script", "<iframe", "<img",  "<link", "<meta",
                                        "<object", "<svg",    "<form", "<style"};

/* Looks inside tags only: text may say anything. */
static void check_tags(struct sp_bytes page)
{
    size_t at = 0;

    while ((at = sp_bytes_find(page, '<')) != SIZE_MAX) {
        struct sp_bytes tag;

        page = sp_bytes_slice(page, at, SIZE_MAX);
        tag = sp_bytes_slice(page, 0, sp_bytes_find(page, '>'));
        for (size_t i = 0; i < SP_ARRAY_LEN(forbidden); i++)
            sp_assert(sp_bytes_find_all(tag, sp_bytes_cstr(forbidden[i])) == SIZE_MAX);
        page = sp_bytes_slice(page, 1, SIZE_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes rest = sp_bytes(data, len);
    const struct sp_mime_input in = sp_mime_input_bytes(&rest);
    struct sp_buf out;
    const struct sp_mime_output text = sp_mime_output_buf(&out);

    sp_buf_init(&out, 1 << 20);
    if (sp_mime_html_clean(sp_bytes(data, len), &out) == SP_OK)
        check_tags(sp_buf_bytes(&out));
    sp_buf_reset(&out);
    if (sp_mime_html_text(&in, &text) != SP_OK)
        sp_buf_reset(&out);
    sp_buf_clear(&out);
    return 0;
}
