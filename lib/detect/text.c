/*
 * Text on its way to the patterns is made plain: what looks like an ASCII digit, space or hyphen becomes one, what can't be
 * seen (zero-width characters, soft hyphens, soft line breaks of quoted-printable) goes, runs of blanks become one (three or
 * more: a tab, since they part columns), lines wrapped by a mail program are joined, marks of quoting go, and so do tags
 * where the text is markup. The rest stays as UTF-8. Then it is cut into windows of 64 KiB that overlap by 2 KiB; what
 * begins in the second half of an overlap is the next window's to count, so nothing is counted twice and nothing at a
 * seam lacks its context. Where places are asked for, each plain byte remembers the character that it came from.
 */
#include "detect/detect_priv.h"
#include "detect/fold_priv.h"

#include "base/text.h"

#define HALF      (DETECT_OVERLAP / 2)
#define WRAP_LEN  60 /* a line at least so long may have been wrapped before a capital letter */
#define TAG_MAX   256
#define RUN_MAX   16384 /* bytes taken at once */
#define RUN_LEAST 64    /* of a window's end: too little for a run over all signs */
#define NAMED_MAX 10    /* of a character reference */

/* ---- windows ---- */

static void examine(struct detect_run *r, bool last)
{
    struct detect_window w = {.d = r->d, .own = r->limits->own};
    size_t keep = last ? 0 : DETECT_OVERLAP;

    (void)sp_buf_reserve(&r->norm, DETECT_SLACK);
    w.len = r->norm.len = sp_detect_unspell(r->norm.ptr, r->places, &r->joined, r->norm.len, last);
    if (r->late || w.len == 0) /* what was read before a limit of size still counts */
        return;
    w.text = sp_buf_reserve(&r->norm, DETECT_SLACK) - w.len;
    w.from = r->norm_first ? 0 : HALF;
    w.to = last ? w.len : w.len - HALF;
    if (r->limits->clock != NULL && sp_clock_mono_ms(r->limits->clock) >= r->limits->deadline_ms) {
        sp_detect_gap_add(r, "time", true);
        r->stopped = r->late = true;
        return;
    }
    if (!sp_detect_scan(r->d, &w))
        sp_detect_gap_add(r, "limit", true); /* more hits than any text has: not all are known */
    w.table = r->table;
    sp_detect_walk(&w);
    r->table = w.table;
    sp_detect_own_find(&w);
    sp_detect_judge(r, &w);
    sp_detect_count_window(r, &w);
    r->norm_first = false;
    while (keep > 0 && (w.text[w.len - keep] & 0xc0) == 0x80)
        keep--; /* a window begins with a whole character */
    if (r->places != NULL)
        memmove(r->places, r->places + (r->norm.len - keep), keep * sizeof(*r->places));
    r->joined -= last ? r->joined : r->norm.len - keep;
    sp_buf_drop(&r->norm, r->norm.len - keep);
}

/* place: of the first byte; step: how far apart the bytes' places are */
static void put(struct detect_run *r, struct sp_bytes bytes, uint32_t place, uint32_t step)
{
    if (r->places != NULL)
        for (size_t i = 0; i < bytes.len; i++)
            r->places[r->norm.len + i] = place + (uint32_t)i * step;
    sp_buf_put(&r->norm, bytes);
    r->line_len += bytes.len;
    if (r->norm.len >= DETECT_WINDOW)
        examine(r, false);
    if (r->stopped) {
        sp_buf_reset(&r->norm);
        r->joined = 0;
    }
}

static void put_byte(struct detect_run *r, uint8_t c, uint32_t place)
{
    put(r, sp_bytes(&c, 1), place, 0);
}

/* ---- blanks and line ends ---- */

/* Whether the line end before this character only wraps a sentence, or a number. */
static bool is_wrap(const struct detect_run *r, uint8_t next)
{
    uint8_t last = r->norm.len == 0 ? '.' : r->norm.ptr[r->norm.len - 1];

    if (r->breaks != 1 || r->cells >= 2)
        return false;
    if (sp_ascii_is_digit(next) && last == '-')
        return true;
    if (next >= 'a' && next <= 'z')
        return strchr(".:;!?|\t", last) == NULL || last == 0;
    return r->line_len >= WRAP_LEN && (sp_ascii_is_alnum(next) || next == '(') &&
           (sp_ascii_is_alnum(last) || last == ',' || last == '-');
}

