/*
 * DKIM as a proof (RFC 6376): at least one signature by a domain that the tenant's settings name, valid, and over the whole
 * body. The message goes through the library as it arrives, with nothing taken out of it yet; the keys are asked for as soon as
 * the header is there, so that they are mostly known when the body ends. A signature by any other domain is nobody's
 * business here and costs no question. If a key can't be had now, the client is told to come again.
 *
 * Where the settings ask for no signature, one by a domain of the tenant's is looked at all the same: if it is good, the record
 * says so (a signal more than were needed), and if it is not, or can't be judged now, nothing comes of it. Mail waits for such
 * keys a moment at most: a resolver that is down delays nobody's.
 */
#include "intake/intake_priv.h"

#include <stdio.h>

#define KEYS_MAX     4
#define NOTE_WAIT_MS 400 /* behind the body, for keys of a signature that is only noted */
#define KEY_NAME_MAX 330
#define KEY_TEXT_MAX 2048

struct key {
    struct transaction *tx;
    char name[KEY_NAME_MAX]; /* selector._domainkey.domain */
    sp_handle question;      /* 0: answered */
    enum sp_rc rc;
    char text[KEY_TEXT_MAX];
};

struct signature {
    struct sp_dkim_run *run;
    enum sp_rc rc; /* of the run so far */
    struct key keys[KEYS_MAX];
    size_t count;
    size_t open;   /* questions without an answer */
    bool required; /* else it is only noted */
    struct sp_timer *patience;
    void (*then)(struct transaction *tx, enum sp_rc rc);
};

static void judge(struct transaction *tx);

static void on_key(void *arg, const struct sp_dns_answer *answer)
{
    struct key *k = arg;
    struct signature *sig = k->tx->signature;

    k->question = 0;
    k->rc = answer->rc;
    sig->open--;
    if (answer->rc == SP_OK && answer->count == 1 && answer->records[0].data.len < KEY_TEXT_MAX) {
        memcpy(k->text, answer->records[0].data.ptr, answer->records[0].data.len);
        k->text[answer->records[0].data.len] = 0;
    } else if (answer->rc == SP_OK) {
        k->rc = SP_E_DNS_NONE; /* no record or several: no key (RFC 6376 3.6.2.2) */
    }
    if (sig->open == 0 && sig->then != NULL)
        judge(k->tx);
}

static enum sp_rc look_up(void *ctx, const char *name, char *out, size_t len)
{
    const struct signature *sig = ctx;

    for (size_t i = 0; i < sig->count; i++) {
        const struct key *k = &sig->keys[i];

        if (!sp_bytes_eq_nocase(sp_bytes_cstr(k->name), sp_bytes_cstr(name)))
            continue;
        if (k->rc == SP_OK)
            snprintf(out, len, "%s", k->text);
        return k->rc;
    }
    return SP_E_DNS_NONE; /* not one of the tenant's */
}

static bool is_signer(const struct transaction *tx, struct sp_bytes domain)
{
    const struct sp_config_texts *wanted = &tx->proof.who->tenant->proofs.dkim;

    if (!tx->signature->required)
        return sp_tenant_has_domain(tx->proof.who->tenant, domain);
    for (size_t i = 0; i < wanted->count; i++) {
        if (sp_bytes_eq_nocase(sp_bytes_cstr(wanted->items[i]), domain))
            return true;
    }
    return false;
}

static bool is_label_text(struct sp_bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (!sp_ascii_is_alnum(b.ptr[i]) && b.ptr[i] != '-' && b.ptr[i] != '_' && b.ptr[i] != '.')
            return false;
    }
    return b.len > 0 && b.len < 256;
}

/* Asks for the key of one signature, if it is a wanted domain's. */
static void ask(struct transaction *tx, const struct sp_field *f)
{
    struct signature *sig = tx->signature;
    struct key *k = &sig->keys[sig->count];
    struct sp_bytes domain, selector;
    int n;

    if (!sp_dkim_tag_find(f, 'd', &domain) || !sp_dkim_tag_find(f, 's', &selector) ||
        !is_signer(tx, domain) || !is_label_text(selector))
        return;
    n = snprintf(k->name, sizeof(k->name), "%.*s._domainkey.%.*s", SP_FMT(selector),
                 SP_FMT(domain));
    if (n < 0 || (size_t)n > SP_DNS_NAME_MAX)
        return;
    for (size_t i = 0; i < sig->count; i++) {
        if (strcmp(sig->keys[i].name, k->name) == 0)
            return;
    }
    k->tx = tx;
    k->rc = SP_E_DNS_TIMEOUT;
    sig->count++;
    if (tx->gen->resolver == NULL)
        return;
    sig->open++;
    k->question = sp_dns_ask(sp_dns_resolver_ops(tx->gen->resolver), sp_bytes_cstr(k->name),
                             SP_DNS_TXT, on_key, k);
}

