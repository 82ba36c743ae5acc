/*
 * A policy: rules compiled from JSON with comments into an immutable structure. A decision is a pure function of policy
 * and facts (the language: docs/policy.md). Deciding allocates nothing, looks nothing up and cannot fail.
 *
 *     sp_facts_init(&f); ... per message ...
 *     for each recipient: sp_facts_set_recipient(&f, address); sp_policy_decide(policy, &f, &decision);
 *
 * thread: any; a policy may be shared by threads and is freed with its last reference
 */
#ifndef SP_POLICY_POLICY_H
#define SP_POLICY_POLICY_H

#include "base/err.h"
#include "base/mem.h"
#include "json/problem.h"
#include "policy/decision.h"
#include "policy/facts.h"

struct sp_policy;

#define SP_POLICY_HASH_LEN 64 /* hexadecimal digits */

/*
 * Where policy files come from: a bundle in a role, the file system in the command line.
 *
 * read:    name is a path relative to the configuration's folder ("policies/lists/x.txt"), never absolute, never with
 *          ".."; *out is lent until sp_policy_load returns
 * next:    walks the names of the files directly in a folder ("policies/layers/"); *at is 0 to begin; *name is the whole
 *          path, lent until the next call; false at the end. NULL: there are no further layers
 * returns: SP_OK, SP_E_NOT_FOUND or SP_E_IO
 */
struct sp_policy_reader {
    enum sp_rc (*read)(void *ctx, const char *name, struct sp_bytes *out);
    void *ctx;
    bool (*next)(void *ctx, const char *dir, size_t *at, struct sp_bytes *name);
};

/*
 * Loads a policy file with all that it extends and names, checks and compiles it.
 *
 * path:     as the reader takes it ("policies/policy.json"); what it names is relative to its folder, and a layer that
 *           is not there is looked for in policies/. Files in layers/ beside it are the layers of tenants, domains
 *           and users, by their scope
 * problems: gets everything that is wrong (and warnings) at once
 * out:      owner: the caller, one reference
 * returns:  SP_OK, or the first problem's code
 */
SP_MUST_CHECK enum sp_rc sp_policy_load(const struct sp_policy_reader *reader, const char *path,
                                        struct sp_problems *problems, struct sp_policy **out);

/*
 * Loads a version that has decided mail, to decide that mail again: as it was meant then. What was taken when it was loaded and is
 * refused today, since it does nothing or is cut for want of room, is a warning; what the registry of preferences has is not
 * asked, since what it said is in the facts.
 *
 * language: of the facts (SP_POLICY_LANGUAGE of then): whose days rules and lists have, and what the hash is made of
 * out:      owner: the caller, one reference
 * returns:  SP_OK, or the first problem's code
 */
SP_MUST_CHECK enum sp_rc sp_policy_load_past(const struct sp_policy_reader *reader,
                                             const char *path, unsigned language,
                                             struct sp_problems *problems, struct sp_policy **out);

/* owner: the caller, one more reference. returns: p */
struct sp_policy *sp_policy_ref(struct sp_policy *p);
void sp_policy_unref(struct sp_policy *p);
/* The same as unref, under the name that SP_AUTO asks for. */
void sp_policy_free(struct sp_policy *p);
SP_AUTO_DEFINE(sp_policy)

/* returns: SHA-256 in hexadecimal over all that can change a decision, NUL-terminated, lent */
const char *sp_policy_hash(const struct sp_policy *p);

/*
 * The same hash but for the members of lists that `sallyport directory` keeps, which change from day to day: two versions with
 * this in common are the same policy for other people. returns: lent
 */
const char *sp_policy_rules_hash(const struct sp_policy *p);

/* returns: whether the text of a list's file says that `sallyport directory` keeps it */
bool sp_policy_list_is_kept(struct sp_bytes text);

/* returns: the canonical text that was hashed (RFC 8785): what is kept as the policy version, lent */
struct sp_bytes sp_policy_canonical(const struct sp_policy *p);

/* returns: whether any rule needs facts of the content stage, so that mail must be scanned before it is decided */
bool sp_policy_asks_content(const struct sp_policy *p);
/* returns: the latest stage that any rule asks about */
enum sp_stage sp_policy_last_stage(const struct sp_policy *p);

