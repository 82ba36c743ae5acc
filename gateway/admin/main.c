/*
 * The admin role: the control socket of the command line, and the metrics page. It owns nothing and holds no key; it asks the roles that do.
 */
#include <unistd.h>

#include "admin/admin.h"
#include "admin/metrics.h"
#include "role/role.h"

struct admin {
    struct sp_role *role;
    struct sp_jobs *jobs;
    struct sp_admin *server;
    struct sp_admin_metrics *metrics; /* NULL: no page */
    struct sp_timer *wait;            /* for questions under way at the stop */
};

#define STOP_STEP_MS 20

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct admin *a = sp_calloc(1, sizeof(*a));
    struct sp_admin_parts parts = {
        .loop = sp_role_loop(role), .log = sp_role_log(role), .owner_uid = (uint32_t)geteuid()};
    const char *name;
    bool listening = false;
    size_t at = 0;
    int fd;

    *state = a;
    a->role = role;
    a->jobs = sp_jobs_new(parts.loop, parts.log);
    sp_jobs_on_faulty(a->jobs, sp_role_peer_faulty, role);
    parts.jobs = a->jobs;
    a->server = sp_admin_new(&parts);
    while (sp_role_listener_next(role, &at, &name, &fd)) {
        if (strcmp(name, "admin") == 0) {
            sp_admin_listen(a->server, fd);
            listening = true;
        } else if (strcmp(name, "metrics") == 0) {
            a->metrics = sp_admin_metrics_new(a->server, parts.loop, parts.log, fd);
        }
    }
    if (listening)
        return SP_OK;
    return sp_fail(err, SP_E_ROLE_START, "no control socket was given");
}

static void on_peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
{
    sp_jobs_add_peer(((struct admin *)state)->jobs, kind, index, fd);
}

/* Nothing of the configuration is used here but the socket, which stays. */
static enum sp_rc on_reload(struct sp_role *role, void *state, struct sp_err *err)
{
    (void)role;
    (void)state;
    (void)err;
    return SP_OK;
}

static void on_wait(void *arg)
{
    struct admin *a = arg;

    if (sp_admin_busy(a->server) == 0)
        sp_role_stopped(a->role);
    else
        sp_timer_start(a->wait, STOP_STEP_MS);
}

static void stop(struct sp_role *role, void *state)
{
    struct admin *a = state;

    sp_admin_stop(a->server);
    a->wait = sp_timer_new(sp_role_loop(role), on_wait, a);
    sp_timer_start(a->wait, STOP_STEP_MS);
}

static void free_admin(void *state)
{
    struct admin *a = state;

    if (a->wait != NULL)
        sp_timer_free(a->wait);
    sp_jobs_free(a->jobs);
    sp_admin_metrics_free(a->metrics);
    sp_admin_free(a->server);
    sp_free(a);
}

int main(void)
{
    static const struct sp_role_ops ops = {.kind = SP_ROLE_ADMIN,
                                           .start = start,
                                           .on_peer = on_peer,
                                           .on_reload = on_reload,
                                           .stop = stop,
                                           .free = free_admin};

    return sp_role_main(&ops);
}
