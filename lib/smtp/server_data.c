/*
 * The message itself. Only CRLF.CRLF ends it (RFC 5321 2.3.8, 4.1.1.4): a bare CR, bare LF or NUL is answered and ends the
 * session, because what another server might take for an end of data must not be passed on (SMTP smuggling). Slices of
 * the input are given on as they are, cut only where a dot was stuffed; long stretches without anything of note are found
 * by clean.c, the rest by memchr from line to line. A CR or a line's first dot at the end of the input waits there for
 * what follows it. The text of a BDAT goes the same way, but for the dots. A tenant may have bare ones normalised; even
 * then they end nothing, and a dot behind one is text.
 */
#include "smtp/clean.h"
#include "smtp/server_priv.h"

/* What one look at the input found. */
struct look {
    size_t end;    /* bytes that are good to give on */
    size_t clean;  /* of these the first, which are known to hold no NUL */
    enum sp_rc rc; /* a fault behind them */
    bool dot;      /* a dot begins the line behind them */
    bool wait;     /* more input is needed behind them */
};

/* Notes the length of a line or a piece of it. */
static void count_line(struct sp_smtp_server *s, size_t len, bool ended)
{
    s->line_len += len;
    if (s->line_len > s->data.line_max)
        s->data.line_max = s->line_len;
    if (s->line_len + 2 > s->config->line_limit)
        s->too_long = true;
    if (ended)
        s->line_len = 0;
    s->line_start = ended;
}

/*
 * Whole lines that end where the longest so far would have ended: none of them is longer, so only the last end among them is
 * looked for, from behind. returns: their bytes, or 0
 */
static size_t skip_lines(const struct sp_smtp_server *s, struct sp_bytes text)
{
    size_t most = s->data.line_max + 2;
    const uint8_t *lf = s->line_len > 0 || most > text.len ? NULL : memrchr(text.ptr, '\n', most);

    return lf == NULL ? 0 : (size_t)(lf - text.ptr) + 1;
}

/* Notes the lines of text that is known to be clean. */
static void count_lines(struct sp_smtp_server *s, struct sp_bytes text)
{
    while (text.len > 0) {
        size_t len = skip_lines(s, text);

        if (len == 0) {
            const uint8_t *lf = memchr(text.ptr, '\n', text.len);

            len = lf == NULL ? text.len : (size_t)(lf - text.ptr) + 1;
            count_line(s, lf == NULL ? len : len - 2, lf != NULL);
        } else {
            s->line_start = true;
        }
        text = sp_bytes(text.ptr + len, text.len - len);
    }
}

static void add_clean(struct look *l, size_t len)
{
    if (l->clean == l->end)
        l->clean += len;
    l->end += len;
}

static uint8_t byte_before(const struct sp_smtp_server *s)
{
    return s->line_start ? '\n' : 0;
}

/* Looks from line to line, up to a stuffed dot, a fault or the end of the input. */
static struct look look_ahead(struct sp_smtp_server *s, struct sp_bytes in, bool dots)
{
    struct look l = {0};

    while (l.end < in.len) {
        const uint8_t *line = in.ptr + l.end;
        size_t left = in.len - l.end;
        size_t clean = sp_smtp_clean_len(sp_bytes(line, left), byte_before(s));
        const uint8_t *lf, *cr, *bare;

        if (clean > 0) {
            count_lines(s, sp_bytes(line, clean));
            add_clean(&l, clean);
            continue;
        }
        if (dots && s->line_start && line[0] == '.') {
            l.dot = true;
            return l;
        }
        lf = memchr(line, '\n', left);
        cr = memchr(line, '\r', lf == NULL ? left : (size_t)(lf - line));
        if (lf != NULL && cr == lf - 1) {
            l.end += (size_t)(lf - line) + 1;
            count_line(s, (size_t)(cr - line), true);
            continue;
        }
        if (lf == NULL && cr == NULL) {
            l.end = in.len;
            count_line(s, left, false);
            return l;
        }
        /* a CR that is not the last byte, or a LF without one: bare; a CR at the very end may yet get its LF */
        bare = cr != NULL ? cr : lf;
        l.end += (size_t)(bare - line);
        count_line(s, (size_t)(bare - line), false);
        l.wait = cr != NULL && cr + 1 == in.ptr + in.len;
        l.rc = l.wait ? SP_OK : SP_E_SMTP_BARE_DATA;
        return l;
    }
    return l;
}

