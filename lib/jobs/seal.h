/*
 * seal: relay -> sealer. A message's handle, the recipients' keys and an empty file go over; the sealed message's handle
 * comes back. Descriptor 0 of the request is the content's, descriptor 1 the output file (read and write, empty, of the
 * relay). In decoded structs all text is lent from the payload and all lists lie in the arena. thread: any
 */
#ifndef SP_JOBS_SEAL_H
#define SP_JOBS_SEAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "content/content.h"

enum sp_jobs_seal_method {
    SP_JOBS_SEAL_SMIME,
    SP_JOBS_SEAL_PGP,
    SP_JOBS_SEAL_SIGN, /* DKIM only: for copies that edits have changed, and for our own mail */
    SP_JOBS_SEAL_METHOD_COUNT
};

enum sp_jobs_seal_cipher {
    SP_JOBS_SEAL_CIPHER_AUTO, /* by what all keys are able to */
    SP_JOBS_SEAL_CIPHER_CBC,
    SP_JOBS_SEAL_CIPHER_GCM,
    SP_JOBS_SEAL_CIPHER_COUNT
};

#define SP_JOBS_SEAL_RECIPIENTS_MAX 1000
#define SP_JOBS_SEAL_KEYS_MAX       1000
#define SP_JOBS_SEAL_FIELDS_MAX     64
#define SP_JOBS_SEAL_KEY_LEN_MAX    (256 * 1024)
#define SP_JOBS_SEAL_TEXT_MAX       4096
#define SP_JOBS_SEAL_FACTS_MAX      (64 * 1024)
#define SP_JOBS_SEAL_ADDED_MAX      (16 * 1024)

struct sp_jobs_seal_key {
    struct sp_bytes recipient; /* address that it belongs to */
    struct sp_bytes id;        /* the keeper's, "smime:0b44..." */
    struct sp_bytes bytes;     /* certificate (DER) or public key (binary) */
    uint32_t abilities;        /* SP_JOBS_KEYS_CAN_... of keys.h */
};

struct sp_jobs_seal_field { /* a header field to put in front */
    struct sp_bytes name;
    struct sp_bytes value;
};

struct sp_jobs_seal_request {
    enum sp_jobs_seal_method method;
    enum sp_jobs_seal_cipher cipher;
    bool sign;                 /* with the tenant's key, if it has one */
    bool strip_tag;            /* the subject's tag goes */
    struct sp_content content; /* decoded: fd is -1, for sp_jobs_job_take_fd(job, 0) */
    struct sp_bytes tenant;
    struct sp_bytes from; /* envelope sender */
    struct sp_bytes
        protected_subject; /* what stands outside in the subject's place; empty: the subject stays */
    const struct sp_bytes *recipients;
    size_t recipient_count;
    const struct sp_jobs_seal_key *keys;
    size_t key_count;
    const struct sp_jobs_seal_field *add;
    size_t add_count;
    const struct sp_bytes *strip; /* names of fields to remove */
    size_t strip_count;
    struct sp_bytes
        above; /* text that becomes a part before the message's own content; empty: none */
    struct sp_bytes below; /* text that becomes a part behind it */
};

struct sp_jobs_seal_reply {
    struct sp_content content; /* of the output file, with its own key; decoded: fd is -1 */
    uint8_t sha256[32];        /* of the sealed message */
    struct sp_bytes facts;     /* JSON object for the audit: cipher, key ids, signer */
};

/* Appends the encoding; what passes a limit marks out as failed. Holds keys: wipe the buffer. */
void sp_jobs_seal_request_encode(struct sp_buf *out, const struct sp_jobs_seal_request *request);
void sp_jobs_seal_reply_encode(struct sp_buf *out, const struct sp_jobs_seal_reply *reply);

/* owner: the handle is the caller's, to sp_content_clear; text is lent from data, lists are arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_seal_request_decode(struct sp_bytes data, struct sp_arena *arena,
                                                     struct sp_jobs_seal_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_seal_reply_decode(struct sp_bytes data,
                                                   struct sp_jobs_seal_reply *out);

/* returns: "smime", "pgp", "sign", static */
const char *sp_jobs_seal_method_name(enum sp_jobs_seal_method method);

#endif
