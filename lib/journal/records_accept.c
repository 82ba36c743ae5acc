/*
 * ACCEPT and CARRY. Recipients point into a table of decisions, because policy decides for groups and a thousand
 * recipients should not repeat one ladder a thousand times. The layout is positional: a byte in front names it, and a
 * later layout is another number, read by another function, never guessed.
 */
#include "journal/records_priv.h"

enum {
    RUNG_LEN = 1 + 8 + 8,
    DECISION_LEAST = 3 + 4 + 2 + 8 + 8 + 4 + 4,
    RECIPIENT_LEAST = 4 + 4 + 1 + 2,
    STATE_LEN = 1 + 1 + 2 + 2 + 2 + 8,
};

static void put_decision(struct sp_buf *out, const struct sp_accept_decision *d)
{
    sp_buf_put_u8(out, d->does);
    sp_buf_put_u8(out, d->floor);
    sp_buf_put_u8(out, d->at_end);
    sp_record_put_text(out, d->rule);
    if (d->rung_count > SP_RECORD_RUNGS_MAX) {
        out->failed = true;
        return;
    }
    sp_buf_put_u16(out, (uint16_t)d->rung_count);
    for (size_t i = 0; i < d->rung_count; i++) {
        sp_buf_put_u8(out, d->rungs[i].rung);
        sp_buf_put_u64(out, (uint64_t)d->rungs[i].unreachable_ms);
        sp_buf_put_u64(out, (uint64_t)d->rungs[i].dropped_ms);
    }
    sp_buf_put_u64(out, (uint64_t)d->expire_at_ms);
    sp_buf_put_u64(out, (uint64_t)d->hold_until_ms);
    sp_record_put_text(out, d->text);
    sp_record_put_text(out, d->options);
}

static void get_decision(struct sp_reader *r, struct sp_arena *arena, struct sp_accept_decision *d)
{
    d->does = sp_reader_u8(r);
    d->floor = sp_reader_u8(r);
    d->at_end = sp_reader_u8(r);
    d->rule = sp_record_get_text(r);
    d->rung_count = sp_record_get_count(r, SP_RECORD_RUNGS_MAX, RUNG_LEN);
    d->rungs = sp_arena_alloc(arena, d->rung_count * sizeof(*d->rungs));
    for (size_t i = 0; i < d->rung_count; i++) {
        d->rungs[i].rung = sp_reader_u8(r);
        d->rungs[i].unreachable_ms = (int64_t)sp_reader_u64(r);
        d->rungs[i].dropped_ms = (int64_t)sp_reader_u64(r);
    }
    d->expire_at_ms = (int64_t)sp_reader_u64(r);
    d->hold_until_ms = (int64_t)sp_reader_u64(r);
    d->text = sp_record_get_text(r);
    d->options = sp_record_get_text(r);
    if (d->does >= SP_ACCEPT_DO_COUNT || d->at_end > 1)
        sp_reader_fail(r);
}

static void put_recipients(struct sp_buf *out, const struct sp_accept *a)
{
    if (a->decision_count > SP_RECORD_RECIPIENTS_MAX ||
        a->recipient_count > SP_RECORD_RECIPIENTS_MAX) {
        out->failed = true;
        return;
    }
    sp_buf_put_u16(out, (uint16_t)a->decision_count);
    for (size_t i = 0; i < a->decision_count; i++)
        put_decision(out, &a->decisions[i]);
    sp_buf_put_u16(out, (uint16_t)a->recipient_count);
    for (size_t i = 0; i < a->recipient_count; i++) {
        const struct sp_accept_recipient *to = &a->recipients[i];

        sp_assert(to->decision < a->decision_count);
        sp_record_put_text(out, to->address);
        sp_record_put_text(out, to->orcpt);
        sp_buf_put_u8(out, to->notify);
        sp_buf_put_u16(out, to->decision);
    }
}

static void get_recipients(struct sp_reader *r, struct sp_arena *arena, struct sp_accept *a)
{
    a->decision_count = sp_record_get_count(r, SP_RECORD_RECIPIENTS_MAX, DECISION_LEAST);
    a->decisions = sp_arena_alloc(arena, a->decision_count * sizeof(*a->decisions));
    for (size_t i = 0; i < a->decision_count; i++)
        get_decision(r, arena, &a->decisions[i]);
    a->recipient_count = sp_record_get_count(r, SP_RECORD_RECIPIENTS_MAX, RECIPIENT_LEAST);
    a->recipients = sp_arena_alloc(arena, a->recipient_count * sizeof(*a->recipients));
    for (size_t i = 0; i < a->recipient_count; i++) {
        struct sp_accept_recipient *to = &a->recipients[i];

        to->address = sp_record_get_text(r);
        to->orcpt = sp_record_get_text(r);
        to->notify = sp_reader_u8(r);
        to->decision = sp_reader_u16(r);
        if (to->decision >= a->decision_count)
            sp_reader_fail(r);
    }
}

