/*
 * A message with a text above or below it: multipart/mixed with the text as a part of its own beside the message's own
 * content, which stays byte for byte what it was. No MIME is parsed: only the Content-* fields move inwards. Read through
 * a source, so that sealing and signing need not know. thread: worker
 */
#ifndef SP_SEAL_WRAP_H
#define SP_SEAL_WRAP_H

#include "base/mem.h"
#include "seal/stream.h"

struct sp_seal_wrap;

/*
 * above:   text of the first part, UTF-8; empty: none
 * below:   text of the last part; empty: none
 * source:  lent until the wrap is freed
 * owner:   the caller, until sp_seal_wrap_free
 * returns: SP_OK, SP_E_HEADER_SYNTAX, SP_E_HEADER_LIMIT, or what the source said
 */
SP_MUST_CHECK enum sp_rc sp_seal_wrap_new(struct sp_seal_source source, struct sp_bytes above,
                                          struct sp_bytes below, struct sp_seal_wrap **out,
                                          struct sp_err *err);
/* NULL is allowed. */
void sp_seal_wrap_free(struct sp_seal_wrap *w);
SP_AUTO_DEFINE(sp_seal_wrap)

/* returns: the message as it now is; lent, good as long as the wrap */
struct sp_seal_source sp_seal_wrap_source(struct sp_seal_wrap *w);

#endif
