/*
 * The decisions of delivery. The ladder's own logic lies in protect; here facts become the status of each rung. What
 * nobody has looked at yet counts as possible only to find out what to look at next: a rung is taken when it is known to
 * be possible, and in no other case. A failed check is a reason to wait, an answered one to go on; of several hosts the
 * best showing stands, but a broken promise or silence at one outweighs a lower level at another, so that nobody who
 * blocks the good host gains the bad one.
 */
#include "delivery/outcome.h"

#include "base/mem.h"
#include "mail/envelope.h"

static bool is_smtp_level(enum sp_rung rung)
{
    return rung <= SP_RUNG_TLS_DANE;
}

static enum sp_level level_of(enum sp_rung rung)
{
    static const enum sp_level levels[] = {
        [SP_RUNG_PLAIN] = SP_LEVEL_PLAIN,
        [SP_RUNG_TLS_ENCRYPTED] = SP_LEVEL_ENCRYPTED,
        [SP_RUNG_TLS_VERIFIED] = SP_LEVEL_VERIFIED,
        [SP_RUNG_TLS_AUTHENTICATED] = SP_LEVEL_AUTHENTICATED,
        [SP_RUNG_TLS_DANE] = SP_LEVEL_DANE,
    };

    return levels[rung];
}

static void set(struct sp_rung_fact *f, enum sp_rung_status status, enum sp_rc why, size_t hop)
{
    *f = (struct sp_rung_fact){.known = true, .status = status, .why = why, .hop = hop};
}

/* No host says anything of it any more: what one has dropped stays so. */
static void set_silent(struct sp_rung_fact *f, enum sp_rc why, size_t hop)
{
    struct sp_rung_fact before = *f;

    set(f, SP_STATUS_UNREACHABLE, why, hop);
    f->dropped = before.dropped;
    f->dropped_why = before.dropped_why;
}

/* returns: whether it is for a host to say if this rung is possible */
static bool asks_host(const struct sp_standing *s, size_t i)
{
    enum sp_rung rung = s->ladder->rungs[i].rung;

    if (is_smtp_level(rung))
        return !s->sealed_only;
    return sp_rung_is_crypto(rung) && !s->portal_only && s->keys[i].known &&
           s->keys[i].status == SP_STATUS_POSSIBLE;
}

void sp_outcome_begin(struct sp_standing *s)
{
    memset(s->rungs, 0, sizeof(s->rungs));
    memset(s->keys, 0, sizeof(s->keys));
    s->never = SP_OK;
    for (size_t i = 0; i < s->ladder->count; i++) {
        if ((s->sealed_only && is_smtp_level(s->ladder->rungs[i].rung)) ||
            (s->portal_only && sp_rung_is_crypto(s->ladder->rungs[i].rung)))
            set(&s->rungs[i], SP_STATUS_UNAVAILABLE, SP_E_HOP_LACKS, 0);
        if (s->ladder->rungs[i].rung != SP_RUNG_PORTAL)
            continue;
        if (s->requires_tls)
            set(&s->rungs[i], SP_STATUS_UNAVAILABLE, SP_E_HOP_REQUIRETLS, 0);
        else if (s->has_portal)
            set(&s->rungs[i], SP_STATUS_POSSIBLE, SP_OK, 0);
        else
            set(&s->rungs[i], SP_STATUS_UNAVAILABLE, SP_E_PORTAL_ABSENT, 0);
    }
}

/* ---- what next ---- */

static void take(const struct sp_standing *s, size_t i, struct sp_next *out)
{
    enum sp_rung rung = s->ladder->rungs[i].rung;

    out->index = i;
    if (!s->rungs[i].known) {
        out->step = sp_rung_is_crypto(rung) && !s->keys[i].known ? SP_STEP_KEYS : SP_STEP_HOP;
        return;
    }
    sp_assert(s->rungs[i].status == SP_STATUS_POSSIBLE);
    sp_assert(sp_rung_meets(rung, s->floor, s->is_sealed));
    out->step = SP_STEP_TAKE;
}

/*
 * A rung that one host has dropped and that another says nothing about is waited for while either's stay lasts: to silence one
 * must not cut short what holds for the other.
 */
