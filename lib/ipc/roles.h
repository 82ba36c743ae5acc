/*
 * The roles of DESIGN's process table: who exists, what each is called, and who speaks with whom. thread: any
 */
#ifndef SP_IPC_ROLES_H
#define SP_IPC_ROLES_H

#include "base/bytes.h"

enum sp_role_kind {
    SP_ROLE_SUPERVISOR,
    SP_ROLE_RELAY,
    SP_ROLE_SCANNER,
    SP_ROLE_SEALER,
    SP_ROLE_KEEPER,
    SP_ROLE_PORTAL,
    SP_ROLE_LEDGER,
    SP_ROLE_FETCHER,
    SP_ROLE_ADMIN,
    SP_ROLE_COUNT
};

/* returns: "relay" and so on, static; it is also the name of the role's program */
const char *sp_ipc_role_name(enum sp_role_kind role);

/* returns: false if name is no role */
SP_MUST_CHECK bool sp_ipc_role_parse(struct sp_bytes name, enum sp_role_kind *out);

/* returns: whether the supervisor joins processes of these two roles by a channel; symmetric */
bool sp_ipc_roles_talk(enum sp_role_kind a, enum sp_role_kind b);

#endif
