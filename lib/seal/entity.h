/*
 * What gets sealed, and what stays outside. The inner entity is the message's Content-* fields and its body, copied by
 * byte range: no MIME is parsed. The outer header is what the road and the recipient's mailbox need; Bcc never is in
 * either. With a protected subject, everything that the road does not need moves inside (RFC 9788). thread: worker
 */
#ifndef SP_SEAL_ENTITY_H
#define SP_SEAL_ENTITY_H

#include "base/mem.h"
#include "seal/stream.h"

#define SP_SEAL_STRIP_MAX     64
#define SP_SEAL_BOUNDARY_LEN  40 /* with its NUL */
#define SP_SEAL_HEADER_MAX    (256U * 1024U)
#define SP_SEAL_SUBJECT_PLAIN "[...]" /* what RFC 9788 4.1 writes in a protected subject's place */

#define SP_SEAL_ADD_MAX 64

struct
    sp_seal_field { /* put in front of the header outside; the value is UTF-8 text, encoded where needed */
    struct sp_bytes name;
    struct sp_bytes value;
};

struct sp_seal_options {
    bool protect_subject;
    bool strip_tag;            /* the subject's tag, [secure], goes */
    const char *outer_subject; /* in the protected subject's place; NULL: SP_SEAL_SUBJECT_PLAIN */
    struct sp_bytes strip[SP_SEAL_STRIP_MAX]; /* names of fields that leave neither way */
    size_t strip_count;
    const struct sp_seal_field *add; /* lent for the call */
    size_t add_count;
};

struct sp_seal_entity;

/*
 * Reads the header (at most SP_SEAL_HEADER_MAX bytes) and makes the outer header and the plan of the inner entity.
 *
 * source:  lent until the entity is freed
 * options: borrowed for the call
 * owner:   the caller, until sp_seal_entity_free
 * returns: SP_OK, SP_E_HEADER_SYNTAX, SP_E_HEADER_LIMIT, or what the source said
 */
SP_MUST_CHECK enum sp_rc sp_seal_entity_new(struct sp_seal_source source,
                                            const struct sp_seal_options *options,
                                            struct sp_seal_entity **out, struct sp_err *err);

/* NULL is allowed. */
void sp_seal_entity_free(struct sp_seal_entity *e);
SP_AUTO_DEFINE(sp_seal_entity)

/* returns: the fields for outside, each ended by CRLF, without MIME-Version and Content-*; lent */
struct sp_bytes sp_seal_entity_outer(const struct sp_seal_entity *e);

/*
 * The inner entity's next bytes.
 *
 * got:     how many; 0 at the end
 * returns: SP_OK, or what the source said
 */
SP_MUST_CHECK enum sp_rc sp_seal_entity_read(struct sp_seal_entity *e, void *buf, size_t len,
                                             size_t *got);

/* Goes back to the inner entity's first byte. */
void sp_seal_entity_rewind(struct sp_seal_entity *e);

/* returns: bytes that sp_seal_entity_read yields in all */
uint64_t sp_seal_entity_len(const struct sp_seal_entity *e);

/*
 * Writes the message as it is, but for the options' edits (strip, add, strip_tag) and for Bcc and the fields of
 * mail/trace.h that must not leave: a copy that is to be signed, not sealed.
 *
 * returns: SP_OK, SP_E_HEADER_SYNTAX, SP_E_HEADER_LIMIT, or what source and sink said
 */
SP_MUST_CHECK enum sp_rc sp_seal_copy(struct sp_seal_source source,
                                      const struct sp_seal_options *options,
                                      struct sp_seal_sink out, struct sp_err *err);

/* A MIME boundary: "=_", which no base 64 or quoted-printable holds, and 128 random bits. out: SP_SEAL_BOUNDARY_LEN bytes */
void sp_seal_boundary(char *out);

#endif
