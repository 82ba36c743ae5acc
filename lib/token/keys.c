/*
 * A key set. Each key is bound to one algorithm when it is read: by its kind, and by "alg" where it is given. So a token can't
 * choose how a key is used, which is how an RSA key becomes an HMAC secret elsewhere (RFC 8725 2.1).
 */
#include "token/token_priv.h"

#include "base/text.h"
#include "json/json.h"

#define PART_MAX 1024 /* bytes of a modulus */

static bool take_part(const struct sp_json *key, const char *name, struct sp_buf *out)
{
    sp_buf_init(out, PART_MAX);
    return sp_base64url_decode(out, sp_json_text_of(key, name)) && out->len > 0 && !out->failed;
}

static enum sp_rc make_key(enum sp_pkey_kind kind, const struct sp_json *key, const char *first,
                           const char *second, struct sp_pkey **out)
{
    enum sp_rc rc = SP_E_KEYS_FORMAT;
    struct sp_buf a, b;

    sp_buf_init(&b, PART_MAX);
    if (take_part(key, first, &a) && (second == NULL || take_part(key, second, &b)))
        rc = sp_pkey_public_new(kind, sp_buf_bytes(&a), sp_buf_bytes(&b), out);
    sp_buf_clear(&a);
    sp_buf_clear(&b);
    return rc;
}

/* returns: whether a member is absent or says this */
static bool is_or_absent(const struct sp_json *key, const char *name, const char *wanted)
{
    const struct sp_json *v = sp_json_find(key, name);

    return v == NULL || (v->type == SP_JSON_TEXT && sp_bytes_eq(v->text, sp_bytes_cstr(wanted)));
}

static const struct kind {
    const char *type, *curve;
    const char *algorithm;
    enum sp_pkey_kind kind;
    const char *first, *second;
} kinds[] = {
    {"RSA", NULL, "RS256", SP_PKEY_RSA, "n", "e"},
    {"EC", "P-256", "ES256", SP_PKEY_P256, "x", "y"},
    {"OKP", "Ed25519", "EdDSA", SP_PKEY_ED25519, "x", NULL},
};

static const struct kind *find_kind(const struct sp_json *key)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        if (!sp_bytes_eq(sp_json_text_of(key, "kty"), sp_bytes_cstr(kinds[i].type)) ||
            !is_or_absent(key, "alg", kinds[i].algorithm) || !is_or_absent(key, "use", "sig"))
            continue;
        if (kinds[i].curve == NULL ||
            sp_bytes_eq(sp_json_text_of(key, "crv"), sp_bytes_cstr(kinds[i].curve)))
            return &kinds[i];
    }
    return NULL;
}

static enum sp_rc add_key(struct sp_token_keys *set, const struct sp_json *v, struct sp_err *err)
{
    const struct kind *kind = v->type == SP_JSON_OBJECT ? find_kind(v) : NULL;
    struct sp_bytes id = sp_json_text_of(v, "kid");
    struct token_key *k = &set->items[set->count];
    enum sp_rc rc;

    if (v->type != SP_JSON_OBJECT)
        return sp_fail(err, SP_E_KEYS_FORMAT, "a key of the set is no object");
    if (kind == NULL)
        return SP_OK; /* RFC 7517 5: what is not understood is passed over */
    if (sp_json_find(v, "d") != NULL)
        return sp_fail(err, SP_E_KEYS_FORMAT, "the set holds a private key");
    if (set->count == SP_TOKEN_KEYS_MAX)
        return sp_fail(err, SP_E_KEYS_FORMAT, "more than %d keys", SP_TOKEN_KEYS_MAX);
    rc = make_key(kind->kind, v, kind->first, kind->second, &k->key);
    if (rc != SP_OK)
        return sp_fail(err, rc, "key %u of the set is no %s key", v->index, kind->type);
    k->algorithm = kind->algorithm;
    k->id = sp_strdup_bytes(id);
    set->count++;
    return SP_OK;
}

enum sp_rc sp_token_keys_parse(struct sp_bytes text, struct sp_token_keys **out, struct sp_err *err)
{
    SP_AUTO(sp_token_keys) set = sp_calloc(1, sizeof(*set));
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *keys;
    enum sp_rc rc = sp_json_parse(text, &(struct sp_json_options){.file = "keys"}, &doc, err);

    if (rc != SP_OK)
        return SP_E_KEYS_FORMAT;
    keys = sp_json_find(sp_json_root(doc), "keys");
    if (keys == NULL || keys->type != SP_JSON_ARRAY)
        return sp_fail(err, SP_E_KEYS_FORMAT, "it is no key set: there is no array \"keys\"");
    for (const struct sp_json *v = keys->first; v != NULL; v = v->next) {
        rc = add_key(set, v, err);
        if (rc != SP_OK)
            return rc;
    }
    if (set->count == 0)
        return sp_fail(err, SP_E_KEYS_FORMAT, "no key of the set verifies RS256, ES256 or EdDSA");
    *out = SP_STEAL(set);
    return SP_OK;
}

void sp_token_keys_free(struct sp_token_keys *k)
{
    if (k == NULL)
        return;
    for (size_t i = 0; i < k->count; i++) {
        sp_pkey_free(k->items[i].key);
        sp_free(k->items[i].id);
    }
    sp_free(k);
}
