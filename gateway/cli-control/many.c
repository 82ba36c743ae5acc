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

/*
 * Part of an address, as the list takes it. But what has an "@" begins the address (ann@ is not joann@), and with a dot behind
 * it ends it, too (a.example is not a.example.org).
 */
static bool is_named(const char *filter, struct sp_bytes address)
{
    struct sp_bytes part = sp_bytes_cstr(filter == NULL ? "" : filter);
    size_t at = sp_bytes_find(part, '@');

    if (at == SIZE_MAX)
        return sp_bytes_has_nocase(address, part);
    if (at > 0 && !sp_bytes_starts_nocase(address, part))
        return false;
    return sp_bytes_find(sp_bytes_slice(part, at, SIZE_MAX), '.') == SIZE_MAX
               ? sp_bytes_has_nocase(address, part)
               : sp_bytes_ends_nocase(address, part);
}

/* Whether the filters mean this recipient; those about the message did so already. */
static bool is_meant(const struct control *c, const struct sp_json *r)
{
    struct sp_bytes state = sp_json_text_of(r, "state");

    if (is_final(state))
        return false;
    if (!is_named(c->recipient, sp_json_text_of(r, "address")))
        return false;
    if (c->rule != NULL && !sp_bytes_eq(sp_json_text_of(r, "rule"), sp_bytes_cstr(c->rule)))
        return false;
    return c->state == NULL || sp_bytes_eq(state, sp_bytes_cstr(c->state));
}

/* returns: how many of the message are meant; 1 of one that can't be read */
static size_t put_meant(const struct many *m, const struct sp_json *message, struct sp_jw *w)
{
    const struct sp_json *list = sp_json_find(message, "recipients");
    size_t count = 0;

    if (sp_json_bool_of(message, "quarantined", false))
        return 1; /* as a whole */
    sp_jw_array(w, "n");
    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next) {
        if (!is_meant(m->c, r))
            continue;
        sp_jw_int(w, NULL, sp_json_int_of(r, "n", 0));
        count++;
    }
    sp_jw_end(w);
    return count;
}

static void note(struct many *m, struct sp_bytes id, size_t asked,
                 const struct control_answer *answer)
{
    const struct sp_json *ns = sp_json_find(answer->result, "n");
    const struct sp_json *root = answer->json == NULL ? NULL : sp_json_root(answer->json);
    struct sp_bytes error = sp_json_text_of(root, "error");

    if (answer->code == CONTROL_OK) {
        m->messages += ns == NULL || ns->count > 0;
        m->recipients += ns == NULL ? 0 : ns->count;
        /* these two fit whoever waits: who is left out was in delivery */
        if (ns != NULL && ns->count < asked &&
            (strcmp(m->verb, "delete") == 0 || strcmp(m->verb, "hold") == 0))
            m->busy++;
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
    size_t asked;

    if (!sp_json_bool_of(message, "quarantined", false) &&
        !is_named(m->c->sender, sp_json_text_of(message, "sender")))
        return;
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
    asked = put_meant(m, message, &w);
    if (asked > 0) {
        sp_jw_end(&w);
        control_ask(&quiet, sp_buf_bytes(&question), &answer);
        note(m, id, asked, &answer);
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

static bool is_blank(const char *text)
{
    return text != NULL && text[0] == 0;
}

/* What would mean more than was meant. returns: what is wrong; NULL: nothing */
static const char *find_slip(const struct control *c)
{
    if (c->n != NULL || c->limit != NULL)
        return "--n and --limit are not for many messages: filter by recipient";
    if (is_blank(c->state) || is_blank(c->sender) || is_blank(c->recipient) ||
        is_blank(c->tenant) || is_blank(c->rule))
        return "a filter is empty: it would mean everybody";
    if (c->site != NULL || c->host != NULL || c->by != NULL || c->to != NULL || c->route != NULL ||
        c->address != NULL || c->day != NULL || c->network_id != NULL)
        return "filters are --state, --sender, --recipient, --tenant and --rule";
    if (c->state != NULL && strcmp(c->state, "quarantined") == 0 &&
        (c->sender != NULL || c->recipient != NULL || c->tenant != NULL || c->rule != NULL))
        return "of what can't be read nobody knows whose it is: --state quarantined stands alone";
    return NULL;
}

int control_many(const struct control *c, const char *verb, const char *command)
{
    struct many m = {.c = c, .verb = verb, .command = command};
    const char *slip = find_slip(c);
    bool more = true;

    if (slip != NULL)
        return control_usage(slip);
    while (more) {
        struct control_answer page;

        control_ask_page(c, m.after, PAGE, &page);
        if (page.code != CONTROL_OK)
            m.code = page.code;
        more = page.code == CONTROL_OK && act_on_page(&m, page.result);
        control_answer_clear(&page);
    }
    if ((m.code == CONTROL_ABSENT || m.code == CONTROL_USAGE) && m.messages == 0)
        return m.code;
    if (c->json)
        print_done_json(&m);
    else
        print_done(&m);
    return m.code == CONTROL_OK && m.busy > 0 ? CONTROL_REFUSED : m.code;
}
