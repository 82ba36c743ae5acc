/*
 * The table of tenants/NAME.json. The file is small, but it says who may send: a tenant without any proof is refused,
 * and domains are folded to lower case once, here.
 */
#include "config/tenant.h"

#include "base/clock.h"
#include "config/table.h"
#include "mail/compose.h"
#include "mail/idn.h"

#define AT(member) offsetof(struct sp_tenant, member)

/* clang-format off */
static const struct sp_setting settings[] = {
    {"tenant", SP_SETTING_TEXT, AT(name), 0, 0, NULL, NULL, SP_FORM_NAME,
     "the tenant's name in policy and audit"},
    {"domains", SP_SETTING_TEXTS, AT(domains), 1, 0, NULL, NULL, SP_FORM_DOMAIN,
     "its mail domains: envelope sender and From must lie in one of them"},
    {"postmaster", SP_SETTING_TEXT, AT(postmaster), 0, 0, "", NULL, SP_FORM_MAILBOX,
     "who hears of trouble; none takes postmaster at the first domain"},
    {"display_name", SP_SETTING_TEXT, AT(display_name), 0, 0, "", NULL, SP_FORM_ANY,
     "its name in notices of the portal, where the policy's `portal.notify_from` gives none; none of both takes the gateway's"},
    {"proofs.networks", SP_SETTING_TEXTS, AT(proofs.networks), 0, 0, "", NULL, SP_FORM_CIDR,
     "networks that its mail must come from"},
    {"proofs.networks_from", SP_SETTING_TEXTS, AT(proofs.networks_from), 0, 0, "", NULL, SP_FORM_NAME,
     "domains of providers, as `spf.protection.outlook.com` and `_spf.google.com`, whose networks count too; `sallyport providers refresh` keeps them in tenants/networks/ from their SPF records"},
    {"proofs.client_certificates", SP_SETTING_TEXTS, AT(proofs.client_certificates), 0, 0, "", NULL, SP_FORM_HOST,
     "names, one of which the client's certificate must carry"},
    {"proofs.any_network", SP_SETTING_BOOL, AT(proofs.any_network), 0, 0, "false", NULL, SP_FORM_ANY,
     "take mail from outside networks too if all other signals hold and are two at least: providers use addresses that they do not publish"},
    {"proofs.secret_header.name", SP_SETTING_TEXT, AT(proofs.secret_header.name), 0, 0, "", NULL, SP_FORM_NAME,
     "name of a header field that the provider is told to add; it never leaves"},
    {"proofs.secret_header.sha256", SP_SETTING_TEXT, AT(proofs.secret_header.sha256), 0, 0, "", NULL, SP_FORM_SHA256,
     "SHA-256 of its value"},
    {"proofs.originator_org", SP_SETTING_TEXTS, AT(proofs.originator_org), 0, 0, "", NULL, SP_FORM_HOST,
     "values, one of which X-OriginatorOrg must have, letter for letter (Microsoft 365)"},
    {"proofs.tenant_id", SP_SETTING_TEXT, AT(proofs.tenant_id), 0, 0, "", NULL, SP_FORM_NAME,
     "what X-MS-Exchange-CrossTenant-Id must say (Microsoft 365)"},
    {"proofs.auth_as", SP_SETTING_TEXTS, AT(proofs.auth_as), 0, 0, "Internal", NULL, SP_FORM_NAME,
     "what X-MS-Exchange-CrossTenant-AuthAs may say, where originator_org or tenant_id is set"},
    {"proofs.dkim", SP_SETTING_TEXTS, AT(proofs.dkim), 0, 0, "", NULL, SP_FORM_HOST,
     "domains, one of which must have signed the whole message by DKIM"},

    {"senders.null_sender", SP_SETTING_BOOL, AT(senders.null_sender), 0, 0, "true", NULL, SP_FORM_ANY,
     "take mail with an empty envelope sender, as out-of-office answers and reports have it; From must be the tenant's"},
    {"senders.shared_mailboxes", SP_SETTING_BOOL, AT(senders.shared_mailboxes), 0, 0, "true", NULL, SP_FORM_ANY,
     "take mail whose Sender is another address of the tenant than From"},
    {"senders.calendar", SP_SETTING_BOOL, AT(senders.calendar), 0, 0, "false", NULL, SP_FORM_ANY,
     "take calendar mail with a foreign organiser in From if Sender is the tenant's: forwarded meetings"},
    {"senders.forwards", SP_SETTING_BOOL, AT(senders.forwards), 0, 0, "false", NULL, SP_FORM_ANY,
     "take mail with a foreign From under an envelope sender of the tenant: automatic forwards with SRS; asks for a signal in the message"},
    {"senders.foreign_envelope", SP_SETTING_BOOL, AT(senders.foreign_envelope), 0, 0, "false", NULL, SP_FORM_ANY,
     "take mail whose envelope sender is not the tenant's: forwards without SRS; asks for a signal in the message"},
    {"senders.subdomains", SP_SETTING_BOOL, AT(senders.subdomains), 0, 0, "false", NULL, SP_FORM_ANY,
     "subdomains of domains are the tenant's too, unless another tenant names them"},
    {"senders.onmicrosoft", SP_SETTING_TEXT, AT(senders.onmicrosoft), 0, 0, "", NULL, SP_FORM_HOST,
     "the tenant's domain under onmicrosoft.com, which then counts as its own"},
    {"bounces.domain", SP_SETTING_TEXT, AT(bounces.domain), 0, 0, "", NULL, SP_FORM_HOST,
     "domain of return paths of our own, one a recipient: what comes back to it is recorded and goes on to the sender; its MX must lead to a listener with bounces; none keeps the sender's own address"},

    {"limits.sessions", SP_SETTING_INT, AT(limits.sessions), 0, 100000, "0", NULL, SP_FORM_ANY,
     "sessions in which its mail is under way at a time (from MAIL to the reply), in equal parts for the relays; more are answered 450; 0 for any number"},
    {"limits.messages", SP_SETTING_INT, AT(limits.messages), 0, 10000000, "0", NULL, SP_FORM_ANY,
     "messages a minute that are taken; more are answered 450; 0 for any number"},
    {"limits.bytes", SP_SETTING_SIZE, AT(limits.bytes), 0, (int64_t)1 << 40, "0", NULL, SP_FORM_ANY,
     "bytes a second that are read of its messages, in equal parts for the relays (16KiB at least); its sessions wait, nobody else's; 0 for any number"},
    {"limits.memory", SP_SETTING_SIZE, AT(limits.memory), 0, (int64_t)1 << 44, "0", NULL, SP_FORM_ANY,
     "memory that its messages hold on their way in, in equal parts for the relays (4MiB at least); past it they wait, and are answered 452; 0 for any"},
    {"observe.until", SP_SETTING_TEXT, AT(observe.until), 0, 0, "", NULL, SP_FORM_DATE,
     "last day (UTC, as 2026-12-06; at most 62 days ahead) on which rules are only observed: what they say is recorded, and mail goes on by TLS as before; who may send is enforced all the same"},
    {"normalise_newlines", SP_SETTING_BOOL, AT(normalise_newlines), 0, 0, "false", NULL, SP_FORM_ANY,
     "turn a bare CR or LF in its messages into CRLF instead of refusing the message"},

    {"dkim.domain", SP_SETTING_TEXT, AT(dkim.domain), 0, 0, "", NULL, SP_FORM_HOST,
     "domain that signs what we change or make"},
    {"dkim.selector", SP_SETTING_TEXT, AT(dkim.selector), 0, 0, "", NULL, SP_FORM_NAME,
     "selector that is delegated to us, of an RSA key"},
    {"dkim.key", SP_SETTING_TEXT, AT(dkim.key), 0, 0, "", NULL, SP_FORM_PATH,
     "its private key, PEM; none takes sealer.dkim_key"},
    {"dkim.ed25519_selector", SP_SETTING_TEXT, AT(dkim.ed25519_selector), 0, 0, "", NULL, SP_FORM_NAME,
     "selector that is delegated to us, of an Ed25519 key: a second signature beside the first"},
    {"dkim.ed25519_key", SP_SETTING_TEXT, AT(dkim.ed25519_key), 0, 0, "", NULL, SP_FORM_PATH,
     "its private key, PEM; none takes sealer.dkim_ed25519_key"},
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
    {"proof", SP_SETTING_TEXT, offsetof(struct sp_tenant_user, proof), 0, 0, NULL, NULL, SP_FORM_LOGIN,
     "how the user logs in: an Argon2id hash in encoded form (PLAIN, LOGIN), what SCRAM-SHA-256 stores (RFC 5803), certificate:NAME (EXTERNAL), or oauth:VALUE, which an issuer's token must say (OAUTHBEARER)"},
};

