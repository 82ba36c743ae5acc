/*
 * RTF: groups in braces, control words behind backslashes, the rest is text. A stack of flags says which groups hold no text
 * (fonts, colours, pictures); hidden text is text. Characters: \'hh in Windows-1252, \uN with the count of stand-ins to
 * skip.
 */
#include "mime/document.h"

#include "base/mem.h"

#include <string.h>

#define DEPTH_MAX 500
#define WORD_MAX  32

struct rtf {
    struct sp_bytes in;
    size_t at;
    struct sp_buf *out;
    unsigned depth;
    bool quiet[DEPTH_MAX];   /* this group holds no text */
    uint8_t skip[DEPTH_MAX]; /* stand-ins behind each \u */
    unsigned pending;        /* of them still to come */
};

static void put_point(struct sp_buf *out, uint32_t point)
{
    if (point < 0x80) {
        sp_buf_put_u8(out, (uint8_t)point);
    } else if (point < 0x800) {
        sp_buf_put_u8(out, (uint8_t)(0xc0 | point >> 6));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (point & 0x3f)));
    } else {
        sp_buf_put_u8(out, (uint8_t)(0xe0 | point >> 12));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (point >> 6 & 0x3f)));
        sp_buf_put_u8(out, (uint8_t)(0x80 | (point & 0x3f)));
    }
}

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
        put_point(r->out, point);
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
        r->at += (size_t)number < r->in.len - r->at ? (size_t)number : r->in.len - r->at;
    }
}

/* A control of one character, c, that is no letter: an octet in hex, a space that does not break, a mark as itself. */
static void symbol(struct rtf *r, uint8_t c)
{
    r->at += r->at < r->in.len;
    if (c == '\'' && r->at + 2 <= r->in.len) {
        put_char(r, ansi((uint8_t)(hex(r->in.ptr[r->at]) << 4 | hex(r->in.ptr[r->at + 1]))));
        r->at += 2;
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
    uint8_t c = r->at < r->in.len ? r->in.ptr[r->at] : 0;

    if (!sp_ascii_is_alpha(c)) {
        symbol(r, c);
        return;
    }
    while (r->at < r->in.len && sp_ascii_is_alpha(r->in.ptr[r->at]) && len < WORD_MAX)
        word[len++] = (char)r->in.ptr[r->at++];
    word[len] = '\0';
    minus = r->at < r->in.len && r->in.ptr[r->at] == '-';
    r->at += minus;
    for (; r->at < r->in.len && sp_ascii_is_digit(r->in.ptr[r->at]); r->at++) {
        number = number > 99999999 ? number : number * 10 + (r->in.ptr[r->at] - '0');
        has_number = true;
    }
    r->at += r->at < r->in.len && r->in.ptr[r->at] == ' ';
    on_word(r, word, has_number, minus ? -number : number);
}

enum sp_rc sp_mime_rtf_text(struct sp_bytes rtf, struct sp_buf *out)
{
    struct rtf *r = sp_calloc(1, sizeof(*r));
    bool deep = false;
    unsigned left;

    r->in = rtf;
    r->out = out;
    r->skip[0] = 1;
    while (r->at < rtf.len && !out->failed && !deep) {
        uint8_t c = rtf.ptr[r->at++];

        if (c == '\\') {
            control(r);
        } else if (c == '{') {
            deep = r->depth + 1 == DEPTH_MAX;
            if (deep)
                break;
            r->depth++;
            r->quiet[r->depth] = r->quiet[r->depth - 1];
            r->skip[r->depth] = r->skip[r->depth - 1];
        } else if (c == '}') {
            r->depth -= r->depth > 0;
            r->pending = 0;
        } else if (c != '\r' && c != '\n') {
            put_char(r, c < 0x80 ? c : ansi(c));
        }
    }
    left = r->depth;
    sp_free(r);
    if (out->failed)
        return SP_E_LIMIT;
    return deep || left > 0 ? SP_E_MALFORMED : SP_OK;
}
