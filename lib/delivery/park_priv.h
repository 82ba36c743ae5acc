/*
 * What park.c shares with the rest of an attempt.
 */
#ifndef SP_DELIVERY_PARK_PRIV_H
#define SP_DELIVERY_PARK_PRIV_H

#include "delivery/delivery_priv.h"

/*
 * WAIT: tells the line how long its hosts are left alone, if they are; and parks all recipients if that is all there is to
 * know. returns: whether it parked them; a is freed then
 */
bool sp_attempt_park(struct sp_attempt *a, const struct sp_next *next);

/* ---- hops.c ---- */

/* returns: whether nothing has been done yet that would be lost if it went back to its line */
bool sp_attempt_is_fresh(const struct sp_attempt *a);
/*
 * The host that was to take the mail has put it off, for trouble of its own. returns: whether another one is asked in this
 * attempt, and this one is not any more; there are two others at most. If not, nothing has changed
 */
bool sp_attempt_leaves_host(struct sp_attempt *a, enum sp_rc why);
/*
 * No host is asked any more, because of why, and not all were: what one has shown speaks for no other. Of what is known of rungs from
 * this one on, s gets what holds if the others are silent. It is a's own standing, or a copy.
 */
void sp_attempt_weigh_unasked(const struct sp_attempt *a, enum sp_rc why, size_t from,
                              struct sp_standing *s);
/* returns: whether the host that it would go to first is frozen: its way is then, too */
bool sp_attempt_freezes(const struct sp_attempt *a, const struct sp_route *r);

/* ---- tell.c ---- */

/* returns: whether the sender would hear that recipient n has to wait, now or after one attempt more */
bool sp_attempt_may_hear(const struct sp_attempt *a, uint16_t n);

#endif
