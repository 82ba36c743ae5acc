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
 * nothing: that takes sp_posture_tell.
 *
 * returns: whether the memory changed
 */
bool sp_posture_learn(struct sp_posture *p, struct sp_bytes domain, enum sp_level level);

/*
 * Takes the ledger's word: a level that was proved raises ours, one that an administrator accepted since replaces it.
 *
 * accepted_at_ms: of the last acceptance, wall clock; 0: none
 * returns:        whether it was an acceptance that we did not know of
 */
bool sp_posture_tell(struct sp_posture *p, struct sp_bytes domain, enum sp_level level,
                     int64_t accepted_at_ms);

#endif
