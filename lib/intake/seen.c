/*
 * What was last seen of each tenant at the door: the last message that proved it, the last that claimed it and failed, and the
 * last probe. So an administrator who sets connectors up sees at once which signal is missing, without a look into the audit.
 * Kept in memory alone, one entry of each kind a tenant, so that nobody can fill it. A probe is a message to an address
 * under our own host name: every proof of it is looked at as of any other, and then it is refused with the finding, so
 * that nothing is relayed and the sender's own notice tells it too.
 */
#include "base/text.h"
#include "intake/intake_priv.h"

#define PROBE     SP_LIT("sallyport-probe-")
#define TOKEN_MAX 64

struct sighting {
    int64_t at_ms; /* wall clock; 0: never */
    enum sp_rc rc;
    char ip[SP_ADDR_TEXT_MAX];
    char token[TOKEN_MAX + 1];
    const char *auth;
    const char *required[PROOF_SIGNALS_MAX];
    size_t required_count;
    const char *failed[PROOF_SIGNALS_MAX];
    size_t failed_count;
};

struct seen {
    struct sighting last[SIGHTING_COUNT];
};

static struct seen *seen_of(struct sp_intake *in, const char *tenant)
{
    struct seen *s = sp_map_find(in->seen, sp_bytes_cstr(tenant));

    if (s == NULL) {
        s = sp_calloc(1, sizeof(*s));
        (void)sp_map_put(in->seen, sp_bytes_cstr(tenant), s);
    }
    return s;
}

void sp_intake_note_seen(struct sp_intake *in, enum sighting_kind kind, const struct sight *what)
{
    const struct proof *p = what->proof;
    struct sighting *s;

    if (p->who == NULL) /* nobody whom we know was claimed */
        return;
    if (kind == SIGHTING_REFUSED && what->session != NULL &&
        sp_bytes_eq(sp_buf_bytes(&what->session->helo), SP_LIT(SP_TENANT_KNOCK)))
        return; /* the check's own knock would hide what it is asked for */
    s = &seen_of(in, p->who->tenant->name)->last[kind];
    *s = (struct sighting){.at_ms = sp_clock_wall_ms(in->parts.clock),
                           .rc = what->rc,
                           .auth = p->auth,
                           .required_count = p->required_count,
                           .failed_count = p->failed_count};
    memcpy(s->required, p->required, sizeof(s->required));
    memcpy(s->failed, p->failed, sizeof(s->failed));
    if (what->session != NULL)
        memcpy(s->ip, what->session->ip, sizeof(s->ip));
    if (what->token.len > 0 && what->token.len <= TOKEN_MAX)
        memcpy(s->token, what->token.ptr, what->token.len);
}

void sp_intake_note_probe(struct transaction *tx, enum sp_rc rc)
{
    struct sight what = {.rc = rc, .proof = &tx->proof, .session = tx->session, .token = tx->probe};

    if (tx->probe.len > 0)
        sp_intake_note_seen(tx->in, SIGHTING_PROBED, &what);
}

struct sp_bytes sp_intake_probe_token(const struct generation *g, const struct sp_address *to)
{
    struct sp_bytes token = {NULL, 0};

    if (!sp_bytes_eq_nocase(to->domain, sp_bytes_cstr(g->hostname)) ||
        !sp_bytes_starts_nocase(to->local, PROBE))
        return token;
    token = sp_bytes_slice(to->local, PROBE.len, to->local.len);
    for (size_t i = 0; i < token.len; i++) {
        if (!sp_ascii_is_alnum(token.ptr[i]))
            return sp_bytes(NULL, 0);
    }
    return token.len <= TOKEN_MAX ? token : sp_bytes(NULL, 0);
}

static void put_names(struct sp_jw *w, const char *key, const char *const *names, size_t count)
{
    sp_jw_array(w, key);
    for (size_t i = 0; i < count; i++)
        sp_jw_cstr(w, NULL, names[i]);
    sp_jw_end(w);
}

static void put_sighting(struct sp_jw *w, const char *key, const struct sighting *s)
{
    char time[SP_TIME_TEXT_MAX];

    if (s->at_ms == 0)
        return;
    sp_time_format_rfc3339(s->at_ms, time);
    sp_jw_object(w, key);
    sp_jw_cstr(w, "time", time);
    sp_jw_int(w, "time_ms", s->at_ms);
    sp_jw_cstr(w, "why", s->rc == SP_OK ? NULL : sp_rc_name(s->rc));
    sp_jw_cstr(w, "ip", s->ip);
    sp_jw_cstr(w, "auth", s->auth);
    if (s->token[0] != 0)
        sp_jw_cstr(w, "token", s->token);
    put_names(w, "required", s->required, s->required_count);
    put_names(w, "failed", s->failed, s->failed_count);
    sp_jw_end(w);
}

void sp_intake_put_seen(const struct sp_intake *in, struct sp_bytes tenant, struct sp_jw *w)
{
    static const char *const names[SIGHTING_COUNT] = {"accepted", "refused", "probed"};
    const struct seen *s = sp_map_find(in->seen, tenant);

    for (size_t i = 0; s != NULL && i < SIGHTING_COUNT; i++)
        put_sighting(w, names[i], &s->last[i]);
}

void sp_intake_seen_free(struct sp_intake *in)
{
    struct sp_bytes key;
    size_t at = 0;
    void *value;

    while (sp_map_next(in->seen, &at, &key, &value))
        sp_free(value);
    sp_map_free(in->seen);
}
