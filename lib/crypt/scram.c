/*
 * SCRAM-SHA-256. The client proves that it knows the key whose hash is stored, and the server that it knows the other one, both
 * over all that was said before (RFC 5802 3). Each message is read strictly in the order of the grammar (7): what is
 * out of place is malformed, not skipped. Without channel binding over TLS: the certificate is what binds here.
 */
#include "crypt/scram.h"

#include "base/text.h"

#define NONCE_LEN 18
#define COUNT_MIN 4096
#define COUNT_MAX 1000000

struct sp_scram {
    struct sp_buf name;
    struct sp_buf auth; /* AuthMessage as far as it is known */
    struct sp_buf nonce;
    struct sp_buf bind; /* what c= must say, in base 64 */
    struct sp_scram_verifier verifier;
};

static bool take_key(struct sp_bytes text, uint8_t *out, size_t max, size_t *len)
{
    struct sp_buf b;
    bool ok;

    sp_buf_init(&b, max);
    ok = text.len > 0 && sp_base64_decode(&b, text) && sp_buf_rc(&b) == SP_OK && b.len > 0;
    if (ok) {
        memcpy(out, b.ptr, b.len);
        *len = b.len;
    }
    sp_buf_wipe(&b);
    return ok;
}

enum sp_rc sp_scram_verifier_parse(struct sp_bytes text, struct sp_scram_verifier *out)
{
    struct sp_bytes part, count, stored;
    size_t len = 0;
    uint64_t n = 0;

    if (!sp_bytes_split(&text, '$', &part) || !sp_bytes_eq(part, SP_LIT("SCRAM-SHA-256")) ||
        !sp_bytes_split(&text, '$', &part) || !sp_bytes_split(&part, ':', &count) ||
        !sp_bytes_to_u64(count, &n) || n < COUNT_MIN || n > COUNT_MAX ||
        !take_key(part, out->salt, sizeof(out->salt), &out->salt_len) ||
        !sp_bytes_split(&text, ':', &stored) ||
        !take_key(stored, out->stored_key, SP_SHA256_LEN, &len) || len != SP_SHA256_LEN ||
        !take_key(text, out->server_key, SP_SHA256_LEN, &len) || len != SP_SHA256_LEN)
        return SP_E_MALFORMED;
    out->count = (uint32_t)n;
    return SP_OK;
}

void sp_scram_verifier_nobody(struct sp_bytes secret, struct sp_bytes name,
                              struct sp_scram_verifier *out)
{
    uint8_t mac[SP_SHA256_LEN];

    memset(out, 0, sizeof(*out));
    sp_crypt_hmac(secret, name, mac);
    memcpy(out->salt, mac, 16);
    out->salt_len = 16;
    out->count = COUNT_MIN;
    sp_crypt_hmac(secret, sp_bytes(mac, sizeof(mac)), out->stored_key);
    sp_crypt_hmac(secret, sp_bytes(out->stored_key, SP_SHA256_LEN), out->server_key);
}

/* Takes "X=value" off a list with commas. returns: whether X is next */
static bool take_attribute(struct sp_bytes *rest, char letter, struct sp_bytes *value)
{
    struct sp_bytes part, copy = *rest;

    if (!sp_bytes_split(&copy, ',', &part) || part.len < 2 || part.ptr[0] != (uint8_t)letter ||
        part.ptr[1] != '=')
        return false;
    *value = sp_bytes_slice(part, 2, part.len);
    *rest = copy;
    return true;
}

/* A saslname: "=2C" is a comma, "=3D" an equals sign, no other "=" may stand. */
static bool unescape(struct sp_bytes text, struct sp_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '=') {
            struct sp_bytes code = sp_bytes_slice(text, i + 1, 2);

            if (sp_bytes_eq(code, SP_LIT("2C")))
                c = ',';
            else if (!sp_bytes_eq(code, SP_LIT("3D")))
                return false;
            i += 2;
        }
        sp_buf_put_u8(out, c);
    }
    return out->len > 0 && sp_buf_rc(out) == SP_OK;
}

static bool is_nonce(struct sp_bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.ptr[i] < 33 || b.ptr[i] > 126 || b.ptr[i] == ',')
            return false;
    }
    return b.len > 0;
}

static enum sp_rc read_first(struct sp_scram *s, struct sp_bytes first)
{
    struct sp_bytes rest = first, flag, authzid, user, nonce, bare;

    if (first.len > SP_SCRAM_MESSAGE_MAX || !sp_utf8_is_valid(first) ||
        !sp_bytes_split(&rest, ',', &flag) || !sp_bytes_split(&rest, ',', &authzid))
        return SP_E_MALFORMED;
    if (authzid.len > 0 || sp_bytes_starts_nocase(flag, SP_LIT("p=")))
        return SP_E_UNSUPPORTED;
    if (!sp_bytes_eq(flag, SP_LIT("n")) && !sp_bytes_eq(flag, SP_LIT("y")))
        return SP_E_MALFORMED;
    bare = rest;
    if (!take_attribute(&rest, 'n', &user) || !take_attribute(&rest, 'r', &nonce) || rest.len > 0 ||
        !is_nonce(nonce) || !unescape(user, &s->name))
        return SP_E_MALFORMED;
    sp_base64_encode(&s->bind, sp_bytes_slice(first, 0, first.len - bare.len));
    sp_buf_put(&s->auth, bare);
    sp_buf_put(&s->nonce, nonce);
    return SP_OK;
}

