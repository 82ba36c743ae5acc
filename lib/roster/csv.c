/*
 * libcsv's home. It is fed line by line, so that what is wrong can be told with its line even behind empty lines and cells of
 * several lines, and keeps a row until its end, since the group may stand before the address. Whoever exports a table means
 * all of it: one wrong cell refuses the whole, because a person who is left out is a person whose mail goes unprotected. An
 * empty group is no wrong cell, since most exports name people who are in none; they are noted, so that a list that would
 * lose one of them so can be refused.
 */
#include "roster/csv.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "config/directory.h"

#include <csv.h>
#include <stdio.h>

#define COLUMNS_MAX 256
#define HEADING_MAX 64
#define ERRORS_MAX  100
#define SHOWN_MAX   80
#define ROW_MAX     ((size_t)1 << 20)

enum meaning { MEANS_NOTHING, MEANS_ADDRESS, MEANS_DOMAIN, MEANS_GROUP };

struct cell {
    size_t at, len; /* in row */
};

struct group {
    struct sp_bytes written; /* as the table has it first */
    const char *name;
    struct sp_roster *roster;
};

struct table {
    const char *file;
    const struct sp_roster_wanted *wanted;
    struct sp_problems *problems;
    struct sp_arena *arena;
    struct sp_roster_groups *out;
    struct sp_map *by_name; /* struct group */

    enum meaning meanings[COLUMNS_MAX];
    char headings[COLUMNS_MAX][HEADING_MAX + 1];
    size_t column_count;
    bool has_heading, has_groups;
    bool
        is_unusable; /* its heading was refused: a row can still stand in the same line, behind a CR */
    enum sp_roster_kind kind;

    struct sp_buf row;
    struct cell cells[COLUMNS_MAX];
    size_t cell_count;
    uint32_t line, row_line;
    size_t errors;
};

static const struct {
    const char *heading;
    enum meaning meaning;
} headings[] = {
    {"address", MEANS_ADDRESS},
    {"email", MEANS_ADDRESS},
    {"e-mail", MEANS_ADDRESS},
    {"mail", MEANS_ADDRESS},
    {"email address", MEANS_ADDRESS},
    {"e-mail address", MEANS_ADDRESS},
    {"email address [required]", MEANS_ADDRESS}, /* Google's users */
    {"member email", MEANS_ADDRESS},             /* Google's members of groups */
    {"primarysmtpaddress", MEANS_ADDRESS},       /* Exchange */
    {"domain", MEANS_DOMAIN},
    {"group", MEANS_GROUP},
    {"groups", MEANS_GROUP},
    {"group name", MEANS_GROUP},
    {"list", MEANS_GROUP},
    {"lists", MEANS_GROUP},
};

void sp_roster_groups_free(struct sp_roster_groups *g)
{
    if (g == NULL)
        return;
    for (size_t i = 0; i < g->count; i++) {
        sp_free((char *)g->items[i].name);
        sp_roster_free(g->items[i].roster);
    }
    sp_free(g->items);
    sp_roster_free(g->ungrouped);
    sp_free(g);
}

/* ---- what is wrong ---- */

/* returns: whether there is room to tell one more */
static bool may_tell(struct table *t)
{
    if (++t->errors == ERRORS_MAX + 1)
        sp_problem_file(t->problems, t->file, t->row_line, SP_E_LIMIT,
                        "more is wrong, which is not told");
    return t->errors <= ERRORS_MAX;
}

static struct sp_bytes shown(struct sp_bytes text)
{
    return sp_bytes_slice(text, 0, SHOWN_MAX);
}

static void tell_cell(struct table *t, size_t column, enum sp_rc rc, const char *what,
                      struct sp_bytes text)
{
    if (may_tell(t))
        sp_problem_file(t->problems, t->file, t->row_line, rc, "column %zu (%s): %s%s%.*s%s",
                        column + 1, t->headings[column], what, text.len > 0 ? ": \"" : "",
                        SP_FMT(shown(text)), text.len > 0 ? "\"" : "");
}

static void tell_row(struct table *t, enum sp_rc rc, const char *what)
{
    if (may_tell(t))
        sp_problem_file(t->problems, t->file, t->row_line, rc, "%s", what);
}

/* ---- groups ---- */

