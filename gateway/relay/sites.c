/*
 * queue.sites: where mail goes and what holds it up. The board is the engine's (delivery/board.c); here it is made in turns, beside
 * the mail.
 */
#include "gateway/relay/command.h"

struct sites {
    struct relay_task task;
    struct sp_delivery_board *board;
};

static bool step(struct relay_task *task)
{
    struct sites *s = (struct sites *)task;

    if (relay_delivery_step_board(task->relay, s->board))
        return true;
    relay_reply_json(task->q.job, SP_OK, sp_delivery_board_json(s->board));
    return false;
}

static void clear(struct relay_task *task)
{
    sp_delivery_board_free(((struct sites *)task)->board);
}

void relay_sites(struct relay *r, const struct relay_question *q)
{
    struct sites *s = sp_calloc(1, sizeof(*s));

    s->task.step = step;
    s->task.clear = clear;
    s->board = sp_delivery_board_new(RELAY_REPLY_MAX);
    relay_task_start(&s->task, r, q);
}
