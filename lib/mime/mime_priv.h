/*
 * Inside the mime module: the measuring scanner, GMime's stream over a source, and what a view holds. GMime's types are
 * for the files that include this only.
 */
#ifndef SP_MIME_MIME_PRIV_H
#define SP_MIME_MIME_PRIV_H

#include "mime/mime.h"

#include <gmime/gmime.h>

#define MIME_DEPTH_MAX 64 /* no limit given by a caller goes past it */

/* One part with what the public view does not show. */
struct mime_part {
    struct sp_mime_part pub;
    GMimeObject *object; /* lent from the message */
    bool nested;         /* inside a message in the message */
};

struct sp_mime {
    struct sp_mime_source source; /* in the clear: its ctx is the caller's */
    enum sp_rc source_rc;         /* the first failure of the source, since GMime can't carry it */
    struct sp_mime_limits limits;
    GMimeStream *stream;
    GMimeMessage *message;
    struct sp_arena *arena; /* names and types of parts */
    const char *type;       /* of the whole */
    struct mime_part *parts;
    size_t part_count;
    size_t part_cap;
    GMimeMultipart **multiparts; /* lent from the message */
    size_t multipart_count;
};

/*
 * Walks all lines of a source once, following header blocks and boundaries as far as the caps ask for it.
 *
 * returns: SP_OK; SP_E_SCAN_LIMIT past a cap; SP_E_MALFORMED where a multipart's boundary is missing or can be read in
 *          two ways; what the source said
 */
enum sp_rc sp_mime_measure(const struct sp_mime_source *source,
                           const struct sp_mime_limits *limits);

/* owner: the caller (g_object_unref). m: lent, must outlive it. returns: a read-only stream over m's source */
GMimeStream *sp_mime_stream_new(struct sp_mime *m);

/* Appends text as UTF-8 without control characters (line ends and tabs become one space). */
void sp_mime_clean(struct sp_buf *out, const char *text);

#endif