/* Gives good bytes on, or drops them if the message will be refused. */
static void give(struct sp_smtp_server *s, struct sp_bytes chunk)
{
    s->data.size += chunk.len;
    if (s->data.size > s->config->size_limit)
        s->too_big = true;
    if (s->too_big || s->too_long)
        return;
    s->data.has_8bit = s->data.has_8bit || sp_smtp_clean_has_high(chunk);
    sp_smtp_server_emit(s, SP_SMTP_SERVER_CHUNK)->text = chunk;
}

void sp_smtp_server_data_start(struct sp_smtp_server *s)
{
    s->line_start = true;
    s->line_len = 0;
    s->data = (struct sp_smtp_data_facts){0, 0, false};
    s->too_long = s->too_big = s->held_cr = false;
    s->data_since_ms = sp_clock_mono_ms(s->config->clock);
    s->data_taken = 0;
    sp_smtp_server_enter(s, s->chunking ? CHUNK : DATA);
}

void sp_smtp_server_data_end(struct sp_smtp_server *s)
{
    if (!s->too_big && !s->too_long) {
        sp_smtp_server_ask(s, SP_SMTP_SERVER_END)->data = s->data;
        return;
    }
    sp_smtp_server_fault(s, s->too_big ? SP_E_SMTP_SIZE : SP_E_SMTP_LINE_LONG);
    sp_smtp_server_reset(s);
}

static void break_off(struct sp_smtp_server *s, enum sp_rc rc)
{
    sp_smtp_server_fault(s, rc);
    sp_smtp_server_close(s, rc);
}

/*
 * Handles a dot at the start of a line.
 *
 * returns: false if more input is needed
 */
static bool on_dot(struct sp_smtp_server *s, struct sp_bytes *input)
{
    struct sp_bytes in = *input;

    if (in.len < 2 || (in.ptr[1] == '\r' && in.len < 3))
        return false;
    if (in.ptr[1] == '\r' && in.ptr[2] == '\n') {
        *input = sp_bytes_slice(in, 3, in.len);
        sp_smtp_server_data_end(s);
        return true;
    }
    *input = sp_bytes_slice(in, 1, in.len); /* stuffed: the rest of the line is text, or a fault */
    s->line_start = false;
    return true;
}

/* Takes good bytes off the input; a message that will never stop is broken off at a fixed byte. */
static void take_good(struct sp_smtp_server *s, struct sp_bytes *input, const struct look *l)
{
    uint64_t most = s->config->size_limit * 2 + 1;
    bool endless = s->data.size + l->end >= most;
    struct sp_bytes good =
        sp_bytes_slice(*input, 0, endless ? (size_t)(most - s->data.size) : l->end);
    struct sp_bytes seen_by_lines = sp_bytes_slice(good, l->clean, good.len);

    *input = sp_bytes_slice(*input, good.len, input->len);
    s->data_taken += good.len;
    sp_smtp_server_touch(s);
    if (sp_bytes_find(seen_by_lines, 0) != SIZE_MAX) {
        break_off(s, SP_E_SMTP_NUL);
        return;
    }
    give(s, good);
    if (endless)
        break_off(s, SP_E_SMTP_SIZE);
}

void sp_smtp_server_bare(struct sp_smtp_server *s)
{
    if (!s->normalise) {
        break_off(s, SP_E_SMTP_BARE_DATA);
        return;
    }
    give(s, SP_LIT("\r\n"));
    s->line_len = 0;
    s->line_start = false; /* only a CRLF as received begins a line where a dot may mean the end */
}

void sp_smtp_server_late_crlf(struct sp_smtp_server *s)
{
    count_line(s, 0, true);
    give(s, SP_LIT("\r\n"));
}

bool sp_smtp_server_text(struct sp_smtp_server *s, struct sp_bytes *input, bool dots)
{
    struct look l;

    if (input->len == 0)
        return false;
    l = look_ahead(s, *input, dots);
    if (l.end > 0) {
        take_good(s, input, &l);
        return true;
    }
    if (l.rc != SP_OK) {
        *input = sp_bytes_slice(*input, 1, input->len);
        s->data_taken++;
        sp_smtp_server_bare(s);
        return true;
    }
    return l.dot && on_dot(s, input);
}

bool sp_smtp_server_data(struct sp_smtp_server *s, struct sp_bytes *input)
{
    return sp_smtp_server_text(s, input, true);
}
