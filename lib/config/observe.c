/*
 * The trial of a tenant's rules: until a day that its file names they are recorded and not enforced. It always has an end, and
 * one that lies so far off that nobody will remember it is none: then the rules hold, and `check` says why.
 */
#include "base/clock.h"
#include "config/tenant.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

static bool is_too_far(const struct sp_tenant *t, int64_t now_ms)
{
    return t->observe.until_ms - now_ms > (SP_TENANT_OBSERVE_DAYS + 1) * DAY_MS;
}

bool sp_tenant_observes(const struct sp_tenant *t, int64_t now_ms)
{
    return t->observe.until_ms > now_ms && !is_too_far(t, now_ms);
}

void sp_tenant_tell_observed(const struct sp_tenant *t, int64_t now_ms, const char *file,
                             struct sp_problems *problems)
{
    if (t->observe.until_ms == 0)
        return;
    if (is_too_far(t, now_ms))
        sp_problem_file(problems, file, 0, SP_E_CONFIG_RANGE,
                        "observe.until: %s is more than %d days ahead: the rules are enforced",
                        t->observe.until, SP_TENANT_OBSERVE_DAYS);
    else if (sp_tenant_observes(t, now_ms))
        sp_problem_file_warn(problems, file,
                             "OBSERVED ONLY until %s: no rule is enforced for tenant %s, its mail "
                             "goes on by TLS as before",
                             t->observe.until, t->name);
    else
        sp_problem_file_warn(problems, file,
                             "observe.until: %s is over, and the rules are enforced: take it out",
                             t->observe.until);
}
