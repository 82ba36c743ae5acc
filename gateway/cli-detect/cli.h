/* Inside `sallyport detect`: one run's state and what its files share. */
#ifndef SP_GATEWAY_CLI_DETECT_CLI_H
#define SP_GATEWAY_CLI_DETECT_CLI_H

#include "base/buf.h"
#include "detect/detect.h"

#define CLI_DETECT_OK       0
#define CLI_DETECT_PHI      1
#define CLI_DETECT_PARTIAL  2
#define CLI_DETECT_USAGE    64
#define CLI_DETECT_NO_INPUT 66

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
    enum cli_detect_mode mode;
    struct sp_detect *detect;
    struct sp_arena *arena;         /* emptied for each file */
    struct sp_detect_result result; /* of the last one */
    struct sp_buf text;             /* its decoded text */
};

/* Appends a file ("-": standard input). returns: false with errno if it can't be read, or is too long */
bool cli_detect_read(const char *path, struct sp_buf *out);

/* returns: the class's word in rules, static */
const char *cli_detect_class(enum sp_detect_class class);

/* Prints the last result as one line of JSON. */
void cli_detect_print_json(const struct cli_detect *cli, const char *path);
/* Prints the decoded text, each identifier replaced by its type in brackets. */
void cli_detect_print_redacted(const struct cli_detect *cli);
/* Judges one text a line. returns: the exit code */
int cli_detect_lines(struct cli_detect *cli, const char *path);

#endif
