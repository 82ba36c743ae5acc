/*
 * A decision told step by step. It asks the same questions in the same order as sp_policy_decide and applies rules by
 * the same functions; a test holds the two together over many cases.
 */
#include "policy/trace.h"

#include "policy/policy_priv.h"

const char *sp_trace_result_name(enum sp_trace_result result)
{
    static const char *const names[] = {
        [SP_TRACE_MATCHED] = "matched",
        [SP_TRACE_CONTINUED] = "continued",
        [SP_TRACE_FAILED] = "not-matched",
        [SP_TRACE_UNKNOWN_SKIPPED] = "unknown-skipped",
        [SP_TRACE_UNKNOWN_TAKEN] = "unknown-taken",
        [SP_TRACE_OUT_OF_SCOPE] = "out-of-scope",
        [SP_TRACE_NOT_REACHED] = "not-reached",
    };

    return names[result];
}

static void put_texts(const struct sp_bytes *texts, size_t count, struct sp_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            sp_buf_put_cstr(out, ", ");
        sp_buf_put(out, sp_bytes_slice(texts[i], 0, 200));
    }
    if (count == 0)
        sp_buf_put_cstr(out, "(none)");
}

static void put_known(const struct sp_policy_test *t, const struct sp_facts *f, struct sp_buf *out)
{
    const struct sp_fact_value *v = &f->values[t->fact];
    const char *name = sp_fact_value_name(t->fact, v->number);
    int64_t count = 0;

    switch (sp_fact_rows[t->fact].kind) {
    case SP_KIND_OF_TEXT:
        put_texts(&v->text, 1, out);
        break;
    case SP_KIND_OF_SET:
        put_texts(v->texts, v->count, out);
        break;
    case SP_KIND_OF_NAMED_TEXT:
        for (size_t i = 0; i < f->header_count; i++)
            if (sp_bytes_eq_nocase(f->headers[i].name, t->name))
                put_texts(&f->headers[i].value, 1, out);
        break;
    case SP_KIND_OF_NAMED_NUMBER:
        for (size_t i = 0; i < f->type_count; i++)
            if (sp_bytes_eq_nocase(f->types[i].name, t->name))
                count = t->fact == SP_FACT_PHI_COUNT ? f->types[i].count : f->types[i].distinct;
        sp_buf_put_dec(out, count);
        break;
    case SP_KIND_OF_TRUTH:
        sp_buf_put_cstr(out, v->number ? "true" : "false");
        break;
    default:
        if (name != NULL)
            sp_buf_put_cstr(out, name);
        else
            sp_buf_put_dec(out, v->number);
        break;
    }
}

/* What a fact was, for people. */
static const char *value_text(const struct sp_policy_test *t, const struct sp_facts *f,
                              struct sp_arena *arena)
{
    static const char *const states[] = {
        [SP_FACT_ABSENT] = "(absent)",
        [SP_FACT_UNKNOWN] = "(unknown)",
        [SP_FACT_PENDING] = "(not known yet)",
    };
    const struct sp_fact_value *v = &f->values[t->fact];
    struct sp_buf text;
    const char *kept;

    if (t->fact == SP_FACT_SENDER_GROUP && v->state != SP_FACT_KNOWN)
        v = &f->values[SP_FACT_SENDER_ADDRESS];
    if (v->state != SP_FACT_KNOWN && v->state != SP_FACT_LEAST)
        return states[v->state];
    sp_buf_init(&text, 4096);
    if (t->fact == SP_FACT_SENDER_GROUP && v != &f->values[t->fact])
        put_texts(&v->text, 1, &text);
    else
        put_known(t, f, &text);
    if (v->state == SP_FACT_LEAST)
        sp_buf_put_cstr(&text, ", perhaps more");
    kept = sp_arena_cstr(arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return kept;
}

static const char *fact_text(const struct sp_policy_test *t, struct sp_arena *arena)
{
    struct sp_buf text;
    const char *kept;

    sp_buf_init(&text, 512);
    sp_buf_put_cstr(&text, sp_fact_rows[t->fact].name);
    sp_buf_put(&text, t->name);
    kept = sp_arena_cstr(arena, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    return kept;
}

static enum sp_trace_result ask(const struct sp_policy *p, const struct sp_rule *r,
                                const struct sp_facts *f, struct sp_turn *turn)
{
    enum sp_tri t;

    if (!sp_policy_rule_is_on(r, f))
        return SP_TRACE_OUT_OF_SCOPE;
    t = sp_policy_cond_eval(&r->cond, f, NULL, turn);
    if (t == SP_TRI_FALSE)
        return SP_TRACE_FAILED;
    if (t == SP_TRI_UNKNOWN)
        return sp_policy_rule_takes_unknown(p, r) ? SP_TRACE_UNKNOWN_TAKEN
                                                  : SP_TRACE_UNKNOWN_SKIPPED;
    return r->is_continue ? SP_TRACE_CONTINUED : SP_TRACE_MATCHED;
}

void sp_policy_explain(const struct sp_policy *p, const struct sp_facts *facts,
                       struct sp_decision *out, struct sp_policy_trace *trace)
{
    struct sp_decision_walk walk = {.language = facts->language, .out = out};
    bool decided = false;

    walk.p = p = sp_policy_of_facts(p, facts);
    trace->arena = sp_arena_new(4096);
    trace->steps = sp_arena_alloc(trace->arena, (p->rule_count + 1) * sizeof(*trace->steps));
    trace->count = p->rule_count;
    sp_decision_begin(p, facts, out);
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct sp_rule *r = &p->rules[i];
        struct sp_trace_step *s = &trace->steps[i];
        struct sp_turn turn = {NULL};

        s->layer = r->layer->file;
        s->line = r->line;
        s->section = r->section;
        s->rule = r->name;
        s->result = decided ? SP_TRACE_NOT_REACHED : ask(p, r, facts, &turn);
        if (turn.test != NULL && s->result != SP_TRACE_NOT_REACHED) {
            s->condition = turn.test->source;
            s->fact = fact_text(turn.test, trace->arena);
            s->value = value_text(turn.test, facts, trace->arena);
        }
        if (s->result != SP_TRACE_MATCHED && s->result != SP_TRACE_CONTINUED &&
            s->result != SP_TRACE_UNKNOWN_TAKEN)
            continue;
        decided = sp_decision_take(&walk, r, s->result == SP_TRACE_UNKNOWN_TAKEN);
    }
}

void sp_policy_trace_clear(struct sp_policy_trace *trace)
{
    sp_arena_free(trace->arena);
    memset(trace, 0, sizeof(*trace));
}
