/*
 * detect-compile DATA_DIR OUT.c OUT.db: makes the detector's dictionary while the tree is built, since a scanner neither
 * reads files nor fills tables. Each term is put under the hash of what the detector will look it up by (detect/scan.c):
 * its only word; the first and what stands right behind it, if it goes on; the last bytes of an ending.
 */
#include "base/buf.h"
#include "base/map.h"
#include "detect/dictionary.h"

#include <stdio.h>
#include <stdlib.h>

#define TERMS_MAX    16384
#define TERM_MAX     60 /* bytes */
#define FILE_MAX     (4 * 1024 * 1024)
#define JOINED_LEAST 8 /* letters */
#define LABELS       (((UINT64_C(1) << MARK_PATIENT) - 1) & ~((UINT64_C(1) << MARK_L_SSN) - 1))
#define NAMES_SIZE   (sizeof(uint32_t) << DETECT_NAME_BITS)

static const char *const mark_names[] = {
#define SP_MARK(id, name) name,
#include "detect/marks.def"
#undef SP_MARK
};

static const char *const lists[] = {
#define SP_LIST(id, words) words,
#include "detect/lists.def"
#undef SP_LIST
};

struct entry {
    char *text;
    uint64_t hash; /* that it is looked up by */
    struct detect_term term;
};

struct build {
    const char *dir;
    struct entry *terms; /* TERMS_MAX */
    unsigned count;
    struct sp_map *index; /* text with its flags -> struct entry */
    struct detect_head *heads;
    uint64_t *filter;
    uint32_t *names;
    struct detect_listed *listed;
    struct sp_buf listed_texts;
    unsigned listed_count;
};

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "detect-compile: %s: %s\n", what, detail);
    exit(1);
}

static struct sp_bytes read_file(struct build *b, const char *name)
{
    struct sp_buf out;
    char path[4096];
    FILE *f;
    size_t got;

    snprintf(path, sizeof(path), "%s/%s", b->dir, name);
    f = fopen(path, "rb");
    if (f == NULL)
        die("can't read", path);
    sp_buf_init(&out, FILE_MAX);
    do {
        got = fread(sp_buf_reserve(&out, 65536), 1, 65536, f);
        sp_buf_commit(&out, got);
    } while (got > 0);
    fclose(f);
    if (sp_buf_rc(&out) != SP_OK)
        die("too long", path);
    return sp_buf_bytes(&out); /* kept until the end */
}

/* ---- terms ---- */

static uint64_t section_marks(struct sp_bytes line)
{
    struct sp_bytes inner = sp_bytes_slice(line, 1, line.len - 2), word;
    uint64_t marks = 0;
    char name[64];
    bool label = false;

    while (sp_bytes_split(&inner, ' ', &word)) {
        unsigned i = 0;

        if (sp_bytes_eq(word, SP_LIT("label"))) {
            label = true;
            continue;
        }
        if (sp_bytes_eq(word, SP_LIT("suffix")))
            continue;
        snprintf(name, sizeof(name), "%s%.*s", label ? "label " : "", SP_FMT(word));
        while (i < MARK_COUNT && strcmp(mark_names[i], name) != 0)
            i++;
        if (i == MARK_COUNT)
            die("no such section", name);
        marks |= UINT64_C(1) << i;
    }
    return marks;
}

static void add_term(struct build *b, struct sp_bytes text, uint64_t marks)
{
    uint8_t flags = 0;
    struct entry *e;

    if (text.len > 1 && text.ptr[0] == '=')
        flags = DETECT_TERM_CASE;
    else if (text.len > 2 && text.ptr[0] == '*' && text.ptr[1] == '*')
        flags = DETECT_TERM_SUFFIX | DETECT_TERM_RARE;
    else if (text.len > 1 && text.ptr[0] == '*')
        flags = DETECT_TERM_SUFFIX;
    else if (text.len > 1 && text.ptr[0] == '~')
        flags = DETECT_TERM_NAME;
    e = sp_map_find(b->index, text);
    if (e == NULL) {
        if (b->count == TERMS_MAX || text.len > TERM_MAX)
            die("too many terms, or one too long", "");
        e = &b->terms[b->count++];
        sp_map_put(b->index, text, e);
        if (flags != 0)
            text = sp_bytes_slice(text, (flags & DETECT_TERM_RARE) != 0 ? 2 : 1, SIZE_MAX);
        e->text = sp_strdup_bytes(text);
        for (char *c = e->text; (flags & DETECT_TERM_CASE) == 0 && *c != '\0'; c++)
            *c = (char)sp_ascii_lower((uint8_t)*c);
        e->term = (struct detect_term){.len = (uint8_t)text.len, .flags = flags};
    }
    e->term.marks |= marks;
}

