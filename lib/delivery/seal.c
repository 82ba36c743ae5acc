/*
 * Copies that the sealer makes: S/MIME and PGP for rungs of that name, and signed anew where a rule edits the message.
 * The keeper's answer and its silence are two things: "no key" opens the next rung, an error does not. A copy is used
 * for the rung that it was made for and for no other.
 */
#include "delivery/delivery_priv.h"

#include "base/fault.h"
#include "base/memfd.h"
#include "jobs/keys.h"
#include "jobs/seal.h"

#include <fcntl.h>
#include <unistd.h>

#define PAYLOAD_MAX ((size_t)4 * 1024 * 1024)

struct sp_key_ring {
    struct sp_arena *arena;
    struct sp_jobs_keys_reply reply; /* in arena */
};

static void free_ring(struct sp_key_ring *ring)
{
    if (ring == NULL)
        return;
    sp_arena_free(ring->arena);
    sp_free(ring);
}

void sp_attempt_clear_seal(struct sp_attempt *a)
{
    free_ring(a->keys);
    a->keys = NULL;
}

/* A role's error is never an answer, whatever code it has. */
static enum sp_rc unsure(enum sp_rc rc)
{
    return sp_rc_info(rc)->class == SP_CLASS_PERM ? SP_E_ROLE_GONE : rc;
}

/* ---- keys ---- */

static enum sp_rc kind_rc(const struct sp_jobs_keys_reply *reply, enum sp_jobs_key_kind kind)
{
    struct sp_bytes prefix = sp_bytes_cstr(sp_jobs_key_kind_name(kind));

    for (size_t i = 0; i < reply->key_count; i++)
        if (reply->keys[i].kind == kind)
            return SP_OK;
    for (size_t i = 0; i < reply->refused_count; i++) {
        if (!sp_bytes_starts_nocase(reply->refused[i].id, prefix))
            continue;
        return sp_bytes_starts_nocase(reply->refused[i].why, SP_LIT("not-after"))
                   ? SP_E_KEYS_EXPIRED
                   : SP_E_KEYS_UNUSABLE;
    }
    return SP_E_KEYS_NONE;
}

static enum sp_rc read_ring(struct sp_attempt *a, struct sp_bytes payload)
{
    struct sp_key_ring *ring = sp_calloc(1, sizeof(*ring));
    enum sp_rc rc;

    ring->arena = sp_arena_new(4096);
    rc = sp_jobs_keys_reply_decode(sp_arena_copy(ring->arena, payload), ring->arena, &ring->reply);
    if (rc == SP_OK) {
        a->keys = ring;
        return SP_OK;
    }
    free_ring(ring);
    return rc;
}

static void on_keys(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct sp_attempt *a = arg;

    a->wait_job = 0;
    if (rc == SP_OK)
        rc = read_ring(a, reply->payload);
    if (rc != SP_OK)
        sp_outcome_keys(&a->s, unsure(rc), unsure(rc));
    else
        sp_outcome_keys(&a->s, kind_rc(&a->keys->reply, SP_JOBS_KEY_SMIME),
                        kind_rc(&a->keys->reply, SP_JOBS_KEY_PGP));
    sp_attempt_step(a);
}

void sp_attempt_ask_keys(struct sp_attempt *a)
{
    struct sp_jobs_keys_request what = {
        .address = sp_attempt_address(a, 0),
        .tenant = a->p->m->accept.tenant,
    };
    struct sp_buf payload;
    struct sp_jobs_request call = {
        .role = SP_ROLE_KEEPER,
        .index = SP_JOBS_ANY,
        .type = SP_JOBS_KEYS,
        .timeout_ms = a->d->settings.job_ms,
    };

    sp_assert(a->n_count == 1);
    sp_attempt_clear_seal(a);
    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_keys_request_encode(&payload, &what);
    call.payload = sp_buf_bytes(&payload);
    a->wait_job = sp_jobs_call(a->d->parts.jobs, &call, on_keys, a);
    sp_buf_clear(&payload);
}

/* ---- sealing ---- */

struct seal_wait { /* what the call back needs; in the attempt's arena */
    struct sp_attempt *a;
    enum sp_jobs_seal_method method;
    int fd; /* the output */
};

static int open_output(const struct sp_attempt *a)
{
    const char *dir = a->d->settings.work_dir;
    int fd = -1;

    if (dir != NULL && dir[0] != '\0')
        fd = SP_FAULT("delivery.copy") ? -1 : open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : sp_memfd_new("sealed");
}

