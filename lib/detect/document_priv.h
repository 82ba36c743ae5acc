/*
 * Inside the detect module: what a message's parts and an archive's entries are, and the text of documents among them.
 */
#ifndef SP_DETECT_DOCUMENT_PRIV_H
#define SP_DETECT_DOCUMENT_PRIV_H

#include "detect/detect_priv.h"

#include "mime/text.h"

struct sp_mime_workbook;

/* ---- message.c ---- */
#define DETECT_HEAD_LEN 4096

/* Bytes of a part or an archive's entry: the head again, then the rest. */
struct detect_stream {
    struct detect_run *run;
    enum sp_rc (*read)(void *ctx, uint8_t *out, size_t len, size_t *got);
    void *ctx;
    uint8_t head[DETECT_HEAD_LEN];
    size_t head_len, head_at;
    enum sp_rc broken; /* why nothing follows the head */
};

/* As mime/text.h's read. returns: SP_OK and nothing once the run is stopped */
enum sp_rc sp_detect_stream_read(void *stream, uint8_t *out, size_t len, size_t *got);
/* Begins a text: whoever is written of in the Subject is meant in the first one. */
void sp_detect_text_open(struct detect_run *r);
/* Examines a message's header and parts. returns: what its source said */
enum sp_rc sp_detect_parts(struct detect_run *r, struct sp_mime *m);

/* ---- document.c ---- */
typedef enum sp_rc (*detect_text_of_fn)(const struct sp_mime_input *in,
                                        const struct sp_mime_output *out);
/* Examines a page or RTF. returns: what its source said */
enum sp_rc sp_detect_document(struct detect_stream *s, detect_text_of_fn text_of);
/* returns: what its source said; opaque: set if it is encrypted */
enum sp_rc sp_detect_pdf(struct detect_stream *s, bool *opaque);
/* Looks through an old office file for what is readable. returns: what its source said; opaque: set if it is encrypted */
enum sp_rc sp_detect_ole(struct detect_stream *s, bool *opaque);
/* Keeps an entry of a spreadsheet in *w, which is made for the first. returns: what its source said */
enum sp_rc sp_detect_workbook_take(struct detect_stream *s, struct sp_mime_workbook **w,
                                   const char *name);
/* Examines the tables of what was kept, if anything was. */
void sp_detect_workbook_end(struct detect_run *r, const struct sp_mime_workbook *w);

/* ---- form.c ---- */
enum detect_form {
    FORM_TEXT,
    FORM_WIDE, /* UTF-16, UTF-32, EBCDIC */
    FORM_MARKUP,
    FORM_MESSAGE, /* as a mail program saves it */
    FORM_ARCHIVE,
    FORM_PICTURE,
    FORM_DICOM,
    FORM_BIOMETRIC,
    FORM_OPAQUE,
    FORM_PDF,
    FORM_RTF,
    FORM_OLE,
    FORM_OTHER
};

/* type: set if the bytes tell a media type, static. returns: what begins with these bytes */
enum detect_form sp_detect_form(struct sp_bytes head, const char **type);
/* returns: whether what is labelled a text bears the signs of a file. PGP's armor is a text */
bool sp_detect_is_disguised(enum detect_form form, const char *type);

/* ---- nested.c ---- */
/* returns: whether a message of mail begins so: with fields that only mail has, and no other line before an empty one */
bool sp_detect_is_message(struct sp_bytes head);
/* Examines one, or an mbox of them. returns: what its source said */
enum sp_rc sp_detect_nested(struct detect_stream *s);

/* ---- wide.c ---- */
/* returns: the charset of a text in UTF-16, UTF-32 or EBCDIC that begins so, static; NULL if it is none */
const char *sp_detect_wide_charset(struct sp_bytes head);
/* Examines one. returns: what its source said */
enum sp_rc sp_detect_wide(struct detect_stream *s);
/*
 * Whether the bytes are another text by themselves than by their label. wide: their charset if the form is FORM_WIDE
 */
bool sp_detect_is_mislabelled(const char *charset, enum detect_form form, const char *wide);

#endif
