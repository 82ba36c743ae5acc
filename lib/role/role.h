/*
 * What a process of ours is. The supervisor forks and execs libexec/sallyport/ROLE with one channel at descriptor 3; all
 * else comes over it: configuration generation, a bundle of named files (so that no role reads the configuration folder),
 * listening sockets, and a channel to each peer that this role may speak with. A role's main is this and little more:
 *
 *     static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
 *     {
 *         struct keeper *k = sp_calloc(1, sizeof(*k));
 *
 *         *state = k;  // set first: free is called for it whatever start returns
 *         k->jobs = sp_jobs_new(sp_role_loop(role), sp_role_log(role));
 *         sp_jobs_serve(k->jobs, SP_JOBS_KEYS, on_keys, k);
 *         return keeper_open(k, sp_role_dir(role), sp_role_file(role, "sallyport.json"), err);
 *     }
 *     static void peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
 *     {
 *         sp_jobs_add_peer(((struct keeper *)state)->jobs, kind, index, fd);
 *     }
 *     static void stop(struct sp_role *role, void *state)
 *     {
 *         sp_role_stopped(role);  // nothing in flight here; else call it when that has ended
 *     }
 *     int main(void)
 *     {
 *         static const struct sp_role_ops ops = {.kind = SP_ROLE_KEEPER, .start = start, .on_peer = peer,
 *                                                .stop = stop, .free = keeper_free};
 *         return sp_role_main(&ops);
 *     }
 *
 * Order of calls: start (all listeners are there), then on_peer for each peer, now and after restarts of peers; on_reload
 * any number of times; stop once; free last. The sandbox (role/sandbox.h) is closed before start, so that threads made
 * there are in it too; files must lie where the role's row in sandbox.c allows.
 *
 * Names in the bundle:
 *   sallyport.json                                       every role
 *   the policy's folder, as named in the setting; "tenants/..."   relay, ledger, admin; tenants also portal, sealer
 *   detection/...                                        scanner
 *   secret/content.kek                                   relay (32 bytes, derived from the master key; so all .kek)
 *   secret/kek.id, secret/content.kek.old, kek.id.old    relay: name of its generation; the one before, while it is needed
 *   secret/record.kek                                    relay, ledger
 *   secret/portal.kek                                    portal
 *   secret/tls.tickets, secret/portal.tickets            relay, portal (SP_TLS_TICKET_KEY_LEN bytes)
 *   secret/SETTING, the file that a setting names:       tls.certificate tls.key tls.client_ca delivery.ca (relay);
 *     portal.certificate portal.key, or else those of tls (portal); audit.signing_key, audit.address_key (ledger); fetcher.sts_ca (fetcher);
 *     sealer.smime_certificate sealer.smime_key sealer.pgp_key sealer.dkim_key (sealer)
 *     keeper.smime_ca (keeper)
 *   secret/tenant.NAME.smime.certificate, .smime.key, .pgp.key   sealer
 * One whose setting is empty is not there. The table is in gateway/sallyport/generation.c. thread: loop
 */
#ifndef SP_ROLE_ROLE_H
#define SP_ROLE_ROLE_H

#include "base/err.h"
#include "io/loop.h"
#include "ipc/roles.h"
#include "log/log.h"

struct sp_role;

struct sp_role_ops {
    enum sp_role_kind kind;
    /* Builds the state. returns: SP_OK, or why the role can't run: the process logs err and ends, and is started anew. */
    enum sp_rc (*start)(struct sp_role *role, void **state, struct sp_err *err);
    /* A channel to a peer, new or anew after one of them restarted. owner: fd is the callee's, as a rule for
     * sp_jobs_add_peer. NULL: this role has none. */
    void (*on_peer)(void *state, enum sp_role_kind kind, unsigned index, int fd);
    /* A new configuration generation: sp_role_file gives the new bundle during this call, and after it unless an error
     * is returned, in which case the old one stays. NULL: the role can't reload and is restarted instead. */
    enum sp_rc (*on_reload)(struct sp_role *role, void *state, struct sp_err *err);
    /* End what is in flight, take no more, then sp_role_stopped. The supervisor's limit (SP_ROLE_STOP_MS) ends it else. */
    void (*stop)(struct sp_role *role, void *state);
    /* Frees the state. Not called for NULL. */
    void (*free)(void *state);
};

#define SP_ROLE_CHANNEL_FD 3     /* where a child finds its channel to the supervisor */
#define SP_ROLE_STOP_MS    20000 /* how long a clean stop may take before SIGKILL */

/*
 * Runs a role from its first instruction to its last.
 *
 * returns: the exit code for main: 0 after a clean stop or when the supervisor has gone, 1 if the role could not start
 */
int sp_role_main(const struct sp_role_ops *ops);

/*
 * Tells the supervisor that a peer's channel was closed here, so that there will be a new one. why is SP_E_IPC_FRAME if it
 * talked nonsense: what the relay says so of another role ends that role, and it is started anew. arg: the role, as
 * sp_jobs_on_faulty hands it over
 */
void sp_role_peer_faulty(void *arg, enum sp_role_kind kind, unsigned index, enum sp_rc why);

/* returns: whether the stop under way makes room for a successor on the same sockets: connections that are not accepted
 * yet should be left to it */
bool sp_role_is_handed_over(const struct sp_role *role);

/* Says that all is ended: sp_role_main returns after this turn. thread: loop */
void sp_role_stopped(struct sp_role *role);

/* Ends the process at once with exit code 1, to be started anew: for a state that can't be mended. */
void sp_role_fail(struct sp_role *role, const struct sp_err *err);

/* returns: lent, good as long as the role */
struct sp_loop *sp_role_loop(const struct sp_role *role);
struct sp_log *sp_role_log(const struct sp_role *role);

/* returns: which of its kind it is, from 0; and how many of its kind there are */
unsigned sp_role_index(const struct sp_role *role);
unsigned sp_role_count(const struct sp_role *role);

/* returns: the configuration generation, from 1, rising with each reload */
uint64_t sp_role_generation(const struct sp_role *role);

/* returns: the folder that it owns (absolute, exists), or "" if it has none; for a relay its first shard */
const char *sp_role_dir(const struct sp_role *role);

/*
 * Walks all folders that it owns: a relay may be given shards that another relay left behind, and serves them all.
 *
 * at:      0 to begin, else what the last call left
 * returns: the folder, or NULL at the end
 */
const char *sp_role_dir_next(const struct sp_role *role, size_t *at);

/* returns: the state folder that all roles' folders lie in (absolute); for what a role may read of others, as the ledger
 * reads spool/ */
const char *sp_role_state_dir(const struct sp_role *role);

/* returns: a file of the bundle, lent until the next reload; ptr NULL if there is none of this name */
struct sp_bytes sp_role_file(const struct sp_role *role, const char *name);

/*
 * Walks the files whose name begins with prefix ("tenants/"), in the order of their names.
 *
 * at:      0 to begin, else what the last call left
 * returns: false at the end
 */
bool sp_role_file_next(const struct sp_role *role, const char *prefix, size_t *at,
                       struct sp_bytes *name, struct sp_bytes *data);

/*
 * Walks the listening sockets given to this role.
 *
 * at:      0 to begin, else what the last call left
 * name:    which setting it belongs to: "listen/0" (index in the list), "portal", "admin"
 * fd:      lent: bound, listening, non-blocking; stays open as long as the process
 * returns: false at the end
 */
bool sp_role_listener_next(const struct sp_role *role, size_t *at, const char **name, int *fd);

#endif
