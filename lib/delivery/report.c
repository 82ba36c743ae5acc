/*
 * Audit events of an attempt, as JSON, written when the outcome is known and kept in the outcome's own record. Facts
 * only: codes and names of ours, never a peer's text.
 */
#include "delivery/delivery_priv.h"
#include "delivery/park_priv.h"
#include "delivery/report_priv.h"
#include "delivery/sessions_priv.h"
#include "delivery/words.h"

#define EVENT_MAX 65536

bool sp_report_begin(struct sp_attempt *a, struct sp_jw *w, const char *event, const uint16_t *ns,
                     size_t n_count)
{
    const struct sp_accept *accept = &a->p->m->accept;
    struct sp_buf *out;

    if (a->event_count == SP_AUDIT_EVENTS_MAX)
        return false;
    out = &a->events[a->event_count];
    sp_buf_init(out, EVENT_MAX);
    sp_jw_init(w, out);
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "event", event);
    sp_jw_text(w, "tenant", accept->tenant);
    sp_jw_id(w, "message", accept->id.b);
    sp_jw_array(w, "n");
    for (size_t i = 0; i < n_count; i++)
        sp_jw_int(w, NULL, ns[i]);
    sp_jw_end(w);
    return true;
}

void sp_report_end(struct sp_attempt *a, struct sp_jw *w)
{
    sp_jw_end(w);
    if (sp_buf_rc(w->out) == SP_OK)
        a->event_count++;
    else
        sp_buf_clear(w->out);
}

/* Why a rung above the one that was decided on was not taken. */
static void write_cause(const struct sp_attempt *a, struct sp_jw *w, size_t i)
{
    const char *cause = "unavailable";
    enum sp_rc why;
    enum sp_rung_status status = sp_outcome_rung_cause(&a->s, i, &why);

    if (!sp_rung_meets(a->ladder.rungs[i].rung, a->s.floor, a->s.is_sealed))
        why = SP_E_DELIVERY_FLOOR;
    else if (a->s.never != SP_OK) /* the domain takes no mail, whatever the rung */
        why = a->s.never;
    else
        cause = sp_rung_status_name(status);
    sp_jw_cstr(w, "cause", cause);
    sp_jw_cstr(w, "why", sp_rc_name(why));
}

