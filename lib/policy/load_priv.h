/*
 * What the files of the loader share: the state of a load, the typed members of documents, and one function a section.
 */
#ifndef SP_POLICY_LOAD_PRIV_H
#define SP_POLICY_LOAD_PRIV_H

#include "json/json.h"
#include "json/problem.h"
#include "policy/policy_priv.h"

struct sp_named_ladder {
    const struct sp_json *source;
    const struct sp_ladder *ladder; /* NULL: it had problems */
    struct sp_named_ladder *next;
};

struct sp_loader {
    struct sp_policy *policy;
    const struct sp_policy_reader *reader;
    struct sp_problems *problems;
    const char *dir;             /* of the main file, "" or with a slash at the end */
    struct sp_json_doc *version; /* what is hashed */
    struct sp_named_ladder *ladders;
    struct sp_map
        *used; /* of the root's loader: entries of sections that a rule of any layer names */
    struct sp_loader *root; /* of a scope's loader: the first one; NULL in that itself */
    unsigned language;      /* SP_POLICY_LANGUAGE, or that of the facts which are decided again */
    bool is_past;           /* it has decided mail before */
};

/* Refuses what loads and never acts, or acts in part only. Of a version that has decided so it is said, and no more. */
void sp_policy_loader_idle(const struct sp_loader *l, const struct sp_json *at, enum sp_rc rc,
                           const char *fmt, ...) SP_PRINTF(4, 5);

/* Reads a file beside the main one; a problem at `at` if it is not there. returns: whether it was read */
bool sp_policy_loader_read(struct sp_loader *l, const struct sp_json *at, struct sp_bytes name,
                           struct sp_bytes *out);

/* Finds an entry by name, the nearest layer first. returns: NULL if no layer has it */
const struct sp_json *sp_policy_loader_find(const struct sp_loader *l, const char *section,
                                            struct sp_bytes name);
/* Notes that a rule names an entry of a section: what none names is told at the end. unused.c */
void sp_policy_loader_use(const struct sp_loader *l, const struct sp_json *entry);
/* The same of all entries of a section, for a rule that asks for any of them. */
void sp_policy_loader_use_all(const struct sp_loader *l, const char *section);
/*
 * Whether the author of what stands at `at` could know an entry that it names: it stands in the same layer or in an outer one, and no
 * layer within puts another in its place.
 */
bool sp_policy_loader_knows(const struct sp_loader *l, const struct sp_json *at,
                            const char *section, const struct sp_json *entry);
/* Whether a nearer layer has an entry of that name; says so there. */
bool sp_policy_loader_is_replaced(const struct sp_loader *l, const char *section,
                                  const struct sp_json *entry);
/* Says that a name is not known, with the nearest one of the section. */
void sp_policy_loader_unknown(const struct sp_loader *l, const struct sp_json *at,
                              const char *section, struct sp_bytes name);

/* Says what keys are not known in an object. names: NULL-terminated */
void sp_policy_loader_keys(const struct sp_loader *l, const struct sp_json *object,
                           const char *const *names);
/* The typed members; each says a problem and returns false if the value does not fit. */
bool sp_policy_loader_text(const struct sp_loader *l, const struct sp_json *v, const char **out);
bool sp_policy_loader_duration(const struct sp_loader *l, const struct sp_json *v, int64_t *out);
/* The same, above 0. */
bool sp_policy_loader_span(const struct sp_loader *l, const struct sp_json *v, int64_t *out);
bool sp_policy_loader_floor(const struct sp_loader *l, const struct sp_json *v, enum sp_floor *out);
bool sp_policy_loader_bool(const struct sp_loader *l, const struct sp_json *v, bool *out);
bool sp_policy_loader_type(const struct sp_loader *l, const struct sp_json *v,
                           enum sp_json_type type);
/* returns: when a day begins for rules and lists. day_ms: midnight of that day in UTC */
int64_t sp_policy_loader_day(const struct sp_loader *l, int64_t day_ms);
/* A time, or a day as it begins in the settings' time zone. */
bool sp_policy_loader_date(const struct sp_loader *l, const struct sp_json *v, int64_t *out);
/* One of names (NULL-terminated). returns: its index, or -1 */
int sp_policy_loader_word(const struct sp_loader *l, const struct sp_json *v,
                          const char *const *names, const char *what);
