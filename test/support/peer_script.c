/*
 * Reads and runs peer scripts. It knows neither machine; the ops do.
 */
#include "support/peer_script.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/fake_clock.h"

struct run {
    const struct peer_ops *ops;
    void *machine;
    char peer;
    enum peer_cut cut;
    struct fake_random random;
    struct sp_buf pending; /* the peer's bytes, not fed yet */
    size_t events_at;
    const char *path;
    size_t line_no;
    char *failure;
};

bool peer_match(struct sp_bytes pattern, struct sp_bytes text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static bool fail(struct run *r, const char *what, struct sp_bytes wanted, struct sp_bytes got)
{
    snprintf(r->failure, 1024, "%s:%zu (cut %d): %s: wanted \"%.*s\", got \"%.*s\"", r->path,
             r->line_no, (int)r->cut, what, SP_FMT(wanted), (int)(got.len > 600 ? 600 : got.len),
             got.len == 0 ? "" : (const char *)got.ptr);
    return false;
}

static uint8_t hex_value(uint8_t c)
{
    return sp_ascii_is_digit(c) ? (uint8_t)(c - '0') : (uint8_t)(sp_ascii_lower(c) - 'a' + 10);
}

/* Decodes one escape at text[i] (behind the backslash). returns: how many bytes of text it took; 0 for \c */
static size_t put_escape(struct sp_buf *out, struct sp_bytes text, size_t i)
{
    switch (text.ptr[i]) {
    case 'r':
        sp_buf_put_u8(out, '\r');
        return 1;
    case 'n':
        sp_buf_put_u8(out, '\n');
        return 1;
    case 't':
        sp_buf_put_u8(out, '\t');
        return 1;
    case '0':
        sp_buf_put_u8(out, 0);
        return 1;
    case 'c':
        return 0;
    case 'x':
        sp_buf_put_u8(out, (uint8_t)(hex_value(text.ptr[i + 1]) * 16 + hex_value(text.ptr[i + 2])));
        return 3;
    default:
        sp_buf_put_u8(out, text.ptr[i]);
        return 1;
    }
}

static void put_peer_line(struct run *r, struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        size_t took;

        if (text.ptr[i] != '\\' || i + 1 == text.len) {
            sp_buf_put_u8(&r->pending, text.ptr[i]);
            continue;
        }
        took = put_escape(&r->pending, text, i + 1);
        if (took == 0)
            return;
        i += took;
    }
    sp_buf_put_cstr(&r->pending, "\r\n");
}

static void flush(struct run *r)
{
    struct sp_bytes all = sp_buf_bytes(&r->pending);

    while (all.len > 0) {
        size_t len = all.len;
        uint8_t *exact;

        if (r->cut == PEER_BYTES)
            len = 1;
        else if (r->cut == PEER_RANDOM)
            len = 1 + (size_t)sp_random_below(&r->random.random, all.len < 9 ? all.len : 9);
        /* memory of the exact size, so that the sanitizer sees a read past its end */
        exact = sp_malloc(len);
        memcpy(exact, all.ptr, len);
        r->ops->feed(r->machine, sp_bytes(exact, len));
        sp_free(exact);
        all = sp_bytes_slice(all, len, all.len);
    }
    sp_buf_reset(&r->pending);
}

static bool expect_said(struct run *r, struct sp_bytes pattern)
{
    struct sp_buf line;
    bool ok;

    sp_buf_init(&line, 65536);
    ok = r->ops->said(r->machine, &line);
    if (!ok)
        fail(r, "nothing was said", pattern, sp_bytes(NULL, 0));
    else if (!peer_match(pattern, sp_buf_bytes(&line)))
        ok = fail(r, "said", pattern, sp_buf_bytes(&line));
    sp_buf_clear(&line);
    return ok;
}

/* Looks for the next event that matches. from: where to begin; out: behind it */
static bool find_event(struct run *r, struct sp_bytes pattern, size_t *from)
{
    struct sp_bytes all = r->ops->events(r->machine), rest, line;

    rest = sp_bytes_slice(all, *from, all.len);
    while (sp_bytes_split(&rest, '\n', &line)) {
        *from += line.len + 1;
        if (line.len > 0 && peer_match(pattern, line))
            return true;
    }
    return false;
}

static bool expect_event(struct run *r, struct sp_bytes pattern)
{
    size_t from = r->events_at;
    struct sp_bytes all;

    if (find_event(r, pattern, &from)) {
        r->events_at = from;
        return true;
    }
    all = r->ops->events(r->machine);
    return fail(r, "no such event", pattern, sp_bytes_slice(all, r->events_at, all.len));
}

