/*
 * One message: its content is read by range, the entity of lib/seal goes through S/MIME or PGP (or is copied with edits),
 * and what comes out is written as sealed content. Every recipient of the job must have a key in it, or nothing is done: a
 * message is never encrypted to fewer than it goes to.
 */
#include "gateway/sealer/output.h"
#include "gateway/sealer/sealer.h"

#include "base/mem.h"
#include "base/strike.h"
#include "base/text.h"
#include "jobs/keys.h"
#include "seal/wrap.h"

struct sealing {
    struct sealer *sealer;
    const struct sealer_tenant *tenant; /* NULL: the request names none, signs with nothing */
    const struct sp_jobs_seal_request *request;
    struct sp_smime_facts smime;
    const char *pgp_signer;
    bool dkim;
    struct sp_err *err;
};

static enum sp_rc read_content(void *ctx, uint64_t offset, void *buf, size_t len)
{
    size_t got = 0;
    enum sp_rc rc = sp_content_read(ctx, offset, buf, len, &got);

    return rc == SP_OK && got != len ? SP_E_CONTENT_TRUNCATED : rc;
}

/* A tenant that is not known (yet, or any more: reloads reach roles one by one) may well have keys: a later try tells,
 * and until then nothing leaves unsigned. */
static enum sp_rc check_tenant(const struct sealing *s)
{
    static const enum sp_rc rcs[SP_JOBS_SEAL_METHOD_COUNT] = {
        [SP_JOBS_SEAL_SMIME] = SP_E_SMIME_FAILED,
        [SP_JOBS_SEAL_PGP] = SP_E_PGP_FAILED,
        [SP_JOBS_SEAL_SIGN] = SP_E_DKIM_FAILED,
    };

    if (s->tenant != NULL || !s->request->sign || s->request->tenant.len == 0)
        return SP_OK;
    return sp_fail(s->err, rcs[s->request->method], "the tenant is not known here");
}

static bool has_key(const struct sp_jobs_seal_request *r, struct sp_bytes recipient)
{
    for (size_t i = 0; i < r->key_count; i++)
        if (sp_bytes_eq_nocase(r->keys[i].recipient, recipient))
            return true;
    return false;
}

static enum sp_rc check_keys(const struct sp_jobs_seal_request *r, struct sp_err *err)
{
    if (r->recipient_count == 0)
        return sp_fail(err, SP_E_KEYS_NONE, "no recipients");
    for (size_t i = 0; i < r->recipient_count; i++)
        if (!has_key(r, r->recipients[i]))
            return sp_fail(err, SP_E_KEYS_NONE, "a recipient has no key in the job");
    return SP_OK;
}

static enum sp_rc seal_smime(struct sealing *s, struct sp_seal_entity *entity,
                             struct sp_seal_sink out)
{
    static const enum sp_smime_cipher ciphers[] = {[SP_JOBS_SEAL_CIPHER_AUTO] = SP_SMIME_AUTO,
                                                   [SP_JOBS_SEAL_CIPHER_CBC] = SP_SMIME_CBC,
                                                   [SP_JOBS_SEAL_CIPHER_GCM] = SP_SMIME_GCM};
    const struct sp_jobs_seal_request *r = s->request;
    struct sp_smime_recipient recipients[SP_SMIME_RECIPIENTS_MAX];
    struct sp_smime_params params = {
        .recipients = recipients,
        .recipient_count = r->key_count,
        .cipher = ciphers[r->cipher],
        .now_ms = sp_clock_wall_ms(sp_loop_clock(sp_role_loop(s->sealer->role))),
    };

    if (r->key_count > SP_SMIME_RECIPIENTS_MAX)
        return sp_fail(s->err, SP_E_LIMIT, "more than %d keys", SP_SMIME_RECIPIENTS_MAX);
    if (r->sign && s->tenant != NULL) {
        if (s->tenant->smime_failed)
            return sp_fail(s->err, SP_E_SMIME_FAILED, "the tenant's certificate can't be used");
        params.signer = s->tenant->smime;
    }
    for (size_t i = 0; i < r->key_count; i++)
        recipients[i] = (struct sp_smime_recipient){
            .certificate = r->keys[i].bytes,
            .gcm = (r->keys[i].abilities & SP_JOBS_KEYS_CAN_GCM) != 0,
            .oaep = (r->keys[i].abilities & SP_JOBS_KEYS_CAN_OAEP) != 0,
        };
    return sp_smime_seal(&params, entity, out, &s->smime, s->err);
}

