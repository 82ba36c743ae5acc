/*
 * Values of fields: unfolding, encoded words (RFC 2047), tokens, parameters, subject tags. Decoding knows UTF-8, US-ASCII
 * and ISO-8859-1; a word in another charset stays as it was written, since it is only matched by rules here and the
 * scanner reads the message properly.
 */
#include "mail/header.h"

#include "base/text.h"

/* An encoded word is at most 75 bytes (RFC 2047 2); senders that write longer ones are common, so allow more. */
#define WORD_MAX 512

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void sp_field_unfold(const struct sp_field *f, struct sp_buf *out)
{
    struct sp_bytes v = sp_bytes_trim(f->value);
    uint8_t *to = sp_buf_reserve(out, v.len);
    size_t n = 0;

    if (to == NULL)
        return;
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] != '\r' && v.ptr[i] != '\n')
            to[n++] = v.ptr[i];
    }
    sp_buf_commit(out, n);
}

struct word {
    struct sp_bytes charset;
    struct sp_bytes text;
    bool is_base64;
    size_t len; /* of the whole =?...?= */
};

/* Reads =?charset?B|Q?text?= at the start of v. */
static bool take_word(struct sp_bytes v, struct word *w)
{
    struct sp_bytes rest;
    size_t q1, q3;

    if (v.len < 8 || v.ptr[0] != '=' || v.ptr[1] != '?')
        return false;
    rest = sp_bytes_slice(v, 2, WORD_MAX);
    q1 = sp_bytes_find(rest, '?');
    if (q1 == SIZE_MAX || q1 == 0 || q1 + 2 >= rest.len || rest.ptr[q1 + 2] != '?')
        return false;
    w->charset = sp_bytes_slice(rest, 0, q1);
    w->is_base64 = sp_ascii_lower(rest.ptr[q1 + 1]) == 'b';
    if (!w->is_base64 && sp_ascii_lower(rest.ptr[q1 + 1]) != 'q')
        return false;
    rest = sp_bytes_slice(rest, q1 + 3, rest.len);
    q3 = sp_bytes_find(rest, '?');
    if (q3 == SIZE_MAX || q3 + 1 >= rest.len || rest.ptr[q3 + 1] != '=')
        return false;
    w->text = sp_bytes_slice(rest, 0, q3);
    for (size_t i = 0; i < q3; i++) {
        if (is_space(rest.ptr[i]))
            return false;
    }
    w->len = 2 + q1 + 3 + q3 + 2;
    return true;
}

static bool decode_q(struct sp_bytes text, struct sp_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '=') {
            if (!sp_hex_decode(out, sp_bytes_slice(text, i + 1, 2)) || i + 2 >= text.len)
                return false;
            i += 2;
        } else {
            sp_buf_put_u8(out, c == '_' ? ' ' : c);
        }
    }
    return true;
}

static void put_latin1(struct sp_bytes raw, struct sp_buf *out)
{
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.ptr[i];

        if (c < 0x80) {
            sp_buf_put_u8(out, c);
            continue;
        }
        sp_buf_put_u8(out, (uint8_t)(0xC0 | (c >> 6)));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3F)));
    }
}

/* Appends raw bytes of a charset as UTF-8. returns: false if the charset is not known */
static bool put_utf8(struct sp_bytes charset, struct sp_bytes raw, struct sp_buf *out)
{
    struct sp_bytes rest = charset, name;

    if (!sp_bytes_split(&rest, '*', &name)) /* RFC 2231 5: charset*language */
        return false;
    if (sp_bytes_eq_nocase(name, SP_LIT("iso-8859-1")) ||
        sp_bytes_eq_nocase(name, SP_LIT("windows-1252"))) {
        put_latin1(raw, out);
        return true;
    }
    if (!sp_bytes_eq_nocase(name, SP_LIT("utf-8")) && !sp_bytes_eq_nocase(name, SP_LIT("us-ascii")))
        return false;
    sp_buf_put(out, raw);
    return true;
}

static bool put_word(const struct word *w, struct sp_buf *out)
{
    struct sp_buf raw;
    bool ok;

    sp_buf_init(&raw, WORD_MAX);
    if (w->is_base64)
        ok = sp_base64_decode(&raw, w->text);
    else
        ok = decode_q(w->text, &raw);
    ok = ok && !raw.failed && put_utf8(w->charset, sp_buf_bytes(&raw), out);
    sp_buf_clear(&raw);
    return ok;
}

/* Control bytes in a decoded subject would only serve to fool whoever reads it. */
static void blank_controls(struct sp_buf *out, size_t from)
{
    for (size_t i = from; i < out->len; i++) {
        if (out->ptr[i] < 32 || out->ptr[i] == 127)
            out->ptr[i] = ' ';
    }
}

