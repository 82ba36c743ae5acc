/*
 * OCSP staples of servers (RFC 6066 8). A certificate that says must-staple (RFC 7633) proves nothing without a good and
 * fresh one: whoever stole its key and was found out can't show it. Of other certificates a staple is believed when it says
 * that they are revoked; its absence means nothing, and nobody is asked over the network.
 */
#include "tls/tls_priv.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#define STATUS_REQUEST 5   /* of TLS extensions: what must-staple asks for */
#define SKEW_S         300 /* between our clock and the responder's */

static bool must_staple(X509 *leaf)
{
    TLS_FEATURE *features = X509_get_ext_d2i(leaf, NID_tlsfeature, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++)
        found = found || ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == STATUS_REQUEST;
    TLS_FEATURE_free(features);
    return found;
}

/* owner: the caller. returns: the certificate that signed leaf, or NULL */
static X509 *issuer_of(X509 *leaf, STACK_OF(X509) * chain, X509_STORE *trust)
{
    X509_STORE_CTX *store;
    X509 *issuer = NULL;

    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *one = sk_X509_value(chain, i);

        if (X509_check_issued(one, leaf) == X509_V_OK && X509_up_ref(one) == 1)
            return one;
    }
    store = X509_STORE_CTX_new();
    if (store != NULL && X509_STORE_CTX_init(store, trust, leaf, chain) == 1 &&
        X509_STORE_CTX_get1_issuer(&issuer, store, leaf) != 1)
        issuer = NULL;
    X509_STORE_CTX_free(store);
    return issuer;
}

/* The status that a response gives of the leaf, if it is of now. returns: V_OCSP_CERTSTATUS_*, or -1 */
static int status_of(OCSP_BASICRESP *response, X509 *leaf, X509 *issuer)
{
    const EVP_MD *const digests[] = {EVP_sha1(), EVP_sha256()};

    for (size_t i = 0; i < SP_ARRAY_LEN(digests); i++) {
        OCSP_CERTID *id = OCSP_cert_to_id(digests[i], leaf, issuer);
        ASN1_GENERALIZEDTIME *from;
        ASN1_GENERALIZEDTIME *to;
        int status;
        bool found =
            id != NULL && OCSP_resp_find_status(response, id, &status, NULL, NULL, &from, &to) == 1;

        OCSP_CERTID_free(id);
        if (found)
            return OCSP_check_validity(from, to, SKEW_S, -1) == 1 ? status : -1;
    }
    return -1;
}

/* returns: as status_of, of a response that the leaf's authority has signed */
static int read_staple(const struct session *s, X509 *leaf)
{
    X509_STORE *trust = SSL_CTX_get_cert_store(s->context->ctx);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(s->ssl);
    const unsigned char *der = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(s->ssl, &der);
    OCSP_RESPONSE *outer = len <= 0 ? NULL : d2i_OCSP_RESPONSE(NULL, &der, len);
    OCSP_BASICRESP *basic = NULL;
    X509 *issuer = issuer_of(leaf, chain, trust);
    int status = -1;

    if (outer != NULL && OCSP_response_status(outer) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        basic = OCSP_response_get1_basic(outer);
    if (basic != NULL && issuer != NULL && OCSP_basic_verify(basic, chain, trust, 0) == 1)
        status = status_of(basic, leaf, issuer);
    X509_free(issuer);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(outer);
    ERR_clear_error();
    return status;
}

enum sp_rc sp_tls_staple_check(const struct session *s, X509 *leaf)
{
    int status = read_staple(s, leaf);

    if (status == V_OCSP_CERTSTATUS_REVOKED)
        return SP_E_TLS_REVOKED;
    return status != V_OCSP_CERTSTATUS_GOOD && must_staple(leaf) ? SP_E_TLS_STAPLE : SP_OK;
}
