/*
 * Audit events of intake, by docs/audit.md: facts in nouns, no word of the message, no file names, no display
 * names. v, node, seq, prev and time are the ledger's to add, and the canonical order of keys too.
 */
#include "base/text.h"
#include "intake/intake_priv.h"
#include "policy/record.h"

static void put_hex(struct sp_jw *w, const char *key, const uint8_t *bytes, size_t len)
{
    struct sp_buf hex;

    sp_buf_init(&hex, 2 * len);
    sp_hex_encode(&hex, sp_bytes(bytes, len));
    sp_jw_text(w, key, sp_buf_bytes(&hex));
    sp_buf_clear(&hex);
}

static void put_names(struct sp_jw *w, const char *key, const char *const *names, size_t count)
{
    sp_jw_array(w, key);
    for (size_t i = 0; i < count; i++)
        sp_jw_cstr(w, NULL, names[i]);
    sp_jw_end(w);
}

static void put_actor(struct sp_jw *w, const struct session *s, const struct transaction *tx)
{
    sp_jw_object(w, "actor");
    sp_jw_cstr(w, "type", "client");
    sp_jw_cstr(w, "ip", s->ip);
    if (s->helo.len > 0)
        sp_jw_text(w, "helo", sp_buf_bytes(&s->helo));
    sp_jw_cstr(w, "auth", tx != NULL ? tx->proof.auth : "none");
    if (s->user.len > 0)
        sp_jw_text(w, "id", sp_buf_bytes(&s->user));
    sp_jw_end(w);
}

static void put_proof(struct sp_jw *w, const struct proof *p)
{
    sp_jw_object(w, "proof");
    put_names(w, "required", p->required, p->required_count);
    put_names(w, "failed", p->failed, p->failed_count);
    put_names(w, "also", p->also, p->also_count);
    sp_jw_cstr(w, "config", p->who->digest);
    sp_jw_end(w);
}

static void put_tls(struct sp_jw *w, const struct sp_tls_proof *p)
{
    if (p == NULL) {
        sp_jw_null(w, "tls");
        return;
    }
    sp_jw_object(w, "tls");
    sp_jw_cstr(w, "version", p->version);
    sp_jw_cstr(w, "cipher", p->cipher);
    sp_jw_cstr(w, "group", p->group);
    sp_jw_cstr(w, "profile", p->profile);
    sp_jw_bool(w, "fips", false);
    sp_jw_end(w);
}

static void put_origin(struct sp_jw *w, const struct sp_accept *a)
{
    sp_jw_object(w, "origin");
    if (a->message_id.len > 0)
        sp_jw_text(w, "message_id", a->message_id);
    if (a->network_message_id.len > 0)
        sp_jw_text(w, "network_message_id", a->network_message_id);
    sp_jw_end(w);
}

