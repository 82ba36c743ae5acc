/*
 * What comes next: which look-up, which rung, another host, waiting, returning or holding. All of it is decided here,
 * from facts, and nowhere else in delivery. Pure: no clock, no look-up, no memory. The floor is guarded twice: by
 * protect's choice, and by an assertion before a rung is taken. thread: any
 */
#ifndef SP_DELIVERY_OUTCOME_H
#define SP_DELIVERY_OUTCOME_H

#include "protect/protect.h"
#include "queue/queue.h"
#include "smtp/client.h"
#include "transport/route.h"

/* What is known of one rung at this attempt. */
struct sp_rung_fact {
    bool known;
    enum sp_rung_status status;
    enum sp_rc why;         /* why it is not possible */
    size_t hop;             /* SMTP rungs: the host that makes it possible */
    bool weak;              /* silence, about a level that the domain has never proved */
    bool dropped;           /* a host has dropped it, whatever others are */
    enum sp_rc dropped_why; /* what that one showed */
    bool anew;              /* possible once its host is asked again, without TLS */
    bool bare;              /* SP_RUNG_PLAIN: and the host showed no TLS */
    bool lasts; /* what was tried came to nothing: no host changes that in this attempt */
};

/* Where an attempt stands. Set the first part, zero the rest, then sp_outcome_begin. */
struct sp_standing {
    const struct sp_ladder *ladder;
    enum sp_floor floor;
    bool is_sealed; /* arrived as ciphertext */
    bool has_portal;
    bool requires_tls; /* REQUIRETLS (RFC 8689): only to authenticated hosts that offer it */
    bool sealed_only;  /* lines that no host is asked to take as they are (delivery.long_lines) */
    bool portal_only;  /* and one of the header, which would stand outside of a sealed copy */
    int64_t since_accept_ms;
    int64_t expire_ms; /* since acceptance */

    struct sp_rung_fact rungs[SP_LADDER_RUNGS_MAX];
    struct sp_rung_fact keys[SP_LADDER_RUNGS_MAX]; /* crypto rungs: the key alone */
    enum sp_rc never;                              /* the domain takes no mail; SP_OK if it may */
};

enum sp_step {
    SP_STEP_KEYS,   /* ask for the recipient's keys */
    SP_STEP_HOP,    /* ask the hosts */
    SP_STEP_TAKE,   /* rung `index` */
    SP_STEP_WAIT,   /* try again; rung `index` is waited for */
    SP_STEP_RETURN, /* back to the sender */
    SP_STEP_HOLD,   /* for a person to look at */
};

struct sp_next {
    enum sp_step step;
    size_t index;          /* of a rung in the ladder; its count where none is meant */
    int64_t wait_until_ms; /* WAIT: since acceptance, when the rung's stay ends */
    bool late;             /* a promise is broken: the sender is to hear */
    bool alert;            /* a domain dropped its protection */
    bool expired;          /* RETURN, HOLD: since the time is over */
    enum sp_rc why;        /* WAIT, RETURN, HOLD: the reason that decided */
};

/* Forgets what hosts and keys showed; the portal's rung is possible or not from the start. */
void sp_outcome_begin(struct sp_standing *s);

/* Says what is to be done now. *out is wholly set. */
void sp_outcome_next(const struct sp_standing *s, struct sp_next *out);

/* returns: what keeps mail from rung i now, which need not be what the last host showed. why: set to its reason */
enum sp_rung_status sp_outcome_rung_cause(const struct sp_standing *s, size_t i, enum sp_rc *why);

/* ---- facts that come in ---- */

/* The look-up of the domain failed, or showed that it takes no mail. rc: not SP_OK */
void sp_outcome_route_failed(struct sp_standing *s, enum sp_rc rc);

/* What the keeper said. rcs: SP_OK (there is a key), an answer like SP_E_KEYS_NONE, or an error of the look-up itself. */
void sp_outcome_keys(struct sp_standing *s, enum sp_rc smime_rc, enum sp_rc pgp_rc);

/* What one host showed. */
struct sp_hop_report {
    size_t hop;    /* its number in the route */
    enum sp_rc rc; /* SP_OK: it talks with us; else why not */
    struct sp_hop_verdict verdict;
    bool has_shown;  /* rc is not SP_OK: it talked before, and verdict is what it showed */
    bool is_unasked; /* rc is not SP_OK: nobody has asked it, so it is not dead */
    bool anew;       /* rc is SP_OK, but TLS does not come about: it is to be asked again without */
    bool has_requiretls;
    bool lacks_utf8;  /* SMTPUTF8, which the envelope or the header needs: a sealed copy, too */
    enum sp_rc lacks; /* what these bytes need and it does not offer; SP_OK if nothing */
    bool has_before;  /* the domain has proved `before` */
    enum sp_level before;
    enum sp_rc
        dane_why; /* SP_OK, or why the route can't lead to tls:dane whatever the host shows */
    enum sp_rc auth_why; /* the same of tls:authenticated */
    enum sp_rc doubt; /* not SP_OK: nobody can say now whether the domain has an MTA-STS policy */
};

/* Takes a host's report; the better of what several hosts showed stands. */
void sp_outcome_hop(struct sp_standing *s, const struct sp_hop_report *r);

/* Forgets what hosts showed (not keys, not the portal): they are asked anew. */
void sp_outcome_forget_hops(struct sp_standing *s);

/* returns: whether this host will do: an SMTP rung is to be taken there now; else the next one is asked first */
bool sp_outcome_hop_will_do(const struct sp_standing *s, size_t hop);
/* returns: whether it will do, but only in the clear: hosts that have not been asked yet may talk TLS */
bool sp_outcome_hop_is_bare(const struct sp_standing *s, size_t hop);

