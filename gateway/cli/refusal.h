/* How a command says what could not be done; for each program of the command line. */
#ifndef SALLYPORT_CLI_REFUSAL_H
#define SALLYPORT_CLI_REFUSAL_H

#include <stdarg.h>
#include <stdbool.h>

#define CLI_DETAIL_MAX 8192 /* bytes of a detail, longer ones are cut */

struct cli_voice {
    bool json;
    const char *name; /* what stands before it in words, as "sallyport" */
};

/*
 * Writes what could not be done to standard error: "NAME: DETAIL", or with json one object a line, {"error","detail","exit"}.
 *
 * error:   a name that does not change from version to version
 * code:    the exit code; 0: it is but a remark
 * format:  of the detail, for people
 * returns: code
 */
int cli_refuse(const struct cli_voice *v, int code, const char *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with the values of the format as a list. returns: code */
int cli_refuse_list(const struct cli_voice *v, int code, const char *error, const char *format,
                    va_list values) __attribute__((format(printf, 4, 0)));

/* Ends what goes to standard output: what could not be written was not told. returns: code; no_output after saying so */
int cli_flush(const struct cli_voice *v, int code, int no_output);

/* Of arguments that are not understood nobody knows yet which are options. returns: whether "--json" is among them */
bool cli_wants_json(int argc, char **argv);

#endif
