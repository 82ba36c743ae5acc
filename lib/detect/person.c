/*
 * Names of people. No shape tells them: lists of given and family names do, with what stands around: a title, a label, a
 * column, the possessive. A capitalised word that no list and no dictionary of English knows may be a family name behind a
 * given one. Words that are both (Mark, Grace, White) need more than one sign. What the name is followed by can make it a
 * street, a hospital or a disease; letters of a degree make its owner a clinician.
 */
#include "detect/name_priv.h"

/* ---- the kinds of names ---- */

struct title {
    const char *text;
    bool clinician;
    bool child; /* before a family name only: "Baby Zuniga", no "Baby Boomers" */
};

static const struct title *find_title(const struct detect_window *w, const struct detect_token *t)
{
    static const struct title titles[] = {
        {"mr", false, false},        {"mrs", false, false},    {"ms", false, false},
        {"miss", false, false},      {"mx", false, false},     {"sr", false, false},
        {"sra", false, false},       {"herr", false, false},   {"frau", false, false},
        {"dr", true, false},         {"doctor", true, false},  {"prof", false, false},
        {"professor", false, false}, {"nurse", true, false},   {"dra", true, false},
        {"baby", false, true},       {"señora", false, false}, {"señor", false, false},
        {"drs", true, false}};
    struct sp_bytes word = sp_bytes(w->text + t->start, t->end - t->start);

    if (!sp_detect_is_in(word, LIST_TITLE))
        return NULL;
    for (size_t i = 0; i < SP_ARRAY_LEN(titles); i++)
        if (sp_bytes_eq_nocase(word, sp_bytes_cstr(titles[i].text)))
            return &titles[i];
    return NULL;
}

/* Behind "for", "re:" or the like, or before a colon: even a word of English may be a family name there. */
static bool is_listed_place(const struct detect_window *w, size_t start, size_t end)
{
    size_t at = start;

    while (at > 0 && (w->text[at - 1] == ' ' || w->text[at - 1] == ':'))
        at--;
    return (end < w->limit && w->text[end] == ':') ||
           sp_detect_is_in(sp_detect_word_before(w, at), LIST_PLACED);
}

/* Two names of which the lists know one, at the beginning of a line or behind "for", and the second is no State's. */
static bool is_reversed_unknown(const struct detect_window *w, const struct detect_name *n)
{
    const struct detect_token *a = &n->t[0], *b = &n->t[1];

    if (((a->flags | b->flags) & (DETECT_WORD | DETECT_RARE)) != 0 || b->initial ||
        a->end - a->start < 2 || b->end - b->start < 2 ||
        (b->upper && b->end - b->start < 4 && b->flags == 0) ||
        sp_detect_is_state(sp_bytes(w->text + b->start, b->end - b->start)))
        return false;
    return (a->start == w->line_start || is_listed_place(w, a->start, b->end) ||
            sp_detect_is_behind_sign(w, a->start)) &&
           (sp_detect_is_surname(a) || sp_detect_is_given(b) ||
            (sp_detect_is_strange(a) && sp_detect_is_strange(b)));
}

/* "Smith, John A." */
static size_t judge_reversed(const struct detect_window *w, const struct detect_name *n,
                             uint32_t *score)
{
    const struct detect_token *a = &n->t[0], *b = &n->t[1];
    bool more =
        n->count > 2 && n->t[2].gap == ' ' && (n->t[2].initial || sp_detect_is_given(&n->t[2]));

    if (b->initial && sp_detect_is_surname(a) && n->count == 2 &&
        (!sp_detect_is_english(a) || a->upper)) {
        *score = 50; /* "Ortega, M" */
        return 2;
    }
    if (is_reversed_unknown(w, n)) {
        *score = 60;
        return more ? 3 : 2;
    }
    if (!sp_detect_is_surname(a) || !sp_detect_is_given(b) ||
        ((sp_detect_is_english(a) || sp_detect_is_english(b)) && !a->upper &&
         ((sp_detect_is_english(a) && sp_detect_is_english(b)) ||
          (!is_listed_place(w, a->start, b->end) && !sp_detect_is_behind_sign(w, a->start)))))
        return 0;
    *score = 80;
    return more ? 3 : 2;
}

