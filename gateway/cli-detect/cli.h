/* Inside `sallyport detect`: one run's state and what its files share. */
#ifndef SP_GATEWAY_CLI_DETECT_CLI_H
#define SP_GATEWAY_CLI_DETECT_CLI_H

#include "base/buf.h"
#include "detect/detect.h"
#include "detect/own.h"
#include "gateway/cli/options.h"

#define CLI_DETECT_OK        0
#define CLI_DETECT_PHI       1
#define CLI_DETECT_PARTIAL   2
#define CLI_DETECT_USAGE     64
#define CLI_DETECT_NO_INPUT  66
#define CLI_DETECT_NO_OUTPUT 73

#define CLI_DETECT_FILE_MAX ((size_t)512 << 20)
#define CLI_DETECT_TEXT_MAX ((size_t)512 << 20)

enum cli_detect_mode {
    CLI_DETECT_WORDS,
    CLI_DETECT_JSON,
    CLI_DETECT_REDACT,
    CLI_DETECT_TEXT,
    CLI_DETECT_LINES,
};

struct cli_detect {
    bool json; /* --json is among the arguments: what could not be done is said so */
    enum cli_detect_mode mode;
    struct sp_detect *detect;
    struct sp_arena *arena;         /* emptied for each file */
    struct sp_detect_result result; /* of the last one */
    struct sp_buf text;             /* its decoded text */
    const char *own_path;           /* of --own; NULL without */
    struct sp_detect_own *own;      /* of --own; NULL without */
    struct sp_buf index;            /* its exact data, while own lives */
};

/* Says what could not be done. error: a name for programs; code 0: it is but a remark. returns: code */
int cli_detect_say(const struct cli_detect *cli, int code, const char *error, const char *format,
                   ...) SP_PRINTF(4, 5);
/* What is wrong with the arguments, and how they are written. returns: CLI_DETECT_USAGE */
int cli_detect_wrong(const struct cli_detect *cli, const char *word, const char *why);

/* Appends a file ("-": standard input). returns: false with errno if it can't be read, or is too long */
bool cli_detect_read(const char *path, struct sp_buf *out);

/* returns: the class's word in rules, static */
const char *cli_detect_class(enum sp_detect_class class);

/* Prints the last result as one line of JSON. */
void cli_detect_print_json(const struct cli_detect *cli, const char *path);
/* Prints the decoded text, each identifier replaced by its type in brackets. */
void cli_detect_print_redacted(const struct cli_detect *cli);
/* Reads FILE.json and what lies beside it. returns: false if it can't be used; it has been told */
bool cli_detect_own(struct cli_detect *cli, const char *path);
/* FILE.json's brother with another suffix. returns: false if path does not end in ".json", or the name is too long */
bool cli_detect_brother(const char *path, const char *suffix, char *out, size_t len);
/* `detect index`: args behind that word. returns: the exit code */
int cli_detect_index(struct cli_detect *cli, struct cli_args args);
/* Judges one text a line. returns: the exit code */
int cli_detect_lines(struct cli_detect *cli, const char *path);

#endif