static enum sp_rc take_copy(struct sp_attempt *a, struct seal_wait *w, struct sp_bytes payload)
{
    struct sp_jobs_seal_reply reply;
    enum sp_rc rc = sp_jobs_seal_reply_decode(payload, &reply);

    if (rc != SP_OK)
        return unsure(rc); /* nonsense is no refusal: another rung must not take its place */
    sp_content_clear(&a->sealed);
    a->sealed = reply.content;
    a->sealed.fd = w->fd;
    w->fd = -1;
    memcpy(a->sealed_sha256, reply.sha256, sizeof(a->sealed_sha256));
    a->seal_facts = sp_arena_copy(a->arena, reply.facts);
    a->copy_method = w->method;
    a->has_copy = true;
    return SP_OK;
}

static void on_sealed(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct seal_wait *w = arg;
    struct sp_attempt *a = w->a;

    a->wait_job = 0;
    if (rc == SP_OK)
        rc = take_copy(a, w, reply->payload);
    if (w->fd >= 0)
        (void)close(w->fd);
    a->seal_fd = -1;
    if (rc == SP_OK && w->method == SP_JOBS_SEAL_SIGN &&
        a->ladder.rungs[a->taken].rung == SP_RUNG_PORTAL) {
        sp_attempt_deposit(a); /* no host is asked for it */
        return;
    }
    if (rc == SP_OK) {
        sp_attempt_ask_hops(a);
        return;
    }
    sp_log_warn(a->d->parts.log, "delivery.seal-failed", SP_ID("message", &a->p->m->accept.id),
                SP_TEXT("method", sp_jobs_seal_method_name(w->method)), SP_RC("why", rc));
    sp_attempt_rung_failed(a, rc);
}

static size_t pick_keys(const struct sp_attempt *a, enum sp_jobs_seal_method method,
                        struct sp_jobs_seal_key *out)
{
    enum sp_jobs_key_kind kind = method == SP_JOBS_SEAL_SMIME ? SP_JOBS_KEY_SMIME : SP_JOBS_KEY_PGP;
    size_t count = 0;

    for (size_t i = 0; method != SP_JOBS_SEAL_SIGN && i < a->keys->reply.key_count; i++) {
        const struct sp_jobs_key *k = &a->keys->reply.keys[i];

        if (k->kind == kind)
            out[count++] = (struct sp_jobs_seal_key){
                .recipient = sp_attempt_address(a, 0),
                .id = k->id,
                .bytes = k->bytes,
                .abilities = k->abilities,
            };
    }
    return count;
}

/* What the rule asks for; else the certificates say. */
static enum sp_jobs_seal_cipher cipher_of(const struct sp_attempt *a)
{
    if (sp_bytes_eq(a->options->smime_cipher, SP_LIT("aes-256-gcm")))
        return SP_JOBS_SEAL_CIPHER_GCM;
    if (sp_bytes_eq(a->options->smime_cipher, SP_LIT("aes-256-cbc")))
        return SP_JOBS_SEAL_CIPHER_CBC;
    return SP_JOBS_SEAL_CIPHER_AUTO;
}

/* A bounce that goes on as it came: a stranger's words, whatever From says, and never under the tenant's signature. */
static bool is_passed_on(const struct sp_accept *accept)
{
    return accept->kind == SP_ACCEPT_KIND_DSN && (accept->needs & SP_SENDER_FOREIGN) != 0;
}

static void fill_request(struct sp_attempt *a, enum sp_jobs_seal_method method,
                         struct sp_jobs_seal_request *r)
{
    const struct sp_accept *accept = &a->p->m->accept;
    const struct sp_options *o = a->options;
    struct sp_jobs_seal_key *keys = sp_arena_alloc(a->arena, SP_JOBS_KEYS_MAX * sizeof(*keys));
    struct sp_jobs_seal_field *add = sp_arena_alloc(a->arena, SP_OPTIONS_FIELDS_MAX * sizeof(*add));
    struct sp_bytes *to = sp_arena_alloc(a->arena, a->n_count * sizeof(*to));
    struct sp_bytes *strip = sp_arena_alloc(a->arena, (SP_OPTIONS_FIELDS_MAX + 1) * sizeof(*strip));

