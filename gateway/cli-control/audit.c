/*
 * `sallyport audit prove|show|status`: what only the running ledger can say. A proof is written to a new file, or to standard
 * output; verifying it is the offline half's (`sallyport audit verify`).
 */
#include "gateway/cli-control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define QUESTION_MAX    4096
#define POLICY_HASH_LEN 64 /* SHA-256 in hexadecimal; a message has another name */
#define NAME_MAX_LEN    256

static void ask(const struct control *c, const char *command, const char *message,
                struct control_answer *answer)
{
    struct sp_buf question;
    struct sp_jw w;

    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", command);
    if (message != NULL)
        sp_jw_cstr(&w, "message", message);
    if (c->reason != NULL)
        sp_jw_cstr(&w, "reason", c->reason);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), answer);
    sp_buf_clear(&question);
}

static int cant_write(const struct control *c, const char *path)
{
    struct sp_err err = {0};

    (void)sp_fail_errno(&err, SP_E_IO, errno, "%s", path);
    return control_say(c, CONTROL_NO_OUTPUT, "output", "%s", err.text);
}

static int save(const struct control *c, struct control_answer *answer, const char *path)
{
    int fd;
    int code;

    if (strcmp(path, "-") == 0)
        return control_save(c, answer, STDOUT_FILENO);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return cant_write(c, path);
    code = control_save(c, answer, fd);
    if (close(fd) != 0 && code == CONTROL_OK)
        code = CONTROL_NO_OUTPUT;
    return code == CONTROL_NO_OUTPUT ? cant_write(c, path) : code;
}

