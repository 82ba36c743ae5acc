/*
 * From hits to findings. A pattern's hit is verified from its end backwards; a label within 300 bytes on either side
 * raises its score. Record numbers and birth dates have no shape of their own, so they are found from their labels: the
 * value right behind the label, or, where the label heads a column of a table, the same column of the lines below.
 */
#include "detect/detect_priv.h"

#define COLUMN_LINES  5000  /* of a table below one heading */
#define COLUMN_BUDGET 50000 /* lines below all headings in one window */
#define LINE_MAX_LEN  2048  /* of a heading: no table has longer ones */
#define LABEL_GAP     24    /* bytes between a label and its value: "no. :", " number is " */

static bool is_digit_at(const struct detect_window *w, size_t i)
{
    return i < w->len && sp_ascii_is_digit(w->text[i]);
}

static bool is_own(const struct detect_window *w, size_t start)
{
    return start >= w->from && start < w->to;
}

/* Whether a mark of this kind ends within the context of a match. at: the match's own hit */
static bool has_near(const struct detect_window *w, size_t at, enum detect_mark mark)
{
    size_t end = w->hits[at].end;

    for (size_t i = at; i-- > 0 && end - w->hits[i].end <= DETECT_CONTEXT;)
        if (w->hits[i].mark == mark)
            return true;
    for (size_t i = at + 1; i < w->hit_count && w->hits[i].end - end <= DETECT_CONTEXT; i++)
        if (w->hits[i].mark == mark)
            return true;
    return false;
}

/* Copies the last count digits before end, separators apart. returns: the offset of the first */
static size_t digits_before(const struct detect_window *w, size_t end, size_t count, uint8_t *out)
{
    size_t at = end;

    while (count > 0 && at > 0)
        if (sp_ascii_is_digit(w->text[--at]))
            out[--count] = w->text[at];
    return at;
}

static bool is_part_of_number(const struct detect_window *w, size_t start, size_t end)
{
    return (start > 0 && (sp_ascii_is_alnum(w->text[start - 1]) ||
                          (w->text[start - 1] == '-' && start > 1 && is_digit_at(w, start - 2)))) ||
           (end < w->len && sp_ascii_is_alnum(w->text[end])) ||
           (end + 1 < w->len && w->text[end] == '-' && is_digit_at(w, end + 1));
}

static void find_ssn(struct detect_run *r, const struct detect_window *w, size_t at, bool formatted)
{
    size_t end = w->hits[at].end;
    uint8_t digits[9] = {0};
    size_t start = digits_before(w, end, 9, digits);
    uint32_t score;
    bool labelled;

    if (!is_own(w, start) || is_part_of_number(w, start, end))
        return;
    if (formatted && w->text[start + 3] != w->text[start + 6])
        return;
    score = sp_detect_ssn_score(digits);
    labelled = has_near(w, at, MARK_SSN_LABEL);
    if (score == 0 || (!formatted && !labelled))
        return;
    if (labelled)
        score = formatted ? score + 25 : score + 10;
    sp_detect_count(r, SP_DETECT_US_SSN, score, sp_bytes(digits, sizeof(digits)));
}

static void find_mbi(struct detect_run *r, const struct detect_window *w, size_t at)
{
    size_t end = w->hits[at].end, start = end, count = 11;
    uint8_t text[11];

    while (count > 0 && start > 0)
        if (w->text[--start] != '-')
            text[--count] = sp_ascii_lower(w->text[start]);
    if (count > 0 || !is_own(w, start) || is_part_of_number(w, start, end) ||
        !sp_detect_mbi_is_valid(text))
        return;
    sp_detect_count(r, SP_DETECT_US_MBI, has_near(w, at, MARK_MEDICARE_LABEL) ? 98 : 90,
                    sp_bytes(text, sizeof(text)));
}

static void find_npi(struct detect_run *r, const struct detect_window *w, size_t at)
{
    size_t end = w->hits[at].end;
    uint8_t digits[10] = {0};
    size_t start = digits_before(w, end, 10, digits);

    if (end - start != 10 || !is_own(w, start) || is_part_of_number(w, start, end) ||
        !sp_detect_npi_is_valid(digits))
        return;
    sp_detect_count(r, SP_DETECT_US_NPI, has_near(w, at, MARK_NPI_LABEL) ? 95 : 55,
                    sp_bytes(digits, sizeof(digits)));
}

