/*
 * The list of problems. Texts live in an arena of the list's own, since the documents they speak of go first. Entries
 * past a bound are counted and not kept: a file of a million errors is shown as two hundred. Errors come before warnings there.
 */
#include "json/problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/text.h"

#define KEPT_MAX     200
#define TEXT_MAX     600
#define PATH_MAX_LEN 512

struct sp_problems {
    struct sp_arena *arena;
    struct sp_problem items[KEPT_MAX];
    size_t count;
    size_t errors;
    size_t errors_left, warnings_left; /* that are not kept */
    enum sp_rc first_rc;
};

struct sp_problems *sp_problems_new(void)
{
    struct sp_problems *p = sp_calloc(1, sizeof(*p));

    p->arena = sp_arena_new(1024);
    return p;
}

void sp_problems_free(struct sp_problems *p)
{
    if (p == NULL)
        return;
    sp_arena_free(p->arena);
    sp_free(p);
}

/* returns: whether the same was told of the same place, as of a file that several policies are made of */
static bool is_there(const struct sp_problems *p, const struct sp_problem *item)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct sp_problem *o = &p->items[i];

        if (o->line == item->line && o->column == item->column &&
            o->is_warning == item->is_warning && strcmp(o->text, item->text) == 0 &&
            strcmp(o->path, item->path) == 0 && strcmp(o->file, item->file) == 0)
            return true;
    }
    return false;
}

/* Gives up the last warning, so that no error is hidden behind two hundred of them. returns: whether there is room now */
static bool make_room(struct sp_problems *p)
{
    for (size_t i = p->count; i-- > 0;) {
        if (!p->items[i].is_warning)
            continue;
        memmove(&p->items[i], &p->items[i + 1], (p->count - i - 1) * sizeof(p->items[0]));
        p->count--;
        p->warnings_left++;
        return true;
    }
    return false;
}

/* What is kept is copied: texts of what is not would fill the memory. */
static void keep(struct sp_problems *p, const struct sp_problem *item)
{
    if (!item->is_warning && p->errors++ == 0)
        p->first_rc = item->rc;
    if (is_there(p, item))
        return;
    if (p->count < KEPT_MAX || (!item->is_warning && make_room(p))) {
        struct sp_problem *copy = &p->items[p->count++];

        *copy = *item;
        copy->file = sp_arena_cstr(p->arena, sp_bytes_cstr(item->file));
        copy->path = sp_arena_cstr(p->arena, sp_bytes_cstr(item->path));
        copy->text = sp_arena_cstr(p->arena, sp_bytes_cstr(item->text));
    } else if (item->is_warning) {
        p->warnings_left++;
    } else {
        p->errors_left++;
    }
}

/* rc: SP_OK: a warning. at: NULL: of no value */
SP_PRINTF(4, 0)
static void tell(struct sp_problems *p, const struct sp_json *at, enum sp_rc rc, const char *fmt,
                 va_list args)
{
    struct sp_problem item = {.is_warning = rc == SP_OK, .rc = rc, .file = "", .path = ""};
    char text[TEXT_MAX], at_path[PATH_MAX_LEN + 1];
    struct sp_buf path;

    vsnprintf(text, sizeof(text), fmt, args);
    item.text = text;
    sp_buf_init(&path, PATH_MAX_LEN);
    if (at != NULL) {
        sp_json_path(at, &path);
        item.file = sp_json_file(at->doc);
        item.line = at->line;
        item.column = at->column;
    }
    snprintf(at_path, sizeof(at_path), "%.*s", SP_FMT(sp_buf_bytes(&path)));
    sp_buf_clear(&path);
    item.path = at_path;
    keep(p, &item);
}

SP_PRINTF(5, 0)
static void tell_file(struct sp_problems *p, const char *file, uint32_t line, enum sp_rc rc,
                      const char *fmt, va_list args)
{
    struct sp_problem item = {
        .is_warning = rc == SP_OK, .rc = rc, .file = file, .line = line, .path = ""};
    char text[TEXT_MAX];

    vsnprintf(text, sizeof(text), fmt, args);
    item.text = text;
    keep(p, &item);
}

enum sp_rc sp_problem(struct sp_problems *p, const struct sp_json *at, enum sp_rc rc,
                      const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    tell(p, at, rc, fmt, args);
    va_end(args);
    return rc;
}

void sp_problem_warn(struct sp_problems *p, const struct sp_json *at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    tell(p, at, SP_OK, fmt, args);
    va_end(args);
}

enum sp_rc sp_problem_file(struct sp_problems *p, const char *file, uint32_t line, enum sp_rc rc,
                           const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    tell_file(p, file, line, rc, fmt, args);
    va_end(args);
    return rc;
}

void sp_problem_file_warn(struct sp_problems *p, const char *file, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    tell_file(p, file, 0, SP_OK, fmt, args);
    va_end(args);
}

size_t sp_problems_left(const struct sp_problems *p, bool errors)
{
    return errors ? p->errors_left : p->warnings_left;
}

size_t sp_problems_errors(const struct sp_problems *p)
{
    return p->errors;
}

size_t sp_problems_count(const struct sp_problems *p)
{
    return p->count;
}

const struct sp_problem *sp_problems_at(const struct sp_problems *p, size_t i)
{
    sp_assert(i < p->count);
    return &p->items[i];
}

/* A name in a file may hold what a terminal would obey. */
static void put_visible(struct sp_buf *out, const char *text)
{
    for (; *text != 0; text++) {
        uint8_t c = (uint8_t)*text;

        if (c < ' ' || c == 0x7f)
            sp_buf_printf(out, "\\x%02x", c);
        else
            sp_buf_put_u8(out, c);
    }
}

void sp_problem_format(const struct sp_problem *problem, struct sp_buf *out)
{
    if (problem->file[0] != 0)
        put_visible(out, problem->file);
    if (problem->file[0] != 0 && problem->line > 0)
        sp_buf_printf(out, ":%u", problem->line);
    if (problem->file[0] != 0)
        sp_buf_put_cstr(out, ": ");
    if (problem->path[0] != 0 && strcmp(problem->path, "$") != 0) {
        put_visible(out, problem->path);
        sp_buf_put_cstr(out, ": ");
    }
    put_visible(out, problem->text);
}

enum sp_rc sp_problems_rc(const struct sp_problems *p, struct sp_err *err)
{
    for (size_t i = 0; i < p->count; i++) {
        struct sp_buf text;

        if (p->items[i].is_warning)
            continue;
        sp_buf_init(&text, 2048);
        sp_problem_format(&p->items[i], &text);
        sp_fail(err, p->items[i].rc, "%.*s", SP_FMT(sp_buf_bytes(&text)));
        sp_buf_clear(&text);
        break;
    }
    return p->errors == 0 ? SP_OK : p->first_rc;
}

const char *sp_problem_nearest(struct sp_bytes written, const char *const *names, size_t count)
{
    unsigned limit = written.len < 4 ? 1 : written.len < 8 ? 2 : 3, best = limit + 1;
    const char *nearest = NULL;

    for (size_t i = 0; i < count; i++) {
        unsigned d = sp_text_distance(written, sp_bytes_cstr(names[i]), limit);

        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}
