/*
 * The serving side: a job holds a copy of the request and its descriptors, since the answer may take a while. A job whose
 * asker dies becomes an orphan: its handler still replies, to nobody.
 */
#include "jobs/jobs_priv.h"

#include "base/fault.h"
#include "base/reader.h"

#include <unistd.h>

struct sp_jobs_job {
    struct sp_list at; /* in its peer's served, or in orphans */
    struct sp_jobs *jobs;
    struct peer *peer; /* NULL once the asker has gone */
    enum sp_role_kind role;
    unsigned index;
    uint64_t id;
    uint16_t type;
    int64_t deadline_ms;
    bool cancelled;
    uint8_t *payload;
    size_t payload_len;
    int fds[SP_IPC_FDS_MAX];
    size_t fd_count;
};

static void job_free(struct sp_jobs_job *job)
{
    sp_list_remove(&job->at);
    for (size_t i = 0; i < job->fd_count; i++) {
        if (job->fds[i] >= 0)
            close(job->fds[i]);
    }
    sp_wipe(job->payload, job->payload_len);
    sp_free(job->payload);
    sp_free(job);
}

static struct sp_jobs_job *job_new(struct peer *peer, const struct sp_ipc_frame *frame,
                                   int64_t timeout_ms, struct sp_bytes payload)
{
    struct sp_jobs_job *job = sp_calloc(1, sizeof(*job));

    job->jobs = peer->jobs;
    job->peer = peer;
    job->role = peer->role;
    job->index = peer->index;
    job->id = frame->id;
    job->type = frame->type;
    job->deadline_ms = sp_clock_mono_ms(peer->jobs->clock) + timeout_ms;
    job->payload = sp_malloc_try(payload.len + 1);
    job->payload_len = job->payload == NULL ? 0 : payload.len;
    if (job->payload_len > 0)
        memcpy(job->payload, payload.ptr, payload.len);
    for (size_t i = 0; i < frame->fd_count; i++)
        job->fds[i] = sp_ipc_take_fd(peer->ipc, i);
    job->fd_count = frame->fd_count;
    sp_list_append(&peer->served, &job->at);
    return job;
}

void sp_jobs_on_request(struct peer *peer, const struct sp_ipc_frame *frame)
{
    struct sp_jobs *jobs = peer->jobs;
    struct sp_reader r = sp_reader(frame->payload);
    uint64_t timeout_ms = sp_reader_u64(&r);
    uint64_t turn = sp_reader_u64(&r);
    struct sp_bytes payload = sp_reader_take(&r, sp_reader_left(&r));
    struct sp_jobs_job *job;

    if (sp_reader_rc(&r) != SP_OK || timeout_ms > INT64_MAX / 4) {
        sp_jobs_peer_drop(peer, SP_E_IPC_FRAME);
        return;
    }
    if (jobs->singly && !sp_jobs_member_takes(peer, turn))
        return;
    job = job_new(peer, frame, (int64_t)timeout_ms, payload);
    if (frame->type >= SP_JOBS_TYPE_COUNT || jobs->handlers[frame->type].fn == NULL)
        sp_jobs_job_reply(job, SP_E_UNSUPPORTED, sp_bytes(NULL, 0), NULL, 0);
    else if (job->payload == NULL) /* no room for so large a request */
        sp_jobs_job_reply(job, SP_E_IO, sp_bytes(NULL, 0), NULL, 0);
    else
        jobs->handlers[frame->type].fn(jobs->handlers[frame->type].arg, job);
}

void sp_jobs_on_cancel(struct peer *peer, const struct sp_ipc_frame *frame)
{
    SP_LIST_EACH(pos, &peer->served)
    {
        struct sp_jobs_job *job = SP_CONTAINER(pos, struct sp_jobs_job, at);

        if (job->id == frame->id)
            job->cancelled = true;
    }
}

void sp_jobs_orphan(struct peer *peer)
{
    while (!sp_list_is_empty(&peer->served)) {
        struct sp_jobs_job *job = SP_CONTAINER(peer->served.next, struct sp_jobs_job, at);

        job->peer = NULL;
        sp_list_remove(&job->at);
        sp_list_append(&peer->jobs->orphans, &job->at);
    }
}

static void drop_all(struct sp_list *list)
{
    while (!sp_list_is_empty(list))
        job_free(SP_CONTAINER(list->next, struct sp_jobs_job, at));
}

void sp_jobs_drop_served(struct peer *peer)
{
    drop_all(&peer->served);
}

void sp_jobs_drop_orphans(struct sp_jobs *jobs)
{
    drop_all(&jobs->orphans);
}

void sp_jobs_serve(struct sp_jobs *jobs, enum sp_jobs_type type,
                   void (*handler)(void *arg, struct sp_jobs_job *job), void *arg)
{
    sp_assert(type > 0 && type < SP_JOBS_TYPE_COUNT);
    jobs->handlers[type].fn = handler;
    jobs->handlers[type].arg = arg;
}

