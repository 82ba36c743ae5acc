/*
 * Which role answers which command, as a table, and asking them. Only relays come in numbers: a command about a message
 * goes to all of them, since nobody but they know who has it, and asking costs a look into a table in memory.
 */
#include <unistd.h>

#include "admin/admin_priv.h"
#include "jobs/command.h"

#define PAYLOAD_MAX (SP_JOBS_COMMAND_MAX + 4096)

static const struct sp_admin_route routes[] = {
    {"queue.sites", SP_ROLE_RELAY, SP_ADMIN_EACH},  {"queue.list", SP_ROLE_RELAY, SP_ADMIN_PAGES},
    {"queue.stats", SP_ROLE_RELAY, SP_ADMIN_EACH},  {"queue.count", SP_ROLE_RELAY, SP_ADMIN_EACH},
    {"queue.orders", SP_ROLE_RELAY, SP_ADMIN_EACH}, {"queue.freeze", SP_ROLE_RELAY, SP_ADMIN_EACH},
    {"queue.thaw", SP_ROLE_RELAY, SP_ADMIN_EACH},   {"queue.drain", SP_ROLE_RELAY, SP_ADMIN_EACH},
    {"queue.resume", SP_ROLE_RELAY, SP_ADMIN_EACH}, {"queue.", SP_ROLE_RELAY, SP_ADMIN_OWNER},
    {"keys.", SP_ROLE_KEEPER, SP_ADMIN_ONE},        {"audit.", SP_ROLE_LEDGER, SP_ADMIN_ONE},
    {"message.", SP_ROLE_LEDGER, SP_ADMIN_ONE},     {"posture.", SP_ROLE_LEDGER, SP_ADMIN_ONE},
    {"portal.", SP_ROLE_PORTAL, SP_ADMIN_ONE},      {"probe", SP_ROLE_RELAY, SP_ADMIN_ONE},
    {"tenant.seen", SP_ROLE_RELAY, SP_ADMIN_EACH},  {"tlsrpt.", SP_ROLE_LEDGER, SP_ADMIN_ONE},
    {"suppression.", SP_ROLE_LEDGER, SP_ADMIN_ONE}, {"preference.", SP_ROLE_LEDGER, SP_ADMIN_ONE},
    {"policy.", SP_ROLE_LEDGER, SP_ADMIN_ONE},
};

static const struct sp_admin_route *find_route(struct sp_bytes command)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(routes); i++) {
        struct sp_bytes prefix = sp_bytes_cstr(routes[i].prefix);

        if (sp_bytes_eq(sp_bytes_slice(command, 0, prefix.len), prefix))
            return &routes[i];
    }
    return NULL;
}

/* Whether others have nothing to add: who has the message has spoken. */
static bool is_decided(const struct sp_admin_question *q, const struct sp_admin_answer *a)
{
    return q->route->merge == SP_ADMIN_OWNER && a->rc != SP_E_NOT_FOUND && !sp_admin_is_unknown(a);
}

void sp_admin_answered(struct sp_admin_call *call, enum sp_rc rc)
{
    struct sp_admin_question *q = call->question;
    struct sp_admin_answer *answer = &q->answers[call->slot];

    answer->rc = rc;
    call->job = 0;
    sp_jobs_cancel(sp_admin_jobs(q->admin),
                   call->ping); /* else it would be given up behind its answer */
    call->ping = 0;
    q->open--;
    if (q->open > 0 && !is_decided(q, answer))
        return;
    sp_admin_wait_end(q);
    q->done(q->arg, q);
}

static void on_reply(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct sp_admin_call *call = arg;
    struct sp_admin_answer *answer = &call->question->answers[call->slot];
    struct sp_jobs_command_reply decoded;

    if (reply->payload.len > 0 && sp_jobs_command_reply_decode(reply->payload, &decoded) == SP_OK) {
        if (sp_json_parse(decoded.json, NULL, &answer->json, NULL) != SP_OK)
            answer->json = NULL;
        if (decoded.has_file)
            answer->fd = sp_jobs_reply_fd(reply, 0);
    }
    sp_admin_answered(call, rc);
}

