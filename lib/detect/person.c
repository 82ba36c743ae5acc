/*
 * Names of people. No shape tells them: lists of given and family names do, with what stands around: a title, a label, a
 * column, the possessive. A capitalised word that no list and no dictionary of English knows may be a family name behind a
 * given one. Words that are both (Mark, Grace, White) need more than one sign. What the name is followed by can make it a
 * street, a hospital or a disease; letters of a degree make its owner a clinician.
 */
#include "detect/detect_priv.h"

#define TOKENS_MAX 6

struct token {
    size_t start, end;
    unsigned flags; /* of the lists */
    bool upper;     /* all in capitals */
    bool initial;   /* one letter */
    uint8_t gap;    /* before it: ' ', ',' or 0 for the first */
};

struct name {
    struct token t[TOKENS_MAX];
    size_t count;
};

static bool is_capital(const struct detect_window *w, size_t i)
{
    if (i >= w->limit)
        return false;
    if (w->text[i] >= 'A' && w->text[i] <= 'Z')
        return true;
    return w->text[i] == 0xc3 && i + 1 < w->limit && w->text[i + 1] >= 0x80 &&
           w->text[i + 1] < 0x9f;
}

/* A word may hold an apostrophe or a hyphen before a capital: O'Brien, Lee-Smith. */
static size_t word_end(const struct detect_window *w, size_t at)
{
    while (at < w->limit &&
           (sp_detect_is_letter(w->text[at]) ||
            ((w->text[at] == '\'' || w->text[at] == '-') && is_capital(w, at + 1))))
        at++;
    return at;
}

/* Flags of a word; of a double name, those of its last part, as a family name. */
static unsigned flags_of(struct sp_bytes word)
{
    unsigned flags = sp_detect_word_flags(word);

    for (size_t i = word.len; flags == 0 && i-- > 1;)
        if (word.ptr[i] == '-' || word.ptr[i] == '\'') {
            flags = sp_detect_word_flags(sp_bytes_slice(word, i + 1, SIZE_MAX));
            flags = word.ptr[i] == '\'' ? DETECT_SURNAME | DETECT_FAMILIAR : flags & ~DETECT_WORD;
            break;
        }
    return flags;
}

static bool is_particle(struct sp_bytes word)
{
    static const char all[] = " de la del van von der den da dos di bin al el le ter ibn st. ";

    return sp_detect_is_listed(word, all);
}

static bool read_token(const struct detect_window *w, size_t at, uint8_t gap, struct token *t)
{
    size_t end = word_end(w, at);
    struct sp_bytes word = sp_bytes(w->text + at, end - at);

    if (!is_capital(w, at) || end - at > 30 || (end < w->limit && sp_ascii_is_digit(w->text[end])))
        return false;
    *t = (struct token){.start = at, .end = end, .gap = gap, .initial = word.len == 1};
    t->upper = word.len > 1;
    for (size_t i = 0; i < word.len; i++)
        t->upper = t->upper && !(word.ptr[i] >= 'a' && word.ptr[i] <= 'z');
    t->flags = t->initial ? 0 : flags_of(word);
    return true;
}

/* "de la", "van der". returns: the place behind at most two of them */
static size_t skip_particles(const struct detect_window *w, size_t at)
{
    for (int i = 0; i < 2; i++) {
        size_t end = at;

        while (end < w->limit && (sp_detect_is_letter(w->text[end]) || w->text[end] == '.'))
            end++;
        if (!is_particle(sp_bytes(w->text + at, end - at)) || end >= w->limit ||
            w->text[end] != ' ')
            break;
        at = end + 1;
    }
    return at;
}

