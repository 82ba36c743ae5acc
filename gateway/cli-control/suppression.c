/*
 * `sallyport suppression list|add|remove`: addresses that are not tried, and why.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

static int ask(const struct control *c, const char *command, struct control_answer *answer)
{
    const struct control_member members[] = {
        {"address", c->word_count > 2 ? c->words[2] : NULL},
        {"reason", c->reason},
    };

    return control_ask_about(c, command, members, SP_ARRAY_LEN(members), answer);
}

static struct sp_bytes or_dash(struct sp_bytes text)
{
    return text.len == 0 ? SP_LIT("-") : text;
}

static void print_table(const struct sp_json *list)
{
    static const char *const heads[] = {"ADDRESS", "WHY", "REPLY", "SINCE", "UNTIL"};
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));

    for (const struct sp_json *a = list == NULL ? NULL : list->first; a != NULL; a = a->next) {
        struct sp_bytes cells[] = {
            sp_json_text_of(a, "address"),        sp_json_text_of(a, "why"),
            or_dash(sp_json_text_of(a, "reply")), sp_json_text_of(a, "since"),
            or_dash(sp_json_text_of(a, "until")),
        };

        table_add(t, cells);
    }
    table_print(t);
    table_free(t);
}

static int list(const struct control *c)
{
    struct control_answer answer;
    int code = ask(c, "suppression.list", &answer);

    if (code == CONTROL_OK && !c->json)
        print_table(sp_json_find(answer.result, "addresses"));
    control_answer_clear(&answer);
    return code;
}

static int change(const struct control *c, const char *command, const char *what)
{
    struct control_answer answer;
    int code = ask(c, command, &answer);

    if (code == CONTROL_OK && !c->json)
        (void)printf("%s: %s\n", c->words[2], what);
    control_answer_clear(&answer);
    return code;
}

int control_suppression(const struct control *c)
{
    const char *verb = c->words[1];
    bool names = c->word_count == 3 && c->reason != NULL;

    if (strcmp(verb, "list") == 0)
        return list(c);
    if (strcmp(verb, "add") == 0 && names)
        return change(c, "suppression.add", "is not tried any more");
    if (strcmp(verb, "remove") == 0 && names)
        return change(c, "suppression.remove", "may be tried again");
    return control_usage(c, "suppression list [ADDRESS], add ADDRESS --reason TEXT, "
                            "remove ADDRESS --reason TEXT");
}
