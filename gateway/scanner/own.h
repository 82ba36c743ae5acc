/* What tenants add to the detector, from the bundle: detection/TENANT.json, with exact data in TENANT.index and its key in
 * TENANT.key; detection/all.json is for tenants without a file of their own. thread: loop */
#ifndef SP_GATEWAY_SCANNER_OWN_H
#define SP_GATEWAY_SCANNER_OWN_H

#include "detect/own.h"
#include "role/role.h"

struct scanner_own {
    const struct sp_detect_own *own; /* NULL: nothing is added */
    char version
        [SP_DETECT_VERSION_LEN]; /* of the detector with it: whatever could change a verdict */
};

struct scanner_owns;

/*
 * Reads all of them.
 *
 * out:     owner: the caller; lends from the role's bundle: to be loaded anew with each
 * returns: SP_OK, or why one can't be used (err tells file, place and what would be right); then out is untouched
 */
SP_MUST_CHECK enum sp_rc scanner_owns_load(const struct sp_role *role, struct sp_detect *d,
                                           struct scanner_owns **out, struct sp_err *err);
/* NULL is allowed. */
void scanner_owns_free(struct scanner_owns *o);
SP_AUTO_DEFINE(scanner_owns)

/* returns: what counts for mail of the tenant; lent */
const struct scanner_own *scanner_own_of(const struct scanner_owns *o, struct sp_bytes tenant);

#endif
