/*
 * Numbers: digits in groups, as people part them ("219-45-6781", "219 45 6781", "(312) 555-0123", "2 1 9 4 5 ..."). The
 * groups' lengths, what parts them and the label say what they may be; check digits and the rules of those who issue them
 * whether they are.
 */
#include "detect/detect_priv.h"

#define GROUPS_MAX 20
#define DIGITS_MAX 34

struct groups {
    size_t count;
    size_t total; /* digits */
    uint8_t len[GROUPS_MAX];
    uint8_t sep[GROUPS_MAX]; /* before the group: '-', ' ', '.', ')' and so on */
    uint8_t digits[DIGITS_MAX];
    size_t start[GROUPS_MAX],
        end[GROUPS_MAX]; /* last: only those of groups that are there are ever set */
};

static bool is_digit(const struct detect_window *w, size_t i)
{
    return i < w->limit && sp_ascii_is_digit(w->text[i]);
}

/* What parts two groups: one to three signs. returns: their length, 0 if nothing or too much */
static size_t gap_len(const struct detect_window *w, size_t at, uint8_t *sep)
{
    size_t n = 0;

    *sep = ' ';
    while (n < 3 && at + n < w->limit && w->text[at + n] != 0 &&
           strchr("-. )\n/", w->text[at + n]) != NULL) {
        if (w->text[at + n] != ' ' && w->text[at + n] != '\n')
            *sep = w->text[at + n];
        n++;
    }
    return n > 0 && is_digit(w, at + n) ? n : 0;
}

static void read_groups(const struct detect_window *w, size_t at, struct groups *g)
{
    uint8_t sep = 0;

    memset(g, 0, offsetof(struct groups, start));
    while (g->count < GROUPS_MAX) {
        size_t end = at;

        while (is_digit(w, end) && g->total + (end - at) < DIGITS_MAX)
            end++;
        if (end == at || is_digit(w, end) || (end < w->limit && sp_ascii_is_alpha(w->text[end])))
            return;
        g->start[g->count] = at;
        g->end[g->count] = end;
        g->len[g->count] = (uint8_t)(end - at);
        g->sep[g->count] = sep;
        memcpy(g->digits + g->total, w->text + at, end - at);
        g->total += end - at;
        g->count++;
        at = end + gap_len(w, end, &sep);
        if (at == end)
            return;
    }
}

/* Whether the first groups have these lengths ("324"). */
static bool has_shape(const struct groups *g, const char *shape)
{
    for (size_t i = 0; shape[i] != '\0'; i++)
        if (i >= g->count || g->len[i] != shape[i] - '0')
            return false;
    return true;
}

/* How many groups hold just so many digits. returns: 0 if a group straddles */
static size_t groups_of(const struct groups *g, size_t digits)
{
    size_t sum = 0;

    for (size_t i = 0; i < g->count; i++) {
        sum += g->len[i];
        if (sum == digits)
            return i + 1;
        if (sum > digits)
            return 0;
    }
    return 0;
}

/* How many groups hold the most digits, within these bounds. returns: 0 if none do */
static size_t most_groups(const struct groups *g, size_t most, size_t least)
{
    for (size_t n = most; n >= least; n--)
        if (groups_of(g, n) > 0)
            return groups_of(g, n);
    return 0;
}

/* A number that goes on with a hyphen and a digit, or sits in a longer word, is something else. */
static bool is_inside(const struct detect_window *w, size_t start, size_t end)
{
    if (end + 1 < w->limit && (w->text[end] == '-' || w->text[end] == '/') &&
        (is_digit(w, end + 1) || sp_ascii_is_alpha(w->text[end + 1])))
        return true;
    if (end < w->limit && (sp_ascii_is_alnum(w->text[end]) || w->text[end] == '_'))
        return true;
    if (start == 0)
        return false;
    if (sp_ascii_is_alnum(w->text[start - 1]) || w->text[start - 1] == '_' ||
        w->text[start - 1] == '$')
        return true;
    return start > 1 && strchr("-/.", w->text[start - 1]) != NULL &&
           sp_ascii_is_alnum(w->text[start - 2]);
}

static struct detect_entity *add(struct detect_window *w, enum sp_detect_type type, size_t start,
                                 size_t end, uint32_t score, bool labelled)
{
    struct detect_entity *e = sp_detect_entity_add(w, type, start, end, score);

    if (labelled)
        e->flags |= ENT_LABELLED;
    return e;
}

