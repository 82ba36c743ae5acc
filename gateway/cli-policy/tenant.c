/*
 * sallyport tenant add, list, show: the files of tenants/. A new file is built for a provider, read back by the same code as the
 * gateway's before it is written, and never put over one that is there. What has to be done on the provider's side and in DNS is
 * printed (tenant_added.c): this program talks to nobody (tenant check does). The secret header's value is shown once; the file
 * keeps its digest.
 */
#include "gateway/cli-policy/tenant.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/replace.h"
#include "config/tenant.h"
#include "crypt/hash.h"
#include "dkim/record.h"
#include "gateway/cli-dkim/keyfile.h"

#define FILE_MAX (64 * 1024)
#define KEY_BITS 2048 /* what one string of a TXT record nearly holds, and all verifiers take */

/* A new tenant signs by both: not all verifiers know Ed25519 (RFC 8463), and RSA alone is one break away from nothing. */
static const struct {
    enum sp_pkey_kind kind;
    const char *selector;
    const char *suffix;                         /* of the file's name */
    const char *selector_setting, *key_setting; /* of "dkim" */
} kinds[] = {
    {SP_PKEY_RSA, "sallyport", "", "selector", "key"},
    {SP_PKEY_ED25519, "sallyport-ed25519", "-ed25519", "ed25519_selector", "ed25519_key"},
};

/* ---- the command line ---- */

static bool take_options(struct cli *cli, struct tenant_wanted *w, bool adds,
                         const struct cli_wanted *wanted)
{
    const struct cli_option options[] = {
        {"-c", .value = &w->config},
        {"--config", .value = &w->config},
        {"--m365", .value = &w->m365},
        {"--google", .value = &w->google},
        {"--tenant-id", .value = &w->tenant_id},
        {"--onmicrosoft", .value = &w->onmicrosoft},
    };

    w->config = "/etc/sallyport/sallyport.json";
    if (!cli_arguments(cli, options, adds ? SP_ARRAY_LEN(options) : 2, wanted))
        return false;
    w->name = cli->word_count > 0 ? cli->words[0] : NULL;
    return true;
}

static const char *tenants_dir(struct cli *cli, const struct tenant_wanted *w,
                               const struct sp_config *c)
{
    return cli_join(cli, cli_dirname(cli, w->config), c->tenants);
}