static void put_content(struct sp_jw *w, struct transaction *tx)
{
    uint8_t sha256[32];

    sp_queue_body_sha256(tx->body, sha256);
    sp_jw_object(w, "content");
    sp_jw_int(w, "size", (int64_t)sp_queue_body_len(tx->body));
    put_hex(w, "sha256", sha256, sizeof(sha256));
    sp_jw_cstr(w, "kind", "mail");
    if (tx->scanned && tx->scan_why == SP_OK)
        sp_jw_cstr(w, "sealed", sp_jobs_sealed_name(tx->scan.sealed));
    if (tx->removed != 0) {
        sp_jw_array(w, "removed");
        if (tx->removed & REMOVED_BCC)
            sp_jw_cstr(w, NULL, "bcc");
        if (tx->removed & REMOVED_EXCHANGE)
            sp_jw_cstr(w, NULL, "x-ms-exchange");
        if (tx->removed & REMOVED_SECRET)
            sp_jw_cstr(w, NULL, "secret-header");
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void put_types(struct sp_jw *w, struct transaction *tx)
{
    sp_jw_object(w, "types");
    for (size_t i = 0; i < tx->scan.type_count; i++) {
        const struct sp_jobs_scan_type *t = &tx->scan.types[i];

        sp_jw_object(w, sp_arena_cstr(tx->arena, t->name));
        sp_jw_int(w, "count", t->count);
        sp_jw_int(w, "distinct", t->distinct);
        sp_jw_int(w, "score", t->score);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void put_gaps(struct sp_jw *w, const struct sp_jobs_scan_reply *r)
{
    sp_jw_array(w, "not_scanned");
    for (size_t i = 0; i < r->gap_count; i++) {
        sp_jw_object(w, NULL);
        sp_jw_text(w, "part", r->gaps[i].part);
        sp_jw_text(w, "why", r->gaps[i].why);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void put_detection(struct sp_jw *w, struct transaction *tx)
{
    const struct sp_jobs_scan_reply *r = &tx->scan;
    const struct sp_fact_value *class = &tx->facts.values[SP_FACT_PHI_CLASS];

    if (!tx->scanned)
        return;
    sp_jw_object(w, "detection");
    if (tx->scan_why != SP_OK) {
        sp_jw_cstr(w, "scan", "failed");
        sp_jw_cstr(w, "why", sp_rc_name(tx->scan_why));
        sp_jw_cstr(w, "class", sp_fact_value_name(SP_FACT_PHI_CLASS, class->number));
        sp_jw_end(w);
        return;
    }
    sp_jw_cstr(w, "scan", sp_jobs_scan_state_name(r->state));
    sp_jw_cstr(w, "class", sp_fact_value_name(SP_FACT_PHI_CLASS, class->number));
    sp_jw_int(w, "score", r->score);
    sp_jw_array(w, "special");
    for (size_t i = 0; i < r->special_count; i++)
        sp_jw_text(w, NULL, r->special[i]);
    sp_jw_end(w);
    put_types(w, tx);
    put_gaps(w, r);
    sp_jw_text(w, "version", r->version);
    sp_jw_end(w);
}

static void put_ns(struct sp_jw *w, const struct transaction *tx, uint16_t group)
{
    sp_jw_array(w, "n");
    for (size_t i = 0; i < tx->recipient_count; i++) {
        if (tx->recipients[i].group == group)
            sp_jw_int(w, NULL, (int64_t)i);
    }
    sp_jw_end(w);
}

static void put_ladder(struct sp_jw *w, const struct sp_ladder *ladder)
{
    sp_jw_array(w, "ladder");
    for (size_t i = 0; ladder != NULL && i < ladder->count; i++)
        sp_jw_cstr(w, NULL, sp_rung_name(ladder->rungs[i].rung));
    sp_jw_end(w);
}

static void put_decision(struct sp_jw *w, const struct transaction *tx, const struct recipient *r)
{
    const struct sp_decision *d = &r->decision;

    sp_jw_object(w, NULL);
    put_ns(w, tx, r->group);
    sp_jw_cstr(w, "do", sp_do_name(d->verb));
    sp_jw_cstr(w, "rule", d->rule);
    put_ladder(w, d->ladder);
    sp_jw_cstr(w, "floor", sp_floor_name(d->floor));
    put_names(w, "raised_by", d->raised_by.names, d->raised_by.count);
    sp_jw_cstr(w, "lowers", d->lowers);
    if (d->tags.count > 0)
        put_names(w, "tags", d->tags.names, d->tags.count);
    if (d->verb == SP_DO_REJECT)
        sp_jw_cstr(w, "text", d->text_name);
    if (d->verb == SP_DO_HOLD)
        sp_jw_cstr(w, "for", sp_hold_for_name(d->hold.kind));
    sp_jw_end(w);
}

/* One entry for each group, at its first recipient. */
static void put_decisions(struct sp_jw *w, const struct transaction *tx)
{
    uint16_t next = 0;

    sp_jw_array(w, "decisions");
    for (size_t i = 0; i < tx->recipient_count; i++) {
        if (tx->recipients[i].group == next) {
            put_decision(w, tx, &tx->recipients[i]);
            next++;
        }
    }
    sp_jw_end(w);
}

static void put_storage(struct sp_jw *w, const struct sp_intake *in)
{
    sp_jw_object(w, "storage");
    sp_jw_bool(w, "durable", true);
    sp_jw_cstr(w, "cipher", "aes-256-gcm");
    sp_jw_cstr(w, "kek", in->parts.kek_id);
    sp_jw_end(w);
}

/* A draft that is tried: which policy was only asked, and for how many recipients it says something else. */
static void put_stage(struct sp_jw *w, const struct transaction *tx)
{
    bool draft = tx->policy != tx->gen->policy;

    if (tx->other == NULL)
        return;
    sp_jw_object(w, "stage");
    sp_jw_cstr(w, "decided_by", draft ? "draft" : "live");
    sp_jw_cstr(w, "other", sp_policy_hash(tx->other));
    sp_jw_int(w, "percent", tx->gen->stage.percent);
    sp_jw_int(w, "otherwise", (int64_t)tx->otherwise);
    sp_jw_end(w);
}

void sp_intake_audit_accepted(struct transaction *tx, struct sp_buf *out)
{
    const struct sp_accept *a = &tx->accept;
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "message.accepted");
    sp_jw_text(&w, "tenant", a->tenant);
    sp_jw_id(&w, "message", tx->id.b);
    if (tx->session != NULL) {
        put_actor(&w, tx->session, tx);
        put_tls(&w, tx->session->proof);
    }
    put_proof(&w, &tx->proof);
    put_origin(&w, a);
    sp_jw_text(&w, "from", a->sender);
    sp_jw_array(&w, "to");
    for (size_t i = 0; i < tx->recipient_count; i++)
        sp_jw_text(&w, NULL, tx->recipients[i].address);
    sp_jw_end(&w);
    put_content(&w, tx);
    put_detection(&w, tx);
    sp_jw_text(&w, "policy", a->policy);
    put_decisions(&w, tx);
    sp_intake_audit_observed(&w, tx);
    put_stage(&w, tx);
    put_storage(&w, tx->in);
    sp_jw_cstr(&w, "reply", "250 2.0.0");
    sp_jw_end(&w);
}

void sp_intake_audit_own(const struct sp_accept *a, const uint8_t sha256[32], uint64_t len,
                         bool again, struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "message.accepted");
    if (a->tenant.len > 0)
        sp_jw_text(&w, "tenant", a->tenant);
    sp_jw_id(&w, "message", a->id.b);
    if (!sp_id_is_zero(&a->parent))
        sp_jw_id(&w, "parent", a->parent.b);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "system");
    sp_jw_end(&w);
    if (again)
        sp_jw_bool(&w, "possibly_repeated", true);
    if (a->message_id.len > 0) {
        sp_jw_object(&w, "origin");
        sp_jw_text(&w, "message_id", a->message_id);
        sp_jw_end(&w);
    }
    sp_jw_text(&w, "from", a->sender);
    sp_jw_array(&w, "to");
    for (size_t i = 0; i < a->recipient_count; i++)
        sp_jw_text(&w, NULL, a->recipients[i].address);
    sp_jw_end(&w);
    sp_jw_object(&w, "content");
    sp_jw_int(&w, "size", (int64_t)len);
    put_hex(&w, "sha256", sha256, 32);
    sp_jw_cstr(&w, "kind", sp_accept_kind_name(a->kind));
    sp_jw_end(&w);
    sp_jw_array(&w, "decisions");
    for (size_t i = 0; i < a->decision_count; i++) {
        sp_jw_object(&w, NULL);
        sp_jw_array(&w, "n");
        sp_jw_int(&w, NULL, 0);
        sp_jw_end(&w);
        sp_jw_cstr(&w, "do", "protect");
        sp_jw_text(&w, "rule", a->decisions[i].rule);
        sp_jw_array(&w, "ladder");
        for (size_t k = 0; k < a->decisions[i].rung_count; k++)
            sp_jw_cstr(&w, NULL, sp_rung_name((enum sp_rung)a->decisions[i].rungs[k].rung));
        sp_jw_end(&w);
        sp_jw_cstr(&w, "floor", sp_floor_name((enum sp_floor)a->decisions[i].floor));
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_end(&w);
}

void sp_intake_audit_step(struct transaction *tx, const char *event, enum sp_do verb,
                          struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", event);
    sp_jw_text(&w, "tenant", tx->accept.tenant);
    sp_jw_id(&w, "message", tx->id.b);
    sp_jw_text(&w, "policy", tx->accept.policy);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "system");
    sp_jw_end(&w);
    sp_jw_array(&w, "n");
    for (size_t i = 0; i < tx->recipient_count; i++) {
        if (tx->recipients[i].decision.verb == verb)
            sp_jw_int(&w, NULL, (int64_t)i);
    }
    sp_jw_end(&w);
    sp_jw_array(&w, "rules");
    for (size_t i = 0; i < tx->accept.decision_count; i++) {
        if (tx->accept.decisions[i].does ==
            (verb == SP_DO_HOLD ? SP_ACCEPT_DO_HOLD : SP_ACCEPT_DO_REJECT))
            sp_jw_text(&w, NULL, tx->accept.decisions[i].rule);
    }
    sp_jw_end(&w);
    sp_jw_cstr(&w, "reason", "policy");
    if (verb == SP_DO_REJECT && tx->child_body != NULL)
        sp_jw_id(&w, "dsn", tx->child.id.b);
    sp_jw_end(&w);
}

static void put_fact(struct sp_jw *w, enum sp_fact fact, const struct sp_fact_value *v)
{
    const char *name = sp_fact_name(fact);
    const char *word;

    if (v->texts != NULL) {
        sp_jw_array(w, name);
        for (size_t i = 0; i < v->count; i++)
            sp_jw_text(w, NULL, v->texts[i]);
        sp_jw_end(w);
        return;
    }
    if (v->text.ptr != NULL) {
        sp_jw_text(w, name, v->text);
        return;
    }
    word = sp_fact_value_name(fact, v->number);
    if (word != NULL)
        sp_jw_cstr(w, name, word);
    else
        sp_jw_int(w, name, v->number);
}

/* returns: whether the fact is one value of the message, kept under its own name */
static bool is_kept(enum sp_fact fact)
{
    return fact != SP_FACT_HEADER && fact != SP_FACT_PHI_COUNT && fact != SP_FACT_PHI_DISTINCT &&
           fact != SP_FACT_RECIPIENT_ADDRESS && fact != SP_FACT_RECIPIENT_DOMAIN &&
           fact != SP_FACT_RECIPIENT_PREFERENCE && fact != SP_FACT_RECIPIENT_PREFERENCE_BY &&
           fact != SP_FACT_RECIPIENT_FIRST_CONTACT && fact != SP_FACT_DOMAIN_REMEMBERED;
}

/* What is a recipient's own, of the facts that is_kept leaves out. */
static const enum sp_fact own_facts[] = {
    SP_FACT_RECIPIENT_PREFERENCE, SP_FACT_RECIPIENT_PREFERENCE_BY, SP_FACT_RECIPIENT_FIRST_CONTACT,
    SP_FACT_DOMAIN_REMEMBERED};

void sp_intake_audit_recipient(struct transaction *tx, const struct recipient *r,
                               struct sp_bytes other)
{
    const struct sp_facts *f = &tx->facts;
    struct sp_buf decided;
    struct sp_jw w;

    if (tx->replay.len > 0)
        sp_buf_put_u8(&tx->replay, ',');
    sp_jw_init(&w, &tx->replay);
    sp_jw_object(&w, NULL);
    sp_jw_text(&w, "recipient.address", r->address);
    for (size_t i = 0; i < SP_ARRAY_LEN(own_facts); i++)
        if (f->values[own_facts[i]].state == SP_FACT_KNOWN)
            put_fact(&w, own_facts[i], &f->values[own_facts[i]]);
    sp_jw_array(&w, "unknown");
    for (size_t i = 0; i < SP_ARRAY_LEN(own_facts); i++)
        if (f->values[own_facts[i]].state == SP_FACT_UNKNOWN)
            sp_jw_cstr(&w, NULL, sp_fact_name(own_facts[i]));
    sp_jw_end(&w);
    sp_buf_init(&decided, SP_DECISION_TEXT_MAX);
    sp_decision_write(&r->decision, &decided);
    if (!sp_bytes_eq(sp_buf_bytes(&decided), sp_buf_bytes(&tx->replay_last))) {
        sp_jw_raw(&w, "decided", sp_buf_bytes(&decided)); /* else as the one before */
        sp_buf_reset(&tx->replay_last);
        sp_buf_put(&tx->replay_last, sp_buf_bytes(&decided));
    }
    sp_buf_clear(&decided);
    if (other.len > 0) /* what is not there is what was decided */
        sp_jw_raw(&w, "other", other);
    sp_jw_end(&w);
}

/* A message with very many recipients may leave no room: its evidence then does without. */
static void put_recipients(struct sp_jw *w, const struct transaction *tx)
{
    struct sp_buf all;

    if (sp_buf_rc(&tx->replay) != SP_OK || w->out->len + tx->replay.len + 64 > SP_RECORD_TEXT_MAX)
        return;
    sp_buf_init(&all, SP_RECORD_TEXT_MAX);
    sp_buf_put_u8(&all, '[');
    sp_buf_put(&all, sp_buf_bytes(&tx->replay));
    sp_buf_put_u8(&all, ']');
    sp_jw_raw(w, "recipients", sp_buf_bytes(&all));
    sp_buf_clear(&all);
}

static void put_open_facts(struct sp_jw *w, struct transaction *tx)
{
    const struct sp_facts *f = &tx->facts;

    sp_jw_object(w, "types");
    for (size_t i = 0; i < f->type_count; i++) {
        sp_jw_object(w, sp_arena_cstr(tx->arena, f->types[i].name));
        sp_jw_int(w, "count", f->types[i].count);
        sp_jw_int(w, "distinct", f->types[i].distinct);
        sp_jw_end(w);
    }
    sp_jw_end(w);
    if (sp_policy_last_stage(tx->policy) < SP_STAGE_HEADER &&
        (tx->other == NULL || sp_policy_last_stage(tx->other) < SP_STAGE_HEADER))
        return;
    sp_jw_array(w, "header");
    for (size_t i = 0; i < f->header_count; i++) {
        sp_jw_array(w, NULL);
        sp_jw_text(w, NULL, f->headers[i].name);
        sp_jw_text(w, NULL, f->headers[i].value);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

void sp_intake_audit_facts(struct transaction *tx, struct sp_buf *out)
{
    const struct sp_facts *f = &tx->facts;
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    for (int i = 0; i < SP_FACT_COUNT; i++) {
        bool found = f->values[i].state == SP_FACT_KNOWN || f->values[i].state == SP_FACT_LEAST;

        if (is_kept((enum sp_fact)i) && found)
            put_fact(&w, (enum sp_fact)i, &f->values[i]);
    }
    sp_jw_int(&w, "language", f->language);
    sp_jw_array(&w, "unknown");
    for (int i = 0; i < SP_FACT_COUNT; i++) {
        if (is_kept((enum sp_fact)i) && f->values[i].state == SP_FACT_UNKNOWN)
            sp_jw_cstr(&w, NULL, sp_fact_name((enum sp_fact)i));
    }
    sp_jw_end(&w);
    sp_jw_int(&w, "time_ms", f->now_ms);
    sp_jw_text(&w, "policy", sp_bytes_cstr(sp_policy_hash(tx->policy)));
    put_stage(&w, tx);
    if (sp_intake_observes(tx)) /* what was decided was not done */
        sp_jw_bool(&w, "observed", true);
    if (tx->scanned && tx->scan_why == SP_OK) /* facts of content are what this version found */
        sp_jw_text(&w, "detector", tx->scan.version);
    put_open_facts(&w, tx);
    put_recipients(&w, tx);
    sp_jw_end(&w);
}
