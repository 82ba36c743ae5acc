/*
 * A table as wide as what is in it. Addresses and the like come from outside: bytes that a terminal would take for more
 * than text are shown as "?".
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

#define COLUMNS_MAX 16
#define CELL_MAX    256

struct row {
    char *cells[COLUMNS_MAX];
};

struct table {
    size_t columns;
    size_t width[COLUMNS_MAX];
    struct row *rows;
    size_t count;
    size_t cap;
};

/* The number of characters that a terminal shows for valid UTF-8. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text != 0; text++)
        n += ((uint8_t)*text & 0xc0) != 0x80;
    return n;
}

static char *clean(struct sp_bytes text)
{
    char *out;

    text = sp_bytes_slice(text, 0, CELL_MAX);
    out = sp_strdup_bytes(text);
    for (size_t i = 0; i < text.len; i++) {
        if ((uint8_t)out[i] < 0x20 || out[i] == 0x7f || (uint8_t)out[i] == 0xc2)
            out[i] = '?';
    }
    return out;
}

void table_add(struct table *t, const struct sp_bytes *cells)
{
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 64 : t->cap * 2;
        t->rows = sp_realloc(t->rows, t->cap * sizeof(*t->rows));
    }
    for (size_t i = 0; i < t->columns; i++) {
        char *cell = clean(cells[i]);
        size_t width = width_of(cell);

        t->rows[t->count].cells[i] = cell;
        if (width > t->width[i])
            t->width[i] = width;
    }
    t->count++;
}

struct table *table_new(const char *const *heads, size_t count)
{
    struct table *t = sp_calloc(1, sizeof(*t));
    struct sp_bytes cells[COLUMNS_MAX];

    sp_assert(count <= COLUMNS_MAX);
    t->columns = count;
    for (size_t i = 0; i < count; i++)
        cells[i] = sp_bytes_cstr(heads[i]);
    table_add(t, cells);
    return t;
}

static void forget_rows(struct table *t)
{
    for (size_t r = 0; r < t->count; r++) {
        for (size_t i = 0; i < t->columns; i++)
            sp_free(t->rows[r].cells[i]);
    }
    t->count = 0;
}

void table_print(struct table *t)
{
    for (size_t r = 0; r < t->count; r++) {
        for (size_t i = 0; i < t->columns; i++) {
            const char *cell = t->rows[r].cells[i];
            size_t pad = i + 1 < t->columns ? t->width[i] - width_of(cell) + 2 : 0;

            (void)printf("%s%*s", cell, (int)pad, "");
        }
        (void)printf("\n");
    }
    forget_rows(t);
}

void table_free(struct table *t)
{
    if (t == NULL)
        return;
    forget_rows(t);
    sp_free(t->rows);
    sp_free(t);
}
