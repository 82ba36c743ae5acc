/*
 * All that the shipped policies can want for a copy: each file of policies/ loaded as a gateway loads it, then asked over
 * a product of facts that reaches every rule written there. A wish is what a rule wants; equal ones are kept once.
 */
#ifndef SP_TEST_UNIT_DELIVERY_SHIPPED_H
#define SP_TEST_UNIT_DELIVERY_SHIPPED_H

#include "base/arena.h"
#include "base/map.h"
#include "json/json.h"
#include "policy/policy.h"
#include "support/tools.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>

#define WISHES_MAX   512
#define POLICIES_MAX 16

struct wish {
    const char *policy; /* file name */
    const char *rule;
    enum sp_do verb;
    enum sp_floor floor;
    struct sp_ladder ladder; /* count 0: nothing goes out */
    bool is_sealed;          /* arrived as ciphertext */
    int64_t expire_ms;
};

struct shipped {
    struct sp_arena *arena;
    const char *files[POLICIES_MAX];
    struct sp_policy *policies[POLICIES_MAX];
    size_t policy_count;
    struct wish wishes[WISHES_MAX];
    size_t count;
    struct sp_map *spoke; /* "file rule": has decided, or raised a floor */
    unsigned decisions;
};

static inline enum sp_rc shipped_read(void *ctx, const char *name, struct sp_bytes *out)
{
    struct shipped *s = ctx;
    char path[1024];
    FILE *file;
    uint8_t *data = sp_arena_alloc(s->arena, (size_t)1 << 20);

    (void)snprintf(path, sizeof(path), "%s/%s", SP_SOURCE_DIR, name);
    file = fopen(path, "re");
    if (file == NULL)
        return SP_E_NOT_FOUND;
    *out = sp_bytes(data, fread(data, 1, (size_t)1 << 20, file));
    (void)fclose(file);
    return SP_OK;
}

static inline int shipped_by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static inline void shipped_find_files(struct shipped *s)
{
    DIR *dir = opendir(SP_SOURCE_DIR "/policies");
    const struct dirent *entry;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        const char *dot = strchr(entry->d_name, '.');

        if (dot == NULL || dot == entry->d_name || strcmp(dot, ".json") != 0 ||
            strcmp(entry->d_name, "sites.json") == 0) /* limits: no policy */
            continue;
        ck_assert_uint_lt(s->policy_count, POLICIES_MAX);
        s->files[s->policy_count++] = sp_arena_cstr(s->arena, sp_bytes_cstr(entry->d_name));
    }
    closedir(dir);
    qsort(s->files, s->policy_count, sizeof(s->files[0]), shipped_by_name);
}

static inline void shipped_spoke(struct shipped *s, const char *file, const char *rule)
{
    char key[256];
    int len = snprintf(key, sizeof(key), "%s %s", file, rule);

    if (sp_map_find(s->spoke, sp_bytes(key, (size_t)len)) == NULL)
        (void)sp_map_put(s->spoke, sp_arena_copy(s->arena, sp_bytes(key, (size_t)len)), s);
}

static inline bool shipped_has_spoken(const struct shipped *s, const char *file, const char *rule)
{
    char key[256];
    int len = snprintf(key, sizeof(key), "%s %s", file, rule);

    return sp_map_find(s->spoke, sp_bytes(key, (size_t)len)) != NULL;
}

static inline bool shipped_is_same(const struct wish *a, const struct wish *b)
{
    if (a->policy != b->policy || strcmp(a->rule, b->rule) != 0 || a->verb != b->verb ||
        a->floor != b->floor || a->is_sealed != b->is_sealed || a->expire_ms != b->expire_ms ||
        a->ladder.count != b->ladder.count || a->ladder.at_end != b->ladder.at_end)
        return false;
    for (size_t i = 0; i < a->ladder.count; i++) {
        const struct sp_ladder_rung *x = &a->ladder.rungs[i];
        const struct sp_ladder_rung *y = &b->ladder.rungs[i];

        if (x->rung != y->rung || x->stay_unreachable_ms != y->stay_unreachable_ms ||
            x->stay_dropped_ms != y->stay_dropped_ms)
            return false;
    }
    return true;
}

