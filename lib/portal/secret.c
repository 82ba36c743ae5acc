/*
 * Tokens, codes and cookies: 256 bits each but for the code, and never stored, only their keyed hashes. A token is made
 * from the package's id under a key of the portal, so that a deposit that is repeated after a crash gives the same link
 * although nobody has written it down.
 */
#include "portal/portal_priv.h"

#include "base/text.h"

void sp_portal_hash(const struct sp_portal *p, const char *what, struct sp_bytes secret,
                    struct sp_portal_hash *out)
{
    struct sp_buf b;

    sp_buf_init(&b, 4096);
    sp_buf_put_cstr(&b, what);
    sp_buf_put_u8(&b, 0);
    sp_buf_put(&b, secret);
    sp_assert(sp_buf_rc(&b) == SP_OK);
    sp_crypt_hmac(sp_secret_bytes(&p->hash_secret), sp_buf_bytes(&b), out->b);
    sp_buf_wipe(&b);
}

static void as_text(const uint8_t raw[32], char *out)
{
    struct sp_buf b;

    sp_buf_init(&b, PORTAL_SECRET_TEXT);
    sp_base64url_encode(&b, sp_bytes(raw, 32));
    sp_assert(b.len == PORTAL_SECRET_TEXT - 1);
    memcpy(out, b.ptr, b.len);
    out[b.len] = '\0';
    sp_buf_wipe(&b);
}

void sp_portal_token_of(const struct sp_portal *p, const struct portal_package *pkg, char *out)
{
    uint8_t raw[SP_SHA256_LEN];
    struct sp_buf b;

    sp_buf_init(&b, 1024);
    sp_buf_put_var(&b, sp_bytes_cstr(pkg->id));
    sp_buf_put(&b, sp_bytes(pkg->message.b, SP_ID_LEN));
    sp_buf_put_var(&b, sp_bytes_cstr(pkg->recipient));
    sp_assert(sp_buf_rc(&b) == SP_OK);
    sp_crypt_hmac(sp_secret_bytes(&p->token_secret), sp_buf_bytes(&b), raw);
    as_text(raw, out);
    sp_buf_wipe(&b);
    sp_wipe(raw, sizeof(raw));
}

void sp_portal_secret_new(const struct sp_portal *p, char *out)
{
    uint8_t raw[32];

    sp_random_fill(p->o.random, raw, sizeof(raw));
    as_text(raw, out);
    sp_wipe(raw, sizeof(raw));
}

bool sp_portal_token_parse(struct sp_bytes text, char *out)
{
    size_t mark = sp_bytes_find(text, '#');

    if (mark != SIZE_MAX)
        text = sp_bytes_slice(text, mark + 1, SIZE_MAX);
    text = sp_bytes_trim(text);
    if (text.len != PORTAL_SECRET_TEXT - 1)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!sp_ascii_is_alnum(text.ptr[i]) && text.ptr[i] != '-' && text.ptr[i] != '_')
            return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}
