/*
 * A gpg home, its agent and the GPGME context over it.
 */
#ifndef SP_PGP_PGP_PRIV_H
#define SP_PGP_PGP_PRIV_H

#include <gpgme.h>
#include <sys/types.h>

#include "pgp/pgp.h"

#define SP_PGP_SIGNERS_MAX 256

struct sp_pgp {
    char *home;
    pid_t agent; /* 0: none */
    gpgme_ctx_t ctx;
    gpgme_key_t signers[SP_PGP_SIGNERS_MAX];
    size_t signer_count;
};

/* Fills err with what was tried and GPGME's reason. returns: rc */
enum sp_rc sp_pgp_fail(struct sp_err *err, enum sp_rc rc, const char *what, gpgme_error_t code);

/* Makes sure that the agent lives. returns: SP_OK or SP_E_PGP_FAILED */
enum sp_rc sp_pgp_agent_start(struct sp_pgp *p, struct sp_err *err);
/* Ends it and waits until it is gone. */
void sp_pgp_agent_end(struct sp_pgp *p);

/* Writes a file in the home, replacing what was there. returns: SP_OK or SP_E_IO */
enum sp_rc sp_pgp_write_file(const struct sp_pgp *p, const char *name, struct sp_bytes data,
                             struct sp_err *err);

#endif
