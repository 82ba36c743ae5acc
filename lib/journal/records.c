/*
 * OUTCOME, the acts, and what all record types share. Every count is checked against its limit and against the bytes
 * that are left before anything is allocated, so that a small record can't ask for much memory.
 */
#include "journal/records_priv.h"

enum { RESULT_LEN = 2 + 1 + 1 + 2 + 2 + 8, TEXT_LEAST = 4, ACCEPT_LEAST = 128 };

static const struct {
    const char *name;
    bool final;
} states[SP_RCPT_STATE_COUNT] = {
    [SP_RCPT_PENDING] = {"pending", false},    [SP_RCPT_DEFERRED] = {"deferred", false},
    [SP_RCPT_HELD] = {"held", false},          [SP_RCPT_DELIVERED] = {"delivered", true},
    [SP_RCPT_DEPOSITED] = {"deposited", true}, [SP_RCPT_FAILED] = {"failed", true},
    [SP_RCPT_RETURNED] = {"returned", true},   [SP_RCPT_DISCARDED] = {"discarded", true},
    [SP_RCPT_DELETED] = {"deleted", true},
};

bool sp_rcpt_state_is_final(uint8_t state)
{
    return state < SP_RCPT_STATE_COUNT && states[state].final;
}

const char *sp_rcpt_state_name(uint8_t state)
{
    return state < SP_RCPT_STATE_COUNT ? states[state].name : "unknown";
}

const char *sp_accept_kind_name(uint8_t kind)
{
    static const char *const names[SP_ACCEPT_KIND_COUNT] = {
        [SP_ACCEPT_KIND_MAIL] = "mail",     [SP_ACCEPT_KIND_NOTICE] = "notice",
        [SP_ACCEPT_KIND_DSN] = "dsn",       [SP_ACCEPT_KIND_CODE] = "code",
        [SP_ACCEPT_KIND_REPORT] = "report",
    };

    return kind < SP_ACCEPT_KIND_COUNT ? names[kind] : "unknown";
}

void sp_record_put_text(struct sp_buf *out, struct sp_bytes text)
{
    if (text.len > SP_RECORD_TEXT_MAX)
        out->failed = true;
    else
        sp_buf_put_var(out, text);
}

struct sp_bytes sp_record_get_text(struct sp_reader *r)
{
    return sp_reader_var(r, SP_RECORD_TEXT_MAX);
}

size_t sp_record_get_count(struct sp_reader *r, size_t max, size_t least)
{
    size_t count = sp_reader_u16(r);

    if (count > max || count * least > sp_reader_left(r)) {
        sp_reader_fail(r);
        return 0;
    }
    return count;
}

void sp_record_put_audit(struct sp_buf *out, const struct sp_audit_list *list)
{
    if (list->count > SP_RECORD_AUDIT_MAX) {
        out->failed = true;
        return;
    }
    sp_buf_put_u16(out, (uint16_t)list->count);
    for (size_t i = 0; i < list->count; i++)
        sp_record_put_text(out, list->events[i]);
}

void sp_record_get_audit(struct sp_reader *r, struct sp_arena *arena, struct sp_audit_list *list)
{
    list->count = sp_record_get_count(r, SP_RECORD_AUDIT_MAX, TEXT_LEAST);
    list->events = sp_arena_alloc(arena, list->count * sizeof(*list->events));
    for (size_t i = 0; i < list->count; i++)
        list->events[i] = sp_record_get_text(r);
}

void sp_record_put_child(struct sp_buf *out, const struct sp_accept *child)
{
    sp_buf_put_u8(out, child != NULL ? 1 : 0);
    if (child != NULL)
        sp_record_put_accept(out, child, false);
}

const struct sp_accept *sp_record_get_child(struct sp_reader *r, struct sp_arena *arena)
{
    struct sp_accept *child;

    switch (sp_reader_u8(r)) {
    case 0:
        return NULL;
    case 1:
        break;
    default:
        sp_reader_fail(r);
        return NULL;
    }
    if (sp_reader_left(r) < ACCEPT_LEAST) {
        sp_reader_fail(r);
        return NULL;
    }
    child = sp_arena_alloc(arena, sizeof(*child));
    sp_record_get_accept(r, arena, child, false);
    return child;
}

enum sp_rc sp_outcome_encode(const struct sp_outcome *o, struct sp_buf *out)
{
    if (o->result_count > SP_RECORD_RECIPIENTS_MAX)
        return SP_E_LIMIT;
    sp_buf_put_u8(out, SP_RECORD_LAYOUT);
    sp_buf_put(out, sp_bytes(o->id.b, SP_ID_LEN));
    sp_buf_put_u64(out, (uint64_t)o->time_ms);
    sp_buf_put_u32(out, o->attempt);
    sp_buf_put_u16(out, (uint16_t)o->result_count);
    for (size_t i = 0; i < o->result_count; i++) {
        const struct sp_result *res = &o->results[i];

        sp_buf_put_u16(out, res->n);
        sp_buf_put_u8(out, res->state);
        sp_buf_put_u8(out, res->rung);
        sp_buf_put_u16(out, (uint16_t)(res->smtp | (res->told ? SP_RECORD_TOLD : 0U)));
        sp_buf_put_u16(out, res->why);
        sp_buf_put_u64(out, (uint64_t)res->next_at_ms);
    }
    sp_record_put_audit(out, &o->audit);
    sp_record_put_child(out, o->child);
    return sp_buf_rc(out);
}

