/*
 * A key's name is made of the key itself, so that nobody can hand out another key under a known name. Signatures cover
 * the canonical form (RFC 8785) of the whole object that carries them, behind a line that says what it is: what is read
 * is what was signed, member by member, and a head can't be passed off as a checkpoint.
 */
#include "audit/key.h"

#include "base/text.h"
#include "crypt/hash.h"

#define SIGNED_MAX ((size_t)1 << 20)
#define ID_BYTES   16
#define LINE_WORD  "sallyport-audit-key"
#define BASE64_MAX 128

bool sp_audit_public_from_raw(struct sp_bytes raw, struct sp_audit_public *out)
{
    uint8_t digest[SP_SHA256_LEN];
    struct sp_buf id;
    bool ok;

    if (raw.len != SP_SIGN_PUBLIC_LEN)
        return false;
    sp_crypt_sha256(raw, digest);
    sp_buf_init(&id, SP_AUDIT_KEY_ID_MAX);
    sp_buf_put_cstr(&id, "ed25519:");
    sp_hex_encode(&id, sp_bytes(digest, ID_BYTES));
    sp_buf_put_u8(&id, 0);
    ok = sp_buf_rc(&id) == SP_OK;
    if (ok) {
        memcpy(out->id, id.ptr, id.len);
        memcpy(out->key, raw.ptr, raw.len);
    }
    sp_buf_clear(&id);
    return ok;
}

void sp_audit_public_set(struct sp_json_doc *doc, const struct sp_json *object, const char *member,
                         const struct sp_audit_public *key)
{
    SP_AUTO(sp_json_doc) value = sp_json_doc_new();
    struct sp_buf text;

    sp_buf_init(&text, BASE64_MAX);
    sp_base64_encode(&text, sp_bytes(key->key, sizeof(key->key)));
    sp_json_set_text(value, sp_json_root(value), "id", sp_bytes_cstr(key->id));
    sp_json_set_text(value, sp_json_root(value), "public", sp_buf_bytes(&text));
    sp_json_set_copy(doc, object, member, sp_json_root(value));
    sp_buf_clear(&text);
}

static bool read_public(struct sp_bytes id, struct sp_bytes base64, struct sp_audit_public *out)
{
    struct sp_audit_public key;
    struct sp_buf raw;
    bool ok;

    sp_buf_init(&raw, BASE64_MAX);
    ok = sp_base64_decode(&raw, base64) && sp_audit_public_from_raw(sp_buf_bytes(&raw), &key) &&
         sp_bytes_eq(id, sp_bytes_cstr(key.id));
    sp_buf_clear(&raw);
    if (ok)
        *out = key;
    return ok;
}

bool sp_audit_public_get(const struct sp_json *value, struct sp_audit_public *out)
{
    return read_public(sp_json_text_of(value, "id"), sp_json_text_of(value, "public"), out);
}

void sp_audit_public_format(const struct sp_audit_public *key, struct sp_buf *out)
{
    sp_buf_put_cstr(out, LINE_WORD " ");
    sp_buf_put_cstr(out, key->id);
    sp_buf_put_cstr(out, " ");
    sp_base64_encode(out, sp_bytes(key->key, sizeof(key->key)));
    sp_buf_put_cstr(out, "\n");
}

const struct sp_audit_public *sp_audit_ring_find(const struct sp_audit_ring *ring,
                                                 struct sp_bytes id)
{
    for (size_t i = 0; i < ring->count; i++) {
        if (sp_bytes_eq(id, sp_bytes_cstr(ring->keys[i].id)))
            return &ring->keys[i];
    }
    return NULL;
}

bool sp_audit_ring_add(struct sp_audit_ring *ring, const struct sp_audit_public *key)
{
    if (sp_audit_ring_find(ring, sp_bytes_cstr(key->id)) != NULL)
        return true;
    if (ring->count == SP_AUDIT_RING_MAX)
        return false;
    ring->keys[ring->count++] = *key;
    return true;
}

enum sp_rc sp_audit_ring_parse(struct sp_audit_ring *ring, struct sp_bytes text, struct sp_err *err)
{
    struct sp_audit_public key;
    struct sp_bytes line;
    size_t found = 0;

