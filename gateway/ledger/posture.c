/*
 * Postures: a relay asks for the whole list when it starts; afterwards each change is told to every relay, the one it
 * came from included, which then finds nothing new in it. A relay that is not there now asks when it comes.
 */
#include "gateway/ledger/ledger.h"

#include "jobs/posture.h"

#define LIST_MAX     SP_JOBS_POSTURE_MAX
#define TEXT_MAX     ((size_t)16 << 20)
#define TELL_MAX     512 /* changes in one message */
#define TELL_TIMEOUT 30000

static struct sp_jobs_posture_entry entry_of(const struct sp_audit_posture *p)
{
    return (struct sp_jobs_posture_entry){.domain = p->domain,
                                          .best = sp_bytes_cstr(sp_floor_name(p->best)),
                                          .proved_at_ms = p->proved_at_ms,
                                          .accepted_at_ms = p->accepted_at_ms};
}

static void on_list(void *arg, struct sp_jobs_job *job)
{
    struct ledger *l = arg;
    struct sp_jobs_posture_entry *entries = sp_calloc(LIST_MAX, sizeof(*entries));
    struct sp_jobs_posture list = {.op = SP_JOBS_POSTURE_LIST, .entries = entries};
    struct sp_audit_posture p;
    struct sp_buf out;
    size_t at = 0;

    while (list.entry_count < LIST_MAX && sp_audit_book_posture_next(l->book, &at, &p))
        entries[list.entry_count++] = entry_of(&p);
    sp_buf_init(&out, TEXT_MAX);
    sp_jobs_posture_encode(&out, &list);
    sp_jobs_job_reply(job, sp_buf_rc(&out), sp_buf_bytes(&out), NULL, 0);
    sp_buf_clear(&out);
    sp_free(entries);
}

static void on_told(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct ledger *l = arg;

    (void)reply;
    if (rc != SP_OK && rc != SP_E_ROLE_GONE)
        sp_log_warn(l->log, "ledger.posture-untold", SP_RC("why", rc));
}

static void tell_all(struct ledger *l, struct sp_bytes payload)
{
    unsigned index;
    size_t at = 0;

    while (sp_jobs_peer_next(l->jobs, SP_ROLE_RELAY, &at, &index)) {
        struct sp_jobs_request request = {.role = SP_ROLE_RELAY,
                                          .index = index,
                                          .type = SP_JOBS_POSTURE,
                                          .payload = payload,
                                          .timeout_ms = TELL_TIMEOUT};

        sp_jobs_call(l->jobs, &request, on_told, l);
    }
}

void ledger_posture_tell(struct ledger *l)
{
    struct sp_jobs_posture_entry *entries;
    struct sp_jobs_posture list = {.op = SP_JOBS_POSTURE_CHANGED};
    struct sp_audit_posture p;
    struct sp_buf out;

    if (!sp_audit_book_posture_changed(l->book, &p))
        return;
    entries = sp_calloc(TELL_MAX, sizeof(*entries));
    list.entries = entries;
    sp_buf_init(&out, TEXT_MAX);
    do {
        entries[list.entry_count++] = entry_of(&p);
        if (list.entry_count < TELL_MAX)
            continue;
        sp_jobs_posture_encode(&out, &list);
        tell_all(l, sp_buf_bytes(&out));
        sp_buf_reset(&out);
        list.entry_count = 0;
    } while (sp_audit_book_posture_changed(l->book, &p));
    if (list.entry_count > 0) {
        sp_jobs_posture_encode(&out, &list);
        tell_all(l, sp_buf_bytes(&out));
    }
    sp_buf_clear(&out);
    sp_free(entries);
}

void ledger_posture_serve(struct ledger *l)
{
    sp_jobs_serve(l->jobs, SP_JOBS_POSTURE, on_list, l);
}
