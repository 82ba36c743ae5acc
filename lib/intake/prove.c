/*
 * Who may send, as far as connection and envelope tell. A tenant is proved by several signals together (docs/THREATS.md):
 * every one that its settings name must hold: the certificate of a TLS client, the network it comes from, and then what
 * the header says (attest.c) and a signature (signature.c); or else by a user's password over TLS. In either case the
 * envelope sender must be the tenant's own (sender.c). A network alone never suffices, since whole providers share one.
 * Where the sender names nobody, several tenants may fit, and the header decides. The only exception is a listener that
 * the settings mark plain_ok, for connections from this machine itself.
 */
#include "intake/intake_priv.h"

#include "mail/domain.h"

void sp_intake_proof_require(struct proof *p, const char *signal, bool holds)
{
    sp_assert(p->required_count < PROOF_SIGNALS_MAX && p->failed_count < PROOF_SIGNALS_MAX);
    p->required[p->required_count++] = signal;
    if (!holds)
        p->failed[p->failed_count++] = signal;
}

void sp_intake_proof_note(struct proof *p, const char *signal)
{
    sp_assert(p->also_count < PROOF_SIGNALS_MAX);
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

void sp_intake_prove_connection(const struct session *s, const struct who *w, struct proof *out)
{
    const struct sp_tenant *t = w->tenant;

    *out = (struct proof){.who = w, .auth = "tenant-proof", .checks_header = true};
    if (t->proofs.client_certificates.count > 0)
        sp_intake_proof_require(out, "tls-cert", has_certificate(w, s));
    if (t->proofs.any_network) {
        if (in_network(w, s))
            sp_intake_proof_note(out, "network");
    } else {
        sp_intake_proof_require(out, "network", in_network(w, s));
    }
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
                          const struct sp_address *sender, struct proof *out,
                          struct candidates *among)
{
    const struct who *w = users_tenant(s, g);

    if (w == NULL)
        return SP_E_INTAKE_STRANGER;
    *out = (struct proof){.who = w, .auth = s->login, .checks_header = true};
    sp_intake_proof_require(out, "auth", true);
    sp_intake_proof_require(out, "tls", s->proof != NULL);
    if (in_network(w, s))
        sp_intake_proof_note(out, "network");
    if (has_certificate(w, s))
        sp_intake_proof_note(out, "tls-cert");
    *among = (struct candidates){.index = (size_t)(w - g->tenants)};
    return sp_intake_sender_envelope(g, w, sender);
}

/* The tenant whose domain the sender is in, else the first: tests and benchmarks name any sender. */
static const struct who *plain_tenant(const struct generation *g, const struct sp_address *sender)
{
    for (size_t i = 0; i < g->tenant_count; i++) {
        if (!sp_address_is_null(sender) && sp_intake_is_own(g, &g->tenants[i], sender->domain))
            return &g->tenants[i];
    }
    return g->tenant_count > 0 ? &g->tenants[0] : NULL;
}

/* What one tenant makes of the connection and the sender. */
struct fit {
    bool proved; /* by the connection */
    bool named;  /* the envelope sender is its own */
    enum sp_rc envelope;
    struct proof proof;
};

static void fit_tenant(const struct session *s, const struct generation *g, const struct who *w,
                       const struct sp_address *sender, struct fit *f)
{
    sp_intake_prove_connection(s, w, &f->proof);
    f->proved = sp_tenant_is_provable_by_signals(w->tenant) && f->proof.failed_count == 0;
    f->named = !sp_address_is_null(sender) && sp_intake_is_own(g, w, sender->domain);
    f->envelope = sp_intake_sender_envelope(g, w, sender);
}

/* Looks for the tenants that this connection may prove; the one that the sender names is the only one, if there is one. */
static enum sp_rc by_connection(const struct session *s, const struct generation *g,
                                const struct sp_address *sender, struct proof *out,
                                struct candidates *among)
{
    enum sp_rc rc = SP_E_INTAKE_STRANGER;

    for (size_t i = 0; i < g->tenant_count; i++) {
        struct fit f;

        fit_tenant(s, g, &g->tenants[i], sender, &f);
        if (f.named || (f.proved && !among->open))
            *out = f.proof;
        if (f.named && f.proved) {
            *among = (struct candidates){.index = i};
            return SP_OK;
        }
        if (f.named)
            return SP_E_INTAKE_STRANGER;
        if (f.proved && f.envelope == SP_OK)
            among->open = true;
        else if (f.proved)
            rc = f.envelope;
    }
    return among->open ? SP_OK : rc;
}

enum sp_rc sp_intake_prove(const struct session *s, const struct generation *g,
                           const struct sp_address *sender, struct proof *out,
                           struct candidates *among)
{
    enum sp_rc rc;

    *out = (struct proof){.who = NULL};
    *among = (struct candidates){.open = false};
    if (s->user_tenant != NULL)
        rc = by_user(s, g, sender, out, among);
    else
        rc = by_connection(s, g, sender, out, among);
    if (rc != SP_OK && s->gen->plain_ok[s->listen] && sp_addr_is_loopback(&s->peer)) {
        const struct who *w = plain_tenant(g, sender);

        if (w == NULL)
            return rc;
        *out = (struct proof){.who = w, .auth = "plain-listener"};
        sp_intake_proof_require(out, "loopback", true);
        *among = (struct candidates){.index = (size_t)(w - g->tenants)};
        return SP_OK;
    }
    return rc;
}
