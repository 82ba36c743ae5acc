/*
 * From a journal record to the books. First its events become lines, in order; then the record itself moves the message
 * on; then message.settled is said for whom that was the last step. Records are read by the same decoders as the queue's,
 * so both see the same thing. A record that can't be read becomes audit.gap: the gap is then on record too.
 */
#include "audit/book_priv.h"
#include "audit/facts.h"
#include "base/text.h"

#define ARENA_LEN 16384
#define EVENT_MAX SP_AUDIT_LINE_MAX

struct fold {
    struct sp_audit_book *b;
    struct sp_audit_context c;
    struct sp_arena *arena;
    struct sp_audit_told *told; /* lines of the record being folded, its child's too */
    size_t count;
    struct sp_err *err;
};

static void clear_told(struct fold *f)
{
    for (size_t i = 0; i < f->count; i++)
        sp_audit_line_clear(&f->told[i].line);
    f->count = 0;
}

/* told: left alone if the event could not be told and a gap stands in its place (has: false) */
static enum sp_rc tell_one(struct fold *f, struct sp_bytes event, struct sp_audit_told *told,
                           bool *has)
{
    struct sp_err detail = {0};
    enum sp_rc rc = sp_audit_book_tell(f->b, &f->c, event, told, &detail);

    *has = rc == SP_OK;
    if (rc == SP_E_MALFORMED || rc == SP_E_LIMIT)
        rc = sp_audit_book_gap(f->b, &f->c, "event-malformed", detail.text, 0, f->err);
    return rc;
}

static enum sp_rc tell_list(struct fold *f, const struct sp_audit_list *list)
{
    struct sp_audit_told *told = sp_arena_alloc(f->arena, (f->count + list->count) * sizeof(*told));

    if (f->count > 0)
        memcpy(told, f->told, f->count * sizeof(*told));
    f->told = told;
    for (size_t i = 0; i < list->count; i++) {
        bool has;
        enum sp_rc rc = tell_one(f, list->events[i], &f->told[f->count], &has);

        f->count += has;
        if (rc != SP_OK)
            return rc;
    }
    return SP_OK;
}

/* For records whose lines nobody looks at again. A destroyed segment has one for each of its thousands of messages. */
static enum sp_rc tell_and_forget(struct fold *f, const struct sp_audit_list *list)
{
    enum sp_rc rc = SP_OK;

    for (size_t i = 0; rc == SP_OK && i < list->count; i++) {
        struct sp_audit_told told;
        bool has;

        rc = tell_one(f, list->events[i], &told, &has);
        if (has)
            sp_audit_line_clear(&told.line);
    }
    return rc;
}

static bool names_recipient(const struct sp_json *line, uint16_t n)
{
    const struct sp_json *list = sp_json_find(line, "n");

    if (list == NULL)
        return true;
    if (list->type == SP_JSON_INT)
        return list->integer == n;
    for (const struct sp_json *item = list->first; item != NULL; item = item->next) {
        if (item->type == SP_JSON_INT && item->integer == n)
            return true;
    }
    return false;
}

/* The last line of the record that is about recipient n of the message; 0 if there is none. */
static uint64_t line_of(const struct fold *f, const struct sp_id *id, uint16_t n)
{
    for (size_t i = f->count; i > 0; i--) {
        const struct sp_audit_line *line = &f->told[i - 1].line;

        if (line->has_message && sp_id_eq(&line->message, id) && names_recipient(line->root, n))
            return f->told[i - 1].seq;
    }
    return 0;
}

static const struct sp_audit_line *find_told(const struct fold *f, const char *event,
                                             const struct sp_id *id, uint64_t *seq)
{
    for (size_t i = f->count; i > 0; i--) {
        const struct sp_audit_told *told = &f->told[i - 1];

        if (strcmp(told->line.event->name, event) != 0 || !told->line.has_message ||
            !sp_id_eq(&told->line.message, id))
            continue;
        if (seq != NULL)
            *seq = told->seq;
        return &told->line;
    }
    return NULL;
}

static enum sp_rc settle(struct fold *f, struct sp_audit_message *m)
{
    struct sp_audit_told told;
    struct sp_buf text;
    enum sp_rc rc;

