/*
 * What gives a value its meaning: the label right before it ("MRN: ", "member id no. is "), or the heading of its column.
 * Between a label and its value there may stand signs and a few words that say nothing, and one line end, but no other
 * value.
 */
#include "detect/detect_priv.h"

#define GAP_MAX      40
#define LINE_MAX_LEN 4096
#define HITS_BACK    6
#define DATE_LABELS  (M(L_DOB) | M(L_SERVICE) | M(L_ADMISSION) | M(L_DISCHARGE))

static bool is_filler(struct sp_bytes word)
{
    return sp_detect_is_in(word, LIST_FILLER);
}

/* The comma of `"system":"snomed","code":"..."`: the next member goes on about the same. */
static bool is_json_comma(const struct detect_window *w, size_t at, size_t from, size_t to)
{
    size_t next = at + 1 + (at + 1 < to && w->text[at + 1] == ' ');

    return w->text[at] == ',' && at > from && next < to && w->text[at - 1] == '"' &&
           w->text[next] == '"';
}

/* Whether nothing stands in between that would part a label from its value. */
static bool is_soft_gap(const struct detect_window *w, size_t from, size_t to)
{
    unsigned lines = 0, words = 0, commas = 0;

    for (size_t i = from; i < to;) {
        uint8_t c = w->text[i];
        size_t start = i;

        if (sp_ascii_is_digit(c) || c >= 0x80)
            return false;
        if (!sp_ascii_is_alpha(c)) {
            lines += c == '\n';
            commas +=
                (c == ',' && !is_json_comma(w, i, from, to)) || c == ';' || c == '\t' || c == '|';
            if (lines > 1 || commas > 1 ||
                (c == '.' && i > from && i + 1 < to && w->text[i + 1] == ' ' && words > 0))
                return false;
            i++;
            continue;
        }
        while (i < to && (sp_ascii_is_alpha(w->text[i]) || w->text[i] == '\''))
            i++;
        if (++words > 4 || commas > 0 || lines > 0 ||
            !is_filler(sp_bytes(w->text + start, i - start)))
            return false;
    }
    return true;
}

/* Words that are labels only right before a value: "chart 44829", "claim #: 8831". */
static bool is_tight(const struct detect_window *w, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (strchr(" :#=\t", w->text[i]) == NULL || w->text[i] == 0)
            return false;
    return to - from <= 4 && w->text[from - 1] != 's'; /* "claims 44829" */
}

uint64_t sp_detect_label_behind(const struct detect_window *w, size_t end)
{
    for (size_t i = w->hit_at; i < w->hit_count && w->hits[i].start <= end + 16; i++)
        if (w->hits[i].start > end && is_soft_gap(w, end, w->hits[i].start))
            return w->hits[i].marks & DETECT_LABELS;
    return 0;
}

/* "... the camp nurse. Otis Kim ...": behind a whole word a stop ends the sentence; behind "no" or "pt" it does not. */
static bool ends_sentence(const struct detect_window *w, const struct detect_hit *h)
{
    return h->end - h->start >= 5 && h->end + 1 < w->len && w->text[h->end] == '.' &&
           w->text[h->end + 1] == ' ' && sp_detect_is_letter(w->text[h->end - 1]) &&
           (h->marks & M(PROVIDER)) != 0;
}

uint64_t sp_detect_label(const struct detect_window *w, size_t at)
{
    size_t back = 0;

    if (w->row && w->column < w->table.columns)
        return w->table.marks[w->column];
    for (size_t i = w->hit_at; i-- > 0 && back < HITS_BACK; back++) {
        const struct detect_hit *h = &w->hits[i];

        if (h->end > at)
            continue;
        if (at - h->end > GAP_MAX || ends_sentence(w, h))
            break;
        if ((h->marks & (DETECT_LABELS | DETECT_SUBJECT | M(PROVIDER))) == 0)
            continue;
        if ((h->marks & (M(CARE) | M(PAY) | M(INSURED) | M(EVENT))) != 0 &&
            (h->marks & M(L_NAME)) == 0 && !is_tight(w, h->end, at))
            return h->marks & (M(PATIENT) | M(INSURED) | M(PROVIDER) | DATE_LABELS) &
                   (is_soft_gap(w, h->end, at) ? ~UINT64_C(0) : 0);
        return is_soft_gap(w, h->end, at) ? h->marks : 0;
    }
    return 0;
}

