/*
 * Who may send. A tenant is proved by several signals together (docs/THREATS.md): the certificate of a TLS client and
 * the network it comes from, or a user's password over TLS; and in either case the envelope sender, later the From
 * field, must be the tenant's own. A network alone never suffices, since whole providers share one. The only exception is
 * a listener that the settings mark plain_ok, for connections from this machine itself.
 */
#include "intake/intake_priv.h"

#include "mail/domain.h"

static void require(struct proof *p, const char *signal)
{
    p->required[p->required_count++] = signal;
}

static void note(struct proof *p, const char *signal)
{
    p->also[p->also_count++] = signal;
}

static bool in_network(const struct who *w, const struct session *s)
{
    for (size_t i = 0; i < w->network_count; i++) {
        if (sp_network_has(&w->networks[i], &s->peer))
            return true;
    }
    return false;
}

static bool names_match(const struct sp_config_texts *wanted, const struct sp_tls_proof *proof)
{
    for (size_t i = 0; i < wanted->count; i++) {
        for (size_t k = 0; k < proof->name_count; k++) {
            if (sp_domain_eq(sp_bytes_cstr(wanted->items[i]), proof->names[k]))
                return true;
        }
    }
    return false;
}

/* A certificate counts only if it chains to trust and is valid now; its name alone is no proof. */
static bool has_certificate(const struct who *w, const struct session *s)
{
    return s->proof != NULL && s->proof->has_certificate && s->proof->chain == SP_OK &&
           names_match(&w->tenant->proofs.client_certificates, s->proof);
}

static bool is_own_sender(const struct who *w, const struct sp_address *sender)
{
    return sp_address_is_null(sender) || sp_tenant_has_domain(w->tenant, sender->domain);
}

/* The tenant whose user logged in, as this generation knows it; it may be gone. */
static const struct who *users_tenant(const struct session *s, const struct generation *g)
{
    for (size_t i = 0; i < g->tenant_count; i++) {
        if (strcmp(g->tenants[i].tenant->name, s->user_tenant) == 0)
            return &g->tenants[i];
    }
    return NULL;
}

static enum sp_rc by_user(const struct session *s, const struct generation *g,
                          const struct sp_address *sender, struct proof *out)
{
    const struct who *w = users_tenant(s, g);

    if (w == NULL)
        return SP_E_INTAKE_STRANGER;
    if (!is_own_sender(w, sender))
        return SP_E_INTAKE_SENDER;
    *out = (struct proof){.who = w, .auth = "auth-plain", .checks_from = true};
    require(out, "auth");
    require(out, "tls");
    if (in_network(w, s))
        note(out, "network");
    if (has_certificate(w, s))
        note(out, "tls-cert");
    return SP_OK;
}

static void by_certificate(const struct who *w, struct proof *out)
{
    *out = (struct proof){.who = w, .auth = "tenant-proof", .checks_from = true};
    require(out, "tls-cert");
    require(out, "network");
}

/* The tenant whose domain the sender is in, else the first: tests and benchmarks name any sender. */
static const struct who *plain_tenant(const struct generation *g, const struct sp_address *sender)
{
    for (size_t i = 0; i < g->tenant_count; i++) {
        if (!sp_address_is_null(sender) && is_own_sender(&g->tenants[i], sender))
            return &g->tenants[i];
    }
    return g->tenant_count > 0 ? &g->tenants[0] : NULL;
}

/* Looks for a tenant that this connection proves by certificate and network. */
static enum sp_rc find_by_certificate(const struct session *s, const struct generation *g,
                                      const struct sp_address *sender, struct proof *out)
{
    enum sp_rc rc = SP_E_INTAKE_STRANGER;

    for (size_t i = 0; i < g->tenant_count; i++) {
        const struct who *w = &g->tenants[i];

        if (!has_certificate(w, s) || !in_network(w, s))
            continue;
        if (is_own_sender(w, sender)) {
            by_certificate(w, out);
            return SP_OK;
        }
        rc = SP_E_INTAKE_SENDER;
    }
    return rc;
}

enum sp_rc sp_intake_prove(const struct session *s, const struct generation *g,
                           const struct sp_address *sender, struct proof *out)
{
    enum sp_rc rc;

    if (s->user_tenant != NULL)
        rc = by_user(s, g, sender, out);
    else
        rc = find_by_certificate(s, g, sender, out);
    if (rc != SP_OK && s->gen->plain_ok[s->listen] && sp_addr_is_loopback(&s->peer)) {
        const struct who *w = plain_tenant(g, sender);

        if (w == NULL)
            return rc;
        *out = (struct proof){.who = w, .auth = "plain-listener"};
        require(out, "loopback");
        return SP_OK;
    }
    if (rc == SP_OK)
        require(out, "from-domain");
    return rc;
}