static const struct sp_setting_list lists[] = {
    {"proofs.users", AT(proofs.users), AT(proofs.user_count), sizeof(struct sp_tenant_user), user_settings,
     SP_ARRAY_LEN(user_settings), 0, true, "Users who may prove the tenant by AUTH over TLS."},
};
/* clang-format on */

static const struct sp_setting_table table = {
    "tenants/NAME.json", settings, SP_ARRAY_LEN(settings), lists, SP_ARRAY_LEN(lists),
};

/* Names are compared without case and in A-labels: brought there once, here. */
static void fold_all(struct sp_arena *arena, struct sp_config_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct sp_buf ascii;

        sp_buf_init(&ascii, SP_DOMAIN_MAX);
        if (sp_domain_to_ascii(sp_bytes_cstr(texts->items[i]), &ascii) == SP_OK)
            texts->items[i] = sp_arena_cstr(arena, sp_buf_bytes(&ascii));
        sp_buf_clear(&ascii);
    }
}

static bool has_networks(const struct sp_tenant *t)
{
    return t->proofs.networks.count > 0 || t->proofs.networks_from.count > 0;
}

bool sp_tenant_asks_certificate(const struct sp_tenant *t)
{
    for (size_t i = 0; i < t->proofs.user_count; i++) {
        if (t->proofs.users[i].certificate[0] != 0)
            return true;
    }
    return t->proofs.client_certificates.count > 0;
}

