/*
 * Names, addresses, and the judgement of a stored key. A key's local part is compared in lower case: RFC 5321 leaves the
 * case to the receiver, but no receiver has two people who differ in case only, and people write their certificates'
 * addresses as they like.
 */
#include "keys/keys.h"

#include "base/clock.h"
#include "mail/idn.h"

const char *sp_keys_kind_name(enum sp_keys_kind kind)
{
    return kind == SP_KEYS_PGP ? "pgp" : "smime";
}

const char *sp_keys_trust_name(enum sp_keys_trust trust)
{
    static const char *const names[] = {"untrusted", "chained", "pinned"};

    return names[trust];
}

bool sp_keys_address_normalise(struct sp_bytes address, char *out)
{
    struct sp_buf inside;
    bool good;

    sp_buf_init(&inside, SP_KEYS_ADDRESS_MAX - 1);
    good = address.len < SP_KEYS_ADDRESS_MAX && sp_address_normalise(address, &inside) == SP_OK &&
           sp_bytes_find(sp_buf_bytes(&inside), '@') != SIZE_MAX;
    for (size_t i = 0; good && i < inside.len; i++)
        out[i] = (char)sp_ascii_lower(inside.ptr[i]);
    if (good)
        out[inside.len] = 0;
    sp_buf_clear(&inside);
    return good;
}

enum sp_rc sp_keys_judge(const struct sp_keys_key *key, int64_t now_ms, struct sp_err *why)
{
    char date[SP_TIME_TEXT_MAX];

    if (key->not_after_ms != 0 && key->not_after_ms <= now_ms) {
        sp_time_format_rfc3339(key->not_after_ms, date);
        return sp_fail(why, SP_E_KEYS_EXPIRED, "not-after %.10s", date);
    }
    if (key->not_before_ms > now_ms) {
        sp_time_format_rfc3339(key->not_before_ms, date);
        return sp_fail(why, SP_E_KEYS_UNUSABLE, "not-before %.10s", date);
    }
    if (key->trust == SP_KEYS_UNTRUSTED)
        return sp_fail(why, SP_E_KEYS_UNUSABLE, "untrusted");
    return SP_OK;
}
