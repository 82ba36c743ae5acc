/*
 * Where the files that settings name lie. "credential:NAME" is a file that systemd lays before a service (LoadCredential=,
 * LoadCredentialEncrypted=) in a folder that only the service may read; its manager names that folder in the environment.
 * The folder can't be written, so what is kept beside a master key that comes so lies in the configuration folder.
 */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

static enum sp_rc put(char *out, size_t len, const char *folder, const char *name)
{
    int n =
        name[0] == '/' ? snprintf(out, len, "%s", name) : snprintf(out, len, "%s/%s", folder, name);

    return n < 0 || (size_t)n >= len ? SP_E_LIMIT : SP_OK;
}

static const char *credential_of(const char *setting)
{
    struct sp_bytes prefix = SP_LIT(SP_CONFIG_CREDENTIAL);

    return strncmp(setting, SP_CONFIG_CREDENTIAL, prefix.len) == 0 ? setting + prefix.len : NULL;
}

enum sp_rc sp_config_place(const char *setting, const char *folder, char *out, size_t len)
{
    const char *name = credential_of(setting);
    const char *given;

    if (name == NULL)
        return put(out, len, folder, setting);
    given = getenv("CREDENTIALS_DIRECTORY"); /* NOLINT(concurrency-mt-unsafe): one thread */
    if (given == NULL || given[0] != '/' || name[0] == 0 || strchr(name, '/') != NULL)
        return SP_E_NOT_FOUND;
    return put(out, len, given, name);
}

enum sp_rc sp_config_place_beside(const char *setting, const char *folder, char *out, size_t len)
{
    const char *name = credential_of(setting);
    char path[512];

    if (name == NULL)
        return put(out, len, folder, setting);
    return put(path, sizeof(path), "keys", name) == SP_OK ? put(out, len, folder, path)
                                                          : SP_E_LIMIT;
}
