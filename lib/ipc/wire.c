/*
 * A frame on the socket: 12 bytes of header (type, flags, id; little-endian), the payload, descriptors beside. SEQPACKET
 * keeps the borders, so there is no length field to lie about. A big payload is copied out of its memfd, never mapped:
 * the sender could cut a mapped file short under us.
 */
#include "ipc/wire_priv.h"

#include "base/fault.h"
#include "base/memfd.h"
#include "base/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

void sp_ipc_wire_header(uint16_t type, uint16_t flags, uint64_t id, uint8_t *out)
{
    out[0] = (uint8_t)type;
    out[1] = (uint8_t)(type >> 8);
    out[2] = (uint8_t)flags;
    out[3] = (uint8_t)(flags >> 8);
    for (unsigned i = 0; i < 8; i++)
        out[4 + i] = (uint8_t)(id >> (8 * i));
}

enum sp_rc sp_ipc_wire_decode(struct sp_bytes data, size_t fd_count, struct sp_ipc_frame *out)
{
    struct sp_reader r = sp_reader(data);
    struct sp_ipc_frame frame = {0};

    frame.type = sp_reader_u16(&r);
    frame.flags = sp_reader_u16(&r);
    frame.id = sp_reader_u64(&r);
    frame.payload = sp_reader_take(&r, sp_reader_left(&r));
    frame.fd_count = fd_count;
    if (frame.payload.len > SP_IPC_INLINE_MAX)
        sp_reader_fail(&r);
    if ((frame.flags & SP_IPC_BIG) != 0) {
        if (frame.payload.len != SP_IPC_BIG_LEN || fd_count == 0)
            sp_reader_fail(&r);
        else
            frame.fd_count--;
    }
    if (frame.fd_count > SP_IPC_FDS_MAX)
        sp_reader_fail(&r);
    if (sp_reader_rc(&r) != SP_OK)
        return SP_E_MALFORMED;
    *out = frame;
    return SP_OK;
}

static enum sp_rc rc_of_errno(int errnum)
{
    if (errnum == EAGAIN || errnum == EWOULDBLOCK)
        return SP_E_TIMEOUT;
    if (errnum == EPIPE || errnum == ECONNRESET || errnum == ENOTCONN)
        return SP_E_CLOSED;
    return SP_E_IO;
}

enum sp_rc sp_ipc_wire_send(int fd, struct sp_bytes head, struct sp_bytes payload, const int *fds,
                            size_t fd_count)
{
    union {
        struct cmsghdr align;
        uint8_t space[CMSG_SPACE(sizeof(int) * SP_IPC_WIRE_FDS)];
    } control = {0};
    struct iovec parts[2] = {{(void *)head.ptr, head.len}, {(void *)payload.ptr, payload.len}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = payload.len == 0 ? 1 : 2};
    ssize_t n;

    if (SP_FAULT("ipc.send"))
        return SP_E_IO;
    if (fd_count > 0) {
        struct cmsghdr *c;

        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    do {
        n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? rc_of_errno(errno) : SP_OK;
}

static void take_fds(struct msghdr *msg, struct sp_ipc_in *in)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        size_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (in->fd_count < SP_IPC_WIRE_FDS)
                in->fds[in->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

enum sp_rc sp_ipc_wire_receive(int fd, struct sp_ipc_in *in)
{
    union {
        struct cmsghdr align;
        uint8_t space[CMSG_SPACE(sizeof(int) * SP_IPC_WIRE_FDS)];
    } control;
    struct iovec part = {in->data, SP_IPC_HEADER_LEN + SP_IPC_INLINE_MAX};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    ssize_t n;

    in->fd_count = 0;
    if (SP_FAULT("ipc.receive"))
        return SP_E_IO;
    do {
        n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return rc_of_errno(errno);
    if (n == 0)
        return SP_E_CLOSED; /* no frame is empty, so this is the end */
    take_fds(&msg, in);
    in->len = (size_t)n;
    if ((msg.msg_flags & MSG_CTRUNC) != 0 && in->fd_count < SP_IPC_WIRE_FDS)
        return SP_E_IO; /* we are out of descriptors: not the sender's fault */
    return (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0 ? SP_E_IPC_FRAME : SP_OK;
}

static bool write_all(int fd, struct sp_bytes data)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data.ptr += n;
        data.len -= (size_t)n;
    }
    return true;
}

enum sp_rc sp_ipc_wire_big_make(struct sp_bytes payload, int *out)
{
    int fd = sp_memfd_new("sallyport-frame");

    if (fd < 0)
        return SP_E_IO;
    if (SP_FAULT("ipc.big-write") || !write_all(fd, payload) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        close(fd);
        return SP_E_IO;
    }
    *out = fd;
    return SP_OK;
}

enum sp_rc sp_ipc_wire_big_read(int fd, uint64_t len, struct sp_buf *out)
{
    uint8_t *room;
    size_t at = 0;

    if (len > SP_IPC_PAYLOAD_MAX)
        return SP_E_IPC_FRAME;
    room = sp_buf_reserve_try(out, (size_t)len);
    if (room == NULL)
        return SP_E_IO; /* that is ours, not the sender's */
    while (at < len) {
        ssize_t n = SP_FAULT_ERRNO("ipc.big-read", EIO)
                        ? -1
                        : pread(fd, room + at, (size_t)len - at, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? SP_E_IO : SP_E_IPC_FRAME;
        at += (size_t)n;
    }
    sp_buf_commit(out, (size_t)len);
    return SP_OK;
}