/* Writes what waits before a visible character. */
static void flush(struct detect_run *r, uint8_t next)
{
    uint32_t place = r->place == 0 ? 0 : r->place - 1;
    size_t len = r->norm.len;
    /* two blanks between words written a letter at a time: spelled.c takes them */
    bool spelled = len > 3 && r->norm.ptr[len - 2] == ' ' &&
                   (r->norm.ptr[len - 3] == ' ' || r->norm.ptr[len - 4] == ' ');

    if (r->breaks > 0) {
        if (is_wrap(r, next)) {
            put_byte(r, ' ', place);
            if (spelled)
                put_byte(r, ' ', place);
        } else {
            put(r, sp_bytes("\n\n", r->breaks > 1 ? 2 : 1), place, 0);
            r->line_len = 0;
            r->cells = 0;
        }
    } else if (r->blanks > 0) {
        put_byte(r, r->blanks > 2 ? '\t' : ' ', place);
        if (spelled && r->blanks == 2)
            put_byte(r, ' ', place);
        r->cells += r->blanks > 2;
    }
    r->breaks = 0;
    r->blanks = 0;
}

static void take_cell(struct detect_run *r)
{
    r->cells += 2;
    r->blanks = 0;
    flush(r, 'A');
    put_byte(r, '\t', r->place);
}

/* ---- characters ---- */

static uint32_t code_point(const uint8_t *c, size_t len)
{
    if (len == 2)
        return (uint32_t)(c[0] & 0x1f) << 6 | (c[1] & 0x3f);
    if (len == 3)
        return (uint32_t)(c[0] & 0x0f) << 12 | (uint32_t)(c[1] & 0x3f) << 6 | (c[2] & 0x3f);
    return (uint32_t)(c[0] & 0x07) << 18 | (uint32_t)(c[1] & 0x3f) << 12 |
           (uint32_t)(c[2] & 0x3f) << 6 | (c[3] & 0x3f);
}

/* Whether a letter or digit stands right before the place. */
static bool is_behind_word(const struct detect_run *r)
{
    return r->blanks == 0 && r->breaks == 0 && r->norm.len > 0 &&
           sp_detect_is_word(r->norm.ptr[r->norm.len - 1]);
}

/* returns: what stands here for a character, as sp_detect_fold(), without what depends on the place */
static uint8_t fold(struct detect_run *r, uint32_t point)
{
    uint8_t as = sp_detect_fold(point);

    if (as == DETECT_FOLD_DOT)
        return is_behind_word(r) ? '.' : DETECT_FOLD_SELF;
    if (as < DETECT_FOLD_RAISED)
        return as;
    if (is_behind_word(r) && r->norm.len != r->raised_len)
        return DETECT_FOLD_NOTHING;
    flush(r, '0');
    r->raised_len = r->norm.len + 1;
    return (uint8_t)('0' + as - DETECT_FOLD_RAISED);
}

static void put_char(struct detect_run *r, const uint8_t *c, size_t len, uint32_t place)
{
    uint8_t as = fold(r, code_point(c, len));

    if (as == DETECT_FOLD_NOTHING)
        return;
    if (as == ' ') {
        r->blanks++;
        return;
    }
    if (as == DETECT_FOLD_LINE) {
        r->breaks++;
        r->blanks = 0;
        return;
    }
    flush(r, as);
    if (as == DETECT_FOLD_SELF)
        put(r, sp_bytes(c, len), place, 0);
    else
        put_byte(r, as, place);
}

static void put_point(struct detect_run *r, uint32_t point, uint32_t place)
{
    uint8_t c[4];

    if (point < 0x80) {
        if (point == ' ' || point == '\t' || point == '\n') {
            r->blanks++;
            return;
        }
        flush(r, (uint8_t)point);
        put_byte(r, (uint8_t)point, place);
        return;
    }
    put_char(r, c, sp_utf8_encode(point, c), place);
}

