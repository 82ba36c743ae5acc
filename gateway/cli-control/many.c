/*
 * `sallyport queue hold|release|retry|delete|redirect` with filters in a message's place: what `queue list` shows with the same ones,
 * message by message, and of each the recipients that fit. Each is an act of its own on record; one that is refused stops no
 * other. With --dry-run each is asked what the act would change: the same way, so that the answer is what would come of it.
 */
#include "gateway/cli-control/control.h"
#include "gateway/cli-control/progress.h"

#include <stdio.h>

#define PAGE         1000 /* as many as a relay tells: each page is a walk over its index */
#define QUESTION_MAX ((size_t)1 << 20)
#define LISTED       20 /* messages of a dry run, unless --limit says otherwise */
#define TOLD_MAX     10 /* refusals */
#define LIST_MAX     ((size_t)1 << 28)
/* Questions at a time, once one has been answered: what is recorded is recorded together. All over one connection */
#define UNDER_WAY 16
#define HOPELESS  20 /* refused from the beginning: what is asked for is wrong, not these messages */

struct asked {
    const struct sp_json *message;
    size_t count; /* recipients asked for */
};

struct many {
    const struct control *c;
    struct control quiet; /* the same: what is refused is told here */
    struct control_talk talk;
    struct control_progress progress;
    struct asked asked[UNDER_WAY];
    size_t first, under_way;
    const char *verb;
    char command[64];
    char after[CONTROL_AFTER_MAX]; /* id of the page's end */
    uint64_t messages;
    uint64_t recipients;
    uint64_t busy;    /* messages: in delivery at that moment */
    uint64_t refused; /* messages: for something else */
    uint64_t in_vain; /* of those: for what is asked, whatever the message */
    uint64_t limit;   /* messages that a dry run lists */
    uint64_t listed;
    struct table *table; /* of a dry run */
    struct sp_buf json;  /* the same for programs */
    struct sp_jw list;
    int code;
};

/* returns: how many of the message are meant; 1 of one that can't be read */
static size_t put_meant(const struct many *m, const struct sp_json *message, struct sp_jw *w)
{
    const struct sp_json *list = sp_json_find(message, "recipients");
    size_t count = 0;

    if (sp_json_bool_of(message, "quarantined", false))
        return 1; /* as a whole */
    sp_jw_array(w, "n");
    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next) {
        if (!control_is_meant(m->c, r))
            continue;
        sp_jw_int(w, NULL, sp_json_int_of(r, "n", 0));
        count++;
    }
    sp_jw_end(w);
    return count;
}

/* Those that were changed, or would be: numbers, or objects with a number. NULL: nobody knows */
static const struct sp_json *changed(const struct control_answer *answer)
{
    const struct sp_json *ns = sp_json_find(answer->result, "n");

    return ns != NULL ? ns : sp_json_find(answer->result, "recipients");
}

static const struct sp_json *find_recipient(const struct sp_json *message, const struct sp_json *of)
{
    const struct sp_json *list = sp_json_find(message, "recipients");
    int64_t n = of->type == SP_JSON_INT ? of->integer : sp_json_int_of(of, "n", -1);

    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next) {
        if (sp_json_int_of(r, "n", -1) == n)
            return r;
    }
    return NULL;
}

static void list_row(struct many *m, const struct sp_json *message, const struct sp_json *r,
                     bool first)
{
    struct sp_bytes sender = sp_json_text_of(message, "sender");
    struct sp_bytes cells[] = {
        first ? sp_json_text_of(message, "id") : SP_LIT(""),
        first ? (sender.len > 0 ? sender : SP_LIT("-")) : SP_LIT(""),
        r == NULL ? SP_LIT("-") : sp_json_text_of(r, "address"),
        r == NULL ? SP_LIT("quarantined") : sp_json_text_of(r, "state"),
        r == NULL ? SP_LIT("-") : sp_json_text_of(r, "site"),
    };

    table_add(m->table, cells);
}

