/*
 * A message seen as its parts: what the portal shows and the detector reads. GMime lives behind this and nothing of it
 * shows. Bodies are never held whole: parts are read by range from a source and decoded as they are read.
 *
 * The message is foreign. Its headers, nesting and number of parts are measured by a scanner of our own before GMime
 * sees a byte; what passes a cap is refused (SP_E_SCAN_LIMIT) and counts as unexamined. thread: any (one at a time;
 * one message's view on one thread)
 */
#ifndef SP_MIME_MIME_H
#define SP_MIME_MIME_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

struct sp_content_reader;

/* Reads len bytes at offset (all of them lie inside the message). Lent to a view: must outlive it. */
struct sp_mime_source {
    enum sp_rc (*read)(void *ctx, uint64_t offset, uint8_t *out, size_t len);
    void *ctx;
    uint64_t len; /* of the whole message, bytes */
};

/* returns: a source over bytes in memory; both are lent (keep *mem as long as the source) */
struct sp_mime_source sp_mime_source_bytes(struct sp_bytes *mem);
/* returns: a source over a message's content; the reader is lent. len: of the plaintext */
struct sp_mime_source sp_mime_source_content(struct sp_content_reader *reader, uint64_t len);

/* Zeros take the defaults. */
struct sp_mime_limits {
    unsigned depth;    /* nesting of multiparts and of messages in messages: 30 */
    unsigned parts;    /* 250 */
    size_t header_len; /* one header block, bytes: 256 KiB */
    size_t line_len;   /* one header line, bytes: 64 KiB */
};

enum sp_mime_kind {
    SP_MIME_TEXT,    /* text/plain, or no type at all */
    SP_MIME_HTML,    /* text/html */
    SP_MIME_MESSAGE, /* message/rfc822: its parts follow in the list, one level deeper */
    SP_MIME_FILE,    /* everything else that is a leaf */
};

struct sp_mime_part {
    unsigned depth;
    enum sp_mime_kind kind;
    bool attachment;  /* meant for saving: a disposition says so, or it can't be shown as text */
    bool related;     /* inside multipart/related and not its root: an inline picture, as a rule */
    const char *type; /* "text/plain": lower case, letters, digits and !#$&^_.+-/ only */
    const char *charset;    /* lower case; "" if not given */
    const char *name;       /* file name as UTF-8, foreign, no control characters; "" if none */
    const char *content_id; /* without <>; "" if none */
    uint64_t raw_len;       /* bytes as encoded in the message; 0 if unknown */
    bool encoding_known;    /* false: a transfer encoding that nobody defined; decoded as it is */
};

struct sp_mime;

/*
 * Reads the structure (headers and boundaries), not the bodies.
 *
 * limits:  NULL for the defaults
 * owner:   the caller, until sp_mime_free; the source stays lent to it
 * returns: SP_E_SCAN_LIMIT past a cap, SP_E_MALFORMED if no message can be seen in it, or what the source said
 * cost:    reads the whole message twice
 */
SP_MUST_CHECK enum sp_rc sp_mime_open(const struct sp_mime_source *source,
                                      const struct sp_mime_limits *limits, struct sp_mime **out,
                                      struct sp_err *err);
void sp_mime_free(struct sp_mime *m);
SP_AUTO_DEFINE(sp_mime)

/* returns: how many leaves and messages there are */
size_t sp_mime_part_count(const struct sp_mime *m);
/* returns: the i-th (from 0) in the order of the message, lent; it must be there */
const struct sp_mime_part *sp_mime_part_get(const struct sp_mime *m, size_t i);

/*
 * returns: whether the part, as it stands in the message, holds nothing beside what its decoder gives: no transfer
 *          encoding that changes bytes, or base 64 without a foreign byte and with nothing behind its padding
 */
bool sp_mime_part_is_exact(struct sp_mime *m, size_t i);

#define SP_MIME_NONE SIZE_MAX
/* returns: index of the text/plain (text/html) part that a reader would show as the message's body, or SP_MIME_NONE */
size_t sp_mime_body_text(const struct sp_mime *m);
size_t sp_mime_body_html(const struct sp_mime *m);

/*
 * A field of the top header as UTF-8, encoded words decoded (RFC 2047), unfolded, control characters dropped.
 *
 * out:     appended to
 * returns: SP_E_NOT_FOUND, or SP_E_LIMIT if it does not fit
 */
SP_MUST_CHECK enum sp_rc sp_mime_header(const struct sp_mime *m, const char *name,
                                        struct sp_buf *out);

/*
 * All header fields of the message at part i (SP_MIME_NONE: the top one), a line each, decoded the same way: for
 * searching in.
 *
 * returns: SP_E_LIMIT if they do not fit; out then holds what did
 */
SP_MUST_CHECK enum sp_rc sp_mime_headers(const struct sp_mime *m, size_t i, struct sp_buf *out);

/* returns: the media type of the message as a whole ("multipart/encrypted"), good as long as the view */
const char *sp_mime_type(const struct sp_mime *m);

/*
 * What stands outside of all parts, before the first and behind the last boundary of each multipart, where mail programs
 * show nothing: for searching in.
 *
 * out:     appended to
 * returns: SP_E_LIMIT if it does not fit; out then holds what did
 */
SP_MUST_CHECK enum sp_rc sp_mime_outside(const struct sp_mime *m, struct sp_buf *out);

/* ---- decoding a part ---- */
enum sp_mime_as {
    SP_MIME_AS_BYTES, /* transfer encoding undone */
    SP_MIME_AS_UTF8, /* charset converted too; without one, what is no UTF-8 is windows-1252; lines end with LF */
};

struct sp_mime_decoder;

/* owner: the caller; the view must outlive it. Several may be open, used in turns. */
struct sp_mime_decoder *sp_mime_decoder_new(struct sp_mime *m, size_t i, enum sp_mime_as as);
void sp_mime_decoder_free(struct sp_mime_decoder *d);
SP_AUTO_DEFINE(sp_mime_decoder)

/* Next bytes of the part. *got: 1 .. len, 0 at the end. returns: what the source said */
SP_MUST_CHECK enum sp_rc sp_mime_decoder_read(struct sp_mime_decoder *d, uint8_t *out, size_t len,
                                              size_t *got);

/*
 * The whole part as UTF-8.
 *
 * out:     appended to
 * returns: SP_E_LIMIT if it does not fit; out then holds the beginning, as much as fits
 */
SP_MUST_CHECK enum sp_rc sp_mime_part_text(struct sp_mime *m, size_t i, struct sp_buf *out);

#endif
