/*
 * Looks in a window for what an organisation has added: its terms become hits like those of the dictionary, its patterns and
 * the numbers and names of its index become entities, and where the built-in recognisers have found something in the same
 * place, what the organisation says of it counts. What it ignores is nobody's.
 */
#include "detect/own_priv.h"

#include <stdlib.h>

#define MATCHES_MAX 16384 /* in one window */

struct match_scan {
    struct detect_window *w;
    bool full;
};

static bool is_whole(const struct detect_window *w, size_t start, size_t end)
{
    return (start == 0 || !sp_detect_is_word(w->text[start - 1]) ||
            !sp_detect_is_word(w->text[start])) &&
           (end >= w->len || !sp_detect_is_word(w->text[end]) ||
            !sp_detect_is_word(w->text[end - 1]));
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *arg)
{
    struct match_scan *s = arg;
    struct detect_window *w = s->w;
    struct sp_detect *d = w->d;
    const struct sp_detect_own *own = w->own;
    size_t start = (size_t)from, end = (size_t)to;

    (void)flags;
    if (id >= own->pattern_count)
        start = end - own->terms[id - own->pattern_count].len;
    if (end <= start || !is_whole(w, start, end))
        return 0;
    if (w->own_count == d->own_cap) {
        d->own_cap = d->own_cap == 0 ? 256 : d->own_cap * 2;
        d->own = sp_realloc(d->own, d->own_cap * sizeof(*d->own));
    }
    d->own[w->own_count++] = (struct detect_match){(uint32_t)start, (uint32_t)end, id};
    s->full = w->own_count == MATCHES_MAX;
    return s->full ? 1 : 0;
}

bool sp_detect_own_match(struct detect_window *w)
{
    struct match_scan s = {.w = w};
    hs_error_t rc;

    w->own_count = 0;
    if (w->own == NULL || w->own->db == NULL)
        return true;
    rc = hs_scan(w->own->db, (const char *)w->text, (unsigned)w->len, 0, w->d->scratch, on_match,
                 &s);
    return rc == HS_SUCCESS && !s.full;
}

uint64_t sp_detect_own_marks(const struct detect_window *w, size_t i)
{
    uint32_t id = w->d->own[i].id;

    return id < w->own->pattern_count ? 0 : w->own->terms[id - w->own->pattern_count].marks;
}

unsigned sp_detect_own_specials(const struct detect_window *w, size_t i)
{
    uint32_t id = w->d->own[i].id;

    return id < w->own->pattern_count ? 0 : w->own->terms[id - w->own->pattern_count].special;
}

/* ---- entities ---- */

static uint32_t sentence_at(const struct detect_window *w, size_t at)
{
    size_t low = 0, high = w->sentence_count;

    while (low + 1 < high) {
        size_t mid = (low + high) / 2;

        if (w->sentences[mid].start <= at)
            low = mid;
        else
            high = mid;
    }
    return (uint32_t)low;
}

/* What is found here now: an entity of before that lies over the place, or a new one. */
static struct detect_entity *entity_at(struct detect_window *w, enum sp_detect_type type,
                                       size_t start, size_t end)
{
    struct detect_entity *e;

    for (size_t i = 0; i < w->entity_count; i++) {
        e = &w->entities[i];
        if (e->start < end && e->end > start &&
            (e->type < SP_DETECT_ICD10 || e->type > SP_DETECT_LAB))
            return e;
    }
    e = sp_detect_entity_add(w, type, start, end, 0);
    e->sentence = sentence_at(w, start);
    return e;
}

static void set(struct detect_window *w, enum sp_detect_type type, size_t start, size_t end,
                uint32_t score)
{
    struct detect_entity *e = entity_at(w, type, start, end);

    if (e->start > start || e->end < end) {
        e->start = (uint32_t)start;
        e->end = (uint32_t)end;
    }
    e->type = (uint8_t)type;
    e->score = (uint8_t)(score > e->score ? score : e->score);
    e->flags = ENT_LABELLED | ENT_CHECKED | ENT_OWN;
    e->role = type == SP_DETECT_PERSON ? ROLE_PATIENT : ROLE_UNKNOWN;
}

static bool mod11(struct sp_bytes value)
{
    unsigned sum = 0, weight = 1;

    for (size_t i = value.len; i-- > 0;) {
        uint8_t c = value.ptr[i];

        if (!sp_ascii_is_digit(c) && !(weight == 1 && (c | 0x20) == 'x'))
            continue;
        sum += weight++ * (sp_ascii_is_digit(c) ? (unsigned)(c - '0') : 10);
    }
    return weight > 2 && sum % 11 == 0;
}

bool sp_detect_own_check(enum own_check check, struct sp_bytes value)
{
    uint8_t digits[64];
    size_t n = 0;

    if (check == OWN_CHECK_NONE)
        return true;
    if (check == OWN_CHECK_MOD11)
        return mod11(value);
    for (size_t i = 0; i < value.len && n < sizeof(digits); i++)
        if (sp_ascii_is_digit(value.ptr[i]))
            digits[n++] = value.ptr[i];
    return n > 1 && sp_detect_luhn_is_valid(sp_bytes(digits, n));
}

static bool is_near(const struct detect_window *w, const struct own_pattern *p, size_t start)
{
    size_t from = start > OWN_NEAR_REACH ? start - OWN_NEAR_REACH : 0;

    for (size_t i = 0; i < p->near_count; i++)
        for (size_t at = from; at + p->near[i].len <= start; at++)
            if (sp_bytes_eq_nocase(sp_bytes(w->text + at, p->near[i].len), p->near[i]))
                return true;
    return p->near_count == 0;
}