void sp_record_put_accept(struct sp_buf *out, const struct sp_accept *a, bool with_child)
{
    sp_buf_put(out, sp_bytes(a->id.b, SP_ID_LEN));
    sp_buf_put(out, sp_bytes(a->parent.b, SP_ID_LEN));
    sp_buf_put_u64(out, (uint64_t)a->time_ms);
    sp_buf_put_u8(out, a->kind);
    sp_buf_put_u8(out, a->ret);
    sp_buf_put_u32(out, a->needs);
    sp_record_put_text(out, a->tenant);
    sp_record_put_text(out, a->sender);
    sp_record_put_text(out, a->envid);
    sp_record_put_text(out, a->message_id);
    sp_record_put_text(out, a->network_message_id);
    sp_record_put_text(out, a->policy);
    sp_record_put_text(out, a->phi);
    sp_record_put_text(out, a->trace);
    sp_record_put_text(out, a->facts);
    sp_buf_put_u64(out, a->body_len);
    sp_buf_put(out, sp_bytes(a->sha256, sizeof(a->sha256)));
    sp_buf_put_u8(out, a->body_in_file ? 1 : 0);
    put_recipients(out, a);
    sp_record_put_audit(out, &a->audit);
    if (with_child)
        sp_record_put_child(out, a->child);
    else
        sp_assert(a->child == NULL);
}

void sp_record_get_accept(struct sp_reader *r, struct sp_arena *arena, struct sp_accept *a,
                          bool with_child)
{
    sp_reader_copy(r, a->id.b, SP_ID_LEN);
    sp_reader_copy(r, a->parent.b, SP_ID_LEN);
    a->time_ms = (int64_t)sp_reader_u64(r);
    a->kind = sp_reader_u8(r);
    a->ret = sp_reader_u8(r);
    a->needs = sp_reader_u32(r);
    a->tenant = sp_record_get_text(r);
    a->sender = sp_record_get_text(r);
    a->envid = sp_record_get_text(r);
    a->message_id = sp_record_get_text(r);
    a->network_message_id = sp_record_get_text(r);
    a->policy = sp_record_get_text(r);
    a->phi = sp_record_get_text(r);
    a->trace = sp_record_get_text(r);
    a->facts = sp_record_get_text(r);
    a->body_len = sp_reader_u64(r);
    sp_reader_copy(r, a->sha256, sizeof(a->sha256));
    a->body_in_file = sp_reader_u8(r) == 1;
    get_recipients(r, arena, a);
    sp_record_get_audit(r, arena, &a->audit);
    a->child = with_child ? sp_record_get_child(r, arena) : NULL;
    if (a->kind >= SP_ACCEPT_KIND_COUNT || a->ret >= SP_ACCEPT_RET_COUNT ||
        a->body_len > INT64_MAX / 4)
        sp_reader_fail(r);
}

enum sp_rc sp_accept_encode(const struct sp_accept *a, struct sp_buf *out)
{
    sp_buf_put_u8(out, SP_RECORD_LAYOUT);
    sp_record_put_accept(out, a, true);
    return sp_buf_rc(out);
}

enum sp_rc sp_accept_decode(struct sp_bytes in, struct sp_arena *arena, struct sp_accept *out)
{
    struct sp_reader r = sp_reader(in);

    if (sp_reader_u8(&r) != SP_RECORD_LAYOUT)
        sp_reader_fail(&r);
    sp_record_get_accept(&r, arena, out, true);
    return sp_reader_end(&r);
}

enum sp_rc sp_carry_encode(const struct sp_carry *c, struct sp_buf *out)
{
    sp_buf_put_u8(out, SP_RECORD_LAYOUT);
    sp_record_put_accept(out, &c->accept, false);
    for (size_t i = 0; i < c->accept.recipient_count; i++) {
        const struct sp_rcpt *s = &c->states[i];

        sp_buf_put_u8(out, s->state);
        sp_buf_put_u8(out, s->rung);
        sp_buf_put_u16(out, (uint16_t)(s->smtp | (s->told ? SP_RECORD_TOLD : 0U) |
                                       (s->by_hand ? SP_RECORD_BY_HAND : 0U)));
        sp_buf_put_u16(out, s->why);
        sp_buf_put_u16(out, s->attempts);
        sp_buf_put_u64(out, (uint64_t)s->next_at_ms);
    }
    return sp_buf_rc(out);
}

enum sp_rc sp_carry_decode(struct sp_bytes in, struct sp_arena *arena, struct sp_carry *out)
{
    struct sp_reader r = sp_reader(in);

    if (sp_reader_u8(&r) != SP_RECORD_LAYOUT)
        sp_reader_fail(&r);
    sp_record_get_accept(&r, arena, &out->accept, false);
    if (out->accept.recipient_count * STATE_LEN != sp_reader_left(&r))
        sp_reader_fail(&r);
    if (sp_reader_rc(&r) != SP_OK)
        return SP_E_MALFORMED;
    out->states = sp_arena_alloc(arena, out->accept.recipient_count * sizeof(*out->states));
    for (size_t i = 0; i < out->accept.recipient_count; i++) {
        struct sp_rcpt *s = &out->states[i];
        uint16_t smtp;

        s->state = sp_reader_u8(&r);
        s->rung = sp_reader_u8(&r);
        smtp = sp_reader_u16(&r);
        s->smtp = smtp & SP_RECORD_SMTP;
        s->told = (smtp & SP_RECORD_TOLD) != 0;
        s->by_hand = (smtp & SP_RECORD_BY_HAND) != 0;
        s->why = sp_reader_u16(&r);
        s->attempts = sp_reader_u16(&r);
        s->next_at_ms = (int64_t)sp_reader_u64(&r);
        if (s->state >= SP_RCPT_STATE_COUNT)
            sp_reader_fail(&r);
    }
    return sp_reader_end(&r);
}