/* returns: 0 for what is neither an SSN nor an ITIN */
static uint32_t ssn_score(const struct groups *g, bool labelled)
{
    uint32_t score = sp_detect_ssn_score(g->digits);

    if (score == 0)
        score = sp_detect_itin_score(g->digits);
    else if (g->sep[1] == '-')
        score = 75;
    return score > 0 && labelled ? 95 : score;
}

/* "3 1 9 - 6 2 - 4 4 0 8": each digit by itself, and hyphens where an SSN has them. */
static bool is_spelt_ssn(const struct groups *g)
{
    if (g->count != 9 || g->total != 9)
        return false;
    for (size_t i = 1; i < 9; i++)
        if (g->sep[i] != (i == 3 || i == 5 ? '-' : ' '))
            return false;
    return true;
}

/* "HZN 440 21 8873": capitals before digits in blanks are of a plan's or a card's number. */
static bool is_behind_capitals(const struct detect_window *w, const struct groups *g)
{
    size_t at = g->start[0], n = 0;

    if (g->sep[1] != ' ' || at == 0 || w->text[at - 1] != ' ')
        return false;
    while (n + 1 < at && w->text[at - 2 - n] >= 'A' && w->text[at - 2 - n] <= 'Z')
        n++;
    return n > 0 && n < 5 && (n + 1 >= at || !sp_detect_is_word(w->text[at - 2 - n]));
}

static size_t find_ssn(struct detect_window *w, const struct groups *g, uint64_t label)
{
    bool labelled = (label & M(L_SSN)) != 0;
    size_t n = labelled ? groups_of(g, 9) : has_shape(g, "324") && g->sep[1] == g->sep[2] ? 3 : 0;
    uint32_t score;

    if (n == 0 && is_spelt_ssn(g))
        n = 9;
    if (n == 0 || g->sep[1] == ')' || (n > 1 && g->sep[1] == '/'))
        return 0;
    if (!labelled && is_behind_capitals(w, g))
        return 0;
    if (is_inside(w, g->start[0], g->end[n - 1]))
        return 0;
    score = ssn_score(g, labelled);
    if (score == 0)
        return labelled || n == 3 ? g->end[n - 1] : 0; /* a dummy: eaten, not counted */
    if (!labelled &&
        (label & (M(L_NOT) | M(L_ACCOUNT) | M(L_PLAN) | M(L_MRN) | M(L_OTHER) | M(L_DEVICE))) != 0)
        return 0;
    if (!labelled && g->sep[1] == ' ' && g->count > 3 && g->sep[3] == ' ')
        return 0; /* a row of numbers */
    add(w, SP_DETECT_US_SSN, g->start[0], g->end[n - 1], score, labelled);
    return g->end[n - 1];
}

/* "xxx-xx-", "***-**-": the rest is not shown. */
static bool is_masked(const struct detect_window *w, size_t at)
{
    static const size_t places[] = {2, 3, 5, 6, 7};

    if (at < 7 || w->text[at - 1] != '-' || w->text[at - 4] != '-' ||
        strchr("xX*#", w->text[at - 2]) == NULL)
        return false;
    for (size_t i = 0; i < SP_ARRAY_LEN(places); i++)
        if (w->text[at - places[i]] != w->text[at - 2])
            return false;
    return at == 7 || !sp_ascii_is_alnum(w->text[at - 8]);
}

/* "x-4402", "*4402": one sign for what is left out. */
static bool is_short_mask(const struct detect_window *w, size_t at)
{
    size_t sign = at > 1 && w->text[at - 1] == '-' ? at - 2 : at - 1;

    return at > 1 && strchr("xX*#", w->text[sign]) != NULL && w->text[sign] != 0 &&
           (sign == 0 || !sp_ascii_is_alnum(w->text[sign - 1]));
}

/* "Skip Rasmussen last 4 9606": of a card or an account if one is spoken of beside it. */
static bool is_last_four(const struct detect_window *w, size_t at)
{
    size_t from = at > 20 ? at - 20 : 0, line = at > 60 ? at - 60 : 0;
    struct sp_bytes before;

    while (at > from && strchr(" :#-xX*", w->text[at - 1]) != NULL && w->text[at - 1] != 0)
        at--;
    before = sp_bytes(w->text + from, at - from);
    for (size_t i = line; i + 4 <= at; i++)
        if (sp_bytes_eq_nocase(sp_bytes(w->text + i, 4), SP_LIT("card")))
            return false;
    return (sp_bytes_ends_nocase(before, SP_LIT("last four")) ||
            sp_bytes_ends_nocase(before, SP_LIT("last 4"))) &&
           (sp_detect_line_before(w, at, 60) & (M(L_CARD) | M(L_ACCOUNT) | M(L_PHONE))) == 0;
}

