/*
 * Whom a tenant has written to, for recipient.first_contact: a set of keyed hashes of (tenant, recipient), each with the day
 * of the last mail. Who holds the set learns no address from it, and without the key can't ask for one. Bounded: a set that
 * is full takes no more, and then nobody who is not in it counts as new. thread: one
 */
#ifndef SP_POLICY_CONTACTS_H
#define SP_POLICY_CONTACTS_H

#include "base/mem.h"
#include "crypt/secret.h"

#define SP_POLICY_CONTACTS_INFO SP_LIT("sallyport contacts 1") /* of the key, for sp_crypt_hkdf */
#define SP_POLICY_CONTACTS_MAX  1000000

struct sp_policy_contacts;

/* returns: the pair's keyed hash, never 0; address: its case is not looked at */
uint64_t sp_policy_contacts_hash(const struct sp_secret *key, struct sp_bytes tenant,
                                 struct sp_bytes address);

/* returns: the day of a wall clock's time, as the set counts them */
uint16_t sp_policy_contacts_day(int64_t wall_ms);

/* owner: the caller. max: as many as it takes */
struct sp_policy_contacts *sp_policy_contacts_new(size_t max);
void sp_policy_contacts_free(struct sp_policy_contacts *c);
SP_AUTO_DEFINE(sp_policy_contacts)

/* Adds one, or moves its day forward. returns: whether the set has changed */
bool sp_policy_contacts_put(struct sp_policy_contacts *c, uint64_t hash, uint16_t day);
/* Drops all whose day lies before this one, and gives back the memory that they took. cost: O(all), if there are any */
void sp_policy_contacts_expire(struct sp_policy_contacts *c, uint16_t day);

/* returns: whether it is there, with this day or a later one */
bool sp_policy_contacts_has(const struct sp_policy_contacts *c, uint64_t hash, uint16_t since_day);
size_t sp_policy_contacts_count(const struct sp_policy_contacts *c);
/* returns: bytes of memory that it takes: 20 to 40 for each; at SP_POLICY_CONTACTS_MAX 20 MiB, and 30 while it gets there */
size_t sp_policy_contacts_bytes(const struct sp_policy_contacts *c);
/* returns: whether it takes no more */
bool sp_policy_contacts_is_full(const struct sp_policy_contacts *c);
/* Walks all of them. at: 0 to begin. returns: false at the end */
bool sp_policy_contacts_next(const struct sp_policy_contacts *c, size_t *at, uint64_t *hash,
                             uint16_t *day);

#endif
