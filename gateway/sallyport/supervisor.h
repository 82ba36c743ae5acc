/*
 * The supervisor's parts: the configuration as roles get it (generation.c, root.c), folders (folders.c), sockets (sockets.c),
 * children (children.c), and the life of the whole (serve.c). thread: loop
 */
#ifndef SP_GATEWAY_SUPERVISOR_H
#define SP_GATEWAY_SUPERVISOR_H

#include <signal.h>
#include <sys/types.h>

#include "config/config.h"
#include "crypt/pair.h"
#include "crypt/secret.h"
#include "io/loop.h"
#include "ipc/ipc.h"
#include "ipc/roles.h"
#include "log/log.h"
#include "role/bundle.h"
#include "role/control.h"

#define PATH_LEN_MAX   4000
#define RELAYS_MAX     256
#define LISTEN_MAX     64
#define CHILDREN_MAX   400
#define REJOIN_MS      1000 /* between channels made anew for one process */
#define RESTART_MS     100  /* before the first restart; each further one doubles it */
#define RESTART_MAX_MS 10000
#define STEADY_MS      10000 /* who ran so long starts from the first wait again */

#define TICKET_KEY_LEN  80
#define TICKET_KEYS_MAX 4 /* the newest makes tickets, all open them */

/* One configuration, as it was when it was read. */
#define ROOT_MARK_LEN SP_SECRET_LEN

/* From what holds the most to what holds the least. */
enum generation_origin {
    GENERATION_UNREAD,  /* of refusals alone: the files are no generation */
    GENERATION_READ,    /* all files were read */
    GENERATION_RENEWED, /* a copy with other certificates */
    GENERATION_ROTATED, /* a copy with another ticket key */
    GENERATION_ORIGINS
};

struct generation {
    uint64_t number;
    enum generation_origin origin;
    struct sp_config *config;
    uint64_t stamp; /* of the files of certificates, before they were read */
    uint8_t tickets[TICKET_KEYS_MAX][TICKET_KEY_LEN]; /* of the relays, the newest first */
    size_t ticket_count;
    uint8_t root_mark[ROOT_MARK_LEN];
    bool
        root_has_file; /* the root lies wrapped beside the master key, which is not itself the root */
    char folder[PATH_LEN_MAX];    /* of sallyport.json; absolute */
    char state_dir[PATH_LEN_MAX]; /* absolute */
    int bundles[SP_ROLE_COUNT];   /* memfds, -1 where a role has none */
    struct {
        void *at;
        size_t len;
    } pins[SP_ROLE_COUNT]; /* their memory, mapped so that it is locked with ours */
};

enum child_state {
    CHILD_DOWN,     /* to be started: at once, or after its wait */
    CHILD_STARTING, /* runs, not READY yet */
    CHILD_READY,
    CHILD_ENDING, /* was told to stop */
};

struct child {
    struct supervisor *s;
    enum sp_role_kind kind;
    unsigned index;
    enum child_state state;
    pid_t pid; /* 0: none */
    struct sp_ipc *channel;
    struct sp_timer *restart;
    int64_t started_at_ms;
    int64_t wait_ms;
    uint64_t generation; /* it was given this one last */
    bool reloading;      /* and has not answered yet */
    uint64_t starting;   /* its process was started with this one */
    uint64_t took;       /* the last that it or a process before it has taken; 0: none */
    uint64_t refused;    /* this process was given it and did not take it */
    bool again;          /* it is to be given the current one, whatever it has */
    unsigned falls;      /* ends before it had taken the one on trial */
    bool
        is_without; /* it can't open its database: what does without it goes on, and the service manager is not kept waiting */
    struct sp_timer *rejoin;
    int64_t rejoined_at_ms;
    bool lost[CHILDREN_MAX]; /* by place: channels that rejoin is to make anew */
};

struct listening {
    char name[32]; /* "listen/0", "portal", "admin" */
    enum sp_role_kind kind;
    unsigned index; /* of the child */
    int fd;
    char address[256]; /* as the settings have it */
};

