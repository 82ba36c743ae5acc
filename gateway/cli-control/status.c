/*
 * `sallyport status`: each relay with its numbers.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

#define QUESTION_MAX 8192

static void ask(const struct control *c, struct sp_buf *question, struct sp_jw *w,
                struct control_answer *answer)
{
    sp_jw_end(w);
    control_ask(c, sp_buf_bytes(question), answer);
    sp_buf_clear(question);
}

static void begin(struct sp_buf *question, struct sp_jw *w, const char *command)
{
    sp_buf_init(question, QUESTION_MAX);
    sp_jw_init(w, question);
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "command", command);
}

/* ---- status ---- */

static void add_relay(struct table *t, const struct sp_json *relay)
{
    static const char *const members[] = {"messages",    "pending",     "held",
                                          "in_delivery", "quarantined", "syncs"};
    const struct sp_json *says = sp_json_find(relay, "says");
    struct sp_bytes cells[8];
    char texts[7][24];

    (void)snprintf(texts[6], sizeof(texts[6]), "%lld",
                   (long long)sp_json_int_of(relay, "relay", -1));
    cells[0] = sp_bytes_cstr(texts[6]);
    cells[1] = says == NULL ? sp_json_text_of(relay, "error") : sp_json_text_of(says, "accepts");
    for (size_t i = 0; i < SP_ARRAY_LEN(members); i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%lld",
                       (long long)sp_json_int_of(says, members[i], 0));
        cells[2 + i] =
            sp_json_find(says, members[i]) == NULL ? SP_LIT("-") : sp_bytes_cstr(texts[i]);
    }
    table_add(t, cells);
}

static void print_relays(const struct sp_json *result)
{
    static const char *const heads[] = {"RELAY", "ACCEPTS",     "MESSAGES",    "PENDING",
                                        "HELD",  "IN DELIVERY", "QUARANTINED", "SYNCS"};
    const struct sp_json *list = sp_json_find(result, "relays");
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));

    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next)
        add_relay(t, r);
    table_print(t);
    table_free(t);
}

int control_status(const struct control *c)
{
    struct control_answer answer;
    struct sp_buf question;
    struct sp_jw w;
    int code;

    begin(&question, &w, "queue.stats");
    ask(c, &question, &w, &answer);
    code = answer.code;
    if (code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (code == CONTROL_OK)
        print_relays(answer.result);
    control_answer_clear(&answer);
    return code;
}
