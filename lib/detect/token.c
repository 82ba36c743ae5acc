/*
 * A piece of text as tokens for the linear model: words in small letters, signs, numbers by their shape ("#3-4"), and names
 * by the lists of names alone, so that no weight is ever learnt for somebody's name. With spans, what the recognisers and the
 * dictionary found stands as one token that tells its kind: then all drugs are alike.
 */
#include "detect/weigh_priv.h"

#include <stdlib.h>

#define HASH_NUMBER 0x811c9dc5U
#define HASH_NAME   1U
#define HASH_NAMES  2U /* of several words */
#define HASH_UPPER  3U /* in capitals */
#define HASH_EDGE   4U
#define KIND_TERM   128 /* and more: kinds of terms */
#define KIND_PERSON 64  /* and more: people by role */

static uint32_t fold(uint64_t h)
{
    return (uint32_t)(h ^ h >> 32);
}

static struct detect_token *add(struct detect_scale *s, enum detect_token_kind kind, size_t start,
                                size_t end, uint32_t hash)
{
    struct detect_token *t = &s->tokens[s->token_count++];

    *t = (struct detect_token){(uint32_t)start, (uint32_t)end, hash, (uint8_t)kind, false};
    return t;
}

static bool parts_digits(uint8_t c)
{
    return c == '.' || c == ',' || c == '/' || c == ':' || c == '-';
}

/* "12/3/2004" is "#2/1/4". */
static size_t number(struct detect_scale *s, const struct detect_window *w, size_t at, size_t to)
{
    uint32_t h = HASH_NUMBER;
    size_t start = at;

    for (;;) {
        uint32_t digits = 0;

        for (; at < to && sp_ascii_is_digit(w->text[at]); at++)
            digits++;
        h = (h ^ (digits < 6 ? digits : 6)) * 16777619U;
        if (at + 1 >= to || !parts_digits(w->text[at]) || !sp_ascii_is_digit(w->text[at + 1]))
            break;
        h = (h ^ w->text[at++]) * 16777619U;
    }
    add(s, TOKEN_WORD, start, at, h);
    return at;
}

static bool is_upper(struct sp_bytes word)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] >= 'a' && word.ptr[i] <= 'z')
            return false;
    return true;
}

/* A capitalised word that people don't use as a word, or that stands in the lists of names. */
static bool is_name(struct sp_bytes word)
{
    unsigned flags;

    if (word.len > 2 && word.ptr[word.len - 1] == 's' && word.ptr[word.len - 2] == '\'')
        word.len -= 2;
    flags = sp_detect_word_flags(word);
    if ((flags & DETECT_WORD) != 0)
        return false;
    return (flags & (DETECT_GIVEN | DETECT_SURNAME)) != 0 || (flags & DETECT_RARE) == 0;
}

static void name(struct detect_scale *s, size_t start, size_t end, bool upper)
{
    struct detect_token *last = &s->tokens[s->token_count - 1];

    if (upper)
        add(s, TOKEN_NAME, start, end, HASH_UPPER);
    else if (last->kind == TOKEN_NAME && last->hash != HASH_UPPER) {
        last->hash = HASH_NAMES;
        last->end = (uint32_t)end;
    } else
        add(s, TOKEN_NAME, start, end, HASH_NAME)->capital = true;
}

static size_t word(struct detect_scale *s, const struct detect_window *w, size_t at, size_t to)
{
    const uint8_t *t = w->text;
    size_t start = at, end = at;
    struct sp_bytes text;
    bool capital, upper;

    while (end < to && sp_detect_is_letter(t[end]))
        end++;
    if (end + 1 < to && t[end] == '\'' && t[end + 1] >= 'a' && t[end + 1] <= 'z')
        for (end++; end < to && t[end] >= 'a' && t[end] <= 'z';)
            end++;
    text = sp_bytes(t + start, end - start);
    upper = is_upper(text);
    capital = t[start] >= 'A' && t[start] <= 'Z' && text.len > 1;
    if (capital && (!upper || text.len > 4) && is_name(text)) {
        name(s, start, end, upper);
        return end;
    }
    add(s, TOKEN_WORD, start, end, fold(sp_detect_word_hash(text)))->capital = capital && !upper;
    return end;
}

