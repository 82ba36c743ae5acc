/*
 * Answers: immutable, counted, all their bytes in one arena. The cache, a question's waiters and a route's builder
 * hold the same one, so nothing is copied on the way up. The counter is plain: answers live on one loop.
 */
#include "dns/answer.h"

#include "base/arena.h"
#include "dns/dns.h"

#include <arpa/inet.h>

#define FIRST_BLOCK 512

struct sp_dns_draft {
    struct sp_dns_answer public; /* first: a finished draft is its answer */
    struct sp_arena *arena;
    struct sp_dns_record *records;
    size_t cap;
    unsigned refs;
};

struct sp_dns_draft *sp_dns_draft_new(void)
{
    struct sp_dns_draft *d = sp_calloc(1, sizeof(*d));

    d->arena = sp_arena_new(FIRST_BLOCK);
    return d;
}

void sp_dns_draft_drop(struct sp_dns_draft *d)
{
    if (d == NULL)
        return;
    sp_arena_free(d->arena);
    sp_free(d->records);
    sp_free(d);
}

size_t sp_dns_draft_count(const struct sp_dns_draft *d)
{
    return d->public.count;
}

enum sp_rc sp_dns_draft_add(struct sp_dns_draft *d, const struct sp_dns_record *record)
{
    struct sp_dns_record *r;

    if (d->public.count >= SP_DNS_RECORDS_MAX)
        return SP_E_DNS_MALFORMED;
    if (d->public.count == d->cap) {
        d->cap = d->cap == 0 ? 4 : d->cap * 2;
        d->records = sp_realloc(d->records, d->cap * sizeof(*d->records));
    }
    r = &d->records[d->public.count++];
    *r = *record;
    r->name = sp_arena_copy(d->arena, record->name);
    r->data = sp_arena_copy(d->arena, record->data);
    return SP_OK;
}

const struct sp_dns_answer *sp_dns_draft_finish(struct sp_dns_draft *d,
                                                const struct sp_dns_answer *like)
{
    size_t count = d->public.count;

    d->public = *like;
    d->public.owner = sp_arena_copy(d->arena, like->owner);
    d->public.records = d->records;
    d->public.count = count;
    d->refs = 1;
    return &d->public;
}

static struct sp_dns_draft *whole(const struct sp_dns_answer *a)
{
    return SP_CONTAINER(a, struct sp_dns_draft, public);
}

const struct sp_dns_answer *sp_dns_answer_ref(const struct sp_dns_answer *a)
{
    whole(a)->refs++;
    return a;
}

void sp_dns_answer_unref(const struct sp_dns_answer *a)
{
    if (a != NULL && --whole(a)->refs == 0)
        sp_dns_draft_drop(whole(a));
}

size_t sp_dns_answer_size(const struct sp_dns_answer *a)
{
    size_t size = sizeof(struct sp_dns_draft) + FIRST_BLOCK + a->owner.len;

    for (size_t i = 0; i < a->count; i++)
        size += sizeof(a->records[i]) + a->records[i].name.len + a->records[i].data.len;
    return size;
}

bool sp_dns_rc_is_error(enum sp_rc rc)
{
    return rc != SP_OK && rc != SP_E_DNS_NONE && rc != SP_E_DNS_NXDOMAIN;
}

void sp_dns_ip_format(const struct sp_dns_ip *ip, char *out)
{
    out[0] = '\0';
    (void)inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->b, out, INET6_ADDRSTRLEN);
}

bool sp_dns_ip_parse(struct sp_bytes text, struct sp_dns_ip *out)
{
    char cstr[INET6_ADDRSTRLEN];
    struct sp_dns_ip ip = {0};

    if (text.len == 0 || text.len >= sizeof(cstr) || memchr(text.ptr, 0, text.len) != NULL)
        return false;
    memcpy(cstr, text.ptr, text.len);
    cstr[text.len] = '\0';
    if (inet_pton(AF_INET, cstr, ip.b) == 1)
        ip.family = 4;
    else if (inet_pton(AF_INET6, cstr, ip.b) == 1)
        ip.family = 6;
    else
        return false;
    *out = ip;
    return true;
}
