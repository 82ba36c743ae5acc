/*
 * `sallyport audit address|find|reveal`: who is meant in audit lines that have pseudonyms for addresses. The way there is the
 * ledger's to tell, as it alone has the key; the audit file itself is read here, line by line, by whoever may open it: it is
 * long, and nothing in it waits for an index.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>
#include <string.h>

#include "audit/series.h"
#include "base/text.h"

#define LOWER_MAX 4096
#define BLOCK_LEN 65536
#define TRIES     10

static int ask(const struct control *c, struct control_answer *answer)
{
    const struct control_member members[] = {{"address", c->words[2]}};

    if (c->word_count < 3)
        return control_usage(c, "which address?");
    return control_ask_about(c, "audit.address", members, SP_ARRAY_LEN(members), answer);
}

static int address(const struct control *c)
{
    struct control_answer answer = {.fd = -1};
    int code = ask(c, &answer);

    if (code == CONTROL_OK && !c->json)
        (void)printf("%.*s\n", SP_FMT(sp_json_text_of(answer.result, "pseudonym")));
    control_answer_clear(&answer);
    return code;
}

static int reveal(const struct control *c)
{
    static const char *const heads[] = {"PSEUDONYM", "ADDRESS"};
    const struct control_member members[] = {{"about", c->words[2]}, {"reason", c->reason}};
    struct control_answer answer = {.fd = -1};
    const struct sp_json *list;
    struct table *t;
    int code;

    if (c->word_count < 3 || c->reason == NULL)
        return control_usage(c,
                             "reveal PSEUDONYM or MESSAGE --reason TEXT, which becomes part of the "
                             "audit record");
    code = control_ask_about(c, "audit.reveal", members, SP_ARRAY_LEN(members), &answer);
    if (code == CONTROL_OK && !c->json) {
        t = table_new(heads, SP_ARRAY_LEN(heads));
        list = sp_json_find(answer.result, "addresses");
        for (const struct sp_json *a = list == NULL ? NULL : list->first; a != NULL; a = a->next) {
            struct sp_bytes cells[] = {sp_json_text_of(a, "pseudonym"),
                                       sp_json_text_of(a, "address")};

            table_add(t, cells);
        }
        table_print(t);
        table_free(t);
    }
    control_answer_clear(&answer);
    return code;
}

/* ---- find ---- */

struct finding {
    const struct control *c;
    struct sp_buf plain; /* in lower case, in its quotes as JSON has it */
    struct sp_bytes pseudonym;
    struct table *t;
};

static bool has(struct sp_bytes line, struct sp_bytes word, bool any_case)
{
    if (word.len == 0)
        return false;
    for (size_t i = 0; i + word.len <= line.len; i++) {
        struct sp_bytes at = sp_bytes_slice(line, i, word.len);

        if (any_case ? sp_bytes_eq_nocase(at, word) : sp_bytes_eq(at, word))
            return true;
    }
    return false;
}

static void show(struct finding *f, struct sp_bytes line)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *r;
    char seq[24];

    if (sp_json_parse(line, NULL, &doc, NULL) != SP_OK)
        return;
    r = sp_json_root(doc);
    if (f->c->json) {
        control_print_json(r);
        return;
    }
    (void)snprintf(seq, sizeof(seq), "%lld", (long long)sp_json_int_of(r, "seq", 0));
    struct sp_bytes cells[] = {sp_bytes_cstr(seq), sp_json_text_of(r, "time"),
                               sp_json_text_of(r, "event"), sp_json_text_of(r, "message"),
                               sp_json_text_of(r, "tenant")};
    table_add(f->t, cells);
}

static void look_at(struct finding *f, struct sp_bytes text)
{
    if (has(text, f->pseudonym, false) || has(text, sp_buf_bytes(&f->plain), true))
        show(f, sp_bytes_trim(text));
}

/* Takes whole lines from the front of what was read; the rest stays. */
static void take_lines(struct finding *f, struct sp_buf *text)
{
    struct sp_bytes rest = sp_buf_bytes(text);
    size_t end;

    while ((end = sp_bytes_find(rest, '\n')) != SIZE_MAX) {
        look_at(f, sp_bytes_slice(rest, 0, end));
        rest = sp_bytes_slice(rest, end + 1, SIZE_MAX);
    }
    if (rest.len > 0)
        memmove(text->ptr, rest.ptr, rest.len);
    text->len = rest.len;
}