/* returns: how many signals but the network its settings ask for */
static size_t signals(const struct sp_tenant *t)
{
    return (size_t)(t->proofs.client_certificates.count > 0) +
           (size_t)(t->proofs.secret_header.name[0] != 0) +
           (size_t)(t->proofs.originator_org.count > 0) + (size_t)(t->proofs.tenant_id[0] != 0) +
           (size_t)(t->proofs.dkim.count > 0);
}

/* A certificate that a provider shows for all its customers tells none of them from the others. */
static bool has_shared_certificate(const struct sp_tenant *t)
{
    for (size_t i = 0; i < t->proofs.client_certificates.count; i++)
        if (sp_bytes_ends_nocase(sp_bytes_cstr(t->proofs.client_certificates.items[i]),
                                 SP_LIT(".outlook.com")))
            return true;
    return false;
}

static bool asks_auth_as(const struct sp_tenant *t)
{
    return t->proofs.originator_org.count > 0 || t->proofs.tenant_id[0] != 0;
}

static bool takes_anonymous(const struct sp_tenant *t)
{
    for (size_t i = 0; i < t->proofs.auth_as.count; i++) {
        if (strcmp(t->proofs.auth_as.items[i], "Anonymous") == 0)
            return true;
    }
    return false;
}

static void check_signals(const struct sp_tenant *t, const struct sp_json *root,
                          struct sp_problems *problems)
{
    const struct sp_json *at = sp_json_find(root, "proofs");

    if ((t->proofs.secret_header.name[0] != 0) != (t->proofs.secret_header.sha256[0] != 0))
        sp_problem(problems, at, SP_E_CONFIG_MISSING,
                   "secret_header: name and sha256 are given both or not at all");
    if (has_shared_certificate(t) && !sp_tenant_has_message_signal(t))
        sp_problem(problems, at, SP_E_CONFIG_MISSING,
                   "Microsoft 365 shows that certificate for every customer: give originator_org "
                   "and tenant_id, a secret_header or dkim besides");
    if (t->proofs.any_network && signals(t) < 2)
        sp_problem(problems, at, SP_E_CONFIG_MISSING,
                   "any_network: at least two signals but the network must be given");
}

static void check_senders(const struct sp_tenant *t, const struct sp_json *at,
                          struct sp_problems *problems)
{
    if ((t->senders.forwards || t->senders.foreign_envelope) && !sp_tenant_has_message_signal(t))
        sp_problem(problems, at, SP_E_CONFIG_MISSING,
                   "forwards and foreign_envelope ask for a signal in the message: "
                   "secret_header, originator_org, tenant_id or dkim");
    if (t->senders.forwards && asks_auth_as(t) && !takes_anonymous(t))
        sp_problem_warn(problems, at,
                        "forwards: Microsoft 365 says Anonymous of what it forwards for people "
                        "outside, and auth_as has only Internal: such mail is refused");
    if (t->senders.onmicrosoft[0] != 0 &&
        !sp_bytes_ends_nocase(sp_bytes_cstr(t->senders.onmicrosoft), SP_LIT(".onmicrosoft.com")))
        sp_problem(problems, at, SP_E_CONFIG_INVALID,
                   "onmicrosoft: expected a name under onmicrosoft.com");
}

