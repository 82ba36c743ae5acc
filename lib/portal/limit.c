/*
 * Counters with a window, in the database, so that a restart forgives nothing. A clock that was set back ends a window
 * instead of stretching it over years. What can't be counted is not allowed.
 */
#include "portal/portal_priv.h"

static enum sp_rc read_count(struct sp_portal *p, const char *what,
                             const struct sp_portal_hash *subject, int64_t *since, int64_t *count)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "SELECT since_ms, count FROM limits WHERE what = ?1 AND subject = ?2");
    bool row = false;
    enum sp_rc rc;

    sp_store_bind_text(q, 1, sp_bytes_cstr(what));
    sp_store_bind_blob(q, 2, sp_bytes(subject->b, sizeof(subject->b)));
    rc = sp_store_next(q, &row, NULL);
    *since = rc == SP_OK && row ? sp_store_int(q, 0) : 0;
    *count = rc == SP_OK && row ? sp_store_int(q, 1) : 0;
    sp_store_done(q);
    return rc;
}

bool sp_portal_limit_take(struct sp_portal *p, const char *what, struct sp_bytes subject,
                          int64_t window_ms, int64_t max)
{
    struct sp_store_query *q;
    struct sp_portal_hash hash;
    int64_t now = sp_clock_wall_ms(p->o.clock), since, count;

    sp_portal_hash(p, "limit", subject, &hash); /* no address stands in the table */
    if (read_count(p, what, &hash, &since, &count) != SP_OK)
        return false;
    if (now < since || now - since >= window_ms) {
        since = now;
        count = 0;
    }
    if (count >= max)
        return false;
    q = sp_store_query(p->store, "INSERT INTO limits (what, subject, since_ms, until_ms, count)"
                                 " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE"
                                 " SET since_ms = ?3, until_ms = ?4, count = ?5");
    sp_store_bind_text(q, 1, sp_bytes_cstr(what));
    sp_store_bind_blob(q, 2, sp_bytes(hash.b, sizeof(hash.b)));
    sp_store_bind_int(q, 3, since);
    sp_store_bind_int(q, 4, since + window_ms);
    sp_store_bind_int(q, 5, count + 1);
    return sp_store_run(q, NULL) == SP_OK;
}

void sp_portal_limit_tidy(struct sp_portal *p)
{
    struct sp_store_query *q = sp_store_query(p->store, "DELETE FROM limits WHERE until_ms < ?1");

    sp_store_bind_int(q, 1, sp_clock_wall_ms(p->o.clock));
    if (sp_store_run(q, NULL) != SP_OK)
        sp_log_warn(p->o.log, "portal.tidy-failed");
}
