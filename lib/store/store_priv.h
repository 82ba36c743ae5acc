/*
 * What the files of this module share: the structs behind store.h.
 */
#ifndef SP_STORE_STORE_PRIV_H
#define SP_STORE_STORE_PRIV_H

#include <sqlite3.h>

#include "base/map.h"
#include "store/store.h"

struct sp_store {
    sqlite3 *db;
    char *path;
    size_t version;
    struct sp_map *queries; /* text of the statement -> struct sp_store_query */
};

struct sp_store_query {
    struct sp_store *store;
    sqlite3_stmt *stmt; /* NULL if it did not compile */
    int failed;         /* first result code that was not good, since it was handed out */
    char *why;          /* message of a failed compilation */
};

/* returns: SP_E_EXISTS or SP_E_STORE_FAILED for a result code of SQLite, with its message in err */
enum sp_rc sp_store_fail(struct sp_store *store, int result, const char *what, struct sp_err *err);

/* Makes the log that a dead process left durable; before the database is opened. returns: SP_OK or SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_store_renew(struct sp_store *store, struct sp_err *err);

/* Brings the schema up to date. returns: SP_OK or SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_store_migrate(struct sp_store *store,
                                          const struct sp_store_options *options,
                                          struct sp_err *err);

#endif