/* ---- markup: tags become cells and lines, references characters ---- */

static void end_tag(struct detect_run *r)
{
    static const char lines[] =
        " tr p div br li ul ol table h1 h2 h3 h4 h5 hr dt thead tbody body ";
    struct sp_bytes tag = sp_buf_bytes(&r->tag);
    size_t len = 0;
    bool close = tag.len > 0 && tag.ptr[0] == '/';

    if (close)
        tag = sp_bytes_slice(tag, 1, SIZE_MAX);
    while (len < tag.len && sp_ascii_is_alnum(tag.ptr[len]))
        len++;
    tag = sp_bytes_slice(tag, 0, len);
    if (close && (sp_bytes_eq_nocase(tag, SP_LIT("td")) || sp_bytes_eq_nocase(tag, SP_LIT("th"))))
        take_cell(r);
    else if (sp_detect_is_listed(tag, lines) && r->breaks == 0)
        r->breaks = 1, r->cells += 2; /* never a wrap */
}

/* "#65", "#x41". returns: 0 if it is no character */
static uint32_t numbered(struct sp_bytes name)
{
    bool hex = (name.ptr[1] | 0x20) == 'x';
    uint32_t base = hex ? 16 : 10, point = 0;

    for (size_t i = hex ? 2 : 1; i < name.len && point < 0x110000; i++) {
        uint8_t c = sp_ascii_lower(name.ptr[i]);
        uint32_t digit = c >= 'a' ? (uint32_t)(c - 'a' + 10) : (uint32_t)(c - '0');

        if (digit >= base)
            return 0;
        point = point * base + digit;
    }
    return point < 0x110000 && (point < 0xd800 || point > 0xdfff) ? point : 0;
}

/* What a character reference stands for. returns: 0 if it is none that we know */
static uint32_t named(struct sp_bytes name)
{
    static const struct {
        const char *name;
        uint32_t point;
    } all[] = {{"nbsp", 0xa0},   {"amp", '&'},       {"lt", '<'},      {"gt", '>'},
               {"quot", '"'},    {"apos", '\''},     {"shy", 0xad},    {"zwj", 0x200d},
               {"ndash", '-'},   {"mdash", '-'},     {"zwnj", 0x200c}, {"ensp", 0x2002},
               {"emsp", 0x2003}, {"thinsp", 0x2009}, {"hyphen", '-'},  {"rsquo", '\''},
               {"lsquo", '\''},  {"middot", '.'}};

    if (name.len > 1 && name.ptr[0] == '#')
        return numbered(name);
    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        if (sp_bytes_eq(name, sp_bytes_cstr(all[i].name)))
            return all[i].point;
    return 0;
}

/* The reference turned out to be none, or one we don't know: it stays as it is. */
static void spill(struct detect_run *r)
{
    struct sp_bytes kept = sp_buf_bytes(&r->tag);
    uint32_t place = r->place - (uint32_t)kept.len - 1;

    r->in_name = false;
    flush(r, '&');
    put_byte(r, '&', place);
    put(r, kept, place + 1, 1);
    sp_buf_reset(&r->tag);
}

/* A byte of a tag. */
static void take_tag(struct detect_run *r, uint8_t c)
{
    if (c == '>') {
        r->in_tag = false;
        end_tag(r);
    } else if (r->tag.len < TAG_MAX) {
        sp_buf_put_u8(&r->tag, c);
    }
    if (r->tag.len == 3 && memcmp(r->tag.ptr, "!--", 3) == 0)
        r->in_tag = false; /* what a comment hides is text all the same */
}

/* A byte behind '&'. returns: whether it was taken, as part of a reference */
static bool take_name(struct detect_run *r, uint8_t c)
{
    uint32_t point = c == ';' ? named(sp_buf_bytes(&r->tag)) : 0;

    if (point != 0) {
        r->in_name = false;
        put_point(r, point, r->place);
        return true;
    }
    if ((sp_ascii_is_alnum(c) || c == '#') && r->tag.len < NAMED_MAX) {
        sp_buf_put_u8(&r->tag, c);
        return true;
    }
    spill(r);
    return false;
}

