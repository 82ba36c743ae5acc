/*
 * The keeper's state: recipients' keys and who may ask for them.
 */
#ifndef GATEWAY_KEEPER_KEEPER_H
#define GATEWAY_KEEPER_KEEPER_H

#include "jobs/jobs.h"
#include "keys/keys.h"
#include "role/role.h"

struct keeper {
    struct sp_role *role;
    struct sp_jobs *jobs;
    struct sp_keys *keys;
    size_t commands; /* waiting for the ledger */
    bool stopping;
};

/* Serves SP_JOBS_KEYS. arg: struct keeper */
void keeper_on_keys(void *arg, struct sp_jobs_job *job);

/* Serves SP_JOBS_COMMAND: keys.list, keys.show, keys.import, keys.remove. arg: struct keeper */
void keeper_on_command(void *arg, struct sp_jobs_job *job);

/* returns: the wall clock in ms */
int64_t keeper_now_ms(const struct keeper *k);

/* Ends the role if it is stopping and nothing is in flight. */
void keeper_maybe_stopped(struct keeper *k);

#endif
