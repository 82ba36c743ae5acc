/*
 * message.recall: a sender takes a message back. Only the relay that owns it can do that, and relays have no channel to
 * each other; so the one that was asked asks the ledger, and the ledger asks them all. One that has the message and still
 * holds it says so; if none does, it was too late. What stands in the audit is the owner's own line.
 */
#include "base/text.h"
#include "gateway/ledger/ledger.h"
#include "jobs/command.h"

#define ASK_MS       10000
#define QUESTION_MAX 4096
#define PAYLOAD_MAX  16384

struct recall {
    struct sp_jobs_job *job;
    unsigned open;
    enum sp_rc rc; /* the best answer so far */
};

static void end_one(struct recall *r)
{
    if (--r->open > 0)
        return;
    if (r->rc == SP_OK)
        ledger_reply_json(r->job, SP_OK, SP_LIT("{\"done\":\"recall\"}"));
    else
        ledger_reply_error(r->job, r->rc, "nothing of it waits any more");
    sp_free(r);
}

/* Done beats not known, which beats not there: who is not told "too late" asks again. */
static void on_answer(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct recall *r = arg;

    (void)reply;
    if (rc == SP_OK || (rc != SP_E_NOT_FOUND && r->rc == SP_E_NOT_FOUND))
        r->rc = r->rc == SP_OK ? SP_OK : rc;
    end_one(r);
}

static void put_question(const struct ledger_question *q, struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", "queue.recall");
    sp_jw_text(&w, "message", sp_json_text_of(q->ask, "message"));
    sp_jw_text(&w, "reason", sp_json_text_of(q->ask, "reason"));
    sp_jw_end(&w);
}

void ledger_recall(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct sp_jobs_command_request request = {.actor = q->actor};
    struct recall *r = sp_calloc(1, sizeof(*r));
    struct sp_buf question, payload;
    unsigned index;
    size_t at = 0;

    *r = (struct recall){.job = job, .open = 1, .rc = SP_E_NOT_FOUND};
    sp_buf_init(&question, QUESTION_MAX);
    sp_buf_init(&payload, PAYLOAD_MAX);
    put_question(q, &question);
    request.json = sp_buf_bytes(&question);
    sp_jobs_command_request_encode(&payload, &request);
    while (sp_buf_rc(&payload) == SP_OK && sp_jobs_peer_next(l->jobs, SP_ROLE_RELAY, &at, &index)) {
        struct sp_jobs_request call = {.role = SP_ROLE_RELAY,
                                       .index = index,
                                       .type = SP_JOBS_COMMAND,
                                       .payload = sp_buf_bytes(&payload),
                                       .timeout_ms = ASK_MS};

        r->open++;
        sp_jobs_call(l->jobs, &call, on_answer, r);
    }
    sp_buf_clear(&question);
    sp_buf_clear(&payload);
    end_one(r);
}
