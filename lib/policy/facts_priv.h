/*
 * The table of facts: what compiler, evaluator and messages know of each.
 */
#ifndef SP_POLICY_FACTS_PRIV_H
#define SP_POLICY_FACTS_PRIV_H

#include "policy/facts.h"

enum sp_fact_kind {
    SP_KIND_OF_TEXT,
    SP_KIND_OF_NUMBER,
    SP_KIND_OF_TRUTH,
    SP_KIND_OF_CLOSED,       /* one of a list of names */
    SP_KIND_OF_SET,          /* texts */
    SP_KIND_OF_NAMED_TEXT,   /* header.NAME */
    SP_KIND_OF_NAMED_NUMBER, /* phi.count.NAME */
};

struct sp_fact_row {
    const char *name;
    enum sp_fact_kind kind;
    enum sp_stage stage;
    bool ordered;              /* of a closed list: at_least and below make sense */
    const char *const *values; /* of a closed list, NULL-terminated */
    int64_t first;             /* number of the first value */
};

extern const struct sp_fact_row sp_fact_rows[SP_FACT_COUNT];

/*
 * Finds a fact by its name in a rule.
 *
 * rest:    what follows the dot of an open name (header.NAME), else empty
 * returns: false if there is none of that name
 */
bool sp_fact_find(struct sp_bytes name, enum sp_fact *fact, struct sp_bytes *rest);

#endif
