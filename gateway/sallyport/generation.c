/*
 * One configuration, read once and packed for each role. A role's bundle holds the text of sallyport.json, the policy and
 * tenant files if it decides by them, and of the secrets only those in its column of the table below: named
 * "secret/SETTING" after the setting that names their file, and "secret/NAME.kek" for keys derived from the master key.
 * Everything is read before anything is given out, so a missing file is found at start or refuses a reload.
 */
#include "gateway/sallyport/supervisor.h"

#include "base/fault.h"
#include "base/text.h"
#include "config/tenant.h"
#include "crypt/hash.h"
#include "crypt/kek.h"
#include "role/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LEN_MAX  (64 * 1024 * 1024)
#define DEPTH_MAX     8
#define FOR(role)     (1U << SP_ROLE_##role)
#define AT(member)    offsetof(struct sp_config, member)
#define EVERY_ROLE    (~0U)
#define POLICY_ROLES  (FOR(RELAY) | FOR(LEDGER) | FOR(ADMIN))
#define TENANTS_ROLES (FOR(RELAY) | FOR(PORTAL) | FOR(SEALER) | FOR(LEDGER) | FOR(ADMIN))

static const struct {
    const char *name;
    size_t at; /* the setting that names the file */
    unsigned roles;
    bool may_lack; /* the role makes its own */
} secrets[] = {
    {"tls.client_ca", AT(tls.client_ca), FOR(RELAY), false},
    {"delivery.ca", AT(delivery.ca), FOR(RELAY), false},
    {"audit.signing_key", AT(audit.signing_key), FOR(LEDGER), true},
    {"audit.address_key", AT(audit.address_key), FOR(LEDGER), false},
    {"sealer.smime_certificate", AT(sealer.smime_certificate), FOR(SEALER), false},
    {"sealer.smime_key", AT(sealer.smime_key), FOR(SEALER), false},
    {"sealer.pgp_key", AT(sealer.pgp_key), FOR(SEALER), false},
    {"sealer.dkim_key", AT(sealer.dkim_key), FOR(SEALER), false},
    {"sealer.dkim_ed25519_key", AT(sealer.dkim_ed25519_key), FOR(SEALER), false},
    {"keeper.smime_ca", AT(keeper.smime_ca), FOR(KEEPER), false},
    {"fetcher.sts_ca", AT(fetcher.sts_ca), FOR(FETCHER), false},
};

static const struct {
    const char *name;
    const char *info; /* HKDF's purpose */
    unsigned roles;
} keks[] = {
    {"secret/record.kek", "sallyport record kek 1", FOR(RELAY) | FOR(LEDGER)},
    {"secret/portal.kek", "sallyport portal kek 1", FOR(PORTAL)},
};

struct loading {
    struct generation *g;
    struct sp_role_bundle *bundles[SP_ROLE_COUNT];
    struct sp_buf *report;
    size_t fault_at; /* of the first error in it */
    bool failed;
};

static void fail(struct loading *l)
{
    if (!l->failed)
        l->fault_at = l->report->len;
    l->failed = true;
}

static void complain(struct loading *l, const char *text)
{
    fail(l);
    sp_buf_put_cstr(l->report, text);
    sp_buf_put_cstr(l->report, "\n");
}

static void add(struct loading *l, unsigned roles, const char *name, struct sp_bytes data)
{
    for (enum sp_role_kind kind = SP_ROLE_RELAY; kind < SP_ROLE_COUNT; kind++) {
        if ((roles & (1U << kind)) != 0 &&
            sp_role_bundle_add(l->bundles[kind], name, data) != SP_OK)
            complain(l, "too many or too large files in the configuration folder");
    }
}

/* Reads a file of the configuration folder into the bundles. */
static void add_file(struct loading *l, unsigned roles, const char *name, const char *path,
                     bool may_lack)
{
    struct sp_buf data;
    struct sp_err err;
    enum sp_rc rc;

    sp_buf_init(&data, FILE_LEN_MAX);
    rc = file_read(path, &data, &err);
    if (rc == SP_OK)
        add(l, roles, name, sp_buf_bytes(&data));
    else if (rc != SP_E_NOT_FOUND || !may_lack)
        complain(l, err.text);
    sp_buf_wipe(&data);
}

/* What editors and package managers leave behind is no configuration. */
static bool is_hidden(const char *name)
{
    size_t len = strlen(name);

    return name[0] == '.' || name[len - 1] == '~';
}

