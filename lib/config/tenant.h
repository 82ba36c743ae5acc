/*
 * tenants/NAME.json: one organisation that may send, and how it is proved. Checked against a table as sallyport.json is.
 * thread: any
 */
#ifndef SP_CONFIG_TENANT_H
#define SP_CONFIG_TENANT_H

#include "config/config.h"

struct sp_tenant_user {
    const char *name;
    const char *proof;       /* as written; one of these: */
    const char *hash;        /* Argon2id, encoded form; "" if it is another */
    const char *scram;       /* SCRAM-SHA-256 verifier (RFC 5803); "" if it is another */
    const char *certificate; /* name in a client certificate, for EXTERNAL; "" if it is another */
    const char *oauth;       /* what an issuer's token says, for OAUTHBEARER; "" if it is another */
};

struct sp_tenant {
    const char *name;
    struct sp_config_texts domains; /* lower case; envelope sender and From must lie here */
    const char *postmaster;         /* address; "" for postmaster@ the first domain */
    const char *display_name;       /* in notices; "" for the gateway's */
    struct {
        struct sp_config_texts networks;            /* CIDR */
        struct sp_config_texts client_certificates; /* names in the certificate */
        struct sp_config_texts networks_from; /* domains whose SPF names more (tenants/networks) */
        bool any_network;                     /* a source outside networks is noted, not refused */
        struct {
            const char *name;   /* of the field; "" for none */
            const char *sha256; /* of its value, hexadecimal */
        } secret_header;
        struct sp_config_texts originator_org; /* X-OriginatorOrg must be one of these */
        const char *tenant_id;                 /* X-MS-Exchange-CrossTenant-Id; "" for none */
        struct sp_config_texts auth_as;        /* X-MS-Exchange-CrossTenant-AuthAs */
        struct sp_config_texts dkim;           /* domains, one of which must have signed */
        struct sp_tenant_user *users;
        size_t user_count;
    } proofs;
    struct {                     /* mail that is not simply from one of its own addresses */
        bool null_sender;        /* <> as envelope sender: out-of-office, reports */
        bool shared_mailboxes;   /* From and Sender differ, both its own */
        bool calendar;           /* a foreign organiser in From, with its own Sender */
        bool forwards;           /* a foreign From under an envelope sender of its own (SRS) */
        bool foreign_envelope;   /* an envelope sender that is not its own */
        bool subdomains;         /* of its domains count as its own */
        const char *onmicrosoft; /* its domain under onmicrosoft.com; "" for none */
    } senders;
    struct {
        const char *domain; /* of return paths of our own; "" for none */
    } bounces;
    struct {
        int64_t sessions; /* that send at a time; 0: any number */
        int64_t messages; /* a minute; 0: any number */
        int64_t bytes;    /* a second; 0: any number */
        int64_t memory;   /* bytes that its messages hold on their way in; 0: any number */
    } limits;
    struct {
        const char *until;   /* the last day (UTC), as 2026-12-06; "" for never */
        int64_t until_ms;    /* its end, wall clock; 0 for never */
    } observe;               /* rules are recorded, not enforced */
    bool normalise_newlines; /* a bare CR or LF in a message becomes CRLF */
    struct {
        const char *domain;   /* of the signatures, "" for none */
        const char *selector; /* of the RSA key, "" for none */
        const char *key;      /* "": the gateway's */
        const char *ed25519_selector;
        const char *ed25519_key;
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

/* returns: whether the domain (any case) is one of the tenant's: domains, or senders.onmicrosoft */
bool sp_tenant_has_domain(const struct sp_tenant *t, struct sp_bytes domain);

/*
 * A tenant is proved by a user who logs in, or by a network together with at least one more signal
 * (lib/intake/prove.c, attest.c).
 *
 * returns: whether its settings name enough for one of the two
 */
bool sp_tenant_is_provable(const struct sp_tenant *t);

/* returns: whether the connection and the message together can prove it, without a user */
bool sp_tenant_is_provable_by_signals(const struct sp_tenant *t);

/* returns: whether a certificate of the client's tells something of it: that it is the tenant, or one of its users */
bool sp_tenant_asks_certificate(const struct sp_tenant *t);

/* returns: whether it has a selector: what is made in its name is signed, or does not go out */
bool sp_tenant_signs(const struct sp_tenant *t);

#define SP_TENANT_OBSERVE_DAYS 62 /* longer is no trial any more */

/* returns: whether its rules are only observed now: the date is set, not over, and not too far off. now_ms: wall clock */
bool sp_tenant_observes(const struct sp_tenant *t, int64_t now_ms);

/* Adds a warning if it observes now, or an error if its date is too far off. file: for the problem */
void sp_tenant_tell_observed(const struct sp_tenant *t, int64_t now_ms, const char *file,
                             struct sp_problems *problems);

/* returns: whether a signal lies in the message itself: header fields or a signature */
bool sp_tenant_has_message_signal(const struct sp_tenant *t);

#define SP_TENANT_KNOCK                                                                            \
    "tenant-check.invalid" /* who `sallyport tenant check` says it is at the door */
#define SP_TENANT_NETWORKS_DIR                                                                     \
    "networks" /* in the folder of tenants: DOMAIN.txt for each of networks_from */

/*
 * Adds the networks of a provider's file to the tenant's: one a line, with lines of comment that begin with "#". Everybody's
 * networks are no provider's: a prefix below /10, or below /24 for IPv6, is wrong, and so is an empty file. IPv4 that is written
 * as IPv6 is judged as IPv4, since that is what it lets in.
 *
 * file:    its name, for problems
 * returns: SP_OK, or SP_E_CONFIG_INVALID with problems
 */
SP_MUST_CHECK enum sp_rc sp_tenant_add_networks(struct sp_tenant *t, struct sp_bytes text,
                                                const char *file, struct sp_problems *problems);

/* returns: how many networks such a file names; 0 if it is wrong. refreshed_ms: when it was made, wall clock; 0: unknown */
size_t sp_tenant_count_networks(struct sp_bytes text, int64_t *refreshed_ms,
                                struct sp_problems *problems);

/* returns: whether such a file names only networks of the Internet: none that is loopback, private, link-local, unspecified or
 * multicast, nor one that holds such; with problems if not */
bool sp_tenant_networks_are_public(struct sp_bytes text, struct sp_problems *problems);

/* Appends the reference of a tenant's settings as Markdown. */
void sp_tenant_reference(struct sp_buf *out);
/* The same for programs: appends an object a setting to an array. */
void sp_tenant_list_settings(struct sp_jw *w);

#endif