/* The next token's place, over one space, "J. ", ", " or a particle. returns: 0 if no token follows */
static size_t next_place(const struct detect_window *w, const struct token *t, uint8_t *gap)
{
    size_t at = t->end;

    *gap = ' ';
    if (at < w->limit && w->text[at] == '.' && (t->initial || t->end - t->start <= 3))
        at++;
    else if (at < w->limit && w->text[at] == ',') {
        *gap = ',';
        at++;
        if (w->row && w->table.separator == ',')
            return 0;
    }
    if (at < w->limit && w->text[at] == '_') /* names of files */
        return at + 1;
    if (at >= w->limit || (w->text[at] != ' ' && !(*gap == ',' && t->upper && is_capital(w, at))))
        return t->initial && at > t->end && is_capital(w, at) ? at : 0;
    at += w->text[at] == ' ';
    return skip_particles(w, at);
}

static void read_name(const struct detect_window *w, size_t at, struct name *n)
{
    uint8_t gap = 0;

    n->count = 0;
    while (n->count < TOKENS_MAX && read_token(w, at, gap, &n->t[n->count])) {
        at = next_place(w, &n->t[n->count++], &gap);
        if (at == 0 || (gap == ',' && n->count > 2))
            break;
    }
}

static bool is_word(const struct token *t)
{
    return (t->flags & DETECT_WORD) != 0;
}

static bool is_given(const struct token *t)
{
    return (t->flags & DETECT_GIVEN) != 0;
}

static bool is_surname(const struct token *t)
{
    return (t->flags & DETECT_SURNAME) != 0;
}

/* No list has it, and it is no heading's. */
static bool is_unknown(const struct token *t)
{
    return t->flags == 0 && !t->upper;
}

/* ---- the kinds of names ---- */

struct title {
    const char *text;
    bool clinician;
};

static const struct title *find_title(const struct detect_window *w, const struct token *t)
{
    static const struct title titles[] = {
        {"mr", false},     {"mrs", false},   {"ms", false},        {"miss", false}, {"mx", false},
        {"sr", false},     {"sra", false},   {"herr", false},      {"frau", false}, {"dr", true},
        {"doctor", true},  {"prof", false},  {"professor", false}, {"nurse", true}, {"dra", true},
        {"señora", false}, {"señor", false}, {"drs", true}};
    struct sp_bytes word = sp_bytes(w->text + t->start, t->end - t->start);

    for (size_t i = 0; i < SP_ARRAY_LEN(titles); i++)
        if (sp_bytes_eq_nocase(word, sp_bytes_cstr(titles[i].text)))
            return &titles[i];
    return NULL;
}

/* Given names that begin sentences and headings as other words. */
static bool is_risky(const struct detect_window *w, const struct token *t)
{
    static const char all[] =
        " will may april june august summer art rich van long man see song love my in do "
        "son young major early page earth so an dale sang china america winter star "
        "season sunday royal cherry field hunter price case max sun king prince bee "
        "lane cash mark sunday monday tuesday wednesday thursday friday saturday august max ";

    return sp_detect_is_listed(sp_bytes(w->text + t->start, t->end - t->start), all) &&
           !(w->text[t->start] == 'M' && w->text[t->start + 1] == 'a' &&
             w->text[t->start + 2] == 'r');
}

static bool is_frequent_pair(const struct detect_window *w, const struct token *a,
                             const struct token *z)
{
    return (a->flags & DETECT_FREQUENT) != 0 && (z->flags & DETECT_FAMILIAR) != 0 && !a->upper &&
           !is_risky(w, a);
}

/* "J. Ortega" */
static uint32_t score_initial(const struct detect_window *w, const struct token *a,
                              const struct token *z)
{
    if (is_surname(z) && !is_word(z))
        return 60;
    return is_unknown(z) && w->text[a->end] == '.' ? 50 : 0;
}

/* A given name and a last word. returns: 0 if the two say too little */
static uint32_t score_given(const struct detect_window *w, const struct token *a,
                            const struct token *z)
{
    bool family = is_surname(z) && !is_word(z), frequent = (a->flags & DETECT_FREQUENT) != 0;

    if (!is_word(a) && (is_surname(z) || is_unknown(z) || (is_given(z) && !is_word(z))))
        return family ? 85 : 70;
    if (family && !a->upper)
        return frequent ? 75 : 60;
    if (is_surname(z) && is_frequent_pair(w, a, z))
        return 60;
    return is_unknown(z) && frequent && !is_risky(w, a) ? 55 : 0;
}

