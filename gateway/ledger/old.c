/*
 * What is asked about a message whose lines lie in ended files: the worker reads them, then the same question is put again,
 * with the lines at hand. Nothing is answered or said before, so twice asked is once done. The loop opens no such file:
 * inflating a gigabyte would hold up all that is to be recorded, and anybody who kept a return path may cause it.
 */
#include "gateway/ledger/ledger.h"

#include "audit/old.h"

#define WAITING_MAX 16

struct reading {
    struct ledger_asked asked;
    struct sp_jobs_job *job;
    struct sp_audit_old *old;
    void (*again)(void *arg, struct sp_jobs_job *job);
};

static void run(void *arg)
{
    struct reading *r = arg;

    if (!atomic_load(&r->asked.l->ending))
        sp_audit_old_read(r->old);
}

static void done(void *arg)
{
    struct reading *r = arg;
    struct ledger *l = r->asked.l;

    if (!ledger_asked_end(&r->asked)) {
        /* nobody waits any more */
    } else if (l->stopping || l->failed) {
        ledger_reply_error(r->job, SP_E_ROLE_GONE, "the ledger ends");
    } else {
        l->has_old = true;
        sp_audit_book_lend(l->book, r->old);
        r->again(l, r->job);
        sp_audit_book_lend(l->book, NULL);
        l->has_old = false;
    }
    sp_audit_old_free(r->old);
    sp_free(r);
}

bool ledger_old_ready(struct ledger *l, struct sp_jobs_job *job, const struct sp_id *ids,
                      size_t count, void (*again)(void *arg, struct sp_jobs_job *job))
{
    SP_AUTO(sp_audit_old) old = NULL;
    struct reading *r;

    if (l->has_old)
        return true;
    old = sp_audit_old_new(l->book);
    for (size_t i = 0; i < count; i++) {
        const struct sp_audit_message *m = NULL;

        if (sp_audit_book_message(l->book, &ids[i], &m, NULL) == SP_OK && m != NULL)
            sp_audit_old_add(old, l->book, m); /* else it shows when it is asked for again */
    }
    if (sp_audit_old_count(old) == 0)
        return true;
    if (sp_worker_backlog(l->worker) >= WAITING_MAX) {
        ledger_reply_error(job, SP_E_INTAKE_BUSY, "too many questions about old records wait");
        return false;
    }
    r = sp_calloc(1, sizeof(*r));
    *r = (struct reading){.job = job, .old = SP_STEAL(old), .again = again};
    ledger_asked_begin(l, &r->asked);
    sp_worker_submit(l->worker, run, done, r);
    return false;
}
