/*
 * `sallyport queue`. A list is asked for page by page and printed as one; a change prints what was done, one line.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

#define QUESTION_MAX ((size_t)1 << 20)
#define PAGE         1000 /* as many as a relay tells: each page is a walk over its index */

static void put_text(struct sp_jw *w, const char *key, const char *value)
{
    if (value != NULL)
        sp_jw_cstr(w, key, value);
}

/* "0,2,3" as a list. returns: false if it is none */
static bool put_ns(struct sp_jw *w, const char *text)
{
    struct sp_bytes rest = sp_bytes_cstr(text);
    struct sp_bytes part;
    uint64_t n;

    if (text == NULL)
        return true;
    sp_jw_array(w, "n");
    while (sp_bytes_split(&rest, ',', &part)) {
        if (!sp_bytes_to_u64(part, &n) || n > UINT16_MAX)
            return false;
        sp_jw_int(w, NULL, (int64_t)n);
    }
    sp_jw_end(w);
    return true;
}

/* ---- list ---- */

struct listing {
    const struct control *c;
    struct table *table;
    uint64_t left; /* messages still wanted */
    bool is_cut;   /* there are more */
    uint64_t shown;
    char after[CONTROL_AFTER_MAX]; /* id of the page's end; "" to begin */
    bool is_silent;                /* a relay */
};

void control_put_page(const struct control *c, const char *after, uint64_t limit,
                      struct sp_buf *question)
{
    struct sp_jw w;

    sp_jw_init(&w, question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", "queue.list");
    put_text(&w, "state", c->state);
    put_text(&w, "sender", c->sender);
    put_text(&w, "recipient", c->recipient);
    put_text(&w, "tenant", c->tenant);
    put_text(&w, "rule", c->rule);
    put_text(&w, "site", c->site);
    put_text(&w, "host", c->host);
    if (after[0] != 0)
        sp_jw_cstr(&w, "after", after);
    sp_jw_int(&w, "limit", (int64_t)limit);
    control_put_without(c, &w);
    sp_jw_end(&w);
}

void control_ask_page(const struct control *c, const char *after, uint64_t limit,
                      struct control_answer *answer)
{
    struct sp_buf question;

    sp_buf_init(&question, CONTROL_PAGE_MAX);
    control_put_page(c, after, limit, &question);
    control_ask(c, sp_buf_bytes(&question), answer);
    sp_buf_clear(&question);
}

static struct sp_bytes or_dash(struct sp_bytes text)
{
    return text.len > 0 ? text : SP_LIT("-");
}

/* A recipient's state, and whether an order keeps him there. room: for the text */
static struct sp_bytes state_of(const struct sp_json *r, struct sp_buf *room)
{
    struct sp_bytes state = sp_json_text_of(r, "state");

