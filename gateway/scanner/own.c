/*
 * Own patterns and exact data of all tenants, compiled when the role starts and at each reload. One that can't be used keeps
 * the new configuration from being taken: mail must not be judged without what its tenant believes is looked for.
 */
#include "gateway/scanner/own.h"

#include "base/text.h"

#include <stdio.h>

#define FOLDER     "detection/"
#define SUFFIX     ".json"
#define OWNS_MAX   1000
#define TENANT_MAX 200

struct entry {
    struct sp_bytes tenant; /* lent by the bundle */
    struct sp_detect_own *own;
    struct scanner_own shown;
};

struct scanner_owns {
    struct entry list[OWNS_MAX + 1];
    size_t count;
    struct scanner_own none;
};

static struct sp_bytes brother(const struct sp_role *role, struct sp_bytes tenant,
                               const char *suffix)
{
    char name[sizeof(FOLDER) + TENANT_MAX + 16];

    snprintf(name, sizeof(name), FOLDER "%.*s%s", SP_FMT(tenant), suffix);
    return sp_role_file(role, name);
}

static enum sp_rc load_one(const struct sp_role *role, struct sp_detect *d, struct entry *e,
                           struct sp_bytes text, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_bytes index = brother(role, e->tenant, ".index"),
                    key = brother(role, e->tenant, ".key");
    struct sp_detect_exact *exact = NULL;
    char file[sizeof(FOLDER) + TENANT_MAX + 16];
    enum sp_rc rc = SP_OK;

    snprintf(file, sizeof(file), FOLDER "%.*s" SUFFIX, SP_FMT(e->tenant));
    if (index.ptr != NULL)
        rc = sp_detect_exact_open(index, key, &exact, err);
    if (rc != SP_OK)
        return rc;
    rc = sp_detect_own_load(d, text, file, exact, problems, &e->own);
    if (rc != SP_OK)
        return sp_problems_rc(problems, err);
    e->shown.own = e->own;
    sp_detect_own_version(text, index, e->shown.version);
    return SP_OK;
}

enum sp_rc scanner_owns_load(const struct sp_role *role, struct sp_detect *d,
                             struct scanner_owns **out, struct sp_err *err)
{
    SP_AUTO(scanner_owns) o = sp_calloc(1, sizeof(*o));
    struct sp_bytes name, text;
    size_t at = 0;

    sp_detect_own_version(SP_LIT(""), SP_LIT(""), o->none.version);
    while (sp_role_file_next(role, FOLDER, &at, &name, &text)) {
        struct entry *e = &o->list[o->count];
        enum sp_rc rc;

        if (!sp_bytes_ends_nocase(name, SP_LIT(SUFFIX)))
            continue;
        e->tenant = sp_bytes_slice(name, sizeof(FOLDER) - 1,
                                   name.len - (sizeof(FOLDER) - 1) - (sizeof(SUFFIX) - 1));
        if (o->count == OWNS_MAX || e->tenant.len > TENANT_MAX)
            return sp_fail(err, SP_E_LIMIT, "detection/: more than %d files, or too long a name",
                           OWNS_MAX);
        rc = load_one(role, d, e, text, err);
        if (rc != SP_OK)
            return rc;
        o->count++;
    }
    *out = SP_STEAL(o);
    return SP_OK;
}

void scanner_owns_free(struct scanner_owns *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->count; i++)
        sp_detect_own_free(o->list[i].own);
    sp_free(o);
}

const struct scanner_own *scanner_own_of(const struct scanner_owns *o, struct sp_bytes tenant)
{
    const struct scanner_own *all = &o->none;

    for (size_t i = 0; i < o->count; i++) {
        if (sp_bytes_eq(o->list[i].tenant, tenant))
            return &o->list[i].shown;
        if (sp_bytes_eq(o->list[i].tenant, SP_LIT("all")))
            all = &o->list[i].shown;
    }
    return all;
}