/* A number in a signature is nobody's secret: only one that stands with a patient decides anything. */
static void find_phone(struct detect_run *r, const struct detect_window *w, size_t at)
{
    size_t end = w->hits[at].end;
    uint8_t digits[10] = {0};
    size_t start = digits_before(w, end, 10, digits);
    uint32_t score = 30;

    if (!is_own(w, start) || (start > 0 && is_digit_at(w, start - 1)) || is_digit_at(w, end))
        return;
    if (has_near(w, at, MARK_PHONE_LABEL))
        score += 20;
    if (has_near(w, at, MARK_PATIENT))
        score += 15;
    sp_detect_count(r, SP_DETECT_PHONE, score, sp_bytes(digits, sizeof(digits)));
}

static void find_icd10(struct detect_run *r, const struct detect_window *w, size_t at)
{
    size_t end = w->hits[at].end, start = end;
    struct sp_bytes value;

    if (end < w->len && (sp_ascii_is_alnum(w->text[end]) ||
                         (w->text[end] == '.' && end + 1 < w->len && is_digit_at(w, end + 1))))
        return; /* a longer end is reported too */
    while (start > 0 && end - start < 8 &&
           (sp_ascii_is_alnum(w->text[start - 1]) || w->text[start - 1] == '.'))
        start--;
    value = sp_bytes(w->text + start, end - start);
    if (value.len < 3 || !sp_ascii_is_alpha(value.ptr[0]) ||
        (value.len > 3 && value.ptr[3] != '.') || !is_own(w, start) ||
        !has_near(w, at, MARK_ICD_LABEL))
        return;
    sp_detect_count(r, SP_DETECT_ICD10, value.len > 3 ? 85 : 65, value);
}

/* ---- values behind labels, and below them ---- */

struct labelled {
    enum sp_detect_type type;
    uint32_t score;
    uint32_t column_score;
};

static size_t value_len(enum sp_detect_type type, struct sp_bytes text)
{
    uint32_t packed;

    return type == SP_DETECT_DOB ? sp_detect_date_len(text, &packed) : sp_detect_record_len(text);
}

static void count_value(struct detect_run *r, const struct labelled *l, uint32_t score,
                        struct sp_bytes value)
{
    uint32_t packed = 0;

    if (l->type == SP_DETECT_DOB && sp_detect_date_len(value, &packed) > 0)
        value = sp_bytes(&packed, sizeof(packed));
    sp_detect_count(r, l->type, score, value);
}

static bool is_separator(uint8_t c)
{
    return c == '\t' || c == ',' || c == ';' || c == '|';
}

/* Whether a value stands right behind the label: "no. :" may lie between, and one separator or line end, but then no
 * word, which would be the next heading. */
static bool find_behind(struct detect_run *r, const struct detect_window *w, size_t end,
                        const struct labelled *l)
{
    bool separated = false;

    for (size_t i = end; i < w->len && i - end <= LABEL_GAP; i++) {
        struct sp_bytes rest = sp_bytes(w->text + i, w->len - i);
        size_t len;

        separated = separated || is_separator(w->text[i]) || w->text[i] == '\n';
        if (!sp_ascii_is_alnum(w->text[i]) || (i > end && sp_ascii_is_alnum(w->text[i - 1])))
            continue;
        len = value_len(l->type, rest);
        if (len > 0) {
            count_value(r, l, l->score, sp_bytes_slice(rest, 0, len));
            return true;
        }
        if (separated)
            return false;
    }
    return false;
}

static size_t line_start(const struct detect_window *w, size_t at)
{
    size_t from = at > LINE_MAX_LEN ? at - LINE_MAX_LEN : 0;

    while (at > from && w->text[at - 1] != '\n')
        at--;
    return at;
}

/* Cuts the column-th field off a line. returns: false if the line has no such field */
static bool field_of(struct sp_bytes line, uint8_t separator, size_t column, struct sp_bytes *field)
{
    for (size_t i = 0; i <= column; i++)
        if (!sp_bytes_split(&line, separator, field))
            return false;
    *field = sp_bytes_trim(*field);
    if (field->len >= 2 && field->ptr[0] == '"')
        *field = sp_bytes_slice(*field, 1, field->len - 2);
    return true;
}