/* "medical record number" is a column "MedicalRecordNumber" and a member "medicalRecordNumber" of programs, too. */
static void add_joined(struct build *b, struct sp_bytes text, uint64_t marks)
{
    char joined[TERM_MAX + 1];
    size_t len = 0, blanks = 0;

    for (size_t i = 0; i < text.len && len < TERM_MAX; i++)
        if (sp_ascii_is_alpha(text.ptr[i]))
            joined[len++] = (char)text.ptr[i];
        else if (text.ptr[i] == ' ')
            blanks++;
        else
            return;
    if (blanks > 0 && len >= JOINED_LEAST)
        add_term(b, sp_bytes(joined, len), marks);
}

static void read_terms(struct build *b, const char *name)
{
    struct sp_bytes rest = read_file(b, name), line, term;
    uint64_t marks = 0;

    while (sp_bytes_split(&rest, '\n', &line)) {
        line = sp_bytes_trim(line);
        if (line.len == 0 || (line.ptr[0] == '#' && line.len > 1 && line.ptr[1] == ' '))
            continue;
        if (line.ptr[0] == '[' && line.ptr[line.len - 1] == ']' &&
            sp_bytes_find(line, ',') == SIZE_MAX) {
            marks = section_marks(line);
            continue;
        }
        while (sp_bytes_split(&line, ',', &term)) {
            term = sp_bytes_trim(term);
            if (term.len > 0)
                add_term(b, term, marks);
            if ((marks & LABELS) != 0)
                add_joined(b, term, marks);
        }
    }
}

static bool is_word(char c)
{
    return sp_ascii_is_alnum((uint8_t)c) || (uint8_t)c >= 0x80;
}

/* Whether a term's words stand in another's, as words. */
static bool holds(const struct entry *e, const struct entry *inner)
{
    size_t len = strlen(inner->text);

    for (const char *at = e->text; (at = strstr(at, inner->text)) != NULL; at++)
        if ((at == e->text || !is_word(at[-1])) && !is_word(at[len]))
            return true;
    return false;
}

/* The longer term is found in place of the one it holds ("hiv test", "is on methadone"): it is as special. */
static void inherit_specials(struct build *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        const struct entry *inner = &b->terms[i];

        if ((inner->term.marks & DETECT_SPECIAL) == 0 ||
            (inner->term.flags & DETECT_TERM_SUFFIX) != 0)
            continue;
        for (unsigned k = 0; k < b->count; k++)
            if ((b->terms[k].term.flags & DETECT_TERM_CASE) ==
                    (inner->term.flags & DETECT_TERM_CASE) &&
                holds(&b->terms[k], inner))
                b->terms[k].term.marks |= inner->term.marks & DETECT_SPECIAL;
    }
}

/* ---- names ---- */

/* returns: the slot of a word, marked as taken */
static uint32_t *find_name(struct build *b, struct sp_bytes word)
{
    uint64_t h = sp_detect_word_hash(word);
    uint32_t tag = (uint32_t)(h >> (32 + DETECT_TAG_SHIFT)) << DETECT_TAG_SHIFT;
    size_t at = h & ((1U << DETECT_NAME_BITS) - 1);

    if (tag == 0)
        tag = 1U << DETECT_TAG_SHIFT;
    while (b->names[at] != 0 && b->names[at] >> DETECT_TAG_SHIFT != tag >> DETECT_TAG_SHIFT)
        at = (at + 1) & ((1U << DETECT_NAME_BITS) - 1);
    b->names[at] |= tag;
    return &b->names[at];
}

