/*
 * The databases beside the queue: the ledger's, the keeper's, the portal's. SQLite tells by itself of damage that it meets, and so
 * may go on for months beside what it does not read: a check reads all of it.
 */
#include "gateway/cli-spool/spool.h"

#include "base/text.h"
#include "store/store.h"

#include <dirent.h>
#include <stdio.h>

#define SUFFIX ".db"

static bool check_one(const struct spool *s, const char *folder, const char *name, struct sp_jw *w)
{
    struct sp_err err = {0};
    char path[SPOOL_PATH_MAX];
    bool is_whole = spool_path(path, folder, name) && sp_store_examine(path, &err) == SP_OK;

    if (w != NULL) {
        sp_jw_object(w, NULL);
        sp_jw_cstr(w, "file", name);
        sp_jw_bool(w, "whole", is_whole);
        if (!is_whole)
            sp_jw_cstr(w, "detail", err.text);
        sp_jw_end(w);
    }
    if (!is_whole && !s->json)
        (void)printf("%s: DAMAGED: %s\n", name, err.text);
    return is_whole;
}

size_t spool_check_databases(const struct spool *s, const char *folder, struct sp_jw *w)
{
    static const char *const roles[] = {"ledger", "keeper", "portal", "fetcher"};
    size_t damaged = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(roles); i++) {
        const struct dirent *entry;
        char path[SPOOL_PATH_MAX];
        DIR *dir = spool_path(path, folder, roles[i]) ? opendir(path) : NULL;

        while (dir != NULL && (entry = readdir(dir)) != NULL) {
            char name[SPOOL_PATH_MAX];

            (void)snprintf(name, sizeof(name), "%s/%s", roles[i], entry->d_name);
            if (sp_bytes_ends_nocase(sp_bytes_cstr(entry->d_name), SP_LIT(SUFFIX)))
                damaged += !check_one(s, folder, name, w);
        }
        if (dir != NULL)
            (void)closedir(dir);
    }
    return damaged;
}
