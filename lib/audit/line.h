/*
 * One audit line: an event as a role has told it, with what the ledger adds (v, node, seq, prev, time, journal), in the
 * canonical form of RFC 8785, without a line end. A line's digest is the SHA-256 of these bytes and stands as `prev` in
 * the next one. thread: any
 */
#ifndef SP_AUDIT_LINE_H
#define SP_AUDIT_LINE_H

#include "audit/event.h"
#include "audit/merkle.h"
#include "base/buf.h"
#include "base/id.h"
#include "json/json.h"

#define SP_AUDIT_LINE_MAX ((size_t)4 << 20)
#define SP_AUDIT_NODE_MAX 64

/* Where in a journal the event stood. */
struct sp_audit_origin {
    const char *shard; /* NULL: nowhere, the ledger itself tells it */
    uint64_t segment;
    uint64_t record; /* sequence of the record in its segment */
    uint32_t part;   /* which of the record's events, from 0 */
};

/* What the ledger adds. */
struct sp_audit_stamp {
    const char *node;
    uint64_t seq;
    struct sp_digest prev; /* all zero for the first line */
    int64_t time_ms;       /* wall clock */
    struct sp_audit_origin origin;
};

/*
 * Makes a line.
 *
 * event:   JSON object text with `event` and its facts; must not hold what the ledger adds
 * out:     the line is appended
 * returns: SP_OK; SP_E_MALFORMED if it is no such object, the event is not on the list, or lacks its message, actor or
 *          reason; SP_E_LIMIT if longer than SP_AUDIT_LINE_MAX
 */
SP_MUST_CHECK enum sp_rc sp_audit_line_make(struct sp_bytes event,
                                            const struct sp_audit_stamp *stamp, struct sp_buf *out,
                                            struct sp_err *err);

/* returns: the digest that the next line carries as `prev` */
struct sp_digest sp_audit_line_digest(struct sp_bytes line);

/* A line that has been read. */
struct sp_audit_line {
    struct sp_json_doc *doc;
    const struct sp_json *root;
    const struct sp_audit_event *event;
    struct sp_bytes node;
    uint64_t seq;
    struct sp_digest prev;
    int64_t time_ms;
    bool has_message;
    struct sp_id message;
};

/*
 * Reads a line and checks its form: canonical, of a known event, with all that every record has.
 *
 * owner:   the caller, until sp_audit_line_clear
 * returns: SP_OK, or SP_E_AUDIT_ALTERED with the reason: no ledger has written such a line
 */
SP_MUST_CHECK enum sp_rc sp_audit_line_parse(struct sp_bytes text, struct sp_audit_line *out,
                                             struct sp_err *err);
void sp_audit_line_clear(struct sp_audit_line *line);

/*
 * Makes a line as sp_audit_line_make does, and gives it as it would be read.
 *
 * made:    owner: the caller, until sp_audit_line_clear
 * returns: as sp_audit_line_make
 */
SP_MUST_CHECK enum sp_rc sp_audit_line_build(struct sp_bytes event,
                                             const struct sp_audit_stamp *stamp, struct sp_buf *out,
                                             struct sp_audit_line *made, struct sp_err *err);

/* Digests as 64 hexadecimal digits. returns: false if the text is none */
void sp_digest_format(const struct sp_digest *d, struct sp_buf *out);
SP_MUST_CHECK bool sp_digest_parse(struct sp_bytes text, struct sp_digest *out);

#endif
