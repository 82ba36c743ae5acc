/* How a command says what could not be done; for each program that speaks with a gateway or with its files. */
#ifndef SALLYPORT_CLI_REFUSAL_H
#define SALLYPORT_CLI_REFUSAL_H

#include <stdbool.h>

#define CLI_DETAIL_MAX 8192 /* bytes of a detail, longer ones are cut */

/*
 * Writes what could not be done to standard error: "sallyport: DETAIL", or with json one object a line,
 * {"error","detail","exit"}. error: a name that does not change from version to version; code: the exit code. returns: code
 */
int cli_refuse(bool json, int code, const char *error, const char *detail);

#endif
