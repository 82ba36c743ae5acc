/*
 * What `sallyport tenant check`, `sallyport providers` and `sallyport directory` share: files, DNS without waiting by hand, and
 * findings. Exit codes: 0 all is well, 1 something is missing, 2 the command line was not understood or a file can't be read.
 */
#ifndef SP_CLI_TENANT_CLI_H
#define SP_CLI_TENANT_CLI_H

#include "base/arena.h"
#include "base/text.h"
#include "config/config.h"
#include "config/tenant.h"
#include "dns/resolver.h"
#include "dns/spf.h"
#include "gateway/cli-control/control.h"
#include "gateway/cli/options.h"
#include "io/loop.h"
#include "json/problem.h"
#include "roster/roster.h"

#define CLI_OK    0
#define CLI_WRONG 1
#define CLI_USAGE 2

#define CLI_PATH_MAX  4096
#define CLI_LISTS_MAX 64

struct cli {
    const char *config; /* path of sallyport.json */
    const char *name;   /* of the tenant or directory, the domain of a provider, a table's file */
    const char *key;    /* what that is, in JSON */
    const char *door;   /* host:port to knock at, NULL: the first listener's */
    int64_t wait_ms;    /* for a probe; 0: none */
    bool json;
    bool force;
    bool check;              /* say what would be done, and do nothing */
    struct cli_values lists; /* of --list */

    struct sp_arena *arena;
    struct sp_problems *problems;
    struct sp_config *settings;
    char dir[CLI_PATH_MAX]; /* of sallyport.json */
    char tenants_dir[CLI_PATH_MAX];
    struct sp_loop *loop;
    struct sp_dns_resolver *resolver;
    struct sp_spf_ops spf;
};

/* ---- findings (finding.c) ---- */

struct findings {
    struct cli *cli;
    struct sp_buf json; /* objects, with commas */
    struct sp_jw w;
    size_t wrong; /* advice not counted */
};

enum finding { FINDING_OK, FINDING_WRONG, FINDING_ADVICE };

void findings_begin(struct findings *f, struct cli *cli);
/* One line. what: a short name for programs, as "dns.spf" */
void find(struct findings *f, enum finding kind, const char *what, const char *fmt, ...)
    SP_PRINTF(4, 5);
/* Prints what JSON was asked for, and the last line. returns: the exit code */
int findings_end(struct findings *f);

/* ---- files (load.c) ---- */

/* Reads a whole file of at most 8 MiB into the arena. returns: SP_OK; or SP_E_NOT_FOUND or SP_E_IO with errno */
SP_MUST_CHECK enum sp_rc cli_read(struct cli *cli, const char *path, struct sp_bytes *out);
/* Reads the settings; problems are printed. returns: whether it worked */
bool cli_settings(struct cli *cli);
/* Reads the settings and opens the resolver; problems are printed. returns: whether it worked */
bool cli_open(struct cli *cli);
void cli_close(struct cli *cli);
/* The path of a file in the folder of tenants. out: CLI_PATH_MAX bytes. returns: false if it is too long */
bool cli_tenant_path(const struct cli *cli, const char *folder, const char *name,
                     const char *ending, char *out);
/* Reads tenants/NAME.json. returns: it, to free; NULL with problems */
struct sp_tenant *cli_tenant_load(struct cli *cli, const char *name);
/* Tells what is wrong with files. code: the exit code. returns: code */
int cli_print_problems(const struct cli *cli, int code);
/* Says what could not be done. error: a name for programs; code 0: it is but a remark. returns: code */
int cli_tell(const struct cli *cli, int code, const char *error, const char *fmt, ...)
    SP_PRINTF(4, 5);
/* Lets the gateway that runs read what was written; says so if none does. */
void cli_reload(const struct cli *cli);

/* ---- DNS (ask.c) ---- */

/* Asks and waits. returns: the answer, to unref */
const struct sp_dns_answer *cli_ask(struct cli *cli, const char *name, enum sp_dns_type type);
/* The same for sp_spf_ops. */
void cli_spf_ask(void *ctx, struct sp_bytes name, enum sp_dns_type type,
                 const struct sp_dns_answer **out);
/* The addresses of a host, both families. returns: how many, at most max */
size_t cli_addresses(struct cli *cli, const char *host, struct sp_dns_ip *out, size_t max,
                     enum sp_rc *rc);

/* ---- what is looked at ---- */

void check_dns(struct findings *f, const struct sp_tenant *t); /* records.c */
/* The delegated DKIM selectors: what is published there against the keys that sign (selectors.c). */
void check_selectors(struct findings *f, const struct sp_tenant *t);
void check_door(struct findings *f, const struct sp_tenant *t); /* door.c */
void check_live(struct findings *f, const struct sp_tenant *t); /* live.c */
int cli_check(struct cli *cli);                                 /* check.c */
int cli_providers_refresh(struct cli *cli);                     /* providers.c */
int cli_providers_list(struct cli *cli);
int cli_directory_import(struct cli *cli);  /* import.c */
int cli_directory_refresh(struct cli *cli); /* refresh.c */
int cli_directory_list(struct cli *cli);

/* ---- lists that are kept (keep.c) ---- */

/* The folder of lists beside the policy, held against others that keep lists at the same time. */
struct keeping {
    struct findings *f;
    char folder[CLI_PATH_MAX];
    int lock;
    bool changed;                  /* a file was written */
    const struct sp_roster *named; /* whom the source names without a group; NULL: nobody */
    bool was_kept;                 /* the version of before, or that was tried */
};

/* returns: SP_OK, or SP_E_IO or SP_E_EXISTS (held by somebody else) with err */
SP_MUST_CHECK enum sp_rc keep_begin(struct keeping *k, struct findings *f, struct sp_err *err);
/*
 * Puts a roster into the place of a list's file, if it is safe to, and says what became of it.
 *
 * source: who keeps the list: "import", or "directory NAME"
 */
void keep_list(struct keeping *k, const char *list, const char *source, const struct sp_roster *r);
/* Lets the gateway read what has changed. */
void keep_end(struct keeping *k);

#endif
