/*
 * A policy in words: every setting, guard, rule, ladder, list and text as one item with an English sentence. What an
 * auditor reads, what two versions are compared by, and what lists the exceptions. thread: any; cost: allocates
 */
#ifndef SP_POLICY_DESCRIBE_H
#define SP_POLICY_DESCRIBE_H

#include "base/arena.h"
#include "policy/policy.h"

struct sp_policy_item {
    const char *
        scope; /* "" for everybody, else "tenant hospital", "domain d.example", "user a@d.example" */
    const char
        *kind; /* "setting", "guard", "rule", "default", "ladder", "list", "text", "preferences" */
    const char *name;
    const char *file;
    uint32_t line;
    const char *text;    /* the sentence */
    const char *lowers;  /* of a rule: why it may go below the floor; NULL: it may not */
    const char *plain;   /* of a rule: who may get plain mail by it, in words; NULL: nobody */
    const void *entries; /* of a list, for sp_policy_diff */
};

struct sp_policy_items {
    struct sp_policy_item *items;
    size_t count;
};

/* All items in the order of asking. arena: owns them; p must live as long. */
void sp_policy_describe(const struct sp_policy *p, struct sp_arena *arena,
                        struct sp_policy_items *out);

enum sp_change_kind {
    SP_CHANGE_ADDED,
    SP_CHANGE_REMOVED,
    SP_CHANGE_CHANGED,
    SP_CHANGE_MOVED, /* a rule that is asked at another place among those that both have */
};

struct sp_policy_change {
    enum sp_change_kind kind;
    const struct sp_policy_item *before; /* NULL: added */
    const struct sp_policy_item *after;  /* NULL: removed */
    const char *detail;                  /* of a list: what came and went; else NULL */
};

struct sp_policy_changes {
    struct sp_policy_change *changes;
    size_t count;
};

/* What differs between two policies, in words. a, b: items of sp_policy_describe, lent. arena: owns the changes */
void sp_policy_diff(const struct sp_policy_items *a, const struct sp_policy_items *b,
                    struct sp_arena *arena, struct sp_policy_changes *out);

/* returns: "added", "removed", "changed", "moved", static */
const char *sp_policy_change_name(enum sp_change_kind kind);

#endif
