/*
 * The signals that lie in the header: the secret field, and what Microsoft 365 says of the tenant. A provider writes these
 * fields in one form only, so anything else is no signal: each exactly once, its name letter for letter, one line, one
 * space behind the colon, nothing around the value. Only the top header counts; what stands behind its first empty line is
 * body (mail/header.h). A field that speaks for another tenant refuses the message, however this one was proved.
 */
#include "intake/intake_priv.h"

#define ORIGINATOR_ORG SP_LIT("X-OriginatorOrg")
#define TENANT_ID      SP_LIT("X-MS-Exchange-CrossTenant-Id")
#define AUTH_AS        SP_LIT("X-MS-Exchange-CrossTenant-AuthAs")

/* returns: whether the header has this field once and in the one form; value: what it says */
static bool strict_field(const struct sp_header *h, struct sp_bytes name, struct sp_bytes *value)
{
    struct sp_field f;
    size_t len = name.len + 2;

    if (sp_header_count(h, name) != 1 || !sp_header_find(h, name, 0, &f))
        return false;
    if (f.raw.len < len + 2 || !sp_bytes_eq(sp_bytes_slice(f.raw, 0, name.len), name) ||
        !sp_bytes_eq(sp_bytes_slice(f.raw, name.len, 2), SP_LIT(": ")))
        return false;
    *value = sp_bytes_slice(f.raw, len, f.raw.len - len - 2);
    return sp_bytes_eq(sp_bytes_trim(*value), *value) && value->len > 0 &&
           memchr(value->ptr, '\r', value->len) == NULL;
}

static bool is_among(const struct sp_config_texts *texts, struct sp_bytes value)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (sp_bytes_eq(sp_bytes_cstr(texts->items[i]), value))
            return true;
    }
    return false;
}

static bool is_secret(const struct who *w, struct sp_bytes value)
{
    uint8_t digest[SP_SHA256_LEN];

    sp_crypt_sha256(value, digest);
    return sp_crypt_equal(sp_bytes(digest, sizeof(digest)), sp_bytes(w->secret, sizeof(w->secret)));
}

static void require_microsoft(const struct sp_header *h, const struct sp_tenant *t,
                              struct proof *out)
{
    struct sp_bytes value;
    bool asks = t->proofs.originator_org.count > 0 || t->proofs.tenant_id[0] != 0;

    if (t->proofs.originator_org.count > 0)
        sp_intake_proof_require(out, "originator-org",
                                strict_field(h, ORIGINATOR_ORG, &value) &&
                                    is_among(&t->proofs.originator_org, value));
    if (t->proofs.tenant_id[0] != 0)
        sp_intake_proof_require(out, "tenant-id",
                                strict_field(h, TENANT_ID, &value) &&
                                    sp_bytes_eq(value, sp_bytes_cstr(t->proofs.tenant_id)));
    if (asks)
        sp_intake_proof_require(out, "auth-as",
                                strict_field(h, AUTH_AS, &value) &&
                                    is_among(&t->proofs.auth_as, value));
}

static bool is_among_nocase(const struct sp_config_texts *texts, struct sp_bytes value)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (sp_bytes_eq_nocase(sp_bytes_cstr(texts->items[i]), value))
            return true;
    }
    return false;
}

/* returns: whether the field says what is this tenant's. digest: of its value, filled when first needed */
static bool speaks_for(const struct sp_field *f, const struct who *w, uint8_t *digest, bool *has)
{
    const struct sp_tenant *t = w->tenant;
    struct sp_bytes value = sp_bytes_trim(f->value), secret;

    if (sp_field_is(f, ORIGINATOR_ORG))
        return is_among_nocase(&t->proofs.originator_org, value);
    if (sp_field_is(f, TENANT_ID))
        return t->proofs.tenant_id[0] != 0 &&
               sp_bytes_eq_nocase(value, sp_bytes_cstr(t->proofs.tenant_id));
    secret = sp_bytes_cstr(t->proofs.secret_header.name);
    if (secret.len == 0 || !sp_field_is(f, secret))
        return false;
    if (!*has)
        sp_crypt_sha256(value, digest);
    *has = true;
    return sp_crypt_equal(sp_bytes(digest, SP_SHA256_LEN), sp_bytes(w->secret, sizeof(w->secret)));
}

