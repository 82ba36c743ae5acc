/*
 * Questions whose answer takes longer than a turn of the loop may: with a million messages a page of a list is a tenth of a second,
 * and all mail shares the loop. Each such question is a task that does a share of its work a turn, and replies in its last.
 */
#include "gateway/relay/command.h"

#include "jobs/command.h"

static void end(struct relay_task *t)
{
    sp_list_remove(&t->at);
    sp_timer_free(t->next);
    t->clear(t);
    sp_json_doc_free(t->doc);
    sp_free(t);
}

static void on_turn(void *arg)
{
    struct relay_task *t = arg;

    if (!sp_jobs_job_is_wanted(t->q.job)) {
        relay_reply_error(t->q.job, SP_E_JOB_DEADLINE, "nobody waits for it any more");
        end(t);
    } else if (t->step(t)) {
        sp_timer_start(t->next, 0);
    } else {
        end(t);
    }
}

void relay_task_start(struct relay_task *t, struct relay *r, const struct relay_question *q)
{
    struct sp_jobs_command_request request;

    /* the question is lent for the call, what it was read from stays until the reply */
    sp_assert(sp_jobs_command_request_decode(sp_jobs_job_payload(q->job), &request) == SP_OK);
    sp_assert(sp_json_parse(request.json, NULL, &t->doc, NULL) == SP_OK);
    t->q =
        (struct relay_question){.ask = sp_json_root(t->doc), .actor = request.actor, .job = q->job};
    t->relay = r;
    sp_list_append(&r->tasks, &t->at);
    t->next = sp_timer_new(r->loop, on_turn, t);
    sp_timer_start(t->next, 0);
}

void relay_command_cancel(struct relay *r)
{
    SP_LIST_EACH(at, &r->tasks)
    {
        end(SP_CONTAINER(at, struct relay_task, at));
    }
}
