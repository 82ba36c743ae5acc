/*
 * Files of a policy that lie in memory: a table of names and texts, as the loader asks for them.
 */
#ifndef SP_TEST_POLICY_FILES_H
#define SP_TEST_POLICY_FILES_H

#include "base/bytes.h"

#include <string.h>

struct file {
    const char *name, *text; /* the last one's name is NULL */
};

static inline enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    for (const struct file *f = ctx; f->name != NULL; f++) {
        if (strcmp(f->name, name) != 0)
            continue;
        *out = sp_bytes_cstr(f->text);
        return SP_OK;
    }
    return SP_E_NOT_FOUND;
}

static inline bool next_file(void *ctx, const char *dir, size_t *at, struct sp_bytes *name)
{
    const struct file *files = ctx;

    while (files[*at].name != NULL) {
        const char *found = files[(*at)++].name;

        if (strncmp(found, dir, strlen(dir)) != 0)
            continue;
        *name = sp_bytes_cstr(found);
        return true;
    }
    return false;
}

#endif