static void check_dkim(const struct sp_tenant *t, const struct sp_json *at,
                       struct sp_problems *problems)
{
    if ((t->dkim.domain[0] != 0) != sp_tenant_signs(t))
        sp_problem(problems, at, SP_E_CONFIG_MISSING,
                   "domain and selector are given both or not at all");
    if ((t->dkim.key[0] != 0 && t->dkim.selector[0] == 0) ||
        (t->dkim.ed25519_key[0] != 0 && t->dkim.ed25519_selector[0] == 0))
        sp_problem(problems, at, SP_E_CONFIG_MISSING, "a key has no selector");
    if (t->dkim.selector[0] != 0 && strcmp(t->dkim.selector, t->dkim.ed25519_selector) == 0)
        sp_problem(problems, at, SP_E_CONFIG_INVALID, "two keys can't share a selector");
}

static void check_together(const struct sp_tenant *t, const struct sp_json *root,
                           struct sp_problems *problems)
{
    if (!has_networks(t) && signals(t) == 0 && t->proofs.user_count == 0)
        sp_problem(problems, root, SP_E_CONFIG_MISSING,
                   "\"proofs\" is missing: without one nobody may send for this tenant; give "
                   "networks with client_certificates, or users");
    else if (!sp_tenant_is_provable(t))
        sp_problem_warn(problems, sp_json_find(root, "proofs"),
                        "nobody can send for this tenant: networks and client_certificates count "
                        "only together, or networks and a signal in the message; give both, or "
                        "users");
    check_signals(t, root, problems);
    check_senders(t, sp_json_find(root, "senders"), problems);
    if (!sp_compose_is_display(sp_bytes_cstr(t->display_name)))
        sp_problem(problems, sp_json_find(root, "display_name"), SP_E_CONFIG_RANGE,
                   "a name in a mail's From is one line of at most %d bytes",
                   SP_COMPOSE_DISPLAY_MAX);
    if ((t->smime.certificate[0] != 0) != (t->smime.key[0] != 0))
        sp_problem(problems, sp_json_find(root, "smime"), SP_E_CONFIG_MISSING,
                   "certificate and key are given both or not at all");
    check_dkim(t, sp_json_find(root, "dkim"), problems);
}

/* The form has been checked: the end of that day. */
static void set_observe(struct sp_tenant *t)
{
    struct sp_buf text;
    int64_t ms;

    if (t->observe.until[0] == 0)
        return;
    sp_buf_init(&text, 32);
    sp_buf_printf(&text, "%.10sT23:59:59Z", t->observe.until);
    if (sp_time_parse_rfc3339(sp_buf_bytes(&text), &ms))
        t->observe.until_ms = ms + 1000;
    sp_buf_clear(&text);
}

/* What a user's one text is. */
static void sort_users(struct sp_tenant *t)
{
    static const char certificate[] = "certificate:";

    for (size_t i = 0; i < t->proofs.user_count; i++) {
        struct sp_tenant_user *u = &t->proofs.users[i];

        u->hash = u->scram = u->certificate = u->oauth = "";
        if (u->proof[0] == '$')
            u->hash = u->proof;
        else if (strncmp(u->proof, certificate, sizeof(certificate) - 1) == 0)
            u->certificate = u->proof + sizeof(certificate) - 1;
        else if (strncmp(u->proof, "oauth:", 6) == 0)
            u->oauth = u->proof + 6;
        else
            u->scram = u->proof;
    }
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
    fold_all(t->arena, &t->domains);
    sort_users(t);
    set_observe(t);
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
    return t->senders.onmicrosoft[0] != 0 &&
           sp_bytes_eq_nocase(domain, sp_bytes_cstr(t->senders.onmicrosoft));
}

bool sp_tenant_is_provable_by_signals(const struct sp_tenant *t)
{
    return (has_networks(t) && signals(t) > 0) || (t->proofs.any_network && signals(t) > 1);
}

bool sp_tenant_has_message_signal(const struct sp_tenant *t)
{
    return signals(t) > (t->proofs.client_certificates.count > 0);
}

bool sp_tenant_signs(const struct sp_tenant *t)
{
    return t->dkim.selector[0] != 0 || t->dkim.ed25519_selector[0] != 0;
}

bool sp_tenant_is_provable(const struct sp_tenant *t)
{
    return t->proofs.user_count > 0 || sp_tenant_is_provable_by_signals(t);
}

void sp_tenant_reference(struct sp_buf *out)
{
    sp_config_table_reference(&table, out);
}

void sp_tenant_list_settings(struct sp_jw *w)
{
    sp_config_table_list(&table, w);
}
