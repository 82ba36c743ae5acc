/*
 * Codes of letters and digits: those with a form and check digits of their own (Medicare numbers, vehicles, DEA, IBAN), and
 * those that only a label tells apart: record, plan, account, licence, device and other numbers.
 */
#include "detect/detect_priv.h"

#define CODE_MAX 40

struct code {
    size_t start, end;
    uint8_t text[CODE_MAX]; /* without hyphens and blanks */
    size_t len, digits, letters;
};

static bool is_joint(const struct detect_window *w, size_t i, bool spaces)
{
    uint8_t c = w->text[i];

    return i + 1 < w->limit && sp_ascii_is_alnum(w->text[i + 1]) &&
           (c == '-' || c == '.' || c == '/' || c == '_' || (spaces && c == ' '));
}

/* Behind a blank only a group with a digit in it belongs to a number: no word does. */
static bool has_digit_next(const struct detect_window *w, size_t at)
{
    for (size_t i = at; i < w->limit && i - at < 12 && sp_ascii_is_alnum(w->text[i]); i++)
        if (sp_ascii_is_digit(w->text[i]))
            return true;
    return false;
}

/* Whether the sign at a place joins what stands before and behind it to one code. */
static bool goes_on(const struct detect_window *w, size_t i, bool spaces)
{
    uint8_t next = i + 1 < w->limit ? w->text[i + 1] : 0;

    if (w->text[i] == ' ' && !has_digit_next(w, i + 1))
        return false;
    return is_joint(w, i, spaces && (sp_ascii_is_digit(next) || (next >= 'A' && next <= 'Z')));
}

/* spaces: blanks may part it, but only before a digit or a word of digits and capitals. */
static void read_code(const struct detect_window *w, size_t at, bool spaces, struct code *c)
{
    c->start = c->end = at;
    c->len = c->digits = c->letters = 0;
    for (size_t i = at; i < w->limit && c->len < CODE_MAX; i++) {
        uint8_t b = w->text[i];

        if (sp_ascii_is_alnum(b)) {
            c->text[c->len++] = b;
            c->digits += sp_ascii_is_digit(b);
            c->letters += sp_ascii_is_alpha(b);
            c->end = i + 1;
        } else if (!goes_on(w, i, spaces)) {
            break;
        }
    }
}

static bool is_bounded(const struct detect_window *w, const struct code *c)
{
    return (c->start == 0 ||
            !(sp_ascii_is_alnum(w->text[c->start - 1]) || w->text[c->start - 1] == '-')) &&
           (c->end >= w->limit || !(sp_ascii_is_alnum(w->text[c->end]) || w->text[c->end] >= 0x80));
}

static size_t add(struct detect_window *w, const struct code *c, enum sp_detect_type type,
                  uint32_t score, unsigned flags)
{
    sp_detect_entity_add(w, type, c->start, c->end, score)->flags |= (uint16_t)flags;
    return c->end;
}

/* Where a code's first n characters end. returns: 0 if it has fewer, or goes on behind them without a break */
static size_t cut(const struct detect_window *w, const struct code *c, size_t n)
{
    size_t seen = 0;

    for (size_t i = c->start; i < c->end; i++) {
        seen += sp_ascii_is_alnum(w->text[i]);
        if (seen == n)
            return i + 1 == c->end || !sp_ascii_is_alnum(w->text[i + 1]) ? i + 1 : 0;
    }
    return 0;
}

static size_t add_part(struct detect_window *w, const struct code *c, size_t end,
                       enum sp_detect_type type, uint32_t score)
{
    sp_detect_entity_add(w, type, c->start, end, score)->flags |= ENT_CHECKED;
    return end;
}

/* A number as it stands: as far as the first blank, and with the groups behind blanks; the same if there are none. */
struct number {
    struct code code;
    struct code with_blanks;
    const struct code *spaced;
};

static void read_number(const struct detect_window *w, size_t at, struct number *n)
{
    const struct code *c = &n->code;

    read_code(w, at, false, &n->code);
    n->spaced = c;
    if (c->end >= w->limit || w->text[c->end] != ' ')
        return;
    read_code(w, at, true, &n->with_blanks);
    n->spaced = &n->with_blanks;
}

