/*
 * preference.set, preference.removed: what a recipient has said about mail to it, put on record before the command line
 * puts it into the registry; and that this failed then.
 */
#include "base/text.h"
#include "gateway/ledger/ledger.h"

#define ADDRESS_MAX 320
#define ENTRY_MAX   8192

/* change: NULL: what the record before says did not come about */
static enum sp_rc say(struct ledger *l, const struct ledger_question *q, const char *change,
                      struct sp_err *err)
{
    struct sp_bytes entry = sp_json_text_of(q->ask, "entry");
    struct sp_buf text, canonical;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&canonical, ENTRY_MAX);
    rc = sp_json_canonicalise(entry, &canonical, err);
    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    if (change == NULL) {
        sp_jw_cstr(&w, "event", "admin.acted");
        sp_jw_cstr(&w, "act", "preference");
        sp_jw_cstr(&w, "failed", "output");
    } else {
        sp_jw_cstr(&w, "event", "preference.changed");
        sp_jw_cstr(&w, "change", change);
    }
    sp_jw_text(&w, "recipient", sp_json_text_of(q->ask, "address"));
    sp_jw_raw(&w, "entry", sp_buf_bytes(&canonical));
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    sp_jw_text(&w, "reason", sp_json_text_of(q->ask, "reason"));
    ledger_request_put(q, &w);
    sp_jw_end(&w);
    if (rc == SP_OK)
        rc = sp_audit_book_say(l->book, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    sp_buf_clear(&canonical);
    return rc == SP_OK ? sp_audit_book_commit(l->book, err) : rc;
}

static void change(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q,
                   const char *what)
{
    struct sp_bytes address = sp_json_text_of(q->ask, "address");
    struct sp_err err = {0};
    enum sp_rc rc = SP_E_USAGE;

    if (ledger_request_is_done(l, q)) {
        ledger_reply_json(job, SP_OK, SP_LIT("{\"done\":true}"));
        return;
    }
    if (address.len > 0 && address.len <= ADDRESS_MAX &&
        sp_json_text_of(q->ask, "entry").len <= ENTRY_MAX &&
        sp_bytes_trim(sp_json_text_of(q->ask, "reason")).len > 0)
        rc = say(l, q, what, &err);
    if (rc == SP_E_STORE_FAILED)
        sp_role_fail(l->role, &err);
    ledger_tail_poke(l);
    if (rc == SP_OK)
        ledger_request_done(l, q);
    if (rc == SP_OK)
        ledger_reply_json(job, SP_OK, SP_LIT("{\"done\":true}"));
    else
        ledger_reply_error(job, rc,
                           rc == SP_E_USAGE ? "address, entry and reason are needed" : err.text);
}

void ledger_preference_set(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q)
{
    change(l, job, q, "set");
}

void ledger_preference_removed(struct ledger *l, struct sp_jobs_job *job,
                               const struct ledger_question *q)
{
    change(l, job, q, "removed");
}

void ledger_preference_failed(struct ledger *l, struct sp_jobs_job *job,
                              const struct ledger_question *q)
{
    change(l, job, q, NULL);
}
