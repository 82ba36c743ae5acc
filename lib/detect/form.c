/* What bytes are, by their beginning: a sender's label is not believed. */
#include "detect/document_priv.h"

static const struct {
    const char *magic;
    size_t len, at;
    enum detect_form form;
    const char *type;
} magics[] = {
    {"PK\x03\x04", 4, 0, FORM_ARCHIVE, "application/zip"},
    {"\x1f\x8b", 2, 0, FORM_ARCHIVE, "application/gzip"},
    {"ustar", 5, 257, FORM_ARCHIVE, "application/x-tar"},
    {"DICM", 4, 128, FORM_DICOM, "application/dicom"},
    {"\xff\xa0\xff", 3, 0, FORM_BIOMETRIC, "image/x-wsq"}, /* a fingerprint as the FBI packs it */
    {"FMR\0", 4, 0, FORM_BIOMETRIC, "application/x-fingerprint"}, /* ISO/IEC 19794-2 */
    {"FIR\0", 4, 0, FORM_BIOMETRIC, "application/x-fingerprint"}, /* ISO/IEC 19794-4 */
    {"1.001:", 6, 0, FORM_BIOMETRIC, "application/x-an2"},        /* ANSI/NIST-ITL */
    {"1.01:", 5, 0, FORM_BIOMETRIC, "application/x-an2"},
    {"\xff\xd8\xff", 3, 0, FORM_PICTURE, "image/jpeg"},
    {"\x89PNG\r\n", 6, 0, FORM_PICTURE, "image/png"},
    {"GIF8", 4, 0, FORM_PICTURE, "image/gif"},
    {"BM", 2, 0, FORM_PICTURE, "image/bmp"},
    {"WEBP", 4, 8, FORM_PICTURE, "image/webp"},
    {"ftypheic", 8, 4, FORM_PICTURE, "image/heic"},
    {"ftypheix", 8, 4, FORM_PICTURE, "image/heic"},
    {"ftypmif1", 8, 4, FORM_PICTURE, "image/heif"},
    {"ftypavif", 8, 4, FORM_PICTURE, "image/avif"},
    {"7z\xbc\xaf", 4, 0, FORM_OPAQUE, "application/x-7z-compressed"},
    {"Rar!", 4, 0, FORM_OPAQUE, "application/vnd.rar"},
    {"-----BEGIN PGP MESSAGE", 22, 0, FORM_OPAQUE, "application/pgp-encrypted"},
    {"%PDF-", 5, 0, FORM_PDF, "application/pdf"},
    {"{\\rtf", 5, 0, FORM_RTF, "application/rtf"},
    {"\xd0\xcf\x11\xe0", 4, 0, FORM_OLE, "application/x-ole-storage"},
};

static bool looks_like_text(struct sp_bytes head)
{
    size_t odd = 0;

    for (size_t i = 0; i < head.len; i++) {
        if (head.ptr[i] == 0)
            return false;
        odd += head.ptr[i] < 0x20 && strchr("\t\r\n\f\x1b", head.ptr[i]) == NULL;
    }
    return odd * 50 <= head.len;
}

enum detect_form sp_detect_form(struct sp_bytes head, const char **type)
{
    struct sp_bytes text = sp_bytes_trim(head);

    bool readable = looks_like_text(head);

    for (size_t i = 0; i < SP_ARRAY_LEN(magics); i++) {
        if (readable && (magics[i].form == FORM_PICTURE || magics[i].form == FORM_BIOMETRIC))
            continue; /* a text that begins with "BM" is no picture */
        if (head.len >= magics[i].at + magics[i].len &&
            memcmp(head.ptr + magics[i].at, magics[i].magic, magics[i].len) == 0) {
            *type = magics[i].type;
            return magics[i].form;
        }
    }
    if (sp_detect_wide_charset(head) != NULL)
        return FORM_WIDE;
    if (!readable)
        return FORM_OTHER;
    if (sp_bytes_starts_nocase(text, SP_LIT("<?xml")) ||
        sp_bytes_starts_nocase(text, SP_LIT("<html")) ||
        sp_bytes_starts_nocase(text, SP_LIT("<!doctype html")))
        return FORM_MARKUP;
    return sp_detect_is_message(head) ? FORM_MESSAGE : FORM_TEXT;
}

bool sp_detect_is_disguised(enum detect_form form, const char *type)
{
    switch (form) {
    case FORM_ARCHIVE:
    case FORM_PDF:
    case FORM_PICTURE:
    case FORM_DICOM:
    case FORM_BIOMETRIC:
        return true;
    case FORM_OPAQUE:
    case FORM_OLE:
    case FORM_OTHER:
        return type[0] != '\0' && strcmp(type, "application/pgp-encrypted") != 0;
    default:
        return false;
    }
}