/* returns: whether the byte was taken */
static bool take_markup(struct detect_run *r, uint8_t c)
{
    if (r->in_tag) {
        take_tag(r, c);
        return true;
    }
    if (r->in_name && take_name(r, c))
        return true;
    if (c == '<' || c == '&') {
        sp_buf_reset(&r->tag);
        r->in_tag = c == '<';
        r->in_name = c == '&';
        return true;
    }
    return false;
}

/* ---- bytes ---- */

/* CR, LF or CRLF ends a line; CR CR LF, too, which a program made of CRLF when it took the LF for all of it. */
static void take_line_end(struct detect_run *r, uint8_t c)
{
    bool behind = r->crs > 0 && r->place == r->cr_place + 1;

    if (c == '\r')
        r->crs = behind && r->crs > 1 ? 3 : behind ? 2 : 1;
    if (c == '\r' || !behind)
        r->breaks++;
    else if (r->crs == 2)
        r->breaks--;
    if (c == '\n')
        r->crs = 0;
    r->cr_place = r->place;
    r->blanks = 0;
}

/* One ASCII byte that is not plain. */
static void take_odd(struct detect_run *r, uint8_t c)
{
    uint32_t place = r->place;

    if (r->equals) { /* the one before was '=' */
        r->equals = false;
        if (c == '\r') {
            r->equals = true;
            return;
        }
        if (c == '\n')
            return; /* a soft line break */
        put_byte(r, '=', place - 1);
    }
    if (c == '\n' || c == '\r') {
        take_line_end(r, c);
    } else if (c == '\t') {
        take_cell(r);
    } else if (c == ' ') {
        r->blanks += r->breaks == 0;
    } else if (c == '=') {
        flush(r, c);
        r->equals = true;
    } else if (c == '>' && (r->breaks > 0 || r->norm.len == 0)) {
        return; /* quoted */
    } else if (c > ' ') {
        flush(r, c);
        r->cells += c == '|';
        put_byte(r, c, place);
    }
}

/* The text that places refer to: all that was decoded, texts parted by a line end. */
static void record(struct detect_run *r, struct sp_bytes utf8)
{
    if (r->limits->text != NULL)
        sp_buf_put(r->limits->text, utf8);
}

/* One character of several bytes. */
static void take_char(struct detect_run *r, struct sp_bytes c)
{
    record(r, c);
    if (!r->in_tag)
        put_char(r, c.ptr, c.len, r->place);
    r->place++;
}

/*
 * Takes what is pending. What can't become a character of UTF-8 was written in another charset that nobody named: as a rule
 * windows-1252, whose bytes are characters.
 */
static void settle(struct detect_run *r, bool at_end)
{
    while (r->pending_len > 0) {
        struct sp_bytes pending = sp_bytes(r->pending, r->pending_len);
        size_t len = sp_utf8_step(pending);
        uint8_t c[4];

        if (len == 0 && !at_end && sp_utf8_may_grow(pending))
            return;
        if (len > 0)
            take_char(r, sp_bytes_slice(pending, 0, len));
        else
            take_char(r, sp_bytes(c, sp_utf8_encode(sp_windows1252_point(r->pending[0]), c)));
        len += len == 0;
        r->pending_len -= len;
        memmove(r->pending, r->pending + len, r->pending_len);
    }
}

/* A byte that is no ASCII. */
static void take_high(struct detect_run *r, uint8_t c)
{
    if (r->in_name)
        spill(r);
    r->pending[r->pending_len++] = c;
    if (!sp_utf8_may_grow(sp_bytes(r->pending, r->pending_len)))
        settle(r, false);
}

void sp_detect_text_begin(struct detect_run *r)
{
    if (r->place > 0) {
        record(r, SP_LIT("\n"));
        r->place++;
    }
    sp_buf_reset(&r->norm);
    r->joined = 0;
    r->norm_first = true;
    r->pending_len = 0;
    r->line_len = r->cells = 0;
    r->breaks = r->blanks = 0;
    r->in_tag = r->in_name = r->equals = false;
    r->crs = 0;
    r->table = (struct detect_table){0};
}

