/*
 * Open addressing with linear probing over hashes that are already uniform; at most half full, doubled as it grows. Entries
 * are never taken out one by one: what is too old goes when the set is made anew.
 */
#include "policy/contacts.h"

#include "base/buf.h"
#include "crypt/hash.h"

#define SLOTS_FIRST  1024
#define DAY_MS       ((int64_t)86400000)
#define PAIR_LEN_MAX 4096

struct slot {
    uint64_t hash; /* 0: empty */
    uint16_t day;
};

struct sp_policy_contacts {
    struct slot *slots;
    size_t slot_count; /* a power of two */
    size_t count;
    size_t max;
};

uint64_t sp_policy_contacts_hash(const struct sp_secret *key, struct sp_bytes tenant,
                                 struct sp_bytes address)
{
    uint8_t mac[SP_SHA256_LEN];
    struct sp_buf pair;
    uint64_t hash = 0;

    sp_buf_init(&pair, PAIR_LEN_MAX);
    sp_buf_put_var(&pair, tenant);
    for (size_t i = 0; i < address.len; i++)
        sp_buf_put_u8(&pair, sp_ascii_lower(address.ptr[i]));
    sp_crypt_hmac(sp_secret_bytes(key), sp_buf_bytes(&pair), mac);
    sp_buf_clear(&pair);
    for (size_t i = 0; i < sizeof(hash); i++)
        hash = hash << 8 | mac[i];
    return hash == 0 ? 1 : hash;
}

uint16_t sp_policy_contacts_day(int64_t wall_ms)
{
    int64_t day = wall_ms / DAY_MS;

    return day < 0 ? 0 : day > UINT16_MAX ? UINT16_MAX : (uint16_t)day;
}

struct sp_policy_contacts *sp_policy_contacts_new(size_t max)
{
    struct sp_policy_contacts *c = sp_calloc(1, sizeof(*c));

    c->max = max;
    c->slot_count = SLOTS_FIRST;
    c->slots = sp_calloc(c->slot_count, sizeof(*c->slots));
    return c;
}

void sp_policy_contacts_free(struct sp_policy_contacts *c)
{
    if (c == NULL)
        return;
    sp_free(c->slots);
    sp_free(c);
}

/* returns: the hash's slot, or the empty one where it would stand */
static struct slot *find(const struct sp_policy_contacts *c, uint64_t hash)
{
    size_t at = hash & (c->slot_count - 1);

    while (c->slots[at].hash != 0 && c->slots[at].hash != hash)
        at = (at + 1) & (c->slot_count - 1);
    return &c->slots[at];
}

static void rebuild(struct sp_policy_contacts *c, size_t slot_count, uint16_t since_day)
{
    struct slot *old = c->slots;
    size_t old_count = c->slot_count;

    c->slots = sp_calloc(slot_count, sizeof(*c->slots));
    c->slot_count = slot_count;
    c->count = 0;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].hash == 0 || old[i].day < since_day)
            continue;
        *find(c, old[i].hash) = old[i];
        c->count++;
    }
    sp_free(old);
}

bool sp_policy_contacts_put(struct sp_policy_contacts *c, uint64_t hash, uint16_t day)
{
    struct slot *slot = find(c, hash);

    if (slot->hash == hash) {
        if (slot->day >= day)
            return false;
        slot->day = day;
        return true;
    }
    if (c->count >= c->max || hash == 0)
        return false;
    if ((c->count + 1) * 2 > c->slot_count) {
        rebuild(c, c->slot_count * 2, 0);
        slot = find(c, hash);
    }
    *slot = (struct slot){hash, day};
    c->count++;
    return true;
}

void sp_policy_contacts_expire(struct sp_policy_contacts *c, uint16_t day)
{
    rebuild(c, c->slot_count, day);
}

bool sp_policy_contacts_has(const struct sp_policy_contacts *c, uint64_t hash, uint16_t since_day)
{
    const struct slot *slot = find(c, hash);

    return slot->hash != 0 && slot->day >= since_day;
}

size_t sp_policy_contacts_count(const struct sp_policy_contacts *c)
{
    return c->count;
}

bool sp_policy_contacts_is_full(const struct sp_policy_contacts *c)
{
    return c->count >= c->max;
}

bool sp_policy_contacts_next(const struct sp_policy_contacts *c, size_t *at, uint64_t *hash,
                             uint16_t *day)
{
    while (*at < c->slot_count) {
        const struct slot *slot = &c->slots[(*at)++];

        if (slot->hash == 0)
            continue;
        *hash = slot->hash;
        *day = slot->day;
        return true;
    }
    return false;
}
