/*
 * policy.propose, policy.approve, policy.proposals: the two persons of a policy. The question's actor is the kernel's word.
 */
#include "base/text.h"
#include "gateway/ledger/ledger.h"

#include "audit/policies.h"

#define REPLY_MAX ((size_t)1 << 20)

static void put_time(struct sp_jw *w, const char *key, int64_t ms)
{
    char time[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(ms, time);
    sp_jw_cstr(w, key, ms == 0 ? NULL : time);
}

static void put_members(struct sp_jw *w, const struct sp_audit_approval *a)
{
    sp_jw_text(w, "policy", a->hash);
    sp_jw_text(w, "proposed_by", a->proposed_by);
    put_time(w, "proposed", a->proposed_at_ms);
    sp_jw_text(w, "reason", a->reason);
    sp_jw_text(w, "approved_by", a->approved_by);
    put_time(w, "approved", a->approved_at_ms);
}

static void put_one(void *arg, const struct sp_audit_approval *a)
{
    put_members(arg, a);
}

static void put_listed(void *arg, const struct sp_audit_approval *a)
{
    struct sp_jw *w = arg;

    if (w->out->len > REPLY_MAX / 2)
        return;
    sp_jw_object(w, NULL);
    put_members(w, a);
    sp_jw_end(w);
}

static void vote(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q,
                 enum sp_rc (*cast)(struct sp_audit_book *b, const struct sp_audit_vote *vote,
                                    struct sp_err *err))
{
    struct sp_audit_vote v = {.hash = sp_json_text_of(q->ask, "policy"),
                              .actor = q->actor,
                              .reason = sp_json_text_of(q->ask, "reason")};
    struct sp_err err = {0};
    struct sp_buf json;
    struct sp_jw w;
    enum sp_rc rc = cast(l->book, &v, &err);

    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    if (rc == SP_OK)
        rc = sp_audit_book_approvals(l->book, v.hash, put_one, &w, &err);
    sp_jw_end(&w);
    if (rc == SP_E_STORE_FAILED)
        sp_role_fail(l->role, &err);
    if (rc == SP_OK)
        ledger_reply_json(job, sp_buf_rc(&json), sp_buf_bytes(&json));
    else
        ledger_reply_error(job, rc, err.text);
    sp_buf_clear(&json);
    ledger_tail_poke(l);
}

void ledger_policy_propose(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q)
{
    vote(l, job, q, sp_audit_book_propose);
}

void ledger_policy_approve(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q)
{
    vote(l, job, q, sp_audit_book_approve);
}

void ledger_policy_proposals(struct ledger *l, struct sp_jobs_job *job,
                             const struct ledger_question *q)
{
    struct sp_err err = {0};
    struct sp_buf json;
    struct sp_jw w;
    enum sp_rc rc;

    (void)q;
    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "proposals");
    rc = sp_audit_book_approvals(l->book, SP_LIT(""), put_listed, &w, &err);
    sp_jw_end(&w);
    sp_jw_end(&w);
    if (rc == SP_OK)
        ledger_reply_json(job, sp_buf_rc(&json), sp_buf_bytes(&json));
    else
        ledger_reply_error(job, rc, err.text);
    sp_buf_clear(&json);
}
