/*
 * Routes: immutable, counted, one arena each, so that the cache, an attempt and a connection can hold the same one.
 */
#include "transport/route.h"

#include "base/arena.h"
#include "base/buf.h"
#include "transport/transport_priv.h"

#define FIRST_BLOCK 4096

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

static void copy_hop(struct whole *w, const struct sp_hop *from, struct sp_hop *to)
{
    *to = *from;
    to->name = sp_arena_copy(w->arena, from->name);
    to->base = sp_arena_copy(w->arena, from->base);
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
    copy_sts(w, &like->sts);
    hops = sp_arena_alloc(w->arena, like->hop_count * sizeof(*hops) + 1);
    for (size_t i = 0; i < like->hop_count; i++)
        copy_hop(w, &like->hops[i], &hops[i]);
    w->public.hops = hops;
    for (size_t i = 0; i < like->hop_count; i++)
        hops[i].fingerprint = sp_hop_fingerprint(&w->public, &hops[i]);
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

uint64_t sp_hop_fingerprint(const struct sp_route *r, const struct sp_hop *h)
{
    static const uint8_t key[16] = "sallyport: a hop";
    struct sp_buf b;
    uint64_t sum;

    sp_buf_init(&b, SP_STS_TEXT_MAX * 8);
    sp_buf_put_var(&b, h->name);
    sp_buf_put_var(&b, h->base);
    sp_buf_put_u16(&b, h->port);
    sp_buf_put_u8(&b, (uint8_t)h->tlsa);
    for (size_t i = 0; i < h->tlsa_count; i++) {
        sp_buf_put_u8(&b, h->tlsa_set[i].usage);
        sp_buf_put_u8(&b, h->tlsa_set[i].selector);
        sp_buf_put_u8(&b, h->tlsa_set[i].matching_type);
        sp_buf_put_var(&b, h->tlsa_set[i].data);
    }
    for (size_t i = 0; i < h->address_count; i++)
        sp_buf_put(&b, sp_bytes(h->addresses[i].b, sizeof(h->addresses[i].b)));
    sp_buf_put_var(&b, r->pin);
    sum = sp_bytes_hash(sp_buf_bytes(&b), key);
    sp_buf_clear(&b);
    return sum;
}
