/*
 * Signing keys from the bundle: the gateway's own for tenants that name none, and each tenant's. A key that can't be read
 * is logged and remembered as failed, so that one tenant's mistake stops that tenant's signed mail and nothing else. What
 * gpg could not do when the sealer started (a full disk, no descriptor left) may go well later, so it is tried again.
 */
#include "gateway/sealer/sealer.h"

#include "base/fault.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define SECRET_NAME_MAX  512
#define PGP_PAUSE_MS     1000 /* between two tries of what gpg could not do, at first */
#define PGP_PAUSE_MAX_MS 60000

static void log_failure(struct sealer *s, const char *what, const char *tenant,
                        const struct sp_err *err)
{
    sp_log_error(sp_role_log(s->role), "sealer.key-failed", SP_TEXT("what", what),
                 SP_TEXT("tenant", tenant), SP_RC("why", err->rc), SP_TEXT("detail", err->text));
}

static bool load_smime(struct sealer *s, struct sp_bytes certificate, struct sp_bytes key,
                       const char *tenant, struct sp_smime_signer **out)
{
    struct sp_err err = {0};

    if (sp_smime_signer_new(certificate, key, out, &err) == SP_OK)
        return true;
    log_failure(s, "S/MIME certificate", tenant, &err);
    return false;
}

/* What may pass by itself, other than what is wrong with a key. */
static bool may_pass(enum sp_rc rc)
{
    return rc == SP_E_PGP_FAILED || rc == SP_E_IO;
}

static void load_pgp(struct sealer *s, struct sp_bytes key, const char *tenant,
                     struct sealer_pgp_key *out)
{
    struct sp_err err = {.rc = SP_E_PGP_FAILED, .text = "gpg does not run"};

    *out = (struct sealer_pgp_key){.failed = false};
    if (s->pgp != NULL && sp_pgp_signer_add(s->pgp, key, out->fingerprint, &err) == SP_OK)
        return;
    *out = (struct sealer_pgp_key){.failed = true, .may_pass = may_pass(err.rc)};
    log_failure(s, "PGP key", tenant, &err);
}

/* gpg's home lies in the role's folder. Without gpg the sealer still does S/MIME. */
static void start_pgp(struct sealer *s)
{
    struct sp_err err = {0};
    char home[PATH_MAX];
    int len =
        snprintf(home, sizeof(home), "%s/%s", sp_role_dir(s->role), s->config->sealer.pgp_home);

    if (len < 0 || (size_t)len >= sizeof(home))
        sp_fail(&err, SP_E_LIMIT, "the path of gpg's home is too long");
    else if ((SP_FAULT_ERRNO("sealer.folder", ENOSPC) || mkdir(home, 0700) != 0) && errno != EEXIST)
        sp_fail_errno(&err, SP_E_IO, errno, "can't make gpg's home");
    else if (sp_pgp_new(home, &s->pgp, &err) == SP_OK)
        return;
    log_failure(s, "gpg", "", &err);
}

static struct sp_bytes secret_of(const struct sealer *s, const char *tenant, const char *setting)
{
    char name[SECRET_NAME_MAX];

    if ((size_t)snprintf(name, sizeof(name), "secret/tenant.%s.%s", tenant, setting) >=
        sizeof(name))
        return (struct sp_bytes){NULL, 0};
    return sp_role_file(s->role, name);
}

/* returns: whether there is a key that may sign; NULL without failure if there is none at all */
static bool load_dkim(struct sealer *s, struct sp_bytes pem, const char *tenant,
                      struct sp_pkey **out)
{
    struct sp_err err = {0};

    if (pem.len == 0)
        return true;
    if (sp_pkey_parse(pem, out, &err) == SP_OK && sp_dkim_signer_check(*out, &err) == SP_OK)
        return true;
    sp_pkey_free(SP_STEAL(*out));
    log_failure(s, "DKIM key", tenant, &err);
    return false;
}

/* A selector without a key that can sign fails the tenant's jobs: nothing that should be signed goes out unsigned. */
static void load_tenant_dkim(struct sealer *s, struct sealer_tenant *t)
{
    const struct sp_tenant *c = t->config;
    const struct {
        const char *selector, *file, *setting;
    } keys[SEALER_DKIM_COUNT] = {
        {c->dkim.selector, c->dkim.key, "dkim.key"},
        {c->dkim.ed25519_selector, c->dkim.ed25519_key, "dkim.ed25519_key"},
    };

    for (size_t i = 0; i < SEALER_DKIM_COUNT; i++) {
        const struct sp_pkey *key = s->dkim[i];

        if (keys[i].selector[0] == 0)
            continue;
        if (keys[i].file[0] != 0) {
            t->dkim_failed |=
                !load_dkim(s, secret_of(s, c->name, keys[i].setting), c->name, &t->own_dkim[i]);
            key = t->own_dkim[i];
        }
        if (key == NULL)
            t->dkim_failed = true;
        else
            t->dkim[t->dkim_count++] =
                (struct sp_dkim_signer){c->dkim.domain, keys[i].selector, key};
    }
}

