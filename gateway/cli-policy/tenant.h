/* A tenant that is to be made, between the files of `tenant add`. */
#ifndef SP_CLI_POLICY_TENANT_H
#define SP_CLI_POLICY_TENANT_H

#include "crypt/hash.h"
#include "dkim/record.h"
#include "gateway/cli-policy/cli.h"

#define TENANT_SECRET_LEN 24
#define TENANT_SIGNERS    2

struct tenant_wanted {
    const char *config; /* path of sallyport.json */
    const char *name;
    const char *m365; /* domain, or NULL */
    const char *google;
    const char *tenant_id;
    const char *onmicrosoft;
    char secret[2 * TENANT_SECRET_LEN + 1];
    char digest[2 * SP_SHA256_LEN + 1];
    struct tenant_signer {
        const char *selector;
        const char *key; /* the setting: where the tenant's key lies, beside sallyport.json */
        char record[SP_DKIM_RECORD_MAX]; /* that publishes it */
    } signers[TENANT_SIGNERS];           /* RSA, Ed25519 */
};

/* tenant_added.c: prints what was made, and what is to be done at the provider and in DNS. path: of the tenant's file; host: ours */
void cli_tenant_tell_added(const struct cli *cli, const struct tenant_wanted *w, const char *path,
                           const char *host);

#endif
