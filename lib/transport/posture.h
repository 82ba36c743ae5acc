/*
 * Posture memory: the best that each domain has ever proved, so that a promise which ends is seen and not obeyed at
 * once. It holds levels only, never "no TLS"; the ledger keeps it across restarts and tells the other relays.
 */
#ifndef SP_TRANSPORT_POSTURE_H
#define SP_TRANSPORT_POSTURE_H

#include "base/bytes.h"
#include "transport/route.h"

struct sp_posture;

/* owner: the caller. max: domains kept, the longest unseen go first */
struct sp_posture *sp_posture_new(size_t max);
/* NULL is allowed. */
void sp_posture_free(struct sp_posture *p);

/* returns: false if the domain has proved nothing yet. thread: loop */
SP_MUST_CHECK bool sp_posture_find(struct sp_posture *p, struct sp_bytes domain,
                                   enum sp_level *best);

/*
 * Notes what a delivery proved; SP_LEVEL_PLAIN proves nothing and is not kept. A lower level than before changes
 * nothing: that takes sp_posture_accept.
 *
 * returns: whether the memory changed
 */
bool sp_posture_learn(struct sp_posture *p, struct sp_bytes domain, enum sp_level level,
                      int64_t now_ms);

/* Sets a domain's level outright: from the ledger, or by an operator who accepts a drop. */
void sp_posture_accept(struct sp_posture *p, struct sp_bytes domain, enum sp_level level,
                       int64_t now_ms);

/* Called when learning changed something; at most one listener. */
typedef void (*sp_posture_changed_fn)(void *arg, struct sp_bytes domain, enum sp_level level,
                                      int64_t at_ms);
void sp_posture_on_change(struct sp_posture *p, sp_posture_changed_fn fn, void *arg);

#endif
