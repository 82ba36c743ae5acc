/*
 * Refusals, told to the ledger's own journal. Anybody can cause them, so they are limited: past the burst they are
 * counted, and the next one told says how many were not.
 */
#include "base/text.h"
#include "intake/intake_priv.h"
#include "jobs/act.h"

#define TOLD_WITHIN_MS 30000
#define TO_BYTES       (SP_JOBS_ACT_MAX / 2) /* of recipients that are named; the others are counted */

/* A bucket of tokens. returns: whether this one may be told */
static bool may_tell(struct sp_intake *in)
{
    int64_t now = sp_clock_mono_ms(in->parts.clock);

    in->refusal_tokens += (double)(now - in->refusal_at_ms) * REFUSALS_PER_SECOND / 1000.0;
    in->refusal_at_ms = now;
    if (in->refusal_tokens > REFUSALS_BURST)
        in->refusal_tokens = REFUSALS_BURST;
    if (in->refusal_tokens < 1.0) {
        in->refusals_untold++;
        return false;
    }
    in->refusal_tokens -= 1.0;
    return true;
}

static void on_told(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    (void)reply;
    if (rc != SP_OK)
        sp_log_warn(arg, "intake.refusal-untold", SP_RC("why", rc));
}

static void tell(struct sp_intake *in, struct sp_bytes event)
{
    struct sp_jobs_act_request act = {.batch = true, .event = event};
    struct sp_jobs_request call = {.role = SP_ROLE_LEDGER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_ACT,
                                   .timeout_ms = TOLD_WITHIN_MS,
                                   .wait_for_peer = true};
    struct sp_buf payload;

    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_act_request_encode(&payload, &act);
    if (sp_buf_rc(&payload) == SP_OK) {
        call.payload = sp_buf_bytes(&payload);
        /* the log is all that the answer needs: it may come when intake has gone */
        (void)sp_jobs_call(in->parts.jobs, &call, on_told, in->parts.log);
    }
    sp_buf_clear(&payload);
}

bool sp_intake_is_proof_rc(enum sp_rc rc)
{
    switch (rc) {
    case SP_E_INTAKE_STRANGER:
    case SP_E_INTAKE_SENDER:
    case SP_E_INTAKE_FROM:
    case SP_E_INTAKE_FROM_COUNT:
    case SP_E_INTAKE_NULL:
    case SP_E_INTAKE_FORWARD:
    case SP_E_INTAKE_CALENDAR:
    case SP_E_INTAKE_SHARED:
    case SP_E_INTAKE_SENDER_FIELD:
    case SP_E_INTAKE_SUBDOMAIN:
    case SP_E_INTAKE_ONMICROSOFT:
        return true;
    default:
        return false;
    }
}

static void put_names(struct sp_jw *w, const char *key, const char *const *names, size_t count)
{
    sp_jw_array(w, key);
    for (size_t i = 0; i < count; i++)
        sp_jw_cstr(w, NULL, names[i]);
    sp_jw_end(w);
}

/* What was asked for in the name of the tenant that it claimed to be, and what of it failed. */
static void put_failed(struct sp_jw *w, const struct proof *p, enum sp_rc rc)
{
    if (p->who == NULL || !sp_intake_is_proof_rc(rc))
        return;
    sp_jw_object(w, "proof");
    sp_jw_cstr(w, "claimed", p->who->tenant->name);
    put_names(w, "required", p->required, p->required_count);
    put_names(w, "failed", p->failed, p->failed_count);
    sp_jw_end(w);
}

static void put_transaction(struct sp_jw *w, const struct transaction *tx)
{
    size_t told = 0;

    if (tx == NULL)
        return;
    if (tx->proof.failed_count == 0)
        sp_jw_cstr(w, "tenant", tx->proof.who->tenant->name);
    sp_jw_id(w, "message", tx->id.b);
    sp_jw_text(w, "from", tx->sender);
    sp_jw_array(w, "to");
    for (; told < tx->recipient_count && w->out->len < TO_BYTES; told++)
        sp_jw_text(w, NULL, tx->recipients[told].address);
    sp_jw_end(w);
    if (told < tx->recipient_count)
        sp_jw_int(w, "to_untold", (int64_t)(tx->recipient_count - told));
    sp_jw_cstr(w, "policy", sp_policy_hash(tx->policy));
}

void sp_intake_refused(struct session *s, struct transaction *tx, const char *event, enum sp_rc rc,
                       struct sp_bytes rule)
{
    struct sp_intake *in = s->in;
    struct sp_buf b;
    struct sp_jw w;

    in->stats.refused++;
    in->refused_why[rc]++;
    if (sp_intake_is_proof_rc(rc)) {
        struct sight what = {
            .rc = rc, .proof = tx != NULL ? &tx->proof : &s->refused, .session = s};

        sp_intake_note_seen(in, SIGHTING_REFUSED, &what);
    }
    if (!may_tell(in))
        return;
    sp_buf_init(&b, SP_JOBS_ACT_MAX);
    sp_jw_init(&w, &b);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", event);
    put_transaction(&w, tx);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "client");
    sp_jw_cstr(&w, "ip", s->ip);
    if (s->helo.len > 0)
        sp_jw_text(&w, "helo", sp_buf_bytes(&s->helo));
    sp_jw_cstr(&w, "auth", tx != NULL ? tx->proof.auth : "none");
    sp_jw_end(&w);
    put_failed(&w, tx != NULL ? &tx->proof : &s->refused, rc);
    sp_jw_cstr(&w, "why", sp_rc_name(rc));
    if (rule.len > 0)
        sp_jw_text(&w, "rule", rule);
    if (in->refusals_untold > 0)
        sp_jw_int(&w, "untold_before", (int64_t)in->refusals_untold);
    in->refusals_untold = 0;
    sp_jw_end(&w);
    tell(in, sp_buf_bytes(&b));
    sp_buf_clear(&b);
}
