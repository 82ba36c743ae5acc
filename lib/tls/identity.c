/*
 * A server's certificates. Those that are shown to everybody lie in OpenSSL's context, one of each kind of key, and the
 * client's signature algorithms choose among them. Who asks by SNI for a name that another certificate has gets those that
 * have it instead, put into the session before OpenSSL chooses. The names are read out once: they are searched from end to
 * end at each such handshake, which for a gateway's few certificates costs less than the handshake's first hash. A name
 * that nobody has is no error (RFC 6066 3 allows both): mail servers ask for whatever their MX record said.
 */
#include "tls/tls_priv.h"

#include "base/text.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define NAME_LEN_MAX   255
#define CHAIN_MAX      16
#define NAMES_MAX      1000 /* of one certificate */
#define KEY_BITS_LEAST 112  /* of security: SP 800-52r2 3.2 */

static enum sp_rc read_chain(struct identity *out, BIO *bio, struct sp_err *err)
{
    X509 *next;

    out->leaf = PEM_read_bio_X509_AUX(bio, NULL, sp_tls_no_password, NULL);
    if (out->leaf == NULL)
        return sp_tls_fail(err, SP_E_TLS_CONFIG, "certificate");
    out->chain = sk_X509_new_null();
    while ((next = PEM_read_bio_X509(bio, NULL, sp_tls_no_password, NULL)) != NULL) {
        if (sk_X509_num(out->chain) >= CHAIN_MAX || sk_X509_push(out->chain, next) <= 0) {
            X509_free(next);
            return sp_fail(err, SP_E_TLS_CONFIG, "certificate: more than %d in its chain",
                           CHAIN_MAX);
        }
    }
    ERR_clear_error(); /* the end of the file is an error to the PEM reader */
    return SP_OK;
}

static char *small_letters(const ASN1_STRING *name)
{
    const unsigned char *text = ASN1_STRING_get0_data(name);
    size_t len = (size_t)ASN1_STRING_length(name);
    char *out;

    if (len == 0 || len > NAME_LEN_MAX || memchr(text, 0, len) != NULL)
        return NULL;
    out = sp_strdup_bytes(sp_bytes(text, len));
    for (size_t i = 0; i < len; i++)
        out[i] = (char)sp_ascii_lower((uint8_t)out[i]);
    return out;
}

static void read_names(struct identity *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(out->leaf, NID_subject_alt_name, NULL, NULL);
    int count = sk_GENERAL_NAME_num(names);

    out->names = sp_calloc(NAMES_MAX, sizeof(*out->names));
    for (int i = 0; i < count && out->name_count < NAMES_MAX; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char *text = name->type == GEN_DNS ? small_letters(name->d.dNSName) : NULL;

        if (text != NULL)
            out->names[out->name_count++] = text;
    }
    GENERAL_NAMES_free(names);
}

enum sp_rc sp_tls_identity_read(const struct sp_tls_identity *in, struct identity *out,
                                struct sp_err *err)
{
    BIO *certificate = sp_tls_pem_reader(in->certificate_pem);
    BIO *key = sp_tls_pem_reader(in->key_pem);
    enum sp_rc rc = SP_OK;

    out->key = PEM_read_bio_PrivateKey(key, NULL, sp_tls_no_password, NULL);
    if (out->key == NULL)
        rc = sp_tls_fail(err, SP_E_TLS_CONFIG, "private key");
    else
        rc = read_chain(out, certificate, err);
    if (rc == SP_OK && X509_check_private_key(out->leaf, out->key) != 1)
        rc = sp_tls_fail(err, SP_E_TLS_CONFIG, "private key does not belong to the certificate");
    if (rc == SP_OK && EVP_PKEY_get_security_bits(out->key) < KEY_BITS_LEAST)
        rc = sp_fail(err, SP_E_TLS_CONFIG, "private key is too weak");
    if (rc == SP_OK)
        read_names(out);
    BIO_free(certificate);
    BIO_free(key);
    return rc;
}

void sp_tls_identity_clear(struct identity *i)
{
    X509_free(i->leaf);
    EVP_PKEY_free(i->key);
    sk_X509_pop_free(i->chain, X509_free);
    for (size_t k = 0; k < i->name_count; k++)
        sp_free(i->names[k]);
    sp_free(i->names);
    sp_free(i->staple);
    *i = (struct identity){0};
}