static bool pass_time(struct run *r, struct sp_bytes text)
{
    uint64_t count = 0;
    int64_t unit = 1000;

    if (text.len < 2 || !sp_bytes_to_u64(sp_bytes_slice(text, 0, text.len - 1), &count))
        return fail(r, "bad time", text, sp_bytes(NULL, 0));
    unit *= text.ptr[text.len - 1] == 'm' ? 60 : text.ptr[text.len - 1] == 'h' ? 3600 : 1;
    r->ops->pass(r->machine, (int64_t)count * unit);
    return true;
}

static bool expect_silence(struct run *r)
{
    struct sp_buf line;
    bool ok = true;

    sp_buf_init(&line, 65536);
    if (r->ops->said(r->machine, &line))
        ok = fail(r, "said more", SP_LIT(""), sp_buf_bytes(&line));
    sp_buf_clear(&line);
    return ok;
}

static bool run_line(struct run *r, char kind, struct sp_bytes text)
{
    size_t from = 0;

    if (kind == r->peer) {
        put_peer_line(r, text);
        return true;
    }
    flush(r);
    switch (kind) {
    case 'C':
    case 'S':
        return expect_said(r, text);
    case 'E':
        return expect_event(r, text);
    case 'N':
        return !find_event(r, text, &from) || fail(r, "an event that must not be", text, text);
    case 'T':
        return pass_time(r, text);
    case 'D':
        r->ops->act(r->machine, text);
        return true;
    case 'X':
        return expect_silence(r);
    default:
        return fail(r, "bad line", text, sp_bytes(NULL, 0));
    }
}

static bool read_script(const char *path, struct sp_buf *out)
{
    FILE *f = fopen(path, "rb");
    uint8_t chunk[4096];
    size_t n;

    if (f == NULL)
        return false;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        sp_buf_put(out, sp_bytes(chunk, n));
    fclose(f);
    return true;
}

/* Takes the next line that is no note. returns: false at the end */
static bool next_line(struct run *r, struct sp_bytes *rest, char *kind, struct sp_bytes *text)
{
    struct sp_bytes line;

    while (sp_bytes_split(rest, '\n', &line)) {
        r->line_no++;
        if (line.len < 2 || line.ptr[0] == '#' || line.ptr[1] != ':')
            continue;
        *kind = (char)line.ptr[0];
        *text = sp_bytes_slice(line, line.len > 2 && line.ptr[2] == ' ' ? 3 : 2, line.len);
        return true;
    }
    return false;
}

bool peer_script_run(const char *path, const struct peer_ops *ops, enum peer_cut cut, uint64_t seed,
                     char failure[1024])
{
    struct run r = {.ops = ops, .cut = cut, .path = path, .failure = failure};
    struct sp_buf script;
    struct sp_bytes rest, text;
    char kind = 0;
    bool ok;

    fake_random_init(&r.random, seed);
    sp_buf_init(&script, 1024 * 1024);
    sp_buf_init(&r.pending, 4 * 1024 * 1024);
    ok = read_script(path, &script);
    rest = sp_buf_bytes(&script);
    ok = ok && next_line(&r, &rest, &kind, &text) && kind == 'M';
    if (!ok) {
        fail(&r, "no M: line", sp_bytes(NULL, 0), sp_bytes(NULL, 0));
        sp_buf_clear(&script);
        return false;
    }
    r.peer = sp_bytes_starts_nocase(text, SP_LIT("server")) ? 'C' : 'S';
    r.machine = ops->start(text);
    while (ok && next_line(&r, &rest, &kind, &text))
        ok = run_line(&r, kind, text);
    if (ok)
        flush(&r);
    ops->stop(r.machine);
    sp_buf_clear(&r.pending);
    sp_buf_clear(&script);
    return ok;
}

char peer_script_kind(const char *path)
{
    struct run r = {.path = path};
    struct sp_buf script;
    struct sp_bytes rest, text;
    char kind = 0, result = '?';

    sp_buf_init(&script, 1024 * 1024);
    if (read_script(path, &script)) {
        rest = sp_buf_bytes(&script);
        if (next_line(&r, &rest, &kind, &text) && kind == 'M' && text.len > 0)
            result = (char)text.ptr[0];
    }
    sp_buf_clear(&script);
    return result;
}
