/*
 * One table of failures (errors.def): result codes, their class, what a peer may read, and their names in logs and
 * audit. struct sp_err carries the detail for people; it never reaches a peer. thread: any
 */
#ifndef SP_BASE_ERR_H
#define SP_BASE_ERR_H

#include "base/bytes.h"

/* Numbers are the table's own and lie in records: test/unit/base/test_reasons.c keeps them. */
enum sp_rc {
    SP_OK = 0,
#define SP_E(number, code, class, smtp, enhanced, name, peer_text) SP_E_##code = (number),
#include "base/errors.def"
#undef SP_E
    SP_RC_COUNT = 1
#define SP_E(number, code, class, smtp, enhanced, name, peer_text) +1
#include "base/errors.def"
#undef SP_E
};

enum sp_rc_class {
    SP_CLASS_NONE, /* success */
    SP_CLASS_TEMP, /* trying again later may help */
    SP_CLASS_PERM, /* trying again does not help */
};

struct sp_rc_info {
    enum sp_rc_class class;
    int smtp;             /* reply code for a client, 0 if it never gets one */
    const char *enhanced; /* RFC 3463, "5.7.1" */
    const char *name;     /* "smtp.verb-order": logs and audit */
    const char *text;     /* what the peer may read */
};

#define SP_ERR_TEXT_MAX 512

struct sp_err {
    enum sp_rc rc;
    char text[SP_ERR_TEXT_MAX]; /* for people, NUL-terminated; cut if longer */
};

/* returns: the table's row, static; for SP_OK a row with name "ok" */
const struct sp_rc_info *sp_rc_info(enum sp_rc rc);

/* returns: the name in logs and audit, static */
const char *sp_rc_name(enum sp_rc rc);

/*
 * Fills err (which may be NULL) with code and detail.
 *
 * returns: rc, so that `return sp_fail(err, SP_E_X, ...)` reads well
 */
enum sp_rc sp_fail(struct sp_err *err, enum sp_rc rc, const char *fmt, ...) SP_PRINTF(3, 4);

/* The same, with ": <text of errno errnum>" behind the detail. returns: rc */
enum sp_rc sp_fail_errno(struct sp_err *err, enum sp_rc rc, int errnum, const char *fmt, ...)
    SP_PRINTF(4, 5);

#endif
