/*
 * portal.db: packages, challenges, sessions, limits. With secure_delete and a checkpoint behind every forgotten key,
 * a deleted key is in no file of the database. A destroyed package keeps its row without the key for a while, so that
 * its link can still be told "expired" and its audit records are repeated until the ledger has them.
 */
#include "portal/report_priv.h"

#define COLUMNS                                                                                    \
    "id, message, n, tenant, sender, recipient, floor, key, len, created_ms, expires_ms, opens "
#define SELECT_PACKAGE  "SELECT " COLUMNS "FROM packages "
#define FORGET_AFTER_MS (90LL * 24 * 3600 * 1000)

static const struct sp_store_migration migrations[] = {
    {"packages, challenges, sessions and limits",
     "CREATE TABLE packages ("
     " id TEXT PRIMARY KEY, message BLOB NOT NULL, n INTEGER NOT NULL, tenant TEXT NOT NULL,"
     " sender TEXT NOT NULL, recipient TEXT NOT NULL, floor TEXT NOT NULL,"
     " token_hash BLOB NOT NULL UNIQUE, key BLOB, len INTEGER NOT NULL,"
     " created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, opens INTEGER NOT NULL DEFAULT 0,"
     " reported INTEGER NOT NULL DEFAULT 0, UNIQUE (message, recipient)) WITHOUT ROWID;"
     "CREATE INDEX packages_expiry ON packages (expires_ms);"
     "CREATE TABLE challenges (hash BLOB PRIMARY KEY, package TEXT, code_hash BLOB NOT NULL,"
     " expires_ms INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
     "CREATE TABLE sessions (hash BLOB PRIMARY KEY, package TEXT NOT NULL,"
     " expires_ms INTEGER NOT NULL) WITHOUT ROWID;"
     "CREATE TABLE limits (what TEXT NOT NULL, subject BLOB NOT NULL, since_ms INTEGER NOT NULL,"
     " until_ms INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (what, subject))"
     " WITHOUT ROWID;"},
    {"what a session has shown",
     "ALTER TABLE sessions ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;"},
    {"reminders, and words to senders",
     "CREATE TABLE dues (package TEXT NOT NULL, word INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
     " name TEXT NOT NULL, PRIMARY KEY (package, word, at_ms)) WITHOUT ROWID;"
     "CREATE INDEX dues_at ON dues (at_ms);"},
    {"when a reminder that could not be made is tried again",
     "ALTER TABLE dues ADD COLUMN next_ms INTEGER NOT NULL DEFAULT 0;"
     "UPDATE dues SET next_ms = at_ms;"
     "DROP INDEX dues_at;"
     "CREATE INDEX dues_next ON dues (next_ms);"},
    {"what a sender wants to hear of the end of a package",
     "CREATE TABLE reports (package TEXT PRIMARY KEY, wants INTEGER NOT NULL, envid TEXT NOT NULL,"
     " orcpt TEXT NOT NULL, arrived_ms INTEGER NOT NULL, dsn BLOB, header BLOB) WITHOUT ROWID;"},
    {"notices that came back", "ALTER TABLE reports ADD COLUMN returned TEXT NOT NULL DEFAULT '';"},
    {"what a relay may have queued, though it gave no answer",
     "ALTER TABLE dues ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;"},
    {"notices beside messages that take none",
     "ALTER TABLE packages ADD COLUMN notice TEXT NOT NULL DEFAULT '';"},
};

enum sp_rc sp_portal_store_open(const char *path, struct sp_store **out, struct sp_err *err)
{
    const struct sp_store_options options = {.migrations = migrations,
                                             .migration_count = SP_ARRAY_LEN(migrations),
                                             .secure_delete = true};

    return sp_store_open(path, &options, out, err);
}

