/*
 * Who is there, and who wants to know of it: looking over the peers, and the two functions that are told when one comes,
 * goes, or has to be made anew.
 */
#include "jobs/jobs_priv.h"

size_t sp_jobs_peers(const struct sp_jobs *jobs, enum sp_role_kind role)
{
    size_t at = 0, count = 0;
    unsigned index;

    while (sp_jobs_peer_next(jobs, role, &at, &index))
        count++;
    return count;
}

bool sp_jobs_peer_next(const struct sp_jobs *jobs, enum sp_role_kind role, size_t *at,
                       unsigned *index)
{
    size_t i = 0;

    SP_LIST_EACH(pos, (struct sp_list *)&jobs->peers)
    {
        const struct peer *p = SP_CONTAINER(pos, struct peer, at);

        if (p->role != role || i++ < *at)
            continue;
        *at = i;
        *index = p->index;
        return true;
    }
    return false;
}

struct sp_jobs_view sp_jobs_look(const struct sp_jobs *jobs, enum sp_role_kind role)
{
    struct sp_jobs_view v = {.came = jobs->came[role]};

    SP_LIST_EACH(pos, (struct sp_list *)&jobs->peers)
    {
        const struct peer *p = SP_CONTAINER(pos, struct peer, at);

        v.up += p->role == role;
        v.busy += p->role == role && p->busy > 0;
        v.asked += p->role == role ? p->busy : 0;
    }
    SP_LIST_EACH(pos, (struct sp_list *)&jobs->waiting)
    {
        v.waiting += SP_CONTAINER(pos, struct call, at)->role == role;
    }
    return v;
}

void sp_jobs_watch_peers(struct sp_jobs *jobs,
                         void (*fn)(void *arg, enum sp_role_kind role, unsigned index, bool up),
                         void *arg)
{
    jobs->on_peer = fn;
    jobs->on_peer_arg = arg;
}

void sp_jobs_on_faulty(struct sp_jobs *jobs,
                       void (*fn)(void *arg, enum sp_role_kind role, unsigned index,
                                  enum sp_rc why),
                       void *arg)
{
    jobs->on_faulty = fn;
    jobs->on_faulty_arg = arg;
}
