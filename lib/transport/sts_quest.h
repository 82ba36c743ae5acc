/*
 * One look at a domain's MTA-STS: TXT record, policy, and the ledger told of it before it counts.
 */
#ifndef SP_TRANSPORT_STS_QUEST_H
#define SP_TRANSPORT_STS_QUEST_H

#include "dns/dns.h"
#include "transport/sts.h"

struct sp_jobs;
struct sp_jw;
struct sp_log;
struct sp_loop;
struct sp_sts_quest;

struct sp_sts_quest_plan {
    struct sp_loop *loop;
    struct sp_log *log;
    const struct sp_dns_ops *dns;
    struct sp_jobs *jobs; /* to fetcher and ledger; NULL: only remembered policies count */
    struct sp_sts_cache *cache;
    struct sp_bytes domain;
    /* how long mail waits for the policy of a new id, while an old one is valid; 0: 10000 */
    int64_t moment_ms;
    bool
        refresh; /* nobody waits: what is old is fetched. Else a valid policy is used as it is, and refreshed later */
};

struct sp_sts_found {
    enum sp_rc
        why; /* SP_OK, or why there is no fresh policy: a DNS error, SP_E_STS_NONE, what the fetch met */
    bool doubt;         /* there is no policy, and nobody could say whether there should be one */
    enum sp_rc txt;     /* of the record: SP_OK, SP_E_STS_NONE, a DNS error */
    struct sp_bytes id; /* of the record; lent as long as the quest */
    bool fetched;       /* a policy was fetched now */
    int64_t good_until_ms; /* monotonic: of the record */
};

/* found: lent for the call */
typedef void (*sp_sts_quest_fn)(void *arg, const struct sp_sts_found *found);

/* plan: copied. owner: the caller, to free in the call back at the latest; fn is called once, on a later turn */
struct sp_sts_quest *sp_sts_quest_new(const struct sp_sts_quest_plan *plan, sp_sts_quest_fn fn,
                                      void *arg);
/* Somebody better waits for it, too: what is asked is asked by these slots. */
void sp_sts_quest_hurry(struct sp_sts_quest *q, const struct sp_dns_ops *dns);
/* No call back after this. NULL is allowed. */
void sp_sts_quest_free(struct sp_sts_quest *q);

/* Writes the member "sts" of an evidence.recorded or evidence.renewed: whose policy it is and how long it binds. thread: any */
void sp_sts_put_evidence(struct sp_jw *w, struct sp_bytes domain, struct sp_bytes id,
                         const struct sp_sts_policy *p, int64_t fetched_at_ms);

#endif