/* Hyphens with a blank or a line end beside them: "5N01-AD7-\nJE48", "3TJ1- TF7- JY16". returns: its end, or 0 */
static size_t parted_mbi(const struct detect_window *w, size_t at)
{
    uint8_t text[11];
    size_t n = 0;

    for (unsigned gap = 0; at < w->limit && n < sizeof(text) && gap < 3; at++) {
        uint8_t c = w->text[at];

        if (sp_ascii_is_alnum(c)) {
            text[n++] = c;
            gap = 0;
        } else if (c == '-' || c == ' ' || c == '\n') {
            gap++;
        } else {
            return 0;
        }
    }
    if (n < sizeof(text) || (at < w->limit && sp_detect_is_word(w->text[at])))
        return 0;
    return sp_detect_mbi_is_valid(text) ? at : 0;
}

static size_t find_mbi(struct detect_window *w, const struct number *n, uint64_t label)
{
    const struct code *c = &n->code, *spaced = n->spaced;
    bool labelled = (label & M(L_MBI)) != 0;
    size_t end;

    if (c->len == 11 && sp_detect_mbi_is_valid(c->text))
        return add(w, c, SP_DETECT_MBI, labelled ? 98 : 90, ENT_CHECKED);
    if (spaced->len >= 11 && sp_detect_mbi_is_valid(spaced->text)) {
        end = cut(w, spaced, 11);
        return end > 0 ? add_part(w, spaced, end, SP_DETECT_MBI, labelled ? 98 : 85) : 0;
    }
    if (c->len < 4 || c->len > 10 || !sp_ascii_is_digit(c->text[0]) ||
        !sp_ascii_is_alpha(c->text[1]) || c->end >= w->limit ||
        (w->text[c->end] != '-' && w->text[c->end] != ' ' && w->text[c->end] != '\n'))
        return 0;
    end = parted_mbi(w, c->start);
    return end > 0 ? add_part(w, c, end, SP_DETECT_MBI, labelled ? 95 : 80) : 0;
}

static size_t find_vin(struct detect_window *w, const struct number *n, uint64_t label)
{
    const struct code *c = &n->code;
    bool labelled = (label & M(L_VIN)) != 0;
    size_t end;

    if (c->len == 17 && c->end - c->start == 17 && (c->letters > 0 || labelled) && c->digits >= 4 &&
        (label & (M(L_NOT) | M(L_OTHER))) == 0 && sp_detect_vin_is_valid(sp_bytes(c->text, 17)))
        return add(w, c, SP_DETECT_VIN, labelled ? 98 : 80, ENT_CHECKED);
    end = labelled ? cut(w, n->spaced, 17) : 0;
    if (end > 0 && sp_detect_vin_is_valid(sp_bytes(n->spaced->text, 17)))
        return add_part(w, n->spaced, end, SP_DETECT_VIN, 95);
    return 0;
}

static size_t find_dea(struct detect_window *w, const struct number *n, uint64_t label)
{
    const struct code *c = &n->code;
    size_t end = (label & M(L_DEA)) != 0 ? cut(w, n->spaced, 9) : 0;

    if (end > 0 && sp_detect_dea_is_valid(sp_bytes(n->spaced->text, 9)))
        return add_part(w, n->spaced, end, SP_DETECT_DEA, 95);
    if (c->len == 9 && c->end - c->start == 9 && (label & (DETECT_LABELS & ~M(L_LICENSE))) == 0 &&
        strchr("ABFGMPR", c->text[0]) != NULL && c->text[1] != '9' &&
        sp_detect_dea_is_valid(sp_bytes(c->text, 9)) &&
        ((label | sp_detect_line_before(w, c->start, 120)) &
         (M(L_DEA) | M(CREDENTIAL) | M(PROVIDER) | M(L_NPI) | M(DRUG))) != 0)
        return add(w, c, SP_DETECT_DEA, 75, ENT_CHECKED);
    return 0;
}

static size_t find_iban(struct detect_window *w, const struct number *n)
{
    const struct code *c = n->spaced;
    size_t end;

    if (c->len < 15 || !sp_ascii_is_alpha(c->text[0]) || !sp_ascii_is_alpha(c->text[1]) ||
        !sp_ascii_is_digit(c->text[2]) || !sp_ascii_is_digit(c->text[3]) || n->code.digits < 2)
        return 0;
    for (size_t len = c->len < 34 ? c->len : 34; len >= 15; len--) {
        end = cut(w, c, len);
        if (end > 0 && sp_detect_iban_is_valid(sp_bytes(c->text, len)))
            return add_part(w, c, end, SP_DETECT_ACCOUNT, 95);
    }
    return 0;
}

