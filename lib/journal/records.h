/*
 * The typed records of the journal: what is sealed as a record's metadata. Numbers here lie on disks for years: add at
 * the end, never renumber. Every decode checks all it reads (fuzz_journal_records) and gives views into the encoded
 * bytes and arrays in the arena.
 *
 * `audit` holds audit events as JSON objects {"event": …} without v, node, seq, prev and time: the ledger adds those.
 */
#ifndef SP_JOURNAL_RECORDS_H
#define SP_JOURNAL_RECORDS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/reader.h"

enum sp_record_type {
    SP_RECORD_ACCEPT = 1, /* struct sp_accept */
    SP_RECORD_OUTCOME,    /* struct sp_outcome */
    SP_RECORD_HOLD,       /* struct sp_act: recipients are kept from delivery */
    SP_RECORD_RELEASE,    /* struct sp_act: held ones may go */
    SP_RECORD_RETRY,      /* struct sp_act: due at once */
    SP_RECORD_DELETE,     /* struct sp_act: recipients leave the queue undelivered */
    SP_RECORD_ACT,        /* struct sp_act: an audited step that changes no message */
    SP_RECORD_CARRY, /* struct sp_carry: a living message moved on from an old segment, or changed */
    SP_RECORD_DESTROYED, /* struct sp_act: a segment's content key is gone */
    SP_RECORD_TYPE_COUNT,
};

#define SP_RECORD_META_MAX       (1024 * 1024)
#define SP_RECORD_RECIPIENTS_MAX 10000
#define SP_RECORD_RUNGS_MAX      16
#define SP_RECORD_TEXT_MAX       (256 * 1024)
#define SP_RECORD_AUDIT_MAX      16384 /* events of one record */

/* Audit events of one record: JSON texts. */
struct sp_audit_list {
    struct sp_bytes *events;
    size_t count;
};

enum sp_accept_kind {
    SP_ACCEPT_KIND_MAIL,   /* a tenant's */
    SP_ACCEPT_KIND_NOTICE, /* ours: a portal notice */
    SP_ACCEPT_KIND_DSN,    /* ours: RFC 3464 */
    SP_ACCEPT_KIND_CODE,   /* ours: a mailbox code of the portal */
    SP_ACCEPT_KIND_REPORT, /* ours: TLSRPT and the like */
    SP_ACCEPT_KIND_COUNT,
};

enum sp_accept_do {
    SP_ACCEPT_DO_PROTECT,
    SP_ACCEPT_DO_HOLD,
    SP_ACCEPT_DO_REJECT,
    SP_ACCEPT_DO_DISCARD,
    SP_ACCEPT_DO_COUNT
};

enum {
    SP_ACCEPT_NOTIFY_NEVER = 1,
    SP_ACCEPT_NOTIFY_SUCCESS = 2,
    SP_ACCEPT_NOTIFY_FAILURE = 4,
    SP_ACCEPT_NOTIFY_DELAY = 8
};
enum sp_accept_ret {
    SP_ACCEPT_RET_NONE,
    SP_ACCEPT_RET_FULL,
    SP_ACCEPT_RET_HDRS,
    SP_ACCEPT_RET_COUNT
};

/* What the bytes ask of a next hop, and what the sender asked for. */
enum {
    SP_NEEDS_8BIT = 1,     /* body has bytes above 127 (8BITMIME) */
    SP_NEEDS_SMTPUTF8 = 2, /* RFC 6531 */
    SP_NEEDS_LONG = 4,     /* a line is longer than 998 bytes */
    SP_ASKED_8BITMIME = 8, /* BODY=8BITMIME was given */
    SP_ASKED_REQUIRETLS = 16,
    SP_ASKED_TLS_NO = 32, /* TLS-Required: No (RFC 8689) */
    /* The envelope sender is not the tenant's own: no report goes there. Of kind DSN: a bounce that a stranger wrote and that
     * goes on as it came, never signed by us. */
    SP_SENDER_FOREIGN = 64,
    SP_NEEDS_LONG_WORD =
        128, /* a line of the header is longer than 998 bytes however it is folded */
};

