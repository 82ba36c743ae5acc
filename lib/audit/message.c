/*
 * The states come from the journal's records and are not judged here a second time: what the queue calls final is final.
 * Two things are added. A deposit in the portal counts only when its notice has got somewhere, as the sender believes the
 * recipient to be told. And a floor counts as met by what was sent, so for a recipient to whom nothing was sent it is met.
 */
#include "audit/message.h"

#include "base/reader.h"
#include "base/text.h"

#define FORM      2 /* 1: without contacts */
#define FORM_OLD  1
#define ARENA_LEN 1024
#define TEXT_MAX  SP_RECORD_TEXT_MAX

struct sp_audit_message *sp_audit_message_new(const struct sp_id *id)
{
    struct sp_arena *arena = sp_arena_new(ARENA_LEN);
    struct sp_audit_message *m = sp_arena_alloc(arena, sizeof(*m));

    m->arena = arena;
    m->id = *id;
    return m;
}

void sp_audit_message_free(struct sp_audit_message *m)
{
    if (m != NULL)
        sp_arena_free(m->arena);
}

static void take_recipients(struct sp_audit_message *m, const struct sp_accept *accept,
                            uint64_t seq)
{
    m->rcpt_count = (uint32_t)accept->recipient_count;
    m->rcpts = sp_arena_alloc(m->arena, accept->recipient_count * sizeof(*m->rcpts));
    for (size_t i = 0; i < accept->recipient_count; i++) {
        const struct sp_accept_decision *d = &accept->decisions[accept->recipients[i].decision];
        struct sp_audit_rcpt *r = &m->rcpts[i];

        r->rule = accept->recipients[i].decision;
        r->floor = d->floor;
        r->rung = SP_AUDIT_NO_RUNG;
        r->seq = seq;
        r->refused = d->does == SP_ACCEPT_DO_REJECT && accept->child == NULL;
        r->state = SP_RCPT_PENDING;
        if (d->does == SP_ACCEPT_DO_HOLD)
            r->state = SP_RCPT_HELD;
        else if (d->does == SP_ACCEPT_DO_REJECT)
            r->state = SP_RCPT_RETURNED;
        else if (d->does == SP_ACCEPT_DO_DISCARD)
            r->state = SP_RCPT_DISCARDED;
    }
}

void sp_audit_message_accept(struct sp_audit_message *m, const struct sp_accept *accept,
                             uint64_t accepted_seq)
{
    m->known = true;
    m->parent = accept->parent;
    m->kind = accept->kind;
    m->accepted_seq = accepted_seq;
    m->tenant = sp_arena_copy(m->arena, accept->tenant);
    m->policy = sp_arena_copy(m->arena, accept->policy);
    m->message_id = sp_arena_copy(m->arena, accept->message_id);
    m->network_message_id = sp_arena_copy(m->arena, accept->network_message_id);
    m->phi = sp_arena_copy(m->arena, accept->phi);
    m->rule_count = (uint32_t)accept->decision_count;
    m->rules = sp_arena_alloc(m->arena, accept->decision_count * sizeof(*m->rules));
    for (size_t i = 0; i < accept->decision_count; i++)
        m->rules[i] = sp_arena_copy(m->arena, accept->decisions[i].rule);
    take_recipients(m, accept, accepted_seq);
}

void sp_audit_message_change(struct sp_audit_message *m, const struct sp_accept *accept)
{
    uint32_t cap = m->rule_count + (uint32_t)accept->decision_count;
    struct sp_bytes *rules = sp_arena_alloc(m->arena, cap * sizeof(*rules));

    if (m->rule_count > 0)
        memcpy(rules, m->rules, m->rule_count * sizeof(*rules));
    m->rules = rules;
    for (size_t i = 0; i < accept->decision_count; i++)
        m->rules[m->rule_count + i] = sp_arena_copy(m->arena, accept->decisions[i].rule);
    for (size_t i = 0; i < m->rcpt_count && i < accept->recipient_count; i++) {
        struct sp_audit_rcpt *r = &m->rcpts[i];
        uint16_t decision = accept->recipients[i].decision;

        if (sp_rcpt_state_is_final(r->state))
            continue;
        r->floor = accept->decisions[decision].floor;
        r->rule = m->rule_count + decision;
    }
    m->rule_count = cap;
}

