/*
 * A role that tries things: its parts. Each try returns 0 if the kernel let it, else errno. thread: loop
 */
#ifndef SP_TEST_PROBE_H
#define SP_TEST_PROBE_H

#include "role/role.h"

#include <sys/types.h>

#define PROBE_PATH_MAX 512

/* What the test says in a comment of the configuration, "// probe supervisor=12 other=34 port=4000", and what follows. */
struct probe_target {
    pid_t supervisor;
    pid_t other;                      /* a role of another kind */
    uint16_t port;                    /* where somebody listens */
    char own[PROBE_PATH_MAX];         /* the folder of this role, "" if it has none */
    char state[PROBE_PATH_MAX];       /* that of all roles */
    char config[PROBE_PATH_MAX + 32]; /* the configuration's */
    char others[PROBE_PATH_MAX + 32]; /* a folder of a role of another kind */
};

struct probe_try {
    const char *name;
    int (*run)(const struct probe_target *t);
};

/* Tables that end with a NULL name. */
extern const struct probe_try probe_sockets[];
extern const struct probe_try probe_files[];
extern const struct probe_try probe_processes[];
extern const struct probe_try probe_privileges[];

/* Reads the numbers of the comment. returns: false if the configuration has none: nothing is to be tried */
bool probe_target_parse(struct sp_bytes config, struct probe_target *out);

/* returns: what a system call's result says: 0, or errno; a descriptor is closed */
int probe_result(long result);
int probe_descriptor(int fd);

/* Runs in a child, whose exit code is the result. returns: that, or why there is no child */
int probe_in_child(int (*run)(const struct probe_target *t), const struct probe_target *t);

#endif
