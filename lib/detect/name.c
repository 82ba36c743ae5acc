/*
 * The words that may be names: cut out of the text, over initials, particles and commas, with what the lists of names and of
 * English say of each. Lists hold the names of one country; a word that neither they nor the largest list of English have is
 * taken for a family name if it ends as those of some language do (-enko, -wicz, -poulos, -swamy), or begins so (Mc, Fitz).
 */
#include "detect/name_priv.h"

#define NAME_MAX     30 /* bytes of a word */
#define PARTICLE_MAX 4

bool sp_detect_is_capital(const struct detect_window *w, size_t i)
{
    uint8_t c, next;

    if (i >= w->limit)
        return false;
    c = w->text[i];
    if (c >= 'A' && c <= 'Z')
        return true;
    if (c < 0xc3 || c > 0xc5 || i + 1 >= w->limit)
        return false;
    next = w->text[i + 1];
    if (c == 0xc3)
        return next >= 0x80 && next < 0x9f;
    return (next & 1) ==
           ((c == 0xc4 && next >= 0xb9) || (c == 0xc5 && (next < 0x8a || next > 0xb8)));
}

/* A word may hold an apostrophe or a hyphen before a capital: O'Brien, Lee-Smith. One too long is not walked to its end. */
static size_t word_end(const struct detect_window *w, size_t at)
{
    size_t most = at + NAME_MAX + 1 < w->limit ? at + NAME_MAX + 1 : w->limit;

    while (at < most) {
        at = sp_detect_bits_unset(w->d->bits.letters, at);
        if (at >= most || (w->text[at] != '\'' && w->text[at] != '-') ||
            !sp_detect_is_capital(w, at + 1))
            break;
        at++;
    }
    return at < most ? at : most;
}

/* The letters of U+00C0 to U+017F without their marks, in small ones; two for some of them. */
static const char bases[192][3] = {
    "a", "a", "a",  "a",  "a", "a", "ae", "c",  "e",  "e", "e", "e", "i",  "i",  "i", "i", "d", "n",
    "o", "o", "o",  "o",  "o", "",  "o",  "u",  "u",  "u", "u", "y", "th", "ss", "a", "a", "a", "a",
    "a", "a", "ae", "c",  "e", "e", "e",  "e",  "i",  "i", "i", "i", "d",  "n",  "o", "o", "o", "o",
    "o", "",  "o",  "u",  "u", "u", "u",  "y",  "th", "y", "a", "a", "a",  "a",  "a", "a", "c", "c",
    "c", "c", "c",  "c",  "c", "c", "d",  "d",  "d",  "d", "e", "e", "e",  "e",  "e", "e", "e", "e",
    "e", "e", "g",  "g",  "g", "g", "g",  "g",  "g",  "g", "h", "h", "h",  "h",  "i", "i", "i", "i",
    "i", "i", "i",  "i",  "i", "i", "ij", "ij", "j",  "j", "k", "k", "k",  "l",  "l", "l", "l", "l",
    "l", "l", "l",  "l",  "l", "n", "n",  "n",  "n",  "n", "n", "n", "n",  "n",  "o", "o", "o", "o",
    "o", "o", "oe", "oe", "r", "r", "r",  "r",  "r",  "r", "s", "s", "s",  "s",  "s", "s", "s", "s",
    "t", "t", "t",  "t",  "t", "t", "u",  "u",  "u",  "u", "u", "u", "u",  "u",  "u", "u", "u", "u",
    "w", "w", "y",  "y",  "y", "z", "z",  "z",  "z",  "z", "z", "s"};

/* Flags of a word with marks on its letters, as the lists would write it: "Sánchez", "Weißmann". */
static unsigned unmarked_flags(struct sp_bytes word)
{
    char plain[64];
    size_t len = 0, at;

    for (size_t i = 0; i < word.len && len + 2 < sizeof(plain); i++) {
        uint8_t c = word.ptr[i];

        if (c < 0x80) {
            plain[len++] = (char)c;
            continue;
        }
        if (c < 0xc3 || c > 0xc5 || i + 1 >= word.len)
            return 0;
        at = (size_t)(c - 0xc3) * 64 + (word.ptr[++i] & 0x3f);
        for (const char *base = bases[at]; *base != '\0'; base++)
            plain[len++] = *base;
    }
    return sp_detect_word_flags(sp_bytes(plain, len)) & ~(DETECT_WORD | DETECT_RARE);
}

