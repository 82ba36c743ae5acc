/*
 * sallyport policy format: one way to lay a policy out, comments and all. It works on the words of the text, not on a
 * tree, so that nothing can get lost: the same words come out in the same order, and only what lies between them changes.
 * A value that fits on its line stays there; a longer one has a member a line, two spaces deeper. A comment on a line of
 * its own stays so, before what followed it; one behind a value stays behind it. An empty line between members stays one.
 */
#include <stdio.h>
#include <string.h>

#include "config/replace.h"
#include "gateway/cli-policy/cli.h"
#include "json/json.h"

#define LINE_MAX_CHARS 120
#define WORDS_MAX      2000000
#define OUT_MAX        ((size_t)32 << 20)

struct word {
    struct sp_bytes text;
    bool is_comment;
    bool own_line;   /* a line end came before it */
    bool after_gap;  /* an empty line came before it */
    bool has_inside; /* of an opening bracket: a comment stands before its end */
    size_t end;      /* of an opening bracket: the index of its end */
    size_t flat_len; /* of an opening bracket: letters on one line, its end included */
};

struct words {
    struct word *items;
    size_t count;
    size_t room;
};

static bool is(const struct word *w, char c)
{
    return !w->is_comment && w->text.len == 1 && w->text.ptr[0] == (uint8_t)c;
}

static bool opens(const struct word *w)
{
    return is(w, '{') || is(w, '[');
}

static bool closes(const struct word *w)
{
    return is(w, '}') || is(w, ']');
}

/* ---- words ---- */

static size_t comment_len(struct sp_bytes rest)
{
    size_t end;

    if (rest.len < 2 || rest.ptr[0] != '/')
        return 0;
    if (rest.ptr[1] == '/') {
        end = sp_bytes_find(rest, '\n');
        return end == SIZE_MAX ? rest.len : end;
    }
    end = sp_bytes_find_all(sp_bytes_slice(rest, 2, SIZE_MAX), SP_LIT("*/"));
    return end == SIZE_MAX ? rest.len : end + 4;
}

static size_t word_len(struct sp_bytes rest)
{
    size_t n = 1;

    if (sp_bytes_find(SP_LIT("{}[],:"), rest.ptr[0]) != SIZE_MAX)
        return 1;
    if (rest.ptr[0] == '"') {
        while (n < rest.len && rest.ptr[n] != '"')
            n += rest.ptr[n] == '\\' ? 2 : 1;
        return n < rest.len ? n + 1 : rest.len;
    }
    while (n < rest.len && sp_bytes_find(SP_LIT("{}[],:\"/ \t\r\n"), rest.ptr[n]) == SIZE_MAX)
        n++;
    return n;
}

static void add(struct cli *cli, struct words *all, struct word w)
{
    if (all->count == all->room) {
        size_t room = all->room == 0 ? 1024 : all->room * 2;
        struct word *more = sp_arena_alloc(cli->arena, room * sizeof(*more));

        if (all->room > 0)
            memcpy(more, all->items, all->count * sizeof(*more));
        all->items = more;
        all->room = room;
    }
    all->items[all->count++] = w;
}

static void split(struct cli *cli, struct sp_bytes text, struct words *all)
{
    size_t at = 0;
    int lines = 0;

    while (at < text.len) {
        struct sp_bytes rest = sp_bytes_slice(text, at, SIZE_MAX);
        size_t len = comment_len(rest);
        struct word w = {.is_comment = len > 0, .own_line = lines > 0, .after_gap = lines > 1};

        if (sp_bytes_find(SP_LIT(" \t\r\n"), rest.ptr[0]) != SIZE_MAX) {
            lines += rest.ptr[0] == '\n';
            at++;
            continue;
        }
        len = len > 0 ? len : word_len(rest);
        w.text = sp_bytes_trim(sp_bytes_slice(rest, 0, len));
        add(cli, all, w);
        lines = 0;
        at += len;
    }
}

/* A comma belongs to the value before it: where a comment stands between, it goes before that. */
static void move_commas(struct words *all)
{
    for (size_t i = 1; i < all->count; i++) {
        for (size_t k = i; is(&all->items[k], ',') && k > 0 && all->items[k - 1].is_comment; k--) {
            struct word comma = all->items[k];

            all->items[k] = all->items[k - 1];
            all->items[k - 1] = comma;
        }
    }
}

