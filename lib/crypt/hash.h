/*
 * SHA-256 (FIPS 180-4), HMAC (RFC 2104), HKDF (RFC 5869), and comparison in constant time. thread: any
 */
#ifndef SP_CRYPT_HASH_H
#define SP_CRYPT_HASH_H

#include "base/mem.h"
#include "crypt/secret.h"

#define SP_SHA256_LEN 32

/* A running hash: new, feed any number of times, finish once (which makes it fresh again), free. */
struct sp_sha256;

/* owner: the caller. returns: a fresh hash, never NULL */
struct sp_sha256 *sp_sha256_new(void);
void sp_sha256_free(struct sp_sha256 *h);
SP_AUTO_DEFINE(sp_sha256)
void sp_sha256_feed(struct sp_sha256 *h, struct sp_bytes data);
/* Writes the digest and starts afresh. */
void sp_sha256_finish(struct sp_sha256 *h, uint8_t out[SP_SHA256_LEN]);

/* The digest of data in one go. */
void sp_crypt_sha256(struct sp_bytes data, uint8_t out[SP_SHA256_LEN]);

/* The digest of two views, the second behind the first. */
void sp_crypt_sha256_both(struct sp_bytes first, struct sp_bytes second,
                          uint8_t out[SP_SHA256_LEN]);

/* HMAC-SHA-256. */
void sp_crypt_hmac(struct sp_bytes key, struct sp_bytes data, uint8_t out[SP_SHA256_LEN]);

/*
 * HKDF-SHA-256 without salt: one key per purpose out of a master secret.
 *
 * info: names the purpose, as in SP_LIT("sallyport record kek 1")
 */
void sp_crypt_hkdf(struct sp_bytes secret, struct sp_bytes info, struct sp_secret *out);

/* returns: whether both are the same; time depends on the lengths alone */
bool sp_crypt_equal(struct sp_bytes a, struct sp_bytes b);

#endif
