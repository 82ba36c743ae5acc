/*
 * PGP/MIME (RFC 3156) by GPGME: sign and encrypt in one gpg run (RFC 3156 6.2), keys handed over by file, a private home
 * with an agent of its own that ends with it. thread: worker (all of it blocks)
 */
#ifndef SP_PGP_PGP_H
#define SP_PGP_PGP_H

#include "base/mem.h"
#include "seal/entity.h"

struct sp_pgp;

/*
 * Makes a fresh home and starts its agent; whatever the folder held before is removed.
 *
 * home:    an existing folder of ours, its path short (the agent's socket lies in it: 80 bytes at most)
 * owner:   the caller, until sp_pgp_free
 * returns: SP_OK; SP_E_LIMIT for a long path; SP_E_PGP_FAILED if gpg or gpg-agent does not start; SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_pgp_new(const char *home, struct sp_pgp **out, struct sp_err *err);

/* Ends the agent and removes what lies in the home. NULL is allowed. */
void sp_pgp_free(struct sp_pgp *p);
SP_AUTO_DEFINE(sp_pgp)

#define SP_PGP_FINGERPRINT_MAX 65 /* with its NUL */

/*
 * Takes a tenant's signing key into the home.
 *
 * secret:      one OpenPGP secret key without a pass phrase, armored or binary
 * fingerprint: SP_PGP_FINGERPRINT_MAX bytes: its name in sp_pgp_params
 * returns:     SP_OK, SP_E_KEYS_FORMAT, SP_E_PGP_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_pgp_signer_add(struct sp_pgp *p, struct sp_bytes secret,
                                           char *fingerprint, struct sp_err *err);

struct sp_pgp_params {
    const char *signer;          /* fingerprint, or NULL to encrypt only */
    const struct sp_bytes *keys; /* recipients' public keys, binary or armored */
    size_t key_count;
    bool hide_recipients; /* no key ids in the message: for Bcc */
};

#define SP_PGP_RECIPIENTS_MAX 64
#define SP_PGP_COMPRESS_MAX                                                                        \
    (256U * 1024U) /* larger bodies are not compressed: it costs more than the disk */

/*
 * Writes the whole sealed message: the entity's outer fields, MIME-Version, Content-*, and the two parts, all in CRLF.
 *
 * returns: SP_OK; SP_E_KEYS_EXPIRED or SP_E_KEYS_UNUSABLE if gpg finds a key that can't be encrypted to; SP_E_PGP_FAILED;
 *          or what source and sink said. What has been written before a failure is for nobody
 */
SP_MUST_CHECK enum sp_rc sp_pgp_seal(struct sp_pgp *p, const struct sp_pgp_params *params,
                                     struct sp_seal_entity *entity, struct sp_seal_sink out,
                                     struct sp_err *err);

#endif
