/*
 * What recipients have chosen in the portal lies with the running gateway, not in files: it is asked for it. Who can't ask (no
 * gateway, no right to) is told so, and sees the files alone.
 */
#include <stdio.h>

#include "base/clock.h"
#include "gateway/cli-policy/publish.h"
#include "gateway/cli-policy/wishes.h"

#define ANSWER_MAX ((size_t)64 << 20)
#define REPLY_MAX  8192

struct sp_json_doc *cli_wishes(struct cli *cli, const char *config, const char *address)
{
    const char *words[] = {"preference", "own",   "--config", config,
                           "--json",     address, NULL}; /* address NULL: of all */
    struct sp_json_doc *doc = NULL;
    struct sp_buf out;
    struct sp_err err;

    sp_buf_init(&out, ANSWER_MAX);
    if (cli_ask_gateway(cli, words, CLI_OK, &out) != 0 ||
        sp_json_parse(sp_buf_bytes(&out), NULL, &doc, &err) != SP_OK)
        (void)cli_tell(
            cli, CLI_OK, "absent",
            "without the gateway nobody knows what recipients have chosen in the portal");
    else if (!sp_json_bool_of(sp_json_root(doc), "complete", true))
        (void)cli_tell(cli, CLI_OK, "remark",
                       "there are more choices than are listed: ask for one address");
    sp_buf_clear(&out);
    return doc;
}

const struct sp_json *cli_wishes_first(const struct sp_json_doc *doc)
{
    const struct sp_json *all = doc == NULL ? NULL : sp_json_find(sp_json_root(doc), "preferences");

    return all == NULL ? NULL : all->first;
}

bool cli_wishes_forget(struct cli *cli, const char *config, const char *address, const char *reason)
{
    const char *words[] = {"preference",     "forget",   address, "--reason", reason, "--request",
                           cli_request(cli), "--config", config,  "--json",   NULL};
    struct sp_buf out;
    bool ok;

    sp_buf_init(&out, REPLY_MAX);
    ok = cli_ask_gateway(cli, words, CLI_WRONG, &out) == 0;
    sp_buf_clear(&out);
    return ok;
}

/* returns: whether the wish is of the tenant that is asked about, or of the only one there is */
static bool is_for(const struct sp_json *entry, struct sp_bytes tenant)
{
    return tenant.len == 0 || sp_bytes_eq(sp_json_text_of(entry, "tenant"), tenant);
}

bool cli_wishes_find(struct cli *cli, const struct sp_json_doc *doc, struct sp_bytes address,
                     struct sp_bytes tenant, struct sp_fact_wish *out)
{
    const struct sp_json *found = NULL;

    for (const struct sp_json *e = cli_wishes_first(doc); e != NULL; e = e->next) {
        if (!sp_bytes_eq_nocase(sp_json_text_of(e, "recipient"), address) || !is_for(e, tenant))
            continue;
        if (found != NULL) {
            sp_problem_file(cli->problems, "", 0, SP_E_USAGE,
                            "%.*s has chosen something with more than one tenant: name it with "
                            "--tenant",
                            SP_FMT(address));
            return false;
        }
        found = e;
    }
    return found != NULL &&
           sp_fact_value_parse(SP_FACT_RECIPIENT_PREFERENCE, sp_json_text_of(found, "preference"),
                               &out->preference) &&
           sp_time_parse_rfc3339(sp_json_text_of(found, "given"), &out->given_ms) &&
           sp_time_parse_rfc3339(sp_json_text_of(found, "until"), &out->until_ms);
}
