/*
 * RTF: groups in braces, control words behind backslashes, the rest is text. A stack of flags says which groups hold no text
 * (fonts, colours, pictures); hidden text is text. Characters: \'hh in Windows-1252, \uN with the count of stand-ins to
 * skip. It is read through a window, so that a document full of pictures takes no memory.
 */
#include "mime/document.h"

#include "base/mem.h"

#include <string.h>

#define DEPTH_MAX 500
#define WORD_MAX  32
#define PIECE_LEN 8192

struct rtf {
    const struct sp_mime_input *in;
    uint8_t piece[PIECE_LEN];
    size_t at, len; /* in it */
    bool end;
    enum sp_rc rc;
    const struct sp_mime_output *out;
    uint8_t text[PIECE_LEN];
    size_t text_len;
    bool full;
    unsigned depth;
    bool quiet[DEPTH_MAX];   /* this group holds no text */
    uint8_t skip[DEPTH_MAX]; /* stand-ins behind each \u */
    unsigned pending;        /* of them still to come */
};

/* ---- in and out ---- */

/* returns: whether there is another byte; it is r->piece[r->at] */
static bool more(struct rtf *r)
{
    size_t got = 0;

    if (r->at < r->len)
        return true;
    if (r->end)
        return false;
    r->rc = r->in->read(r->in->ctx, r->piece, sizeof(r->piece), &got);
    r->at = 0;
    r->len = r->rc == SP_OK ? got : 0;
    r->end = r->len == 0;
    return !r->end;
}

/* The next byte, and past it; 0 at the end. */
static uint8_t next(struct rtf *r)
{
    return more(r) ? r->piece[r->at++] : 0;
}

/* The next byte; 0 at the end. */
static uint8_t peek(struct rtf *r)
{
    return more(r) ? r->piece[r->at] : 0;
}

static void skip(struct rtf *r, size_t count)
{
    while (count > 0 && more(r)) {
        size_t step = r->len - r->at < count ? r->len - r->at : count;

        r->at += step;
        count -= step;
    }
}

static void flush(struct rtf *r)
{
    if (r->text_len > 0 && !r->full)
        r->full = !r->out->put(r->out->ctx, sp_bytes(r->text, r->text_len));
    r->text_len = 0;
}

static void put_u8(struct rtf *r, uint32_t c)
{
    if (r->text_len == sizeof(r->text))
        flush(r);
    r->text[r->text_len++] = (uint8_t)c;
}

static void put_point(struct rtf *r, uint32_t point)
{
    if (point < 0x80) {
        put_u8(r, point);
    } else if (point < 0x800) {
        put_u8(r, 0xc0 | point >> 6);
        put_u8(r, 0x80 | (point & 0x3f));
    } else {
        put_u8(r, 0xe0 | point >> 12);
        put_u8(r, 0x80 | (point >> 6 & 0x3f));
        put_u8(r, 0x80 | (point & 0x3f));
    }
}

/* ---- what is text ---- */

/* Windows-1252 where it differs from Latin-1, as far as text needs it. */
static uint32_t ansi(uint8_t c)
{
    static const uint16_t quotes[] = {0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014};

    return c >= 0x91 && c <= 0x97 ? quotes[c - 0x91] : c;
}

static void put_char(struct rtf *r, uint32_t point)
{
    if (r->pending > 0) {
        r->pending--;
        return;
    }
    if (!r->quiet[r->depth] && point != 0)
        put_point(r, point);
}

static unsigned hex(uint8_t c)
{
    c = sp_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10U : sp_ascii_is_digit(c) ? c - '0' + 0U : 0U;
}

static bool is_in(const char *word, const char *list)
{
    char key[WORD_MAX + 3];
    size_t len = strlen(word);

    key[0] = ' ';
    memcpy(key + 1, word, len);
    key[len + 1] = ' ';
    key[len + 2] = '\0';
    return strstr(list, key) != NULL;
}

