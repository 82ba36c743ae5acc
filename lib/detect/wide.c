/*
 * Texts whose characters are not bytes of ASCII: UTF-16, as Windows calls Unicode, and UTF-32, by their byte order mark or by the
 * zeros between letters; and EBCDIC, in which mainframes write their reports. Their readers go by what the bytes are, and often no
 * label says so, or a wrong one. What begins with a mark but reads as no text is something else: a sound, a stream of bits.
 */
#include "detect/document_priv.h"

#include "base/text.h"

#define LOOK_LEN     512 /* bytes of the head that must read as text */
#define LEAST_BARE   16  /* units without a mark that tell */
#define LEAST_LONG   4
#define LEAST_EBCDIC 32

/* What a head may be. label: that of readers who go by it */
static const struct kind {
    const char *label;
    struct sp_bytes mark;
    uint8_t size; /* bytes of a unit */
    bool big_endian;
} kinds[] = {
    {"utf-32", {(const uint8_t *)"\xff\xfe\0\0", 4}, 4, false},
    {"utf-32", {(const uint8_t *)"\0\0\xfe\xff", 4}, 4, true},
    {"utf-16", {(const uint8_t *)"\xff\xfe", 2}, 2, false},
    {"utf-16", {(const uint8_t *)"\xfe\xff", 2}, 2, true},
    {"utf-32le", {NULL, 0}, 4, false},
    {"utf-32be", {NULL, 0}, 4, true},
    {"utf-16le", {NULL, 0}, 2, false},
    {"utf-16be", {NULL, 0}, 2, true},
    {"ibm037", {NULL, 0}, 1, false},
};

/* EBCDIC from 0x40 on, as code page 037 has it; the others differ from it in brackets and letters with marks. */
static const uint8_t ebcdic[] = {
    0x20, 0xa0, 0xe2, 0xe4, 0xe0, 0xe1, 0xe3, 0xe5, 0xe7, 0xf1, 0xa2, 0x2e, 0x3c, 0x28, 0x2b, 0x7c,
    0x26, 0xe9, 0xea, 0xeb, 0xe8, 0xed, 0xee, 0xef, 0xec, 0xdf, 0x21, 0x24, 0x2a, 0x29, 0x3b, 0xac,
    0x2d, 0x2f, 0xc2, 0xc4, 0xc0, 0xc1, 0xc3, 0xc5, 0xc7, 0xd1, 0xa6, 0x2c, 0x25, 0x5f, 0x3e, 0x3f,
    0xf8, 0xc9, 0xca, 0xcb, 0xc8, 0xcd, 0xce, 0xcf, 0xcc, 0x60, 0x3a, 0x23, 0x40, 0x27, 0x3d, 0x22,
    0xd8, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0xab, 0xbb, 0xf0, 0xfd, 0xfe, 0xb1,
    0xb0, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0xaa, 0xba, 0xe6, 0xb8, 0xc6, 0xa4,
    0xb5, 0x7e, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0xa1, 0xbf, 0xd0, 0xdd, 0xde, 0xae,
    0x5e, 0xa3, 0xa5, 0xb7, 0xa9, 0xa7, 0xb6, 0xbc, 0xbd, 0xbe, 0x5b, 0x5d, 0xaf, 0xa8, 0xb4, 0xd7,
    0x7b, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0xad, 0xf4, 0xf6, 0xf2, 0xf3, 0xf5,
    0x7d, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0xb9, 0xfb, 0xfc, 0xf9, 0xfa, 0xff,
    0x5c, 0xf7, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0xb2, 0xd4, 0xd6, 0xd2, 0xd3, 0xd5,
    0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0xb3, 0xdb, 0xdc, 0xd9, 0xda, 0x9f,
};

/* ---- reading ---- */

