/*
 * `audit prove MESSAGE`. A checkpoint over the message's last line is made if there is none yet; the rest is one pass over
 * the audit files, which may be long, on the worker thread. The worker shares nothing: it has the question, opens the files
 * for itself, and the lines that it needs are all written and never change.
 */
#include "gateway/ledger/ledger.h"

#include <errno.h>
#include <unistd.h>

#include "audit/proof.h"
#include "base/fault.h"
#include "base/memfd.h"
#include "base/text.h"
#include "jobs/command.h"

#define EVENT_MAX 8192

struct prove {
    struct ledger_asked asked;
    struct sp_jobs_job *job;
    char *file;
    struct sp_audit_proof_ask ask;
    uint64_t *seqs;
    /* what came of it */
    enum sp_rc rc;
    struct sp_err err;
    int fd; /* memfd with the proof */
};

static enum sp_rc to_memfd(struct sp_bytes text, int *out)
{
    int fd = sp_memfd_new("proof");

    if (fd < 0)
        return SP_E_IO;
    while (text.len > 0) {
        ssize_t n =
            SP_FAULT_ERRNO("ledger.prove-write", ENOSPC) ? -1 : write(fd, text.ptr, text.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            close(fd);
            return SP_E_IO;
        }
        text = sp_bytes_slice(text, (size_t)n, SIZE_MAX);
    }
    if (lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return SP_E_IO;
    }
    *out = fd;
    return SP_OK;
}

static void run(void *arg)
{
    struct prove *p = arg;
    struct sp_buf text;

    sp_buf_init(&text, SP_AUDIT_PROOF_MAX);
    p->rc = SP_FAULT_ERRNO("ledger.prove-open", EMFILE)
                ? sp_fail_errno(&p->err, SP_E_IO, errno, "audit file")
                : sp_audit_prove_files(&p->ask, p->file, &text, &p->err);
    if (p->rc == SP_OK)
        p->rc = to_memfd(sp_buf_bytes(&text), &p->fd);
    sp_buf_clear(&text);
}

static void free_prove(struct prove *p)
{
    if (p->fd >= 0)
        close(p->fd);
    sp_free(p->file);
    sp_free(p->seqs);
    sp_free(p);
}

static void done(void *arg)
{
    struct prove *p = arg;
    struct sp_jobs_command_reply reply = {.has_file = true};
    struct sp_buf json;
    struct sp_buf out;
    struct sp_jw w;

    if (!ledger_asked_end(&p->asked)) {
        free_prove(p);
        return;
    }
    if (p->rc != SP_OK) {
        ledger_reply_error(p->job, p->rc, p->err.text);
        free_prove(p);
        return;
    }
    sp_buf_init(&json, 4096);
    sp_buf_init(&out, 8192);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_id(&w, "message", p->ask.message.b);
    sp_jw_int(&w, "records", (int64_t)p->ask.seq_count);
    sp_jw_int(&w, "checkpoint_seq", (int64_t)p->ask.checkpoint_seq);
    sp_jw_cstr(&w, "key", p->ask.key.id);
    sp_jw_end(&w);
    reply.json = sp_buf_bytes(&json);
    sp_jobs_command_reply_encode(&out, &reply);
    sp_jobs_job_reply(p->job, sp_buf_rc(&out), sp_buf_bytes(&out), &p->fd, 1);
    sp_buf_clear(&out);
    sp_buf_clear(&json);
    free_prove(p);
}

static struct prove *ask(struct ledger *l, struct sp_jobs_job *job,
                         const struct sp_audit_message *m)
{
    struct prove *p = sp_calloc(1, sizeof(*p));

    p->job = job;
    p->fd = -1;
    p->file = sp_strdup(l->file);
    p->seqs = sp_calloc(m->place_count, sizeof(*p->seqs));
    for (uint32_t i = 0; i < m->place_count; i++)
        p->seqs[i] = m->places[i].seq;
    p->ask.message = m->id;
    p->ask.seqs = p->seqs;
    p->ask.seq_count = m->place_count;
    p->ask.key = l->signer.key;
    return p;
}

/* Who took out a proof, and of what; not one of the message's own lines, or each proof would need another. */
static enum sp_rc say_exported(struct ledger *l, const struct sp_id *id, struct sp_bytes actor,
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
    sp_jw_cstr(&w, "what", "proof");
    sp_jw_id(&w, "about", id->b);
    sp_jw_end(&w);
    rc = sp_audit_book_say(l->book, sp_buf_bytes(&text), err);
    sp_buf_clear(&text);
    return rc;
}

void ledger_prove(struct ledger *l, struct sp_jobs_job *job, const struct sp_id *id,
                  struct sp_bytes actor)
{
    const struct sp_audit_message *m = NULL;
    struct sp_err err = {0};
    struct prove *p;
    enum sp_rc rc = sp_audit_book_message(l->book, id, &m, &err);

    if (rc != SP_OK || m == NULL || m->place_count == 0) {
        ledger_reply_error(job, rc == SP_OK ? SP_E_NOT_FOUND : rc, "no audit record of it");
        return;
    }
    p = ask(l, job, m);
    if (sp_audit_book_status(l->book).checkpoint_seq <= p->seqs[p->ask.seq_count - 1])
        rc = sp_audit_book_checkpoint(l->book, &err);
    p->ask.checkpoint_seq = sp_audit_book_status(l->book).checkpoint_seq;
    if (rc == SP_OK)
        rc = say_exported(l, id, actor, &err);
    if (rc == SP_OK)
        rc = sp_audit_book_commit(l->book, &err);
    if (rc != SP_OK)
        sp_role_fail(l->role, &err);
    ledger_tail_poke(l);
    ledger_asked_begin(l, &p->asked);
    sp_worker_submit(l->worker, run, done, p);
}