enum sp_rc sp_scram_new(struct sp_bytes first, struct sp_scram **out, struct sp_bytes *name)
{
    SP_AUTO(sp_scram) s = sp_calloc(1, sizeof(*s));
    enum sp_rc rc;

    sp_buf_init(&s->name, SP_SCRAM_NAME_MAX);
    sp_buf_init(&s->auth, 4 * SP_SCRAM_MESSAGE_MAX);
    sp_buf_init(&s->nonce, 2 * SP_SCRAM_MESSAGE_MAX);
    sp_buf_init(&s->bind, 2 * SP_SCRAM_MESSAGE_MAX);
    rc = read_first(s, first);
    if (rc != SP_OK)
        return rc;
    *name = sp_buf_bytes(&s->name);
    *out = SP_STEAL(s);
    return SP_OK;
}

void sp_scram_free(struct sp_scram *s)
{
    if (s == NULL)
        return;
    sp_buf_clear(&s->name);
    sp_buf_clear(&s->auth);
    sp_buf_clear(&s->nonce);
    sp_buf_clear(&s->bind);
    sp_wipe(&s->verifier, sizeof(s->verifier));
    sp_free(s);
}

enum sp_rc sp_scram_challenge(struct sp_scram *s, const struct sp_scram_verifier *verifier,
                              const struct sp_random *random, struct sp_buf *out)
{
    size_t at = out->len;
    uint8_t nonce[NONCE_LEN];

    s->verifier = *verifier;
    sp_random_fill(random, nonce, sizeof(nonce));
    sp_base64_encode(&s->nonce, sp_bytes(nonce, sizeof(nonce)));
    sp_buf_put_cstr(out, "r=");
    sp_buf_put(out, sp_buf_bytes(&s->nonce));
    sp_buf_put_cstr(out, ",s=");
    sp_base64_encode(out, sp_bytes(verifier->salt, verifier->salt_len));
    sp_buf_put_cstr(out, ",i=");
    sp_buf_put_dec(out, verifier->count);
    sp_buf_put_u8(&s->auth, ',');
    sp_buf_put(&s->auth, sp_bytes_slice(sp_buf_bytes(out), at, out->len));
    return sp_buf_rc(out) == SP_OK ? sp_buf_rc(&s->auth) : sp_buf_rc(out);
}

/* The proof is the key, hidden by a MAC of the stored one: whoever has the key's hash can look but not make it. */
static bool is_proved(const struct sp_scram *s, const uint8_t proof[SP_SHA256_LEN])
{
    uint8_t key[SP_SHA256_LEN], hash[SP_SHA256_LEN];
    bool ok;

    sp_crypt_hmac(sp_bytes(s->verifier.stored_key, SP_SHA256_LEN), sp_buf_bytes(&s->auth), key);
    for (size_t i = 0; i < SP_SHA256_LEN; i++)
        key[i] ^= proof[i];
    sp_crypt_sha256(sp_bytes(key, sizeof(key)), hash);
    ok = sp_crypt_equal(sp_bytes(hash, sizeof(hash)),
                        sp_bytes(s->verifier.stored_key, SP_SHA256_LEN));
    sp_wipe(key, sizeof(key));
    return ok;
}

enum sp_rc sp_scram_finish(struct sp_scram *s, struct sp_bytes final, struct sp_buf *out)
{
    struct sp_bytes rest = final, bind, nonce, proof;
    uint8_t bytes[SP_SHA256_LEN], signature[SP_SHA256_LEN];
    size_t without, len = 0;

    if (final.len > SP_SCRAM_MESSAGE_MAX || !take_attribute(&rest, 'c', &bind) ||
        !take_attribute(&rest, 'r', &nonce))
        return SP_E_MALFORMED;
    without = final.len - rest.len - 1;
    if (!take_attribute(&rest, 'p', &proof) || rest.len > 0 ||
        !take_key(proof, bytes, sizeof(bytes), &len) || len != sizeof(bytes))
        return SP_E_MALFORMED;
    if (!sp_bytes_eq(bind, sp_buf_bytes(&s->bind)) || !sp_bytes_eq(nonce, sp_buf_bytes(&s->nonce)))
        return SP_E_DENIED;
    sp_buf_put_u8(&s->auth, ',');
    sp_buf_put(&s->auth, sp_bytes_slice(final, 0, without));
    if (sp_buf_rc(&s->auth) != SP_OK || !is_proved(s, bytes))
        return SP_E_DENIED;
    sp_crypt_hmac(sp_bytes(s->verifier.server_key, SP_SHA256_LEN), sp_buf_bytes(&s->auth),
                  signature);
    sp_buf_put_cstr(out, "v=");
    sp_base64_encode(out, sp_bytes(signature, sizeof(signature)));
    return sp_buf_rc(out);
}
