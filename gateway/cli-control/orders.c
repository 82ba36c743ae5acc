/*
 * `sallyport queue freeze|thaw|drain|resume|orders`: what concerns the whole gateway, so that every relay is asked. It
 * counts as done only if all of them have done it.
 */
#include "gateway/cli-control/control.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#define QUESTION_MAX 16384
#define ORDERS_MAX   4096
#define RELAYS_LEN   4096

static struct sp_bytes or_dash(struct sp_bytes text)
{
    return text.len > 0 ? text : SP_LIT("-");
}

static void put_text(struct sp_jw *w, const char *key, const char *value)
{
    if (value != NULL)
        sp_jw_cstr(w, key, value);
}

static void ask(const struct control *c, const char *command, struct control_answer *answer)
{
    struct sp_buf question;
    struct sp_jw w;

    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", command);
    put_text(&w, "tenant", c->tenant);
    put_text(&w, "site", c->site);
    put_text(&w, "host", c->host);
    put_text(&w, "reason", c->reason);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), answer);
    sp_buf_clear(&question);
}

const struct sp_json *control_first_relay(const struct control_answer *answer)
{
    const struct sp_json *list = sp_json_find(answer->result, "relays");

    return list == NULL ? NULL : list->first;
}

int control_judge(const struct control *c, const struct control_answer *answer)
{
    bool reads = strcmp(c->words[1], "orders") == 0 || strcmp(c->words[1], "count") == 0 ||
                 strcmp(c->words[1], "sites") == 0;
    int code = CONTROL_OK;

    for (const struct sp_json *r = control_first_relay(answer); r != NULL; r = r->next) {
        struct sp_bytes error = sp_json_text_of(r, "error");
        bool refused = sp_bytes_eq(error, SP_LIT("usage")) || sp_bytes_eq(error, SP_LIT("limit"));

        char name[64];

        if (error.len == 0)
            continue;
        code = refused && code != CONTROL_UNKNOWN ? CONTROL_REFUSED : CONTROL_UNKNOWN;
        (void)snprintf(name, sizeof(name), "%.*s", SP_FMT(refused ? error : SP_LIT("unknown")));
        (void)control_say(c, code, name, "relay %lld: %.*s: %.*s%s",
                          (long long)sp_json_int_of(r, "relay", -1), SP_FMT(error),
                          SP_FMT(sp_json_text_of(r, "detail")),
                          refused ? ""
                                  : (reads ? ": what it knows is left out, repeat"
                                           : ": unknown whether it was done, repeat"));
    }
    return code;
}

/* "root (uid 0)" of "uid:0", which is what the kernel told. */
static void put_who(struct sp_bytes id, struct sp_buf *out)
{
    struct sp_bytes number = sp_bytes_slice(id, 4, SIZE_MAX);
    struct passwd entry, *found = NULL;
    char room[4096];
    uint64_t uid;

    if (sp_bytes_eq(sp_bytes_slice(id, 0, 4), SP_LIT("uid:")) && sp_bytes_to_u64(number, &uid) &&
        uid <= UINT32_MAX && getpwuid_r((uid_t)uid, &entry, room, sizeof(room), &found) == 0 &&
        found != NULL)
        sp_buf_printf(out, "%s (uid %llu)", found->pw_name, (unsigned long long)uid);
    else
        sp_buf_put(out, or_dash(id));
}

/* Somebody else may have frozen it for another reason. */
static void print_before(const struct sp_json *stands)
{
    struct sp_buf who;

    if (sp_json_text_of(stands, "time").len == 0)
        return;
    sp_buf_init(&who, 1024);
    put_who(sp_json_text_of(sp_json_find(stands, "actor"), "id"), &who);
    (void)printf("  since %.*s, by %.*s: %.*s\n", SP_FMT(sp_json_text_of(stands, "time")),
                 SP_FMT(sp_buf_bytes(&who)), SP_FMT(sp_json_text_of(stands, "reason")));
    sp_buf_clear(&who);
}

