/*
 * The record: message, recipients, decisions, evidence and, for refused recipients, the DSN, all in one, so that the 250
 * promises all of it. Recipients with the same decision share one entry.
 */
#include "intake/evidence_priv.h"
#include "intake/intake_priv.h"

#include "mail/idn.h"

#include "policy/options.h"

#define AUDIT_MAX  SP_RECORD_TEXT_MAX
#define EVENTS_MAX 6 /* accepted, redirected, held, returned, settled, the DSN's own */

/* Text that may be left out. returns: it, copied; empty if it passed its limit */
static struct sp_bytes take_optional(struct transaction *tx, struct sp_buf *b)
{
    struct sp_bytes out = {NULL, 0};

    if (sp_buf_rc(b) == SP_OK)
        out = sp_arena_copy(tx->arena, sp_buf_bytes(b));
    sp_buf_clear(b);
    return out;
}

/* Text that the 250 promises: what passed its limit refuses the message. */
static struct sp_bytes take_text(struct transaction *tx, struct sp_buf *b)
{
    if (sp_buf_rc(b) != SP_OK)
        tx->record_rc = SP_E_INTAKE_RECORD;
    return take_optional(tx, b);
}

static uint8_t does_of(enum sp_do verb)
{
    switch (verb) {
    case SP_DO_REJECT:
        return SP_ACCEPT_DO_REJECT;
    case SP_DO_HOLD:
        return SP_ACCEPT_DO_HOLD;
    case SP_DO_DISCARD:
        return SP_ACCEPT_DO_DISCARD;
    default:
        return SP_ACCEPT_DO_PROTECT;
    }
}

static void set_rungs(struct sp_arena *arena, const struct sp_ladder *ladder,
                      struct sp_accept_decision *out)
{
    if (ladder == NULL)
        return;
    out->rungs = sp_arena_alloc(arena, (ladder->count + 1) * sizeof(*out->rungs));
    out->rung_count = ladder->count;
    out->at_end = (uint8_t)ladder->at_end;
    for (size_t i = 0; i < ladder->count; i++)
        out->rungs[i] = (struct sp_accept_rung){(uint8_t)ladder->rungs[i].rung,
                                                ladder->rungs[i].stay_unreachable_ms,
                                                ladder->rungs[i].stay_dropped_ms};
}

