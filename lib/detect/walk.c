/*
 * Once through a window: sentences and paragraphs are cut, tables recognised by their heading, and each token that may
 * begin a value, a name or an address goes to the recognisers. Words in lower case are only stepped over: scan.c has
 * looked at them.
 */
#include "detect/detect_priv.h"

enum { C_OTHER, C_LOWER, C_UPPER, C_DIGIT, C_HIGH, C_LINE, C_STOP, C_AT };

static const uint8_t classes[256] = {
    ['a' ... 'z'] = C_LOWER,  ['A' ... 'Z'] = C_UPPER, ['0' ... '9'] = C_DIGIT,
    [0x80 ... 0xff] = C_HIGH, ['\n'] = C_LINE,         ['.'] = C_STOP,
    ['!'] = C_STOP,           ['?'] = C_STOP,          ['@'] = C_AT,
};

/* Columns that only lists of patients and members have. */
#define RECORD_COLUMNS                                                                             \
    (M(L_MRN) | M(L_PLAN) | M(L_MBI) | M(L_DOB) | M(L_ICD) | M(L_ADMISSION) | M(L_DISCHARGE) |     \
     M(L_CPT) | DETECT_STRONG)

struct walk {
    struct detect_window *w;
    size_t sentence; /* where it began */
    uint32_t paragraph;
};

struct detect_entity *sp_detect_entity_add(struct detect_window *w, enum sp_detect_type type,
                                           size_t start, size_t end, uint32_t score)
{
    struct sp_detect *d = w->d;
    struct detect_entity *e;

    if (w->entity_count == d->entity_cap) {
        d->entity_cap = d->entity_cap == 0 ? 1024 : d->entity_cap * 2;
        d->entities = sp_realloc(d->entities, d->entity_cap * sizeof(*d->entities));
    }
    w->entities = d->entities;
    e = &w->entities[w->entity_count++];
    *e = (struct detect_entity){.start = (uint32_t)start,
                                .end = (uint32_t)end,
                                .type = (uint8_t)type,
                                .score = (uint8_t)score};
    e->sentence = (uint32_t)w->sentence_count;
    return e;
}

/* ---- sentences ---- */

static void end_sentence(struct walk *k, size_t end)
{
    struct detect_window *w = k->w;
    struct sp_detect *d = w->d;

    if (end <= k->sentence)
        return;
    if (w->sentence_count == d->sentence_cap) {
        d->sentence_cap = d->sentence_cap == 0 ? 512 : d->sentence_cap * 2;
        d->sentences = sp_realloc(d->sentences, d->sentence_cap * sizeof(*d->sentences));
    }
    w->sentences = d->sentences;
    w->sentences[w->sentence_count++] = (struct detect_sentence){
        .start = (uint32_t)k->sentence, .end = (uint32_t)end, .paragraph = k->paragraph};
    k->sentence = end;
}

/* A stop behind "Dr", "vs" or one letter ends no sentence. */
static bool is_abbreviation(const struct detect_window *w, size_t at)
{
    size_t start = at;
    struct sp_bytes word;

    while (start > 0 && sp_ascii_is_alpha(w->text[start - 1]))
        start--;
    word = sp_bytes(w->text + start, at - start);
    if (word.len == 1)
        return true;
    return word.len <= 6 && sp_detect_is_in(word, LIST_ABBREVIATION);
}

static void at_stop(struct walk *k, size_t at)
{
    const struct detect_window *w = k->w;

    if (at + 1 >= w->len || (w->text[at + 1] != ' ' && w->text[at + 1] != '\n'))
        return;
    if (w->text[at] == '.' && is_abbreviation(w, at))
        return;
    end_sentence(k, at + 1);
}

/* ---- lines and tables ---- */

/* Whether a line has so many separators outside of quotes. */
static bool has_separators(const struct detect_window *w, size_t at, unsigned least)
{
    bool quoted = false;

    for (size_t end = at + 8192 < w->len ? at + 8192 : w->len; at < end && least > 0; at++) {
        uint8_t c = w->text[at];

        if (c == '\n')
            break;
        if (c == '"')
            quoted = !quoted;
        else if (c == w->table.separator)
            least -= !quoted;
    }
    return least == 0;
}

