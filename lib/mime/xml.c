/*
 * Records in XML: a patient's summary (C-CDA), an export of some program. There the names of elements and attributes are what labels are
 * elsewhere ("<mrn>4482910</mrn>", "<patient ssn='...'>"), so they are written before the values, a line for each element.
 */
#include "mime/xml_priv.h"

#include <string.h>

static bool is_in(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static bool holds(struct sp_bytes text, struct sp_bytes part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (sp_bytes_eq_nocase(sp_bytes(text.ptr + i, part.len), part))
            return true;
    return false;
}

bool sp_mime_xml_is_record(struct sp_bytes head)
{
    struct sp_bytes text = sp_bytes_trim(head);

    if (sp_bytes_starts_nocase(text, SP_LIT("\xef\xbb\xbf")))
        text = sp_bytes_slice(text, 3, SIZE_MAX);
    return sp_bytes_starts_nocase(text, SP_LIT("<?xml")) && !holds(text, SP_LIT("<html"));
}

bool sp_mime_xml_is_form(const char *name, const unsigned char *const *atts)
{
    /* by their names too: programs that read such documents do not ask for the namespace */
    static const char *const roots[] = {"w:document",
                                        "w:hdr",
                                        "w:ftr",
                                        "w:comments",
                                        "p:sld",
                                        "p:notes",
                                        "sst",
                                        "worksheet",
                                        "workbook",
                                        "comments",
                                        "types",
                                        "relationships",
                                        "office:document-content"};
    static const char *const forms[] = {"openxmlformats", "opendocument", "1999/xhtml",
                                        "schemas.microsoft.com/office", "2000/svg"};

    if (is_in(name, roots, SP_ARRAY_LEN(roots)))
        return true;
    for (; atts != NULL && atts[0] != NULL; atts += 2)
        for (size_t i = 0; i < SP_ARRAY_LEN(forms); i++)
            if (atts[1] != NULL && strncmp((const char *)atts[0], "xmlns", 5) == 0 &&
                strstr((const char *)atts[1], forms[i]) != NULL)
                return true;
    return false;
}

/* What a name or the number of a registry is called elsewhere. */
static const char *word_for(const char *name)
{
    static const struct {
        const char *name, *word;
    } all[] = {{"given", "given name"},
               {"family", "family name"},
               {"2.16.840.1.113883.4.1", "ssn"},
               {"2.16.840.1.113883.4.6", "npi"},
               {"2.16.840.1.113883.4.572", "hicn"},
               {"2.16.840.1.113883.4.927", "mbi"},
               {"2.16.840.1.113883.6.90", "icd-10"},
               {"2.16.840.1.113883.6.96", "snomed"},
               {"2.16.840.1.113883.6.1", "loinc"}};

    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        if (strcmp(name, all[i].name) == 0)
            return all[i].word;
    return name;
}

/* first: those that say which registry a number is of, else the others. Behind names that say nothing the value stands alone. */
static void put_attributes(struct sp_buf *out, const unsigned char *const *atts, bool first)
{
    static const char *const registries[] = {"root", "system", "codesystem"};
    static const char *const bare[] = {"root",      "system", "codesystem",
                                       "extension", "value",  "code"};

    for (; atts != NULL && atts[0] != NULL; atts += 2) {
        const char *name = (const char *)atts[0];

        if (atts[1] == NULL || strncmp(name, "xmlns", 5) == 0 || strncmp(name, "xml:", 4) == 0 ||
            strncmp(name, "xsi:", 4) == 0 ||
            is_in(name, registries, SP_ARRAY_LEN(registries)) != first)
            continue;
        if (!is_in(name, bare, SP_ARRAY_LEN(bare))) {
            sp_buf_put_cstr(out, name);
            sp_buf_put_cstr(out, ": ");
        }
        sp_buf_put_cstr(out, word_for((const char *)atts[1]));
        sp_buf_put_u8(out, ' ');
    }
}

void sp_mime_xml_start(struct sp_buf *out, const char *name, const unsigned char *const *atts)
{
    const char *colon = strchr(name, ':');

    sp_buf_put_u8(out, '\n');
    sp_buf_put_cstr(out, word_for(colon == NULL ? name : colon + 1));
    sp_buf_put_cstr(out, ": ");
    put_attributes(out, atts, true);
    put_attributes(out, atts, false);
}
