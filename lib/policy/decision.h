/*
 * What the policy decided for one recipient, and why. Plain data of fixed size; all pointers are lent by the policy and
 * live as long as a reference to it. thread: any
 */
#ifndef SP_POLICY_DECISION_H
#define SP_POLICY_DECISION_H

#include "policy/facts.h"
#include "policy/ladder.h"

enum sp_do {
    SP_DO_PROTECT = 0,
    SP_DO_REJECT = 1,
    SP_DO_HOLD = 2,
    SP_DO_DISCARD = 3,
};

enum sp_hold_for {
    SP_HOLD_APPROVAL = 0,
    SP_HOLD_QUARANTINE = 1,
    SP_HOLD_DELAY = 2,
};

#define SP_DECISION_NAMES_MAX 32

/* A list of names, in the order in which the rules spoke. */
struct sp_names {
    const char *names[SP_DECISION_NAMES_MAX];
    size_t count;
};

struct sp_hold {
    enum sp_hold_for kind;
    const char *by;         /* group, "" if none */
    int64_t within_ms;      /* 0: until somebody decides */
    bool otherwise_protect; /* after within_ms: protect by the decision's ladder, else return */
};

struct sp_header_edit {
    const char *name;
    const char *value; /* NULL: strip */
};

/* A message with any of these is no longer byte-exact. */
struct sp_edits {
    const struct sp_header_edit *headers[SP_DECISION_NAMES_MAX]; /* add and strip */
    size_t header_count;
    bool strip_subject_tag;
    const char *protect_subject; /* outer subject of a sealed copy, NULL: as it is */
    struct sp_bytes footer;      /* below the text of the message, empty: none */
    struct sp_bytes notice;      /* above it, empty: none */
};

#define SP_LOGIN_CODE     1U
#define SP_LOGIN_PASSWORD 2U
#define SP_LOGIN_PASSKEY  4U
#define SP_LOGIN_TOTP     8U

struct sp_portal_options {
    int64_t expires_ms;
    unsigned login; /* SP_LOGIN_* */
    bool reply;
    bool forward;
    int64_t remind_ms[4]; /* 0: no more */
    int64_t unread_after_ms;
    enum sp_floor notify_floor; /* of the notice itself */
    const char *notify_from;    /* display name, "" for the tenant's */
};

#define SP_NOTIFY_PORTAL 1U /* tell the sender that the copy went to the portal */
#define SP_NOTIFY_LATE   2U
#define SP_NOTIFY_UNREAD 4U

struct sp_decision {
    enum sp_do verb;
    const char *rule;    /* the rule's name, "default", or "scope" if no layer is for this sender */
    enum sp_stage stage; /* of the rule */
    bool whole_message;  /* a reject or hold is everybody's */

    enum sp_floor floor; /* the effective one: never below settings, raises and the ladder's own */
    const struct sp_ladder
        *ladder;    /* of protect, and of a hold once released; NULL for reject and discard */
    bool is_sealed; /* arrived as real ciphertext: meets `sealed` on any TLS rung */
    bool is_closed; /* arrived signed, sealed or unexamined: its body is not edited */

    struct sp_bytes text;      /* reject: what the client reads; discard: the reason */
    const char *text_name;     /* reject: the text's name, "" otherwise */
    struct sp_hold hold;       /* hold */
    struct sp_names raised_by; /* rules that raised the floor */
    struct sp_names continued; /* all rules that matched and let go on */
    struct sp_names tags;
    const char *lowers; /* why the floor lies below the settings', NULL if it does not */

    struct sp_edits edits;
    unsigned language;           /* SP_POLICY_LANGUAGE of the facts */
    struct sp_bytes page_notice; /* that notice; empty where the message itself takes it */
    const char *smime_cipher;    /* "aes-256-gcm" or "aes-256-cbc", "" as the certificates say */
    const char *lane;            /* "urgent", "bulk", or "" for the ordinary one */
    const char *route;      /* key of delivery.routes that takes the domain's place, "" for none */
    const char *redirect;   /* who gets the copy in the recipient's place, "" for nobody */
    struct sp_names copies; /* who gets a copy besides */
    int64_t expire_ms;
    bool has_expire; /* a rule or the settings name it; else delivery.expire is the time */
    unsigned notify; /* SP_NOTIFY_* to the sender */
    struct sp_portal_options portal;
};

/* returns: "protect", "reject", "hold", "discard", static */
const char *sp_do_name(enum sp_do verb);
/* returns: "approval", "quarantine", "delay", static */
const char *sp_hold_for_name(enum sp_hold_for kind);
/* returns: whether any edit is asked for, so that the copy must be signed anew */
bool sp_edits_any(const struct sp_edits *e);

#endif
