/*
 * What a list can rule out without reading a record: 40 bytes a message. The addresses' trigrams go into 256 bits, so that
 * a part of an address is looked for without holding addresses; tenant and rule are hashes. Whatever passes is read and
 * compared properly; a message whose recipients fell under several rules passes for each. Addresses themselves would
 * cost twice as much, and an index of them more.
 */
#include "queue/queue_priv.h"

#include "base/text.h"

enum { GRAM = 3, WORDS = 4 };

static uint32_t hash_of(struct sp_bytes text)
{
    uint32_t hash = sp_crc32c(0, text);

    return hash == SP_SIEVE_ANY ? SP_SIEVE_ANY + 1 : hash;
}

/* Sets a bit for each three characters of text, in small letters. */
static void add_grams(struct sp_bytes text, uint64_t bits[WORDS])
{
    uint32_t window = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint32_t bit;

        window = (window << 8 | sp_ascii_lower(text.ptr[i])) & 0xffffff;
        if (i + 1 < GRAM)
            continue;
        bit = (window * 2654435761U) >> 24; /* Knuth's multiplicative hash, the highest 8 bits */
        bits[bit / 64] |= (uint64_t)1 << (bit % 64);
    }
}

void sp_queue_sieve_of(const struct sp_accept *a, struct sp_queue_sieve *out)
{
    *out = (struct sp_queue_sieve){.tenant = hash_of(a->tenant)};
    add_grams(a->sender, out->grams);
    for (size_t i = 0; i < a->recipient_count; i++) {
        uint32_t rule = hash_of(a->decisions[a->recipients[i].decision].rule);

        add_grams(a->recipients[i].address, out->grams);
        if (i == 0)
            out->rule = rule;
        else if (out->rule != rule)
            out->rule = SP_SIEVE_ANY;
    }
}

void sp_queue_sieve_ask(const struct sp_queue_query *query, struct sp_queue_sieve *out)
{
    *out = (struct sp_queue_sieve){
        .tenant = query->tenant.len > 0 ? hash_of(query->tenant) : SP_SIEVE_ANY,
        .rule = query->rule.len > 0 ? hash_of(query->rule) : SP_SIEVE_ANY,
    };
    add_grams(query->sender, out->grams);
    add_grams(query->recipient, out->grams);
}

static bool may_be(uint32_t has, uint32_t wanted)
{
    return wanted == SP_SIEVE_ANY || has == SP_SIEVE_ANY || has == wanted;
}

bool sp_queue_sieve_passes(const struct sp_queue_sieve *has, const struct sp_queue_sieve *wanted)
{
    for (size_t i = 0; i < WORDS; i++)
        if ((has->grams[i] & wanted->grams[i]) != wanted->grams[i])
            return false;
    return may_be(has->tenant, wanted->tenant) && may_be(has->rule, wanted->rule);
}
