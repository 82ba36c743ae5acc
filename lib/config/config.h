/*
 * The settings of one gateway (sallyport.json): typed, checked against one table (settings.c), all errors at once. The
 * structure is immutable once loaded; paths in it are as written, relative to the configuration's folder. To add a
 * setting: a member here, a row there, then `cli-policy settings > docs/settings.md`. thread: any
 */
#ifndef SP_CONFIG_CONFIG_H
#define SP_CONFIG_CONFIG_H

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "json/problem.h"

enum sp_listen_tls {
    SP_LISTEN_STARTTLS,
    SP_LISTEN_IMPLICIT,
    SP_LISTEN_NONE,
};

/* in the order of the words in settings.c */
enum sp_listen_auth {
    SP_LISTEN_AUTH_OFFERED,
    SP_LISTEN_AUTH_REQUIRED, /* a submission port */
    SP_LISTEN_AUTH_OFF,
};

struct sp_config_texts {
    const char **items;
    size_t count;
};

struct sp_config_listen {
    const char *address; /* host:port */
    enum sp_listen_tls tls;
    enum sp_listen_auth auth;
    struct sp_config_texts proxies; /* networks of load balancers that speak PROXY version 2 */
    struct sp_config_texts
        certificates; /* names in tls.certificates; none: the first one and all */
    bool plain_ok;    /* mail from the tenant's networks without AUTH or TLS */
    bool bounces;     /* mail to the tenants' return paths alone */
};

/* A certificate beside the first, for clients that ask for one of its names. */
struct sp_config_certificate {
    const char *name; /* by which listeners name it, others may share it; "" for none */
    const char *certificate;
    const char *key;
    const char *staple; /* "" for none */
};

struct sp_config_route {
    const char *domain;
    const char *to; /* host:port */
};

#define SP_CONFIG_CERTIFICATES_MAX 64 /* the first one among them */

#define SP_CONFIG_SMARTHOSTS_MAX 16 /* of one route */

/* One host of several that take a route's mail. */
struct sp_config_smarthost {
    const char *route;       /* a recipient domain, a name that rules use, or "*" for all mail */
    const char *host;        /* host:port */
    int64_t priority;        /* lower ones are tried first */
    int64_t weight;          /* share among those of the same priority */
    const char *name;        /* that its certificate must show; "" for the host's own */
    const char *certificate; /* of ours, shown to it; "" for none */
    const char *key;
    const char *helo; /* our name in EHLO; "" for the hostname */
};

/* How often and how long one kind of failure is tried again. */
struct sp_config_retry {
    const char *match;
    int64_t first_ms; /* 0: as usual; so the others */
    int64_t max_ms;
    int64_t expire_ms;
};

/* Who may vouch for users by tokens (OAUTHBEARER). */
struct sp_config_issuer {
    const char *issuer;
    const char *audience;
    const char *keys;   /* file of a key set (RFC 7517) */
    const char *claim;  /* that names the user */
    const char *tenant; /* the only one whose users it vouches for; "" for any */
};
#define SP_CONFIG_ISSUERS_MAX 32

