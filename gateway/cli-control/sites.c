/*
 * `sallyport queue sites`: where mail goes and what holds it up, a row for each site of each relay, and below them what
 * waits for destinations that were not looked up lately.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

#define WHY_MAX  160
#define CELL_LEN 64

static struct sp_bytes or_dash(struct sp_bytes text)
{
    return text.len > 0 ? text : SP_LIT("-");
}

static long long number(const struct sp_json *v, const char *name)
{
    return (long long)sp_json_int_of(v, name, 0);
}

/* What holds it up, in one line. */
static void write_why(const struct sp_json *site, char *out, size_t room)
{
    const struct sp_json *breaker = sp_json_find(site, "breaker");
    struct sp_bytes state = sp_json_text_of(breaker, "state");
    struct sp_bytes host = sp_json_text_of(breaker, "host");
    struct sp_bytes cause = sp_json_text_of(breaker, "why");
    struct sp_bytes why = sp_json_text_of(site, "why");

    if (!sp_bytes_eq(state, SP_LIT("closed")))
        (void)snprintf(out, room, "%.*s: %.*s", (int)host.len, (const char *)host.ptr,
                       (int)cause.len, (const char *)cause.ptr);
    else if (why.len > 0)
        (void)snprintf(out, room, "%.*s", (int)why.len, (const char *)why.ptr);
    else if (number(site, "next_ms") > 0 && number(site, "per_minute") > 0)
        (void)snprintf(out, room, "rate");
    else
        (void)snprintf(out, room, "-");
}

static void add_site(struct table *t, long long relay, const struct sp_json *site)
{
    char texts[6][CELL_LEN];
    char why[WHY_MAX];
    const struct sp_json *breaker = sp_json_find(site, "breaker");
    long long rate = number(site, "per_minute"), next = number(site, "next_ms");

    (void)snprintf(texts[0], CELL_LEN, "%lld", relay);
    (void)snprintf(texts[1], CELL_LEN, "%lld/%lld", number(site, "ready"), number(site, "later"));
    (void)snprintf(texts[2], CELL_LEN, "%lld/%lld", number(site, "busy"),
                   number(site, "connections"));
    (void)snprintf(texts[3], CELL_LEN, "%lld/%lld", number(site, "concurrency"),
                   number(site, "concurrency_max"));
    (void)snprintf(texts[4], CELL_LEN, rate > 0 ? "%lld/min" : "-", rate);
    (void)snprintf(texts[5], CELL_LEN, next > 0 ? "%lld ms" : "-", next);
    write_why(site, why, sizeof(why));
    {
        struct sp_bytes cells[] = {sp_bytes_cstr(texts[0]),
                                   or_dash(sp_json_text_of(site, "site")),
                                   or_dash(sp_json_text_of(site, "source")),
                                   sp_bytes_cstr(texts[1]),
                                   sp_bytes_cstr(texts[2]),
                                   sp_bytes_cstr(texts[3]),
                                   sp_bytes_cstr(texts[4]),
                                   sp_bytes_cstr(texts[5]),
                                   or_dash(sp_json_text_of(breaker, "state")),
                                   sp_bytes_cstr(why)};

        table_add(t, cells);
    }
}

static void add_destination(struct table *t, long long relay, const struct sp_json *v)
{
    char texts[2][CELL_LEN];
    bool slow = sp_json_bool_of(v, "slow", false);

    (void)snprintf(texts[0], CELL_LEN, "%lld", relay);
    (void)snprintf(texts[1], CELL_LEN, "%lld/%lld", number(v, "ready"), number(v, "later"));
    {
        struct sp_bytes cells[] = {sp_bytes_cstr(texts[0]),
                                   or_dash(sp_json_text_of(v, "destination")),
                                   SP_LIT("-"),
                                   sp_bytes_cstr(texts[1]),
                                   SP_LIT("-"),
                                   SP_LIT("-"),
                                   SP_LIT("-"),
                                   SP_LIT("-"),
                                   SP_LIT("-"),
                                   slow ? SP_LIT("did not answer") : SP_LIT("not looked up")};

        table_add(t, cells);
    }
}

static void print_sites(const struct sp_json *result)
{
    static const char *const heads[] = {"RELAY",   "SITE", "SOURCE",  "DUE/LATER", "BUSY/OPEN",
                                        "MAY/MAX", "RATE", "NEXT IN", "BREAKER",   "WHY"};
    const struct sp_json *relays = sp_json_find(result, "relays");
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));

    for (const struct sp_json *r = relays == NULL ? NULL : relays->first; r != NULL; r = r->next) {
        const struct sp_json *says = sp_json_find(r, "says");
        const struct sp_json *list = sp_json_find(says, "sites");
        const struct sp_json *others = sp_json_find(says, "destinations");

        for (const struct sp_json *s = list == NULL ? NULL : list->first; s != NULL; s = s->next)
            add_site(t, number(r, "relay"), s);
        for (const struct sp_json *s = others == NULL ? NULL : others->first; s != NULL;
             s = s->next)
            add_destination(t, number(r, "relay"), s);
    }
    table_print(t);
    table_free(t);
}

int control_sites(const struct control *c)
{
    struct control_answer answer;
    int code;

    control_ask(c, SP_LIT("{\"command\":\"queue.sites\"}"), &answer);
    code = answer.code == CONTROL_OK ? control_judge(c, &answer) : answer.code;
    if (answer.code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (answer.code == CONTROL_OK)
        print_sites(answer.result);
    control_answer_clear(&answer);
    return code;
}
