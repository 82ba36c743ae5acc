/*
 * A decision with its reasons, for `sallyport explain`: every rule in the order of asking, whether it matched, and on
 * which condition and value it turned. thread: any
 */
#ifndef SP_POLICY_TRACE_H
#define SP_POLICY_TRACE_H

#include "base/buf.h"
#include "policy/policy.h"

enum sp_trace_result {
    SP_TRACE_MATCHED,   /* and decided */
    SP_TRACE_CONTINUED, /* matched, and the next rule was asked */
    SP_TRACE_FAILED,    /* a condition did not hold */
    SP_TRACE_UNKNOWN_SKIPPED, /* unknown, and a rule that protects no better than the default: not taken */
    SP_TRACE_UNKNOWN_TAKEN, /* unknown, and therefore taken */
    SP_TRACE_OUT_OF_SCOPE,  /* its layer is for other senders, or outside its dates */
    SP_TRACE_NOT_REACHED,   /* an earlier rule had decided */
};

struct sp_trace_step {
    const char *layer; /* file that it stands in */
    uint32_t line;
    const char *section; /* "guards", "rules" or "default" */
    const char *rule;
    enum sp_trace_result result;
    const char *condition; /* JSON text of the condition that turned it, NULL if none */
    const char *fact;      /* name of the fact that it asked, NULL if none */
    const char *value;     /* what the fact was, as text for people; NULL if none */
};

struct sp_policy_trace {
    struct sp_trace_step *steps; /* count of them; owner: the trace */
    size_t count;
    struct sp_arena *arena;
};

/* Decides as sp_policy_decide does and writes down why. owner: the caller, to sp_policy_trace_clear. cost: allocates */
void sp_policy_explain(const struct sp_policy *p, const struct sp_facts *facts,
                       struct sp_decision *out, struct sp_policy_trace *trace);
void sp_policy_trace_clear(struct sp_policy_trace *trace);

/* returns: "matched", "continued", ... static */
const char *sp_trace_result_name(enum sp_trace_result result);

#endif