static enum sp_rc seal_pgp(struct sealing *s, struct sp_seal_entity *entity,
                           struct sp_seal_sink out)
{
    const struct sp_jobs_seal_request *r = s->request;
    struct sp_bytes keys[SP_PGP_RECIPIENTS_MAX];

    if (s->sealer->pgp == NULL ||
        (r->sign && s->tenant != NULL && s->tenant->pgp.failed && s->tenant->pgp.may_pass))
        sealer_pgp_again(s->sealer);
    if (s->sealer->pgp == NULL)
        return sp_fail(s->err, SP_E_PGP_FAILED, "gpg does not run");
    if (r->key_count > SP_PGP_RECIPIENTS_MAX)
        return sp_fail(s->err, SP_E_LIMIT, "more than %d keys", SP_PGP_RECIPIENTS_MAX);
    if (r->sign && s->tenant != NULL) {
        if (s->tenant->pgp.failed)
            return sp_fail(s->err, SP_E_PGP_FAILED, "the tenant's PGP key can't be used");
        s->pgp_signer = s->tenant->pgp.fingerprint[0] == 0 ? NULL : s->tenant->pgp.fingerprint;
    }
    for (size_t i = 0; i < r->key_count; i++)
        keys[i] = r->keys[i].bytes;
    return sp_pgp_seal(s->sealer->pgp,
                       &(struct sp_pgp_params){s->pgp_signer, keys, r->key_count, false}, entity,
                       out, s->err);
}

static enum sp_rc run_method(struct sealing *s, struct sp_seal_source source,
                             const struct sp_seal_options *options, struct sp_seal_sink out)
{
    SP_AUTO(sp_seal_entity) entity = NULL;
    enum sp_rc rc;

    if (s->request->method == SP_JOBS_SEAL_SIGN)
        return sp_seal_copy(source, options, out, s->err);
    rc = check_keys(s->request, s->err);
    if (rc == SP_OK)
        rc = sp_seal_entity_new(source, options, &entity, s->err);
    if (rc != SP_OK)
        return rc;
    return s->request->method == SP_JOBS_SEAL_SMIME ? seal_smime(s, entity, out)
                                                    : seal_pgp(s, entity, out);
}

static enum sp_rc start_dkim(struct sealing *s, struct sp_dkim_sign **out)
{
    const struct sealer_tenant *t = s->tenant;

    if (t == NULL || !sp_tenant_signs(t->config))
        return SP_OK;
    if (t->dkim_failed)
        return sp_fail(s->err, SP_E_DKIM_FAILED,
                       "the tenant has a DKIM selector whose key is not there or can't be used");
    s->dkim = true;
    return sp_dkim_sign_new(t->dkim, t->dkim_count,
                            sp_clock_wall_ms(sp_loop_clock(sp_role_loop(s->sealer->role))), out,
                            s->err);
}

static void write_facts(const struct sealing *s, struct sp_buf *out)
{
    const struct sp_jobs_seal_request *r = s->request;
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "method", sp_jobs_seal_method_name(r->method));
    if (r->method == SP_JOBS_SEAL_SMIME) {
        sp_jw_cstr(&w, "cipher", s->smime.cipher);
        sp_jw_cstr(&w, "transport", s->smime.transport);
    }
    if (r->method != SP_JOBS_SEAL_SIGN) {
        sp_jw_bool(&w, "signed", s->smime.digest != NULL || s->pgp_signer != NULL);
        sp_jw_bool(&w, "subject_protected", r->protected_subject.len > 0);
        sp_jw_array(&w, "keys");
        for (size_t i = 0; i < r->key_count; i++)
            sp_jw_text(&w, NULL, r->keys[i].id);
        sp_jw_end(&w);
    }
    if (s->dkim) {
        sp_jw_object(&w, "dkim");
        sp_jw_cstr(&w, "domain", s->tenant->dkim[0].domain);
        sp_jw_cstr(&w, "selector", s->tenant->dkim[0].selector);
        if (s->tenant->dkim_count > 1)
            sp_jw_cstr(&w, "also", s->tenant->dkim[1].selector);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
}

