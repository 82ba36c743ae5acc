/*
 * The sealer's state: the tenants' signing keys, gpg's home, and the one thread that seals.
 */
#ifndef GATEWAY_SEALER_SEALER_H
#define GATEWAY_SEALER_SEALER_H

#include "base/map.h"
#include "config/tenant.h"
#include "dkim/sign.h"
#include "io/worker.h"
#include "jobs/jobs.h"
#include "jobs/seal.h"
#include "pgp/pgp.h"
#include "role/role.h"
#include "role/watchdog.h"
#include "smime/smime.h"

#define SEALER_DKIM_COUNT 2 /* RSA, Ed25519 */

struct sealer_pgp_key {
    char fingerprint[SP_PGP_FINGERPRINT_MAX]; /* "": none */
    bool failed;
    bool may_pass; /* it is worth another try: the key itself is not what is wrong */
};

/* What a tenant signs with. A key that is configured but can't be used makes its jobs fail: nothing goes out unsigned that
 * was meant to be signed. */
struct sealer_tenant {
    struct sp_tenant *config;
    const struct sp_smime_signer *smime; /* NULL: none; lent from own or from the default */
    struct sp_smime_signer *own_smime;
    bool smime_failed;
    struct sealer_pgp_key pgp;
    struct sp_dkim_signer dkim[SEALER_DKIM_COUNT];
    size_t dkim_count;
    struct sp_pkey *own_dkim[SEALER_DKIM_COUNT];
    bool dkim_failed;
};

struct sealer {
    struct sp_role *role;
    struct sp_jobs *jobs;
    struct sp_worker *worker;
    struct sp_watchdog *watchdog;
    bool running;
    struct sp_config *config;
    struct sp_pgp *pgp;  /* NULL: gpg does not run; PGP jobs fail */
    int64_t pgp_next_ms; /* monotonic: not to be tried again before */
    int64_t pgp_pause_ms;
    struct sp_pkey *dkim[SEALER_DKIM_COUNT]; /* NULL: none, or it can't be used */
    struct sp_smime_signer *smime;
    bool smime_failed;
    struct sealer_pgp_key pgp_key;
    struct sealer_tenant *tenants;
    size_t tenant_count;
    bool stopping;
};

/* Loads what the bundle has: certificates, keys, tenants. returns: SP_OK, or why the role can't run */
SP_MUST_CHECK enum sp_rc sealer_load(struct sealer *s, struct sp_err *err);
/* Frees all that sealer_load made. */
void sealer_unload(struct sealer *s);

/*
 * Tries again what gpg could not do: to start, or to take a signing key for a reason that may have passed. Nothing before its
 * time, which is a second and up to a minute after the last try. Keys that gpg has are left alone while it runs. For a job
 * that would fail. thread: worker
 */
void sealer_pgp_again(struct sealer *s);

/* returns: the tenant of that name, or NULL */
const struct sealer_tenant *sealer_tenant_find(const struct sealer *s, struct sp_bytes name);

/* Serves SP_JOBS_SEAL: on the loop, then on the worker. arg: struct sealer */
void sealer_on_seal(void *arg, struct sp_jobs_job *job);

/*
 * Seals or signs one message.
 *
 * request: its content's descriptor is in place
 * fd:      the empty output file
 * reply:   the encoded reply is appended
 * thread:  worker
 * returns: SP_OK, or why the message was not sealed; what the file then holds is for nobody
 */
SP_MUST_CHECK enum sp_rc sealer_seal(struct sealer *s, const struct sp_jobs_seal_request *request,
                                     int fd, struct sp_buf *reply, struct sp_err *err);

#endif