    if (!sp_audit_message_is_due(m))
        return SP_OK;
    sp_buf_init(&text, EVENT_MAX);
    sp_audit_message_settled(m, &text);
    rc = sp_buf_rc(&text);
    if (rc == SP_OK)
        rc = sp_audit_book_tell(f->b, &f->c, sp_buf_bytes(&text), &told, f->err);
    if (rc == SP_OK) {
        m->settled_seq = told.seq;
        sp_audit_line_clear(&told.line);
    }
    sp_buf_clear(&text);
    return rc;
}

static enum sp_rc fold_accept(struct fold *f, const struct sp_accept *accept)
{
    struct sp_audit_message *m;
    uint64_t seq = 0;
    enum sp_rc rc = tell_list(f, &accept->audit);

    if (rc == SP_OK)
        rc = sp_audit_book_touch(f->b, &accept->id, &m, f->err);
    if (rc != SP_OK)
        return rc;
    (void)find_told(f, "message.accepted", &accept->id, &seq);
    sp_audit_message_accept(m, accept, seq);
    sp_audit_contact_note(f->b, m, accept);
    rc = sp_audit_facts_store(f->b, accept, f->err);
    if (rc == SP_OK)
        rc = sp_audit_origin_store(f->b, m, f->err);
    return rc == SP_OK ? settle(f, m) : rc;
}

static enum sp_rc copy_member(struct sp_jw *w, const struct sp_audit_line *from, const char *name)
{
    const struct sp_json *value = from == NULL ? NULL : sp_json_find(from->root, name);
    struct sp_buf text;
    enum sp_rc rc;

    if (value == NULL)
        return SP_OK;
    sp_buf_init(&text, EVENT_MAX);
    rc = sp_json_canonical(value, &text);
    if (rc == SP_OK)
        sp_jw_raw(w, name, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return rc;
}

/* What the attempt for the notice showed, said of the message that the notice tells of. */
static enum sp_rc put_notified(const struct fold *f, const struct sp_audit_message *notice,
                               const struct sp_audit_message *parent, uint16_t n,
                               struct sp_buf *out)
{
    static const char *const copied[] = {"attempt", "hop", "tls", "outcome", "reply"};
    const struct sp_audit_line *attempt = find_told(f, "delivery.attempted", &notice->id, NULL);
    const struct sp_audit_rcpt *r = &notice->rcpts[0];
    enum sp_rc rc = SP_OK;
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "portal.notified");
    sp_jw_text(&w, "tenant", parent->tenant);
    sp_jw_id(&w, "message", parent->id.b);
    sp_jw_array(&w, "n");
    sp_jw_int(&w, NULL, n);
    sp_jw_end(&w);
    sp_jw_text(&w, "package", notice->package.len > 0 ? notice->package : parent->package);
    sp_jw_id(&w, "notice", notice->id.b);
    sp_jw_cstr(&w, "floor",
               r->floor < SP_FLOOR_COUNT ? sp_floor_name((enum sp_floor)r->floor) : NULL);
    sp_jw_cstr(&w, "rung", r->rung < SP_RUNG_COUNT ? sp_rung_name((enum sp_rung)r->rung) : NULL);
    for (size_t i = 0; i < SP_ARRAY_LEN(copied) && rc == SP_OK; i++)
        rc = copy_member(&w, attempt, copied[i]);
    sp_jw_end(&w);
    return rc == SP_OK ? sp_buf_rc(out) : rc;
}

static enum sp_rc say_notified(struct fold *f, const struct sp_audit_message *notice,
                               const struct sp_audit_message *parent, uint16_t n)
{
    struct sp_buf text;
    enum sp_rc rc;

    if (find_told(f, "portal.notified", &parent->id, NULL) != NULL)
        return SP_OK;
    sp_buf_init(&text, EVENT_MAX);
    rc = put_notified(f, notice, parent, n, &text);
    if (rc == SP_OK)
        rc = sp_audit_book_tell(f->b, &f->c, sp_buf_bytes(&text), NULL, f->err);
    sp_buf_clear(&text);
    return rc;
}

/* A notice that has come to its end lets the message settle that it tells of. */
static enum sp_rc end_notice(struct fold *f, const struct sp_audit_message *notice)
{
    struct sp_audit_message *parent;
    bool delivered;
    uint16_t n;
    enum sp_rc rc;

