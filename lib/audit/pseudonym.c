/*
 * Hiding goes by what a text looks like, not by the name of its member: an event that is new, or a reason that somebody
 * typed, hides its addresses too. So it takes more for an address than the grammar would (a quoted local part with anything
 * in it, a domain of one label), and what is left in plain is what has no local part or no domain. Turned down: a table of
 * members that hold addresses, as one that is forgotten there would tell.
 */
#include "audit/pseudonym.h"

#include "base/text.h"
#include "crypt/hash.h"

#define KEY_LEN   4  /* bytes of the key's own hash that name it */
#define HASH_LEN  16 /* bytes of the address's */
#define LOWER_MAX 65536

static bool is_local(uint8_t c)
{
    return c >= 0x80 || (c > ' ' && c < 0x7f && strchr("\"(),:;<>@[\\]", c) == NULL);
}

static bool is_domain(uint8_t c)
{
    return c >= 0x80 || sp_ascii_is_alnum(c) || c == '-' || c == '.' || c == '_';
}

/* returns: the '@' behind a quoted string that begins there, or 0 */
static size_t behind_quotes(struct sp_bytes text, size_t at)
{
    for (size_t i = at + 1; i + 1 < text.len; i++) {
        if (text.ptr[i] == '\\')
            i++;
        else if (text.ptr[i] == '"')
            return text.ptr[i + 1] == '@' ? i + 1 : 0;
    }
    return 0;
}

static size_t begin_of(struct sp_bytes text, size_t from, size_t at)
{
    while (at > from && is_local(text.ptr[at - 1]))
        at--;
    return at;
}

static size_t end_of(struct sp_bytes text, size_t at)
{
    size_t i = at + 1;

    if (i < text.len && text.ptr[i] == '[') {
        while (i < text.len && text.ptr[i] != ']')
            i++;
        return i < text.len ? i + 1 : i;
    }
    while (i < text.len && is_domain(text.ptr[i]))
        i++;
    while (i > at + 1 && (text.ptr[i - 1] == '.' || text.ptr[i - 1] == '-'))
        i--;
    return i;
}

struct sp_bytes sp_audit_address_next(struct sp_bytes text, size_t *from)
{
    for (size_t i = *from; i < text.len; i++) {
        size_t at = text.ptr[i] == '"' ? behind_quotes(text, i) : text.ptr[i] == '@' ? i : 0;
        size_t begin, end;

        if (at == 0)
            continue;
        begin = at == i ? begin_of(text, *from, at) : i;
        end = end_of(text, at);
        if (begin == at || end == at + 1)
            continue;
        *from = end;
        return sp_bytes_slice(text, begin, end - begin);
    }
    *from = text.len;
    return sp_bytes(NULL, 0);
}

void sp_audit_pseudonym_format(const struct sp_secret *key, struct sp_bytes address,
                               struct sp_buf *out)
{
    uint8_t name[SP_SHA256_LEN], hash[SP_SHA256_LEN];
    struct sp_buf lower;

    sp_buf_init(&lower, LOWER_MAX);
    for (size_t i = 0; i < address.len; i++)
        sp_buf_put_u8(&lower, sp_ascii_lower(address.ptr[i]));
    sp_crypt_hmac(sp_secret_bytes(key), SP_LIT("name of this key"), name);
    sp_crypt_hmac(sp_secret_bytes(key), sp_buf_bytes(&lower), hash);
    sp_buf_put_u8(out, 'k');
    sp_hex_encode(out, sp_bytes(name, KEY_LEN));
    sp_buf_put_u8(out, ':');
    sp_hex_encode(out, sp_bytes(hash, HASH_LEN));
    sp_buf_wipe(&lower);
}

struct sp_bytes sp_audit_pseudonym_of(struct sp_bytes text)
{
    static const char form[] = "khhhhhhhh:hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh";

    if (text.len < SP_AUDIT_PSEUDONYM_LEN ||
        (text.len > SP_AUDIT_PSEUDONYM_LEN && text.ptr[SP_AUDIT_PSEUDONYM_LEN] != '@'))
        return sp_bytes(NULL, 0);
    for (size_t i = 0; i < SP_AUDIT_PSEUDONYM_LEN; i++) {
        uint8_t c = text.ptr[i];
        bool is_hex = sp_ascii_is_digit(c) || (c >= 'a' && c <= 'f');

        if (form[i] == 'h' ? !is_hex : c != (uint8_t)form[i])
            return sp_bytes(NULL, 0);
    }
    return sp_bytes_slice(text, 0, SP_AUDIT_PSEUDONYM_LEN);
}

struct hiding {
    const struct sp_secret *key;
    sp_audit_hidden_fn fn;
    void *arg;
    struct sp_jw w;
    enum sp_rc rc;
};

/* out: with a NUL behind it. returns: the domain, in place of the address */
static struct sp_bytes hide_one(struct hiding *h, struct sp_bytes address, struct sp_buf *out)
{
    size_t at = address.len;

