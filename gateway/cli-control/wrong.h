/*
 * What `sallyport status` finds wrong: for programs an array "wrong" of {"what", "detail", "exit", and where it is}, for people a line
 * each on standard error, and the exit code.
 */
#ifndef SP_CLI_CONTROL_WRONG_H
#define SP_CLI_CONTROL_WRONG_H

#include "gateway/cli-control/control.h"

struct control_wrong {
    struct sp_buf text; /* the array */
    struct sp_jw w;
    bool is_ended;
    int code; /* CONTROL_OK; CONTROL_REFUSED: somebody has to act; CONTROL_UNKNOWN: not all answered, which may be over soon */
};

void control_wrong_init(struct control_wrong *wrong);
void control_wrong_clear(struct control_wrong *wrong);
/* Looks at what each relay said. result: of queue.stats */
void control_wrong_relays(struct control_wrong *wrong, const struct sp_json *result);
/* Looks at what the supervisor shows. state: of gateway.state, NULL: it is of a version without; result: as above */
void control_wrong_state(struct control_wrong *wrong, const struct sp_json *state,
                         const struct sp_json *result);
/* Notes that a role of which there is one did not answer. */
void control_wrong_silent(struct control_wrong *wrong, const char *role, const char *detail);
/* returns: whether the supervisor shows the first of these roles as ready. state: as above */
bool control_is_ready(const struct sp_json *state, const char *role);
/* Notes a list that was not refreshed for too long. */
void control_wrong_list(struct control_wrong *wrong, const char *list, const char *directory);
/* Ends the array. returns: it, lent */
struct sp_bytes control_wrong_end(struct control_wrong *wrong);
/* Says all of it on standard error. returns: the exit code */
int control_wrong_say(struct control_wrong *wrong, const struct control *c);

#endif
