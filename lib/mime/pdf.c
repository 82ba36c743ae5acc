/*
 * PDF by poppler's GLib interface, page by page. Nothing is rendered: only text, titles and form values are asked for, so no
 * font or picture needs decoding. It runs in the scanner's process alone, under its sandbox, since poppler is the largest
 * parser of all; what it does on hostile input costs that message.
 */
#include "mime/document.h"

#include "base/mem.h"

#include <poppler.h>

struct pdf {
    const struct sp_mime_output *out;
    size_t letters; /* of the page */
    bool full;
};

static void put(struct pdf *p, struct sp_bytes text)
{
    if (!p->full)
        p->full = !p->out->put(p->out->ctx, text);
}

static void put_text(struct pdf *p, char *text)
{
    if (text == NULL)
        return;
    p->letters += strlen(text);
    put(p, sp_bytes_cstr(text));
    put(p, SP_LIT("\n"));
    g_free(text);
}

static void put_fields(struct pdf *p, PopplerPage *page)
{
    GList *fields = poppler_page_get_form_field_mapping(page);

    for (GList *at = fields; at != NULL; at = at->next) {
        PopplerFormField *field = ((PopplerFormFieldMapping *)at->data)->field;

        if (poppler_form_field_get_field_type(field) == POPPLER_FORM_FIELD_TEXT)
            put_text(p, poppler_form_field_text_get_text(field));
    }
    poppler_page_free_form_field_mapping(fields);
}

static void put_page(struct pdf *p, PopplerDocument *document, int i,
                     struct sp_mime_pdf_found *found)
{
    PopplerPage *page = poppler_document_get_page(document, i);

    if (page == NULL)
        return;
    p->letters = 0;
    put_text(p, poppler_page_get_text(page));
    put_fields(p, page);
    put(p, SP_LIT("\n"));
    found->pictures = found->pictures || p->letters < 3;
    g_object_unref(page);
}

enum sp_rc sp_mime_pdf_text(struct sp_bytes pdf, int pages, const struct sp_mime_output *out,
                            struct sp_mime_pdf_found *found)
{
    GError *problem = NULL;
    GBytes *bytes = g_bytes_new_static(pdf.ptr, pdf.len);
    PopplerDocument *document = poppler_document_new_from_bytes(bytes, NULL, &problem);
    struct pdf p = {.out = out};
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
    put_text(&p, poppler_document_get_title(document));
    put_text(&p, poppler_document_get_subject(document));
    for (int i = 0; i < count && i < pages && !p.full; i++)
        put_page(&p, document, i, found);
    g_object_unref(document);
    return p.full ? SP_E_LIMIT : SP_OK;
}
