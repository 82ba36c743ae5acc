/*
 * What became other between two versions of the policy, where that is only members of lists whose first line says that
 * `sallyport directory` keeps them. Who wrote them the text can't tell: a hand edit of such a list is told in the same words.
 * Such a change comes every few days, from where the organisation keeps its people, and whoever reads the audit shall not
 * take it for rules that somebody changed unsaid. Told by the canonical texts that the books hold, not by any file beside
 * the policy. Canonical members are sorted, so both are walked side by side.
 *
 * The same for a version that was taken back: its rules, lists and texts must be those of a version that was live, and what
 * is recorded beside them (the registry of preferences, pinned partners, members of such lists) and sets that came with the
 * program those that were live until then.
 */
#include "audit/policies_priv.h"

#include "base/text.h"
#include "json/json.h"
#include "policy/policy.h"

#define FILE_PREFIX SP_LIT("file:")
#define TOLD_MAX    32

static bool is_same(const struct sp_json *a, const struct sp_json *b)
{
    struct sp_buf x, y;
    bool same;

    if (a->type == SP_JSON_TEXT && b->type == SP_JSON_TEXT)
        return sp_bytes_eq(a->text, b->text);
    sp_buf_init(&x, SP_JSON_LEN_MAX * 2);
    sp_buf_init(&y, SP_JSON_LEN_MAX * 2);
    same = sp_json_canonical(a, &x) == SP_OK && sp_json_canonical(b, &y) == SP_OK &&
           sp_bytes_eq(sp_buf_bytes(&x), sp_buf_bytes(&y));
    sp_buf_clear(&x);
    sp_buf_clear(&y);
    return same;
}

static bool is_kept(const struct sp_json *m)
{
    return m->type == SP_JSON_TEXT && sp_bytes_starts_nocase(m->key, FILE_PREFIX) &&
           sp_policy_list_is_kept(m->text);
}

bool sp_audit_policy_lists(struct sp_bytes before, struct sp_bytes after, struct sp_jw *w)
{
    SP_AUTO(sp_json_doc) old = NULL;
    SP_AUTO(sp_json_doc) new = NULL;
    const struct sp_json *a, *b;
    struct sp_err ignored;
    size_t count = 0;

    if (sp_json_parse(before, NULL, &old, &ignored) != SP_OK ||
        sp_json_parse(after, NULL, &new, &ignored) != SP_OK)
        return false;
    a = sp_json_root(old)->first;
    b = sp_json_root(new)->first;
    for (; a != NULL && b != NULL; a = a->next, b = b->next) {
        if (!sp_bytes_eq(a->key, b->key))
            return false;
        if (is_same(a, b))
            continue;
        if (!is_kept(a) || !is_kept(b))
            return false;
        if (count++ < TOLD_MAX)
            sp_jw_text(w, NULL, sp_bytes_slice(b->key, FILE_PREFIX.len, b->key.len));
    }
    return a == NULL && b == NULL && count > 0;
}

/* ---- a version that was taken back ---- */

static bool names_record(const struct sp_json *layer, struct sp_bytes file)
{
    const struct sp_json *lists = sp_json_find(layer, "lists");

    if (sp_bytes_eq(sp_json_text_of(sp_json_find(layer, "preferences"), "file"), file))
        return true;
    if (lists == NULL || lists->type != SP_JSON_OBJECT)
        return false;
    for (const struct sp_json *l = lists->first; l != NULL; l = l->next)
        if (sp_bytes_eq(sp_json_text_of(l, "kind"), SP_LIT("partners")) &&
            sp_bytes_eq(sp_json_text_of(l, "file"), file))
            return true;
    return false;
}

/* What is recorded of people and partners, by the layers of the version themselves. */
static bool is_record(const struct sp_json *version, const struct sp_json *m)
{
    struct sp_bytes file;

    if (sp_bytes_eq(m->key, SP_LIT("partners")))
        return true;
    if (!sp_bytes_starts_nocase(m->key, FILE_PREFIX))
        return false;
    file = sp_bytes_slice(m->key, FILE_PREFIX.len, m->key.len);
    for (const struct sp_json *l = version->first; l != NULL; l = l->next)
        if (l->type == SP_JSON_OBJECT && names_record(l, file))
            return true;
    return false;
}

/* A set that another one extends: all layers but the nearest. */
static bool is_outer_layer(const struct sp_json *version, const struct sp_json *m)
{
    char next[] = "layer0";

    if (m->key.len != 6 || !sp_bytes_starts_nocase(m->key, SP_LIT("layer")))
        return false;
    next[5] = (char)(m->key.ptr[5] + 1);
    return sp_json_find(version, next) != NULL;
}

static const struct sp_json *find_key(const struct sp_json *object, struct sp_bytes key)
{
    for (const struct sp_json *m = object->first; m != NULL; m = m->next)
        if (sp_bytes_eq(m->key, key))
            return m;
    return NULL;
}

/* Whether a member of what is live now is one that a version taken back may have. */
static bool is_of_then(const struct sp_json *now, const struct sp_json *m,
                       const struct sp_json *restored, const struct sp_json *before)
{
    const struct sp_json *then = find_key(restored, m->key), *last = find_key(before, m->key);

    if (then != NULL && is_same(m, then))
        return true;
    return last != NULL && is_same(m, last) &&
           (is_record(now, m) || is_outer_layer(now, m) ||
            (is_kept(m) && then != NULL && is_kept(then)));
}

bool sp_audit_policy_is_taken_back(struct sp_bytes before, struct sp_bytes restored,
                                   struct sp_bytes after)
{
    SP_AUTO(sp_json_doc) old = NULL;
    SP_AUTO(sp_json_doc) back = NULL;
    SP_AUTO(sp_json_doc) new = NULL;
    const struct sp_json *now;
    struct sp_err ignored;

    if (sp_json_parse(before, NULL, &old, &ignored) != SP_OK ||
        sp_json_parse(restored, NULL, &back, &ignored) != SP_OK ||
        sp_json_parse(after, NULL, &new, &ignored) != SP_OK)
        return false;
    now = sp_json_root(new);
    for (const struct sp_json *m = now->first; m != NULL; m = m->next)
        if (!is_of_then(now, m, sp_json_root(back), sp_json_root(old)))
            return false;
    for (const struct sp_json *m = sp_json_root(back)->first; m != NULL; m = m->next)
        if (find_key(now, m->key) == NULL && !is_record(now, m))
            return false;
    return true;
}
