/*
 * What the commands of cli-policy share: options, files, and saying what is wrong. Exit codes: 0 all is well, 1 something
 * is wrong with what was looked at, 2 the command line was not understood or a file could not be read.
 */
#ifndef SP_CLI_POLICY_CLI_H
#define SP_CLI_POLICY_CLI_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "config/config.h"
#include "gateway/cli/options.h"
#include "json/problem.h"
#include "policy/policy.h"

#define CLI_OK    0
#define CLI_WRONG 1
#define CLI_USAGE 2

struct cli_file {
    const char *name; /* as it was read */
    struct sp_bytes text;
    bool is_shipped; /* it came with the program: there is none of that name beside the policy */
};

struct cli_files;

struct cli {
    struct cli_args args; /* what follows the command's words */
    const char *usage;    /* how the command is written */
    const char **words;   /* of the arguments, those that are no options and no values of such */
    size_t word_count;
    bool json;
    struct sp_arena *arena;
    struct sp_problems *problems;
    const struct cli_files
        *instead; /* read in the place of what lies there, or does not; NULL: of nothing */
};

#define CLI_FACTS_HEADERS_MAX 64
#define CLI_FACTS_TYPES_MAX   64

/* Facts with room for what they lend. */
struct cli_facts {
    struct sp_facts facts;
    struct sp_fact_header headers[CLI_FACTS_HEADERS_MAX];
    size_t header_count;
    struct sp_fact_type types[CLI_FACTS_TYPES_MAX];
    size_t type_count;
    bool has_scan;
    int64_t scan;
};

/* One command. returns: the exit code */
int cli_check(struct cli *cli);
int cli_settings(struct cli *cli);
int cli_policy_check(struct cli *cli);
int cli_policy_test(struct cli *cli);
int cli_policy_describe(struct cli *cli);
int cli_policy_list(struct cli *cli);
int cli_policy_diff(struct cli *cli);
int cli_policy_format(struct cli *cli);
int cli_policy_publish(struct cli *cli);
int cli_policy_status(struct cli *cli);
int cli_policy_promote(struct cli *cli);
int cli_policy_abort(struct cli *cli);
int cli_policy_history(struct cli *cli);
int cli_policy_keep(struct cli *cli);
int cli_policy_rollback(struct cli *cli);
int cli_policy_report(struct cli *cli);
int cli_policy_replay(struct cli *cli);
int cli_preference_set(struct cli *cli);
int cli_preference_remove(struct cli *cli);
int cli_preference_list(struct cli *cli);
int cli_preference_show(struct cli *cli);
int cli_explain(struct cli *cli);
int cli_tenant_add(struct cli *cli);
int cli_tenant_list(struct cli *cli);
int cli_tenant_show(struct cli *cli);

/* Prints what differs between two policies. returns: how many differences there are */
size_t cli_print_diff(struct cli *cli, const struct sp_policy *a, const struct sp_policy *b);

/* Reads a whole file of at most 8 MiB into the arena. returns: SP_OK; or SP_E_NOT_FOUND, SP_E_IO, SP_E_LIMIT with errno */
SP_MUST_CHECK enum sp_rc cli_read(struct cli *cli, const char *path, struct sp_bytes *out);

/* Writes a whole file that anybody may read (config/replace.h), if the one before was so. returns: SP_OK or why not */
SP_MUST_CHECK enum sp_rc cli_write(const char *path, struct sp_bytes text);

/*
 * Keeps others from changing the policy's files until this process ends. A few seconds are waited for one who does.
 *
 * returns: false after saying that somebody is at it, or what else is in the way
 */
bool cli_lock(struct cli *cli, const char *live);

/* put.c: says that a file is a link, which no command writes. returns: CLI_WRONG */
int cli_tell_link(const struct cli *cli, const char *path);

/* Folder of a path ("." if it has none), and its last part; in the arena. */
const char *cli_dirname(struct cli *cli, const char *path);
const char *cli_basename(const char *path);
/* dir/name in the arena, or name alone if it is absolute. */
const char *cli_join(struct cli *cli, const char *dir, const char *name);

/* Reads sallyport.json. returns: the settings (to free), or NULL with problems */
struct sp_config *cli_load_config(struct cli *cli, const char *path);

/* Loads a policy by the path of its file. returns: the policy (to unref), or NULL with problems */
struct sp_policy *cli_load_policy(struct cli *cli, const char *path);

#define CLI_FILES_MAX 4096

