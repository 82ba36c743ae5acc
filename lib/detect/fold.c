/*
 * What looks like an ASCII character, or like nothing: digits of other scripts, in circles and keycaps, raised and lowered, letters
 * of mathematics, blanks, hyphens, slashes, marks that can't be seen. One table, by rising code points. Combining marks go, so
 * that what is written a letter and its mark apart ("e" and U+0301) is as good as a letter.
 */
#include "detect/fold_priv.h"

#include "base/bytes.h"

enum {
    DROP,
    BLANK,
    DOT,
    LINE,
    RAISED,
    LETTERS,
    DASH,
    QUOTE
}; /* any other: what the first becomes */

static const struct {
    uint32_t first, last;
    uint8_t to;
} folds[] = {
    {0x0085, 0x0085, LINE},   {0x00a0, 0x00a0, BLANK},  {0x00ad, 0x00ad, DROP},
    {0x00b2, 0x00b3, RAISED}, {0x00b7, 0x00b7, DOT},    {0x00b9, 0x00b9, RAISED},
    {0x0300, 0x036f, DROP},   {0x058a, 0x058a, DASH},   {0x0660, 0x0669, '0'},
    {0x06f0, 0x06f9, '0'},    {0x07c0, 0x07c9, '0'},    {0x0966, 0x096f, '0'},
    {0x09e6, 0x09ef, '0'},    {0x0a66, 0x0a6f, '0'},    {0x0ae6, 0x0aef, '0'},
    {0x0b66, 0x0b6f, '0'},    {0x0be6, 0x0bef, '0'},    {0x0c66, 0x0c6f, '0'},
    {0x0ce6, 0x0cef, '0'},    {0x0d66, 0x0d6f, '0'},    {0x0de6, 0x0def, '0'},
    {0x0e50, 0x0e59, '0'},    {0x0ed0, 0x0ed9, '0'},    {0x0f20, 0x0f29, '0'},
    {0x1040, 0x1049, '0'},    {0x1090, 0x1099, '0'},    {0x115f, 0x1160, DROP},
    {0x1680, 0x1680, BLANK},  {0x17b4, 0x17b5, DROP},   {0x17e0, 0x17e9, '0'},
    {0x180b, 0x180e, DROP},   {0x1810, 0x1819, '0'},    {0x2000, 0x200a, BLANK},
    {0x200b, 0x200f, DROP},   {0x2010, 0x2015, DASH},   {0x2018, 0x2019, QUOTE},
    {0x2022, 0x2022, DOT},    {0x2024, 0x2024, '.'},    {0x2027, 0x2027, DOT},
    {0x2028, 0x2029, LINE},   {0x202a, 0x202e, DROP},   {0x202f, 0x202f, BLANK},
    {0x2043, 0x2043, DASH},   {0x2044, 0x2044, '/'},    {0x205f, 0x205f, BLANK},
    {0x2060, 0x206f, DROP},   {0x2070, 0x2070, RAISED}, {0x2074, 0x2079, RAISED},
    {0x2080, 0x2089, '0'},    {0x20d0, 0x20f0, DROP},   {0x2212, 0x2212, DASH},
    {0x2215, 0x2215, '/'},    {0x2219, 0x2219, DOT},    {0x22c5, 0x22c5, DOT},
    {0x2460, 0x2468, '1'},    {0x2474, 0x247c, '1'},    {0x2488, 0x2490, '1'},
    {0x24b6, 0x24cf, 'A'},    {0x24d0, 0x24e9, 'a'},    {0x24ea, 0x24ea, '0'},
    {0x24f5, 0x24fd, '1'},    {0x24ff, 0x24ff, '0'},    {0x2776, 0x277e, '1'},
    {0x2780, 0x2788, '1'},    {0x278a, 0x2792, '1'},    {0x2e3a, 0x2e3b, DASH},
    {0x3000, 0x3000, BLANK},  {0x30fb, 0x30fb, DOT},    {0x3164, 0x3164, DROP},
    {0xa8d0, 0xa8d9, '0'},    {0xfe00, 0xfe0f, DROP},   {0xfe20, 0xfe2f, DROP},
    {0xfe52, 0xfe52, '.'},    {0xfe58, 0xfe58, DASH},   {0xfe63, 0xfe63, DASH},
    {0xfeff, 0xfeff, DROP},   {0xff01, 0xff5e, '!'},    {0xff65, 0xff65, DOT},
    {0xffa0, 0xffa0, DROP},   {0x104a0, 0x104a9, '0'},  {0x1d400, 0x1d6a3, LETTERS},
    {0x1d7ce, 0x1d7d7, '0'},  {0x1d7d8, 0x1d7e1, '0'},  {0x1d7e2, 0x1d7eb, '0'},
    {0x1d7ec, 0x1d7f5, '0'},  {0x1d7f6, 0x1d7ff, '0'},  {0x1f101, 0x1f10a, '0'},
    {0x1f130, 0x1f149, 'A'},  {0x1f150, 0x1f169, 'A'},  {0x1f170, 0x1f189, 'A'},
    {0x1fbf0, 0x1fbf9, '0'},  {0xe0000, 0xe007f, DROP}, {0xe0100, 0xe01ef, DROP},
};

static uint8_t raised(uint32_t point)
{
    return (uint8_t)(DETECT_FOLD_RAISED + (point == 0xb9     ? 1
                                           : point == 0xb2   ? 2
                                           : point == 0xb3   ? 3
                                           : point == 0x2070 ? 0
                                                             : point - 0x2070));
}

/* Thirteen alphabets, each of capitals and small letters. */
static uint8_t letter(uint32_t point)
{
    uint32_t at = (point - 0x1d400) % 52;

    return (uint8_t)(at < 26 ? 'A' + at : 'a' + at - 26);
}

uint8_t sp_detect_fold(uint32_t point)
{
    size_t low = 0, high = SP_ARRAY_LEN(folds);

    if (point >= 0xc0 && point < 0x300)
        return DETECT_FOLD_SELF;
    while (low < high) {
        size_t mid = (low + high) / 2;

        if (folds[mid].last < point)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == SP_ARRAY_LEN(folds) || point < folds[low].first)
        return DETECT_FOLD_SELF;
    switch (folds[low].to) {
    case DROP:
        return DETECT_FOLD_NOTHING;
    case BLANK:
        return ' ';
    case DOT:
        return DETECT_FOLD_DOT;
    case LINE:
        return DETECT_FOLD_LINE;
    case DASH:
        return '-';
    case QUOTE:
        return '\'';
    case RAISED:
        return raised(point);
    case LETTERS:
        return letter(point);
    default:
        return (uint8_t)(folds[low].to + point - folds[low].first);
    }
}