static int order(const struct control *c, const char *command)
{
    struct control_answer answer;
    bool changed = false, known = true;
    const char *idle = strcmp(c->words[1], "thaw") == 0
                           ? "nothing was: no such order stands (see queue orders)"
                           : "it was so already";
    int code;

    ask(c, command, &answer);
    code = answer.code == CONTROL_OK ? control_judge(c, &answer) : answer.code;
    for (const struct sp_json *r = control_first_relay(&answer); r != NULL; r = r->next) {
        changed |= sp_json_bool_of(sp_json_find(r, "says"), "changed", false);
        known &= sp_json_bool_of(sp_json_find(r, "says"), "known", true);
    }
    if (answer.code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (code == CONTROL_OK)
        (void)printf("%s: %s\n", c->words[1], changed ? "done" : idle);
    if (code == CONTROL_OK && !c->json && !changed)
        print_before(sp_json_find(sp_json_find(control_first_relay(&answer), "says"), "stands"));
    if (!known && strcmp(c->words[1], "freeze") == 0)
        (void)control_say(c, code, "unknown-tenant",
                          "there is no tenant %s now; the order stands all the same", c->tenant);
    control_answer_clear(&answer);
    return code;
}

static int freeze_or_thaw(const struct control *c, const char *command)
{
    if ((c->tenant != NULL) + (c->site != NULL) + (c->host != NULL) != 1)
        return control_usage(c, "what: --tenant NAME, --site DOMAIN or --host NAME");
    if (c->reason == NULL)
        return control_usage(c, "--reason is needed: it becomes part of the audit record");
    return order(c, command);
}

static int drain_or_resume(const struct control *c, const char *command)
{
    if (c->tenant != NULL || c->site != NULL || c->host != NULL)
        return control_usage(c, "drain and resume are for the whole gateway; see freeze and thaw");
    if (c->reason == NULL)
        return control_usage(c, "--reason is needed: it becomes part of the audit record");
    return order(c, command);
}

/* ---- orders ---- */

struct standing { /* an order, of one relay or of several */
    const char *what;
    struct sp_bytes name;
    const struct sp_json *given; /* of the first that knows who; NULL: none does */
    struct sp_buf relays;        /* their numbers */
    size_t count;
};

struct orders {
    struct standing list[ORDERS_MAX];
    size_t count;
    size_t relays; /* that answered */
};

static const struct sp_json *find_given(const struct sp_json *says, const char *what,
                                        struct sp_bytes name)
{
    const struct sp_json *list = sp_json_find(says, "orders");

    for (const struct sp_json *o = list == NULL ? NULL : list->first; o != NULL; o = o->next)
        if (sp_bytes_eq(sp_json_text_of(o, "order"), sp_bytes_cstr(what)) &&
            sp_bytes_eq(sp_json_text_of(o, "name"), name) && sp_json_text_of(o, "time").len > 0)
            return o;
    return NULL;
}

static void add_order(struct orders *all, const struct sp_json *relay, const char *what,
                      struct sp_bytes name)
{
    const struct sp_json *given = find_given(sp_json_find(relay, "says"), what, name);
    struct standing *s = NULL;

    for (size_t i = 0; i < all->count && s == NULL; i++)
        if (strcmp(all->list[i].what, what) == 0 && sp_bytes_eq(all->list[i].name, name))
            s = &all->list[i];
    if (s == NULL && all->count == ORDERS_MAX)
        return;
    if (s == NULL) {
        s = &all->list[all->count++];
        s->what = what;
        s->name = name;
        sp_buf_init(&s->relays, RELAYS_LEN);
    }
    s->given = s->given == NULL ? given : s->given;
    sp_buf_printf(&s->relays, "%s%lld", s->count == 0 ? "" : ",",
                  (long long)sp_json_int_of(relay, "relay", -1));
    s->count++;
}

static void add_names(struct orders *all, const struct sp_json *relay, const char *list,
                      const char *what)
{
    const struct sp_json *names = sp_json_find(sp_json_find(relay, "says"), list);

    for (const struct sp_json *n = names == NULL ? NULL : names->first; n != NULL; n = n->next)
        add_order(all, relay, what, n->text);
}

static int older_first(const void *a, const void *b)
{
    const struct standing *x = a;
    const struct standing *y = b;
    int order = sp_bytes_cmp(sp_json_text_of(x->given, "time"), sp_json_text_of(y->given, "time"));

    return order != 0 ? order : sp_bytes_cmp(x->name, y->name);
}

static void print_orders(struct orders *all)
{
    static const char *const heads[] = {"ORDER", "NAME", "SINCE", "BY", "RELAYS", "REASON"};
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));

    if (all->count > 1)
        qsort(all->list, all->count, sizeof(all->list[0]), older_first);
    for (size_t i = 0; i < all->count; i++) {
        const struct standing *s = &all->list[i];
        struct sp_buf who;

        sp_buf_init(&who, 1024);
        put_who(sp_json_text_of(sp_json_find(s->given, "actor"), "id"), &who);
        struct sp_bytes cells[] = {
            sp_bytes_cstr(s->what),
            or_dash(s->name),
            or_dash(sp_json_text_of(s->given, "time")),
            sp_buf_bytes(&who),
            s->count == all->relays ? SP_LIT("all") : sp_buf_bytes(&s->relays),
            or_dash(sp_json_text_of(s->given, "reason")),
        };
        table_add(t, cells);
        sp_buf_clear(&who);
    }
    if (all->count > 0)
        table_print(t);
    else
        (void)printf("nothing is frozen\n");
    table_free(t);
}

