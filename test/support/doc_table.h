/*
 * Tables in docs/ that a test makes. The committed text between <!-- NAME: begin --> and <!-- NAME: end --> must be what
 * the run made; with SALLYPORT_TABLES=write in the environment it is written there instead.
 */
#ifndef SP_TEST_SUPPORT_DOC_TABLE_H
#define SP_TEST_SUPPORT_DOC_TABLE_H

#include "base/buf.h"

/* Compares or writes. file: below the source folder. Fails the test if they differ. */
void doc_table(const char *source_dir, const char *file, const char *name, struct sp_bytes made);

#endif
