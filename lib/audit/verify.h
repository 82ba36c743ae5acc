/*
 * Verifying an audit file line by line: finds a line that was changed, dropped, swapped, added or cut, and says where.
 * Needs no other system: the file, a public key, and if there is one the head file. thread: any (one at a time)
 */
#ifndef SP_AUDIT_VERIFY_H
#define SP_AUDIT_VERIFY_H

#include "audit/checkpoint.h"

/* The exit codes of `audit verify`. */
enum sp_audit_verdict {
    SP_AUDIT_PROVED = 0,
    SP_AUDIT_WAS_ALTERED = 1,
    SP_AUDIT_IS_INCOMPLETE = 2,
    SP_AUDIT_KEY_IS_UNKNOWN = 3,
};

/* returns: "proved", "altered", "incomplete" or "key-unknown", static */
const char *sp_audit_verdict_name(enum sp_audit_verdict verdict);

struct sp_audit_report {
    enum sp_audit_verdict verdict;
    char why[SP_ERR_TEXT_MAX]; /* "" if proved */
    uint64_t line;    /* of the file, from 1, where it was seen; 0 if nowhere in particular */
    uint64_t records; /* lines that hold so far */
    uint64_t first_seq;
    uint64_t last_seq;
    uint64_t checkpoints; /* whose signature holds */
    uint64_t signed_to;   /* seq of the last line that a good checkpoint or the head covers */
    int64_t first_ms;     /* wall clock, of the first and the last line */
    int64_t last_ms;
    char key[SP_AUDIT_KEY_ID_MAX]; /* of the last good signature; "" if none */
    bool key_from_file;            /* nobody vouches for the key but the file itself */
    bool has_head;
    bool begins_later;  /* it goes on from an older file that was not looked at */
    uint64_t purged_to; /* seq of the last line that was removed on record */
};

struct sp_audit_verifier;

/*
 * trusted: public keys to believe in; copied; NULL or an empty ring: those that the file itself brings (audit.started)
 * head:    text of the head file, borrowed for the call; empty if there is none
 * owner:   the caller, until sp_audit_verifier_free
 */
struct sp_audit_verifier *sp_audit_verifier_new(const struct sp_audit_ring *trusted,
                                                struct sp_bytes head);
void sp_audit_verifier_free(struct sp_audit_verifier *v);
SP_AUTO_DEFINE(sp_audit_verifier)

/* One final file of a series is looked at by itself: that the lines before it are elsewhere is no fault. */
void sp_audit_verifier_set_part(struct sp_audit_verifier *v);

/* Takes the next bytes of the file, or of one file of a series after the other; any split will do. After the first fault the rest is not looked at. */
void sp_audit_verifier_feed(struct sp_audit_verifier *v, struct sp_bytes data);

/* Says that the file has ended. returns: the report, lent, good as long as the verifier */
const struct sp_audit_report *sp_audit_verifier_finish(struct sp_audit_verifier *v);

#endif
