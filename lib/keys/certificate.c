/*
 * What a certificate says about itself, by OpenSSL. It is usable for mail if its key usage lets a content key be sent to it
 * (key encipherment for RSA, key agreement for EC), its extended key usage, where there is one, names mail, its key is of
 * today's size, and it names an address. OpenSSL's own purpose check for S/MIME knows RSA only, so the usages are asked for
 * one by one. Time is judged when a key is looked for, not here: an expired certificate can be imported and listed.
 */
#include "keys/keys.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "mail/idn.h"

#define MIN_RSA_BITS 2048
#define CHAIN_MAX    8

/* A file's certificates: the first is the one that matters. */
static STACK_OF(X509) * read_file(struct sp_bytes file)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    const unsigned char *at = file.ptr;
    X509 *next;

    if (sp_bytes_find_all(file, SP_LIT("-----BEGIN ")) != SIZE_MAX) {
        BIO *in = BIO_new_mem_buf(file.ptr, (int)file.len);

        while (sk_X509_num(all) < CHAIN_MAX &&
               (next = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL)
            sk_X509_push(all, next);
        BIO_free(in);
    } else if ((next = d2i_X509(NULL, &at, (long)file.len)) != NULL) {
        if (at == file.ptr + file.len)
            sk_X509_push(all, next);
        else
            X509_free(next);
    }
    ERR_clear_error();
    return all;
}

static bool to_ms(const ASN1_TIME *time, int64_t *out)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0;
    int seconds = 0;
    bool done = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;

    ASN1_TIME_free(epoch);
    *out = ((int64_t)days * 86400 + seconds) * 1000;
    return done;
}

static void add_address(struct sp_keys_key *key, struct sp_bytes text)
{
    char *slot;

    if (key->address_count == SP_KEYS_ADDRESSES_MAX)
        return;
    slot = key->addresses[key->address_count];
    if (!sp_keys_address_normalise(text, slot))
        return;
    for (size_t i = 0; i < key->address_count; i++)
        if (strcmp(key->addresses[i], slot) == 0)
            return;
    key->address_count++;
}

/*
 * SmtpUTF8Mailbox (RFC 9598 3): a UTF8String, for local parts that are not ASCII alone; any other address has its one place
 * among the rfc822Names, and here it says nothing.
 */
static struct sp_bytes utf8_mailbox(const GENERAL_NAME *name)
{
    const OTHERNAME *other = name->d.otherName;
    const ASN1_UTF8STRING *text;
    struct sp_bytes all;
    size_t at;

    if (OBJ_obj2nid(other->type_id) != NID_id_on_SmtpUTF8Mailbox || other->value == NULL ||
        other->value->type != V_ASN1_UTF8STRING)
        return sp_bytes(NULL, 0);
    text = other->value->value.utf8string;
    all = sp_bytes(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    at = sp_bytes_find(all, '@');
    if (at == SIZE_MAX || sp_text_is_ascii(sp_bytes_slice(all, 0, at)))
        return sp_bytes(NULL, 0);
    return all;
}

/*
 * The subjectAltName's rfc822Names and SmtpUTF8Mailboxes; the subject's emailAddress counts only where there is none
 * (RFC 8550 3).
 */
static void read_addresses(X509 *x, struct sp_keys_key *key)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = -1;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_EMAIL)
            add_address(key, sp_bytes(ASN1_STRING_get0_data(name->d.rfc822Name),
                                      (size_t)ASN1_STRING_length(name->d.rfc822Name)));
        else if (name->type == GEN_OTHERNAME)
            add_address(key, utf8_mailbox(name));
    }
    GENERAL_NAMES_free(names);
    if (key->address_count > 0)
        return;
    while ((at = X509_NAME_get_index_by_NID(subject, NID_pkcs9_emailAddress, at)) >= 0) {
        const ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));

        add_address(key, sp_bytes(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
    }
}

/* SMIMECapabilities (RFC 4262): what the holder's programs read. */
static unsigned read_capabilities(X509 *x)
{
    X509_EXTENSION *extension = X509_get_ext(x, X509_get_ext_by_NID(x, NID_SMIMECapabilities, -1));
    const ASN1_OCTET_STRING *data = extension == NULL ? NULL : X509_EXTENSION_get_data(extension);
    const unsigned char *at = data == NULL ? NULL : ASN1_STRING_get0_data(data);
    X509_ALGORS *list = at == NULL ? NULL : d2i_X509_ALGORS(NULL, &at, ASN1_STRING_length(data));
    unsigned abilities = 0;

    for (int i = 0; i < sk_X509_ALGOR_num(list); i++) {
        const ASN1_OBJECT *id;

        X509_ALGOR_get0(&id, NULL, NULL, sk_X509_ALGOR_value(list, i));
        if (OBJ_obj2nid(id) == NID_aes_256_gcm)
            abilities |= SP_KEYS_GCM;
        if (OBJ_obj2nid(id) == NID_rsaesOaep)
            abilities |= SP_KEYS_OAEP;
    }
    sk_X509_ALGOR_pop_free(list, X509_ALGOR_free);
    return abilities;
}

static enum sp_rc read_key(X509 *x, struct sp_keys_key *key, struct sp_err *err)
{
    EVP_PKEY *public = X509_get0_pubkey(x);
    int type = public == NULL ? 0 : EVP_PKEY_get_base_id(public);
    uint32_t usage = X509_get_key_usage(x); /* all bits where there is no extension */
    uint32_t extended = X509_get_extended_key_usage(x);
    char group[24] = "";