/* ---- by name ---- */

/* name: of the client, in small letters. pattern: of a certificate; its star stands for one whole label (RFC 6125 6.4.3) */
static bool covers(const char *pattern, const char *name)
{
    const char *rest = strchr(name, '.');

    if (pattern[0] == '*' && pattern[1] == '.')
        return rest != NULL && rest != name && strcmp(pattern + 1, rest) == 0;
    return strcmp(pattern, name) == 0;
}

static bool has_name(const struct identity *i, const char *name)
{
    for (size_t k = 0; k < i->name_count; k++) {
        if (covers(i->names[k], name))
            return true;
    }
    return false;
}

/* Takes i if no other with such a key was taken. */
static bool take_kind(const struct sp_tls_server *server, uint64_t taken, size_t i)
{
    int kind = EVP_PKEY_get_base_id(server->identities[i].key);

    for (size_t k = 0; k < server->count; k++) {
        if ((taken & 1ULL << k) != 0 && EVP_PKEY_get_base_id(server->identities[k].key) == kind)
            return false;
    }
    return true;
}

static uint64_t those_of(const struct sp_tls_server *server, const char *name)
{
    uint64_t taken = 0;

    for (size_t i = 0; i < server->count; i++) {
        if (has_name(&server->identities[i], name) && take_kind(server, taken, i))
            taken |= 1ULL << i;
    }
    return taken;
}

/* The first, and what has one of its names and another kind of key. */
static uint64_t usual_of(const struct sp_tls_server *server)
{
    const struct identity *first = &server->identities[0];
    uint64_t taken = 1;

    for (size_t k = 0; k < first->name_count; k++) {
        for (size_t i = 1; i < server->count; i++) {
            if (has_name(&server->identities[i], first->names[k]) && take_kind(server, taken, i))
                taken |= 1ULL << i;
        }
    }
    return taken;
}

static bool fold(const char *from, char out[NAME_LEN_MAX + 1])
{
    size_t len = from == NULL ? 0 : strlen(from);

    if (len > 0 && from[len - 1] == '.')
        len--;
    if (len == 0 || len > NAME_LEN_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)sp_ascii_lower((uint8_t)from[i]);
    out[len] = '\0';
    return true;
}

/* OpenSSL asks before it chooses a certificate; returns: 0 ends the handshake */
static int on_choose(SSL *ssl, void *arg)
{
    const struct sp_tls_server *server = ((const struct sp_tls_context *)arg)->server;
    char name[NAME_LEN_MAX + 1];
    uint64_t wanted;

    if (!fold(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), name))
        return 1;
    wanted = those_of(server, name);
    if (wanted == 0 || wanted == server->usual)
        return 1;
    SSL_certs_clear(ssl);
    for (size_t i = 0; i < server->count; i++) {
        const struct identity *one = &server->identities[i];

        if ((wanted & 1ULL << i) != 0 &&
            SSL_use_cert_and_key(ssl, one->leaf, one->key, one->chain, 1) != 1)
            return 0;
    }
    return 1;
}

enum sp_rc sp_tls_identities_use(struct sp_tls_context *context, struct sp_err *err)
{
    struct sp_tls_server *server = context->server;
    SSL *trial = SSL_new(context->ctx);
    enum sp_rc rc = SP_OK;

    sp_assert(trial != NULL);
    for (size_t i = 0; i < server->count && rc == SP_OK; i++) {
        const struct identity *one = &server->identities[i];

        if (SSL_use_cert_and_key(trial, one->leaf, one->key, one->chain, 1) != 1)
            rc = sp_tls_fail(err, SP_E_TLS_CONFIG, "certificate");
    }
    SSL_free(trial);
    server->usual = usual_of(server);
    for (size_t i = 0; i < server->count && rc == SP_OK; i++) {
        const struct identity *one = &server->identities[i];

        if ((server->usual & 1ULL << i) != 0 &&
            SSL_CTX_use_cert_and_key(context->ctx, one->leaf, one->key, one->chain, 1) != 1)
            rc = sp_tls_fail(err, SP_E_TLS_CONFIG, "certificate");
    }
    if (server->count > 1)
        SSL_CTX_set_cert_cb(context->ctx, on_choose, context);
    return rc;
}
