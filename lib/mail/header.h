/*
 * Splits the header of a message into fields, for the relay's own use: names and byte ranges, nothing decoded unless
 * asked, nothing deeper than the top header. It sees at most SP_HEADER_MAX bytes and SP_HEADER_FIELDS_MAX fields. A
 * field is a name, a colon and lines; lines that begin with a space or tab continue it. The header ends at the first
 * empty line, or before the first line that is neither a field nor a continuation: what follows is body, whatever it
 * looks like. Offsets are from the start of the message. thread: any
 */
#ifndef SP_MAIL_HEADER_H
#define SP_MAIL_HEADER_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define SP_HEADER_MAX        (256 * 1024)
#define SP_HEADER_FIELDS_MAX 2000

struct sp_field {
    struct sp_bytes name;  /* without the colon or space before it */
    struct sp_bytes value; /* behind the colon, folds and all, without the last CRLF */
    struct sp_bytes raw;   /* name to last CRLF */
    size_t at;             /* offset of raw in the message */
};

struct sp_header {
    struct sp_bytes bytes; /* all fields, without the empty line */
    size_t body_at;        /* offset of the body: behind the empty line, if there is one */
    size_t count;
    bool has_blank; /* an empty line ended it; else the body began without one, or there is none */
};

/*
 * Finds the header at the start of a message.
 *
 * start:   the first bytes of the message, lent as long as out is used; SP_HEADER_MAX of them, or all there are
 * whole:   start is the whole message
 * returns: SP_OK; SP_E_HEADER_LIMIT if the header does not end within the limits
 * cost:    O(start.len), allocates nothing
 */
SP_MUST_CHECK enum sp_rc sp_header_parse(struct sp_bytes start, bool whole, struct sp_header *out);

/* Walks the fields. at: 0 to begin. returns: false behind the last */
bool sp_header_next(const struct sp_header *h, size_t *at, struct sp_field *out);

/*
 * Walks the fields of one name (case aside). Whoever wants several of a name walks so: with sp_header_find each is found
 * from the top, and a header of nothing else costs the square of its fields.
 *
 * at:      0 to begin
 * returns: false behind the last
 */
bool sp_header_next_of(const struct sp_header *h, struct sp_bytes name, size_t *at,
                       struct sp_field *out);

/* returns: false if there are fewer than nth + 1 fields of that name (case aside). cost: O(header) */
bool sp_header_find(const struct sp_header *h, struct sp_bytes name, size_t nth,
                    struct sp_field *out);

/* returns: the number of fields of that name */
size_t sp_header_count(const struct sp_header *h, struct sp_bytes name);

/* returns: whether the field belongs to the inner entity when a message is sealed: Content-* */
bool sp_field_is_content(const struct sp_field *f);

/* returns: whether the field's name is this one, case aside */
bool sp_field_is(const struct sp_field *f, struct sp_bytes name);

/* Appends the value on one line: folds removed, trimmed (RFC 5322 2.2.3). */
void sp_field_unfold(const struct sp_field *f, struct sp_buf *out);

/* Appends the value as UTF-8 text: unfolded, encoded words decoded (RFC 2047), control bytes as spaces. */
void sp_field_text(const struct sp_field *f, struct sp_buf *out);

/* returns: the <...> of a Message-ID or Resent-Message-ID value, brackets included; empty if it has none */
struct sp_bytes sp_field_message_id(const struct sp_field *f);

/* returns: the main part of a structured value, before the first ";", trimmed: "text/plain", "auto-replied" */
struct sp_bytes sp_field_token(const struct sp_field *f);

/*
 * Finds a parameter of a structured value (Content-Type's report-type, boundary, ...), with quoted values unquoted
 * only of their quotes.
 *
 * returns: false if there is none
 */
bool sp_field_param(const struct sp_field *f, struct sp_bytes name, struct sp_bytes *out);

/* What RFC 5322 2.1.1 allows a line, without its CRLF. */
#define SP_LINE_LEN_MAX 998

/*
 * Folds lines of more than SP_LINE_LEN_MAX bytes of a header, at white space that is there: unfolded it says the same (RFC 5322
 * 2.2.3). No line comes to be of white space alone.
 *
 * out:     gets all of it; NULL: to see whether it can be done
 * returns: false if a line stays longer: it has no white space where it would be needed
 */
bool sp_header_fold(struct sp_bytes header, struct sp_buf *out);

/*
 * Finds a tag like [secure] at the start of a subject text, behind reply marks ("Re:", "AW:").
 *
 * subject: decoded text (sp_field_text)
 * returns: the word between the brackets, empty if there is none
 */
struct sp_bytes sp_subject_tag(struct sp_bytes subject);

#endif
