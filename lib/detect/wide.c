/*
 * Texts in UTF-16, as Windows calls Unicode: what "Unicode text" saves. A byte order mark begins them, which their readers go
 * by, and no label says so. What begins with such a mark but reads as no text is something else: a sound, a stream of bits.
 */
#include "detect/document_priv.h"

#include "base/text.h"

#define LOOK_LEN 512 /* bytes of the head that must read as text */

/* A text in UTF-16 that comes in pieces. */
struct wide {
    struct detect_run *run;
    bool big_endian, half, marked;
    uint8_t first; /* of a unit, while half is set */
    uint32_t high; /* a surrogate that waits for its second half; 0: none */
    uint8_t out[4];
};

static void put_point(struct wide *w, uint32_t point)
{
    sp_detect_text_feed(w->run, sp_bytes(w->out, sp_utf8_encode(point, w->out)));
}

/* RFC 2781 2.2; halves of pairs that stand alone become U+FFFD. */
static void take_unit(struct wide *w, uint32_t unit)
{
    bool low = unit >= 0xdc00 && unit <= 0xdfff;

    if (w->high != 0 && low) {
        put_point(w, 0x10000 + ((w->high - 0xd800) << 10) + (unit - 0xdc00));
        w->high = 0;
        return;
    }
    if (w->high != 0)
        put_point(w, 0xfffd);
    w->high = unit >= 0xd800 && unit <= 0xdbff ? unit : 0;
    if (w->high == 0 && w->marked)
        put_point(w, low ? 0xfffd : unit);
    w->marked = true; /* the first is the mark */
}

static uint32_t unit_of(bool big_endian, uint8_t first, uint8_t second)
{
    return big_endian ? (uint32_t)first << 8 | second : (uint32_t)second << 8 | first;
}

static void take_piece(struct wide *w, struct sp_bytes piece)
{
    for (size_t i = 0; i < piece.len && !w->run->stopped; i++) {
        if (w->half)
            take_unit(w, unit_of(w->big_endian, w->first, piece.ptr[i]));
        w->first = piece.ptr[i];
        w->half = !w->half;
    }
}

enum sp_rc sp_detect_wide(struct detect_stream *s)
{
    struct wide w = {.run = s->run, .big_endian = s->head[0] == 0xfe};
    uint8_t piece[8192];
    size_t got = 1;
    enum sp_rc rc = SP_OK;

    sp_detect_text_open(s->run);
    while (got > 0 && rc == SP_OK) {
        rc = sp_detect_stream_read(s, piece, sizeof(piece), &got);
        if (rc == SP_OK)
            take_piece(&w, sp_bytes(piece, got));
    }
    sp_detect_text_end(s->run);
    sp_wipe(piece, sizeof(piece));
    sp_wipe(&w, sizeof(w));
    return rc;
}

static bool starts(struct sp_bytes head, struct sp_bytes mark)
{
    return sp_bytes_eq(sp_bytes_slice(head, 0, mark.len), mark);
}

bool sp_detect_is_wide(struct sp_bytes head)
{
    bool big_endian = starts(head, SP_LIT("\xfe\xff"));
    uint32_t high = 0;
    size_t units = 0,
           pairs = 0; /* both bytes signs of ASCII: a text of one byte a sign, as a rule */

    if (!big_endian && !starts(head, SP_LIT("\xff\xfe")))
        return false;
    for (size_t i = 2; i + 1 < head.len && i < LOOK_LEN; i += 2) {
        uint32_t unit = unit_of(big_endian, head.ptr[i], head.ptr[i + 1]);

        if (unit >= 0xfff0 || (unit < 0x20 && (unit == 0 || strchr("\t\r\n\f", (int)unit) == NULL)))
            return false;
        if ((unit >= 0xdc00 && unit <= 0xdfff) != (high != 0))
            return false; /* half of a pair alone */
        high = unit >= 0xd800 && unit <= 0xdbff ? unit : 0;
        units++;
        pairs += head.ptr[i] >= 0x20 && head.ptr[i] < 0x7f && head.ptr[i + 1] >= 0x20 &&
                 head.ptr[i + 1] < 0x7f;
    }
    return head.len > 2 && pairs * 4 <= units * 3;
}

/* Whether its label says that each character has two bytes or four. */
static bool is_wide_label(const char *charset)
{
    static const char *const names[] = {"utf-16", "utf16", "utf-32",  "utf32",
                                        "ucs-2",  "ucs-4", "unicode", "iso-10646"};

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++)
        if (strncmp(charset, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Only these labels leave the order of bytes to the mark, which is converted by. */
static bool goes_by_mark(const char *charset)
{
    return strcmp(charset, "utf-16") == 0 || strcmp(charset, "utf16") == 0;
}

bool sp_detect_is_mislabelled(const char *charset, enum detect_form form)
{
    if (form == FORM_WIDE)
        return !goes_by_mark(charset);
    return is_wide_label(charset) && (form == FORM_TEXT || form == FORM_MARKUP);
}
