/*
 * RFC 8785: the one text of a value. Members are sorted by their UTF-16 code units (which differs from byte order only
 * where surrogates meet U+E000 to U+FFFF), strings escape only what must be, numbers are written as ECMAScript does:
 * the fewest digits that read back as the same double. The walk keeps its own stack, since trees come from outside.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/json_priv.h"

#define LENT_MAX 256 /* members being sorted at one time without asking for memory */
#define FEW      16  /* are put in order by insertion */

struct level {
    const struct sp_json **members; /* of an object, sorted; else NULL */
    const struct sp_json *item;     /* next of an array */
    size_t count;
    size_t next;
    size_t lent_before;
};

struct stack {
    struct level levels[SP_JSON_DEPTH_MAX + 2];
    size_t depth;
    const struct sp_json *lent[LENT_MAX]; /* to the levels that are open, outermost first */
    size_t lent_count;
    struct sp_arena *arena; /* for more; NULL until then */
};

/*
 * Order of UTF-16 code units (RFC 8785 3.2.3). It is that of the bytes of UTF-8, but that code points past the BMP, whose
 * lead bytes are f0 and up, are written as surrogates and so stand before U+E000 to U+FFFF, whose lead bytes are ee and ef.
 */
static int compare_keys(struct sp_bytes x, struct sp_bytes y)
{
    size_t len = x.len < y.len ? x.len : y.len, i = 0;

    while (i < len && x.ptr[i] == y.ptr[i])
        i++;
    if (i == len)
        return (x.len > y.len) - (x.len < y.len);
    if (x.ptr[i] >= 0xee && y.ptr[i] >= 0xee && (x.ptr[i] >= 0xf0) != (y.ptr[i] >= 0xf0))
        return x.ptr[i] >= 0xf0 ? -1 : 1;
    return x.ptr[i] < y.ptr[i] ? -1 : 1;
}

static int compare_members(const void *a, const void *b)
{
    return compare_keys((*(const struct sp_json *const *)a)->key,
                        (*(const struct sp_json *const *)b)->key);
}

/* The members of an object in their order. returns: how many */
static size_t sort_members(const struct sp_json *object, const struct sp_json **out)
{
    bool is_small = object->count <= FEW;
    size_t n = 0;

    for (const struct sp_json *m = object->first; m != NULL; m = m->next) {
        size_t k = n++;

        for (; is_small && k > 0 && compare_keys(out[k - 1]->key, m->key) > 0; k--)
            out[k] = out[k - 1];
        out[k] = m;
    }
    if (!is_small)
        qsort(out, n, sizeof(void *), compare_members);
    return n;
}

static void put_escape(struct sp_buf *out, uint8_t c)
{
    static const char shorts[] = "btn\0fr"; /* 0x08 to 0x0d; 0x0b has none */

    sp_buf_put_u8(out, '\\');
    if (c >= 0x20)
        sp_buf_put_u8(out, c);
    else if (c >= 0x08 && c <= 0x0d && c != 0x0b)
        sp_buf_put_u8(out, (uint8_t)shorts[c - 0x08]);
    else
        sp_buf_printf(out, "u%04x", c);
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

static void put_text(struct sp_buf *out, struct sp_bytes s)
{
    size_t from = 0;

    sp_buf_put_u8(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (is_plain(s.ptr[i]))
            continue;
        sp_buf_put(out, sp_bytes(s.ptr + from, i - from));
        put_escape(out, s.ptr[i]);
        from = i + 1;
    }
    if (from < s.len)
        sp_buf_put(out, sp_bytes(s.ptr + from, s.len - from));
    sp_buf_put_u8(out, '"');
}

static void put_zeros(struct sp_buf *out, int n)
{
    for (; n > 0; n--)
        sp_buf_put_u8(out, '0');
}

/* Digits and exponent of the shortest form that reads back the same. returns: how many digits */
static int shortest(double v, char digits[20], int *point)
{
    char text[40];
    int n = 0;

    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, v);
        if (strtod(text, NULL) == v)
            break;
    }
    for (const char *c = text; *c != 'e'; c++)
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    *point = (int)strtol(strchr(text, 'e') + 1, NULL, 10) + 1;
    return n;
}

