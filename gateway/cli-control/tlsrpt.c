/*
 * `sallyport tlsrpt show [DOMAIN] [--day DAY]`: sessions by day and domain and what became of the reports, or one domain's
 * report (RFC 8460) as JSON.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

#define QUESTION_MAX 4096

static void print_days(const struct sp_json *result)
{
    static const char *const heads[] = {"DAY", "DOMAIN", "SUCCESSFUL", "FAILED"};
    const struct sp_json *list = sp_json_find(result, "domains");
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));

    for (const struct sp_json *d = list == NULL ? NULL : list->first; d != NULL; d = d->next) {
        char good[24];
        char bad[24];
        struct sp_bytes cells[4] = {sp_json_text_of(d, "day"), sp_json_text_of(d, "domain")};

        (void)snprintf(good, sizeof(good), "%lld", (long long)sp_json_int_of(d, "successful", 0));
        (void)snprintf(bad, sizeof(bad), "%lld", (long long)sp_json_int_of(d, "failed", 0));
        cells[2] = sp_bytes_cstr(good);
        cells[3] = sp_bytes_cstr(bad);
        table_add(t, cells);
    }
    table_print(t);
    table_free(t);
}

static void print_sent(const struct sp_json *result)
{
    static const char *const heads[] = {"DAY", "REPORT ON", "STATE", "TO"};
    const struct sp_json *list = sp_json_find(result, "sent");
    struct table *t;

    if (list == NULL || list->first == NULL)
        return;
    t = table_new(heads, SP_ARRAY_LEN(heads));
    for (const struct sp_json *r = list->first; r != NULL; r = r->next) {
        struct sp_bytes cells[4] = {sp_json_text_of(r, "day"), sp_json_text_of(r, "domain"),
                                    sp_json_text_of(r, "state"), sp_json_text_of(r, "uri")};

        table_add(t, cells);
    }
    (void)printf("\n");
    table_print(t);
    table_free(t);
}

int control_tlsrpt(const struct control *c)
{
    struct control_answer answer;
    const struct sp_json *report;
    struct sp_buf question;
    struct sp_jw w;
    int code;

    if (strcmp(c->words[1], "show") != 0 || c->word_count > 3)
        return control_usage(c, "tlsrpt show [DOMAIN] [--day YYYY-MM-DD]");
    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", "tlsrpt.show");
    if (c->word_count == 3)
        sp_jw_cstr(&w, "domain", c->words[2]);
    if (c->day != NULL)
        sp_jw_cstr(&w, "day", c->day);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), &answer);
    sp_buf_clear(&question);
    code = answer.code;
    if (code == CONTROL_OK) {
        report = sp_json_find(answer.result, "report");
        if (report != NULL)
            control_print_json(report);
        else if (c->json)
            control_print_json(answer.result);
        else {
            print_days(answer.result);
            print_sent(answer.result);
        }
    }
    control_answer_clear(&answer);
    return code;
}
