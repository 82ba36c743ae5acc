/*
 * `sallyport policy approve` and `policy proposals`, and what `policy publish` asks by itself (policy propose): a policy's
 * second person speaks over the control socket, where the kernel says who it is. And what `sallyport preference` asks:
 * set|removed before it writes the registry, failed if that fails then, own and forget for what recipients have chosen in the portal.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

static int vote(const struct control *c, const char *command)
{
    const struct control_member members[] = {{"policy", c->words[2]}, {"reason", c->reason}};
    struct control_answer answer;
    int code = control_ask_about(c, command, members, SP_ARRAY_LEN(members), &answer);

    if (code == CONTROL_OK && !c->json)
        (void)printf("%.*s, proposed by %.*s, is approved by %.*s; who proposed it publishes it "
                     "now\n",
                     SP_FMT(sp_bytes_slice(sp_json_text_of(answer.result, "policy"), 0, 16)),
                     SP_FMT(sp_json_text_of(answer.result, "proposed_by")),
                     SP_FMT(sp_json_text_of(answer.result, "approved_by")));
    control_answer_clear(&answer);
    return code;
}

static int list(const struct control *c)
{
    static const char *const heads[] = {"POLICY", "PROPOSED BY", "AT", "APPROVED BY", "REASON"};
    struct control_answer answer;
    int code = control_ask_about(c, "policy.proposals", NULL, 0, &answer);

    if (code == CONTROL_OK && !c->json) {
        const struct sp_json *all = sp_json_find(answer.result, "proposals");
        struct table *t = table_new(heads, SP_ARRAY_LEN(heads));

        for (const struct sp_json *a = all == NULL ? NULL : all->first; a != NULL; a = a->next) {
            struct sp_bytes by = sp_json_text_of(a, "approved_by");
            struct sp_bytes cells[] = {
                sp_bytes_slice(sp_json_text_of(a, "policy"), 0, 16),
                sp_json_text_of(a, "proposed_by"),
                sp_json_text_of(a, "proposed"),
                by.len == 0 ? SP_LIT("-") : by,
                sp_json_text_of(a, "reason"),
            };

            table_add(t, cells);
        }
        table_print(t);
        table_free(t);
    }
    control_answer_clear(&answer);
    return code;
}

int control_policy(const struct control *c)
{
    bool names = c->word_count == 3 && c->reason != NULL;

    if (strcmp(c->words[1], "proposals") == 0)
        return list(c);
    if (strcmp(c->words[1], "approve") == 0 && names)
        return vote(c, "policy.approve");
    if (strcmp(c->words[1], "propose") == 0 && names)
        return vote(c, "policy.propose");
    return control_usage(c, "policy approve VERSION --reason TEXT, policy proposals");
}

static int own_preferences(const struct control *c)
{
    const struct control_member members[] = {{"address", c->word_count > 2 ? c->words[2] : NULL}};
    struct control_answer answer;
    int code = control_ask_about(c, "preference.own", members, SP_ARRAY_LEN(members), &answer);

    control_answer_clear(&answer);
    return code;
}

int control_preference(const struct control *c)
{
    static const struct {
        const char *word, *command;
    } acts[] = {{"set", "preference.set"},
                {"removed", "preference.removed"},
                {"failed", "preference.failed"},
                {"forget", "preference.forget"}};
    const struct control_member members[] = {
        {"address", c->word_count > 2 ? c->words[2] : NULL},
        {"reason", c->reason},
        {"entry", c->entry},
        {"request", c->request},
    };
    const char *command = NULL;
    struct control_answer answer;
    int code;

    if (strcmp(c->words[1], "own") == 0)
        return own_preferences(c);
    for (size_t i = 0; i < SP_ARRAY_LEN(acts); i++)
        if (strcmp(c->words[1], acts[i].word) == 0)
            command = acts[i].command;
    if (c->word_count != 3 || command == NULL)
        return control_usage(c,
                             "preference set|removed|forget|own is what sallyport preference asks");
    code = control_ask_about(c, command, members, SP_ARRAY_LEN(members), &answer);
    control_answer_clear(&answer);
    return code;
}
