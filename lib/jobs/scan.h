/*
 * scan: relay -> scanner. One message's handle goes over, what is in it comes back. Descriptor 0 of the request is the
 * content's. In decoded structs all text is lent from the payload and all lists lie in the arena. thread: any
 */
#ifndef SP_JOBS_SCAN_H
#define SP_JOBS_SCAN_H

#include "base/arena.h"
#include "base/buf.h"
#include "content/content.h"

enum sp_jobs_scan_state {
    SP_JOBS_SCAN_COMPLETE,
    SP_JOBS_SCAN_PARTIAL, /* not_scanned says what is missing */
    SP_JOBS_SCAN_FAILED,
    SP_JOBS_SCAN_STATE_COUNT
};

enum sp_jobs_phi_class {
    SP_JOBS_PHI_NONE,
    SP_JOBS_PHI_IDENTIFIER,
    SP_JOBS_PHI_PHI,
    SP_JOBS_PHI_SEVERE,
    SP_JOBS_PHI_COUNT
};

enum sp_jobs_sealed {
    SP_JOBS_SEALED_NONE,
    SP_JOBS_SEALED_SMIME,
    SP_JOBS_SEALED_PGP,
    SP_JOBS_SEALED_SIGNED,
    SP_JOBS_SEALED_COUNT
};

#define SP_JOBS_SCAN_LIST_MAX 256  /* entries of each list of a reply */
#define SP_JOBS_SCAN_TEXT_MAX 1024 /* bytes of each text */

struct sp_jobs_scan_request {
    struct sp_content content; /* decoded: fd is -1, for sp_jobs_job_take_fd(job, 0) */
    int64_t time_limit_ms;
    uint32_t depth_max; /* of nested parts and archives */
    uint32_t parts_max;
    uint64_t unpacked_max; /* bytes after decoding and unpacking */
    struct sp_bytes
        tenant; /* whose own patterns count too; may be empty. Decoded: lent from the payload */
};

struct sp_jobs_scan_type {
    struct sp_bytes name; /* "MRN" */
    uint32_t count;
    uint32_t distinct;
    uint32_t score; /* 0 to 100 */
};

struct sp_jobs_scan_attachment {
    struct sp_bytes type; /* "application/pdf", as found, not as claimed */
    struct sp_bytes name; /* for rules only; never logged */
    bool is_opaque;       /* encrypted archive or document */
};

struct sp_jobs_scan_gap {
    struct sp_bytes part; /* index path, "2.1" */
    struct sp_bytes why;  /* "encrypted", "depth", ... */
};

struct sp_jobs_scan_reply {
    enum sp_jobs_scan_state state;
    enum sp_jobs_phi_class phi_class;
    enum sp_jobs_sealed sealed;
    uint32_t score;                 /* 0 to 100 */
    struct sp_bytes version;        /* of the detector */
    const struct sp_bytes *special; /* "part2", ... */
    size_t special_count;
    const struct sp_jobs_scan_type *types;
    size_t type_count;
    const struct sp_jobs_scan_attachment *attachments;
    size_t attachment_count;
    const struct sp_jobs_scan_gap *gaps; /* not scanned */
    size_t gap_count;
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_jobs_scan_request_encode(struct sp_buf *out, const struct sp_jobs_scan_request *request);
void sp_jobs_scan_reply_encode(struct sp_buf *out, const struct sp_jobs_scan_reply *reply);

/* owner: the handle is the caller's, to sp_content_clear; text is lent from data, lists are arena's. returns: SP_OK, or SP_E_MALFORMED and out untouched */
SP_MUST_CHECK enum sp_rc sp_jobs_scan_request_decode(struct sp_bytes data,
                                                     struct sp_jobs_scan_request *out);
SP_MUST_CHECK enum sp_rc sp_jobs_scan_reply_decode(struct sp_bytes data, struct sp_arena *arena,
                                                   struct sp_jobs_scan_reply *out);

/* returns: the word of rules and audit ("complete"; "phi"; "smime"), static */
const char *sp_jobs_scan_state_name(enum sp_jobs_scan_state state);
const char *sp_jobs_phi_class_name(enum sp_jobs_phi_class class);
const char *sp_jobs_sealed_name(enum sp_jobs_sealed sealed);

#endif