static char *file_of(struct cli *cli, const char *dir, const char *name)
{
    struct sp_buf b;
    char *path;

    sp_buf_init(&b, 4096);
    sp_buf_printf(&b, "%s/%s.json", dir, name);
    path = sp_arena_cstr(cli->arena, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return path;
}

/* ---- add ---- */

static const char *key_of(struct cli *cli, const char *name, const char *suffix)
{
    struct sp_buf b;
    char *key;

    sp_buf_init(&b, 4096);
    sp_buf_printf(&b, "keys/dkim-%s%s.key", name, suffix);
    key = sp_arena_cstr(cli->arena, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return key;
}

static void to_hex(struct sp_bytes bytes, char *out)
{
    struct sp_buf b;

    sp_buf_init(&b, 2 * bytes.len);
    sp_hex_encode(&b, bytes);
    memcpy(out, b.ptr, b.len);
    out[b.len] = 0;
    sp_buf_wipe(&b);
}

static void make_secret(struct tenant_wanted *w)
{
    uint8_t bytes[TENANT_SECRET_LEN], digest[SP_SHA256_LEN];

    sp_random_fill(sp_random_system(), bytes, sizeof(bytes));
    to_hex(sp_bytes(bytes, sizeof(bytes)), w->secret);
    sp_crypt_sha256(sp_bytes_cstr(w->secret), digest);
    to_hex(sp_bytes(digest, sizeof(digest)), w->digest);
    sp_wipe(bytes, sizeof(bytes));
}

/* A member of text; what it may hold is checked when the file is read back. */
static void put(struct sp_jw *jw, const char *key, const char *value)
{
    sp_jw_cstr(jw, key, value);
}

static void put_list(struct sp_jw *jw, const char *key, const char *const *items, size_t count)
{
    sp_jw_array(jw, key);
    for (size_t i = 0; i < count; i++)
        sp_jw_cstr(jw, NULL, items[i]);
    sp_jw_end(jw);
}

/*
 * What Microsoft and Google publish for outgoing mail: to begin with, where no list has been read from DNS yet. Old addresses in
 * it let nobody in by themselves; `sallyport providers refresh` brings the new ones.
 */
static const char *const m365_networks[] = {"40.92.0.0/15",       "40.107.0.0/16",
                                            "52.100.0.0/14",      "104.47.0.0/17",
                                            "2a01:111:f400::/48", "2a01:111:f403::/48"};
static const char *const google_networks[] = {
    "35.190.247.0/24",     "64.233.160.0/19",     "66.102.0.0/20",      "66.249.80.0/20",
    "72.14.192.0/18",      "74.125.0.0/16",       "108.177.8.0/21",     "173.194.0.0/16",
    "209.85.128.0/17",     "216.58.192.0/19",     "216.239.32.0/19",    "2001:4860:4000::/36",
    "2404:6800:4000::/36", "2607:f8b0:4000::/36", "2800:3f0:4000::/36", "2a00:1450:4000::/36",
    "2c0f:fb50:4000::/36"};

struct provider {
    const char *spf; /* the domain whose SPF record names its networks */
    const char *const *networks;
    size_t count;
};

static const struct provider m365 = {"spf.protection.outlook.com", m365_networks,
                                     SP_ARRAY_LEN(m365_networks)};
static const struct provider google = {"_spf.google.com", google_networks,
                                       SP_ARRAY_LEN(google_networks)};

static void put_proofs(struct sp_jw *jw, const struct tenant_wanted *w, const char *domain)
{
    static const char *const certificate[] = {"mail.protection.outlook.com"};
    const char *const orgs[] = {domain, w->onmicrosoft}; /* that of who writes */

    sp_jw_object(jw, "proofs");
    sp_jw_object(jw, "secret_header");
    put(jw, "name", "X-Sallyport-Tenant");
    put(jw, "sha256", w->digest);
    sp_jw_end(jw);
    if (w->m365 != NULL) {
        put_list(jw, "networks_from", &m365.spf, 1);
        put_list(jw, "client_certificates", certificate, 1);
        put_list(jw, "originator_org", orgs, w->onmicrosoft != NULL ? 2 : 1);
        if (w->tenant_id != NULL)
            put(jw, "tenant_id", w->tenant_id);
    } else {
        put_list(jw, "networks_from", &google.spf, 1);
        put_list(jw, "dkim", &domain, 1);
    }
    sp_jw_end(jw);
}

static void build(const struct tenant_wanted *w, struct sp_buf *out)
{
    const char *domain = w->m365 != NULL ? w->m365 : w->google;
    struct sp_jw jw;

    sp_jw_init(&jw, out);
    sp_jw_object(&jw, NULL);
    put(&jw, "tenant", w->name);
    put_list(&jw, "domains", &domain, 1);
    put_proofs(&jw, w, domain);
    if (w->onmicrosoft != NULL) {
        sp_jw_object(&jw, "senders");
        put(&jw, "onmicrosoft", w->onmicrosoft);
        sp_jw_end(&jw);
    }
    sp_jw_object(&jw, "dkim");
    put(&jw, "domain", domain);
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        put(&jw, kinds[i].selector_setting, kinds[i].selector);
        put(&jw, kinds[i].key_setting, w->signers[i].key);
    }
    sp_jw_end(&jw);
    sp_jw_end(&jw);
    sp_buf_put_u8(out, '\n');
}

/* The file is written whole and durable, or not at all, and is its folder's owner's; one that is there stays. */
static enum sp_rc write_new(struct cli *cli, const char *path, struct sp_bytes text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    struct stat st;
    bool ok;

    if (fd < 0)
        return sp_problem_file(cli->problems, path, 0, errno == EEXIST ? SP_E_EXISTS : SP_E_IO,
                               errno == EEXIST ? "it is there already" : "can't be made");
    ok = stat(cli_dirname(cli, path), &st) == 0 &&
         (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0) &&
         write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    if (!ok) {
        unlink(path);
        return sp_problem_file(cli->problems, path, 0, SP_E_IO, "can't be written");
    }
    sp_config_sync_beside(path);
    return SP_OK;
}

/* The provider's list, if there is none yet. returns: SP_OK, or SP_E_IO with a problem */
static enum sp_rc write_networks(struct cli *cli, const char *dir, const struct provider *p)
{
    const char *folder = cli_join(cli, dir, SP_TENANT_NETWORKS_DIR), *path;
    struct sp_buf text, name;
    enum sp_rc rc = SP_OK;

    sp_buf_init(&name, 256);
    sp_buf_printf(&name, "%s.txt", p->spf);
    path = cli_join(cli, folder, sp_arena_cstr(cli->arena, sp_buf_bytes(&name)));
    sp_buf_clear(&name);
    if (access(path, F_OK) == 0)
        return SP_OK;
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        return sp_problem_file(cli->problems, folder, 0, SP_E_IO, "can't be made");
    sp_buf_init(&text, FILE_MAX);
    sp_buf_printf(&text, "# to begin with; sallyport providers refresh reads them from DNS\n");
    for (size_t i = 0; i < p->count; i++)
        sp_buf_printf(&text, "%s\n", p->networks[i]);
    if (cli_write(path, sp_buf_bytes(&text)) != SP_OK)
        rc = sp_problem_file(cli->problems, path, 0, SP_E_IO, "can't be written");
    sp_buf_clear(&text);
    return rc;
}

/* A key that is there, of a tenant that was here before, stays: its record may be published. */
static struct sp_pkey *read_key(struct cli *cli, const char *path, enum sp_pkey_kind kind)
{
    struct sp_pkey *key = NULL;
    struct sp_bytes pem;
    struct sp_err err;

    if (cli_read(cli, path, &pem) != SP_OK)
        sp_problem_file(cli->problems, path, 0, SP_E_IO, "can't be read");
    else if (sp_pkey_parse(pem, &key, &err) != SP_OK)
        sp_problem_file(cli->problems, path, 0, SP_E_KEYS_FORMAT, "%s", err.text);
    if (key != NULL && sp_pkey_kind(key) != kind) { /* of a tenant whose name ends like that */
        sp_problem_file(cli->problems, path, 0, SP_E_KEYS_FORMAT,
                        "it is there already, and no %s key",
                        kind == SP_PKEY_RSA ? "RSA" : "Ed25519");
        sp_pkey_free(key);
        key = NULL;
    }
    return key;
}

static struct sp_pkey *make_key(struct cli *cli, const char *path, enum sp_pkey_kind kind)
{
    struct sp_pkey *key = NULL;
    struct sp_buf pem;

    sp_buf_init(&pem, SP_PKEY_PEM_MAX);
    if (sp_pkey_new(kind, KEY_BITS, &key) != SP_OK || sp_pkey_format(key, &pem) != SP_OK ||
        !key_file_write(path, sp_buf_bytes(&pem))) {
        sp_problem_file(cli->problems, path, 0, SP_E_IO, "can't be made: %s",
                        strerrordesc_np(errno));
        sp_pkey_free(key);
        key = NULL;
    }
    sp_buf_wipe(&pem);
    return key;
}

/* A DKIM key of the tenant's, beside sallyport.json, and the record that publishes it. */
static enum sp_rc give_key(struct cli *cli, const struct tenant_wanted *w, enum sp_pkey_kind kind,
                           struct tenant_signer *s)
{
    const char *path = cli_join(cli, cli_dirname(cli, w->config), s->key);
    const char *folder = cli_dirname(cli, path);
    SP_AUTO(sp_pkey) key = NULL;
    struct sp_buf record;
    enum sp_rc rc;

    if (!key_folder_make(folder))
        return sp_problem_file(cli->problems, folder, 0, SP_E_IO, "can't be made");
    key = access(path, F_OK) == 0 ? read_key(cli, path, kind) : make_key(cli, path, kind);
    if (key == NULL)
        return SP_E_IO;
    sp_buf_init(&record, sizeof(s->record) - 1);
    rc = sp_dkim_record_format(key, &record);
    if (rc == SP_OK)
        (void)snprintf(s->record, sizeof(s->record), "%.*s", SP_FMT(sp_buf_bytes(&record)));
    sp_buf_clear(&record);
    return rc;
}

static enum sp_rc give_keys(struct cli *cli, struct tenant_wanted *w)
{
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; rc == SP_OK && i < SP_ARRAY_LEN(kinds); i++)
        rc = give_key(cli, w, kinds[i].kind, &w->signers[i]);
    return rc;
}
static int add(struct cli *cli, struct tenant_wanted *w, const struct sp_config *c)
{
    const char *path = file_of(cli, tenants_dir(cli, w, c), w->name);
    SP_AUTO(sp_tenant) tenant = NULL;
    struct sp_buf text;
    enum sp_rc rc;

    make_secret(w);
    for (size_t i = 0; i < SP_ARRAY_LEN(kinds); i++) {
        w->signers[i].key = key_of(cli, w->name, kinds[i].suffix);
        w->signers[i].selector = kinds[i].selector;
    }
    sp_buf_init(&text, FILE_MAX);
    build(w, &text);
    rc = sp_buf_rc(&text);
    if (rc == SP_OK)
        rc = sp_tenant_load(sp_buf_bytes(&text), path, cli->problems, &tenant);
    if (rc == SP_OK && access(path, F_OK) == 0)
        rc = sp_problem_file(cli->problems, path, 0, SP_E_EXISTS, "it is there already");
    if (rc == SP_OK)
        rc = give_keys(cli, w);
    if (rc == SP_OK)
        rc = write_networks(cli, tenants_dir(cli, w, c), w->m365 != NULL ? &m365 : &google);
    if (rc == SP_OK)
        rc = write_new(cli, path, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    (void)cli_print_problems(cli, CLI_WRONG);
    if (rc != SP_OK)
        return CLI_WRONG;
    cli_tenant_tell_added(cli, w, path, c->hostname);
    sp_wipe(w->secret, sizeof(w->secret));
    return CLI_OK;
}

int cli_tenant_add(struct cli *cli)
{
    struct tenant_wanted w = {.name = NULL};
    SP_AUTO(sp_config) c = NULL;

    if (!take_options(cli, &w, true, &(struct cli_wanted){1, 1, "which name shall it have?"}))
        return CLI_USAGE;
    if ((w.m365 == NULL) == (w.google == NULL))
        return cli_usage(cli, "give one of --m365 DOMAIN, --google DOMAIN");
    if (w.google != NULL && (w.tenant_id != NULL || w.onmicrosoft != NULL))
        return cli_usage(cli, "--tenant-id and --onmicrosoft go with --m365");
    c = cli_load_config(cli, w.config);
    if (c == NULL)
        return cli_print_problems(cli, CLI_WRONG);
    return add(cli, &w, c);
}

/* ---- list, show ---- */

static void print_list(const char *what, const struct sp_config_texts *texts)
{
    if (texts->count == 0)
        return;
    printf("  %s:", what);
    for (size_t i = 0; i < texts->count; i++)
        printf(" %s", texts->items[i]);
    printf("\n");
}

static void print_switch(const char *what, bool on)
{
    printf("  %s: %s\n", what, on ? "on" : "off");
}

static void print_tenant(const struct sp_tenant *t)
{
    printf("%s\n", t->name);
    print_list("domains", &t->domains);
    printf("proved by %s\n", !sp_tenant_is_provable(t) ? "nothing: nobody can send for it"
                             : !sp_tenant_is_provable_by_signals(t) ? "users alone"
                                                                    : "all of these together");
    print_list("networks", &t->proofs.networks);
    print_list("networks of", &t->proofs.networks_from);
    if (t->proofs.any_network)
        printf("  networks are noted, not required\n");
    print_list("client certificates", &t->proofs.client_certificates);
    if (t->proofs.secret_header.name[0] != 0)
        printf("  secret header: %s\n", t->proofs.secret_header.name);
    print_list("X-OriginatorOrg", &t->proofs.originator_org);
    if (t->proofs.tenant_id[0] != 0)
        printf("  tenant id: %s\n", t->proofs.tenant_id);
    print_list("DKIM", &t->proofs.dkim);
    for (size_t i = 0; i < t->proofs.user_count; i++)
        printf("  or user %s\n", t->proofs.users[i].name);
    if (t->observe.until[0] != 0)
        printf("OBSERVED ONLY until %s: no rule is enforced\n", t->observe.until);
    printf("senders\n");
    print_switch("null sender", t->senders.null_sender);
    print_switch("shared mailboxes", t->senders.shared_mailboxes);
    print_switch("calendar", t->senders.calendar);
    print_switch("forwards", t->senders.forwards);
    print_switch("foreign envelope", t->senders.foreign_envelope);
    print_switch("subdomains", t->senders.subdomains);
    if (t->senders.onmicrosoft[0] != 0)
        printf("  onmicrosoft: %s\n", t->senders.onmicrosoft);
}

static struct sp_tenant *load(struct cli *cli, const char *path)
{
    struct sp_tenant *t = NULL;
    struct sp_bytes text;
    enum sp_rc rc = cli_read(cli, path, &text);

    if (rc != SP_OK)
        sp_problem_file(cli->problems, path, 0, rc, "can't be read: %s", strerrordesc_np(errno));
    else if (sp_tenant_load(text, path, cli->problems, &t) != SP_OK)
        t = NULL;
    return t;
}

static void list_all(struct cli *cli, const char *dir)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;

    if (folder == NULL) {
        sp_problem_file(cli->problems, dir, 0, SP_E_NOT_FOUND, "no such folder");
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        SP_AUTO(sp_tenant) t = NULL;

        if (!sp_bytes_ends_nocase(sp_bytes_cstr(entry->d_name), SP_LIT(".json")))
            continue;
        t = load(cli, cli_join(cli, dir, entry->d_name));
        if (t != NULL && cli->json)
            cli_tenant_put(t);
        else if (t != NULL)
            printf("%-20s %s%s\n", t->name, t->domains.count > 0 ? t->domains.items[0] : "",
                   sp_tenant_is_provable(t) ? "" : "  (nobody can send for it)");
    }
    closedir(folder);
}

static int look(struct cli *cli, bool shows)
{
    struct tenant_wanted w = {.name = NULL};
    SP_AUTO(sp_config) c = NULL;
    SP_AUTO(sp_tenant) t = NULL;

    if (!take_options(cli, &w, false, &(struct cli_wanted){shows, shows, "which tenant?"}))
        return CLI_USAGE;
    c = cli_load_config(cli, w.config);
    if (c != NULL && !shows)
        list_all(cli, tenants_dir(cli, &w, c));
    if (c != NULL && shows)
        t = load(cli, file_of(cli, tenants_dir(cli, &w, c), w.name));
    if (t != NULL && cli->json)
        cli_tenant_put(t);
    else if (t != NULL)
        print_tenant(t);
    (void)cli_print_problems(cli, CLI_WRONG);
    return sp_problems_errors(cli->problems) == 0 ? CLI_OK : CLI_WRONG;
}

int cli_tenant_list(struct cli *cli)
{
    return look(cli, false);
}

int cli_tenant_show(struct cli *cli)
{
    return look(cli, true);
}
