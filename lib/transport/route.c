/*
 * Routes: immutable, counted, one arena each, so that the cache, an attempt and a connection can hold the same one.
 */
#include "transport/route.h"

#include "base/arena.h"
#include "base/buf.h"
#include "transport/transport_priv.h"

#define FIRST_BLOCK 4096
#define DANE_TA     2

struct whole {
    struct sp_route public;
    struct sp_arena *arena;
    unsigned refs;
};

static void copy_sts(struct whole *w, const struct sp_sts_policy *from)
{
    struct sp_sts_policy *to = &w->public.sts;

    *to = *from;
    to->text = sp_arena_copy(w->arena, from->text);
    to->id = sp_arena_copy(w->arena, from->id);
    for (size_t i = 0; i < from->mx_count; i++)
        to->mx[i] = sp_arena_copy(w->arena, from->mx[i]);
}

static void copy_names(struct whole *w, const struct sp_route *from)
{
    struct sp_bytes *names = sp_arena_alloc(w->arena, from->name_count * sizeof(*names) + 1);

    for (size_t i = 0; i < from->name_count; i++)
        names[i] = sp_arena_copy(w->arena, from->names[i]);
    w->public.names = names;
}

static void copy_hop(struct whole *w, const struct sp_hop *from, struct sp_hop *to)
{
    *to = *from;
    to->name = sp_arena_copy(w->arena, from->name);
    to->base = sp_arena_copy(w->arena, from->base);
    to->pin = sp_arena_copy(w->arena, from->pin);
    for (size_t i = 0; i < from->tlsa_count; i++)
        to->tlsa_set[i].data = sp_arena_copy(w->arena, from->tlsa_set[i].data);
}

const struct sp_route *sp_route_copy(const struct sp_route *like)
{
    struct whole *w = sp_calloc(1, sizeof(*w));
    struct sp_hop *hops;

    w->refs = 1;
    w->arena = sp_arena_new(FIRST_BLOCK);
    w->public = *like;
    w->public.domain = sp_arena_copy(w->arena, like->domain);
    w->public.pin = sp_arena_copy(w->arena, like->pin);
    copy_names(w, like);
    copy_sts(w, &like->sts);
    hops = sp_arena_alloc(w->arena, like->hop_count * sizeof(*hops) + 1);
    for (size_t i = 0; i < like->hop_count; i++)
        copy_hop(w, &like->hops[i], &hops[i]);
    w->public.hops = hops;
    return &w->public;
}

static struct whole *whole(const struct sp_route *r)
{
    return SP_CONTAINER(r, struct whole, public);
}

const struct sp_route *sp_route_ref(const struct sp_route *r)
{
    whole(r)->refs++;
    return r;
}

void sp_route_unref(const struct sp_route *r)
{
    struct whole *w;

    if (r == NULL)
        return;
    w = whole(r);
    if (--w->refs > 0)
        return;
    sp_arena_free(w->arena);
    sp_free(w);
}

static void put_tlsa(struct sp_buf *b, const struct sp_route *r, const struct sp_hop *h)
{
    bool has_anchor = false;

    sp_buf_put_u8(b, (uint8_t)h->tlsa);
    sp_buf_put_u16(b, (uint16_t)h->tlsa_count);
    for (size_t i = 0; i < h->tlsa_count; i++) {
        const struct sp_tlsa *t = &h->tlsa_set[i];

        sp_buf_put_u8(b, t->usage);
        sp_buf_put_u8(b, t->selector);
        sp_buf_put_u8(b, t->matching_type);
        sp_buf_put_var(b, t->data);
        has_anchor = has_anchor || t->usage == DANE_TA;
    }
    /* A DANE-TA host may show the name of the domain that it serves (RFC 7672 3.2.2): good for that domain alone. */
    if (has_anchor && (sp_hop_has_dane(r, h) || h->tlsa_pinned))
        sp_buf_put_var(b, r->domain);
}

void sp_hop_put_site(const struct sp_route *r, const struct sp_hop *h, struct sp_buf *b)
{
    sp_buf_put_var(b, h->name);
    sp_buf_put_var(b, h->base);
    sp_buf_put_u16(b, h->port);
    sp_buf_put_u8(b, h->is_address);
    sp_buf_put_u16(b, (uint16_t)h->address_count);
    for (size_t i = 0; i < h->address_count; i++) {
        sp_buf_put_u8(b, (uint8_t)h->addresses[i].family);
        sp_buf_put(b, sp_bytes(h->addresses[i].b, sizeof(h->addresses[i].b)));
    }
    sp_buf_put_var(b, r->pin);
    sp_buf_put_var(b, h->pin);
    sp_buf_put_u64(b, (uint64_t)(uintptr_t)h->self); /* who we are there, by identity */
    sp_buf_put_u16(b, (uint16_t)r->name_count);
    for (size_t i = 0; i < r->name_count; i++)
        sp_buf_put_var(b, r->names[i]);
    sp_buf_put_u8(b, h->tlsa_pinned);
    put_tlsa(b, r, h);
}