/* The last four digits of an SSN, which is how people are asked for theirs. */
static size_t find_last_four(struct detect_window *w, const struct groups *g, uint64_t label)
{
    bool masked = g->len[0] == 4 && is_masked(w, g->start[0]);

    if (g->count != 1 || g->len[0] != 4 || memcmp(g->digits, "0000", 4) == 0)
        return 0; /* or a form's */
    if (!masked && (label & M(L_SSN)) == 0 && !is_last_four(w, g->start[0]))
        return 0;
    if (!masked && !is_short_mask(w, g->start[0]) && is_inside(w, g->start[0], g->end[0]))
        return 0;
    add(w, SP_DETECT_US_SSN, g->start[0], g->end[0], 40, true);
    return g->end[0];
}

static size_t card_groups(const struct groups *g, bool labelled)
{
    if (has_shape(g, "4444"))
        return has_shape(g, "44443") ? 5 : 4;
    if (has_shape(g, "465") || has_shape(g, "464"))
        return 3;
    if (g->len[0] >= 13 && g->len[0] <= 19)
        return 1;
    return labelled ? most_groups(g, 16, 13) : 0;
}

static bool is_behind_card(const struct detect_window *w, size_t at)
{
    return sp_bytes_eq_nocase(sp_detect_word_before(w, at), SP_LIT("card"));
}

/* "..., exp 09/28", "..., cvv given": only a card has them. */
static bool is_before_expiry(const struct detect_window *w, size_t end)
{
    while (end < w->limit && (w->text[end] == ' ' || w->text[end] == ','))
        end++;
    for (size_t len = 3; len <= 7; len++)
        if (end + len <= w->limit &&
            (end + len == w->limit || !sp_detect_is_word(w->text[end + len])) &&
            sp_detect_is_listed(sp_bytes(w->text + end, len),
                                " exp expires expiry cvv cvc cvv2 cid "))
            return true;
    return false;
}

static size_t find_card(struct detect_window *w, const struct groups *g, uint64_t label)
{
    bool labelled = (label & M(L_CARD)) != 0 || is_behind_card(w, g->start[0]);
    size_t n = card_groups(g, labelled), digits = 0;

    for (size_t i = 0; i < n; i++)
        digits += g->len[i];
    if (n == 0 || is_inside(w, g->start[0], g->end[n - 1]) ||
        !sp_detect_card_is_valid(sp_bytes(g->digits, digits)))
        return 0;
    labelled = labelled || is_before_expiry(w, g->end[n - 1]);
    if (!labelled && (label & (DETECT_LABELS & ~M(L_ACCOUNT) & ~M(L_NAME))) != 0)
        return 0;
    if (!labelled && n < 4 && (sp_detect_line_before(w, g->start[0], 60) & M(L_NOT)) != 0 &&
        (sp_detect_line_before(w, g->start[0], 160) & M(L_CARD)) == 0)
        return 0; /* in four groups of four it can hardly be an order's */
    add(w, SP_DETECT_CREDIT_CARD, g->start[0], g->end[n - 1], labelled ? 95 : 80, labelled)
        ->flags |= ENT_CHECKED;
    return g->end[n - 1];
}

/* Whether a number is all that its line holds, and a clinician's degree stands in the three lines before: a signature. */
static bool is_in_signature(const struct detect_window *w, size_t start, size_t end)
{
    size_t from = start, lines = 0;

    if ((end < w->limit && w->text[end] != '\n') || start == 0 || w->text[start - 1] != '\n')
        return false;
    for (; from > 0 && start - from < 200 && lines < 4; from--)
        lines += w->text[from - 1] == '\n';
    for (size_t i = w->hit_at; i-- > 0 && w->hits[i].start >= from;)
        if ((w->hits[i].marks & M(CREDENTIAL)) != 0)
            return true;
    return false;
}

/*
 * "NM1*82*...*XX*1234567893": in X12 XX qualifies an NPI. "Ann Lee, MD (1234567893)", "Lee, Ann, PA-C, 1234567893"; in a list
 * one tells what the others are; and no telephone number begins with 1, of which clinicians have most.
 */
static bool is_clinicians(const struct detect_window *w, const struct groups *g)
{
    size_t at = g->start[0], from = at > 120 ? at - 120 : 0;

    if ((at > 3 && memcmp(w->text + at - 4, "*XX*", 4) == 0) ||
        (sp_detect_line_before(w, at, 8) & M(CREDENTIAL)) != 0 || is_in_signature(w, at, g->end[0]))
        return true;
    for (size_t i = w->entity_count; i-- > 0 && w->entities[i].end > from;)
        if (w->entities[i].type == SP_DETECT_NPI)
            return true;
    return g->digits[0] == '1' &&
           (sp_detect_line_before(w, at, 40) & (M(CREDENTIAL) | M(PROVIDER))) != 0;
}

