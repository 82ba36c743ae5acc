/*
 * PDF by poppler's GLib interface, page by page. Nothing is rendered: only text, titles and form values are asked for, so no
 * font or picture needs decoding. It runs in the scanner's process alone, under its sandbox, since poppler is the largest
 * parser of all; what it does on hostile input costs that message.
 */
#include "mime/document.h"

#include "base/mem.h"

#include <poppler.h>

static void put_text(struct sp_buf *out, char *text, size_t *letters)
{
    if (text == NULL)
        return;
    *letters += strlen(text);
    sp_buf_put_cstr(out, text);
    sp_buf_put_u8(out, '\n');
    g_free(text);
}

static void put_fields(PopplerPage *page, struct sp_buf *out, size_t *letters)
{
    GList *fields = poppler_page_get_form_field_mapping(page);

    for (GList *at = fields; at != NULL; at = at->next) {
        PopplerFormField *field = ((PopplerFormFieldMapping *)at->data)->field;

        if (poppler_form_field_get_field_type(field) == POPPLER_FORM_FIELD_TEXT)
            put_text(out, poppler_form_field_text_get_text(field), letters);
    }
    poppler_page_free_form_field_mapping(fields);
}

static void put_page(PopplerDocument *document, int i, struct sp_buf *out,
                     struct sp_mime_pdf_found *found)
{
    PopplerPage *page = poppler_document_get_page(document, i);
    size_t letters = 0;

    if (page == NULL)
        return;
    put_text(out, poppler_page_get_text(page), &letters);
    put_fields(page, out, &letters);
    sp_buf_put_u8(out, '\n');
    found->pictures = found->pictures || letters < 3;
    g_object_unref(page);
}

enum sp_rc sp_mime_pdf_text(struct sp_bytes pdf, int pages, struct sp_buf *out,
                            struct sp_mime_pdf_found *found)
{
    GError *problem = NULL;
    GBytes *bytes = g_bytes_new_static(pdf.ptr, pdf.len);
    PopplerDocument *document = poppler_document_new_from_bytes(bytes, NULL, &problem);
    size_t letters = 0;
    int count;

    *found = (struct sp_mime_pdf_found){0};
    g_bytes_unref(bytes);
    if (document == NULL) {
        found->encrypted = g_error_matches(problem, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED);
        g_clear_error(&problem);
        return SP_E_MALFORMED;
    }
    count = poppler_document_get_n_pages(document);
    found->cut = count > pages;
    put_text(out, poppler_document_get_title(document), &letters);
    put_text(out, poppler_document_get_subject(document), &letters);
    for (int i = 0; i < count && i < pages && !out->failed; i++)
        put_page(document, i, out, found);
    g_object_unref(document);
    return sp_buf_rc(out);
}
