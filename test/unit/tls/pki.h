/*
 * Certificates made for a test: a CA and leaves under it, by OpenSSL.
 */
#ifndef SP_TEST_TLS_PKI_H
#define SP_TEST_TLS_PKI_H

#include "base/bytes.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct pki_cert {
    X509 *x;
    EVP_PKEY *key;
    char certificate_pem[8192]; /* the leaf, then its issuer */
    char key_pem[2048];
};

struct pki_wish {
    const char *name;              /* DNS name, or the CA's common name; "": none */
    const char *usage;             /* extended key usage; NULL: none */
    const struct pki_cert *issuer; /* NULL: signs itself, a CA */
    int from_s, to_s;              /* validity, from now */
    bool must_staple;
    unsigned rsa_bits; /* 0: P-256 */
    bool is_ca;        /* though it has an issuer */
};

/* Makes a P-256 certificate. */
static inline void pki_pem(struct pki_cert *c, const struct pki_cert *issuer)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    PEM_write_bio_X509(bio, c->x);
    if (issuer != NULL)
        PEM_write_bio_X509(bio, issuer->x);
    n = BIO_read(bio, c->certificate_pem, sizeof(c->certificate_pem) - 1);
    c->certificate_pem[n] = '\0';
    (void)BIO_reset(bio);
    PEM_write_bio_PrivateKey(bio, c->key, NULL, NULL, 0, NULL, NULL);
    n = BIO_read(bio, c->key_pem, sizeof(c->key_pem) - 1);
    c->key_pem[n] = '\0';
    BIO_free(bio);
}

static inline void pki_extend(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
}

static inline void pki_make(struct pki_cert *c, const struct pki_wish *wish)
{
    static long serial = 1;
    char san[300];

    *c = (struct pki_cert){.x = X509_new(),
                           .key = wish->rsa_bits > 0 ? EVP_RSA_gen(wish->rsa_bits)
                                                     : EVP_EC_gen("P-256")};
    X509_set_version(c->x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c->x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c->x), wish->from_s);
    X509_gmtime_adj(X509_getm_notAfter(c->x), wish->to_s);
    if (wish->name[0] != '\0')
        X509_NAME_add_entry_by_txt(X509_get_subject_name(c->x), "CN", MBSTRING_ASC,
                                   (const unsigned char *)wish->name, -1, -1, 0);
    X509_set_issuer_name(c->x,
                         X509_get_subject_name(wish->issuer == NULL ? c->x : wish->issuer->x));
    X509_set_pubkey(c->x, c->key);
    if (wish->issuer == NULL || wish->is_ca) {
        pki_extend(c->x, NID_basic_constraints, "critical,CA:TRUE");
        pki_extend(c->x, NID_key_usage, "critical,keyCertSign");
    } else {
        snprintf(san, sizeof(san), "DNS:%s", wish->name);
        pki_extend(c->x, NID_subject_alt_name, san);
        if (wish->usage != NULL)
            pki_extend(c->x, NID_ext_key_usage, wish->usage);
        if (wish->must_staple)
            pki_extend(c->x, NID_tlsfeature, "status_request");
    }
    X509_sign(c->x, wish->issuer == NULL ? c->key : wish->issuer->key, EVP_sha256());
    pki_pem(c, wish->issuer);
}

static inline void pki_clear(struct pki_cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
}

#endif
