/*
 * What recipients have chosen in the portal, from the running gateway.
 */
#ifndef SP_CLI_POLICY_WISHES_H
#define SP_CLI_POLICY_WISHES_H

#include "gateway/cli-policy/cli.h"

/*
 * Asks for what recipients have chosen, of one address or (NULL) of all.
 *
 * returns: the answer (to free), or NULL, with a word to the user, if the gateway does not answer
 */
struct sp_json_doc *cli_wishes(struct cli *cli, const char *config, const char *address);
/* returns: the first entry of an answer (tenant, recipient, preference, given, until, by), NULL if there is none */
const struct sp_json *cli_wishes_first(const struct sp_json_doc *doc);
/* Finds one recipient's. tenant: may be empty if there is only one. returns: whether there is one */
bool cli_wishes_find(struct cli *cli, const struct sp_json_doc *doc, struct sp_bytes address,
                     struct sp_bytes tenant, struct sp_fact_wish *out);
/* Takes out what a recipient has chosen. returns: whether it is done and on record */
bool cli_wishes_forget(struct cli *cli, const char *config, const char *address,
                       const char *reason);

#endif
