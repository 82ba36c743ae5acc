/*
 * Key records in DNS (RFC 6376 3.6.1): the text of ours, and what a published one says. thread: any
 */
#ifndef SP_DKIM_RECORD_H
#define SP_DKIM_RECORD_H

#include "base/buf.h"
#include "crypt/pkey.h"

#define SP_DKIM_RECORD_MAX 4096

/* All point into the record. */
struct sp_dkim_record {
    struct sp_bytes version;  /* v=; empty: not there */
    struct sp_bytes kind;     /* k=; empty: rsa */
    struct sp_bytes hashes;   /* h=; empty: any */
    struct sp_bytes services; /* s=; empty: any */
    struct sp_bytes flags;    /* t= */
    struct sp_bytes
        key; /* p=, base 64, perhaps with white space in it; empty: the key is revoked */
    bool has_key;
};

/* returns: SP_OK, or SP_E_DKIM_FAILED if it is no list of tags: a tag twice, one without a name, v= not first or not DKIM1 */
SP_MUST_CHECK enum sp_rc sp_dkim_record_parse(struct sp_bytes text, struct sp_dkim_record *out);

/* Appends the record that publishes a key. returns: SP_OK, SP_E_UNSUPPORTED for a kind that DKIM does not know */
SP_MUST_CHECK enum sp_rc sp_dkim_record_format(const struct sp_pkey *key, struct sp_buf *out);

enum sp_dkim_finding {
    SP_DKIM_RECORD_GOOD,
    SP_DKIM_RECORD_BROKEN,  /* it can't be read */
    SP_DKIM_RECORD_REVOKED, /* its p= is empty */
    SP_DKIM_RECORD_OTHER,   /* another key, or another kind of key */
    SP_DKIM_RECORD_LIMITED, /* the right key, but h=, s= or t=s forbid what we sign */
    SP_DKIM_RECORD_TESTING, /* the right key, with t=y: verifiers may ignore it */
};

/* returns: what a published record is to the key that signs */
enum sp_dkim_finding sp_dkim_record_compare(struct sp_bytes text, const struct sp_pkey *key);

#endif
