/*
 * `sallyport probe DOMAIN`: the domain seen by this relay, the rungs that are open, and what the live policy would do with
 * an ordinary message to it: from the first tenant's postmaster, nothing found in it, to a recipient without keys.
 *
 *     {"command": "probe", "domain": D, "sender": A or nothing} -> {"domain": ..., "hosts": [...], "rungs": [...],
 *      "policy": {...}, "exit": 0, 1 or 2}
 */
#include "gateway/relay/relay.h"

#include "base/text.h"
#include "delivery/probe.h"
#include "mail/kind.h"
#include "transport/posture.h"
#include "transport/transport.h"

#define CONNECT_MS 5000
#define LIMIT_MS   9000 /* hosts; the admin role waits 15 s for all of it */
#define REPLY_MAX  ((size_t)2 << 20)
#define NAME_MAX_  253

enum { EXIT_OPEN = 0, EXIT_BELOW = 1, EXIT_UNSURE = 2 };

struct relay_probe {
    struct sp_list at;
    struct relay *relay;
    struct sp_jobs_job *job;
    struct sp_probe *probe;
    char domain[NAME_MAX_ + 1];
    char *sender;
};

static void end(struct relay_probe *p)
{
    sp_list_remove(&p->at);
    sp_probe_free(p->probe);
    sp_free(p->sender);
    sp_free(p);
}

/* ---- which rungs ---- */

static const struct sp_ladder every_rung = {
    .name = "",
    .rungs = {{.rung = SP_RUNG_TLS_DANE, .stay_unreachable_ms = SP_STAY_UNTIL_EXPIRE},
              {.rung = SP_RUNG_TLS_AUTHENTICATED, .stay_unreachable_ms = SP_STAY_UNTIL_EXPIRE},
              {.rung = SP_RUNG_TLS_VERIFIED, .stay_unreachable_ms = SP_STAY_UNTIL_EXPIRE},
              {.rung = SP_RUNG_TLS_ENCRYPTED, .stay_unreachable_ms = SP_STAY_UNTIL_EXPIRE},
              {.rung = SP_RUNG_PLAIN, .stay_unreachable_ms = SP_STAY_UNTIL_EXPIRE}},
    .count = 5,
};

static void put_rung(struct sp_jw *w, enum sp_rung rung, const struct sp_rung_fact *f,
                     const struct sp_route *r)
{
    bool open = f->known && f->status == SP_STATUS_POSSIBLE;

    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "rung", sp_rung_name(rung));
    sp_jw_bool(w, "open", open);
    if (open && sp_rung_is_smtp(rung) && !sp_rung_is_crypto(rung) && f->hop < r->hop_count)
        sp_jw_text(w, "host", r->hops[f->hop].name);
    if (f->known && !open) {
        sp_jw_cstr(w, "cause", sp_rung_status_name(f->status));
        sp_jw_cstr(w, "why", sp_rc_name(f->why));
    }
    sp_jw_end(w);
}

/* Each rung by itself: a better one that is open does not hide what lies below. */
static void put_rungs(const struct relay_probe *p, const struct sp_probe_result *result,
                      struct sp_jw *w)
{
    sp_jw_array(w, "rungs");
    for (size_t i = 0; i < every_rung.count; i++) {
        struct sp_ladder one = {.name = "", .rungs = {every_rung.rungs[i]}, .count = 1};
        struct sp_standing s = {.ladder = &one, .expire_ms = INT64_MAX};

        sp_outcome_begin(&s);
        sp_probe_tell(result, relay_posture_levels(p->relay), &s);
        if (s.never != SP_OK)
            s.rungs[0] = (struct sp_rung_fact){
                .known = true, .status = SP_STATUS_UNAVAILABLE, .why = s.never};
        put_rung(w, one.rungs[0].rung, &s.rungs[0], result->route);
    }
    sp_jw_end(w);
}

/* ---- what the policy would do ---- */

static void ordinary_facts(const struct relay_probe *p, struct sp_bytes recipient,
                           struct sp_facts *f)
{
    sp_facts_init(f);
    f->now_ms = sp_clock_wall_ms(sp_loop_clock(p->relay->loop));
    sp_facts_set_sender(f, sp_bytes_cstr(p->sender));
    sp_facts_set_recipient(f, recipient);
    sp_facts_set_number(f, SP_FACT_DOMAIN_REMEMBERED,
                        relay_delivery_remembered(p->relay, sp_bytes_cstr(p->domain)));
    sp_facts_set_headers(f, NULL, 0);
    sp_facts_set_number(f, SP_FACT_RECIPIENT_COUNT, 1);
    sp_facts_set_number(f, SP_FACT_MESSAGE_KIND, SP_KIND_MAIL);
    sp_facts_set_number(f, SP_FACT_MESSAGE_SEALED, SP_SEALED_NONE);
    sp_facts_set_number(f, SP_FACT_PHI_CLASS, SP_PHI_NONE);
    sp_facts_set_types(f, NULL, 0);
    sp_facts_set_scan(f, SP_SCAN_COMPLETE);
    sp_facts_close_stage(f, SP_STAGE_ENVELOPE);
    sp_facts_close_stage(f, SP_STAGE_HEADER);
    sp_facts_close_stage(f, SP_STAGE_CONTENT);
}

static int weigh(const struct sp_standing *s, const struct sp_next *next)
{
    enum sp_rc why;

    if (next->step == SP_STEP_TAKE)
        return EXIT_OPEN;
    if (next->step == SP_STEP_WAIT &&
        sp_outcome_rung_cause(s, next->index, &why) == SP_STATUS_UNREACHABLE)
        return EXIT_UNSURE;
    return EXIT_BELOW;
}