void sp_audit_message_add_place(struct sp_audit_message *m, const struct sp_audit_place *place)
{
    if (m->place_count == m->place_cap) {
        uint32_t cap = m->place_cap == 0 ? 8 : m->place_cap * 2;
        struct sp_audit_place *places = sp_arena_alloc(m->arena, cap * sizeof(*places));

        if (m->place_count > 0)
            memcpy(places, m->places, m->place_count * sizeof(*places));
        m->places = places;
        m->place_cap = cap;
    }
    m->places[m->place_count++] = *place;
}

void sp_audit_message_result(struct sp_audit_message *m, const struct sp_result *result,
                             uint32_t attempt, uint64_t seq)
{
    struct sp_audit_rcpt *r;

    if (result->n >= m->rcpt_count || result->state >= SP_RCPT_STATE_COUNT)
        return;
    r = &m->rcpts[result->n];
    if (sp_rcpt_state_is_final(r->state))
        return;
    r->state = result->state;
    if (result->rung < SP_RUNG_COUNT)
        r->rung = result->rung;
    if (attempt > r->attempts)
        r->attempts = attempt;
    if (seq != 0)
        r->seq = seq;
}

void sp_audit_message_await(struct sp_audit_message *m, uint16_t n, const struct sp_id *notice)
{
    if (n >= m->rcpt_count || m->rcpts[n].state != SP_RCPT_DEPOSITED)
        return;
    m->rcpts[n].notice = *notice;
    m->rcpts[n].awaits_notice = true;
}

bool sp_audit_message_notified(struct sp_audit_message *m, const struct sp_id *notice,
                               bool delivered, uint16_t *n)
{
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        struct sp_audit_rcpt *r = &m->rcpts[i];

        if (!r->awaits_notice || !sp_id_eq(&r->notice, notice))
            continue;
        r->awaits_notice = false;
        r->notified = delivered;
        *n = (uint16_t)i;
        return true;
    }
    return false;
}

bool sp_audit_message_is_due(const struct sp_audit_message *m)
{
    if (!m->known || m->accepted_seq == 0 || m->settled_seq != 0 || m->rcpt_count == 0)
        return false;
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        if (!sp_rcpt_state_is_final(m->rcpts[i].state) || m->rcpts[i].awaits_notice)
            return false;
    }
    return true;
}

const char *sp_audit_rcpt_final(const struct sp_audit_rcpt *r)
{
    if (r->refused)
        return "refused";
    if (r->state == SP_RCPT_DEPOSITED)
        return r->notified ? "deposited-and-notified" : "deposited";
    return sp_rcpt_state_name(r->state);
}

static bool was_sent(const struct sp_audit_rcpt *r)
{
    return (r->state == SP_RCPT_DELIVERED || r->state == SP_RCPT_DEPOSITED) &&
           r->rung < SP_RUNG_COUNT;
}

static void put_recipient(const struct sp_audit_message *m, uint32_t n, struct sp_jw *w)
{
    const struct sp_audit_rcpt *r = &m->rcpts[n];
    bool sent = was_sent(r);
    bool met = !sent || (r->floor < SP_FLOOR_COUNT &&
                         sp_rung_meets((enum sp_rung)r->rung, (enum sp_floor)r->floor, m->sealed));

    sp_jw_object(w, NULL);
    sp_jw_int(w, "n", n);
    sp_jw_cstr(w, "final", sp_audit_rcpt_final(r));
    sp_jw_cstr(w, "rung", sent ? sp_rung_name((enum sp_rung)r->rung) : NULL);
    sp_jw_cstr(w, "floor",
               r->floor < SP_FLOOR_COUNT ? sp_floor_name((enum sp_floor)r->floor) : NULL);
    sp_jw_bool(w, "floor_met", met);
    sp_jw_text(w, "rule", r->rule < m->rule_count ? m->rules[r->rule] : sp_bytes(NULL, 0));
    sp_jw_int(w, "seq", (int64_t)r->seq);
    sp_jw_int(w, "attempts", r->attempts);
    sp_jw_end(w);
}