static void copy_text(char *out, size_t max, struct sp_bytes text)
{
    size_t len = text.len < max - 1 ? text.len : max - 1;

    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

static void read_row(struct sp_store_query *q, struct portal_package *out)
{
    struct sp_bytes message = sp_store_blob(q, 1), key = sp_store_blob(q, 7);

    *out = (struct portal_package){0};
    copy_text(out->id, sizeof(out->id), sp_store_text(q, 0));
    if (message.len == SP_ID_LEN)
        memcpy(out->message.b, message.ptr, SP_ID_LEN);
    out->n = (uint32_t)sp_store_int(q, 2);
    copy_text(out->tenant, sizeof(out->tenant), sp_store_text(q, 3));
    copy_text(out->sender, sizeof(out->sender), sp_store_text(q, 4));
    copy_text(out->recipient, sizeof(out->recipient), sp_store_text(q, 5));
    copy_text(out->floor, sizeof(out->floor), sp_store_text(q, 6));
    out->has_key = key.len == SP_WRAPPED_LEN;
    if (out->has_key)
        memcpy(out->wrapped, key.ptr, SP_WRAPPED_LEN);
    out->len = sp_store_int(q, 8);
    out->created_ms = sp_store_int(q, 9);
    out->expires_ms = sp_store_int(q, 10);
    out->opens = sp_store_int(q, 11);
}

static enum sp_rc read_one(struct sp_store_query *q, struct portal_package *out)
{
    bool row = false;
    enum sp_rc rc = sp_store_next(q, &row, NULL);

    if (rc == SP_OK && row)
        read_row(q, out);
    sp_store_done(q);
    if (rc != SP_OK)
        return rc;
    return row ? SP_OK : SP_E_NOT_FOUND;
}

enum sp_rc sp_portal_find_message(struct sp_portal *p, const struct sp_id *message,
                                  struct sp_bytes recipient, struct portal_package *out)
{
    struct sp_store_query *q =
        sp_store_query(p->store, SELECT_PACKAGE "WHERE message = ?1 AND recipient = ?2");

    sp_store_bind_blob(q, 1, sp_bytes(message->b, SP_ID_LEN));
    sp_store_bind_text(q, 2, recipient);
    return read_one(q, out);
}

enum sp_rc sp_portal_find_token(struct sp_portal *p, struct sp_bytes token,
                                struct portal_package *out)
{
    struct sp_store_query *q = sp_store_query(p->store, SELECT_PACKAGE "WHERE token_hash = ?1");
    struct sp_portal_hash hash;

    sp_portal_hash(p, "token", token, &hash);
    sp_store_bind_blob(q, 1, sp_bytes(hash.b, sizeof(hash.b)));
    return read_one(q, out);
}

enum sp_rc sp_portal_find_id(struct sp_portal *p, struct sp_bytes id, struct portal_package *out)
{
    struct sp_store_query *q = sp_store_query(p->store, SELECT_PACKAGE "WHERE id = ?1");

    sp_store_bind_text(q, 1, id);
    return read_one(q, out);
}

bool sp_portal_is_known(struct sp_portal *p, struct sp_bytes id)
{
    struct portal_package pkg;

    return sp_portal_find_id(p, id, &pkg) != SP_E_NOT_FOUND; /* in doubt it stays */
}

enum sp_rc sp_portal_insert(struct sp_portal *p, const struct portal_package *pkg,
                            struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(p->store, "INSERT INTO packages (" COLUMNS ", token_hash)"
                                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12)");
    char token[PORTAL_SECRET_TEXT];
    struct sp_portal_hash hash;

    sp_portal_token_of(p, pkg, token);
    sp_portal_hash(p, "token", sp_bytes_cstr(token), &hash);
    sp_wipe(token, sizeof(token));
    sp_store_bind_text(q, 1, sp_bytes_cstr(pkg->id));
    sp_store_bind_blob(q, 2, sp_bytes(pkg->message.b, SP_ID_LEN));
    sp_store_bind_int(q, 3, pkg->n);
    sp_store_bind_text(q, 4, sp_bytes_cstr(pkg->tenant));
    sp_store_bind_text(q, 5, sp_bytes_cstr(pkg->sender));
    sp_store_bind_text(q, 6, sp_bytes_cstr(pkg->recipient));
    sp_store_bind_text(q, 7, sp_bytes_cstr(pkg->floor));
    sp_store_bind_blob(q, 8, sp_bytes(pkg->wrapped, SP_WRAPPED_LEN));
    sp_store_bind_int(q, 9, pkg->len);
    sp_store_bind_int(q, 10, pkg->created_ms);
    sp_store_bind_int(q, 11, pkg->expires_ms);
    sp_store_bind_blob(q, 12, sp_bytes(hash.b, sizeof(hash.b)));
    return sp_store_run(q, err);
}

enum sp_rc sp_portal_notice_set(struct sp_portal *p, const char *id, struct sp_bytes notice,
                                struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(p->store, "UPDATE packages SET notice = ?2 WHERE id = ?1");

    sp_store_bind_text(q, 1, sp_bytes_cstr(id));
    sp_store_bind_text(q, 2, notice);
    return sp_store_run(q, err);
}

enum sp_rc sp_portal_notice(struct sp_portal *p, const char *id, struct sp_buf *out)
{
    struct sp_store_query *q =
        sp_store_query(p->store, "SELECT notice FROM packages WHERE id = ?1");
    bool row = false;
    enum sp_rc rc;

    sp_store_bind_text(q, 1, sp_bytes_cstr(id));
    rc = sp_store_next(q, &row, NULL);
    if (rc == SP_OK && row)
        sp_buf_put(out, sp_store_text(q, 0));
    sp_store_done(q);
    return rc == SP_OK && !row ? SP_E_NOT_FOUND : rc;
}

static enum sp_rc insert_due(struct sp_portal *p, const char *id, enum portal_due_kind kind,
                             int64_t at_ms, struct sp_bytes name, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(p->store, "INSERT OR IGNORE INTO dues (package, word, at_ms, name, next_ms)"
                                 " VALUES (?1, ?2, ?3, ?4, ?3)");

    sp_store_bind_text(q, 1, sp_bytes_cstr(id));
    sp_store_bind_int(q, 2, kind);
    sp_store_bind_int(q, 3, at_ms);
    sp_store_bind_text(q, 4, name);
    return sp_store_run(q, err);
}

enum sp_rc sp_portal_due_insert(struct sp_portal *p, const char *id,
                                const struct sp_portal_deposit *d, struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; i < SP_PORTAL_REMIND_MAX && rc == SP_OK; i++)
        if (d->remind_at_ms[i] > 0 && d->remind_at_ms[i] < d->expires_at_ms)
            rc = insert_due(p, id, PORTAL_DUE_REMINDER, d->remind_at_ms[i], d->name, err);
    if (rc == SP_OK && d->unread_at_ms > 0)
        rc = insert_due(p, id, PORTAL_DUE_WORD, d->unread_at_ms, d->name, err);
    if (rc == SP_OK && d->report.wants != 0)
        rc = insert_due(p, id, PORTAL_DUE_REPORT, d->expires_at_ms, d->name, err);
    if (rc == SP_OK && d->report.wants != 0)
        rc = sp_portal_report_insert(p, id, d, err);
    return rc;
}

