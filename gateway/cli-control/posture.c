/*
 * `sallyport posture list|show|accept|forget`: what domains have proved and promised, and what an administrator takes as
 * right of it.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

static int ask(const struct control *c, const char *command, struct control_answer *answer)
{
    const struct control_member members[] = {
        {"domain", c->word_count > 2 ? c->words[2] : NULL},
        {"level", c->word_count > 3 ? c->words[3] : NULL},
        {"reason", c->reason},
    };

    return control_ask_about(c, command, members, SP_ARRAY_LEN(members), answer);
}

static void print_table(const struct sp_json *list)
{
    static const char *const heads[] = {"DOMAIN", "BEST",    "PROVED",
                                        "NOW",    "MTA-STS", "ACCEPTED BY HAND"};
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));

    for (const struct sp_json *d = list == NULL ? NULL : list->first; d != NULL; d = d->next) {
        const struct sp_json *sts = sp_json_find(d, "sts");
        struct sp_bytes cells[] = {
            sp_json_text_of(d, "domain"),
            sp_json_text_of(d, "best"),
            sp_json_text_of(d, "proved"),
            sp_json_text_of(d, "now"),
            sts == NULL ? SP_LIT("-") : sp_json_text_of(sts, "until"),
            sp_json_bool_of(d, "accepted", false) ? SP_LIT("yes") : SP_LIT("no"),
        };

        table_add(t, cells);
    }
    table_print(t);
    table_free(t);
}

static int list(const struct control *c)
{
    struct control_answer answer;
    int code = ask(c, "posture.list", &answer);

    if (code == CONTROL_OK && !c->json)
        print_table(sp_json_find(answer.result, "domains"));
    control_answer_clear(&answer);
    return code;
}

/* Text from outside: what a terminal would take for more than text is shown as "?". */
static void print_field(const char *name, struct sp_bytes value)
{
    if (value.len == 0)
        return;
    (void)printf("%-10s ", name);
    for (size_t i = 0; i < value.len; i++) {
        bool shown = (value.ptr[i] >= 0x20 && value.ptr[i] < 0x7f) || value.ptr[i] == '\n';

        if (value.ptr[i] != '\r')
            (void)putchar(shown ? value.ptr[i] : '?');
        if (value.ptr[i] == '\n' && i + 1 < value.len)
            (void)printf("%-10s ", "");
    }
    if (value.ptr[value.len - 1] != '\n')
        (void)putchar('\n');
}

/* A row a host; what binds is the domain's best, above. */
static void print_hosts(const struct sp_json *list)
{
    static const char *const heads[] = {"HOST", "BEST", "PROVED", "NOW", "SINCE", "EVIDENCE"};
    struct table *t;

    if (list == NULL || list->first == NULL)
        return;
    t = table_new(heads, SP_ARRAY_LEN(heads));
    for (const struct sp_json *h = list->first; h != NULL; h = h->next) {
        const struct sp_json *evidence = sp_json_find(h, "evidence");
        struct sp_bytes cells[] = {
            sp_json_text_of(h, "host"),
            sp_json_text_of(h, "best"),
            sp_json_text_of(h, "proved"),
            sp_json_text_of(h, "now"),
            sp_json_text_of(h, "now_since"),
            evidence == NULL || evidence->first == NULL ? SP_LIT("-") : evidence->first->text,
        };

        table_add(t, cells);
    }
    (void)putchar('\n');
    table_print(t);
    table_free(t);
}

static void print_one(const struct sp_json *d)
{
    const struct sp_json *evidence = sp_json_find(d, "evidence");
    const struct sp_json *sts = sp_json_find(d, "sts");

    print_field("domain", sp_json_text_of(d, "domain"));
    print_field("best", sp_json_text_of(d, "best"));
    print_field("proved", sp_json_text_of(d, "proved"));
    print_field("host", sp_json_text_of(d, "host"));
    for (const struct sp_json *e = evidence == NULL ? NULL : evidence->first; e != NULL;
         e = e->next)
        print_field("evidence", e->text);
    print_field("now", sp_json_text_of(d, "now"));
    print_field("since", sp_json_text_of(d, "now_since"));
    print_field("accepted", sp_json_text_of(d, "accepted_at"));
    if (sts != NULL) {
        print_field("sts id", sp_json_text_of(sts, "id"));
        print_field("fetched", sp_json_text_of(sts, "fetched"));
        print_field("until", sp_json_text_of(sts, "until"));
        print_field("policy", sp_json_text_of(sts, "policy"));
    }
    print_hosts(sp_json_find(d, "hosts"));
}

static int show(const struct control *c)
{
    struct control_answer answer;
    const struct sp_json *domains;
    int code;

    if (c->word_count != 3)
        return control_usage(c, "posture show DOMAIN");
    code = ask(c, "posture.list", &answer);
    if (code == CONTROL_OK) {
        domains = sp_json_find(answer.result, "domains");
        if (domains == NULL || domains->first == NULL) {
            code =
                control_say(c, CONTROL_REFUSED, "not-found", "nothing is known of %s", c->words[2]);
        } else if (!c->json) {
            print_one(domains->first);
        }
    }
    control_answer_clear(&answer);
    return code;
}

static int change(const struct control *c, const char *command, const char *what)
{
    struct control_answer answer;
    int code = ask(c, command, &answer);

    if (code == CONTROL_OK && !c->json)
        (void)printf("%s: %.*s %s\n", c->words[2], SP_FMT(sp_json_text_of(answer.result, "now")),
                     what);
    control_answer_clear(&answer);
    return code;
}

int control_posture(const struct control *c)
{
    const char *verb = c->words[1];

    if (strcmp(verb, "list") == 0)
        return list(c);
    if (strcmp(verb, "show") == 0)
        return show(c);
    if (strcmp(verb, "accept") == 0 && c->word_count >= 3 && c->reason != NULL)
        return change(c, "posture.accept", "is taken as right");
    if (strcmp(verb, "forget") == 0 && c->word_count == 3 && c->reason != NULL)
        return change(c, "posture.forget", "from now on");
    return control_usage(c,
                         "posture list [DOMAIN], show DOMAIN, accept DOMAIN [LEVEL] --reason TEXT, "
                         "forget DOMAIN --reason TEXT");
}