static void print_saved(const char *path, int64_t records)
{
    struct sp_buf text;
    struct sp_jw w;

    sp_buf_init(&text, 65536);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "file", path);
    sp_jw_int(&w, "records", records);
    sp_jw_end(&w);
    (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

static int prove(const struct control *c)
{
    struct control_answer answer;
    char name[NAME_MAX_LEN];
    const char *path = c->output;
    int code;

    if (c->word_count != 3 || strlen(c->words[2]) > 64 || strchr(c->words[2], '/') != NULL)
        return control_usage(c, "which message?");
    if (path == NULL) {
        (void)snprintf(name, sizeof(name), "%s.proof.json", c->words[2]);
        path = name;
    }
    ask(c, "audit.prove", c->words[2], &answer);
    code = answer.code == CONTROL_OK ? save(c, &answer, path) : answer.code;
    if (code == CONTROL_OK && strcmp(path, "-") != 0) {
        if (c->json)
            print_saved(path, sp_json_int_of(answer.result, "records", 0));
        else
            (void)printf("%s: %lld records; check it anywhere by: sallyport audit verify %s\n",
                         path, (long long)sp_json_int_of(answer.result, "records", 0), path);
    }
    control_answer_clear(&answer);
    return code;
}

static void print_status(const struct sp_json *s)
{
    (void)printf("node        %.*s\n", SP_FMT(sp_json_text_of(s, "node")));
    (void)printf("file        %.*s\n", SP_FMT(sp_json_text_of(s, "file")));
    (void)printf("records     %lld, %lld bytes\n", (long long)sp_json_int_of(s, "last_seq", 0),
                 (long long)sp_json_int_of(s, "bytes", 0));
    (void)printf("checkpoint  record %lld, %.*s\n",
                 (long long)sp_json_int_of(s, "checkpoint_seq", 0),
                 SP_FMT(sp_json_text_of(s, "checkpoint_time")));
    (void)printf("unsigned    %lld records\n", (long long)sp_json_int_of(s, "unsigned", 0));
    (void)printf("waiting     %lld bytes\n", (long long)sp_json_int_of(s, "waiting_bytes", 0));
    (void)printf("key         %.*s\n", SP_FMT(sp_json_text_of(s, "key")));
}

static int status(const struct control *c)
{
    struct control_answer answer;
    int code;

    ask(c, "audit.status", NULL, &answer);
    code = answer.code;
    if (code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (code == CONTROL_OK)
        print_status(answer.result);
    control_answer_clear(&answer);
    return code;
}

static void print_record(struct table *t, const struct sp_json *r)
{
    const struct sp_json *n = sp_json_find(r, "n");
    struct sp_bytes why = sp_json_text_of(r, "reason");
    struct sp_buf list;
    char seq[24];

    if (why.len == 0)
        why = sp_json_text_of(r, "why");
    sp_buf_init(&list, QUESTION_MAX);
    if (n == NULL || sp_json_canonical(n, &list) != SP_OK)
        sp_buf_reset(&list);
    (void)snprintf(seq, sizeof(seq), "%lld", (long long)sp_json_int_of(r, "seq", 0));
    struct sp_bytes cells[] = {
        sp_bytes_cstr(seq),
        sp_json_text_of(r, "time"),
        sp_json_text_of(r, "event"),
        sp_buf_bytes(&list),
        sp_json_text_of(r, "outcome"),
        sp_json_text_of(sp_json_find(r, "hop"), "mx"),
        sp_json_text_of(sp_json_find(r, "tls"), "verified_by"),
        why,
    };
    table_add(t, cells);
    sp_buf_clear(&list);
}

static void print_final(struct table *t, const struct sp_json *r)
{
    char n[24];

    (void)snprintf(n, sizeof(n), "%lld", (long long)sp_json_int_of(r, "n", 0));
    struct sp_bytes cells[] = {
        sp_bytes_cstr(n),
        sp_json_text_of(r, "final"),
        sp_json_text_of(r, "rung"),
        sp_json_text_of(r, "floor"),
        sp_json_bool_of(r, "floor_met", false) ? SP_LIT("yes") : SP_LIT("NO"),
        sp_json_text_of(r, "rule"),
    };
    table_add(t, cells);
}

static void print_records(const struct sp_json *result)
{
    static const char *const heads[] = {"SEQ",     "TIME", "EVENT",       "N",
                                        "OUTCOME", "HOP",  "VERIFIED BY", "WHY"};
    static const char *const finals[] = {"N", "FINAL", "RUNG", "FLOOR", "FLOOR MET", "RULE"};
    const struct sp_json *list = sp_json_find(result, "records");
    struct table *records = table_new(heads, SP_ARRAY_LEN(heads));
    struct table *recipients = table_new(finals, SP_ARRAY_LEN(finals));
    bool settled = false;

    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next) {
        const struct sp_json *of = sp_json_find(r, "recipients");

        print_record(records, r);
        if (!sp_bytes_eq(sp_json_text_of(r, "event"), SP_LIT("message.settled")))
            continue;
        settled = true;
        for (const struct sp_json *one = of == NULL ? NULL : of->first; one != NULL;
             one = one->next)
            print_final(recipients, one);
    }
    table_print(records);
    (void)printf("\n%s\n", settled ? "settled:" : "not settled yet");
    if (settled)
        table_print(recipients);
    table_free(recipients);
    table_free(records);
}

static int show(const struct control *c)
{
    struct control_answer answer;
    int code;

    if (c->word_count != 3)
        return control_usage(c, "which message?");
    ask(c, "message.show", c->words[2], &answer);
    code = answer.code;
    if (code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (code == CONTROL_OK)
        print_records(answer.result);
    control_answer_clear(&answer);
    return code;
}

/* Facts of one message, or of so many days: for `sallyport policy replay`, one JSON object a line; or the policy of then. */
static int facts(const struct control *c)
{
    struct control_answer answer;
    struct sp_buf question;
    struct sp_jw w;
    uint64_t days;
    int code;

    if (c->word_count != 3)
        return control_usage(c, "facts of which message, or of how many days, or which policy?");
    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", "audit.facts");
    if (strlen(c->words[2]) == POLICY_HASH_LEN)
        sp_jw_cstr(&w, "policy", c->words[2]);
    else if (sp_bytes_to_u64(sp_bytes_cstr(c->words[2]), &days) && days <= 1000)
        sp_jw_int(&w, "days", (int64_t)days);
    else
        sp_jw_cstr(&w, "message", c->words[2]);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), &answer);
    sp_buf_clear(&question);
    code = answer.code == CONTROL_OK ? save(c, &answer, c->output == NULL ? "-" : c->output)
                                     : answer.code;
    control_answer_clear(&answer);
    return code;
}

/* Told by the commands themselves. */
static int note(const struct control *c)
{
    const struct control_member members[] = {
        {"what", c->words[2]}, {"folder", c->folder}, {"messages", c->limit}};
    struct control_answer answer;
    int code;

    if (c->word_count != 3)
        return control_usage(c, "note of what?");
    code = control_ask_about(c, "audit.note", members, SP_ARRAY_LEN(members), &answer);
    control_answer_clear(&answer);
    return code;
}

int control_audit(const struct control *c)
{
    int code = control_pseudonym(c);

    if (code >= 0)
        return code;
    if (strcmp(c->words[1], "note") == 0)
        return note(c);
    if (strcmp(c->words[1], "facts") == 0)
        return facts(c);
    if (strcmp(c->words[1], "prove") == 0)
        return prove(c);
    if (strcmp(c->words[1], "show") == 0)
        return show(c);
    if (strcmp(c->words[1], "status") == 0)
        return status(c);
    return control_usage(
        c, "audit: prove, show, find, address, reveal, facts or status (and verify, which needs no "
           "gateway)");
}