struct sp_config {
    const char *node;
    const char *hostname;
    const char *state_dir;
    const char *master_key;
    int64_t workers;  /* relays; 0: one a core */
    int64_t uid_base; /* 0: all roles as the user who started */
    int64_t stop_ms;  /* how long a clean stop may take */
    const char *policy;
    const char *tenants; /* folder */
    struct {
        const char *level;
    } log;
    struct sp_config_listen *listen;
    size_t listen_count;
    struct {
        const char *certificate;
        const char *key;
        const char *staple;    /* OCSP response for it, "" for none */
        const char *client_ca; /* file of CAs that client certificates chain to, "" for none */
        int64_t watch_ms;      /* how often these files are looked at; 0: never */
        int64_t tickets_ms;    /* how long a ticket key makes tickets */
        struct sp_config_certificate *certificates;
        size_t certificate_count;
    } tls;
    struct {
        int64_t size_limit; /* bytes */
        int64_t max_recipients;
        int64_t max_sessions;
        int64_t max_source; /* sessions of one source */
        int64_t max_queue;
        int64_t max_memory;        /* bytes, of all sessions and messages that come; 0: any */
        int64_t max_source_memory; /* the same, of one source */
        int64_t max_bytes;         /* a second, of all; 0: any */
        int64_t max_source_bytes;  /* a second, of one source; 0: any */
        int64_t max_connects;      /* connections of one source in a minute; 0: any */
        int64_t max_errors;
        int64_t idle_ms;
        int64_t handshake_ms;
        int64_t least_rate;   /* bytes a second of a message; 0: any */
        int64_t inline_limit; /* bytes of a body that lies in its record */
        int64_t memory;       /* bytes of all bodies in flight in one relay */
        int64_t scan_ms;      /* both tries of the scanner together */
    } intake;
    struct {
        struct sp_config_texts servers;
        bool trusted; /* AD is believed */
        int64_t timeout_ms;
    } resolver;
    struct {
        int64_t port;
        const char *next_hop; /* host:port for all mail, "" for MX */
        struct sp_config_route *routes;
        size_t route_count;
        struct sp_config_route *pins; /* to: a certificate name */
        size_t pin_count;
        struct sp_config_retry *retries;
        size_t retry_count;
        struct sp_config_smarthost *smarthosts;
        size_t smarthost_count;
        const char *ca;  /* file of extra trust anchors, "" for the system's alone */
        bool long_lines; /* lines of more than 998 bytes are sent as they are */
        int64_t retry_first_ms;
        int64_t retry_max_ms;
        int64_t expire_ms;
        int64_t connect_ms;
        int64_t command_ms;
        int64_t max_connections; /* per next hop */
        int64_t reuse_ms;
        int64_t suppress_ms;  /* an address that bounced for good is left alone; 0: it is not */
        int64_t dsn_delay_ms; /* a delay DSN after this; 0 for none */
    } delivery;
    struct {
        int64_t scanners;
        int64_t sealers;
        int64_t job_ms;
    } roles;
    struct {
        const char *listen; /* "" switches the portal off */
        const char *url;
        const char *certificate;
        const char *key;
        int64_t code_ms;
        int64_t session_ms;
        int64_t max_codes; /* codes sent per package and hour */
        int64_t max_tries; /* per code */
        int64_t choice_ms; /* how long a recipient's choice holds; 0: none is offered */
    } portal;
    struct {
        const char *socket; /* relative to state_dir */
        const char *listen; /* host:port on loopback, or "" */
        int64_t sites;
    } admin;
    struct {
        const char *file; /* relative to state_dir/ledger */
        const char *signing_key;
        int64_t checkpoint_ms;
        int64_t checkpoint_records;
        int64_t rotate_size;     /* 0: never */
        int64_t rotate_every_ms; /* 0: never */
        int64_t keep_ms;         /* 0: for ever */
        const char *addresses;   /* "plain" or "hmac" */
        const char *address_key; /* of hmac; "": derived */
    } audit;
    struct {
        const char *smime_certificate;
        const char *smime_key;
        const char *pgp_home;
        const char *pgp_key;
        const char *dkim_key;
        const char *dkim_ed25519_key;
    } sealer;
    struct {
        const char *smime_ca; /* trust anchors of recipients' certificates, "" for none */
    } keeper;
    struct {
        const char *sts_ca; /* extra trust for the HTTPS hosts of MTA-STS */
        int64_t sts_port;
        int64_t timeout_ms;
    } fetcher;
    struct {
        bool send;
        const char
            *tenant; /* whose domain reports and signs; "": the first that has a DKIM selector */
        const char *organization; /* "": hostname */
        const char *contact;      /* "": postmaster@ the signing domain */
        int64_t delay_ms;         /* at most so long after the day's end, at random */
        int64_t retry_ms;         /* after the first failure; doubles */
    } tls_reports;
    struct {
        int64_t learn_ms; /* before that nobody is said to be new */
        int64_t keep_ms;
        int64_t max;
    } contacts;
    struct {
        struct sp_config_issuer *issuers;
        size_t issuer_count;
        int64_t leeway_ms; /* between their clocks and ours */
    } oauth;
    struct {
        struct sp_config_texts
            approvers;                 /* "group:uid": who may release what is held for a group */
        struct sp_config_texts notify; /* "group:address": who is told that something is */
        int64_t notify_every_ms;
    } holds;
    struct {
        bool second_person;
        struct sp_config_texts approvers; /* numeric user ids that may ask policy.* beside root */
    } publishing;
    struct sp_arena *arena; /* all of the above lives here */
};

/*
 * Reads and checks the whole file.
 *
 * text:     borrowed for the call
 * file:     its name, for messages
 * problems: gets every error and warning at once
 * out:      owner: the caller, to sp_config_free
 * returns:  SP_OK (there may be warnings), or the first error's code
 */
SP_MUST_CHECK enum sp_rc sp_config_load(struct sp_bytes text, const char *file,
                                        struct sp_problems *problems, struct sp_config **out);
void sp_config_free(struct sp_config *c);
SP_AUTO_DEFINE(sp_config)

/*
 * Refuses issuers of tokens that name no tenant where there is more than one: each would vouch for the users of all.
 *
 * file:    what problems are told to lie in
 * returns: SP_OK, SP_E_CONFIG_MISSING with a problem for each
 */
enum sp_rc sp_config_check_issuers(const struct sp_config *c, size_t tenants, const char *file,
                                   struct sp_problems *problems);

/* returns: whether delivery.routes or delivery.smarthosts has an entry of that name */
bool sp_config_has_route(const struct sp_config *c, struct sp_bytes name);

#define SP_CONFIG_CREDENTIAL "credential:" /* before the name of a systemd credential */

/*
 * Where a file that a setting names lies. folder: of sallyport.json; len: of out
 *
 * returns: SP_E_NOT_FOUND for a credential if this process has none, SP_E_LIMIT
 */
SP_MUST_CHECK enum sp_rc sp_config_place(const char *setting, const char *folder, char *out,
                                         size_t len);
/* The same for what we keep beside it: of a credential in the folder "keys" of the configuration. returns: SP_E_LIMIT */
SP_MUST_CHECK enum sp_rc sp_config_place_beside(const char *setting, const char *folder, char *out,
                                                size_t len);

/* Appends the reference of all settings as Markdown: docs/settings.md. */
void sp_config_reference(struct sp_buf *out);
/* The same for programs: appends an object a setting to an array. */
void sp_config_list_settings(struct sp_jw *w);

#endif