/* "Recovery Clinic" -> "recovery-clinic". returns: NULL if nothing is left, or too much */
static const char *list_name(struct table *t, struct sp_bytes written)
{
    struct sp_buf name;
    const char *kept = NULL;

    sp_buf_init(&name, 512);
    for (size_t i = 0; i < written.len; i++) {
        uint8_t c = sp_ascii_lower(written.ptr[i]);

        if (sp_ascii_is_alnum(c))
            sp_buf_put_u8(&name, c);
        else if (name.len > 0 && name.ptr[name.len - 1] != '-')
            sp_buf_put_u8(&name, '-');
    }
    if (name.len > 0 && name.ptr[name.len - 1] == '-')
        name.len--;
    if (sp_buf_rc(&name) == SP_OK && sp_directory_is_list_name(sp_buf_bytes(&name)))
        kept = sp_arena_cstr(t->arena, sp_buf_bytes(&name));
    sp_buf_clear(&name);
    return kept;
}

static bool is_wanted(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->wanted->count; i++)
        if (strcmp(t->wanted->names[i], name) == 0)
            return true;
    return t->wanted->count == 0;
}

static struct group *add_group(struct table *t, const char *name, struct sp_bytes written)
{
    struct group *g = sp_arena_alloc(t->arena, sizeof(*g));

    *g = (struct group){.written = sp_arena_copy(t->arena, written),
                        .name = name,
                        .roster = sp_roster_new(t->kind)};
    t->out->items = sp_realloc(t->out->items, (t->out->count + 1) * sizeof(*t->out->items));
    t->out->items[t->out->count++] =
        (struct sp_roster_group){.name = sp_strdup(name), .roster = g->roster};
    (void)sp_map_put(t->by_name, sp_bytes_cstr(name), g);
    return g;
}

/* returns: NULL if it is not wanted, or wrong, which was told */
static struct group *find_group(struct table *t, size_t column, struct sp_bytes written)
{
    const char *name = list_name(t, written);
    struct group *g = name == NULL ? NULL : sp_map_find(t->by_name, sp_bytes_cstr(name));

    if (name == NULL) {
        tell_cell(t, column, SP_E_CONFIG_INVALID,
                  "no list can be named so: letters and digits, 100 at most", written);
        return NULL;
    }
    if (g == NULL && !is_wanted(t, name))
        return NULL;
    if (g == NULL && t->out->count == SP_ROSTER_GROUPS_MAX) {
        tell_cell(t, column, SP_E_LIMIT, "too many groups: choose some by --list", written);
        return NULL;
    }
    if (g == NULL)
        g = add_group(t, name, written);
    if (t->has_groups && !sp_bytes_eq_nocase(g->written, written)) {
        tell_cell(t, column, SP_E_EXISTS, "another group would be the same list", written);
        return NULL;
    }
    return g;
}

/* ---- rows ---- */

static struct sp_bytes cell(const struct table *t, size_t column)
{
    if (column >= t->cell_count)
        return SP_LIT("");
    return sp_bytes_trim(
        sp_bytes_slice(sp_buf_bytes(&t->row), t->cells[column].at, t->cells[column].len));
}

static void add_member(struct table *t, size_t column, struct sp_bytes who, struct group *g)
{
    enum sp_rc rc = sp_roster_add(g->roster, who);

    if (rc == SP_E_EXISTS)
        t->out->doubles++;
    else if (rc != SP_OK)
        tell_cell(t, column, rc, t->kind == SP_ROSTER_DOMAINS ? "no domain" : "no address", who);
}

/* "Nurses; Recovery Clinic". returns: how many are wanted */
static size_t add_to_groups(struct table *t, size_t who_column, struct sp_bytes who, size_t column)
{
    struct sp_bytes all = cell(t, column), some, one;
    size_t added = 0;

    while (sp_bytes_split(&all, ';', &some)) {
        while (sp_bytes_split(&some, '|', &one)) {
            struct group *g;

            one = sp_bytes_trim(one);
            g = one.len == 0 ? NULL : find_group(t, column, one);
            if (g != NULL)
                add_member(t, who_column, who, g);
            added += g != NULL;
        }
    }
    return added;
}

/* returns: whether a row names any group, wanted or not */
static bool names_group(const struct table *t)
{
    for (size_t i = 0; i < t->column_count; i++) {
        struct sp_bytes text = t->meanings[i] == MEANS_GROUP ? cell(t, i) : SP_LIT("");

        for (size_t k = 0; k < text.len; k++)
            if (text.ptr[k] != ';' && text.ptr[k] != '|' && text.ptr[k] > ' ')
                return true;
    }
    return false;
}

/* Who can't be a member was none, and loses nothing. */
static void note_ungrouped(struct table *t, struct sp_bytes who)
{
    enum sp_rc ignored = sp_roster_add(t->out->ungrouped, who);

    (void)ignored;
}