    if (X509_get_extension_flags(x) & EXFLAG_INVALID)
        return sp_fail(err, SP_E_KEYS_FORMAT, "the certificate's extensions are malformed");
    if (type == EVP_PKEY_RSA) {
        if (EVP_PKEY_get_bits(public) < MIN_RSA_BITS)
            return sp_fail(err, SP_E_KEYS_UNUSABLE, "the RSA key is shorter than %d bits",
                           MIN_RSA_BITS);
        if (!(usage & X509v3_KU_KEY_ENCIPHERMENT))
            return sp_fail(err, SP_E_KEYS_UNUSABLE, "the key usage forbids key encipherment");
        snprintf(key->algorithm, sizeof(key->algorithm), "rsa-%d", EVP_PKEY_get_bits(public));
    } else if (type == EVP_PKEY_EC) {
        if (!(usage & X509v3_KU_KEY_AGREEMENT))
            return sp_fail(err, SP_E_KEYS_UNUSABLE, "the key usage forbids key agreement");
        if (EVP_PKEY_get_utf8_string_param(public, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                           NULL) != 1 ||
            EVP_PKEY_get_bits(public) < 256)
            return sp_fail(err, SP_E_KEYS_UNUSABLE, "the EC key's curve is not supported");
        snprintf(key->algorithm, sizeof(key->algorithm), "ec-%s", group);
        key->abilities |= SP_KEYS_GCM | SP_KEYS_ECDH;
    } else {
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "the key is neither RSA nor EC");
    }
    if (extended != UINT32_MAX && !(extended & (XKU_SMIME | XKU_ANYEKU)))
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "the extended key usage does not name mail");
    return SP_OK;
}

/* Whether it chains, with the other certificates of the file, to one of the anchors. */
static bool is_chained(STACK_OF(X509) * file, struct sp_bytes anchors, int64_t now_ms)
{
    STACK_OF(X509) *roots = read_file(anchors);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *param;
    bool good = false;

    for (int i = 0; i < sk_X509_num(roots); i++)
        X509_STORE_add_cert(store, sk_X509_value(roots, i));
    if (X509_STORE_CTX_init(ctx, store, sk_X509_value(file, 0), file) == 1) {
        param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_time(param, (time_t)(now_ms / 1000));
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
        X509_VERIFY_PARAM_set_auth_level(param, 1);
        good = X509_verify_cert(ctx) == 1;
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sk_X509_pop_free(roots, X509_free);
    ERR_clear_error();
    return good;
}

static enum sp_rc take_bytes(X509 *x, struct sp_arena *arena, struct sp_keys_key *key,
                             struct sp_err *err)
{
    unsigned char *der = NULL;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    int len = i2d_X509(x, &der);
    struct sp_buf id;

    if (len <= 0 || (size_t)len > SP_KEYS_BYTES_MAX ||
        EVP_Digest(der, (size_t)len, digest, &digest_len, EVP_sha256(), NULL) != 1) {
        OPENSSL_free(der);
        return sp_fail(err, SP_E_LIMIT, "the certificate is larger than %u bytes",
                       SP_KEYS_BYTES_MAX);
    }
    key->bytes = sp_arena_copy(arena, sp_bytes(der, (size_t)len));
    OPENSSL_free(der);
    sp_buf_init(&id, SP_KEYS_ID_MAX);
    sp_buf_put_cstr(&id, "smime:");
    sp_hex_encode(&id, sp_bytes(digest, digest_len));
    sp_buf_put_u8(&id, 0);
    memcpy(key->id, id.ptr, id.len);
    sp_buf_clear(&id);
    return SP_OK;
}

static enum sp_rc describe(X509 *x, struct sp_arena *arena, struct sp_keys_key *key,
                           struct sp_err *err)
{
    enum sp_rc rc = read_key(x, key, err);

    if (rc != SP_OK)
        return rc;
    key->kind = SP_KEYS_SMIME;
    key->abilities |= read_capabilities(x);
    if (!to_ms(X509_get0_notBefore(x), &key->not_before_ms) ||
        !to_ms(X509_get0_notAfter(x), &key->not_after_ms))
        return sp_fail(err, SP_E_KEYS_FORMAT, "the certificate's dates are malformed");
    read_addresses(x, key);
    if (key->address_count == 0)
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "the certificate names no mail address");
    return take_bytes(x, arena, key, err);
}

enum sp_rc sp_keys_certificate_parse(struct sp_bytes file, struct sp_bytes anchors, int64_t now_ms,
                                     struct sp_arena *arena, struct sp_keys_key *out,
                                     struct sp_err *err)
{
    struct sp_keys_key *key;
    STACK_OF(X509) * all;
    enum sp_rc rc = SP_OK;

    if (file.len > SP_KEYS_IMPORT_MAX || anchors.len > INT32_MAX)
        return sp_fail(err, SP_E_LIMIT, "the file is too large");
    if (sp_bytes_find_all(file, SP_LIT("PRIVATE KEY-----")) != SIZE_MAX)
        return sp_fail(err, SP_E_KEYS_FORMAT, "the file holds a private key");
    all = read_file(file);
    key = sp_calloc(1, sizeof(*key));
    if (sk_X509_num(all) == 0)
        rc = sp_fail(err, SP_E_KEYS_FORMAT, "the file is no certificate");
    else
        rc = describe(sk_X509_value(all, 0), arena, key, err);
    if (rc == SP_OK) {
        key->trust = is_chained(all, anchors, now_ms) ? SP_KEYS_CHAINED : SP_KEYS_UNTRUSTED;
        *out = *key;
    }
    ERR_clear_error();
    sk_X509_pop_free(all, X509_free);
    sp_free(key);
    return rc;
}
