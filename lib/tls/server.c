/*
 * Contexts of servers. Their suites are narrower than a client's: who sends mail to us speaks AES-GCM behind an ephemeral
 * curve, while a next hop may be older than that. Where OpenSSL has X25519MLKEM768, it is offered before the others: what is
 * recorded today is not to be read by tomorrow's machines, and a client that does not know it loses nothing.
 */
#include "tls/tls_priv.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* SP 800-52r2 3.3.1.1, those with forward secrecy and GCM */
#define SUITES                                                                                     \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"

#define GROUPS              "P-256:X25519:P-384:P-521"
#define GROUPS_POST_QUANTUM "X25519MLKEM768:" GROUPS

/* FIPS 186-5's, over SHA-2 */
#define SIGNATURES                                                                                 \
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:"                                              \
    "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"                                 \
    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"                                    \
    "RSA+SHA256:RSA+SHA384:RSA+SHA512"

/* The handshake goes on; the result of the verification stays in the session. */
static int go_on(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 1;
}

static void set_algorithms(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    sp_assert(SSL_CTX_set_cipher_list(ctx, SUITES) == 1);
    sp_assert(SSL_CTX_set1_sigalgs_list(ctx, SIGNATURES) == 1);
    if (SSL_CTX_set1_groups_list(ctx, GROUPS_POST_QUANTUM) == 1)
        return;
    ERR_clear_error(); /* older than OpenSSL 3.5 */
    sp_assert(SSL_CTX_set1_groups_list(ctx, GROUPS) == 1);
}

static enum sp_rc set_client_trust(SSL_CTX *ctx, const struct sp_tls_server_config *config,
                                   struct sp_err *err)
{
    if (!config->ask_client_certificate)
        return SP_OK;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, go_on);
    /* public CAs cease to put clientAuth into certificates; session.c looks at the usages itself */
    if (X509_VERIFY_PARAM_set_purpose(SSL_CTX_get0_param(ctx), X509_PURPOSE_ANY) != 1)
        return sp_tls_fail(err, SP_E_TLS_CONFIG, "purpose of client certificates");
    if (config->client_ca_pem.len == 0) {
        if (SSL_CTX_set_default_verify_paths(ctx) != 1)
            return sp_tls_fail(err, SP_E_TLS_CONFIG, "system trust");
    } else if (sp_tls_add_trust(ctx, config->client_ca_pem) == 0) {
        return sp_fail(err, SP_E_TLS_CONFIG, "no certificate in the CAs for client certificates");
    }
    return SP_OK;
}

/* Reads number i of the certificates; its staple may be no good, that is told and no error. */
static enum sp_rc add_identity(struct sp_tls_server *server,
                               const struct sp_tls_server_config *config, size_t i,
                               struct sp_err *err)
{
    const struct sp_tls_identity *in = i == 0 ? &config->identity : &config->more[i - 1];
    struct identity *one = &server->identities[server->count++];
    struct sp_err inner;
    enum sp_rc rc = sp_tls_identity_read(in, one, &inner);
    const char *why;

    if (rc != SP_OK && i == 0)
        return sp_fail(err, rc, "%s", inner.text);
    if (rc != SP_OK)
        return sp_fail(err, rc, "certificate %zu of tls.certificates: %s", i, inner.text);
    why = in->staple.len == 0 ? NULL : sp_tls_stapling_take(one, in->staple);
    if (why != NULL && config->unstapled != NULL)
        config->unstapled(config->arg, i, why);
    return SP_OK;
}

void sp_tls_server_free(struct sp_tls_server *server)
{
    if (server == NULL)
        return;
    for (size_t i = 0; i < server->count; i++)
        sp_tls_identity_clear(&server->identities[i]);
    sp_free(server->identities);
    sp_wipe(server->ticket_keys, sizeof(server->ticket_keys));
    sp_free(server);
}

static enum sp_rc fill(struct sp_tls_context *context, const struct sp_tls_server_config *config,
                       struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    if (config->more_count >= SP_TLS_IDENTITIES_MAX)
        return sp_fail(err, SP_E_TLS_CONFIG, "more than %d certificates", SP_TLS_IDENTITIES_MAX);
    context->server->identities =
        sp_calloc(config->more_count + 1, sizeof(*context->server->identities));
    for (size_t i = 0; i <= config->more_count && rc == SP_OK; i++)
        rc = add_identity(context->server, config, i, err);
    if (rc == SP_OK)
        rc = sp_tls_identities_use(context, err);
    if (rc == SP_OK)
        rc = sp_tls_tickets_use(context, config->ticket_keys, config->client_ca_pem, err);
    if (rc == SP_OK)
        rc = set_client_trust(context->ctx, config, err);
    return rc;
}

struct sp_tls_context *sp_tls_server_new(const struct sp_tls_server_config *config,
                                         struct sp_err *err)
{
    struct sp_tls_context *context = sp_tls_context_new(sp_tls_ctx_new(TLS_server_method()));

    context->server = sp_calloc(1, sizeof(*context->server));
    set_algorithms(context->ctx);
    sp_tls_stapling_use(context);
    if (fill(context, config, err) != SP_OK) {
        sp_tls_context_unref(context);
        return NULL;
    }
    return context;
}
