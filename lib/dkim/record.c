/*
 * Key records. What is published is compared tag by tag and key by key, not as text: order, white space and further tags are
 * the domain's to choose.
 */
#include "dkim/record.h"

#include "base/text.h"

static bool is_name(struct sp_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (!sp_ascii_is_alnum(b.ptr[i]) && b.ptr[i] != '_')
            return false;
    return b.len > 0 && sp_ascii_is_alpha(b.ptr[0]);
}

/* returns: where that tag goes, NULL for one that we don't know */
static struct sp_bytes *slot(struct sp_dkim_record *r, struct sp_bytes name)
{
    if (name.len != 1)
        return NULL;
    switch (name.ptr[0]) { /* names of tags are case-sensitive */
    case 'v':
        return &r->version;
    case 'k':
        return &r->kind;
    case 'h':
        return &r->hashes;
    case 's':
        return &r->services;
    case 't':
        return &r->flags;
    case 'p':
        return &r->key;
    default:
        return NULL;
    }
}

/* One tag: name, "=", value. first: it is the record's first */
static enum sp_rc take_tag(struct sp_bytes text, bool first, struct sp_dkim_record *out)
{
    size_t equals = sp_bytes_find(text, '=');
    struct sp_bytes name = sp_bytes_trim(sp_bytes_slice(text, 0, equals)), value;
    struct sp_bytes *to = slot(out, name);

    if (equals == SIZE_MAX || !is_name(name) || (to != NULL && to->ptr != NULL))
        return SP_E_DKIM_FAILED;
    value = sp_bytes_trim(sp_bytes_slice(text, equals + 1, SIZE_MAX));
    if (to == &out->version && (!first || !sp_bytes_eq(value, SP_LIT("DKIM1"))))
        return SP_E_DKIM_FAILED; /* RFC 6376 3.6.1 */
    if (to != NULL)
        *to = value.len == 0 ? SP_LIT("") : value;
    out->has_key = out->has_key || to == &out->key;
    return SP_OK;
}

enum sp_rc sp_dkim_record_parse(struct sp_bytes text, struct sp_dkim_record *out)
{
    struct sp_bytes rest = text, part;
    bool first = true;

    *out = (struct sp_dkim_record){.has_key = false};
    while (sp_bytes_split(&rest, ';', &part)) {
        if (sp_bytes_trim(part).len == 0 && rest.len == 0)
            break; /* a last ";" */
        if (take_tag(sp_bytes_trim(part), first, out) != SP_OK)
            return SP_E_DKIM_FAILED;
        first = false;
    }
    return out->has_key ? SP_OK : SP_E_DKIM_FAILED;
}

static const char *kind_name(const struct sp_pkey *key)
{
    return sp_pkey_kind(key) == SP_PKEY_RSA ? "rsa" : "ed25519";
}

static enum sp_rc put_public(const struct sp_pkey *key, struct sp_buf *out)
{
    struct sp_buf raw;
    enum sp_rc rc;

    sp_buf_init(&raw, SP_DKIM_RECORD_MAX);
    rc = sp_pkey_public(key, &raw);
    if (rc == SP_OK)
        sp_base64_encode(out, sp_buf_bytes(&raw));
    sp_buf_clear(&raw);
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}

enum sp_rc sp_dkim_record_format(const struct sp_pkey *key, struct sp_buf *out)
{
    sp_buf_put_cstr(out, "v=DKIM1; k=");
    sp_buf_put_cstr(out, kind_name(key));
    sp_buf_put_cstr(out, "; p=");
    return put_public(key, out);
}

/* returns: whether a list with colons holds a word, or is empty: then it means all */
static bool allows(struct sp_bytes list, struct sp_bytes word)
{
    struct sp_bytes part;

    if (list.len == 0)
        return true;
    while (sp_bytes_split(&list, ':', &part))
        if (sp_bytes_eq_nocase(sp_bytes_trim(part), word))
            return true;
    return false;
}

static bool is_same_key(struct sp_bytes text, const struct sp_pkey *key)
{
    struct sp_buf ours, published;
    bool same;

    sp_buf_init(&ours, SP_DKIM_RECORD_MAX);
    sp_buf_init(&published, SP_DKIM_RECORD_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != ' ' && text.ptr[i] != '\t' && text.ptr[i] != '\r' && text.ptr[i] != '\n')
            sp_buf_put_u8(&published, text.ptr[i]);
    same = put_public(key, &ours) == SP_OK &&
           sp_bytes_eq(sp_buf_bytes(&ours), sp_buf_bytes(&published));
    sp_buf_clear(&ours);
    sp_buf_clear(&published);
    return same;
}

enum sp_dkim_finding sp_dkim_record_compare(struct sp_bytes text, const struct sp_pkey *key)
{
    struct sp_bytes kind = sp_bytes_cstr(kind_name(key));
    struct sp_dkim_record r;

    if (sp_dkim_record_parse(text, &r) != SP_OK)
        return SP_DKIM_RECORD_BROKEN;
    if (r.key.len == 0)
        return SP_DKIM_RECORD_REVOKED;
    if (!sp_bytes_eq_nocase(r.kind.len == 0 ? SP_LIT("rsa") : r.kind, kind) ||
        !is_same_key(r.key, key))
        return SP_DKIM_RECORD_OTHER;
    if (!allows(r.hashes, SP_LIT("sha256")) ||
        (!allows(r.services, SP_LIT("email")) && !allows(r.services, SP_LIT("*"))))
        return SP_DKIM_RECORD_LIMITED;
    return r.flags.len > 0 && allows(r.flags, SP_LIT("y")) ? SP_DKIM_RECORD_TESTING
                                                           : SP_DKIM_RECORD_GOOD;
}