void sp_detect_tokens(struct detect_scale *s, const struct detect_window *w, size_t from, size_t to)
{
    size_t span = 0, at = from;

    s->token_count = 0;
    add(s, TOKEN_EDGE, from, from, HASH_EDGE);
    while (at < to) {
        size_t limit;

        while (span < s->span_count && s->spans[span].start < at)
            span++;
        if (span < s->span_count && s->spans[span].start == at) {
            add(s, TOKEN_CLASS, at, s->spans[span].end, s->spans[span].kind);
            at = s->spans[span].end;
            continue;
        }
        limit = span < s->span_count && s->spans[span].start < to ? s->spans[span].start : to;
        if (sp_ascii_is_digit(w->text[at]))
            at = number(s, w, at, limit);
        else if (sp_detect_is_letter(w->text[at]))
            at = word(s, w, at, limit);
        else if (w->text[at] > ' ') {
            add(s, TOKEN_WORD, at, at + 1, w->text[at]);
            at++;
        } else
            at++;
    }
    add(s, TOKEN_EDGE, to, to, HASH_EDGE);
}

unsigned sp_detect_token_form(const struct detect_window *w, const struct detect_token *t)
{
    size_t at = t->start;
    unsigned form = t->capital ? 1 : 0;

    while (at > w->begin && w->text[at - 1] == ' ')
        at--;
    if (at == w->begin || w->text[at - 1] == '\n' || w->text[at - 1] == '\t')
        form += 2;
    return form;
}

/* ---- spans ---- */

/* What a term is taken for; the first that fits. */
static const uint64_t term_kinds[] = {
    M(DRUG),
    M(DIAGNOSIS) | DETECT_SPECIAL,
    M(PROCEDURE),
    M(LAB),
    M(EVENT),
    M(PAY),
    M(DEPT),
    M(CARE),
    M(PATIENT) | M(INSURED),
    M(RELATIVE),
    M(PROVIDER) | M(CREDENTIAL),
    M(STAFF),
    M(HR),
    M(NEWS),
    M(RESEARCH),
};

static uint16_t kind_of(const struct detect_entity *e)
{
    unsigned sure = (e->flags & ENT_WEAK) != 0 ? 2 : (e->flags & ENT_LABELLED) != 0 ? 1 : 0;

    return e->type == SP_DETECT_PERSON ? (uint16_t)(KIND_PERSON + e->role * 4U + sure) : e->type;
}

static int by_place(const void *a, const void *b)
{
    const struct detect_span *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->end != y->end ? (x->end > y->end ? -1 : 1)
                            : (x->kind > y->kind) - (x->kind < y->kind);
}

void sp_detect_spans(struct detect_scale *s, const struct detect_window *w, size_t from, size_t to)
{
    s->span_count = 0;
    for (size_t i = 0; i < w->entity_count && s->span_count < DETECT_PIECE_SPAN; i++) {
        const struct detect_entity *e = &w->entities[i];

        if (e->start >= from && e->end <= to && e->end > e->start)
            s->spans[s->span_count++] = (struct detect_span){e->start, e->end, kind_of(e), 0};
    }
    for (size_t i = sp_detect_first_hit(w, from);
         i < w->hit_count && w->hits[i].start < to && s->span_count < DETECT_PIECE_SPAN; i++) {
        const struct detect_hit *h = &w->hits[i];
        size_t k = 0;

        while (k < SP_ARRAY_LEN(term_kinds) && (h->marks & term_kinds[k]) == 0)
            k++;
        if (k < SP_ARRAY_LEN(term_kinds) && h->start >= from && h->end <= to)
            s->spans[s->span_count++] =
                (struct detect_span){h->start, h->end, (uint16_t)(KIND_TERM + k), 1};
    }
    if (s->span_count > 1)
        qsort(s->spans, s->span_count, sizeof(*s->spans), by_place);
}

uint16_t sp_detect_kind_at(const struct detect_scale *s, size_t *span, const struct detect_token *t)
{
    while (*span < s->span_count && s->spans[*span].end <= t->start)
        ++*span;
    return *span < s->span_count && s->spans[*span].start <= t->start ? s->spans[*span].kind : 0;
}
