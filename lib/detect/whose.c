/*
 * Whose name it is: what stands around a name says whether it is a patient's, a clinician's, the writer's or the reader's,
 * or that of a house, a street or a disease.
 */
#include "detect/detect_priv.h"

bool sp_detect_is_listed(struct sp_bytes word, const char *list)
{
    uint8_t key[26];

    if (word.len == 0 || word.len > sizeof(key) - 2)
        return false;
    key[0] = key[word.len + 1] = ' ';
    for (size_t i = 0; i < word.len; i++)
        key[i + 1] = sp_ascii_lower(word.ptr[i]);
    return memmem(list, strlen(list), key, word.len + 2) != NULL;
}

struct sp_bytes sp_detect_word_behind(const struct detect_window *w, size_t at)
{
    size_t end;

    if (at < w->limit && w->text[at] == ' ')
        at++;
    end = at;
    while (end < w->limit && sp_detect_is_letter(w->text[end]))
        end++;
    return sp_bytes(w->text + at, end - at);
}

struct sp_bytes sp_detect_word_before(const struct detect_window *w, size_t at)
{
    size_t end = at, start;

    while (end > 0 && (w->text[end - 1] == ' ' || w->text[end - 1] == '.'))
        end--;
    start = end;
    while (start > 0 && sp_detect_is_letter(w->text[start - 1]))
        start--;
    return sp_bytes(w->text + start, end - start);
}

/* "Johns Hopkins Hospital", "Parkinson Disease", "Lincoln Avenue". */
bool sp_detect_is_named_after(const struct detect_window *w, size_t end)
{
    static const char nouns[] =
        " hospital clinic center centre medical health healthcare foundation university "
        "college school institute street st avenue ave road rd drive lane blvd "
        "boulevard court pharmacy pharmaceuticals laboratories labs lab associates "
        "group partners llc inc corp company disease syndrome lymphoma palsy catheter "
        "scale score sign test procedure county city building tower wing hall room park "
        "library church award memorial fund scholarship lecture symposium trial study "
        "act law protocol criteria method maneuver technologies systems software "
        "insurance bank airport hotel convention campus family cancer children ltd plc "
        "gmbh trust unit ward virus barr stain index fracture reflex phenomenon "
        "thyroiditis contracture classification services press news pavilion house "
        "manor village heights township conference tube ulcer sarcoma rule equation ";
    struct sp_bytes next = sp_detect_word_behind(w, end);

    return sp_detect_is_listed(next, nouns);
}

/* ", MD", " RN", "(PA-C)": marks of a degree right behind the name. */
bool sp_detect_has_degree(const struct detect_window *w, size_t end)
{
    for (size_t i = w->hit_at; i < w->hit_count && w->hits[i].start <= end + 3; i++)
        if (w->hits[i].start >= end && (w->hits[i].marks & M(CREDENTIAL)) != 0)
            return true;
    return false;
}

static bool is_line_start(const struct detect_window *w, size_t at)
{
    while (at > 0 && (w->text[at - 1] == ' ' || w->text[at - 1] == '*' || w->text[at - 1] == '-'))
        at--;
    return at == 0 || w->text[at - 1] == '\n';
}

/* The line before ends a letter, or the name stands behind "Thanks,". */
static bool is_signature(const struct detect_window *w, size_t at)
{
    static const char ends[] =
        " thanks regards sincerely best cheers thx you respectfully yours truly wishes "
        "warmly gruss saludos cordially appreciated advance soon ";
    size_t i = at;

    while (i > 0 && strchr(" \n,.-!*~\t", w->text[i - 1]) != NULL && w->text[i - 1] != 0)
        i--;
    if (i == at || i == 0)
        return false;
    return sp_detect_is_listed(sp_detect_word_before(w, i), ends) &&
           memchr(w->text + i, '\n', at - i) != NULL;
}

static bool word_is(struct sp_bytes word, const char *text)
{
    return sp_bytes_eq_nocase(word, sp_bytes_cstr(text));
}

/* The word before a colon and blanks. */
static struct sp_bytes word_before_sign(const struct detect_window *w, size_t at)
{
    while (at > 0 && (w->text[at - 1] == ' ' || w->text[at - 1] == ':'))
        at--;
    return sp_detect_word_before(w, at);
}

