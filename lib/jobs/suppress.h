/*
 * suppress: relay <-> ledger. Addresses that are not tried. A relay asks for the list when it starts (op LIST, no entries);
 * later the ledger tells each relay of changes (op CHANGED). What a relay adds stands in its journal. thread: any
 */
#ifndef SP_JOBS_SUPPRESS_H
#define SP_JOBS_SUPPRESS_H

#include "base/arena.h"
#include "base/buf.h"

enum sp_jobs_suppress_op {
    SP_JOBS_SUPPRESS_LIST,
    SP_JOBS_SUPPRESS_CHANGED,
    SP_JOBS_SUPPRESS_OP_COUNT
};

#define SP_JOBS_SUPPRESS_MAX      100000
#define SP_JOBS_SUPPRESS_TEXT_MAX 512

struct sp_jobs_suppress_entry {
    struct sp_bytes address; /* lower case */
    int64_t until_ms;        /* wall clock; 0: until it is removed */
    bool removed;            /* it may be tried again */
};

/* both the request and the reply of LIST */
struct sp_jobs_suppress {
    enum sp_jobs_suppress_op op;
    const struct sp_jobs_suppress_entry *entries;
    size_t entry_count;
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_suppress_encode(struct sp_buf *out, const struct sp_jobs_suppress *list);

/* owner: text is lent from data, lists are arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_suppress_decode(struct sp_bytes data, struct sp_arena *arena,
                                                 struct sp_jobs_suppress *out);

#endif
