/*
 * Where the version that decided then comes from, and why it can't be had: nobody kept its text, today's program refuses it,
 * or makes another version of it (a time zone that has other rules now). A version of another hash has not
 * decided anything, however alike it may be. The text in the gateway's books is the one that was hashed, so what differs
 * can be named part by part.
 */
#include <stdio.h>
#include <string.h>

#include "gateway/cli-policy/publish.h"
#include "gateway/cli-policy/replay.h"

#define VERSION_MAX ((size_t)512 << 20)

static const char *const why_names[] = {"", "not-kept", "not-loaded", "other-version"};

static bool is_same(const struct sp_json *a, const struct sp_json *b)
{
    struct sp_buf one, other;
    bool same;

    sp_buf_init(&one, VERSION_MAX);
    sp_buf_init(&other, VERSION_MAX);
    same = b != NULL && sp_json_canonical(a, &one) == SP_OK &&
           sp_json_canonical(b, &other) == SP_OK &&
           sp_bytes_eq(sp_buf_bytes(&one), sp_buf_bytes(&other));
    sp_buf_clear(&one);
    sp_buf_clear(&other);
    return same;
}

/* Members of one that the other has not, or not so. all: false: only those that it has not */
static void add_differing(struct cli *cli, struct replay_version *v, const struct sp_json *one,
                          const struct sp_json *other, bool all)
{
    for (const struct sp_json *m = one->first; m != NULL; m = m->next) {
        const struct sp_json *there = sp_json_find_bytes(other, m->key);

        if (there == NULL || (all && !is_same(m, there)))
            v->differs[v->differ_count++] = sp_arena_cstr(cli->arena, m->key);
    }
}

/* Which parts of the version of then are otherwise in what was made of its text. */
static void compare(struct cli *cli, struct replay_version *v, struct sp_bytes then,
                    const struct sp_policy *made)
{
    SP_AUTO(sp_json_doc) a = NULL;
    SP_AUTO(sp_json_doc) b = NULL;
    struct sp_err err;

    if (sp_json_parse(then, NULL, &a, &err) != SP_OK ||
        sp_json_parse(sp_policy_canonical(made), NULL, &b, &err) != SP_OK)
        return;
    v->differs = sp_arena_alloc(cli->arena, (sp_json_root(a)->count + sp_json_root(b)->count + 1) *
                                                sizeof(*v->differs));
    add_differing(cli, v, sp_json_root(a), sp_json_root(b), true);
    add_differing(cli, v, sp_json_root(b), sp_json_root(a), false);
}

/* Takes what was loaded, if it is the version, or notes why not. then: the text that was hashed then, empty if it is not known */
static struct sp_policy *take(struct cli *cli, struct replay_version *v, struct sp_policy *loaded,
                              struct sp_bytes then)
{
    SP_AUTO(sp_policy) policy = loaded;

    if (policy == NULL) {
        if (sp_problems_errors(v->problems) > 0)
            v->lost = REPLAY_NOT_LOADED;
        return NULL;
    }
    if (strcmp(sp_policy_hash(policy), v->hash) == 0) {
        v->lost = REPLAY_FOUND;
        return SP_STEAL(policy);
    }
    v->lost = REPLAY_OTHER;
    v->made = sp_arena_cstr(cli->arena, sp_bytes_cstr(sp_policy_hash(policy)));
    if (then.len > 0)
        compare(cli, v, then, policy);
    return NULL;
}

static struct cli_version begin(struct replay_version *v)
{
    sp_problems_free(v->problems);
    v->problems = sp_problems_new();
    return (struct cli_version){v->live, v->hash, v->language, v->problems};
}

/* A version that nobody kept beside the policy: the gateway's books have the text of each that ever decided. */
static struct sp_policy *ask_books(struct cli *cli, struct replay_version *v)
{
    const char *words[] = {"audit", "facts", v->hash, "--config", v->config, NULL};
    struct sp_policy *policy = NULL;
    struct sp_buf text;

    sp_buf_init(&text, VERSION_MAX);
    if (cli_ask_gateway(cli, words, CLI_OK, &text) == 0) {
        struct cli_version version = begin(v);

        policy = take(cli, v, cli_load_canonical(cli, &version, sp_buf_bytes(&text)),
                      sp_buf_bytes(&text));
    }
    sp_buf_wipe(&text);
    return policy;
}

struct sp_policy *replay_version_find(struct cli *cli, struct replay_version *v)
{
    struct cli_version version = begin(v);
    struct sp_policy *policy;

    v->lost = REPLAY_NOT_KEPT;
    if (strlen(v->hash) != SP_POLICY_HASH_LEN)
        return NULL;
    policy = take(cli, v, cli_load_version(cli, &version), sp_bytes(NULL, 0));
    return policy != NULL ? policy : ask_books(cli, v);
}

void replay_version_write(struct cli *cli, const struct replay_version *v, struct sp_jw *w)
{
    struct sp_problems *own = cli->problems;

    if (v->lost == REPLAY_FOUND)
        return;
    sp_jw_object(w, "not_replayed");
    sp_jw_cstr(w, "policy", v->hash);
    sp_jw_cstr(w, "why", why_names[v->lost]);
    sp_jw_cstr(w, "made", v->made);
    sp_jw_array(w, "differs");
    for (size_t i = 0; i < v->differ_count; i++)
        sp_jw_cstr(w, NULL, v->differs[i]);
    sp_jw_end(w);
    cli->problems = v->problems;
    cli_json_problems(cli, w);
    cli->problems = own;
    sp_jw_end(w);
}

static void print_differs(const struct cli *cli, const struct replay_version *v)
{
    for (size_t i = 0; i < v->differ_count; i++)
        (void)cli_tell(cli, REPLAY_LOST, "refused", "otherwise now than in the version of then: %s",
                       v->differs[i]);
}

void replay_version_print(struct cli *cli, const struct replay_version *v)
{
    struct sp_problems *own = cli->problems;

    if (v->lost == REPLAY_NOT_LOADED) {
        cli->problems = v->problems;
        (void)cli_print_problems(cli, REPLAY_LOST);
        cli->problems = own;
        (void)cli_tell(cli, REPLAY_LOST, "refused",
                       "version %s decided then, and this program can't load it, for the errors "
                       "above, in its own files as they were kept. Replay it with the release that "
                       "decided then",
                       v->hash);
    } else if (v->lost == REPLAY_OTHER) {
        print_differs(cli, v);
        (void)cli_tell(cli, REPLAY_LOST, "refused",
                       "version %s decided then, and this program makes %s of the same files. "
                       "Replay it with the release that decided then",
                       v->hash, v->made);
    } else {
        (void)cli_tell(cli, REPLAY_LOST, "not-found",
                       "version %s decided then, and its text is neither in %s/.history nor given "
                       "by the gateway's books. If a backup has %s.json, put it into that folder",
                       v->hash, cli_dirname(cli, v->live), v->hash);
    }
}