/* What became of each rung, from the best down to the one that decided; below it nobody had to look. */
static void write_rungs(const struct sp_attempt *a, struct sp_jw *w, const struct sp_report *r)
{
    size_t last = r->taken < a->ladder.count ? r->taken : r->waits;

    sp_jw_array(w, "rungs");
    for (size_t i = 0; i < a->ladder.count && i <= last; i++) {
        const struct sp_rung_fact *f = &a->s.rungs[i];
        enum sp_rung rung = a->ladder.rungs[i].rung;
        bool below = !sp_rung_meets(rung, a->s.floor, a->s.is_sealed);
        bool open = !f->known || f->status == SP_STATUS_POSSIBLE;

        if (i != r->taken && open && !below && a->s.never == SP_OK)
            continue; /* it was never its turn */
        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "rung", sp_rung_name(rung));
        sp_jw_bool(w, "taken", i == r->taken);
        if (i != r->taken)
            write_cause(a, w, i);
        if (sp_rung_is_crypto(rung)) {
            sp_jw_array(w, "asked");
            sp_jw_cstr(w, NULL, "store");
            sp_jw_end(w);
        }
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static const char *shown_word(const struct sp_host_asked *h)
{
    if (h->rc != SP_OK)
        return sp_rc_name(h->rc);
    return h->verdict.broken ? "broken" : sp_level_name(h->verdict.level);
}

/* Each host that was asked, if there were several: the facts beside it are the last one's. */
static void write_asked(const struct sp_attempt *a, struct sp_jw *w)
{
    size_t count = 0;

    for (size_t i = 0; i < a->route->hop_count; i++)
        count += a->asked[i].was_asked;
    if (count < 2)
        return;
    sp_jw_array(w, "asked");
    for (size_t i = 0; i < a->route->hop_count; i++) {
        if (!a->asked[i].was_asked)
            continue;
        sp_jw_object(w, NULL);
        sp_jw_text(w, "mx", a->route->hops[i].name);
        sp_jw_cstr(w, "shown", shown_word(&a->asked[i]));
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void write_hop(const struct sp_attempt *a, struct sp_jw *w)
{
    const struct sp_route *r = a->route;

    sp_jw_object(w, "hop");
    sp_jw_text(w, "domain", r == NULL ? a->domain : r->domain);
    if (r == NULL) {
        sp_jw_end(w);
        return;
    }
    sp_jw_cstr(w, "via", sp_via_name(r->via));
    if (a->seen_hop != SIZE_MAX && a->seen_hop < r->hop_count) {
        const struct sp_hop *h = &r->hops[a->seen_hop];

        sp_jw_text(w, "mx", h->name);
        sp_jw_int(w, "port", h->port);
        if (a->ip.len > 0)
            sp_jw_text(w, "ip", a->ip);
        if (h->self != NULL && h->self->certificate[0] != 0)
            sp_jw_cstr(w, "client_certificate", h->self->certificate);
    }
    if (a->ip.len == 0)
        sp_jw_bool(w, "connected", false);
    write_asked(a, w);
    sp_jw_end(w);
}

static void write_dns(const struct sp_attempt *a, struct sp_jw *w)
{
    const struct sp_route *r = a->route;

    bool asked = r != NULL && (r->via == SP_VIA_MX || r->via == SP_VIA_IMPLICIT ||
                               (r->hop_count > 0 && !r->hops[0].is_address));

    if (!asked)
        return;
    sp_jw_object(w, "dns");
    if (r->via == SP_VIA_MX || r->via == SP_VIA_IMPLICIT)
        sp_jw_cstr(w, "mx", sp_report_dns_word(r->mx_rc, r->mx_secure));
    if (a->seen_hop < r->hop_count && !r->hops[a->seen_hop].is_address) {
        const struct sp_hop *h = &r->hops[a->seen_hop];

        sp_jw_cstr(w, "address",
                   h->address_count == 0 ? sp_report_dns_word(h->rc, false)
                                         : sp_report_dns_word(SP_OK, h->address_secure));
        sp_jw_cstr(w, "tlsa", sp_report_tlsa_word(h));
        if (a->tlsa_matched.len > 0)
            sp_jw_text(w, "tlsa_matched", a->tlsa_matched);
    }
    if (r->rc != SP_OK)
        sp_jw_cstr(w, "why", sp_rc_name(r->rc));
    sp_jw_cstr(w, "resolver", a->d->settings.resolver);
    sp_jw_end(w);
}

static const char *sts_txt_word(enum sp_rc rc)
{
    if (rc == SP_OK)
        return "present";
    return rc == SP_E_STS_NONE ? "absent" : sp_rc_name(rc);
}

static void put_time(struct sp_jw *w, const char *key, int64_t ms)
{
    char time[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(ms, time);
    sp_jw_cstr(w, key, time);
}

static void write_sts(const struct sp_attempt *a, struct sp_jw *w)
{
    const struct sp_route *r = a->route;

    if (r == NULL || (r->via != SP_VIA_MX && r->via != SP_VIA_IMPLICIT))
        return;
    sp_jw_object(w, "sts");
    sp_jw_cstr(w, "mode", sp_sts_mode_name(r->sts.mode));
    sp_jw_cstr(w, "txt", sts_txt_word(r->sts_txt));
    if (r->sts.id.len > 0) {
        sp_jw_text(w, "id", r->sts.id);
        put_time(w, "fetched", r->sts.fetched_at_ms);
        put_time(w, "until", r->sts.expires_at_ms);
    }
    put_time(w, "as_of", r->as_of_ms);
    if (r->sts_why != SP_OK && r->sts_why != SP_E_STS_NONE)
        sp_jw_cstr(w, "why", sp_rc_name(r->sts_why));
    sp_jw_end(w);
}

static void write_posture(const struct sp_attempt *a, struct sp_jw *w)
{
    if (!a->has_verdict)
        return;
    sp_jw_object(w, "posture");
    sp_jw_cstr(w, "before", a->has_before ? sp_level_name(a->before) : "never-seen");
    if (a->verdict.broken)
        sp_jw_cstr(w, "now", "broken");
    else
        sp_jw_cstr(w, "now", sp_level_name(a->verdict.level));
    sp_jw_end(w);
}

static void write_sent(const struct sp_attempt *a, struct sp_jw *w)
{
    const struct sp_accept *accept = &a->p->m->accept;
    struct sp_buf hex;

    sp_buf_init(&hex, 80);
    sp_hex_encode(&hex, sp_bytes(a->sends_copy ? a->sealed_sha256 : accept->sha256, 32));
    sp_jw_object(w, "sent");
    if (a->sends_copy || a->sent_removed == 0)
        sp_jw_text(w, "sha256", sp_buf_bytes(&hex));
    sp_jw_bool(w, "unchanged", !a->sends_copy && a->sent_removed == 0);
    sp_jw_int(w, "bytes", (int64_t)a->sent_bytes);
    if (sp_attempt_has_own_path(a))
        sp_jw_bool(w, "own_return_path", true);
    sp_jw_end(w);
    sp_buf_clear(&hex);
    if (a->sends_copy && a->seal_facts.len > 0)
        sp_jw_raw(w, "seal", a->seal_facts);
}

static void write_reply(struct sp_jw *w, const struct sp_smtp_reply *reply)
{
    struct sp_buf text;

    if (reply == NULL || reply->code == 0)
        return;
    sp_buf_init(&text, 64);
    sp_buf_put_dec(&text, reply->code);
    sp_buf_put_u8(&text, ' ');
    sp_status_format(reply->status, &text);
    sp_jw_text(w, "reply", sp_buf_bytes(&text));
    sp_buf_clear(&text);
}

static void write_cited(const struct sp_attempt *a, struct sp_jw *w)
{
    if (a->cited_count == 0)
        return;
    sp_jw_array(w, "evidence");
    for (size_t i = 0; i < a->cited_count; i++)
        sp_jw_cstr(w, NULL, a->cited[i]);
    sp_jw_end(w);
}

void sp_report_attempt(struct sp_attempt *a, const struct sp_report *r)
{
    const struct sp_accept *accept = &a->p->m->accept;
    int64_t now_ms = sp_clock_mono_ms(sp_loop_clock(a->d->parts.loop));
    char time[SP_TIME_TEXT_MAX];
    size_t before;
    struct sp_jw w;

    sp_report_evidence(a);
    before = a->event_count;
    if (!sp_report_begin(a, &w, "delivery.attempted", r->ns, r->n_count))
        return;
    sp_jw_int(&w, "attempt", a->number);
    sp_jw_text(&w, "policy", accept->policy);
    if (accept->kind != SP_ACCEPT_KIND_MAIL)
        sp_jw_cstr(&w, "kind", sp_accept_kind_name(accept->kind));
    sp_jw_text(&w, "rule", a->decision->rule);
    sp_jw_cstr(&w, "floor", sp_floor_name(a->s.floor));
    write_rungs(a, &w, r);
    write_hop(a, &w);
    write_dns(a, &w);
    write_sts(a, &w);
    write_posture(a, &w);
    sp_attempt_write_sessions(a, &w);
    if (a->tls_json.len > 0)
        sp_jw_raw(&w, "tls", a->tls_json);
    write_cited(a, &w);
    if (r->sent)
        write_sent(a, &w);
    sp_jw_cstr(&w, "outcome", r->outcome);
    if (r->why != SP_OK)
        sp_jw_cstr(&w, "why", sp_rc_name(r->why));
    write_reply(&w, r->reply);
    if (r->next_at_ms != 0) { /* for people: by the wall clock */
        const struct sp_clock *clock = sp_loop_clock(a->d->parts.loop);

        sp_time_format_rfc3339(r->next_at_ms + sp_clock_wall_ms(clock) - sp_clock_steady_ms(clock),
                               time);
        sp_jw_cstr(&w, "next_at", time);
    }
    if (a->unsure)
        sp_jw_bool(&w, "possibly_delivered", true);
    if (a->p->m->possibly_attempted)
        sp_jw_bool(&w, "possibly_attempted", true);
    sp_jw_int(&w, "took_ms", now_ms - a->started_ms);
    sp_report_end(a, &w);
    sp_attempt_end_sessions(a, a->event_count > before);
}

/* returns: what the last host showed, or the least that one did, if the last has all that was proved before */
static enum sp_level level_now(const struct sp_attempt *a)
{
    enum sp_level least = a->verdict.level;

    if (least < a->before)
        return least;
    for (size_t i = 0; i < a->route->hop_count; i++) {
        const struct sp_host_asked *h = &a->asked[i];
        bool has_shown = h->was_asked && (h->rc == SP_OK || h->has_put_off);

        if (has_shown && !h->verdict.broken && h->verdict.level < least)
            least = h->verdict.level;
    }
    return least;
}

void sp_report_dropped(struct sp_attempt *a)
{
    struct sp_jw w;

    if (a->alerted || a->route == NULL || !a->has_verdict)
        return;
    a->alerted = true;
    sp_log_warn(a->d->parts.log, "delivery.posture-dropped", SP_DOMAIN("domain", a->route->domain),
                SP_TEXT("before", sp_level_name(a->before)),
                SP_TEXT("now", sp_level_name(level_now(a))));
    if (!sp_report_begin(a, &w, "transport.posture-dropped", a->ns, a->n_count))
        return;
    sp_jw_text(&w, "domain", a->route->domain);
    sp_jw_object(&w, "posture");
    sp_jw_cstr(&w, "before", sp_level_name(a->before));
    sp_jw_cstr(&w, "now", sp_level_name(level_now(a)));
    sp_jw_end(&w);
    sp_report_end(a, &w);
}

void sp_report_suppressed(struct sp_attempt *a, uint16_t n, const struct sp_smtp_reply *reply)
{
    struct sp_bytes address = a->p->m->accept.recipients[n].address;
    int64_t now_ms = sp_clock_wall_ms(sp_loop_clock(a->d->parts.loop));
    int64_t until_ms = now_ms + a->d->settings.suppress_ms;
    struct sp_jw w;

    if (a->d->settings.suppress_ms == 0 || a->d->parts.suppress == NULL ||
        !sp_report_begin(a, &w, "list.changed", &n, 1))
        return;
    sp_jw_cstr(&w, "list", "suppression");
    sp_jw_cstr(&w, "change", "added");
    sp_jw_text(&w, "address", address);
    sp_jw_cstr(&w, "why", sp_rc_name(SP_E_HOP_REFUSED));
    write_reply(&w, reply);
    put_time(&w, "until", until_ms);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "system");
    sp_jw_end(&w);
    sp_report_end(a, &w);
    sp_suppress_set(a->d->parts.suppress, address, until_ms, now_ms);
}

static void write_child_decision(struct sp_jw *w, const struct sp_accept_decision *d)
{
    sp_jw_array(w, "decisions");
    sp_jw_object(w, NULL);
    sp_jw_array(w, "n");
    sp_jw_int(w, NULL, 0);
    sp_jw_end(w);
    sp_jw_cstr(w, "do", "protect");
    sp_jw_text(w, "rule", d->rule);
    sp_jw_array(w, "ladder");
    for (size_t i = 0; i < d->rung_count; i++)
        sp_jw_cstr(w, NULL, sp_rung_name((enum sp_rung)d->rungs[i].rung));
    sp_jw_end(w);
    sp_jw_cstr(w, "floor", sp_floor_name((enum sp_floor)d->floor));
    sp_jw_end(w);
    sp_jw_end(w);
}

/* The acceptance of a mail of our own, as an event of its own message; in a's arena. */
static void write_child(const struct sp_accept *child, struct sp_bytes content, struct sp_buf *out)
{
    uint8_t sum[SP_SHA256_LEN];
    struct sp_buf hex;
    struct sp_jw w;

    sp_crypt_sha256(content, sum);
    sp_buf_init(&hex, 80);
    sp_hex_encode(&hex, sp_bytes(sum, sizeof(sum)));
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "message.accepted");
    sp_jw_text(&w, "tenant", child->tenant);
    sp_jw_id(&w, "message", child->id.b);
    sp_jw_id(&w, "parent", child->parent.b);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "system");
    sp_jw_end(&w);
    sp_jw_text(&w, "from", child->sender);
    sp_jw_array(&w, "to");
    sp_jw_text(&w, NULL, child->recipients[0].address);
    sp_jw_end(&w);
    sp_jw_object(&w, "content");
    sp_jw_int(&w, "size", (int64_t)content.len);
    sp_jw_text(&w, "sha256", sp_buf_bytes(&hex));
    sp_jw_cstr(&w, "kind", sp_accept_kind_name(child->kind));
    sp_jw_end(&w);
    sp_jw_text(&w, "policy", child->policy);
    write_child_decision(&w, &child->decisions[0]);
    sp_jw_end(&w);
    sp_buf_clear(&hex);
}

void sp_report_child(struct sp_attempt *a, struct sp_child *child)
{
    struct sp_bytes *events = sp_arena_alloc(a->arena, sizeof(*events));
    struct sp_buf text;

    sp_buf_init(&text, EVENT_MAX);
    write_child(&child->accept, child->content, &text);
    if (sp_buf_rc(&text) == SP_OK) {
        events[0] = sp_arena_copy(a->arena, sp_buf_bytes(&text));
        child->accept.audit = (struct sp_audit_list){.events = events, .count = 1};
    }
    sp_buf_clear(&text);
}
