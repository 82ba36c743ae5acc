/*
 * The index of exact data: for each value the first eight bytes of an HMAC-SHA-256 under a key that lies elsewhere, and its
 * type, sorted. A value is its letters and digits in small ones; a name is its given and family name, each by itself. Nobody
 * without the key learns from the index who is in it; a value of few bits would be guessed by who has both.
 */
#include "base/reader.h"
#include "crypt/hash.h"
#include "detect/exact_priv.h"

#include <stdlib.h>

#define MAGIC     "SPEXACT1"
#define MAGIC_LEN 8
#define MARK_LEN  8 /* HMAC of MAGIC: tells a wrong key */
#define HEAD_LEN  (MAGIC_LEN + MARK_LEN + 4)
#define TAG_LEN   8
#define ROW_LEN   (TAG_LEN + 1)
#define VALUE_MAX 64 /* bytes of a value that count */
#define VALUE_MIN 5

struct sp_detect_exact {
    struct sp_bytes rows;
    size_t count;
    uint8_t key[SP_DETECT_EXACT_KEY_LEN];
};

struct sp_detect_index {
    uint8_t key[SP_DETECT_EXACT_KEY_LEN];
    struct sp_buf rows;
};

static void tag_of(const uint8_t *key, struct sp_bytes text, uint8_t out[TAG_LEN])
{
    uint8_t digest[SP_SHA256_LEN];

    sp_crypt_hmac(sp_bytes(key, SP_DETECT_EXACT_KEY_LEN), text, digest);
    memcpy(out, digest, TAG_LEN);
}

/* ---- values in the form that is compared ---- */

struct value {
    uint8_t text[2 * VALUE_MAX + 2];
    size_t len;
};

/* Letters and digits, small. returns: how many were added */
static size_t add_plain(struct value *v, struct sp_bytes text, bool digits)
{
    size_t before = v->len;

    for (size_t i = 0; i < text.len && v->len - before < VALUE_MAX; i++)
        if (sp_detect_is_letter(text.ptr[i]) || (digits && sp_ascii_is_digit(text.ptr[i])))
            v->text[v->len++] = sp_ascii_lower(text.ptr[i]);
    return v->len - before;
}

/* returns: false if the two say too little */
static bool name_value(struct sp_bytes given, struct sp_bytes family, struct value *v)
{
    *v = (struct value){.text = {'n'}, .len = 1};
    if (add_plain(v, given, false) < 2)
        return false;
    v->text[v->len++] = 0;
    return add_plain(v, family, false) >= 2;
}

/* returns: false if it is too short, or has no digit */
static bool number_value(struct sp_bytes text, struct value *v)
{
    bool digit = false;

    *v = (struct value){.text = {'v'}, .len = 1};
    if (add_plain(v, text, true) < VALUE_MIN)
        return false;
    for (size_t i = 1; i < v->len; i++)
        digit = digit || sp_ascii_is_digit(v->text[i]);
    return digit;
}

/* ---- looking up ---- */

enum sp_rc sp_detect_exact_open(struct sp_bytes index, struct sp_bytes key,
                                struct sp_detect_exact **out, struct sp_err *err)
{
    struct sp_reader r = sp_reader(index);
    struct sp_bytes magic = sp_reader_take(&r, MAGIC_LEN), mark = sp_reader_take(&r, MARK_LEN);
    uint32_t count = sp_reader_u32(&r);
    struct sp_detect_exact *x;
    uint8_t expected[MARK_LEN];

    if (index.len < HEAD_LEN || !sp_bytes_eq(magic, SP_LIT(MAGIC)) ||
        index.len != HEAD_LEN + (size_t)count * ROW_LEN)
        return sp_fail(err, SP_E_MALFORMED, "this is no index of exact data, or it is cut off");
    if (key.len != SP_DETECT_EXACT_KEY_LEN)
        return sp_fail(err, SP_E_CRYPT_KEY,
                       "the key of exact data must be a file of %d random bytes",
                       SP_DETECT_EXACT_KEY_LEN);
    tag_of(key.ptr, SP_LIT(MAGIC), expected);
    if (!sp_crypt_equal(mark, sp_bytes(expected, MARK_LEN)))
        return sp_fail(err, SP_E_CRYPT_KEY, "the index of exact data was made with another key");
    x = sp_calloc(1, sizeof(*x));
    memcpy(x->key, key.ptr, key.len);
    x->rows = sp_bytes_slice(index, HEAD_LEN, SIZE_MAX);
    x->count = count;
    *out = x;
    return SP_OK;
}