/* "Wei-Ting": two capitalised halves. */
static bool is_double(const struct detect_window *w, const struct token *t)
{
    for (size_t i = t->start + 1; i + 1 < t->end; i++)
        if (w->text[i] == '-')
            return true;
    return false;
}

/* A first and a last word. returns: how sure they are a name; flags: ENT_WEAK if only a context can tell */
static uint32_t score_pair(const struct detect_window *w, const struct token *a,
                           const struct token *z, unsigned *flags)
{
    bool plain = !is_word(a) && !is_word(z);
    uint32_t score;

    *flags = 0;
    if (a->initial)
        return score_initial(w, a, z);
    if (a->upper != z->upper)
        return 0;
    score = is_given(a) ? score_given(w, a, z) : 0;
    if (score > 0)
        return score;
    if (is_unknown(a) && (z->flags & DETECT_FAMILIAR) != 0 && !is_word(z))
        return 60;
    *flags = ENT_WEAK;
    if (is_surname(a) && is_surname(z) &&
        (plain || (!is_word(z) && !is_risky(w, a) && (z->flags & DETECT_FAMILIAR) != 0)))
        return plain ? 55 : 50;
    if (is_unknown(a) && is_surname(z) && a->end - a->start > 3 && is_double(w, a))
        return 60; /* "Wei-Ting Lo" */
    return a->flags == 0 && is_unknown(z) && a->end - a->start > 2 && z->end - z->start > 2 ? 45
                                                                                            : 0;
}

/* Behind "for", "re:" or the like, or before a colon: even a word of English may be a family name there. */
static bool is_listed_place(const struct detect_window *w, size_t start, size_t end)
{
    static const char words[] = " for re regarding on about patient pt member client resident ";
    size_t at = start;

    while (at > 0 && (w->text[at - 1] == ' ' || w->text[at - 1] == ':'))
        at--;
    return (end < w->limit && w->text[end] == ':') ||
           sp_detect_is_listed(sp_detect_word_before(w, at), words);
}

/* "Smith, John A." */
static size_t judge_reversed(const struct detect_window *w, const struct name *n, uint32_t *score)
{
    const struct token *a = &n->t[0], *b = &n->t[1];
    bool more = n->count > 2 && n->t[2].gap == ' ' && (n->t[2].initial || is_given(&n->t[2]));

    if (b->initial && is_surname(a) && n->count == 2 && (!is_word(a) || a->upper)) {
        *score = 50; /* "Ortega, M" */
        return 2;
    }
    if (!is_surname(a) || !is_given(b) ||
        ((is_word(a) || is_word(b)) && !a->upper &&
         ((is_word(a) && is_word(b)) || !is_listed_place(w, a->start, b->end))))
        return 0;
    *score = 80;
    return more ? 3 : 2;
}

/* The index of the family name: behind initials and second given names. returns: 0 if there is none */
static size_t family_index(const struct name *n)
{
    size_t last = 1;

    while (last + 1 < n->count && last < 3 && n->t[last].gap == ' ' && n->t[last + 1].gap == ' ' &&
           (n->t[last].initial || (is_given(&n->t[last]) && !is_word(&n->t[last + 1]) && last < 2)))
        last++;
    return last < n->count && n->t[last].gap == ' ' && !n->t[last].initial ? last : 0;
}