static void add_folder(struct loading *l, unsigned roles, const char *name, const char *path,
                       int depth)
{
    DIR *dir = SP_FAULT_ERRNO("supervisor.list", EMFILE) ? NULL : opendir(path);
    const struct dirent *entry;

    if (dir == NULL || depth > DEPTH_MAX) {
        complain(l, path);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        char inner_name[PATH_LEN_MAX], inner_path[PATH_LEN_MAX];
        struct stat st;

        if (is_hidden(entry->d_name) || path_join(name, entry->d_name, inner_name) != SP_OK ||
            path_join(path, entry->d_name, inner_path) != SP_OK || stat(inner_path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode))
            add_folder(l, roles, inner_name, inner_path, depth + 1);
        else if (S_ISREG(st.st_mode))
            add_file(l, roles, inner_name, inner_path, false);
    }
    closedir(dir);
}

static const char *text_at(const struct sp_config *c, size_t at)
{
    return *(const char *const *)((const char *)c + at);
}

/* returns: whether it is known where that file lies; else that was told */
static bool find_secret(struct loading *l, const char *setting, char path[PATH_LEN_MAX])
{
    if (sp_config_place(setting, l->g->folder, path, PATH_LEN_MAX) == SP_OK)
        return true;
    fail(l);
    sp_buf_printf(l->report, "%s: no such credential was given to this service\n", setting);
    return false;
}

static void add_secrets(struct loading *l)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(secrets); i++) {
        const char *setting = text_at(l->g->config, secrets[i].at);
        char name[100], path[PATH_LEN_MAX];

        if (setting[0] == '\0' || !find_secret(l, setting, path))
            continue;
        snprintf(name, sizeof(name), "secret/%s", secrets[i].name);
        add_file(l, secrets[i].roles, name, path, secrets[i].may_lack);
    }
}

/* What we show to single smarthosts: the relay's alone. */
static void add_smarthosts(struct loading *l)
{
    const struct sp_config *c = l->g->config;

    for (size_t i = 0; i < c->delivery.smarthost_count; i++) {
        const char *files[] = {c->delivery.smarthosts[i].certificate,
                               c->delivery.smarthosts[i].key};
        static const char *const names[] = {"certificate", "key"};

        for (size_t k = 0; k < SP_ARRAY_LEN(files); k++) {
            char name[100], path[PATH_LEN_MAX];

            if (files[k][0] == '\0' || !find_secret(l, files[k], path))
                continue;
            snprintf(name, sizeof(name), "secret/smarthost.%zu.%s", i, names[k]);
            add_file(l, FOR(RELAY), name, path, false);
        }
    }
}

/* Issuers' key sets: public, but the relay's alone. */
static void add_issuers(struct loading *l)
{
    const struct sp_config *c = l->g->config;

    for (size_t i = 0; i < c->oauth.issuer_count; i++) {
        char name[100], path[PATH_LEN_MAX];

        if (path_join(l->g->folder, c->oauth.issuers[i].keys, path) != SP_OK)
            continue;
        snprintf(name, sizeof(name), "secret/oauth.%zu.keys", i);
        add_file(l, FOR(RELAY), name, path, false);
    }
}

/* A file beside the master key; absent: empty. */
static bool read_beside(struct loading *l, const char *beside, const char *suffix,
                        struct sp_buf *out, bool *is_there)
{
    struct sp_err err;
    enum sp_rc rc = file_read_beside(beside, suffix, out, &err);

    *is_there = rc == SP_OK;
    if (rc == SP_OK || rc == SP_E_NOT_FOUND)
        return true;
    complain(l, err.text);
    return false;
}

/* The key of bodies: this generation's, and while the one before is still needed, that one's. */
static void add_content_kek(struct loading *l, const char *path, struct sp_bytes root)
{
    static const struct {
        const char *suffix;
        const char *key;
        const char *id;
        bool may_lack; /* the first generation has no file */
    } generations[] = {
        {SP_KEK_FILE, "secret/content.kek", "secret/kek.id", true},
        {SP_KEK_FILE_OLD, "secret/content.kek.old", "secret/kek.id.old", false},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(generations); i++) {
        char id[SP_KEK_ID_LEN + 1];
        struct sp_secret kek;
        struct sp_buf secret;
        bool is_there;

        sp_buf_init(&secret, 128 * 1024);
        if (!read_beside(l, path, generations[i].suffix, &secret, &is_there)) {
            sp_buf_clear(&secret);
            return;
        }
        if ((is_there || generations[i].may_lack) &&
            sp_crypt_content_kek(root, sp_buf_bytes(&secret), &kek, id) != SP_OK) {
            complain(l, "the content key's secret must be a file of 32 random bytes");
        } else if (is_there || generations[i].may_lack) {
            add(l, FOR(RELAY), generations[i].key, sp_secret_bytes(&kek));
            add(l, FOR(RELAY), generations[i].id, sp_bytes_cstr(id));
            sp_secret_clear(&kek);
        }
        sp_buf_wipe(&secret);
    }
}

