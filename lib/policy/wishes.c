/*
 * A map from tenant and address to the wish. Addresses stand in it as they are: each relay has them in its queue as well, and
 * the wish must be found for the address that is at hand. One whose time is over stays until the ledger says that it has
 * gone; the policy does not count it.
 */
#include "policy/wishes.h"

#include "base/map.h"

struct sp_policy_wishes {
    struct sp_map *map; /* key to struct sp_fact_wish */
    size_t max;
};

size_t sp_policy_wishes_key(struct sp_bytes tenant, struct sp_bytes address, uint8_t *out)
{
    size_t n = tenant.len + 1;

    if (tenant.len == 0 || address.len == 0 || n + address.len > SP_POLICY_WISH_KEY_MAX ||
        tenant.len > SP_POLICY_WISH_KEY_MAX)
        return 0;
    memcpy(out, tenant.ptr, tenant.len);
    out[tenant.len] = '\n';
    for (size_t i = 0; i < address.len; i++)
        out[n + i] = sp_ascii_lower(address.ptr[i]);
    return n + address.len;
}

struct sp_policy_wishes *sp_policy_wishes_new(size_t max)
{
    struct sp_policy_wishes *w = sp_calloc(1, sizeof(*w));

    w->map = sp_map_new();
    w->max = max;
    return w;
}

void sp_policy_wishes_free(struct sp_policy_wishes *w)
{
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    if (w == NULL)
        return;
    while (sp_map_next(w->map, &at, &key, &value))
        sp_free(value);
    sp_map_free(w->map);
    sp_free(w);
}

bool sp_policy_wishes_set(struct sp_policy_wishes *w, struct sp_bytes tenant,
                          struct sp_bytes address, const struct sp_fact_wish *wish)
{
    uint8_t text[SP_POLICY_WISH_KEY_MAX];
    struct sp_bytes key = sp_bytes(text, sp_policy_wishes_key(tenant, address, text));
    struct sp_fact_wish *kept = key.len == 0 ? NULL : sp_map_find(w->map, key);

    if (key.len == 0 || (kept == NULL && sp_map_count(w->map) >= w->max))
        return false;
    if (kept == NULL) {
        kept = sp_malloc(sizeof(*kept));
        (void)sp_map_put(w->map, key, kept);
    }
    *kept = *wish;
    return true;
}

void sp_policy_wishes_remove(struct sp_policy_wishes *w, struct sp_bytes tenant,
                             struct sp_bytes address)
{
    uint8_t text[SP_POLICY_WISH_KEY_MAX];
    struct sp_bytes key = sp_bytes(text, sp_policy_wishes_key(tenant, address, text));

    if (key.len > 0)
        sp_free(sp_map_remove(w->map, key));
}

const struct sp_fact_wish *sp_policy_wishes_find(const struct sp_policy_wishes *w,
                                                 struct sp_bytes tenant, struct sp_bytes address)
{
    uint8_t text[SP_POLICY_WISH_KEY_MAX];
    struct sp_bytes key = sp_bytes(text, sp_policy_wishes_key(tenant, address, text));

    return key.len == 0 ? NULL : sp_map_find(w->map, key);
}

size_t sp_policy_wishes_count(const struct sp_policy_wishes *w)
{
    return sp_map_count(w->map);
}