/* Why what lies on the disk is not what runs. */
struct refusal {
    bool stands;
    bool needs_restart;  /* it is a configuration, but not for us as we run */
    bool alone;          /* who refused it had no say: the others run it */
    uint64_t generation; /* 0: it never became one */
    enum generation_origin origin;
    int64_t at_ms;          /* wall clock */
    const struct child *by; /* NULL: the supervisor */
    enum sp_rc why;
    char detail[SP_ERR_TEXT_MAX];
};

struct supervisor {
    struct sp_loop *loop;
    struct sp_log *log;
    const char *config_path;
    char libexec[PATH_LEN_MAX];
    struct generation *now; /* who starts gets this one */
    struct generation *
        accepted; /* the last that was taken; now, unless that is on trial; NULL before the first */
    uint64_t newest; /* number of the newest that there was */
    uint64_t
        leaving; /* number of one that was refused; if it still runs, going back is to be tried again */
    struct sp_timer *again;
    struct refusal refusals[GENERATION_ORIGINS]; /* the last of each origin */
    int state,
        state_shown; /* the page that admin may read (state.c), to write and to read; -1: none */
    uint64_t state_number; /* of the last that was written there */
    struct sp_timer *beat; /* it is written anew while we live */
    struct child children[CHILDREN_MAX];
    size_t child_count;
    struct listening *listening;
    size_t listening_count;
    char admin_socket[PATH_LEN_MAX];
    unsigned shards; /* highest shard found or made, plus one */
    int lock;
    bool told_ready, told_up, stopping;
    unsigned phase; /* of the stop */
    struct sp_timer *limit;
    struct sp_signal *signals[5];
    int exit_code;

    struct sp_timer *watch, *rotate; /* of certificates; of ticket keys */
    struct sp_timer *ages;           /* of lists that directories keep */
    uint64_t stamp_seen; /* at the last look: files are read once they have been still for one */
    uint64_t stamp_done; /* was taken, or refused for good */
    uint64_t stamp_told; /* its refusals are in the log and the audit */

    char self[PATH_LEN_MAX]; /* our program, as it was named when we were started */
    unsigned start_number;   /* 1, one more with each upgrade */
    unsigned tries;          /* upgrades asked for */
    bool handing_over;       /* this stop makes room for another version */
    pid_t trial;             /* process of `serve --try`; 0: none */
    bool tried;              /* it can start; the hand-over waits until no generation is on trial */
    unsigned unread,
        unread_before; /* reloads of files that were no configuration; when it was asked for */
    struct sp_timer *try_limit;
    struct sp_buf variable; /* what the successor is told */
    char **environment;
    struct listening *handed; /* what the predecessor left open; -1 once taken */
    size_t handed_count;
};

/* ---- root.c ---- */

/* What all keys are derived from. */
struct root {
    struct sp_secret secret;
    bool has_file; /* it was wrapped in a file beside the master key */
    uint8_t mark[ROOT_MARK_LEN];
};

/*
 * Reads it from the file of the master key and the one beside, whose path begins with `beside`.
 *
 * owner:   the caller clears out->secret
 * returns: SP_E_CRYPT_KEY if the master key is none or does not open that file; or as file_read
 */
SP_MUST_CHECK enum sp_rc root_read(const char *key, const char *beside, struct root *out,
                                   struct sp_err *err);
/* returns: SP_E_CRYPT_KEY if a generation's root is not the one its gateway had before; before: NULL at a start */
SP_MUST_CHECK enum sp_rc root_check(const struct generation *g, const struct generation *before,
                                    const char *beside, struct sp_err *err);
/* Leaves the mark of a root that lies in a file in the state folder, for starts without that file. */
void root_keep(const struct supervisor *s);

/* Appends the file whose path is these two together. returns: as file_read */
SP_MUST_CHECK enum sp_rc file_read_beside(const char *beside, const char *suffix,
                                          struct sp_buf *out, struct sp_err *err);

/* ---- generation.c ---- */

/*
 * Reads configuration, policies, tenants and secrets, and packs what each role may have.
 *
 * before:   the generation whose ticket keys go on, and whose root secret it must have; or NULL
 * report:   gets everything that is wrong, and warnings, one problem a line
 * fault_at: if anything is wrong, where in report the first line begins that is no warning
 * returns:  NULL if anything is. owner: the caller
 */
