/*
 * A probe as JSON: the same words as in the audit. Text of a peer is told only where it is a name or an address.
 */
#include "base/text.h"
#include "delivery/probe.h"
#include "delivery/words.h"

static void put_why(struct sp_jw *w, const char *key, enum sp_rc rc)
{
    if (rc != SP_OK)
        sp_jw_cstr(w, key, sp_rc_name(rc));
}

static void put_sts(struct sp_jw *w, const struct sp_route *r)
{
    char time[SP_TIME_TEXT_MAX];

    sp_jw_object(w, "sts");
    sp_jw_cstr(w, "mode", sp_sts_mode_name(r->sts.mode));
    put_why(w, "why", r->sts_why);
    sp_jw_cstr(w, "txt", r->sts_txt == SP_OK ? "present" : sp_rc_name(r->sts_txt));
    if (r->sts.id.len > 0) {
        sp_jw_text(w, "id", r->sts.id);
        sp_time_format_rfc3339(r->sts.fetched_at_ms, time);
        sp_jw_cstr(w, "fetched", time);
        sp_time_format_rfc3339(r->sts.expires_at_ms, time);
        sp_jw_cstr(w, "until", time);
        sp_jw_array(w, "mx");
        for (size_t i = 0; i < r->sts.mx_count && !r->sts.is_short; i++)
            sp_jw_text(w, NULL, r->sts.mx[i]);
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void put_tlsa(struct sp_jw *w, const struct sp_hop *h)
{
    struct sp_buf text;

    sp_jw_object(w, "tlsa");
    sp_jw_cstr(w, "state", sp_report_tlsa_word(h));
    put_why(w, "why", h->tlsa_why);
    if (h->tlsa_count > 0) {
        sp_jw_text(w, "base", h->base);
        sp_jw_array(w, "records");
        for (size_t i = 0; i < h->tlsa_count; i++) {
            const struct sp_tlsa *t = &h->tlsa_set[i];

            sp_buf_init(&text, 65536);
            sp_buf_printf(&text, "%u %u %u ", t->usage, t->selector, t->matching_type);
            sp_hex_encode(&text, t->data);
            sp_jw_text(w, NULL, sp_buf_bytes(&text));
            sp_buf_clear(&text);
        }
        sp_jw_end(w);
    }
    sp_jw_end(w);
}

static void put_addresses(struct sp_jw *w, const struct sp_hop *h)
{
    char text[64];

    sp_jw_array(w, "addresses");
    for (size_t i = 0; i < h->address_count; i++) {
        sp_dns_ip_format(&h->addresses[i], text);
        sp_jw_cstr(w, NULL, text);
    }
    sp_jw_end(w);
    if (!h->is_address)
        sp_jw_cstr(w, "address",
                   sp_report_dns_word(h->address_count > 0 ? SP_OK : h->rc, h->address_secure));
}

static void put_verdict(struct sp_jw *w, const struct sp_probe_host *p)
{
    const struct sp_hop_verdict *v = &p->verdict;

    if (p->tls_json.len > 0) {
        sp_jw_raw(w, "tls", p->tls_json);
        sp_jw_object(w, "certificate");
        sp_jw_bool(w, "chain", p->proof.chain_ok);
        sp_jw_bool(w, "name", p->proof.name_ok);
        sp_jw_bool(w, "expired", p->proof.expired);
        sp_jw_end(w);
    }
    if (p->tlsa.len > 0)
        sp_jw_text(w, "tlsa_matched", p->tlsa);
    sp_jw_cstr(w, "level", v->broken ? "broken" : sp_level_name(v->level));
    sp_jw_object(w, "why_not");
    put_why(w, "tls:dane", v->dane_why);
    put_why(w, "tls:authenticated", v->auth_why);
    put_why(w, "tls:verified", v->verified_why);
    put_why(w, "tls:encrypted", v->tls_why);
    sp_jw_end(w);
}

static void put_host(struct sp_jw *w, const struct sp_route *r, size_t at,
                     const struct sp_probe_host *p)
{
    const struct sp_hop *h = &r->hops[at];

    sp_jw_object(w, NULL);
    sp_jw_text(w, "host", h->name);
    if (r->via == SP_VIA_MX)
        sp_jw_int(w, "preference", h->preference);
    sp_jw_int(w, "port", h->port);
    put_addresses(w, h);
    put_tlsa(w, h);
    if (r->sts.mode != SP_STS_MODE_NONE)
        sp_jw_bool(w, "sts_match", h->sts_match);
    sp_jw_bool(w, "talks", p->rc == SP_OK);
    put_why(w, "why", p->rc);
    if (p->reply_code != 0)
        sp_jw_int(w, "reply", p->reply_code);
    if (p->ip.len > 0)
        sp_jw_text(w, "ip", p->ip);
    if (p->rc == SP_OK) {
        sp_jw_bool(w, "starttls", p->proof.tls);
        sp_jw_bool(w, "requiretls", (p->extensions & SP_SMTP_EXT_REQUIRETLS) != 0);
    }
    if (p->asked && (p->rc == SP_OK || p->rc == SP_E_TLS_HANDSHAKE))
        put_verdict(w, p);
    sp_jw_end(w);
}

void sp_probe_write(const struct sp_probe_result *result, struct sp_jw *w)
{
    const struct sp_route *r = result->route;

    sp_jw_text(w, "domain", r->domain);
    sp_jw_cstr(w, "via", sp_via_name(r->via));
    if (r->via == SP_VIA_MX || r->via == SP_VIA_IMPLICIT) {
        sp_jw_object(w, "mx");
        sp_jw_cstr(w, "state", sp_report_dns_word(r->mx_rc, r->mx_secure));
        put_why(w, "why", r->mx_rc);
        sp_jw_end(w);
        put_sts(w, r);
    }
    if (r->pin.len > 0)
        sp_jw_text(w, "pin", r->pin);
    put_why(w, "why", r->rc);
    sp_jw_array(w, "hosts");
    for (size_t i = 0; i < r->hop_count; i++)
        put_host(w, r, i, &result->hosts[i]);
    sp_jw_end(w);
}
