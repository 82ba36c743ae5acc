/*
 * message.trace: what became of a message, a line a recipient: how protected, by which rule, when, where, in what state.
 * All of it comes from what the books remember and from the one line that shows where the recipient stands, so a message
 * that left the queue years ago is told like one of today.
 *
 *     {"command": "message.trace", "message": ID | "message_id": TEXT | "network_message_id": TEXT}
 *                                                          -> {"messages": [...]}, the newest first
 */
#include "gateway/ledger/ledger.h"

#include "base/text.h"
#include "jobs/command.h"

#define REPLY_MAX SP_JOBS_COMMAND_MAX
#define LOOK_BACK 16 /* lines */

struct sp_json_doc *ledger_line(struct ledger *l, const struct sp_audit_message *m, uint64_t seq)
{
    struct sp_json_doc *doc = NULL;
    struct sp_buf text;

    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    for (uint32_t i = m->place_count; i > 0; i--) {
        if (m->places[i - 1].seq != seq)
            continue;
        if (sp_audit_book_line(l->book, &m->places[i - 1], &text) != SP_OK ||
            sp_json_parse(sp_buf_bytes(&text), NULL, &doc, NULL) != SP_OK)
            doc = NULL;
        break;
    }
    sp_buf_clear(&text);
    return doc;
}

