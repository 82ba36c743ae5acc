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

/* What the registry says of the recipient now. returns: NULL if nothing */
static const struct sp_preference_entry *find_entry(const struct sp_policy *root,
                                                    const struct sp_facts *f)
{
    struct sp_bytes address = f->values[SP_FACT_RECIPIENT_ADDRESS].text;
    const struct sp_preference_entry *e;
    uint8_t key[320];

    if (root->preferences == NULL || address.len == 0 || address.len > sizeof(key))
        return NULL;
    for (size_t i = 0; i < address.len; i++)
        key[i] = sp_ascii_lower(address.ptr[i]);
    e = sp_map_find(root->preferences, sp_bytes(key, address.len));
    return e != NULL && f->now_ms != 0 && f->now_ms >= e->until_ms ? NULL : e;
}

/*
 * Two may have spoken: the house's registry and the recipient in the portal. The later word counts; in the same moment the
 * more careful one. But who asked for no mail at all is asked first: that is lifted where it was put down.
 */
static bool wish_counts(const struct sp_facts *f, const struct sp_preference_entry *e)
{
    if (!f->has_wish || !sp_fact_is_wish(f->wish.preference) ||
        (f->now_ms != 0 && f->now_ms >= f->wish.until_ms))
        return false;
    if (e == NULL)
        return true;
    if (e->value == SP_PREFERENCE_NO_MAIL)
        return false;
    return f->wish.given_ms > e->given_ms ||
           (f->wish.given_ms == e->given_ms && f->wish.preference > e->value);
}

static void fill_preference(const struct sp_policy *root, struct sp_facts *f)
{
    const struct sp_preference_entry *e = find_entry(root, f);
    bool own = wish_counts(f, e);

    if (!own && e == NULL) {
        sp_facts_set_absent(f, SP_FACT_RECIPIENT_PREFERENCE);
        sp_facts_set_absent(f, SP_FACT_RECIPIENT_PREFERENCE_BY);
        return;
    }
    sp_facts_set_number(f, SP_FACT_RECIPIENT_PREFERENCE, own ? f->wish.preference : e->value);
    sp_facts_set_number(f, SP_FACT_RECIPIENT_PREFERENCE_BY,
                        own ? SP_PREFERENCE_BY_RECIPIENT : SP_PREFERENCE_BY_REGISTRY);
}

void sp_policy_fill(const struct sp_policy *p, struct sp_facts *facts)
{
    if (facts->now_ms != 0)
        fill_time(sp_policy_of_facts(p, facts), facts);
    if ((p->root->preferences != NULL || facts->has_wish) &&
        is_open(facts, SP_FACT_RECIPIENT_PREFERENCE))
        fill_preference(p->root, facts);
}

bool sp_policy_has_registry(const struct sp_policy *p)
{
    return p->root->preferences != NULL;
}
