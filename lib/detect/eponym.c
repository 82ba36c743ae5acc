/*
 * Illnesses, operations and drugs that are names as well. Beside the other half of a name ("Tom Foley", "Gerd Becker"), behind a title
 * or a greeting such a word is somebody's; before a number of a field it is a segment of HL7 ("PID-5"). Alone it stays what it is, so that
 * "has Crohn" and "Foley removed" are not missed.
 */
#include "detect/name_priv.h"

static bool is_capitalised(const struct detect_window *w, size_t start, size_t end)
{
    return end > start + 1 && w->text[start] >= 'A' && w->text[start] <= 'Z' &&
           !(w->text[start + 1] >= 'A' && w->text[start + 1] <= 'Z');
}

/* "PID-5", "PID.5", "PID|1|" */
static bool is_field(const struct detect_window *w, size_t end)
{
    if (end + 1 >= w->len || w->text[end] == 0)
        return false;
    return w->text[end] == '|' ||
           (strchr("-.", w->text[end]) != NULL && sp_ascii_is_digit(w->text[end + 1]));
}

/* The word right behind, over one blank. */
static struct sp_bytes word_behind(const struct detect_window *w, size_t at)
{
    size_t end = at + 1;

    if (at + 1 >= w->len || w->text[at] != ' ')
        return sp_bytes(w->text + at, 0);
    while (end < w->len && sp_detect_is_letter(w->text[end]))
        end++;
    return sp_bytes(w->text + at + 1, end - at - 1);
}

/* "Hodgkin lymphoma", "Huntington chorea": the illness, whoever stands before it. */
static bool is_illness(struct sp_bytes behind)
{
    return sp_detect_is_listed(behind,
                               " disease syndrome lymphoma chorea sarcoma palsy flare dementia "
                               "type score scale test catheter monitor procedure ");
}

/* A given name or an initial before it, or a title. */
static bool is_behind_name(const struct detect_window *w, size_t start)
{
    struct sp_bytes before;
    size_t from;
    unsigned flags;

    if (start < 2 || w->text[start - 1] != ' ')
        return false;
    before = sp_detect_word_before(w, start);
    from = (size_t)(before.ptr - w->text);
    if (before.len == 1 && w->text[start - 2] == '.' && before.ptr[0] >= 'A' &&
        before.ptr[0] <= 'Z')
        return true;
    if (!is_capitalised(w, from, from + before.len))
        return false;
    if (sp_detect_is_in(before, LIST_TITLE) || sp_detect_is_in(before, LIST_SMALL_TITLE) ||
        sp_detect_is_in(before, LIST_GREETING))
        return true;
    flags = sp_detect_name_flags(before);
    return w->text[start - 2] != '.' && (flags & DETECT_GIVEN) != 0 &&
           ((flags & DETECT_WORD) == 0 || (flags & DETECT_FREQUENT) != 0);
}

/* "Gerd" is in no list of given names: there it would make a name of the illness in small letters. */
static bool is_given(struct sp_bytes word)
{
    return (sp_detect_name_flags(word) & DETECT_GIVEN) != 0 ||
           sp_bytes_eq_nocase(word, SP_LIT("gerd"));
}

bool sp_detect_is_name_here(const struct detect_window *w, size_t start, size_t end)
{
    struct sp_bytes behind = word_behind(w, end);
    unsigned flags;

    if (is_field(w, end))
        return true;
    if (!is_capitalised(w, start, end) || is_illness(behind) ||
        (end < w->len && w->text[end] == '\''))
        return false;
    if (is_behind_name(w, start))
        return true;
    if (!is_given(sp_bytes(w->text + start, end - start)) || behind.len < 2 ||
        !(behind.ptr[0] >= 0xc3 || (behind.ptr[0] >= 'A' && behind.ptr[0] <= 'Z')))
        return false;
    flags = sp_detect_name_flags(behind);
    return (flags & DETECT_SURNAME) != 0 && (flags & (DETECT_WORD | DETECT_RARE)) == 0;
}