static void add_name(struct build *b, struct sp_bytes word, unsigned flags)
{
    *find_name(b, word) |= flags;
}

static void read_list(struct build *b, const char *name, unsigned flags, unsigned often,
                      size_t first)
{
    struct sp_bytes rest = read_file(b, name), line;

    for (size_t n = 0; sp_bytes_split(&rest, '\n', &line); n++)
        if (line.len > 0)
            add_name(b, line, flags | (n < first ? often : 0));
}

/* A name of one word or more ("da silva"): each by itself. first: they count as names, not as words. */
static void add_extra(struct build *b, struct sp_bytes name, unsigned flags, bool first)
{
    struct sp_bytes part;

    while (sp_bytes_split(&name, ' ', &part))
        if (first)
            *find_name(b, part) &= ~DETECT_WORD;
        else if (part.len > 2 || flags == DETECT_WORD)
            add_name(b, part, flags);
}

static void read_extra(struct build *b, const char *file)
{
    struct sp_bytes rest = read_file(b, file), line, name;
    unsigned flags = 0;
    bool first = false;

    while (sp_bytes_split(&rest, '\n', &line)) {
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (line.ptr[0] == '[') {
            first = sp_bytes_eq(line, SP_LIT("[first]"));
            flags = first                                  ? 0
                    : sp_bytes_eq(line, SP_LIT("[word]"))  ? DETECT_WORD
                    : sp_bytes_eq(line, SP_LIT("[given]")) ? DETECT_GIVEN | DETECT_FREQUENT
                                                           : DETECT_SURNAME | DETECT_FAMILIAR;
            continue;
        }
        while (sp_bytes_split(&line, ',', &name))
            add_extra(b, sp_bytes_trim(name), flags, first);
    }
}

/* ---- how terms are found ---- */

/* The first word of a term decides, and what stands right behind it. */
static void find_hash(struct entry *e)
{
    uint8_t text[TERM_MAX + 8] = {0};
    size_t len = strlen(e->text), from = 0, end;

    memcpy(text, e->text, len);
    if ((e->term.flags & DETECT_TERM_SUFFIX) != 0) {
        if (len < DETECT_ENDING_LEN)
            die("too short an ending", e->text);
        e->hash = sp_detect_ending_hash(text + len - DETECT_ENDING_LEN);
        return;
    }
    while (from < len && !is_word(e->text[from]))
        from++;
    for (end = from; end < len && is_word(e->text[end]);)
        end++;
    if (end == from || end - from > DETECT_HEAD_LEN_MAX)
        die("a term without a word, or with one too long", e->text);
    e->term.lead = (uint8_t)from;
    e->hash = sp_detect_head_hash(text + from, end - from);
}

static void let_pass(struct build *b, uint64_t hash, unsigned what)
{
    size_t at = hash >> (64 - DETECT_FILTER_BITS);

    b->filter[at / 32] |= (uint64_t)what << at % 32 * 2;
}

/* One that goes on behind its first word is looked up by what follows that as well. end: of the word */
static void add_behind(struct build *b, struct entry *e, size_t end)
{
    const uint8_t *behind = (const uint8_t *)e->text + end;

    let_pass(b, e->hash, DETECT_FILTER_PAIR);
    e->hash = strlen(e->text) - end >= DETECT_BEHIND_LEN ? sp_detect_long_hash(e->hash, behind)
                                                         : sp_detect_short_hash(e->hash, *behind);
}

static int by_hash(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash)
                              : strcmp(x->text, y->text);
}

static void add_head(struct build *b, uint64_t hash, unsigned first, unsigned count)
{
    uint32_t at = sp_detect_head_slot(hash);

    while (b->heads[at].tag != 0) {
        if (b->heads[at].tag == sp_detect_head_tag(hash))
            die("two hashes are alike", "change sp_detect_mix");
        at = (at + 1) & ((1U << DETECT_HEAD_BITS) - 1);
    }
    b->heads[at] = (struct detect_head){sp_detect_head_tag(hash), (uint16_t)first, (uint16_t)count};
}