static void add_keks(struct loading *l, const struct generation *before)
{
    char key[PATH_LEN_MAX], beside[PATH_LEN_MAX];
    const char *setting = l->g->config->master_key;
    struct root root;
    struct sp_err err;

    if (!find_secret(l, setting, key) ||
        sp_config_place_beside(setting, l->g->folder, beside, PATH_LEN_MAX) != SP_OK)
        return;
    if (root_read(key, beside, &root, &err) != SP_OK) {
        complain(l, err.text);
        return;
    }
    memcpy(l->g->root_mark, root.mark, ROOT_MARK_LEN);
    l->g->root_has_file = root.has_file;
    if (root_check(l->g, before, beside, &err) != SP_OK)
        complain(l, err.text);
    add_content_kek(l, beside, sp_secret_bytes(&root.secret));
    for (size_t i = 0; i < SP_ARRAY_LEN(keks); i++) {
        struct sp_secret kek;

        sp_crypt_hkdf(sp_secret_bytes(&root.secret), sp_bytes_cstr(keks[i].info), &kek);
        add(l, keks[i].roles, keks[i].name, sp_secret_bytes(&kek));
        sp_secret_clear(&kek);
    }
    sp_secret_clear(&root.secret);
}

/* Certificates of listeners and portal; a file that is not what it should be is found here. */
static void add_pairs(struct loading *l)
{
    struct pair p;

    l->g->stamp = pairs_stamp(l->g->folder, l->g->config);
    for (size_t i = 0; pair_at(l->g->config, i, &p); i++) {
        struct pair_files files;
        struct sp_err err;

        if (p.certificate[0] == '\0')
            continue;
        if (pair_read(l->g->folder, &p, &files, &err) != SP_OK)
            complain(l, err.text);
        for (enum sp_role_kind kind = SP_ROLE_RELAY; kind < SP_ROLE_COUNT; kind++) {
            if ((p.roles & (1U << kind)) != 0 && pair_put(l->bundles[kind], &p, &files) != SP_OK)
                complain(l, "too many or too large files of certificates");
        }
        pair_clear(&files);
    }
}

void generation_rotate_tickets(struct generation *g)
{
    memmove(g->tickets[1], g->tickets[0], sizeof(g->tickets) - sizeof(g->tickets[0]));
    sp_random_fill(sp_random_system(), g->tickets[0], sizeof(g->tickets[0]));
    if (g->ticket_count < TICKET_KEYS_MAX)
        g->ticket_count++;
}

struct sp_bytes generation_tickets(const struct generation *g)
{
    return sp_bytes(g->tickets, g->ticket_count * sizeof(g->tickets[0]));
}

/* Session tickets that any relay understands, and goes on to understand when the configuration is read anew. */
static void add_tickets(struct loading *l, const struct generation *before)
{
    uint8_t key[TICKET_KEY_LEN];

    if (before != NULL) {
        memcpy(l->g->tickets, before->tickets, sizeof(l->g->tickets));
        l->g->ticket_count = before->ticket_count;
    } else {
        generation_rotate_tickets(l->g);
    }
    add(l, FOR(RELAY), "secret/tls.tickets", generation_tickets(l->g));
    sp_random_fill(sp_random_system(), key, sizeof(key));
    add(l, FOR(PORTAL), "secret/portal.tickets", sp_bytes(key, sizeof(key)));
    sp_wipe(key, sizeof(key));
}

static void tell_problems(struct loading *l, const struct sp_problems *problems)
{
    for (size_t i = 0; i < sp_problems_count(problems); i++) {
        if (!sp_problems_at(problems, i)->is_warning)
            fail(l);
        sp_problem_format(sp_problems_at(problems, i), l->report);
        sp_buf_put_cstr(l->report, "\n");
    }
}

