/*
 * `sallyport trace`: what became of a message, one line a recipient. The ledger tells what is on record, for settled
 * messages too; of those that are not settled the queue tells how they stand now and when they are tried next.
 */
#include "gateway/cli-control/control.h"

#include "base/id.h"

#include <stdio.h>

#define QUESTION_MAX 8192
#define CELL_MAX     512

static void ask(const struct control *c, const char *command, const char *key,
                struct sp_bytes value, struct control_answer *answer)
{
    struct sp_buf question;
    struct sp_jw w;

    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", command);
    sp_jw_text(&w, key, value);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), answer);
    sp_buf_clear(&question);
}

/* "mx1.clinic.example.org [203.0.113.25]", or the portal, or "-" */
static void put_where(const struct sp_json *r, struct sp_buf *out)
{
    const struct sp_json *hop = sp_json_find(r, "hop");
    struct sp_bytes mx = sp_json_text_of(hop, "mx");
    struct sp_bytes ip = sp_json_text_of(hop, "ip");

    if (mx.len == 0)
        mx = sp_json_text_of(hop, "domain");
    if (mx.len == 0 && sp_json_text_of(r, "package").len > 0)
        sp_buf_put_cstr(out, "portal");
    else if (mx.len == 0)
        sp_buf_put_cstr(out, "-");
    else if (ip.len == 0 || sp_bytes_eq(ip, mx))
        sp_buf_put(out, mx);
    else
        sp_buf_printf(out, "%.*s [%.*s]", SP_FMT(mx), SP_FMT(ip));
}

/* A rung that was tried and not taken protects nothing. */
static bool was_sent(const struct sp_json *r)
{
    struct sp_bytes state = sp_json_text_of(r, "state");

    return sp_bytes_eq(state, SP_LIT("delivered")) ||
           sp_bytes_eq(sp_bytes_slice(state, 0, 9), SP_LIT("deposited"));
}

/* "tls:dane (TLS 1.3, dane-ee)" */
static void put_how(const struct sp_json *r, struct sp_buf *out)
{
    const struct sp_json *tls = sp_json_find(r, "tls");
    struct sp_bytes rung = sp_json_text_of(r, "rung");
    struct sp_bytes version = sp_json_text_of(tls, "version");
    struct sp_bytes by = sp_json_text_of(tls, "verified_by");

    if (!was_sent(r)) {
        sp_buf_put_cstr(out, "-");
        return;
    }
    sp_buf_put(out, rung.len == 0 ? SP_LIT("-") : rung);
    if (version.len > 0)
        sp_buf_printf(out, " (TLS %.*s, %.*s)", SP_FMT(version), SP_FMT(by));
}

/* The recipient as the queue has it now, or NULL. */
static const struct sp_json *now_of(const struct sp_json *live, int64_t n)
{
    const struct sp_json *list = sp_json_find(sp_json_find(live, "message"), "recipients");

    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next) {
        if (sp_json_int_of(r, "n", -1) == n)
            return r;
    }
    return NULL;
}

static struct sp_bytes or_dash(struct sp_bytes text)
{
    return text.len > 0 ? text : SP_LIT("-");
}

static void add_row(struct table *t, const struct sp_json *r, const struct sp_json *now)
{
    bool is_frozen = sp_json_bool_of(now, "frozen", false);
    struct sp_bytes next = sp_json_text_of(now, "next");
    struct sp_bytes why = sp_json_text_of(r, "why");
    struct sp_bytes reply = sp_json_text_of(r, "reply");
    struct sp_buf where;
    struct sp_buf how;
    struct sp_buf note;
    struct sp_buf state;

    sp_buf_init(&state, CELL_MAX);
    sp_buf_put(&state, sp_json_text_of(now == NULL ? r : now, "state"));
    if (is_frozen) /* whoever asks why it does not go reads it here */
        sp_buf_put_cstr(&state, ", frozen");
    sp_buf_init(&where, CELL_MAX);
    sp_buf_init(&how, CELL_MAX);
    sp_buf_init(&note, CELL_MAX);
    put_where(r, &where);
    put_how(r, &how);
    if (why.len == 0)
        why = sp_json_text_of(r, "reason");
    if (why.len == 0) /* nothing was tried: the queue knows what it waits for */
        why = sp_json_text_of(now, "why");
    sp_buf_put(&note, or_dash(why.len > 0 ? why : reply));
    if (why.len > 0 && reply.len > 0)
        sp_buf_printf(&note, " (%.*s)", SP_FMT(reply));
    if (next.len > 0)
        sp_buf_printf(&note, ", next %.*s", SP_FMT(next));
    struct sp_bytes cells[] = {
        or_dash(sp_json_text_of(r, "address")),
        sp_buf_bytes(&state),
        sp_buf_bytes(&how),
        or_dash(sp_json_text_of(r, "rule")),
        sp_buf_bytes(&where),
        or_dash(sp_json_text_of(r, "time")),
        sp_buf_bytes(&note),
    };
    table_add(t, cells);
    sp_buf_clear(&state);
    sp_buf_clear(&where);
    sp_buf_clear(&how);
    sp_buf_clear(&note);
}

