/*
 * Calls and jobs over channels. A call is found again by its handle, which is the frame's id too: an answer to a call that
 * is gone finds nothing and is dropped. Everything that ends a call (reply, death of the peer, deadline, a frame that
 * could not be sent) goes through finish, which takes it out of every list before done is called, so that it is called
 * once, whatever done does then. Failures inside sp_jobs_call wait for the next turn in the list `failed`.
 *
 * Scanners and sealers are pools with more than one asker each; what is different for them stands in pool.c (who asks) and
 * member.c (who is asked).
 *
 * Frames: a request is i64 timeout_ms, u64 turn (of a pool's member, else 0) and the payload under the job's type; a reply
 * is u16 rc and the payload; all others are empty. The flags say which.
 */
#include "jobs/jobs_priv.h"

#include "base/fault.h"
#include "base/reader.h"

#include <fcntl.h>
#include <unistd.h>

static void rearm(struct sp_jobs *jobs)
{
    const struct sp_heap_node *first = sp_heap_first(&jobs->deadlines);
    int64_t now = sp_clock_mono_ms(jobs->clock);

    if (!sp_list_is_empty(&jobs->failed))
        sp_timer_start(jobs->timer, 0);
    else if (first == NULL)
        sp_timer_cancel(jobs->timer);
    else
        sp_timer_start(jobs->timer, first->key > now ? first->key - now : 0);
}

static void forget_kept(struct call *call)
{
    for (size_t i = 0; i < call->fd_count; i++)
        close(call->fds[i]);
    call->fd_count = 0;
    sp_buf_wipe(&call->kept);
}

static void call_free(struct call *call)
{
    forget_kept(call);
    sp_free(call);
}

/* Takes a call out of everything. */
static void unlink_call(struct call *call)
{
    struct sp_jobs *jobs = call->jobs;

    sp_list_remove(&call->at);
    sp_heap_remove(&jobs->deadlines, &call->deadline);
    sp_slots_remove(jobs->calls, call->handle);
    call->peer = NULL; /* which is busy with it until it answers */
}

/* returns: whether jobs still lives */
static bool finish(struct call *call, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    static const struct sp_jobs_reply nothing = {0};
    struct sp_jobs *jobs = call->jobs;

    unlink_call(call);
    call->done(call->arg, rc, reply == NULL ? &nothing : reply);
    call_free(call);
    return !jobs->freed;
}

static void send_cancel(const struct call *call)
{
    const struct sp_ipc_frame frame = {
        .type = (uint16_t)call->type, .flags = FLAG_CANCEL, .id = call->handle};

    if (call->peer != NULL && call->peer->ipc != NULL &&
        sp_ipc_send(call->peer->ipc, &frame) != SP_OK)
        sp_log_debug(call->jobs->log, "jobs.cancel-lost",
                     SP_TEXT("peer", sp_ipc_role_name(call->peer->role)));
}

static void on_timer(void *arg)
{
    struct sp_jobs *jobs = arg;
    struct sp_heap_node *first;
    size_t failed = 0;

    SP_LIST_EACH(pos, &jobs->failed)
    failed++;
    /* only so many: one who calls again at once must not keep the loop here */
    for (; failed > 0 && !sp_list_is_empty(&jobs->failed); failed--) {
        struct call *call = SP_CONTAINER(jobs->failed.next, struct call, at);

        if (!finish(call, call->failure, NULL))
            return;
    }
    while ((first = sp_heap_first(&jobs->deadlines)) != NULL &&
           first->key <= sp_clock_mono_ms(jobs->clock)) {
        struct call *call = SP_CONTAINER(first, struct call, deadline);

        sp_log_warn(jobs->log, "jobs.deadline", SP_TEXT("peer", sp_ipc_role_name(call->role)),
                    SP_INT("type", call->type));
        send_cancel(call);
        if (sp_jobs_is_pool(call->role))
            sp_jobs_pool_late(call);
        if (!finish(call, SP_E_JOB_DEADLINE, NULL))
            return;
    }
    rearm(jobs);
}

void sp_jobs_fail_later(struct call *call, enum sp_rc why)
{
    call->peer = NULL;
    call->failure = why;
    sp_list_remove(&call->at);
    sp_list_append(&call->jobs->failed, &call->at);
    rearm(call->jobs);
}

static struct peer *choose(const struct sp_jobs *jobs, enum sp_role_kind role, uint32_t index)
{
    struct peer *best = NULL;

