/*
 * Counting findings, and what they come to. Distinct values are told apart by a hash under a key that is made for this
 * message and dies with it.
 */
#include "detect/detect_priv.h"

#define MANY_PEOPLE 20 /* so many different record or security numbers are a list of patients */
#define VALUES_MAX  100000
#define LIKELY      60 /* a finding from here on decides */

static const char *const type_names[] = {
    [SP_DETECT_US_SSN] = "US_SSN",
    [SP_DETECT_MRN] = "MRN",
    [SP_DETECT_US_MBI] = "US_MBI",
    [SP_DETECT_US_NPI] = "US_NPI",
    [SP_DETECT_PHONE] = "PHONE",
    [SP_DETECT_DOB] = "DOB",
    [SP_DETECT_ICD10] = "ICD10",
    [SP_DETECT_HEALTH_TERM] = "HEALTH_TERM",
    [SP_DETECT_PAYMENT_TERM] = "PAYMENT_TERM",
    [SP_DETECT_DICOM] = "DICOM",
};
static const char *const special_names[] = {"part2", "psychotherapy", "hiv", "genetic"};

const char *sp_detect_type_name(enum sp_detect_type type)
{
    return type_names[type];
}

const char *sp_detect_special_name(size_t i)
{
    return special_names[i];
}

const char *sp_detect_version(void)
{
    return "2026.11.1";
}

static bool is_new(struct detect_run *r, enum sp_detect_type type, struct sp_bytes value)
{
    uint64_t key[2] = {(uint64_t)type, sp_bytes_hash(value, r->hash_key)};
    struct sp_bytes k = sp_bytes(key, sizeof(key));

    if (sp_map_count(r->values) >= VALUES_MAX)
        return true;
    return sp_map_put(r->values, k, r) == NULL;
}

/* Which identifiers are a person's, which anybody's, which none. */
static void weigh(struct detect_run *r, enum sp_detect_type type, uint32_t score)
{
    uint32_t *to = NULL;

    if (type == SP_DETECT_US_NPI)
        to = &r->other_score; /* a provider's, not a patient's */
    else if (type <= SP_DETECT_DOB || type == SP_DETECT_DICOM)
        to = &r->person_score;
    if (to != NULL && score > *to)
        *to = score;
}

void sp_detect_count(struct detect_run *r, enum sp_detect_type type, uint32_t score,
                     struct sp_bytes value)
{
    struct sp_detect_count *c = &r->out->types[type];

    c->count++;
    c->distinct += is_new(r, type, value);
    if (score > c->score)
        c->score = score;
    weigh(r, type, score);
    if (type == SP_DETECT_ICD10 && score >= LIKELY)
        r->health++;
    if (type == SP_DETECT_US_MBI)
        r->payment++; /* Medicare pays for it */
    if (type == SP_DETECT_DICOM)
        r->health++;
}

void sp_detect_count_term(struct detect_run *r, uint16_t term)
{
    const struct detect_term *t = &sp_detect_terms[term];
    bool first = r->term_seen[term] == 0;
    struct sp_bytes value = sp_bytes_cstr(t->text);

    r->term_seen[term] = 1;
    switch (t->mark) {
    case MARK_HEALTH:
        r->health++;
        sp_detect_count(r, SP_DETECT_HEALTH_TERM, 80, value);
        break;
    case MARK_HEALTH_WEAK:
    case MARK_PATIENT:
    case MARK_MRN_LABEL:
    case MARK_ICD_LABEL:
        r->weak_terms += first;
        if (t->mark == MARK_HEALTH_WEAK)
            sp_detect_count(r, SP_DETECT_HEALTH_TERM, 40, value);
        break;
    case MARK_PAYMENT:
    case MARK_MEDICARE_LABEL:
        r->payment++;
        sp_detect_count(r, SP_DETECT_PAYMENT_TERM, 60, value);
        break;
    case MARK_PART2:
    case MARK_PSYCHOTHERAPY:
    case MARK_HIV:
    case MARK_GENETIC:
        r->special_seen |= 1U << (t->mark - MARK_PART2);
        r->health++;
        sp_detect_count(r, SP_DETECT_HEALTH_TERM, 90, value);
        break;
    default:
        break;
    }
}

void sp_detect_gap_add(struct detect_run *r, const char *why, bool partial)
{
    struct sp_detect_result *out = r->out;

    out->partial = out->partial || partial;
    if (out->gap_count == SP_DETECT_LIST_MAX)
        return;
    if (out->gaps == NULL)
        out->gaps = sp_arena_alloc(r->arena, SP_DETECT_LIST_MAX * sizeof(*out->gaps));
    out->gaps[out->gap_count++] = (struct sp_detect_gap){r->part, why};
}

static bool are_many(const struct sp_detect_result *out)
{
    return out->types[SP_DETECT_US_SSN].distinct >= MANY_PEOPLE ||
           out->types[SP_DETECT_MRN].distinct >= MANY_PEOPLE ||
           out->types[SP_DETECT_US_MBI].distinct >= MANY_PEOPLE;
}

void sp_detect_conclude(struct detect_run *r)
{
    struct sp_detect_result *out = r->out;
    bool context = r->health > 0 || r->payment > 0 || r->weak_terms >= 2;

    if (r->person_score >= LIKELY && context) {
        out->special = r->special_seen;
        out->class = out->special != 0 || are_many(out) ? SP_DETECT_SEVERE : SP_DETECT_PHI;
        out->score = r->person_score;
    } else if (r->person_score >= LIKELY || r->other_score >= LIKELY) {
        out->class = SP_DETECT_IDENTIFIER;
        out->score = r->person_score > r->other_score ? r->person_score : r->other_score;
    } else {
        out->score = r->person_score > r->other_score ? r->person_score : r->other_score;
    }
}