/* Who asks whether a role is alive does not wait as for one that works. */
static int64_t time_of(const struct sp_admin_question *q)
{
    return sp_json_bool_of(sp_json_root(q->json), "soon", false) ? sp_admin_patience_ms(q->admin)
                                                                 : sp_admin_answer_ms(q->admin);
}

static void call_peer(struct sp_admin_question *q, unsigned index, struct sp_bytes payload)
{
    struct sp_admin_call *call = &q->calls[q->count];
    struct sp_jobs_request request = {.role = q->route->role,
                                      .index = index,
                                      .type = SP_JOBS_COMMAND,
                                      .payload = payload,
                                      .timeout_ms = time_of(q),
                                      .wait_for_peer = true};

    call->question = q;
    call->slot = q->count;
    q->answers[q->count++] = (struct sp_admin_answer){.index = index, .fd = -1};
    q->open++;
    call->job = sp_jobs_call(sp_admin_jobs(q->admin), &request, on_reply, call);
}

/* Whether who asks knows already that this relay does not answer, and wants what others say. */
static bool is_left_out(const struct sp_admin_question *q, unsigned relay)
{
    const struct sp_json *list = sp_json_find(sp_json_root(q->json), "without");

    for (const struct sp_json *n = list == NULL ? NULL : list->first; n != NULL; n = n->next)
        if (n->type == SP_JSON_INT && n->integer == (int64_t)relay)
            return true;
    return false;
}

static void call_all(struct sp_admin_question *q, struct sp_bytes payload)
{
    unsigned relays = sp_admin_relays(q->admin);

    for (unsigned i = 0; i < relays && q->route->merge != SP_ADMIN_ONE; i++) {
        if (q->count < SP_ADMIN_ANSWERS_MAX && !is_left_out(q, i))
            call_peer(q, i, payload);
    }
    if (q->count == 0)
        call_peer(q, SP_JOBS_ANY, payload);
}

struct sp_admin_question *sp_admin_ask(struct sp_admin *a, struct sp_json_doc *json,
                                       struct sp_bytes actor,
                                       void (*done)(void *arg, struct sp_admin_question *q),
                                       void *arg)
{
    const struct sp_admin_route *route = find_route(sp_json_text_of(sp_json_root(json), "command"));
    struct sp_jobs_command_request request = {.actor = actor};
    struct sp_admin_question *q;
    struct sp_buf text;
    struct sp_buf payload;

    if (route == NULL) {
        sp_json_doc_free(json);
        return NULL;
    }
    q = sp_calloc(1, sizeof(*q));
    q->admin = a;
    q->json = json;
    q->route = route;
    q->done = done;
    q->arg = arg;
    sp_buf_init(&text, SP_JOBS_COMMAND_MAX);
    sp_buf_init(&payload, PAYLOAD_MAX);
    if (sp_json_canonical(sp_json_root(json), &text) != SP_OK)
        sp_buf_reset(&text);
    request.json = sp_buf_bytes(&text);
    sp_jobs_command_request_encode(&payload, &request);
    call_all(q, sp_buf_bytes(&payload));
    sp_admin_wait_start(q);
    sp_buf_wipe(&payload);
    sp_buf_wipe(&text);
    return q;
}

void sp_admin_question_free(struct sp_admin_question *q)
{
    if (q == NULL)
        return;
    for (size_t i = 0; i < q->count; i++) {
        sp_json_doc_free(q->answers[i].json);
        if (q->answers[i].fd >= 0)
            close(q->answers[i].fd);
    }
    if (q->look != NULL)
        sp_timer_free(q->look);
    sp_json_doc_free(q->json);
    sp_free(q);
}