static void hash_terms(struct build *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        struct entry *e = &b->terms[i];
        size_t end;

        find_hash(e);
        for (end = e->term.lead; is_word(e->text[end]);)
            end++;
        if ((e->term.flags & DETECT_TERM_SUFFIX) == 0 && e->text[end] != '\0')
            add_behind(b, e, end);
        let_pass(b, e->hash, DETECT_FILTER_TERM);
    }
}

static void fill_heads(struct build *b)
{
    unsigned first = 0, taken = 0;
    uint32_t text = 0;

    hash_terms(b);
    qsort(b->terms, b->count, sizeof(*b->terms), by_hash);
    for (unsigned i = 0; i < b->count; i++) {
        b->terms[i].term.text = text;
        text += b->terms[i].term.len;
        if (i + 1 < b->count && b->terms[i + 1].hash == b->terms[i].hash)
            continue;
        add_head(b, b->terms[i].hash, first, i + 1 - first);
        first = i + 1;
        if (++taken > (1U << DETECT_HEAD_BITS) * 3 / 4)
            die("too many terms", "make DETECT_HEAD_BITS larger");
    }
}

/* ---- lists of words ---- */

static void add_listed(struct build *b, struct sp_bytes word, unsigned list)
{
    uint8_t text[DETECT_LISTED_LEN + 8] = {0};
    uint64_t hash;
    uint32_t at;

    if (word.len == 0 || word.len > DETECT_LISTED_LEN)
        die("a word too long for a list", lists[list]);
    memcpy(text, word.ptr, word.len);
    hash = sp_detect_head_hash(text, word.len);
    at = sp_detect_listed_slot(hash);
    while (
        b->listed[at].lists != 0 &&
        !sp_bytes_eq(word, sp_bytes(b->listed_texts.ptr + b->listed[at].text, b->listed[at].len)))
        at = (at + 1) & ((1U << DETECT_LISTED_BITS) - 1);
    if (b->listed[at].lists == 0) {
        b->listed[at] = (struct detect_listed){.tag = sp_detect_head_tag(hash),
                                               .text = (uint16_t)b->listed_texts.len,
                                               .len = (uint8_t)word.len};
        sp_buf_put(&b->listed_texts, word);
        b->listed_count++;
    }
    b->listed[at].lists |= UINT64_C(1) << list;
}

static void fill_listed(struct build *b)
{
    _Static_assert(LIST_COUNT <= 64, "a list is a bit");
    sp_buf_init(&b->listed_texts, UINT16_MAX);
    for (unsigned i = 0; i < LIST_COUNT; i++) {
        struct sp_bytes rest = sp_bytes_cstr(lists[i]), word;

        while (sp_bytes_split(&rest, ' ', &word))
            add_listed(b, word, i);
    }
    if (b->listed_count > (1U << DETECT_LISTED_BITS) / 2 || sp_buf_rc(&b->listed_texts) != SP_OK)
        die("too many words in lists", "make DETECT_LISTED_BITS larger");
}

/* ---- output ---- */

static void write_names(const struct build *b, const char *path)
{
    FILE *f = fopen(path, "wb");

    if (f == NULL || fwrite(b->names, 1, NAMES_SIZE, f) != NAMES_SIZE || fclose(f) != 0)
        die("can't write", path);
}

static void write_texts(const struct build *b, FILE *f)
{
    fprintf(f, "const uint8_t sp_detect_term_texts[] = {\n");
    for (unsigned i = 0; i < b->count; i++)
        for (const char *c = b->terms[i].text; *c != '\0'; c++)
            fprintf(f, c[1] == '\0' ? "%u,\n" : "%u,", (unsigned)(uint8_t)*c);
    fprintf(f, "};\n");
}