    if (notice->kind != SP_ACCEPT_KIND_NOTICE || sp_id_is_zero(&notice->parent) ||
        notice->rcpt_count == 0 || !sp_rcpt_state_is_final(notice->rcpts[0].state))
        return SP_OK;
    rc = sp_audit_book_touch(f->b, &notice->parent, &parent, f->err);
    if (rc != SP_OK)
        return rc;
    delivered = notice->rcpts[0].state == SP_RCPT_DELIVERED;
    if (!sp_audit_message_notified(parent, &notice->id, delivered, &n))
        return SP_OK;
    if (delivered)
        rc = say_notified(f, notice, parent, n);
    if (rc == SP_OK && delivered)
        rc = sp_audit_contact_learn(f->b, parent, n, f->err);
    return rc == SP_OK ? settle(f, parent) : rc;
}

/* A message that goes to several has a package for each, and the notice tells of the one that was laid down with it. */
static enum sp_rc fold_child(struct fold *f, const struct sp_audit_message *parent,
                             const struct sp_accept *child)
{
    struct sp_audit_message *m;
    enum sp_rc rc = fold_accept(f, child);

    if (rc != SP_OK || child->kind != SP_ACCEPT_KIND_NOTICE)
        return rc;
    rc = sp_audit_book_touch(f->b, &child->id, &m, f->err);
    if (rc == SP_OK)
        m->package = sp_arena_copy(m->arena, parent->package);
    return rc;
}

static enum sp_rc fold_outcome(struct fold *f, const struct sp_outcome *outcome)
{
    const struct sp_accept *child = outcome->child;
    struct sp_audit_message *m;
    enum sp_rc rc = tell_list(f, &outcome->audit);

    if (rc == SP_OK)
        rc = sp_audit_book_touch(f->b, &outcome->id, &m, f->err);
    if (rc != SP_OK)
        return rc;
    for (size_t i = 0; i < outcome->result_count; i++) {
        const struct sp_result *result = &outcome->results[i];

        sp_audit_message_result(m, result, outcome->attempt, line_of(f, &m->id, result->n));
        if (result->state == SP_RCPT_DELIVERED)
            rc = sp_audit_contact_learn(f->b, m, result->n, f->err);
        if (rc != SP_OK)
            return rc;
        if (child != NULL && child->kind == SP_ACCEPT_KIND_NOTICE)
            sp_audit_message_await(m, result->n, &child->id);
    }
    rc = end_notice(f, m);
    if (rc == SP_OK)
        rc = settle(f, m);
    return rc == SP_OK && child != NULL ? fold_child(f, m, child) : rc;
}

static uint8_t state_after(uint8_t type)
{
    switch (type) {
    case SP_RECORD_HOLD:
        return SP_RCPT_HELD;
    case SP_RECORD_DELETE:
        return SP_RCPT_DELETED;
    default:
        return SP_RCPT_PENDING; /* released, or to be tried anew */
    }
}

static enum sp_rc fold_act(struct fold *f, const struct sp_act *act)
{
    uint8_t type = f->c.entry->type;
    struct sp_audit_message *m;
    enum sp_rc rc;

    if (type == SP_RECORD_ACT || type == SP_RECORD_DESTROYED)
        return tell_and_forget(f, &act->audit);
    rc = tell_list(f, &act->audit);
    if (rc != SP_OK || sp_id_is_zero(&act->id))
        return rc;
    rc = sp_audit_book_touch(f->b, &act->id, &m, f->err);
    if (rc != SP_OK)
        return rc;
    for (uint32_t i = 0; i < (act->n_count == 0 ? m->rcpt_count : act->n_count); i++) {
        uint16_t n = act->n_count == 0 ? (uint16_t)i : act->ns[i];
        struct sp_result result = {.n = n, .state = state_after(type), .rung = SP_AUDIT_NO_RUNG};

        sp_audit_message_result(m, &result, 0, line_of(f, &m->id, n));
    }
    rc = end_notice(f, m); /* one that is deleted or recalled comes to its end, too */
    return rc == SP_OK ? settle(f, m) : rc;
}

/* Moved by compaction: told long ago. Changed by hand: it tells so, and for whom something else holds now. */
static enum sp_rc fold_carry(struct fold *f, const struct sp_accept *accept)
{
    struct sp_audit_message *m;
    enum sp_rc rc = SP_OK;