static void begin_row(struct walk *k, size_t at)
{
    struct detect_window *w = k->w;

    w->column = 0;
    w->row = false;
    w->limit = w->len;
    if (w->table.segment)
        w->table = (struct detect_table){0};
    if (sp_detect_segment(w, at, &w->table)) {
        w->row = true;
        return;
    }
    if (w->table.separator == 0)
        return;
    w->row = has_separators(w, at, w->table.columns > 3 ? w->table.columns - 2U : 1);
    if (!w->row)
        w->table = (struct detect_table){0};
}

static size_t field_end(const struct detect_window *w, size_t at)
{
    const uint8_t other = w->table.segment ? '~' : '\n';
    bool quoted = false;

    for (; at < w->len; at++) {
        uint8_t c = w->text[at];

        if (c == '"')
            quoted = !quoted;
        else if (c == '\n' || c == other || (c == w->table.separator && !quoted))
            break;
    }
    return at;
}

/* At the beginning of a field. returns: where to go on */
static size_t begin_field(struct detect_window *w, size_t at)
{
    uint64_t marks = w->column < w->table.columns ? w->table.marks[w->column] : 0;

    w->limit = field_end(w, at);
    if ((marks & (M(L_NAME) | M(PATIENT) | M(INSURED))) != 0 &&
        (marks & (DETECT_LABELS & ~M(L_NAME))) == 0) {
        size_t end = sp_detect_person_field(w, at, w->limit);

        if (end > 0 && ((marks & DETECT_SUBJECT) != 0 || (w->table.all & RECORD_COLUMNS) != 0))
            w->entities[w->entity_count - 1].role = ROLE_PATIENT;
        if (end > 0 &&
            ((marks & M(PROVIDER)) != 0 ||
             ((w->table.all & (M(STAFF) | M(L_NOT))) != 0 && (w->table.all & RECORD_COLUMNS) == 0)))
            w->entities[w->entity_count - 1].role = ROLE_PROVIDER;
        return end > 0 ? end : at;
    }
    return at;
}

static size_t at_line(struct walk *k, size_t at)
{
    struct detect_window *w = k->w;
    size_t next = at + 1;

    if (!w->row)
        sp_detect_table_heading(w, w->line_start, at);
    end_sentence(k, next);
    if (next < w->len && w->text[next] == '\n') {
        k->paragraph++;
        if (w->table.separator != 0)
            w->table = (struct detect_table){0};
        while (next < w->len && w->text[next] == '\n')
            next++;
        k->sentence = next;
    }
    w->line_start = next;
    begin_row(k, next);
    return w->row ? begin_field(w, next) : next;
}

/* ---- tokens ---- */

static size_t token_end(const struct detect_window *w, size_t at, bool *digits)
{
    size_t end = sp_detect_bits_unset(w->d->bits.words, at);

    if (end > w->limit)
        end = at < w->limit ? w->limit : at;
    *digits = sp_detect_bits_unset(w->d->bits.letters, at) < end;
    return end;
}

/* "room 302", "bed 4": who lies there is told apart by it. */
static size_t room(struct detect_window *w, size_t at, size_t end)
{
    size_t last = at, start;

    while (last > 0 &&
           (w->text[last - 1] == ' ' || w->text[last - 1] == '#' || w->text[last - 1] == '.'))
        last--;
    start = last;
    while (start > 0 && sp_ascii_is_alpha(w->text[start - 1]))
        start--;
    if (end - at > 5 ||
        (!sp_detect_is_in(sp_bytes(w->text + start, last - start), LIST_ROOM) &&
         !sp_bytes_eq(sp_bytes(w->text + start, last - start), SP_LIT("OR")))) /* a theatre */
        return 0;
    sp_detect_entity_add(w, SP_DETECT_OTHER, at, end, 35)->flags |= ENT_ROOM;
    return end;
}

static size_t at_number(struct detect_window *w, size_t at, size_t end)
{
    uint64_t label = sp_detect_label(w, at);
    bool digit = sp_ascii_is_digit(w->text[at]);
    size_t found = 0;
    uint64_t numbered = M(L_MRN) | M(L_PLAN) | M(L_DEVICE) | M(L_OTHER) | M(L_LICENSE) | M(L_PLATE);

    if (end < w->limit && w->text[end] == ':')
        found = sp_detect_ip6(w, at);
    if (digit && found == 0) {
        found = sp_detect_date(w, at, label);
        if (found == 0 && (label & numbered) != 0 &&
            (label & (M(L_SSN) | M(L_PHONE) | M(CARE) | M(PAY) | M(PATIENT))) == 0)
            found = sp_detect_code(w, at, label);
        if (found == 0)
            found = sp_detect_ip(w, at);
        if (found == 0)
            found = sp_detect_number(w, at, label);
        if (found == 0 && end - at <= 6)
            found = sp_detect_street(w, at);
    }
    if (found == 0)
        found = sp_detect_code(w, at, label);
    if (found == 0)
        found = sp_detect_spread(w, at, label);
    if (found == 0 && end - at <= 5)
        found = sp_detect_age(w, at, end);
    return found == 0 ? room(w, at, end) : found;
}