struct generation *generation_load(const char *path, const struct generation *before,
                                   struct sp_buf *report, size_t *fault_at);
void generation_free(struct generation *g);

/* A generation with the files of now, but for these of the relays and the portal; both bundles stay the caller's.
 * returns: NULL if there is no memory for it. owner: the caller */
struct generation *generation_copy(const struct generation *now, const struct sp_role_bundle *relay,
                                   const struct sp_role_bundle *portal);

/* The key that makes tickets steps back for a new one; the oldest goes. */
void generation_rotate_tickets(struct generation *g);
/* returns: the relays' ticket keys, lent */
struct sp_bytes generation_tickets(const struct generation *g);

/* returns: whether a role finds the same files in both, but for keys that are new each time */
bool generation_is_same_for(enum sp_role_kind kind, const struct generation *a,
                            const struct generation *b);

/* ---- pairs.c: certificates with their keys and staples ---- */

struct pair {
    char name[40]; /* the setting: "tls", "portal", "tls.certificates.0" */
    const char *certificate, *key, *staple;
    unsigned roles; /* a mask of 1 << kind */
};

/* What was read of one; wiped by pair_clear. */
struct pair_files {
    struct sp_buf certificate, key, staple;
    struct sp_pair what;
};

/* returns: the pair at a place from 0 on; false behind the last. One that is not set has empty names */
bool pair_at(const struct sp_config *c, size_t at, struct pair *out);

/* Reads a pair and checks that it is one. A staple that is not there is empty. returns: SP_OK, or err says what is wrong with
 * which file; files are cleared by the caller in any case */
SP_MUST_CHECK enum sp_rc pair_read(const char *folder, const struct pair *p, struct pair_files *out,
                                   struct sp_err *err);
void pair_clear(struct pair_files *f);

/* Puts them under their names. returns: SP_OK or SP_E_LIMIT */
SP_MUST_CHECK enum sp_rc pair_put(struct sp_role_bundle *b, const struct pair *p,
                                  const struct pair_files *f);

/* returns: a number that changes when any of the files does */
uint64_t pairs_stamp(const char *folder, const struct sp_config *c);

/* ---- renew.c ---- */

/* Begins to look at the files of certificates, and to rotate ticket keys, as the current generation says. */
void renew_start(struct supervisor *s);
void renew_stop(struct supervisor *s);

/* ---- ages.c ---- */

/* Says which lists that directories keep are too old, now and every hour. */
void ages_look(struct supervisor *s);

/* ---- files.c ---- */

/* returns: SP_OK and the whole file appended, SP_E_NOT_FOUND, SP_E_LIMIT, SP_E_IO */
SP_MUST_CHECK enum sp_rc file_read(const char *path, struct sp_buf *out, struct sp_err *err);

/* Joins a folder and a name as written (absolute names stay). returns: SP_E_LIMIT if too long */
SP_MUST_CHECK enum sp_rc path_join(const char *folder, const char *name, char out[PATH_LEN_MAX]);

/* ---- folders.c ---- */

/* returns: the uid of a role, or -1 if all run as we do */
int64_t folder_uid(const struct supervisor *s, enum sp_role_kind kind);

/* Makes what is not there and sets owners and modes; counts the shards. */
SP_MUST_CHECK enum sp_rc folders_make(struct supervisor *s, unsigned relays, unsigned sealers,
                                      struct sp_err *err);

/* Takes the lock of the state folder. returns: SP_E_EXISTS if another supervisor has it */
SP_MUST_CHECK enum sp_rc folders_lock(struct supervisor *s, struct sp_err *err);

/* Writes the folders of a child to paths. returns: how many */
size_t folders_of(const struct supervisor *s, const struct child *c, char (*paths)[PATH_LEN_MAX],
                  size_t max);

/* ---- sockets.c ---- */

/* Binds all listening sockets of the configuration; they stay until the end. */
SP_MUST_CHECK enum sp_rc sockets_open(struct supervisor *s, unsigned relays, struct sp_err *err);
/* Lets those connect whom the settings name as approvers; who they are, the admin role asks the kernel. */
void sockets_admin_mode(const struct supervisor *s);
void sockets_close(struct supervisor *s);

/* ---- children.c ---- */