/* One step of a ladder. rung: enum sp_rung of policy/ladder.h */
struct sp_accept_rung {
    uint8_t rung;
    int64_t unreachable_ms; /* how long to stay on it, from acceptance; < 0: until expiry */
    int64_t dropped_ms;
};

/* What policy decided for one or more recipients. */
struct sp_accept_decision {
    uint8_t does;   /* enum sp_accept_do */
    uint8_t floor;  /* enum sp_floor of policy/ladder.h */
    uint8_t at_end; /* 0: return to the sender, 1: hold */
    struct sp_bytes rule;
    struct sp_accept_rung *rungs;
    size_t rung_count;
    int64_t expire_at_ms;
    int64_t hold_until_ms;   /* SP_ACCEPT_DO_HOLD: when `otherwise` is due; 0: never */
    struct sp_bytes text;    /* reject or hold text, if any */
    struct sp_bytes options; /* JSON text of policy/options.h; empty for the ordinary ones */
};

struct sp_accept_recipient {
    struct sp_bytes address; /* as it goes into RCPT TO, without <> */
    struct sp_bytes orcpt;   /* RFC 3461 4.2 as received ("rfc822;…"); empty if none */
    uint8_t notify;          /* SP_ACCEPT_NOTIFY_*; 0: none given */
    uint16_t decision;       /* index in decisions */
};

/*
 * A message taken responsibility for. body_len and sha256 speak of the plaintext as received, without the trace
 * fields that we prepend at delivery.
 */
struct sp_accept {
    struct sp_id id;
    struct sp_id parent; /* a notice's or DSN's cause; zero if none */
    int64_t time_ms;
    int64_t skew_ms; /* sp_clock_skew_ms then; of this run, not in the record */
    uint8_t kind;    /* enum sp_accept_kind */
    uint8_t ret;     /* enum sp_accept_ret */
    uint32_t needs;  /* SP_NEEDS_*, SP_ASKED_* */
    struct sp_bytes tenant;
    struct sp_bytes sender; /* without <>; empty for the null sender */
    struct sp_bytes envid;
    struct sp_bytes message_id;         /* of the header, with <>; empty if none */
    struct sp_bytes network_message_id; /* Microsoft 365's */
    struct sp_bytes policy;             /* hash of the policy version, 64 hex digits */
    struct sp_bytes phi;                /* value of phi.class, "" if not scanned */
    struct sp_bytes trace;              /* fields to send before the body, each with CRLF */
    struct sp_bytes facts;              /* JSON: what the decision can be replayed from */
    uint64_t body_len;
    uint8_t sha256[32];
    bool
        body_in_file; /* in the body folder under the message id, else in the record; set by queue */
    struct sp_accept_decision *decisions;
    size_t decision_count;
    struct sp_accept_recipient *recipients;
    size_t recipient_count;
    struct sp_audit_list audit;
    const struct sp_accept *
        child; /* a DSN for refused recipients, in the same record; or NULL. A child has no child */
};

/* Where a recipient stands. All from SP_RCPT_DELIVERED on are final. */
enum sp_rcpt_state {
    SP_RCPT_PENDING,   /* due at next_at_ms, nothing tried yet */
    SP_RCPT_DEFERRED,  /* tried, due again at next_at_ms */
    SP_RCPT_HELD,      /* waits for a person, or for next_at_ms if that is not 0 */
    SP_RCPT_DELIVERED, /* the next hop took it */
    SP_RCPT_DEPOSITED, /* in the portal, and the notice is a message of its own */
    SP_RCPT_FAILED,    /* given up, nobody is told (NOTIFY=NEVER, null sender) */
    SP_RCPT_RETURNED,  /* given up, the DSN is the outcome's child */
    SP_RCPT_DISCARDED, /* by a rule */
    SP_RCPT_DELETED,   /* by an administrator */
    SP_RCPT_STATE_COUNT,
};

/* returns: whether nothing more is to be done for such a recipient */
bool sp_rcpt_state_is_final(uint8_t state);
/* returns: "pending", "deferred", "held" …; for lists and audit; static */
const char *sp_rcpt_state_name(uint8_t state);
/* returns: "mail", "notice", "dsn", "code", "report"; static */
const char *sp_accept_kind_name(uint8_t kind);