    SP_LIST_EACH(pos, (struct sp_list *)&jobs->peers)
    {
        struct peer *p = SP_CONTAINER(pos, struct peer, at);

        if (p->role != role || p->ipc == NULL || (index != SP_JOBS_ANY && p->index != index))
            continue;
        if (best == NULL || p->busy < best->busy)
            best = p;
    }
    return best;
}

/* Puts the call on a peer's channel; what fails then fails later. */
static void dispatch(struct call *call, struct peer *peer, struct sp_bytes message, const int *fds,
                     size_t fd_count)
{
    const struct sp_ipc_frame frame = {.type = (uint16_t)call->type,
                                       .flags = FLAG_REQUEST,
                                       .id = call->handle,
                                       .payload = message,
                                       .fds = fds,
                                       .fd_count = fd_count};
    enum sp_rc rc = sp_ipc_send(peer->ipc, &frame);

    if (rc == SP_E_CLOSED && sp_jobs_is_pool(peer->role))
        return; /* its end follows; the call waits for another */
    if (rc != SP_OK) {
        sp_jobs_fail_later(call, rc == SP_E_CLOSED ? SP_E_ROLE_GONE : rc);
        return;
    }
    call->peer = peer;
    peer->busy++;
    sp_list_remove(&call->at);
    sp_list_append(&peer->calls, &call->at);
}

/* Keeps what a call needs until a peer comes, or, of a pool, has started it. */
static void keep(struct call *call, const struct sp_jobs_request *request)
{
    struct sp_jobs *jobs = call->jobs;

    sp_list_append(&jobs->waiting, &call->at);
    call->waits_since_ms = sp_clock_mono_ms(jobs->clock);
    sp_buf_put(&call->kept, request->payload);
    for (size_t i = 0; i < request->fd_count; i++) {
        int fd =
            SP_FAULT_ERRNO("jobs.dup", EMFILE) ? -1 : fcntl(request->fds[i], F_DUPFD_CLOEXEC, 0);

        if (fd < 0) {
            sp_jobs_fail_later(call, SP_E_IO);
            return;
        }
        call->fds[call->fd_count++] = fd;
    }
}

static void put_request(struct sp_buf *out, int64_t timeout_ms, uint64_t turn,
                        struct sp_bytes payload)
{
    sp_buf_put_u64(out, (uint64_t)timeout_ms);
    sp_buf_put_u64(out, turn);
    sp_buf_put(out, payload);
}

void sp_jobs_dispatch_kept(struct call *call, struct peer *peer)
{
    int64_t now = sp_clock_mono_ms(call->jobs->clock);
    struct sp_buf message;

    sp_buf_init(&message, SP_IPC_PAYLOAD_MAX);
    put_request(&message, call->deadline.key > now ? call->deadline.key - now : 1, peer->turn,
                sp_buf_bytes(&call->kept));
    dispatch(call, peer, sp_buf_bytes(&message), call->fds, call->fd_count);
    sp_buf_wipe(&message);
}

/* Gives a peer all that waits for one like it. */
static void serve_waiting(struct peer *peer)
{
    SP_LIST_EACH(pos, &peer->jobs->waiting)
    {
        struct call *call = SP_CONTAINER(pos, struct call, at);

        if (call->role == peer->role && (call->index == SP_JOBS_ANY || call->index == peer->index))
            sp_jobs_dispatch_kept(call, peer);
    }
}

static void start(struct call *call, const struct sp_jobs_request *request)
{
    struct sp_jobs *jobs = call->jobs;
    struct peer *peer = choose(jobs, request->role, request->index);
    struct sp_buf message;

    if (request->payload.len > SP_JOBS_PAYLOAD_MAX || request->fd_count > SP_IPC_FDS_MAX) {
        sp_jobs_fail_later(call, SP_E_LIMIT);
    } else if (sp_slots_count(jobs->calls) > SP_JOBS_OUT_MAX) {
        sp_jobs_fail_later(call, SP_E_IPC_FULL);
    } else if (peer != NULL && sp_jobs_is_pool(peer->role)) {
        keep(call, request);
        sp_jobs_pool_share(jobs, peer->role);
    } else if (peer != NULL) {
        sp_buf_init(&message, SP_IPC_PAYLOAD_MAX);
        put_request(&message, request->timeout_ms, 0, request->payload);
        dispatch(call, peer, sp_buf_bytes(&message), request->fds, request->fd_count);
        sp_buf_wipe(&message);
    } else if (request->wait_for_peer) {
        keep(call, request);
    } else {
        sp_jobs_fail_later(call, SP_E_ROLE_GONE);
    }
}

