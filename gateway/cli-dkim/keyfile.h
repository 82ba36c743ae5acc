/*
 * Writing a private key's file, and the folder of such: cli-dkim's, and cli-policy's when it adds a tenant.
 */
#ifndef SP_CLI_DKIM_KEYFILE_H
#define SP_CLI_DKIM_KEYFILE_H

#include "base/bytes.h"

/* returns: whether the file is there now, durable, and its owner is its folder's; false with errno, also if there was one */
bool key_file_write(const char *path, struct sp_bytes pem);
/* Makes a folder for keys, of its parent's owner and for him alone. returns: whether it is there; false with errno */
bool key_folder_make(const char *path);

#endif
