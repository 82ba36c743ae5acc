/*
 * A datagram from another role: whatever it holds, a frame that is accepted stays within its limits and its payload
 * within the datagram. The first byte is the number of descriptors that came beside it.
 */
#include "base/mem.h"
#include "ipc/wire_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_ipc_frame frame;
    uint8_t again[SP_IPC_HEADER_LEN];
    struct sp_bytes message;

    if (len < 1)
        return 0;
    message = sp_bytes(data + 1, len - 1);
    if (sp_ipc_wire_decode(message, data[0], &frame) != SP_OK)
        return 0;
    sp_assert(frame.fd_count <= SP_IPC_FDS_MAX);
    sp_assert(frame.payload.len == message.len - SP_IPC_HEADER_LEN);
    sp_ipc_wire_header(frame.type, frame.flags, frame.id, again);
    sp_assert(memcmp(again, message.ptr, sizeof(again)) == 0);
    return 0;
}