/* The index of the family name: behind initials and second given names. returns: 0 if there is none */
static size_t family_index(const struct detect_name *n)
{
    size_t last = 1;

    while (last + 1 < n->count && last < 3 && n->t[last].gap == ' ' && n->t[last + 1].gap == ' ' &&
           (n->t[last].initial || (sp_detect_is_given(&n->t[last]) &&
                                   !sp_detect_is_english(&n->t[last + 1]) && last < 2)))
        last++;
    return last < n->count && n->t[last].gap == ' ' && !n->t[last].initial ? last : 0;
}

/* "culture on Zielke", "labs for Kubiak": whose test it was. */
static bool is_tested(const struct detect_window *w, const struct detect_token *t)
{
    struct sp_bytes word = sp_detect_word_before(w, t->start);
    size_t from = (size_t)(word.ptr - w->text);
    bool on = sp_bytes_eq_nocase(word, SP_LIT("on"));

    if ((!on && !sp_bytes_eq_nocase(word, SP_LIT("for"))) || from == 0 || w->hit_at == 0 ||
        w->hits[w->hit_at - 1].end + 1 != from ||
        (w->hits[w->hit_at - 1].marks & (M(LAB) | M(PROCEDURE) | M(DRUG))) == 0)
        return false;
    return !t->initial && !t->upper && (t->flags & (DETECT_WORD | DETECT_RARE)) == 0 &&
           !sp_detect_is_risky(w, t) &&
           (sp_detect_is_surname(t) || sp_detect_is_given(t) || (on && sp_detect_is_strange(t)));
}

/* "my sister Jolanta": right behind a word for a relative. */
static bool is_kin(const struct detect_window *w, const struct detect_token *t)
{
    return w->hit_at > 0 && w->hits[w->hit_at - 1].end + 1 == t->start && !t->upper &&
           !t->initial && (w->hits[w->hit_at - 1].marks & M(RELATIVE)) != 0 &&
           w->text[t->start - 1] == ' ' && (t->flags & (DETECT_WORD | DETECT_RARE)) == 0;
}

/* "2) Ebanks - ...", "- Ebanks: ...": an item of a list that begins with a family name. */
static bool is_item(const struct detect_window *w, const struct detect_token *t)
{
    return (t->end < w->limit && (w->text[t->end] == ':' || w->text[t->end] == '(')) ||
                   (t->end + 2 < w->limit && w->text[t->end] == ' ' &&
                    strchr("-(:", w->text[t->end + 1]) != NULL && w->text[t->end + 1] != 0)
               ? t->end - t->start > 2 && sp_detect_is_family(t) &&
                     (t->start == w->line_start || sp_detect_is_behind_sign(w, t->start))
               : false;
}

/* "PAMELA, your prescription is ready" */
static bool is_spoken_to(const struct detect_window *w, size_t end)
{
    return end < w->limit && w->text[end] == ',' &&
           sp_detect_is_listed(sp_detect_word_behind(w, end + 1), " you your you're you've ");
}

/* One word alone. */
static size_t judge_one(const struct detect_window *w, const struct detect_token *a,
                        uint32_t *score, unsigned *flags)
{
    if (is_tested(w, a)) {
        *score = 60;
        return 1;
    }
    if (is_kin(w, a)) {
        *flags = ENT_SINGLE;
        *score = 55;
        return 1;
    }
    if (is_item(w, a)) {
        *flags = ENT_SINGLE | ENT_WEAK;
        *score = 40;
        return 1;
    }
    if (sp_detect_is_given(a) && !sp_detect_is_english(a) &&
        (!a->upper || is_spoken_to(w, a->end))) {
        *flags = sp_detect_is_risky(w, a) ? ENT_SINGLE | ENT_WEAK : ENT_SINGLE;
        *score = 45;
        return 1;
    }
    if (sp_detect_is_surname(a) && !sp_detect_is_english(a) && (a->flags & DETECT_FAMILIAR) != 0 &&
        !a->upper) {
        *flags = ENT_SINGLE | ENT_WEAK;
        *score = 35;
        return 1;
    }
    return 0;
}