/* Adds a child; it is started by children_start. */
void child_add(struct supervisor *s, enum sp_role_kind kind, unsigned index);

/* Starts what is down and not waiting. */
void children_start(struct supervisor *s);

/* Collects who has ended. */
void children_reap(struct supervisor *s);

/* Tells of the current generation those for whom it differs from the one before. */
void children_reload(struct supervisor *s, const struct generation *before);

/* Tells those of the current generation who have waited for others to take it. */
void children_tell(struct supervisor *s);

/* The current generation is an older one again: those who took the refused one get it, and relays if it has other keys. */
void children_return(struct supervisor *s, const struct generation *refused, bool other_keys);

/* Asks the children of these kinds (a mask of 1 << kind) to end. returns: how many of them still run */
size_t children_stop(struct supervisor *s, unsigned kinds);

/* Ends all that still run, at once. */
void children_kill(struct supervisor *s);

/* Frees what children hold. */
void children_clear(struct supervisor *s);

/* ---- trial.c: a generation is on trial until the roles have taken it ---- */

/* s->now is a new generation: tells the roles. before: freed here, unless it is to be gone back to */
void trial_begin(struct supervisor *s, struct generation *before);

/* A child has taken a generation, or has ended: is the one on trial accepted now? */
void trial_took(struct child *c, uint64_t generation);
void trial_progress(struct supervisor *s);

/* A child did not take the current generation. If there is one to go back to, all do. */
void trial_refused(struct child *c, const struct sp_role_result *result);

/* A child has ended without a word. The second time that it does so over the one on trial is a refusal. */
void trial_fell(struct child *c);

/* returns: whether this child is told of the one on trial only when those have taken it who can do so without an end */
bool trial_waits(const struct child *c);

/* returns: whether the newest was refused, and there was not yet what it takes to go back: nobody else is told of it */
bool trial_leaves(const struct supervisor *s);

/* The files are no generation, or (needs_restart) none for us as we run. Who says so is the supervisor */
void trial_unread(struct supervisor *s, bool needs_restart, struct sp_bytes detail);
/* returns: the name of the role that refused it, or "supervisor" */
const char *trial_by(const struct refusal *r);
void trial_clear(struct supervisor *s);

/* ---- state.c: what runs, for `sallyport status` and the metrics ---- */

void state_open(struct supervisor *s);
/* Writes it anew. */
void state_write(struct supervisor *s);
void state_close(struct supervisor *s);

/* ---- handover.c: another version of the program takes over ---- */

/* Finds what a predecessor left open, if there was one. returns: SP_E_ROLE_START if it is not as told */
SP_MUST_CHECK enum sp_rc handover_take(struct supervisor *s, struct sp_err *err);

/* returns: a predecessor's socket for this, now the caller's; -1 if there is none */
int handover_socket(struct supervisor *s, const struct listening *wanted);

/* returns: SP_E_CONFIG_INVALID if a socket was handed over that nobody took: its clients would be refused */
SP_MUST_CHECK enum sp_rc handover_check_left(struct supervisor *s, struct sp_err *err);

/* Asks the program that now lies in our place whether it can start; if it can, the hand-over begins. */
void handover_begin(struct supervisor *s);

/* returns: whether that process was the one asked */
bool handover_reaped(struct supervisor *s, pid_t pid, int status);

/* A generation was accepted or taken back: a hand-over that has waited for this begins, or is refused. */
void handover_settle(struct supervisor *s);

/* Becomes the other version; returns only if that is impossible. */
void handover_exec(struct supervisor *s);

/* Writes how far we are into the lock file: "trying", "tried", "refused", "handing-over", "starting", "ready". */
void handover_tell(struct supervisor *s, const char *state);

/* The signals that ask something of us: blocked across exec, so that none is lost or deadly. */
void handover_signals(sigset_t *out);
void handover_clear(struct supervisor *s);

/* ---- serve.c ---- */

/* The successor can start: stops all roles for it. */
void supervisor_hand_over(struct supervisor *s);

/* A child came up or ended: all ready? all ended? */
void supervisor_progress(struct supervisor *s);

/* `sallyport serve`. argv: "serve" and what follows it. returns: the exit code */
int serve_main(int argc, char **argv);

#endif