/* What a dry run found of one message. */
static void list(struct many *m, const struct sp_json *message, const struct control_answer *answer)
{
    const struct sp_json *who = changed(answer);

    if (m->table == NULL || m->listed >= m->limit || (who != NULL && who->count == 0))
        return;
    m->listed++;
    sp_jw_object(&m->list, NULL);
    sp_jw_text(&m->list, "message", sp_json_text_of(message, "id"));
    sp_jw_text(&m->list, "sender", sp_json_text_of(message, "sender"));
    sp_jw_array(&m->list, "recipients");
    if (who == NULL)
        list_row(m, message, NULL, true);
    for (const struct sp_json *one = who == NULL ? NULL : who->first; one != NULL;
         one = one->next) {
        const struct sp_json *r = find_recipient(message, one);

        list_row(m, message, r, one == who->first);
        sp_jw_text(&m->list, NULL, sp_json_text_of(r, "address"));
    }
    sp_jw_end(&m->list);
    sp_jw_end(&m->list);
}

/* Whether the same would be said of every message: by a relay that knows no dry runs, or of where all shall go. */
static bool is_of_all(struct sp_bytes error, struct sp_bytes detail)
{
    static const char *const of_all[] = {"route: ", "to or route: ", "to: no address ", "reason: "};

    for (size_t i = 0; i < SP_ARRAY_LEN(of_all); i++)
        if (sp_bytes_starts_nocase(detail, sp_bytes_cstr(of_all[i])))
            return true;
    return sp_bytes_eq(error, SP_LIT("unsupported"));
}

static void note_refused(struct many *m, struct sp_bytes id, const struct control_answer *answer)
{
    const struct sp_json *root = answer->json == NULL ? NULL : sp_json_root(answer->json);
    struct sp_bytes error = sp_json_text_of(root, "error");
    char name[64];

    control_progress_clear(&m->progress);
    m->refused++;
    m->in_vain += is_of_all(error, sp_json_text_of(root, "detail"));
    (void)snprintf(name, sizeof(name), "%.*s", SP_FMT(error));
    if (error.len > 0 && m->refused <= TOLD_MAX)
        (void)control_say(m->c, answer->code, name, "%.*s: %.*s: %.*s", SP_FMT(id), SP_FMT(error),
                          SP_FMT(sp_json_text_of(root, "detail")));
    if (m->code != CONTROL_UNKNOWN)
        m->code = answer->code;
}

static void note(struct many *m, const struct sp_json *message, size_t asked,
                 const struct control_answer *answer)
{
    const struct sp_json *who = changed(answer);
    const struct sp_json *root = answer->json == NULL ? NULL : sp_json_root(answer->json);
    struct sp_bytes error = sp_json_text_of(root, "error");

    if (answer->code == CONTROL_OK) {
        m->messages += who == NULL || who->count > 0;
        m->recipients += who == NULL ? 0 : who->count;
        /* these two fit whoever waits: who is left out was in delivery */
        if (who != NULL && who->count < asked &&
            (strcmp(m->verb, "delete") == 0 || strcmp(m->verb, "hold") == 0))
            m->busy++;
        list(m, message, answer);
    } else if (sp_bytes_eq(error, SP_LIT("exists"))) {
        m->busy++;
    } else if (!sp_bytes_eq(error, SP_LIT("not-found"))) { /* else it has gone meanwhile */
        note_refused(m, sp_json_text_of(message, "id"), answer);
    }
}

/* What is refused so from the beginning will be refused by all. */
static bool is_hopeless(const struct many *m)
{
    return m->messages == 0 && m->busy == 0 && m->in_vain >= HOPELESS;
}

/*
 * returns: whether there is sense in going on. A usage error is one of every message; but where each is sent anew, one message may
 * have the address already and the next one not
 */
static bool goes_on(struct many *m)
{
    bool is_redirect = strcmp(m->verb, "redirect") == 0;

    if (is_hopeless(m))
        return false;
    return m->code != CONTROL_ABSENT && (m->code != CONTROL_USAGE || is_redirect);
}

