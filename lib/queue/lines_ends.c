/*
 * Whose own time ends while they stand in line. What waits for a rate, a connection or a crowd stands in a line that is shut or
 * moves slowly, and nobody looks at it there: its sender would hear, or its next rung be taken, only when its turn comes. So each
 * line has a heap of these ends, and one heap over such lines tells which is first; freezing a line takes it out of that one.
 */
#include "queue/lines_priv.h"

void sp_lines_set_ends(struct sp_lines *l, struct sp_line *line)
{
    const struct sp_heap_node *first = sp_heap_first(&line->ends);

    if (first == NULL || line->is_frozen)
        sp_heap_remove(&l->ends, &line->ends_node);
    else
        sp_heap_put(&l->ends, &line->ends_node,
                    first->key > line->spared_ms ? first->key : line->spared_ms);
}

void sp_lines_end_comes(struct sp_lines *l, struct sp_line_item *i)
{
    sp_heap_node_init(&i->end);
    if (i->end_ms == 0)
        return;
    sp_heap_put(&i->line->ends, &i->end, i->end_ms);
    sp_lines_set_ends(l, i->line);
}

void sp_lines_end_goes(struct sp_lines *l, struct sp_line_item *i)
{
    if (i->end_ms == 0)
        return;
    sp_heap_remove(&i->line->ends, &i->end);
    sp_lines_set_ends(l, i->line);
}

void sp_lines_end_at(struct sp_lines *l, struct sp_line_item *i, int64_t end_ms)
{
    if (i->end_ms == end_ms)
        return;
    if (i->stands == READY)
        sp_lines_end_goes(l, i);
    i->end_ms = end_ms;
    if (i->stands == READY)
        sp_lines_end_comes(l, i);
}

struct sp_line_item *sp_lines_ended(struct sp_lines *l, int64_t now_ms)
{
    struct sp_heap_node *first;
    struct sp_line *line;

    sp_lines_move_due(l, now_ms);
    first = sp_heap_first(&l->ends);
    if (first == NULL || first->key > now_ms)
        return NULL;
    l->steps++;
    line = SP_CONTAINER(first, struct sp_line, ends_node);
    return SP_CONTAINER(sp_heap_first(&line->ends), struct sp_line_item, end);
}

int64_t sp_line_spared_until(const struct sp_line *line)
{
    return line->spared_ms;
}

int64_t sp_lines_ends_at(const struct sp_lines *l)
{
    const struct sp_heap_node *first = sp_heap_first(&l->ends);

    return first == NULL ? INT64_MAX : first->key;
}