/* ends: each with a blank before and behind it. returns: whether the word is longer than one of them and ends so */
static bool ends_as(struct sp_bytes word, const char *ends)
{
    for (size_t i = 1; ends[i] != '\0'; i++) {
        size_t n = 0;

        if (ends[i] != ' ')
            continue;
        while (ends[i - 1 - n] != ' ' && n + 2 < word.len &&
               (uint8_t)ends[i - 1 - n] == sp_ascii_lower(word.ptr[word.len - 1 - n]))
            n++;
        if (ends[i - 1 - n] == ' ' && word.len > n + 2)
            return true;
    }
    return false;
}

/* A word that no list has, by what many family names begin or end with. */
static unsigned shape_flags(struct sp_bytes word)
{
    static const char *const ends[26] = {
        /* by their last letter */
        ['a' - 'a'] = " ska ova eva stra wala mura yama gawa kawa ",
        ['c' - 'a'] = " ovic evic ",
        ['d' - 'a'] = " gaard feld ",
        ['e' - 'a'] = " adze thwaite ",
        ['f' - 'a'] = " hoff ",
        ['h' - 'a'] = " vich vych zadeh singh ullah worth ",
        ['i' - 'a'] = " ski cki shvili khani elli etti ucci acci saki zaki bayashi ",
        ['k' - 'a'] = " chuk czuk ",
        ['n' - 'a'] = " yan nen sson stein mann nathan rajan uddin ",
        ['o' - 'a'] = " enko moto ",
        ['r' - 'a'] = " sdottir pour ",
        ['s' - 'a'] = " poulos akis idis ",
        ['t' - 'a'] = " quist qvist blatt ",
        ['u' - 'a'] = " oglu escu eanu raju ",
        ['v' - 'a'] = " eyev ",
        ['y' - 'a'] = " sky swamy samy murthy ",
        ['z' - 'a'] = " wicz ovitz owitz ",
    };
    static const char *const begins[] = {"mc", "fitz", "o'", "d'", "al-", "el-", "abu-"};
    uint8_t first, last;

    if (word.len < 5 || word.len > NAME_MAX)
        return 0;
    first = sp_ascii_lower(word.ptr[0]);
    last = (uint8_t)(sp_ascii_lower(word.ptr[word.len - 1]) - 'a');
    for (size_t i = 0; i < SP_ARRAY_LEN(begins); i++)
        if ((uint8_t)begins[i][0] == first &&
            sp_bytes_starts_nocase(word, sp_bytes_cstr(begins[i])))
            return DETECT_SURNAME;
    return last < 26 && ends[last] != NULL && ends_as(word, ends[last]) ? DETECT_SURNAME : 0;
}

static bool has_marks(struct sp_bytes word)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] >= 0x80)
            return true;
    return false;
}

static unsigned flags_of(struct sp_bytes word)
{
    unsigned flags = sp_detect_word_flags(word);

    return flags == 0 && has_marks(word) ? unmarked_flags(word) : flags;
}

/* Of a double name, what its last part is; behind an apostrophe it is a family name in any case. */
static unsigned double_flags(struct sp_bytes word)
{
    for (size_t i = word.len; i-- > 1;)
        if (word.ptr[i] == '-' || word.ptr[i] == '\'') {
            unsigned last = flags_of(sp_bytes_slice(word, i + 1, SIZE_MAX));

            return word.ptr[i] == '\'' ? (last & DETECT_GIVEN) | DETECT_SURNAME | DETECT_FAMILIAR
                                       : last & ~(DETECT_WORD | DETECT_RARE);
        }
    return 0;
}

unsigned sp_detect_name_flags(struct sp_bytes word)
{
    unsigned flags = flags_of(word);

    if (flags == 0 || memchr(word.ptr, '\'', word.len) != NULL)
        flags |= double_flags(word);
    return flags == 0 ? shape_flags(word) : flags;
}

