/* How a command reads its arguments; for each program of the command line, so that "--name=value" means the same to all. */
#ifndef SALLYPORT_CLI_OPTIONS_H
#define SALLYPORT_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Values of an option that may be given again. */
struct cli_values {
    const char **items; /* room for max of them */
    size_t max;
    size_t count;
};

/* What a command takes. One of value, is_on and values says where it goes. */
struct cli_option {
    const char *name;          /* "--config" */
    const char **value;        /* a value, the last one counts */
    bool *is_on;               /* it has none */
    struct cli_values *values; /* several */
};

/* Arguments that are being read. */
struct cli_args {
    int argc; /* those that are left */
    char **argv;
    const char *wrong; /* the argument that can't be taken; NULL: none */
    const char *why;
    bool is_unknown; /* because no option of the table has this name */
    char text[160];  /* where why lies then */
};

/*
 * Takes options, as "--name value", "--name=value" or, of one letter, "-n value", up to a word that is none. "-" is a word.
 *
 * returns: the word, lent; NULL at the end, or at what can't be taken: a->wrong then names it and a->why, which lives as a does, says why
 */
const char *cli_next_word(struct cli_args *a, const struct cli_option *options, size_t count);

#endif