static void write_heads(const struct build *b, FILE *f)
{
    fprintf(f, "const struct detect_head sp_detect_heads[1U << DETECT_HEAD_BITS] = {\n");
    for (size_t i = 0; i < 1U << DETECT_HEAD_BITS; i++)
        if (b->heads[i].tag != 0)
            fprintf(f, "[%zu]={%u,%u,%u},\n", i, b->heads[i].tag, b->heads[i].first,
                    b->heads[i].count);
    fprintf(f, "};\nconst uint64_t sp_detect_filter[] = {\n");
    for (size_t i = 0; i < (1U << DETECT_FILTER_BITS) / 32; i++)
        fprintf(f, "UINT64_C(0x%llx),\n", (unsigned long long)b->filter[i]);
    fprintf(f, "};\n");
}

static void write_listed(const struct build *b, FILE *f)
{
    fprintf(f, "const uint8_t sp_detect_listed_texts[] = {\n");
    for (size_t i = 0; i < b->listed_texts.len; i++)
        fprintf(f, i % 32 == 31 ? "%u,\n" : "%u,", b->listed_texts.ptr[i]);
    fprintf(f, "};\nconst struct detect_listed sp_detect_listed[1U << DETECT_LISTED_BITS] = {\n");
    for (size_t i = 0; i < 1U << DETECT_LISTED_BITS; i++)
        if (b->listed[i].lists != 0)
            fprintf(f, "[%zu]={UINT64_C(0x%llx),%u,%u,%u},\n", i,
                    (unsigned long long)b->listed[i].lists, b->listed[i].tag, b->listed[i].text,
                    b->listed[i].len);
    fprintf(f, "};\n");
}

static void write_tables(const struct build *b, const char *path, const char *names)
{
    FILE *f = fopen(path, "w");

    if (f == NULL)
        die("can't write", path);
    fprintf(
        f,
        "/* Made by detect-compile from lib/detect/data. */\n#include \"detect/dictionary.h\"\n\n");
    fprintf(f, "const struct detect_term sp_detect_terms[] = {\n");
    for (unsigned i = 0; i < b->count; i++)
        fprintf(f, "{UINT64_C(0x%llx),%u,%u,%u,%u,%u},\n",
                (unsigned long long)b->terms[i].term.marks, b->terms[i].term.text,
                b->terms[i].term.len, b->terms[i].term.lead, b->terms[i].term.flags,
                sp_ascii_lower((uint8_t)b->terms[i].text[b->terms[i].term.len - 1]));
    fprintf(f, "};\n");
    write_texts(b, f);
    write_heads(b, f);
    write_listed(b, f);
    fprintf(f,
            "__asm__(\".section .rodata\\n.balign 64\\n.global "
            "sp_detect_names\\nsp_detect_names:\\n"
            ".incbin \\\"%s\\\"\\n.text\\n\");\n",
            names);
    if (fclose(f) != 0)
        die("can't write", path);
}

int main(int argc, char **argv)
{
    struct build b = {0};

    if (argc != 4)
        die("usage", "detect-compile DATA_DIR OUT.c OUT.db");
    b.dir = argv[1];
    b.terms = sp_calloc(TERMS_MAX, sizeof(*b.terms));
    b.index = sp_map_new();
    b.names = sp_calloc(NAMES_SIZE / sizeof(*b.names), sizeof(*b.names));
    b.heads = sp_calloc(1U << DETECT_HEAD_BITS, sizeof(*b.heads));
    b.filter = sp_calloc((1U << DETECT_FILTER_BITS) / 32, sizeof(*b.filter));
    read_terms(&b, "health.txt");
    read_terms(&b, "cues.txt");
    inherit_specials(&b);
    read_list(&b, "given.txt", DETECT_GIVEN, DETECT_FREQUENT, 2000);
    read_list(&b, "surnames.txt", DETECT_SURNAME, DETECT_FAMILIAR, 10000);
    read_list(&b, "words.txt", DETECT_WORD, 0, 0);
    read_list(&b, "words-rare.txt", DETECT_RARE, 0, 0);
    read_extra(&b, "words-foreign.txt");
    read_extra(&b, "names-extra.txt"); /* its [first] are no words */
    b.listed = sp_calloc(1U << DETECT_LISTED_BITS, sizeof(*b.listed));
    fill_heads(&b);
    fill_listed(&b);
    write_names(&b, argv[3]);
    write_tables(&b, argv[2], argv[3]);
    return 0;
}
