/*
 * Session tickets (RFC 5077 4) under keys that several processes share: the newest makes tickets, the others still open
 * those that they made, and a session that comes with one of these gets a new ticket. Keys are handed in from outside and
 * live in memory alone, so what was recorded under a key that has been rotated away stays closed for ever.
 */
#include "crypt/hash.h"
#include "tls/tls_priv.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>

#define NAME_LEN 16
#define HALF_LEN 32 /* of the key: for the MAC, then for AES-256 */

enum { REFUSED = 0, DONE = 1, DONE_AND_RENEW = 2, FAILED = -1 };

static bool set_mac(EVP_MAC_CTX *mac, uint8_t *key)
{
    static char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key + NAME_LEN, HALF_LEN),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int make(uint8_t *key, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac)
{
    const EVP_CIPHER *aes = EVP_aes_256_cbc();

    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) != 1 ||
        EVP_EncryptInit_ex(cipher, aes, NULL, key + NAME_LEN + HALF_LEN, iv) != 1 ||
        !set_mac(mac, key))
        return FAILED;
    memcpy(name, key, NAME_LEN);
    return DONE;
}

static int open_by(uint8_t *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    if (!set_mac(mac, key) ||
        EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + NAME_LEN + HALF_LEN, iv) != 1)
        return FAILED;
    return DONE;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_new)
{
    const struct session *s = SSL_get_app_data(ssl);
    struct sp_tls_server *server = s->context->server;

    if (is_new)
        return make(server->ticket_keys[0], name, iv, cipher, mac);
    for (size_t i = 0; i < server->ticket_key_count; i++) {
        int done;

        if (memcmp(name, server->ticket_keys[i], NAME_LEN) != 0)
            continue;
        done = open_by(server->ticket_keys[i], iv, cipher, mac);
        return done == DONE && i > 0 ? DONE_AND_RENEW : done;
    }
    return REFUSED; /* a full handshake follows */
}

/*
 * A ticket says that its client showed a certificate that was trusted then. It is good only where the same is trusted: the
 * context of sessions is a digest of it, and another one makes a full handshake.
 */
static bool bind_to_trust(SSL_CTX *ctx, struct sp_bytes client_ca_pem)
{
    uint8_t digest[SP_SHA256_LEN];

    sp_crypt_sha256_both(SP_LIT("sallyport session 1"), client_ca_pem, digest);
    return SSL_CTX_set_session_id_context(ctx, digest, sizeof(digest)) == 1;
}

enum sp_rc sp_tls_tickets_use(struct sp_tls_context *context, struct sp_bytes keys,
                              struct sp_bytes client_ca_pem, struct sp_err *err)
{
    struct sp_tls_server *server = context->server;

    SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context->ctx, 1);
    if (!bind_to_trust(context->ctx, client_ca_pem))
        return sp_tls_fail(err, SP_E_TLS_CONFIG, "session id context");
    if (keys.len % SP_TLS_TICKET_KEY_LEN != 0 || keys.len > sizeof(server->ticket_keys))
        return sp_fail(err, SP_E_TLS_CONFIG, "ticket keys have %zu bytes, not up to %d times %d",
                       keys.len, SP_TLS_TICKET_KEYS_MAX, SP_TLS_TICKET_KEY_LEN);
    server->ticket_key_count = keys.len / SP_TLS_TICKET_KEY_LEN;
    if (keys.len > 0)
        memcpy(server->ticket_keys, keys.ptr, keys.len);
    else if (RAND_bytes(server->ticket_keys[0], SP_TLS_TICKET_KEY_LEN) == 1)
        server->ticket_key_count = 1;
    else
        return sp_tls_fail(err, SP_E_TLS_CONFIG, "ticket key");
    if (SSL_CTX_set_tlsext_ticket_key_evp_cb(context->ctx, on_ticket) != 1)
        return sp_tls_fail(err, SP_E_TLS_CONFIG, "ticket keys");
    return SP_OK;
}