static void put_text(struct sp_jw *w, const char *key, const char *value)
{
    if (value != NULL)
        sp_jw_cstr(w, key, value);
}

static void show_progress(struct many *m, bool at_once)
{
    control_progress_show(&m->progress, at_once, "%s%s: %llu messages so far",
                          m->table != NULL ? "would " : "", m->verb,
                          (unsigned long long)m->messages);
}

/* Hears what became of the one asked longest ago. */
static void hear(struct many *m)
{
    struct asked *a = &m->asked[m->first];
    struct control_answer answer;

    control_talk_hear(&m->quiet, &m->talk, &answer);
    note(m, a->message, a->count, &answer);
    control_answer_clear(&answer);
    show_progress(m, false);
    m->first = (m->first + 1) % UNDER_WAY;
    m->under_way--;
}

static void hear_all(struct many *m)
{
    while (m->under_way > 0)
        hear(m);
}

static void send_act(struct many *m, struct sp_bytes question)
{
    int code = control_talk_send(&m->quiet, &m->talk, question);

    if (code == CONTROL_OK) {
        m->under_way++;
        return;
    }
    control_progress_clear(&m->progress);
    hear_all(m); /* nobody is there any more, but may be in a moment */
    control_talk_clear(&m->talk);
    control_talk_init(&m->talk);
    m->code = code;
}

static void act(struct many *m, const struct sp_json *message)
{
    struct asked *next;
    struct sp_buf question;
    struct sp_jw w;

    if (!sp_json_bool_of(message, "quarantined", false) && !control_is_from(m->c, message))
        return;
    if (m->under_way == UNDER_WAY || (m->under_way > 0 && (m->messages == 0 || !m->talk.stays)))
        hear(m);
    if (!goes_on(m))
        return;
    next = &m->asked[(m->first + m->under_way) % UNDER_WAY];
    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", m->command);
    sp_jw_text(&w, "message", sp_json_text_of(message, "id"));
    put_text(&w, "reason", m->c->reason);
    put_text(&w, "until", m->c->until);
    put_text(&w, "to", m->c->to);
    put_text(&w, "route", m->c->route);
    if (m->c->now)
        sp_jw_bool(&w, "now", true);
    control_put_without(m->c, &w);
    next->message = message;
    next->count = put_meant(m, message, &w);
    if (next->count > 0) {
        sp_jw_end(&w);
        send_act(m, sp_buf_bytes(&question));
    }
    sp_buf_clear(&question);
}

/* returns: whether there is another page, and sense in asking for it */
static bool act_on_page(struct many *m, const struct sp_json *page)
{
    const struct sp_json *list_of = sp_json_find(page, "messages");

    control_progress_clear(&m->progress);
    if (control_note_silent(m->c, page))
        m->code = control_say_silent(m->c, m->c->dry_run
                                               ? "what waits there is left out, repeat"
                                               : "nothing of what waits there was changed, repeat");
    for (const struct sp_json *message = list_of == NULL ? NULL : list_of->first;
         message != NULL && goes_on(m); message = message->next)
        act(m, message);
    hear_all(m);
    return control_next_page(page, m->after) && goes_on(m);
}

