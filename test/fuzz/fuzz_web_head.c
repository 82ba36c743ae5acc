/*
 * Property: a request head means the same however it is cut, and what was accepted holds no byte that a stricter or
 * laxer reader could take differently.
 */
#include "base/mem.h"
#include "web/form.h"
#include "web/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_clean(const struct sp_web_head *h, struct sp_bytes in, size_t used)
{
    struct sp_bytes segments[SP_WEB_SEGMENTS_MAX];

    sp_assert(used <= in.len && used <= SP_WEB_HEAD_MAX);
    sp_assert(h->path.len > 0 && h->path.ptr[0] == '/');
    sp_assert(sp_bytes_find(h->path, '%') == SIZE_MAX && sp_bytes_find(h->path, 0) == SIZE_MAX);
    sp_assert(sp_bytes_find_all(h->path, SP_LIT("//")) == SIZE_MAX);
    sp_assert(h->host.len > 0);
    for (size_t i = 0; i < h->field_count; i++) {
        sp_assert(sp_bytes_find(h->fields[i].value, '\n') == SIZE_MAX);
        sp_assert(sp_bytes_find(h->fields[i].value, '\r') == SIZE_MAX);
        sp_assert(sp_bytes_find(h->fields[i].name, ' ') == SIZE_MAX);
    }
    sp_assert(sp_web_head_field(h, SP_LIT("transfer-encoding")).len == 0);
    (void)sp_web_path_fits(h->path, "/m/:/part/:", segments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes in = sp_bytes(data, len);
    struct sp_web_head whole = {0}, cut = {0};
    size_t scanned = 0, used = 0, used_cut = 0;
    int status = sp_web_head_parse(in, &scanned, &used, &whole);
    int status_cut = 0;
    struct sp_buf out;

    scanned = 0;
    for (size_t n = 0; n <= len && status_cut == 0; n++)
        status_cut = sp_web_head_parse(sp_bytes(data, n), &scanned, &used_cut, &cut);
    sp_assert(status == status_cut);
    if (status == 200) {
        sp_assert(used == used_cut && whole.field_count == cut.field_count);
        check_clean(&whole, in, used);
    }
    sp_buf_init(&out, 8 * len + 512);
    if (sp_web_form_field(in, SP_LIT("a"), &out))
        sp_assert(out.len <= len);
    sp_buf_reset(&out);
    sp_web_html_escape(&out, in);
    sp_assert(sp_bytes_find(sp_buf_bytes(&out), '<') == SIZE_MAX);
    sp_buf_reset(&out);
    sp_web_disposition(&out, in, "file");
    sp_assert(sp_buf_rc(&out) == SP_OK && sp_bytes_find(sp_buf_bytes(&out), '\n') == SIZE_MAX);
    sp_buf_clear(&out);
    (void)sp_web_cookie(in, SP_LIT("s"));
    return 0;
}