/* A text of such units that comes in pieces. */
struct wide {
    struct detect_run *run;
    const struct kind *kind;
    uint32_t unit; /* what there is of it */
    uint8_t have;  /* bytes of it */
    bool begun;    /* behind the mark */
    uint32_t high; /* a surrogate that waits for its second half; 0: none */
    uint8_t out[4];
};

static void put_point(struct wide *w, uint32_t point)
{
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        point = 0xfffd;
    sp_detect_text_feed(w->run, sp_bytes(w->out, sp_utf8_encode(point, w->out)));
}

static uint32_t point_of_ebcdic(uint32_t c)
{
    if (c >= 0x40)
        return ebcdic[c - 0x40];
    return c == 0x15 || c == 0x25 ? '\n' : c == 0x0d ? '\r' : c == 0x05 ? '\t' : ' ';
}

/* RFC 2781 2.2; halves of pairs that stand alone become U+FFFD. */
static void take_unit(struct wide *w, uint32_t unit)
{
    bool low = unit >= 0xdc00 && unit <= 0xdfff;

    if (w->kind->size != 2) {
        put_point(w, w->kind->size == 1 ? point_of_ebcdic(unit) : unit);
        return;
    }
    if (w->high != 0 && low) {
        put_point(w, 0x10000 + ((w->high - 0xd800) << 10) + (unit - 0xdc00));
        w->high = 0;
        return;
    }
    if (w->high != 0)
        put_point(w, 0xfffd);
    w->high = unit >= 0xd800 && unit <= 0xdbff ? unit : 0;
    if (w->high == 0)
        put_point(w, unit);
}

/* Adds a byte to a unit of which there are so many already. */
static uint32_t with_byte(const struct kind *k, uint32_t unit, size_t have, uint8_t byte)
{
    return k->big_endian ? unit << 8 | byte : unit | (uint32_t)byte << (8 * have);
}

static void take_piece(struct wide *w, struct sp_bytes piece)
{
    for (size_t i = 0; i < piece.len && !w->run->stopped; i++) {
        w->unit = with_byte(w->kind, w->unit, w->have++, piece.ptr[i]);
        if (w->have < w->kind->size)
            continue;
        if (w->begun)
            take_unit(w, w->unit);
        w->begun = true;
        w->unit = 0;
        w->have = 0;
    }
}

/* ---- telling ---- */

static bool is_sign(uint32_t unit)
{
    return unit >= 0x20 || (unit != 0 && strchr("\t\r\n\f", (int)unit) != NULL);
}

static bool is_ascii(uint32_t unit)
{
    return unit < 0x7f && is_sign(unit);
}

/* Whether the head reads as a text in UTF-16. Without a mark nearly all of it must be ASCII. */
static bool reads_16(const struct kind *k, struct sp_bytes head)
{
    uint32_t high = 0;
    size_t units = 0, plain = 0,
           pairs = 0; /* both bytes signs of ASCII: a text of one byte a sign, as a rule */

    for (size_t i = k->mark.len; i + 1 < head.len && i < LOOK_LEN; i += 2) {
        uint32_t unit = with_byte(k, with_byte(k, 0, 0, head.ptr[i]), 1, head.ptr[i + 1]);

        if (unit >= 0xfff0 || !is_sign(unit))
            return false;
        if ((unit >= 0xdc00 && unit <= 0xdfff) != (high != 0))
            return false; /* half of a pair alone */
        high = unit >= 0xd800 && unit <= 0xdbff ? unit : 0;
        units++;
        plain += is_ascii(unit);
        pairs += is_ascii(head.ptr[i]) && is_ascii(head.ptr[i + 1]);
    }
    if (k->mark.len == 0)
        return units >= LEAST_BARE && plain * 10 >= units * 9;
    return units > 0 && pairs * 4 <= units * 3;
}

