/*
 * One SQLite database that one process writes: opened with WAL and full synchronisation, brought to the newest schema
 * by a list of migrations, asked by statements that are compiled once. No type of SQLite passes this header.
 *
 *     struct sp_store_query *q = sp_store_query(store, "SELECT id, name FROM keys WHERE address = ?1");
 *     bool row;
 *
 *     sp_store_bind_text(q, 1, address);
 *     while ((rc = sp_store_next(q, &row, err)) == SP_OK && row)
 *         use(sp_store_int(q, 0), sp_store_text(q, 1));
 *
 * thread: any (one at a time); every call may block on the disk, so never on a relay's loop
 */
#ifndef SP_STORE_STORE_H
#define SP_STORE_STORE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

struct sp_store;
struct sp_store_query;

/* One step of the schema. Steps are only ever added at the end: the n-th makes version n out of version n - 1. */
struct sp_store_migration {
    const char *name; /* for people: "add the table of postures" */
    const char
        *sql; /* one or more statements, run in one transaction with the new version number */
};

struct sp_store_options {
    const struct sp_store_migration *migrations;
    size_t migration_count;
    bool secure_delete; /* what is deleted is overwritten; see sp_store_checkpoint for the log */
    unsigned
        log_pages; /* the log goes into the file once it has so many; 0: 1000. A page that comes again and again
                           is written to the file once for all of them. */
};

/*
 * Opens a database, made with mode 0600 if it is not there, and migrates it. Before an older schema is changed, a copy
 * of the file is left beside it as PATH.vN.
 *
 * path:    ":memory:" gives one without a file, for tests
 * returns: SP_OK; SP_E_STORE_FAILED if it can't be opened, is damaged, or is newer than the list of migrations
 * owner:   the caller, until sp_store_free
 */
SP_MUST_CHECK enum sp_rc sp_store_open(const char *path, const struct sp_store_options *options,
                                       struct sp_store **out, struct sp_err *err);

/*
 * Copies a database that others may have open, as it stands at one moment, over the file `to`.
 *
 * returns: SP_OK; SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_store_snapshot(const char *path, const char *to, struct sp_err *err);

/* Reads one number of a copied database. sql: gives it in the first column; no row: 0. returns: SP_OK or SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_store_peek(const char *path, const char *sql, int64_t *out,
                                       struct sp_err *err);

/*
 * Reads a database that others may have open from end to end.
 *
 * returns: SP_OK; SP_E_STORE_FAILED, with what is wrong: it is damaged, empty, or can't be read
 */
SP_MUST_CHECK enum sp_rc sp_store_examine(const char *path, struct sp_err *err);

/*
 * Goes through rows of a database that belongs to another process, or of a copy. Nothing in it is changed.
 *
 * row:     lent for the call; what its first column holds, as bytes
 * returns: SP_OK; SP_E_STORE_FAILED, also when it is damaged
 */
SP_MUST_CHECK enum sp_rc sp_store_look(const char *path, const char *sql,
                                       void (*visit)(void *arg, struct sp_bytes row), void *arg,
                                       struct sp_err *err);

/* Closes it; an open transaction is rolled back. NULL is allowed. */
void sp_store_free(struct sp_store *store);
SP_AUTO_DEFINE(sp_store)

/* returns: the number of migrations that have been applied */
size_t sp_store_version(const struct sp_store *store);

/* Starts a writing transaction; they don't nest. returns: SP_OK or SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_store_begin(struct sp_store *store, struct sp_err *err);

/* Ends it; on SP_OK its changes are on disk. returns: SP_OK, or SP_E_STORE_FAILED and it has been rolled back */
SP_MUST_CHECK enum sp_rc sp_store_commit(struct sp_store *store, struct sp_err *err);

/* Undoes it; without one, nothing happens. */
void sp_store_rollback(struct sp_store *store);

/* Runs statements of ours that return nothing. returns: SP_OK or SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_store_exec(struct sp_store *store, const char *sql, struct sp_err *err);

/*
 * Moves everything from the write-ahead log into the database and empties the log, so that with secure_delete nothing
 * of what was deleted is left in either file.
 *
 * returns: SP_OK or SP_E_STORE_FAILED (also when a reader of another process stands in the way)
 */
SP_MUST_CHECK enum sp_rc sp_store_checkpoint(struct sp_store *store, struct sp_err *err);

/* returns: the rowid of the last row inserted */
int64_t sp_store_last_id(const struct sp_store *store);

/* returns: the number of rows that the last INSERT, UPDATE or DELETE changed */
size_t sp_store_changes(const struct sp_store *store);

/*
 * Gives the statement for this text, compiled at first use and kept. It is handed out reset and without values, so one
 * text must not be in use twice at the same time. What goes wrong here is told by sp_store_next or sp_store_run.
 *
 * sql:     a literal of ours; values only as ?1, ?2, ...
 * returns: lent, never NULL, good as long as the store
 */
struct sp_store_query *sp_store_query(struct sp_store *store, const char *sql);

/* Set parameter ?at (from 1). Bytes are copied. A failure is told by the next step. */
void sp_store_bind_int(struct sp_store_query *q, int at, int64_t value);
void sp_store_bind_text(struct sp_store_query *q, int at, struct sp_bytes value);
void sp_store_bind_blob(struct sp_store_query *q, int at, struct sp_bytes value);
void sp_store_bind_null(struct sp_store_query *q, int at);

/*
 * Goes to the next row.
 *
 * row:     out: whether there is one; false ends the statement
 * returns: SP_OK; SP_E_EXISTS if a constraint forbids it; SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_store_next(struct sp_store_query *q, bool *row, struct sp_err *err);

/* Runs it to its end and drops what it returns. returns: as sp_store_next */
SP_MUST_CHECK enum sp_rc sp_store_run(struct sp_store_query *q, struct sp_err *err);

/* Ends a statement before its last row, which lets go of the database. */
void sp_store_done(struct sp_store_query *q);

/* returns: a column of the row (from 0), converted as SQLite does; 0 for NULL */
int64_t sp_store_int(const struct sp_store_query *q, int column);
/* returns: the same as text or as bytes, lent until the next step; the empty view for NULL */
struct sp_bytes sp_store_text(const struct sp_store_query *q, int column);
struct sp_bytes sp_store_blob(const struct sp_store_query *q, int column); /* returns: see above */
/* returns: whether the column is NULL */
bool sp_store_is_null(const struct sp_store_query *q, int column);

#endif