static void load_tenant_pgp(struct sealer *s, struct sealer_tenant *t)
{
    if (t->config->pgp.key[0] == 0)
        t->pgp = s->pgp_key;
    else
        load_pgp(s, secret_of(s, t->config->name, "pgp.key"), t->config->name, &t->pgp);
}

static void load_own_pgp(struct sealer *s)
{
    struct sp_bytes key = sp_role_file(s->role, "secret/sealer.pgp_key");

    if (key.len > 0)
        load_pgp(s, key, "", &s->pgp_key);
}

/* Each time later than the last, as long as it does not help. */
static bool is_time(struct sealer *s)
{
    int64_t now = sp_clock_mono_ms(sp_loop_clock(sp_role_loop(s->role)));

    if (now < s->pgp_next_ms)
        return false;
    s->pgp_pause_ms = s->pgp_pause_ms == 0                     ? PGP_PAUSE_MS
                      : s->pgp_pause_ms < PGP_PAUSE_MAX_MS / 2 ? 2 * s->pgp_pause_ms
                                                               : PGP_PAUSE_MAX_MS;
    s->pgp_next_ms = now + s->pgp_pause_ms;
    return true;
}

void sealer_pgp_again(struct sealer *s)
{
    bool all = s->pgp == NULL; /* else gpg has the keys of those that did not fail */

    if (!is_time(s))
        return;
    if (all)
        start_pgp(s);
    if (all || (s->pgp_key.failed && s->pgp_key.may_pass))
        load_own_pgp(s);
    for (size_t i = 0; i < s->tenant_count; i++) {
        struct sealer_tenant *t = &s->tenants[i];

        if (all || t->config->pgp.key[0] == 0 || (t->pgp.failed && t->pgp.may_pass))
            load_tenant_pgp(s, t);
    }
}

static void load_tenant(struct sealer *s, struct sealer_tenant *t)
{
    const char *name = t->config->name;

    t->smime = s->smime;
    t->smime_failed = s->smime_failed;
    if (t->config->smime.certificate[0] != 0) {
        t->smime_failed = !load_smime(s, secret_of(s, name, "smime.certificate"),
                                      secret_of(s, name, "smime.key"), name, &t->own_smime);
        t->smime = t->own_smime;
    }
    load_tenant_pgp(s, t);
    load_tenant_dkim(s, t);
}

static enum sp_rc load_tenants(struct sealer *s, struct sp_err *err)
{
    struct sp_bytes name, text;
    size_t at = 0;

    while (sp_role_file_next(s->role, "tenants/", &at, &name, &text)) {
        SP_AUTO(sp_problems) problems = sp_problems_new();
        struct sealer_tenant *t;
        char *file;
        enum sp_rc rc;

        if (!sp_bytes_ends_nocase(name, SP_LIT(".json")))
            continue;
        s->tenants = sp_realloc(s->tenants, (s->tenant_count + 1) * sizeof(*s->tenants));
        t = &s->tenants[s->tenant_count];
        memset(t, 0, sizeof(*t));
        file = sp_strdup_bytes(name);
        rc = sp_tenant_load(text, file, problems, &t->config);
        sp_free(file);
        if (rc != SP_OK)
            return sp_problems_rc(problems, err);
        s->tenant_count++;
        load_tenant(s, t);
    }
    return SP_OK;
}

enum sp_rc sealer_load(struct sealer *s, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_bytes certificate = sp_role_file(s->role, "secret/sealer.smime_certificate");

    if (sp_config_load(sp_role_file(s->role, "sallyport.json"), "sallyport.json", problems,
                       &s->config) != SP_OK)
        return sp_problems_rc(problems, err);
    (void)load_dkim(s, sp_role_file(s->role, "secret/sealer.dkim_key"), "", &s->dkim[0]);
    (void)load_dkim(s, sp_role_file(s->role, "secret/sealer.dkim_ed25519_key"), "", &s->dkim[1]);
    start_pgp(s);
    load_own_pgp(s);
    if (certificate.len > 0)
        s->smime_failed = !load_smime(
            s, certificate, sp_role_file(s->role, "secret/sealer.smime_key"), "", &s->smime);
    return load_tenants(s, err);
}

void sealer_unload(struct sealer *s)
{
    for (size_t i = 0; i < s->tenant_count; i++) {
        sp_smime_signer_free(s->tenants[i].own_smime);
        for (size_t k = 0; k < SEALER_DKIM_COUNT; k++)
            sp_pkey_free(s->tenants[i].own_dkim[k]);
        sp_tenant_free(s->tenants[i].config);
    }
    sp_free(s->tenants);
    sp_smime_signer_free(s->smime);
    sp_pgp_free(s->pgp);
    for (size_t i = 0; i < SEALER_DKIM_COUNT; i++)
        sp_pkey_free(s->dkim[i]);
    sp_config_free(s->config);
}

const struct sealer_tenant *sealer_tenant_find(const struct sealer *s, struct sp_bytes name)
{
    for (size_t i = 0; i < s->tenant_count; i++)
        if (sp_bytes_eq(sp_bytes_cstr(s->tenants[i].config->name), name))
            return &s->tenants[i];
    return NULL;
}
