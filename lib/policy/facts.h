/*
 * What is known of one recipient's copy of one message when the policy decides. Every fact is absent (known not to be
 * there), known, unknown (could not be found out: conditions on it are three-valued), or pending (belongs to a later
 * stage). All bytes are lent: they must live until the decision is made. Plain data, no allocation, copy freely.
 * thread: any
 */
#ifndef SP_POLICY_FACTS_H
#define SP_POLICY_FACTS_H

#include "base/arena.h"
#include "base/bytes.h"
#include "mail/header.h"
#include "policy/ladder.h"

/* The table in facts.c says for each: name in rules, kind, stage. */
enum sp_fact {
    /* envelope */
    SP_FACT_TENANT,
    SP_FACT_SENDER_ADDRESS,
    SP_FACT_SENDER_DOMAIN,
    SP_FACT_SENDER_GROUP, /* worked out by the policy from its groups */
    SP_FACT_RECIPIENT_ADDRESS,
    SP_FACT_RECIPIENT_DOMAIN,
    SP_FACT_RECIPIENT_COUNT,
    SP_FACT_RECIPIENT_PREFERENCE,
    SP_FACT_RECIPIENT_PREFERENCE_BY,
    SP_FACT_RECIPIENT_FIRST_CONTACT,
    SP_FACT_DOMAIN_REMEMBERED,
    SP_FACT_TIME_HOUR,
    SP_FACT_TIME_WEEKDAY,
    /* header */
    SP_FACT_FROM_ADDRESS,
    SP_FACT_HEADER, /* header.NAME */
    SP_FACT_SUBJECT,
    SP_FACT_SUBJECT_TAG,
    SP_FACT_LABEL,
    SP_FACT_MESSAGE_KIND,
    SP_FACT_MESSAGE_SIZE,
    /* content */
    SP_FACT_MESSAGE_SEALED,
    SP_FACT_ATTACHMENT_TYPE,
    SP_FACT_ATTACHMENT_NAME,
    SP_FACT_ATTACHMENT_OPAQUE,
    SP_FACT_PHI_CLASS,
    SP_FACT_PHI_SCORE,
    SP_FACT_PHI_SPECIAL,
    SP_FACT_PHI_COUNT,    /* phi.count.TYPE */
    SP_FACT_PHI_DISTINCT, /* phi.distinct.TYPE */
    SP_FACT_SCAN,
    SP_FACT_COUNT
};

enum sp_stage {
    SP_STAGE_ENVELOPE,
    SP_STAGE_HEADER,
    SP_STAGE_CONTENT,
};

enum sp_fact_state {
    SP_FACT_ABSENT,
    SP_FACT_KNOWN,
    SP_FACT_UNKNOWN,
    SP_FACT_PENDING,
    SP_FACT_LEAST, /* known in part: what is there was found, and there may be more */
};

/*
 * The meaning of facts and rules. A record of facts names the one that it was decided by, so that what was decided then can be
 * shown again. 1: a scan that was cut makes phi.* unknown. 2: what it found is the least that there is,
 * and behind a hold that is taken in doubt the rules that would decide without it are heard, and a
 * notice that a signed message can't take stands on the portal's page; and the
 * group that a hold is for may release it. 3: days are those of the policy's time zone and no longer of UTC, and the rules of the zones
 * of layers are in the version; and a field that several rules take out is taken out once.
 */
#define SP_POLICY_LANGUAGE 3

/*
 * Values of facts with a closed list; the numbers are their order and stand in records. message.kind takes
 * enum sp_mail_kind.
 */
enum sp_phi_class {
    SP_PHI_NONE,
    SP_PHI_IDENTIFIER,
    SP_PHI_PHI,
    SP_PHI_SEVERE,
};
enum sp_scan {
    SP_SCAN_COMPLETE,
    SP_SCAN_PARTIAL,
    SP_SCAN_CRASHED, /* named "failed" in rules */
};
enum sp_sealed {
    SP_SEALED_NONE,
    SP_SEALED_SMIME,
    SP_SEALED_PGP,
    SP_SEALED_SIGNED,
};
enum sp_preference {
    SP_PREFERENCE_PLAIN,
    SP_PREFERENCE_TLS,
    SP_PREFERENCE_SEALED,
    SP_PREFERENCE_PORTAL,
    SP_PREFERENCE_NO_MAIL,
};
enum sp_preference_by {
    SP_PREFERENCE_BY_REGISTRY,  /* somebody of the house has put it down */
    SP_PREFERENCE_BY_RECIPIENT, /* the recipient, in the portal */
};
#define SP_REMEMBERED_NEVER_SEEN (-1) /* else an enum sp_floor */

struct sp_fact_value {
    enum sp_fact_state state;
    struct sp_bytes text;         /* text facts */
    int64_t number;               /* numbers, truths (0, 1) and closed lists */
    const struct sp_bytes *texts; /* set facts: count members, lent */
    size_t count;
};

struct sp_fact_header {
    struct sp_bytes name;
    struct sp_bytes value; /* unfolded */
};

struct sp_fact_type {
    struct sp_bytes name; /* "MRN" */
    int64_t count;
    int64_t distinct;
};

/* What a recipient has chosen in the portal: tls, sealed or portal. Nobody lowers anything there. */
struct sp_fact_wish {
    int64_t preference; /* enum sp_preference */
    int64_t given_ms;   /* wall clock */
    int64_t until_ms;   /* wall clock: from then on it is as good as absent */
};

