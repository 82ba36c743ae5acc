/*
 * Signing, relaxed/relaxed. The body is hashed once, however many keys sign; the header is gathered (within mail's limit),
 * since a signature takes its fields in an order of its own. libopendkim signs too, but loses each Ed25519 key that it signs
 * with (2.6 KiB, the secret in it) and parses the PEM anew for each message; so it only verifies, and tests hold us against it.
 *
 * What is signed: a fixed list of fields, not all there are, since relays add and change some; those that a reader sees or
 * that say how to read are oversigned, so that a second From or Subject breaks the signature. Never l=, and x= after a
 * week: a signature is for delivery, not for replay.
 */
#include "dkim/sign.h"

#include "base/text.h"
#include "dkim/canon.h"

#define LIFETIME_MS  INT64_C(604800000)
#define CANON_MAX    ((size_t)2 * SP_HEADER_MAX)
#define LIST_WIDTH   70 /* of a line of h= */
#define VALUE_WIDTH  72 /* of a line of b= */
#define NAME_MAX_LEN 256

static const struct {
    struct sp_bytes name;
    bool over;
} fields[] = {
    {SP_LIT_INIT("from"), true},
    {SP_LIT_INIT("sender"), true},
    {SP_LIT_INIT("reply-to"), true},
    {SP_LIT_INIT("subject"), true},
    {SP_LIT_INIT("date"), true},
    {SP_LIT_INIT("message-id"), true},
    {SP_LIT_INIT("to"), true},
    {SP_LIT_INIT("cc"), true},
    {SP_LIT_INIT("references"), false},
    {SP_LIT_INIT("in-reply-to"), false},
    {SP_LIT_INIT("mime-version"), true},
    {SP_LIT_INIT("content-type"), true},
    {SP_LIT_INIT("content-transfer-encoding"), true},
    {SP_LIT_INIT("content-disposition"), false},
    {SP_LIT_INIT("auto-submitted"), false},
    {SP_LIT_INIT("tls-required"), false},
    {SP_LIT_INIT("tls-report-domain"), false},
    {SP_LIT_INIT("tls-report-submitter"), false},
    {SP_LIT_INIT("list-unsubscribe"), false},
    {SP_LIT_INIT("list-unsubscribe-post"), false},
};

struct signer {
    char domain[NAME_MAX_LEN], selector[NAME_MAX_LEN];
    const struct sp_pkey *key;
};

struct sp_dkim_sign {
    struct signer signers[SP_DKIM_SIGNERS_MAX];
    size_t count;
    int64_t now_ms;
    struct sp_buf header; /* until its end has come; then what is signed of it, canonical */
    struct sp_buf list;   /* h=, folded */
    size_t searched;
    bool in_body;
    struct sp_dkim_canon_body body;
};

enum sp_rc sp_dkim_signer_check(const struct sp_pkey *key, struct sp_err *err)
{
    if (sp_pkey_kind(key) == SP_PKEY_P256)
        return sp_fail(err, SP_E_UNSUPPORTED, "a DKIM key is RSA or Ed25519");
    if (sp_pkey_kind(key) == SP_PKEY_RSA && sp_pkey_bits(key) < SP_DKIM_KEY_BITS_MIN)
        return sp_fail(err, SP_E_UNSUPPORTED, "an RSA key of %u bits is too short to sign with: %d",
                       sp_pkey_bits(key), SP_DKIM_KEY_BITS_MIN);
    return SP_OK;
}

static bool copy_name(char *to, const char *from)
{
    size_t len = strlen(from);

    if (len == 0 || len >= NAME_MAX_LEN)
        return false;
    memcpy(to, from, len + 1);
    return true;
}

enum sp_rc sp_dkim_sign_new(const struct sp_dkim_signer *signers, size_t count, int64_t now_ms,
                            struct sp_dkim_sign **out, struct sp_err *err)
{
    SP_AUTO(sp_dkim_sign) s = sp_calloc(1, sizeof(*s));

