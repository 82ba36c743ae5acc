/*
 * Going over all lines, in steps: who asks does so beside the mail.
 */
#include "queue/lines_priv.h"

#define WALK_PLACES 1024 /* of the map, a step */

struct each {
    void (*visit)(void *arg, const struct sp_line_view *v);
    void *arg;
};

static void visit_line(void *arg, void *line)
{
    const struct each *each = arg;
    struct sp_line_view v = sp_line_look(line);

    each->visit(each->arg, &v);
}

bool sp_lines_each_some(const struct sp_lines *l, struct sp_map_walk *walk,
                        void (*visit)(void *arg, const struct sp_line_view *v), void *arg)
{
    struct each each = {visit, arg};

    return sp_map_walk(sp_lines_all(l), walk, WALK_PLACES, visit_line, &each);
}