/* returns: whether a domain of mail may read so, or such a literal ("[192.0.2.1]"); what can't be one is asked for in vain */
bool sp_policy_loader_is_domain(struct sp_bytes text);
/* A name: [a-z0-9-]+ */
bool sp_policy_loader_is_name(struct sp_bytes name);

void sp_policy_load_settings(struct sp_loader *l);
void sp_policy_load_portal(struct sp_loader *l, const struct sp_json *object,
                           struct sp_portal_options *out);
void sp_policy_load_lists(struct sp_loader *l);
struct sp_policy_list *sp_policy_load_list_find(const struct sp_loader *l, struct sp_bytes name);
void sp_policy_load_ladders(struct sp_loader *l);
const struct sp_ladder *sp_policy_load_ladder(struct sp_loader *l, const struct sp_json *v);
void sp_policy_load_cond(struct sp_loader *l, const struct sp_json *when, struct sp_cond *out);
void sp_policy_load_test(struct sp_loader *l, const struct sp_json *member,
                         struct sp_policy_test *out);
/* What a text, a list or a pattern that a test asks for can never find, or always does. load_value.c */
void sp_policy_load_value_check(struct sp_loader *l, const struct sp_json *v,
                                const struct sp_policy_test *t);
void sp_policy_load_exists_check(struct sp_loader *l, const struct sp_json *v,
                                 const struct sp_policy_test *t);
void sp_policy_load_regex_check(struct sp_loader *l, const struct sp_json *v,
                                const struct sp_regex *re);
void sp_policy_load_list_check(struct sp_loader *l, const struct sp_json *v,
                               const struct sp_policy_list *list, const struct sp_policy_test *t);
/* Whether "resembles" has anything to compare with. */
void sp_policy_load_alike_check(struct sp_loader *l, const struct sp_json *v,
                                const struct sp_policy_list *list);
/* Whether lists may hold what the fact has. */
void sp_policy_load_in_check(struct sp_loader *l, const struct sp_json *v, enum sp_fact fact);
void sp_policy_load_outcome(struct sp_loader *l, const struct sp_json *then, struct sp_rule *rule);
/* What a rule says that nothing comes of. idle.c */
void sp_policy_load_check_idle(struct sp_loader *l, const struct sp_json *then,
                               const struct sp_rule *r);
/* Where a copy goes and what is added to it: copy, redirect, route, lane, notice, footer. */
void sp_policy_load_ways(struct sp_loader *l, const struct sp_json *then, struct sp_outcome *out);
void sp_policy_load_rules(struct sp_loader *l);
bool sp_policy_load_text(struct sp_loader *l, const struct sp_json *v, struct sp_bytes *out);
/* What no single rule can tell: rungs that remain, dead rules. */
void sp_policy_review(struct sp_loader *l);
/* Rules that an earlier one leaves nothing to. shadow.c */
void sp_policy_review_shadowed(struct sp_loader *l);
/* Rules of one's own that take mail from a set's rule with a notice. overtake.c */
void sp_policy_review_overtaken(struct sp_loader *l);
/* What comes together in one decision and would not fit. room.c */
void sp_policy_review_room(struct sp_loader *l);
/* What no rule of any layer names, when all policies have been compiled. unused.c */
void sp_policy_review_unused(struct sp_loader *l);

/* Reads layers/; when the main file's layers have been compiled, compiles a policy for each file there. */
void sp_policy_load_scoped_read(struct sp_loader *l);
void sp_policy_load_scoped(struct sp_loader *l);
/* Compiles the layers of l->policy: settings, lists, ladders, rules, review. */
void sp_policy_load_compile(struct sp_loader *l);
/* Parses a layer into *layer. returns: false if it can't be used */
bool sp_policy_load_layer(struct sp_loader *l, const char *path, struct sp_bytes text,
                          struct sp_policy_layer *layer);
/* dir, name and end in the arena */
const char *sp_policy_loader_join(struct sp_loader *l, const char *dir, struct sp_bytes name,
                                  const char *end);
/* findings.c: what the detector can't find, told where a rule asks for it; and a layer's own special classes. */
void sp_policy_load_type_name(struct sp_loader *l, const struct sp_json *at, struct sp_bytes name);
void sp_policy_load_special_name(struct sp_loader *l, const struct sp_json *v);
void sp_policy_load_special(struct sp_loader *l, const struct sp_json *root);
/* "preferences" of the main file: {"file": ...}. */
void sp_policy_load_preferences(struct sp_loader *l);

#endif