enum sp_rc sp_intake_decision_of(struct sp_arena *arena, const struct sp_decision *d,
                                 int64_t now_ms, int64_t expire_ms, struct sp_accept_decision *out)
{
    int64_t expire = d->has_expire ? d->expire_ms : expire_ms;
    struct sp_options options;
    struct sp_buf text;
    enum sp_rc rc;

    *out = (struct sp_accept_decision){.does = does_of(d->verb),
                                       .floor = (uint8_t)d->floor,
                                       .rule = sp_bytes_cstr(d->rule),
                                       .text = d->text,
                                       .expire_at_ms = now_ms + expire};
    if (d->verb == SP_DO_HOLD && d->hold.within_ms > 0)
        out->hold_until_ms = now_ms + d->hold.within_ms;
    set_rungs(arena, d->ladder, out);
    sp_options_init(&options);
    sp_options_of_decision(d, &options);
    sp_buf_init(&text, SP_OPTIONS_MAX);
    rc = sp_options_write(&options, &text);
    if (rc == SP_OK)
        out->options = sp_arena_copy(arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return rc;
}

static void set_decision(struct transaction *tx, const struct sp_decision *d,
                         struct sp_accept_decision *out)
{
    if (sp_intake_decision_of(tx->arena, d, tx->time_ms, tx->gen->expire_ms, out) != SP_OK)
        tx->record_rc = SP_E_INTAKE_RECORD; /* what delivery must know can't be left out */
}

static bool same_names(const struct sp_names *a, const struct sp_names *b)
{
    return a->count == b->count && memcmp(a->names, b->names, a->count * sizeof(a->names[0])) == 0;
}

static bool same_edits(const struct sp_edits *a, const struct sp_edits *b)
{
    if (a->header_count != b->header_count)
        return false;
    for (size_t i = 0; i < a->header_count; i++)
        if (a->headers[i] != b->headers[i])
            return false;
    return a->strip_subject_tag == b->strip_subject_tag &&
           a->protect_subject == b->protect_subject && a->footer.ptr == b->footer.ptr &&
           a->notice.ptr == b->notice.ptr;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Names, texts and ladders are the policy's own, so that the same pointer is the same thing. */
static bool same_decision(const struct sp_decision *a, const struct sp_decision *b)
{
    return a->verb == b->verb && a->rule == b->rule && a->floor == b->floor &&
           a->ladder == b->ladder && a->is_sealed == b->is_sealed && a->text.ptr == b->text.ptr &&
           a->hold.kind == b->hold.kind && a->hold.within_ms == b->hold.within_ms &&
           a->expire_ms == b->expire_ms && a->has_expire == b->has_expire &&
           a->notify == b->notify && a->lowers == b->lowers &&
           a->portal.expires_ms == b->portal.expires_ms && a->portal.login == b->portal.login &&
           a->portal.reply == b->portal.reply && a->portal.forward == b->portal.forward &&
           a->portal.notify_floor == b->portal.notify_floor && a->lane == b->lane &&
           memcmp(a->portal.remind_ms, b->portal.remind_ms, sizeof(a->portal.remind_ms)) == 0 &&
           a->portal.unread_after_ms == b->portal.unread_after_ms &&
           same_text(a->smime_cipher, b->smime_cipher) && same_text(a->route, b->route) &&
           same_names(&a->raised_by, &b->raised_by) && same_names(&a->tags, &b->tags) &&
           same_edits(&a->edits, &b->edits);
}

/* Groups recipients by decision. */
static void set_groups(struct transaction *tx)
{
    struct sp_accept *a = &tx->accept;

    a->decisions = sp_arena_alloc(tx->arena, tx->recipient_count * sizeof(*a->decisions));
    for (size_t i = 0; i < tx->recipient_count; i++) {
        struct recipient *r = &tx->recipients[i];
        bool found = false;

        for (size_t k = 0; k < i && !found; k++) {
            found = same_decision(&tx->recipients[k].decision, &r->decision);
            if (found)
                r->group = tx->recipients[k].group;
        }
        if (found)
            continue;
        r->group = (uint16_t)a->decision_count;
        set_decision(tx, &r->decision, &a->decisions[a->decision_count++]);
    }
}

static void set_recipients(struct transaction *tx)
{
    struct sp_accept *a = &tx->accept;

    a->recipients = sp_arena_alloc(tx->arena, tx->recipient_count * sizeof(*a->recipients));
    a->recipient_count = tx->recipient_count;
    for (size_t i = 0; i < tx->recipient_count; i++)
        a->recipients[i] = (struct sp_accept_recipient){
            tx->recipients[i].address, tx->recipients[i].orcpt, (uint8_t)tx->recipients[i].notify,
            tx->recipients[i].group};
}

static uint32_t needs_of(const struct transaction *tx)
{
    struct sp_field f;
    uint32_t needs = 0;

    if (tx->data.has_8bit)
        needs |= SP_NEEDS_8BIT;
    if (sp_intake_has_long_lines(tx))
        needs |= SP_NEEDS_LONG;
    if (sp_intake_has_long_word(tx))
        needs |= SP_NEEDS_LONG_WORD;
    if (tx->mail.body == SP_BODY_8BITMIME)
        needs |= SP_ASKED_8BITMIME;
    if (tx->mail.smtputf8 && !sp_text_is_ascii(tx->header.bytes))
        needs |= SP_NEEDS_SMTPUTF8; /* what addresses ask for, each delivery sees for itself */
    if (tx->mail.requiretls)        /* it outranks the field (RFC 8689 4.1) */
        needs |= SP_ASKED_REQUIRETLS;
    else if (sp_header_count(&tx->header, SP_LIT("TLS-Required")) == 1 &&
             sp_header_find(&tx->header, SP_LIT("TLS-Required"), 0, &f) &&
             sp_bytes_eq_nocase(sp_bytes_trim(f.value), SP_LIT("No")))
        needs |= SP_ASKED_TLS_NO;
    if (sp_intake_sender_is_foreign(tx))
        needs |= SP_SENDER_FOREIGN;
    return needs;
}

/* RFC 3848; RFC 6531 4.3 */
static const char *with_what(const struct session *s, bool utf8)
{
    if (s == NULL || !sp_smtp_server_is_extended(s->server))
        return "SMTP";
    if (s->proof == NULL)
        return utf8 ? "UTF8SMTP" : "ESMTP";
    if (s->user_tenant != NULL)
        return utf8 ? "UTF8SMTPSA" : "ESMTPSA";
    return utf8 ? "UTF8SMTPS" : "ESMTPS";
}

static struct sp_bytes make_trace(struct transaction *tx)
{
    struct session *s = tx->session;
    char mark[MARK_LEN + 1];
    struct sp_trace t = {.id = tx->id,
                         .host = sp_bytes_cstr(tx->gen->hostname),
                         .helo = sp_buf_bytes(&s->helo),
                         .ip = sp_bytes_cstr(s->ip),
                         .with = with_what(s, tx->mail.smtputf8),
                         .mark = sp_bytes(mark, MARK_LEN),
                         .now_ms = tx->time_ms};
    struct sp_buf b;

    sp_intake_mark(tx, mark);
    if (s->proof != NULL) {
        t.tls_version = sp_bytes_cstr(s->proof->version);
        t.tls_cipher = sp_bytes_cstr(s->proof->cipher);
    }
    sp_buf_init(&b, 4096);
    if (sp_trace_build(&t, &b) != SP_OK)
        tx->record_rc = SP_E_INTAKE_RECORD; /* without it a loop would go unseen */
    return take_text(tx, &b);
}

/* returns: a field's value on one line, copied; empty if there is none or it is too long to be one */
static struct sp_bytes field_text(struct transaction *tx, struct sp_bytes name)
{
    struct sp_field f;
    struct sp_buf b;

    if (!sp_header_find(&tx->header, name, 0, &f))
        return sp_bytes(NULL, 0);
    sp_buf_init(&b, 1024);
    sp_field_unfold(&f, &b);
    return take_optional(tx, &b);
}

static void set_accept(struct transaction *tx)
{
    struct sp_accept *a = &tx->accept;
    struct sp_field f;
    struct sp_buf facts;

    *a = (struct sp_accept){.id = tx->id,
                            .time_ms = tx->time_ms,
                            .skew_ms = tx->skew_ms,
                            .kind = SP_ACCEPT_KIND_MAIL,
                            .needs = needs_of(tx),
                            .tenant = sp_bytes_cstr(tx->proof.who->tenant->name),
                            .sender = tx->sender,
                            .envid = tx->mail.envid,
                            .policy = sp_bytes_cstr(sp_policy_hash(tx->policy)),
                            .trace = make_trace(tx)};
    if (tx->mail.ret != SP_RET_NONE)
        a->ret = tx->mail.ret == SP_RET_FULL ? SP_ACCEPT_RET_FULL : SP_ACCEPT_RET_HDRS;
    if (sp_header_find(&tx->header, SP_LIT("Message-ID"), 0, &f))
        a->message_id = sp_arena_copy(tx->arena, sp_field_message_id(&f));
    a->network_message_id = field_text(tx, SP_LIT("X-MS-Exchange-Organization-Network-Message-Id"));
    if (tx->scanned)
        a->phi = sp_bytes_cstr(
            sp_fact_value_name(SP_FACT_PHI_CLASS, tx->facts.values[SP_FACT_PHI_CLASS].number));
    sp_buf_init(&facts, SP_RECORD_TEXT_MAX);
    sp_intake_audit_facts(tx, &facts);
    a->facts = take_text(tx, &facts);
    set_groups(tx);
    set_recipients(tx);
}

static void add_event(struct transaction *tx, struct sp_buf *b)
{
    struct sp_audit_list *list = &tx->accept.audit;

    if (b->len > 0 || sp_buf_rc(b) != SP_OK)
        list->events[list->count++] = take_text(tx, b);
    sp_buf_init(b, AUDIT_MAX);
}

static bool any_is(const struct transaction *tx, enum sp_do verb)
{
    for (size_t i = 0; i < tx->recipient_count; i++) {
        if (tx->recipients[i].decision.verb == verb)
            return true;
    }
    return false;
}

/* returns: SP_OK, or SP_E_INTAKE_RECORD if an event does not fit */
static enum sp_rc set_audit(struct transaction *tx)
{
    struct sp_buf b;

    tx->accept.audit.events = sp_arena_alloc(tx->arena, EVENTS_MAX * sizeof(struct sp_bytes));
    sp_buf_init(&b, AUDIT_MAX);
    sp_intake_audit_accepted(tx, &b);
    add_event(tx, &b);
    if (sp_intake_has_ways(tx))
        sp_intake_audit_ways(tx, &b);
    add_event(tx, &b);
    if (any_is(tx, SP_DO_HOLD))
        sp_intake_audit_step(tx, "message.held", SP_DO_HOLD, &b);
    add_event(tx, &b);
    if (any_is(tx, SP_DO_REJECT))
        sp_intake_audit_step(tx, "message.returned", SP_DO_REJECT, &b);
    add_event(tx, &b);
    if (tx->child_body != NULL) {
        uint8_t sha256[32];

        sp_queue_body_sha256(tx->child_body, sha256);
        sp_intake_audit_own(&tx->child, sha256, sp_queue_body_len(tx->child_body), false, &b);
    }
    add_event(tx, &b);
    sp_buf_clear(&b);
    return tx->record_rc;
}

/* Those who decide about it can be told now. */
static void tell_held(const struct transaction *tx)
{
    const struct sp_intake_parts *parts = &tx->in->parts;

    for (size_t i = 0; parts->held != NULL && i < tx->recipient_count; i++) {
        const struct sp_decision *d = &tx->recipients[i].decision;

        if (d->verb == SP_DO_HOLD && d->hold.by[0] != '\0')
            parts->held(parts->arg, &tx->id, sp_bytes_cstr(d->hold.by));
    }
}

static void on_queued(void *arg, enum sp_rc rc)
{
    struct transaction *tx = arg;
    struct sp_intake *in = tx->in;
    char text[16 + SP_ID_TEXT_LEN + 1] = "queued as ";

    tx->in_flight = false;
    in->transactions--;
    if (rc == SP_OK) {
        struct sight what = {.proof = &tx->proof, .session = tx->session};

        sp_intake_note_seen(in, SIGHTING_ACCEPTED, &what);
        in->stats.accepted++;
        tell_held(tx);
        sp_log_debug(in->parts.log, "intake.accepted", SP_ID("message", &tx->id),
                     SP_INT("size", tx->data.size), SP_INT("recipients", tx->recipient_count));
        sp_id_format(&tx->id, text + 10);
        sp_intake_tx_done(tx, SP_OK, sp_bytes_cstr(text));
    } else {
        sp_log_warn(in->parts.log, "intake.queue-refused", SP_ID("message", &tx->id),
                    SP_RC("why", rc));
        sp_intake_tx_done(tx, rc, sp_bytes(NULL, 0));
    }
    sp_intake_check_drained(in);
    sp_intake_unref(in);
}

static void hand_over(struct transaction *tx)
{
    struct sp_queue_accept accept = {.accept = &tx->accept, .done = on_queued, .arg = tx};

    accept.body = SP_STEAL(tx->body);
    accept.child_body = SP_STEAL(tx->child_body);
    sp_content_clear(&tx->scan_content);
    tx->in_flight = true;
    tx->in->transactions++;
    sp_intake_ref(tx->in);
    sp_queue_accept(tx->in->parts.queue, &accept);
}

/* What can't be put down whole is not taken, and that is on record. */
static void turn_down(struct transaction *tx, enum sp_rc rc)
{
    if (tx->session != NULL && sp_rc_info(rc)->class == SP_CLASS_PERM)
        sp_intake_refused(tx->session, tx, "message.refused", rc, sp_bytes(NULL, 0));
    sp_intake_tx_done(tx, rc, sp_bytes(NULL, 0));
}

/* The body or bodies are whole: the rest of the record, and into the queue. */
static void finish(struct transaction *tx)
{
    enum sp_rc rc = set_audit(tx);

    if (rc == SP_OK)
        hand_over(tx);
    else
        turn_down(tx, rc);
}

static void on_child_finished(void *arg, enum sp_rc rc)
{
    struct transaction *tx = arg;

    if (rc == SP_OK)
        finish(tx);
    else
        turn_down(tx, rc);
}

void sp_intake_record(struct transaction *tx)
{
    enum sp_rc rc;

    set_accept(tx);
    rc = tx->record_rc;
    if (rc == SP_OK && (tx->refused_count > 0 || any_is(tx, SP_DO_HOLD)))
        rc = sp_intake_return(tx);
    if (rc != SP_OK) {
        turn_down(tx, rc);
        return;
    }
    if (tx->child_body != NULL) {
        sp_queue_body_finish(tx->child_body, on_child_finished, tx);
        return;
    }
    finish(tx);
}
