/*
 * What the files of the lines share.
 */
#ifndef SP_QUEUE_LINES_PRIV_H
#define SP_QUEUE_LINES_PRIV_H

#include "queue/lines.h"

/* returns: struct sp_line by key; lent */
const struct sp_map *sp_lines_all(const struct sp_lines *l);

#endif
