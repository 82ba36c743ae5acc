/*
 * keys: relay -> keeper. An address goes over; the keys and certificates that may be used for it now come back, and those
 * that may not, with why. No keys is an answer (SP_OK and an empty list). thread: any
 */
#ifndef SP_JOBS_KEYS_H
#define SP_JOBS_KEYS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum sp_jobs_key_kind { SP_JOBS_KEY_SMIME, SP_JOBS_KEY_PGP, SP_JOBS_KEY_KIND_COUNT };

/* what the owner of a key is known to be able to read */
#define SP_JOBS_KEYS_CAN_GCM  0x1u /* AuthEnvelopedData */
#define SP_JOBS_KEYS_CAN_OAEP 0x2u
#define SP_JOBS_KEYS_CAN_ECDH 0x4u /* it is an EC key; SHA-256 KDF */

#define SP_JOBS_KEYS_MAX      64
#define SP_JOBS_KEYS_TEXT_MAX 1024
#define SP_JOBS_KEYS_LEN_MAX  (256 * 1024) /* of one key */

struct sp_jobs_keys_request {
    struct sp_bytes address;
    struct sp_bytes tenant;
};

struct sp_jobs_key {
    enum sp_jobs_key_kind kind;
    uint32_t abilities;    /* SP_JOBS_KEYS_CAN_... */
    int64_t not_after_ms;  /* wall clock; 0: never ends */
    struct sp_bytes id;    /* "smime:0b44...", "pgp:..." */
    struct sp_bytes bytes; /* certificate (DER) or public key (binary) */
};

struct sp_jobs_key_refused {
    struct sp_bytes id;
    struct sp_bytes why; /* "not-after 2026-03-01" */
};

struct sp_jobs_keys_reply {
    const struct sp_jobs_key *keys; /* best first */
    size_t key_count;
    const struct sp_jobs_key_refused *refused;
    size_t refused_count;
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_keys_request_encode(struct sp_buf *out, const struct sp_jobs_keys_request *request);
void sp_jobs_keys_reply_encode(struct sp_buf *out, const struct sp_jobs_keys_reply *reply);

/* owner: text is lent from data, lists are arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_keys_request_decode(struct sp_bytes data,
                                                     struct sp_jobs_keys_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_keys_reply_decode(struct sp_bytes data, struct sp_arena *arena,
                                                   struct sp_jobs_keys_reply *out);

/* returns: "smime" or "pgp", static */
const char *sp_jobs_key_kind_name(enum sp_jobs_key_kind kind);

#endif