    sp_buf_reset(out);
    sp_audit_pseudonym_format(h->key, address, out);
    sp_buf_put_u8(out, 0);
    h->fn(h->arg, address, (const char *)out->ptr);
    out->len--;
    while (address.ptr[at - 1] != '@')
        at--;
    return sp_bytes_slice(address, at, SIZE_MAX);
}

static void put_lower(struct sp_buf *out, struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        sp_buf_put_u8(out, sp_ascii_lower(text.ptr[i]));
}

static void put_object(struct hiding *h, const char *key, struct sp_bytes address)
{
    struct sp_buf pseudonym, domain;
    struct sp_bytes as_is;

    sp_buf_init(&pseudonym, SP_AUDIT_PSEUDONYM_LEN + 1);
    sp_buf_init(&domain, address.len);
    as_is = hide_one(h, address, &pseudonym);
    put_lower(&domain, as_is);
    sp_jw_object(&h->w, key);
    sp_jw_text(&h->w, "domain", sp_buf_bytes(&domain));
    sp_jw_text(&h->w, "h", sp_buf_bytes(&pseudonym));
    sp_jw_end(&h->w);
    sp_buf_clear(&domain);
    sp_buf_clear(&pseudonym);
}

static void put_text(struct hiding *h, const char *key, struct sp_bytes text)
{
    struct sp_buf out, pseudonym;
    size_t at = 0, done = 0;

    sp_buf_init(&out, SP_JSON_LEN_MAX);
    sp_buf_init(&pseudonym, SP_AUDIT_PSEUDONYM_LEN + 1);
    while (done < text.len) {
        struct sp_bytes address = sp_audit_address_next(text, &at);
        size_t begin = at - address.len;
        struct sp_bytes domain;

        sp_buf_put(&out, sp_bytes_slice(text, done, begin - done));
        done = at;
        if (address.len == 0)
            break;
        domain = hide_one(h, address, &pseudonym);
        sp_buf_put(&out, sp_buf_bytes(&pseudonym));
        sp_buf_put_u8(&out, '@');
        put_lower(&out, domain);
    }
    if (h->rc == SP_OK)
        h->rc = sp_buf_rc(&out);
    sp_jw_text(&h->w, key, sp_buf_bytes(&out));
    sp_buf_clear(&pseudonym);
    sp_buf_clear(&out);
}

static void put_as_is(struct hiding *h, const char *key, const struct sp_json *value)
{
    struct sp_buf text;

    sp_buf_init(&text, SP_JSON_LEN_MAX);
    if (h->rc == SP_OK)
        h->rc = sp_json_canonical(value, &text);
    sp_jw_raw(&h->w, key, sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

static bool is_told(struct sp_bytes key)
{
    return sp_bytes_eq(key, SP_LIT("message_id")) ||
           sp_bytes_eq(key, SP_LIT("network_message_id")) || sp_bytes_eq(key, SP_LIT("object"));
}

/* A value that holds no others. */
static void put_leaf(struct hiding *h, const struct sp_json *v)
{
    const char *key = (const char *)v->key.ptr;
    struct sp_bytes address;
    size_t at = 0;

    if (v->type != SP_JSON_TEXT || is_told(v->key)) {
        put_as_is(h, key, v);
        return;
    }
    address = sp_audit_address_next(v->text, &at);
    if (address.len > 0 && address.len == v->text.len && h->w.depth < SP_JW_DEPTH_MAX)
        put_object(h, key, address);
    else
        put_text(h, key, v->text);
}

static bool is_nest(const struct sp_json *v)
{
    return (v->type == SP_JSON_OBJECT || v->type == SP_JSON_ARRAY) && !is_told(v->key);
}

static void begin(struct hiding *h, const struct sp_json *v)
{
    const char *key = (const char *)v->key.ptr;

    if (v->type == SP_JSON_OBJECT)
        sp_jw_object(&h->w, key);
    else
        sp_jw_array(&h->w, key);
}

/* What comes behind v; what ends with it is ended. returns: NULL at the end of root */
static const struct sp_json *leave(struct hiding *h, const struct sp_json *v,
                                   const struct sp_json *root)
{
    while (v != root && v->next == NULL) {
        sp_jw_end(&h->w);
        v = v->parent;
    }
    return v == root ? NULL : v->next;
}

enum sp_rc sp_audit_pseudonym_hide(const struct sp_secret *key, const struct sp_json *root,
                                   sp_audit_hidden_fn fn, void *arg, struct sp_buf *out)
{
    struct hiding h = {.key = key, .fn = fn, .arg = arg};
    const struct sp_json *v = root->first;

    sp_jw_init(&h.w, out);
    sp_jw_object(&h.w, NULL);
    while (v != NULL) {
        if (!is_nest(v)) {
            put_leaf(&h, v);
            v = leave(&h, v, root);
            continue;
        }
        begin(&h, v);
        if (v->first != NULL) {
            v = v->first;
            continue;
        }
        sp_jw_end(&h.w);
        v = leave(&h, v, root);
    }
    if (root->first == NULL)
        sp_jw_end(&h.w);
    return h.rc == SP_OK ? sp_buf_rc(out) : h.rc;
}
