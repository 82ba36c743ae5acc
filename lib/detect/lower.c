/*
 * Names in small letters, as people write them who use no capitals. Most small words are no names, so a sentence is read
 * for them only on demand: judge.c asks for those that speak of health, in a text that has hardly a capital. Behind a label
 * for patients what stands there is one.
 */
#include "detect/detect_priv.h"

#define NAME_MAX     40
#define SENTENCE_MAX 2000 /* bytes: what is longer is a list or data, no sentence */

/* Whether a word in small letters begins here that is no part of an address or of a longer word. */
static bool begins_small(const struct detect_window *w, size_t at)
{
    uint8_t before = at > 0 ? w->text[at - 1] : 0;

    return w->text[at] >= 'a' && w->text[at] <= 'z' && !sp_ascii_is_alnum(before) &&
           (before == 0 || strchr("@.-_/'", before) == NULL);
}

static size_t word_end(const struct detect_window *w, size_t at, size_t limit)
{
    while (at < limit && sp_ascii_is_alpha(w->text[at]))
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
           (sp_ascii_is_alpha(w->text[end]) || strchr(" .'-", w->text[end]) != NULL))
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

size_t sp_detect_lower(struct detect_window *w, uint32_t sentence)
{
    const struct detect_sentence *s = &w->sentences[sentence];
    size_t found, end;

    if (s->end - s->start > SENTENCE_MAX)
        return 0;
    found = find_labelled(w, sentence);
    for (size_t at = s->start; at<s->end; at = end> at ? end : at + 1) {
        end = begins_small(w, at) ? sp_detect_person_lower(w, at) : 0;
        if (end == 0) {
            end = word_end(w, at, s->end);
            continue;
        }
        w->entities[w->entity_count - 1].sentence = sentence;
        found++;
    }
    return found;
}