uint64_t sp_detect_line_before(const struct detect_window *w, size_t at, size_t reach)
{
    uint64_t marks = 0;
    size_t from = at > reach ? at - reach : 0;

    if (from < w->line_start)
        from = w->line_start;
    for (size_t i = w->hit_at; i-- > 0 && w->hits[i].start >= from;)
        if (w->hits[i].end <= at)
            marks |= w->hits[i].marks;
    return marks;
}

/* ---- tables ---- */

/* The sign that a line has most of, and how many. */
static uint8_t separator_of(const struct detect_signs *signs, unsigned *count)
{
    const struct {
        uint8_t sign;
        unsigned count;
    } all[] = {
        {'\t', signs->tabs}, {'|', signs->bars}, {';', signs->semicolons}, {',', signs->commas}};
    uint8_t best = 0;

    *count = 0;
    for (size_t k = 0; k < SP_ARRAY_LEN(all); k++) {
        if (all[k].count > *count) {
            *count = all[k].count;
            best = all[k].sign;
        }
    }
    return best;
}

/* How long the field is that ends here. */
static size_t column_len(const struct detect_window *w, size_t start, size_t end, uint8_t separator)
{
    size_t at = end;

    while (at > start && w->text[at - 1] != separator)
        at--;
    return end - at;
}

/* Words that are headings of names where a table says them, and nothing elsewhere. */
static bool is_name_heading(const struct detect_window *w, size_t start, size_t end)
{
    struct sp_bytes field = sp_bytes_trim(sp_bytes(w->text + start, end - start));

    return sp_detect_is_listed(
        field, " first last fname lname client given family person who \"first\" \"last\" ");
}

/* Marks of each column; words that are no heading's count against it. */
static unsigned read_columns(const struct detect_window *w, size_t start, size_t end,
                             uint8_t separator, struct detect_table *t)
{
    unsigned named = 0, column = 0;
    size_t hit = w->hit_at;

    while (hit > 0 && w->hits[hit - 1].start >= start)
        hit--;
    for (size_t i = start; i <= end && column < DETECT_COLUMNS; i++) {
        uint64_t marks = 0;

        if (i < end && w->text[i] != separator)
            continue;
        for (; hit < w->hit_count && w->hits[hit].start < i; hit++)
            marks |= w->hits[hit].marks;
        if (is_name_heading(w, i - column_len(w, start, i, separator), i))
            marks |= M(L_NAME);
        t->marks[column++] = marks;
        t->all |= marks;
        named += (marks & (DETECT_LABELS | DETECT_SUBJECT | M(CARE) | M(PROVIDER) | M(PAY))) != 0;
    }
    t->columns = (uint8_t)column;
    return named;
}

/* Two words of headings at least begin in the line. */
static bool may_be_heading(const struct detect_window *w, size_t start, size_t end)
{
    unsigned named = 0;
    size_t i = w->hit_at;

    while (i < w->hit_count && w->hits[i].start < end) /* the line's last word is not behind us */
        i++;
    for (; i-- > 0 && w->hits[i].start >= start && named < 2;)
        named += (w->hits[i].marks & (DETECT_LABELS | DETECT_SUBJECT | M(CARE) | M(PROVIDER) |
                                      M(PAY) | DETECT_STRONG)) != 0;
    return named >= 2;
}

void sp_detect_table_heading(struct detect_window *w, size_t start, size_t end)
{
    struct sp_bytes line = sp_bytes(w->text + start, end - start);
    struct detect_signs signs;
    struct detect_table t;
    unsigned count;
    uint8_t separator;

    if (line.len > LINE_MAX_LEN || line.len < 5 || !may_be_heading(w, start, end))
        return;
    signs = sp_detect_sweep_signs(line);
    separator = separator_of(&signs, &count);
    if (count == 0)
        return;
    t = (struct detect_table){.separator = separator};
    if (signs.digits > 4 || signs.blanks > 3 * (count + 1))
        return;
    if (read_columns(w, start, end, t.separator, &t) >= 2)
        w->table = t;
}
