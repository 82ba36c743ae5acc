/*
 * A message's life from MAIL to its reply. The header is kept until it can be split (at most 256 KiB); what must not
 * leave is taken out there and then, so that nobody behind us ever sees it; the rest streams into the sealed body as it
 * arrives. Whose message it is, is settled there too (attest.c). A fault found on the way is remembered and answered at
 * the end of data, where SMTP has a place for it.
 */
#include "base/text.h"
#include "intake/intake_priv.h"
#include "policy/record.h"

struct transaction *sp_intake_tx_new(struct session *s, const struct proof *proof,
                                     const struct candidates *among,
                                     const struct sp_smtp_server_event *ev)
{
    struct transaction *tx = sp_calloc(1, sizeof(*tx));
    struct sp_buf sender;

    tx->in = s->in;
    tx->session = s;
    tx->gen = sp_intake_generation_ref(s->in->now);
    tx->policy = tx->gen->policy;
    tx->other = tx->gen->stage.draft;
    tx->arena = sp_arena_new(8192);
    tx->id = sp_id_new(s->in->parts.clock, s->in->parts.random);
    tx->time_ms = sp_clock_wall_ms(s->in->parts.clock);
    tx->skew_ms = sp_clock_skew_ms(s->in->parts.clock);
    tx->proof = *proof;
    tx->counted = among->open ? NULL : proof->who->tenant;
    tx->among = *among;
    tx->mail = ev->mail;
    tx->mail.envid = sp_arena_copy(tx->arena, ev->mail.envid);
    sp_buf_init(&sender, SP_ADDRESS_MAX + 1);
    sp_address_format(&ev->address, &sender);
    tx->sender = sp_arena_copy(tx->arena, sp_buf_bytes(&sender));
    sp_buf_clear(&sender);
    sp_buf_init(&tx->replay, SP_RECORD_TEXT_MAX / 2);
    sp_buf_init(&tx->replay_last, SP_DECISION_TEXT_MAX);
    sp_buf_init(&tx->head, SP_HEADER_MAX + SP_STREAM_INPUT_MAX);
    sp_buf_init(&tx->scan_reply_bytes, SP_JOBS_PAYLOAD_MAX * 8);
    sp_content_init(&tx->scan_content);
    sp_intake_facts_envelope(tx);
    return tx;
}

static void leave(struct transaction *tx)
{
    if (tx->counted != NULL)
        sp_intake_tenant_leave(tx->in, tx->counted);
    tx->counted = NULL;
}

void sp_intake_tx_free(struct transaction *tx)
{
    if (tx->scan_call != 0)
        sp_jobs_cancel(tx->in->parts.jobs, tx->scan_call);
    sp_intake_signature_free(tx);
    sp_intake_memory_drop(tx);
    leave(tx);
    sp_content_clear(&tx->scan_content);
    sp_queue_body_free(tx->body);
    sp_queue_body_free(tx->child_body);
    sp_buf_clear(&tx->head);
    sp_buf_clear(&tx->replay);
    sp_buf_clear(&tx->replay_last);
    sp_buf_clear(&tx->scan_reply_bytes);
    sp_free(tx->recipients);
    sp_free(tx->marks);
    sp_arena_free(tx->arena);
    sp_intake_generation_unref(tx->gen);
    sp_free(tx);
}

void sp_intake_tx_orphan(struct transaction *tx)
{
    tx->session->tx = NULL;
    tx->session = NULL;
    if (!tx->in_flight) /* the client has no reply and will send it again */
        sp_intake_tx_free(tx);
}

void sp_intake_tx_done(struct transaction *tx, enum sp_rc rc, struct sp_bytes text)
{
    struct session *s = tx->session;

    leave(tx); /* the next may stand behind this one already */
    if (s != NULL) {
        s->tx = NULL;
        sp_intake_session_answer(s, rc, text);
    }
    sp_intake_tx_free(tx);
}

/* <postmaster> without a domain is the tenant's (RFC 5321 4.5.1). */
static struct sp_bytes format_recipient(struct transaction *tx, const struct sp_address *to)
{
    const struct sp_tenant *t = tx->proof.who->tenant;
    struct sp_buf b;
    struct sp_bytes out;