/* Finds each bracket's end, how long it is on one line, and whether a comment lies in it. */
static void pair(struct cli *cli, struct words *all)
{
    size_t *open = sp_arena_alloc(cli->arena, (all->count + 1) * sizeof(*open));
    size_t depth = 0, letters = 0, comments = 0;
    size_t *letters_at = sp_arena_alloc(cli->arena, (all->count + 1) * sizeof(*letters_at));
    size_t *comments_at = sp_arena_alloc(cli->arena, (all->count + 1) * sizeof(*comments_at));

    for (size_t i = 0; i < all->count; i++) {
        struct word *w = &all->items[i];

        if (opens(w)) {
            open[depth] = i;
            letters_at[depth] = letters;
            comments_at[depth++] = comments;
        }
        comments += w->is_comment;
        letters += w->text.len + (is(w, ',') || is(w, ':') ? 1 : 0);
        if (closes(w) && depth > 0) {
            struct word *from = &all->items[open[--depth]];

            from->end = i;
            from->flat_len = letters - letters_at[depth];
            from->has_inside = comments > comments_at[depth];
        }
    }
}

/* ---- writing ---- */

struct writing {
    struct sp_buf *out;
    size_t line_at; /* where the line began */
    size_t depth;
    bool fresh; /* nothing on this line yet */
};

static void new_line(struct writing *w, bool gap)
{
    if (w->out->len > 0)
        sp_buf_put_cstr(w->out, gap ? "\n\n" : "\n");
    w->line_at = w->out->len;
    for (size_t i = 0; i < w->depth; i++)
        sp_buf_put_cstr(w->out, "  ");
    w->fresh = true;
}

static void put(struct writing *w, struct sp_bytes text)
{
    sp_buf_put(w->out, text);
    w->fresh = false;
}

static size_t put_flat(struct writing *w, const struct words *all, size_t from)
{
    size_t end = all->items[from].end;

    for (size_t i = from; i <= end; i++) {
        put(w, all->items[i].text);
        if (is(&all->items[i], ',') || is(&all->items[i], ':'))
            sp_buf_put_u8(w->out, ' ');
    }
    return end;
}

static bool fits(const struct writing *w, const struct words *all, size_t i)
{
    const struct word *x = &all->items[i];
    size_t column = w->out->len - w->line_at;
    bool comma = x->end + 1 < all->count && is(&all->items[x->end + 1], ',');

    return x->end > i && !x->has_inside && (x->end == i + 1 || w->depth > 0) &&
           column + x->flat_len + comma <= LINE_MAX_CHARS;
}

static void put_comment(struct writing *w, const struct word *x, bool first)
{
    if (x->own_line || first) {
        if (w->out->len > 0 && !w->fresh)
            new_line(w, x->after_gap);
    } else if (!w->fresh) {
        sp_buf_put_cstr(w->out, "  ");
    }
    put(w, x->text);
}

/* Whether the word before ended a member, an opening or a comment, so that the next begins a line. */
static bool begins_line(const struct words *all, size_t i)
{
    const struct word *before = &all->items[i - 1];

    return before->is_comment || is(before, ',') || opens(before);
}

static void write_words(struct writing *w, const struct words *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct word *x = &all->items[i];

        if (x->is_comment) {
            put_comment(w, x, i == 0);
            continue;
        }
        if (closes(x)) {
            w->depth -= w->depth > 0;
            new_line(w, false);
        } else if (i > 0 && begins_line(all, i) && !is(x, ',')) {
            new_line(w, x->after_gap && !opens(&all->items[i - 1]));
        }
        if (opens(x) && fits(w, all, i)) {
            i = put_flat(w, all, i);
            continue;
        }
        put(w, x->text);
        if (is(x, ':'))
            sp_buf_put_u8(w->out, ' ');
        w->depth += opens(x);
    }
    sp_buf_put_u8(w->out, '\n');
}

/* ---- files ---- */