    while (sp_bytes_split(&text, '\n', &line)) {
        struct sp_bytes rest = sp_bytes_trim(line);
        struct sp_bytes word;
        struct sp_bytes id;

        if (rest.len == 0 || rest.ptr[0] == '#')
            continue;
        if (!sp_bytes_split(&rest, ' ', &word) || !sp_bytes_eq(word, SP_LIT(LINE_WORD)) ||
            !sp_bytes_split(&rest, ' ', &id) || !read_public(id, rest, &key))
            return sp_fail(err, SP_E_AUDIT_KEY, "a line is no audit key");
        if (!sp_audit_ring_add(ring, &key))
            return sp_fail(err, SP_E_AUDIT_KEY, "more than %d audit keys", SP_AUDIT_RING_MAX);
        found++;
    }
    return found > 0 ? SP_OK : sp_fail(err, SP_E_AUDIT_KEY, "no audit key in the file");
}

/* What is signed. The object must not have its signature then. */
static enum sp_rc signed_text(const struct sp_json *object, const char *purpose, struct sp_buf *out)
{
    sp_buf_put_cstr(out, purpose);
    sp_buf_put_u8(out, '\n');
    return sp_json_canonical(object, out);
}

enum sp_rc sp_audit_sign(struct sp_json_doc *doc, const char *purpose,
                         const struct sp_secret *secret, const struct sp_audit_public *key)
{
    const struct sp_json *root = sp_json_root(doc);
    uint8_t signature[SP_SIGN_SIGNATURE_LEN];
    struct sp_buf text;
    enum sp_rc rc;

    sp_buf_init(&text, SIGNED_MAX);
    sp_json_remove(doc, root, "signature");
    sp_json_set_text(doc, root, "key", sp_bytes_cstr(key->id));
    rc = signed_text(root, purpose, &text);
    if (rc == SP_OK)
        rc = sp_sign_make(secret, sp_buf_bytes(&text), signature);
    if (rc == SP_OK) {
        sp_buf_reset(&text);
        sp_base64_encode(&text, sp_bytes(signature, sizeof(signature)));
        sp_json_set_text(doc, root, "signature", sp_buf_bytes(&text));
    }
    sp_buf_clear(&text);
    return rc;
}

static enum sp_rc check_with(const struct sp_json *object, const char *purpose,
                             const struct sp_audit_public *key)
{
    SP_AUTO(sp_json_doc) copy = NULL;
    struct sp_buf text;
    struct sp_buf signature;
    enum sp_rc rc;

    sp_buf_init(&text, SIGNED_MAX);
    sp_buf_init(&signature, BASE64_MAX);
    rc = sp_json_canonical(object, &text);
    if (rc == SP_OK)
        rc = sp_json_parse(sp_buf_bytes(&text), NULL, &copy, NULL);
    if (rc == SP_OK && !sp_base64_decode(&signature, sp_json_text_of(object, "signature")))
        rc = SP_E_MALFORMED;
    if (rc == SP_OK) {
        sp_json_remove(copy, sp_json_root(copy), "signature");
        sp_buf_reset(&text);
        rc = signed_text(sp_json_root(copy), purpose, &text);
    }
    if (rc == SP_OK)
        rc = sp_sign_verify(sp_bytes(key->key, sizeof(key->key)), sp_buf_bytes(&text),
                            sp_buf_bytes(&signature));
    sp_buf_clear(&signature);
    sp_buf_clear(&text);
    return rc;
}

enum sp_rc sp_audit_signature_check(const struct sp_json *object, const char *purpose,
                                    const struct sp_audit_ring *ring, struct sp_err *err)
{
    struct sp_bytes id = sp_json_text_of(object, "key");
    const struct sp_audit_public *key = sp_audit_ring_find(ring, id);

    if (id.len == 0 || id.len >= SP_AUDIT_KEY_ID_MAX)
        return sp_fail(err, SP_E_AUDIT_ALTERED, "does not name its key");
    if (key == NULL)
        return sp_fail(err, SP_E_AUDIT_KEY, "signed by a key that is not known here");
    if (check_with(object, purpose, key) != SP_OK)
        return sp_fail(err, SP_E_AUDIT_ALTERED, "the signature does not hold");
    return SP_OK;
}
