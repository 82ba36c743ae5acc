/*
 * Questions whose answer takes longer than a turn of the loop may: with a million messages a page of a list is a tenth of a second,
 * and all mail shares the loop. Each such question is a task that does a share of its work a turn, and replies in its last. The share is
 * a time, not a step: where mail makes turns long, a thousand steps of one a turn would outlast who asks. Few are under way at a
 * time, the others wait as questions: what they gather is memory, and their shares of a turn add up.
 */
#include "gateway/relay/command.h"

#include "jobs/command.h"

#define UNDER_WAY_MAX 4
#define SHARE_MS      2

/* Lets those run whose turn it is: the first of all, in the order in which they came. */
static void run_first(const struct relay *r)
{
    size_t under_way = 0;

    for (struct sp_list *at = r->tasks.next; at != &r->tasks && under_way < UNDER_WAY_MAX;
         at = at->next, under_way++) {
        struct relay_task *t = SP_CONTAINER(at, struct relay_task, at);

        if (!sp_timer_is_running(t->next))
            sp_timer_start(t->next, 0);
    }
}

static void end(struct relay_task *t)
{
    sp_list_remove(&t->at);
    sp_timer_free(t->next);
    t->clear(t);
    sp_json_doc_free(t->doc);
    sp_free(t);
}

/* returns: whether there is more to do */
static bool do_share(struct relay_task *t)
{
    const struct sp_clock *clock = sp_loop_clock(t->relay->loop);
    int64_t end_ms = sp_clock_mono_ms(clock) + SHARE_MS;
    bool more = t->step(t);

    while (more && sp_clock_mono_ms(clock) < end_ms)
        more = t->step(t);
    return more;
}

static void on_turn(void *arg)
{
    struct relay_task *t = arg;
    const struct relay *r = t->relay;

    if (!sp_jobs_job_is_wanted(t->q.job)) {
        relay_reply_error(t->q.job, SP_E_JOB_DEADLINE, "nobody waits for it any more");
        end(t);
    } else if (!do_share(t)) {
        end(t);
    }
    run_first(r);
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
    run_first(r);
}

void relay_command_cancel(struct relay *r)
{
    SP_LIST_EACH(at, &r->tasks)
    {
        end(SP_CONTAINER(at, struct relay_task, at));
    }
}
