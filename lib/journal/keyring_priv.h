/*
 * The keyring file of a shard: segment (by its salt) to content key, wrapped under the content KEK. It is written anew,
 * synced, renamed, and its folder synced; so it is either the old one or the new one. All in it stands there twice, so that
 * a damaged byte costs nothing; and it names the segments that hold something, so that one whose file is lost is missed.
 * thread: any (a lock inside)
 */
#ifndef SP_JOURNAL_KEYRING_PRIV_H
#define SP_JOURNAL_KEYRING_PRIV_H

#include "journal/format_priv.h"

struct sp_keyring;

/* owner: the caller. io and random are lent as long as it lives */
struct sp_keyring *sp_keyring_new(const struct sp_journal_io *io,
                                  const struct sp_journal_keys *keys,
                                  const struct sp_random *random);
void sp_keyring_free(struct sp_keyring *k);

/* Reads the file, or what of the two in it is whole. returns: SP_E_NOT_FOUND if there is none, SP_E_JOURNAL_DAMAGED, SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_keyring_load(struct sp_keyring *k);

/*
 * The same once more, for who only looks: what its owner has made of it since.
 *
 * has_lost: out: whether a key has gone since the last time; may be NULL
 * returns:  as sp_keyring_load
 */
SP_MUST_CHECK enum sp_rc sp_keyring_reload(struct sp_keyring *k, bool *has_lost);

/* returns: SP_E_NOT_FOUND if the segment's key is gone, SP_E_CRYPT_AUTH if it was wrapped under another KEK */
SP_MUST_CHECK enum sp_rc sp_keyring_find(struct sp_keyring *k, const uint8_t salt[SP_SALT_LEN],
                                         struct sp_secret *out);

/* Makes a key for a segment; only durable after sp_keyring_save. */
void sp_keyring_add(struct sp_keyring *k, const uint8_t salt[SP_SALT_LEN], struct sp_secret *out);

/* Notes that a segment of this number holds a durable batch; kept with the next sp_keyring_save. */
void sp_keyring_number(struct sp_keyring *k, const uint8_t salt[SP_SALT_LEN], uint64_t number);

/* returns: the least number above `above` of a segment that holds something; 0: none */
uint64_t sp_keyring_next(struct sp_keyring *k, uint64_t above);

/* Forgets a segment's key; only final after sp_keyring_save. */
void sp_keyring_remove(struct sp_keyring *k, const uint8_t salt[SP_SALT_LEN]);

/* Forgets all up to that number, of which no file may be left to ask for its salt; only final after sp_keyring_save. */
void sp_keyring_remove_to(struct sp_keyring *k, uint64_t number);

/* Forgets all entries without a number for which is_kept says no; only final after sp_keyring_save. */
void sp_keyring_keep(struct sp_keyring *k, bool (*is_kept)(void *arg, const uint8_t *salt),
                     void *arg);

/* Makes what is in memory durable. returns: SP_E_IO, SP_E_JOURNAL_FULL; the file is then the old one */
SP_MUST_CHECK enum sp_rc sp_keyring_save(struct sp_keyring *k);

/* Wraps all under another KEK, in memory; keys: the new one. After a failure all is as it was. returns: SP_E_CRYPT_AUTH */
SP_MUST_CHECK enum sp_rc sp_keyring_rewrap(struct sp_keyring *k,
                                           const struct sp_journal_keys *keys);
/* returns: whether what was loaded was wrapped under the generation before, and is so on disk */
bool sp_keyring_is_old(const struct sp_keyring *k);
/* returns: whether only one of the two in the file was whole */
bool sp_keyring_is_torn(const struct sp_keyring *k);

size_t sp_keyring_count(struct sp_keyring *k);

#endif