static bool reads_32(const struct kind *k, struct sp_bytes head)
{
    size_t units = 0, plain = 0;

    for (size_t i = k->mark.len; i + 3 < head.len && i < LOOK_LEN; i += 4) {
        uint32_t unit = 0;

        for (size_t n = 0; n < 4; n++)
            unit = with_byte(k, unit, n, head.ptr[i + n]);
        if (unit > 0x10ffff || (unit >= 0xd800 && unit <= 0xdfff) || !is_sign(unit))
            return false;
        units++;
        plain += is_ascii(unit);
    }
    if (k->mark.len == 0)
        return units >= LEAST_BARE && plain * 10 >= units * 9;
    return units >= LEAST_LONG;
}

/* Letters, digits and blanks of EBCDIC, of which the second are no signs of ASCII and the last no signs of a text in it. */
static bool reads_ebcdic(struct sp_bytes head)
{
    size_t words = 0, blanks = 0, others = 0, len = head.len < LOOK_LEN ? head.len : LOOK_LEN;

    for (size_t i = 0; i < len; i++) {
        uint32_t c = point_of_ebcdic(head.ptr[i]);

        if (head.ptr[i] >= 0x80 && c < 0x80 && sp_ascii_is_alnum((uint8_t)c))
            words++;
        else if (head.ptr[i] == 0x40)
            blanks++;
        else if (c >= 0x7f || (head.ptr[i] < 0x40 && c == ' '))
            others++;
    }
    return len >= LEAST_EBCDIC && others * 33 <= len && words * 4 >= len && blanks * 50 >= len;
}

static bool reads_as(const struct kind *k, struct sp_bytes head)
{
    if (k->mark.len > 0 && !sp_bytes_eq(sp_bytes_slice(head, 0, k->mark.len), k->mark))
        return false;
    return k->size == 1 ? reads_ebcdic(head) : k->size == 2 ? reads_16(k, head) : reads_32(k, head);
}

static const struct kind *kind_of(struct sp_bytes head)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++)
        if (reads_as(&kinds[i], head))
            return &kinds[i];
    return NULL;
}

const char *sp_detect_wide_charset(struct sp_bytes head)
{
    const struct kind *k = kind_of(head);

    return k == NULL ? NULL : k->label;
}

enum sp_rc sp_detect_wide(struct detect_stream *s)
{
    struct wide w = {.run = s->run, .kind = kind_of(sp_bytes(s->head, s->head_len))};
    uint8_t piece[8192];
    size_t got = 1;
    enum sp_rc rc = SP_OK;

    sp_assert(w.kind != NULL);
    w.begun = w.kind->mark.len == 0;
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

/* ---- labels ---- */

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

/* "ibm037", "cp1047", "ibm01140", "ebcdic-us": the numbers of IBM's code pages of EBCDIC. */
static bool is_ebcdic_label(const char *charset)
{
    static const char pages[] =
        " 37 273 277 278 280 281 284 285 290 297 420 423 424 500 870 871 875 "
        "880 905 918 924 1025 1026 1047 1112 1122 1123 1140 1141 1142 1143 "
        "1144 1145 1146 1147 1148 1149 ";
    const char *at = charset;

    if (strstr(charset, "ebcdic") != NULL)
        return true;
    while (*at != '\0' && !sp_ascii_is_digit((uint8_t)*at))
        at++;
    at += strspn(at, "0");
    return (strncmp(charset, "ibm", 3) == 0 || strncmp(charset, "csibm", 5) == 0 ||
            strncmp(charset, "cp", 2) == 0) &&
           sp_detect_is_listed(sp_bytes(at, strspn(at, "0123456789")), pages);
}

bool sp_detect_is_mislabelled(const char *charset, enum detect_form form, const char *wide)
{
    if (form != FORM_WIDE)
        return (is_wide_label(charset) || is_ebcdic_label(charset)) &&
               (form == FORM_TEXT || form == FORM_MARKUP);
    if (strcmp(wide, "ibm037") == 0)
        return !is_ebcdic_label(charset);
    return strcmp(charset, wide) != 0 &&
           !(strcmp(charset, "utf16") == 0 && strcmp(wide, "utf-16") == 0);
}
