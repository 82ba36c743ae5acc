/*
 * posture: relay <-> ledger. What domains have proved. A relay asks for the list when it starts (op LIST: no entries, then one
 * entry with the last domain of the page before) until a page is empty; later the ledger tells each relay of changes (op
 * CHANGED), and a relay tells the ledger nothing by this road: what it saw stands in its journal. thread: any
 */
#ifndef SP_JOBS_POSTURE_H
#define SP_JOBS_POSTURE_H

#include "base/arena.h"
#include "base/buf.h"

enum sp_jobs_posture_op { SP_JOBS_POSTURE_LIST, SP_JOBS_POSTURE_CHANGED, SP_JOBS_POSTURE_OP_COUNT };

#define SP_JOBS_POSTURE_MAX      20000
#define SP_JOBS_POSTURE_TEXT_MAX 256
#define SP_JOBS_POSTURE_STS_MAX  (64 * 1024)

struct sp_jobs_posture_entry {
    struct sp_bytes domain; /* A-labels, lower case */
    struct sp_bytes best; /* floor name that was proved, "tls:dane"; empty: nothing, or forgotten */
    int64_t proved_at_ms; /* wall clock */
    int64_t accepted_at_ms; /* an administrator took a drop as right; 0: none */
    struct sp_bytes sts;    /* text of the MTA-STS policy in force; empty: none */
    struct sp_bytes sts_id; /* id of its TXT record */
    int64_t sts_until_ms;   /* wall clock */
};

/* both the request and the reply of LIST */
struct sp_jobs_posture {
    enum sp_jobs_posture_op op;
    const struct sp_jobs_posture_entry *entries;
    size_t entry_count;
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_posture_encode(struct sp_buf *out, const struct sp_jobs_posture *posture);

/* owner: text is lent from data, lists are arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_posture_decode(struct sp_bytes data, struct sp_arena *arena,
                                                struct sp_jobs_posture *out);

#endif
