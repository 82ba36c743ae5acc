/*
 * The administrator's commands. What changes the store is told to the ledger first and done when that is durable: no key
 * is ever in use that the audit does not know. If the ledger can't take it, nothing has happened and the command fails. If the store
 * fails then, the ledger is told that, too.
 */
#include "gateway/keeper/keeper.h"

#include <stdio.h>

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
    bool is_recorded;
    enum sp_rc rc; /* why it failed */
    struct sp_err err;
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

static void tell_ledger(struct keeper *k, struct sp_bytes event, sp_jobs_done_fn done, void *arg)
{
    struct sp_jobs_act_request act = {.event = event};
    struct sp_buf out;

    sp_buf_init(&out, SP_JOBS_ACT_MAX + 64);
    sp_jobs_act_request_encode(&out, &act);
    k->commands++;
    sp_jobs_call(k->jobs,
                 &(struct sp_jobs_request){.role = SP_ROLE_LEDGER,
                                           .index = SP_JOBS_ANY,
                                           .type = SP_JOBS_ACT,
                                           .payload = sp_buf_bytes(&out),
                                           .timeout_ms = ACT_TIMEOUT_MS,
                                           .wait_for_peer = true},
                 done, arg);
    sp_buf_clear(&out);
}

static void end(struct pending *p)
{
    sp_keys_command_free(p->command);
    sp_free(p);
}

static void on_failure_recorded(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct pending *p = arg;
    struct keeper *k = p->keeper;

    (void)reply;
    if (rc != SP_OK) {
        char why[SP_ERR_TEXT_MAX];

        (void)snprintf(why, sizeof(why), "%s", p->err.text);
        sp_fail(&p->err, p->rc, "%s; the audit has it as done", why);
    }
    reply_error(p->job, p->rc, &p->err);
    end(p);
    k->commands--;
    keeper_maybe_stopped(k);
}

/* What is on record, and then failed, is put on record as failed before that is answered. */
static void fail(struct pending *p)
{
    struct sp_buf event;

    sp_buf_init(&event, SP_JOBS_ACT_MAX);
    if (p->is_recorded)
        sp_keys_command_failed(p->command, p->rc, &event);
    if (event.len > 0) {
        tell_ledger(p->keeper, sp_buf_bytes(&event), on_failure_recorded, p);
    } else {
        reply_error(p->job, p->rc, &p->err);
        end(p);
    }
    sp_buf_clear(&event);
}

static void run(struct pending *p)
{
    struct sp_buf out;

    sp_buf_init(&out, SP_KEYS_COMMAND_REPLY_MAX - 1024);
    p->rc = sp_keys_command_run(p->command, &out, &p->err);
    if (p->rc == SP_OK) {
        reply_json(p->job, SP_OK, sp_buf_bytes(&out));
        end(p);
    } else {
        fail(p);
    }
    sp_buf_clear(&out);
}

static void on_recorded(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct pending *p = arg;
    struct keeper *k = p->keeper;

    (void)reply;
    if (rc != SP_OK) {
        p->rc = sp_fail(&p->err, rc, "the audit could not record it; nothing was changed");
        fail(p);
    } else {
        p->is_recorded = true;
        run(p);
    }
    k->commands--;
    keeper_maybe_stopped(k);
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
    *p = (struct pending){.keeper = k, .job = job, .command = command};
    if (sp_keys_command_event(command).len == 0)
        run(p);
    else
        tell_ledger(k, sp_keys_command_event(command), on_recorded, p);
}