    sp_buf_init(&b, 2 * SP_ADDRESS_MAX);
    if (to->domain.len > 0) {
        sp_address_format(to, &b);
    } else if (t->postmaster[0] != 0) {
        sp_buf_put_cstr(&b, t->postmaster);
    } else {
        sp_buf_put_cstr(&b, "postmaster@");
        sp_buf_put_cstr(&b, t->domains.count > 0 ? t->domains.items[0] : tx->gen->hostname);
    }
    out = sp_arena_copy(tx->arena, sp_buf_bytes(&b));
    sp_buf_clear(&b);
    return out;
}

struct recipient *sp_intake_tx_add(struct transaction *tx)
{
    if (tx->recipient_count == tx->recipient_cap) {
        size_t cap = tx->recipient_cap == 0 ? 1 : tx->recipient_cap * 2;

        tx->recipients = sp_realloc(tx->recipients, cap * sizeof(*tx->recipients));
        tx->marks = sp_realloc(tx->marks, cap * sizeof(*tx->marks));
        tx->recipient_cap = cap;
    }
    return &tx->recipients[tx->recipient_count++];
}

/* returns: where the domain begins */
static size_t domain_at(struct sp_bytes address)
{
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return at;
}

/* Two that a report would tell apart are two (RFC 3461 4.1, 4.2). The local part is the receiver's to read (RFC 5321 2.4). */
static bool is_same(const struct recipient *a, const struct recipient *b)
{
    size_t at = domain_at(a->address);

    return a->notify == b->notify && sp_bytes_eq(a->orcpt, b->orcpt) &&
           domain_at(b->address) == at &&
           sp_bytes_eq(sp_bytes_slice(a->address, 0, at), sp_bytes_slice(b->address, 0, at)) &&
           sp_bytes_eq_nocase(a->address, b->address);
}

/* FNV-1a, begun at what no client knows: else thousands could be chosen that all look the same. */
static uint32_t mark_of(const struct transaction *tx, struct sp_bytes address)
{
    size_t at = domain_at(address);
    uint32_t mark;

    memcpy(&mark, tx->id.b + sizeof(tx->id.b) - sizeof(mark), sizeof(mark));
    for (size_t i = 0; i < address.len; i++) {
        mark ^= i < at ? address.ptr[i] : sp_ascii_lower(address.ptr[i]);
        mark *= 16777619U;
    }
    return mark;
}

/* returns: whether the last recipient was named before. Its mark is set */
static bool is_repeated(struct transaction *tx)
{
    size_t last = tx->recipient_count - 1;
    const struct recipient *r = &tx->recipients[last];

    tx->marks[last] = mark_of(tx, r->address);
    for (size_t i = 0; i < last; i++)
        if (tx->marks[i] == tx->marks[last] && is_same(&tx->recipients[i], r))
            return true;
    return false;
}

enum sp_rc sp_intake_tx_rcpt(struct transaction *tx, const struct sp_smtp_server_event *ev,
                             struct sp_bytes *text)
{
    struct sp_bytes token = sp_intake_probe_token(tx->gen, &ev->address);
    struct recipient *r;
    bool taken;
    enum sp_rc rc = sp_intake_recall_rcpt(tx, &ev->address, &taken);

    if (rc != SP_OK || taken)
        return rc;
    if (token.len > 0) {
        tx->probe = sp_arena_copy(tx->arena, token);
        return SP_OK;
    }
    if (sp_intake_wish(tx->in, SP_LIT(""), SP_LIT(""), &tx->facts) < 0)
        return SP_E_ROLE_GONE; /* nobody knows yet what any recipient wants */
    r = sp_intake_tx_add(tx);
    *r = (struct recipient){.address = format_recipient(tx, &ev->address),
                            .orcpt = sp_arena_copy(tx->arena, ev->rcpt.orcpt),
                            .notify = ev->rcpt.notify};
    if (is_repeated(tx)) {
        tx->recipient_count--;
        return SP_OK; /* one copy is what is meant, and what others deliver */
    }
    if (tx->among.open) /* whose rules hold is not known yet */
        return SP_OK;
    sp_intake_facts_recipient(tx, tx->policy, &tx->facts, r);
    r->decided = sp_policy_decide_envelope(tx->policy, &tx->facts, &r->decision) &&
                 sp_intake_stage_agrees(tx, r);
    if (!r->decided || r->decision.verb != SP_DO_REJECT || sp_intake_observes(tx))
        return SP_OK;
    if (r->decision.whole_message) {
        tx->whole_reject_decision = r->decision;
        tx->whole_reject = &tx->whole_reject_decision;
    }
    *text = r->decision.text;
    sp_intake_refused(tx->session, tx, "message.refused", SP_E_INTAKE_POLICY,
                      sp_bytes_cstr(r->decision.rule));
    tx->recipient_count--;
    return SP_E_INTAKE_POLICY;
}