/* How many tokens from the first make a name, and how sure that is. */
static size_t judge_name(const struct detect_window *w, const struct name *n, uint32_t *score,
                         unsigned *flags)
{
    const struct token *a = &n->t[0];
    size_t last;

    *flags = 0;
    *score = 0;
    if (n->count >= 2 && n->t[1].gap == ',') {
        *flags = ENT_LISTED;
        return judge_reversed(w, n, score);
    }
    last = family_index(n);
    if (last > 0)
        *score = score_pair(w, a, &n->t[last], flags);
    if (*score > 0)
        return last + 1;
    if (n->count >= 2 && n->t[1].initial && n->t[1].gap == ' ' && is_given(a) && !is_word(a) &&
        !a->upper) {
        *score = 60; /* "Kaitlyn B." */
        return 2;
    }
    if (is_given(a) && !is_word(a) && !a->upper) {
        *flags = is_risky(w, a) ? ENT_SINGLE | ENT_WEAK : ENT_SINGLE;
        *score = 45;
        return 1;
    }
    if (is_surname(a) && !is_word(a) && (a->flags & DETECT_FAMILIAR) != 0 && !a->upper) {
        *flags = ENT_SINGLE | ENT_WEAK;
        *score = 35;
        return 1;
    }
    return 0;
}

/* "Jr.", "III" */
static size_t skip_suffix(const struct detect_window *w, size_t end)
{
    static const char all[] = " jr sr ii iii iv ";
    size_t at = end;

    at += at < w->limit && w->text[at] == ',';
    if (at < w->limit && w->text[at] == ' ' &&
        sp_detect_is_listed(sp_detect_word_behind(w, at), all))
        return at + 1 + sp_detect_word_behind(w, at).len;
    return end;
}

/* Names that stand for anybody. */
static bool is_nobody(struct sp_bytes name)
{
    static const char *const all[] = {
        "john doe",    "jane doe",    "jane roe", "john q. public", "joe bloggs",
        "john public", "jane public", "baby doe", "richard roe",    "john q public"};

    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        if (sp_bytes_eq_nocase(name, sp_bytes_cstr(all[i])))
            return true;
    return false;
}

static size_t add_name(struct detect_window *w, const struct name *n, size_t start, size_t end,
                       uint32_t score, unsigned flags)
{
    uint64_t label = sp_detect_label(w, start);
    struct detect_entity *e = sp_detect_entity_add(w, SP_DETECT_PERSON, start, end, score);

    e->role = (uint8_t)sp_detect_role(w, start, end, n->count == 1, label);
    e->flags = (uint16_t)flags;
    if ((sp_detect_is_named_after(w, end) && e->role != ROLE_PATIENT) ||
        is_nobody(sp_bytes(w->text + start, end - start)))
        e->role = ROLE_NOBODY;
    if (end + 1 < w->limit && w->text[end] == '\'' && (w->text[end + 1] | 0x20) == 's')
        e->flags |= ENT_OF;
    if ((label & (M(PATIENT) | M(INSURED) | M(L_NAME))) != 0) {
        e->flags |= ENT_LABELLED;
        e->score = e->score < 85 ? 85 : e->score;
        e->flags &= (uint16_t) ~(ENT_WEAK | ENT_SINGLE);
    }
    return end;
}

static size_t titled(struct detect_window *w, const struct name *n, const struct title *title)
{
    size_t count = 1;
    struct detect_entity *e;

    while (count < n->count && count < 4 && n->t[count].gap == ' ' &&
           (n->t[count].initial || !is_word(&n->t[count]) ||
            (is_surname(&n->t[count]) || is_given(&n->t[count]))))
        count++;
    if (count == 1 || (count == 2 && n->t[1].initial))
        return 0;
    add_name(w, n, n->t[1].start, n->t[count - 1].end, 85, 0);
    e = &w->entities[w->entity_count - 1];
    if (title->clinician)
        e->role = ROLE_PROVIDER;
    else
        e->flags |= ENT_LABELLED;
    return n->t[count - 1].end;
}

/* Behind "Patient:" any capitalised words are a name that are no words of English. */
static size_t labelled_len(const struct name *n)
{
    size_t count = 0;
    bool name = false;

    while (count < n->count && count < 4 &&
           (count == 0 || n->t[count].gap == ' ' || (n->t[count].gap == ',' && count == 1)) &&
           (!is_word(&n->t[count]) || is_given(&n->t[count]) || is_surname(&n->t[count]))) {
        name = name || !is_word(&n->t[count]) || is_given(&n->t[count]);
        count++;
    }
    return name ? count : 0;
}

