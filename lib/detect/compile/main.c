/*
 * detect-compile DATA_DIR OUT.c OUT.db: makes the detector's dictionary while the tree is built, since compiling it takes
 * Hyperscan seconds and more memory than a scanner may have. The database is made for any processor that Hyperscan runs
 * on, so that a package built here works there.
 */
#include "base/buf.h"
#include "base/map.h"
#include "detect/dictionary.h"

#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>

#define TERMS_MAX 16384
#define FILE_MAX  (4 * 1024 * 1024)

static const char *const mark_names[] = {
#define SP_MARK(id, name) name,
#include "detect/marks.def"
#undef SP_MARK
};

struct entry {
    char *text;
    struct detect_term term;
};

struct build {
    const char *dir;
    struct entry *terms; /* TERMS_MAX */
    unsigned count;
    struct sp_map *index; /* text with its flags -> struct entry */
    struct detect_short *shorts;
    uint32_t *names;
    uint64_t version;
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
    b->version = (b->version ^ sp_detect_word_hash(sp_buf_bytes(&out))) * 31;
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
    else if (text.len > 1 && text.ptr[0] == '*')
        flags = DETECT_TERM_SUFFIX;
    e = sp_map_find(b->index, text);
    if (e == NULL) {
        if (b->count == TERMS_MAX || text.len > 60)
            die("too many terms, or one too long", "");
        e = &b->terms[b->count++];
        sp_map_put(b->index, text, e);
        if (flags != 0)
            text = sp_bytes_slice(text, 1, SIZE_MAX);
        e->text = sp_strdup_bytes(text);
        e->term = (struct detect_term){.len = (uint8_t)text.len, .flags = flags};
    }
    e->term.marks |= marks;
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
        }
    }
}

/* ---- names ---- */

/* returns: the slot of a word, marked as taken */
static uint32_t *find_name(struct build *b, struct sp_bytes word)
{
    uint64_t h = sp_detect_word_hash(word);
    uint32_t tag = (uint32_t)(h >> 37) << DETECT_TAG_SHIFT;
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
        else if (part.len > 2)
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
                    : sp_bytes_eq(line, SP_LIT("[given]")) ? DETECT_GIVEN | DETECT_FREQUENT
                                                           : DETECT_SURNAME | DETECT_FAMILIAR;
            continue;
        }
        while (sp_bytes_split(&line, ',', &name))
            add_extra(b, sp_bytes_trim(name), flags, first);
    }
}

/* ---- short words ---- */

/* returns: the letters in a number, the first lowest; 0 if it is no short word */
static uint32_t pack(const char *text, uint8_t bit)
{
    uint32_t key = 0;
    size_t len = strlen(text);

    if (len > DETECT_SHORT_LEN)
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (!sp_ascii_is_alpha((uint8_t)text[i]))
            return 0;
        key |= (uint32_t)((uint8_t)text[i] | bit) << (8 * i);
    }
    return key;
}

static bool is_short(const struct entry *e)
{
    return (e->term.flags & DETECT_TERM_SUFFIX) == 0 && pack(e->text, 0x20) != 0;
}

static void fill_shorts(struct build *b)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < b->count; i++) {
        const struct entry *e = &b->terms[i];
        uint32_t at;

        if (!is_short(e))
            continue;
        if (++taken > (3U << DETECT_SHORT_BITS) / 4)
            die("too many short words", "make DETECT_SHORT_BITS larger");
        at = sp_detect_short_slot(pack(e->text, 0x20));
        while (b->shorts[at].key != 0)
            at = (at + 1) & ((1U << DETECT_SHORT_BITS) - 1);
        b->shorts[at] = (struct detect_short){
            .key = pack(e->text, 0x20),
            .term = i,
            .exact = (e->term.flags & DETECT_TERM_CASE) != 0 ? pack(e->text, 0) : 0};
    }
}

/* ---- output ---- */

static char *escape(const char *term)
{
    struct sp_buf b;

    sp_buf_init(&b, 1024);
    for (; *term != '\0'; term++)
        if (*term == ' ') /* names of files and columns have '_' there */
            sp_buf_put_cstr(&b, "[ _]");
        else
            sp_buf_printf(&b, "\\x%02x", (unsigned)(uint8_t)*term);
    return sp_buf_take_cstr(&b);
}

