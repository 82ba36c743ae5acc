/*
 * The policy of this generation, for the books: a reload starts the ledger anew, so that its start is when a version takes
 * effect. A policy that can't be loaded is none: the relays refuse such a generation and keep the one before.
 */
#include "gateway/ledger/ledger.h"

#include "audit/policies.h"
#include "policy/stage.h"

static enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    *out = sp_role_file(ctx, name);
    return out->ptr == NULL ? SP_E_NOT_FOUND : SP_OK;
}

static bool next_file(void *ctx, const char *dir, size_t *at, struct sp_bytes *name)
{
    struct sp_bytes data;

    return sp_role_file_next(ctx, dir, at, name, &data);
}

/* A file beside the policy. returns: lent by the role's bundle; empty if it is not there */
static struct sp_bytes file_beside(struct ledger *l, const char *name)
{
    const char *path = l->config->policy, *slash = strrchr(path, '/');
    struct sp_buf beside;
    struct sp_bytes out;

    sp_buf_init(&beside, LEDGER_PATH_MAX);
    sp_buf_put(&beside, sp_bytes(path, slash == NULL ? 0 : (size_t)(slash - path) + 1));
    sp_buf_put_cstr(&beside, name);
    sp_buf_put_u8(&beside, 0);
    out = sp_role_file(l->role, (const char *)beside.ptr);
    sp_buf_clear(&beside);
    return out;
}

enum sp_rc ledger_policy_tell(struct ledger *l, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_policy_reader reader = {read_file, l->role, next_file};
    const char *path = l->config->policy;
    struct sp_audit_policy version = {0};
    SP_AUTO(sp_policy) policy = NULL;

    if (sp_policy_load(&reader, path, problems, &policy) != SP_OK)
        return SP_OK;
    version.hash = sp_bytes_cstr(sp_policy_hash(policy));
    version.canonical = sp_policy_canonical(policy);
    version.second_person = l->config->publishing.second_person;
    version.published = file_beside(l, "published.json");
    version.staging = file_beside(l, SP_POLICY_STAGE_FILE);
    return sp_audit_book_policy(l->book, &version, err);
}
