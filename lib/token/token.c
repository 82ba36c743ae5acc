/*
 * A token is three parts in base64url with dots between (RFC 7515 7.1). The signature is over the first two as they were sent and is
 * looked at before a claim is believed. An extension that must be understood ("crit") is understood by nobody here. Which key: the one
 * that the header names; without a name, any whose algorithm it is.
 */
#include "token/token_priv.h"

#include <math.h>

#include "base/text.h"
#include "json/json.h"

#define KVSEP 1 /* of RFC 7628 3.1 */

static enum sp_rc decode_json(struct sp_bytes part, struct sp_json_doc **out)
{
    struct sp_err err;
    struct sp_buf text;
    enum sp_rc rc = SP_E_MALFORMED;

    sp_buf_init(&text, SP_TOKEN_MAX);
    if (part.len > 0 && sp_base64url_decode(&text, part) &&
        sp_json_parse(sp_buf_bytes(&text), &(struct sp_json_options){.file = "token"}, out, &err) ==
            SP_OK &&
        sp_json_root(*out)->type == SP_JSON_OBJECT)
        rc = SP_OK;
    sp_buf_wipe(&text);
    return rc;
}

static enum sp_rc check_signature(const struct sp_json *header, struct sp_bytes what,
                                  struct sp_bytes signature, const struct sp_token_keys *keys,
                                  struct sp_err *err)
{
    struct sp_bytes algorithm = sp_json_text_of(header, "alg");
    const struct sp_json *id = sp_json_find(header, "kid");
    bool found = false;

    if (sp_json_find(header, "crit") != NULL)
        return sp_fail(err, SP_E_DENIED, "it asks for an extension");
    if (id != NULL && id->type != SP_JSON_TEXT)
        return sp_fail(err, SP_E_DENIED, "its kid is no text");
    for (size_t i = 0; i < keys->count; i++) {
        const struct token_key *k = &keys->items[i];

        if (!sp_bytes_eq(algorithm, sp_bytes_cstr(k->algorithm)) ||
            (id != NULL && !sp_bytes_eq(id->text, sp_bytes_cstr(k->id))))
            continue;
        found = true;
        if (sp_pkey_verify(k->key, what, signature) == SP_OK)
            return SP_OK;
    }
    return sp_fail(err, SP_E_DENIED,
                   found ? "its signature does not hold" : "no key of the set is for it");
}

/* NumericDate (RFC 7519 2): seconds, perhaps with a fraction. returns: false if it is there and no number */
static bool take_time(const struct sp_json *claims, const char *name, bool *has, int64_t *out_ms)
{
    const struct sp_json *v = sp_json_find(claims, name);

    *has = v != NULL;
    if (v == NULL)
        return true;
    if (v->type == SP_JSON_INT && v->integer >= 0 && v->integer < INT64_C(1) << 40) {
        *out_ms = v->integer * 1000;
        return true;
    }
    if (v->type == SP_JSON_REAL && isfinite(v->real) && v->real >= 0 && v->real < 1e12) {
        *out_ms = (int64_t)(v->real * 1000);
        return true;
    }
    return false;
}

static enum sp_rc check_times(const struct sp_json *claims, const struct sp_token_rules *rules,
                              struct sp_err *err)
{
    bool has_exp, has_nbf, has_iat;
    int64_t exp_ms = 0, nbf_ms = 0, iat_ms = 0;

    if (!take_time(claims, "exp", &has_exp, &exp_ms) ||
        !take_time(claims, "nbf", &has_nbf, &nbf_ms) ||
        !take_time(claims, "iat", &has_iat, &iat_ms) || !has_exp)
        return sp_fail(err, SP_E_DENIED, "its times are no times, or it never ends");
    if (rules->now_ms >= exp_ms + rules->leeway_ms)
        return sp_fail(err, SP_E_DENIED, "it has expired");
    if ((has_nbf && rules->now_ms + rules->leeway_ms < nbf_ms) ||
        (has_iat && rules->now_ms + rules->leeway_ms < iat_ms))
        return sp_fail(err, SP_E_DENIED, "it is not good yet");
    return SP_OK;
}

static bool holds_audience(const struct sp_json *aud, struct sp_bytes wanted)
{
    if (aud == NULL)
        return false;
    if (aud->type == SP_JSON_TEXT)
        return sp_bytes_eq(aud->text, wanted);
    if (aud->type != SP_JSON_ARRAY)
        return false;
    for (const struct sp_json *v = aud->first; v != NULL; v = v->next)
        if (v->type == SP_JSON_TEXT && sp_bytes_eq(v->text, wanted))
            return true;
    return false;
}