sp_handle sp_jobs_call(struct sp_jobs *jobs, const struct sp_jobs_request *request,
                       sp_jobs_done_fn done, void *arg)
{
    struct call *call = sp_calloc(1, sizeof(*call));

    sp_assert(request->timeout_ms > 0 && request->type > 0 && request->type < SP_JOBS_TYPE_COUNT);
    call->jobs = jobs;
    call->type = request->type;
    call->role = request->role;
    call->index = request->index;
    call->suspect = request->suspect;
    call->timeout_ms = request->timeout_ms;
    call->done = done;
    call->arg = arg;
    sp_list_init(&call->at);
    sp_heap_node_init(&call->deadline);
    sp_buf_init(&call->kept, SP_IPC_PAYLOAD_MAX);
    call->handle = sp_slots_add(jobs->calls, call);
    sp_heap_put(&jobs->deadlines, &call->deadline,
                sp_clock_mono_ms(jobs->clock) + request->timeout_ms);
    start(call, request);
    rearm(jobs);
    return call->handle;
}

void sp_jobs_cancel(struct sp_jobs *jobs, sp_handle handle)
{
    struct call *call = sp_slots_find(jobs->calls, handle);

    if (call == NULL)
        return;
    send_cancel(call);
    unlink_call(call);
    call_free(call);
    rearm(jobs);
}

int sp_jobs_reply_fd(const struct sp_jobs_reply *reply, size_t index)
{
    return index < reply->fd_count ? sp_ipc_take_fd(reply->from, index) : -1;
}

size_t sp_jobs_out(const struct sp_jobs *jobs)
{
    return sp_slots_count(jobs->calls);
}

static void on_reply(struct peer *peer, const struct sp_ipc_frame *frame)
{
    struct sp_jobs *jobs = peer->jobs;
    struct call *call = sp_slots_find(jobs->calls, frame->id);
    struct sp_reader r = sp_reader(frame->payload);
    uint16_t rc = sp_reader_u16(&r);
    struct sp_jobs_reply reply = {.payload = sp_reader_take(&r, sp_reader_left(&r)),
                                  .fd_count = frame->fd_count,
                                  .from = peer->ipc};

    if (sp_reader_rc(&r) != SP_OK || rc >= SP_RC_COUNT || peer->busy == 0) {
        sp_jobs_peer_drop(peer, SP_E_IPC_FRAME);
        return;
    }
    peer->busy--;
    peer->overdue = false;
    if (call == NULL || call->peer != peer || (uint16_t)call->type != frame->type) {
        sp_log_debug(jobs->log, "jobs.reply-late", SP_TEXT("peer", sp_ipc_role_name(peer->role)));
    } else if (!finish(call, (enum sp_rc)rc, &reply)) {
        return;
    }
    if (sp_jobs_is_pool(peer->role))
        sp_jobs_pool_share(jobs, peer->role);
    rearm(jobs);
}

static void on_started(struct peer *peer, const struct sp_ipc_frame *frame)
{
    struct call *call = sp_slots_find(peer->jobs->calls, frame->id);

    if (call == NULL || call->peer != peer)
        return;
    call->started = true;
    forget_kept(call);
}

static void on_frame(void *arg, const struct sp_ipc_frame *frame)
{
    struct peer *peer = arg;

    if (frame->flags == FLAG_REPLY)
        on_reply(peer, frame);
    else if (frame->flags == FLAG_REQUEST)
        sp_jobs_on_request(peer, frame);
    else if (frame->flags == FLAG_CANCEL)
        sp_jobs_on_cancel(peer, frame);
    else if (frame->flags == FLAG_STARTED)
        on_started(peer, frame);
    else if (frame->flags == FLAG_ASK || frame->flags == FLAG_YIELD)
        sp_jobs_member_on_word(peer, frame);
    else if (frame->flags == FLAG_GRANT || frame->flags == FLAG_REVOKE)
        sp_jobs_pool_on_word(peer, frame);
    else
        sp_jobs_peer_drop(peer, SP_E_IPC_FRAME);
}

