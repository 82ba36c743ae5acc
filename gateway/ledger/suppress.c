/*
 * Addresses that are not tried: the list for relays that start, changes for all, and what an administrator sees and says.
 * As with postures, a word of his is an audit record first and told to the relays then.
 */
#include "base/text.h"
#include "gateway/ledger/ledger.h"
#include "jobs/command.h"
#include "jobs/suppress.h"

#define REPLY_MAX    SP_JOBS_COMMAND_MAX
#define TEXT_MAX     ((size_t)16 << 20)
#define ADDRESS_MAX  320
#define TELL_MAX     128
#define TELL_TIMEOUT 30000

static struct sp_jobs_suppress_entry entry_of(const struct sp_audit_suppressed *s)
{
    return (struct sp_jobs_suppress_entry){
        .address = s->address, .until_ms = s->until_ms, .removed = s->removed};
}

/* What is durable in the journals counts as known: it is folded first. */
static void on_list(void *arg, struct sp_jobs_job *job)
{
    struct ledger *l = arg;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_jobs_suppress_entry *entries;
    struct sp_jobs_suppress list;
    struct sp_audit_suppressed s;
    struct sp_buf out;
    size_t at = 0;
    enum sp_rc rc = sp_jobs_suppress_decode(sp_jobs_job_payload(job), arena, &list);

    sp_buf_init(&out, TEXT_MAX);
    entries = sp_calloc(SP_JOBS_SUPPRESS_MAX, sizeof(*entries));
    if (rc == SP_OK) {
        ledger_tail_now(l);
        list = (struct sp_jobs_suppress){.op = SP_JOBS_SUPPRESS_LIST, .entries = entries};
        while (list.entry_count < SP_JOBS_SUPPRESS_MAX &&
               sp_audit_book_suppressed_next(l->book, &at, &s))
            entries[list.entry_count++] = entry_of(&s);
        sp_jobs_suppress_encode(&out, &list);
        rc = sp_buf_rc(&out);
    }
    sp_jobs_job_reply(job, rc, rc == SP_OK ? sp_buf_bytes(&out) : SP_LIT(""), NULL, 0);
    sp_buf_clear(&out);
    sp_free(entries);
}

static void on_told(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct ledger *l = arg;

    (void)reply;
    if (rc != SP_OK && rc != SP_E_ROLE_GONE)
        sp_log_warn(l->log, "ledger.suppression-untold", SP_RC("why", rc));
}

static void tell_all(struct ledger *l, const struct sp_jobs_suppress *list)
{
    struct sp_buf out;
    unsigned index;
    size_t at = 0;

    sp_buf_init(&out, TEXT_MAX);
    sp_jobs_suppress_encode(&out, list);
    while (sp_jobs_peer_next(l->jobs, SP_ROLE_RELAY, &at, &index)) {
        struct sp_jobs_request request = {.role = SP_ROLE_RELAY,
                                          .index = index,
                                          .type = SP_JOBS_SUPPRESS,
                                          .payload = sp_buf_bytes(&out),
                                          .timeout_ms = TELL_TIMEOUT};

        sp_jobs_call(l->jobs, &request, on_told, l);
    }
    sp_buf_clear(&out);
}

void ledger_suppress_tell(struct ledger *l)
{
    struct sp_jobs_suppress_entry entries[TELL_MAX];
    struct sp_audit_suppressed s;
    bool more = true;

    while (more) {
        struct sp_jobs_suppress list = {.op = SP_JOBS_SUPPRESS_CHANGED, .entries = entries};

        while (list.entry_count < TELL_MAX &&
               (more = sp_audit_book_suppressed_changed(l->book, &s)))
            entries[list.entry_count++] = entry_of(&s);
        if (list.entry_count > 0)
            tell_all(l, &list);
    }
}

void ledger_suppress_serve(struct ledger *l)
{
    sp_jobs_serve(l->jobs, SP_JOBS_SUPPRESS, on_list, l);
}

/* ---- for people ---- */

static void put_time(struct sp_jw *w, const char *key, int64_t ms)
{
    char time[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(ms, time);
    sp_jw_cstr(w, key, ms == 0 ? NULL : time);
}

void ledger_suppress_list(struct ledger *l, struct sp_jobs_job *job,
                          const struct ledger_question *q)
{
    struct sp_bytes wanted = sp_json_text_of(q->ask, "address");
    struct sp_audit_suppressed s;
    struct sp_buf json;
    struct sp_jw w;
    size_t at = 0;

    sp_buf_init(&json, REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "addresses");
    while (json.len < REPLY_MAX / 2 && sp_audit_book_suppressed_next(l->book, &at, &s)) {
        if (wanted.len > 0 && !sp_bytes_eq_nocase(wanted, s.address))
            continue;
        sp_jw_object(&w, NULL);
        sp_jw_text(&w, "address", s.address);
        sp_jw_text(&w, "why", s.why);
        if (s.reply.len > 0)
            sp_jw_text(&w, "reply", s.reply);
        put_time(&w, "since", s.since_ms);
        put_time(&w, "until", s.until_ms);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_bool(&w, "complete", json.len < REPLY_MAX / 2);
    sp_jw_end(&w);
    ledger_reply_json(job, sp_buf_rc(&json), sp_buf_bytes(&json));
    sp_buf_clear(&json);
}

static enum sp_rc say(struct ledger *l, const struct ledger_question *q, const char *change,
                      struct sp_err *err)
{
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "list.changed");
    sp_jw_cstr(&w, "list", "suppression");
    sp_jw_cstr(&w, "change", change);
    sp_jw_text(&w, "address", sp_json_text_of(q->ask, "address"));
    sp_jw_cstr(&w, "why", "administrator");
    sp_jw_raw(&w, "actor", q->actor.len > 0 ? q->actor : SP_LIT("{}"));
    sp_jw_text(&w, "reason", sp_json_text_of(q->ask, "reason"));
    sp_jw_end(&w);
    rc = sp_audit_book_say(l->book, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    return rc == SP_OK ? sp_audit_book_commit(l->book, err) : rc;
}

static void change(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q,
                   const char *what)
{
    struct sp_bytes address = sp_json_text_of(q->ask, "address");
    struct sp_err err = {0};
    struct sp_buf json;
    struct sp_jw w;
    enum sp_rc rc;

    if (address.len == 0 || address.len > ADDRESS_MAX || sp_bytes_find(address, '@') == SIZE_MAX ||
        sp_bytes_trim(sp_json_text_of(q->ask, "reason")).len == 0) {
        ledger_reply_error(job, SP_E_USAGE, "address and reason are needed");
        return;
    }
    rc = say(l, q, what, &err);
    if (rc != SP_OK && rc != SP_E_MALFORMED)
        sp_role_fail(l->role, &err);
    ledger_suppress_tell(l);
    ledger_tail_poke(l);
    if (rc != SP_OK) {
        ledger_reply_error(job, rc, err.text);
        return;
    }
    sp_buf_init(&json, 1024);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "done", what);
    sp_jw_text(&w, "address", address);
    sp_jw_end(&w);
    ledger_reply_json(job, sp_buf_rc(&json), sp_buf_bytes(&json));
    sp_buf_clear(&json);
}

void ledger_suppress_add(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q)
{
    change(l, job, q, "added");
}

void ledger_suppress_remove(struct ledger *l, struct sp_jobs_job *job,
                            const struct ledger_question *q)
{
    change(l, job, q, "removed");
}
