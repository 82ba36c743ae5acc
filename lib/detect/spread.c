/*
 * Numbers behind their label that are parted as numbers seldom are: by slashes, underlines, bars, commas, over the cells of a table,
 * a digit at a time. The signs alone would make numbers of lists and sums, so the label must say which number is meant, the same
 * sign must stand in each gap, and the groups of digits be those in which people write that number.
 */
#include "detect/detect_priv.h"

#define GAP_MAX    3
#define SPREAD_MAX 19 /* the longest card */

struct spread {
    uint8_t text[SPREAD_MAX];
    uint8_t len;
    uint8_t groups[SPREAD_MAX]; /* their lengths */
    uint8_t count;
    bool digits; /* and nothing else */
    size_t end;
};

/* returns: how many signs part two groups here, 0 if too many or another sign than before */
static size_t gap_len(const struct detect_window *w, size_t at, uint8_t *sign)
{
    static const char signs[] = "-./\\_,:;|~*+ \t\n";
    uint8_t own = ' ';
    size_t n = 0;

    while (n <= GAP_MAX && at + n < w->limit && w->text[at + n] != 0 &&
           strchr(signs, w->text[at + n]) != NULL) {
        uint8_t c = w->text[at + n++];

        if (c != ' ' && c != '\n' && own != ' ' && own != '\t' && c != own && c != '\t')
            return 0;
        if (c != ' ' && c != '\n' && !(c == '\t' && own != ' '))
            own = c;
    }
    if (n == 0 || n > GAP_MAX || at + n >= w->limit || !sp_ascii_is_alnum(w->text[at + n]))
        return 0;
    if (own != ' ' && *sign != ' ' && own != *sign)
        return 0;
    *sign = own == ' ' ? *sign : own;
    return n;
}

/* As many letters and digits as are asked for. returns: false if there are fewer, or a word goes on behind them */
static bool read_spread(const struct detect_window *w, size_t at, size_t len, struct spread *s)
{
    uint8_t sign = ' ';

    *s = (struct spread){.digits = true};
    while (s->len < len) {
        size_t begin = s->len, gap;

        while (at < w->limit && s->len < len && sp_ascii_is_alnum(w->text[at])) {
            s->digits = s->digits && sp_ascii_is_digit(w->text[at]);
            s->text[s->len++] = w->text[at++];
        }
        s->groups[s->count++] = (uint8_t)(s->len - begin);
        gap = s->len < len ? gap_len(w, at, &sign) : 0;
        if (s->len < len && gap == 0)
            return false;
        at += gap;
    }
    s->end = at;
    return at >= w->limit || (!sp_detect_is_word(w->text[at]) &&
                              !(gap_len(w, at, &sign) == 1 && sp_ascii_is_digit(w->text[at + 1]) &&
                                w->text[at] != ' ' && w->text[at] != '\n' && s->count > 1));
}

/* shapes: lengths of groups, each shape with a blank before and behind it; digits one by one are in any */
static bool has_shape(const struct spread *s, const char *shapes)
{
    char shape[SPREAD_MAX + 3] = {' '};

    if (s->count == s->len)
        return true;
    for (size_t i = 0; i < s->count; i++)
        shape[i + 1] = (char)('0' + s->groups[i]);
    shape[s->count + 1U] = ' ';
    return strstr(shapes, shape) != NULL;
}

static bool is_ssn(const struct spread *s)
{
    return s->digits && has_shape(s, " 324 ") &&
           (sp_detect_ssn_score(s->text) > 0 || sp_detect_itin_score(s->text) > 0);
}

static bool is_card(const struct spread *s)
{
    return s->digits && has_shape(s, " 4444 465 464 ") &&
           sp_detect_card_is_valid(sp_bytes(s->text, s->len));
}

static bool is_npi(const struct spread *s)
{
    return s->digits && has_shape(s, " 433 343 334 55 244 442 ") &&
           (s->text[0] == '1' || s->text[0] == '2') && sp_detect_npi_is_valid(s->text);
}

static bool is_mbi(const struct spread *s)
{
    return sp_detect_mbi_is_valid(s->text);
}

static bool is_dea(const struct spread *s)
{
    return sp_detect_dea_is_valid(sp_bytes(s->text, 9));
}

static bool is_vin(const struct spread *s)
{
    return sp_detect_vin_is_valid(sp_bytes(s->text, 17));
}

size_t sp_detect_spread(struct detect_window *w, size_t at, uint64_t label)
{
    static const struct {
        uint64_t label;
        bool (*is)(const struct spread *s);
        enum sp_detect_type type;
        uint8_t len;
        uint16_t flags;
    } kinds[] = {
        {M(L_SSN), is_ssn, SP_DETECT_US_SSN, 9, ENT_LABELLED},
        {M(L_CARD), is_card, SP_DETECT_CREDIT_CARD, 16, ENT_LABELLED | ENT_CHECKED},
        {M(L_CARD), is_card, SP_DETECT_CREDIT_CARD, 15, ENT_LABELLED | ENT_CHECKED},
        {M(L_NPI), is_npi, SP_DETECT_NPI, 10, ENT_LABELLED | ENT_CHECKED},
        {M(L_MBI), is_mbi, SP_DETECT_MBI, 11, ENT_CHECKED},
        {M(L_DEA), is_dea, SP_DETECT_DEA, 9, ENT_CHECKED},
        {M(L_VIN), is_vin, SP_DETECT_VIN, 17, ENT_CHECKED},
    };

    if ((label & (M(L_SSN) | M(L_CARD) | M(L_NPI) | M(L_MBI) | M(L_DEA) | M(L_VIN))) == 0)
        return 0; /* most values */
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        struct spread s;

        if ((label & kinds[i].label) == 0 || !read_spread(w, at, kinds[i].len, &s) ||
            !kinds[i].is(&s))
            continue;
        sp_detect_entity_add(w, kinds[i].type, at, s.end, 95)->flags |= kinds[i].flags;
        return s.end;
    }
    return 0;
}