/* Where the text stands: behind an encoded word, spaces up to the next one are not shown (RFC 2047 6.2). */
struct decode {
    struct sp_buf *out;
    size_t behind_word; /* SIZE_MAX: something else came since */
};

/* Takes an encoded word at the start of v. returns: bytes taken, 0 if there is none that can be read */
static size_t put_encoded(struct decode *d, struct sp_bytes v)
{
    size_t before = d->out->len;
    struct word w;

    if (!take_word(v, &w))
        return 0;
    if (d->behind_word != SIZE_MAX)
        d->out->len = d->behind_word;
    if (!put_word(&w, d->out)) {
        d->out->len = before;
        return 0;
    }
    d->behind_word = d->out->len;
    return w.len;
}

void sp_field_text(const struct sp_field *f, struct sp_buf *out)
{
    struct sp_bytes v = sp_bytes_trim(f->value);
    struct decode d = {out, SIZE_MAX};
    size_t from = out->len;

    while (v.len > 0) {
        size_t took = put_encoded(&d, v);

        if (took == 0) {
            if (!is_space(v.ptr[0]))
                d.behind_word = SIZE_MAX;
            if (v.ptr[0] != '\r' && v.ptr[0] != '\n')
                sp_buf_put_u8(out, v.ptr[0]);
            took = 1;
        }
        v = sp_bytes_slice(v, took, v.len);
    }
    blank_controls(out, from);
}

struct sp_bytes sp_field_message_id(const struct sp_field *f)
{
    size_t open = sp_bytes_find(f->value, '<');
    struct sp_bytes rest, id;
    size_t close;

    if (open == SIZE_MAX)
        return sp_bytes(NULL, 0);
    rest = sp_bytes_slice(f->value, open, f->value.len);
    close = sp_bytes_find(rest, '>');
    if (close == SIZE_MAX || close > 900)
        return sp_bytes(NULL, 0);
    id = sp_bytes_slice(rest, 0, close + 1);
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] < 33 || id.ptr[i] > 126)
            return sp_bytes(NULL, 0);
    }
    return id;
}

struct sp_bytes sp_field_token(const struct sp_field *f)
{
    size_t end = sp_bytes_find(f->value, ';');

    return sp_bytes_trim(sp_bytes_slice(f->value, 0, end));
}

/* Cuts the next ";"-separated part off, minding quotes. */
static struct sp_bytes take_part(struct sp_bytes *rest)
{
    bool quoted = false;
    size_t i = 0;
    struct sp_bytes part;

    for (; i < rest->len; i++) {
        if (rest->ptr[i] == '"')
            quoted = !quoted;
        else if (quoted && rest->ptr[i] == '\\')
            i++;
        else if (!quoted && rest->ptr[i] == ';')
            break;
    }
    part = sp_bytes_slice(*rest, 0, i);
    *rest = sp_bytes_slice(*rest, i + 1, rest->len);
    return part;
}

bool sp_field_param(const struct sp_field *f, struct sp_bytes name, struct sp_bytes *out)
{
    struct sp_bytes rest = f->value;

    take_part(&rest);
    while (rest.len > 0) {
        struct sp_bytes part = take_part(&rest);
        size_t eq = sp_bytes_find(part, '=');
        struct sp_bytes value;

        if (eq == SIZE_MAX || !sp_bytes_eq_nocase(sp_bytes_trim(sp_bytes_slice(part, 0, eq)), name))
            continue;
        value = sp_bytes_trim(sp_bytes_slice(part, eq + 1, part.len));
        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
            value = sp_bytes_slice(value, 1, value.len - 2);
        *out = value;
        return true;
    }
    return false;
}

/* Skips "Re:", "AW:", "Fwd:": two or three letters and a colon. */
static struct sp_bytes skip_reply_marks(struct sp_bytes text)
{
    for (;;) {
        size_t i = 0;

        text = sp_bytes_trim(text);
        while (i < text.len && i < 4 && sp_ascii_is_alpha(text.ptr[i]))
            i++;
        if (i < 2 || i > 3 || i == text.len || text.ptr[i] != ':')
            return text;
        text = sp_bytes_slice(text, i + 1, text.len);
    }
}

struct sp_bytes sp_subject_tag(struct sp_bytes subject)
{
    struct sp_bytes text = skip_reply_marks(subject);
    size_t close;

    if (text.len < 3 || text.ptr[0] != '[')
        return sp_bytes(NULL, 0);
    close = sp_bytes_find(text, ']');
    if (close == SIZE_MAX || close > 64)
        return sp_bytes(NULL, 0);
    return sp_bytes_trim(sp_bytes_slice(text, 1, close - 1));
}
