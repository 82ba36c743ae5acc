/*
 * What came back to a return path: a report of another mail system (RFC 3464), an automatic answer (RFC 3834), or something
 * else. thread: any
 */
#ifndef SP_MIME_BOUNCE_H
#define SP_MIME_BOUNCE_H

#include "mail/dsn_read.h"
#include "mime/mime.h"

struct sp_mime_bounce {
    bool is_auto; /* Auto-Submitted says that a machine wrote it */
    struct sp_dsn_said said[SP_DSN_READ_MAX];
    size_t said_count;  /* 0: it is no report, or tells of nobody */
    struct sp_buf text; /* that said lends from */
};

/* Reads it; what can't be read says nothing. owner: the caller, of out, to sp_mime_bounce_clear */
void sp_mime_bounce_read(const struct sp_mime_source *source, struct sp_mime_bounce *out);
void sp_mime_bounce_clear(struct sp_mime_bounce *b);

#endif
