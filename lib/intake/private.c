/*
 * Which fields of a header must not leave: blind copies, what Exchange says to itself, a tenant's secret. A private field
 * under a DKIM signature (RFC 6376 3.5, h=) can neither go nor stay, so its message is refused. A sender writes both lists,
 * the fields and the names that signatures cover, and as long as he likes: each is walked once, over a set of names.
 */
#include "intake/intake_priv.h"

struct sp_bytes sp_intake_secret_key(struct sp_bytes name, uint8_t *out)
{
    if (name.len > SECRET_NAME_MAX)
        return sp_bytes(NULL, 0);
    for (size_t i = 0; i < name.len; i++)
        out[i] = sp_ascii_lower(name.ptr[i]);
    return sp_bytes(out, name.len);
}

bool sp_intake_is_secret(const struct generation *g, struct sp_bytes name)
{
    uint8_t text[SECRET_NAME_MAX];
    struct sp_bytes key = sp_intake_secret_key(name, text);

    return key.len > 0 && sp_map_find(g->secrets, key) != NULL;
}

/* A secret field is nobody else's to see, whichever tenant's it is. */
static bool is_private(const struct transaction *tx, const struct sp_field *f)
{
    return sp_trace_is_private(f, sp_bytes(NULL, 0)) || sp_intake_is_secret(tx->gen, f->name);
}

bool sp_intake_private_next(const struct transaction *tx, size_t *at, struct sp_field *out)
{
    struct sp_field f;

    while (sp_header_next(&tx->header, at, &f)) {
        if (!is_private(tx, &f))
            continue;
        *out = f;
        return true;
    }
    return false;
}

unsigned sp_intake_private_kind(const struct sp_field *f)
{
    if (sp_field_is(f, SP_LIT("Bcc")) || sp_field_is(f, SP_LIT("Resent-Bcc")))
        return REMOVED_BCC;
    return sp_trace_is_private(f, sp_bytes(NULL, 0)) ? REMOVED_EXCHANGE : REMOVED_SECRET;
}

/* returns: the name in lower case, lent by into */
static struct sp_bytes lower(struct sp_bytes name, struct sp_buf *into)
{
    sp_buf_reset(into);
    for (size_t i = 0; i < name.len; i++)
        sp_buf_put_u8(into, sp_ascii_lower(name.ptr[i]));
    return sp_buf_bytes(into);
}

/* returns: whether one signature's list has one of the names */
static bool covers(const struct sp_field *sig, const struct sp_map *names, struct sp_buf *word)
{
    struct sp_bytes list, name;

    if (!sp_dkim_tag_find(sig, 'h', &list))
        return false;
    while (sp_bytes_split(&list, ':', &name)) {
        if (sp_map_find(names, lower(sp_bytes_trim(name), word)) != NULL)
            return true;
    }
    return false;
}

bool sp_intake_private_is_signed(const struct transaction *tx)
{
    SP_AUTO(sp_map) names = NULL; /* made for the first: most messages have none */
    struct sp_field f;
    struct sp_buf word;
    bool found = false;
    size_t at = 0;

    sp_buf_init(&word, SP_HEADER_MAX);
    while (sp_intake_private_next(tx, &at, &f)) {
        names = names == NULL ? sp_map_new() : names;
        sp_map_put(names, lower(f.name, &word), names);
    }
    at = 0;
    while (names != NULL && !found &&
           sp_header_next_of(&tx->header, SP_LIT("DKIM-Signature"), &at, &f))
        found = covers(&f, names, &word);
    sp_buf_clear(&word);
    return found;
}
