/*
 * What the detector can find, by the names that phi.count, phi.distinct and phi.special ask for. The policy knows no detector,
 * so the names stand here once more; a test holds the two lists together. A name that nothing finds would be a rule that
 * never matches, so it is an error where rules and tests are read. What an organisation makes special itself it declares: the policy's
 * "special" has a name and what it is for each.
 */
#include "policy/load_priv.h"

static const char *const types[] = {"PERSON",
                                    "ADDRESS",
                                    "ZIP",
                                    "DATE",
                                    "DOB",
                                    "SERVICE_DATE",
                                    "ADMISSION_DATE",
                                    "DISCHARGE_DATE",
                                    "PHONE",
                                    "FAX",
                                    "EMAIL",
                                    "US_SSN",
                                    "MRN",
                                    "HEALTH_PLAN_ID",
                                    "MBI",
                                    "ACCOUNT",
                                    "CREDIT_CARD",
                                    "NPI",
                                    "DEA",
                                    "DRIVER_LICENSE",
                                    "LICENSE_PLATE",
                                    "VIN",
                                    "DEVICE_ID",
                                    "UDI",
                                    "URL",
                                    "IP",
                                    "ICD10",
                                    "DRUG",
                                    "DIAGNOSIS",
                                    "PROCEDURE",
                                    "LAB",
                                    "BIOMETRIC",
                                    "PHOTO",
                                    "OTHER",
                                    NULL};
static const char *const specials[] = {"part2", "psychotherapy", "hiv", "genetic", NULL};

const char *const *sp_fact_types(void)
{
    return types;
}

const char *const *sp_fact_specials(void)
{
    return specials;
}

static bool is_one_of(struct sp_bytes name, const char *const *names, size_t *count)
{
    bool found = false;

    for (*count = 0; names[*count] != NULL; (*count)++)
        found = found || sp_bytes_eq_nocase(name, sp_bytes_cstr(names[*count]));
    return found;
}

bool sp_fact_is_type(struct sp_bytes name, const char **near)
{
    size_t count;
    bool found = is_one_of(name, types, &count);

    *near = found ? NULL : sp_problem_nearest(name, types, count);
    return found;
}

bool sp_fact_is_special(struct sp_bytes name, const char **near)
{
    size_t count;
    bool found = is_one_of(name, specials, &count);

    *near = found ? NULL : sp_problem_nearest(name, specials, count);
    return found;
}

void sp_policy_load_type_name(struct sp_loader *l, const struct sp_json *at, struct sp_bytes name)
{
    const char *near;

    if (sp_fact_is_type(name, &near))
        return;
    sp_policy_loader_idle(l, at, SP_E_CONFIG_UNKNOWN,
                          "unknown type of findings \"%.*s\"%s%s%s (docs/detection.md)",
                          SP_FMT(name), near == NULL ? "" : "; did you mean \"",
                          near == NULL ? "" : near, near == NULL ? "" : "\"?");
}

void sp_policy_load_special_name(struct sp_loader *l, const struct sp_json *v)
{
    const struct sp_json *own = sp_policy_loader_find(l, "special", v->text);
    const char *near;

    if (own != NULL)
        sp_policy_loader_use(l, own);
    if (sp_fact_is_special(v->text, &near) || own != NULL)
        return;
    if (near == NULL && !l->is_past) {
        sp_policy_loader_unknown(l, v, "special", v->text);
        return;
    }
    sp_policy_loader_idle(l, v, SP_E_CONFIG_UNKNOWN, "unknown special class%s%s%s",
                          near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                          near == NULL ? "" : "\"?");
}

void sp_policy_load_special(struct sp_loader *l, const struct sp_json *root)
{
    const struct sp_json *all = sp_json_find(root, "special");

    if (all == NULL || !sp_policy_loader_type(l, all, SP_JSON_OBJECT))
        return;
    for (const struct sp_json *m = all->first; m != NULL; m = m->next) {
        const char *near;

        (void)sp_policy_loader_type(l, m, SP_JSON_TEXT);
        if (!sp_policy_loader_is_name(m->key) || m->key.len > SP_FACT_SPECIAL_MAX ||
            sp_fact_is_special(m->key, &near))
            sp_problem(l->problems, m, SP_E_POLICY_INVALID,
                       "a name of your own is made of a to z, 0 to 9 and hyphens, at most %d, and "
                       "is none of part2, psychotherapy, hiv, genetic",
                       SP_FACT_SPECIAL_MAX);
    }
}
