/*
 * What the command line asks of the ledger: audit.status, audit.prove, message.show (all lines of one message); what it
 * remembers of domains is told by remembered.c. A question about a message that nobody has heard of is not-found, not an empty answer.
 */
#include "gateway/ledger/ledger.h"

#include "base/text.h"
#include "jobs/command.h"

#define REPLY_MAX   SP_JOBS_COMMAND_MAX
#define PAYLOAD_MAX (SP_JOBS_COMMAND_MAX + 64)

void ledger_reply_json(struct sp_jobs_job *job, enum sp_rc rc, struct sp_bytes json)
{
    struct sp_jobs_command_reply reply = {.json = json};
    struct sp_buf out;

    sp_buf_init(&out, PAYLOAD_MAX);
    sp_jobs_command_reply_encode(&out, &reply);
    sp_jobs_job_reply(job, sp_buf_rc(&out) == SP_OK ? rc : SP_E_LIMIT, sp_buf_bytes(&out), NULL, 0);
    sp_buf_clear(&out);
}

void ledger_reply_error(struct sp_jobs_job *job, enum sp_rc rc, const char *text)
{
    struct sp_buf json;
    struct sp_jw w;

    sp_buf_init(&json, 4096);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "error", sp_rc_name(rc));
    sp_jw_cstr(&w, "detail", text);
    sp_jw_end(&w);
    ledger_reply_json(job, rc, sp_buf_bytes(&json));
    sp_buf_clear(&json);
}

static void put_shards(struct ledger *l, struct sp_jw *w)
{
    uint64_t behind = 0;

    sp_jw_array(w, "shards");
    SP_LIST_EACH(node, &l->shards)
    {
        struct shard *s = SP_CONTAINER(node, struct shard, link);
        struct sp_journal_cursor at = sp_journal_reader_cursor(s->reader);

        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "shard", s->name);
        sp_jw_int(w, "segment", (int64_t)at.segment);
        sp_jw_int(w, "offset", (int64_t)at.offset);
        sp_jw_int(w, "behind", (int64_t)sp_journal_reader_behind(s->reader));
        behind += sp_journal_reader_behind(s->reader);
        sp_jw_end(w);
    }
    sp_jw_end(w);
    sp_jw_int(w, "behind_bytes", (int64_t)behind);
}

static void on_status(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct sp_audit_book_status status = sp_audit_book_status(l->book);
    char time[SP_TIME_TEXT_MAX];
    struct sp_buf json;
    struct sp_buf head;
    struct sp_jw w;

    (void)q;
    sp_buf_init(&json, REPLY_MAX);
    sp_buf_init(&head, 128);
    sp_digest_format(&status.head, &head);
    sp_time_format_rfc3339(status.checkpoint_ms, time);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "node", l->node);
    sp_jw_cstr(&w, "file", l->file);
    sp_jw_cstr(&w, "key", l->signer.key.id);
    sp_jw_int(&w, "last_seq", (int64_t)status.last_seq);
    sp_jw_text(&w, "head", sp_buf_bytes(&head));
    sp_jw_int(&w, "checkpoint_seq", (int64_t)status.checkpoint_seq);
    sp_jw_cstr(&w, "checkpoint_time", status.checkpoint_seq == 0 ? NULL : time);
    sp_jw_int(&w, "unsigned", (int64_t)status.unsigned_lines);
    sp_jw_int(&w, "bytes", (int64_t)status.file_len);
    sp_jw_int(&w, "waiting_bytes", (int64_t)status.waiting_len);
    put_shards(l, &w);
    sp_jw_end(&w);
    ledger_reply_json(job, sp_buf_rc(&json), sp_buf_bytes(&json));
    sp_buf_clear(&head);
    sp_buf_clear(&json);
}

static enum sp_rc put_records(struct ledger *l, const struct sp_audit_message *m, struct sp_jw *w)
{
    struct sp_buf line;
    enum sp_rc rc = SP_OK;

    sp_buf_init(&line, SP_AUDIT_LINE_MAX);
    for (uint32_t i = 0; i < m->place_count && rc == SP_OK; i++) {
        sp_buf_reset(&line);
        rc = sp_audit_book_line(l->book, &m->places[i], &line);
        if (rc == SP_OK)
            sp_jw_raw(w, NULL, sp_buf_bytes(&line));
    }
    sp_buf_clear(&line);
    return rc;
}