static bool left_in_portal(const struct sp_audit_message *m)
{
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        if (m->rcpts[i].state == SP_RCPT_DEPOSITED)
            return true;
    }
    return false;
}

void sp_audit_message_settled(const struct sp_audit_message *m, struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "message.settled");
    sp_jw_text(&w, "tenant", m->tenant);
    sp_jw_id(&w, "message", m->id.b);
    sp_jw_cstr(&w, "kind", sp_accept_kind_name(m->kind));
    sp_jw_int(&w, "accepted_seq", (int64_t)m->accepted_seq);
    sp_jw_text(&w, "policy", m->policy);
    sp_jw_object(&w, "origin");
    sp_jw_text(&w, "message_id", m->message_id);
    if (m->network_message_id.len > 0)
        sp_jw_text(&w, "network_message_id", m->network_message_id);
    sp_jw_end(&w);
    sp_jw_array(&w, "recipients");
    for (uint32_t i = 0; i < m->rcpt_count; i++)
        put_recipient(m, i, &w);
    sp_jw_end(&w);
    sp_jw_text(&w, "phi", m->phi);
    sp_jw_array(&w, "copies_left");
    if (left_in_portal(m))
        sp_jw_cstr(&w, NULL, "portal");
    sp_jw_end(&w);
    sp_jw_bool(&w, "duplicates_possible", m->duplicates_possible);
    sp_jw_end(&w);
}

static void encode_rcpt(const struct sp_audit_rcpt *r, struct sp_buf *out)
{
    sp_buf_put_u8(out, r->state);
    sp_buf_put_u8(out, r->rung);
    sp_buf_put_u8(out, r->floor);
    sp_buf_put_u8(out, (uint8_t)(r->refused | r->awaits_notice << 1 | r->notified << 2));
    sp_buf_put_u32(out, r->rule);
    sp_buf_put_u32(out, r->attempts);
    sp_buf_put_u64(out, r->seq);
    sp_buf_put(out, sp_bytes(r->notice.b, SP_ID_LEN));
    sp_buf_put_u64(out, r->contact);
}

void sp_audit_message_encode(const struct sp_audit_message *m, struct sp_buf *out)
{
    sp_buf_put_u8(out, FORM);
    sp_buf_put(out, sp_bytes(m->id.b, SP_ID_LEN));
    sp_buf_put(out, sp_bytes(m->parent.b, SP_ID_LEN));
    sp_buf_put_u8(out, m->kind);
    sp_buf_put_u8(out, (uint8_t)(m->sealed | m->duplicates_possible << 1 | m->known << 2));
    sp_buf_put_u64(out, m->accepted_seq);
    sp_buf_put_u64(out, m->settled_seq);
    sp_buf_put_var(out, m->tenant);
    sp_buf_put_var(out, m->policy);
    sp_buf_put_var(out, m->message_id);
    sp_buf_put_var(out, m->network_message_id);
    sp_buf_put_var(out, m->phi);
    sp_buf_put_var(out, m->package);
    sp_buf_put_u32(out, m->rule_count);
    for (uint32_t i = 0; i < m->rule_count; i++)
        sp_buf_put_var(out, m->rules[i]);
    sp_buf_put_u32(out, m->rcpt_count);
    for (uint32_t i = 0; i < m->rcpt_count; i++)
        encode_rcpt(&m->rcpts[i], out);
    sp_buf_put_u32(out, m->place_count);
    for (uint32_t i = 0; i < m->place_count; i++) {
        sp_buf_put_u64(out, m->places[i].seq);
        sp_buf_put_u64(out, m->places[i].offset);
        sp_buf_put_u32(out, m->places[i].len);
    }
}