static int search_source(struct finding *f, struct sp_audit_source *source, const char *path)
{
    struct sp_buf text;
    int n = 1;

    sp_buf_init(&text, SP_AUDIT_LINE_MAX + BLOCK_LEN);
    while (n > 0) {
        uint8_t *at = sp_buf_reserve(&text, BLOCK_LEN);

        n = at == NULL ? -1 : sp_audit_source_read(source, at, BLOCK_LEN);
        if (n > 0)
            sp_buf_commit(&text, (size_t)n);
        take_lines(f, &text);
    }
    sp_buf_clear(&text);
    if (n < 0)
        return control_say(f->c, CONTROL_REFUSED, "io", "%s: can't be read to its end", path);
    return n == 0 ? CONTROL_OK : CONTROL_REFUSED;
}

/* A file, compressed or not. */
static int search(struct finding *f, const char *path)
{
    SP_AUTO(sp_audit_source) source = NULL;
    struct sp_err err = {0};

    if (sp_audit_source_open(path, &source, &err) != SP_OK)
        return control_say(f->c, CONTROL_REFUSED, "io", "%s", err.text);
    return search_source(f, source, path);
}

/* The files beside each other, and the last of them, which is written, held open. */
struct series {
    struct control_answer answer;
    const struct sp_json *files;
    struct sp_audit_source *last;
};

static void clear_series(struct series *s)
{
    sp_audit_source_free(s->last);
    s->last = NULL;
    control_answer_clear(&s->answer);
}

static bool same_files(const struct sp_json *a, const struct sp_json *b)
{
    const struct sp_json *x = a == NULL ? NULL : a->first;
    const struct sp_json *y = b == NULL ? NULL : b->first;

    while (x != NULL && y != NULL && sp_bytes_eq(x->text, y->text)) {
        x = x->next;
        y = y->next;
    }
    return x == NULL && y == NULL;
}

/*
 * The ledger may begin a new file at any time; what was the last one has another name then, that nobody would look at. So
 * the last one is opened between two lists: if they are the same, it is the one that follows on the others, whatever comes.
 */
static int hold_series(const struct control *c, struct series *s)
{
    struct sp_err err = {0};

    for (int i = 0; i < TRIES; i++) {
        struct control_answer after = {.fd = -1};
        const struct sp_json *last;
        int code = ask(c, &s->answer);
        bool same;

        if (code != CONTROL_OK)
            return code;
        s->files = sp_json_find(s->answer.result, "files");
        last = s->files == NULL ? NULL : s->files->first;
        while (last != NULL && last->next != NULL)
            last = last->next;
        if (last != NULL)
            (void)!sp_audit_source_open((const char *)last->text.ptr, &s->last, &err);
        code = ask(c, &after);
        same = code == CONTROL_OK && same_files(s->files, sp_json_find(after.result, "files"));
        control_answer_clear(&after);
        if (code != CONTROL_OK)
            return code;
        if (same && s->last != NULL)
            return CONTROL_OK;
        if (same)
            break;
        clear_series(s);
    }
    return control_say(c, CONTROL_REFUSED, "io", "%s",
                       err.text[0] == 0 ? "the audit files change all the time" : err.text);
}

static int search_series(struct finding *f, const struct series *s)
{
    int code = CONTROL_OK;

    for (const struct sp_json *p = s->files->first; code == CONTROL_OK && p != NULL; p = p->next)
        code = p->next == NULL ? search_source(f, s->last, (const char *)p->text.ptr)
                               : search(f, (const char *)p->text.ptr);
    return code;
}

/* An address stands in a line as a JSON text: `"anna@clinic.example"`. */
static int find(const struct control *c)
{
    static const char *const heads[] = {"SEQ", "TIME", "EVENT", "MESSAGE", "TENANT"};
    bool is_named = c->word_count > 3; /* the file to look in */
    struct series s = {.answer = {.fd = -1}};
    struct control inner = *c;
    struct finding f = {.c = c};
    struct sp_jw w;
    int code;

    inner.inner = true;
    code = is_named ? ask(&inner, &s.answer) : hold_series(&inner, &s);
    if (code == CONTROL_OK) {
        sp_buf_init(&f.plain, LOWER_MAX);
        sp_jw_init(&w, &f.plain);
        sp_jw_text(&w, NULL, sp_json_text_of(s.answer.result, "address"));
        f.pseudonym = sp_json_text_of(s.answer.result, "pseudonym");
        f.t = table_new(heads, SP_ARRAY_LEN(heads));
        code = is_named ? search(&f, c->words[3]) : search_series(&f, &s);
        if (code == CONTROL_OK && !c->json)
            table_print(f.t);
        table_free(f.t);
        sp_buf_clear(&f.plain);
    }
    clear_series(&s);
    return code;
}

int control_pseudonym(const struct control *c)
{
    if (strcmp(c->words[1], "address") == 0)
        return address(c);
    if (strcmp(c->words[1], "find") == 0)
        return find(c);
    return strcmp(c->words[1], "reveal") == 0 ? reveal(c) : -1;
}
