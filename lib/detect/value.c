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
 * advertisements and forms made famous score low, but they score: people write them for real ones.
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
    return same ? 40 : 70;
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

/* ---- dates ---- */

/* Reads 1 to max digits. returns: how many */
static size_t read_number(struct sp_bytes text, size_t at, size_t max, uint32_t *out)
{
    size_t n = 0;

    *out = 0;
    while (n < max && at + n < text.len && sp_ascii_is_digit(text.ptr[at + n])) {
        *out = *out * 10 + (uint32_t)(text.ptr[at + n] - '0');
        n++;
    }
    return n;
}

static bool is_date(uint32_t year, uint32_t month, uint32_t day)
{
    return year >= 1890 && year <= 2100 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static size_t end_of_date(struct sp_bytes text, size_t end)
{
    return end < text.len && sp_ascii_is_digit(text.ptr[end]) ? 0 : end;
}

/* 1/2/1980, 01-02-80, 2.1.1980: month first or day first. */
static size_t numeric_date(struct sp_bytes text, uint32_t *packed)
{
    uint32_t a, b, year;
    size_t n = read_number(text, 0, 2, &a), at = n, years;
    uint8_t mark;

    if (n == 0 || at >= text.len)
        return 0;
    mark = text.ptr[at];
    if (mark != '/' && mark != '-' && mark != '.')
        return 0;
    n = read_number(text, ++at, 2, &b);
    at += n;
    if (n == 0 || at >= text.len || text.ptr[at] != mark)
        return 0;
    years = read_number(text, ++at, 4, &year);
    if (years != 2 && years != 4)
        return 0;
    if (years == 2)
        year += year < 30 ? 2000 : 1900;
    if (!is_date(year, a, b) && !is_date(year, b, a))
        return 0;
    *packed = year * 10000 + a * 100 + b;
    return end_of_date(text, at + years);
}

static size_t iso_date(struct sp_bytes text, uint32_t *packed)
{
    uint32_t year, month, day;

    if (read_number(text, 0, 4, &year) != 4 || text.len < 10 || text.ptr[4] != '-' ||
        read_number(text, 5, 2, &month) != 2 || text.ptr[7] != '-' ||
        read_number(text, 8, 2, &day) != 2 || !is_date(year, month, day))
        return 0;
    *packed = year * 10000 + month * 100 + day;
    return end_of_date(text, 10);
}

/* returns: the length of a month's name at the beginning, 0 if none */
static size_t month_name(struct sp_bytes text, uint32_t *month)
{
    static const char *const names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};
    size_t len = 0;

    while (len < text.len && sp_ascii_is_alpha(text.ptr[len]))
        len++;
    for (uint32_t i = 0; i < 12 && len >= 3; i++) {
        if (sp_bytes_eq_nocase(sp_bytes_slice(text, 0, 3), sp_bytes_cstr(names[i]))) {
            *month = i + 1;
            return len <= 9 ? len : 0;
        }
    }
    return 0;
}

static size_t skip_blanks(struct sp_bytes text, size_t at)
{
    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == ',' || text.ptr[at] == '.'))
        at++;
    return at;
}

/* Jan 2, 1980; 2 January 1980 */
static size_t worded_date(struct sp_bytes text, uint32_t *packed)
{
    uint32_t month = 0, day = 0, year = 0;
    size_t n = month_name(text, &month), at = n;

    if (n > 0) {
        at = skip_blanks(text, at);
        n = read_number(text, at, 2, &day);
        at += n;
    } else {
        n = read_number(text, 0, 2, &day);
        at = skip_blanks(text, n);
        n = n == 0 ? 0 : month_name(sp_bytes_slice(text, at, SIZE_MAX), &month);
        at += n;
    }
    if (n == 0)
        return 0;
    at = skip_blanks(text, at);
    n = read_number(text, at, 4, &year);
    if (n != 4 || !is_date(year, month, day))
        return 0;
    *packed = year * 10000 + month * 100 + day;
    return end_of_date(text, at + n);
}

size_t sp_detect_date_len(struct sp_bytes text, uint32_t *packed)
{
    size_t n = iso_date(text, packed);

    if (n == 0)
        n = numeric_date(text, packed);
    return n == 0 ? worded_date(text, packed) : n;
}

size_t sp_detect_record_len(struct sp_bytes text)
{
    size_t len = 0, digits = 0;

    while (len < text.len && (sp_ascii_is_alnum(text.ptr[len]) || text.ptr[len] == '-')) {
        digits += sp_ascii_is_digit(text.ptr[len]);
        len++;
    }
    while (len > 0 && text.ptr[len - 1] == '-')
        len--;
    return len >= 4 && len <= 15 && digits >= 3 ? len : 0;
}