static void print_standing(const struct control_answer *answer)
{
    struct orders *all = sp_calloc(1, sizeof(*all));
    long long messages = 0, held = 0;
    bool draining = false;

    for (const struct sp_json *r = control_first_relay(answer); r != NULL; r = r->next) {
        const struct sp_json *says = sp_json_find(r, "says");
        bool drains = sp_json_bool_of(says, "draining", false);

        all->relays += says != NULL;
        if (drains)
            add_order(all, r, "drain", SP_LIT(""));
        add_names(all, r, "tenants", "tenant");
        add_names(all, r, "sites", "site");
        add_names(all, r, "hosts", "host");
        draining |= drains;
        messages += sp_json_int_of(says, "messages", 0);
        held += sp_json_int_of(says, "held_by_hand", 0);
    }
    (void)printf("%s, %lld message%s in the queue\n",
                 draining ? "draining: no mail is taken" : "mail is taken", messages,
                 messages == 1 ? "" : "s");
    if (held > 0)
        (void)printf("%lld recipient%s on hold by hand: queue list --state held\n", held,
                     held == 1 ? "" : "s");
    (void)printf("\n");
    print_orders(all);
    for (size_t i = 0; i < all->count; i++)
        sp_buf_clear(&all->list[i].relays);
    sp_free(all);
}

static int show_orders(const struct control *c)
{
    struct control_answer answer;
    int code;

    ask(c, "queue.orders", &answer);
    code = answer.code == CONTROL_OK ? control_judge(c, &answer) : answer.code;
    if (answer.code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (answer.code == CONTROL_OK)
        print_standing(&answer);
    control_answer_clear(&answer);
    return code;
}

int control_orders(const struct control *c)
{
    const char *verb = c->words[1];

    if (strcmp(verb, "freeze") == 0)
        return freeze_or_thaw(c, "queue.freeze");
    if (strcmp(verb, "thaw") == 0)
        return freeze_or_thaw(c, "queue.thaw");
    if (strcmp(verb, "drain") == 0)
        return drain_or_resume(c, "queue.drain");
    if (strcmp(verb, "resume") == 0)
        return drain_or_resume(c, "queue.resume");
    if (strcmp(verb, "orders") == 0)
        return show_orders(c);
    return strcmp(verb, "count") == 0 ? control_count(c) : -1;
}
