/*
 * The second person. Where the settings ask for one, a version is proposed over the control socket, where the kernel says
 * who speaks, and another user approves it there (sallyport policy approve). The ledger keeps both on record; what is
 * written here is only what it said. Nobody can stand in for somebody else by an option of a command.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/cli-policy/publish.h"

#define ANSWER_LEN_MAX 65536

/* Asks for the proposal of a version. returns: its JSON (to free), or NULL */
static struct sp_json_doc *ask(struct cli *cli, const struct publish *p, const char *verb,
                               const char *hash)
{
    const char *words[] = {"policy",   verb,      hash,     "--reason", p->reason,
                           "--config", p->config, "--json", NULL};
    struct sp_json_doc *doc = NULL;
    struct sp_err err;
    struct sp_buf out;

    sp_buf_init(&out, ANSWER_LEN_MAX);
    if (cli_ask_gateway(cli, words, CLI_WRONG, &out) == 0)
        (void)!sp_json_parse(sp_buf_bytes(&out), NULL, &doc, &err);
    sp_buf_clear(&out);
    return doc;
}

static int tell_waits(struct cli *cli, const char *hash)
{
    if (cli->json)
        printf("{\"done\":\"proposed\",\"after\":\"%s\"}\n", hash);
    else
        printf("proposed; it waits for a second person: sallyport policy approve %.16s --reason "
               "TEXT\nThen publish it again.\n",
               hash);
    return CLI_WAITS;
}

bool publish_is_approved(struct cli *cli, struct publish *p, const char *hash, int *code)
{
    SP_AUTO(sp_json_doc) doc = ask(cli, p, "propose", hash);
    const char *me = publish_text(cli, "uid:%u", (unsigned)getuid());
    struct sp_bytes approver;

    if (doc == NULL) {
        *code = cli_tell(cli, CLI_WRONG, "absent",
                         "publishing.second_person: the gateway, which records who approves, does "
                         "not answer");
        return false;
    }
    approver = sp_json_text_of(sp_json_root(doc), "approved_by");
    if (approver.len == 0 || sp_bytes_eq(approver, sp_bytes_cstr(me))) {
        *code = tell_waits(cli, hash);
        return false;
    }
    p->approver = sp_arena_cstr(cli->arena, approver);
    return true;
}
