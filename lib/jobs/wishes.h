/*
 * wishes: relay, portal <-> ledger. What recipients have chosen for mail to them. A relay asks for all when it starts (op
 * LIST, no entries); later the ledger tells each relay of changes (op CHANGED). The portal asks for one (op FIND, one entry
 * with tenant and address) and gets one or none. thread: any
 */
#ifndef SP_JOBS_WISHES_H
#define SP_JOBS_WISHES_H

#include "base/arena.h"
#include "base/buf.h"

enum sp_jobs_wishes_op {
    SP_JOBS_WISHES_LIST,
    SP_JOBS_WISHES_CHANGED,
    SP_JOBS_WISHES_FIND,
    SP_JOBS_WISHES_OP_COUNT
};

#define SP_JOBS_WISHES_MAX      100000
#define SP_JOBS_WISHES_TEXT_MAX 512

/* The numbers are those of enum sp_preference (policy/facts.h), of which no other may be chosen. */
enum sp_jobs_wish_preference {
    SP_JOBS_WISH_TLS = 1,
    SP_JOBS_WISH_SEALED = 2,
    SP_JOBS_WISH_PORTAL = 3,
};

struct sp_jobs_wish {
    struct sp_bytes tenant;
    struct sp_bytes address;
    uint8_t preference; /* enum sp_jobs_wish_preference */
    int64_t given_ms;   /* wall clock */
    int64_t until_ms;
    bool removed;
};

/* both the request and the reply of LIST and FIND */
struct sp_jobs_wishes {
    enum sp_jobs_wishes_op op;
    const struct sp_jobs_wish *entries;
    size_t entry_count;
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_wishes_encode(struct sp_buf *out, const struct sp_jobs_wishes *list);

/* owner: text is lent from data, lists are arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_wishes_decode(struct sp_bytes data, struct sp_arena *arena,
                                               struct sp_jobs_wishes *out);

#endif
