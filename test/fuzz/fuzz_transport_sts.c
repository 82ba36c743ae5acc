/*
 * MTA-STS texts: the TXT record (first byte odd: several of them, split at NUL) and the policy. Whatever comes is refused or
 * well-formed: an id of letters and digits, patterns that can match a host, a life within the RFC's limit; and what the memory
 * takes, it gives back the same.
 */
#include "transport/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_txt(struct sp_bytes all)
{
    struct sp_bytes txt[8];
    struct sp_bytes id = {0};
    size_t count = 0;

    while (count < SP_ARRAY_LEN(txt) && sp_bytes_split(&all, '\0', &txt[count]))
        count++;
    if (sp_sts_txt_parse(txt, count, &id) != SP_OK)
        return;
    sp_assert(id.len >= 1 && id.len <= SP_STS_ID_MAX);
    for (size_t i = 0; i < id.len; i++)
        sp_assert(sp_ascii_is_alnum(id.ptr[i]));
}

static void try_policy(struct sp_bytes text)
{
    static const struct sp_bytes domain = SP_LIT_INIT("a.test");
    struct sp_sts_cache *c;
    struct sp_sts_policy p;
    const struct sp_sts_policy *kept;

    if (sp_sts_policy_parse(text, &p) != SP_OK)
        return;
    sp_assert(p.max_age_s >= 0 && p.max_age_s <= SP_STS_AGE_MAX);
    sp_assert(p.mode == SP_STS_MODE_NONE || p.mx_count > 0);
    for (size_t i = 0; i < p.mx_count; i++) {
        sp_assert(p.mx[i].len > 0 && sp_bytes_find(p.mx[i], ' ') == SIZE_MAX);
        sp_assert(p.mx[i].ptr[0] == '*' || sp_sts_mx_matches(&p, p.mx[i]));
    }
    c = sp_sts_cache_new(2);
    sp_assert(sp_sts_cache_put(c, domain, SP_LIT("1"), text, 1000) == SP_OK);
    kept = sp_sts_cache_find(c, domain, 1000);
    sp_assert((kept != NULL) == (p.max_age_s > 0));
    if (kept != NULL)
        sp_assert(kept->mode == p.mode && kept->mx_count == p.mx_count &&
                  sp_bytes_eq(kept->text, text));
    sp_sts_cache_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes text;

    if (len == 0)
        return 0;
    text = sp_bytes(data + 1, len - 1);
    if ((data[0] & 1) != 0)
        try_txt(text);
    else
        try_policy(text);
    return 0;
}