/* ---- the bytes ---- */

static void refuse(struct transaction *tx, enum sp_rc rc)
{
    if (tx->refuse_rc == SP_OK)
        tx->refuse_rc = rc;
    sp_queue_body_free(tx->body);
    tx->body = NULL;
}

void sp_intake_tx_give_up(struct transaction *tx, enum sp_rc rc)
{
    sp_assert(!tx->whole);
    refuse(tx, rc);
    tx->session->holding = false; /* it waited for this body */
    sp_intake_signature_free(tx);
    if (!tx->split)
        sp_buf_clear(&tx->head);
    tx->split = true; /* what follows is dropped as it comes */
}

static void feed(struct transaction *tx, struct sp_bytes bytes)
{
    enum sp_rc rc;

    if (tx->refuse_rc != SP_OK || bytes.len == 0)
        return;
    rc = sp_queue_body_feed(tx->body, bytes);
    if (rc != SP_OK)
        refuse(tx, rc);
}

/* Feeds the header without what must not leave. */
static void feed_header(struct transaction *tx)
{
    struct sp_bytes head = sp_buf_bytes(&tx->head);
    size_t at = 0, kept = 0;
    struct sp_field f;

    if (sp_intake_private_is_signed(tx)) {
        refuse(tx, SP_E_INTAKE_SIGNED);
        return;
    }
    while (sp_intake_private_next(tx, &at, &f)) {
        tx->removed |= sp_intake_private_kind(&f);
        feed(tx, sp_bytes_slice(head, kept, f.at - kept));
        kept = f.at + f.raw.len;
    }
    feed(tx, sp_bytes_slice(head, kept, head.len));
}

void sp_intake_mark(const struct transaction *tx, char out[MARK_LEN + 1])
{
    struct sp_field f;
    struct sp_buf said, hex;
    uint8_t mac[SP_SHA256_LEN];

    sp_buf_init(&said, 2 * SP_HEADER_MAX);
    sp_buf_put_var(&said, sp_bytes_cstr(tx->proof.who->tenant->name));
    if (sp_header_find(&tx->header, SP_LIT("Message-ID"), 0, &f))
        sp_buf_put_var(&said, sp_field_message_id(&f));
    sp_crypt_hmac(sp_secret_bytes(&tx->in->parts.mark_key), sp_buf_bytes(&said), mac);
    sp_buf_init(&hex, MARK_LEN);
    sp_hex_encode(&hex, sp_bytes(mac, MARK_LEN / 2));
    memcpy(out, hex.ptr, MARK_LEN);
    out[MARK_LEN] = 0;
    sp_buf_clear(&hex);
    sp_buf_clear(&said);
}

static bool is_loop(const struct transaction *tx)
{
    char mark[MARK_LEN + 1];

    sp_intake_mark(tx, mark);
    return sp_trace_is_loop(&tx->header, sp_bytes_cstr(mark));
}

/* A line that is no field ends the header for us. Somebody behind us may pass over it and see more: another From, a Bcc. */
static bool is_broken(const struct transaction *tx)
{
    return !tx->header.has_blank && tx->header.bytes.len < tx->head.len;
}

static void split_header(struct transaction *tx, bool whole)
{
    enum sp_rc rc = sp_header_parse(sp_buf_bytes(&tx->head), whole, &tx->header);

    tx->split = true;
    tx->body = sp_queue_body_new(tx->in->parts.queue, &tx->id);
    if (rc == SP_OK && tx->proof.checks_header)
        rc = sp_intake_attest(tx);
    if (rc == SP_OK && is_loop(tx)) /* its mark names the tenant */
        rc = SP_E_INTAKE_LOOP;
    if (rc == SP_OK && is_broken(tx))
        rc = SP_E_INTAKE_HEADER;
    if (rc != SP_OK) {
        refuse(tx, rc);
        return;
    }
    if (tx->proof.checks_header && tx->session->user_tenant == NULL) {
        sp_intake_signature_start(tx);
        sp_intake_signature_feed(tx, sp_buf_bytes(&tx->head));
    }
    feed_header(tx);
}

/* returns: whether the end of the header is in what has come; from: bytes that were looked at before */
static bool has_header_end(const struct transaction *tx, size_t from)
{
    struct sp_bytes head = sp_buf_bytes(&tx->head);

    if (head.len >= 2 && head.ptr[0] == '\r' && head.ptr[1] == '\n')
        return true;
    from = from < 3 ? 0 : from - 3;
    return sp_bytes_find_all(sp_bytes_slice(head, from, head.len), SP_LIT("\r\n\r\n")) != SIZE_MAX;
}