/* Medicare's old number. Without a label an SSN with hyphens and letters, beside a word of payers. */
static size_t find_hicn(struct detect_window *w, const struct number *n, uint64_t label)
{
    const struct code *c = &n->code;
    bool labelled = (label & (M(L_MBI) | M(L_PLAN) | M(L_SSN))) != 0;

    if (c->len < 7 || c->len > 12 || c->letters == 0 || c->letters > 3 ||
        !sp_detect_hicn_is_valid(sp_bytes(c->text, c->len)))
        return 0;
    if (!labelled && ((label & DETECT_LABELS) != 0 || w->text[c->start + 3] != '-' ||
                      c->digits != 9 || c->end - c->start < 12 ||
                      (sp_detect_line_before(w, c->start, 120) &
                       (M(L_MBI) | M(L_PLAN) | M(PAY) | M(INSURED) | M(PATIENT))) == 0))
        return 0;
    return add(w, c, SP_DETECT_HEALTH_PLAN_ID, labelled ? 95 : 80,
               labelled ? ENT_LABELLED | ENT_CHECKED : ENT_CHECKED);
}

static size_t find_checked(struct detect_window *w, const struct number *n, uint64_t label)
{
    size_t end;

    if (!is_bounded(w, &n->code))
        return 0;
    end = find_mbi(w, n, label);
    if (end == 0)
        end = find_vin(w, n, label);
    if (end == 0)
        end = find_dea(w, n, label);
    if (end == 0)
        end = find_hicn(w, n, label);
    return end == 0 ? find_iban(w, n) : end;
}

static const struct {
    uint64_t label;
    enum sp_detect_type type;
    uint8_t score;
    uint8_t len_min, digits_min;
    bool spaces;
} labelled[] = {
    {M(L_MRN), SP_DETECT_MRN, 90, 4, 3, true},
    {M(L_MBI), SP_DETECT_HEALTH_PLAN_ID, 75, 8, 5, true},
    {M(L_PLAN), SP_DETECT_HEALTH_PLAN_ID, 85, 5, 3, true},
    {M(L_ACCOUNT), SP_DETECT_ACCOUNT, 80, 4, 4, true},
    {M(L_LICENSE), SP_DETECT_DRIVER_LICENSE, 80, 5, 4, true},
    {M(L_PLATE), SP_DETECT_LICENSE_PLATE, 80, 4, 1, true},
    {M(L_UDI), SP_DETECT_UDI, 70, 8, 6, false},
    {M(L_DEVICE), SP_DETECT_DEVICE_ID, 80, 5, 3, false},
    {M(L_OTHER), SP_DETECT_OTHER, 75, 5, 4, false},
    {M(L_BIOMETRIC), SP_DETECT_BIOMETRIC, 80, 6, 3, false},
};

/* Amounts, times, doses and years stand behind labels too. */
static bool is_measure(const struct detect_window *w, const struct code *c)
{
    static const char units[] =
        " mg mcg ml units unit % am pm hours days kg lbs cm mm weeks months years "
        "minutes x g times year day tablets refills pages ";
    size_t unit = 0;
    struct sp_bytes rest =
        sp_bytes_trim(sp_bytes(w->text + c->end, w->limit - c->end < 10 ? w->limit - c->end : 10));

    if (c->start > 0 && (w->text[c->start - 1] == '$' || w->text[c->start - 1] == ':'))
        if (w->text[c->start - 1] == '$' ||
            (c->start > 1 && sp_ascii_is_digit(w->text[c->start - 2])))
            return true;
    if (rest.len > 1 && (rest.ptr[0] == ':' || rest.ptr[0] == ',') &&
        sp_ascii_is_digit(rest.ptr[1]))
        return c->len <= 4;
    while (unit < rest.len && (sp_ascii_is_alpha(rest.ptr[unit]) || rest.ptr[unit] == '%'))
        unit++;
    return unit > 0 && c->len <= 5 && sp_detect_is_listed(sp_bytes_slice(rest, 0, unit), units);
}

/* 0 or 9 over and over: what testers and forms fill in. Other digits may be somebody's, however alike. */
static bool is_filler(const struct code *c)
{
    for (size_t i = 1; i < c->len; i++)
        if (c->text[i] != c->text[0])
            return false;
    return c->len >= 6 && (c->text[0] == '0' || c->text[0] == '9');
}

