/*
 * The table of tenants/NAME.json. The file is small, but it says who may send: a tenant without any proof is refused,
 * and domains are folded to lower case once, here.
 */
#include "config/tenant.h"

#include "config/table.h"

#define AT(member) offsetof(struct sp_tenant, member)

/* clang-format off */
static const struct sp_setting settings[] = {
    {"tenant", SP_SETTING_TEXT, AT(name), 0, 0, NULL, NULL, SP_FORM_NAME,
     "the tenant's name in policy and audit"},
    {"domains", SP_SETTING_TEXTS, AT(domains), 1, 0, NULL, NULL, SP_FORM_HOST,
     "its mail domains: envelope sender and From must lie in one of them"},
    {"postmaster", SP_SETTING_TEXT, AT(postmaster), 0, 0, "", NULL, SP_FORM_MAILBOX,
     "who hears of trouble; none takes postmaster at the first domain"},
    {"display_name", SP_SETTING_TEXT, AT(display_name), 0, 0, "", NULL, SP_FORM_ANY,
     "its name in notices and on the portal; none takes the first domain"},
    {"proofs.networks", SP_SETTING_TEXTS, AT(proofs.networks), 0, 0, "", NULL, SP_FORM_CIDR,
     "networks that its mail must come from"},
    {"proofs.client_certificates", SP_SETTING_TEXTS, AT(proofs.client_certificates), 0, 0, "", NULL, SP_FORM_HOST,
     "names, one of which the client's certificate must carry"},
    {"dkim.domain", SP_SETTING_TEXT, AT(dkim.domain), 0, 0, "", NULL, SP_FORM_HOST,
     "domain that signs what we change or make"},
    {"dkim.selector", SP_SETTING_TEXT, AT(dkim.selector), 0, 0, "", NULL, SP_FORM_NAME,
     "selector that is delegated to us"},
    {"smime.certificate", SP_SETTING_TEXT, AT(smime.certificate), 0, 0, "", NULL, SP_FORM_PATH,
     "S/MIME certificate that signs its mail, PEM"},
    {"smime.key", SP_SETTING_TEXT, AT(smime.key), 0, 0, "", NULL, SP_FORM_PATH,
     "its private key, PEM"},
    {"pgp.key", SP_SETTING_TEXT, AT(pgp.key), 0, 0, "", NULL, SP_FORM_PATH,
     "OpenPGP secret key that signs its mail"},
};

static const struct sp_setting user_settings[] = {
    {"name", SP_SETTING_TEXT, offsetof(struct sp_tenant_user, name), 0, 0, NULL, NULL, SP_FORM_ANY,
     "user name for AUTH"},
    {"hash", SP_SETTING_TEXT, offsetof(struct sp_tenant_user, hash), 0, 0, NULL, NULL, SP_FORM_ARGON2,
     "Argon2id hash of the password, encoded form"},
};

static const struct sp_setting_list lists[] = {
    {"proofs.users", AT(proofs.users), AT(proofs.user_count), sizeof(struct sp_tenant_user), user_settings,
     SP_ARRAY_LEN(user_settings), 0, true, "Users who may prove the tenant by AUTH over TLS."},
};
/* clang-format on */

static const struct sp_setting_table table = {
    "tenants/NAME.json", settings, SP_ARRAY_LEN(settings), lists, SP_ARRAY_LEN(lists),
};

static const struct sp_setting_idle idle[] = {
    {"display_name", "notices and portal name no tenant"},
};

/* Names are compared without case: folded once, here. */
static void lower_all(struct sp_config_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        for (char *c = (char *)texts->items[i]; *c != 0; c++)
            *c = (char)sp_ascii_lower((uint8_t)*c);
}

static void check_together(const struct sp_tenant *t, const struct sp_json *root,
                           struct sp_problems *problems)
{
    if (t->proofs.networks.count == 0 && t->proofs.client_certificates.count == 0 &&
        t->proofs.user_count == 0)
        sp_problem(problems, root, SP_E_CONFIG_MISSING,
                   "\"proofs\" is missing: without one nobody may send for this tenant; give "
                   "networks with client_certificates, or users");
    else if (!sp_tenant_is_provable(t))
        sp_problem_warn(problems, sp_json_find(root, "proofs"),
                        "nobody can send for this tenant: networks and client_certificates count "
                        "only together; give both, or users");
    if ((t->smime.certificate[0] != 0) != (t->smime.key[0] != 0))
        sp_problem(problems, sp_json_find(root, "smime"), SP_E_CONFIG_MISSING,
                   "certificate and key are given both or not at all");
    if ((t->dkim.domain[0] != 0) != (t->dkim.selector[0] != 0))
        sp_problem(problems, sp_json_find(root, "dkim"), SP_E_CONFIG_MISSING,
                   "domain and selector are given both or not at all");
}

enum sp_rc sp_tenant_load(struct sp_bytes text, const char *file, struct sp_problems *problems,
                          struct sp_tenant **out)
{
    const struct sp_json_options options = {.comments = true, .file = file};
    SP_AUTO(sp_json_doc) doc = NULL;
    SP_AUTO(sp_tenant) t = NULL;
    size_t before = sp_problems_errors(problems);
    struct sp_err err;
    enum sp_rc rc = sp_json_parse(text, &options, &doc, &err);

    if (rc != SP_OK)
        return sp_problem_file(problems, "", 0, rc, "%s", err.text);
    t = sp_calloc(1, sizeof(*t));
    t->arena = sp_arena_new(1024);
    sp_config_table_read(&table, sp_json_root(doc), t, t->arena, problems);
    if (sp_problems_errors(problems) == before)
        check_together(t, sp_json_root(doc), problems);
    if (sp_problems_errors(problems) > before)
        return sp_problems_rc(problems, NULL);
    sp_config_table_warn_idle(idle, SP_ARRAY_LEN(idle), sp_json_root(doc), problems);
    lower_all(&t->domains);
    *out = SP_STEAL(t);
    return SP_OK;
}

void sp_tenant_free(struct sp_tenant *t)
{
    if (t == NULL)
        return;
    sp_arena_free(t->arena);
    sp_free(t);
}

bool sp_tenant_has_domain(const struct sp_tenant *t, struct sp_bytes domain)
{
    for (size_t i = 0; i < t->domains.count; i++)
        if (sp_bytes_eq_nocase(domain, sp_bytes_cstr(t->domains.items[i])))
            return true;
    return false;
}

bool sp_tenant_is_provable(const struct sp_tenant *t)
{
    return t->proofs.user_count > 0 ||
           (t->proofs.networks.count > 0 && t->proofs.client_certificates.count > 0);
}

void sp_tenant_reference(struct sp_buf *out)
{
    sp_config_table_reference(&table, out);
}
