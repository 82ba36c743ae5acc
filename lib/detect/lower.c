/*
 * Names in small letters, as people write them who use no capitals. Most small words are no names, so a sentence is read
 * for them only on demand: judge.c asks for those that speak of health, in a text that has hardly a capital. Behind a label
 * for patients what stands there is one.
 */
#include "detect/judge_priv.h"
#include "detect/name_priv.h"

#define NAME_MAX      40
#define SIGNATURE_MAX 30
#define FOREIGN_LEAST 3
#define SENTENCE_MAX  2000 /* bytes: what is longer is a list or data, no sentence */

static bool is_one_of(const char *signs, uint8_t c)
{
    return c != 0 && strchr(signs, c) != NULL;
}

/* Whether a letter or digit stands before: of those beyond ASCII no sign, as quotation marks, bullets and arrows are. */
static bool is_behind_word(const struct detect_window *w, size_t at)
{
    size_t lead = at;

    if (at == 0 || w->text[at - 1] < 0x80)
        return at > 0 && sp_ascii_is_alnum(w->text[at - 1]);
    do
        lead--;
    while (lead > 0 && (w->text[lead] & 0xc0) == 0x80 && at - lead < 4);
    return w->text[lead] != 0xc2 && w->text[lead] != 0xe2 && w->text[lead] < 0xf0 &&
           !(w->text[lead] == 0xe3 && w->text[lead + 1] == 0x80);
}

/* Whether a word in small letters begins here that is no part of an address or of a longer word. */
static bool begins_small(const struct detect_window *w, size_t at)
{
    uint8_t before = at > 0 ? w->text[at - 1] : 0;

    return w->text[at] >= 'a' && w->text[at] <= 'z' && !is_behind_word(w, at) &&
           !is_one_of("@.-_/'", before);
}

static size_t word_end(const struct detect_window *w, size_t at, size_t limit)
{
    while (at < limit && sp_detect_is_letter(w->text[at]))
        at++;
    return at;
}

/* Whether a word of the text is more than one of the language. */
static bool has_name(struct sp_bytes text)
{
    struct sp_bytes word;

    while (sp_bytes_split(&text, ' ', &word))
        if (word.len > 2 && sp_detect_word_flags(word) != DETECT_WORD)
            return true;
    return false;
}

/* "patient: r. whitlow /": what stands between a label's colon and the next sign. returns: its end, or 0 */
static size_t labelled(struct detect_window *w, size_t at, size_t limit)
{
    size_t end;
    struct detect_entity *e;

    while (at < limit && (w->text[at] == ' ' || w->text[at] == ':'))
        at++;
    end = at;
    while (end < limit && end - at <= NAME_MAX &&
           (sp_ascii_is_alpha(w->text[end]) || is_one_of(" .'-", w->text[end])))
        end++;
    while (end > at && w->text[end - 1] == ' ')
        end--;
    if (end - at < 3 || end - at > NAME_MAX || !has_name(sp_bytes(w->text + at, end - at)))
        return 0;
    e = sp_detect_entity_add(w, SP_DETECT_PERSON, at, end, 70);
    e->flags |= ENT_LABELLED;
    e->role = ROLE_PATIENT;
    return end;
}

/* Names behind the labels of a sentence. returns: how many were added */
static size_t find_labelled(struct detect_window *w, uint32_t sentence)
{
    const struct detect_sentence *s = &w->sentences[sentence];
    size_t found = 0;

    for (size_t i = 0; i < w->hit_count && w->hits[i].start < s->end; i++) {
        const struct detect_hit *h = &w->hits[i];
        bool colon = h->end < s->end && (w->text[h->end] == ':' || w->text[h->end - 1] == ':');

        if (h->start < s->start || !colon || (h->marks & (M(PATIENT) | M(INSURED))) == 0 ||
            labelled(w, h->end, s->end) == 0)
            continue;
        w->entities[w->entity_count - 1].sentence = sentence;
        found++;
    }
    return found;
}

/* A word in small letters with what may be inside a name: "o'brien", "lee-smith". */
static size_t small_end(const struct detect_window *w, size_t at)
{
    while (at < w->limit &&
           (sp_detect_is_letter(w->text[at]) ||
            ((w->text[at] == '\'' || w->text[at] == '-') && at + 2 < w->limit &&
             sp_detect_is_letter(w->text[at + 1]) && sp_detect_is_letter(w->text[at + 2]))))
        at++;
    return at;
}

/* Whether a term of medicine or work lies over the words: it is no name then. */
static bool is_term_there(const struct detect_window *w, size_t start, size_t end)
{
    return (sp_detect_marks_between(w, start, end) &
            (DETECT_STRONG | M(CARE) | M(DEPT) | M(EVENT) | M(PAY) | M(VAGUE) | M(ORG) | M(STAFF) |
             M(PROVIDER) | DETECT_LABELS)) != 0;
}

