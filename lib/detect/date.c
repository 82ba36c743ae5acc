/* Dates in the forms that people write: numbers in either order, ISO 8601, and with a month's name. */
#include "detect/detect_priv.h"

#define NO_DATE 19000101 /* what databases hold where nobody knows the day, and test records */

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

/* 19580923, as records of machines have it */
static size_t packed_date(struct sp_bytes text, uint32_t *packed)
{
    uint32_t year, month, day;

    if (read_number(text, 0, 4, &year) != 4 || read_number(text, 4, 2, &month) != 2 ||
        read_number(text, 6, 2, &day) != 2 || !is_date(year, month, day))
        return 0;
    *packed = year * 10000 + month * 100 + day;
    return end_of_date(text, 8);
}

#define LETTERS(a, b, c) ((uint32_t)(a) << 16 | (uint32_t)(b) << 8 | (uint32_t)(c))

/* returns: the month whose name begins with these three letters, 0 if none */
static uint32_t month_of(const uint8_t *name)
{
    static const uint32_t names[] = {
        LETTERS('j', 'a', 'n'), LETTERS('f', 'e', 'b'), LETTERS('m', 'a', 'r'),
        LETTERS('a', 'p', 'r'), LETTERS('m', 'a', 'y'), LETTERS('j', 'u', 'n'),
        LETTERS('j', 'u', 'l'), LETTERS('a', 'u', 'g'), LETTERS('s', 'e', 'p'),
        LETTERS('o', 'c', 't'), LETTERS('n', 'o', 'v'), LETTERS('d', 'e', 'c')};
    uint32_t letters = LETTERS(name[0] | 0x20, name[1] | 0x20, name[2] | 0x20);

    for (uint32_t i = 0; i < SP_ARRAY_LEN(names); i++)
        if (letters == names[i])
            return i + 1;
    return 0;
}

/* returns: the length of a month's name at the beginning, 0 if none */
static size_t month_name(struct sp_bytes text, uint32_t *month)
{
    size_t len = 0;
    uint32_t found;

    while (len < text.len && len <= 9 && sp_ascii_is_alpha(text.ptr[len]))
        len++;
    found = len >= 3 && len <= 9 ? month_of(text.ptr) : 0;
    if (found == 0)
        return 0;
    *month = found;
    return len;
}

static size_t skip_blanks(struct sp_bytes text, size_t at)
{
    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == ',' || text.ptr[at] == '.'))
        at++;
    return at;
}

/* "2nd": behind the end of the ordinal. */
static size_t skip_ordinal(struct sp_bytes text, size_t at)
{
    uint8_t a = at + 1 < text.len ? sp_ascii_lower(text.ptr[at]) : 0,
            b = at + 1 < text.len ? sp_ascii_lower(text.ptr[at + 1]) : 0;

    if ((a == 's' && b == 't') || ((a == 'n' || a == 'r') && b == 'd') || (a == 't' && b == 'h'))
        return at + 2;
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
        at = skip_ordinal(text, at + n);
    } else {
        n = read_number(text, 0, 2, &day);
        at = skip_blanks(text, skip_ordinal(text, n));
        at += at < text.len && text.ptr[at] == '-';
        n = n == 0 ? 0 : month_name(sp_bytes_slice(text, at, SIZE_MAX), &month);
        at += n;
    }
    if (n == 0)
        return 0;
    at = skip_blanks(text, at);
    at += at < text.len && text.ptr[at] == '-';
    n = read_number(text, at, 4, &year);
    if (n != 4 || !is_date(year, month, day))
        return 0;
    *packed = year * 10000 + month * 100 + day;
    return end_of_date(text, at + n);
}

size_t sp_detect_date_len(struct sp_bytes text, uint32_t *packed)
{
    size_t digits = 0, n;

    while (digits < 5 && digits < text.len && sp_ascii_is_digit(text.ptr[digits]))
        digits++;
    if (digits > 2) /* it begins with a year or not at all */
        return digits == 4 ? iso_date(text, packed) : 0;
    n = numeric_date(text, packed);
    return n == 0 ? worded_date(text, packed) : n;
}

bool sp_detect_is_month(struct sp_bytes word)
{
    uint32_t month;

    return month_name(word, &month) == word.len && word.len >= 3;
}