static bool is_greeted(const struct detect_window *w, size_t at)
{
    static const char greetings[] =
        " hi hello dear hey morning afternoon evening hola hallo to cc attn attention "
        "greetings liebe lieber estimado estimada ";
    size_t i = at;

    while (i > 0 && (w->text[i - 1] == ' ' || w->text[i - 1] == ':' || w->text[i - 1] == ','))
        i--;
    return i < at && sp_detect_is_listed(sp_detect_word_before(w, i), greetings) &&
           w->line_start + 24 >= at - (at - i);
}

/* "message from Ann" */
static bool is_message_of(const struct detect_window *w, size_t at)
{
    static const char words[] =
        " message voicemail voice mail email e-mail letter call text note portal question ";
    struct sp_bytes from = sp_detect_word_before(w, at);

    return word_is(from, "from") &&
           sp_detect_is_listed(sp_detect_word_before(w, (size_t)(from.ptr - w->text)), words);
}

/* "... is ready, Marvin." */
static bool is_set_off(const struct detect_window *w, size_t start, size_t end)
{
    return start > 2 && w->text[start - 2] == ',' && w->text[start - 1] == ' ' &&
           (end >= w->limit || strchr(".!?:;\n", w->text[end]) != NULL);
}

/* "signed by", "refused by": what a patient does, or a clinician. */
static bool is_done_by(const struct detect_window *w, size_t at, bool of)
{
    static const char
        by[] = " by from via ",
        patients[] =
            " signed requested refused declined reported missed needed owed taken worn experienced "
            "sustained suffered attempted cancelled canceled received ";
    struct sp_bytes word = sp_detect_word_before(w, at), verb;

    if (!sp_detect_is_listed(word, by))
        return false;
    if (of && word_is(word, "from"))
        return false; /* "from Ann Lee's biopsy" */
    verb = sp_detect_word_before(w, (size_t)(word.ptr - w->text));
    return !word_is(word, "by") || !sp_detect_is_listed(verb, patients);
}

/* "a doctor named", "RN Sosa" */
static bool is_called(const struct detect_window *w, size_t at)
{
    static const char words[] =
        " doctor nurse physician surgeon therapist pharmacist dentist rn np pa lpn cna md ";
    struct sp_bytes word = sp_detect_word_before(w, at);

    if ((word_is(word, "for") || word_is(word, "after")) &&
        word_is(sp_detect_word_before(w, (size_t)(word.ptr - w->text)), "named"))
        return true;
    if (word_is(word, "named") || word_is(word, "called"))
        word = sp_detect_word_before(w, (size_t)(word.ptr - w->text));
    else if (at < 2 || w->text[at - 1] != ' ' || w->text[at - 2] == '.')
        return false;
    return sp_detect_is_listed(word, words);
}

static bool is_addressed(const struct detect_window *w, size_t start, size_t end, bool single)
{
    if (is_greeted(w, start) || (is_line_start(w, start) && end < w->limit && w->text[end] == ',' &&
                                 end + 1 < w->limit && w->text[end + 1] == '\n'))
        return true;
    if (!single)
        return false;
    return is_set_off(w, start, end) ||
           (is_line_start(w, start) && start < 40 && end < w->limit &&
            (w->text[end] == ',' || w->text[end] == '-')); /* "Maria, can you ..." */
}

enum detect_role sp_detect_role(const struct detect_window *w, size_t start, size_t end,
                                bool single, uint64_t label)
{
    if (sp_detect_has_degree(w, end) ||
        (end + 4 <= w->limit && memcmp(w->text + end, ", PT", 4) == 0))
        return ROLE_PROVIDER;
    if ((label & (M(PATIENT) | M(INSURED) | M(RELATIVE))) != 0 && (label & M(PROVIDER)) == 0)
        return ROLE_PATIENT;
    if (is_signature(w, start) ||
        (start - w->line_start < 10 && word_is(word_before_sign(w, start), "from")))
        return ROLE_SENDER;
    if ((label & M(PROVIDER)) != 0)
        return ROLE_PROVIDER;
    if (is_addressed(w, start, end, single))
        return ROLE_ADDRESSEE;
    if (is_message_of(w, start))
        return ROLE_SENDER;
    return is_done_by(w, start, end + 1 < w->limit && w->text[end] == '\'') || is_called(w, start)
               ? ROLE_PROVIDER
               : ROLE_UNKNOWN;
}
