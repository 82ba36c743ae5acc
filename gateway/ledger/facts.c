/*
 * audit.facts: the facts of one message, or of all since a number of days, one JSON object a line in a file without a name;
 * or the policy version that decided by them, as it was, with its lists of people.
 * They say more than the audit's lines do, so that each such look is a line of its own, written before anything is given.
 */
#include "gateway/ledger/ledger.h"

#include <unistd.h>

#include "audit/facts.h"
#include "audit/policies.h"
#include "base/fault.h"
#include "base/memfd.h"
#include "base/text.h"
#include "jobs/command.h"

#define DAY_MS     ((int64_t)86400000)
#define DAYS_MAX   90
#define EVENT_MAX  65536
#define LINE_MAX_  ((size_t)1 << 20)
#define POLICY_MAX ((size_t)64 << 20)

struct giving {
    int fd;
    int64_t count;
    bool failed;
};

static void put(struct giving *g, struct sp_bytes text)
{
    size_t done = 0;

    while (!g->failed && done < text.len) {
        ssize_t n =
            SP_FAULT("ledger.facts-write") ? -1 : write(g->fd, text.ptr + done, text.len - done);

        g->failed = n <= 0;
        done += n > 0 ? (size_t)n : 0;
    }
}

static void give(void *arg, const struct sp_audit_fact *fact)
{
    struct giving *g = arg;
    struct sp_buf line;
    struct sp_jw w;

    sp_buf_init(&line, LINE_MAX_);
    sp_jw_init(&w, &line);
    sp_jw_object(&w, NULL);
    sp_jw_id(&w, "message", fact->id.b);
    sp_jw_int(&w, "time_ms", fact->time_ms);
    sp_jw_raw(&w, "facts", fact->facts);
    sp_jw_end(&w);
    sp_buf_put_u8(&line, '\n');
    g->failed = g->failed || sp_buf_rc(&line) != SP_OK;
    put(g, sp_buf_bytes(&line));
    g->count++;
    sp_buf_wipe(&line);
}

/* What somebody is about to look at. */
struct look {
    const struct sp_id *id; /* NULL: all of so many days, or a policy */
    int64_t days;
    struct sp_bytes policy; /* its hash */
    struct sp_bytes actor;
};

static enum sp_rc say(struct ledger *l, const struct look *look, struct sp_err *err)
{
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "audit.exported");
    sp_jw_raw(&w, "actor", look->actor.len > 0 ? look->actor : SP_LIT("{}"));
    sp_jw_cstr(&w, "what", look->policy.len > 0 ? "policy" : "facts");
    if (look->policy.len > 0)
        sp_jw_text(&w, "policy", look->policy);
    else if (look->id != NULL)
        sp_jw_id(&w, "about", look->id->b);
    else
        sp_jw_int(&w, "days", look->days);
    sp_jw_end(&w);
    rc = sp_audit_book_say(l->book, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    return rc == SP_OK ? sp_audit_book_commit(l->book, err) : rc;
}

static void reply(struct sp_jobs_job *job, const struct giving *g)
{
    struct sp_jobs_command_reply answer = {.has_file = true};
    struct sp_buf json, out;
    struct sp_jw w;

    sp_buf_init(&json, 4096);
    sp_buf_init(&out, 8192);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_int(&w, "messages", g->count);
    sp_jw_end(&w);
    answer.json = sp_buf_bytes(&json);
    sp_jobs_command_reply_encode(&out, &answer);
    sp_jobs_job_reply(job, sp_buf_rc(&out), sp_buf_bytes(&out), &g->fd, 1);
    sp_buf_clear(&json);
    sp_buf_clear(&out);
}

/* That it isn't there is said of what isn't there, and of nothing that only could not be read just now. */
static void refuse(struct sp_jobs_job *job, enum sp_rc rc, const char *absent,
                   const struct sp_err *err)
{
    const char *why = err->text[0] != '\0' ? err->text : "it can't be given now";

    ledger_reply_error(job, rc, rc == SP_E_NOT_FOUND ? absent : why);
}

/* On record first, then given. returns: what stood in the way */
static enum sp_rc collect(struct ledger *l, const struct sp_audit_facts_ask *ask,
                          const struct look *look, struct sp_err *err)
{
    struct giving *g = ask->arg;
    enum sp_rc rc = g->fd < 0 ? SP_E_IO : say(l, look, err);

    if (rc == SP_OK)
        rc = sp_audit_book_facts(l->book, ask, err);
    if (rc == SP_OK && (g->failed || lseek(g->fd, 0, SEEK_SET) != 0))
        rc = SP_E_IO;
    if (rc == SP_OK && ask->message != NULL && g->count == 0)
        rc = SP_E_NOT_FOUND;
    return rc;
}

void ledger_facts(struct ledger *l, struct sp_jobs_job *job, const struct sp_id *id, int64_t days,
                  struct sp_bytes actor)
{
    struct giving g = {.fd = sp_memfd_new("facts")};
    struct sp_audit_facts_ask ask = {.message = id,
                                     .since_ms = sp_clock_wall_ms(l->clock) - days * DAY_MS,
                                     .fn = give,
                                     .arg = &g};
    const struct look look = {.id = id, .days = days, .actor = actor};
    struct sp_err err = {0};
    enum sp_rc rc = SP_E_USAGE;

    if (id != NULL || (days >= 1 && days <= DAYS_MAX))
        rc = collect(l, &ask, &look, &err);
    if (rc == SP_OK)
        reply(job, &g);
    else if (rc == SP_E_USAGE)
        ledger_reply_error(job, rc, "days: 1 to 90");
    else
        refuse(job, rc, "no facts of it are kept", &err);
    ledger_tail_poke(l);
    if (g.fd >= 0)
        (void)close(g.fd);
}

/* The text first, since it may not be there; then on record; then given. */
static enum sp_rc give_policy(struct ledger *l, const struct look *look, struct giving *g,
                              struct sp_err *err)
{
    struct sp_buf text;
    enum sp_rc rc;

    sp_buf_init(&text, POLICY_MAX);
    rc = sp_audit_book_policy_text(l->book, look->policy, &text, err);
    if (rc == SP_OK)
        rc = g->fd < 0 ? SP_E_IO : say(l, look, err);
    if (rc == SP_OK)
        put(g, sp_buf_bytes(&text));
    if (rc == SP_OK && (g->failed || lseek(g->fd, 0, SEEK_SET) != 0))
        rc = SP_E_IO;
    sp_buf_wipe(&text); /* people's wishes are in it */
    return rc;
}

void ledger_facts_policy(struct ledger *l, struct sp_jobs_job *job, struct sp_bytes hash,
                         struct sp_bytes actor)
{
    struct giving g = {.fd = sp_memfd_new("policy")};
    const struct look look = {.policy = hash, .actor = actor};
    struct sp_err err = {0};
    enum sp_rc rc = give_policy(l, &look, &g, &err);

    if (rc == SP_OK)
        reply(job, &g);
    else
        refuse(job, rc, "no such policy version ever decided here", &err);
    ledger_tail_poke(l);
    if (g.fd >= 0)
        (void)close(g.fd);
}
