/*
 * audit.facts: the facts of one message, or of all since a number of days, one JSON object a line in a file without a name.
 * They say more than the audit's lines do, so that each such look is a line of its own, written before anything is given.
 */
#include "gateway/ledger/ledger.h"

#include <unistd.h>

#include "audit/facts.h"
#include "base/fault.h"
#include "base/memfd.h"
#include "base/text.h"
#include "jobs/command.h"

#define DAY_MS    ((int64_t)86400000)
#define DAYS_MAX  90
#define EVENT_MAX 65536
#define LINE_MAX_ ((size_t)1 << 20)

struct giving {
    int fd;
    int64_t count;
    bool failed;
};

static void give(void *arg, const struct sp_audit_fact *fact)
{
    struct giving *g = arg;
    struct sp_buf line;
    struct sp_jw w;
    size_t done = 0;

    sp_buf_init(&line, LINE_MAX_);
    sp_jw_init(&w, &line);
    sp_jw_object(&w, NULL);
    sp_jw_id(&w, "message", fact->id.b);
    sp_jw_int(&w, "time_ms", fact->time_ms);
    sp_jw_raw(&w, "facts", fact->facts);
    sp_jw_end(&w);
    sp_buf_put_u8(&line, '\n');
    g->failed = g->failed || sp_buf_rc(&line) != SP_OK;
    while (!g->failed && done < line.len) {
        ssize_t n =
            SP_FAULT("ledger.facts-write") ? -1 : write(g->fd, line.ptr + done, line.len - done);

        g->failed = n <= 0;
        done += n > 0 ? (size_t)n : 0;
    }
    g->count++;
    sp_buf_wipe(&line);
}

static enum sp_rc say(struct ledger *l, const struct sp_id *id, int64_t days, struct sp_bytes actor,
                      struct sp_err *err)
{
    struct sp_buf text;
    struct sp_jw w;
    enum sp_rc rc;

    sp_buf_init(&text, EVENT_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "event", "audit.exported");
    sp_jw_raw(&w, "actor", actor.len > 0 ? actor : SP_LIT("{}"));
    sp_jw_cstr(&w, "what", "facts");
    if (id != NULL)
        sp_jw_id(&w, "about", id->b);
    else
        sp_jw_int(&w, "days", days);
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

/* On record first, then given. returns: what stood in the way */
static enum sp_rc collect(struct ledger *l, const struct sp_audit_facts_ask *ask, int64_t days,
                          struct sp_bytes actor)
{
    struct giving *g = ask->arg;
    struct sp_err err = {0};
    enum sp_rc rc = g->fd < 0 ? SP_E_IO : say(l, ask->message, days, actor, &err);

    if (rc == SP_OK)
        rc = sp_audit_book_facts(l->book, ask, &err);
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
    enum sp_rc rc = SP_E_USAGE;

    if (id != NULL || (days >= 1 && days <= DAYS_MAX))
        rc = collect(l, &ask, days, actor);
    if (rc == SP_OK)
        reply(job, &g);
    else
        ledger_reply_error(job, rc, rc == SP_E_USAGE ? "days: 1 to 90" : "no facts of it are kept");
    ledger_tail_poke(l);
    if (g.fd >= 0)
        (void)close(g.fd);
}