static enum sp_rung_status status_of(const struct sp_standing *s, size_t i)
{
    const struct sp_rung_fact *f = &s->rungs[i];
    int64_t stay_ms = s->ladder->rungs[i].stay_unreachable_ms;

    if (!f->known)
        return SP_STATUS_POSSIBLE;
    if (f->dropped && (f->status == SP_STATUS_UNREACHABLE || f->status == SP_STATUS_BROKEN) &&
        stay_ms != SP_STAY_UNTIL_EXPIRE && s->since_accept_ms >= stay_ms)
        return SP_STATUS_DROPPED;
    return f->status;
}

enum sp_rung_status sp_outcome_rung_cause(const struct sp_standing *s, size_t i, enum sp_rc *why)
{
    const struct sp_rung_fact *f = &s->rungs[i];
    enum sp_rung_status status = status_of(s, i);

    *why = status == SP_STATUS_DROPPED && f->status != SP_STATUS_DROPPED ? f->dropped_why : f->why;
    return status;
}

static enum sp_rc reason_of(const struct sp_standing *s, size_t i)
{
    enum sp_rc why;

    (void)sp_outcome_rung_cause(s, i, &why);
    return why;
}

/* The reason that stands for the whole: the best rung that the floor allows and that has one. */
static enum sp_rc main_reason(const struct sp_standing *s)
{
    for (size_t i = 0; i < s->ladder->count; i++)
        if (s->rungs[i].known && s->rungs[i].why != SP_OK &&
            s->rungs[i].status != SP_STATUS_UNAVAILABLE &&
            sp_rung_meets(s->ladder->rungs[i].rung, s->floor, s->is_sealed))
            return reason_of(s, i);
    for (size_t i = s->ladder->count; i > 0; i--)
        if (s->rungs[i - 1].known && s->rungs[i - 1].why != SP_OK &&
            sp_rung_meets(s->ladder->rungs[i - 1].rung, s->floor, s->is_sealed))
            return reason_of(s, i - 1);
    return SP_E_DELIVERY_FLOOR; /* no rung of the ladder meets the floor */
}

void sp_outcome_next(const struct sp_standing *s, struct sp_next *out)
{
    struct sp_protect_question q = {
        .ladder = s->ladder,
        .floor = s->floor,
        .is_sealed = s->is_sealed,
        .since_accept_ms = s->since_accept_ms,
        .expire_ms = s->expire_ms,
    };
    struct sp_protect_answer a;

    *out = (struct sp_next){.step = SP_STEP_RETURN, .index = s->ladder->count, .why = s->never};
    if (s->never != SP_OK)
        return;
    for (size_t i = 0; i < s->ladder->count; i++)
        q.status[i] = status_of(s, i);
    sp_protect_choose(&q, &a);
    out->late = a.late;
    out->alert = a.alert;
    switch (a.verb) {
    case SP_PROTECT_TAKE:
        take(s, a.index, out);
        return;
    case SP_PROTECT_WAIT:
        out->step = SP_STEP_WAIT;
        out->index = a.index;
        out->wait_until_ms = a.wait_until_ms;
        out->why = reason_of(s, a.index);
        return;
    case SP_PROTECT_END:
        break;
    }
    out->step = a.at_end == SP_AT_END_HOLD ? SP_STEP_HOLD : SP_STEP_RETURN;
    out->expired = s->since_accept_ms >= s->expire_ms;
    out->why = main_reason(s);
}

/* ---- facts ---- */

void sp_outcome_route_failed(struct sp_standing *s, enum sp_rc rc)
{
    if (sp_rc_info(rc)->class == SP_CLASS_PERM) {
        s->never = rc;
        return;
    }
    for (size_t i = 0; i < s->ladder->count; i++) {
        if (asks_host(s, i) && !s->rungs[i].lasts)
            set_silent(&s->rungs[i], rc, 0);
    }
}

static void set_key(struct sp_standing *s, size_t i, enum sp_rc rc)
{
    bool unsure = rc != SP_OK && sp_rc_info(rc)->class == SP_CLASS_TEMP;

    if (rc == SP_OK)
        set(&s->keys[i], SP_STATUS_POSSIBLE, SP_OK, 0);
    else
        set(&s->keys[i], unsure ? SP_STATUS_UNREACHABLE : SP_STATUS_UNAVAILABLE, rc, 0);
    if (rc != SP_OK)
        s->rungs[i] = s->keys[i];
}