static hs_database_t *compile(struct build *b)
{
    char **texts = sp_calloc(b->count, sizeof(*texts));
    unsigned *ids = sp_calloc(b->count, sizeof(*ids));
    unsigned *flags = sp_calloc(b->count, sizeof(*flags));
    hs_platform_info_t any = {0};
    hs_compile_error_t *problem = NULL;
    hs_database_t *db = NULL;
    unsigned count = 0;

    for (unsigned i = 0; i < b->count; i++) {
        if (is_short(&b->terms[i]))
            continue;
        texts[count] = escape(b->terms[i].text);
        ids[count] = i;
        flags[count++] = (b->terms[i].term.flags & DETECT_TERM_CASE) != 0 ? 0 : HS_FLAG_CASELESS;
    }
    if (hs_compile_multi((const char *const *)texts, flags, ids, count, HS_MODE_BLOCK, &any, &db,
                         &problem) != HS_SUCCESS)
        die("does not compile", problem == NULL ? "?" : problem->message);
    for (unsigned i = 0; i < count; i++)
        sp_free(texts[i]);
    sp_free(texts);
    sp_free(ids);
    sp_free(flags);
    return db;
}

static void write_database(struct build *b, const char *path)
{
    hs_database_t *db = compile(b);
    char *bytes = NULL;
    size_t len = 0;
    FILE *f = fopen(path, "wb");

    if (hs_serialize_database(db, &bytes, &len) != HS_SUCCESS)
        die("can't serialise", path);
    if (f == NULL || fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
        die("can't write", path);
    free(bytes); /* Hyperscan's */
    hs_free_database(db);
}

static void write_tables(struct build *b, const char *path, const char *database)
{
    FILE *f = fopen(path, "w");

    if (f == NULL)
        die("can't write", path);
    fprintf(
        f,
        "/* Made by detect-compile from lib/detect/data. */\n#include \"detect/dictionary.h\"\n\n");
    fprintf(f, "const char sp_detect_dictionary_version[] = \"%08x\";\n",
            (unsigned)(b->version >> 32));
    fprintf(f,
            "const uint32_t sp_detect_term_count = %u;\nconst struct detect_term sp_detect_terms[] "
            "= {\n",
            b->count);
    for (unsigned i = 0; i < b->count; i++)
        fprintf(f, "{UINT64_C(0x%llx),%u,%u},\n", (unsigned long long)b->terms[i].term.marks,
                b->terms[i].term.len, b->terms[i].term.flags);
    fprintf(f, "};\nconst struct detect_short sp_detect_shorts[1U << DETECT_SHORT_BITS] = {\n");
    for (size_t i = 0; i < 1U << DETECT_SHORT_BITS; i++)
        fprintf(f, "{%u,%u,%u},\n", b->shorts[i].key, b->shorts[i].term, b->shorts[i].exact);
    fprintf(f, "};\nconst uint32_t sp_detect_names[1U << DETECT_NAME_BITS] = {\n");
    for (size_t i = 0; i < 1U << DETECT_NAME_BITS; i++)
        fprintf(f, "%u,%s", b->names[i], i % 16 == 15 ? "\n" : "");
    fprintf(f,
            "};\n__asm__(\".section .rodata\\n.balign 64\\n.global sp_detect_database\\n"
            "sp_detect_database:\\n.incbin \\\"%s\\\"\\n.global sp_detect_database_end\\n"
            "sp_detect_database_end:\\n.byte 0\\n.text\\n\");\n",
            database);
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
    b.names = sp_calloc(1U << DETECT_NAME_BITS, sizeof(*b.names));
    b.shorts = sp_calloc(1U << DETECT_SHORT_BITS, sizeof(*b.shorts));
    read_terms(&b, "health.txt");
    read_terms(&b, "cues.txt");
    read_list(&b, "given.txt", DETECT_GIVEN, DETECT_FREQUENT, 2000);
    read_list(&b, "surnames.txt", DETECT_SURNAME, DETECT_FAMILIAR, 10000);
    read_list(&b, "words.txt", DETECT_WORD, 0, 0);
    read_extra(&b, "names-extra.txt");
    fill_shorts(&b);
    write_database(&b, argv[3]);
    write_tables(&b, argv[2], argv[3]);
    return 0;
}
