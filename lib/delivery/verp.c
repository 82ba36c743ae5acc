/*
 * Return paths of our own: a tenant that names a domain for it has each recipient's copy sent from an address that says which
 * it is (VERP), keyed so that nobody else can make one (crypt/token.h). What bounces later then comes to us, is known, and
 * goes on to the sender. A portal notice has one, too, and its sender is that of the message that it tells of. Never for
 * mail without a sender or of a sender who is not the tenant's: nobody would be told.
 */
#include "delivery/delivery_priv.h"

#include "crypt/token.h"

#define DAY_MS      ((int64_t)86400000)
#define ADDRESS_MAX 400

static const char *domain_of(const struct sp_delivery *d, const struct sp_accept *a)
{
    const struct sp_delivery_settings *s = &d->settings;

    for (size_t i = 0; i < s->bounce_count; i++)
        if (sp_bytes_eq(a->tenant, sp_bytes_cstr(s->bounces[i].tenant)))
            return s->bounces[i].domain;
    return NULL;
}

bool sp_delivery_has_own_path(const struct sp_delivery *d, const struct sp_accept *a)
{
    return a->kind == SP_ACCEPT_KIND_MAIL && a->sender.len > 0 &&
           (a->needs & SP_SENDER_FOREIGN) == 0 && domain_of(d, a) != NULL;
}

bool sp_attempt_has_own_path(const struct sp_attempt *a)
{
    const struct sp_accept *accept = &a->p->m->accept;

    if (accept->kind == SP_ACCEPT_KIND_NOTICE)
        return a->options->notice_of.sender.len > 0 && domain_of(a->d, accept) != NULL;
    return sp_delivery_has_own_path(a->d, accept);
}

struct sp_bytes sp_attempt_return_path(const struct sp_attempt *a)
{
    const struct sp_accept *accept = &a->p->m->accept;
    const char *domain = domain_of(a->d, accept);
    int64_t now_ms = sp_clock_wall_ms(sp_loop_clock(a->d->parts.loop));
    struct sp_crypt_token token = {
        .id = accept->id, .n = a->ns[0], .day = (uint16_t)(now_ms / DAY_MS)};
    struct sp_bytes path;
    struct sp_buf text;

    if (a->n_count != 1 || !sp_attempt_has_own_path(a))
        return accept->sender;
    sp_buf_init(&text, ADDRESS_MAX);
    sp_crypt_token_make(a->d->settings.return_key, &token, sp_bytes_cstr(domain), &text);
    sp_buf_put_u8(&text, '@');
    sp_buf_put_cstr(&text, domain);
    path =
        sp_buf_rc(&text) == SP_OK ? sp_arena_copy(a->arena, sp_buf_bytes(&text)) : accept->sender;
    sp_buf_clear(&text);
    return path;
}
