/*
 * The relaxed canonical forms of RFC 6376 3.4.2 and 3.4.4. thread: any
 */
#ifndef SP_DKIM_CANON_H
#define SP_DKIM_CANON_H

#include "crypt/hash.h"
#include "mail/header.h"

/* Appends a field: name in lower case, folds gone, one space where there was white space; no CRLF at its end. */
void sp_dkim_canon_field(struct sp_bytes name, struct sp_bytes value, struct sp_buf *out);

#define SP_DKIM_CANON_ROOM 4096

/* A body's hash, fed in pieces cut anywhere. */
struct sp_dkim_canon_body {
    struct sp_sha256 *hash;
    uint64_t ends; /* line ends that only count if something follows */
    bool space;    /* the same, of white space */
    bool cr;       /* the last byte was a CR */
    bool any;      /* something stands before it */
    size_t len;
    uint8_t room[SP_DKIM_CANON_ROOM];
};

/* An empty body so far. owner: the caller, until clear */
void sp_dkim_canon_body_init(struct sp_dkim_canon_body *b);
/* Frees what it holds and wipes its bytes. */
void sp_dkim_canon_body_clear(struct sp_dkim_canon_body *b);
/* The body's next bytes. */
void sp_dkim_canon_body_feed(struct sp_dkim_canon_body *b, struct sp_bytes data);
/* The body ends here: writes its hash. */
void sp_dkim_canon_body_finish(struct sp_dkim_canon_body *b, uint8_t out[SP_SHA256_LEN]);

#endif
