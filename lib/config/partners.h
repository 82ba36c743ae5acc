/*
 * Pinned partners (policies/partners.json): what an operator knows of a domain better than its DNS does: the level that its
 * hosts must prove, the names or keys that they show, where its mail goes.
 *
 *     {"version": 1, "partners": {"lab.example": {"level": "tls:authenticated", "names": ["mx.lab.example"],
 *      "keys": ["<SHA-256 of a host's public key, hex>"], "ca_keys": ["<of an authority's>"], "next_hop": "HOST:PORT"}}}
 *
 * thread: any; immutable once loaded
 */
#ifndef SP_CONFIG_PARTNERS_H
#define SP_CONFIG_PARTNERS_H

#include "json/problem.h"

#define SP_PARTNER_NAMES_MAX 4
#define SP_PARTNER_KEYS_MAX  8
#define SP_PARTNER_KEY_LEN   32
#define SP_PARTNERS_MAX      10000

struct sp_partner {
    const char *domain; /* lower case */
    const char *level;  /* floor name that its hosts must prove: tls:encrypted to tls:dane */
    const char *names[SP_PARTNER_NAMES_MAX]; /* one of which the certificate must hold */
    size_t name_count;
    struct {
        uint8_t spki_sha256[SP_PARTNER_KEY_LEN];
        bool is_ca;              /* of an authority above the host's certificate */
    } keys[SP_PARTNER_KEYS_MAX]; /* one of which must be there; they need no public trust */
    size_t key_count;
    const char *next_hop; /* HOST:PORT, or "" for the domain's MX */
};

struct sp_partners;

/*
 * Reads the file.
 *
 * problems: gets all that is wrong at once
 * out:      owner: the caller, to sp_partners_free
 * returns:  SP_OK, or the first problem's code
 */
SP_MUST_CHECK enum sp_rc sp_partners_load(struct sp_bytes text, const char *file,
                                          struct sp_problems *problems, struct sp_partners **out);
/* NULL is allowed. */
void sp_partners_free(struct sp_partners *p);
SP_AUTO_DEFINE(sp_partners)

/* returns: the number of partners; 0 for NULL */
size_t sp_partners_count(const struct sp_partners *p);
/* returns: partner i, lent */
const struct sp_partner *sp_partners_at(const struct sp_partners *p, size_t i);

#endif