/* A term of medicine that lies over the place: "Crohn's disease" is nobody. */
static bool is_term(const struct detect_window *w, size_t start, size_t end)
{
    for (size_t i = w->hit_at; i < w->hit_count && w->hits[i].start < end; i++)
        if (w->hits[i].end > start &&
            (w->hits[i].marks &
             (DETECT_STRONG | M(PAY) | M(DEPT) | M(NEWS) | M(ORG) | M(CARE) | M(VET) | M(STAFF) |
              M(RESEARCH) | M(HR) | M(JOB) | M(TEMPLATE) | (DETECT_LABELS & ~M(L_NAME)))) != 0)
            return true;
    return w->hit_at > 0 && w->hits[w->hit_at - 1].end > start &&
           (w->hits[w->hit_at - 1].marks & (DETECT_STRONG | M(NEWS) | M(PAY) | M(DEPT) | M(ORG))) !=
               0;
}

static bool is_medicine(const struct detect_window *w, size_t start, size_t end)
{
    for (size_t i = w->hit_at; i < w->hit_count && w->hits[i].start < end; i++)
        if (w->hits[i].end > start &&
            (w->hits[i].marks & (DETECT_STRONG | M(DEPT) | M(ORG) | M(CREDENTIAL))) != 0)
            return true;
    return false;
}

/* "the Hendersons", "the Whitfield boy": one of a family. */
static size_t family(struct detect_window *w, const struct token *t)
{
    static const char members[] = " boy boys girl girls baby child kid twins twin family infant ";
    struct sp_bytes word = sp_bytes(w->text + t->start, t->end - t->start);
    bool of = sp_detect_is_listed(sp_detect_word_behind(w, t->end), members);
    size_t cut = 0;
    struct detect_entity *e;

    if (word.len < 4 || t->upper || is_word(t) ||
        !sp_bytes_eq_nocase(sp_detect_word_before(w, t->start), SP_LIT("the")))
        return 0;
    if (!of && word.ptr[word.len - 1] == 's')
        cut =
            word.ptr[word.len - 2] == 'e' && strchr("xzsh", word.ptr[word.len - 3]) != NULL ? 2 : 1;
    word.len -= cut;
    if ((!of && cut == 0) || (sp_detect_word_flags(word) & DETECT_FAMILIAR) == 0 ||
        (sp_detect_word_flags(word) & DETECT_WORD) != 0)
        return 0;
    e = sp_detect_entity_add(w, SP_DETECT_PERSON, t->start, t->end, 55);
    e->flags |= sp_bytes_eq_nocase(sp_detect_word_behind(w, t->end), SP_LIT("family"))
                    ? ENT_SINGLE | ENT_WEAK
                    : ENT_OF;
    return t->end;
}

size_t sp_detect_person(struct detect_window *w, size_t at)
{
    struct name n;
    const struct title *title;
    uint64_t label;
    uint32_t score;
    unsigned flags;
    size_t count, end;

    read_name(w, at, &n);
    if (n.count == 0)
        return 0;
    title = find_title(w, &n.t[0]);
    if (title != NULL)
        return titled(w, &n, title);
    if (is_term(w, n.t[0].start, n.t[0].end))
        return 0;
    while (n.count > 1 && is_medicine(w, n.t[n.count - 1].start, n.t[n.count - 1].end))
        n.count--;
    count = judge_name(w, &n, &score, &flags);
    label = sp_detect_label(w, at);
    if ((count == 0 || (flags & (ENT_SINGLE | ENT_WEAK)) != 0) &&
        (label & (M(PATIENT) | M(INSURED) | M(L_NAME))) != 0) {
        size_t labelled = labelled_len(&n);

        if (labelled > 0 && labelled >= count) {
            count = labelled;
            score = 70;
        }
    }
    if (count == 0 || (count == 1 && (flags & ENT_SINGLE) != 0)) {
        end = family(w, &n.t[0]);
        if (end > 0 || count == 0)
            return end;
    }
    end = skip_suffix(w, n.t[count - 1].end);
    n.count = count;
    return add_name(w, &n, at, end, score, flags);
}

