/*
 * MTA-STS (RFC 8461): the TXT record, the policy text, and the policies in memory. A policy is kept until its max_age
 * whatever TXT or HTTPS later say; only a newly fetched valid one replaces it.
 */
#ifndef SP_TRANSPORT_STS_H
#define SP_TRANSPORT_STS_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/map.h"

#define SP_STS_TEXT_MAX 65536    /* octets of a policy */
#define SP_STS_MX_MAX   64       /* patterns of a policy */
#define SP_STS_ID_MAX   32       /* RFC 8461 3.1 */
#define SP_STS_AGE_MAX  31557600 /* seconds, RFC 8461 3.2 */
#define SP_STS_SUM_LEN  32       /* of a policy's text, SHA-256 */
#define SP_STS_MARK_LEN 16       /* that nobody finds another name for */

enum sp_sts_mode { SP_STS_MODE_NONE, SP_STS_MODE_TESTING, SP_STS_MODE_ENFORCE };

/* returns: "none", "testing", "enforce", static */
const char *sp_sts_mode_name(enum sp_sts_mode mode);

struct sp_sts_policy {
    enum sp_sts_mode mode;
    int64_t max_age_s;
    struct sp_bytes mx[SP_STS_MX_MAX]; /* lower case; "*.example.net" takes one label */
    size_t mx_count;
    struct sp_bytes id;          /* of the TXT record that led to it */
    int64_t fetched_at_ms;       /* wall clock */
    int64_t expires_at_ms;       /* wall clock */
    int64_t refresh_at_ms;       /* wall clock; time to ask again though nothing has changed */
    struct sp_bytes text;        /* as fetched; empty once is_short */
    uint8_t sum[SP_STS_SUM_LEN]; /* of the text; in memory only, not from parse */
    bool
        is_short; /* there were too many long texts, or its own is not on record: mx has marks, by which a host is found all the same, and no names */
};

/*
 * Reads the TXT answers of _mta-sts.DOMAIN. thread: any
 *
 * id:      a view into the record, 1 to 32 letters and digits
 * returns: SP_OK, or SP_E_STS_NONE: no such record, more than one, or one that is malformed (RFC 8461 3.1)
 */
SP_MUST_CHECK enum sp_rc sp_sts_txt_parse(const struct sp_bytes *txt, size_t count,
                                          struct sp_bytes *id);

/*
 * Reads a policy (RFC 8461 3.2). thread: any
 *
 * out:     views point into text; id and expires_at_ms are left empty
 * returns: SP_OK, or SP_E_STS_INVALID
 */
SP_MUST_CHECK enum sp_rc sp_sts_policy_parse(struct sp_bytes text, struct sp_sts_policy *out);

/* returns: whether a policy's pattern takes the host name (RFC 8461 4.1), case ignored. thread: any */
bool sp_sts_mx_matches(const struct sp_sts_policy *p, struct sp_bytes host);

/* Sets what a pattern, or the host that it names, is known by when names are not kept, SP_STS_MARK_LEN bytes. thread: any */
void sp_sts_mx_mark(struct sp_bytes pattern, uint8_t *out);

/* ---- the policies in memory ---- */
struct sp_sts_cache;

/* owner: the caller. max: domains kept */
struct sp_sts_cache *sp_sts_cache_new(size_t max);
/* NULL is allowed. */
void sp_sts_cache_free(struct sp_sts_cache *c);

/*
 * Takes a policy that was fetched just now, in place of the domain's old one.
 *
 * fetched_at_ms: wall clock; its life is counted from there
 * returns:       SP_OK, or SP_E_STS_INVALID
 */
SP_MUST_CHECK enum sp_rc sp_sts_cache_put(struct sp_sts_cache *c, struct sp_bytes domain,
                                          struct sp_bytes id, struct sp_bytes text,
                                          int64_t fetched_at_ms);

/*
 * Asks for room on record for a text that differs from what was there. Each domain may have 256 KiB a day, which is hundreds of honest
 * policies, and all together 64 MiB of texts beyond 4 KiB; a day's worth is saved up.
 *
 * returns: whether there is; it is then used. If not, nothing is fetched of the domain for five minutes, whatever its record says
 */
bool sp_sts_cache_spend(struct sp_sts_cache *c, struct sp_bytes domain, size_t len, int64_t now_ms);

/* As put, of a text for which there was no room: it is not kept, the policy binds */
SP_MUST_CHECK enum sp_rc sp_sts_cache_put_unwritten(struct sp_sts_cache *c, struct sp_bytes domain,
                                                    struct sp_bytes id, struct sp_bytes text,
                                                    int64_t fetched_at_ms);

/* The same for one that another memory has: of two policies the one that was fetched later stands. returns: as put */
SP_MUST_CHECK enum sp_rc sp_sts_cache_tell(struct sp_sts_cache *c, struct sp_bytes domain,
                                           struct sp_bytes id, struct sp_bytes text,
                                           int64_t fetched_at_ms);

/* Forgets a domain's policy before its end: by an administrator's word, and nothing else. */
void sp_sts_cache_forget(struct sp_sts_cache *c, struct sp_bytes domain);

/* returns: the domain's policy if it is still valid (lent until the next put), else NULL */
const struct sp_sts_policy *sp_sts_cache_find(struct sp_sts_cache *c, struct sp_bytes domain,
                                              int64_t now_ms);

/*
 * returns: whether the policy that was put last for the domain had the text of this SHA-256, though it may have ended since,
 *          and that text was put on record whole in the week before
 */
bool sp_sts_cache_has_written(const struct sp_sts_cache *c, struct sp_bytes domain,
                              const uint8_t *sum, int64_t now_ms);

/*
 * Whether it is time to fetch: the id is new or the policy is getting old, and the last try is not too recent.
 *
 * id:      of the TXT record
 * returns: whether; if so it counts as tried
 */
bool sp_sts_cache_should_fetch(struct sp_sts_cache *c, struct sp_bytes domain, struct sp_bytes id,
                               int64_t now_ms);

/* Brings the next refresh of a domain's policy forward to now: its id has changed, and nobody could wait for the new one. */
void sp_sts_cache_hurry(struct sp_sts_cache *c, struct sp_bytes domain);

#define SP_STS_DOUBT_MS (30 * 60 * 1000)

/*
 * The TXT record of a domain without a policy here could not be asked (rc: the error), or could (rc: SP_OK).
 *
 * returns: whether that is a reason to wait: an error that has lasted for less than SP_STS_DOUBT_MS
 */
bool sp_sts_cache_doubt(struct sp_sts_cache *c, struct sp_bytes domain, enum sp_rc rc,
                        int64_t now_ms);

/*
 * Finds a valid policy whose time to be refreshed has come, the longest known first.
 *
 * returns: its domain, lent until the next change, or empty
 */
struct sp_bytes sp_sts_cache_find_old(struct sp_sts_cache *c, int64_t now_ms);

#endif
