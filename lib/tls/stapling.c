/*
 * Staples that a server shows (RFC 6066 8). A responder is not asked here: the response comes as a file that somebody else
 * refreshes, so nothing in it is believed before it has been looked at as a client would (RFC 6960 3.2): it answers, its
 * certificate id is that of our leaf, the leaf's authority or a responder of its has signed it, and it says "good". Its times
 * are asked each time, since the file may not be refreshed: a client takes an old staple worse than none.
 */
#include "tls/tls_priv.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>

#define SKEW_MS 300000 /* a response that begins in our near future is one of another clock */

/* returns: the certificate of the chain that has signed the leaf, lent; NULL if it is not there */
static X509 *authority_of(const struct identity *i)
{
    for (int k = 0; k < sk_X509_num(i->chain); k++) {
        if (X509_check_issued(sk_X509_value(i->chain, k), i->leaf) == X509_V_OK)
            return sk_X509_value(i->chain, k);
    }
    return NULL;
}

/* returns: whether the authority, or who it has authorised for that, has signed the response */
static bool is_signed(OCSP_BASICRESP *basic, const struct identity *i, X509 *authority)
{
    X509_STORE *trust = X509_STORE_new();
    bool ok;

    sp_assert(trust != NULL);
    ok = X509_STORE_add_cert(trust, authority) == 1 &&
         X509_STORE_set_flags(trust, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
         OCSP_basic_verify(basic, i->chain, trust, 0) == 1;
    X509_STORE_free(trust);
    return ok;
}

/* Finds what the response says of the leaf and keeps its times. returns: NULL, or what is wrong */
static const char *take_status(OCSP_BASICRESP *basic, struct identity *i, const X509 *authority)
{
    const EVP_MD *const digests[] = {EVP_sha1(), EVP_sha256()};
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    int status = -1;

    for (size_t k = 0; k < SP_ARRAY_LEN(digests) && status == -1; k++) {
        OCSP_CERTID *id = OCSP_cert_to_id(digests[k], i->leaf, authority);

        if (id == NULL || OCSP_resp_find_status(basic, id, &status, NULL, NULL, &from, &until) != 1)
            status = -1;
        OCSP_CERTID_free(id);
    }
    if (status == -1)
        return "it is about another certificate";
    if (status == V_OCSP_CERTSTATUS_REVOKED)
        return "the certificate is revoked";
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return "the authority does not know the certificate";
    if (from == NULL || until == NULL)
        return "it does not say how long it holds";
    i->staple_from_ms = sp_tls_time_ms(from);
    i->staple_until_ms = sp_tls_time_ms(until);
    return NULL;
}

static const char *check(OCSP_RESPONSE *outer, struct identity *i)
{
    X509 *authority = authority_of(i);
    OCSP_BASICRESP *basic;
    const char *why = NULL;

    if (outer == NULL)
        return "it is no OCSP response (DER)";
    if (OCSP_response_status(outer) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return "the responder has answered with an error";
    if (authority == NULL)
        return "the certificate's file does not hold the authority that signed it";
    basic = OCSP_response_get1_basic(outer);
    if (basic == NULL)
        return "its kind is not known";
    if (!is_signed(basic, i, authority))
        why = "the certificate's authority has not signed it";
    else
        why = take_status(basic, i, authority);
    OCSP_BASICRESP_free(basic);
    return why;
}

const char *sp_tls_stapling_take(struct identity *i, struct sp_bytes der)
{
    const unsigned char *at = der.ptr;
    OCSP_RESPONSE *outer = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
    const char *why = check(outer, i);

    OCSP_RESPONSE_free(outer);
    ERR_clear_error();
    if (why != NULL)
        return why;
    i->staple = sp_malloc(der.len);
    memcpy(i->staple, der.ptr, der.len);
    i->staple_len = der.len;
    return NULL;
}

static const struct identity *find(const struct sp_tls_server *server, const X509 *leaf)
{
    for (size_t i = 0; i < server->count; i++) {
        if (server->identities[i].leaf == leaf)
            return &server->identities[i];
    }
    return NULL;
}

/* The client has asked, and the certificate is chosen. */
static int on_asked(SSL *ssl, void *arg)
{
    const struct sp_tls_context *context = arg;
    const struct identity *i = find(context->server, SSL_get_certificate(ssl));
    const struct session *s = SSL_get_app_data(ssl);
    int64_t now_ms = sp_tls_session_now_ms(s);
    unsigned char *copy;

    if (i == NULL || i->staple == NULL || now_ms < i->staple_from_ms - SKEW_MS ||
        now_ms >= i->staple_until_ms)
        return SSL_TLSEXT_ERR_NOACK;
    copy = OPENSSL_memdup(i->staple, i->staple_len);
    if (copy == NULL || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)i->staple_len) != 1) {
        OPENSSL_free(copy);
        return SSL_TLSEXT_ERR_NOACK;
    }
    return SSL_TLSEXT_ERR_OK;
}

void sp_tls_stapling_use(struct sp_tls_context *context)
{
    SSL_CTX_set_tlsext_status_cb(context->ctx, on_asked);
    SSL_CTX_set_tlsext_status_arg(context->ctx, context);
}
