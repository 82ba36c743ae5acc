/*
 * PDF by poppler's GLib interface, page by page. Nothing is rendered: only text, titles and form values are asked for, so no
 * font or picture needs decoding. It runs in the scanner's process alone, under its sandbox, since poppler is the largest
 * parser of all; what it does on hostile input costs that message.
 */
#include "mime/document.h"

#include "base/mem.h"

#include <poppler.h>

#define COLUMN_GAP 1.0 /* heights of a line: no blank between words is so wide */

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

/* How far behind the end of one letter the next begins, in heights of the line; 0 if it is on another. */
static double gap(const PopplerRectangle *a, const PopplerRectangle *b)
{
    double height = a->y2 - a->y1;

    if (height <= 0 || b->y1 >= a->y2 || b->y2 <= a->y1)
        return 0;
    return (b->x1 - a->x2) / height;
}

/* Poppler joins what stands in columns on one line, "4482910lupus": tabs part them again, as they part cells elsewhere. */
static char *part_columns(char *text, const PopplerRectangle *at, unsigned count)
{
    GString *out = g_string_sized_new(strlen(text) + 16);
    const char *c = text;

    for (unsigned i = 0; i < count && *c != '\0'; i++) {
        const char *next = g_utf8_next_char(c);

        g_string_append_len(out, c, next - c);
        if (i + 1 < count && *next != '\0' && strchr(" \n\t", *next) == NULL &&
            strchr(" \n\t", *c) == NULL && gap(&at[i], &at[i + 1]) > COLUMN_GAP)
            g_string_append_c(out, '\t');
        c = next;
    }
    g_string_append(out, c);
    g_free(text);
    return g_string_free(out, FALSE);
}

static char *page_text(PopplerPage *page)
{
    PopplerRectangle *at = NULL;
    unsigned count = 0;
    char *text = poppler_page_get_text(page);

    if (text == NULL || !poppler_page_get_text_layout(page, &at, &count))
        return text;
    text = part_columns(text, at, count);
    g_free(at);
    return text;
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
    put_text(p, page_text(page));
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
