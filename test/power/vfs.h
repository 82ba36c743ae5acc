/*
 * SQLite on the simulated disk: a VFS that is SQLite's default from power_vfs_use on. Files lie in one folder of the disk,
 * whatever path they are opened by. One process, so no locks; the shared memory of the write-ahead log is ordinary memory
 * and dies with the connection, as it would at a crash.
 */
#ifndef SP_TEST_POWER_VFS_H
#define SP_TEST_POWER_VFS_H

#include "power/disk.h"

/* From now on databases lie in this folder of this disk. NULL: of none. */
void power_vfs_use(struct power_disk *d, const char *folder);

#endif
