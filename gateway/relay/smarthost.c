/*
 * Who we are to each smarthost: a certificate of ours and a name in EHLO, where the settings give them. The return leg to a
 * tenant's Microsoft 365 is recognised by that certificate alone, so each has a TLS context of its own and no session,
 * resumed or open, is shared between two of them. What has not changed is taken over at a reload: reading the system's
 * trust anchors takes its time.
 */
#include "gateway/relay/relay.h"
#include "gateway/relay/smarthost.h"

#include "crypt/hash.h"
#include "tls/tls.h"

#include <stdio.h>

struct self {
    struct sp_hop_self public;
    uint8_t digest[SP_SHA256_LEN]; /* of what the context is made from */
    char *helo;
    char *certificate;
};

struct relay_selves {
    struct self *items;
    const struct sp_hop_self **list; /* NULL: nobody special */
    size_t count;
};

void relay_selves_free(struct relay_selves *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++) {
        sp_tls_context_unref(s->items[i].public.tls);
        sp_free(s->items[i].helo);
        sp_free(s->items[i].certificate);
    }
    sp_free(s->items);
    sp_free((void *)s->list);
    sp_free(s);
}

static struct sp_tls_context *find_same(const struct relay_selves *before, const uint8_t *digest)
{
    for (size_t i = 0; before != NULL && i < before->count; i++)
        if (before->items[i].public.tls != NULL &&
            memcmp(before->items[i].digest, digest, SP_SHA256_LEN) == 0)
            return sp_tls_context_ref(before->items[i].public.tls);
    return NULL;
}

static enum sp_rc make_context(struct relay *r, const struct relay_selves *before, size_t i,
                               struct self *self, struct sp_err *err)
{
    struct sp_tls_client_config config = {
        .system_trust = true, .extra_ca_pem = sp_role_file(r->role, "secret/delivery.ca")};
    struct sp_err why = {0};
    struct sp_buf text;
    char name[100];

    snprintf(name, sizeof(name), "secret/smarthost.%zu.certificate", i);
    config.certificate_pem = sp_role_file(r->role, name);
    snprintf(name, sizeof(name), "secret/smarthost.%zu.key", i);
    config.key_pem = sp_role_file(r->role, name);
    sp_buf_init(&text,
                config.extra_ca_pem.len + config.certificate_pem.len + config.key_pem.len + 64);
    sp_buf_put_u64(&text, sp_tls_system_trust_stamp());
    sp_buf_put_var(&text, config.extra_ca_pem);
    sp_buf_put_var(&text, config.certificate_pem);
    sp_buf_put_var(&text, config.key_pem);
    sp_crypt_sha256(sp_buf_bytes(&text), self->digest);
    sp_buf_wipe(&text);
    self->public.tls = find_same(before, self->digest);
    if (self->public.tls == NULL)
        self->public.tls = sp_tls_client_new(&config, &why);
    if (self->public.tls == NULL)
        return sp_fail(err, SP_E_TLS_CONFIG, "delivery.smarthosts[%zu]: %s", i, why.text);
    return SP_OK;
}

enum sp_rc relay_selves_new(struct relay *r, const struct relay_selves *before,
                            struct relay_selves **out, struct sp_err *err)
{
    const struct sp_config *c = r->config;
    struct relay_selves *s = sp_calloc(1, sizeof(*s));

    s->count = c->delivery.smarthost_count;
    s->items = sp_calloc(s->count + 1, sizeof(*s->items));
    s->list = sp_calloc(s->count + 1, sizeof(void *));
    for (size_t i = 0; i < s->count; i++) {
        const struct sp_config_smarthost *host = &c->delivery.smarthosts[i];
        struct self *self = &s->items[i];

        self->public.helo = self->helo = sp_strdup(host->helo);
        self->public.certificate = self->certificate = sp_strdup(host->certificate);
        if (host->certificate[0] != 0 && make_context(r, before, i, self, err) != SP_OK) {
            relay_selves_free(s);
            return SP_E_TLS_CONFIG;
        }
        if (host->certificate[0] != 0 || host->helo[0] != 0)
            s->list[i] = &self->public;
    }
    *out = s;
    return SP_OK;
}

const struct sp_hop_self *const *relay_selves_list(const struct relay_selves *s)
{
    return s->list;
}