void sp_outcome_keys(struct sp_standing *s, enum sp_rc smime_rc, enum sp_rc pgp_rc)
{
    for (size_t i = 0; i < s->ladder->count; i++) {
        if (s->ladder->rungs[i].rung == SP_RUNG_SMIME)
            set_key(s, i, smime_rc);
        else if (s->ladder->rungs[i].rung == SP_RUNG_PGP)
            set_key(s, i, pgp_rc);
    }
}

static enum sp_rc why_not(enum sp_rung rung, const struct sp_hop_verdict *v)
{
    const enum sp_rc whys[] = {
        [SP_RUNG_PLAIN] = SP_OK,
        [SP_RUNG_TLS_ENCRYPTED] = v->tls_why,
        [SP_RUNG_TLS_VERIFIED] = v->verified_why,
        [SP_RUNG_TLS_AUTHENTICATED] = v->auth_why,
        [SP_RUNG_TLS_DANE] = v->dane_why,
    };

    return whys[rung];
}

/* The promise that is broken, for the record. */
static enum sp_rc broken_why(const struct sp_hop_verdict *v)
{
    if (v->dane_why == SP_E_TLS_DANE)
        return SP_E_TLS_DANE;
    if (v->tls_why != SP_OK)
        return v->tls_why;
    return v->auth_why == SP_OK ? SP_E_TLS_UNTRUSTED : v->auth_why;
}

static void talking_host(enum sp_rung rung, const struct sp_hop_report *r, struct sp_rung_fact *f)
{
    enum sp_level level = level_of(rung);

    if (r->verdict.broken)
        set(f, SP_STATUS_BROKEN, broken_why(&r->verdict), r->hop);
    else if (r->verdict.level < level && r->doubt != SP_OK && rung == SP_RUNG_TLS_AUTHENTICATED)
        set(f, SP_STATUS_UNREACHABLE, r->doubt, r->hop);
    else if (r->verdict.level < level && r->has_before && r->before >= level)
        set(f, SP_STATUS_DROPPED, why_not(rung, &r->verdict), r->hop);
    else if (r->verdict.level < level)
        set(f, SP_STATUS_UNAVAILABLE, why_not(rung, &r->verdict), r->hop);
    else if (r->lacks != SP_OK)
        set(f, SP_STATUS_UNAVAILABLE, r->lacks, r->hop);
    else
        set(f, SP_STATUS_POSSIBLE, SP_OK, r->hop);
}

/* What a host that did not talk with us means for a rung. */
static void silent_host(enum sp_rung rung, const struct sp_hop_report *r, struct sp_rung_fact *f)
{
    /* It could not have taken it so when it talked: there is nothing to wait for. */
    if (r->has_shown && (r->verdict.level < level_of(rung) || r->lacks != SP_OK)) {
        talking_host(rung, r, f);
        return;
    }
    /* That a promise does not exist is known without the host. */
    if (rung == SP_RUNG_TLS_DANE && r->dane_why != SP_OK)
        set(f, SP_STATUS_UNAVAILABLE, r->dane_why, r->hop);
    else if (rung == SP_RUNG_TLS_AUTHENTICATED && r->auth_why != SP_OK)
        set(f, SP_STATUS_UNAVAILABLE, r->auth_why, r->hop);
    else
        set(f, SP_STATUS_UNREACHABLE, r->rc, r->hop);
    f->weak = f->status == SP_STATUS_UNREACHABLE && r->rc != SP_E_HOP_PAUSED && !r->is_unasked &&
              !r->has_shown && r->has_before && r->before < level_of(rung);
}

/* A sealed copy needs no level of the road, only a host that breaks no promise. */
static void sealed_copy(const struct sp_hop_report *r, struct sp_rung_fact *f)
{
    if (r->rc != SP_OK)
        set(f, SP_STATUS_UNREACHABLE, r->rc, r->hop);
    else if (r->verdict.broken)
        set(f, SP_STATUS_BROKEN, broken_why(&r->verdict), r->hop);
    else
        set(f, SP_STATUS_POSSIBLE, SP_OK, r->hop);
}

