/*
 * The admin role: the control socket of the command line, and the metrics page. It owns nothing and holds no key; it asks the roles that do.
 */
#include <unistd.h>

#include "admin/admin.h"
#include "admin/metrics.h"
#include "config/config.h"
#include "role/role.h"

struct admin {
    struct sp_role *role;
    struct sp_config *config;
    struct sp_jobs *jobs;
    struct sp_admin *server;
    struct sp_admin_metrics *metrics; /* NULL: no page */
    struct sp_timer *wait;            /* for questions under way at the stop */
};

#define STOP_STEP_MS 20

static bool is_uid(struct sp_bytes text, uint32_t uid)
{
    uint64_t named;

    return sp_bytes_to_u64(text, &named) && named == uid;
}

static bool is_one_of(struct sp_bytes command, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        if (sp_bytes_eq(command, sp_bytes_cstr(names[i])))
            return true;
    return false;
}

/* Who the settings name as approver may speak of policies. */
static bool is_approver(const struct admin *a, uint32_t uid)
{
    const struct sp_config_texts *approvers = &a->config->publishing.approvers;

    for (size_t i = 0; i < approvers->count; i++)
        if (is_uid(sp_bytes_cstr(approvers->items[i]), uid))
            return true;
    return false;
}

/* "group:uid". returns: the group if it is that user's, else empty */
static struct sp_bytes group_of(const char *entry, uint32_t uid)
{
    struct sp_bytes text = sp_bytes_cstr(entry);
    size_t at = sp_bytes_find(text, ':');

    if (at == SIZE_MAX || !is_uid(sp_bytes_slice(text, at + 1, text.len), uid))
        return SP_LIT("");
    return sp_bytes_slice(text, 0, at);
}

static bool is_of_a_group(const struct admin *a, uint32_t uid)
{
    const struct sp_config_texts *approvers = &a->config->holds.approvers;

    for (size_t i = 0; i < approvers->count; i++)
        if (group_of(approvers->items[i], uid).len > 0)
            return true;
    return false;
}

/* Approvers speak of policies, members of a group of what is held for it, and nobody else of anything. command: empty: at all */
static bool may_ask(void *arg, uint32_t uid, struct sp_bytes command)
{
    static const char *const of_policies[] = {"", "policy.approve", "policy.proposals", NULL};
    static const char *const of_holds[] = {"",
                                           "queue.list",
                                           "queue.release",
                                           "queue.delete",
                                           "queue.would-release",
                                           "queue.would-delete",
                                           NULL};

    return (is_approver(arg, uid) && is_one_of(command, of_policies)) ||
           (is_of_a_group(arg, uid) && is_one_of(command, of_holds));
}

/* The relays look only at what is held for these. */
static void limit(void *arg, uint32_t uid, struct sp_json_doc *question)
{
    const struct admin *a = arg;
    const struct sp_config_texts *approvers = &a->config->holds.approvers;
    const struct sp_json *groups =
        sp_json_set_object(question, sp_json_root(question), "approver_of");

    for (size_t i = 0; i < approvers->count; i++) {
        struct sp_bytes group = group_of(approvers->items[i], uid);
        char name[80];

        if (group.len == 0 || group.len >= sizeof(name))
            continue;
        memcpy(name, group.ptr, group.len);
        name[group.len] = 0;
        sp_json_set_bool(question, groups, name, true);
    }
}

static enum sp_rc load_config(struct admin *a, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_config *fresh = NULL;

    if (sp_config_load(sp_role_file(a->role, "sallyport.json"), "sallyport.json", problems,
                       &fresh) != SP_OK)
        return sp_problems_rc(problems, err);
    sp_config_free(a->config);
    a->config = fresh;
    return SP_OK;
}

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
    if (load_config(a, err) != SP_OK)
        return SP_E_CONFIG_INVALID;
    parts.may_ask = may_ask;
    parts.limit = limit;
    parts.arg = a;
    a->jobs = sp_jobs_new(parts.loop, parts.log);
    sp_jobs_on_faulty(a->jobs, sp_role_peer_faulty, role);
    parts.jobs = a->jobs;
    while (sp_role_listener_next(role, &at, &name, &fd)) {
        if (strcmp(name, "state") == 0)
            parts.state_fd = fd;
    }
    a->server = sp_admin_new(&parts);
    at = 0;
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

/* Nothing of the configuration is used here but who may approve policies, and release what is held. */
static enum sp_rc on_reload(struct sp_role *role, void *state, struct sp_err *err)
{
    (void)role;
    return load_config(state, err);
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
    sp_config_free(a->config);
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