/* How many tokens from the first make a name, and how sure that is. */
static size_t judge_name(const struct detect_window *w, const struct detect_name *n,
                         uint32_t *score, unsigned *flags)
{
    const struct detect_token *a = &n->t[0];
    size_t last;

    *flags = 0;
    *score = 0;
    if (n->count >= 2 && n->t[1].gap == ',') {
        if (sp_bytes_eq_nocase(sp_bytes(w->text + a->start, a->end - a->start), SP_LIT("ok")))
            return 0; /* "OK, Sunday it is" */
        *flags = ENT_LISTED;
        return judge_reversed(w, n, score);
    }
    last = family_index(n);
    if (last > 0)
        *score = sp_detect_name_pair(w, a, &n->t[last], flags);
    if (*score == 0 && last == 2 && n->t[1].initial && sp_detect_is_given(a) &&
        sp_detect_is_surname(&n->t[2]) && a->upper == n->t[2].upper)
        *score = 60; /* "EARL J PETTY" */
    if (*score > 0)
        return last + 1;
    if (n->count >= 2 && n->t[1].initial && n->t[1].gap == ' ' && sp_detect_is_given(a) &&
        !sp_detect_is_english(a) && !a->upper) {
        *score = 60; /* "Kaitlyn B." */
        return 2;
    }
    return judge_one(w, a, score, flags);
}

/* "Jr.", "III" */
static size_t skip_suffix(const struct detect_window *w, size_t end)
{
    size_t at = end;

    at += at < w->limit && w->text[at] == ',';
    if (at < w->limit && w->text[at] == ' ' &&
        sp_detect_is_in(sp_detect_word_behind(w, at), LIST_SUFFIX))
        return at + 1 + sp_detect_word_behind(w, at).len;
    return end;
}

/*
 * What testers call their records: a word that is nobody's name, or "test" as all of it or before the comma. Beside other words
 * "test" is somebody's name or the next word of a note.
 */
static bool is_tester(struct sp_bytes name)
{
    static const char sure[] = " zztest zzztest zzz testpatient ", maybe[] = " test dummy ",
                      beside[] = " patient donotuse ";
    size_t word = 0;
    bool any = false, all = true;

    for (size_t i = 0; i <= name.len; i++) {
        struct sp_bytes one = sp_bytes_slice(name, word, i - word);

        if (i < name.len && sp_ascii_is_alnum(name.ptr[i]))
            continue;
        word = i + 1;
        if (one.len == 0)
            continue;
        if (sp_detect_is_listed(one, sure))
            return true;
        any = any || sp_detect_is_listed(one, maybe);
        all = all &&
              (one.len == 1 || sp_detect_is_listed(one, maybe) || sp_detect_is_listed(one, beside));
        if (any && all && i < name.len && name.ptr[i] == ',')
            return true;
    }
    return any && all;
}

/* Names that stand for anybody. */
static bool is_nobody(struct sp_bytes name)
{
    static const char *const all[] = {
        "john doe",    "jane doe",    "jane roe", "john q. public", "joe bloggs",
        "john public", "jane public", "baby doe", "richard roe",    "john q public",
        "john sample", "jane sample", "monday",   "tuesday",        "wednesday",
        "thursday",    "friday",      "saturday", "sunday"};

    if (is_tester(name))
        return true;
    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        if (all[i][0] == (name.ptr[0] | 0x20) && sp_bytes_eq_nocase(name, sp_bytes_cstr(all[i])))
            return true;
    return false;
}

/* "Rm 3 Tennyson", "chair 4: Ruiz": a name right behind where somebody lies or sits. */
static bool is_placed(const struct detect_window *w, size_t start)
{
    const struct detect_entity *last =
        w->entity_count > 0 ? &w->entities[w->entity_count - 1] : NULL;
    size_t gap;

    if (last == NULL || (last->flags & ENT_ROOM) == 0 || last->end >= start ||
        start - last->end > 3)
        return false;
    gap = last->end;
    while (gap < start && strchr(" :-,)(\t", w->text[gap]) != NULL && w->text[gap] != 0)
        gap++;
    return gap == start;
}

