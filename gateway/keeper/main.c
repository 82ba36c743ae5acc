/*
 * The keeper: recipients' certificates and PGP keys (keys.db), their trust and their checks; answers the relays and the
 * administrator. It holds no private key and has no network. Its loop may block: SQLite and, for an import, gpg are all
 * that it does.
 */
#include "gateway/keeper/keeper.h"

#include "base/mem.h"

#include <limits.h>
#include <stdio.h>

int64_t keeper_now_ms(const struct keeper *k)
{
    return sp_clock_wall_ms(sp_loop_clock(sp_role_loop(k->role)));
}

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct keeper *k = sp_calloc(1, sizeof(*k));
    char path[PATH_MAX];
    enum sp_rc rc;

    *state = k;
    k->role = role;
    if ((size_t)snprintf(path, sizeof(path), "%s/keys.db", sp_role_dir(role)) >= sizeof(path))
        return sp_fail(err, SP_E_LIMIT, "the state folder's path is too long");
    rc = sp_keys_open(path, &k->keys, err);
    if (rc != SP_OK)
        return rc;
    k->jobs = sp_jobs_new(sp_role_loop(role), sp_role_log(role));
    sp_jobs_on_faulty(k->jobs, sp_role_peer_faulty, role);
    sp_jobs_serve(k->jobs, SP_JOBS_KEYS, keeper_on_keys, k);
    sp_jobs_serve(k->jobs, SP_JOBS_COMMAND, keeper_on_command, k);
    return SP_OK;
}

static void on_peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
{
    struct keeper *k = state;

    sp_jobs_add_peer(k->jobs, kind, index, fd);
}

/* Nothing is kept from the configuration: what an import needs is looked up when it comes. */
static enum sp_rc on_reload(struct sp_role *role, void *state, struct sp_err *err)
{
    (void)role, (void)state, (void)err;
    return SP_OK;
}

void keeper_maybe_stopped(struct keeper *k)
{
    if (k->stopping && k->commands == 0)
        sp_role_stopped(k->role);
}

static void stop(struct sp_role *role, void *state)
{
    struct keeper *k = state;

    (void)role;
    k->stopping = true;
    keeper_maybe_stopped(k);
}

static void free_state(void *state)
{
    struct keeper *k = state;

    sp_jobs_free(k->jobs);
    sp_keys_free(k->keys);
    sp_free(k);
}

int main(void)
{
    static const struct sp_role_ops ops = {
        .kind = SP_ROLE_KEEPER,
        .start = start,
        .on_peer = on_peer,
        .on_reload = on_reload,
        .stop = stop,
        .free = free_state,
    };

    return sp_role_main(&ops);
}
