/*
 * Whose message it was, for what comes back to a return path long after it has left the queue: tenant, sender, and the
 * recipient of that number, as the audit's own lines say; an administrator's redirection counts.
 */
#include "gateway/ledger/ledger.h"

#include "jobs/bounce.h"

#define REPLY_MAX 8192

/* A message's recipients, being read from its lines. */
struct reading {
    struct ledger *l;
    const struct sp_audit_message *m;
    struct sp_arena *arena;
    ledger_address_fn read;
    struct sp_bytes *to;
};

static void take_ways(struct reading *r, const struct sp_json *line)
{
    const struct sp_json *ways = sp_json_find(line, "ways");

    for (const struct sp_json *w = ways == NULL ? NULL : ways->first; w != NULL; w = w->next) {
        int64_t n = sp_json_int_of(w, "n", -1);
        struct sp_bytes address = r->read(r->l, sp_json_find(w, "to"), r->arena);

        if (n >= 0 && n < r->m->rcpt_count && address.len > 0)
            r->to[n] = address;
    }
}

struct sp_bytes *ledger_recipients(struct ledger *l, const struct sp_audit_message *m,
                                   const struct sp_json *accepted, struct sp_arena *arena,
                                   ledger_address_fn read)
{
    struct sp_bytes *to = sp_arena_alloc(arena, (m->rcpt_count + 1) * sizeof(*to));
    struct reading r = {.l = l, .m = m, .arena = arena, .read = read, .to = to};
    const struct sp_json *list = sp_json_find(accepted, "to");
    uint32_t n = 0;

    memset(to, 0, (m->rcpt_count + 1) * sizeof(*to));
    for (const struct sp_json *i = list == NULL ? NULL : list->first;
         i != NULL && n < m->rcpt_count; i = i->next)
        to[n++] = read(l, i, arena);
    for (uint32_t i = 0; i < m->place_count; i++) {
        SP_AUTO(sp_json_doc) line = NULL;

        if (m->places[i].seq == m->accepted_seq)
            continue;
        line = ledger_line(l, m, m->places[i].seq);
        if (line != NULL && sp_bytes_eq(sp_json_text_of(sp_json_root(line), "event"),
                                        SP_LIT("delivery.redirected")))
            take_ways(&r, sp_json_root(line));
    }
    return to;
}

/* Which package a notice tells of: as the deposit's own line says. returns: false if it is none of this message */
static bool find_package(struct ledger *l, const struct sp_audit_message *m,
                         struct sp_jobs_origin_request *request, struct sp_bytes *package,
                         struct sp_arena *arena)
{
    char notice[SP_ID_TEXT_LEN + 1];

    sp_id_format(&request->id, notice);
    for (uint32_t i = 0; i < m->place_count; i++) {
        SP_AUTO(sp_json_doc) line = ledger_line(l, m, m->places[i].seq);
        const struct sp_json *root = line == NULL ? NULL : sp_json_root(line);
        const struct sp_json *n = sp_json_find(root, "n");

        if (!sp_bytes_eq(sp_json_text_of(root, "event"), SP_LIT("portal.deposited")) ||
            !sp_bytes_eq(sp_json_text_of(root, "notice"), sp_bytes_cstr(notice)) || n == NULL ||
            n->first == NULL || n->first->integer < 0 || n->first->integer >= m->rcpt_count)
            continue;
        *package = sp_arena_copy(arena, sp_json_text_of(root, "package"));
        request->n = (uint16_t)n->first->integer;
        return package->len > 0;
    }
    return false;
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
        .sender = ledger_address(l, sp_json_find(sp_json_root(accepted), "from"), arena),
        .recipient = ledger_recipients(l, m, sp_json_root(accepted), arena, ledger_address)[n],
        .message = m->id,
        .n = n,
    };
}

/* Of a notice the message that it tells of; m is lent by the book, and gone with the next question. */
static enum sp_rc follow(struct ledger *l, const struct sp_audit_message *m,
                         struct sp_jobs_origin_request *request, struct sp_arena *arena,
                         struct sp_jobs_origin_reply *reply)
{
    struct sp_bytes package = {NULL, 0};
    struct sp_err err = {0};
    struct sp_id parent;
    enum sp_rc rc;

    if (m->kind != SP_ACCEPT_KIND_NOTICE) {
        answer(l, m, request->n, arena, reply);
        return SP_OK;
    }
    parent = m->parent;
    rc = sp_audit_book_message(l->book, &parent, &m, &err);
    if (rc == SP_OK && m != NULL && m->known && find_package(l, m, request, &package, arena)) {
        answer(l, m, request->n, arena, reply);
        reply->package = package;
    }
    return rc;
}

/* Whose lines will be asked for: its own, or of a notice those of the message that it tells of. */
static enum sp_rc told_by(struct ledger *l, const struct sp_id *id, struct sp_id *out,
                          struct sp_err *err)
{
    const struct sp_audit_message *m = NULL;
    enum sp_rc rc = sp_audit_book_message(l->book, id, &m, err);

    *out = rc == SP_OK && m != NULL && m->kind == SP_ACCEPT_KIND_NOTICE ? m->parent : *id;
    return rc;
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
    struct sp_id told;
    enum sp_rc rc = sp_jobs_origin_request_decode(sp_jobs_job_payload(job), &request);

    if (rc == SP_OK) {
        ledger_tail_now(l); /* what is durable counts as known */
        rc = told_by(l, &request.id, &told, &err);
    }
    if (rc == SP_OK && !ledger_old_ready(l, job, &told, 1, on_origin))
        return;
    sp_buf_init(&out, REPLY_MAX);
    if (rc == SP_OK)
        rc = sp_audit_book_message(l->book, &request.id, &m, &err);
    if (rc == SP_OK && m != NULL && m->known)
        rc = follow(l, m, &request, arena, &reply);
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
