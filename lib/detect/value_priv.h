/* What a value must be to be one: forms and check digits (value.c), dates (date.c), words of a list. No context. thread: any */
#ifndef SP_DETECT_VALUE_PRIV_H
#define SP_DETECT_VALUE_PRIV_H

#include "base/bytes.h"

/* ---- value.c: is it one? Digits as ASCII. ---- */
/* returns: 0 if it can't have been issued or is one that everybody writes as an example, else how much it scores */
uint32_t sp_detect_ssn_score(const uint8_t digits[9]);
uint32_t sp_detect_itin_score(const uint8_t digits[9]);
bool sp_detect_npi_is_valid(const uint8_t digits[10]);
/* 11 characters, dashes taken out, any case. */
bool sp_detect_mbi_is_valid(const uint8_t text[11]);
bool sp_detect_luhn_is_valid(struct sp_bytes digits);
/* A payment card: prefix and length of a brand, and its check digit. */
bool sp_detect_card_is_valid(struct sp_bytes digits);
/* Two letters (the second may be 9) and seven digits. */
bool sp_detect_dea_is_valid(struct sp_bytes text);
bool sp_detect_vin_is_valid(struct sp_bytes text);
bool sp_detect_iban_is_valid(struct sp_bytes text);
bool sp_detect_aba_is_valid(struct sp_bytes digits);
/* A GTIN of 14 digits. */
bool sp_detect_gtin_is_valid(struct sp_bytes digits);
/* "2345-7" */
bool sp_detect_loinc_is_valid(struct sp_bytes text);
/* "E11.9": the shape, in a chapter that exists. */
bool sp_detect_icd10_is_valid(struct sp_bytes text);

/* SNOMED CT: 6 to 18 digits, the last a check digit, the two before it a partition in use. */
bool sp_detect_snomed_is_valid(struct sp_bytes digits);
/* Medicare's number until 2019: an SSN and a beneficiary's letters, or those of the railroads and 6 or 9 digits. */
bool sp_detect_hicn_is_valid(struct sp_bytes text);

/* ---- date.c ---- */
/* A date at the beginning of text ("1/2/1980", "1980-01-02", "Jan 2, 1980", "2 January 1980"). returns: its length, or 0 */
size_t sp_detect_date_len(struct sp_bytes text, uint32_t *packed);
/* returns: whether the word begins a month's name and is one */
bool sp_detect_is_month(struct sp_bytes word);

/* ---- place.c ---- */
/* returns: whether the word is a State's name or its two letters */
bool sp_detect_is_state(struct sp_bytes word);

/* ---- whose.c ---- */
/* The second below, with the list's length. */
bool sp_detect_is_among(struct sp_bytes word, const char *list, size_t len);
/* list: words in lower case, each with a blank before and behind it. returns: whether the word is one of them */
static inline bool sp_detect_is_listed(struct sp_bytes word, const char *list)
{
    return sp_detect_is_among(word, list, strlen(list)); /* of a constant the compiler knows it */
}

#endif
