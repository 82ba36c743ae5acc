/*
 * The list of problems. Texts live in an arena of the list's own, since the documents they speak of go first. Entries
 * past a bound are counted and not kept: a file of a million errors is shown as two hundred.
 */
#include "json/problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/text.h"

#define KEPT_MAX 200

struct sp_problems {
    struct sp_arena *arena;
    struct sp_problem items[KEPT_MAX];
    size_t count;
    size_t errors;
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

/* A new entry with its text, or NULL if there is no room. */
SP_PRINTF(3, 0)
static struct sp_problem *add(struct sp_problems *p, enum sp_rc rc, const char *fmt, va_list args)
{
    char text[600];
    struct sp_problem *item;

    if (rc != SP_OK && p->errors++ == 0)
        p->first_rc = rc;
    if (p->count == KEPT_MAX)
        return NULL;
    item = &p->items[p->count++];
    vsnprintf(text, sizeof(text), fmt, args);
    item->is_warning = rc == SP_OK;
    item->rc = rc;
    item->file = item->path = "";
    item->text = sp_arena_cstr(p->arena, sp_bytes_cstr(text));
    return item;
}

static void place(struct sp_problems *p, struct sp_problem *item, const struct sp_json *at)
{
    struct sp_buf path;

    if (item == NULL || at == NULL)
        return;
    sp_buf_init(&path, 512);
    sp_json_path(at, &path);
    item->file = sp_arena_cstr(p->arena, sp_bytes_cstr(sp_json_file(at->doc)));
    item->line = at->line;
    item->column = at->column;
    item->path = sp_arena_cstr(p->arena, sp_buf_bytes(&path));
    sp_buf_clear(&path);
}

enum sp_rc sp_problem(struct sp_problems *p, const struct sp_json *at, enum sp_rc rc,
                      const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    place(p, add(p, rc, fmt, args), at);
    va_end(args);
    return rc;
}

void sp_problem_warn(struct sp_problems *p, const struct sp_json *at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    place(p, add(p, SP_OK, fmt, args), at);
    va_end(args);
}

enum sp_rc sp_problem_file(struct sp_problems *p, const char *file, uint32_t line, enum sp_rc rc,
                           const char *fmt, ...)
{
    struct sp_problem *item;
    va_list args;

    va_start(args, fmt);
    item = add(p, rc, fmt, args);
    va_end(args);
    if (item != NULL) {
        item->file = sp_arena_cstr(p->arena, sp_bytes_cstr(file));
        item->line = line;
    }
    return rc;
}

void sp_problem_file_warn(struct sp_problems *p, const char *file, const char *fmt, ...)
{
    struct sp_problem *item;
    va_list args;

    va_start(args, fmt);
    item = add(p, SP_OK, fmt, args);
    va_end(args);
    if (item != NULL)
        item->file = sp_arena_cstr(p->arena, sp_bytes_cstr(file));
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

void sp_problem_format(const struct sp_problem *problem, struct sp_buf *out)
{
    if (problem->file[0] != 0)
        sp_buf_put_cstr(out, problem->file);
    if (problem->line > 0)
        sp_buf_printf(out, ":%u", problem->line);
    if (problem->file[0] != 0)
        sp_buf_put_cstr(out, ": ");
    if (problem->path[0] != 0 && strcmp(problem->path, "$") != 0) {
        sp_buf_put_cstr(out, problem->path);
        sp_buf_put_cstr(out, ": ");
    }
    sp_buf_put_cstr(out, problem->text);
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