static enum sp_rc write_reply(const struct sealing *s, struct sealer_output *output,
                              struct sp_buf *reply)
{
    struct sp_jobs_seal_reply r = {0};
    struct sp_buf facts;
    enum sp_rc rc;

    sp_content_init(&r.content);
    rc = sealer_output_finish(output, &r.content, r.sha256);
    if (rc != SP_OK)
        return rc;
    sp_buf_init(&facts, SP_JOBS_SEAL_FACTS_MAX);
    write_facts(s, &facts);
    r.facts = sp_buf_bytes(&facts);
    sp_jobs_seal_reply_encode(reply, &r);
    rc = sp_buf_rc(&facts) == SP_OK ? sp_buf_rc(reply) : SP_E_LIMIT;
    sp_buf_clear(&facts);
    sp_content_clear(&r.content);
    return rc == SP_OK ? SP_OK : sp_fail(s->err, rc, "the reply is too long");
}

/* The request's edits; fields and text stay lent. returns: SP_E_LIMIT if there are too many */
static enum sp_rc options_of(const struct sp_jobs_seal_request *r, const char *outer_subject,
                             struct sp_seal_field *add, struct sp_seal_options *out)
{
    if (r->strip_count > SP_SEAL_STRIP_MAX || r->add_count > SP_SEAL_ADD_MAX)
        return SP_E_LIMIT;
    *out = (struct sp_seal_options){
        .protect_subject = r->protected_subject.len > 0,
        .strip_tag = r->strip_tag,
        .outer_subject = outer_subject,
        .strip_count = r->strip_count,
        .add = add,
        .add_count = r->add_count,
    };
    for (size_t i = 0; i < r->strip_count; i++)
        out->strip[i] = r->strip[i];
    for (size_t i = 0; i < r->add_count; i++)
        add[i] = (struct sp_seal_field){r->add[i].name, r->add[i].value};
    return SP_OK;
}

enum sp_rc sealer_seal(struct sealer *sealer, const struct sp_jobs_seal_request *request, int fd,
                       struct sp_buf *reply, struct sp_err *err)
{
    struct sealing s = {.sealer = sealer,
                        .tenant = sealer_tenant_find(sealer, request->tenant),
                        .request = request,
                        .err = err};
    SP_AUTO(sp_content_reader) reader = sp_content_reader_new(&request->content);
    struct sp_seal_source source = {read_content, request->content.len, reader};
    char *outer_subject = sp_strdup_bytes(request->protected_subject);
    SP_AUTO(sp_seal_wrap) wrap = NULL;
    struct sp_seal_field add[SP_SEAL_ADD_MAX];
    struct sp_dkim_sign *dkim = NULL;
    struct sp_seal_options options;
    struct sealer_output output;
    enum sp_rc rc = options_of(request, outer_subject, add, &options);
    struct sp_bytes head;

    if (sp_content_view(reader, 0, &head) == SP_OK)
        SP_STRIKE("sealer", sp_bytes_slice(head, 0, SP_STRIKE_HEAD_LEN));
    if (rc != SP_OK)
        sp_fail(err, rc, "too many header edits");
    else
        rc = check_tenant(&s);
    if (rc == SP_OK && (request->above.len > 0 || request->below.len > 0))
        rc = sp_seal_wrap_new(source, request->above, request->below, &wrap, err);
    if (wrap != NULL)
        source = sp_seal_wrap_source(wrap);
    if (rc == SP_OK)
        rc = start_dkim(&s, &dkim);
    if (rc == SP_OK) {
        sealer_output_init(&output, &request->content.id, fd, dkim, err);
        rc = run_method(&s, source, &options, sealer_output_sink(&output));
        if (rc == SP_OK)
            rc = write_reply(&s, &output, reply);
        sealer_output_clear(&output);
    }
    sp_free(outer_subject);
    return rc;
}