struct sp_facts {
    unsigned language; /* SP_POLICY_LANGUAGE, or the one of a record */
    int64_t
        now_ms; /* wall clock, for dates of rules and list entries; 0: dates are not looked at */
    struct sp_fact_value values[SP_FACT_COUNT];
    const struct sp_fact_header *headers; /* for header.NAME; lent */
    size_t header_count;
    const struct sp_fact_type
        *types; /* for phi.count.* and phi.distinct.*; lent; a type not listed counts 0 */
    size_t type_count;
    bool has_wish; /* of the recipient: sp_policy_fill makes the facts of it */
    struct sp_fact_wish wish;
};

/* returns: the name in rules ("recipient.domain"; "header.", "phi.count." and "phi.distinct." for the open ones), static */
const char *sp_fact_name(enum sp_fact fact);
/* returns: the stage at which it is there */
enum sp_stage sp_fact_stage(enum sp_fact fact);
/* returns: "envelope", "header", "content", static */
const char *sp_stage_name(enum sp_stage stage);

/* returns: whether the fact takes one text, a set of texts, or a name of a closed list (else numbers and truths) */
bool sp_fact_is_text(enum sp_fact fact);
bool sp_fact_is_set(enum sp_fact fact);
bool sp_fact_is_closed(enum sp_fact fact);

#define SP_FACT_SPECIAL_MAX 32 /* letters of the name of a special class */

/* returns: the types that phi.count.TYPE and phi.distinct.TYPE may ask for, NULL-terminated, static */
const char *const *sp_fact_types(void);
/* returns: the special classes that the detector knows, NULL-terminated, static; organisations have more */
const char *const *sp_fact_specials(void);
/* near: gets the name that was perhaps meant, or NULL. returns: whether the name is one of them, in letters of any case */
SP_MUST_CHECK bool sp_fact_is_type(struct sp_bytes name, const char **near);
SP_MUST_CHECK bool sp_fact_is_special(struct sp_bytes name, const char **near);

/* Everything pending: nothing has been looked at yet. */
void sp_facts_init(struct sp_facts *f);

/* Sets one fact. The fact's kind must fit: text, number (also truths and closed lists) or set. */
void sp_facts_set_text(struct sp_facts *f, enum sp_fact fact, struct sp_bytes text);
void sp_facts_set_number(struct sp_facts *f, enum sp_fact fact, int64_t number);
void sp_facts_set_texts(struct sp_facts *f, enum sp_fact fact, const struct sp_bytes *texts,
                        size_t count);
/* Sets phi.count.* and phi.distinct.*: types that are not listed count 0. types: lent */
void sp_facts_set_types(struct sp_facts *f, const struct sp_fact_type *types, size_t count);
void sp_facts_set_absent(struct sp_facts *f, enum sp_fact fact);
/* Sets what this recipient has chosen in the portal, for sp_policy_fill. wish: copied; NULL: nothing */
void sp_facts_set_wish(struct sp_facts *f, const struct sp_fact_wish *wish);
void sp_facts_set_unknown(struct sp_facts *f, enum sp_fact fact);

/*
 * Makes all facts of a stage that are still pending absent: call it when the stage has come and what is known of it has
 * been set. Content that nobody has scanned counts as a failed scan.
 */
void sp_facts_close_stage(struct sp_facts *f, enum sp_stage stage);

/* Sets sender.address and sender.domain; the empty address (null sender) makes both absent. */
void sp_facts_set_sender(struct sp_facts *f, struct sp_bytes address);
/*
 * Sets recipient.address and recipient.domain, and makes absent what belonged to another recipient (preference, first
 * contact, posture memory): set those behind it.
 */
void sp_facts_set_recipient(struct sp_facts *f, struct sp_bytes address);
/*
 * Sets header.*, and from header fields subject, subject.tag and from.address, as they stand in an array of decoded
 * values. Only what is a text in these is set: message.kind is for the caller.
 *
 * fields:  lent until the decision is made
 */
void sp_facts_set_headers(struct sp_facts *f, const struct sp_fact_header *fields, size_t count);

/*
 * Sets the facts of the header stage from a message's header: header.*, subject, subject.tag, from.address (unknown if
 * there is not exactly one), message.kind; values are unfolded and decoded (RFC 2047) into the arena.
 *
 * h:     lent for the call
 * arena: must live until the decision is made
 */
void sp_facts_read_header(struct sp_facts *f, const struct sp_header *h, struct sp_arena *arena);

/*
 * Sets scan; partial and failed make phi.class severe (what is cut may hide anything). What was set of the other phi.* before is
 * the least that there is if the scan is partial, else it is unknown; so call it last.
 */
void sp_facts_set_scan(struct sp_facts *f, enum sp_scan scan);

/* returns: whether a recipient may choose this for itself: enum sp_preference without plain and no-mail */
bool sp_fact_is_wish(int64_t preference);

/* returns: the name of a value of a closed list ("severe"), static; NULL if the fact has none or it is out of range */
const char *sp_fact_value_name(enum sp_fact fact, int64_t number);
/* returns: whether the name stands in the fact's closed list; *out is set only then */
SP_MUST_CHECK bool sp_fact_value_parse(enum sp_fact fact, struct sp_bytes name, int64_t *out);

#endif