/* "12/05/2023", "2023-12-05": a date stood where a number was looked for. */
static bool is_date(const struct detect_window *w, const struct code *c)
{
    uint32_t packed;
    struct sp_bytes text = sp_bytes(w->text + c->start, w->limit - c->start);
    size_t n = sp_detect_date_len(text, &packed);

    return n > 0 && n >= c->end - c->start;
}

/* "HICN/MBI 1EG4...": what stands where the number was looked for is a label as well. */
static bool is_label(const struct detect_window *w, size_t at)
{
    return w->hit_at < w->hit_count && w->hits[w->hit_at].start == at &&
           (w->hits[w->hit_at].marks & DETECT_LABELS) != 0;
}

static size_t find_labelled(struct detect_window *w, size_t at, uint64_t label)
{
    if ((label & DETECT_LABELS) == 0 || is_label(w, at)) /* of most numbers */
        return 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(labelled); i++) {
        struct code c;

        if ((label & labelled[i].label) == 0)
            continue;
        read_code(w, at, labelled[i].spaces, &c);
        if (labelled[i].spaces && (c.len < labelled[i].len_min || c.len > 24 ||
                                   c.digits < labelled[i].digits_min || is_date(w, &c)))
            read_code(w, at, false, &c);
        if (c.len < labelled[i].len_min || c.digits < labelled[i].digits_min || c.len > 30 ||
            is_date(w, &c) || is_measure(w, &c))
            continue;
        if (c.len == 4 && c.letters == 0 && labelled[i].len_min < 5 &&
            (label & (M(CARE) | M(PAY))) != 0)
            continue; /* "chart 2024" */
        if (is_filler(&c))
            return c.end;
        return add(w, &c, labelled[i].type, labelled[i].score, ENT_LABELLED);
    }
    return 0;
}

static size_t find_icd(struct detect_window *w, const struct code *c, uint64_t label)
{
    struct sp_bytes text = sp_bytes(w->text + c->start, c->end - c->start);
    uint64_t near;

    if (!sp_detect_icd10_is_valid(text) || !is_bounded(w, c))
        return 0;
    near = label | sp_detect_line_before(w, c->start, 200);
    if ((label & M(L_ICD)) == 0 && text.len == 3 && (near & M(L_ICD)) == 0)
        return 0;
    if ((label & (M(L_NOT) | M(L_DEVICE))) != 0)
        return 0;
    if ((near & (M(L_ICD) | DETECT_STRONG | M(CARE) | M(PAY) | M(L_CPT) | DETECT_SUBJECT)) == 0 &&
        text.len < 5)
        return 0;
    return add(w, c, SP_DETECT_ICD10, (near & M(L_ICD)) != 0 ? 90 : 70,
               (label & M(L_ICD)) != 0 ? ENT_LABELLED : 0);
}

/* HCPCS: a letter and four digits. */
static size_t find_hcpcs(struct detect_window *w, const struct code *c, uint64_t label)
{
    if ((label & M(L_CPT)) == 0 || c->len != 5 || c->digits < 4 || !is_bounded(w, c))
        return 0;
    return add(w, c, SP_DETECT_PROCEDURE, 80, ENT_LABELLED);
}

static size_t find_mac(struct detect_window *w, size_t at)
{
    size_t n = 0;
    uint8_t sep = at + 2 < w->limit ? w->text[at + 2] : 0;

    if (sep != ':' && sep != '-')
        return 0;
    while (n < 6 && at + 3 * n + 1 < w->limit &&
           strchr("0123456789abcdefABCDEF", w->text[at + 3 * n]) != NULL &&
           strchr("0123456789abcdefABCDEF", w->text[at + 3 * n + 1]) != NULL) {
        n++;
        if (n < 6 && (at + 3 * n - 1 >= w->limit || w->text[at + 3 * n - 1] != sep))
            return 0;
    }
    if (n < 6 || (at + 17 < w->limit && sp_ascii_is_alnum(w->text[at + 17])))
        return 0;
    sp_detect_entity_add(w, SP_DETECT_DEVICE_ID, at, at + 17, 70);
    return at + 17;
}

size_t sp_detect_code(struct detect_window *w, size_t at, uint64_t label)
{
    struct number n;
    size_t end = find_mac(w, at);

    if (end > 0)
        return end;
    read_number(w, at, &n);
    end = find_checked(w, &n, label);
    if (end == 0)
        end = find_hcpcs(w, &n.code, label);
    if (end == 0)
        end = find_icd(w, &n.code, label);
    return end == 0 ? find_labelled(w, at, label) : end;
}