struct cli_files {
    struct cli_file items[CLI_FILES_MAX];
    size_t count;
};
/* returns: none yet, in the arena */
struct cli_files *cli_files_new(struct cli *cli);
/* The same, and keeps every file that it read. returns: the policy (to unref), or NULL with problems */
struct sp_policy *cli_load_policy_files(struct cli *cli, const char *path, struct cli_files *files);

/* returns: whether a set of that name came with the program */
bool cli_is_shipped(struct cli *cli, const char *name);

/* A version of the past, to decide again what it decided (sp_policy_load_past). */
struct cli_version {
    const char *live; /* path of the live policy */
    const char *hash;
    unsigned language;
    struct sp_problems *problems;
};

/*
 * Loads a version that was kept, by its hash, from the history beside the live policy.
 *
 * returns: the policy (to unref), or NULL if it is not kept, or with problems
 */
struct sp_policy *cli_load_version(struct cli *cli, const struct cli_version *v);

/* The same from the canonical text of a version, as the gateway's books have it. */
struct sp_policy *cli_load_canonical(struct cli *cli, const struct cli_version *v,
                                     struct sp_bytes text);

/* Runs one file of tests and tells of it. returns: whether all passed; *passed: how many */
bool cli_run_tests(struct cli *cli, const char *path, size_t *passed);

/* A domain or address in the form that facts have, in A-labels; what can't be one as it stands. returns: lent by the arena or text */
struct sp_bytes cli_inner(struct cli *cli, struct sp_bytes text);

/*
 * Sets a fact by its name in rules from a JSON value: text, number, truth or array as the fact takes them, null for
 * absent, {"unknown": true} for unknown. What is wrong goes to the problems, at the value.
 */
struct cli_facts;
void cli_fact_set(struct cli *cli, struct cli_facts *f, const struct sp_json *member);
/* returns: whether the name says who writes to whom, or when: what the policy's own facts hang on */
bool cli_fact_is_address(struct sp_bytes name);
/* returns: whether the fact is a text, whatever stands in it */
bool cli_fact_is_text(struct sp_bytes name);
/* Everything as of an ordinary message where nothing else was set. returns: the facts, ready to decide from */
const struct sp_facts *cli_facts_end(struct cli_facts *f);
/* Only what is known at RCPT. */
void cli_facts_envelope(const struct cli_facts *f, struct sp_facts *out);

/* Sets the content facts of a whole message, as the scanner would find them. path: for messages */
void cli_scan(struct cli *cli, struct cli_facts *f, const char *path, struct sp_bytes message);

/* returns: the version of the detector that would examine a tenant's mail now. dir: of the configuration */
const char *cli_detector_version(struct cli *cli, const char *dir, struct sp_bytes tenant);

/* Tells all problems on standard error, as text or one object each. code: the exit code. returns: code */
int cli_print_problems(const struct cli *cli, int code);
/* Forgets them. */
void cli_drop_problems(struct cli *cli);
/* Writes them as JSON array "problems". */
void cli_json_problems(const struct cli *cli, struct sp_jw *w);
struct sp_tenant;
/* Checks the folder of what tenants add to the detector, which need not be there. policy: NULL if it could not be read */
void cli_check_detection(struct cli *cli, const struct sp_tenant *const *tenants, size_t count,
                         const char *dir, const struct sp_policy *policy);
/* Prints a tenant as one JSON object on a line: all that tenant show tells, and no secret. */
void cli_tenant_put(const struct sp_tenant *t);
/* Prints a buffer and a line end to standard output. */
void cli_print(const struct sp_buf *b);

/* How many words a command takes beside its options. */
struct cli_wanted {
    size_t least, most;
    const char *what; /* is said if there are fewer: "which file?" */
};
/* Reads the arguments: options go where the table says, words to cli->words. returns: false after saying what is wrong */
bool cli_arguments(struct cli *cli, const struct cli_option *options, size_t count,
                   const struct cli_wanted *wanted);
#define CLI_DAYS_MAX 90 /* what the gateway's books are asked for at once */
/* returns: whether a text is a number of days that may be asked for */
bool cli_is_days(const char *text);
/* returns: whether a text is one line of UTF-8, as what stands in the audit and in histories is */
bool cli_is_line(const char *text);
/* Says what is wrong with the command line, and how the command is written. returns: CLI_USAGE */
int cli_usage(const struct cli *cli, const char *fmt, ...) SP_PRINTF(2, 3);
/*
 * Says what could not be done.
 *
 * code:    the exit code; 0: it is but a remark
 * error:   a name for programs: one of sp_rc_name's, "absent", "input", "failed", "refused" or "remark"
 * returns: code
 */
int cli_tell(const struct cli *cli, int code, const char *error, const char *fmt, ...)
    SP_PRINTF(4, 5);

#endif
