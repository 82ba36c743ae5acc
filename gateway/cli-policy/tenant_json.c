/*
 * sallyport tenant list, show with --json: an object a line for each tenant. No digest of a secret and no password is in it.
 */
#include "gateway/cli-policy/cli.h"

#include "base/text.h"
#include "config/tenant.h"

#define LINE_LEN_MAX (256 * 1024)

static void put_texts(struct sp_jw *w, const char *key, const struct sp_config_texts *texts)
{
    sp_jw_array(w, key);
    for (size_t i = 0; i < texts->count; i++)
        sp_jw_cstr(w, NULL, texts->items[i]);
    sp_jw_end(w);
}

static void put_optional(struct sp_jw *w, const char *key, const char *text)
{
    sp_jw_cstr(w, key, text[0] == 0 ? NULL : text);
}

static void put_proofs(struct sp_jw *w, const struct sp_tenant *t)
{
    sp_jw_object(w, "proofs");
    put_texts(w, "networks", &t->proofs.networks);
    put_texts(w, "networks_from", &t->proofs.networks_from);
    sp_jw_bool(w, "any_network", t->proofs.any_network);
    put_texts(w, "client_certificates", &t->proofs.client_certificates);
    put_optional(w, "secret_header", t->proofs.secret_header.name);
    put_texts(w, "originator_org", &t->proofs.originator_org);
    put_optional(w, "tenant_id", t->proofs.tenant_id);
    put_texts(w, "auth_as", &t->proofs.auth_as);
    put_texts(w, "dkim", &t->proofs.dkim);
    sp_jw_array(w, "users");
    for (size_t i = 0; i < t->proofs.user_count; i++)
        sp_jw_cstr(w, NULL, t->proofs.users[i].name);
    sp_jw_end(w);
    sp_jw_end(w);
}

static void put_senders(struct sp_jw *w, const struct sp_tenant *t)
{
    sp_jw_object(w, "senders");
    sp_jw_bool(w, "null_sender", t->senders.null_sender);
    sp_jw_bool(w, "shared_mailboxes", t->senders.shared_mailboxes);
    sp_jw_bool(w, "calendar", t->senders.calendar);
    sp_jw_bool(w, "forwards", t->senders.forwards);
    sp_jw_bool(w, "foreign_envelope", t->senders.foreign_envelope);
    sp_jw_bool(w, "subdomains", t->senders.subdomains);
    put_optional(w, "onmicrosoft", t->senders.onmicrosoft);
    sp_jw_end(w);
}

void cli_tenant_put(const struct sp_tenant *t)
{
    struct sp_buf line;
    struct sp_jw w;

    sp_buf_init(&line, LINE_LEN_MAX);
    sp_jw_init(&w, &line);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "tenant", t->name);
    put_texts(&w, "domains", &t->domains);
    sp_jw_bool(&w, "provable", sp_tenant_is_provable(t));
    sp_jw_bool(&w, "provable_by_signals", sp_tenant_is_provable_by_signals(t));
    put_proofs(&w, t);
    put_senders(&w, t);
    put_optional(&w, "observe_until", t->observe.until);
    sp_jw_end(&w);
    cli_print(&line);
    sp_buf_clear(&line);
}