/* "the Ann Lee ICU": a place that bears somebody's name. */
static bool is_house(const struct detect_window *w, size_t start, size_t end)
{
    size_t i = w->hit_at;

    if (end >= w->limit || w->text[end] != ' ' ||
        !sp_bytes_eq_nocase(sp_detect_word_before(w, start), SP_LIT("the")))
        return false;
    while (i < w->hit_count && w->hits[i].start <= end)
        i++;
    return i < w->hit_count && w->hits[i].start == end + 1 &&
           (w->hits[i].marks & (M(DEPT) | M(ORG) | M(PROCEDURE))) != 0;
}

/*
 * "Sandhills Allergy PLLC", "Jones, LLC": a firm, whatever label stands before it. Behind a comma only the legal form itself
 * belongs to the name: "Mary Johnson, Acme Inc employee" is a person.
 */
static bool is_firm(const struct detect_window *w, size_t end)
{
    static const char forms[] = " llc pllc llp inc corp ltd gmbh ";
    bool comma = end < w->limit && w->text[end] == ',';

    end += comma;
    for (size_t words = 0; words < (comma ? 1 : 3) && end + 1 < w->limit; words++) {
        struct sp_bytes word;

        if (w->text[end] != ' ' || w->text[end + 1] < 'A' || w->text[end + 1] > 'Z')
            return false;
        word = sp_detect_word_behind(w, end);
        if (word.len > 1 && sp_detect_is_listed(word, forms))
            return true;
        end = (size_t)(word.ptr - w->text) + word.len;
    }
    return false;
}

static size_t add_name(struct detect_window *w, const struct detect_name *n, size_t start,
                       size_t end, uint32_t score, unsigned flags)
{
    uint64_t label = sp_detect_label(w, start);
    bool placed = is_placed(w, start);
    struct detect_entity *e = sp_detect_entity_add(w, SP_DETECT_PERSON, start, end, score);

    e->role = (uint8_t)sp_detect_role(w, start, end, n->count == 1, label);
    e->flags = (uint16_t)flags;
    if (((sp_detect_is_named_after(w, end) || is_house(w, start, end) || is_firm(w, end)) &&
         e->role != ROLE_PATIENT && (label & M(PATIENT)) == 0) ||
        is_nobody(sp_bytes(w->text + start, end - start)))
        e->role = ROLE_NOBODY;
    if (end + 1 < w->limit && w->text[end] == '\'' && (w->text[end + 1] | 0x20) == 's')
        e->flags |= ENT_OF;
    if ((e->flags & (ENT_OF | ENT_SINGLE)) == (ENT_OF | ENT_SINGLE) &&
        (label & (M(PATIENT) | M(INSURED) | M(RELATIVE))) == M(RELATIVE))
        e->role = ROLE_UNKNOWN; /* "Aunt Ann's cake" */
    if (placed || (label & (M(PATIENT) | M(INSURED) | M(L_NAME))) != 0) {
        e->flags |= ENT_LABELLED;
        e->score = e->score < 85 ? 85 : e->score;
        e->flags &= (uint16_t) ~(ENT_WEAK | ENT_SINGLE);
    }
    return end;
}