static bool is_particle(struct sp_bytes word)
{
    return word.len <= PARTICLE_MAX && sp_detect_is_in(word, LIST_PARTICLE);
}

/* "Soo-jin": a small letter behind the hyphen, and neither half a word of English. returns: the end */
static size_t hyphen_end(const struct detect_window *w, size_t at, size_t end)
{
    size_t last = end + 1;

    if (end + 2 >= w->limit || end < at + 2 || w->text[end] != '-')
        return end;
    while (last < w->limit && last <= end + 8 && w->text[last] >= 'a' && w->text[last] <= 'z')
        last++;
    if (last < end + 3 || last > end + 8 ||
        ((sp_detect_word_flags(sp_bytes(w->text + at, end - at)) |
          sp_detect_word_flags(sp_bytes(w->text + end + 1, last - end - 1))) &
         (DETECT_WORD | DETECT_RARE)) != 0)
        return end;
    return last;
}

static bool read_token(const struct detect_window *w, size_t at, uint8_t gap,
                       struct detect_token *t)
{
    size_t end = hyphen_end(w, at, word_end(w, at));
    struct sp_bytes word = sp_bytes(w->text + at, end - at);

    if (!sp_detect_is_capital(w, at) || end - at > NAME_MAX ||
        (end < w->limit && sp_ascii_is_digit(w->text[end])))
        return false;
    *t = (struct detect_token){.start = at,
                               .end = end,
                               .gap = gap,
                               .initial = word.len == 1 || (word.len == 2 && word.ptr[0] >= 0x80)};
    t->upper = word.len > 1;
    for (size_t i = 0; i < word.len; i++)
        t->upper = t->upper && !(word.ptr[i] >= 'a' && word.ptr[i] <= 'z');
    t->flags = t->initial ? 0 : sp_detect_name_flags(word);
    return true;
}

/* "de la", "van der". returns: the place behind at most two of them */
static size_t skip_particles(const struct detect_window *w, size_t at)
{
    for (int i = 0; i < 2; i++) {
        size_t end = at;

        while (end < w->limit && end - at <= PARTICLE_MAX &&
               (sp_detect_is_letter(w->text[end]) || w->text[end] == '.'))
            end++;
        if (!is_particle(sp_bytes(w->text + at, end - at)) || end >= w->limit ||
            w->text[end] != ' ')
            break;
        at = end + 1;
    }
    return at;
}

/* The next token's place, over one space, "J. ", ", " or a particle. returns: 0 if no token follows */
static size_t next_place(const struct detect_window *w, const struct detect_token *t, uint8_t *gap)
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
    if (at >= w->limit ||
        (w->text[at] != ' ' && !(*gap == ',' && t->upper && sp_detect_is_capital(w, at))))
        return t->initial && at > t->end && sp_detect_is_capital(w, at) ? at : 0;
    at += w->text[at] == ' ';
    return skip_particles(w, at);
}

void sp_detect_name_read(const struct detect_window *w, size_t at, struct detect_name *n)
{
    uint8_t gap = 0;

    n->count = 0;
    while (n->count < DETECT_TOKENS_MAX && read_token(w, at, gap, &n->t[n->count])) {
        struct detect_token *t = &n->t[n->count];

        t->particle = n->count > 0 && at > n->t[n->count - 1].end + 3;
        at = next_place(w, t, &gap);
        n->count++;
        if (at == 0 || (gap == ',' && n->count > 2))
            break;
    }
}

bool sp_detect_is_amid(const struct detect_window *w, size_t start, size_t end)
{
    static const char none[] =
        " the a an in at near of our new your this that from to by via named called st and or ";
    struct sp_bytes before;

    if (start < 3 || w->text[start - 1] != ' ' || w->text[start - 2] < 'a' ||
        w->text[start - 2] > 'z')
        return false;
    before = sp_detect_word_before(w, start);
    if (before.ptr[0] < 'a' || before.ptr[0] > 'z' || sp_detect_is_listed(before, none))
        return false;
    return end + 1 >= w->limit || w->text[end] != ' ' || !sp_detect_is_capital(w, end + 1);
}