void sp_jobs_serve_singly(struct sp_jobs *jobs, enum sp_jobs_type type,
                          void (*handler)(void *arg, struct sp_jobs_job *job), void *arg)
{
    jobs->singly = true;
    sp_jobs_serve(jobs, type, handler, arg);
}

struct sp_bytes sp_jobs_job_payload(const struct sp_jobs_job *job)
{
    return sp_bytes(job->payload, job->payload_len);
}

int sp_jobs_job_take_fd(struct sp_jobs_job *job, size_t index)
{
    int fd;

    if (index >= job->fd_count)
        return -1;
    fd = job->fds[index];
    job->fds[index] = -1;
    return fd;
}

enum sp_role_kind sp_jobs_job_role(const struct sp_jobs_job *job)
{
    return job->role;
}

unsigned sp_jobs_job_index(const struct sp_jobs_job *job)
{
    return job->index;
}

int64_t sp_jobs_job_deadline_ms(const struct sp_jobs_job *job)
{
    return job->deadline_ms;
}

bool sp_jobs_job_is_wanted(const struct sp_jobs_job *job)
{
    return job->peer != NULL && !job->cancelled &&
           sp_clock_mono_ms(job->jobs->clock) < job->deadline_ms;
}

/* What a role says that has gone wrong, for tests of those who ask. returns: whether it says anything */
static bool distort(struct sp_buf *message, enum sp_nonsense how)
{
    const size_t head = 2; /* the code */

    if (how == SP_NONSENSE_HALF)
        message->len = head + (message->len - head) / 2;
    if (how == SP_NONSENSE_FRAME)
        message->len = 1;
    if (how == SP_NONSENSE_ERROR) {
        sp_buf_reset(message);
        sp_buf_put_u16(message, SP_E_NOT_FOUND);
    }
    for (size_t i = head; how == SP_NONSENSE_NOISE && i < message->len; i++)
        message->ptr[i] ^= (uint8_t)(i * 7 + 0xA5);
    return how != SP_NONSENSE_SILENT;
}

static enum sp_rc send_reply(const struct sp_jobs_job *job, enum sp_rc rc, struct sp_bytes payload,
                             const int *fds, size_t fd_count)
{
    struct sp_ipc_frame frame = {
        .type = job->type, .flags = FLAG_REPLY, .id = job->id, .fds = fds, .fd_count = fd_count};
    struct sp_buf message;
    enum sp_rc sent;

    sp_buf_init(&message, SP_IPC_PAYLOAD_MAX);
    sp_buf_put_u16(&message, (uint16_t)rc);
    sp_buf_put(&message, payload);
    if (SP_NONSENSE() != SP_NONSENSE_OFF && !distort(&message, SP_NONSENSE())) {
        sp_buf_wipe(&message);
        return SP_OK;
    }
    frame.payload = sp_buf_bytes(&message);
    sent = sp_buf_rc(&message);
    if (sent == SP_OK)
        sent = sp_ipc_send(job->peer->ipc, &frame);
    sp_buf_wipe(&message);
    return sent;
}

void sp_jobs_job_started(struct sp_jobs_job *job)
{
    const struct sp_ipc_frame frame = {.type = job->type, .flags = FLAG_STARTED, .id = job->id};

    if (job->peer != NULL && sp_ipc_send(job->peer->ipc, &frame) != SP_OK)
        sp_log_debug(job->jobs->log, "jobs.start-untold",
                     SP_TEXT("peer", sp_ipc_role_name(job->role)));
}

void sp_jobs_job_reply(struct sp_jobs_job *job, enum sp_rc rc, struct sp_bytes payload,
                       const int *fds, size_t fd_count)
{
    struct sp_jobs *jobs = job->jobs;
    struct peer *peer = job->peer;
    enum sp_rc sent = SP_OK;

    if (job->peer != NULL && job->cancelled) { /* nobody waits, but that this is done is news */
        sent = send_reply(job, SP_E_JOB_DEADLINE, sp_bytes(NULL, 0), NULL, 0);
    } else if (job->peer != NULL) {
        sent = send_reply(job, rc, payload, fds, fd_count);
        if (sent != SP_OK &&
            sent != SP_E_CLOSED) /* an answer that can't travel is an error that can */
            sent = send_reply(job, sent, sp_bytes(NULL, 0), NULL, 0);
    }
    if (sent != SP_OK && sent != SP_E_CLOSED)
        sp_log_warn(jobs->log, "jobs.reply-lost", SP_TEXT("peer", sp_ipc_role_name(job->role)),
                    SP_RC("why", sent));
    job_free(job);
    if (sent != SP_OK && sent != SP_E_CLOSED)
        sp_jobs_peer_drop(peer, sent); /* who asked would wait in vain */
    sp_jobs_member_done(jobs);
}