static bool same_meaning(struct sp_bytes a, struct sp_bytes b)
{
    const struct sp_json_options options = {.comments = true};
    SP_AUTO(sp_json_doc) x = NULL;
    SP_AUTO(sp_json_doc) y = NULL;
    struct sp_buf left, right;
    struct sp_err err;
    bool same;

    if (sp_json_parse(a, &options, &x, &err) != SP_OK ||
        sp_json_parse(b, &options, &y, &err) != SP_OK)
        return false;
    sp_buf_init(&left, OUT_MAX);
    sp_buf_init(&right, OUT_MAX);
    same = sp_json_canonical(sp_json_root(x), &left) == SP_OK &&
           sp_json_canonical(sp_json_root(y), &right) == SP_OK &&
           sp_bytes_eq(sp_buf_bytes(&left), sp_buf_bytes(&right));
    sp_buf_clear(&left);
    sp_buf_clear(&right);
    return same;
}

enum sp_rc cli_write(const char *path, struct sp_bytes text)
{
    return sp_config_replace(path, text, 0644);
}

/* One object a file. */
static void tell_json(const char *path, bool same, bool written)
{
    struct sp_buf out;
    struct sp_jw w;

    sp_buf_init(&out, 65536);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "file", path);
    sp_jw_bool(&w, "canonical", same);
    sp_jw_bool(&w, "written", written);
    sp_jw_end(&w);
    cli_print(&out);
    sp_buf_clear(&out);
}

/* returns: a copy whose lines end with LF alone, without the mark that editors write before a file; strings have no line ends */
static struct sp_bytes as_lines(struct cli *cli, struct sp_bytes text)
{
    uint8_t *copy = sp_arena_alloc(cli->arena, text.len + 1);
    size_t n = 0;

    if (sp_bytes_starts_nocase(text, SP_LIT("\xef\xbb\xbf")))
        text = sp_bytes_slice(text, 3, SIZE_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '\r' || i + 1 == text.len || text.ptr[i + 1] != '\n')
            copy[n++] = text.ptr[i];
    return sp_bytes(copy, n);
}

static bool format_file(struct cli *cli, const char *path, bool check, bool to_stdout)
{
    const struct sp_json_options options = {.comments = true, .file = path};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct words all = {0};
    struct sp_bytes text;
    struct sp_buf out;
    struct sp_err err;
    struct writing w = {.out = &out, .fresh = true};
    enum sp_rc rc = cli_read(cli, path, &text);
    bool same;

    if (rc == SP_OK && sp_json_parse(text, &options, &doc, &err) != SP_OK) {
        (void)cli_tell(cli, CLI_WRONG, sp_rc_name(SP_E_MALFORMED), "%s", err.text);
        return false;
    }
    sp_buf_init(&out, OUT_MAX);
    if (rc == SP_OK) {
        split(cli, as_lines(cli, text), &all);
        move_commas(&all);
        pair(cli, &all);
        write_words(&w, &all);
        rc = same_meaning(text, sp_buf_bytes(&out)) ? sp_buf_rc(&out) : SP_E_MALFORMED;
    }
    same = rc == SP_OK && sp_bytes_eq(text, sp_buf_bytes(&out));
    if (rc == SP_OK && to_stdout)
        fwrite(out.ptr, 1, out.len, stdout);
    else if (rc == SP_OK && !same && !check)
        rc = cli_write(path, sp_buf_bytes(&out));
    if (rc != SP_OK)
        (void)cli_tell(cli, CLI_WRONG, sp_rc_name(rc), "%s: %s", path, sp_rc_name(rc));
    else if (cli->json)
        tell_json(path, same, !same && !check && !to_stdout);
    else if (check && !same)
        printf("%s: not in canonical form\n", path);
    sp_buf_clear(&out);
    return rc == SP_OK && (!check || same);
}

int cli_policy_format(struct cli *cli)
{
    bool check = false, to_stdout = false;
    const struct cli_option options[] = {{"--check", .is_on = &check},
                                         {"--stdout", .is_on = &to_stdout}};
    int code = CLI_OK;

    if (!cli_arguments(cli, options, SP_ARRAY_LEN(options),
                       &(struct cli_wanted){1, SIZE_MAX, "which files?"}))
        return CLI_USAGE;
    if (to_stdout && (check || cli->json))
        return cli_usage(cli, "--stdout goes with neither --check nor --json");
    for (size_t i = 0; i < cli->word_count; i++)
        if (!format_file(cli, cli->words[i], check, to_stdout))
            code = CLI_WRONG;
    return code;
}
