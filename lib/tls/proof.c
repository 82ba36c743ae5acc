/*
 * From what OpenSSL saw to what we may say. Each question is asked by itself: does the chain lead to trust (OpenSSL's
 * verdict where no TLSA was set, a verification of our own beside DANE), does the certificate have one of the names
 * (subjectAltName only), is it valid now, did a TLSA record match. RFC 7672: usage 3 needs neither name nor time (3.1.1),
 * usage 2 needs both (3.1.2), and OpenSSL has checked them.
 */
#include "tls/tls_priv.h"

#include <openssl/x509v3.h>
#include <time.h>

#define CHAIN_LEN_MAX (64 * 1024)
#define NAME_LEN_MAX  255
#define NAME_FLAGS    (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

/* Groups that OpenSSL offers one day stand in evidence by its own names. */
static const char *group_name(SSL *ssl, int nid)
{
    const char *name;

    switch (nid) {
    case NID_X9_62_prime256v1:
        return "P-256";
    case NID_secp384r1:
        return "P-384";
    case NID_secp521r1:
        return "P-521";
    case NID_X25519:
        return "X25519";
    default:
        name = SSL_group_to_name(ssl, nid);
        return name == NULL ? "" : name;
    }
}

static void fill_session(struct sp_tls_proof *p, SSL *ssl)
{
    p->version = SSL_version(ssl) == TLS1_3_VERSION ? "1.3" : "1.2";
    p->cipher = SSL_get_cipher_name(ssl);
    p->group = group_name(ssl, (int)SSL_get_negotiated_group(ssl));
    p->profile = "sp800-52r2";
    p->resumed = SSL_session_reused(ssl) == 1;
    p->chain = SP_E_TLS_UNTRUSTED;
    p->verified_by = "none";
}

int64_t sp_tls_time_ms(const ASN1_TIME *t)
{
    struct tm tm;

    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

static void add_name(struct sp_tls_evidence *e, struct sp_bytes *list, const ASN1_STRING *text)
{
    const uint8_t *data = ASN1_STRING_get0_data(text);
    int len = ASN1_STRING_length(text);
    struct sp_bytes name = sp_bytes(data, len < 0 ? 0 : (size_t)len);

    if (e->proof.name_count < SP_TLS_PROOF_NAMES_MAX && name.len > 0 && name.len <= NAME_LEN_MAX &&
        sp_bytes_find(name, '\0') == SIZE_MAX)
        list[e->proof.name_count++] = sp_arena_copy(e->arena, name);
}

static void fill_names(struct sp_tls_evidence *e, X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t room = (size_t)(sk_GENERAL_NAME_num(names) > 0 ? sk_GENERAL_NAME_num(names) : 1);
    struct sp_bytes *list;
    int at;

    if (room > SP_TLS_PROOF_NAMES_MAX)
        room = SP_TLS_PROOF_NAMES_MAX;
    list = sp_arena_alloc(e->arena, room * sizeof(*list));
    e->proof.names = list;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            add_name(e, list, name->d.dNSName);
    }
    GENERAL_NAMES_free(names);
    at = X509_NAME_get_index_by_NID(X509_get_subject_name(certificate), NID_commonName, -1);
    if (e->proof.name_count == 0 && at >= 0)
        add_name(
            e, list,
            X509_NAME_ENTRY_get_data(X509_NAME_get_entry(X509_get_subject_name(certificate), at)));
}

static void fill_digests(struct sp_tls_proof *p, X509 *certificate)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);

    if (len > 0)
        sp_assert(EVP_Digest(der, (size_t)len, p->spki_sha256, NULL, EVP_sha256(), NULL) == 1);
    OPENSSL_free(der);
    sp_assert(X509_digest(certificate, EVP_sha256(), p->certificate_sha256, NULL) == 1);
}

