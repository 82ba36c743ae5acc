/* Is this number what it looks like: structure and check digits, without any context. */
#include "detect/detect_priv.h"

static uint32_t number(const uint8_t *digits, size_t count)
{
    uint32_t n = 0;

    for (size_t i = 0; i < count; i++)
        n = n * 10 + (uint32_t)(digits[i] - '0');
    return n;
}

/*
 * SSA: area is not 000, 666 or 9xx, group not 00, serial not 0000; since 2011 all other areas are in use. Numbers that
 * advertisements and forms made famous, and one digit nine times, are nobody's.
 */
uint32_t sp_detect_ssn_score(const uint8_t digits[9])
{
    static const uint32_t famous[] = {123456789, 78051120, 219099999, 987654321};
    uint32_t area = number(digits, 3), all = number(digits, 9);
    bool same = true;

    if (area == 0 || area == 666 || area >= 900 || number(digits + 3, 2) == 0 ||
        number(digits + 5, 4) == 0)
        return 0;
    for (size_t i = 1; i < 9; i++)
        same = same && digits[i] == digits[0];
    for (size_t i = 0; i < SP_ARRAY_LEN(famous); i++)
        same = same || all == famous[i];
    return same ? 0 : 70;
}

/* IRS: numbers of taxpayers who get no SSN begin with 9; the fourth and fifth digit are of these ranges. */
uint32_t sp_detect_itin_score(const uint8_t digits[9])
{
    uint32_t group = number(digits + 3, 2);

    return digits[0] == '9' &&
                   ((group >= 50 && group <= 65) || (group >= 70 && group <= 88) ||
                    (group >= 90 && group <= 92) || (group >= 94 && group <= 99)) &&
                   number(digits, 9) != 987654321
               ? 60
               : 0;
}

/* Luhn over 80840 and the number (45 CFR 162.406): the prefix adds 24 to the sum. */
bool sp_detect_npi_is_valid(const uint8_t digits[10])
{
    unsigned sum = 24;

    for (size_t i = 0; i < 10; i++) {
        unsigned n = (unsigned)(digits[i] - '0');

        if (i % 2 == 0)
            n = n * 2 > 9 ? n * 2 - 9 : n * 2;
        sum += n;
    }
    return sum % 10 == 0;
}

static bool is_mbi_letter(uint8_t c)
{
    c = sp_ascii_lower(c);
    return sp_ascii_is_alpha(c) && strchr("sloibz", c) == NULL;
}

/* CMS: N A AN N A AN N A A N N; letters without S L O I B Z, first digit 1 to 9. */
bool sp_detect_mbi_is_valid(const uint8_t text[11])
{
    static const char shape[] = "1AXNAXNAANN";

    for (size_t i = 0; i < 11; i++) {
        bool digit = sp_ascii_is_digit(text[i]);
        bool letter = is_mbi_letter(text[i]);

        if ((shape[i] == '1' && (!digit || text[i] == '0')) || (shape[i] == 'N' && !digit) ||
            (shape[i] == 'A' && !letter) || (shape[i] == 'X' && !digit && !letter))
            return false;
    }
    return true;
}

bool sp_detect_luhn_is_valid(struct sp_bytes digits)
{
    unsigned sum = 0;

    for (size_t i = 0; i < digits.len; i++) {
        unsigned n = (unsigned)(digits.ptr[digits.len - 1 - i] - '0');

        if (i % 2 == 1)
            n = n * 2 > 9 ? n * 2 - 9 : n * 2;
        sum += n;
    }
    return digits.len > 0 && sum % 10 == 0;
}

/* ISO/IEC 7812: prefixes and lengths of the brands in use. */
bool sp_detect_card_is_valid(struct sp_bytes digits)
{
    uint32_t two, four;
    bool brand;

    if (digits.len < 13 || digits.len > 19)
        return false;
    two = number(digits.ptr, 2);
    four = number(digits.ptr, 4);
    brand = (digits.ptr[0] == '4' && (digits.len == 13 || digits.len == 16 || digits.len == 19)) ||
            (digits.len == 16 && ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720))) ||
            (digits.len == 15 && (two == 34 || two == 37)) ||
            (digits.len == 14 &&
             (two == 36 || two == 38 || two == 39 || (four >= 3000 && four <= 3059))) ||
            (digits.len >= 16 && (four == 6011 || two == 65 || (four >= 6440 && four <= 6499) ||
                                  (four >= 3528 && four <= 3589) || two == 62));
    return brand && sp_detect_luhn_is_valid(digits);
}