    if (!sp_json_bool_of(r, "frozen", false))
        return state;
    sp_buf_reset(room);
    sp_buf_printf(room, "%.*s, frozen", SP_FMT(state));
    return sp_buf_bytes(room);
}

static void add_rows(struct listing *l, const struct sp_json *m)
{
    const struct sp_json *recipients = sp_json_find(m, "recipients");
    const struct sp_json *r = recipients == NULL ? NULL : recipients->first;
    struct sp_buf state;
    bool first = true;

    sp_buf_init(&state, 256);
    if (sp_json_bool_of(m, "quarantined", false)) {
        struct sp_bytes cells[] = {sp_json_text_of(m, "id"),
                                   SP_LIT("-"),
                                   SP_LIT("-"),
                                   SP_LIT("-"),
                                   SP_LIT("quarantined"),
                                   SP_LIT("-"),
                                   SP_LIT("journal.damaged"),
                                   SP_LIT("-")};

        table_add(l->table, cells);
    }
    for (; r != NULL; r = r->next) {
        struct sp_bytes cells[] = {
            first ? sp_json_text_of(m, "id") : sp_bytes(NULL, 0),
            first ? sp_json_text_of(m, "accepted") : sp_bytes(NULL, 0),
            first ? or_dash(sp_json_text_of(m, "sender")) : sp_bytes(NULL, 0),
            sp_json_text_of(r, "address"),
            state_of(r, &state),
            or_dash(sp_json_text_of(r, "rule")),
            or_dash(sp_json_text_of(r, "why")),
            or_dash(sp_json_text_of(r, "next")),
        };

        table_add(l->table, cells);
        first = false;
    }
    sp_buf_clear(&state);
}

static void take_items(struct listing *l, const struct sp_json *list)
{
    const struct sp_json *m = list == NULL ? NULL : list->first;
    struct sp_buf text;

    sp_buf_init(&text, CONTROL_LINE_MAX);
    for (; m != NULL && l->left > 0; m = m->next) {
        l->left--;
        l->shown++;
        if (!l->c->json) {
            add_rows(l, m);
            continue;
        }
        sp_buf_reset(&text);
        if (sp_json_canonical(m, &text) != SP_OK)
            continue;
        (void)printf("%s%.*s", l->shown == 1 ? "" : ",", SP_FMT(sp_buf_bytes(&text)));
    }
    l->is_cut = m != NULL;
    sp_buf_clear(&text);
}

bool control_next_page(const struct sp_json *page, char *after)
{
    struct sp_bytes next = sp_json_text_of(page, "next");

    if (next.len == 0 || next.len >= CONTROL_AFTER_MAX)
        return false;
    memcpy(after, next.ptr, next.len);
    after[next.len] = 0;
    return true;
}

/* Shows a page at once: a queue may be longer than a terminal waits for, or memory holds. returns: whether there is another */
static bool take_page(struct listing *l, const struct sp_json *result)
{
    uint64_t before = l->shown;

    take_items(l, sp_json_find(result, "messages"));
    if (!l->c->json && l->shown > before)
        table_print(l->table);
    if (control_note_silent(l->c, result))
        l->is_silent = true;
    if (l->left == 0 && sp_json_text_of(result, "next").len > 0)
        l->is_cut = true;
    return l->left > 0 && ferror(stdout) == 0 && control_next_page(result, l->after);
}

static int end_list(struct listing *l, int code)
{
    if (l->c->json) {
        (void)printf("],\"complete\":%s}\n",
                     code == CONTROL_OK && !l->is_silent ? "true" : "false");
    } else if (code == CONTROL_OK) {
        (void)printf("%llu message%s%s\n", (unsigned long long)l->shown, l->shown == 1 ? "" : "s",
                     l->is_cut ? ", and more" : "");
    }
    return code == CONTROL_OK && l->is_silent ? control_say_silent(l->c, "the list is not complete")
                                              : code;
}

static int list(const struct control *c)
{
    static const char *const heads[] = {"MESSAGE", "ACCEPTED", "SENDER", "RECIPIENT",
                                        "STATE",   "RULE",     "WHY",    "NEXT"};
    struct listing l = {.c = c, .left = UINT64_MAX};
    bool begun = false, more = true;
    int code = CONTROL_OK;

    if (c->limit != NULL && (!sp_bytes_to_u64(sp_bytes_cstr(c->limit), &l.left) || l.left == 0))
        return control_usage(c, "--limit: a number, 1 at least");
    l.table = table_new(heads, SP_ARRAY_LEN(heads));
    while (more && l.left > 0 && code == CONTROL_OK) {
        struct control_answer answer;

        control_ask_page(c, l.after, l.left < PAGE ? l.left : PAGE, &answer);
        code = answer.code;
        if (code == CONTROL_OK && !begun && c->json)
            (void)printf("{\"messages\":[");
        begun = begun || code == CONTROL_OK;
        more = code == CONTROL_OK && take_page(&l, answer.result);
        control_answer_clear(&answer);
    }
    if (begun) /* what has begun is ended, too, if a later page could not be had */
        code = end_list(&l, code);
    table_free(l.table);
    if (code == CONTROL_OK)
        control_tell_unknown(c);
    return code;
}

/* ---- show ---- */

static void show_field(const struct sp_json *m, const char *key, const char *title)
{
    struct sp_bytes text = sp_json_text_of(m, key);

    if (text.len > 0)
        (void)printf("%-12s %.*s\n", title, SP_FMT(text));
}

static void show_recipients(const struct sp_json *m)
{
    static const char *const heads[] = {"N",    "RECIPIENT", "STATE", "RULE", "FLOOR",
                                        "RUNG", "TRIES",     "WHY",   "NEXT"};
    const struct sp_json *list_of = sp_json_find(m, "recipients");
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));
    struct sp_buf state;

    sp_buf_init(&state, 256);
    for (const struct sp_json *r = list_of == NULL ? NULL : list_of->first; r != NULL;
         r = r->next) {
        char n[24];
        char tries[24];

        (void)snprintf(n, sizeof(n), "%lld", (long long)sp_json_int_of(r, "n", 0));
        (void)snprintf(tries, sizeof(tries), "%lld", (long long)sp_json_int_of(r, "attempts", 0));
        struct sp_bytes cells[] = {
            sp_bytes_cstr(n),
            sp_json_text_of(r, "address"),
            state_of(r, &state),
            or_dash(sp_json_text_of(r, "rule")),
            or_dash(sp_json_text_of(r, "floor")),
            or_dash(sp_json_text_of(r, "rung")),
            sp_bytes_cstr(tries),
            or_dash(sp_json_text_of(r, "why")),
            or_dash(sp_json_text_of(r, "next")),
        };
        table_add(t, cells);
    }
    table_print(t);
    table_free(t);
    sp_buf_clear(&state);
}

static void print_message(const struct sp_json *m)
{
    show_field(m, "id", "message");
    if (sp_json_bool_of(m, "quarantined", false)) {
        (void)printf("quarantined: its record is damaged and can't be read\n");
        return;
    }
    show_field(m, "accepted", "accepted");
    show_field(m, "kind", "kind");
    show_field(m, "tenant", "tenant");
    show_field(m, "sender", "sender");
    (void)printf("%-12s %lld bytes\n", "size", (long long)sp_json_int_of(m, "size", 0));
    show_field(m, "message_id", "Message-ID");
    show_field(m, "phi", "phi");
    show_field(m, "policy", "policy");
    (void)printf("\n");
    show_recipients(m);
}