static inline void shipped_take(struct shipped *s, const char *file, const struct sp_decision *d)
{
    struct wish w = {.policy = file,
                     .rule = d->rule,
                     .verb = d->verb,
                     .floor = d->floor,
                     .is_sealed = d->is_sealed,
                     .expire_ms = d->expire_ms};

    s->decisions++;
    if (d->ladder == NULL) /* refused: floor and form make no difference */
        w = (struct wish){.policy = file, .rule = d->rule, .verb = d->verb};
    shipped_spoke(s, file, d->rule);
    for (size_t i = 0; i < d->continued.count; i++)
        shipped_spoke(s, file, d->continued.names[i]);
    if (d->ladder != NULL)
        w.ladder = *d->ladder;
    for (size_t i = 0; i < s->count; i++)
        if (shipped_is_same(&s->wishes[i], &w))
            return;
    ck_assert_uint_lt(s->count, WISHES_MAX);
    s->wishes[s->count++] = w;
}

/* The facts that shipped rules ask about, each value that turns one. */
enum shipped_radix {
    R_CLASS,
    R_SPECIAL,
    R_SCAN,
    R_SEALED,
    R_PREFERENCE,
    R_TAG,
    R_FOUND, /* nothing more, an opaque attachment, perhaps one, many patients */
    R_DOMAIN,
    R_COUNT,
    R_LAST
};
static const unsigned shipped_radix[R_LAST] = {4, 3, 3, 4, 8, 4, 4, 5, 2};

static inline void shipped_facts(const unsigned *v, struct sp_facts *f)
{
    static const struct sp_bytes part2[] = {SP_LIT_INIT("part2")};
    static const struct sp_bytes other[] = {SP_LIT_INIT("house")};
    static const struct sp_bytes label[] = {SP_LIT_INIT("confidential-phi")};
    static const struct sp_fact_type many[] = {{SP_LIT_INIT("MRN"), 40, 40}};
    static const char *const to[] = {"a@example.net", "a@lab.example", "a@gmial.com",
                                     "a@lba.example", "a@otulook.com"};

    sp_facts_init(f);
    sp_facts_set_text(f, SP_FACT_TENANT, SP_LIT("test"));
    sp_facts_set_sender(f, SP_LIT("dr@hospital.example"));
    sp_facts_set_recipient(f, sp_bytes_cstr(to[v[R_DOMAIN]]));
    sp_facts_set_number(f, SP_FACT_RECIPIENT_COUNT, 1 + (int64_t)v[R_COUNT]);
    if (v[R_PREFERENCE] == 5)
        sp_facts_set_unknown(f, SP_FACT_RECIPIENT_PREFERENCE);
    else if (v[R_PREFERENCE] < 5)
        sp_facts_set_number(f, SP_FACT_RECIPIENT_PREFERENCE, v[R_PREFERENCE]);
    if (v[R_PREFERENCE] == 7) { /* the only one for which it matters whose word it is */
        sp_facts_set_number(f, SP_FACT_RECIPIENT_PREFERENCE, SP_PREFERENCE_TLS);
        sp_facts_set_number(f, SP_FACT_RECIPIENT_PREFERENCE_BY, SP_PREFERENCE_BY_RECIPIENT);
    }
    sp_facts_set_number(f, SP_FACT_MESSAGE_KIND, 0);
    if (v[R_TAG] == 1 || v[R_TAG] == 2)
        sp_facts_set_text(f, SP_FACT_SUBJECT_TAG,
                          v[R_TAG] == 1 ? SP_LIT("secure") : SP_LIT("not-phi"));
    if (v[R_TAG] == 3)
        sp_facts_set_texts(f, SP_FACT_LABEL, label, 1);
    sp_facts_close_stage(f, SP_STAGE_ENVELOPE);
    sp_facts_close_stage(f, SP_STAGE_HEADER);
    sp_facts_set_number(f, SP_FACT_PHI_CLASS, v[R_CLASS]);
    sp_facts_set_number(f, SP_FACT_MESSAGE_SEALED, v[R_SEALED]);
    if (v[R_SPECIAL] > 0)
        sp_facts_set_texts(f, SP_FACT_PHI_SPECIAL, v[R_SPECIAL] == 1 ? part2 : other, 1);
    if (v[R_FOUND] == 2)
        sp_facts_set_unknown(f, SP_FACT_ATTACHMENT_OPAQUE);
    else
        sp_facts_set_number(f, SP_FACT_ATTACHMENT_OPAQUE, v[R_FOUND] == 1);
    sp_facts_set_types(f, many, v[R_FOUND] == 3);
    sp_facts_set_scan(f, (enum sp_scan)v[R_SCAN]);
    sp_facts_close_stage(f, SP_STAGE_CONTENT);
}

