/*
 * Whose message it was, for what comes back to a return path long after it has left the queue: tenant, sender, and the
 * recipient of that number, as the audit's own lines say; an administrator's redirection counts.
 */
#include "gateway/ledger/ledger.h"

#include "jobs/bounce.h"

#define REPLY_MAX 8192

static void take_ways(const struct sp_json *line, const struct sp_audit_message *m,
                      struct sp_arena *arena, struct sp_bytes *to)
{
    const struct sp_json *ways = sp_json_find(line, "ways");

    for (const struct sp_json *w = ways == NULL ? NULL : ways->first; w != NULL; w = w->next) {
        int64_t n = sp_json_int_of(w, "n", -1);
        struct sp_bytes address = sp_json_text_of(w, "to");

        if (n >= 0 && n < m->rcpt_count && address.len > 0)
            to[n] = sp_arena_copy(arena, address);
    }
}

struct sp_bytes *ledger_recipients(struct ledger *l, const struct sp_audit_message *m,
                                   const struct sp_json *accepted, struct sp_arena *arena)
{
    struct sp_bytes *to = sp_arena_alloc(arena, (m->rcpt_count + 1) * sizeof(*to));
    const struct sp_json *list = sp_json_find(accepted, "to");
    uint32_t n = 0;

    memset(to, 0, (m->rcpt_count + 1) * sizeof(*to));
    for (const struct sp_json *i = list == NULL ? NULL : list->first;
         i != NULL && n < m->rcpt_count; i = i->next)
        to[n++] = sp_arena_copy(arena, i->text);
    for (uint32_t i = 0; i < m->place_count; i++) {
        SP_AUTO(sp_json_doc) line = NULL;

        if (m->places[i].seq == m->accepted_seq)
            continue;
        line = ledger_line(l, m, m->places[i].seq);
        if (line != NULL && sp_bytes_eq(sp_json_text_of(sp_json_root(line), "event"),
                                        SP_LIT("delivery.redirected")))
            take_ways(sp_json_root(line), m, arena, to);
    }
    return to;
}

static void answer(struct ledger *l, const struct sp_audit_message *m, uint16_t n,
                   struct sp_arena *arena, struct sp_jobs_origin_reply *reply)
{
    SP_AUTO(sp_json_doc) accepted = ledger_line(l, m, m->accepted_seq);

    if (accepted == NULL || n >= m->rcpt_count)
        return;
    *reply = (struct sp_jobs_origin_reply){
        .known = true,
        .kind = m->kind,
        .floor = m->rcpts[n].floor,
        .tenant = m->tenant,
        .sender = sp_arena_copy(arena, sp_json_text_of(sp_json_root(accepted), "from")),
        .recipient = ledger_recipients(l, m, sp_json_root(accepted), arena)[n],
    };
}

static void on_origin(void *arg, struct sp_jobs_job *job)
{
    struct ledger *l = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    const struct sp_audit_message *m = NULL;
    struct sp_jobs_origin_request request;
    struct sp_jobs_origin_reply reply = {.known = false};
    struct sp_err err = {0};
    struct sp_buf out;
    enum sp_rc rc = sp_jobs_origin_request_decode(sp_jobs_job_payload(job), &request);

    sp_buf_init(&out, REPLY_MAX);
    if (rc == SP_OK) {
        ledger_tail_now(l); /* what is durable counts as known */
        rc = sp_audit_book_message(l->book, &request.id, &m, &err);
    }
    if (rc == SP_OK && m != NULL && m->known)
        answer(l, m, request.n, arena, &reply);
    if (rc == SP_OK) {
        sp_jobs_origin_reply_encode(&out, &reply);
        rc = sp_buf_rc(&out);
    }
    sp_jobs_job_reply(job, rc, rc == SP_OK ? sp_buf_bytes(&out) : SP_LIT(""), NULL, 0);
    sp_buf_clear(&out);
}

void ledger_origin_serve(struct ledger *l)
{
    sp_jobs_serve(l->jobs, SP_JOBS_ORIGIN, on_origin, l);
}