static size_t find_npi(struct detect_window *w, const struct groups *g, uint64_t label)
{
    size_t n = g->len[0] == 10 ? 1 : groups_of(g, 10);
    bool labelled = (label & M(L_NPI)) != 0;

    if (n == 0 || (g->digits[0] != '1' && g->digits[0] != '2') ||
        !sp_detect_npi_is_valid(g->digits) || is_inside(w, g->start[0], g->end[n - 1]))
        return 0;
    if (!labelled && n == 1 && (label & DETECT_LABELS) == 0)
        labelled = is_clinicians(w, g);
    if (!labelled && (n > 1 || (label & DETECT_LABELS) != 0 ||
                      (sp_detect_line_before(w, g->start[0], 120) & M(L_NPI)) == 0))
        return 0;
    add(w, SP_DETECT_NPI, g->start[0], g->end[n - 1], labelled ? 95 : 70, labelled)->flags |=
        ENT_CHECKED;
    return g->end[n - 1];
}

/* North American numbers: area and exchange begin with 2 to 9. */
static bool is_nanp(const uint8_t *d)
{
    return d[0] >= '2' && d[3] >= '2' && !(d[1] == '1' && d[2] == '1');
}

/* What is a telephone number only if a label says so. */
static size_t labelled_phone_groups(const struct groups *g)
{
    if (g->len[0] == 10 && is_nanp(g->digits))
        return 1;
    if (g->len[0] == 11 && g->digits[0] == '1' && is_nanp(g->digits + 1))
        return 1;
    if (has_shape(g, "34") && g->sep[1] == '-' && g->digits[0] >= '2')
        return 2;
    if (groups_of(g, 10) > 0 && is_nanp(g->digits))
        return groups_of(g, 10);
    if (g->digits[0] == '0' && g->total >= 9) /* abroad: "030 1234567" */
        return most_groups(g, 12, 9);
    return 0;
}

/* How many groups are a telephone number, with what score. */
static size_t phone_groups(const struct detect_window *w, const struct groups *g, bool labelled,
                           uint32_t *score)
{
    bool plus = g->start[0] > 0 && w->text[g->start[0] - 1] == '+';
    size_t n = plus && g->total >= 8 ? most_groups(g, 15, 8) : 0;

    *score = 60;
    if (has_shape(g, "334") && is_nanp(g->digits) && g->sep[1] != '/')
        return 3;
    if (has_shape(g, "1334") && g->digits[0] == '1' && is_nanp(g->digits + 1))
        return 4;
    if (n > 0)
        return n;
    return labelled ? labelled_phone_groups(g) : 0;
}

static size_t find_phone(struct detect_window *w, const struct groups *g, uint64_t label)
{
    uint64_t line = label | sp_detect_line_before(w, g->start[0], 30);
    bool labelled = (label & (M(L_PHONE) | M(L_FAX))) != 0;
    uint32_t score = 0;
    size_t n = phone_groups(w, g, labelled || (line & (M(L_PHONE) | M(L_FAX))) != 0, &score);
    size_t start = g->start[0];
    bool fax = (label & M(L_FAX)) != 0 || ((label & M(L_PHONE)) == 0 && (line & M(L_FAX)) != 0);

    if (n == 0 || is_inside(w, start, g->end[n - 1]) ||
        (label & (DETECT_LABELS & ~(M(L_PHONE) | M(L_FAX) | M(L_NAME) | M(L_EMAIL) | M(L_ADDRESS) |
                                    M(L_SERVICE) | M(L_DOB)))) != 0)
        return 0;
    if (start > 0 && (w->text[start - 1] == '(' || w->text[start - 1] == '+'))
        start--;
    add(w, fax ? SP_DETECT_FAX : SP_DETECT_PHONE, start, g->end[n - 1], labelled ? 85 : score,
        labelled);
    return g->end[n - 1];
}