static inline bool shipped_next(unsigned *v)
{
    for (size_t i = 0; i < R_LAST; i++) {
        if (++v[i] < shipped_radix[i])
            return true;
        v[i] = 0;
    }
    return false;
}

/* A rule that the file itself has must have spoken; one that it extends may stand behind another. */
static inline void shipped_check_own(struct shipped *s, const char *file)
{
    const struct sp_json_options options = {.comments = true, .file = file};
    struct sp_json_doc *doc = NULL;
    struct sp_err err = {0};
    struct sp_bytes text;
    char path[256];

    (void)snprintf(path, sizeof(path), "policies/%s", file);
    ck_assert(shipped_read(s, path, &text) == SP_OK);
    ck_assert(sp_json_parse(text, &options, &doc, &err) == SP_OK);
    for (int part = 0; part < 2; part++) {
        const struct sp_json *list =
            sp_json_find(sp_json_root(doc), part == 0 ? "guards" : "rules");

        for (const struct sp_json *r = list == NULL ? NULL : list->first; r; r = r->next)
            ck_assert_msg(
                shipped_has_spoken(s, file, (const char *)sp_json_text_of(r, "rule").ptr),
                "%s: no combination of facts reaches rule %.*s: add the fact it asks about", file,
                SP_FMT(sp_json_text_of(r, "rule")));
    }
    sp_json_doc_free(doc);
}

/* Loads and asks them all. owner: the caller, to shipped_free */
static inline struct shipped *shipped_load(void)
{
    struct shipped *s = sp_calloc(1, sizeof(*s));
    const struct sp_policy_reader reader = {.read = shipped_read, .ctx = s};

    s->arena = sp_arena_new(65536);
    s->spoke = sp_map_new();
    shipped_find_files(s);
    ck_assert_uint_gt(s->policy_count, 0);
    for (size_t i = 0; i < s->policy_count; i++) {
        SP_AUTO(sp_problems) problems = sp_problems_new();
        unsigned v[R_LAST] = {0};
        char path[256];

        (void)snprintf(path, sizeof(path), "policies/%s", s->files[i]);
        ck_assert_msg(sp_policy_load(&reader, path, problems, &s->policies[i]) == SP_OK, "%s",
                      path);
        do {
            struct sp_facts facts;
            struct sp_decision d;

            shipped_facts(v, &facts);
            sp_policy_decide(s->policies[i], &facts, &d);
            shipped_take(s, s->files[i], &d);
        } while (shipped_next(v));
        shipped_check_own(s, s->files[i]);
    }
    return s;
}

static inline void shipped_free(struct shipped *s)
{
    for (size_t i = 0; i < s->policy_count; i++)
        sp_policy_unref(s->policies[i]);
    sp_map_free(s->spoke);
    sp_arena_free(s->arena);
    sp_free(s);
}

#endif
