/*
 * What an administrator's command has done without the gateway's help, told by the command itself: a backup that is whole, an
 * upgrade that is asked for. Nothing else can be said so.
 *
 *     {"command": "audit.note", "what": "backup", "folder": PATH, "messages": TEXT} -> {"noted": "backup"}
 *     {"command": "audit.note", "what": "upgrade"}                                  -> {"noted": "upgrade"}
 */
#include "gateway/ledger/ledger.h"

#include "base/text.h"

static void put_event(const struct ledger_question *q, bool is_backup, struct sp_buf *out)
{
    uint64_t messages = 0;
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", is_backup ? "backup.made" : "admin.acted");
    if (!is_backup)
        sp_jw_cstr(&w, "act", "upgrade");
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    if (is_backup) {
        sp_jw_text(&w, "folder", sp_json_text_of(q->ask, "folder"));
        if (sp_bytes_to_u64(sp_json_text_of(q->ask, "messages"), &messages))
            sp_jw_int(&w, "messages", (int64_t)messages);
    }
    sp_jw_end(&w);
}

void ledger_note(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct sp_bytes what = sp_json_text_of(q->ask, "what");
    bool is_backup = sp_bytes_eq(what, SP_LIT("backup"));
    struct sp_err err = {0};
    struct sp_buf text, json;
    struct sp_jw w;
    enum sp_rc rc;

    if (!is_backup && !sp_bytes_eq(what, SP_LIT("upgrade"))) {
        ledger_reply_error(job, SP_E_USAGE, "what: backup or upgrade");
        return;
    }
    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    put_event(q, is_backup, &text);
    rc = sp_audit_book_say(l->book, sp_buf_bytes(&text), &err);
    sp_buf_clear(&text);
    if (rc == SP_OK)
        rc = sp_audit_book_commit(l->book, &err);
    if (rc != SP_OK && rc != SP_E_MALFORMED)
        sp_role_fail(l->role, &err);
    if (rc != SP_OK) {
        ledger_reply_error(job, rc, err.text);
        return;
    }
    sp_buf_init(&json, 256);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_text(&w, "noted", what);
    sp_jw_end(&w);
    ledger_reply_json(job, sp_buf_rc(&json), sp_buf_bytes(&json));
    sp_buf_clear(&json);
}
