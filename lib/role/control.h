/*
 * What supervisor and roles say to each other over descriptor 3. START, then a LISTENER for each socket, a PEER for each
 * channel, GO; later more PEERs, RELOAD, STOP. The role answers READY, RELOADED and STOPPED, or FAILED before it ends; FAULTY and LOST tell of a
 * peer.
 * thread: any
 */
#ifndef SP_ROLE_CONTROL_H
#define SP_ROLE_CONTROL_H

#include "base/buf.h"
#include "ipc/ipc.h"
#include "ipc/roles.h"
#include "log/log.h"

enum sp_role_frame {
    /* to the role */
    SP_ROLE_FRAME_START = 1, /* struct sp_role_start; descriptor 0: the bundle */
    SP_ROLE_FRAME_LISTENER,  /* name; descriptor 0: the socket */
    SP_ROLE_FRAME_PEER,      /* struct sp_role_peer; descriptor 0: the channel */
    SP_ROLE_FRAME_GO,
    SP_ROLE_FRAME_RELOAD, /* id: the generation; descriptor 0: the bundle */
    SP_ROLE_FRAME_STOP,   /* id: SP_ROLE_STOP_HANDOVER or 0 */
    /* to the supervisor */
    SP_ROLE_FRAME_READY,
    SP_ROLE_FRAME_RELOADED, /* struct sp_role_result; id: the generation */
    SP_ROLE_FRAME_STOPPED,
    SP_ROLE_FRAME_FAILED, /* struct sp_role_result */
    SP_ROLE_FRAME_FAULTY, /* struct sp_role_peer: it talked nonsense, its channel is closed */
    SP_ROLE_FRAME_LOST,   /* struct sp_role_peer: its channel failed, and is closed */
};

#define SP_ROLE_STOP_HANDOVER 1 /* the listening sockets stay open for a successor */

#define SP_ROLE_DIRS_MAX   256 /* folders of one role */
#define SP_ROLE_GRANTS_MAX 64
#define SP_ROLE_PATH_MAX   4000

/* A path beside its own folders that a role may read, or read and write. */
struct sp_role_grant {
    struct sp_bytes path;
    bool may_write;
};

struct sp_role_start {
    enum sp_role_kind kind;
    uint32_t index;
    uint32_t count; /* of its kind */
    uint64_t generation;
    enum sp_log_level log_level;
    struct sp_bytes state_dir;
    struct sp_bytes dirs[SP_ROLE_DIRS_MAX];
    size_t dir_count;
    struct sp_role_grant grants[SP_ROLE_GRANTS_MAX];
    size_t grant_count;
};

struct sp_role_peer {
    enum sp_role_kind kind;
    uint32_t index;
};

struct sp_role_result {
    enum sp_rc rc;
    struct sp_bytes text;
};

/* Appends the encoding; what passes a limit marks out as failed. */
void sp_role_start_encode(struct sp_buf *out, const struct sp_role_start *start);
void sp_role_peer_encode(struct sp_buf *out, const struct sp_role_peer *peer);
void sp_role_result_encode(struct sp_buf *out, const struct sp_role_result *result);

/* owner: text is lent from data. returns: SP_OK, or SP_E_MALFORMED and out undefined */
SP_MUST_CHECK enum sp_rc sp_role_start_decode(struct sp_bytes data, struct sp_role_start *out);
SP_MUST_CHECK enum sp_rc sp_role_peer_decode(struct sp_bytes data, struct sp_role_peer *out);
SP_MUST_CHECK enum sp_rc sp_role_result_decode(struct sp_bytes data, struct sp_role_result *out);

#endif
