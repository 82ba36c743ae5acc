/*
 * What an administrator sees and says of domains: the best that each has proved, with its host and evidence, the same of each
 * of its hosts, its MTA-STS policy, what was seen last; a drop accepted, a domain forgotten. What changes is an audit record first and told to the
 * relays then, so that no relay acts on a word that is not on record.
 */
#include "base/text.h"
#include "gateway/ledger/ledger.h"
#include "jobs/command.h"

#define REPLY_MAX  SP_JOBS_COMMAND_MAX
#define FORGOTTEN  "never-seen"
#define DOMAIN_MAX 253

static void put_time(struct sp_jw *w, const char *key, int64_t ms)
{
    char time[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(ms, time);
    sp_jw_cstr(w, key, ms == 0 ? NULL : time);
}

static void put_evidence(struct sp_jw *w, struct sp_bytes digests)
{
    struct sp_bytes one;

    sp_jw_array(w, "evidence");
    while (digests.len > 0 && sp_bytes_split(&digests, ' ', &one))
        sp_jw_text(w, NULL, one);
    sp_jw_end(w);
}

static void put_policy(struct sp_jw *w, const struct sp_audit_posture *p)
{
    if (p->sts.len == 0)
        return;
    sp_jw_object(w, "sts");
    sp_jw_text(w, "id", p->sts_id);
    put_time(w, "fetched", p->sts_fetched_at_ms);
    put_time(w, "until", p->sts_until_ms);
    sp_jw_text(w, "policy", p->sts);
    sp_jw_end(w);
}

/* What a domain and one of its hosts have in common. */
static void put_proved(struct sp_jw *w, const struct sp_audit_posture *p)
{
    sp_jw_cstr(w, "best", p->proved_at_ms == 0 ? FORGOTTEN : sp_floor_name(p->best));
    put_time(w, "proved", p->proved_at_ms);
    if (p->host.len > 0)
        sp_jw_text(w, "host", p->host);
    if (p->evidence.len > 0)
        put_evidence(w, p->evidence);
    if (p->now.len > 0) {
        sp_jw_text(w, "now", p->now);
        put_time(w, "now_since", p->now_at_ms);
    }
}

static bool put_host(void *arg, const struct sp_audit_posture *p)
{
    struct sp_jw *w = arg;

    sp_jw_object(w, NULL);
    put_proved(w, p);
    sp_jw_end(w);
    return true;
}

static void put_posture(struct sp_jw *w, const struct sp_audit_posture *p)
{
    sp_jw_object(w, NULL);
    sp_jw_text(w, "domain", p->domain);
    put_proved(w, p);
    put_policy(w, p);
    sp_jw_bool(w, "accepted", p->accepted_at_ms != 0);
    if (p->accepted_at_ms != 0)
        put_time(w, "accepted_at", p->accepted_at_ms);
}

void ledger_posture_list(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    struct sp_bytes wanted = sp_json_text_of(q->ask, "domain");
    struct sp_audit_posture p;
    struct sp_buf json;
    struct sp_jw w;
    size_t at = 0;

    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "domains");
    while (json.len < REPLY_MAX / 2 && sp_audit_book_posture_next(l->book, &at, &p)) {
        if (wanted.len != 0 && !sp_bytes_eq_nocase(wanted, p.domain))
            continue;
        put_posture(&w, &p);
        if (wanted.len != 0) {
            sp_jw_array(&w, "hosts");
            (void)sp_audit_book_posture_hosts(l->book, p.domain, put_host, &w);
            sp_jw_end(&w);
        }
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_bool(&w, "complete", json.len < REPLY_MAX / 2);
    sp_jw_end(&w);
    ledger_reply_json(job, sp_buf_rc(&json), sp_buf_bytes(&json));
    sp_buf_clear(&json);
}

/* ---- what is changed ---- */

struct change {
    char domain[DOMAIN_MAX + 1];
    const char *now; /* a level's name, or FORGOTTEN */
    const char *verb;
};

static enum sp_rc say(struct ledger *l, const struct ledger_question *q, const struct change *c,
                      struct sp_err *err)
{
    struct sp_audit_posture before;
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "transport.posture-accepted");
    sp_jw_cstr(&w, "domain", c->domain);
    sp_jw_object(&w, "posture");
    if (sp_audit_book_posture_find(l->book, sp_bytes_cstr(c->domain), &before)) {
        sp_jw_cstr(&w, "before", before.proved_at_ms == 0 ? FORGOTTEN : sp_floor_name(before.best));
        if (before.sts.len > 0 && strcmp(c->now, FORGOTTEN) == 0)
            sp_jw_text(&w, "sts_forgotten", before.sts_id);
    }
    sp_jw_cstr(&w, "now", c->now);
    sp_jw_end(&w);
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    sp_jw_text(&w, "reason", sp_json_text_of(q->ask, "reason"));
    sp_jw_end(&w);
    rc = sp_audit_book_say(l->book, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    return rc == SP_OK ? sp_audit_book_commit(l->book, err) : rc;
}

static void act(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q,
                const struct change *c)
{
    struct sp_err err = {0};
    struct sp_buf json;
    struct sp_jw w;
    enum sp_rc rc = say(l, q, c, &err);

    if (rc != SP_OK && rc != SP_E_MALFORMED)
        sp_role_fail(l->role, &err);
    ledger_posture_tell(l);
    ledger_tail_poke(l);
    if (rc != SP_OK) {
        ledger_reply_error(job, rc, err.text);
        return;
    }
    sp_buf_init(&json, 1024);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "done", c->verb);
    sp_jw_cstr(&w, "domain", c->domain);
    sp_jw_cstr(&w, "now", c->now);
    sp_jw_end(&w);
    ledger_reply_json(job, sp_buf_rc(&json), sp_buf_bytes(&json));
    sp_buf_clear(&json);
}