/* "Patient J.S.": initials count behind such a word only. */
static bool is_behind_patient(const struct detect_window *w, size_t at)
{
    return w->hit_at > 0 &&
           (w->hits[w->hit_at - 1].marks & (M(PATIENT) | M(INSURED) | M(L_NAME))) != 0 &&
           w->hits[w->hit_at - 1].end <= at && at - w->hits[w->hit_at - 1].end <= 3;
}

/* "March 4", "Jan. 4" */
static bool is_before_number(const struct detect_window *w, size_t end)
{
    end += end < w->limit && w->text[end] == '.';
    end += end < w->limit && (w->text[end] == ' ' || w->text[end] == '-');
    return end < w->limit && sp_ascii_is_digit(w->text[end]);
}

/* Asked for most words: the letters one by one. */
static bool begins_url(struct sp_bytes word)
{
    const uint8_t *p = word.ptr;

    return ((p[0] | 0x20) == 'w' && (p[1] | 0x20) == 'w' && (p[2] | 0x20) == 'w') ||
           (word.len >= 4 && (p[0] | 0x20) == 'h' && (p[1] | 0x20) == 't' && (p[2] | 0x20) == 't' &&
            (p[3] | 0x20) == 'p');
}

/* "AB 1234 ..." behind a label; IBAN, MBI in groups */
static size_t at_capitals(struct detect_window *w, size_t at, size_t end)
{
    const uint64_t labels = M(L_PLATE) | M(L_LICENSE) | M(L_MRN) | M(L_PLAN) | M(L_ACCOUNT) |
                            M(L_DEA) | M(L_VIN) | M(L_OTHER);
    uint64_t label = sp_detect_label(w, at);
    size_t digit = end < w->limit && w->text[end] == '-' ? end + 1 : end, found = 0;

    if ((label & labels) != 0 || (digit < w->limit && sp_ascii_is_digit(w->text[digit])))
        found = sp_detect_code(w, at, label);
    return found != 0 ? found : sp_detect_spread(w, at, label);
}

static size_t at_word(struct detect_window *w, size_t at, size_t end)
{
    struct sp_bytes word = sp_bytes(w->text + at, end - at);
    uint8_t class = classes[w->text[at]];
    size_t found = 0;

    if (word.len >= 3 && begins_url(word))
        found = sp_detect_url(w, at);
    if (found == 0 && word.len >= 3 && word.len <= 9 && is_before_number(w, end) &&
        sp_detect_is_month(word))
        found = sp_detect_date(w, at, sp_detect_label(w, at));
    if (found == 0 && class != C_LOWER) {
        if (word.len <= 3 && is_behind_patient(w, at))
            found = sp_detect_initials(w, at);
        if (found == 0)
            found = sp_detect_person(w, at);
    }
    if (found == 0 && class == C_UPPER && word.len <= 4)
        found = at_capitals(w, at, end);
    return found;
}

/* A word in small letters: a title, an address of the web, or a month. */
static size_t at_small(struct detect_window *w, size_t at, size_t end)
{
    uint8_t c = w->text[at];
    size_t found = c == 'm' && end - at <= 4 ? sp_detect_lower_titled(w, at, end) : 0;

    if (found == 0 && end - at >= 3 && (c == 'h' || c == 'w' || is_before_number(w, end)))
        found = at_word(w, at, end);
    return found;
}

static size_t at_token(struct walk *k, size_t at)
{
    struct detect_window *w = k->w;
    bool digits;
    size_t end = token_end(w, at, &digits), found;

    if (end == at)
        return at + 1;
    while (w->hit_at < w->hit_count && w->hits[w->hit_at].start < at)
        w->hit_at++;
    if (digits)
        found = at_number(w, at, end);
    else if (classes[w->text[at]] == C_LOWER)
        found = at_small(w, at, end);
    else
        found = at_word(w, at, end);
    return found > end ? found : end;
}

