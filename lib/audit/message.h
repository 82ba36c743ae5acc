/*
 * What the ledger remembers of a message: who was to get it, under which rule and floor, where each recipient stands and
 * which lines tell it. When nobody is left to be worked on, it says message.settled. Pure bookkeeping: no files, no
 * clock. thread: any (one at a time)
 */
#ifndef SP_AUDIT_MESSAGE_H
#define SP_AUDIT_MESSAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "journal/records.h"
#include "policy/ladder.h"

#define SP_AUDIT_MESSAGE_BYTES_MAX ((size_t)16 << 20)
#define SP_AUDIT_NO_RUNG           255

/* A line about the message. */
struct sp_audit_place {
    uint64_t seq;
    uint64_t offset; /* in the audit file */
    uint32_t len;    /* without its line end */
};

struct sp_audit_rcpt {
    uint8_t state; /* enum sp_rcpt_state */
    uint8_t rung;  /* enum sp_rung taken last, or SP_AUDIT_NO_RUNG */
    uint8_t floor; /* enum sp_floor */
    bool refused;  /* by policy, at acceptance, and no DSN was made */
    bool awaits_notice;
    bool notified;
    uint32_t rule; /* index in rules */
    uint32_t attempts;
    uint64_t seq;        /* of the line that shows where it stands */
    struct sp_id notice; /* message that tells of the deposit; zero if none */
    uint64_t contact;    /* of tenant and recipient (policy/contacts.h); 0: not kept */
};

struct sp_audit_message {
    struct sp_arena *arena; /* all below lives here */
    struct sp_id id;
    struct sp_id parent; /* a notice's or DSN's cause; zero if none */
    uint8_t kind;        /* enum sp_accept_kind */
    bool sealed;         /* it came as S/MIME or PGP ciphertext */
    bool duplicates_possible;
    bool known; /* its acceptance was seen; else only lines that name it */
    uint64_t accepted_seq;
    uint64_t settled_seq; /* 0: not yet */
    struct sp_bytes tenant;
    struct sp_bytes policy;
    struct sp_bytes message_id;
    struct sp_bytes network_message_id;
    struct sp_bytes phi;
    struct sp_bytes package; /* of the portal: the one laid down last, or that a notice tells of */
    struct sp_bytes *rules;
    uint32_t rule_count;
    struct sp_audit_rcpt *rcpts;
    uint32_t rcpt_count;
    struct sp_audit_place *places; /* lines, rising */
    uint32_t place_count;
    uint32_t place_cap;
};

/* owner: the caller, until sp_audit_message_free. returns: one of which only the id is known */
struct sp_audit_message *sp_audit_message_new(const struct sp_id *id);
void sp_audit_message_free(struct sp_audit_message *m);
SP_AUTO_DEFINE(sp_audit_message)

/* Fills it from the record of acceptance; accepted_seq is the line's, 0 if there was none. */
void sp_audit_message_accept(struct sp_audit_message *m, const struct sp_accept *accept,
                             uint64_t accepted_seq);

/* Rules and floors of those who are not done yet are as in this record from now on. */
void sp_audit_message_change(struct sp_audit_message *m, const struct sp_accept *accept);

/* Adds a line to those that tell of it. */
void sp_audit_message_add_place(struct sp_audit_message *m, const struct sp_audit_place *place);

/* What became of one recipient; n that is not there and what comes after a final state are ignored. */
void sp_audit_message_result(struct sp_audit_message *m, const struct sp_result *result,
                             uint32_t attempt, uint64_t seq);

/* The deposit of recipient n is told by that message, and counts once that one is delivered or given up. */
void sp_audit_message_await(struct sp_audit_message *m, uint16_t n, const struct sp_id *notice);

/*
 * A notice has ended.
 *
 * n:       out: the recipient
 * returns: false if no recipient waits for that notice
 */
bool sp_audit_message_notified(struct sp_audit_message *m, const struct sp_id *notice,
                               bool delivered, uint16_t *n);

/* returns: whether nobody is left to be worked on, and message.settled is still to be said */
bool sp_audit_message_is_due(const struct sp_audit_message *m);

/* returns: "delivered", "deposited-and-notified", "returned" ...; static */
const char *sp_audit_rcpt_final(const struct sp_audit_rcpt *r);

/* Appends the event message.settled. */
void sp_audit_message_settled(const struct sp_audit_message *m, struct sp_buf *out);

/* Appends its stored form. */
void sp_audit_message_encode(const struct sp_audit_message *m, struct sp_buf *out);

/* owner: the caller. returns: SP_OK, or SP_E_MALFORMED if the bytes are no stored message */
SP_MUST_CHECK enum sp_rc sp_audit_message_decode(struct sp_bytes data,
                                                 struct sp_audit_message **out);

#endif