size_t sp_detect_person_field(struct detect_window *w, size_t at, size_t end)
{
    size_t letters = 0, words = 1;
    struct detect_entity *e;

    while (at < end && (w->text[at] == ' ' || w->text[at] == '"'))
        at++;
    while (end > at && (w->text[end - 1] == ' ' || w->text[end - 1] == '"'))
        end--;
    for (size_t i = at; i < end; i++) {
        if (sp_ascii_is_digit(w->text[i]) || w->text[i] == '@' || w->text[i] == ':' ||
            w->text[i] == '/')
            return 0;
        letters += sp_detect_is_letter(w->text[i]);
        words += w->text[i] == ' ';
    }
    if (letters < 2 || words > 5 || end - at > 60)
        return 0;
    if (words == 1 && sp_detect_word_flags(sp_bytes(w->text + at, end - at)) == DETECT_WORD)
        return 0;
    e = sp_detect_entity_add(w, SP_DETECT_PERSON, at, end, 80);
    e->flags |= ENT_LABELLED;
    return end;
}

/* "john smith's": people who write no capitals. Both must be names and no words, or a frequent one own something. */
size_t sp_detect_person_lower(struct detect_window *w, size_t at)
{
    size_t end = at, next;
    unsigned a, b;
    struct detect_entity *e;
    bool of;

    while (end < w->limit && sp_detect_is_letter(w->text[end]))
        end++;
    a = sp_detect_word_flags(sp_bytes(w->text + at, end - at));
    if ((a & DETECT_FREQUENT) == 0)
        return 0;
    of = end + 1 < w->limit && w->text[end] == '\'' && w->text[end + 1] == 's';
    if (end + 1 < w->limit && w->text[end] == ' ') {
        next = end + 1;
        while (next < w->limit && sp_detect_is_letter(w->text[next]))
            next++;
        b = sp_detect_word_flags(sp_bytes(w->text + end + 1, next - end - 1));
        if (next > end + 3 && (b & DETECT_SURNAME) != 0 && ((a | b) & DETECT_WORD) == 0) {
            sp_detect_entity_add(w, SP_DETECT_PERSON, at, next, 60);
            return next;
        }
    }
    if ((a & DETECT_WORD) != 0)
        return 0;
    e = sp_detect_entity_add(w, SP_DETECT_PERSON, at, end, 40);
    e->flags |= (uint16_t)(ENT_SINGLE | (of ? ENT_OF : 0U));
    return end;
}

/* "J.S.", "JS", "J. S." behind a word for a patient. */
size_t sp_detect_initials(struct detect_window *w, size_t at)
{
    size_t i = at, letters = 0;
    struct detect_entity *e;

    while (i < w->limit && letters < 3 && w->text[i] >= 'A' && w->text[i] <= 'Z') {
        letters++;
        i++;
        if (i < w->limit && w->text[i] == '.')
            i++;
        if (i + 2 < w->limit && w->text[i] == ' ' && w->text[i - 1] == '.' && w->text[i + 2] == '.')
            i++;
    }
    if (letters < 2 || is_term(w, at, i) || sp_detect_has_degree(w, at > 0 ? at - 1 : 0) ||
        (i < w->limit && (sp_ascii_is_alnum(w->text[i]) || w->text[i] == '-' || w->text[i] == '/')))
        return 0;
    e = sp_detect_entity_add(w, SP_DETECT_PERSON, at, i, 50);
    e->flags |= ENT_INITIALS;
    e->role = ROLE_PATIENT;
    return i;
}
