/*
 * Counting findings, and what they come to. Distinct values are told apart by a hash under a key that is made for this
 * message and dies with it.
 */
#include "detect/detect_priv.h"
#include "detect/own_priv.h"

#include <stdlib.h>

#define MANY_PEOPLE  20 /* so many different record or security numbers are a list of patients */
#define VALUES_MAX   100000
#define FINDINGS_MAX 200000
#define LIKELY       60 /* a finding from here on decides */
#define SHOWN        30 /* one below is not counted */

static const char *const type_names[] = {
    [SP_DETECT_PERSON] = "PERSON",
    [SP_DETECT_ADDRESS] = "ADDRESS",
    [SP_DETECT_ZIP] = "ZIP",
    [SP_DETECT_DATE] = "DATE",
    [SP_DETECT_DOB] = "DOB",
    [SP_DETECT_SERVICE_DATE] = "SERVICE_DATE",
    [SP_DETECT_ADMISSION_DATE] = "ADMISSION_DATE",
    [SP_DETECT_DISCHARGE_DATE] = "DISCHARGE_DATE",
    [SP_DETECT_PHONE] = "PHONE",
    [SP_DETECT_FAX] = "FAX",
    [SP_DETECT_EMAIL] = "EMAIL",
    [SP_DETECT_US_SSN] = "US_SSN",
    [SP_DETECT_MRN] = "MRN",
    [SP_DETECT_HEALTH_PLAN_ID] = "HEALTH_PLAN_ID",
    [SP_DETECT_MBI] = "MBI",
    [SP_DETECT_ACCOUNT] = "ACCOUNT",
    [SP_DETECT_CREDIT_CARD] = "CREDIT_CARD",
    [SP_DETECT_NPI] = "NPI",
    [SP_DETECT_DEA] = "DEA",
    [SP_DETECT_DRIVER_LICENSE] = "DRIVER_LICENSE",
    [SP_DETECT_LICENSE_PLATE] = "LICENSE_PLATE",
    [SP_DETECT_VIN] = "VIN",
    [SP_DETECT_DEVICE_ID] = "DEVICE_ID",
    [SP_DETECT_UDI] = "UDI",
    [SP_DETECT_URL] = "URL",
    [SP_DETECT_IP] = "IP",
    [SP_DETECT_ICD10] = "ICD10",
    [SP_DETECT_DRUG] = "DRUG",
    [SP_DETECT_DIAGNOSIS] = "DIAGNOSIS",
    [SP_DETECT_PROCEDURE] = "PROCEDURE",
    [SP_DETECT_LAB] = "LAB",
    [SP_DETECT_BIOMETRIC] = "BIOMETRIC",
    [SP_DETECT_PHOTO] = "PHOTO",
    [SP_DETECT_OTHER] = "OTHER",
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
    return sp_detect_build_version;
}

static void grow(struct detect_values *v)
{
    size_t cap = v->cap == 0 ? 64 : v->cap * 2;
    uint64_t *slots = sp_calloc(cap, sizeof(*slots));

    for (size_t i = 0; i < v->cap; i++) {
        size_t at = v->slots[i] & (cap - 1);

        while (v->slots[i] != 0 && slots[at] != 0)
            at = (at + 1) & (cap - 1);
        if (v->slots[i] != 0)
            slots[at] = v->slots[i];
    }
    sp_free(v->slots);
    v->slots = slots;
    v->cap = cap;
}

static bool is_new(struct detect_run *r, enum sp_detect_type type, struct sp_bytes value)
{
    struct detect_values *v = &r->values;
    uint64_t hash =
        sp_bytes_hash(value, r->hash_key) + ((uint64_t)type + 1) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at;

    if (v->count >= VALUES_MAX)
        return true;
    if ((v->count + 1) * 4 > v->cap * 3)
        grow(v);
    hash += hash == 0;
    for (at = hash & (v->cap - 1); v->slots[at] != 0; at = (at + 1) & (v->cap - 1))
        if (v->slots[at] == hash)
            return false;
    v->slots[at] = hash;
    v->count++;
    return true;
}

void sp_detect_count(struct detect_run *r, enum sp_detect_type type, uint32_t score,
                     struct sp_bytes value)
{
    struct sp_detect_count *c = &r->out->types[type];

    c->count++;
    c->distinct += is_new(r, type, value);
    if (score > c->score)
        c->score = score;
}