/*
 * REQUIRETLS (RFC 8689 4.2.1): the host must have been named by a secure answer or a policy, prove itself, and pass the wish
 * on. One that can't is no host for this message, whatever else it offers.
 */
static void ask_requiretls(const struct sp_hop_report *r, struct sp_rung_fact *f)
{
    if (f->status == SP_STATUS_POSSIBLE &&
        (!r->has_requiretls || r->verdict.level < SP_LEVEL_AUTHENTICATED))
        set(f, SP_STATUS_UNAVAILABLE, SP_E_HOP_REQUIRETLS, r->hop);
}

/* RFC 6531 3.2: nothing is said in another form than it was written in. A host that can't take it is none for this message. */
static void ask_utf8(const struct sp_hop_report *r, struct sp_rung_fact *f)
{
    if (f->status == SP_STATUS_POSSIBLE && r->lacks_utf8)
        set(f, SP_STATUS_UNAVAILABLE, SP_E_HOP_LACKS_UTF8, r->hop);
}

/*
 * Silence outweighs a lower level elsewhere, since the silent host may be the better one. Not so for a level that the domain
 * has never proved, by our memory: there the host that talks speaks for all, or one dead host would hold up the mail of
 * every domain whose certificates prove nothing. A host that we leave alone ourselves for a while is not dead: for it mail waits.
 * Who can take it on this connection is better than who would have to be asked again without TLS, and who has TLS than both.
 */
static int rank_of(const struct sp_rung_fact *f)
{
    static const int rank[] = {
        [SP_STATUS_UNAVAILABLE] = 1, [SP_STATUS_DROPPED] = 2,  [SP_STATUS_UNREACHABLE] = 3,
        [SP_STATUS_BROKEN] = 4,      [SP_STATUS_POSSIBLE] = 5,
    };

    if (f->status == SP_STATUS_POSSIBLE)
        return rank[SP_STATUS_POSSIBLE] + !f->anew + !f->bare;
    return f->weak ? 0 : rank[f->status];
}

static void keep_better(struct sp_rung_fact *old, const struct sp_rung_fact *f)
{
    struct sp_rung_fact before = *old;

    if (!before.known || rank_of(f) > rank_of(&before))
        *old = *f;
    old->dropped = before.dropped || f->status == SP_STATUS_DROPPED;
    old->dropped_why = before.dropped ? before.dropped_why : f->why;
}

void sp_outcome_hop(struct sp_standing *s, const struct sp_hop_report *r)
{
    for (size_t i = 0; i < s->ladder->count; i++) {
        enum sp_rung rung = s->ladder->rungs[i].rung;
        struct sp_rung_fact f = {0};

        if (!asks_host(s, i) || s->rungs[i].lasts)
            continue;
        if (is_smtp_level(rung)) {
            if (r->rc != SP_OK)
                silent_host(rung, r, &f);
            else
                talking_host(rung, r, &f);
        } else {
            sealed_copy(r, &f);
        }
        if (s->requires_tls)
            ask_requiretls(r, &f);
        ask_utf8(r, &f);
        f.anew = r->anew && f.status == SP_STATUS_POSSIBLE;
        f.bare = rung == SP_RUNG_PLAIN && r->verdict.level == SP_LEVEL_PLAIN;
        keep_better(&s->rungs[i], &f);
    }
}

void sp_outcome_forget_hops(struct sp_standing *s)
{
    for (size_t i = 0; i < s->ladder->count; i++) {
        if (asks_host(s, i) && !s->rungs[i].lasts)
            s->rungs[i] = (struct sp_rung_fact){0};
    }
}

bool sp_outcome_hop_will_do(const struct sp_standing *s, size_t hop)
{
    struct sp_next next;

    sp_outcome_next(s, &next);
    return next.step == SP_STEP_TAKE && s->ladder->rungs[next.index].rung != SP_RUNG_PORTAL &&
           s->rungs[next.index].hop == hop;
}

bool sp_outcome_hop_is_bare(const struct sp_standing *s, size_t hop)
{
    struct sp_next next;

    sp_outcome_next(s, &next);
    return sp_outcome_hop_will_do(s, hop) && s->rungs[next.index].bare;
}

