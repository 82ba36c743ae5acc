/*
 * Who is who, as a table. The relay asks everybody; the portal and the keeper
 * report to the ledger; the fetcher answers the relay alone; the admin role speaks for the command line. What is
 * not here has no channel, so a broken role can reach nobody whom it does not need.
 */
#include "ipc/roles.h"

#define WITH(role) (1U << (role))

static const struct {
    const char *name;
    unsigned peers; /* one side suffices */
} roles[SP_ROLE_COUNT] = {
    [SP_ROLE_SUPERVISOR] = {"supervisor", 0},
    [SP_ROLE_RELAY] = {"relay", WITH(SP_ROLE_SCANNER) | WITH(SP_ROLE_SEALER) |
                                    WITH(SP_ROLE_KEEPER) | WITH(SP_ROLE_PORTAL) |
                                    WITH(SP_ROLE_LEDGER) | WITH(SP_ROLE_FETCHER) |
                                    WITH(SP_ROLE_ADMIN)},
    [SP_ROLE_SCANNER] = {"scanner", 0},
    [SP_ROLE_SEALER] = {"sealer", 0},
    [SP_ROLE_KEEPER] = {"keeper", WITH(SP_ROLE_ADMIN) | WITH(SP_ROLE_LEDGER)},
    [SP_ROLE_PORTAL] = {"portal", WITH(SP_ROLE_LEDGER) | WITH(SP_ROLE_ADMIN)},
    [SP_ROLE_LEDGER] = {"ledger", WITH(SP_ROLE_ADMIN)},
    [SP_ROLE_FETCHER] = {"fetcher", 0},
    [SP_ROLE_ADMIN] = {"admin", 0},
};

const char *sp_ipc_role_name(enum sp_role_kind role)
{
    return role < SP_ROLE_COUNT ? roles[role].name : "unknown";
}

bool sp_ipc_role_parse(struct sp_bytes name, enum sp_role_kind *out)
{
    for (enum sp_role_kind i = 0; i < SP_ROLE_COUNT; i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(roles[i].name))) {
            *out = i;
            return true;
        }
    }
    return false;
}

bool sp_ipc_roles_talk(enum sp_role_kind a, enum sp_role_kind b)
{
    if (a >= SP_ROLE_COUNT || b >= SP_ROLE_COUNT)
        return false;
    return (roles[a].peers & WITH(b)) != 0 || (roles[b].peers & WITH(a)) != 0;
}
