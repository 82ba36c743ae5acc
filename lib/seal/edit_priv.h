/*
 * What a policy may change in a header, whether the message is then sealed or only copied.
 */
#ifndef SP_SEAL_EDIT_PRIV_H
#define SP_SEAL_EDIT_PRIV_H

#include "mail/header.h"
#include "seal/entity.h"

/* returns: whether the field is one of these */
bool sp_seal_is_among(const struct sp_field *f, const struct sp_bytes *names, size_t count);

/* returns: whether the field leaves neither inside nor outside: blind copies, private ones, what the caller strips */
bool sp_seal_is_stripped(const struct sp_field *f, const struct sp_seal_options *options);

/* Appends a field as it stands, ended by CRLF; a subject without its tag, if that is asked for. */
void sp_seal_put_field(struct sp_buf *out, const struct sp_field *f,
                       const struct sp_seal_options *options);

/* Appends the fields to be added. returns: SP_OK, or as sp_compose_end */
SP_MUST_CHECK enum sp_rc sp_seal_put_added(struct sp_buf *out,
                                           const struct sp_seal_options *options);

#endif
