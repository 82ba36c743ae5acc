/*
 * Floors, rungs and ladders: the vocabulary that policy, protect, delivery, audit and the records share. A rung is a way
 * to protect a copy; a floor is the least protection that a recipient's copy may have; a ladder is rungs in order of
 * preference with a floor. thread: any; everything here is immutable
 */
#ifndef SP_POLICY_LADDER_H
#define SP_POLICY_LADDER_H

#include "base/bytes.h"

/* Rising protection: floor a is met by everything that meets a higher floor. The numbers stand in records. */
enum sp_floor {
    SP_FLOOR_PLAIN = 0,
    SP_FLOOR_TLS_ENCRYPTED = 1,
    SP_FLOOR_TLS_VERIFIED = 2,
    SP_FLOOR_TLS_AUTHENTICATED = 3,
    SP_FLOOR_TLS_DANE = 4,
    SP_FLOOR_SEALED = 5,
    SP_FLOOR_COUNT
};

enum sp_rung {
    SP_RUNG_PLAIN = 0,
    SP_RUNG_TLS_ENCRYPTED = 1,
    SP_RUNG_TLS_VERIFIED = 2,
    SP_RUNG_TLS_AUTHENTICATED = 3,
    SP_RUNG_TLS_DANE = 4,
    SP_RUNG_SMIME = 5,
    SP_RUNG_PGP = 6,
    SP_RUNG_PORTAL = 7,
    SP_RUNG_COUNT
};

enum sp_at_end {
    SP_AT_END_RETURN = 0, /* to the sender by DSN */
    SP_AT_END_HOLD = 1,
};

#define SP_LADDER_RUNGS_MAX     8 /* each rung at most once */
#define SP_STAY_UNTIL_EXPIRE    (-1)
#define SP_STAY_DROPPED_DEFAULT ((int64_t)4 * 3600 * 1000)

struct sp_ladder_rung {
    enum sp_rung rung;
    int64_t stay_unreachable_ms; /* SP_STAY_UNTIL_EXPIRE, or since acceptance */
    int64_t stay_dropped_ms;     /* since acceptance */
};

struct sp_ladder {
    const char *name; /* "" for one written in place */
    struct sp_ladder_rung rungs[SP_LADDER_RUNGS_MAX];
    size_t count;
    enum sp_floor floor; /* its own; the effective one stands in the decision */
    enum sp_at_end at_end;
};

/* returns: the name in rules, logs and audit ("tls:authenticated"), static */
const char *sp_floor_name(enum sp_floor floor);
const char *sp_rung_name(enum sp_rung rung);
const char *sp_at_end_name(enum sp_at_end at_end);

/* returns: whether the name is known; *out is set only then */
SP_MUST_CHECK bool sp_floor_parse(struct sp_bytes name, enum sp_floor *out);
SP_MUST_CHECK bool sp_rung_parse(struct sp_bytes name, enum sp_rung *out);

/* returns: the highest floor that the rung meets; smime, pgp and portal meet all */
enum sp_floor sp_rung_floor(enum sp_rung rung);

/*
 * The one test of a floor.
 *
 * is_sealed: the message came as S/MIME or PGP ciphertext, so that it meets `sealed`, and so every
 *            floor, on any TLS rung
 * returns:   whether a copy sent by this rung has at least the floor's protection
 */
bool sp_rung_meets(enum sp_rung rung, enum sp_floor floor, bool is_sealed);

/* returns: whether the rung travels over SMTP to the recipient's host in one piece (all but the portal) */
bool sp_rung_is_smtp(enum sp_rung rung);

/* returns: whether the rung needs the sealer and a recipient's key (smime, pgp) */
bool sp_rung_is_crypto(enum sp_rung rung);

#endif