/* 21 CFR 1301: (d1 + d3 + d5) + 2 (d2 + d4 + d6) ends in d7. */
bool sp_detect_dea_is_valid(struct sp_bytes text)
{
    unsigned sum = 0;

    if (text.len != 9 || strchr("abcdefghjklmprstux", sp_ascii_lower(text.ptr[0])) == NULL ||
        !(sp_ascii_is_alpha(text.ptr[1]) || text.ptr[1] == '9'))
        return false;
    for (size_t i = 2; i < 9; i++)
        if (!sp_ascii_is_digit(text.ptr[i]))
            return false;
    for (size_t i = 0; i < 6; i++)
        sum += (unsigned)(text.ptr[2 + i] - '0') * (i % 2 == 1 ? 2 : 1);
    return sum % 10 == (unsigned)(text.ptr[8] - '0');
}

/* 49 CFR 565.15: weighted sum modulo 11 at the ninth place. */
bool sp_detect_vin_is_valid(struct sp_bytes text)
{
    static const unsigned weights[17] = {8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2};
    static const char letters[] = "abcdefgh.jklmn.p.r.stuvwxyz";
    static const unsigned values[] = {1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5,
                                      0, 7, 0, 9, 0, 2, 3, 4, 5, 6, 7, 8, 9};
    unsigned sum = 0, check;

    if (text.len != 17)
        return false;
    for (size_t i = 0; i < 17; i++) {
        uint8_t c = sp_ascii_lower(text.ptr[i]);
        const char *at;

        if (sp_ascii_is_digit(c)) {
            sum += weights[i] * (unsigned)(c - '0');
            continue;
        }
        at = c == '.' || c == 0 ? NULL : strchr(letters, c);
        if (at == NULL)
            return false;
        sum += weights[i] * values[at - letters];
    }
    check = sum % 11;
    return check == 10 ? sp_ascii_lower(text.ptr[8]) == 'x' : text.ptr[8] == (uint8_t)('0' + check);
}

