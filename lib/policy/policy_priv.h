/*
 * A compiled policy. Everything lies in the policy's arena and never changes once sp_policy_load has returned.
 */
#ifndef SP_POLICY_POLICY_PRIV_H
#define SP_POLICY_POLICY_PRIV_H

#include "base/arena.h"
#include "base/map.h"
#include "policy/facts_priv.h"
#include "policy/pattern.h"
#include "policy/policy.h"
#include "policy/zone.h"

#define SP_POLICY_EXTENDS_MAX 6
#define SP_POLICY_LAYERS_MAX  (SP_POLICY_EXTENDS_MAX + 3) /* and tenant, domain, user */
#define SP_POLICY_SCOPED_MAX  1000

/* Three values: and is the least, or the greatest, not the distance from true. */
enum sp_tri {
    SP_TRI_FALSE = 0,
    SP_TRI_UNKNOWN = 1,
    SP_TRI_TRUE = 2,
};

enum sp_list_kind {
    SP_LIST_DOMAINS,
    SP_LIST_ADDRESSES,
    SP_LIST_PARTNERS, /* domains, by another name for people */
};

struct sp_list_entry {
    int64_t until_ms; /* INT64_MAX: no end */
};

struct sp_policy_list {
    const char *name;
    enum sp_list_kind kind;
    struct sp_map *entries;    /* lower case; ".example.org" for all below it */
    struct sp_map *lookalikes; /* forms of the names, where a rule asks "resembles"; else NULL */
    const struct sp_json *source;
    struct sp_policy_list
        *origin; /* of a copy in the policy of a scope: the one that owns the entries */
    struct sp_policy_list *next;
};

enum sp_test_op {
    SP_TEST_EQUALS,    /* any of texts or numbers */
    SP_TEST_HAS,       /* set facts: any of texts */
    SP_TEST_IN,        /* any of lists */
    SP_TEST_RESEMBLES, /* looks like a name of any of lists, and is none */
    SP_TEST_LIKE,
    SP_TEST_REGEX,
    SP_TEST_AT_LEAST,
    SP_TEST_BELOW,
    SP_TEST_EXISTS, /* number: wanted truth */
};

struct sp_policy_test {
    enum sp_fact fact;
    struct sp_bytes name; /* of header., phi.count. and phi.distinct. */
    enum sp_test_op op;
    const struct sp_bytes *texts;
    const int64_t *numbers;
    size_t count; /* of texts, numbers or lists */
    const struct sp_policy_list **lists;
    const struct sp_regex *regex;
    const char *source; /* JSON text of the member, for people */
};

/* A condition in postfix order. */
enum sp_cond_op {
    SP_COND_TEST, /* arg: index of the test */
    SP_COND_ALL,  /* arg: how many */
    SP_COND_ANY,
    SP_COND_NOT,
};

struct sp_cond_step {
    enum sp_cond_op op;
    size_t arg;
};

struct sp_cond {
    struct sp_cond_step *steps;
    size_t step_count;
    struct sp_policy_test *tests;
    size_t test_count;
    size_t depth;        /* of the stack that it needs */
    bool is_conjunction; /* tests joined by and, nothing else */
    enum sp_stage stage;
};

#define SP_COND_DEPTH_MAX 256

#define SP_POLICY_ADDED_MAX 16384 /* bytes of a notice or footer */

struct sp_scope {
    struct sp_bytes tenant; /* empty: any */
    struct sp_bytes domain;
    struct sp_bytes user;
};

struct sp_policy_layer {
    const char *file;
    struct sp_json_doc *doc;
    const struct sp_json *root;
    struct sp_scope scope;
    bool is_main;   /* the file that was asked for, not one that it extends */
    bool is_scoped; /* of layers/ */
};

struct sp_outcome {
    bool has_verb;
    enum sp_do verb;
    const struct sp_ladder *ladder;
    struct sp_bytes text; /* of reject, reason of discard */
    const char *text_name;
    struct sp_hold hold;
    bool has_raise;
    enum sp_floor raise;
    const char **tags;
    size_t tag_count;
    struct sp_header_edit *headers;
    size_t header_count;
    bool strip_subject_tag;
    const char *protect_subject;
    struct sp_bytes notice;
    struct sp_bytes footer;
    const char *notice_name; /* NULL: none */
    const char *footer_name;
    const char **copies;
    size_t copy_count;
    const char *redirect; /* NULL: none */
    const char *route;
    const char *lane;
    const char *smime_cipher; /* NULL: as the certificates say */
    bool has_expire;
    int64_t expire_ms;
    bool has_portal;
    struct sp_portal_options portal; /* settings with this rule's members over them */
    unsigned notify;
    const char *lowers;
};

struct sp_rule {
    const char *name;
    const struct sp_policy_layer *layer;
    const struct sp_json *source;
    uint32_t line;
    const char *section;
    bool is_continue;
    bool whole_message;
    bool is_certain; /* not taken in doubt */
    int64_t from_ms; /* INT64_MIN: since ever */
    int64_t until_ms;
    struct sp_cond cond;
    struct sp_outcome then;
};