static struct sp_bytes decode_text(struct sp_audit_message *m, struct sp_reader *r)
{
    return sp_arena_copy(m->arena, sp_reader_var(r, TEXT_MAX));
}

/* A count of things that take at least so many bytes each; 0 and failed if they can't be there. */
static uint32_t decode_count(struct sp_reader *r, size_t least)
{
    uint32_t count = sp_reader_u32(r);

    if (count <= sp_reader_left(r) / least)
        return count;
    sp_reader_fail(r);
    return 0;
}

static void decode_rcpt(struct sp_reader *in, uint8_t form, struct sp_audit_rcpt *r)
{
    uint8_t flags;

    r->state = sp_reader_u8(in);
    r->rung = sp_reader_u8(in);
    r->floor = sp_reader_u8(in);
    flags = sp_reader_u8(in);
    r->refused = (flags & 1) != 0;
    r->awaits_notice = (flags & 2) != 0;
    r->notified = (flags & 4) != 0;
    r->rule = sp_reader_u32(in);
    r->attempts = sp_reader_u32(in);
    r->seq = sp_reader_u64(in);
    sp_reader_copy(in, r->notice.b, SP_ID_LEN);
    r->contact = form == FORM_OLD ? 0 : sp_reader_u64(in);
    if (r->state >= SP_RCPT_STATE_COUNT)
        sp_reader_fail(in);
}

static void decode_places(struct sp_audit_message *m, struct sp_reader *r)
{
    uint32_t count = decode_count(r, 20);

    for (uint32_t i = 0; i < count; i++) {
        struct sp_audit_place place;

        place.seq = sp_reader_u64(r);
        place.offset = sp_reader_u64(r);
        place.len = sp_reader_u32(r);
        sp_audit_message_add_place(m, &place);
    }
}

static void decode_lists(struct sp_audit_message *m, uint8_t form, struct sp_reader *r)
{
    m->rule_count = decode_count(r, 4);
    m->rules = sp_arena_alloc(m->arena, m->rule_count * sizeof(*m->rules));
    for (uint32_t i = 0; i < m->rule_count; i++)
        m->rules[i] = decode_text(m, r);
    m->rcpt_count = decode_count(r, 20 + SP_ID_LEN);
    m->rcpts = sp_arena_alloc(m->arena, m->rcpt_count * sizeof(*m->rcpts));
    for (uint32_t i = 0; i < m->rcpt_count; i++)
        decode_rcpt(r, form, &m->rcpts[i]);
    decode_places(m, r);
}

enum sp_rc sp_audit_message_decode(struct sp_bytes data, struct sp_audit_message **out)
{
    struct sp_reader r = sp_reader(data);
    uint8_t form = sp_reader_u8(&r);
    struct sp_id id = {0};
    uint8_t flags;

    sp_reader_copy(&r, id.b, SP_ID_LEN);
    SP_AUTO(sp_audit_message) m = sp_audit_message_new(&id);
    sp_reader_copy(&r, m->parent.b, SP_ID_LEN);
    m->kind = sp_reader_u8(&r);
    flags = sp_reader_u8(&r);
    m->sealed = (flags & 1) != 0;
    m->duplicates_possible = (flags & 2) != 0;
    m->known = (flags & 4) != 0;
    m->accepted_seq = sp_reader_u64(&r);
    m->settled_seq = sp_reader_u64(&r);
    m->tenant = decode_text(m, &r);
    m->policy = decode_text(m, &r);
    m->message_id = decode_text(m, &r);
    m->network_message_id = decode_text(m, &r);
    m->phi = decode_text(m, &r);
    m->package = decode_text(m, &r);
    decode_lists(m, form, &r);
    if ((form != FORM && form != FORM_OLD) || m->kind >= SP_ACCEPT_KIND_COUNT ||
        sp_reader_end(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = SP_STEAL(m);
    return SP_OK;
}
