/*
 * A channel: reads frames while there are some (a few a turn, so that a chatty peer does not starve the others), sends at
 * once what the kernel takes and queues the rest. The end of the other side is only ever told from the read side: a failed
 * send leaves it to the next turn, which keeps on_closed out of the caller's own call and makes it come once.
 */
#include "ipc/ipc.h"

#include "base/fault.h"
#include "base/map.h"
#include "base/reader.h"
#include "ipc/wire_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES_A_TURN 32

struct waiting {
    struct sp_list at;
    uint8_t head[SP_IPC_HEADER_LEN];
    uint8_t *payload;
    size_t payload_len;
    int fds[SP_IPC_WIRE_FDS];
    size_t fd_count;
};

struct sp_ipc {
    struct sp_loop *loop;
    int fd; /* -1 once closed */
    struct sp_watch *watch;
    const struct sp_ipc_events *events;
    void *arg;
    struct sp_list queue;
    size_t queue_count;
    size_t queue_len; /* bytes of payload */
    struct sp_ipc_in in;
    bool freed;
};

enum sp_rc sp_ipc_pair(int fds[2], struct sp_err *err)
{
    if (SP_FAULT_ERRNO("ipc.pair", EMFILE) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return sp_fail_errno(err, SP_E_IO, errno, "socketpair");
    return SP_OK;
}

static void close_fds(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

static void waiting_free(struct sp_ipc *ipc, struct waiting *w)
{
    sp_list_remove(&w->at);
    ipc->queue_count--;
    ipc->queue_len -= w->payload_len;
    close_fds(w->fds, w->fd_count);
    if (w->payload != NULL)
        sp_wipe(w->payload, w->payload_len); /* jobs carry message keys */
    sp_free(w->payload);
    sp_free(w);
}

/* Stops and closes; frames that wait are lost. */
static void shut(struct sp_ipc *ipc)
{
    SP_LIST_EACH(pos, &ipc->queue)
    waiting_free(ipc, SP_CONTAINER(pos, struct waiting, at));
    sp_watch_free(ipc->watch);
    ipc->watch = NULL;
    if (ipc->fd >= 0)
        close(ipc->fd);
    ipc->fd = -1;
}

static void end(struct sp_ipc *ipc, enum sp_rc why)
{
    shut(ipc);
    ipc->events->on_closed(ipc->arg, why);
}

/* Copies a frame that the kernel does not take yet. */
static enum sp_rc enqueue(struct sp_ipc *ipc, const uint8_t *head, struct sp_bytes payload,
                          const int *fds, size_t fd_count)
{
    uint8_t *room = payload.len == 0 ? NULL : sp_malloc_try(payload.len);
    struct waiting *w;

    if (room == NULL && payload.len > 0)
        return SP_E_IPC_FULL;
    w = sp_calloc(1, sizeof(*w));
    sp_list_append(&ipc->queue, &w->at);
    ipc->queue_count++;
    memcpy(w->head, head, sizeof(w->head));
    if (payload.len > 0) {
        memcpy(room, payload.ptr, payload.len);
    }
    w->payload = room;
    w->payload_len = payload.len;
    ipc->queue_len += payload.len;
    for (size_t i = 0; i < fd_count; i++) {
        w->fds[i] = SP_FAULT("ipc.dup") ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        w->fd_count++;
        if (w->fds[i] < 0) {
            waiting_free(ipc, w);
            return SP_E_IO;
        }
    }
    sp_watch_set(ipc->watch, SP_READ | SP_WRITE);
    return SP_OK;
}

static enum sp_rc send_or_queue(struct sp_ipc *ipc, const uint8_t *head, struct sp_bytes payload,
                                const int *fds, size_t fd_count)
{
    enum sp_rc rc = SP_E_TIMEOUT;

    if (sp_list_is_empty(&ipc->queue))
        rc = sp_ipc_wire_send(ipc->fd, sp_bytes(head, SP_IPC_HEADER_LEN), payload, fds, fd_count);
    if (rc != SP_E_TIMEOUT)
        return rc;
    if (ipc->queue_count >= SP_IPC_QUEUE_MAX || payload.len > SP_IPC_BACKLOG_MAX - ipc->queue_len)
        return SP_E_IPC_FULL;
    return enqueue(ipc, head, payload, fds, fd_count);
}

static enum sp_rc send_big(struct sp_ipc *ipc, const struct sp_ipc_frame *frame, uint8_t *head)
{
    uint8_t len[SP_IPC_BIG_LEN];
    int fds[SP_IPC_WIRE_FDS];
    int fd;
    enum sp_rc rc = sp_ipc_wire_big_make(frame->payload, &fd);

    if (rc != SP_OK)
        return rc;
    for (size_t i = 0; i < frame->fd_count; i++)
        fds[i] = frame->fds[i];
    fds[frame->fd_count] = fd;
    for (unsigned i = 0; i < sizeof(len); i++)
        len[i] = (uint8_t)((uint64_t)frame->payload.len >> (8 * i));
    sp_ipc_wire_header(frame->type, (uint16_t)(frame->flags | SP_IPC_BIG), frame->id, head);
    rc = send_or_queue(ipc, head, sp_bytes(len, sizeof(len)), fds, frame->fd_count + 1);
    close(fd);
    return rc;
}

enum sp_rc sp_ipc_send(struct sp_ipc *ipc, const struct sp_ipc_frame *frame)
{
    uint8_t head[SP_IPC_HEADER_LEN];

    sp_assert((frame->flags & SP_IPC_BIG) == 0);
    if (ipc->fd < 0)
        return SP_E_CLOSED;
    if (frame->payload.len > SP_IPC_PAYLOAD_MAX || frame->fd_count > SP_IPC_FDS_MAX)
        return SP_E_LIMIT;
    if (frame->payload.len > SP_IPC_INLINE_MAX)
        return send_big(ipc, frame, head);
    sp_ipc_wire_header(frame->type, frame->flags, frame->id, head);
    return send_or_queue(ipc, head, frame->payload, frame->fds, frame->fd_count);
}

/* returns: false if the channel has ended meanwhile */
static bool drain_queue(struct sp_ipc *ipc)
{
    while (!sp_list_is_empty(&ipc->queue)) {
        struct waiting *w = SP_CONTAINER(ipc->queue.next, struct waiting, at);
        enum sp_rc rc = sp_ipc_wire_send(ipc->fd, sp_bytes(w->head, sizeof(w->head)),
                                         sp_bytes(w->payload, w->payload_len), w->fds, w->fd_count);

        if (rc == SP_E_TIMEOUT)
            return true;
        if (rc == SP_E_IO) {
            end(ipc, rc);
            return false;
        }
        waiting_free(
            ipc,
            w); /* sent, or nobody is there: the read side still has what they sent before they went */
    }
    sp_watch_set(ipc->watch, SP_READ);
    return true;
}

static enum sp_rc decode(struct sp_ipc *ipc, struct sp_ipc_frame *frame)
{
    struct sp_ipc_in *in = &ipc->in;
    struct sp_reader r;
    enum sp_rc rc;

    if (sp_ipc_wire_decode(sp_bytes(in->data, in->len), in->fd_count, frame) != SP_OK)
        return SP_E_IPC_FRAME;
    frame->fds = in->fds;
    if ((frame->flags & SP_IPC_BIG) == 0)
        return SP_OK;
    r = sp_reader(frame->payload);
    rc = sp_ipc_wire_big_read(in->fds[in->fd_count - 1], sp_reader_u64(&r), &in->big);
    if (rc != SP_OK)
        return rc;
    in->fd_count--;
    close_fds(in->fds + in->fd_count, 1);
    frame->payload = sp_buf_bytes(&in->big);
    frame->flags = (uint16_t)(frame->flags & ~SP_IPC_BIG);
    return SP_OK;
}

/* One frame; returns whether there may be another. The callback may free the channel: its memory lasts out the turn. */
static bool read_frame(struct sp_ipc *ipc)
{
    struct sp_ipc_frame frame;
    enum sp_rc rc = sp_ipc_wire_receive(ipc->fd, &ipc->in);

    if (rc == SP_E_TIMEOUT)
        return false;
    if (rc == SP_OK)
        rc = decode(ipc, &frame);
    if (rc == SP_OK)
        ipc->events->on_frame(ipc->arg, &frame);
    close_fds(ipc->in.fds, ipc->in.fd_count);
    ipc->in.fd_count = 0;
    sp_buf_wipe(&ipc->in.big);
    sp_wipe(ipc->in.data, ipc->in.len);
    ipc->in.len = 0;
    if (rc != SP_OK && !ipc->freed)
        end(ipc, rc);
    return rc == SP_OK && !ipc->freed && ipc->fd >= 0;
}

static void on_ready(void *arg, int events)
{
    struct sp_ipc *ipc = arg;
    uint8_t *room;

    if ((events & SP_WRITE) != 0 && !drain_queue(ipc))
        return;
    if ((events & SP_READ) == 0)
        return;
    room = sp_malloc(SP_IPC_HEADER_LEN + SP_IPC_INLINE_MAX);
    ipc->in.data = room;
    for (int i = 0; i < FRAMES_A_TURN; i++) {
        if (!read_frame(ipc))
            break;
    }
    ipc->in.data = NULL;
    sp_free(room);
}

struct sp_ipc *sp_ipc_new(struct sp_loop *loop, int fd, const struct sp_ipc_events *events,
                          void *arg)
{
    struct sp_ipc *ipc = sp_calloc(1, sizeof(*ipc));

    ipc->loop = loop;
    ipc->fd = fd;
    ipc->events = events;
    ipc->arg = arg;
    sp_list_init(&ipc->queue);
    sp_buf_init(&ipc->in.big, SP_IPC_PAYLOAD_MAX);
    ipc->watch = sp_watch_new(loop, fd, on_ready, ipc);
    sp_watch_set(ipc->watch, SP_READ);
    return ipc;
}

void sp_ipc_free(struct sp_ipc *ipc)
{
    if (ipc == NULL || ipc->freed)
        return;
    ipc->freed = true;
    shut(ipc);
    sp_loop_free_later(ipc->loop, sp_free, ipc);
}

int sp_ipc_take_fd(struct sp_ipc *ipc, size_t index)
{
    int fd;

    if (index >= ipc->in.fd_count)
        return -1;
    fd = ipc->in.fds[index];
    ipc->in.fds[index] = -1;
    return fd;
}

size_t sp_ipc_waiting(const struct sp_ipc *ipc)
{
    return ipc->queue_count;
}