/* Of the 16 bits of a reply code on disk: the code, whether the sender has heard that it takes long, and whether somebody
 * other than the policy holds it. */
#define SP_RECORD_SMTP    0x3fffU
#define SP_RECORD_BY_HAND 0x4000U
#define SP_RECORD_TOLD    0x8000U

/* What an attempt or act made of one recipient. */
struct sp_result {
    uint16_t n;    /* index in the accept's recipients */
    uint8_t state; /* enum sp_rcpt_state */
    uint8_t rung;  /* taken or tried last: enum sp_rung; 255: none */
    uint16_t smtp; /* reply code of the peer, 0 if none */
    uint16_t why;  /* enum sp_rc */
    int64_t next_at_ms;
    bool told; /* the sender has heard that it takes long: the outcome's child says so */
};

struct sp_outcome {
    struct sp_id id; /* of the message */
    int64_t time_ms;
    uint32_t
        attempt; /* counts from 1 for each group; the queue keeps the highest a recipient had */
    struct sp_result *results;
    size_t result_count;
    struct sp_audit_list audit;
    const struct sp_accept
        *child; /* DSN or notice that this outcome causes; its body is the record's */
};

/* HOLD, RELEASE, RETRY, DELETE, ACT, DESTROYED. */
struct sp_act {
    struct sp_id id; /* of the message, zero if about none */
    int64_t time_ms;
    int64_t next_at_ms; /* HOLD: held until then, 0: until released; RELEASE, RETRY: due then */
    /* recipients; count 0: all that are not final. Of damage without an id: the low bits of the segments meant */
    uint16_t *ns;
    size_t n_count;
    struct sp_bytes reason;
    struct sp_audit_list audit;
};

/* A recipient's state as the queue holds it. */
struct sp_rcpt {
    uint8_t state; /* enum sp_rcpt_state */
    uint8_t rung;
    uint16_t smtp : 14;
    uint16_t told : 1;    /* the sender has heard once that it takes long */
    uint16_t by_hand : 1; /* held, and not by the policy alone: whom that names can't release it */
    uint16_t why;
    uint16_t attempts;
    int64_t next_at_ms;
};

struct sp_carry {
    struct sp_accept
        accept; /* no child; audit: of what was changed with this record, not what was told before */
    struct sp_rcpt *states; /* accept.recipient_count of them */
};

/*
 * Appends the encoded record to out.
 *
 * returns: SP_E_LIMIT if it is larger than out may be, or a count is over its limit
 */
SP_MUST_CHECK enum sp_rc sp_accept_encode(const struct sp_accept *a, struct sp_buf *out);
SP_MUST_CHECK enum sp_rc sp_outcome_encode(const struct sp_outcome *o, struct sp_buf *out);
SP_MUST_CHECK enum sp_rc sp_act_encode(const struct sp_act *a, struct sp_buf *out);
SP_MUST_CHECK enum sp_rc sp_carry_encode(const struct sp_carry *c, struct sp_buf *out);

/*
 * Reads an encoded record.
 *
 * out:     views into in, arrays in arena
 * returns: SP_OK or SP_E_MALFORMED
 */
SP_MUST_CHECK enum sp_rc sp_accept_decode(struct sp_bytes in, struct sp_arena *arena,
                                          struct sp_accept *out);
SP_MUST_CHECK enum sp_rc sp_outcome_decode(struct sp_bytes in, struct sp_arena *arena,
                                           struct sp_outcome *out);
SP_MUST_CHECK enum sp_rc sp_act_decode(struct sp_bytes in, struct sp_arena *arena,
                                       struct sp_act *out);
SP_MUST_CHECK enum sp_rc sp_carry_decode(struct sp_bytes in, struct sp_arena *arena,
                                         struct sp_carry *out);

/* The audit events of any record type, for the ledger. returns: SP_E_MALFORMED */
SP_MUST_CHECK enum sp_rc sp_record_audit(uint8_t type, struct sp_bytes in, struct sp_arena *arena,
                                         int64_t *time_ms, struct sp_audit_list *out);

#endif