    sp_buf_init(&s->header, CANON_MAX);
    sp_buf_init(&s->list, CANON_MAX);
    sp_dkim_canon_body_init(&s->body);
    s->now_ms = now_ms;
    if (count == 0 || count > SP_DKIM_SIGNERS_MAX)
        return sp_fail(err, SP_E_UNSUPPORTED, "1 to %d keys sign", SP_DKIM_SIGNERS_MAX);
    for (size_t i = 0; i < count; i++) {
        enum sp_rc rc = sp_dkim_signer_check(signers[i].key, err);

        if (rc != SP_OK)
            return rc;
        if (!copy_name(s->signers[i].domain, signers[i].domain) ||
            !copy_name(s->signers[i].selector, signers[i].selector))
            return sp_fail(err, SP_E_UNSUPPORTED, "a domain or selector is empty or too long");
        s->signers[i].key = signers[i].key;
        s->count++;
    }
    *out = SP_STEAL(s);
    return SP_OK;
}

void sp_dkim_sign_free(struct sp_dkim_sign *s)
{
    if (s == NULL)
        return;
    sp_buf_wipe(&s->header);
    sp_buf_clear(&s->list);
    sp_dkim_canon_body_clear(&s->body);
    sp_free(s);
}

/* ---- the header ---- */

static void list_name(struct sp_dkim_sign *s, struct sp_bytes name, size_t *width)
{
    bool first = s->list.len == 0;

    if (!first)
        sp_buf_put_u8(&s->list, ':');
    if (!first && *width + name.len + 1 > LIST_WIDTH) {
        sp_buf_put_cstr(&s->list, "\r\n\t ");
        *width = 0;
    }
    sp_buf_put(&s->list, name);
    *width += name.len + 1;
}

/* Of several fields of a name the last is signed first (RFC 6376 5.4.2); one more in the list than there are is oversigning. */
static void take_fields(struct sp_dkim_sign *s, const struct sp_header *h, struct sp_buf *out)
{
    struct sp_field *found = sp_calloc(h->count + 1, sizeof(*found));
    size_t width = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(fields); i++) {
        size_t at = 0, left = 0;

        while (left < h->count && sp_header_next_of(h, fields[i].name, &at, &found[left]))
            left++;
        while (left-- > 0) {
            sp_dkim_canon_field(found[left].name, found[left].value, out);
            sp_buf_put_cstr(out, "\r\n");
            list_name(s, fields[i].name, &width);
        }
        if (fields[i].over)
            list_name(s, fields[i].name, &width);
    }
    sp_free(found);
}

/* The header becomes what is signed of it; what followed it in the same bytes is body. */
static enum sp_rc end_header(struct sp_dkim_sign *s, bool whole, struct sp_err *err)
{
    struct sp_bytes start = sp_buf_bytes(&s->header);
    struct sp_buf canonical;
    struct sp_header h;
    enum sp_rc rc = sp_header_parse(start, whole, &h);

    if (rc != SP_OK)
        return sp_fail(err, rc, "the header can't be split");
    sp_buf_init(&canonical, CANON_MAX);
    take_fields(s, &h, &canonical);
    sp_dkim_canon_body_feed(&s->body, sp_bytes_slice(start, h.body_at, SIZE_MAX));
    sp_buf_wipe(&s->header);
    s->header = canonical;
    s->in_body = true;
    rc = sp_buf_rc(&s->header);
    return rc == SP_OK ? SP_OK : sp_fail(err, SP_E_HEADER_LIMIT, "the header is too long to sign");
}

enum sp_rc sp_dkim_sign_feed(struct sp_dkim_sign *s, struct sp_bytes data, struct sp_err *err)
{
    struct sp_bytes taken;
    enum sp_rc rc;
    bool ends;

    if (!s->in_body) {
        taken = sp_bytes_slice(data, 0, SP_HEADER_MAX - s->header.len);
        sp_buf_put(&s->header, taken);
        ends = sp_bytes_find_all(sp_bytes_slice(sp_buf_bytes(&s->header), s->searched, SIZE_MAX),
                                 SP_LIT("\r\n\r\n")) != SIZE_MAX ||
               sp_bytes_starts_nocase(sp_buf_bytes(&s->header), SP_LIT("\r\n"));
        s->searched = s->header.len < 3 ? 0 : s->header.len - 3;
        if (!ends && s->header.len < SP_HEADER_MAX)
            return SP_OK;
        rc = end_header(s, false, err);
        if (rc != SP_OK)
            return rc;
        data = sp_bytes_slice(data, taken.len, SIZE_MAX);
    }
    sp_dkim_canon_body_feed(&s->body, data);
    return SP_OK;
}

