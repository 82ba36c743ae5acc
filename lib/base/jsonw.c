/*
 * JSON text written straight into a buffer: audit evidence and log lines are made on the hot path, where building a tree
 * first would cost more than the message. The writer knows where it stands, so its output is always well-formed.
 */
#include "base/text.h"

#include "base/id.h"
#include "base/mem.h"

static bool is_plain_json(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Appends JSON text of one byte that can't stand for itself; returns the bytes used. RFC 8259 7 */
static size_t escape_step(struct sp_buf *out, struct sp_bytes rest)
{
    static const char names[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    uint8_t c = rest.ptr[0];
    size_t step;

    if (c == '"' || c == '\\') {
        sp_buf_put_u8(out, '\\');
        sp_buf_put_u8(out, c);
        return 1;
    }
    if (c < sizeof(names) && names[c] != 0) {
        sp_buf_put_u8(out, '\\');
        sp_buf_put_u8(out, (uint8_t)names[c]);
        return 1;
    }
    if (c < 0x20) {
        sp_buf_printf(out, "\\u%04x", c);
        return 1;
    }
    step = sp_utf8_step(rest);
    if (step == 0) {
        sp_buf_put_cstr(out, "\xef\xbf\xbd");
        return 1;
    }
    sp_buf_put(out, sp_bytes_slice(rest, 0, step));
    return step;
}

static void put_json_string(struct sp_buf *out, struct sp_bytes v)
{
    sp_buf_put_u8(out, '"');
    while (v.len > 0) {
        size_t plain = 0;

        while (plain < v.len && is_plain_json(v.ptr[plain]))
            plain++;
        sp_buf_put(out, sp_bytes_slice(v, 0, plain));
        v = sp_bytes_slice(v, plain, SIZE_MAX);
        if (v.len > 0)
            v = sp_bytes_slice(v, escape_step(out, v), SIZE_MAX);
    }
    sp_buf_put_u8(out, '"');
}

void sp_jw_init(struct sp_jw *w, struct sp_buf *out)
{
    *w = (struct sp_jw){.out = out};
}

static void begin_item(struct sp_jw *w, const char *key)
{
    sp_assert((key != NULL) == (w->depth > 0 && !w->is_array[w->depth - 1]));
    if (w->depth > 0) {
        if (w->has_item[w->depth - 1])
            sp_buf_put_u8(w->out, ',');
        w->has_item[w->depth - 1] = true;
    }
    if (key != NULL) {
        put_json_string(w->out, sp_bytes_cstr(key));
        sp_buf_put_u8(w->out, ':');
    }
}

static void begin_nest(struct sp_jw *w, const char *key, bool is_array)
{
    sp_assert(w->depth < SP_JW_DEPTH_MAX);
    begin_item(w, key);
    w->is_array[w->depth] = is_array;
    w->has_item[w->depth] = false;
    w->depth++;
    sp_buf_put_u8(w->out, is_array ? '[' : '{');
}

void sp_jw_object(struct sp_jw *w, const char *key)
{
    begin_nest(w, key, false);
}

void sp_jw_array(struct sp_jw *w, const char *key)
{
    begin_nest(w, key, true);
}

void sp_jw_end(struct sp_jw *w)
{
    sp_assert(w->depth > 0);
    w->depth--;
    sp_buf_put_u8(w->out, w->is_array[w->depth] ? ']' : '}');
}

void sp_jw_text(struct sp_jw *w, const char *key, struct sp_bytes v)
{
    begin_item(w, key);
    put_json_string(w->out, v);
}

void sp_jw_cstr(struct sp_jw *w, const char *key, const char *v)
{
    if (v == NULL)
        sp_jw_null(w, key);
    else
        sp_jw_text(w, key, sp_bytes_cstr(v));
}

void sp_jw_int(struct sp_jw *w, const char *key, int64_t v)
{
    begin_item(w, key);
    sp_buf_put_dec(w->out, v);
}

void sp_jw_bool(struct sp_jw *w, const char *key, bool v)
{
    begin_item(w, key);
    sp_buf_put_cstr(w->out, v ? "true" : "false");
}

void sp_jw_null(struct sp_jw *w, const char *key)
{
    begin_item(w, key);
    sp_buf_put_cstr(w->out, "null");
}

void sp_jw_id(struct sp_jw *w, const char *key, const uint8_t id[16])
{
    char text[SP_ID_TEXT_LEN + 1];
    struct sp_id copy;

    memcpy(copy.b, id, SP_ID_LEN);
    sp_id_format(&copy, text);
    sp_jw_cstr(w, key, text);
}

void sp_jw_raw(struct sp_jw *w, const char *key, struct sp_bytes json)
{
    begin_item(w, key);
    sp_buf_put(w->out, json);
}
