/*
 * The administrator's commands. What changes the store is told to the ledger first and done when that is durable: no key
 * is ever in use that the audit does not know. If the ledger can't take it, nothing has happened and the command fails.
 */
#include "gateway/keeper/keeper.h"

#include "base/mem.h"
#include "base/text.h"
#include "jobs/act.h"
#include "jobs/command.h"
#include "keys/command.h"

#define ACT_TIMEOUT_MS 10000

struct pending {
    struct keeper *keeper;
    struct sp_jobs_job *job;
    struct sp_keys_command *command;
};

static void reply_json(struct sp_jobs_job *job, enum sp_rc rc, struct sp_bytes json)
{
    struct sp_jobs_command_reply reply = {.json = json};
    struct sp_buf out;

    sp_buf_init(&out, SP_JOBS_COMMAND_MAX + 64);
    sp_jobs_command_reply_encode(&out, &reply);
    if (sp_buf_rc(&out) != SP_OK)
        sp_jobs_job_reply(job, SP_E_LIMIT, SP_LIT(""), NULL, 0);
    else
        sp_jobs_job_reply(job, rc, sp_buf_bytes(&out), NULL, 0);
    sp_buf_clear(&out);
}

static void reply_error(struct sp_jobs_job *job, enum sp_rc rc, const struct sp_err *err)
{
    struct sp_buf out;
    struct sp_jw w;

    sp_buf_init(&out, 4096);
    sp_jw_init(&w, &out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "error", sp_rc_name(rc));
    sp_jw_cstr(&w, "detail", err->text);
    sp_jw_end(&w);
    reply_json(job, rc, sp_buf_bytes(&out));
    sp_buf_clear(&out);
}

static void finish(struct pending *p, enum sp_rc rc, const struct sp_err *recorded)
{
    struct sp_err err = *recorded;
    struct sp_buf out;

    sp_buf_init(&out, SP_KEYS_COMMAND_REPLY_MAX - 1024);
    if (rc == SP_OK)
        rc = sp_keys_command_run(p->command, &out, &err);
    if (rc == SP_OK)
        reply_json(p->job, SP_OK, sp_buf_bytes(&out));
    else
        reply_error(p->job, rc, &err);
    sp_buf_clear(&out);
    sp_keys_command_free(p->command);
    sp_free(p);
}

static void on_recorded(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct pending *p = arg;
    struct keeper *k = p->keeper;
    struct sp_err err = {0};

    (void)reply;
    if (rc != SP_OK)
        sp_fail(&err, rc, "the audit could not record it; nothing was changed");
    finish(p, rc, &err);
    k->commands--;
    keeper_maybe_stopped(k);
}

static void record(struct pending *p, struct sp_bytes event)
{
    struct sp_jobs_act_request act = {.event = event};
    struct sp_err err = {0};
    struct sp_buf out;

    sp_buf_init(&out, SP_JOBS_ACT_MAX + 64);
    sp_jobs_act_request_encode(&out, &act);
    if (sp_buf_rc(&out) != SP_OK) {
        sp_fail(&err, SP_E_LIMIT, "the audit event is too long");
        finish(p, SP_E_LIMIT, &err);
    } else {
        p->keeper->commands++;
        sp_jobs_call(p->keeper->jobs,
                     &(struct sp_jobs_request){.role = SP_ROLE_LEDGER,
                                               .index = SP_JOBS_ANY,
                                               .type = SP_JOBS_ACT,
                                               .payload = sp_buf_bytes(&out),
                                               .timeout_ms = ACT_TIMEOUT_MS,
                                               .wait_for_peer = true},
                     on_recorded, p);
    }
    sp_buf_clear(&out);
}

void keeper_on_command(void *arg, struct sp_jobs_job *job)
{
    struct keeper *k = arg;
    struct sp_keys_command_env env = {.anchors = sp_role_file(k->role, "secret/keeper.smime_ca"),
                                      .scratch_dir = sp_role_dir(k->role),
                                      .now_ms = keeper_now_ms(k)};
    struct sp_jobs_command_request request;
    struct sp_keys_command *command = NULL;
    struct sp_err err = {0};
    struct pending *p;
    enum sp_rc rc = sp_jobs_command_request_decode(sp_jobs_job_payload(job), &request);

    if (rc != SP_OK)
        sp_fail(&err, rc, "the request is malformed");
    else
        rc = sp_keys_command_new(k->keys, &env, request.json, request.actor, &command, &err);
    if (rc != SP_OK) {
        reply_error(job, rc, &err);
        return;
    }
    p = sp_calloc(1, sizeof(*p));
    *p = (struct pending){k, job, command};
    if (sp_keys_command_event(command).len == 0)
        finish(p, SP_OK, &err);
    else
        record(p, sp_keys_command_event(command));
}