static struct sp_bytes copy_chain(struct sp_arena *arena, SSL *ssl, X509 *leaf)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    struct sp_buf buf;
    struct sp_bytes copy;

    sp_buf_init(&buf, CHAIN_LEN_MAX);
    /* a server's chain of its client lacks the leaf */
    for (int i = -1; i < sk_X509_num(chain); i++) {
        unsigned char *der = NULL;
        X509 *certificate = i < 0 ? leaf : sk_X509_value(chain, i);
        int len = i >= 0 && X509_cmp(certificate, leaf) == 0 ? 0 : i2d_X509(certificate, &der);

        if (len > 0)
            sp_buf_put(&buf, sp_bytes(der, (size_t)len));
        OPENSSL_free(der);
    }
    copy = sp_arena_copy(arena, sp_buf_bytes(&buf));
    sp_buf_clear(&buf);
    return copy;
}

static enum sp_rc rc_of_verify(long result)
{
    if (result == X509_V_OK)
        return SP_OK;
    if (result == X509_V_ERR_CERT_HAS_EXPIRED || result == X509_V_ERR_CERT_NOT_YET_VALID)
        return SP_E_TLS_EXPIRED;
    return SP_E_TLS_UNTRUSTED;
}

/* The chain against our trust, without DANE. */
static enum sp_rc verify_chain(const struct session *s, X509 *leaf)
{
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    long result = X509_V_ERR_UNSPECIFIED;

    if (store != NULL &&
        X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(s->context->ctx), leaf,
                            SSL_get_peer_cert_chain(s->ssl)) == 1 &&
        X509_STORE_CTX_set_default(store, "ssl_server") == 1) {
        X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(store), SP_TLS_SECURITY_LEVEL);
        X509_STORE_CTX_set_depth(store, SSL_CTX_get_verify_depth(s->context->ctx));
        if (X509_verify_cert(store) != 1)
            result = X509_STORE_CTX_get_error(store);
        else
            result = X509_V_OK;
    }
    X509_STORE_CTX_free(store);
    return rc_of_verify(result);
}

/* A client's certificate must be good for TLS; for which side matters no more. */
static bool has_tls_usage(X509 *certificate)
{
    uint32_t usage = X509_get_extended_key_usage(certificate);

    return (usage & (XKU_SSL_CLIENT | XKU_SSL_SERVER | XKU_ANYEKU)) != 0;
}

static enum sp_rc chain_verdict(const struct session *s, X509 *leaf)
{
    if (s->dane)
        return verify_chain(s, leaf);
    if (s->context->server != NULL && !has_tls_usage(leaf))
        return SP_E_TLS_UNTRUSTED;
    return rc_of_verify(SSL_get_verify_result(s->ssl));
}

static bool has_name(const struct session *s, X509 *leaf)
{
    for (size_t i = 0; i < s->name_count; i++) {
        if (X509_check_host(leaf, s->names[i], 0, NAME_FLAGS, NULL) == 1 ||
            X509_check_ip_asc(leaf, s->names[i], 0) == 1)
            return true;
    }
    return false;
}

static void fill_dane(const struct session *s, struct sp_tls_evidence *e)
{
    struct sp_tls_tlsa *t = &e->proof.tlsa;
    const unsigned char *data;
    size_t len;

    if (!s->dane) {
        e->proof.dane = s->unusable ? SP_TLS_DANE_UNUSABLE : SP_TLS_DANE_NOT_ASKED;
        return;
    }
    e->proof.dane = SP_TLS_DANE_MISMATCH;
    if (SSL_get_verify_result(s->ssl) != X509_V_OK ||
        SSL_get0_dane_authority(s->ssl, NULL, NULL) < 0)
        return;
    if (SSL_get0_dane_tlsa(s->ssl, &t->usage, &t->selector, &t->matching, &data, &len) < 0)
        return;
    t->data = sp_arena_copy(e->arena, sp_bytes(data, len));
    e->proof.dane = t->usage == SP_TLS_USAGE_EE ? SP_TLS_DANE_EE : SP_TLS_DANE_TA;
}

