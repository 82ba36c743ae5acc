/*
 * A supervisor for one real role process, so that a test can speak with it as its peers do: sandbox, bundle, folder,
 * channels and all. thread: loop
 */
#ifndef SP_TEST_PROCESS_CHILD_H
#define SP_TEST_PROCESS_CHILD_H

#include <sys/types.h>

#include "ipc/ipc.h"
#include "jobs/jobs.h"
#include "role/bundle.h"

#define CHILD_PEERS_MAX SP_ROLE_COUNT

struct child {
    struct sp_loop *loop;
    pid_t pid;
    enum sp_role_kind kind;
    struct sp_ipc *channel;
    struct sp_role_bundle *bundle;          /* fill it before child_start */
    struct sp_jobs *peers[CHILD_PEERS_MAX]; /* by sp_role_kind: this process as that peer */
    int ready, stopped, failed, closed;
};

/* A child of that role that is not started yet. */
void child_init(struct child *c, enum sp_role_kind kind);

/* Adds this process as a peer of that role; serve and call through c->peers[kind]. */
void child_peer(struct child *c, enum sp_role_kind kind);

/* Starts the program build/.../libexec/sallyport/ROLE with its own folder and waits until it is ready. */
void child_start(struct child *c, const char *own_dir);

/* Runs the loop until *what is not 0; fails the test after 30 s. */
void child_await(struct child *c, const int *what);

/* A call as that peer, waited for. reply: appended. returns: what the role replied */
enum sp_rc child_call(struct child *c, enum sp_role_kind as, enum sp_jobs_type type,
                      struct sp_bytes payload, const int fds[2], struct sp_buf *reply);

/* Asks it to stop, checks that it ends with 0, and frees all. */
void child_end(struct child *c);

#endif