/* ISO 13616: the first four characters moved to the end, letters as 10 to 35, modulo 97 is 1. */
bool sp_detect_iban_is_valid(struct sp_bytes text)
{
    unsigned rest = 0;

    if (text.len < 15 || text.len > 34 || !sp_ascii_is_alpha(text.ptr[0]) ||
        !sp_ascii_is_alpha(text.ptr[1]) || !sp_ascii_is_digit(text.ptr[2]) ||
        !sp_ascii_is_digit(text.ptr[3]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = sp_ascii_lower(text.ptr[(i + 4) % text.len]);

        if (sp_ascii_is_digit(c))
            rest = (rest * 10 + (unsigned)(c - '0')) % 97;
        else if (sp_ascii_is_alpha(c))
            rest = (rest * 100 + (unsigned)(c - 'a') + 10) % 97;
        else
            return false;
    }
    return rest == 1;
}

/* ABA: 3, 7, 1 in turns, modulo 10; the first two digits name a Federal Reserve district. */
bool sp_detect_aba_is_valid(struct sp_bytes digits)
{
    static const unsigned weights[3] = {3, 7, 1};
    unsigned sum = 0;
    uint32_t district;

    if (digits.len != 9)
        return false;
    for (size_t i = 0; i < 9; i++)
        sum += weights[i % 3] * (unsigned)(digits.ptr[i] - '0');
    district = number(digits.ptr, 2);
    return sum > 0 && sum % 10 == 0 &&
           (district <= 12 || (district >= 21 && district <= 32) ||
            (district >= 61 && district <= 72) || district == 80);
}

/* GS1: 3 and 1 in turns from the left. */
bool sp_detect_gtin_is_valid(struct sp_bytes digits)
{
    unsigned sum = 0;

    if (digits.len != 14)
        return false;
    for (size_t i = 0; i < 14; i++)
        sum += (unsigned)(digits.ptr[i] - '0') * (i % 2 == 0 ? 3 : 1);
    return sum > 0 && sum % 10 == 0;
}

/* The digit behind the hyphen is Luhn's over those before it. */
bool sp_detect_loinc_is_valid(struct sp_bytes text)
{
    size_t dash = sp_bytes_find(text, '-');
    uint8_t digits[8];

    if (dash == SIZE_MAX || dash < 1 || dash > 6 || text.len != dash + 2)
        return false;
    memcpy(digits, text.ptr, dash);
    digits[dash] = text.ptr[dash + 1];
    for (size_t i = 0; i <= dash; i++)
        if (!sp_ascii_is_digit(digits[i]))
            return false;
    return sp_detect_luhn_is_valid(sp_bytes(digits, dash + 1));
}

/* ICD-10-CM: a letter, a digit, a digit (or A, B), then a point and up to four more. */
bool sp_detect_icd10_is_valid(struct sp_bytes text)
{
    if (text.len < 3 || text.len > 8 || !sp_ascii_is_alpha(text.ptr[0]) ||
        !sp_ascii_is_digit(text.ptr[1]) ||
        !(sp_ascii_is_digit(text.ptr[2]) || strchr("abAB", text.ptr[2]) != NULL))
        return false;
    if (text.len > 3 && (text.ptr[3] != '.' || text.len == 4))
        return false;
    for (size_t i = 4; i < text.len; i++)
        if (!sp_ascii_is_alnum(text.ptr[i]) ||
            (sp_ascii_is_alpha(text.ptr[i]) && text.ptr[i] != 'X' && text.ptr[i] != 'x' &&
             i < text.len - 1 && i < 5))
            return false;
    return true;
}

/* Verhoeff's check over the dihedral group of ten: it catches each wrong digit and each two that changed places. */
static bool is_verhoeff(struct sp_bytes digits)
{
    static const uint8_t products[10][10] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4, 0, 6, 7, 8, 9, 5},
        {2, 3, 4, 0, 1, 7, 8, 9, 5, 6}, {3, 4, 0, 1, 2, 8, 9, 5, 6, 7},
        {4, 0, 1, 2, 3, 9, 5, 6, 7, 8}, {5, 9, 8, 7, 6, 0, 4, 3, 2, 1},
        {6, 5, 9, 8, 7, 1, 0, 4, 3, 2}, {7, 6, 5, 9, 8, 2, 1, 0, 4, 3},
        {8, 7, 6, 5, 9, 3, 2, 1, 0, 4}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}};
    static const uint8_t turns[8][10] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 5, 7, 6, 2, 8, 3, 0, 9, 4},
        {5, 8, 0, 3, 7, 9, 6, 1, 4, 2}, {8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
        {9, 4, 5, 3, 1, 2, 6, 8, 7, 0}, {4, 2, 8, 6, 5, 7, 3, 9, 0, 1},
        {2, 7, 9, 3, 8, 0, 6, 4, 1, 5}, {7, 0, 4, 6, 9, 1, 3, 2, 5, 8}};
    uint8_t check = 0;

    for (size_t i = 0; i < digits.len; i++)
        check = products[check][turns[i % 8][digits.ptr[digits.len - 1 - i] - '0']];
    return check == 0;
}

bool sp_detect_snomed_is_valid(struct sp_bytes digits)
{
    const uint8_t *partition = digits.ptr + digits.len - 3;

    return digits.len >= 6 && digits.len <= 18 && digits.ptr[0] != '0' && partition[0] <= '1' &&
           partition[1] <= '2' && is_verhoeff(digits);
}

static size_t digits_of(struct sp_bytes text)
{
    size_t n = 0;

    while (n < text.len && sp_ascii_is_digit(text.ptr[n]))
        n++;
    return n;
}

/* Of the wage earner A, his wife or widow B, D, E, children C, parents F and so on; a second sign numbers them. */
static bool is_beneficiary(struct sp_bytes code)
{
    uint8_t first = code.len > 0 ? sp_ascii_lower(code.ptr[0]) : 0;

    if (code.len == 1)
        return first != 0 && strchr("abdemtw", first) != NULL;
    if (code.len != 2 || first == 0)
        return false;
    if (first == 'm')
        return code.ptr[1] == '1';
    return strchr("bcdefjktw", first) != NULL && code.ptr[1] != '0';
}

bool sp_detect_hicn_is_valid(struct sp_bytes text)
{
    static const char railroad[] = " a ma wa wd ca pa h mh wh wch ph ja wca wcd ";
    size_t n = digits_of(text), letters = 0;

    if (n == 9)
        return sp_detect_ssn_score(text.ptr) > 0 &&
               is_beneficiary(sp_bytes_slice(text, 9, SIZE_MAX));
    while (letters < text.len && sp_ascii_is_alpha(text.ptr[letters]))
        letters++;
    n = text.len - letters;
    return letters > 0 && (n == 6 || n == 9) &&
           digits_of(sp_bytes_slice(text, letters, SIZE_MAX)) == n &&
           sp_detect_is_listed(sp_bytes_slice(text, 0, letters), railroad);
}
