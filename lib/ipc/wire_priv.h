/*
 * ipc's own: one frame to and from the kernel. thread: loop
 */
#ifndef SP_IPC_WIRE_PRIV_H
#define SP_IPC_WIRE_PRIV_H

#include "base/buf.h"
#include "ipc/ipc.h"

#define SP_IPC_HEADER_LEN 12
#define SP_IPC_BIG        0x8000U /* flag: the payload lies in a memfd behind the user's descriptors */
#define SP_IPC_BIG_LEN    8       /* such a frame's inline part: the payload's length */
#define SP_IPC_WIRE_FDS   (SP_IPC_FDS_MAX + 1)

/* A received datagram with what it brought along. */
struct sp_ipc_in {
    uint8_t *data; /* room for SP_IPC_HEADER_LEN + SP_IPC_INLINE_MAX, the receiver's */
    size_t len;
    int fds[SP_IPC_WIRE_FDS];
    size_t fd_count;
    struct sp_buf big; /* payload of a frame with SP_IPC_BIG */
};

/* Appends the header. */
void sp_ipc_wire_header(uint16_t type, uint16_t flags, uint64_t id, uint8_t *out);

/* returns: SP_OK, or SP_E_MALFORMED; out->payload is lent from data, out->fds untouched */
SP_MUST_CHECK enum sp_rc sp_ipc_wire_decode(struct sp_bytes data, size_t fd_count,
                                            struct sp_ipc_frame *out);

/* returns: SP_OK; SP_E_TIMEOUT if the kernel would block; SP_E_CLOSED if the other side is gone; SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_ipc_wire_send(int fd, struct sp_bytes head, struct sp_bytes payload,
                                          const int *fds, size_t fd_count);

/* returns: as sp_ipc_wire_send, and SP_E_IPC_FRAME if descriptors were cut off */
SP_MUST_CHECK enum sp_rc sp_ipc_wire_receive(int fd, struct sp_ipc_in *in);

/* owner: the caller, of *out. returns: a sealed memfd with the payload; SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_ipc_wire_big_make(struct sp_bytes payload, int *out);

/* Reads len bytes of a foreign memfd to in->big. returns: SP_OK, SP_E_IPC_FRAME */
SP_MUST_CHECK enum sp_rc sp_ipc_wire_big_read(int fd, uint64_t len, struct sp_buf *out);

#endif
