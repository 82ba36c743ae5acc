/*
 * The DKIM selectors that the domain has delegated to us: a record must be there, alone, and hold the key that signs. A record of
 * another key is worse than none: what we sign then fails at every receiver. The private key is read for that; where whoever
 * checks may not read it, the finding says that the two were not compared.
 */
#include "gateway/cli-tenant/cli.h"

#include <stdio.h>

#include "dkim/record.h"

#define NAME_MAX_ 300

struct selector {
    const char *name;
    const char *key;     /* the tenant's, "" for the gateway's */
    const char *gateway; /* the gateway's, "" for none */
    const char *setting;
};

static const struct {
    enum finding kind;
    const char *text;
} said[] = {
    [SP_DKIM_RECORD_GOOD] = {FINDING_OK, "is the key that signs"},
    [SP_DKIM_RECORD_BROKEN] = {FINDING_WRONG, "can't be read as a key"},
    [SP_DKIM_RECORD_REVOKED] = {FINDING_WRONG, "says that its key is revoked (p= is empty)"},
    [SP_DKIM_RECORD_OTHER] = {FINDING_WRONG, "is another key than the one that signs"},
    [SP_DKIM_RECORD_LIMITED] = {FINDING_WRONG, "is the key, but h= or s= forbid what it signs"},
    [SP_DKIM_RECORD_TESTING] = {FINDING_WRONG, "is the key, but t=y lets receivers ignore it"},
};

/* returns: the key that signs, or NULL with a finding */
static struct sp_pkey *key_of(struct findings *f, const struct selector *s)
{
    const char *file = s->key[0] != 0 ? s->key : s->gateway;
    struct sp_pkey *key = NULL;
    char path[CLI_PATH_MAX];
    struct sp_bytes pem;
    struct sp_err err;

    if (file[0] == 0) {
        find(f, FINDING_WRONG, "dkim.key",
             "neither sealer.%s nor the tenant's %s is set: nothing can be signed", s->setting,
             s->setting);
        return NULL;
    }
    if (sp_config_place(file, f->cli->dir, path, sizeof(path)) != SP_OK ||
        cli_read(f->cli, path, &pem) != SP_OK)
        find(f, FINDING_ADVICE, "dkim.key", "%s can't be read: it is not compared with DNS", file);
    else if (sp_pkey_parse(pem, &key, &err) != SP_OK)
        find(f, FINDING_WRONG, "dkim.key", "%s: %s", file, err.text);
    return key;
}

static void compare(struct findings *f, const struct selector *s, const char *name,
                    struct sp_bytes record)
{
    SP_AUTO(sp_pkey) key = key_of(f, s);
    struct sp_dkim_record r;

    if (key != NULL) {
        enum sp_dkim_finding found = sp_dkim_record_compare(record, key);

        find(f, said[found].kind, "dns.dkim", "%s %s", name, said[found].text);
    } else if (sp_dkim_record_parse(record, &r) != SP_OK || r.key.len == 0) {
        find(f, FINDING_WRONG, "dns.dkim", "%s has no key (p=) in it", name);
    } else {
        find(f, FINDING_OK, "dns.dkim", "%s has a key", name);
    }
}

static void check_selector(struct findings *f, const struct sp_tenant *t, const struct selector *s)
{
    const struct sp_dns_answer *a;
    char name[NAME_MAX_];

    if (s->name[0] == 0)
        return;
    (void)snprintf(name, sizeof(name), "%s._domainkey.%s", s->name, t->dkim.domain);
    a = cli_ask(f->cli, name, SP_DNS_TXT);
    if (a->rc != SP_OK)
        find(f, FINDING_WRONG, "dns.dkim", "%s: %s: publish what \"sallyport dkim dns\" prints",
             name, sp_dns_rc_is_error(a->rc) ? sp_rc_name(a->rc) : "no record");
    else if (a->count != 1)
        find(f, FINDING_WRONG, "dns.dkim", "%s has several records: receivers take any or none",
             name);
    else
        compare(f, s, name, a->records[0].data);
    sp_dns_answer_unref(a);
}

void check_selectors(struct findings *f, const struct sp_tenant *t)
{
    const struct selector all[] = {
        {t->dkim.selector, t->dkim.key, f->cli->settings->sealer.dkim_key, "dkim_key"},
        {t->dkim.ed25519_selector, t->dkim.ed25519_key, f->cli->settings->sealer.dkim_ed25519_key,
         "dkim_ed25519_key"},
    };

    if (!sp_tenant_signs(t))
        find(f, FINDING_ADVICE, "dns.dkim",
             "no \"dkim\" in the tenant's file: what a rule edits can't be signed");
    for (size_t i = 0; i < SP_ARRAY_LEN(all); i++)
        check_selector(f, t, &all[i]);
}
