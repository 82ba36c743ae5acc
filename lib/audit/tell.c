/*
 * From an event to a line of the books: stamped, chained, put behind the others, and noted with the message it is about.
 * What the line says is looked at once more here for what the ledger itself remembers: by the line as it was told, with its
 * addresses, also where what is written has pseudonyms for them.
 */
#include "audit/book_priv.h"
#include "base/text.h"

#define GAP_MAX 4096

static enum sp_rc find_stored(struct sp_audit_book *b, const struct sp_id *id,
                              struct sp_audit_message **out, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(b->store, "SELECT data FROM message WHERE id = ?1");
    enum sp_rc rc;
    bool row;

    *out = NULL;
    sp_store_bind_blob(q, 1, sp_bytes(id->b, SP_ID_LEN));
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && row && sp_audit_message_decode(sp_store_blob(q, 0), out) != SP_OK)
        rc = sp_fail(err, SP_E_STORE_FAILED, "state.db: a message does not read back");
    sp_store_done(q);
    return rc;
}

enum sp_rc sp_audit_book_touch(struct sp_audit_book *b, const struct sp_id *id,
                               struct sp_audit_message **out, struct sp_err *err)
{
    struct sp_bytes key = sp_bytes(id->b, SP_ID_LEN);
    struct sp_audit_message *m = sp_map_find(b->messages, key);
    enum sp_rc rc = SP_OK;

    if (m == NULL) {
        rc = find_stored(b, id, &m, err);
        if (rc != SP_OK)
            return rc;
        if (m == NULL)
            m = sp_audit_message_new(id);
        sp_map_put(b->messages, key, m);
    }
    *out = m;
    return SP_OK;
}

enum sp_rc sp_audit_book_message(struct sp_audit_book *b, const struct sp_id *id,
                                 const struct sp_audit_message **out, struct sp_err *err)
{
    struct sp_audit_message *m = sp_map_find(b->messages, sp_bytes(id->b, SP_ID_LEN));
    enum sp_rc rc = SP_OK;

    if (m == NULL) {
        sp_audit_message_free(SP_STEAL(b->asked));
        rc = find_stored(b, id, &b->asked, err);
        m = b->asked;
    }
    if (rc == SP_OK)
        *out = m;
    return rc;
}

static void note_facts(struct sp_audit_message *m, const struct sp_audit_line *line)
{
    struct sp_bytes sealed = sp_json_text_of(sp_json_find(line->root, "content"), "sealed");
    struct sp_bytes package = sp_json_text_of(line->root, "package");

    if (strcmp(line->event->name, "message.accepted") == 0)
        m->sealed = sealed.len > 0 && !sp_bytes_eq(sealed, SP_LIT("none")) &&
                    !sp_bytes_eq(sealed, SP_LIT("signed"));
    if (strcmp(line->event->name, "portal.deposited") == 0)
        m->package = sp_arena_copy(m->arena, package);
    if (sp_json_bool_of(line->root, "possibly_attempted", false) ||
        sp_json_bool_of(line->root, "possibly_delivered", false) ||
        sp_json_bool_of(line->root, "possibly_repeated", false))
        m->duplicates_possible = true;
}

/* The line lies at the end of the tail, without its line end yet. */
static enum sp_rc keep(struct sp_audit_book *b, size_t from, const struct sp_audit_line *line,
                       struct sp_err *err)
{
    struct sp_bytes text = sp_bytes_slice(sp_buf_bytes(&b->tail), from, SIZE_MAX);
    struct sp_audit_place place = {
        .seq = line->seq, .offset = sp_audit_book_end(b) + from, .len = (uint32_t)text.len};
    struct sp_audit_message *m;
    enum sp_rc rc = sp_audit_tlsrpt_learn(b, line, err);

    if (rc == SP_OK)
        rc = sp_audit_reports_learn(b, line, err);
    if (rc == SP_OK)
        rc = sp_audit_wish_learn(b, line, err);
    if (rc != SP_OK)
        return rc;
    if (line->has_message) {
        rc = sp_audit_book_touch(b, &line->message, &m, err);

        if (rc != SP_OK)
            return rc;
        sp_audit_message_add_place(m, &place);
        note_facts(m, line);
    }
    sp_audit_posture_learn(b, line);
    sp_audit_suppress_learn(b, line);
    sp_audit_state_add(&b->state, text);
    sp_buf_put_u8(&b->tail, '\n');
    if (b->unsigned_since_ms == 0)
        b->unsigned_since_ms = sp_clock_steady_ms(b->clock);
    return sp_buf_rc(&b->tail);
}

enum sp_rc sp_audit_book_tell(struct sp_audit_book *b, struct sp_audit_context *c,
                              struct sp_bytes event, struct sp_audit_told *told, struct sp_err *err)
{
    struct sp_audit_stamp stamp = {.node = b->signer.node,
                                   .seq = b->state.last_seq + 1,
                                   .prev = b->state.head,
                                   .time_ms = c->time_ms};
    struct sp_audit_line line = {0};
    size_t from = b->tail.len;
    enum sp_rc rc = sp_audit_book_begin(b, err);

    if (rc != SP_OK)
        return rc;
    if (c->shard != NULL)
        stamp.origin = (struct sp_audit_origin){c->shard, c->entry->place.segment,
                                                c->entry->place.sequence, c->part};
    c->part++;
    rc = sp_audit_line_build(event, &stamp, &b->tail, &line, err);
    if (rc == SP_OK && b->hides)
        rc = sp_audit_pseudonym_line(b, from, &line, err);
    if (rc == SP_OK)
        rc = keep(b, from, &line, err);
    if (rc != SP_OK) {
        b->tail.len = from;
        b->tail.failed = false;
        sp_audit_line_clear(&line);
        return sp_audit_book_note(b, rc);
    }
    if (told == NULL) {
        sp_audit_line_clear(&line);
        return SP_OK;
    }
    told->seq = b->state.last_seq;
    told->line = line;
    return SP_OK;
}

enum sp_rc sp_audit_book_gap(struct sp_audit_book *b, struct sp_audit_context *c,
                             const char *reason, const char *detail, int64_t bytes,
                             struct sp_err *err)
{
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    sp_log_error(b->log, "audit.gap", SP_TEXT("reason", reason),
                 SP_TEXT("detail", detail == NULL ? "" : detail));
    sp_buf_init(&text, GAP_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "audit.gap");
    sp_jw_cstr(&w, "reason", reason);
    if (detail != NULL)
        sp_jw_cstr(&w, "detail", detail);
    if (bytes > 0)
        sp_jw_int(&w, "bytes", bytes);
    sp_jw_end(&w);
    rc = sp_buf_rc(&text);
    if (rc == SP_OK)
        rc = sp_audit_book_tell(b, c, sp_buf_bytes(&text), NULL, err);
    sp_buf_clear(&text);
    return rc;
}

enum sp_rc sp_audit_book_say(struct sp_audit_book *b, struct sp_bytes event, struct sp_err *err)
{
    struct sp_audit_context c = {.time_ms = sp_clock_wall_ms(b->clock)};

    return sp_audit_book_tell(b, &c, event, NULL, err);
}

void sp_audit_book_trim(struct sp_audit_book *b)
{
    if (b->tail.len == 0)
        sp_buf_clear(&b->tail);
}
