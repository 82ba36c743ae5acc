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

/* owner: the caller. Compiles the patterns (about 0.1 s). returns: SP_E_SCAN_FAILED if that can't be done */
SP_MUST_CHECK enum sp_rc sp_detect_new(struct sp_detect **out, struct sp_err *err);
void sp_detect_free(struct sp_detect *d);
SP_AUTO_DEFINE(sp_detect)

/* returns: the version of patterns and dictionary, static */
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

enum sp_detect_type {
    SP_DETECT_US_SSN,
    SP_DETECT_MRN,
    SP_DETECT_US_MBI,
    SP_DETECT_US_NPI,
    SP_DETECT_PHONE,
    SP_DETECT_DOB,
    SP_DETECT_ICD10,
    SP_DETECT_HEALTH_TERM,
    SP_DETECT_PAYMENT_TERM,
    SP_DETECT_DICOM,
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

struct sp_detect_limits {
    struct sp_mime_limits mime;
    uint64_t unpacked_max;        /* bytes of decoded parts in all; 0: 256 MiB */
    const struct sp_clock *clock; /* NULL: no deadline */
    int64_t deadline_ms;          /* monotonic */
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

#define SP_DETECT_LIST_MAX 250

/* All of it lives in the arena given. */
struct sp_detect_result {
    bool partial; /* something that may hold text was not examined */
    enum sp_detect_class class;
    enum sp_detect_sealed sealed;
    uint32_t score;   /* of what made the class */
    unsigned special; /* SP_DETECT_PART2 and so on; only with PHI */
    struct sp_detect_count types[SP_DETECT_TYPES];
    struct sp_detect_attachment *attachments;
    size_t attachment_count;
    struct sp_detect_gap *gaps;
    size_t gap_count;
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

/* The same for one text in UTF-8, as if it were a message's only part: for tests and tools. */
void sp_detect_text(struct sp_detect *d, struct sp_bytes text, struct sp_arena *arena,
                    struct sp_detect_result *out);

#endif