static const char *step_name(enum sp_step step)
{
    static const char *const names[] = {
        [SP_STEP_KEYS] = "wait", [SP_STEP_HOP] = "wait",      [SP_STEP_TAKE] = "take",
        [SP_STEP_WAIT] = "wait", [SP_STEP_RETURN] = "return", [SP_STEP_HOLD] = "hold",
    };

    return names[step];
}

static int put_choice(const struct relay_probe *p, const struct sp_probe_result *result,
                      const struct sp_decision *d, struct sp_jw *w)
{
    struct sp_standing s = {
        .ladder = d->ladder,
        .floor = d->floor,
        .has_portal = p->relay->config->portal.listen[0] != 0,
        .expire_ms = d->has_expire ? d->expire_ms : p->relay->config->delivery.expire_ms,
    };
    struct sp_next next;

    sp_outcome_begin(&s);
    sp_outcome_keys(&s, SP_E_KEYS_NONE, SP_E_KEYS_NONE);
    sp_probe_tell(result, relay_posture_levels(p->relay), &s);
    sp_outcome_next(&s, &next);
    sp_jw_cstr(w, "floor", sp_floor_name(d->floor));
    sp_jw_array(w, "ladder");
    for (size_t i = 0; i < d->ladder->count; i++)
        put_rung(w, d->ladder->rungs[i].rung, &s.rungs[i], result->route);
    sp_jw_end(w);
    sp_jw_cstr(w, "does", step_name(next.step));
    if (next.index < d->ladder->count)
        sp_jw_cstr(w, "rung", sp_rung_name(d->ladder->rungs[next.index].rung));
    if (next.why != SP_OK)
        sp_jw_cstr(w, "why", sp_rc_name(next.why));
    return weigh(&s, &next);
}

static int put_policy(const struct relay_probe *p, const struct sp_probe_result *result,
                      struct sp_jw *w)
{
    struct sp_facts *facts = sp_calloc(1, sizeof(*facts));
    struct sp_decision d;
    struct sp_buf recipient;
    int code = EXIT_BELOW;

    sp_buf_init(&recipient, 512);
    sp_buf_put_cstr(&recipient, "postmaster@");
    sp_buf_put_cstr(&recipient, p->domain);
    ordinary_facts(p, sp_buf_bytes(&recipient), facts);
    sp_policy_decide(p->relay->policy, facts, &d);
    sp_jw_object(w, "policy");
    sp_jw_cstr(w, "hash", sp_policy_hash(p->relay->policy));
    sp_jw_text(w, "recipient", sp_buf_bytes(&recipient));
    sp_jw_cstr(w, "rule", d.rule);
    if (d.ladder != NULL)
        code = put_choice(p, result, &d, w);
    else
        sp_jw_cstr(w, "does", "refuse");
    sp_jw_end(w);
    sp_buf_clear(&recipient);
    sp_free(facts);
    return code;
}

/* ---- the answer ---- */

static void on_probed(void *arg, const struct sp_probe_result *result)
{
    struct relay_probe *p = arg;
    const struct sp_config *c = p->relay->config;
    enum sp_level best;
    struct sp_buf json;
    struct sp_jw w;

    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_probe_write(result, &w);
    sp_jw_object(&w, "resolver");
    sp_jw_cstr(&w, "address", c->resolver.servers.count > 0 ? c->resolver.servers.items[0] : "");
    sp_jw_bool(&w, "trusted", c->resolver.trusted);
    sp_jw_end(&w);
    sp_jw_cstr(&w, "remembered",
               sp_posture_find(relay_posture_levels(p->relay), result->route->domain, &best)
                   ? sp_level_name(best)
                   : "never-seen");
    put_rungs(p, result, &w);
    sp_jw_int(&w, "exit", put_policy(p, result, &w));
    sp_jw_end(&w);
    relay_reply_json(p->job, sp_buf_rc(&json), &json);
    sp_buf_clear(&json);
    end(p);
}

static bool read_domain(struct sp_bytes domain, char *out)
{
    if (domain.len == 0 || domain.len > NAME_MAX_)
        return false;
    for (size_t i = 0; i < domain.len; i++) {
        uint8_t c = sp_ascii_lower(domain.ptr[i]);

        if (!sp_ascii_is_alnum(c) && strchr(".-_:[]", c) == NULL)
            return false;
        out[i] = (char)c;
    }
    out[domain.len] = '\0';
    return true;
}

void relay_probe_start(struct relay *r, struct sp_jobs_job *job, const struct sp_json *ask)
{
    struct sp_bytes sender = sp_json_text_of(ask, "sender");
    struct relay_probe *p = sp_calloc(1, sizeof(*p));
    struct sp_probe_plan plan = {
        .loop = r->loop,
        .transport = relay_delivery_transport(r),
        .tls = relay_delivery_tls(r),
        .hostname = r->config->hostname,
        .connect_ms = CONNECT_MS,
        .limit_ms = LIMIT_MS,
    };

    p->relay = r;
    p->job = job;
    if (!read_domain(sp_json_text_of(ask, "domain"), p->domain)) {
        relay_reply_error(job, SP_E_USAGE, "domain: no domain name");
        sp_free(p);
        return;
    }
    p->sender = sender.len > 0 ? sp_strdup_bytes(sender)
                               : sp_strdup(r->postmaster == NULL ? "" : r->postmaster);
    sp_list_append(&r->probes, &p->at);
    p->probe = sp_probe_new(&plan, sp_bytes_cstr(p->domain), on_probed, p);
}

void relay_probe_cancel(struct relay *r)
{
    SP_LIST_EACH(at, &r->probes)
    {
        struct relay_probe *p = SP_CONTAINER(at, struct relay_probe, at);

        relay_reply_error(p->job, SP_E_ROLE_GONE, "the settings have changed: ask again");
        end(p);
    }
}