/* Keeps the place of a finding, for those who asked. */
static void keep(struct detect_run *r, enum sp_detect_type type, size_t start, size_t end,
                 uint32_t score)
{
    struct sp_detect_result *out = r->out;

    if (r->places == NULL || out->finding_count == FINDINGS_MAX)
        return;
    if (out->finding_count == r->finding_cap) {
        size_t cap = r->finding_cap == 0 ? 64 : r->finding_cap * 2;
        struct sp_detect_finding *more = sp_arena_alloc(r->arena, cap * sizeof(*more));

        if (out->finding_count > 0)
            memcpy(more, out->findings, out->finding_count * sizeof(*more));
        out->findings = more;
        r->finding_cap = cap;
    }
    out->findings[out->finding_count++] =
        (struct sp_detect_finding){type, r->places[start], r->places[end - 1] + 1, score};
}

static bool is_own(const struct detect_window *w, size_t start)
{
    return start >= w->from && start < w->to;
}

/* Letters and digits only, in lower case: the same number written in two ways is one. */
static struct sp_bytes plain_value(const struct detect_window *w, const struct detect_entity *e,
                                   uint8_t out[64])
{
    size_t n = 0;

    for (size_t i = e->start; i < e->end && n < 64; i++)
        if (sp_ascii_is_alnum(w->text[i]))
            out[n++] = sp_ascii_lower(w->text[i]);
    return sp_bytes(out, n);
}

static void count_hit(struct detect_run *r, const struct detect_window *w,
                      const struct detect_hit *h)
{
    static const struct {
        uint64_t mark;
        enum sp_detect_type type;
        uint32_t score;
    } kinds[] = {{M(DRUG), SP_DETECT_DRUG, 80},
                 {M(DIAGNOSIS), SP_DETECT_DIAGNOSIS, 75},
                 {M(PROCEDURE), SP_DETECT_PROCEDURE, 70},
                 {M(LAB), SP_DETECT_LAB, 70},
                 {M(L_BIOMETRIC), SP_DETECT_BIOMETRIC, 60},
                 {M(L_PHOTO), SP_DETECT_PHOTO, 50}};

    if ((h->marks & (DETECT_STRONG | M(L_BIOMETRIC) | M(L_PHOTO))) == 0 || !is_own(w, h->start))
        return;
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        if ((h->marks & kinds[i].mark) == 0 ||
            (h->marks & (M(L_ICD) | M(L_CPT) | M(L_NDC) | M(L_LOINC))) != 0)
            continue;
        sp_detect_count(r, kinds[i].type, kinds[i].score,
                        sp_bytes(w->text + h->start, h->end - h->start));
        keep(r, kinds[i].type, h->start, h->end, kinds[i].score);
        break;
    }
    for (unsigned i = 0; i < SP_DETECT_SPECIALS; i++)
        if ((h->marks & UINT64_C(1) << (MARK_PART2 + i)) != 0)
            r->special_seen |= 1U << i;
}

void sp_detect_count_window(struct detect_run *r, const struct detect_window *w)
{
    for (size_t i = 0; i < w->hit_count; i++)
        count_hit(r, w, &w->hits[i]);
    for (size_t i = 0; i < w->own_count; i++)
        if (is_own(w, w->d->own[i].start))
            r->special_seen |= sp_detect_own_specials(w, i);
    for (size_t i = 0; i < w->entity_count; i++) {
        const struct detect_entity *e = &w->entities[i];
        uint8_t value[64];

        if (e->score < SHOWN || !is_own(w, e->start) || e->role == ROLE_NOBODY ||
            (e->flags & ENT_WEAK) != 0)
            continue;
        sp_detect_count(r, e->type, e->score, plain_value(w, e, value));
        keep(r, e->type, e->start, e->end, e->score);
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
           out->types[SP_DETECT_HEALTH_PLAN_ID].distinct >= MANY_PEOPLE ||
           out->types[SP_DETECT_DOB].distinct >= MANY_PEOPLE ||
           out->types[SP_DETECT_MBI].distinct >= MANY_PEOPLE;
}

static int by_place(const void *a, const void *b)
{
    const struct sp_detect_finding *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

void sp_detect_conclude(struct detect_run *r)
{
    struct sp_detect_result *out = r->out;

    if (r->phi_score < LIKELY && r->person_score >= LIKELY && r->health)
        r->phi_score = 65; /* one in one part, the other in another */
    if (r->phi_score >= LIKELY) {
        out->special = r->special_seen;
        out->class = out->special != 0 || are_many(out) ? SP_DETECT_SEVERE : SP_DETECT_PHI;
        out->score = r->phi_score;
    } else {
        uint32_t any = r->any_score > r->person_score ? r->any_score : r->person_score;

        out->class = any >= LIKELY ? SP_DETECT_IDENTIFIER : SP_DETECT_NONE;
        out->score =
            any >= LIKELY ? any - any / 2 : any / 2; /* alone it is no PHI: the score says so */
    }
    if (out->finding_count > 1)
        qsort(out->findings, out->finding_count, sizeof(*out->findings), by_place);
}
