/*
 * Names in small letters, as people write them who use no capitals. Most small words are no names, so a sentence is read
 * for them only on demand: judge.c asks for those that speak of health, in a text that has hardly a capital.
 */
#include "detect/detect_priv.h"

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

size_t sp_detect_lower(struct detect_window *w, uint32_t sentence)
{
    const struct detect_sentence *s = &w->sentences[sentence];
    size_t found = 0, end;

    if (s->end - s->start > SENTENCE_MAX)
        return 0;
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
