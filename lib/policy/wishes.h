/*
 * What recipients have chosen in the portal for mail to them, by tenant and address: the relay's memory of it. Bounded; what
 * does not fit is not taken. thread: one
 */
#ifndef SP_POLICY_WISHES_H
#define SP_POLICY_WISHES_H

#include "base/mem.h"
#include "policy/facts.h"

struct sp_policy_wishes;

/* owner: the caller. max: as many as it takes */
struct sp_policy_wishes *sp_policy_wishes_new(size_t max);
void sp_policy_wishes_free(struct sp_policy_wishes *w);
SP_AUTO_DEFINE(sp_policy_wishes)

/* Puts one in the place of what was there; address: its case is not looked at. returns: false if there is no room for it */
bool sp_policy_wishes_set(struct sp_policy_wishes *w, struct sp_bytes tenant,
                          struct sp_bytes address, const struct sp_fact_wish *wish);
void sp_policy_wishes_remove(struct sp_policy_wishes *w, struct sp_bytes tenant,
                             struct sp_bytes address);

/* returns: lent until the next change; NULL if there is none, whether its time is over or not. cost: allocates nothing */
const struct sp_fact_wish *sp_policy_wishes_find(const struct sp_policy_wishes *w,
                                                 struct sp_bytes tenant, struct sp_bytes address);
size_t sp_policy_wishes_count(const struct sp_policy_wishes *w);

/* The key of a map of wishes: tenant, line end, address in lower case. out: SP_POLICY_WISH_KEY_MAX bytes. returns: its
 * length; 0 if there is no such pair */
#define SP_POLICY_WISH_KEY_MAX 800
size_t sp_policy_wishes_key(struct sp_bytes tenant, struct sp_bytes address, uint8_t *out);

#endif