static bool read_domain(const struct ledger_question *q, struct change *c)
{
    struct sp_bytes domain = sp_json_text_of(q->ask, "domain");

    if (domain.len == 0 || domain.len > DOMAIN_MAX ||
        sp_bytes_trim(sp_json_text_of(q->ask, "reason")).len == 0)
        return false;
    for (size_t i = 0; i < domain.len; i++)
        c->domain[i] = (char)sp_ascii_lower(domain.ptr[i]);
    c->domain[domain.len] = '\0';
    return true;
}

/* Without a level, what was seen last is meant. */
void ledger_posture_accept(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q)
{
    struct sp_bytes level = sp_json_text_of(q->ask, "level");
    struct change c = {.verb = "accept"};
    struct sp_audit_posture p;
    enum sp_floor floor;

    if (!read_domain(q, &c)) {
        ledger_reply_error(job, SP_E_USAGE, "domain and reason are needed");
        return;
    }
    if (level.len == 0 && sp_audit_book_posture_find(l->book, sp_bytes_cstr(c.domain), &p))
        level = p.now;
    if (!sp_floor_parse(level, &floor) || floor > SP_FLOOR_TLS_DANE) {
        ledger_reply_error(job, SP_E_USAGE,
                           "no level: name one, or wait until the domain has shown one");
        return;
    }
    c.now = sp_floor_name(floor);
    act(l, job, q, &c);
}

void ledger_posture_forget(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q)
{
    struct change c = {.verb = "forget", .now = FORGOTTEN};
    struct sp_audit_posture p;

    if (!read_domain(q, &c))
        ledger_reply_error(job, SP_E_USAGE, "domain and reason are needed");
    else if (!sp_audit_book_posture_find(l->book, sp_bytes_cstr(c.domain), &p))
        ledger_reply_error(job, SP_E_NOT_FOUND, "nothing is known of it");
    else
        act(l, job, q, &c);
}
