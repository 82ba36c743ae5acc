/*
 * A file of the configuration that a command writes: whole, durable, and readable for nobody who could not read it before.
 * thread: one, since the umask is looked at by setting it
 */
#ifndef SP_CONFIG_REPLACE_H
#define SP_CONFIG_REPLACE_H

#include "base/bytes.h"
#include "base/err.h"

#include <sys/types.h>

/*
 * Writes a file beside its place, then into it, so that there is always the old or the new one. It has the owner, group and
 * mode of the one before; what else was set on that (ACLs) is lost.
 *
 * mode:    of one that is not there yet, which the umask may lessen
 * returns: SP_OK; SP_E_LIMIT if the path is too long; SP_E_DENIED if it can't be given to its owner, or what is there is a link; or SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_config_replace(const char *path, struct sp_bytes text, mode_t mode);

/* returns: whether there is a symbolic link, which is not written through and not replaced */
bool sp_config_is_link(const char *path);

#define SP_CONFIG_PATH_MAX 4096

/* The same in two steps, for who has to put on record between them what will stand there. */
struct sp_config_draft {
    char path[SP_CONFIG_PATH_MAX], beside[SP_CONFIG_PATH_MAX];
};

/*
 * Writes it beside its place, durably: all that commonly fails (room, rights, the owner) fails here.
 *
 * after:   on SP_OK one of the two below; else nothing is left
 * returns: as above
 */
SP_MUST_CHECK enum sp_rc sp_config_draft_write(struct sp_config_draft *d, const char *path,
                                               struct sp_bytes text, mode_t mode);
/* Puts it into its place. returns: SP_OK; or SP_E_IO, and the old one stays */
SP_MUST_CHECK enum sp_rc sp_config_draft_put(struct sp_config_draft *d);
/* Takes it away again. */
void sp_config_draft_drop(struct sp_config_draft *d);

/*
 * Makes it last that a file has come or gone: the folder that it lies in, and the one above, since that folder may be new.
 * What can't be synced is left as it is.
 */
void sp_config_sync_beside(const char *path);

#endif