bool sp_outcome_waits_for(const struct sp_standing *s, const struct sp_hop_report *silent)
{
    struct sp_standing told = *s;
    struct sp_next next;

    sp_outcome_hop(&told, silent);
    sp_outcome_next(&told, &next);
    for (size_t i = 0; i < next.index; i++) /* its stay is over */
        if (told.rungs[i].known && told.rungs[i].status != SP_STATUS_UNAVAILABLE &&
            sp_rung_meets(s->ladder->rungs[i].rung, s->floor, s->is_sealed))
            return false;
    return next.step == SP_STEP_WAIT;
}

void sp_outcome_rung_failed(struct sp_standing *s, size_t index, enum sp_rc why)
{
    bool for_good = sp_rc_info(why)->class == SP_CLASS_PERM;

    set(&s->rungs[index], for_good ? SP_STATUS_UNAVAILABLE : SP_STATUS_UNREACHABLE, why, 0);
    s->rungs[index].lasts = true;
}

void sp_outcome_put_off(struct sp_standing *s, enum sp_rc why)
{
    for (size_t i = 0; i < s->ladder->count; i++) {
        if (asks_host(s, i) && (!s->rungs[i].known || s->rungs[i].status == SP_STATUS_POSSIBLE))
            set_silent(&s->rungs[i], why, s->rungs[i].hop);
    }
}

/* ---- recipients ---- */

enum sp_fate sp_outcome_rcpt(const struct sp_smtp_rcpt_result *r, enum sp_rc *why)
{
    switch (r->state) {
    case SP_SMTP_RCPT_ACCEPTED:
        *why = SP_OK;
        return SP_FATE_DELIVERED;
    case SP_SMTP_RCPT_REFUSED:
        *why = SP_E_HOP_REFUSED;
        return SP_FATE_REFUSED;
    case SP_SMTP_RCPT_UNSENT:
    case SP_SMTP_RCPT_DEFERRED:
    case SP_SMTP_RCPT_UNSURE:
        break;
    }
    *why = r->reply.code == 0 ? SP_E_HOP_LOST : SP_E_HOP_DEFERRED;
    return SP_FATE_AGAIN;
}

bool sp_outcome_wants_tls(const struct sp_smtp_rcpt_result *r)
{
    const struct sp_status *status = &r->reply.status;

    return r->state == SP_SMTP_RCPT_REFUSED &&
           (r->reply.code == 530 || (status->subject == 7 && status->detail == 10));
}

bool sp_outcome_is_hosts_own(const struct sp_smtp_rcpt_result *r)
{
    unsigned subject = r->reply.status.subject;

    if (r->state != SP_SMTP_RCPT_DEFERRED && r->state != SP_SMTP_RCPT_UNSENT)
        return false;
    if (r->reply.code == 0) /* it broke off before the dot */
        return true;
    if (r->is_own) /* RFC 3463 3.4, 3.5: its system, its network */
        return subject == 3 || subject == 4;
    return subject == 0 || subject == 3 || subject == 4;
}

/* ---- when again ---- */

/* Built in, as multiples of the ordinary first wait: what is known to take longer, and what is our own fault. */
static const struct {
    const char *match;
    unsigned times; /* of the first wait */
    unsigned parts; /* the first wait is divided by it */
} builtin[] = {
    {"4.2.2", 6, 1},      /* a full mailbox is emptied by a person */
    {"4.3.1", 3, 1},      /* a full disk */
    {"role.gone", 1, 10}, /* sealer, keeper or portal of ours is being started anew */
    {"job.deadline", 1, 10},
};

/* returns: how close the match is; 0 if it is none */
static size_t closeness(const char *match, const struct sp_retry_cause *cause)
{
    struct sp_bytes m = sp_bytes_cstr(match);
    struct sp_buf text;
    size_t found = 0;

    if (strcmp(match, sp_rc_name(cause->why)) == 0)
        return 1;
    if (cause->code == 0)
        return 0;
    sp_buf_init(&text, 64);
    sp_buf_put_dec(&text, cause->code);
    if (sp_bytes_eq(sp_buf_bytes(&text), m))
        found = 2;
    sp_buf_reset(&text);
    sp_status_format(cause->status, &text);
    if (text.len >= m.len && memcmp(text.ptr, m.ptr, m.len) == 0 &&
        (text.len == m.len || text.ptr[m.len] == '.'))
        found = 2 + m.len;
    sp_buf_clear(&text);
    return found;
}