static void print_done_json(struct many *m)
{
    struct sp_buf text;
    struct sp_jw w;

    sp_jw_end(&m->list);
    sp_buf_init(&text, LIST_MAX + 1024);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, m->table != NULL ? "would" : "done", m->verb);
    sp_jw_int(&w, "messages", (int64_t)m->messages);
    sp_jw_int(&w, "recipients", (int64_t)m->recipients);
    sp_jw_int(&w, "in_delivery", (int64_t)m->busy);
    sp_jw_int(&w, "refused", (int64_t)m->refused);
    if (m->table != NULL)
        sp_jw_raw(&w, "list", sp_buf_bytes(&m->json));
    sp_jw_end(&w);
    (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

static void print_done(struct many *m)
{
    if (m->listed > 0)
        table_print(m->table);
    if (m->listed > 0 && m->messages > m->listed)
        (void)printf("  and %llu messages more: --limit N lists so many\n",
                     (unsigned long long)(m->messages - m->listed));
    (void)printf("%s%s: %llu message%s, %llu recipient%s%s\n", m->table != NULL ? "would " : "",
                 m->verb, (unsigned long long)m->messages, m->messages == 1 ? "" : "s",
                 (unsigned long long)m->recipients, m->recipients == 1 ? "" : "s",
                 m->table != NULL ? "; nothing was changed" : "");
    if (m->busy > 0)
        (void)printf("  %llu more in delivery now: repeat in a moment\n",
                     (unsigned long long)m->busy);
    if (m->refused > 0)
        (void)printf("  %llu refused%s\n", (unsigned long long)m->refused,
                     is_hopeless(m) ? ", and no other was asked" : "");
}

static void ask_page(struct many *m, struct control_answer *page)
{
    struct sp_buf question;

    control_progress_clear(&m->progress); /* what fails is told */
    sp_buf_init(&question, CONTROL_PAGE_MAX);
    control_put_page(m->c, m->after, PAGE, &question);
    *page = (struct control_answer){.fd = -1};
    page->code = control_talk_send(m->c, &m->talk, sp_buf_bytes(&question));
    if (page->code == CONTROL_OK)
        control_talk_hear(m->c, &m->talk, page);
    sp_buf_clear(&question);
}

static void go_through(struct many *m)
{
    bool more = true;

    while (more) {
        struct control_answer page;

        ask_page(m, &page);
        if (page.code != CONTROL_OK)
            m->code = page.code;
        more = page.code == CONTROL_OK && act_on_page(m, page.result);
        control_answer_clear(&page);
        if (more)
            show_progress(m, true);
    }
    control_progress_clear(&m->progress);
}

static int end(struct many *m)
{
    bool is_whole = m->code != CONTROL_ABSENT && m->code != CONTROL_USAGE;

    if (!is_whole && m->messages == 0 && m->refused <= 1)
        return m->code;
    if (m->c->json)
        print_done_json(m);
    else
        print_done(m);
    if (m->messages > 0 && m->code == CONTROL_USAGE)
        return CONTROL_REFUSED; /* the arguments were good for some */
    return m->code == CONTROL_OK && m->busy > 0 ? CONTROL_REFUSED : m->code;
}

int control_many(const struct control *c, const char *verb)
{
    static const char *const heads[] = {"MESSAGE", "SENDER", "RECIPIENT", "STATE", "SITE"};
    struct many m = {.c = c, .quiet = *c, .verb = verb, .limit = LISTED};
    const char *slip = control_find_slip(c);
    int code;

    if (c->n != NULL)
        return control_usage(c, "--n is for one message: filter by recipient");
    if (c->limit != NULL && !c->dry_run)
        return control_usage(c, "--limit is for a dry run and a list: filters mean all that fit");
    if (c->limit != NULL && !sp_bytes_to_u64(sp_bytes_cstr(c->limit), &m.limit))
        return control_usage(c, "--limit: a number");
    if (slip != NULL)
        return control_usage(c, slip);
    m.quiet.quiet = true;
    control_progress_init(&m.progress, c);
    control_talk_init(&m.talk);
    (void)snprintf(m.command, sizeof(m.command), "queue.%s%s", c->dry_run ? "would-" : "", verb);
    sp_buf_init(&m.json, LIST_MAX);
    sp_jw_init(&m.list, &m.json);
    sp_jw_array(&m.list, NULL);
    if (c->dry_run)
        m.table = table_new(heads, SP_ARRAY_LEN(heads));
    go_through(&m);
    control_talk_clear(&m.talk);
    code = end(&m);
    control_tell_unknown(c);
    if (m.table != NULL)
        table_free(m.table);
    sp_buf_clear(&m.json);
    return code;
}