enum sp_rc sp_portal_next_due(struct sp_portal *p, struct portal_due *out)
{
    struct sp_store_query *q =
        sp_store_query(p->store, "SELECT package, word, at_ms, name, next_ms, asked FROM dues "
                                 "ORDER BY next_ms, word LIMIT 1");
    bool row = false;
    enum sp_rc rc = sp_store_next(q, &row, NULL);
    char id[SP_PORTAL_PACKAGE_MAX];

    if (rc == SP_OK && row) {
        copy_text(id, sizeof(id), sp_store_text(q, 0));
        out->kind = (enum portal_due_kind)sp_store_int(q, 1);
        out->at_ms = sp_store_int(q, 2);
        copy_text(out->name, sizeof(out->name), sp_store_text(q, 3));
        out->next_ms = sp_store_int(q, 4);
        out->asked = sp_store_int(q, 5) != 0;
    }
    sp_store_done(q);
    if (rc != SP_OK || !row)
        return rc == SP_OK ? SP_E_NOT_FOUND : rc;
    rc = sp_portal_find_id(p, sp_bytes_cstr(id), &out->package);
    if (rc != SP_E_NOT_FOUND)
        return rc;
    out->package = (struct portal_package){.opens = 1}; /* gone: owed to nobody */
    copy_text(out->package.id, sizeof(out->package.id), sp_bytes_cstr(id));
    return SP_OK;
}

enum sp_rc sp_portal_due_done(struct sp_portal *p, const struct portal_due *due)
{
    struct sp_store_query *q = NULL;

    if (due->kind == PORTAL_DUE_REPORT) {
        enum sp_rc rc = sp_portal_report_end(p, due->package.id);

        if (rc != SP_OK)
            return rc;
    }
    q = sp_store_query(p->store,
                       "DELETE FROM dues WHERE package = ?1 AND word = ?2 AND at_ms = ?3");
    sp_store_bind_text(q, 1, sp_bytes_cstr(due->package.id));
    sp_store_bind_int(q, 2, due->kind);
    sp_store_bind_int(q, 3, due->at_ms);
    return sp_store_run(q, NULL);
}

enum sp_rc sp_portal_due_asked(struct sp_portal *p, const struct portal_due *due)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "UPDATE dues SET asked = 1 WHERE package = ?1 AND word = ?2 AND at_ms = ?3");

    sp_store_bind_text(q, 1, sp_bytes_cstr(due->package.id));
    sp_store_bind_int(q, 2, due->kind);
    sp_store_bind_int(q, 3, due->at_ms);
    return sp_store_run(q, NULL);
}