void sp_outcome_retry_class(const struct sp_retry_class *classes, size_t count,
                            const struct sp_retry_cause *cause, int64_t first_ms,
                            struct sp_retry_class *out)
{
    size_t best = 0;

    *out = (struct sp_retry_class){.match = ""};
    for (size_t i = 0; i < SP_ARRAY_LEN(builtin); i++)
        if (closeness(builtin[i].match, cause) > 0) {
            out->match = builtin[i].match;
            out->first_ms = first_ms * builtin[i].times / builtin[i].parts;
        }
    for (size_t i = 0; i < count; i++) {
        size_t close = closeness(classes[i].match, cause);

        if (close > best) {
            best = close;
            *out = classes[i];
        }
    }
}

bool sp_outcome_expires_early(struct sp_standing *s, const struct sp_retry_class *class)
{
    if (class->expire_ms == 0 || class->expire_ms >= s->expire_ms)
        return false;
    s->expire_ms = class->expire_ms;
    return s->since_accept_ms >= s->expire_ms;
}

int64_t sp_outcome_retry_at(const struct sp_retry *r)
{
    unsigned doublings = r->attempts > 1 ? r->attempts - 1 : 0;
    int64_t wait_ms = r->first_ms;
    int64_t at_ms;

    for (; doublings > 0 && wait_ms < r->max_ms; doublings--)
        wait_ms *= 2;
    if (wait_ms > r->max_ms)
        wait_ms = r->max_ms;
    wait_ms += wait_ms / 10 * ((int64_t)(r->noise % 201) - 100) / 100;
    at_ms = r->now_ms + wait_ms;
    if (at_ms > r->stay_end_ms) /* which may have passed in this attempt */
        at_ms = r->stay_end_ms > r->now_ms ? r->stay_end_ms : r->now_ms;
    return at_ms;
}

bool sp_outcome_tells_sender(const struct sp_giving_up *g)
{
    if (g->own_mail || g->null_sender)
        return false;
    return g->notify == 0 || (g->notify & SP_NOTIFY_FAILURE) != 0;
}

bool sp_outcome_suppresses(const struct sp_smtp_reply *reply)
{
    static const struct {
        uint16_t subject, detail;
    } gone[] = {{1, 1}, {1, 3}, {1, 6}, {1, 10}, {2, 1}}; /* RFC 3463 3.2, 3.3; RFC 7505 */

    if (reply->code < 550 || reply->code > 553 || reply->status.class != 5)
        return false;
    for (size_t i = 0; i < SP_ARRAY_LEN(gone); i++)
        if (reply->status.subject == gone[i].subject && reply->status.detail == gone[i].detail)
            return true;
    return false;
}

bool sp_outcome_tells_delay(const struct sp_waiting *w)
{
    if (w->told || w->who.own_mail || w->who.null_sender)
        return false;
    if (w->who.notify != 0 && (w->who.notify & SP_NOTIFY_DELAY) == 0)
        return false;
    if (w->broken || (w->asked_late && w->attempts > 1))
        return true;
    return w->delay_ms > 0 && w->since_accept_ms >= w->delay_ms;
}

bool sp_outcome_tells_success(const struct sp_giving_up *who, bool has_dsn)
{
    return !who->own_mail && !who->null_sender && !has_dsn &&
           (who->notify & SP_NOTIFY_SUCCESS) != 0;
}

enum sp_floor sp_outcome_dsn_floor(enum sp_floor of_message)
{
    return of_message < SP_FLOOR_TLS_ENCRYPTED ? of_message : SP_FLOOR_TLS_ENCRYPTED;
}

size_t sp_outcome_part_told(struct sp_result *results, size_t *count, uint16_t *ns)
{
    size_t kept = 0;
    size_t told = 0;

    for (size_t i = 0; i < *count; i++) {
        results[i].told = false;
        if (results[i].state == SP_RCPT_RETURNED || results[i].state == SP_RCPT_DEPOSITED)
            ns[told++] = results[i].n;
        else
            results[kept++] = results[i];
    }
    *count = kept;
    return told;
}