static void copy(struct sp_jw *w, const struct sp_json *line, const char *from, const char *to)
{
    const struct sp_json *value = sp_json_find(line, from);
    struct sp_buf text;

    if (value == NULL)
        return;
    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    if (sp_json_canonical(value, &text) == SP_OK)
        sp_jw_raw(w, to, sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

/* Recipients stand in groups on the same lines: the last one read is kept. */
struct read_line {
    uint64_t seq;
    struct sp_json_doc *doc;
};

static const struct sp_json *read_line(struct ledger *l, const struct sp_audit_message *m,
                                       uint64_t seq, struct read_line *kept)
{
    if (kept->seq != seq || kept->doc == NULL) {
        sp_json_doc_free(kept->doc);
        kept->doc = ledger_line(l, m, seq);
        kept->seq = seq;
    }
    return kept->doc == NULL ? NULL : sp_json_root(kept->doc);
}

static bool names(const struct sp_json *line, uint32_t n)
{
    const struct sp_json *list = sp_json_find(line, "n");
    const struct sp_json *item = list == NULL ? NULL : list->first;

    while (item != NULL && item->integer != n)
        item = item->next;
    return item != NULL;
}

/* The attempt that came before what ended the recipient: it says where that happened. owner: the caller */
static struct sp_json_doc *attempt_before(struct ledger *l, const struct sp_audit_message *m,
                                          uint32_t n)
{
    uint32_t looked = 0;

    for (uint32_t i = m->place_count; i > 0 && looked < LOOK_BACK; i--) {
        struct sp_json_doc *doc;

        if (m->places[i - 1].seq >= m->rcpts[n].seq)
            continue;
        looked++;
        doc = ledger_line(l, m, m->places[i - 1].seq);
        if (doc != NULL && names(sp_json_root(doc), n) &&
            sp_bytes_eq(sp_json_text_of(sp_json_root(doc), "event"), SP_LIT("delivery.attempted")))
            return doc;
        sp_json_doc_free(doc);
    }
    return NULL;
}

static void put_attempt_before(struct ledger *l, const struct sp_audit_message *m, uint32_t n,
                               const struct sp_json *line, struct sp_jw *w)
{
    SP_AUTO(sp_json_doc) before = NULL;

    if (sp_json_find(line, "hop") != NULL || m->rcpts[n].attempts == 0)
        return;
    before = attempt_before(l, m, n);
    if (before == NULL)
        return;
    copy(w, sp_json_root(before), "hop", "hop");
    copy(w, sp_json_root(before), "reply", "reply");
}

static void put_recipient(struct ledger *l, const struct sp_audit_message *m, uint32_t n,
                          struct sp_bytes address, const struct sp_json *line, struct sp_jw *w)
{
    static const char *const copied[] = {"hop",     "tls",   "reply",  "why",     "outcome",
                                         "next_at", "actor", "reason", "package", "act"};
    const struct sp_audit_rcpt *r = &m->rcpts[n];

    sp_jw_object(w, NULL);
    sp_jw_int(w, "n", n);
    if (address.len > 0)
        sp_jw_text(w, "address", address);
    else
        sp_jw_null(w, "address");
    sp_jw_cstr(w, "state", sp_audit_rcpt_final(r));
    sp_jw_cstr(w, "rung", r->rung < SP_RUNG_COUNT ? sp_rung_name((enum sp_rung)r->rung) : NULL);
    sp_jw_cstr(w, "floor",
               r->floor < SP_FLOOR_COUNT ? sp_floor_name((enum sp_floor)r->floor) : NULL);
    sp_jw_text(w, "rule", r->rule < m->rule_count ? m->rules[r->rule] : sp_bytes(NULL, 0));
    sp_jw_int(w, "attempts", r->attempts);
    sp_jw_int(w, "seq", (int64_t)r->seq);
    copy(w, line, "event", "event");
    copy(w, line, "time", "time");
    if (!sp_bytes_eq(sp_json_text_of(line, "event"), SP_LIT("message.accepted"))) {
        for (size_t i = 0; i < SP_ARRAY_LEN(copied); i++)
            copy(w, line, copied[i], copied[i]);
    }
    put_attempt_before(l, m, n, line, w);
    sp_jw_end(w);
}

static void put_message(struct ledger *l, const struct sp_audit_message *m, struct sp_jw *w)
{
    SP_AUTO(sp_json_doc) accepted = ledger_line(l, m, m->accepted_seq);
    const struct sp_json *root = accepted == NULL ? NULL : sp_json_root(accepted);
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_bytes *to = ledger_recipients(l, m, root, arena, ledger_shown);
    struct read_line kept = {0};

    sp_jw_object(w, NULL);
    sp_jw_id(w, "id", m->id.b);
    copy(w, root, "time", "accepted");
    sp_jw_text(w, "sender", ledger_shown(l, sp_json_find(root, "from"), arena));
    sp_jw_cstr(w, "kind", sp_accept_kind_name(m->kind));
    sp_jw_text(w, "tenant", m->tenant);
    sp_jw_text(w, "message_id", m->message_id);
    sp_jw_text(w, "network_message_id", m->network_message_id);
    sp_jw_text(w, "phi", m->phi);
    sp_jw_text(w, "policy", m->policy);
    sp_jw_bool(w, "settled", m->settled_seq != 0);
    sp_jw_bool(w, "duplicates_possible", m->duplicates_possible);
    sp_jw_array(w, "recipients");
    for (uint32_t n = 0; n < m->rcpt_count; n++)
        put_recipient(l, m, n, to[n], read_line(l, m, m->rcpts[n].seq, &kept), w);
    sp_jw_end(w);
    sp_jw_end(w);
    sp_json_doc_free(kept.doc);
}

static enum sp_rc find(struct ledger *l, const struct sp_json *ask, struct sp_audit_found *found,
                       struct sp_err *err)
{
    struct sp_bytes message = sp_json_text_of(ask, "message");
    struct sp_bytes message_id = sp_json_text_of(ask, "message_id");
    struct sp_bytes network_id = sp_json_text_of(ask, "network_message_id");

    found->count = 0;
    if ((message.len > 0) + (message_id.len > 0) + (network_id.len > 0) != 1)
        return sp_fail(err, SP_E_USAGE, "one of message, message_id, network_message_id");
    if (message.len > 0) {
        found->count = 1;
        return sp_id_parse(message, &found->ids[0])
                   ? SP_OK
                   : sp_fail(err, SP_E_USAGE, "message: no message id");
    }
    return message_id.len > 0
               ? sp_audit_book_find(l->book, SP_AUDIT_BY_MESSAGE_ID, message_id, found, err)
               : sp_audit_book_find(l->book, SP_AUDIT_BY_NETWORK_ID, network_id, found, err);
}

void ledger_trace(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct sp_audit_found found;
    struct sp_err err = {0};
    struct sp_buf json;
    struct sp_jw w;
    size_t told = 0;
    enum sp_rc rc = find(l, q->ask, &found, &err);

    if (rc == SP_OK && !ledger_old_ready(l, job, found.ids, found.count, ledger_command))
        return;
    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "messages");
    for (size_t i = 0; i < found.count && rc == SP_OK; i++) {
        const struct sp_audit_message *m = NULL;

        rc = sp_audit_book_message(l->book, &found.ids[i], &m, &err);
        if (rc != SP_OK || m == NULL || !m->known)
            continue;
        put_message(l, m, &w);
        told++;
    }
    sp_jw_end(&w);
    sp_jw_end(&w);
    if (rc == SP_OK && told == 0)
        rc = sp_fail(&err, SP_E_NOT_FOUND, "nothing of that name was ever accepted here");
    if (rc == SP_OK)
        rc = sp_buf_rc(&json);
    if (rc == SP_OK)
        ledger_reply_json(job, rc, sp_buf_bytes(&json));
    else
        ledger_reply_error(job, rc, err.text);
    sp_buf_clear(&json);
}
