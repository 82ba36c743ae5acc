/*
 * Who we are to each smarthost. thread: loop
 */
#ifndef SP_RELAY_SMARTHOST_H
#define SP_RELAY_SMARTHOST_H

#include "gateway/relay/relay.h"
#include "transport/route.h"

struct relay_selves;

/*
 * Reads certificates and names of the settings' smarthosts.
 *
 * before:  those of the generation before, whose contexts are shared where nothing has changed; or NULL
 * owner:   the caller, relay_selves_free once no route or connection is left
 * returns: SP_OK, or SP_E_TLS_CONFIG with the detail in err
 */
SP_MUST_CHECK enum sp_rc relay_selves_new(struct relay *r, const struct relay_selves *before,
                                          struct relay_selves **out, struct sp_err *err);
/* NULL is allowed. */
void relay_selves_free(struct relay_selves *s);
/* returns: in the order of delivery.smarthosts; NULL where we are nobody special. Lent */
const struct sp_hop_self *const *relay_selves_list(const struct relay_selves *s);

#endif