/* returns: whether mail waits for what this silent host may have, so that no other one takes it for less */
bool sp_outcome_waits_for(const struct sp_standing *s, const struct sp_hop_report *silent);

/* Taking rung index came to nothing: sealer or portal failed, or the copy can't be sent. For the whole attempt. */
void sp_outcome_rung_failed(struct sp_standing *s, size_t index, enum sp_rc why);

/*
 * The host that was to take the mail has put it off, or no host is asked any more: all are silent to this mail, whatever the rung.
 * A lower one would say the same to it again.
 */
void sp_outcome_put_off(struct sp_standing *s, enum sp_rc why);

/*
 * Says how long a turn is worth waiting for, as far as the facts are known now: nobody else has anything to do before.
 *
 * returns: since acceptance, ms: when the last stay ends that is before a rung which needs no host, or before the ladder's end
 */
int64_t sp_outcome_own_end(const struct sp_standing *s);

/* ---- what becomes of recipients ---- */

enum sp_fate {
    SP_FATE_DELIVERED,
    SP_FATE_AGAIN, /* the rung has failed for now, for this reason */
    SP_FATE_REFUSED,
};

/* returns: what the host's word means for one recipient; why: errors.def code for the records */
enum sp_fate sp_outcome_rcpt(const struct sp_smtp_rcpt_result *r, enum sp_rc *why);

/* returns: whether a host that was asked without TLS refuses for that alone (RFC 3207 4, RFC 5248 X.7.10): no word about the mail */
bool sp_outcome_wants_tls(const struct sp_smtp_rcpt_result *r);

/*
 * A host has put a recipient off. returns: whether that is trouble of its own, which another host of the route need not have
 *          (RFC 5321 5.1). Not a mailbox's, nor what asks for less or is about the sender (RFC 3463 X.7), nor a loss behind
 *          the dot, where it may have the mail
 */
bool sp_outcome_is_hosts_own(const struct sp_smtp_rcpt_result *r);

/* Waiting times of one kind of failure. 0: as usual */
struct sp_retry_class {
    const char *match; /* "4.2.2", "4.7", "421", or the name of a reason */
    int64_t first_ms;
    int64_t max_ms;
    int64_t expire_ms; /* since acceptance */
};

/* What an attempt failed of. */
struct sp_retry_cause {
    enum sp_rc why;
    int code; /* of the peer's reply, 0 if none */
    struct sp_status status;
};

/*
 * Finds the class of a failure: the settings' closest match, else what is built in.
 *
 * first_ms: delivery.retry_first, of which the built-in times are multiples
 * out:      its times; 0 where they are as usual
 */
void sp_outcome_retry_class(const struct sp_retry_class *classes, size_t count,
                            const struct sp_retry_cause *cause, int64_t first_ms,
                            struct sp_retry_class *out);

/*
 * Shortens the life of what meets this class of failure. returns: whether its time is over now: ask sp_outcome_next again,
 * which goes on as at the end of any time: the next rung if it is none that has to be waited for, else return or hold
 */
bool sp_outcome_expires_early(struct sp_standing *s, const struct sp_retry_class *class);

struct sp_retry {
    int64_t now_ms;      /* wall clock */
    int64_t first_ms;    /* wait after the first attempt */
    int64_t max_ms;      /* longest wait */
    unsigned attempts;   /* this one included */
    int64_t stay_end_ms; /* wall clock: when the rung's stay is over */
    uint32_t noise;      /* random */
};

/* returns: wall-clock time of the next attempt: doubling, a tenth up or down, never past the end of the stay; now, if that has passed */
int64_t sp_outcome_retry_at(const struct sp_retry *r);

struct sp_giving_up {
    bool own_mail;    /* a DSN, code or report of ours */
    bool null_sender; /* nobody to tell, or nobody of the tenant's */
    unsigned notify;  /* RFC 3461: SP_NOTIFY_ bits of mail/envelope.h, 0 if none were given */
};

/* returns: whether the sender is to get a DSN for a recipient given up (RFC 3461 5.2.1, threats: no backscatter) */
bool sp_outcome_tells_sender(const struct sp_giving_up *g);

struct sp_waiting {
    struct sp_giving_up who;
    bool told;       /* the sender has heard of it before */
    bool broken;     /* the recipient's domain breaks its own promise */
    bool asked_late; /* a rule says that the sender hears `late` */
    unsigned attempts;
    int64_t since_accept_ms;
    int64_t delay_ms; /* delivery.dsn_delay; 0: never by age */
};

/*
 * A recipient has to wait: is the sender to hear? Once at most: at once of a broken promise, from the second attempt on
 * where a rule asks for it, else when it has taken long.
 */
bool sp_outcome_tells_delay(const struct sp_waiting *w);

/*
 * returns: whether this refusal says that there is no such address: it is then left alone for a while. Not where policy,
 *          size or content was refused, which the next message may not meet
 */
bool sp_outcome_suppresses(const struct sp_smtp_reply *reply);

/* has_dsn: the next hop was told of the wish and will report itself. returns: whether we do (RFC 3461 5.2.2) */
bool sp_outcome_tells_success(const struct sp_giving_up *who, bool has_dsn);

/*
 * A DSN or notice could not be made after all: parts the results of those whom it was to tell of from the others, which
 * stand and must be recorded (who has the message must not get it again), as not told of.
 *
 * results, count: the others are left
 * ns:             room for *count; the recipients who go back to the queue
 * returns:        how many those are
 */
size_t sp_outcome_part_told(struct sp_result *results, size_t *count, uint16_t *ns);

/* returns: the floor of a DSN: it holds no word of the message, so never above tls:encrypted, nor the message's own */
enum sp_floor sp_outcome_dsn_floor(enum sp_floor of_message);

#endif
