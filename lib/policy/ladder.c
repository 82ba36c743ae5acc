/*
 * Names and order of floors and rungs. The two enums share their TLS numbers on purpose: a TLS rung meets exactly the
 * floors up to its own number.
 */
#include "policy/ladder.h"

#include "base/mem.h"

static const char *const floor_names[] = {
    [SP_FLOOR_PLAIN] = "plain",
    [SP_FLOOR_TLS_ENCRYPTED] = "tls:encrypted",
    [SP_FLOOR_TLS_VERIFIED] = "tls:verified",
    [SP_FLOOR_TLS_AUTHENTICATED] = "tls:authenticated",
    [SP_FLOOR_TLS_DANE] = "tls:dane",
    [SP_FLOOR_SEALED] = "sealed",
};

static const char *const rung_names[] = {
    [SP_RUNG_PLAIN] = "plain",
    [SP_RUNG_TLS_ENCRYPTED] = "tls:encrypted",
    [SP_RUNG_TLS_VERIFIED] = "tls:verified",
    [SP_RUNG_TLS_AUTHENTICATED] = "tls:authenticated",
    [SP_RUNG_TLS_DANE] = "tls:dane",
    [SP_RUNG_SMIME] = "smime",
    [SP_RUNG_PGP] = "pgp",
    [SP_RUNG_PORTAL] = "portal",
};

const char *sp_floor_name(enum sp_floor floor)
{
    sp_assert(floor < SP_FLOOR_COUNT);
    return floor_names[floor];
}

const char *sp_rung_name(enum sp_rung rung)
{
    sp_assert(rung < SP_RUNG_COUNT);
    return rung_names[rung];
}

const char *sp_at_end_name(enum sp_at_end at_end)
{
    return at_end == SP_AT_END_HOLD ? "hold" : "return";
}

bool sp_floor_parse(struct sp_bytes name, enum sp_floor *out)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(floor_names); i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(floor_names[i]))) {
            *out = (enum sp_floor)i;
            return true;
        }
    }
    return false;
}

bool sp_rung_parse(struct sp_bytes name, enum sp_rung *out)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(rung_names); i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(rung_names[i]))) {
            *out = (enum sp_rung)i;
            return true;
        }
    }
    return false;
}

enum sp_floor sp_rung_floor(enum sp_rung rung)
{
    sp_assert(rung < SP_RUNG_COUNT);
    return rung >= SP_RUNG_SMIME ? SP_FLOOR_SEALED : (enum sp_floor)rung;
}

bool sp_rung_meets(enum sp_rung rung, enum sp_floor floor, bool is_sealed)
{
    if (is_sealed && rung >= SP_RUNG_TLS_ENCRYPTED)
        return true; /* ciphertext inside TLS is sealed, and what is sealed meets every floor */
    return sp_rung_floor(rung) >= floor;
}

bool sp_rung_is_smtp(enum sp_rung rung)
{
    return rung != SP_RUNG_PORTAL;
}

bool sp_rung_is_crypto(enum sp_rung rung)
{
    return rung == SP_RUNG_SMIME || rung == SP_RUNG_PGP;
}