static void ask_all(struct transaction *tx)
{
    struct signature *sig = tx->signature;
    size_t at = 0, seen = 0;
    struct sp_field f;

    while (sig->count < KEYS_MAX && seen < SP_DKIM_RESULTS_MAX &&
           sp_header_next_of(&tx->header, SP_LIT("DKIM-Signature"), &at, &f)) {
        if (!sp_dkim_is_looked_at(&f))
            continue;
        seen++;
        ask(tx, &f);
    }
}

void sp_intake_signature_start(struct transaction *tx)
{
    struct signature *sig = sp_calloc(1, sizeof(*sig));
    struct sp_intake *in = tx->in;
    struct sp_err err;

    tx->signature = sig;
    sig->required = tx->proof.who->tenant->proofs.dkim.count > 0;
    if (sig->required || tx->gen->resolver != NULL)
        ask_all(tx);
    if (!sig->required && sig->count == 0) { /* nothing to look at: the message is not hashed */
        sp_intake_signature_free(tx);
        return;
    }
    if (in->dkim == NULL)
        sig->rc = sp_dkim_new(&in->dkim, &err);
    if (sig->rc == SP_OK)
        sig->rc = sp_dkim_verify_new(in->dkim, look_up, sig, &sig->run, &err);
}

void sp_intake_signature_feed(struct transaction *tx, struct sp_bytes bytes)
{
    struct signature *sig = tx->signature;
    struct sp_err err;

    if (sig != NULL && sig->rc == SP_OK)
        sig->rc = sp_dkim_run_feed(sig->run, bytes, &err);
}

/* returns: SP_OK if a wanted domain signed; SP_E_INTAKE_LATER if that can't be known now; else SP_E_INTAKE_STRANGER */
static enum sp_rc verdict(struct transaction *tx)
{
    struct signature *sig = tx->signature;
    struct sp_dkim_result results[SP_DKIM_RESULTS_MAX];
    enum sp_rc rc = sig->rc;
    bool later = false;
    size_t count = 0;
    struct sp_err err;

    if (rc == SP_OK)
        rc = sp_dkim_verify_finish(sig->run, results, &count, &err);
    if (rc != SP_OK)
        return SP_E_INTAKE_STRANGER;
    for (size_t i = 0; i < count; i++) {
        if (!is_signer(tx, sp_bytes_cstr(results[i].domain)))
            continue;
        if (results[i].valid && results[i].whole)
            return SP_OK;
        later = later || results[i].why == SP_E_DNS_TIMEOUT;
    }
    return later ? SP_E_INTAKE_LATER : SP_E_INTAKE_STRANGER;
}

static void judge(struct transaction *tx)
{
    void (*then)(struct transaction *, enum sp_rc) = tx->signature->then;
    enum sp_rc rc = verdict(tx);
    bool required = tx->signature->required;

    sp_intake_signature_free(tx);
    if (required)
        sp_intake_proof_require(&tx->proof, "dkim", rc == SP_OK);
    else if (rc == SP_OK)
        sp_intake_proof_note(&tx->proof, "dkim");
    then(tx, required ? rc : SP_OK);
}

/* The keys that are still open count as not to be had. */
static void on_late(void *arg)
{
    judge(arg);
}

void sp_intake_signature_finish(struct transaction *tx,
                                void (*then)(struct transaction *tx, enum sp_rc rc))
{
    struct signature *sig = tx->signature;

    sig->then = then;
    if (sig->open == 0) {
        judge(tx);
    } else if (!sig->required) {
        sig->patience = sp_timer_new(tx->in->parts.loop, on_late, tx);
        sp_timer_start(sig->patience, NOTE_WAIT_MS);
    }
}

void sp_intake_signature_free(struct transaction *tx)
{
    struct signature *sig = tx->signature;

    if (sig == NULL)
        return;
    for (size_t i = 0; i < sig->count; i++) {
        if (sig->keys[i].question != 0)
            sp_dns_cancel(sp_dns_resolver_ops(tx->gen->resolver), sig->keys[i].question);
    }
    sp_timer_free(sig->patience);
    sp_dkim_run_free(sig->run);
    sp_free(sig);
    tx->signature = NULL;
}