/* ECMA-262 Number::toString, which RFC 8785 3.2.2.3 takes over. */
static void put_real(struct sp_buf *out, double v)
{
    char digits[20] = {0};
    int point = 0, n;

    if (v == 0 || !isfinite(v)) {
        sp_buf_put_u8(out, '0');
        return;
    }
    if (v < 0)
        sp_buf_put_u8(out, '-');
    n = shortest(fabs(v), digits, &point);
    if (point > 21 || point < -5) {
        sp_buf_put_u8(out, (uint8_t)digits[0]);
        if (n > 1)
            sp_buf_put_u8(out, '.');
        sp_buf_put(out, sp_bytes(digits + 1, (size_t)(n - 1)));
        sp_buf_printf(out, "e%c%d", point - 1 < 0 ? '-' : '+', abs(point - 1));
    } else if (point <= 0) {
        sp_buf_put_cstr(out, "0.");
        put_zeros(out, -point);
        sp_buf_put(out, sp_bytes(digits, (size_t)n));
    } else if (n <= point) {
        sp_buf_put(out, sp_bytes(digits, (size_t)n));
        put_zeros(out, point - n);
    } else {
        sp_buf_put(out, sp_bytes(digits, (size_t)point));
        sp_buf_put_u8(out, '.');
        sp_buf_put(out, sp_bytes(digits + point, (size_t)(n - point)));
    }
}

static void put_scalar(struct sp_buf *out, const struct sp_json *v)
{
    switch (v->type) {
    case SP_JSON_TEXT:
        put_text(out, v->text);
        break;
    case SP_JSON_INT:
        sp_buf_put_dec(out, v->integer);
        break;
    case SP_JSON_REAL:
        put_real(out, v->real);
        break;
    case SP_JSON_BOOL:
        sp_buf_put_cstr(out, v->integer ? "true" : "false");
        break;
    default:
        sp_buf_put_cstr(out, "null");
        break;
    }
}

static const struct sp_json **lend(struct stack *s, size_t count)
{
    const struct sp_json **room = s->lent + s->lent_count;

    if (count <= LENT_MAX - s->lent_count) {
        s->lent_count += count;
        return room;
    }
    if (s->arena == NULL)
        s->arena = sp_arena_new(count * sizeof(void *));
    return sp_arena_alloc(s->arena, count * sizeof(void *));
}

static struct level open_level(struct stack *s, const struct sp_json *v)
{
    struct level l = {.item = v->first, .count = v->count, .lent_before = s->lent_count};

    if (v->type == SP_JSON_OBJECT) {
        l.members = lend(s, v->count);
        l.count = sort_members(v, l.members);
    }
    return l;
}

/* Writes a scalar whole, or the opening of an array or object. returns: false if nested too deeply */
static bool put_value(struct stack *s, const struct sp_json *v, struct sp_buf *out)
{
    if (v->type != SP_JSON_OBJECT && v->type != SP_JSON_ARRAY) {
        put_scalar(out, v);
        return true;
    }
    if (s->depth == SP_ARRAY_LEN(s->levels))
        return false;
    sp_buf_put_u8(out, v->type == SP_JSON_OBJECT ? '{' : '[');
    s->levels[s->depth++] = open_level(s, v);
    return true;
}

static void close_level(struct stack *s, struct sp_buf *out)
{
    const struct level *l = &s->levels[--s->depth];

    s->lent_count = l->lent_before;
    sp_buf_put_u8(out, l->members != NULL ? '}' : ']');
}

/* Closes what is complete and goes to the next child, its key written. returns: NULL at the end */
static const struct sp_json *next_value(struct stack *s, struct sp_buf *out)
{
    const struct sp_json *v;
    struct level *l;

    while (s->depth > 0 && s->levels[s->depth - 1].next == s->levels[s->depth - 1].count)
        close_level(s, out);
    if (s->depth == 0)
        return NULL;
    l = &s->levels[s->depth - 1];
    if (l->next > 0)
        sp_buf_put_u8(out, ',');
    if (l->members == NULL) {
        v = l->item;
        l->item = v->next;
    } else {
        v = l->members[l->next];
        put_text(out, v->key);
        sp_buf_put_u8(out, ':');
    }
    l->next++;
    return v;
}

enum sp_rc sp_json_canonical(const struct sp_json *value, struct sp_buf *out)
{
    enum sp_rc rc = SP_OK;
    struct stack s;

    s.depth = 0;
    s.lent_count = 0;
    s.arena = NULL;
    for (const struct sp_json *v = value; v != NULL && rc == SP_OK; v = next_value(&s, out))
        if (!put_value(&s, v, out))
            rc = SP_E_LIMIT;
    sp_arena_free(s.arena);
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}

enum sp_rc sp_json_canonicalise(struct sp_bytes text, struct sp_buf *out, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    enum sp_rc rc = sp_json_parse(text, NULL, &doc, err);

    return rc != SP_OK ? rc : sp_json_canonical(doc->root, out);
}
