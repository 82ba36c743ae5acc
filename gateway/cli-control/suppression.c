/*
 * `sallyport suppression list|add|remove`: addresses that are not tried, and why.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

#define QUESTION_MAX 8192

static int ask(const struct control *c, const char *command, struct control_answer *answer)
{
    struct sp_buf question;
    struct sp_jw w;

    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", command);
    if (c->word_count > 2)
        sp_jw_cstr(&w, "address", c->words[2]);
    if (c->reason != NULL)
        sp_jw_cstr(&w, "reason", c->reason);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), answer);
    sp_buf_clear(&question);
    if (answer->code == CONTROL_OK && c->json)
        control_print_json(answer->result);
    return answer->code;
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
    return control_usage("suppression list [ADDRESS], add ADDRESS --reason TEXT, "
                         "remove ADDRESS --reason TEXT");
}