/* Two words that no list of English has, of which a list of names has one; in a sentence of another language both are needed. */
static bool is_small_pair(const struct detect_window *w, size_t at, size_t end, size_t from,
                          size_t to, bool foreign)
{
    unsigned a = sp_detect_name_flags(sp_bytes(w->text + at, end - at)),
             b = sp_detect_name_flags(sp_bytes(w->text + from, to - from));

    if (to < from + 2 || ((a | b) & (DETECT_WORD | DETECT_RARE)) != 0)
        return false;
    if ((a & DETECT_FREQUENT) != 0 && (b & DETECT_SURNAME) != 0)
        return true;
    return !foreign && end - at > 2 && to - from > 2 &&
           (((a & DETECT_GIVEN) != 0 && (b == 0 || (b & DETECT_SURNAME) != 0)) ||
            (a == 0 && (b & DETECT_SURNAME) != 0)) &&
           !is_term_there(w, at, to);
}

/* "john smith's": both must be names and no words, or a frequent one stand alone. */
static size_t person_lower(struct detect_window *w, size_t at, bool foreign)
{
    size_t end = small_end(w, at), next;
    struct detect_entity *e;
    unsigned flags;
    bool of = end > at + 2 && w->text[end - 2] == '\'' && w->text[end - 1] == 's';

    end -= of ? 2 : 0;
    if (end + 1 < w->limit && w->text[end] == ' ') {
        next = small_end(w, end + 1);
        if (next > end + 3 && w->text[next - 2] == '\'' && w->text[next - 1] == 's')
            next -= 2;
        if (is_small_pair(w, at, end, end + 1, next, foreign)) {
            sp_detect_entity_add(w, SP_DETECT_PERSON, at, next, 60);
            return next;
        }
    }
    flags = sp_detect_word_flags(sp_bytes(w->text + at, end - at));
    if (foreign || (flags & DETECT_FREQUENT) == 0 || (flags & DETECT_WORD) != 0)
        return 0;
    e = sp_detect_entity_add(w, SP_DETECT_PERSON, at, end, 40);
    e->flags |= (uint16_t)(ENT_SINGLE | (of ? ENT_OF : 0U));
    return end;
}

size_t sp_detect_lower_titled(struct detect_window *w, size_t at, size_t end)
{
    struct detect_entity *e;
    size_t from = end, to;
    unsigned flags;

    if (!sp_detect_is_in(sp_bytes(w->text + at, end - at), LIST_SMALL_TITLE))
        return 0;
    from += from < w->limit && w->text[from] == '.';
    if (from >= w->limit || w->text[from] != ' ')
        return 0;
    to = small_end(w, ++from);
    if (to > from + 2 && w->text[to - 2] == '\'' && w->text[to - 1] == 's')
        to -= 2;
    flags = sp_detect_name_flags(sp_bytes(w->text + from, to - from));
    if (to < from + 2 || is_term_there(w, from, to) ||
        ((flags & (DETECT_WORD | DETECT_RARE)) != 0 && (flags & DETECT_FAMILIAR) == 0))
        return 0;
    e = sp_detect_entity_add(w, SP_DETECT_PERSON, from, to, 85);
    e->flags |= ENT_LABELLED;
    return to;
}

/* Whether a sentence is of another language, whose words no list here has: so many different ones tell. */
static bool is_foreign(const struct detect_window *w, const struct detect_sentence *s)
{
    struct sp_bytes seen[FOREIGN_LEAST] = {{0}};
    size_t found = 0, end;

    for (size_t at = s->start; at < s->end && found < FOREIGN_LEAST; at = end + 1) {
        size_t i = 0;

        end = word_end(w, at, s->end);
        seen[found] = sp_bytes(w->text + at, end - at);
        while (!sp_bytes_eq_nocase(seen[i], seen[found]))
            i++;
        found += i == found && sp_detect_is_in(seen[found], LIST_FOREIGN);
    }
    return found >= FOREIGN_LEAST;
}

size_t sp_detect_lower(struct detect_window *w, uint32_t sentence)
{
    const struct detect_sentence *s = &w->sentences[sentence];
    size_t found, end;
    bool foreign;

    if (s->end - s->start > SENTENCE_MAX)
        return 0;
    found = find_labelled(w, sentence);
    foreign = is_foreign(w, s);
    for (size_t at = s->start; at<s->end; at = end> at ? end : at + 1) {
        end = begins_small(w, at) ? person_lower(w, at, foreign) : 0;
        if (end == 0) {
            end = w->text[at] < 0x80 ? word_end(w, at, s->end) : at; /* it may be a sign */
            continue;
        }
        w->entities[w->entity_count - 1].sentence = sentence;
        found++;
    }
    return found;
}

void sp_detect_lower_signature(struct detect_window *w)
{
    size_t at = w->len, end;
    struct detect_entity *e;

    while (at > 0 && is_one_of(" \n.!", w->text[at - 1]))
        at--;
    end = at;
    while (at > 0 && end - at < SIGNATURE_MAX &&
           (sp_detect_is_letter(w->text[at - 1]) || is_one_of(" .'", w->text[at - 1])))
        at--;
    if (at == 0 || at == end || !is_one_of("-\n~,", w->text[at - 1]))
        return;
    while (at < end && w->text[at] == ' ')
        at++;
    if (!begins_small(w, at) ||
        (sp_detect_word_flags(sp_bytes(w->text + at, word_end(w, at, end) - at)) &
         (DETECT_FREQUENT | DETECT_WORD)) != DETECT_FREQUENT)
        return;
    e = sp_detect_entity_add(w, SP_DETECT_PERSON, at, end, 60);
    e->role = ROLE_SENDER;
    e->sentence = (uint32_t)w->sentence_count - 1;
}