    if (accept->audit.count == 0)
        return SP_OK;
    rc = tell_list(f, &accept->audit);
    if (rc == SP_OK)
        rc = sp_audit_book_touch(f->b, &accept->id, &m, f->err);
    if (rc != SP_OK)
        return rc;
    sp_audit_message_change(m, accept);
    sp_audit_contact_note(f->b, m, accept); /* an address may be another now */
    return SP_OK;
}

static enum sp_rc fold_known(struct fold *f)
{
    const struct sp_journal_entry *entry = f->c.entry;
    struct sp_accept accept;
    struct sp_outcome outcome;
    struct sp_carry carry;
    struct sp_act act;
    enum sp_rc rc;

    switch (entry->type) {
    case SP_RECORD_ACCEPT:
        rc = sp_accept_decode(entry->meta, f->arena, &accept);
        if (rc != SP_OK)
            return rc;
        f->c.time_ms = accept.time_ms;
        rc = fold_accept(f, &accept);
        return rc == SP_OK && accept.child != NULL ? fold_accept(f, accept.child) : rc;
    case SP_RECORD_OUTCOME:
        rc = sp_outcome_decode(entry->meta, f->arena, &outcome);
        if (rc != SP_OK)
            return rc;
        f->c.time_ms = outcome.time_ms;
        return fold_outcome(f, &outcome);
    case SP_RECORD_CARRY:
        rc = sp_carry_decode(entry->meta, f->arena, &carry);
        return rc == SP_OK ? fold_carry(f, &carry.accept) : rc;
    default:
        rc = sp_act_decode(entry->meta, f->arena, &act);
        if (rc != SP_OK)
            return rc;
        f->c.time_ms = act.time_ms;
        return fold_act(f, &act);
    }
}

static void note_cursor(struct sp_audit_book *b, const char *shard,
                        const struct sp_journal_cursor *after)
{
    struct sp_bytes key = sp_bytes_cstr(shard);
    struct sp_journal_cursor *c = sp_map_find(b->cursors, key);

    if (c == NULL) {
        c = sp_calloc(1, sizeof(*c));
        sp_map_put(b->cursors, key, c);
    }
    *c = *after;
}

enum sp_rc sp_audit_book_move(struct sp_audit_book *b, const char *shard,
                              const struct sp_journal_cursor *to, struct sp_err *err)
{
    enum sp_rc rc = sp_audit_book_begin(b, err);

    if (rc == SP_OK)
        note_cursor(b, shard, to);
    return rc;
}

enum sp_rc sp_audit_book_fold(struct sp_audit_book *b, const char *shard,
                              const struct sp_journal_entry *entry,
                              const struct sp_journal_cursor *after, struct sp_err *err)
{
    struct fold f = {.b = b, .err = err};
    enum sp_rc rc = sp_audit_book_begin(b, err);

    if (rc != SP_OK)
        return rc;
    f.c = (struct sp_audit_context){
        .shard = shard, .entry = entry, .time_ms = sp_clock_wall_ms(b->clock)};
    f.arena = sp_arena_new(ARENA_LEN);
    if (entry->damaged)
        rc = sp_audit_book_gap(b, &f.c, "journal-damaged", NULL, 0, err);
    else
        rc = fold_known(&f);
    if (rc == SP_E_MALFORMED || rc == SP_E_LIMIT) /* it would be no better next time */
        rc = sp_audit_book_gap(b, &f.c, "record-malformed", NULL, 0, err);
    if (rc == SP_OK)
        note_cursor(b, shard, after);
    clear_told(&f);
    sp_arena_free(f.arena);
    b->broken = b->broken || rc != SP_OK; /* half of it may be in the books */
    return rc;
}

enum sp_rc sp_audit_book_cursor(struct sp_audit_book *b, const char *shard,
                                struct sp_journal_cursor *out, struct sp_err *err)
{
    struct sp_store_query *q =
        sp_store_query(b->store, "SELECT segment, offset FROM cursor WHERE shard = ?1");
    enum sp_rc rc;
    bool row;

    *out = (struct sp_journal_cursor){0};
    sp_store_bind_text(q, 1, sp_bytes_cstr(shard));
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && row) {
        out->segment = (uint64_t)sp_store_int(q, 0);
        out->offset = (uint64_t)sp_store_int(q, 1);
    }
    sp_store_done(q);
    return rc;
}