/* ---- everything about one message ---- */

static const struct verb {
    const char *name;
    const char *command;
    const char *trial; /* of a dry run */
    bool reason_needed;
    bool is_for_many;   /* takes filters */
    const char *nobody; /* what it means if nobody was changed */
} verbs[] = {
    {"show", "queue.show", NULL, false, false, NULL},
    {"hold", "queue.hold", "queue.would-hold", true, true, "nobody of it waits"},
    {"release", "queue.release", "queue.would-release", true, true, "nobody of it is on hold"},
    {"retry", "queue.retry", "queue.would-retry", false, true,
     "nobody of it waits for a retry; who is on hold is released"},
    {"delete", "queue.delete", "queue.would-delete", true, true, "nobody of it waits"},
    {"recall", "queue.recall", "queue.would-recall", true, false, NULL},
    {"redirect", "queue.redirect", "queue.would-redirect", true, true, NULL},
};

static void print_done(const struct control *c, const struct verb *verb,
                       const struct sp_json *result)
{
    const struct sp_json *list = sp_json_find(result, "recipients");
    const struct sp_json *rests = sp_json_find(result, "rests");
    const struct sp_json *ns = sp_json_find(result, "n");

    (void)printf("%s: %s%s", c->words[2], c->dry_run ? "would " : "", verb->name);
    if (ns != NULL && ns->count == 0 && verb->nobody != NULL)
        (void)printf(": nothing %s changed, %s", c->dry_run ? "would be" : "was", verb->nobody);
    else if (ns != NULL)
        (void)printf(", %zu recipient%s", (size_t)ns->count, ns->count == 1 ? "" : "s");
    (void)printf("\n");
    if (rests != NULL)
        (void)printf(
            "  %lld of it parked again: the host rests until %.*s (--now asks it at once)\n",
            (long long)sp_json_int_of(rests, "recipients", 0),
            SP_FMT(sp_json_text_of(rests, "until")));
    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next)
        (void)printf("  %lld %.*s: %.*s by %.*s, floor %.*s\n",
                     (long long)sp_json_int_of(r, "n", 0), SP_FMT(sp_json_text_of(r, "address")),
                     SP_FMT(sp_json_text_of(r, "state")), SP_FMT(sp_json_text_of(r, "rule")),
                     SP_FMT(sp_json_text_of(r, "floor")));
}

/* returns: what is wrong with the arguments; NULL: nothing */
static const char *find_wrong(const struct control *c, const struct verb *verb)
{
    bool is_filtered = control_is_filtered(c);

    if (verb->reason_needed && c->reason == NULL && !c->dry_run)
        return "--reason is needed: it becomes part of the audit record";
    if (strcmp(verb->name, "redirect") == 0 && c->to == NULL && c->route == NULL)
        return "where shall it go: --to ADDRESS or --route NAME";
    if (c->word_count == 2 && !(verb->is_for_many && is_filtered))
        return verb->is_for_many ? "which message, or all that a filter of `queue list` means?"
                                 : "which message?";
    return c->word_count == 3 && is_filtered ? "a message, or filters, not both" : NULL;
}

static int about_message(const struct control *c, const struct verb *verb)
{
    struct control_answer answer;
    struct sp_buf question;
    struct sp_jw w;
    const char *wrong;
    bool ns;
    int code;

    wrong = find_wrong(c, verb);
    if (wrong != NULL)
        return control_usage(c, wrong);
    if (c->word_count == 2)
        return control_many(c, verb->name);
    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", c->dry_run ? verb->trial : verb->command);
    sp_jw_cstr(&w, "message", c->words[2]);
    put_text(&w, "reason", c->reason);
    put_text(&w, "until", c->until);
    put_text(&w, "to", c->to);
    put_text(&w, "route", c->route);
    if (c->now)
        sp_jw_bool(&w, "now", true);
    ns = put_ns(&w, c->n);
    sp_jw_end(&w);
    if (!ns) {
        sp_buf_clear(&question);
        return control_usage(c, "--n: numbers of recipients, as 0,2");
    }
    control_ask(c, sp_buf_bytes(&question), &answer);
    sp_buf_clear(&question);
    code = answer.code;
    if (code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (code == CONTROL_OK && strcmp(verb->name, "show") == 0)
        print_message(sp_json_find(answer.result, "message"));
    else if (code == CONTROL_OK)
        print_done(c, verb, answer.result);
    control_answer_clear(&answer);
    return code;
}

int control_queue(const struct control *c)
{
    int code;

    if (strcmp(c->words[1], "list") == 0)
        return list(c);
    if (strcmp(c->words[1], "sites") == 0)
        return control_sites(c);
    for (size_t i = 0; i < SP_ARRAY_LEN(verbs); i++) {
        if (strcmp(c->words[1], verbs[i].name) == 0)
            return about_message(c, &verbs[i]);
    }
    code = control_orders(c);
    return code >= 0
               ? code
               : control_usage(
                     c, "queue: list, sites, show, count, hold, release, retry, delete, recall, "
                        "redirect, freeze, thaw, drain, resume or orders");
}
