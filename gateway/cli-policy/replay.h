/* The version that decided then, for `policy replay`: found, or told why it can't be had. */
#ifndef SP_CLI_POLICY_REPLAY_H
#define SP_CLI_POLICY_REPLAY_H

#include "gateway/cli-policy/cli.h"

#define REPLAY_LOST                                                                                \
    3 /* exit code: nothing was decided again, since the version of then can't be had */

enum replay_lost {
    REPLAY_FOUND,
    REPLAY_NOT_KEPT,   /* nobody has its text */
    REPLAY_NOT_LOADED, /* its text is there, and this program refuses it */
    REPLAY_OTHER,      /* its text makes another version in this program */
};

struct replay_version {
    const char *config;
    const char *live; /* path of the live policy */
    const char *hash;
    unsigned language; /* of the facts */
    enum replay_lost lost;
    struct sp_problems *problems; /* of the last text that was tried; NULL: of none */
    const char *made;             /* the version that its text makes, NULL if none */
    const char **differs; /* the parts of it that are otherwise now, as far as that is known */
    size_t differ_count;
};

/*
 * Looks for the version in .history/, then in the gateway's books.
 *
 * returns: the policy (to unref), or NULL with v->lost and what belongs to it
 */
struct sp_policy *replay_version_find(struct cli *cli, struct replay_version *v);

/* "not_replayed" as a member of the object that is open, or nothing if the version was found. */
void replay_version_write(struct cli *cli, const struct replay_version *v, struct sp_jw *w);
/* The same in words, to the standard error. */
void replay_version_print(struct cli *cli, const struct replay_version *v);

#endif
