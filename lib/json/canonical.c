/*
 * RFC 8785: the one text of a value. Members are sorted by their UTF-16 code units (which differs from byte order only
 * where surrogates meet U+E000 to U+FFFF), strings escape only what must be, numbers are written as ECMAScript does:
 * the fewest digits that read back as the same double. The walk keeps its own stack, since trees come from outside.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/json_priv.h"

struct level {
    const struct sp_json **children; /* sorted, count of them */
    size_t count;
    size_t next;
    bool is_object;
};

/* The next UTF-16 code unit sort key of valid UTF-8: code points past the BMP sort as their surrogates, that is, between
 * U+D7FF and U+E000. */
static uint32_t utf16_key(struct sp_bytes s, size_t *at)
{
    uint8_t c = s.ptr[*at];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t code = n == 1 ? c : n == 2 ? c & 0x1fU : n == 3 ? c & 0x0fU : c & 0x07U;

    for (size_t i = 1; i < n && *at + i < s.len; i++)
        code = code << 6 | (s.ptr[*at + i] & 0x3fU);
    *at += n;
    if (code >= 0x10000)
        return 0xd800U * 0x200U +
               (code - 0x10000); /* after 0xd7ff, before 0xe000, in order among themselves */
    return code * 0x200U;
}

static int compare_keys(const void *a, const void *b)
{
    struct sp_bytes x = (*(const struct sp_json *const *)a)->key;
    struct sp_bytes y = (*(const struct sp_json *const *)b)->key;
    size_t i = 0, k = 0;

    while (i < x.len && k < y.len) {
        uint32_t p = utf16_key(x, &i), q = utf16_key(y, &k);

        if (p != q)
            return p < q ? -1 : 1;
    }
    return (i < x.len) - (k < y.len);
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

static void put_text(struct sp_buf *out, struct sp_bytes s)
{
    size_t from = 0;

    sp_buf_put_u8(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= 0x20 && s.ptr[i] != '"' && s.ptr[i] != '\\')
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

static struct level open_level(struct sp_arena *arena, const struct sp_json *v)
{
    struct level l = {.count = v->count, .is_object = v->type == SP_JSON_OBJECT};
    size_t i = 0;

    l.children = sp_arena_alloc(arena, (v->count + 1) * sizeof(void *));
    for (const struct sp_json *c = v->first; c != NULL; c = c->next)
        l.children[i++] = c;
    if (l.is_object)
        qsort(l.children, l.count, sizeof(void *), compare_keys);
    return l;
}

struct stack {
    struct level levels[SP_JSON_DEPTH_MAX + 2];
    size_t depth;
};

/* Writes a scalar whole, or the opening of an array or object. returns: false if nested too deeply */
static bool put_value(struct stack *s, struct sp_arena *arena, const struct sp_json *v,
                      struct sp_buf *out)
{
    if (v->type != SP_JSON_OBJECT && v->type != SP_JSON_ARRAY) {
        put_scalar(out, v);
        return true;
    }
    if (s->depth == SP_ARRAY_LEN(s->levels))
        return false;
    sp_buf_put_u8(out, v->type == SP_JSON_OBJECT ? '{' : '[');
    s->levels[s->depth++] = open_level(arena, v);
    return true;
}

/* Closes what is complete and goes to the next child, its key written. returns: NULL at the end */
static const struct sp_json *next_value(struct stack *s, struct sp_buf *out)
{
    const struct sp_json *v;
    struct level *l;

    while (s->depth > 0 && s->levels[s->depth - 1].next == s->levels[s->depth - 1].count)
        sp_buf_put_u8(out, s->levels[--s->depth].is_object ? '}' : ']');
    if (s->depth == 0)
        return NULL;
    l = &s->levels[s->depth - 1];
    if (l->next > 0)
        sp_buf_put_u8(out, ',');
    v = l->children[l->next++];
    if (l->is_object) {
        put_text(out, v->key);
        sp_buf_put_u8(out, ':');
    }
    return v;
}

enum sp_rc sp_json_canonical(const struct sp_json *value, struct sp_buf *out)
{
    SP_AUTO(sp_arena) arena = sp_arena_new(1024);
    struct stack s;

    s.depth = 0;
    for (const struct sp_json *v = value; v != NULL; v = next_value(&s, out))
        if (!put_value(&s, arena, v, out))
            return SP_E_LIMIT;
    return sp_buf_rc(out);
}

enum sp_rc sp_json_canonicalise(struct sp_bytes text, struct sp_buf *out, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    enum sp_rc rc = sp_json_parse(text, NULL, &doc, err);

    return rc != SP_OK ? rc : sp_json_canonical(doc->root, out);
}