static void print_head(const struct sp_json *m)
{
    (void)printf("%.*s  accepted %.*s  from %.*s  tenant %.*s%s\n",
                 SP_FMT(sp_json_text_of(m, "id")), SP_FMT(sp_json_text_of(m, "accepted")),
                 SP_FMT(or_dash(sp_json_text_of(m, "sender"))),
                 SP_FMT(sp_json_text_of(m, "tenant")),
                 sp_json_bool_of(m, "settled", false) ? "" : "  (not settled)");
}

/* One message as a table; live is what the queue says of it, or NULL. */
static void print_message(const struct sp_json *m, const struct sp_json *live)
{
    static const char *const heads[] = {"RECIPIENT", "STATE", "PROTECTED BY", "RULE",
                                        "WHERE",     "WHEN",  "WHY"};
    const struct sp_json *list = sp_json_find(m, "recipients");
    struct table *t = table_new(heads, SP_ARRAY_LEN(heads));

    print_head(m);
    for (const struct sp_json *r = list == NULL ? NULL : list->first; r != NULL; r = r->next)
        add_row(t, r, now_of(live, sp_json_int_of(r, "n", -1)));
    table_print(t);
    table_free(t);
}

static void print_message_json(const struct sp_json *m, const struct sp_json *live, bool first)
{
    SP_AUTO(sp_json_doc) doc = sp_json_doc_new();
    const struct sp_json *root = sp_json_root(doc);
    struct sp_buf text;

    for (const struct sp_json *member = m->first; member != NULL; member = member->next) {
        char key[64];

        (void)snprintf(key, sizeof(key), "%.*s", SP_FMT(member->key));
        sp_json_set_copy(doc, root, key, member);
    }
    if (sp_json_find(live, "message") != NULL)
        sp_json_set_copy(doc, root, "queue", sp_json_find(live, "message"));
    sp_buf_init(&text, CONTROL_LINE_MAX);
    if (sp_json_canonical(root, &text) == SP_OK)
        (void)printf("%s%.*s", first ? "" : ",", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

/* A message that has left the queue since is no error: the records tell it then. */
static void tell(const struct control *c, const struct sp_json *m, bool first)
{
    struct control quiet = *c;
    struct control_answer live = {.fd = -1};
    bool is_open = !sp_json_bool_of(m, "settled", false);

    quiet.quiet = true;
    if (is_open)
        ask(&quiet, "queue.show", "message", sp_json_text_of(m, "id"), &live);
    if (c->json)
        print_message_json(m, live.result, first);
    else
        print_message(m, live.result);
    if (is_open)
        control_answer_clear(&live);
}

static void tell_all(const struct control *c, const struct sp_json *list)
{
    if (c->json)
        (void)printf("{\"messages\":[");
    for (const struct sp_json *m = list == NULL ? NULL : list->first; m != NULL; m = m->next) {
        if (!c->json && m->index > 0)
            (void)printf("\n");
        tell(c, m, m->index == 0);
    }
    if (c->json)
        (void)printf("]}\n");
}

int control_trace(const struct control *c)
{
    struct sp_bytes word = sp_bytes_cstr(c->word_count > 1 ? c->words[1] : "");
    struct control_answer answer;
    struct sp_id id;
    int code;

    if ((c->word_count == 2) == (c->network_id != NULL) || c->word_count > 2)
        return control_usage(c, "trace: a message, its Message-ID, or --network-message-id ID");
    if (c->network_id != NULL)
        ask(c, "message.trace", "network_message_id", sp_bytes_cstr(c->network_id), &answer);
    else
        ask(c, "message.trace", sp_id_parse(word, &id) ? "message" : "message_id", word, &answer);
    code = answer.code;
    if (code == CONTROL_OK)
        tell_all(c, sp_json_find(answer.result, "messages"));
    control_answer_clear(&answer);
    return code;
}