/* returns: the DKIM selector of the settings, "" if none */
const char *sp_policy_dkim_selector(const struct sp_policy *p);
/* returns: the timezone of the settings (IANA name), "UTC" if none: for time.hour and time.weekday */
const char *sp_policy_timezone(const struct sp_policy *p);

/*
 * The policy as it is for one sender: with the layers of its tenant, domain and user in it. All other functions that
 * take facts find it by themselves; settings are asked of it.
 *
 * sender:  address, or empty for the null sender
 * returns: lent by p; p itself where no layer is for this sender. cost: O(1), allocates nothing
 */
const struct sp_policy *sp_policy_for(const struct sp_policy *p, struct sp_bytes tenant,
                                      struct sp_bytes sender);

/*
 * Sets the facts that the policy itself knows and that are still pending or absent: time.hour, time.weekday (from now_ms,
 * in the sender's time zone), recipient.preference and recipient.preference_by (from the registry and what the recipient has
 * chosen in the portal, while they hold). Call it for each recipient,
 * before deciding, so that what is recorded is what was decided from.
 */
void sp_policy_fill(const struct sp_policy *p, struct sp_facts *facts);
/* returns: whether there is a registry of what recipients prefer */
bool sp_policy_has_registry(const struct sp_policy *p);
/* returns: the floor, expiry (otherwise_ms if they name none) and portal options of the settings: for mail of our own */
enum sp_floor sp_policy_floor(const struct sp_policy *p);
int64_t sp_policy_expire_ms(const struct sp_policy *p, int64_t otherwise_ms);
/* returns: the floor of TLS reports (RFC 8460): mail of ours about numbers of sessions, of no tenant's */
enum sp_floor sp_policy_report_floor(const struct sp_policy *p);
const struct sp_portal_options *sp_policy_portal(const struct sp_policy *p);

/* Whose a layer is. */
struct sp_policy_whose {
    const char *file;
    struct sp_bytes tenant; /* empty: any */
    struct sp_bytes domain; /* of the layer, or of its user's address; empty: any */
};
/* returns: whether there is another layer with a scope; *out is set only then, lent. at: 0 to begin */
SP_MUST_CHECK bool sp_policy_whose_next(const struct sp_policy *p, size_t *at,
                                        struct sp_policy_whose *out);

/* A value that a condition asks for and that the gateway's settings may leave no mail to have. */
struct sp_policy_asked {
    const char *file;
    uint32_t line; /* of the rule */
    const char *rule;
    enum sp_fact fact;    /* tenant, recipient.count or message.size */
    struct sp_bytes text; /* the tenant */
    int64_t least;        /* of the others: below it the test does not hold */
};
/* Tells of each such value, of all layers; what is told is lent for the call. */
void sp_policy_each_asked(const struct sp_policy *p,
                          void (*found)(void *arg, const struct sp_policy_asked *asked), void *arg);

/*
 * Whether a rule for a tenant's senders asks for a special class of the tenant's own (phi.special).
 *
 * tenant:  empty: any
 * returns: false where what is found of that class changes no decision but by phi.class
 */
bool sp_policy_asks_special(const struct sp_policy *p, struct sp_bytes tenant,
                            struct sp_bytes name);

/* returns: the next group that a rule's hold waits for, lent, perhaps one again; NULL at the end. at: 0 to begin */
const char *sp_policy_hold_group_next(const struct sp_policy *p, size_t *at);
/* returns: the next key of delivery.routes that a rule names, lent; NULL at the end. at: 0 to begin */
const char *sp_policy_route_next(const struct sp_policy *p, size_t *at);

/*
 * Decides for one recipient from complete facts (facts that are still pending count as unknown).
 *
 * returns: nothing; *out is wholly set, its pointers lent by p
 */
void sp_policy_decide(const struct sp_policy *p, const struct sp_facts *facts,
                      struct sp_decision *out);

/*
 * Decides at RCPT, from envelope facts, with later ones pending.
 *
 * returns: whether the decision is certain whatever the message will hold; *out is set only then. A certain reject is
 *          to be answered at once.
 */
bool sp_policy_decide_envelope(const struct sp_policy *p, const struct sp_facts *facts,
                               struct sp_decision *out);

#endif
