/*
 * Open addressing with linear probing over hashes that are already uniform; at most half full, doubled as it grows. Entries
 * are never taken out one by one: what is too old goes when the set is made anew, as small as what is left allows. Hashes and
 * days lie apart, since a day beside its hash would take eight bytes for two.
 */
#include "policy/contacts.h"

#include "base/buf.h"
#include "crypt/hash.h"

#define SLOTS_FIRST  1024
#define DAY_MS       ((int64_t)86400000)
#define PAIR_LEN_MAX 4096

struct sp_policy_contacts {
    uint64_t *hashes; /* 0: the slot is empty */
    uint16_t *days;
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

static void make_slots(struct sp_policy_contacts *c, size_t slot_count)
{
    c->hashes = sp_calloc(slot_count, sizeof(*c->hashes));
    c->days = sp_calloc(slot_count, sizeof(*c->days));
    c->slot_count = slot_count;
    c->count = 0;
}

struct sp_policy_contacts *sp_policy_contacts_new(size_t max)
{
    struct sp_policy_contacts *c = sp_calloc(1, sizeof(*c));

    c->max = max;
    make_slots(c, SLOTS_FIRST);
    return c;
}

void sp_policy_contacts_free(struct sp_policy_contacts *c)
{
    if (c == NULL)
        return;
    sp_free(c->hashes);
    sp_free(c->days);
    sp_free(c);
}

/* returns: the hash's slot, or the empty one where it would stand */
static size_t find(const struct sp_policy_contacts *c, uint64_t hash)
{
    size_t at = hash & (c->slot_count - 1);

    while (c->hashes[at] != 0 && c->hashes[at] != hash)
        at = (at + 1) & (c->slot_count - 1);
    return at;
}

static void set(struct sp_policy_contacts *c, size_t at, uint64_t hash, uint16_t day)
{
    c->count += c->hashes[at] == 0;
    c->hashes[at] = hash;
    c->days[at] = day;
}

/* Those of this day and later go into new slots. */
static void rebuild(struct sp_policy_contacts *c, size_t slot_count, uint16_t since_day)
{
    struct sp_policy_contacts old = *c;

    make_slots(c, slot_count);
    for (size_t i = 0; i < old.slot_count; i++)
        if (old.hashes[i] != 0 && old.days[i] >= since_day)
            set(c, find(c, old.hashes[i]), old.hashes[i], old.days[i]);
    sp_free(old.hashes);
    sp_free(old.days);
}

bool sp_policy_contacts_put(struct sp_policy_contacts *c, uint64_t hash, uint16_t day)
{
    size_t at = find(c, hash);

    if (hash != 0 && c->hashes[at] == hash) {
        if (c->days[at] >= day)
            return false;
        c->days[at] = day;
        return true;
    }
    if (c->count >= c->max || hash == 0)
        return false;
    if ((c->count + 1) * 2 > c->slot_count) {
        rebuild(c, c->slot_count * 2, 0);
        at = find(c, hash);
    }
    set(c, at, hash, day);
    return true;
}

void sp_policy_contacts_expire(struct sp_policy_contacts *c, uint16_t day)
{
    size_t slot_count = SLOTS_FIRST;
    size_t left = 0;

    for (size_t i = 0; i < c->slot_count; i++)
        left += c->hashes[i] != 0 && c->days[i] >= day;
    if (left == c->count)
        return;
    while (slot_count < left * 2)
        slot_count *= 2;
    rebuild(c, slot_count, day);
}

bool sp_policy_contacts_has(const struct sp_policy_contacts *c, uint64_t hash, uint16_t since_day)
{
    size_t at = find(c, hash);

    return c->hashes[at] != 0 && c->days[at] >= since_day;
}

size_t sp_policy_contacts_count(const struct sp_policy_contacts *c)
{
    return c->count;
}

size_t sp_policy_contacts_bytes(const struct sp_policy_contacts *c)
{
    return sizeof(*c) + c->slot_count * (sizeof(*c->hashes) + sizeof(*c->days));
}

bool sp_policy_contacts_is_full(const struct sp_policy_contacts *c)
{
    return c->count >= c->max;
}

bool sp_policy_contacts_next(const struct sp_policy_contacts *c, size_t *at, uint64_t *hash,
                             uint16_t *day)
{
    while (*at < c->slot_count) {
        size_t slot = (*at)++;

        if (c->hashes[slot] == 0)
            continue;
        *hash = c->hashes[slot];
        *day = c->days[slot];
        return true;
    }
    return false;
}