size_t sp_detect_date(struct detect_window *w, size_t at, uint64_t label)
{
    static const struct {
        uint64_t label;
        enum sp_detect_type type;
    } kinds[] = {{M(L_DOB), SP_DETECT_DOB},
                 {M(L_ADMISSION), SP_DETECT_ADMISSION_DATE},
                 {M(L_DISCHARGE), SP_DETECT_DISCHARGE_DATE},
                 {M(L_SERVICE), SP_DETECT_SERVICE_DATE}};
    uint32_t packed;
    size_t n = sp_detect_date_len(sp_bytes(w->text + at, w->limit - at), &packed), end = at + n;
    enum sp_detect_type type = SP_DETECT_DATE;

    if (n == 0 && (label & M(L_DOB)) != 0)
        end = at + (n = packed_date(sp_bytes(w->text + at, w->limit - at), &packed));
    if (n == 0 || (at > 0 && strchr("-/.", w->text[at - 1]) != NULL && at > 1 &&
                   sp_ascii_is_digit(w->text[at - 2])))
        return 0;
    if (end + 1 < w->limit && strchr("-/.", w->text[end]) != NULL &&
        sp_ascii_is_digit(w->text[end + 1]))
        return 0;
    label |= sp_detect_label_behind(w, end) & M(L_DOB); /* "03/04/1961 (DOB)" */
    if ((label & DETECT_LABELS) == 0 && (sp_detect_line_before(w, at, 40) &
                                         (M(EVENT) | M(PROCEDURE) | M(CARE) | M(L_SERVICE))) != 0)
        label |= M(L_SERVICE);
    for (size_t i = SP_ARRAY_LEN(kinds); i-- > 0;)
        if ((label & kinds[i].label) != 0)
            type = kinds[i].type;
    if (type == SP_DETECT_DOB && packed == NO_DATE)
        type = SP_DETECT_DATE;
    sp_detect_entity_add(w, type, at, end, type == SP_DETECT_DATE ? 40 : 85)->flags =
        (uint8_t)(type == SP_DETECT_DATE ? 0 : ENT_LABELLED);
    return end;
}

static bool is_years(struct sp_bytes behind)
{
    static const char *const words[] = {
        "year-old", "year old", "years old",    "years-old",  "yr-old",  "yr old", "yrs old", "y/o",
        "y.o",      "yo ",      "years of age", "yrs of age", "yearold", "yo,",    "yo."};

    while (behind.len > 0 &&
           (behind.ptr[0] == ' ' || behind.ptr[0] == '-' || behind.ptr[0] == '\n'))
        behind = sp_bytes_slice(behind, 1, SIZE_MAX);
    for (size_t i = 0; i < SP_ARRAY_LEN(words); i++)
        if (sp_bytes_starts_nocase(behind, sp_bytes_cstr(words[i])))
            return true;
    return false;
}

/* "age 93", "Aged: 93" */
static bool is_behind_age(const struct detect_window *w, size_t at)
{
    size_t from, end = at;
    struct sp_bytes word;

    while (end > 0 && at - end < 3 && strchr(" :=", w->text[end - 1]) != NULL &&
           w->text[end - 1] != 0)
        end--;
    for (from = end; from > 0 && end - from < 5 && sp_ascii_is_alpha(w->text[from - 1]);)
        from--;
    word = sp_bytes(w->text + from, end - from);
    return end < at &&
           (sp_bytes_eq_nocase(word, SP_LIT("age")) || sp_bytes_eq_nocase(word, SP_LIT("aged")));
}

/* 45 CFR 164.514(b)(2)(i)(C): an age over 89 tells who it is as a date does; alone it decides nothing. */
size_t sp_detect_age(struct detect_window *w, size_t at, size_t end)
{
    uint32_t years;
    size_t n = read_number(sp_bytes(w->text + at, end - at), 0, 3, &years);

    if (n < 2 || years < 90 || years > 125 || (at > 0 && strchr(".-/$", w->text[at - 1]) != NULL))
        return 0;
    if (!is_years(sp_bytes(w->text + at + n, w->limit - at - n)) &&
        (at + n < end || !is_behind_age(w, at)))
        return 0;
    sp_detect_entity_add(w, SP_DETECT_DATE, at, at + n, 40);
    return end;
}