static const char *best_of(const struct sp_tls_proof *p)
{
    if (p->dane == SP_TLS_DANE_EE)
        return "dane-ee";
    if (p->dane == SP_TLS_DANE_TA)
        return "dane-ta";
    return p->chain == SP_OK && p->name_ok ? "pkix" : "none";
}

static struct sp_tls_evidence *evidence_alloc(void)
{
    struct sp_arena *arena = sp_arena_new(1024);
    struct sp_tls_evidence *e = sp_arena_alloc(arena, sizeof(*e));

    e->arena = arena;
    return e;
}

struct sp_tls_evidence *sp_tls_evidence_new(const struct session *s)
{
    struct sp_tls_evidence *e = evidence_alloc();
    struct sp_tls_proof *p = &e->proof;
    X509 *leaf = SSL_get0_peer_certificate(s->ssl);
    int64_t now_ms = sp_clock_wall_ms(sp_loop_clock(sp_stream_loop(s->stream)));

    e->proved_at_ms = now_ms;
    fill_session(p, s->ssl);
    p->dane = s->dane ? SP_TLS_DANE_MISMATCH : SP_TLS_DANE_NOT_ASKED;
    if (leaf == NULL)
        return e;
    p->has_certificate = true;
    fill_digests(p, leaf);
    fill_names(e, leaf);
    p->not_before_ms = sp_tls_time_ms(X509_get0_notBefore(leaf));
    p->not_after_ms = sp_tls_time_ms(X509_get0_notAfter(leaf));
    p->time_ok = now_ms >= p->not_before_ms && now_ms <= p->not_after_ms;
    p->chain = chain_verdict(s, leaf);
    if (p->chain == SP_OK && !p->time_ok) /* a client's resumed session outlived its certificate */
        p->chain = SP_E_TLS_EXPIRED;
    if (p->chain == SP_OK && s->context->server == NULL)
        p->chain = sp_tls_staple_check(s, leaf);
    p->name_ok = has_name(s, leaf);
    fill_dane(s, e);
    e->chain = copy_chain(e->arena, s->ssl, leaf);
    p->verified_by = best_of(p);
    return e;
}

struct sp_tls_evidence *sp_tls_evidence_copy(const struct sp_tls_evidence *old)
{
    struct sp_tls_evidence *e = evidence_alloc();
    struct sp_bytes *list = sp_arena_alloc(e->arena, old->proof.name_count * sizeof(*list));

    e->proof = old->proof;
    e->proved_at_ms = old->proved_at_ms;
    e->proof.names = list;
    for (size_t i = 0; i < old->proof.name_count; i++)
        list[i] = sp_arena_copy(e->arena, old->proof.names[i]);
    e->proof.tlsa.data = sp_arena_copy(e->arena, old->proof.tlsa.data);
    e->chain = sp_arena_copy(e->arena, old->chain);
    return e;
}

struct sp_tls_evidence *sp_tls_evidence_again(const struct sp_tls_evidence *old, SSL *ssl)
{
    struct sp_tls_evidence *e = sp_tls_evidence_copy(old);
    enum sp_rc chain = e->proof.chain;
    const char *verified_by = e->proof.verified_by;

    fill_session(&e->proof, ssl);
    e->proof.chain = chain;
    e->proof.verified_by = verified_by;
    return e;
}

void sp_tls_evidence_free(struct sp_tls_evidence *e)
{
    if (e != NULL)
        sp_arena_free(e->arena);
}

struct sp_bytes sp_tls_proof_chain(const struct sp_tls_proof *proof)
{
    /* the first member of what it lies in */
    const struct sp_tls_evidence *e = (const struct sp_tls_evidence *)(const void *)proof;

    return proof->has_certificate ? e->chain : sp_bytes(NULL, 0);
}
