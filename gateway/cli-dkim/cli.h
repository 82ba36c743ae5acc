/*
 * What the commands of cli-dkim share: the configuration, and the keys that it names. Exit codes: 0 all is well, 1 something
 * is wrong with what was looked at, 2 the command line was not understood or a file could not be read, 3 DNS could not be asked.
 */
#ifndef SP_CLI_DKIM_CLI_H
#define SP_CLI_DKIM_CLI_H

#include <limits.h>

#include "config/config.h"
#include "config/tenant.h"
#include "crypt/pkey.h"
#include "dkim/record.h"

#define CLI_OK     0
#define CLI_WRONG  1
#define CLI_USAGE  2
#define CLI_UNSURE 3

#define CLI_KEYS_MAX    512
#define CLI_TENANTS_MAX 256

/* A selector of a tenant, and the key that signs under it. */
struct cli_key {
    const struct sp_tenant *tenant;
    const char *selector;
    enum sp_pkey_kind kind;
    char path[PATH_MAX]; /* "": no setting names a file */
    char name[640];      /* where it is published */
};

struct cli {
    char folder[PATH_MAX]; /* of the configuration */
    const char *config_path;
    const char *only; /* tenant; NULL: all */
    unsigned bits;    /* of RSA keys to make */
    bool json;
    struct sp_config *config;
    struct sp_tenant *tenants[CLI_TENANTS_MAX];
    size_t tenant_count;
    struct cli_key *keys;
    size_t key_count;
};

/* Reads the configuration and gathers the keys. returns: CLI_OK, or CLI_USAGE after saying why */
int cli_load(struct cli *cli);
void cli_clear(struct cli *cli);

/* Says what could not be done. error: a name for programs; code: the exit code. returns: code */
int cli_say(const struct cli *cli, int code, const char *error, const char *format, ...)
    SP_PRINTF(4, 5);

/* Reads a key's file. owner: the caller. returns: NULL after saying why */
struct sp_pkey *cli_key_read(const struct cli *cli, const struct cli_key *key);

/* One command. returns: the exit code */
int cli_keygen(struct cli *cli);
int cli_dns(struct cli *cli);
int cli_check(struct cli *cli);

#endif