static enum sp_rc check_claims(const struct sp_json *claims, const struct sp_token_rules *rules,
                               struct sp_buf *user, struct sp_err *err)
{
    const struct sp_json *name = sp_json_find_bytes(claims, rules->claim);
    enum sp_rc rc;

    if (rules->issuer.len == 0 || !sp_bytes_eq(sp_json_text_of(claims, "iss"), rules->issuer))
        return sp_fail(err, SP_E_DENIED, "another issuer made it");
    if (rules->audience.len == 0 || !holds_audience(sp_json_find(claims, "aud"), rules->audience))
        return sp_fail(err, SP_E_DENIED, "it is for another audience");
    rc = check_times(claims, rules, err);
    if (rc != SP_OK)
        return rc;
    if (name == NULL || name->type != SP_JSON_TEXT || name->text.len == 0 ||
        name->text.len > SP_TOKEN_CLAIM_MAX)
        return sp_fail(err, SP_E_DENIED, "it names no user");
    sp_buf_put(user, name->text);
    return sp_buf_rc(user);
}

enum sp_rc sp_token_verify(struct sp_bytes token, const struct sp_token_rules *rules,
                           struct sp_buf *user, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) header = NULL;
    SP_AUTO(sp_json_doc) claims = NULL;
    struct sp_bytes rest = token, parts[3] = {{NULL, 0}};
    struct sp_buf signature;
    enum sp_rc rc = SP_OK;
    size_t count = 0;

    if (token.len == 0 || token.len > SP_TOKEN_MAX)
        return sp_fail(err, SP_E_MALFORMED, "it is empty or too long");
    while (count < 3 && sp_bytes_split(&rest, '.', &parts[count]))
        count++;
    if (count != 3 || rest.ptr != NULL)
        return sp_fail(err, SP_E_MALFORMED, "it is not of three parts");
    sp_buf_init(&signature, SP_PKEY_SIGNATURE_MAX);
    if (!sp_base64url_decode(&signature, parts[2]) || signature.failed ||
        decode_json(parts[0], &header) != SP_OK || decode_json(parts[1], &claims) != SP_OK)
        rc = sp_fail(err, SP_E_MALFORMED, "its parts can't be read");
    if (rc == SP_OK)
        rc = check_signature(sp_json_root(header),
                             sp_bytes_slice(token, 0, parts[0].len + 1 + parts[1].len),
                             sp_buf_bytes(&signature), rules->keys, err);
    if (rc == SP_OK)
        rc = check_claims(sp_json_root(claims), rules, user, err);
    sp_buf_clear(&signature);
    return rc;
}

/* "n," or "y,", then "a=..." or nothing, then ",". returns: false if it is no such header */
static bool take_gs2(struct sp_bytes *rest, struct sp_bytes *authzid)
{
    struct sp_bytes flag, identity;

    *authzid = sp_bytes(NULL, 0);
    if (!sp_bytes_split(rest, ',', &flag) || flag.len != 1 ||
        (flag.ptr[0] != 'n' && flag.ptr[0] != 'y'))
        return false;
    if (rest->ptr == NULL || !sp_bytes_split(rest, ',', &identity) || rest->ptr == NULL)
        return false;
    if (identity.len == 0)
        return true;
    *authzid = sp_bytes_slice(identity, 2, identity.len);
    return sp_bytes_starts_nocase(identity, SP_LIT("a=")) && authzid->len > 0;
}

enum sp_rc sp_token_bearer_parse(struct sp_bytes text, struct sp_bytes *token,
                                 struct sp_bytes *authzid)
{
    const struct sp_bytes scheme = SP_LIT("auth=Bearer ");
    struct sp_bytes rest = text, pair;

    *token = sp_bytes(NULL, 0);
    if (!take_gs2(&rest, authzid) || rest.len < 3 || rest.ptr[0] != KVSEP ||
        rest.ptr[rest.len - 1] != KVSEP || rest.ptr[rest.len - 2] != KVSEP)
        return SP_E_MALFORMED;
    rest = sp_bytes_slice(rest, 1, rest.len - 3);
    while (sp_bytes_split(&rest, KVSEP, &pair)) {
        size_t equals = sp_bytes_find(pair, '=');

        if (equals == SIZE_MAX || equals == 0)
            return SP_E_MALFORMED;
        if (!sp_bytes_starts_nocase(pair, SP_LIT("auth=")))
            continue; /* host and port say what we know */
        if (token->ptr != NULL || !sp_bytes_starts_nocase(pair, scheme))
            return SP_E_MALFORMED;
        *token = sp_bytes_trim(sp_bytes_slice(pair, scheme.len, pair.len));
    }
    return token->len > 0 ? SP_OK : SP_E_MALFORMED;
}