/* One walk over the fields, whatever the number of tenants. */
static bool is_anothers(const struct transaction *tx, const struct who *w)
{
    struct sp_field f;
    size_t at = 0;

    while (sp_header_next(&tx->header, &at, &f)) {
        uint8_t digest[SP_SHA256_LEN];
        bool has = false;

        if (!sp_field_is(&f, ORIGINATOR_ORG) && !sp_field_is(&f, TENANT_ID) &&
            !sp_intake_is_secret(tx->gen, f.name))
            continue; /* it speaks for nobody, and there may be thousands of tenants */
        for (size_t i = 0; i < tx->gen->tenant_count; i++) {
            if (&tx->gen->tenants[i] != w && speaks_for(&f, &tx->gen->tenants[i], digest, &has))
                return true;
        }
    }
    return false;
}

/* All that header and connection tell of one tenant. */
static void prove_whole(struct transaction *tx, const struct who *w, struct proof *out)
{
    const struct sp_tenant *t = w->tenant;
    struct sp_bytes secret = sp_bytes_cstr(t->proofs.secret_header.name), value;

    if (tx->session->user_tenant != NULL) {
        *out = tx->proof;
    } else {
        sp_intake_prove_connection(tx->session, w, out);
        if (secret.len > 0)
            sp_intake_proof_require(out, "secret-header",
                                    strict_field(&tx->header, secret, &value) &&
                                        is_secret(w, value));
        require_microsoft(&tx->header, t, out);
    }
    if (out->failed_count == 0 && is_anothers(tx, w))
        sp_intake_proof_require(out, "own-signals", false);
}

/* Takes the tenant that was proved: what was asked under another's name is asked anew. */
static void settle(struct transaction *tx, const struct proof *proof)
{
    bool moved = tx->proof.who != proof->who;

    tx->proof = *proof;
    if (!moved)
        return;
    sp_intake_facts_envelope(tx);
    for (size_t i = 0; i < tx->recipient_count; i++)
        tx->recipients[i].decided = false;
}

/* Counts session and message for the tenant that was proved, if MAIL could not tell yet whose they are. */
static enum sp_rc count(struct transaction *tx)
{
    const struct sp_tenant *t = tx->proof.who->tenant;
    enum sp_rc rc = SP_OK;

    if (tx->counted == NULL)
        rc = sp_intake_tenant_begin(tx->session, t);
    if (rc == SP_OK)
        tx->counted = t;
    return rc;
}

/* Whether an envelope sender that is nobody's is one that this tenant may use. */
static bool may_be(const struct transaction *tx, const struct who *w)
{
    struct sp_address sender = {{NULL, 0}, {NULL, 0}};

    if (tx->sender.len > 0 && sp_address_parse(tx->sender, &sender) != SP_OK)
        return false;
    return sp_tenant_is_provable_by_signals(w->tenant) &&
           sp_intake_sender_envelope(tx->gen, w, &sender) == SP_OK;
}

/* Tries one tenant. out: its proof. returns: as sp_intake_attest */
static enum sp_rc try_tenant(struct transaction *tx, const struct who *w, struct proof *out)
{
    enum sp_rc rc = SP_E_INTAKE_STRANGER;

    prove_whole(tx, w, out);
    if (out->failed_count == 0)
        rc = sp_intake_sender_header(tx, w);
    if (rc == SP_OK)
        sp_intake_proof_require(out, "from-domain", true);
    return rc;
}

enum sp_rc sp_intake_attest(struct transaction *tx)
{
    size_t first = tx->among.open ? 0 : tx->among.index;
    size_t end = tx->among.open ? tx->gen->tenant_count : first + 1;
    enum sp_rc rc = SP_E_INTAKE_STRANGER;
    struct proof best = tx->proof;
    bool tried = false;

    for (size_t i = first; i < end && rc != SP_OK; i++) {
        const struct who *w = &tx->gen->tenants[i];
        struct proof p;
        enum sp_rc why;

        if (tx->among.open && !may_be(tx, w))
            continue;
        why = try_tenant(tx, w, &p);
        /* what one that proves itself lacks tells more than what others fail in */
        if (!tried || why == SP_OK || (rc == SP_E_INTAKE_STRANGER && why != rc)) {
            best = p;
            rc = why;
        }
        tried = true;
    }
    settle(tx, &best);
    return rc == SP_OK ? count(tx) : rc;
}