struct sp_policy {
    struct sp_arena *arena; /* the root's */
    _Atomic int refs;
    const struct sp_policy *root; /* itself, or the policy that this scope's one belongs to */
    /* of the root: files in layers/, and the policies that they make, by "tenant/", "tenant/@domain", "tenant/user@d" */
    struct sp_policy_layer *scoped;
    size_t scoped_count;
    struct sp_policy **views; /* one for each of scoped */
    struct sp_map *by_scope;
    struct sp_map *preferences; /* of the root: address to struct sp_preference_entry */
    struct sp_policy_layer layers[SP_POLICY_LAYERS_MAX]; /* outermost first */
    size_t layer_count;
    struct sp_rule *rules; /* in the order of asking; the default last */
    size_t rule_count;
    enum sp_floor
        default_floor; /* of the default's ladder; SP_FLOOR_COUNT if it does not protect */
    enum sp_stage last_stage;
    struct sp_policy_list *lists;
    /* settings */
    enum sp_floor floor;
    int64_t expire_ms;
    bool has_expire; /* the settings name it */
    const char *timezone;
    struct sp_zone zone;
    const char *dkim_selector;
    enum sp_floor report_floor;
    struct sp_portal_options portal;
    /* version */
    char hash[SP_POLICY_HASH_LEN + 1];
    char rules_hash[SP_POLICY_HASH_LEN + 1]; /* without the members of lists that are kept */
    struct sp_bytes canonical;
};

/* What turned a condition, for the trace. */
struct sp_turn {
    const struct sp_policy_test *test;
};

/*
 * Evaluates a condition.
 *
 * pending: gets true if a fact was pending (it may be NULL)
 * turn:    gets the test that decided a result other than true (it may be NULL)
 */
enum sp_tri sp_policy_cond_eval(const struct sp_cond *c, const struct sp_facts *f, bool *pending,
                                struct sp_turn *turn);

/* returns: the policy of the facts' sender: sp_policy_for */
const struct sp_policy *sp_policy_of_facts(const struct sp_policy *p, const struct sp_facts *f);

/* Whether a rule is asked at all: scope of its layer, dates. */
bool sp_policy_rule_is_on(const struct sp_rule *r, const struct sp_facts *f);

/* Whether a rule whose condition is unknown is taken. */
bool sp_policy_rule_takes_unknown(const struct sp_policy *p, const struct sp_rule *r);

/* The decision before any rule, the effect of one rule, and the end. Shared by decide and explain. */
void sp_decision_begin(const struct sp_policy *p, const struct sp_facts *f,
                       struct sp_decision *out);
void sp_decision_apply(const struct sp_rule *r, struct sp_decision *out);
void sp_decision_end(const struct sp_policy *p, const struct sp_rule *by, struct sp_decision *out);

/* A decision on its way through the rules. */
struct sp_decision_walk {
    const struct sp_policy *p;
    unsigned language;          /* of the facts */
    const struct sp_rule *held; /* a hold that was taken in doubt; NULL: none */
    struct sp_decision *out;
};
/*
 * Takes a rule whose condition holds, or that is taken in doubt. Behind a hold in doubt the rules that would decide without it
 * are still heard: a refusal for certain stands, and what they protect better is protected so.
 *
 * returns: whether it is decided now
 */
bool sp_decision_take(struct sp_decision_walk *w, const struct sp_rule *r, bool in_doubt);

/* What one person has said about mail to it, and how it is known. */
struct sp_preference_entry {
    int64_t value; /* enum sp_preference */
    int64_t given_ms;
    int64_t until_ms;
};

/* returns: whether a text meets the test by what it is itself. now_ms 0: dates of list entries are not looked at */
bool sp_policy_test_holds_for(const struct sp_policy_test *t, struct sp_bytes text, int64_t now_ms);
/*
 * What a condition comes to wherever another one holds, as far as that can be told without facts.
 *
 * given:   tests joined by and; another form tells nothing
 * returns: true, false, or unknown where it may be either
 */
enum sp_tri sp_policy_cond_under(const struct sp_cond *given, const struct sp_cond *c);
/* returns: whether a condition is false wherever another one holds, or is taken in doubt since a fact is unknown */
bool sp_policy_cond_excludes(const struct sp_cond *given, const struct sp_cond *c);
/* returns: two tests of it that can't hold at once; NULL if there are none. other: gets the second */
const struct sp_policy_test *sp_policy_cond_contradiction(const struct sp_cond *c,
                                                          const struct sp_policy_test **other);

/* returns: whether what must hold of a condition leaves nothing of the rest; of tests joined by and ask for the contradiction */
bool sp_policy_cond_is_never(const struct sp_cond *c);

/* Makes what "resembles" asks, once. returns: false if the list is too long for it */
bool sp_policy_list_make_lookalikes(struct sp_arena *arena, struct sp_policy_list *list);
/* returns: whether the domain (or an address's) looks like one of the list and is not in it */
bool sp_policy_list_resembles(const struct sp_policy_list *list, struct sp_bytes text,
                              int64_t now_ms);

/* returns: an entry of the list that holds now, by address or domain. now_ms 0: dates are not looked at */
bool sp_policy_list_has(const struct sp_policy_list *list, struct sp_bytes text, int64_t now_ms);

#endif
