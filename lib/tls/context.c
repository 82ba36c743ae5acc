/*
 * Contexts. Suites and versions are NIST SP 800-52r2's: TLS 1.2 and 1.3, AES-GCM (and for old 1.2 peers AES-CBC with
 * SHA-2) behind ephemeral keys. X25519 is offered behind P-256: approved since SP 800-186, and peers of old have only one
 * of the two. No handshake fails for a certificate; session.c turns what was seen into a proof.
 */
#include "tls/tls_priv.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#define SUITES_13 "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"
#define SUITES_12                                                                                  \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:"                                         \
    "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"                                           \
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"

#define GROUPS "P-256:X25519:P-384:P-521"

#define VERIFY_DEPTH 8

enum sp_rc sp_tls_fail(struct sp_err *err, enum sp_rc rc, const char *what)
{
    char text[200] = "";
    unsigned long code = ERR_peek_last_error();

    if (code != 0)
        ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return sp_fail(err, rc, "%s%s%s", what, code == 0 ? "" : ": ", text);
}

BIO *sp_tls_pem_reader(struct sp_bytes pem)
{
    return BIO_new_mem_buf(pem.ptr, (int)pem.len);
}

int sp_tls_no_password(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

int sp_tls_add_trust(SSL_CTX *ctx, struct sp_bytes pem)
{
    BIO *bio = sp_tls_pem_reader(pem);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509 *certificate;
    int count = 0;

    while ((certificate = PEM_read_bio_X509_AUX(bio, NULL, sp_tls_no_password, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, certificate);
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error();
    return count;
}

static bool use_chain(SSL_CTX *ctx, BIO *bio)
{
    X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, sp_tls_no_password, NULL);
    bool ok = certificate != NULL && SSL_CTX_use_certificate(ctx, certificate) == 1;

    X509_free(certificate);
    while (ok && (certificate = PEM_read_bio_X509(bio, NULL, sp_tls_no_password, NULL)) != NULL) {
        ok = SSL_CTX_add0_chain_cert(ctx, certificate) == 1;
        if (!ok)
            X509_free(certificate);
    }
    if (ok)
        ERR_clear_error(); /* the end of the file is an error to the PEM reader */
    return ok;
}

static enum sp_rc use_identity(SSL_CTX *ctx, struct sp_bytes certificate, struct sp_bytes key,
                               struct sp_err *err)
{
    BIO *chain = sp_tls_pem_reader(certificate), *secret = sp_tls_pem_reader(key);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(secret, NULL, sp_tls_no_password, NULL);
    enum sp_rc rc = SP_OK;

    if (pkey == NULL)
        rc = sp_tls_fail(err, SP_E_TLS_CONFIG, "private key");
    else if (!use_chain(ctx, chain))
        rc = sp_tls_fail(err, SP_E_TLS_CONFIG, "certificate");
    else if (SSL_CTX_use_PrivateKey(ctx, pkey) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        rc = sp_tls_fail(err, SP_E_TLS_CONFIG, "private key does not belong to the certificate");
    EVP_PKEY_free(pkey);
    BIO_free(chain);
    BIO_free(secret);
    return rc;
}

SSL_CTX *sp_tls_ctx_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    sp_assert(ctx != NULL);
    SSL_CTX_set_security_level(ctx, SP_TLS_SECURITY_LEVEL);
    sp_assert(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    sp_assert(SSL_CTX_set_ciphersuites(ctx, SUITES_13) == 1);
    sp_assert(SSL_CTX_set_cipher_list(ctx, SUITES_12) == 1);
    sp_assert(SSL_CTX_set1_groups_list(ctx, GROUPS) == 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* mail servers close without an alert; SMTP and HTTP know their ends by themselves */
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify_depth(ctx, VERIFY_DEPTH);
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_read_ahead(ctx, 1); /* one read a record, not one for its header too */
    return ctx;
}

struct sp_tls_context *sp_tls_context_new(SSL_CTX *ctx)
{
    struct sp_tls_context *context = sp_calloc(1, sizeof(*context));

    context->ctx = ctx;
    context->refs = 1;
    return context;
}

static uint64_t stamp_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return 0;
    return (uint64_t)st.st_ino * 31 + (uint64_t)st.st_size * 1000003 +
           (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
}

uint64_t sp_tls_system_trust_stamp(void)
{
    return stamp_of(X509_get_default_cert_file()) * 31 + stamp_of(X509_get_default_cert_dir());
}

static enum sp_rc set_server_trust(SSL_CTX *ctx, const struct sp_tls_client_config *config,
                                   struct sp_err *err)
{
    if (config->system_trust && SSL_CTX_set_default_verify_paths(ctx) != 1)
        return sp_tls_fail(err, SP_E_TLS_CONFIG, "system trust");
    if (config->extra_ca_pem.len > 0 && sp_tls_add_trust(ctx, config->extra_ca_pem) == 0)
        return sp_fail(err, SP_E_TLS_CONFIG, "no certificate in the extra CAs");
    if (config->certificate_pem.len > 0)
        return use_identity(ctx, config->certificate_pem, config->key_pem, err);
    return SP_OK;
}

struct sp_tls_context *sp_tls_client_new(const struct sp_tls_client_config *config,
                                         struct sp_err *err)
{
    SSL_CTX *ctx = sp_tls_ctx_new(TLS_client_method());
    struct sp_tls_context *context;

    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_dane_enable(ctx) != 1) {
        sp_tls_fail(err, SP_E_TLS_CONFIG, "DANE");
        SSL_CTX_free(ctx);
        return NULL;
    }
    if (set_server_trust(ctx, config, err) != SP_OK) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, sp_tls_session_new_ticket);
    context = sp_tls_context_new(ctx);
    context->cache = sp_tls_cache_new();
    return context;
}

struct sp_tls_context *sp_tls_context_ref(struct sp_tls_context *context)
{
    context->refs++;
    return context;
}

void sp_tls_context_unref(struct sp_tls_context *context)
{
    if (context == NULL || --context->refs > 0)
        return;
    sp_tls_cache_free(context->cache);
    sp_tls_server_free(context->server);
    SSL_CTX_free(context->ctx);
    sp_free(context);
}
