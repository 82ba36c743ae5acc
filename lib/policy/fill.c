/*
 * Facts that the policy itself knows. They are set before a decision rather than looked up during one, so that the facts
 * that are recorded are all that the decision came from.
 */
#include "policy/policy_priv.h"

static bool is_open(const struct sp_facts *f, enum sp_fact fact)
{
    return f->values[fact].state == SP_FACT_PENDING || f->values[fact].state == SP_FACT_ABSENT;
}

static void fill_time(const struct sp_policy *p, struct sp_facts *f)
{
    struct sp_local_time t = sp_zone_local(&p->zone, f->now_ms);

    if (is_open(f, SP_FACT_TIME_HOUR))
        sp_facts_set_number(f, SP_FACT_TIME_HOUR, t.hour);
    if (is_open(f, SP_FACT_TIME_WEEKDAY))
        sp_facts_set_number(f, SP_FACT_TIME_WEEKDAY, t.weekday);
}

static void fill_preference(const struct sp_policy *root, struct sp_facts *f)
{
    struct sp_bytes address = f->values[SP_FACT_RECIPIENT_ADDRESS].text;
    const struct sp_preference_entry *e;
    uint8_t key[320];

    if (address.len == 0 || address.len > sizeof(key))
        return;
    for (size_t i = 0; i < address.len; i++)
        key[i] = sp_ascii_lower(address.ptr[i]);
    e = sp_map_find(root->preferences, sp_bytes(key, address.len));
    if (e == NULL || (f->now_ms != 0 && f->now_ms >= e->until_ms))
        sp_facts_set_absent(f, SP_FACT_RECIPIENT_PREFERENCE);
    else
        sp_facts_set_number(f, SP_FACT_RECIPIENT_PREFERENCE, e->value);
}

void sp_policy_fill(const struct sp_policy *p, struct sp_facts *facts)
{
    if (facts->now_ms != 0)
        fill_time(sp_policy_of_facts(p, facts), facts);
    if (p->root->preferences != NULL && is_open(facts, SP_FACT_RECIPIENT_PREFERENCE))
        fill_preference(p->root, facts);
}