void sp_detect_exact_free(struct sp_detect_exact *x)
{
    if (x == NULL)
        return;
    sp_wipe(x->key, sizeof(x->key));
    sp_free(x);
}

size_t sp_detect_exact_count(const struct sp_detect_exact *x)
{
    return x->count;
}

/* returns: the row's type, or SP_DETECT_TYPES */
static enum sp_detect_type find(const struct sp_detect_exact *x, const struct value *v)
{
    uint8_t tag[TAG_LEN];
    size_t low = 0, high = x->count;

    tag_of(x->key, sp_bytes(v->text, v->len), tag);
    while (low < high) {
        size_t mid = (low + high) / 2;
        const uint8_t *row = x->rows.ptr + mid * ROW_LEN;
        int order = memcmp(row, tag, TAG_LEN);

        if (order == 0)
            return row[TAG_LEN] < SP_DETECT_TYPES ? row[TAG_LEN] : SP_DETECT_OTHER;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return SP_DETECT_TYPES;
}

bool sp_detect_exact_has_name(const struct sp_detect_exact *x, struct sp_bytes given,
                              struct sp_bytes family)
{
    struct value v;

    return name_value(given, family, &v) && find(x, &v) == SP_DETECT_PERSON;
}

enum sp_detect_type sp_detect_exact_find(const struct sp_detect_exact *x, struct sp_bytes value)
{
    struct value v;

    return number_value(value, &v) ? find(x, &v) : SP_DETECT_TYPES;
}

/* ---- making ---- */

struct sp_detect_index *sp_detect_index_new(struct sp_bytes key)
{
    struct sp_detect_index *x = sp_calloc(1, sizeof(*x));

    sp_assert(key.len == SP_DETECT_EXACT_KEY_LEN);
    memcpy(x->key, key.ptr, key.len);
    sp_buf_init(&x->rows, (size_t)SP_DETECT_EXACT_MAX * ROW_LEN);
    return x;
}

void sp_detect_index_free(struct sp_detect_index *x)
{
    if (x == NULL)
        return;
    sp_wipe(x->key, sizeof(x->key));
    sp_buf_wipe(&x->rows);
    sp_free(x);
}

static void add_row(struct sp_detect_index *x, const struct value *v, enum sp_detect_type type)
{
    uint8_t tag[TAG_LEN];

    tag_of(x->key, sp_bytes(v->text, v->len), tag);
    sp_buf_put(&x->rows, sp_bytes(tag, TAG_LEN));
    sp_buf_put_u8(&x->rows, (uint8_t)type);
}

bool sp_detect_index_add_name(struct sp_detect_index *x, struct sp_bytes given,
                              struct sp_bytes family)
{
    struct value v;
    bool ok = name_value(given, family, &v);

    if (ok)
        add_row(x, &v, SP_DETECT_PERSON);
    return ok;
}

bool sp_detect_index_add_value(struct sp_detect_index *x, enum sp_detect_type type,
                               struct sp_bytes value)
{
    struct value v;
    bool ok = number_value(value, &v);

    if (ok)
        add_row(x, &v, type);
    return ok;
}

static int by_tag(const void *a, const void *b)
{
    return memcmp(a, b, TAG_LEN);
}

enum sp_rc sp_detect_index_finish(struct sp_detect_index *x, struct sp_buf *out)
{
    size_t count = x->rows.len / ROW_LEN, kept = 0;
    uint8_t *rows = x->rows.ptr, mark[MARK_LEN];

    if (sp_buf_rc(&x->rows) != SP_OK)
        return sp_buf_rc(&x->rows);
    if (count > 0)
        qsort(rows, count, ROW_LEN, by_tag);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || memcmp(rows + (kept - 1) * ROW_LEN, rows + i * ROW_LEN, TAG_LEN) != 0)
            memmove(rows + kept++ * ROW_LEN, rows + i * ROW_LEN, ROW_LEN);
    tag_of(x->key, SP_LIT(MAGIC), mark);
    sp_buf_put(out, SP_LIT(MAGIC));
    sp_buf_put(out, sp_bytes(mark, MARK_LEN));
    sp_buf_put_u32(out, (uint32_t)kept);
    if (kept > 0)
        sp_buf_put(out, sp_bytes(rows, kept * ROW_LEN));
    return sp_buf_rc(out);
}
