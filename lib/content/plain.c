/*
 * Plaintext that is kept for a reader who comes soon: a message that was just taken in is sent on at once as a rule, and
 * would be read from the disk and opened for that. It is only ever in memory, and wiped when the last one lets it go.
 */
#include "content/chunk_priv.h"

enum {
    FIRST_CAP = 8192,
    STEP = SP_CONTENT_CHUNK,
};

struct sp_content_tally {
    unsigned refs;
    size_t len;
};

struct sp_content_tally *sp_content_tally_new(void)
{
    struct sp_content_tally *t = sp_calloc(1, sizeof(*t));

    t->refs = 1;
    return t;
}

void sp_content_tally_unref(struct sp_content_tally *t)
{
    if (t != NULL && --t->refs == 0)
        sp_free(t);
}

size_t sp_content_tally_len(const struct sp_content_tally *t)
{
    return t->len;
}

void sp_content_plain_count(struct sp_content_plain *p, struct sp_content_tally *t)
{
    sp_assert(p->tally == NULL);
    p->tally = t;
    t->refs++;
    t->len += p->len;
}

struct sp_content_plain *sp_content_plain_ref(struct sp_content_plain *p)
{
    p->refs++;
    return p;
}

void sp_content_plain_unref(struct sp_content_plain *p)
{
    if (p == NULL || --p->refs > 0)
        return;
    if (p->tally != NULL)
        p->tally->len -= p->len;
    sp_content_tally_unref(p->tally);
    if (p->len > 0)
        sp_wipe(p->data, p->len);
    sp_free(p->data);
    sp_free(p);
}

size_t sp_content_plain_len(const struct sp_content_plain *p)
{
    return p->len;
}

bool sp_content_plain_reserve(struct sp_content_plain *p, size_t len)
{
    size_t cap = len <= FIRST_CAP ? FIRST_CAP : (len + STEP - 1) / STEP * STEP;
    uint8_t *moved;

    if (len <= p->cap)
        return true;
    moved = sp_malloc_try(cap);
    if (moved == NULL)
        return false;
    if (p->len > 0) {
        memcpy(moved, p->data, p->len);
        sp_wipe(p->data, p->len);
    }
    sp_free(p->data);
    p->data = moved;
    p->cap = cap;
    return true;
}
