/*
 * Names of what a decision says, as they stand in audit records and in the tests of policies.
 */
#include "policy/decision.h"

const char *sp_do_name(enum sp_do verb)
{
    static const char *const names[] = {
        [SP_DO_PROTECT] = "protect",
        [SP_DO_REJECT] = "reject",
        [SP_DO_HOLD] = "hold",
        [SP_DO_DISCARD] = "discard",
    };

    return names[verb];
}

const char *sp_hold_for_name(enum sp_hold_for kind)
{
    static const char *const names[] = {
        [SP_HOLD_APPROVAL] = "approval",
        [SP_HOLD_QUARANTINE] = "quarantine",
        [SP_HOLD_DELAY] = "delay",
    };

    return names[kind];
}

bool sp_edits_any(const struct sp_edits *e)
{
    return e->header_count > 0 || e->strip_subject_tag || e->protect_subject != NULL ||
           e->footer.len > 0 || e->notice.len > 0;
}
