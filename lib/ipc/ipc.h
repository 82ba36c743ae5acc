/*
 * Frames with descriptors between our own processes, over SOCK_SEQPACKET. A frame arrives whole or not at all. Payloads
 * past SP_IPC_INLINE_MAX travel as a memfd; the receiver sees no difference. What the kernel does not take at once waits
 * in a bounded queue. The other side is not trusted more than its role: a frame that does not hold together closes the
 * channel. Most code wants jobs/jobs.h, which is built on this.
 *
 * thread: loop. No callback is made from within sp_ipc_send; none comes after sp_ipc_free. A callback may free the channel.
 */
#ifndef SP_IPC_IPC_H
#define SP_IPC_IPC_H

#include "base/err.h"
#include "io/loop.h"

#define SP_IPC_INLINE_MAX  (48 * 1024)        /* bytes of payload in the frame itself */
#define SP_IPC_PAYLOAD_MAX (16 * 1024 * 1024) /* bytes of payload at all */
#define SP_IPC_FDS_MAX     8
#define SP_IPC_QUEUE_MAX   8192               /* frames waiting to be sent */
#define SP_IPC_BACKLOG_MAX (64 * 1024 * 1024) /* bytes of payload waiting to be sent */

struct sp_ipc;

struct sp_ipc_frame {
    uint16_t type;
    uint16_t flags; /* the lower 15 bits are the user's */
    uint64_t id;
    struct sp_bytes payload;
    const int *fds;
    size_t fd_count;
};

struct sp_ipc_events {
    /*
     * A frame has come. payload is lent for the call. fds: each is close-on-exec; take one by sp_ipc_take_fd, those not
     * taken are closed after the call.
     */
    void (*on_frame)(void *arg, const struct sp_ipc_frame *frame);
    /* The other side has gone (SP_E_CLOSED) or sent what is no frame (SP_E_IPC_FRAME). Once; nothing comes after it. */
    void (*on_closed)(void *arg, enum sp_rc why);
};

/* returns: SP_OK and two joined, non-blocking, close-on-exec sockets, the caller's; or SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_ipc_pair(int fds[2], struct sp_err *err);

/*
 * Takes one end of a pair.
 *
 * owner:   the channel owns fd from now on; the caller owns the channel
 * events:  static; arg goes to each
 */
struct sp_ipc *sp_ipc_new(struct sp_loop *loop, int fd, const struct sp_ipc_events *events,
                          void *arg);

/* Closes and frees; frames that wait are lost. NULL is allowed. */
void sp_ipc_free(struct sp_ipc *ipc);
SP_AUTO_DEFINE(sp_ipc)

/*
 * Sends a frame, now or as soon as the kernel takes it, in the order sent.
 *
 * frame:   borrowed for the call, its descriptors too (they are duplicated)
 * returns: SP_OK; SP_E_IPC_FULL if too much waits already (nothing is sent), SP_E_LIMIT for a payload or a number of
 *          descriptors over the limits, SP_E_CLOSED if the channel has closed (on_closed comes or came), SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_ipc_send(struct sp_ipc *ipc, const struct sp_ipc_frame *frame);

/* Takes a descriptor out of the frame that on_frame is being called with. owner: the caller. returns: it, or -1 if none */
int sp_ipc_take_fd(struct sp_ipc *ipc, size_t index);

/* returns: frames that wait to be sent */
size_t sp_ipc_waiting(const struct sp_ipc *ipc);

#endif