static size_t titled(struct detect_window *w, const struct detect_name *n,
                     const struct title *title)
{
    size_t count = 1;
    struct detect_entity *e;

    while (count < n->count && count < 4 && n->t[count].gap == ' ' &&
           (n->t[count].initial || !sp_detect_is_english(&n->t[count]) ||
            (sp_detect_is_surname(&n->t[count]) || sp_detect_is_given(&n->t[count]))))
        count++;
    if (count == 1 || (count == 2 && n->t[1].initial) ||
        (title->child && !sp_detect_is_family(&n->t[1])))
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
static size_t labelled_len(const struct detect_name *n)
{
    size_t count = 0;
    bool name = false;

    while (count < n->count && count < 4 &&
           (count == 0 || n->t[count].gap == ' ' || (n->t[count].gap == ',' && count == 1)) &&
           (!sp_detect_is_english(&n->t[count]) || sp_detect_is_given(&n->t[count]) ||
            sp_detect_is_surname(&n->t[count]))) {
        name = name || !sp_detect_is_english(&n->t[count]) || sp_detect_is_given(&n->t[count]);
        count++;
    }
    return name ? count : 0;
}

/* A term of medicine that lies over the place: "Crohn's disease" is nobody. Behind a hyphen it is half a name: "TOLLIVER-NASH". */
static bool is_term(const struct detect_window *w, size_t start, size_t end)
{
    for (size_t i = w->hit_at; i < w->hit_count && w->hits[i].start < end; i++)
        if (w->hits[i].end > start &&
            (w->hits[i].start <= start || w->text[w->hits[i].start - 1] != '-') &&
            (w->hits[i].marks &
             (DETECT_STRONG | M(PAY) | M(DEPT) | M(NEWS) | M(ORG) | M(CARE) | M(VET) | M(STAFF) |
              M(RESEARCH) | M(HR) | M(JOB) | M(TEMPLATE) | M(PATIENT) | M(INSURED) | M(RELATIVE) |
              M(PROVIDER) | M(CREDENTIAL) | (DETECT_LABELS & ~M(L_NAME)))) != 0)
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

/* "Smith Diabetes": what behind the first word is medicine is no name. */
static void drop_medicine(const struct detect_window *w, struct detect_name *n)
{
    while (n->count > 1 && is_medicine(w, n->t[n->count - 1].start, n->t[n->count - 1].end))
        n->count--;
}

/* "the Hendersons", "the Whitfield boy": one of a family. */
static size_t family(struct detect_window *w, const struct detect_token *t)
{
    struct sp_bytes word = sp_bytes(w->text + t->start, t->end - t->start);
    bool of = sp_detect_is_in(sp_detect_word_behind(w, t->end), LIST_MEMBER);
    size_t cut = 0;
    struct detect_entity *e;

    if (word.len < 4 || t->upper || sp_detect_is_english(t) ||
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

/* "Twin B Abernathy": the letter belongs to the word before it. */
static bool is_twin(const struct detect_window *w, const struct detect_token *t)
{
    return t->initial && w->hit_at > 0 && w->hits[w->hit_at - 1].end == t->end &&
           (w->hits[w->hit_at - 1].marks & M(PATIENT)) != 0;
}

/* "Admitted John Smith", "Amazing Grace": the first is a word and no part of the name. */
static bool is_word_before(const struct detect_name *n, size_t count)
{
    return sp_detect_is_english(&n->t[0]) && n->t[1].gap == ' ' && !n->t[1].initial &&
           (count > 2 || (n->t[0].flags & (DETECT_GIVEN | DETECT_SURNAME)) == 0);
}

/* How many tokens from the first make a name whose bearer's sex is told, whatever words they are. returns: 0 if it is not */
static size_t described_len(const struct detect_window *w, const struct detect_name *n)
{
    size_t count = 1;
    bool known = (n->t[0].flags & (DETECT_GIVEN | DETECT_SURNAME)) != 0;

    for (; count < n->count && count < 4 && (count == 1 || n->t[count].gap == ' '); count++)
        known = known || (n->t[count].flags & (DETECT_GIVEN | DETECT_SURNAME)) != 0;
    if (count < 2 || !known || !sp_detect_has_sex_behind(w, n->t[count - 1].end) ||
        is_medicine(w, n->t[0].start, n->t[count - 1].end))
        return 0;
    return is_word_before(n, count) ? 0 : count;
}

static size_t described(struct detect_window *w, struct detect_name *n, size_t count)
{
    size_t end = n->t[count - 1].end;
    struct detect_entity *e;

    n->count = count;
    add_name(w, n, n->t[0].start, end, 85, 0);
    e = &w->entities[w->entity_count - 1];
    e->flags |= ENT_LABELLED;
    if (e->role != ROLE_NOBODY)
        e->role = ROLE_PATIENT;
    return end;
}

size_t sp_detect_person(struct detect_window *w, size_t at)
{
    struct detect_name n;
    const struct title *title;
    uint64_t label;
    uint32_t score;
    unsigned flags;
    size_t count, end;

    sp_detect_name_read(w, at, &n);
    if (n.count == 0 || is_twin(w, &n.t[0]))
        return 0;
    title = find_title(w, &n.t[0]);
    if (title != NULL)
        return titled(w, &n, title);
    count = described_len(w, &n);
    if (count > 0)
        return described(w, &n, count);
    if (is_term(w, n.t[0].start, n.t[0].end))
        return 0;
    drop_medicine(w, &n);
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
    if (count == 0 && is_placed(w, at) && !sp_detect_is_english(&n.t[0])) {
        count = 1;
        score = 60;
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
