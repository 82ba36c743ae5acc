/*
 * Files of the configuration that say who may send: tenants and the networks of their providers. thread: as the book
 */
#ifndef SP_AUDIT_FILES_H
#define SP_AUDIT_FILES_H

#include "audit/book.h"

struct sp_audit_file {
    struct sp_bytes name; /* "tenants/hospital.json" */
    struct sp_bytes text;
};

/*
 * Takes the files that are in effect now. For each that is new, changed or gone since the last time a line tells so, with
 * the SHA-256 before and after: tenant.changed for a tenant's file, config.changed for any other. The first that a gateway
 * ever has are taken without a word. Commits.
 *
 * returns: SP_OK, SP_E_STORE_FAILED, SP_E_MALFORMED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_files(struct sp_audit_book *b,
                                             const struct sp_audit_file *files, size_t count,
                                             struct sp_err *err);

#endif