static void on_show(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    const struct sp_audit_message *m = NULL;
    struct sp_err err = {0};
    struct sp_buf json;
    struct sp_jw w;
    struct sp_id id;
    enum sp_rc rc;

    if (!sp_id_parse(sp_json_text_of(q->ask, "message"), &id)) {
        ledger_reply_error(job, SP_E_USAGE, "message: no message id");
        return;
    }
    if (!ledger_old_ready(l, job, &id, 1, ledger_command))
        return;
    rc = sp_audit_book_message(l->book, &id, &m, &err);
    if (rc != SP_OK || m == NULL) {
        ledger_reply_error(job, rc == SP_OK ? SP_E_NOT_FOUND : rc, "no audit record of it");
        return;
    }
    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_id(&w, "message", id.b);
    sp_jw_bool(&w, "settled", m->settled_seq != 0);
    sp_jw_array(&w, "records");
    rc = put_records(l, m, &w);
    sp_jw_end(&w);
    sp_jw_end(&w);
    if (rc == SP_OK)
        rc = sp_buf_rc(&json);
    if (rc == SP_OK)
        ledger_reply_json(job, rc, sp_buf_bytes(&json));
    else
        ledger_reply_error(job, rc, "its audit records can't be read");
    sp_buf_clear(&json);
}

static void on_prove(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct sp_id id;

    if (sp_id_parse(sp_json_text_of(q->ask, "message"), &id))
        ledger_prove(l, job, &id, q->actor);
    else
        ledger_reply_error(job, SP_E_USAGE, "message: no message id");
}

static void on_facts(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct sp_id id;
    bool one = sp_id_parse(sp_json_text_of(q->ask, "message"), &id);
    struct sp_bytes policy = sp_json_text_of(q->ask, "policy");

    if (!one && sp_json_find(q->ask, "message") != NULL) {
        ledger_reply_error(job, SP_E_USAGE, "message: no message id");
        return;
    }
    if (policy.len > 0) {
        ledger_facts_policy(l, job, policy, q->actor);
        return;
    }
    ledger_facts(l, job, one ? &id : NULL, sp_json_int_of(q->ask, "days", 0), q->actor);
}

static const struct {
    const char *name;
    void (*run)(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q);
} commands[] = {
    {"audit.address", ledger_pseudonym_tell},
    {"audit.facts", on_facts},
    {"audit.note", ledger_note},
    {"audit.status", on_status},
    {"audit.prove", on_prove},
    {"audit.reveal", ledger_pseudonym_reveal},
    {"message.recall", ledger_recall},
    {"message.show", on_show},
    {"message.trace", ledger_trace},
    {"posture.list", ledger_posture_list},
    {"posture.accept", ledger_posture_accept},
    {"posture.forget", ledger_posture_forget},
    {"suppression.list", ledger_suppress_list},
    {"suppression.add", ledger_suppress_add},
    {"suppression.remove", ledger_suppress_remove},
    {"preference.set", ledger_preference_set},
    {"preference.removed", ledger_preference_removed},
    {"preference.failed", ledger_preference_failed},
    {"preference.own", ledger_wishes_list},
    {"preference.forget", ledger_wishes_forget},
    {"policy.propose", ledger_policy_propose},
    {"policy.approve", ledger_policy_approve},
    {"policy.proposals", ledger_policy_proposals},
    {"tlsrpt.show", ledger_tlsrpt_show},
};

void ledger_command(void *arg, struct sp_jobs_job *job)
{
    struct ledger *l = arg;
    struct sp_jobs_command_request request;
    SP_AUTO(sp_json_doc) doc = NULL;
    struct ledger_question q;
    struct sp_bytes name;

    if (sp_jobs_command_request_decode(sp_jobs_job_payload(job), &request) != SP_OK ||
        sp_json_parse(request.json, NULL, &doc, NULL) != SP_OK) {
        ledger_reply_error(job, SP_E_MALFORMED, "no command");
        return;
    }
    q = (struct ledger_question){.ask = sp_json_root(doc), .actor = request.actor};
    name = sp_json_text_of(q.ask, "command");
    for (size_t i = 0; i < SP_ARRAY_LEN(commands); i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(commands[i].name))) {
            commands[i].run(l, job, &q);
            return;
        }
    }
    ledger_reply_error(job, SP_E_UNSUPPORTED, "no such command");
}

void ledger_command_serve(struct ledger *l)
{
    sp_jobs_serve(l->jobs, SP_JOBS_COMMAND, ledger_command, l);
}