static void take_row(struct table *t)
{
    size_t who_column = 0, added = 0;
    struct sp_bytes who;
    struct group *g;

    while (t->meanings[who_column] != MEANS_ADDRESS && t->meanings[who_column] != MEANS_DOMAIN)
        who_column++;
    who = cell(t, who_column);
    if (who.len == 0) {
        tell_cell(t, who_column, SP_E_CONFIG_MISSING, "is empty", who);
        return;
    }
    if (!t->has_groups) {
        g = find_group(t, who_column, sp_bytes_cstr(t->wanted->names[0]));
        if (g != NULL)
            add_member(t, who_column, who, g);
        return;
    }
    for (size_t i = 0; i < t->column_count; i++)
        if (t->meanings[i] == MEANS_GROUP)
            added += add_to_groups(t, who_column, who, i);
    t->out->left_out += added == 0;
    if (!names_group(t))
        note_ungrouped(t, who);
}

/* ---- the heading ---- */

static void name_column(struct table *t, size_t column)
{
    struct sp_bytes text = cell(t, column);
    size_t len = 0;

    for (size_t i = 0; i < text.len && len < HEADING_MAX; i++)
        t->headings[column][len++] =
            text.ptr[i] == '_' ? ' '
                               : (char)(text.ptr[i] < ' ' ? '?' : sp_ascii_lower(text.ptr[i]));
    for (size_t i = 0; i < SP_ARRAY_LEN(headings); i++)
        if (strcmp(t->headings[column], headings[i].heading) == 0)
            t->meanings[column] = headings[i].meaning;
}

static size_t count_columns(const struct table *t, enum meaning meaning)
{
    size_t n = 0;

    for (size_t i = 0; i < t->column_count; i++)
        n += t->meanings[i] == meaning;
    return n;
}

static void take_heading(struct table *t)
{
    size_t errors = t->errors;

    t->has_heading = true;
    t->column_count = t->cell_count;
    for (size_t i = 0; i < t->cell_count; i++)
        name_column(t, i);
    t->has_groups = count_columns(t, MEANS_GROUP) > 0;
    t->kind = count_columns(t, MEANS_DOMAIN) > 0 ? SP_ROSTER_DOMAINS : SP_ROSTER_ADDRESSES;
    if (count_columns(t, MEANS_ADDRESS) + count_columns(t, MEANS_DOMAIN) != 1)
        tell_row(t, SP_E_CONFIG_MISSING,
                 "the first row must name one column \"address\" (or email, mail, "
                 "PrimarySmtpAddress, Member Email), or one \"domain\"");
    else if (!t->has_groups && t->wanted->count != 1)
        tell_row(t, SP_E_CONFIG_MISSING,
                 "the first row names no column \"group\": say by one --list NAME which list "
                 "these are the members of");
    t->is_unusable = t->errors > errors;
    t->out->ungrouped = sp_roster_new(t->kind);
}

/* ---- libcsv ---- */

static void on_cell(void *data, size_t len, void *arg)
{
    struct table *t = arg;

    if (t->cell_count < COLUMNS_MAX) {
        t->cells[t->cell_count] = (struct cell){.at = t->row.len, .len = len};
        sp_buf_put(&t->row, sp_bytes(data, len));
    }
    t->cell_count++;
}

static bool is_empty(const struct table *t)
{
    for (size_t i = 0; i < t->cell_count && i < COLUMNS_MAX; i++)
        if (cell(t, i).len > 0)
            return false;
    return true;
}

/* A row with something in it, behind a heading that is right. */
static void take_members(struct table *t)
{
    t->out->rows++;
    if (t->cell_count > t->column_count)
        tell_row(t, SP_E_MALFORMED,
                 "has more cells than the first row: one with a separator in it must stand in "
                 "quotes");
    else
        take_row(t);
}

static void on_row(int end, void *arg)
{
    struct table *t = arg;

    (void)end;
    if (t->cell_count > COLUMNS_MAX || sp_buf_rc(&t->row) != SP_OK) {
        tell_row(t, SP_E_LIMIT, "a row has at most 256 columns and 1 MiB");
        t->is_unusable = t->is_unusable || !t->has_heading;
    } else if (!t->is_unusable && !is_empty(t)) {
        if (t->has_heading)
            take_members(t);
        else
            take_heading(t);
    }
    sp_buf_reset(&t->row);
    t->cell_count = 0;
}

/* What separates the heading's cells: whichever stands there most often. */
static uint8_t find_separator(struct sp_bytes text)
{
    static const uint8_t choices[] = {CSV_COMMA, ';', CSV_TAB};
    struct sp_bytes first = sp_bytes_slice(text, 0, sp_bytes_find(text, '\n'));
    size_t best = 0, most = 0;

    for (size_t i = 0; i < sizeof(choices); i++) {
        size_t n = 0;

        for (size_t k = 0; k < first.len; k++)
            n += first.ptr[k] == choices[i];
        if (n > most) {
            best = i;
            most = n;
        }
    }
    return choices[best];
}

