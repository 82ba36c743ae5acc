/*
 * tenants/NAME.json: one organisation that may send, and how it is proved. Checked against a table as sallyport.json is.
 * thread: any
 */
#ifndef SP_CONFIG_TENANT_H
#define SP_CONFIG_TENANT_H

#include "config/config.h"

struct sp_tenant_user {
    const char *name;
    const char *hash; /* Argon2id, encoded form */
};

struct sp_tenant {
    const char *name;
    struct sp_config_texts domains; /* lower case; envelope sender and From must lie here */
    const char *postmaster;         /* address; "" for postmaster@ the first domain */
    const char *display_name;       /* in notices; "" for the first domain */
    struct {
        struct sp_config_texts networks;            /* CIDR */
        struct sp_config_texts client_certificates; /* names in the certificate */
        struct sp_tenant_user *users;
        size_t user_count;
    } proofs;
    struct {
        const char *domain; /* of the signature, "" for none */
        const char *selector;
    } dkim;
    struct {
        const char *certificate;
        const char *key;
    } smime;
    struct {
        const char *key; /* fingerprint or address of the signing key */
    } pgp;
    struct sp_arena *arena;
};

/* Reads and checks one tenant's file. Parameters and returns as sp_config_load. owner: the caller */
SP_MUST_CHECK enum sp_rc sp_tenant_load(struct sp_bytes text, const char *file,
                                        struct sp_problems *problems, struct sp_tenant **out);
void sp_tenant_free(struct sp_tenant *t);
SP_AUTO_DEFINE(sp_tenant)

/* returns: whether the domain (any case) is one of the tenant's */
bool sp_tenant_has_domain(const struct sp_tenant *t, struct sp_bytes domain);

/*
 * A tenant is proved by a user who logs in, or by a client certificate and a network together (lib/intake/prove.c).
 *
 * returns: whether its settings name enough for one of the two
 */
bool sp_tenant_is_provable(const struct sp_tenant *t);

/* Appends the reference of a tenant's settings as Markdown. */
void sp_tenant_reference(struct sp_buf *out);

#endif
