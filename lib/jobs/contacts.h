/*
 * contacts: relay <-> ledger. Whom tenants have written to, as keyed hashes. A relay asks for all when it starts (op LIST, no
 * entries); later the ledger tells each relay of those that are new (op CHANGED). thread: any
 */
#ifndef SP_JOBS_CONTACTS_H
#define SP_JOBS_CONTACTS_H

#include "base/arena.h"
#include "base/buf.h"

enum sp_jobs_contacts_op {
    SP_JOBS_CONTACTS_LIST,
    SP_JOBS_CONTACTS_CHANGED,
    SP_JOBS_CONTACTS_OP_COUNT
};

#define SP_JOBS_CONTACTS_MAX 1000000

struct sp_jobs_contact {
    uint64_t hash;
    uint16_t day;
};

/* both the request and the reply of LIST */
struct sp_jobs_contacts {
    enum sp_jobs_contacts_op op;
    bool kept;        /* false: the ledger remembers none */
    bool full;        /* it takes no more: who is not there need not be new */
    int64_t since_ms; /* wall clock: since when they are remembered */
    uint16_t oldest;  /* those of an earlier day are forgotten */
    const struct sp_jobs_contact *entries;
    size_t entry_count;
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_contacts_encode(struct sp_buf *out, const struct sp_jobs_contacts *list);

/* owner: the list is arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_contacts_decode(struct sp_bytes data, struct sp_arena *arena,
                                                 struct sp_jobs_contacts *out);

#endif
