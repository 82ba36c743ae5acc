/*
 * A whole message in one pass: the entity's bytes go through the signature's digest and into the envelope at once, since
 * multipart/signed puts the signature last (RFC 8551 3.5.3.2). The MIME frame is written here: a few constant lines.
 */
#include "smime/smime_priv.h"

#define PIECE         (64U * 1024U)
#define SIGNATURE_MAX (256U * 1024U)

/* Header, MIME fields, empty line. */
static enum sp_rc write_header(const struct sp_seal_entity *entity, bool gcm,
                               const struct sp_seal_sink *out)
{
    enum sp_rc rc = sp_seal_write(out, sp_seal_entity_outer(entity));

    if (rc == SP_OK)
        rc = sp_seal_write(out, SP_LIT("MIME-Version: 1.0\r\n"
                                       "Content-Type: application/pkcs7-mime;\r\n"));
    if (rc == SP_OK)
        rc = sp_seal_write(out, gcm ? SP_LIT("\tsmime-type=authEnveloped-data;")
                                    : SP_LIT("\tsmime-type=enveloped-data;"));
    if (rc == SP_OK)
        rc = sp_seal_write(out, SP_LIT(" name=\"smime.p7m\"\r\n"
                                       "Content-Transfer-Encoding: base64\r\n"
                                       "Content-Disposition: attachment; filename=\"smime.p7m\"\r\n"
                                       "Content-Description: S/MIME Encrypted Message\r\n\r\n"));
    return rc;
}

/* The entity's bytes into the envelope and, if there is one, through the signature. */
static enum sp_rc pump(struct sp_seal_entity *entity, struct sp_smime_signature *signature,
                       struct sp_smime_envelope *envelope, struct sp_err *err)
{
    uint8_t *piece = sp_malloc(PIECE);
    enum sp_rc rc = SP_OK;
    size_t got = 1;

    while (rc == SP_OK && got > 0) {
        rc = sp_seal_entity_read(entity, piece, PIECE, &got);
        if (rc != SP_OK) {
            sp_fail(err, rc, "can't read the message");
            break;
        }
        if (signature != NULL)
            rc = sp_smime_signature_feed(signature, sp_bytes(piece, got), err);
        if (rc == SP_OK)
            rc = sp_smime_envelope_feed(envelope, sp_bytes(piece, got), err);
    }
    sp_wipe(piece, PIECE);
    sp_free(piece);
    return rc;
}

static enum sp_rc feed_line(struct sp_smime_envelope *envelope, struct sp_buf *line,
                            struct sp_err *err)
{
    enum sp_rc rc = sp_smime_envelope_feed(envelope, sp_buf_bytes(line), err);

    sp_buf_reset(line);
    return rc;
}

struct into {
    struct sp_smime_envelope *envelope;
    struct sp_err *err;
};

static enum sp_rc write_into(void *ctx, struct sp_bytes data)
{
    struct into *into = ctx;

    return sp_smime_envelope_feed(into->envelope, data, into->err);
}

/* The second part: the signature in base 64. */
static enum sp_rc feed_signature(struct sp_smime_signature *signature,
                                 struct sp_smime_envelope *envelope, struct sp_err *err)
{
    struct into into = {envelope, err};
    struct sp_seal_base64 *lines = sp_malloc(sizeof(*lines));
    struct sp_buf der;
    enum sp_rc rc;

    sp_buf_init(&der, SIGNATURE_MAX);
    sp_seal_base64_init(lines, (struct sp_seal_sink){write_into, &into});
    rc = sp_smime_signature_finish(signature, &der, err);
    if (rc == SP_OK)
        rc = sp_seal_base64_feed(lines, sp_buf_bytes(&der));
    if (rc == SP_OK)
        rc = sp_seal_base64_finish(lines);
    sp_buf_clear(&der);
    sp_free(lines);
    return rc;
}

static enum sp_rc feed_signed(const struct sp_smime_params *params, struct sp_seal_entity *entity,
                              struct sp_smime_envelope *envelope, struct sp_err *err)
{
    SP_AUTO(sp_smime_signature) signature = NULL;
    enum sp_rc rc = sp_smime_signature_new(params->signer, params->now_ms, &signature, err);
    char boundary[SP_SEAL_BOUNDARY_LEN];
    struct sp_buf line;

    if (rc != SP_OK)
        return rc;
    sp_buf_init(&line, 1024);
    sp_seal_boundary(boundary);
    sp_buf_printf(&line,
                  "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n"
                  "\tmicalg=sha-256; boundary=\"%s\"\r\n\r\n--%s\r\n",
                  boundary, boundary);
    rc = feed_line(envelope, &line, err);
    if (rc == SP_OK)
        rc = pump(entity, signature, envelope, err);
    sp_buf_printf(&line,
                  "\r\n--%s\r\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n"
                  "Content-Transfer-Encoding: base64\r\n"
                  "Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n",
                  boundary);
    if (rc == SP_OK)
        rc = feed_line(envelope, &line, err);
    if (rc == SP_OK)
        rc = feed_signature(signature, envelope, err);
    sp_buf_reset(&line);
    sp_buf_printf(&line, "\r\n--%s--\r\n", boundary);
    if (rc == SP_OK)
        rc = feed_line(envelope, &line, err);
    sp_buf_clear(&line);
    return rc;
}

enum sp_rc sp_smime_seal(const struct sp_smime_params *params, struct sp_seal_entity *entity,
                         struct sp_seal_sink out, struct sp_smime_facts *facts, struct sp_err *err)
{
    SP_AUTO(sp_smime_envelope) envelope = NULL;
    enum sp_rc rc = SP_OK;

    if (params->recipient_count == 0 || params->recipient_count > SP_SMIME_RECIPIENTS_MAX)
        return sp_fail(err, SP_E_KEYS_NONE, "no recipients, or too many");
    if (params->signer != NULL)
        rc = sp_smime_check_time(params->signer->certificate, params->now_ms, err);
    if (rc == SP_OK)
        rc = sp_smime_envelope_new(params, out, &envelope, err);
    if (rc != SP_OK)
        return rc;
    sp_seal_entity_rewind(entity);
    rc = write_header(entity, sp_smime_envelope_is_gcm(envelope), &out);
    if (rc != SP_OK)
        return sp_fail(err, rc, "can't write the header");
    rc = sp_smime_envelope_start(envelope, err);
    if (rc == SP_OK)
        rc = params->signer != NULL ? feed_signed(params, entity, envelope, err)
                                    : pump(entity, NULL, envelope, err);
    if (rc == SP_OK)
        rc = sp_smime_envelope_finish(envelope, err);
    if (rc != SP_OK)
        return rc;
    sp_smime_envelope_facts(envelope, facts);
    facts->digest = params->signer == NULL ? NULL : "sha-256";
    return SP_OK;
}
