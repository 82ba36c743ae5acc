/*
 * Acts: audited steps that no message record holds. Each goes into a journal of the ledger's own, is answered when that
 * is synced, and is folded from there like every other record, so an act and a message stand in one order and survive the
 * same crashes. The journal holds no bodies; its content key is derived from the record key and guards nothing.
 */
#include "gateway/ledger/ledger.h"

#include <errno.h>
#include <sys/stat.h>

#include "crypt/hash.h"
#include "jobs/act.h"
#include "jobs/durable.h"

#define SEGMENT_LEN ((size_t)4 << 20)
#define META_MAX    (SP_JOBS_ACT_MAX + 4096)

struct act {
    struct sp_journal_append append;
    struct ledger *l;
    struct sp_jobs_job *job; /* NULL: answered already */
    struct sp_buf meta;
};

static void on_written(struct sp_journal_append *a, enum sp_rc rc)
{
    struct act *act = a->arg;

    act->l->acts_open--;
    if (act->job != NULL)
        sp_jobs_job_reply(act->job, rc, sp_bytes(NULL, 0), NULL, 0);
    else if (rc != SP_OK)
        sp_log_error(act->l->log, "ledger.act-lost", SP_RC("why", rc));
    sp_buf_clear(&act->meta);
    sp_free(act);
}

/* Whether the books will take it: better refused now than a gap later. */
static enum sp_rc check(struct ledger *l, struct sp_bytes event, struct sp_act *act)
{
    struct sp_audit_stamp stamp = {.node = l->node, .seq = 1};
    struct sp_audit_line line;
    struct sp_err err = {0};
    struct sp_buf text;
    enum sp_rc rc;

    sp_buf_init(&text, SP_AUDIT_LINE_MAX);
    rc = sp_audit_line_build(event, &stamp, &text, &line, &err);
    if (rc == SP_OK) {
        act->id = line.message;
        rc = ledger_wishes_check(l, line.root);
        if (rc == SP_OK)
            rc = ledger_posture_check(l, line.root);
        sp_audit_line_clear(&line);
    } else {
        sp_log_warn(l->log, "ledger.act-refused", SP_RC("why", rc), SP_TEXT("detail", err.text));
    }
    sp_buf_clear(&text);
    return rc;
}

static void on_act(void *arg, struct sp_jobs_job *job)
{
    struct ledger *l = arg;
    struct sp_jobs_act_request request;
    struct sp_act record = {.time_ms = sp_clock_wall_ms(l->clock)};
    struct act *act;
    enum sp_rc rc = sp_jobs_act_request_decode(sp_jobs_job_payload(job), &request);

    if (rc == SP_OK)
        rc = check(l, request.event, &record);
    if (rc == SP_OK && l->stopping)
        rc = SP_E_ROLE_GONE;
    if (rc != SP_OK) {
        sp_jobs_job_reply(job, rc, sp_bytes(NULL, 0), NULL, 0);
        return;
    }
    act = sp_calloc(1, sizeof(*act));
    act->l = l;
    sp_buf_init(&act->meta, META_MAX);
    record.audit = (struct sp_audit_list){.events = &request.event, .count = 1};
    rc = sp_act_encode(&record, &act->meta);
    if (rc != SP_OK || request.batch) {
        sp_jobs_job_reply(job, rc, sp_bytes(NULL, 0), NULL, 0);
        job = NULL;
    }
    if (rc != SP_OK) {
        sp_buf_clear(&act->meta);
        sp_free(act);
        return;
    }
    act->job = job;
    act->append = (struct sp_journal_append){.type = SP_RECORD_ACT,
                                             .class = SP_JOURNAL_ASKED,
                                             .message = record.id,
                                             .meta = sp_buf_bytes(&act->meta),
                                             .done = on_written,
                                             .arg = act};
    l->acts_open++;
    sp_journal_append(l->own, &act->append);
}

static void on_durable(void *arg, uint64_t segment, uint64_t end)
{
    struct ledger *l = arg;
    struct shard *s = ledger_shard(l, SP_LIT(LEDGER_OWN_SHARD));

    if (s == NULL)
        return;
    sp_journal_reader_tell(s->reader, segment, end);
    ledger_tail_poke(l);
}

/* A relay says how far it has come. */
static void on_relay(void *arg, struct sp_jobs_job *job)
{
    struct ledger *l = arg;
    struct sp_jobs_durable_request request;
    struct sp_jobs_durable_reply reply = {0};
    struct sp_buf out;
    struct shard *s;
    enum sp_rc rc = sp_jobs_durable_request_decode(sp_jobs_job_payload(job), &request);

    sp_buf_init(&out, 64);
    s = rc == SP_OK ? ledger_tail_shard(l, request.shard) : NULL;
    if (s != NULL) {
        sp_journal_reader_tell(s->reader, request.segment, request.end);
        reply.passed = s->passed;
        ledger_tail_poke(l);
    } else if (rc == SP_OK) {
        rc = SP_E_NOT_FOUND; /* the relay tells it again */
    }
    sp_jobs_durable_reply_encode(&out, &reply);
    sp_jobs_job_reply(job, rc, sp_buf_bytes(&out), NULL, 0);
    sp_buf_clear(&out);
}

static void on_entry(void *arg, const struct sp_journal_entry *e)
{
    (void)arg; /* what was acted on before is read by the tail, like other shards */
    (void)e;
}

enum sp_rc ledger_act_open(struct ledger *l, struct sp_err *err)
{
    struct sp_journal_keys keys = {.record = l->record_kek, .kek_id = "ledger"};
    struct sp_journal_options options = {.io = &l->own_io,
                                         .keys = &keys,
                                         .loop = l->loop,
                                         .log = l->log,
                                         .clock = l->clock,
                                         .random = sp_random_system(),
                                         .segment_len = SEGMENT_LEN,
                                         .on_entry = on_entry,
                                         .on_durable = on_durable,
                                         .arg = l};
    struct sp_journal_recovery found;
    struct sp_buf path;
    enum sp_rc rc;

    sp_crypt_hkdf(sp_secret_bytes(&l->record_kek), SP_LIT("sallyport ledger content 1"),
                  &keys.content);
    sp_buf_init(&path, LEDGER_PATH_MAX);
    rc = ledger_path(&path, sp_role_dir(l->role), "journal");
    if (rc == SP_OK &&
        ((mkdir((const char *)path.ptr, 0700) != 0 && errno != EEXIST) || !ledger_sync(l)))
        rc = sp_fail_errno(err, SP_E_IO, errno, "%s", (const char *)path.ptr);
    if (rc == SP_OK)
        rc = sp_journal_io_posix((const char *)path.ptr, &l->own_io, err);
    sp_buf_clear(&path);
    l->own_io_open = rc == SP_OK;
    if (rc == SP_OK)
        rc = sp_journal_open(&options, &l->own, &found, err);
    sp_secret_clear(&keys.content);
    sp_secret_clear(&keys.record);
    if (rc != SP_OK)
        return rc;
    sp_jobs_serve(l->jobs, SP_JOBS_ACT, on_act, l);
    sp_jobs_serve(l->jobs, SP_JOBS_DURABLE, on_relay, l);
    return SP_OK;
}

void ledger_act_folded(struct ledger *l, uint64_t passed)
{
    if (l->own == NULL)
        return;
    sp_journal_passed(l->own, passed);
    sp_journal_forget(l->own, passed);
}

void ledger_act_close(struct ledger *l)
{
    sp_journal_close(l->own);
    l->own = NULL;
    if (l->own_io_open)
        sp_journal_io_posix_free(&l->own_io);
    l->own_io_open = false;
}