/* ---- the signature ---- */

/* The field up to "b=". */
static void put_tags(const struct sp_dkim_sign *s, const struct signer *signer,
                     const uint8_t hash[SP_SHA256_LEN], struct sp_buf *out)
{
    sp_buf_printf(out, "DKIM-Signature: v=1; a=%s-sha256; c=relaxed/relaxed;\r\n\td=%s;\r\n\ts=%s;",
                  sp_pkey_kind(signer->key) == SP_PKEY_RSA ? "rsa" : "ed25519", signer->domain,
                  signer->selector);
    sp_buf_printf(out, "\r\n\tt=%lld; x=%lld;\r\n\th=", (long long)(s->now_ms / 1000),
                  (long long)((s->now_ms + LIFETIME_MS) / 1000));
    sp_buf_put(out, sp_buf_bytes(&s->list));
    sp_buf_put_cstr(out, ";\r\n\tbh=");
    sp_base64_encode(out, sp_bytes(hash, SP_SHA256_LEN));
    sp_buf_put_cstr(out, ";\r\n\tb=");
}

static enum sp_rc put_value(const struct signer *signer, struct sp_bytes what, struct sp_buf *out)
{
    uint8_t digest[SP_SHA256_LEN];
    struct sp_buf raw, text;
    struct sp_bytes rest;
    enum sp_rc rc;

    if (sp_pkey_kind(signer->key) == SP_PKEY_ED25519) { /* RFC 8463 3: it signs the hash */
        sp_crypt_sha256(what, digest);
        what = sp_bytes(digest, sizeof(digest));
    }
    sp_buf_init(&raw, SP_PKEY_SIGNATURE_MAX);
    sp_buf_init(&text, (size_t)2 * SP_PKEY_SIGNATURE_MAX);
    rc = sp_pkey_sign(signer->key, what, &raw);
    sp_base64_encode(&text, sp_buf_bytes(&raw));
    rest = sp_buf_bytes(&text);
    for (size_t at = 0; at < rest.len; at += VALUE_WIDTH) {
        if (at > 0)
            sp_buf_put_cstr(out, "\r\n\t ");
        sp_buf_put(out, sp_bytes_slice(rest, at, VALUE_WIDTH));
    }
    sp_buf_put_cstr(out, "\r\n");
    sp_buf_clear(&raw);
    sp_buf_clear(&text);
    return rc;
}

static enum sp_rc sign_one(struct sp_dkim_sign *s, const struct signer *signer,
                           const uint8_t hash[SP_SHA256_LEN], struct sp_buf *out)
{
    size_t start = out->len;
    size_t signed_len = s->header.len;
    struct sp_bytes field;
    size_t colon;
    enum sp_rc rc;

    put_tags(s, signer, hash, out);
    rc = sp_buf_rc(out);
    if (rc != SP_OK)
        return rc;
    field = sp_bytes_slice(sp_buf_bytes(out), start, SIZE_MAX);
    colon = sp_bytes_find(field, ':');
    sp_dkim_canon_field(sp_bytes_slice(field, 0, colon), sp_bytes_slice(field, colon + 1, SIZE_MAX),
                        &s->header);
    rc = sp_buf_rc(&s->header);
    if (rc == SP_OK)
        rc = put_value(signer, sp_buf_bytes(&s->header), out);
    s->header.len = signed_len; /* the next signer's takes its place */
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}

enum sp_rc sp_dkim_sign_finish(struct sp_dkim_sign *s, struct sp_buf *out, struct sp_err *err)
{
    uint8_t hash[SP_SHA256_LEN];
    enum sp_rc rc = s->in_body ? SP_OK : end_header(s, true, err);

    if (rc != SP_OK)
        return rc;
    sp_dkim_canon_body_finish(&s->body, hash);
    for (size_t i = 0; rc == SP_OK && i < s->count; i++)
        rc = sign_one(s, &s->signers[i], hash, out);
    return rc == SP_OK ? SP_OK : sp_fail(err, rc, "can't make a DKIM signature");
}
