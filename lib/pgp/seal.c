/*
 * One gpg run a message: it reads the inner entity from a pipe, signs and encrypts (RFC 3156 6.2), and its armor goes
 * through the CRLF filter into the second part of multipart/encrypted. The first part and all that is MIME are constant
 * lines of ours. Callbacks can only say "no" to GPGME, so what source and sink said is kept beside them.
 */
#include "pgp/pgp_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct run {
    struct sp_seal_entity *entity;
    struct sp_seal_crlf armor;
    enum sp_rc rc; /* the first failure of source or sink */
};

static ssize_t read_plain(void *handle, void *buf, size_t len)
{
    struct run *run = handle;
    size_t got = 0;
    enum sp_rc rc = sp_seal_entity_read(run->entity, buf, len, &got);

    if (rc == SP_OK)
        return (ssize_t)got;
    run->rc = rc;
    errno = EIO;
    return -1;
}

static ssize_t write_armor(void *handle, const void *data, size_t len)
{
    struct run *run = handle;

    if (run->rc == SP_OK)
        run->rc = sp_seal_crlf_feed(&run->armor, sp_bytes(data, len));
    if (run->rc == SP_OK)
        return (ssize_t)len;
    errno = EIO;
    return -1;
}

static enum sp_rc write_head(const struct sp_seal_sink *out, const struct sp_seal_entity *entity,
                             const char *boundary)
{
    enum sp_rc rc = sp_seal_write(out, sp_seal_entity_outer(entity));
    struct sp_buf b;

    sp_buf_init(&b, 1024);
    sp_buf_printf(&b,
                  "MIME-Version: 1.0\r\n"
                  "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";\r\n"
                  "\tboundary=\"%s\"\r\n\r\n"
                  "--%s\r\nContent-Type: application/pgp-encrypted\r\n"
                  "Content-Description: PGP/MIME version identification\r\n\r\n"
                  "Version: 1\r\n\r\n"
                  "--%s\r\nContent-Type: application/octet-stream; name=\"encrypted.asc\"\r\n"
                  "Content-Description: OpenPGP encrypted message\r\n"
                  "Content-Disposition: inline; filename=\"encrypted.asc\"\r\n\r\n",
                  boundary, boundary, boundary);
    if (rc == SP_OK)
        rc = sp_seal_write(out, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return rc;
}

static enum sp_rc write_tail(const struct sp_seal_sink *out, const char *boundary)
{
    struct sp_buf b;
    enum sp_rc rc;

    sp_buf_init(&b, 100);
    sp_buf_printf(&b, "\r\n--%s--\r\n", boundary);
    rc = sp_seal_write(out, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return rc;
}

/* Writes the keys as files of the home and names them in GPGME's list of recipients. */
static enum sp_rc hand_over_keys(const struct sp_pgp *p, const struct sp_pgp_params *params,
                                 struct sp_buf *list, struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    if (params->hide_recipients)
        sp_buf_put_cstr(list, "--hidden\n");
    sp_buf_put_cstr(list, "--file\n");
    for (size_t i = 0; rc == SP_OK && i < params->key_count; i++) {
        char name[32];

        snprintf(name, sizeof(name), "recipient-%zu", i);
        rc = sp_pgp_write_file(p, name, params->keys[i], err);
        sp_buf_printf(list, "%s/%s\n", p->home, name);
    }
    sp_buf_put_u8(list, 0);
    return rc;
}

static void drop_keys(const struct sp_pgp *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char path[256];

        snprintf(path, sizeof(path), "%s/recipient-%zu", p->home, i);
        unlink(path);
    }
}

static enum sp_rc choose_signer(struct sp_pgp *p, const char *fingerprint, struct sp_err *err)
{
    gpgme_signers_clear(p->ctx);
    if (fingerprint == NULL)
        return SP_OK;
    for (size_t i = 0; i < p->signer_count; i++)
        if (strcmp(p->signers[i]->fpr, fingerprint) == 0) {
            gpgme_error_t e = gpgme_signers_add(p->ctx, p->signers[i]);

            return e == 0 ? sp_pgp_agent_start(p, err)
                          : sp_pgp_fail(err, SP_E_PGP_FAILED, "can't take the signing key", e);
        }
    return sp_fail(err, SP_E_KEYS_NONE, "the tenant's signing key is not there");
}

/* What gpg's complaint means: about the keys, or about the run. */
static enum sp_rc explain(struct sp_pgp *p, gpgme_error_t e, const struct run *run,
                          struct sp_err *err)
{
    gpgme_encrypt_result_t result = gpgme_op_encrypt_result(p->ctx);

    if (run->rc != SP_OK)
        return sp_fail(err, run->rc, "the message could not be read or its sealed form written");
    if (result != NULL && result->invalid_recipients != NULL)
        e = result->invalid_recipients->reason;
    switch (gpgme_err_code(e)) {
    case GPG_ERR_KEY_EXPIRED:
    case GPG_ERR_CERT_EXPIRED:
        return sp_pgp_fail(err, SP_E_KEYS_EXPIRED, "gpg refuses the key", e);
    case GPG_ERR_SUBKEYS_EXP_OR_REV: /* what gpg 2.2 says of every key file that it can't use */
    case GPG_ERR_UNUSABLE_PUBKEY:
    case GPG_ERR_NO_PUBKEY:
    case GPG_ERR_CERT_REVOKED:
    case GPG_ERR_WRONG_KEY_USAGE:
    case GPG_ERR_BAD_CERT:
    case GPG_ERR_NOT_FOUND:
        return sp_pgp_fail(err, SP_E_KEYS_UNUSABLE, "gpg refuses the key", e);
    default:
        return sp_pgp_fail(err, SP_E_PGP_FAILED, "gpg could not seal", e);
    }
}

static enum sp_rc run_gpg(struct sp_pgp *p, const struct sp_pgp_params *params,
                          const char *recipients, struct run *run, struct sp_err *err)
{
    struct gpgme_data_cbs in = {.read = read_plain};
    struct gpgme_data_cbs out = {.write = write_armor};
    unsigned flags = GPGME_ENCRYPT_ALWAYS_TRUST | GPGME_ENCRYPT_NO_ENCRYPT_TO;
    gpgme_data_t plain = NULL;
    gpgme_data_t armor = NULL;
    gpgme_error_t e = gpgme_data_new_from_cbs(&plain, &in, run);

    if (e == 0)
        e = gpgme_data_new_from_cbs(&armor, &out, run);
    if (sp_seal_entity_len(run->entity) > SP_PGP_COMPRESS_MAX)
        flags |= GPGME_ENCRYPT_NO_COMPRESS;
    if (e == 0 && params->signer != NULL)
        e = gpgme_op_encrypt_sign_ext(p->ctx, NULL, recipients, (gpgme_encrypt_flags_t)flags, plain,
                                      armor);
    else if (e == 0)
        e = gpgme_op_encrypt_ext(p->ctx, NULL, recipients, (gpgme_encrypt_flags_t)flags, plain,
                                 armor);
    gpgme_data_release(plain);
    gpgme_data_release(armor);
    if (e != 0 || run->rc != SP_OK)
        return explain(p, e, run, err);
    return SP_OK;
}

enum sp_rc sp_pgp_seal(struct sp_pgp *p, const struct sp_pgp_params *params,
                       struct sp_seal_entity *entity, struct sp_seal_sink out, struct sp_err *err)
{
    struct run run = {entity, {out, false}, SP_OK};
    char boundary[SP_SEAL_BOUNDARY_LEN];
    struct sp_buf recipients;
    enum sp_rc rc;

    if (params->key_count == 0 || params->key_count > SP_PGP_RECIPIENTS_MAX)
        return sp_fail(err, SP_E_KEYS_NONE, "no recipients, or too many");
    rc = choose_signer(p, params->signer, err);
    if (rc != SP_OK)
        return rc;
    sp_buf_init(&recipients, 16384);
    sp_seal_boundary(boundary);
    sp_seal_entity_rewind(entity);
    rc = hand_over_keys(p, params, &recipients, err);
    if (rc == SP_OK) {
        rc = write_head(&out, entity, boundary);
        if (rc != SP_OK)
            sp_fail(err, rc, "can't write the header");
    }
    if (rc == SP_OK)
        rc = run_gpg(p, params, (const char *)recipients.ptr, &run, err);
    if (rc == SP_OK) {
        rc = write_tail(&out, boundary);
        if (rc != SP_OK)
            sp_fail(err, rc, "can't write the end");
    }
    drop_keys(p, params->key_count);
    sp_buf_clear(&recipients);
    return rc;
}
