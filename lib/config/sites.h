/*
 * Limits of the places that mail goes to (policies/sites.json): how many connections, messages and recipients, from which
 * of our addresses, and what a large provider means by its temporary replies.
 *
 *     {"version": 1,
 *      "sources": {"main": ["192.0.2.10", "2001:db8::10"]},
 *      "default": {"connections": 20, "source": "main"},
 *      "tenants": {"clinic": {"source": "main", "messages_per_minute": 600}},
 *      "sites": {"google": {"mx": ["*.google.com"], "messages_per_minute": 1200,
 *                           "throttle": [{"reply": 421, "status": "4.7.28", "text": "unusual rate", "do": "pause",
 *                                         "for": "10m"}]}}}
 *
 * All numbers hold for the whole gateway and are divided by its relays. thread: any; immutable once loaded
 */
#ifndef SP_CONFIG_SITES_H
#define SP_CONFIG_SITES_H

#include "json/problem.h"

#define SP_SITES_MAX           1000
#define SP_SITE_PATTERNS_MAX   32
#define SP_SITE_THROTTLES_MAX  32
#define SP_SITE_SOURCES_MAX    16 /* addresses of a pool */
#define SP_SITE_RECIPIENTS_MAX 64

enum sp_site_answer {
    SP_SITE_IGNORE, /* of that recipient or message alone, a grey list say */
    SP_SITE_SLOW,   /* half the connections */
    SP_SITE_PAUSE,  /* nothing at all for a while */
};

/* What a temporary reply means. The first that fits counts. */
struct sp_site_throttle {
    int code;               /* 0: any 4xx */
    struct sp_bytes status; /* "4.7.28", "4.7.*", or empty: any */
    struct sp_bytes text;   /* contained, ASCII case ignored; empty: any */
    enum sp_site_answer answer;
    int64_t for_ms; /* PAUSE */
};

/* Addresses to send from. */
struct sp_site_source {
    struct sp_bytes name;
    struct sp_bytes addresses[SP_SITE_SOURCES_MAX];
    size_t count;
};

struct sp_site_limits {
    struct sp_bytes name;                     /* "google", "default" */
    struct sp_bytes mx[SP_SITE_PATTERNS_MAX]; /* host names or *.suffix, lower case */
    size_t mx_count;
    struct sp_bytes domains[SP_SITE_PATTERNS_MAX]; /* of recipients, the same */
    size_t domain_count;
    int64_t connections;                 /* 0: delivery.max_connections of each relay */
    int64_t messages_per_connection;     /* 0: no limit of its own */
    int64_t messages_per_minute;         /* 0: none */
    int64_t tenant_messages_per_minute;  /* of each tenant; 0: none */
    int64_t recipients;                  /* of a transaction */
    const struct sp_site_source *source; /* or NULL: the system chooses */
    struct sp_site_throttle throttles[SP_SITE_THROTTLES_MAX];
    size_t throttle_count;
};

struct sp_site_tenant {
    struct sp_bytes name;
    const struct sp_site_source *source; /* or NULL: the site's */
    int64_t messages_per_minute;         /* to all places together; 0: no limit */
};

struct sp_sites;

/*
 * Reads the file.
 *
 * text:     empty for a gateway without the file: then nothing is limited but by the settings
 * problems: gets all that is wrong at once
 * out:      owner: the caller, to sp_sites_free
 * returns:  SP_OK, or the first problem's code
 */
SP_MUST_CHECK enum sp_rc sp_sites_load(struct sp_bytes text, const char *file,
                                       struct sp_problems *problems, struct sp_sites **out);
/* NULL is allowed. */
void sp_sites_free(struct sp_sites *s);
SP_AUTO_DEFINE(sp_sites)

/* returns: the first entry that names the domain or its best MX host, else the default one; lent. Both in lower case */
const struct sp_site_limits *sp_sites_find(const struct sp_sites *s, struct sp_bytes domain,
                                           struct sp_bytes mx);
/* returns: the default entry, lent */
const struct sp_site_limits *sp_sites_default(const struct sp_sites *s);
/* returns: what is said of a tenant, or NULL */
const struct sp_site_tenant *sp_sites_tenant(const struct sp_sites *s, struct sp_bytes name);
/* at: 0 first. returns: the next pool of addresses, lent, or NULL behind the last */
const struct sp_site_source *sp_sites_next_source(const struct sp_sites *s, size_t *at);
/* returns: how many sites are named; 0 for NULL */
size_t sp_sites_count(const struct sp_sites *s);

/*
 * Weighs a reply: the entry's own table, then the default's, then that 421, 4.7.x, 4.3.2 and 4.4.5 ask us to slow down.
 *
 * status:  "4.7.28"
 * rule:    the one that fitted, or NULL; lent
 * returns: what a temporary reply means; SP_SITE_IGNORE for any other
 */
enum sp_site_answer sp_sites_weigh(const struct sp_sites *s, const struct sp_site_limits *limits,
                                   int code, struct sp_bytes status, struct sp_bytes text,
                                   const struct sp_site_throttle **rule);

#endif
