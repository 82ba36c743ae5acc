/*
 * What the commands that publish share.
 */
#ifndef SP_CLI_POLICY_PUBLISH_H
#define SP_CLI_POLICY_PUBLISH_H

#include "gateway/cli-policy/cli.h"
#include "json/json.h"

#include <sys/types.h>

#define CLI_WAITS 3 /* for a second person */

struct publish {
    const char *config;
    const char *word; /* the draft, or the version to take back */
    const char *reason;
    const char *approver;
    const char *stage; /* "shadow", "10%", "full" */
    bool shadow;       /* what it says: nothing is decided by the draft */
    unsigned percent;  /* of the mail; 100: full */
    bool dry_run;
    bool second_person; /* the settings ask for one */
    const char *folder; /* of the live policy */
    const char *live;   /* its path */
    const char *who;
    size_t passed; /* tests */
};

#define PUBLISHED_FILE "published.json"

/* versions.c */
const char *publish_text(struct cli *cli, const char *fmt, ...) SP_PRINTF(2, 3);
/* What a command takes beside -c; word and reason it needs. */
#define PUBLISH_WORD     1U
#define PUBLISH_REASON   2U
#define PUBLISH_STAGE    4U
#define PUBLISH_APPROVER 8U
#define PUBLISH_DRY_RUN  16U

/* Reads the options. returns: false, and says why, if they are not understood, or what is needed is missing */
bool publish_options(struct cli *cli, struct publish *p, unsigned takes);
/* Where the live policy lies. returns: false, with problems, if the settings can't be read */
bool publish_find_live(struct cli *cli, struct publish *p);
/* A file of the history; in the arena. */
const char *publish_history_path(struct cli *cli, const struct publish *p, const char *name);
/* Keeps all files of a version under its hash; the main one gets the live one's name. */
SP_MUST_CHECK enum sp_rc publish_keep(struct cli *cli, const struct publish *p, const char *hash,
                                      const struct cli_files *files);
/* What an act says. */
struct publish_act {
    const char *event;
    const char *file; /* beside the policy, for the ledger; NULL: the log alone */
    const char *before;
    const char *after;
    const char
        *rules; /* of what comes after, whatever members its kept lists have; NULL: not told */
    const char *restored;    /* the version whose rules came back; NULL: no rollback */
    const char *const *left; /* files beside it that stayed as they were */
    size_t left_count;
};
/* One line more in the log, and the same in the act's file. */
SP_MUST_CHECK enum sp_rc publish_tell(struct cli *cli, const struct publish *p,
                                      const struct publish_act *act);
/* put.c */
struct publish_file {
    const char *path;
    struct sp_bytes text;
    mode_t mode; /* of one that is not there yet */
};
/* The same, and puts files in their places, the first of them last: all, or none, and what failed is told, too. */
SP_MUST_CHECK enum sp_rc publish_put(struct cli *cli, const struct publish *p,
                                     const struct publish_file *files, size_t count,
                                     const struct publish_act *act);
/* The same with the draft in the live policy's place. */
SP_MUST_CHECK enum sp_rc publish_make_live(struct cli *cli, const struct publish *p,
                                           struct sp_bytes draft, const struct publish_act *act);
/* Tells how it ended. returns: the exit code */
int publish_end(struct cli *cli, const struct publish *p, enum sp_rc rc, const char *what,
                const struct publish_act *act);

/* approve.c: whether another person has approved the version; if not, it is proposed. code: gets the exit code then */
bool publish_is_approved(struct cli *cli, struct publish *p, const char *hash, int *code);

/* stage.c: puts the draft beside the live policy. */
SP_MUST_CHECK enum sp_rc publish_stage(struct cli *cli, const struct publish *p,
                                       struct sp_bytes draft, const struct publish_act *act);

/*
 * control.c: runs a command of the running gateway's; what it could not do is told as this command's own.
 *
 * code:    this command's exit code if it fails; 0: it goes on without
 * out:     gets what it prints
 * returns: its exit code, CLI_ASK_UNKNOWN: nobody knows whether it was done; -1 if it can't be run
 */
#define CLI_ASK_UNKNOWN 75
int cli_ask_gateway(struct cli *cli, const char *const *words, int code, struct sp_buf *out);
/* returns: an id for one act, which is asked for until there is an answer and put on record once; in the arena */
const char *cli_request(struct cli *cli);

#endif