/* What a tenant signs with goes to the sealer beside the gateway's own. */
static void add_tenant_identity(struct loading *l, const struct sp_tenant *t)
{
    const char *files[] = {t->smime.certificate, t->smime.key, t->pgp.key, t->dkim.key,
                           t->dkim.ed25519_key};
    static const char *const names[] = {"smime.certificate", "smime.key", "pgp.key", "dkim.key",
                                        "dkim.ed25519_key"};

    for (size_t i = 0; i < SP_ARRAY_LEN(files); i++) {
        char name[300], path[PATH_LEN_MAX];

        if (files[i][0] == '\0' || !find_secret(l, files[i], path))
            continue;
        snprintf(name, sizeof(name), "secret/tenant.%s.%s", t->name, names[i]);
        add_file(l, FOR(SEALER), name, path, false);
    }
}

static void add_tenant_identities(struct loading *l)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_bytes name, data;
    size_t at = 0;

    /* the relay's bundle: the sealer's grows meanwhile */
    while (sp_role_bundle_next(l->bundles[SP_ROLE_RELAY], &at, &name, &data)) {
        SP_AUTO(sp_tenant) tenant = NULL;
        char file[PATH_LEN_MAX];

        if (!sp_bytes_starts_nocase(name, SP_LIT("tenants/")) ||
            !sp_bytes_ends_nocase(name, SP_LIT(".json")))
            continue;
        snprintf(file, sizeof(file), "%.*s", SP_FMT(name));
        if (sp_tenant_load(data, file, problems, &tenant) == SP_OK)
            add_tenant_identity(l, tenant);
    }
    tell_problems(l, problems);
}

static void add_policies(struct loading *l)
{
    char *copy = sp_strdup(l->g->config->policy);
    const char *folder = dirname(copy);
    char path[PATH_LEN_MAX];

    if (folder[0] == '.' && folder[1] == '\0')
        complain(l, "\"policy\" must lie in a folder of its own, beside what it extends and names");
    else if (path_join(l->g->folder, folder, path) == SP_OK)
        add_folder(l, POLICY_ROLES, folder, path, 0);
    sp_free(copy);
    if (path_join(l->g->folder, l->g->config->tenants, path) == SP_OK)
        add_folder(l, TENANTS_ROLES, "tenants", path, 0);
    if (path_join(l->g->folder, "detection", path) == SP_OK && access(path, F_OK) == 0)
        add_folder(l, FOR(SCANNER), "detection", path, 0);
}

static bool find_folder(struct loading *l, const char *path)
{
    char real[PATH_MAX];
    bool ok = realpath(path, real) != NULL && strlen(real) < PATH_LEN_MAX;

    if (ok)
        snprintf(l->g->folder, PATH_LEN_MAX, "%s", dirname(real));
    else
        complain(l, path);
    return ok;
}

static void load(struct loading *l, const char *path, const struct generation *before)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_buf text;
    struct sp_err err;

    sp_buf_init(&text, FILE_LEN_MAX);
    if (file_read(path, &text, &err) != SP_OK) {
        complain(l, err.text);
    } else if (find_folder(l, path)) {
        enum sp_rc rc = sp_config_load(sp_buf_bytes(&text), path, problems, &l->g->config);

        tell_problems(l, problems);
        if (rc != SP_OK)
            fail(l);
    }
    if (!l->failed && path_join(l->g->folder, l->g->config->state_dir, l->g->state_dir) == SP_OK) {
        add(l, EVERY_ROLE, "sallyport.json", sp_buf_bytes(&text));
        add_policies(l);
        add_secrets(l);
        add_pairs(l);
        add_smarthosts(l);
        add_issuers(l);
        add_keks(l, before);
        add_tickets(l, before);
        add_tenant_identities(l);
    }
    sp_buf_clear(&text);
}

/* Secrets in a memfd could be swapped out while nobody has it mapped. */
static void pin(struct generation *g, enum sp_role_kind kind)
{
    struct stat st;
    void *map;

    if (fstat(g->bundles[kind], &st) != 0 || st.st_size <= 0)
        return;
    map = SP_FAULT("supervisor.map")
              ? MAP_FAILED
              : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, g->bundles[kind], 0);
    if (map == MAP_FAILED)
        return;
    (void)mlock(map,
                (size_t)st.st_size); /* under a limit, and without its lifting, as much as goes */
    g->pins[kind].at = map;
    g->pins[kind].len = (size_t)st.st_size;
}

struct generation *generation_load(const char *path, const struct generation *before,
                                   struct sp_buf *report, size_t *fault_at)
{
    struct loading l = {.g = sp_calloc(1, sizeof(struct generation)), .report = report};