enum sp_rc sp_outcome_decode(struct sp_bytes in, struct sp_arena *arena, struct sp_outcome *out)
{
    struct sp_reader r = sp_reader(in);

    if (sp_reader_u8(&r) != SP_RECORD_LAYOUT)
        sp_reader_fail(&r);
    sp_reader_copy(&r, out->id.b, SP_ID_LEN);
    out->time_ms = (int64_t)sp_reader_u64(&r);
    out->attempt = sp_reader_u32(&r);
    out->result_count = sp_record_get_count(&r, SP_RECORD_RECIPIENTS_MAX, RESULT_LEN);
    out->results = sp_arena_alloc(arena, out->result_count * sizeof(*out->results));
    for (size_t i = 0; i < out->result_count; i++) {
        struct sp_result *res = &out->results[i];

        res->n = sp_reader_u16(&r);
        res->state = sp_reader_u8(&r);
        res->rung = sp_reader_u8(&r);
        res->smtp = sp_reader_u16(&r);
        res->told = (res->smtp & SP_RECORD_TOLD) != 0;
        res->smtp &= SP_RECORD_SMTP;
        res->why = sp_reader_u16(&r);
        res->next_at_ms = (int64_t)sp_reader_u64(&r);
        if (res->state >= SP_RCPT_STATE_COUNT)
            sp_reader_fail(&r);
    }
    sp_record_get_audit(&r, arena, &out->audit);
    out->child = sp_record_get_child(&r, arena);
    return sp_reader_end(&r);
}

enum sp_rc sp_act_encode(const struct sp_act *a, struct sp_buf *out)
{
    if (a->n_count > SP_RECORD_RECIPIENTS_MAX)
        return SP_E_LIMIT;
    sp_buf_put_u8(out, SP_RECORD_LAYOUT);
    sp_buf_put(out, sp_bytes(a->id.b, SP_ID_LEN));
    sp_buf_put_u64(out, (uint64_t)a->time_ms);
    sp_buf_put_u64(out, (uint64_t)a->next_at_ms);
    sp_buf_put_u16(out, (uint16_t)a->n_count);
    for (size_t i = 0; i < a->n_count; i++)
        sp_buf_put_u16(out, a->ns[i]);
    sp_record_put_text(out, a->reason);
    sp_record_put_audit(out, &a->audit);
    return sp_buf_rc(out);
}

enum sp_rc sp_act_decode(struct sp_bytes in, struct sp_arena *arena, struct sp_act *out)
{
    struct sp_reader r = sp_reader(in);

    if (sp_reader_u8(&r) != SP_RECORD_LAYOUT)
        sp_reader_fail(&r);
    sp_reader_copy(&r, out->id.b, SP_ID_LEN);
    out->time_ms = (int64_t)sp_reader_u64(&r);
    out->next_at_ms = (int64_t)sp_reader_u64(&r);
    out->n_count = sp_record_get_count(&r, SP_RECORD_RECIPIENTS_MAX, 2);
    out->ns = sp_arena_alloc(arena, out->n_count * sizeof(*out->ns));
    for (size_t i = 0; i < out->n_count; i++)
        out->ns[i] = sp_reader_u16(&r);
    out->reason = sp_record_get_text(&r);
    sp_record_get_audit(&r, arena, &out->audit);
    return sp_reader_end(&r);
}

/* The audit events of an accept and its child, in that order. */
static void join_audit(struct sp_arena *arena, const struct sp_audit_list *first,
                       const struct sp_accept *child, struct sp_audit_list *out)
{
    *out = *first;
    if (child == NULL || child->audit.count == 0)
        return;
    out->count = first->count + child->audit.count;
    out->events = sp_arena_alloc(arena, out->count * sizeof(*out->events));
    for (size_t i = 0; i < out->count; i++)
        out->events[i] =
            i < first->count ? first->events[i] : child->audit.events[i - first->count];
}

enum sp_rc sp_record_audit(uint8_t type, struct sp_bytes in, struct sp_arena *arena,
                           int64_t *time_ms, struct sp_audit_list *out)
{
    struct sp_accept accept;
    struct sp_outcome outcome;
    struct sp_carry carry;
    struct sp_act act;
    enum sp_rc rc = SP_E_MALFORMED;

    switch (type) {
    case SP_RECORD_ACCEPT:
        rc = sp_accept_decode(in, arena, &accept);
        if (rc == SP_OK) {
            *time_ms = accept.time_ms;
            join_audit(arena, &accept.audit, accept.child, out);
        }
        return rc;
    case SP_RECORD_OUTCOME:
        rc = sp_outcome_decode(in, arena, &outcome);
        if (rc == SP_OK) {
            *time_ms = outcome.time_ms;
            join_audit(arena, &outcome.audit, outcome.child, out);
        }
        return rc;
    case SP_RECORD_CARRY: /* what was told before is not in it */
        rc = sp_carry_decode(in, arena, &carry);
        if (rc == SP_OK) {
            *time_ms = carry.accept.time_ms;
            *out = carry.accept.audit;
        }
        return rc;
    default:
        if (type == 0 || type >= SP_RECORD_TYPE_COUNT)
            return SP_E_MALFORMED;
        rc = sp_act_decode(in, arena, &act);
        if (rc == SP_OK) {
            *time_ms = act.time_ms;
            *out = act.audit;
        }
        return rc;
    }
}