static void add_patterns(struct detect_window *w)
{
    for (size_t i = 0; i < w->own_count; i++) {
        struct detect_match m = w->d->own[i];
        const struct own_pattern *p;

        if (m.id >= w->own->pattern_count)
            continue;
        p = &w->own->patterns[m.id];
        if (sp_detect_own_check(p->check, sp_bytes(w->text + m.start, m.end - m.start)) &&
            is_near(w, p, m.start))
            set(w, p->type, m.start, m.end, p->score);
    }
}

static bool is_ignored(const struct detect_window *w, const struct detect_entity *e)
{
    for (size_t i = 0; i < w->own_count; i++) {
        struct detect_match m = w->d->own[i];

        if (m.id >= w->own->pattern_count && sp_detect_own_marks(w, i) == 0 &&
            e->start >= m.start && e->end <= m.end)
            return true;
    }
    return false;
}

static void ignore_terms(struct detect_window *w)
{
    size_t kept = 0;

    if (w->own_count == 0)
        return;
    for (size_t i = 0; i < w->entity_count; i++)
        if (!is_ignored(w, &w->entities[i]))
            w->entities[kept++] = w->entities[i];
    w->entity_count = kept;
}

/* ---- exact data ---- */

static bool is_capital(const struct detect_window *w, size_t at)
{
    return at < w->len && ((w->text[at] >= 'A' && w->text[at] <= 'Z') || w->text[at] >= 0x80);
}

static size_t word_end(const struct detect_window *w, size_t at)
{
    while (at < w->len && (sp_detect_is_letter(w->text[at]) ||
                           ((w->text[at] == '\'' || w->text[at] == '-') && is_capital(w, at + 1))))
        at++;
    return at;
}

/* The next name behind a word: over a blank, a comma, an initial. returns: its place, or 0; comma: set if there is one */
static size_t next_name(const struct detect_window *w, size_t at, bool *comma)
{
    *comma = at < w->len && w->text[at] == ',';
    at += *comma;
    if (at >= w->len || w->text[at] != ' ')
        return 0;
    at++;
    if (is_capital(w, at) && at + 2 < w->len && w->text[at + 1] == '.' && w->text[at + 2] == ' ')
        at += 3;
    else if (is_capital(w, at) && at + 1 < w->len && w->text[at + 1] == ' ')
        at += 2;
    return is_capital(w, at) ? at : 0;
}

static void name_at(struct detect_window *w, size_t at)
{
    size_t end = word_end(w, at), last;
    bool comma;
    size_t next = next_name(w, end, &comma);
    struct sp_bytes a = sp_bytes(w->text + at, end - at), b;

    if (next == 0)
        return;
    last = word_end(w, next);
    b = sp_bytes(w->text + next, last - next);
    if (sp_detect_exact_has_name(w->own->exact, comma ? b : a, comma ? a : b))
        set(w, SP_DETECT_PERSON, at, last, 99);
}

/* Letters, digits and what may stand between them in a number. */
static size_t number_end(const struct detect_window *w, size_t at)
{
    size_t end = at;

    while (end < w->len && ((sp_detect_is_word(w->text[end]) && w->text[end] < 0x80) ||
                            (strchr("-./", w->text[end]) != NULL && end + 1 < w->len &&
                             sp_detect_is_word(w->text[end + 1]))))
        end++;
    return end;
}

static void number_at(struct detect_window *w, size_t at, size_t end)
{
    enum sp_detect_type type =
        end - at > 64 ? SP_DETECT_TYPES
                      : sp_detect_exact_find(w->own->exact, sp_bytes(w->text + at, end - at));

    if (type != SP_DETECT_TYPES)
        set(w, type, at, end, 99);
}

/* What the recognisers have cut out: numbers with blanks in them, or glued to their label. */
static void known_numbers(struct detect_window *w)
{
    for (size_t i = 0; i < w->entity_count; i++) {
        struct detect_entity *e = &w->entities[i];

        if (e->type != SP_DETECT_PERSON)
            number_at(w, e->start, e->end);
    }
}

static void find_exact(struct detect_window *w)
{
    known_numbers(w);
    for (size_t at = 0; at < w->len;) {
        size_t end = number_end(w, at), last = word_end(w, at);

        if (is_capital(w, at))
            name_at(w, at);
        if (end > at)
            number_at(w, at, end);
        last = last > end ? last : end;
        at = last > at ? last : at + 1;
    }
}

static int by_start(const void *a, const void *b)
{
    const struct detect_entity *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

/* In the order of their places again; what lies inside one of the organisation's own is part of it. */
static void put_in_order(struct detect_window *w)
{
    size_t kept = 0;
    uint32_t own_end = 0;

    if (w->entity_count > 0)
        qsort(w->entities, w->entity_count, sizeof(*w->entities), by_start);
    for (size_t i = 0; i < w->entity_count; i++) {
        struct detect_entity e = w->entities[i];
        bool own = (e.flags & ENT_OWN) != 0;

        if (!own && e.end <= own_end && (e.type < SP_DETECT_ICD10 || e.type > SP_DETECT_LAB))
            continue;
        own_end = own && e.end > own_end ? e.end : own_end;
        w->entities[kept++] = e;
    }
    w->entity_count = kept;
}

void sp_detect_own_find(struct detect_window *w)
{
    if (w->own == NULL)
        return;
    if (w->own->exact != NULL)
        find_exact(w);
    add_patterns(w);
    ignore_terms(w);
    put_in_order(w);
}
