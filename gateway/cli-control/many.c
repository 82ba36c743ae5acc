/*
 * `sallyport queue hold|release|retry|delete` with filters in a message's place: what `queue list` shows with the same ones, message by
 * message, and of each the recipients that fit. Each is an act of its own on record; one that is refused stops no other.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

#define PAGE         500
#define QUESTION_MAX ((size_t)1 << 20)

struct many {
    const struct control *c;
    const char *verb;
    const char *command;
    char after[64]; /* id of the page's end */
    uint64_t messages;
    uint64_t recipients;
    uint64_t busy;    /* messages: in delivery at that moment */
    uint64_t refused; /* messages: for something else */
    int code;
};

static bool is_final(struct sp_bytes state)
{
    static const char *const open[] = {"pending", "deferred", "held", "in-delivery"};

    for (size_t i = 0; i < SP_ARRAY_LEN(open); i++) {
        if (sp_bytes_eq(state, sp_bytes_cstr(open[i])))
            return false;
    }
    return true;
}

/* Whether the filters mean this recipient; those about the message did so already. */
static bool is_meant(const struct control *c, const struct sp_json *r)
{
    struct sp_bytes state = sp_json_text_of(r, "state");

    if (is_final(state))
        return false;
    if (c->recipient != NULL &&
        !sp_bytes_has_nocase(sp_json_text_of(r, "address"), sp_bytes_cstr(c->recipient)))
        return false;
    if (c->rule != NULL && !sp_bytes_eq(sp_json_text_of(r, "rule"), sp_bytes_cstr(c->rule)))
        return false;
    return c->state == NULL || sp_bytes_eq(state, sp_bytes_cstr(c->state)) ||
           sp_bytes_eq(state, SP_LIT("in-delivery"));
}

/* returns: whether somebody of the message is meant */
static bool put_meant(const struct many *m, const struct sp_json *message, struct sp_jw *w)
{
    const struct sp_json *list = sp_json_find(message, "recipients");
    bool any = false;

    if (sp_json_bool_of(message, "quarantined", false))
        return true; /* as a whole */
    sp_jw_array(w, "n");
    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next) {
        if (!is_meant(m->c, r))
            continue;
        sp_jw_int(w, NULL, sp_json_int_of(r, "n", 0));
        any = true;
    }
    sp_jw_end(w);
    return any;
}

static void note(struct many *m, struct sp_bytes id, const struct control_answer *answer)
{
    const struct sp_json *ns = sp_json_find(answer->result, "n");
    const struct sp_json *root = answer->json == NULL ? NULL : sp_json_root(answer->json);
    struct sp_bytes error = sp_json_text_of(root, "error");

    if (answer->code == CONTROL_OK) {
        m->messages += ns == NULL || ns->count > 0;
        m->recipients += ns == NULL ? 0 : ns->count;
    } else if (sp_bytes_eq(error, SP_LIT("exists"))) {
        m->busy++;
    } else if (!sp_bytes_eq(error, SP_LIT("not-found"))) { /* else it has gone meanwhile */
        m->refused++;
        (void)fprintf(stderr, "sallyport: %.*s: %.*s: %.*s\n", SP_FMT(id), SP_FMT(error),
                      SP_FMT(sp_json_text_of(root, "detail")));
        if (m->code != CONTROL_UNKNOWN)
            m->code = answer->code;
    }
}

static void act(struct many *m, const struct sp_json *message)
{
    struct sp_bytes id = sp_json_text_of(message, "id");
    struct control quiet = *m->c;
    struct control_answer answer;
    struct sp_buf question;
    struct sp_jw w;

    quiet.quiet = true;
    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", m->command);
    sp_jw_text(&w, "message", id);
    if (m->c->reason != NULL)
        sp_jw_cstr(&w, "reason", m->c->reason);
    if (m->c->until != NULL)
        sp_jw_cstr(&w, "until", m->c->until);
    if (m->c->now)
        sp_jw_bool(&w, "now", true);
    if (put_meant(m, message, &w)) {
        sp_jw_end(&w);
        control_ask(&quiet, sp_buf_bytes(&question), &answer);
        note(m, id, &answer);
        control_answer_clear(&answer);
    }
    sp_buf_clear(&question);
}

/* returns: whether there is another page, and sense in asking for it */
static bool act_on_page(struct many *m, const struct sp_json *page)
{
    const struct sp_json *list = sp_json_find(page, "messages");
    struct sp_bytes next = sp_json_text_of(page, "next");

    if (sp_json_int_of(page, "relays_silent", 0) > 0) {
        (void)fprintf(stderr, "sallyport: a relay did not answer: repeat\n");
        m->code = CONTROL_UNKNOWN;
    }
    for (const struct sp_json *message = list == NULL ? NULL : list->first;
         message != NULL && m->code != CONTROL_ABSENT && m->code != CONTROL_USAGE;
         message = message->next)
        act(m, message);
    if (next.len == 0 || next.len >= sizeof(m->after))
        return false;
    memcpy(m->after, next.ptr, next.len);
    m->after[next.len] = 0;
    return m->code != CONTROL_ABSENT && m->code != CONTROL_USAGE;
}

static void print_done_json(const struct many *m)
{
    struct sp_buf text;
    struct sp_jw w;

    sp_buf_init(&text, 1024);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "done", m->verb);
    sp_jw_int(&w, "messages", (int64_t)m->messages);
    sp_jw_int(&w, "recipients", (int64_t)m->recipients);
    sp_jw_int(&w, "in_delivery", (int64_t)m->busy);
    sp_jw_int(&w, "refused", (int64_t)m->refused);
    sp_jw_end(&w);
    (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

static void print_done(const struct many *m)
{
    (void)printf("%s: %llu message%s, %llu recipient%s\n", m->verb, (unsigned long long)m->messages,
                 m->messages == 1 ? "" : "s", (unsigned long long)m->recipients,
                 m->recipients == 1 ? "" : "s");
    if (m->busy > 0)
        (void)printf("  %llu more in delivery now: repeat in a moment\n",
                     (unsigned long long)m->busy);
}

bool control_is_filtered(const struct control *c)
{
    return c->state != NULL || c->sender != NULL || c->recipient != NULL || c->tenant != NULL ||
           c->rule != NULL;
}

int control_many(const struct control *c, const char *verb, const char *command)
{
    struct many m = {.c = c, .verb = verb, .command = command};
    bool more = true;

    if (c->n != NULL || c->limit != NULL)
        return control_usage("--n and --limit are not for many messages: filter by recipient");
    while (more) {
        struct control_answer page;

        control_ask_page(c, m.after, PAGE, &page);
        if (page.code != CONTROL_OK)
            m.code = page.code;
        more = page.code == CONTROL_OK && act_on_page(&m, page.result);
        control_answer_clear(&page);
    }
    if (m.code == CONTROL_ABSENT || m.code == CONTROL_USAGE)
        return m.code;
    if (c->json)
        print_done_json(&m);
    else
        print_done(&m);
    return m.code == CONTROL_OK && m.busy > 0 ? CONTROL_REFUSED : m.code;
}