    for (size_t i = 0; i < a->n_count; i++)
        to[i] = sp_attempt_address(a, i);
    for (size_t i = 0; i < o->add_count; i++)
        add[i] = (struct sp_jobs_seal_field){o->add[i].name, o->add[i].value};
    r->method = method;
    r->cipher = cipher_of(a);
    r->sign = !is_passed_on(accept);
    r->strip_tag = o->strip_subject_tag;
    r->tenant = accept->tenant;
    r->from = accept->sender;
    r->protected_subject = o->protect_subject ? o->subject : SP_LIT("");
    r->recipients = to;
    r->recipient_count = a->n_count;
    r->keys = keys;
    r->key_count = pick_keys(a, method, keys);
    r->add = add;
    r->add_count = o->add_count;
    strip[0] = SP_LIT("Bcc");
    memcpy(&strip[1], o->strip, o->strip_count * sizeof(*strip));
    r->strip = strip;
    r->strip_count = o->strip_count + 1;
    r->above = o->notice;
    r->below = o->footer;
}

static enum sp_rc call_sealer(struct sp_attempt *a, const struct sp_jobs_seal_request *r,
                              struct seal_wait *w)
{
    int fds[2] = {r->content.fd, w->fd};
    struct sp_jobs_request call = {
        .role = SP_ROLE_SEALER,
        .index = SP_JOBS_ANY,
        .type = SP_JOBS_SEAL,
        .fds = fds,
        .fd_count = 2,
        .timeout_ms = a->d->settings.job_ms,
    };
    struct sp_buf payload;
    enum sp_rc rc;

    sp_buf_init(&payload, PAYLOAD_MAX);
    sp_jobs_seal_request_encode(&payload, r);
    call.payload = sp_buf_bytes(&payload);
    rc = sp_buf_rc(&payload);
    if (rc == SP_OK)
        a->wait_job = sp_jobs_call(a->d->parts.jobs, &call, on_sealed, w);
    sp_buf_wipe(&payload);
    return rc;
}

static enum sp_jobs_seal_method method_of(enum sp_rung rung)
{
    if (rung == SP_RUNG_SMIME)
        return SP_JOBS_SEAL_SMIME;
    return rung == SP_RUNG_PGP ? SP_JOBS_SEAL_PGP : SP_JOBS_SEAL_SIGN;
}

/* Mail of ours in the name of a tenant that signs. Reports on TLS are of such a tenant always (RFC 8460 5.3). */
static bool is_signed(const struct sp_attempt *a)
{
    const struct sp_delivery_settings *s = &a->d->settings;
    const struct sp_accept *accept = &a->p->m->accept;

    if (accept->kind == SP_ACCEPT_KIND_MAIL || accept->kind == SP_ACCEPT_KIND_REPORT)
        return accept->kind == SP_ACCEPT_KIND_REPORT;
    if (is_passed_on(accept))
        return false;
    for (size_t i = 0; i < s->signer_count; i++)
        if (sp_bytes_eq(accept->tenant, sp_bytes_cstr(s->signers[i])))
            return true;
    return false;
}

bool sp_attempt_needs_copy(const struct sp_attempt *a, enum sp_rung rung)
{
    const struct sp_options *o = a->options;

    return sp_rung_is_crypto(rung) || is_signed(a) || o->strip_subject_tag || o->add_count > 0 ||
           o->strip_count > 0 || o->notice.len > 0 || o->footer.len > 0;
}

bool sp_attempt_has_copy(const struct sp_attempt *a, enum sp_rung rung)
{
    return a->has_copy && a->copy_method == method_of(rung);
}

void sp_attempt_seal(struct sp_attempt *a, enum sp_rung rung)
{
    struct seal_wait *w = sp_arena_alloc(a->arena, sizeof(*w));
    struct sp_jobs_seal_request r = {0};
    enum sp_rc rc;

    *w = (struct seal_wait){.a = a, .method = method_of(rung), .fd = open_output(a)};
    a->has_copy = false;
    sp_content_init(&r.content);
    rc = sp_queue_body_for_role(a->d->parts.queue, &a->p->m->accept.id, &r.content);
    if (rc == SP_OK && w->fd < 0)
        rc = SP_E_IO;
    if (rc == SP_OK) {
        fill_request(a, w->method, &r);
        rc = call_sealer(a, &r, w);
    }
    sp_content_clear(&r.content);
    if (rc == SP_OK) {
        a->seal_fd = w->fd;
        return;
    }
    if (w->fd >= 0)
        (void)close(w->fd);
    sp_attempt_rung_failed(a, rc);
}
