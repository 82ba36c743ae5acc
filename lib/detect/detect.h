/*
 * Finds protected health information in a message: identifiers (number, pattern, checksum, label) and health context, and
 * says how sure it is (0 to 100). PHI is an identifier of a person and health or payment context in the same message.
 * What can't be examined is said so (gaps), and then the scan is partial, which policy takes as most sensitive. Neither
 * a match nor a hash of it leaves this module: only types, counts and scores. thread: any (one at a time)
 */
#ifndef SP_DETECT_DETECT_H
#define SP_DETECT_DETECT_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "mime/mime.h"

struct sp_detect;

/* owner: the caller. Loads the dictionary that the build compiled. returns: SP_E_SCAN_FAILED if that can't be done */
SP_MUST_CHECK enum sp_rc sp_detect_new(struct sp_detect **out, struct sp_err *err);
void sp_detect_free(struct sp_detect *d);
SP_AUTO_DEFINE(sp_detect)

/* returns: the program's version and a digest of the code, words and weights that it was built of, static */
const char *sp_detect_version(void);

enum sp_detect_class {
    SP_DETECT_NONE,
    SP_DETECT_IDENTIFIER, /* of a person, without health context */
    SP_DETECT_PHI,
    SP_DETECT_SEVERE, /* PHI of a special class, or of many people */
};

enum sp_detect_sealed {
    SP_DETECT_NOT_SEALED,
    SP_DETECT_SMIME, /* real ciphertext and nothing readable beside it */
    SP_DETECT_PGP,
    SP_DETECT_SIGNED,
};

/* In the order of their names' list in docs/policy; the names are those of rules, audit and the detect command. */
enum sp_detect_type {
    SP_DETECT_PERSON,
    SP_DETECT_ADDRESS,
    SP_DETECT_ZIP,
    SP_DETECT_DATE,
    SP_DETECT_DOB,
    SP_DETECT_SERVICE_DATE,
    SP_DETECT_ADMISSION_DATE,
    SP_DETECT_DISCHARGE_DATE,
    SP_DETECT_PHONE,
    SP_DETECT_FAX,
    SP_DETECT_EMAIL,
    SP_DETECT_US_SSN,
    SP_DETECT_MRN,
    SP_DETECT_HEALTH_PLAN_ID,
    SP_DETECT_MBI,
    SP_DETECT_ACCOUNT,
    SP_DETECT_CREDIT_CARD,
    SP_DETECT_NPI,
    SP_DETECT_DEA,
    SP_DETECT_DRIVER_LICENSE,
    SP_DETECT_LICENSE_PLATE,
    SP_DETECT_VIN,
    SP_DETECT_DEVICE_ID,
    SP_DETECT_UDI,
    SP_DETECT_URL,
    SP_DETECT_IP,
    SP_DETECT_ICD10,
    SP_DETECT_DRUG,
    SP_DETECT_DIAGNOSIS,
    SP_DETECT_PROCEDURE,
    SP_DETECT_LAB,
    SP_DETECT_BIOMETRIC,
    SP_DETECT_PHOTO,
    SP_DETECT_OTHER, /* numbers of claims, prescriptions, specimens, rooms: what identifies and has no type of its own */
    SP_DETECT_TYPES
};

/* returns: the name in rules and audit ("US_SSN"), static */
const char *sp_detect_type_name(enum sp_detect_type type);

/* Special categories, as bits; names in rules: part2 psychotherapy hiv genetic. */
#define SP_DETECT_PART2         1U
#define SP_DETECT_PSYCHOTHERAPY 2U
#define SP_DETECT_HIV           4U
#define SP_DETECT_GENETIC       8U
#define SP_DETECT_SPECIALS      4
/* returns: the name of the i-th category, static */
const char *sp_detect_special_name(size_t i);

struct sp_buf;
struct sp_detect_own;

struct sp_detect_limits {
    struct sp_mime_limits mime;
    uint64_t unpacked_max;        /* bytes of decoded parts in all; 0: 256 MiB */
    const struct sp_clock *clock; /* NULL: no deadline */
    int64_t deadline_ms;          /* monotonic */
    bool findings; /* list each finding with its place: for an admin's own test files only */
    const struct sp_detect_own *own; /* NULL, or what the organisation adds (detect/own.h) */
    struct sp_buf *text; /* NULL, or where all decoded text is appended that places refer to */
};

/* Where something was found. The place is in code points of the decoded text (limits.text). */
struct sp_detect_finding {
    enum sp_detect_type type;
    uint32_t start, end; /* end: behind its last character */
    uint32_t score;
};

struct sp_detect_count {
    uint32_t count;
    uint32_t distinct;
    uint32_t score; /* the highest, 0: none found */
};

struct sp_detect_attachment {
    const char *type; /* media type: what its first bytes say, else what the sender says */
    const char *name;
    bool opaque; /* encrypted */
};

struct sp_detect_gap {
    uint32_t part;   /* index of the part, from 1; 0: the message */
    const char *why; /* "encrypted", "limit", "type", "image", "malformed", "time": static */
};

#define SP_DETECT_LIST_MAX    250
#define SP_DETECT_REASONS_MAX 5

/* All of it lives in the arena given. */
struct sp_detect_result {
    bool partial; /* something that may hold text was not examined */
    enum sp_detect_class class;
    enum sp_detect_sealed sealed;
    uint32_t score; /* of what made the class */
    unsigned
        special; /* SP_DETECT_PART2 and so on, then the organisation's (own.h); only with PHI */
    struct sp_detect_count types[SP_DETECT_TYPES];
    struct sp_detect_attachment *attachments;
    size_t attachment_count;
    struct sp_detect_gap *gaps;
    size_t gap_count;
    struct sp_detect_finding *findings; /* by rising start; only if limits.findings */
    size_t finding_count;
    /* what weighed most where the model made it PHI and no rule did (type: OTHER, score: the weight); only if limits.findings */
    struct sp_detect_finding reasons[SP_DETECT_REASONS_MAX];
    size_t reason_count;
};

/*
 * Examines a message.
 *
 * source:  read by range
 * out:     zeroed and filled; owner of its lists: arena
 * returns: SP_OK (look at partial), or what the source said: then the scan has failed
 * cost:    tens of megabytes of decoded text a second on one core
 */
SP_MUST_CHECK enum sp_rc sp_detect_message(struct sp_detect *d, const struct sp_mime_source *source,
                                           const struct sp_detect_limits *limits,
                                           struct sp_arena *arena, struct sp_detect_result *out);

/* The same for one text in UTF-8, as if it were a message's only part: for tests and tools. limits: NULL for none */
void sp_detect_text(struct sp_detect *d, struct sp_bytes text,
                    const struct sp_detect_limits *limits, struct sp_arena *arena,
                    struct sp_detect_result *out);

/* A file of any other kind (document, archive, picture), as if it were a message's only attachment. returns: SP_OK, look at partial */
SP_MUST_CHECK enum sp_rc sp_detect_file(struct sp_detect *d, struct sp_bytes file,
                                        const struct sp_detect_limits *limits,
                                        struct sp_arena *arena, struct sp_detect_result *out);
/* returns: whether it is plain text or the source of a page, for sp_detect_text */
bool sp_detect_is_text(struct sp_bytes file);

#endif