/* "(01)" and a GTIN of 14 digits; what follows it belongs to it. */
static size_t find_udi(struct detect_window *w, size_t at)
{
    size_t start = at - 1, end = at + 3;

    if (at == 0 || w->text[start] != '(' || at + 17 > w->limit ||
        memcmp(w->text + at, "01)", 3) != 0)
        return 0;
    end += w->text[end] == ' ';
    for (size_t i = 0; i < 14; i++)
        if (!is_digit(w, end + i))
            return 0;
    if (!sp_detect_gtin_is_valid(sp_bytes(w->text + end, 14)))
        return 0;
    end += 14;
    while (end < w->limit && (sp_ascii_is_alnum(w->text[end]) ||
                              (w->text[end] != 0 && strchr("()-/", w->text[end]) != NULL)))
        end++;
    while (w->text[end - 1] == '-' || w->text[end - 1] == '/' || w->text[end - 1] == '(')
        end--;
    add(w, SP_DETECT_UDI, start, end, 95, true)->flags |= ENT_CHECKED;
    return end;
}

static size_t find_routing(struct detect_window *w, const struct groups *g, uint64_t label)
{
    if (g->len[0] != 9 || (label & M(L_ACCOUNT)) == 0 ||
        !sp_detect_aba_is_valid(sp_bytes(g->digits, 9)))
        return 0;
    add(w, SP_DETECT_ACCOUNT, g->start[0], g->end[0], 85, true)->flags |= ENT_CHECKED;
    return g->end[0];
}

static size_t find_medical(struct detect_window *w, const struct groups *g, uint64_t label)
{
    struct sp_bytes two =
        sp_bytes(w->text + g->start[0], g->count > 1 ? g->end[1] - g->start[0] : 0);
    bool ndc =
        g->count >= 3 && g->sep[1] == '-' && g->sep[2] == '-' &&
        (has_shape(g, "542") || has_shape(g, "442") || has_shape(g, "532") || has_shape(g, "541"));

    if (ndc && ((label | sp_detect_line_before(w, g->start[0], 80)) & (M(L_NDC) | M(DRUG))) != 0) {
        add(w, SP_DETECT_DRUG, g->start[0], g->end[2], 85, true);
        return g->end[2];
    }
    if ((label & M(L_LOINC)) != 0 && sp_detect_loinc_is_valid(two)) {
        add(w, SP_DETECT_LAB, g->start[0], g->end[1], 85, true)->flags |= ENT_CHECKED;
        return g->end[1];
    }
    if ((label & M(L_ICD)) != 0 && !is_inside(w, g->start[0], g->end[0]) &&
        sp_detect_snomed_is_valid(sp_bytes(g->digits, g->len[0]))) {
        add(w, SP_DETECT_DIAGNOSIS, g->start[0], g->end[0], 85, true)->flags |= ENT_CHECKED;
        return g->end[0];
    }
    if ((label & M(L_CPT)) != 0 && g->len[0] == 5 && !is_inside(w, g->start[0], g->end[0])) {
        add(w, SP_DETECT_PROCEDURE, g->start[0], g->end[0], 80, true);
        return g->end[0];
    }
    return 0;
}

/* IMEI: fifteen digits, Luhn's check. */
static size_t find_imei(struct detect_window *w, const struct groups *g, uint64_t label)
{
    size_t n = groups_of(g, 15);

    if (n == 0 || (label & M(L_DEVICE)) == 0 || !sp_detect_luhn_is_valid(sp_bytes(g->digits, 15)))
        return 0;
    add(w, SP_DETECT_DEVICE_ID, g->start[0], g->end[n - 1], 90, true)->flags |= ENT_CHECKED;
    return g->end[n - 1];
}

/* A label behind the number: only if none stands before it. */
static uint64_t label_of(const struct detect_window *w, const struct groups *g, uint64_t label)
{
    static const size_t lengths[] = {9, 10};

    for (size_t i = 0; i < SP_ARRAY_LEN(lengths) && (label & DETECT_LABELS) == 0 && !w->row; i++) {
        size_t n = groups_of(g, lengths[i]);

        if (n > 0)
            label |= sp_detect_label_behind(w, g->end[n - 1]) & (i == 0 ? M(L_SSN) : M(L_NPI));
    }
    return label;
}

size_t sp_detect_number(struct detect_window *w, size_t at, uint64_t label)
{
    struct groups g;
    size_t end = find_udi(w, at);

    if (end > 0)
        return end;
    read_groups(w, at, &g);
    if (g.count == 0 || g.total < 5)
        return g.total == 4 ? find_last_four(w, &g, label) : 0;
    label = label_of(w, &g, label);
    end = find_ssn(w, &g, label);
    if (end == 0)
        end = find_card(w, &g, label);
    if (end == 0)
        end = find_npi(w, &g, label);
    if (end == 0)
        end = find_routing(w, &g, label);
    if (end == 0)
        end = find_imei(w, &g, label);
    if (end == 0)
        end = find_phone(w, &g, label);
    return end == 0 ? find_medical(w, &g, label) : end;
}