    l.g->number = before == NULL ? 1 : before->number + 1;
    l.g->origin = GENERATION_READ;
    for (enum sp_role_kind kind = 0; kind < SP_ROLE_COUNT; kind++) {
        l.g->bundles[kind] = -1;
        l.bundles[kind] = sp_role_bundle_new();
    }
    load(&l, path, before);
    for (enum sp_role_kind kind = 0; kind < SP_ROLE_COUNT; kind++) {
        if (!l.failed && sp_role_bundle_to_memfd(l.bundles[kind], &l.g->bundles[kind]) != SP_OK)
            complain(&l, "no memory for the files of a role");
        if (l.g->bundles[kind] >= 0)
            pin(l.g, kind);
        sp_role_bundle_free(l.bundles[kind]);
    }
    if (l.failed) {
        *fault_at = l.fault_at;
        generation_free(l.g);
        return NULL;
    }
    return l.g;
}

/* Of a copy: its own bundle, or another descriptor of the same. */
static bool copy_bundle(struct generation *g, const struct generation *now, enum sp_role_kind kind,
                        const struct sp_role_bundle *fresh)
{
    if (fresh != NULL)
        return sp_role_bundle_to_memfd(fresh, &g->bundles[kind]) == SP_OK;
    g->bundles[kind] = now->bundles[kind] < 0 ? -1 : fcntl(now->bundles[kind], F_DUPFD_CLOEXEC, 0);
    return now->bundles[kind] < 0 || g->bundles[kind] >= 0;
}

struct generation *generation_copy(const struct generation *now, const struct sp_role_bundle *relay,
                                   const struct sp_role_bundle *portal)
{
    struct generation *g = sp_calloc(1, sizeof(*g));
    SP_AUTO(sp_problems) problems = sp_problems_new();
    bool ok = sp_config_load(sp_role_bundle_find(relay, SP_LIT("sallyport.json")), "", problems,
                             &g->config) == SP_OK;

    g->number = now->number + 1;
    memcpy(g->folder, now->folder, sizeof(g->folder));
    memcpy(g->state_dir, now->state_dir, sizeof(g->state_dir));
    memcpy(g->tickets, now->tickets, sizeof(g->tickets));
    g->ticket_count = now->ticket_count;
    memcpy(g->root_mark, now->root_mark, sizeof(g->root_mark));
    g->root_has_file = now->root_has_file;
    for (enum sp_role_kind kind = 0; kind < SP_ROLE_COUNT; kind++) {
        const struct sp_role_bundle *fresh = kind == SP_ROLE_RELAY    ? relay
                                             : kind == SP_ROLE_PORTAL ? portal
                                                                      : NULL;

        g->bundles[kind] = -1;
        ok = ok && copy_bundle(g, now, kind, fresh);
        if (g->bundles[kind] >= 0)
            pin(g, kind);
    }
    if (ok)
        return g;
    generation_free(g);
    return NULL;
}

static bool next_lasting(const struct sp_role_bundle *b, size_t *at, struct sp_bytes *name,
                         struct sp_bytes *data)
{
    while (sp_role_bundle_next(b, at, name, data)) {
        if (!sp_bytes_ends_nocase(*name, SP_LIT(".tickets")))
            return true;
    }
    return false;
}

static bool same_files(const struct sp_role_bundle *a, const struct sp_role_bundle *b)
{
    struct sp_bytes name_a, data_a, name_b, data_b;
    size_t at_a = 0, at_b = 0;
    bool more;

    do {
        more = next_lasting(a, &at_a, &name_a, &data_a);
        if (next_lasting(b, &at_b, &name_b, &data_b) != more)
            return false;
        if (more && (!sp_bytes_eq(name_a, name_b) || !sp_bytes_eq(data_a, data_b)))
            return false;
    } while (more);
    return true;
}

bool generation_is_same_for(enum sp_role_kind kind, const struct generation *a,
                            const struct generation *b)
{
    SP_AUTO(sp_role_bundle) of_a = NULL;
    SP_AUTO(sp_role_bundle) of_b = NULL;

    return sp_role_bundle_from_memfd(a->bundles[kind], &of_a) == SP_OK &&
           sp_role_bundle_from_memfd(b->bundles[kind], &of_b) == SP_OK && same_files(of_a, of_b);
}

void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    for (enum sp_role_kind kind = 0; kind < SP_ROLE_COUNT; kind++) {
        if (g->pins[kind].at != NULL)
            munmap(g->pins[kind].at, g->pins[kind].len);
        if (g->bundles[kind] >= 0)
            close(g->bundles[kind]);
    }
    sp_config_free(g->config);
    sp_wipe(g->tickets, sizeof(g->tickets));
    sp_free(g);
}
