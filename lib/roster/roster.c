/*
 * A set of normalised members. Normalising here is what the policy's loader does with an entry and what intake does with a
 * sender (mail/idn.h), so that an entry that was taken is found, and one that the loader would refuse never gets into a file: a
 * single bad line would keep the whole policy from being loaded.
 */
#include "roster/roster.h"

#include "base/map.h"
#include "config/directory.h"
#include "mail/idn.h"

#include <stdlib.h>

#define MISSING_MARK "# members not to be found: "

struct sp_roster {
    enum sp_roster_kind kind;
    struct sp_map *members; /* values say nothing */
    size_t missing;
};

struct sp_roster *sp_roster_new(enum sp_roster_kind kind)
{
    struct sp_roster *r = sp_calloc(1, sizeof(*r));

    r->kind = kind;
    r->members = sp_map_new();
    return r;
}

void sp_roster_free(struct sp_roster *r)
{
    if (r == NULL)
        return;
    sp_map_free(r->members);
    sp_free(r);
}

/* A domain, or ".example.org" for all below one: right if an address could end so. */
static enum sp_rc normalise_domain(struct sp_bytes text, struct sp_buf *out)
{
    bool is_below = text.len > 0 && text.ptr[0] == '.';
    struct sp_buf address;
    enum sp_rc rc;

    text = sp_bytes_slice(text, is_below, text.len);
    if (sp_bytes_find(text, '.') == SIZE_MAX || text.ptr[0] == '[' ||
        sp_bytes_find(text, '@') != SIZE_MAX)
        return SP_E_ADDR_SYNTAX;
    sp_buf_init(&address, 512);
    sp_buf_put_cstr(&address, "x@");
    sp_buf_put(&address, text);
    if (is_below)
        sp_buf_put_u8(out, '.');
    rc = sp_buf_rc(&address) == SP_OK ? sp_address_normalise(sp_buf_bytes(&address), out)
                                      : SP_E_ADDR_LONG;
    if (rc == SP_OK) { /* without "x@" */
        memmove(out->ptr + is_below, out->ptr + is_below + 2, out->len - is_below - 2);
        out->len -= 2;
    }
    sp_buf_clear(&address);
    return rc;
}

/* An entry of a list is one word. */
static bool fold(struct sp_buf *b)
{
    for (size_t i = 0; i < b->len; i++) {
        if (b->ptr[i] <= ' ' || b->ptr[i] == 0x7f)
            return false;
        b->ptr[i] = sp_ascii_lower(b->ptr[i]);
    }
    return b->len > 0 && b->ptr[0] != '#';
}

static enum sp_rc normalise(const struct sp_roster *r, struct sp_bytes text, struct sp_buf *out)
{
    enum sp_rc rc = r->kind == SP_ROSTER_DOMAINS ? normalise_domain(text, out)
                                                 : sp_address_normalise(text, out);

    if (rc == SP_OK && sp_buf_rc(out) != SP_OK)
        return SP_E_ADDR_LONG;
    return rc != SP_OK || fold(out) ? rc : SP_E_ADDR_SYNTAX;
}

enum sp_rc sp_roster_add(struct sp_roster *r, struct sp_bytes text)
{
    struct sp_buf member;
    enum sp_rc rc;

    sp_buf_init(&member, SP_ADDRESS_MAX);
    rc = normalise(r, text, &member);
    if (rc == SP_OK && sp_map_put(r->members, sp_buf_bytes(&member), r) != NULL)
        rc = SP_E_EXISTS;
    sp_buf_clear(&member);
    return rc;
}

void sp_roster_set_missing(struct sp_roster *r, size_t count)
{
    r->missing = count;
}

size_t sp_roster_count(const struct sp_roster *r)
{
    return sp_map_count(r->members);
}

static int by_text(const void *a, const void *b)
{
    return sp_bytes_cmp(*(const struct sp_bytes *)a, *(const struct sp_bytes *)b);
}

enum sp_rc sp_roster_format(const struct sp_roster *r, const char *source, struct sp_buf *out)
{
    size_t count = sp_map_count(r->members), at = 0, n = 0;
    struct sp_bytes *sorted = sp_calloc(count + 1, sizeof(*sorted));
    void *value;

    while (n < count && sp_map_next(r->members, &at, &sorted[n], &value))
        n++;
    qsort(sorted, n, sizeof(*sorted), by_text);
    sp_buf_printf(out, SP_DIRECTORY_MARK "%s\n", source);
    if (r->missing > 0)
        sp_buf_printf(out, MISSING_MARK "%zu\n", r->missing);
    for (size_t i = 0; i < n; i++) {
        sp_buf_put(out, sorted[i]);
        sp_buf_put_u8(out, '\n');
    }
    sp_free(sorted);
    return sp_buf_rc(out);
}

static bool is_mark(struct sp_bytes line, const char *source)
{
    return sp_bytes_starts_nocase(line, SP_LIT(SP_DIRECTORY_MARK)) &&
           sp_bytes_eq(sp_bytes_trim(sp_bytes_slice(line, sizeof(SP_DIRECTORY_MARK) - 1, line.len)),
                       sp_bytes_cstr(source));
}

/* returns: what a line tells of members that were not found; 0 if it is another one */
static size_t read_missing(struct sp_bytes line)
{
    uint64_t count = 0;

    line = sp_bytes_trim(line);
    return sp_bytes_starts_nocase(line, SP_LIT(MISSING_MARK)) &&
                   sp_bytes_to_u64(sp_bytes_slice(line, sizeof(MISSING_MARK) - 1, line.len), &count)
               ? (size_t)count
               : 0;
}

/* returns: whether a line of a file has an entry: its first word */
static bool read_entry(struct sp_bytes line, struct sp_bytes *out)
{
    line = sp_bytes_trim(line);
    return line.len > 0 && line.ptr[0] != '#' && sp_bytes_split(&line, ' ', out);
}

/* An entry as it would be a member; what can't be one is none. */
static bool has(const struct sp_roster *r, struct sp_bytes entry)
{
    struct sp_buf member;
    bool found;

    sp_buf_init(&member, SP_ADDRESS_MAX);
    found = normalise(r, entry, &member) == SP_OK &&
            sp_map_find(r->members, sp_buf_bytes(&member)) != NULL;
    sp_buf_clear(&member);
    return found;
}

size_t sp_roster_lost(const struct sp_roster *r, const struct sp_roster *named,
                      struct sp_bytes file)
{
    struct sp_bytes line, entry;
    size_t lost = 0;

    while (sp_bytes_split(&file, '\n', &line))
        lost += read_entry(line, &entry) && has(named, entry) && !has(r, entry);
    return lost;
}

void sp_roster_compare(const struct sp_roster *r, struct sp_bytes file, const char *source,
                       struct sp_roster_change *out)
{
    struct sp_bytes line, entry;
    size_t stay;

    *out = (struct sp_roster_change){.is_kept = file.len == 0, .missing = r->missing};
    for (size_t n = 0; sp_bytes_split(&file, '\n', &line); n++) {
        if (n == 0 && is_mark(line, source))
            out->is_kept = true;
        if (n == 1 && out->is_kept)
            out->missing_before = read_missing(line);
        if (read_entry(line, &entry)) {
            out->before++;
            out->gone += !has(r, entry);
        }
    }
    stay = out->before - out->gone;
    out->added = sp_map_count(r->members) > stay ? sp_map_count(r->members) - stay : 0;
}