static void on_word(struct rtf *r, const char *word, bool has_number, int32_t number)
{
    static const char no_text[] =
        " fonttbl colortbl stylesheet pict themedata colorschememapping latentstyles datastore "
        "listtable listoverridetable rsidtbl generator xmlnstbl filetbl revtbl objdata ";
    static const char lines[] = " par line sect page row pard ";

    if (is_in(word, no_text))
        r->quiet[r->depth] = true;
    else if (is_in(word, lines))
        put_char(r, '\n');
    else if (is_in(word, " tab cell nestcell "))
        put_char(r, '\t');
    else if (strcmp(word, "uc") == 0)
        r->skip[r->depth] = (uint8_t)(number & 0xff);
    else if (strcmp(word, "u") == 0 && has_number) {
        r->pending = 0;
        put_char(r, (uint32_t)(number & 0xffff) >= 0xd800 && (uint32_t)(number & 0xffff) < 0xe000
                        ? 0xfffd
                        : (uint32_t)(number & 0xffff));
        r->pending = r->skip[r->depth];
    } else if (strcmp(word, "bin") == 0 && number > 0) {
        skip(r, (size_t)number);
    }
}

/* A control of one character that is no letter: an octet in hex, a space that does not break, a mark as itself. */
static void symbol(struct rtf *r)
{
    uint8_t c = next(r), high, low;

    if (c == '\'') {
        high = next(r);
        if (!more(r))
            return;
        low = next(r);
        put_char(r, ansi((uint8_t)(hex(high) << 4 | hex(low))));
    } else if (c == '~' || c == '_') {
        put_char(r, c == '~' ? ' ' : '-');
    } else if (c == '\\' || c == '{' || c == '}' || c == '\n') {
        put_char(r, c);
    }
}

/* Behind a backslash. */
static void control(struct rtf *r)
{
    char word[WORD_MAX + 1];
    size_t len = 0;
    int32_t number = 0;
    bool minus = false, has_number = false;

    if (!sp_ascii_is_alpha(peek(r))) {
        symbol(r);
        return;
    }
    while (sp_ascii_is_alpha(peek(r)) && len < WORD_MAX)
        word[len++] = (char)next(r);
    word[len] = '\0';
    minus = peek(r) == '-';
    if (minus)
        skip(r, 1);
    for (; sp_ascii_is_digit(peek(r)); skip(r, 1)) {
        number = number > 99999999 ? number : number * 10 + (peek(r) - '0');
        has_number = true;
    }
    if (peek(r) == ' ')
        skip(r, 1);
    on_word(r, word, has_number, minus ? -number : number);
}

/* returns: false if groups lie too deep */
static bool take(struct rtf *r, uint8_t c)
{
    if (c == '\\') {
        control(r);
    } else if (c == '{') {
        if (r->depth + 1 == DEPTH_MAX)
            return false;
        r->depth++;
        r->quiet[r->depth] = r->quiet[r->depth - 1];
        r->skip[r->depth] = r->skip[r->depth - 1];
    } else if (c == '}') {
        r->depth -= r->depth > 0;
        r->pending = 0;
    } else if (c != '\r' && c != '\n') {
        put_char(r, c < 0x80 ? c : ansi(c));
    }
    return true;
}

enum sp_rc sp_mime_rtf_text(const struct sp_mime_input *in, const struct sp_mime_output *out)
{
    struct rtf *r = sp_calloc(1, sizeof(*r));
    bool sound = true;
    enum sp_rc rc;

    r->in = in;
    r->out = out;
    r->skip[0] = 1;
    while (sound && !r->full && more(r))
        sound = take(r, next(r));
    flush(r);
    rc = r->rc;
    if (rc == SP_OK && r->full)
        rc = SP_E_LIMIT;
    if (rc == SP_OK && (!sound || r->depth > 0))
        rc = SP_E_MALFORMED;
    sp_wipe(r, sizeof(*r));
    sp_free(r);
    return rc;
}
