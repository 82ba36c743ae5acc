/*
 * Text on its way to the patterns: what looks like an ASCII digit, space or hyphen becomes one, what can't be seen
 * (zero-width characters, soft hyphens) goes, and the rest stays as UTF-8. Then it is cut into windows of 64 KiB that
 * overlap by 1 KiB; what begins in the second half of an overlap is the next window's to count, so nothing is counted
 * twice and nothing at a seam lacks its context.
 */
#include "detect/detect_priv.h"

#include "base/text.h"

#define HALF (DETECT_OVERLAP / 2)

static const struct {
    uint32_t first, last;
    uint32_t to; /* of the first; 0: dropped; 1: all become a space; 2: all become a hyphen */
} folds[] = {
    {0x00a0, 0x00a0, 1},     {0x00ad, 0x00ad, 0},     {0x0660, 0x0669, '0'},
    {0x06f0, 0x06f9, '0'},   {0x07c0, 0x07c9, '0'},   {0x0966, 0x096f, '0'},
    {0x180e, 0x180e, 0},     {0x2000, 0x200a, 1},     {0x200b, 0x200f, 0},
    {0x2010, 0x2015, 2},     {0x2019, 0x2019, '\''},  {0x2028, 0x2029, 1},
    {0x202a, 0x202e, 0},     {0x202f, 0x202f, 1},     {0x205f, 0x205f, 1},
    {0x2060, 0x2069, 0},     {0x2070, 0x2070, '0'},   {0x2074, 0x2079, '4'},
    {0x2080, 0x2089, '0'},   {0x2212, 0x2212, 2},     {0x3000, 0x3000, 1},
    {0xfe00, 0xfe0f, 0},     {0xfe58, 0xfe58, 2},     {0xfe63, 0xfe63, 2},
    {0xfeff, 0xfeff, 0},     {0xff01, 0xff5e, '!'},   {0x1d7ce, 0x1d7d7, '0'},
    {0x1d7d8, 0x1d7e1, '0'}, {0x1d7e2, 0x1d7eb, '0'}, {0x1d7ec, 0x1d7f5, '0'},
    {0x1d7f6, 0x1d7ff, '0'},
};

static void examine(struct detect_run *r, bool last)
{
    struct detect_window w = {.text = r->norm.ptr, .len = r->norm.len};
    size_t keep = last ? 0 : DETECT_OVERLAP;

    if (r->stopped || w.len == 0)
        return;
    w.from = r->norm_first ? 0 : HALF;
    w.to = last ? w.len : w.len - HALF;
    if (r->limits->clock != NULL && sp_clock_mono_ms(r->limits->clock) >= r->limits->deadline_ms) {
        sp_detect_gap_add(r, "time", true);
        r->stopped = true;
        return;
    }
    if (!sp_detect_scan(r->d, &w))
        sp_detect_gap_add(r, "limit", true); /* more hits than any text has: not all are known */
    sp_detect_find(r, &w);
    r->norm_first = false;
    sp_buf_drop(&r->norm, r->norm.len - keep);
}

static void put(struct detect_run *r, struct sp_bytes bytes)
{
    sp_buf_put(&r->norm, bytes);
    if (r->norm.len >= DETECT_WINDOW)
        examine(r, false);
    if (r->stopped)
        sp_buf_reset(&r->norm);
}

static uint32_t code_point(const uint8_t *c, size_t len)
{
    if (len == 2)
        return (uint32_t)(c[0] & 0x1f) << 6 | (c[1] & 0x3f);
    if (len == 3)
        return (uint32_t)(c[0] & 0x0f) << 12 | (uint32_t)(c[1] & 0x3f) << 6 | (c[2] & 0x3f);
    return (uint32_t)(c[0] & 0x07) << 18 | (uint32_t)(c[1] & 0x3f) << 12 |
           (uint32_t)(c[2] & 0x3f) << 6 | (c[3] & 0x3f);
}

static void put_char(struct detect_run *r, const uint8_t *c, size_t len)
{
    uint32_t point = code_point(c, len);
    uint8_t as;

    for (size_t i = 0; i < SP_ARRAY_LEN(folds); i++) {
        if (point < folds[i].first || point > folds[i].last)
            continue;
        if (folds[i].to == 0)
            return;
        as = folds[i].to == 1   ? ' '
             : folds[i].to == 2 ? '-'
                                : (uint8_t)(folds[i].to + point - folds[i].first);
        put(r, sp_bytes(&as, 1));
        return;
    }
    put(r, sp_bytes(c, len));
}

static size_t char_len(uint8_t first)
{
    return first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
}

/* One byte of a character of several. */
static void take_byte(struct detect_run *r, uint8_t c)
{
    r->pending[r->pending_len++] = c;
    if (r->pending_len < char_len(r->pending[0]))
        return;
    if (r->pending_len > 1 && sp_utf8_is_valid(sp_bytes(r->pending, r->pending_len)))
        put_char(r, r->pending, r->pending_len);
    else
        put(r, sp_bytes(r->pending, r->pending_len));
    r->pending_len = 0;
}

void sp_detect_text_begin(struct detect_run *r)
{
    sp_buf_reset(&r->norm);
    r->norm_first = true;
    r->pending_len = 0;
}

void sp_detect_text_feed(struct detect_run *r, struct sp_bytes utf8)
{
    for (size_t i = 0; i < utf8.len && !r->stopped;) {
        size_t run = i;

        while (r->pending_len == 0 && run < utf8.len && utf8.ptr[run] < 0x80 && run - i < 16384)
            run++;
        if (run > i) {
            put(r, sp_bytes_slice(utf8, i, run - i));
            i = run;
        } else {
            take_byte(r, utf8.ptr[i++]);
        }
    }
}

void sp_detect_text_end(struct detect_run *r)
{
    if (r->pending_len > 0)
        put(r, sp_bytes(r->pending, r->pending_len));
    r->pending_len = 0;
    examine(r, true);
    sp_buf_wipe(&r->norm);
}
