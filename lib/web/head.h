/*
 * The head of an HTTP/1.1 request: one strict parser, without sockets. What two readers could take in two ways is
 * refused: bare LF or CR, spaces before a colon, folded lines, two Host or Content-Length fields, any Transfer-Encoding
 * (bodies come with a length), a method, target or field with bytes outside its grammar, HTTP/1.0 and HTTP/2 lines.
 * thread: any
 */
#ifndef SP_WEB_HEAD_H
#define SP_WEB_HEAD_H

#include "base/bytes.h"

#define SP_WEB_HEAD_MAX     (16 * 1024) /* bytes of request line and fields, with the empty line */
#define SP_WEB_FIELDS_MAX   64
#define SP_WEB_TARGET_MAX   2048
#define SP_WEB_SEGMENTS_MAX 8

enum sp_web_method { SP_WEB_GET, SP_WEB_HEAD, SP_WEB_POST, SP_WEB_PUT, SP_WEB_DELETE };

struct sp_web_field {
    struct sp_bytes name;
    struct sp_bytes value; /* without the spaces around it */
};

/* All views point into the bytes that were parsed. */
struct sp_web_head {
    enum sp_web_method method;
    struct sp_bytes path;  /* begins with '/', never percent-encoded: such a path is refused */
    struct sp_bytes query; /* what follows '?', undecoded; empty if none */
    struct sp_bytes host;
    struct sp_web_field fields[SP_WEB_FIELDS_MAX];
    size_t field_count;
    uint64_t content_length; /* 0 if there is none */
    bool expect_continue;
    bool close; /* "Connection: close" */
};

/*
 * Looks for a whole head at the beginning of in.
 *
 * scanned: in and out: how far an earlier call with the same, shorter input has looked; 0 to begin
 * used:    set to the length of the head when whole
 * returns: 0 while more is needed; 200 when *out and *used are set; else the status to answer with before closing:
 *          400, 414, 431, 501 (method or transfer coding), 505
 * cost:    O(in.len) over all calls
 * rules:   RFC 9112 2.2, 3, 5, 6.3; RFC 9110 5.5
 */
SP_MUST_CHECK int sp_web_head_parse(struct sp_bytes in, size_t *scanned, size_t *used,
                                    struct sp_web_head *out);

/*
 * returns: the value of the only field of that name, the empty view if there is none or more than one
 */
struct sp_bytes sp_web_head_field(const struct sp_web_head *h, struct sp_bytes name);

/* returns: the method's name, static */
const char *sp_web_method_name(enum sp_web_method m);

/*
 * Compares a path with a pattern of ours: segments are equal, or the pattern's is ":" and takes any one that is not
 * empty ("/m/:/part/:").
 *
 * segments: gets what the ":" took, in order; room for SP_WEB_SEGMENTS_MAX
 * returns:  whether it fits
 */
bool sp_web_path_fits(struct sp_bytes path, const char *pattern, struct sp_bytes *segments);

#endif
