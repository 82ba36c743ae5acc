/* How far an act is that takes long: a line for who watches, on a terminal alone. */
#ifndef SP_CLI_CONTROL_PROGRESS_H
#define SP_CLI_CONTROL_PROGRESS_H

#include "gateway/cli-control/control.h"

struct control_progress {
    bool is_on;
    int len; /* of what is shown */
    int64_t shown_ms;
};
/* returns: milliseconds of the clock that nobody sets */
int64_t control_now_ms(void);
void control_progress_init(struct control_progress *p, const struct control *c);
/* Shows it in the place of the one before; if not at_once, only twice a second. */
void control_progress_show(struct control_progress *p, bool at_once, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes it away, before something else is said. */
void control_progress_clear(struct control_progress *p);

#endif
