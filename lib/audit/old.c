/*
 * A line of a compressed file costs all that lies before it. So a message's lines are read together, each file once and
 * forward, since places rise; and that may take seconds, so it is done where nobody waits for it. What does not fit is
 * refused, not read piece by piece.
 */
#include "audit/old.h"

#include "audit/book_priv.h"
#include "audit/series.h"

#include <stdlib.h>

#define TEXT_MAX ((size_t)64 << 20) /* of all lines together */

struct old_line {
    uint64_t seq;
    uint64_t first;  /* of its file */
    uint64_t offset; /* in it */
    uint32_t len;
    uint8_t *text; /* NULL: why not is in rc */
    enum sp_rc rc;
};

struct sp_audit_old {
    char *path;
    struct old_line *lines;
    size_t count;
};

struct sp_audit_old *sp_audit_old_new(const struct sp_audit_book *b)
{
    struct sp_audit_old *old = sp_calloc(1, sizeof(*old));

    old->path = sp_strdup(b->path);
    return old;
}

void sp_audit_old_add(struct sp_audit_old *old, const struct sp_audit_book *b,
                      const struct sp_audit_message *m)
{
    size_t room = (old->count + m->place_count + 1) * sizeof(*old->lines);
    struct sp_audit_ended file = {0};

    old->lines = sp_realloc(old->lines, room);
    for (uint32_t i = 0; i < m->place_count; i++) {
        const struct sp_audit_place *p = &m->places[i];

        if (p->offset >= b->base || p->len > SP_AUDIT_LINE_MAX)
            continue;
        if ((file.first == 0 || p->offset < file.base || p->offset - file.base >= file.len) &&
            sp_audit_rotate_find(b, p->offset, &file) != SP_OK)
            file.first = 0;
        if (file.first == 0 || (b->rotating && file.first == b->rotated_first))
            continue;
        old->lines[old->count++] = (struct old_line){.seq = p->seq,
                                                     .first = file.first,
                                                     .offset = p->offset - file.base,
                                                     .len = p->len,
                                                     .rc = SP_E_AUDIT_INCOMPLETE};
    }
}

size_t sp_audit_old_count(const struct sp_audit_old *old)
{
    return old->count;
}

void sp_audit_old_free(struct sp_audit_old *old)
{
    if (old == NULL)
        return;
    for (size_t i = 0; i < old->count; i++)
        sp_free(old->lines[i].text);
    sp_free(old->lines);
    sp_free(old->path);
    sp_free(old);
}

static void read_line(struct sp_audit_source *source, struct old_line *line)
{
    line->text = sp_malloc(line->len + 1U);
    line->rc = sp_audit_source_read_at(source, line->offset, line->text, line->len);
    if (line->rc != SP_OK) {
        sp_free(line->text);
        line->text = NULL;
    }
}

static int compare(const void *a, const void *b)
{
    const struct old_line *x = a, *y = b;

    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

void sp_audit_old_read(struct sp_audit_old *old)
{
    struct sp_audit_source *source = NULL;
    uint64_t first = 0;
    enum sp_rc rc = SP_OK;
    size_t total = 0;

    if (old->count > 0)
        qsort(old->lines, old->count, sizeof(*old->lines), compare);
    for (size_t i = 0; i < old->count; i++) {
        struct old_line *line = &old->lines[i];

        if (line->first != first) {
            sp_audit_source_free(source);
            source = NULL;
            first = line->first;
            rc = sp_audit_rotate_open(old->path, first, &source);
        }
        total += line->len;
        if (total > TEXT_MAX)
            rc = SP_E_LIMIT;
        line->rc = rc;
        if (rc == SP_OK)
            read_line(source, line);
    }
    sp_audit_source_free(source);
}

enum sp_rc sp_audit_old_get(const struct sp_audit_old *old, const struct sp_audit_place *place,
                            void *out)
{
    size_t low = 0, high = old == NULL ? 0 : old->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (old->lines[mid].seq < place->seq)
            low = mid + 1;
        else
            high = mid;
    }
    if (old == NULL || low == old->count || old->lines[low].seq != place->seq ||
        old->lines[low].len != place->len)
        return SP_E_NOT_FOUND;
    if (old->lines[low].rc == SP_OK)
        memcpy(out, old->lines[low].text, place->len);
    return old->lines[low].rc;
}

void sp_audit_book_lend(struct sp_audit_book *b, const struct sp_audit_old *old)
{
    b->old = old;
}
