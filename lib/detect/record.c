/*
 * Records that machines write: segments of HL7 version 2 ("PID|1||44819||DOE^JOHN") and of X12 claims ("NM1*QC*1*DOE*JOHN").
 * Nothing in them says what a field is but its place, so the places are known here, and a segment is read as one row of a
 * table that has them for a heading.
 */
#include "detect/detect_priv.h"

#define FIELDS 8

struct field {
    uint8_t column;
    uint64_t marks;
};

static const struct {
    const char *id;
    struct field fields[FIELDS];
} layouts[] = {
    /* HL7 v2, by the number of the field */
    {"PID|",
     {{2, M(L_MRN)},
      {3, M(L_MRN)},
      {5, M(L_NAME) | M(PATIENT)},
      {7, M(L_DOB)},
      {11, M(L_ADDRESS)},
      {13, M(L_PHONE)},
      {18, M(L_ACCOUNT)},
      {19, M(L_SSN)}}},
    {"NK1|", {{2, M(L_NAME) | M(PATIENT)}, {4, M(L_ADDRESS)}, {5, M(L_PHONE)}}},
    {"GT1|",
     {{3, M(L_NAME) | M(INSURED)},
      {5, M(L_ADDRESS)},
      {6, M(L_PHONE)},
      {8, M(L_DOB)},
      {12, M(L_SSN)}}},
    {"IN1|",
     {{8, M(L_PLAN)},
      {16, M(L_NAME) | M(INSURED)},
      {18, M(L_DOB)},
      {19, M(L_ADDRESS)},
      {36, M(L_PLAN)},
      {49, M(L_PLAN)}}},
    {"MRG|", {{1, M(L_MRN)}, {7, M(L_NAME) | M(PATIENT)}}},
    {"DG1|", {{3, M(L_ICD)}}},
    /* X12 837, 835, 270, 278 */
    {"NM1*QC*", {{3, M(L_NAME) | M(PATIENT)}, {4, M(L_NAME) | M(PATIENT)}, {9, M(L_PLAN)}}},
    {"NM1*IL*", {{3, M(L_NAME) | M(INSURED)}, {4, M(L_NAME) | M(INSURED)}, {9, M(L_PLAN)}}},
    {"NM1*74*", {{3, M(L_NAME) | M(INSURED)}, {4, M(L_NAME) | M(INSURED)}, {9, M(L_PLAN)}}},
    {"DMG*D8*", {{2, M(L_DOB)}}},
    {"N3*", {{1, M(L_ADDRESS)}}},
    {"REF*SY*", {{2, M(L_SSN)}}},
    {"REF*EJ*", {{2, M(L_MRN)}}},
    {"REF*1L*", {{2, M(L_PLAN)}}},
    {"CLM*", {{1, M(L_OTHER)}}},
};

bool sp_detect_segment(const struct detect_window *w, size_t at, struct detect_table *t)
{
    if (w->len - at < 4 || !sp_ascii_is_alpha(w->text[at]) || w->text[at] > 'Z' ||
        w->text[at + 2] >= 'a')
        return false; /* no segment begins with small letters: most lines end here */
    for (size_t i = 0; i < SP_ARRAY_LEN(layouts); i++) {
        size_t n = strlen(layouts[i].id);

        if (w->len - at <= n || memcmp(w->text + at, layouts[i].id, n) != 0)
            continue;
        *t = (struct detect_table){.separator = (uint8_t)layouts[i].id[n - 1], .segment = true};
        for (size_t k = 0; k < FIELDS && layouts[i].fields[k].marks != 0; k++) {
            t->marks[layouts[i].fields[k].column] = layouts[i].fields[k].marks;
            t->all |= layouts[i].fields[k].marks;
            t->columns = (uint8_t)(layouts[i].fields[k].column + 1);
        }
        if ((t->all & M(L_NAME)) != 0)
            t->all |= M(L_MRN); /* such lists are of patients and members only */
        return true;
    }
    return false;
}
