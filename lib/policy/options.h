/*
 * What delivery must know of a decision beside ladder and floor, as the JSON text that lies in an accept record
 * (sp_accept_decision.options): edits, notice, portal and seal options; and, for a notice of ours, what it tells of. A
 * decision that asks for nothing special has an empty text, so that the ordinary message costs nothing. thread: any
 */
#ifndef SP_POLICY_OPTIONS_H
#define SP_POLICY_OPTIONS_H

#include "base/arena.h"
#include "base/buf.h"
#include "policy/decision.h"

#define SP_OPTIONS_MAX        65536
#define SP_OPTIONS_FIELDS_MAX 64
#define SP_OPTIONS_REMIND_MAX 4

struct sp_option_field {
    struct sp_bytes name;
    struct sp_bytes value;
};

struct sp_options {
    bool is_sealed; /* arrived as ciphertext */
    bool
        hold_protects; /* when a hold's time is over: go on by the ladder; else back to the sender */
    struct sp_bytes
        hold_by; /* group of the policy that may release it; empty: administrators alone */
    bool strip_subject_tag;
    bool protect_subject;
    struct sp_bytes subject; /* outer subject of a sealed copy, where protect_subject */
    struct sp_option_field add[SP_OPTIONS_FIELDS_MAX];
    size_t add_count;
    struct sp_bytes strip[SP_OPTIONS_FIELDS_MAX];
    size_t strip_count;
    struct sp_bytes footer;
    struct sp_bytes notice; /* text for the recipient, or empty */
    unsigned notify;        /* SP_NOTIFY_..., to the sender */
    bool is_bulk;           /* the lane: waits where others are under way */
    bool is_urgent;         /* the lane: before all others */
    struct sp_bytes route;  /* key of delivery.routes that takes the domain's place, or empty */
    struct {
        int64_t expires_ms;    /* from acceptance */
        struct sp_bytes login; /* "code,passkey" */
        bool reply;
        bool forward;
        enum sp_floor notify_floor;
        struct sp_bytes notify_from;              /* display name, or empty */
        int64_t remind_ms[SP_OPTIONS_REMIND_MAX]; /* from the deposit; 0: no more */
        struct sp_bytes notice;  /* shown beside the message, which takes none itself; or empty */
        int64_t unread_after_ms; /* from the deposit: then the sender hears; 0: never */
    } portal;
    struct sp_bytes smime_cipher; /* "aes-256-gcm", "aes-256-cbc"; empty: as the certificates say */
    struct { /* of a notice: whom and what it tells of; package is empty in any other mail */
        struct sp_bytes package;
        struct sp_bytes sender; /* who hears if the notice can't be delivered */
        int64_t n;              /* the recipient's index in the parent message */
        unsigned notify;        /* what that sender wants to hear (RFC 3461): bits, 0 if not said */
        struct sp_bytes envid;  /* as the sender gave them */
        struct sp_bytes orcpt;
    } notice_of;
};

/* Sets the values that an empty text stands for. */
void sp_options_init(struct sp_options *o);

/*
 * Appends the text; nothing if all is as sp_options_init sets it.
 *
 * returns: SP_OK, or SP_E_LIMIT
 */
SP_MUST_CHECK enum sp_rc sp_options_write(const struct sp_options *o, struct sp_buf *out);

/* Takes what delivery must know from a decision; views are lent from the policy. */
void sp_options_of_decision(const struct sp_decision *d, struct sp_options *out);

/*
 * Reads a text back.
 *
 * out:     its texts are copies in arena
 * returns: SP_OK, or SP_E_MALFORMED
 */
SP_MUST_CHECK enum sp_rc sp_options_read(struct sp_bytes text, struct sp_arena *arena,
                                         struct sp_options *out);

#endif
