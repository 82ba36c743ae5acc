/*
 * Postal addresses in the form of the United States: house number, a few words, a kind of street; unit, town, state and ZIP
 * behind it if they are there. A ZIP counts where a state stands before it, or a label.
 */
#include "detect/detect_priv.h"

#define WORDS_MAX 5

bool sp_detect_is_state(struct sp_bytes word)
{
    return sp_detect_is_in(word, LIST_STATE);
}

static struct sp_bytes word_at(const struct detect_window *w, size_t at)
{
    size_t end = at;

    while (end < w->limit &&
           (sp_ascii_is_alnum(w->text[end]) || w->text[end] >= 0x80 || w->text[end] == '\''))
        end++;
    return sp_bytes(w->text + at, end - at);
}

static size_t skip(const struct detect_window *w, size_t at, const char *signs)
{
    while (at < w->limit && w->text[at] != 0 && strchr(signs, w->text[at]) != NULL)
        at++;
    return at;
}

/* returns: whether the word begins with a capital or a digit */
static bool is_proper(struct sp_bytes word)
{
    return (word.ptr[0] >= 'A' && word.ptr[0] <= 'Z') || sp_ascii_is_digit(word.ptr[0]);
}

/* end: of five digits. returns: the end with the four that may follow a hyphen */
static size_t zip_end(const struct detect_window *w, size_t end)
{
    if (end + 5 <= w->limit && w->text[end] == '-' && sp_ascii_is_digit(w->text[end + 1]))
        end += 5;
    return end;
}

/* The ZIP of an address. returns: its end; 0 if the word is none */
static size_t add_zip(struct detect_window *w, size_t at, struct sp_bytes word)
{
    size_t digits = 0, end;

    while (digits < word.len && sp_ascii_is_digit(word.ptr[digits]))
        digits++;
    if (digits != 5 || word.len != 5)
        return 0;
    end = zip_end(w, at + 5);
    sp_detect_entity_add(w, SP_DETECT_ZIP, at, end, 75);
    return end;
}

/* Behind a street: "Apt 4B", town, state, ZIP. returns: the end of what belongs to it */
static size_t rest_of_address(struct detect_window *w, size_t end)
{
    size_t at = end;
    bool state = false;

    for (unsigned n = 0; n < 10; n++) {
        struct sp_bytes word;
        size_t next = skip(w, at, ", .#\n");

        word = word_at(w, next);
        if (word.len == 0 || next - at > 3)
            break;
        if (state || (n > 0 && word.len == 5 && sp_ascii_is_digit(word.ptr[0]))) {
            size_t zip = add_zip(w, next, word);

            return zip > 0 ? zip : end;
        }
        state = sp_detect_is_in(word, LIST_STATE);
        if (state && word.len == 2 && word.ptr[0] >= 'a')
            break; /* "in", "or": a word, no state */
        at = next + word.len;
        if (state)
            end = at;
        if (!is_proper(word))
            break;
    }
    return end;
}

/* "1200 Oak Street": at: of the number. */
static size_t find_street(struct detect_window *w, size_t at, size_t number_end)
{
    size_t next = number_end;

    for (unsigned n = 0; n <= WORDS_MAX; n++) {
        struct sp_bytes word;

        if (next >= w->limit || w->text[next] != ' ')
            return 0;
        word = word_at(w, next + 1);
        if (word.len == 0)
            return 0;
        next += 1 + word.len;
        if (n > 0 && sp_detect_is_in(word, LIST_STREET)) {
            next += next < w->limit && w->text[next] == '.' && word.len <= 4;
            sp_detect_entity_add(w, SP_DETECT_ADDRESS, at, next, 75);
            return next;
        }
        if (next < w->limit && w->text[next] == '.' && word.len <= 2)
            next++; /* "N." */
        if (!is_proper(word))
            return 0;
    }
    return 0;
}

/* returns: whether a state stands right before the place */
static bool is_behind_state(const struct detect_window *w, size_t at)
{
    size_t end = at, start;

    while (end > 0 &&
           (w->text[end - 1] == ' ' || w->text[end - 1] == ',' || w->text[end - 1] == '\t'))
        end--;
    if (end == at)
        return false;
    start = end;
    while (start > 0 && sp_ascii_is_alpha(w->text[start - 1]))
        start--;
    if (end - start < 2 || !(w->text[start] >= 'A' && w->text[start] <= 'Z'))
        return false;
    return sp_detect_is_in(sp_bytes(w->text + start, end - start), LIST_STATE) &&
           (end - start > 2 || (w->text[start + 1] >= 'A' && w->text[start + 1] <= 'Z'));
}

static size_t find_zip(struct detect_window *w, size_t at, size_t number_end)
{
    uint64_t label = sp_detect_label(w, at);
    bool labelled = (label & M(L_ZIP)) != 0;

    if (number_end - at != 5 || (!labelled && !is_behind_state(w, at)))
        return 0;
    number_end = zip_end(w, number_end);
    sp_detect_entity_add(w, SP_DETECT_ZIP, at, number_end, labelled ? 80 : 65);
    return number_end;
}

size_t sp_detect_street(struct detect_window *w, size_t at)
{
    size_t end = at, street;

    while (end < w->limit && sp_ascii_is_digit(w->text[end]) && end - at < 7)
        end++;
    if (end - at >= 1 && end - at <= 5) {
        size_t index = w->entity_count;

        street = find_street(w, at, end);
        if (street > 0) {
            size_t whole = rest_of_address(w, street);

            w->entities[index].end = (uint32_t)(whole > street ? whole : street);
            return whole;
        }
    }
    return find_zip(w, at, end);
}
