/*
 * The stage is read from two files that the command line writes: staging.json (how far, and which version) and staged.json
 * (the draft as it was). A stage that does not hold what it says is no stage: the live policy decides alone, which is what
 * it did before.
 */
#include "policy/stage.h"

#include "base/text.h"
#include "json/json.h"

#define PATH_MAX_LEN 4096
#define SHARES       10000 /* parts of all mail */

static const char *beside(const char *path, const char *name, struct sp_buf *out)
{
    const char *slash = strrchr(path, '/');

    sp_buf_reset(out);
    sp_buf_put(out, sp_bytes(path, slash == NULL ? 0 : (size_t)(slash - path) + 1));
    sp_buf_put_cstr(out, name);
    sp_buf_put_u8(out, 0);
    return (const char *)out->ptr;
}

static bool read_step(const struct sp_json *root, struct sp_policy_stage *out)
{
    struct sp_bytes mode = sp_json_text_of(root, "mode");
    int64_t percent = sp_json_int_of(root, "percent", 0);

    if (sp_bytes_eq(mode, SP_LIT("shadow")))
        percent = 0;
    else if (!sp_bytes_eq(mode, SP_LIT("percent")) || percent < 1 || percent > 100)
        return false;
    out->percent = (unsigned)percent;
    return true;
}

bool sp_policy_stage_is_of(const struct sp_json *act, const struct sp_policy *p)
{
    return sp_bytes_eq(sp_json_text_of(act, "after"), sp_bytes_cstr(sp_policy_hash(p))) ||
           sp_bytes_eq(sp_json_text_of(act, "rules"), sp_bytes_cstr(sp_policy_rules_hash(p)));
}

static enum sp_rc load_draft(const struct sp_policy_reader *reader, const char *path,
                             const struct sp_json *act, struct sp_problems *problems,
                             struct sp_policy_stage *out)
{
    SP_AUTO(sp_policy) draft = NULL;
    enum sp_rc rc = sp_policy_load(reader, path, problems, &draft);

    if (rc != SP_OK)
        return rc;
    if (!sp_policy_stage_is_of(act, draft))
        return sp_problem_file(problems, path, 0, SP_E_POLICY_INVALID,
                               "is not the version that was staged: its files have changed; "
                               "publish it anew");
    out->draft = SP_STEAL(draft);
    return SP_OK;
}

enum sp_rc sp_policy_stage_load(const struct sp_policy_reader *reader, const char *path,
                                struct sp_problems *problems, struct sp_policy_stage *out)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_bytes text = {NULL, 0};
    struct sp_err err;
    struct sp_buf name;
    enum sp_rc rc;

    *out = (struct sp_policy_stage){.draft = NULL};
    sp_buf_init(&name, PATH_MAX_LEN);
    rc = reader->read(reader->ctx, beside(path, SP_POLICY_STAGE_FILE, &name), &text);
    if (rc == SP_E_NOT_FOUND)
        rc = SP_OK;
    else if (rc != SP_OK || sp_json_parse(text, NULL, &doc, &err) != SP_OK ||
             !read_step(sp_json_root(doc), out))
        rc = sp_problem_file(problems, (const char *)name.ptr, 0, SP_E_POLICY_INVALID,
                             "is not what sallyport policy publish --stage writes");
    else
        rc = load_draft(reader, beside(path, SP_POLICY_STAGE_MAIN, &name), sp_json_root(doc),
                        problems, out);
    sp_buf_clear(&name);
    return rc;
}

bool sp_policy_stage_takes(unsigned percent, const uint8_t *mac)
{
    uint64_t at = 0;

    for (size_t i = 0; i < sizeof(at); i++)
        at = at << 8 | mac[i];
    return at % SHARES < (uint64_t)percent * (SHARES / 100);
}