/*
 * Takes what belongs to the header into tx->head, and some bytes of the body at most. returns: whether it is whole;
 * chunk: what is left of it
 */
static bool gather_header(struct transaction *tx, struct sp_bytes *chunk)
{
    static const struct sp_bytes end = {(const uint8_t *)"\r\n\r\n", 4};
    size_t before = tx->head.len;
    size_t len = chunk->len < end.len ? chunk->len : end.len; /* it may have begun before */
    bool whole;

    sp_buf_put(&tx->head, sp_bytes_slice(*chunk, 0, len));
    whole = has_header_end(tx, before);
    if (!whole) {
        size_t at = sp_bytes_find_all(*chunk, end);
        size_t upto = at == SIZE_MAX ? chunk->len : at + end.len;

        whole = at != SIZE_MAX;
        sp_buf_put(&tx->head, sp_bytes_slice(*chunk, len, upto - len));
        len = upto;
    }
    *chunk = sp_bytes_slice(*chunk, len, chunk->len);
    return whole || tx->head.len >= SP_HEADER_MAX;
}

static void feed_body(struct transaction *tx, struct sp_bytes chunk)
{
    if (tx->refuse_rc != SP_OK)
        return;
    sp_intake_signature_feed(tx, chunk);
    feed(tx, chunk);
}

void sp_intake_tx_chunk(struct transaction *tx, struct sp_bytes chunk)
{
    if (tx->refuse_rc != SP_OK)
        return;
    if (!tx->split) {
        if (!gather_header(tx, &chunk))
            return;
        split_header(tx, false);
    }
    feed_body(tx, chunk);
}

static void on_room(void *arg)
{
    struct transaction *tx = arg;
    struct session *s = tx->session;

    s->holding = false;
    sp_intake_session_hold(s);
    sp_intake_session_pump(s);
}

bool sp_intake_tx_is_full(struct transaction *tx)
{
    struct session *s = tx->session;

    if (s->holding)
        return true;
    if (tx->body == NULL || !sp_queue_body_is_full(tx->body))
        return false;
    s->holding = true;
    sp_intake_session_hold(s);
    sp_queue_body_wait(tx->body, on_room, tx);
    return true;
}

/* returns: whether any decision still hangs on what the message holds */
static bool needs_scan(const struct transaction *tx)
{
    if (!sp_policy_asks_content(tx->policy) &&
        (tx->other == NULL || !sp_policy_asks_content(tx->other)))
        return false;
    for (size_t i = 0; i < tx->recipient_count; i++) {
        if (!tx->recipients[i].decided)
            return true;
    }
    return false;
}

/* A message that is refused whole, now that the client listens. */
static void turn_down(struct transaction *tx, enum sp_rc rc)
{
    sp_intake_note_probe(tx, rc == SP_E_INTAKE_PROBE ? SP_OK : rc);
    if (sp_rc_info(rc)->class == SP_CLASS_PERM)
        sp_intake_refused(tx->session, tx,
                          sp_intake_is_proof_rc(rc) ? "intake.refused" : "message.refused", rc,
                          sp_bytes(NULL, 0));
    sp_intake_tx_done(tx, rc, sp_bytes(NULL, 0));
}

static void on_proved(struct transaction *tx, enum sp_rc rc)
{
    if (rc == SP_OK && tx->probe.len > 0)
        rc = SP_E_INTAKE_PROBE;
    if (rc != SP_OK)
        turn_down(tx, rc);
    else if (sp_intake_recall(tx))
        return;
    else if (needs_scan(tx))
        sp_intake_scan(tx);
    else
        sp_intake_decide(tx);
}

static void on_finished(void *arg, enum sp_rc rc)
{
    struct transaction *tx = arg;

    if (rc == SP_OK && tx->signature != NULL)
        sp_intake_signature_finish(tx, on_proved);
    else
        on_proved(tx, rc);
}

void sp_intake_tx_end(struct transaction *tx, const struct sp_smtp_data_facts *data)
{
    tx->whole = true;
    tx->data = *data;
    if (!tx->split)
        split_header(tx, true);
    if (tx->refuse_rc != SP_OK) {
        turn_down(tx, tx->refuse_rc);
        return;
    }
    sp_queue_body_finish(tx->body, on_finished, tx);
}