/* Marks of the hits go to their sentences, and to the whole. */
static void share_marks(struct detect_window *w)
{
    size_t s = 0;

    for (size_t i = 0; i < w->hit_count; i++) {
        uint64_t marks = w->hits[i].marks;

        while (s + 1 < w->sentence_count && w->hits[i].start >= w->sentences[s].end)
            s++;
        if (s < w->sentence_count)
            w->sentences[s].marks |= marks;
        w->marks |= marks;
        for (; marks != 0; marks &= marks - 1)
            w->seen[__builtin_ctzll(marks)]++;
    }
}

/* returns: where to go on */
static size_t at_sign(struct detect_window *w, size_t at)
{
    size_t end = sp_detect_email(w, at);

    return end > at ? end : at + 1;
}

/* A sign that may part two fields of a row. returns: where to go on */
static size_t at_other(struct walk *k, size_t at)
{
    struct detect_window *w = k->w;
    struct detect_table unused;

    if (w->text[at] == '~' && (w->table.segment || sp_detect_segment(w, at + 1, &unused))) {
        begin_row(k, at + 1);
        return w->row ? begin_field(w, at + 1) : at + 1;
    }
    if (!w->row || w->text[at] != w->table.separator || at < w->limit)
        return at + 1;
    w->column++;
    return begin_field(w, at + 1);
}

/* ---- what need not be looked at ---- */

/* Hits before the last word that was stepped over are behind us. from: no word began before it */
static void pass_hits(struct detect_window *w, size_t from, size_t to)
{
    const uint64_t *words = w->d->bits.words;
    size_t last = to;

    if (to <= from)
        return;
    if (!sp_detect_is_word(w->text[to - 1]))
        last = sp_detect_bits_begin(words, to);
    if (last <= from)
        return;
    last = sp_detect_bits_begin(words, last);
    while (w->hit_at < w->hit_count && w->hits[w->hit_at].start < last)
        w->hit_at++;
}

/* The word before a number, a stop between them or not, may be a month. returns: where it begins; to if it is none */
static size_t month_before(const struct detect_window *w, size_t from, size_t to)
{
    size_t end = to, next = to + 1, start;

    if (w->text[to] == '.') {
        next += next < w->limit && (w->text[next] == ' ' || w->text[next] == '-');
        if (next >= w->limit || !sp_ascii_is_digit(w->text[next]))
            return to;
    } else if (!sp_ascii_is_digit(w->text[to]) ||
               (w->text[to - 1] != ' ' && w->text[to - 1] != '-')) {
        return to;
    } else {
        end--;
    }
    if (end <= from || !sp_detect_is_word(w->text[end - 1]))
        return to;
    start = sp_detect_bits_begin(w->d->bits.words, end);
    return end - start >= 3 && end - start <= 9 ? start : to;
}

/* From a place that is no word's, before the limit. returns: the next one to look at */
static size_t skip(struct detect_window *w, size_t from)
{
    const struct detect_bits *bits = &w->d->bits;
    size_t to = sp_detect_bits_set(bits->calls, from, w->limit);

    if (to >= w->limit || w->text[to] == '\n' || w->text[to] == '~') {
        to = to < w->limit ? to : w->limit;
        pass_hits(w, from, to);
        return to;
    }
    if (sp_detect_is_word(w->text[to]))
        to = sp_detect_bits_begin(bits->words, to + 1);
    return to > from ? month_before(w, from, to) : to;
}

void sp_detect_walk(struct detect_window *w)
{
    struct walk k = {.w = w};
    size_t i = 0;

    w->limit = w->len;
    begin_row(&k, 0);
    if (w->row)
        i = begin_field(w, 0);
    while (i < w->len) {
        if (i < w->limit && !sp_detect_is_word(w->text[i]) && (i = skip(w, i)) == w->len)
            break;
        switch (classes[w->text[i]]) {
        case C_LINE:
            i = at_line(&k, i);
            break;
        case C_STOP:
            at_stop(&k, i++);
            break;
        case C_AT:
            i = at_sign(w, i);
            break;
        case C_OTHER:
            i = w->text[i] == ' ' ? i + 1 : at_other(&k, i); /* no table is parted by blanks */
            break;
        default:
            i = at_token(&k, i);
        }
    }
    end_sentence(&k, w->len);
    share_marks(w);
}