/* PowerShell's Export-Csv may put one line of its own before the heading. */
static struct sp_bytes skip_type(struct table *t, struct sp_bytes text)
{
    struct sp_bytes line;

    if (sp_bytes_starts_nocase(text, SP_LIT("#TYPE ")) && sp_bytes_split(&text, '\n', &line))
        t->line++;
    return text;
}

static bool parse_line(struct table *t, struct csv_parser *parser, struct sp_bytes line)
{
    t->line++;
    if (t->cell_count == 0 && parser->entry_pos == 0) /* else the row goes on */
        t->row_line = t->line;
    if (csv_parse(parser, line.ptr, line.len, on_cell, on_row, t) == line.len)
        return true;
    t->row_line = t->line;
    if (may_tell(t))
        sp_problem_file(t->problems, t->file, t->line, SP_E_MALFORMED,
                        "column %zu: quotes stand round a whole cell, and double inside one",
                        t->cell_count + 1);
    return false;
}

static void parse(struct table *t, struct sp_bytes text)
{
    struct csv_parser parser;
    bool ok = csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) == 0;

    sp_assert(ok); /* it only fails for options that do not exist */
    text = skip_type(t, text);
    csv_set_delim(&parser, find_separator(text));
    while (ok && text.len > 0 && t->errors <= ERRORS_MAX) {
        size_t end = sp_bytes_find(text, '\n');

        ok = parse_line(t, &parser, sp_bytes_slice(text, 0, end == SIZE_MAX ? end : end + 1));
        text = end == SIZE_MAX ? SP_LIT("") : sp_bytes_slice(text, end + 1, text.len);
        ok = ok && !t->is_unusable;
    }
    if (ok && csv_fini(&parser, on_cell, on_row, t) != 0)
        tell_row(t, SP_E_MALFORMED, "a quote that begins in this row is never closed");
    csv_free(&parser);
    if (!t->has_heading && t->errors == 0)
        sp_problem_file(t->problems, t->file, 0, SP_E_CONFIG_MISSING, "is empty");
}

/* A list that is asked for and not there may be a name that was mistyped. */
static void check_wanted(struct table *t)
{
    for (size_t i = 0; t->has_heading && t->errors == 0 && i < t->wanted->count; i++)
        if (sp_map_find(t->by_name, sp_bytes_cstr(t->wanted->names[i])) == NULL)
            sp_problem_file(t->problems, t->file, 0, SP_E_NOT_FOUND,
                            "no row names a member of the list \"%s\"", t->wanted->names[i]);
}

/* returns: whether it is a text that can be read; *text is then without a byte order mark */
static bool check_text(const struct table *t, struct sp_bytes *text)
{
    struct sp_bytes rest;
    uint32_t line = 1;
    size_t step;

    if (sp_bytes_starts_nocase(*text, SP_LIT("\xff\xfe")) ||
        sp_bytes_starts_nocase(*text, SP_LIT("\xfe\xff"))) {
        sp_problem_file(t->problems, t->file, 0, SP_E_UNSUPPORTED,
                        "is UTF-16: save it as \"CSV UTF-8\"");
        return false;
    }
    if (sp_bytes_starts_nocase(*text, SP_LIT("\xef\xbb\xbf")))
        *text = sp_bytes_slice(*text, 3, text->len);
    for (rest = *text; rest.len > 0; rest = sp_bytes_slice(rest, step, rest.len)) {
        step = sp_utf8_step(rest);
        line += rest.ptr[0] == '\n';
        if (step > 0)
            continue;
        sp_problem_file(t->problems, t->file, line, SP_E_UNSUPPORTED,
                        "is not UTF-8: save it as \"CSV UTF-8\"");
        return false;
    }
    return true;
}

enum sp_rc sp_roster_csv_read(struct sp_bytes text, const char *file,
                              const struct sp_roster_wanted *wanted, struct sp_problems *problems,
                              struct sp_roster_groups **out)
{
    SP_AUTO(sp_roster_groups) groups = sp_calloc(1, sizeof(*groups));
    struct table *t = sp_calloc(1, sizeof(*t));
    size_t before = sp_problems_errors(problems);

    *t = (struct table){.file = file, .wanted = wanted, .problems = problems, .out = groups};
    t->arena = sp_arena_new(8192);
    t->by_name = sp_map_new();
    sp_buf_init(&t->row, ROW_MAX);
    if (check_text(t, &text))
        parse(t, text);
    check_wanted(t);
    sp_buf_clear(&t->row);
    sp_map_free(t->by_name);
    sp_arena_free(t->arena);
    sp_free(t);
    if (sp_problems_errors(problems) > before)
        return sp_problems_rc(problems, NULL);
    *out = SP_STEAL(groups);
    return SP_OK;
}