/* The separator of a heading: the first behind the label, or the last before it. returns: 0 if there is none */
static uint8_t separator_of(const struct detect_window *w, size_t start, size_t at)
{
    for (size_t i = at; i < w->len && i - at < LINE_MAX_LEN && w->text[i] != '\n'; i++)
        if (is_separator(w->text[i]))
            return w->text[i];
    for (size_t i = at; i-- > start;)
        if (is_separator(w->text[i]))
            return w->text[i];
    return 0;
}

static void find_below(struct detect_run *r, const struct detect_window *w, size_t end,
                       const struct labelled *l)
{
    size_t start = line_start(w, end), column = 0;
    uint8_t separator = separator_of(w, start, end);
    struct sp_bytes rest = sp_bytes(w->text + end, w->len - end), line, field;

    if (separator == 0)
        return;
    for (size_t i = start; i < end; i++)
        column += w->text[i] == separator;
    if (!sp_bytes_split(&rest, '\n', &line)) /* the rest of the heading */
        return;
    for (int n = 0; n < COLUMN_LINES && sp_bytes_split(&rest, '\n', &line); n++) {
        if (r->column_lines == 0) {
            sp_detect_gap_add(r, "limit", true); /* more headings than any table has */
            return;
        }
        r->column_lines--;
        if (field_of(line, separator, column, &field) && field.len > 0 &&
            value_len(l->type, field) == field.len)
            count_value(r, l, l->column_score, field);
    }
}

static void find_labelled(struct detect_run *r, const struct detect_window *w, size_t at,
                          const struct labelled *l)
{
    size_t end = w->hits[at].end;

    if (is_own(w, end - 1) && !find_behind(r, w, end, l))
        find_below(r, w, end, l);
}

static void find_one(struct detect_run *r, const struct detect_window *w, size_t at)
{
    static const struct labelled mrn = {SP_DETECT_MRN, 90, 75}, chart = {SP_DETECT_MRN, 75, 65},
                                 dob = {SP_DETECT_DOB, 85, 70};

    switch (w->hits[at].mark) {
    case MARK_SSN:
        find_ssn(r, w, at, true);
        break;
    case MARK_NINE_DIGITS:
        find_ssn(r, w, at, false);
        break;
    case MARK_MBI:
        find_mbi(r, w, at);
        break;
    case MARK_NPI:
        find_npi(r, w, at);
        break;
    case MARK_PHONE:
        find_phone(r, w, at);
        break;
    case MARK_ICD10:
        find_icd10(r, w, at);
        break;
    case MARK_MRN_LABEL:
        find_labelled(r, w, at, &mrn);
        break;
    case MARK_MRN_WEAK_LABEL:
        find_labelled(r, w, at, &chart);
        break;
    case MARK_DOB_LABEL:
        find_labelled(r, w, at, &dob);
        break;
    default:
        break;
    }
}

/* A label inside a longer one ("medical record" in "medical record number") would count its value twice. */
static bool is_shadowed(const struct detect_window *w, size_t at)
{
    const struct detect_hit *h = &w->hits[at];
    size_t start = h->end - (h->term == UINT16_MAX ? 0 : strlen(sp_detect_terms[h->term].text));

    if (h->term == UINT16_MAX)
        return false;
    for (size_t i = at + 1; i < w->hit_count && w->hits[i].end <= h->end + 24; i++) {
        const struct detect_hit *o = &w->hits[i];

        if (o->term != UINT16_MAX && o->mark == h->mark &&
            o->end - strlen(sp_detect_terms[o->term].text) <= start)
            return true;
    }
    return false;
}

void sp_detect_find(struct detect_run *r, const struct detect_window *w)
{
    r->column_lines = COLUMN_BUDGET;
    for (size_t i = 0; i < w->hit_count; i++) {
        const struct detect_hit *h = &w->hits[i];

        if (is_shadowed(w, i))
            continue;
        if (h->term != UINT16_MAX && is_own(w, h->end - 1))
            sp_detect_count_term(r, h->term);
        find_one(r, w, i);
    }
}