/*
 * How many bytes need no change. Where the window may end among them, it ends where it would if runs ended at each sign that is
 * not plain: so one that comes to a limit is taken up to its last such sign.
 */
static size_t plain_run(const struct detect_run *r, struct sp_bytes rest, unsigned *cells)
{
    static const uint8_t signs[] = {',', ';', '=', '|', '>'};
    size_t room = DETECT_WINDOW - 1 - r->norm.len, n;

    if (room > RUN_LEAST) {
        size_t max = room - 2 < RUN_MAX ? room - 2 : RUN_MAX; /* 2: flush */

        n = sp_detect_sweep_run(sp_bytes(rest.ptr, rest.len < max ? rest.len : max), r->markup,
                                cells);
        if (n + 2 < max)
            return n;
        while (n > 0 && memchr(signs, rest.ptr[n - 1], sizeof(signs)) == NULL)
            n--;
        *cells = 0;
        if (n > 0)
            return sp_detect_sweep_run(sp_bytes(rest.ptr, n), r->markup, cells);
    }
    n = sp_detect_sweep_plain(sp_bytes(rest.ptr, rest.len < RUN_MAX ? rest.len : RUN_MAX),
                              r->markup);
    if (n + 1 == RUN_MAX && rest.len > RUN_MAX && rest.ptr[n] == ' ')
        n = sp_detect_sweep_plain(sp_bytes(rest.ptr, RUN_MAX + 1),
                                  r->markup); /* what follows a blank */
    return n;
}

/* A run of bytes that need no change. returns: its length */
static size_t take_run(struct detect_run *r, struct sp_bytes rest)
{
    unsigned cells = 0;
    size_t n = plain_run(r, rest, &cells);

    if (n == 0)
        return 0;
    if (r->blanks == 0 && r->breaks == 0 && r->norm.len > 0 &&
        (r->norm.ptr[r->norm.len - 1] == ',' || r->norm.ptr[r->norm.len - 1] == ';'))
        r->cells++; /* as in tables of values, not as in prose */
    flush(r, rest.ptr[0]);
    r->cells += cells;
    put(r, sp_bytes(rest.ptr, n), r->place, 1);
    r->place += (uint32_t)n;
    return n;
}

/* What of a tag can't end it or make it a comment any more. returns: its length */
static size_t take_tag_run(struct detect_run *r, struct sp_bytes rest)
{
    size_t n = 0, room = TAG_MAX - (r->tag.len < TAG_MAX ? r->tag.len : TAG_MAX);

    if (r->tag.len <= 3)
        return 0;
    while (n < rest.len && rest.ptr[n] != '>' && rest.ptr[n] < 0x80)
        n++;
    sp_buf_put(&r->tag, sp_bytes_slice(rest, 0, n < room ? n : room));
    r->place += (uint32_t)n;
    return n;
}

/* As many bytes as can be taken at once. returns: how many */
static size_t take_many(struct detect_run *r, struct sp_bytes rest)
{
    if (r->pending_len > 0)
        return 0;
    if (r->markup && r->in_tag)
        return take_tag_run(r, rest);
    return r->equals || (r->markup && r->in_name) ? 0 : take_run(r, rest);
}

void sp_detect_text_feed(struct detect_run *r, struct sp_bytes text)
{
    for (size_t i = 0; i < text.len && !r->stopped;) {
        uint8_t c = text.ptr[i];
        size_t n = take_many(r, sp_bytes(text.ptr + i, text.len - i));

        record(r, sp_bytes(text.ptr + i, n));
        i += n;
        if (n > 0)
            continue;
        i++;
        if (c >= 0x80) {
            take_high(r, c);
            continue;
        }
        settle(r, true);
        record(r, sp_bytes(&c, 1));
        if (!r->markup || !take_markup(r, c))
            take_odd(r, c);
        r->place++;
    }
}

void sp_detect_text_end(struct detect_run *r)
{
    if (r->in_name)
        spill(r);
    settle(r, true);
    examine(r, true);
    sp_buf_wipe(&r->norm);
}