enum sp_rc sp_portal_due_later(struct sp_portal *p, const struct portal_due *due, int64_t next_ms)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "UPDATE dues SET next_ms = ?4 WHERE package = ?1 AND word = ?2 AND at_ms = ?3");

    sp_store_bind_text(q, 1, sp_bytes_cstr(due->package.id));
    sp_store_bind_int(q, 2, due->kind);
    sp_store_bind_int(q, 3, due->at_ms);
    sp_store_bind_int(q, 4, next_ms);
    return sp_store_run(q, NULL);
}

/* Runs a statement whose only parameter is a package's id. */
static enum sp_rc run_for(struct sp_portal *p, const char *sql, const char *id)
{
    struct sp_store_query *q = sp_store_query(p->store, sql);

    sp_store_bind_text(q, 1, sp_bytes_cstr(id));
    return sp_store_run(q, NULL);
}

enum sp_rc sp_portal_hasten_report(struct sp_portal *p, struct sp_bytes id)
{
    struct sp_store_query *q =
        sp_store_query(p->store, "UPDATE dues SET next_ms = ?2 WHERE package = ?1 AND word = ?3"
                                 " AND next_ms > ?2");

    sp_store_bind_text(q, 1, id);
    sp_store_bind_int(q, 2, sp_portal_sure_ms(p));
    sp_store_bind_int(q, 3, PORTAL_DUE_REPORT);
    return sp_store_run(q, NULL);
}

enum sp_rc sp_portal_count_open(struct sp_portal *p, const struct portal_package *pkg)
{
    enum sp_rc rc = sp_store_begin(p->store, NULL);

    if (rc != SP_OK)
        return rc;
    rc = run_for(p, "UPDATE packages SET opens = opens + 1 WHERE id = ?1", pkg->id);
    if (rc == SP_OK)
        rc = sp_portal_hasten_report(p, sp_bytes_cstr(pkg->id));
    if (rc != SP_OK) {
        sp_store_rollback(p->store);
        return rc;
    }
    rc = sp_store_commit(p->store, NULL);
    if (rc == SP_OK)
        sp_timer_start(p->due_timer, 0);
    return rc;
}

enum sp_rc sp_portal_forget(struct sp_portal *p, const char *id)
{
    static const char *const steps[] = {"UPDATE packages SET key = NULL, notice = '' WHERE id = ?1",
                                        "DELETE FROM sessions WHERE package = ?1",
                                        "DELETE FROM challenges WHERE package = ?1"};
    enum sp_rc rc = sp_store_begin(p->store, NULL);

    if (rc != SP_OK)
        return rc;
    for (size_t i = 0; i < SP_ARRAY_LEN(steps) && rc == SP_OK; i++)
        rc = run_for(p, steps[i], id);
    if (rc != SP_OK) {
        sp_store_rollback(p->store);
        return rc;
    }
    return sp_store_commit(p->store, NULL);
}

enum sp_rc sp_portal_next_expired(struct sp_portal *p, struct portal_package *out)
{
    struct sp_store_query *q = sp_store_query(p->store, SELECT_PACKAGE
                                              "WHERE expires_ms <= ?1 AND key IS NOT NULL LIMIT 1");

    sp_store_bind_int(q, 1, sp_portal_sure_ms(p));
    return read_one(q, out);
}

enum sp_rc sp_portal_next_unreported(struct sp_portal *p, struct portal_package *out)
{
    return read_one(
        sp_store_query(p->store, SELECT_PACKAGE "WHERE key IS NULL AND reported = 0 LIMIT 1"), out);
}

enum sp_rc sp_portal_set_reported(struct sp_portal *p, const char *id)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "DELETE FROM packages WHERE key IS NULL AND reported = 1 AND expires_ms < ?1");

    sp_store_bind_int(q, 1, sp_portal_sure_ms(p) - FORGET_AFTER_MS);
    if (sp_store_run(q, NULL) != SP_OK)
        sp_log_warn(p->o.log, "portal.tidy-failed");
    return run_for(p, "UPDATE packages SET reported = 1 WHERE id = ?1", id);
}

bool sp_portal_is_live(struct sp_portal *p, const struct portal_package *pkg)
{
    return pkg->has_key && sp_portal_sure_ms(p) < pkg->expires_ms;
}