/* Ends a peer: its channel, its jobs, and one after the other its calls. The peer itself lasts out the turn. */
void sp_jobs_peer_drop(struct peer *peer, enum sp_rc why)
{
    struct sp_jobs *jobs = peer->jobs;

    sp_log_info(jobs->log, "jobs.peer-gone", SP_TEXT("peer", sp_ipc_role_name(peer->role)),
                SP_INT("index", peer->index), SP_RC("why", why));
    sp_ipc_free(peer->ipc);
    peer->ipc = NULL;
    sp_list_remove(&peer->at);
    sp_jobs_orphan(peer);
    if (sp_jobs_is_pool(peer->role))
        sp_jobs_pool_take_back(peer);
    while (!sp_list_is_empty(&peer->calls))
        sp_jobs_fail_later(SP_CONTAINER(peer->calls.next, struct call, at), SP_E_ROLE_GONE);
    if (sp_jobs_is_pool(peer->role))
        sp_jobs_pool_share(jobs, peer->role);
    sp_jobs_member_lost(peer);
    sp_loop_free_later(jobs->loop, sp_free, peer);
    if (jobs->on_peer != NULL)
        jobs->on_peer(jobs->on_peer_arg, peer->role, peer->index, false);
    if (why != SP_E_CLOSED && jobs->on_faulty != NULL)
        jobs->on_faulty(jobs->on_faulty_arg, peer->role, peer->index, why);
}

static void on_closed(void *arg, enum sp_rc why)
{
    sp_jobs_peer_drop(arg, why);
}

void sp_jobs_add_peer(struct sp_jobs *jobs, enum sp_role_kind role, unsigned index, int fd)
{
    static const struct sp_ipc_events events = {.on_frame = on_frame, .on_closed = on_closed};
    struct peer *old = choose(jobs, role, index);
    struct peer *peer = sp_calloc(1, sizeof(*peer));

    if (old != NULL)
        sp_jobs_peer_drop(old, SP_E_CLOSED);
    peer->jobs = jobs;
    peer->role = role;
    peer->index = index;
    sp_list_init(&peer->calls);
    sp_list_init(&peer->served);
    sp_list_append(&jobs->peers, &peer->at);
    jobs->came[role]++;
    peer->ipc = sp_ipc_new(jobs->loop, fd, &events, peer);
    jobs->most[role] =
        sp_jobs_peers(jobs, role) > jobs->most[role] ? sp_jobs_peers(jobs, role) : jobs->most[role];
    if (!sp_jobs_is_pool(role)) /* a pool's member says when it can take something */
        serve_waiting(peer);
    sp_jobs_member_greet(peer);
    if (jobs->on_peer != NULL)
        jobs->on_peer(jobs->on_peer_arg, role, index, true);
}

struct sp_jobs *sp_jobs_new(struct sp_loop *loop, struct sp_log *log)
{
    struct sp_jobs *jobs = sp_calloc(1, sizeof(*jobs));

    jobs->loop = loop;
    jobs->log = log;
    jobs->clock = sp_loop_clock(loop);
    jobs->timer = sp_timer_new(loop, on_timer, jobs);
    jobs->pool_timer = sp_timer_new(loop, sp_jobs_pool_on_timer, jobs);
    jobs->grant_timer = sp_timer_new(loop, sp_jobs_member_on_timer, jobs);
    jobs->calls = sp_slots_new();
    sp_list_init(&jobs->peers);
    sp_list_init(&jobs->waiting);
    sp_list_init(&jobs->failed);
    sp_list_init(&jobs->orphans);
    return jobs;
}

static void drop_calls(struct sp_list *list)
{
    while (!sp_list_is_empty(list)) {
        struct call *call = SP_CONTAINER(list->next, struct call, at);

        unlink_call(call);
        call_free(call);
    }
}

void sp_jobs_free(struct sp_jobs *jobs)
{
    if (jobs == NULL || jobs->freed)
        return;
    jobs->freed = true;
    drop_calls(&jobs->waiting);
    drop_calls(&jobs->failed);
    while (!sp_list_is_empty(&jobs->peers)) {
        struct peer *peer = SP_CONTAINER(jobs->peers.next, struct peer, at);

        drop_calls(&peer->calls);
        sp_jobs_drop_served(peer);
        sp_ipc_free(peer->ipc);
        sp_list_remove(&peer->at);
        sp_loop_free_later(jobs->loop, sp_free, peer);
    }
    sp_jobs_drop_orphans(jobs);
    sp_timer_free(jobs->timer);
    sp_timer_free(jobs->pool_timer);
    sp_timer_free(jobs->grant_timer);
    sp_slots_free(jobs->calls);
    sp_heap_clear(&jobs->deadlines);
    sp_loop_free_later(jobs->loop, sp_free, jobs);
}
