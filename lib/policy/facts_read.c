/*
 * The facts of a decision, from the record that is kept of them: what was recorded is all there was. A recipient's own facts
 * are left open, for who decides again for the same one or another. What the policy of then did not ask for is unknown now,
 * not absent. What a scan that was cut had found counts as it did then (SP_POLICY_LANGUAGE).
 */
#include "policy/facts_read.h"

#include "policy/facts.h"

static bool is_recipient(enum sp_fact fact)
{
    return fact == SP_FACT_RECIPIENT_ADDRESS || fact == SP_FACT_RECIPIENT_DOMAIN ||
           fact == SP_FACT_RECIPIENT_PREFERENCE || fact == SP_FACT_RECIPIENT_PREFERENCE_BY ||
           fact == SP_FACT_RECIPIENT_FIRST_CONTACT || fact == SP_FACT_DOMAIN_REMEMBERED;
}

static void set_texts(struct sp_facts *f, enum sp_fact fact, const struct sp_json *m,
                      struct sp_arena *arena)
{
    size_t n = 0;
    struct sp_bytes *texts = sp_arena_alloc(arena, (m->count + 1) * sizeof(*texts));

    for (const struct sp_json *i = m->first; i != NULL; i = i->next)
        texts[n++] = sp_arena_copy(arena, i->text);
    sp_facts_set_texts(f, fact, texts, n);
}

/* What can't be read any more is unknown. */
static void set_fact(struct sp_facts *f, enum sp_fact fact, const struct sp_json *m,
                     struct sp_arena *arena)
{
    bool is_number = m->type == SP_JSON_INT || m->type == SP_JSON_BOOL;
    int64_t n = m->integer;

    if (sp_fact_is_closed(fact))
        is_number = m->type == SP_JSON_TEXT && sp_fact_value_parse(fact, m->text, &n);
    if (sp_fact_is_set(fact) && m->type == SP_JSON_ARRAY)
        set_texts(f, fact, m, arena);
    else if (!sp_fact_is_set(fact) && sp_fact_is_text(fact) && m->type == SP_JSON_TEXT)
        sp_facts_set_text(f, fact, sp_arena_copy(arena, m->text));
    else if (!sp_fact_is_set(fact) && !sp_fact_is_text(fact) && is_number)
        sp_facts_set_number(f, fact, n);
    else
        sp_facts_set_unknown(f, fact);
}

void sp_facts_read_unknown(const struct sp_json *names, struct sp_facts *out)
{
    for (const struct sp_json *n = names == NULL ? NULL : names->first; n != NULL; n = n->next)
        for (size_t i = 0; i < SP_FACT_COUNT; i++)
            if (sp_bytes_eq(n->text, sp_bytes_cstr(sp_fact_name((enum sp_fact)i))))
                sp_facts_set_unknown(out, (enum sp_fact)i);
}

static void set_types(struct sp_facts *f, const struct sp_json *types, struct sp_arena *arena)
{
    size_t n = 0;
    struct sp_fact_type *list =
        sp_arena_alloc(arena, ((types == NULL ? 0 : types->count) + 1) * sizeof(*list));

    for (const struct sp_json *t = types == NULL ? NULL : types->first; t != NULL; t = t->next)
        list[n++] =
            (struct sp_fact_type){sp_arena_copy(arena, t->key), sp_json_int_of(t, "count", 0),
                                  sp_json_int_of(t, "distinct", 0)};
    sp_facts_set_types(f, list, n);
}

static void set_headers(struct sp_facts *f, const struct sp_json *header, struct sp_arena *arena)
{
    struct sp_fact_header *list;
    size_t n = 0;

    if (header == NULL) { /* the policy of then asked for none: what they were is not known now */
        sp_facts_set_unknown(f, SP_FACT_HEADER);
        return;
    }
    list = sp_arena_alloc(arena, (header->count + 1) * sizeof(*list));
    for (const struct sp_json *h = header->first; h != NULL; h = h->next)
        if (h->count == 2)
            list[n++] = (struct sp_fact_header){sp_arena_copy(arena, h->first->text),
                                                sp_arena_copy(arena, h->first->next->text)};
    f->headers = list;
    f->header_count = n;
    f->values[SP_FACT_HEADER].state = SP_FACT_KNOWN;
}

/* What was found before a scan was cut: by the language of then. */
static void set_scan(struct sp_facts *f)
{
    const struct sp_fact_value *scan = &f->values[SP_FACT_SCAN];

    if (scan->state == SP_FACT_KNOWN)
        sp_facts_set_scan(f, (enum sp_scan)scan->number);
}

void sp_facts_read_record(const struct sp_json *record, struct sp_arena *arena,
                          struct sp_facts *out)
{
    sp_facts_init(out);
    out->language = (unsigned)sp_json_int_of(record, "language", 1);
    out->now_ms = sp_json_int_of(record, "time_ms", 0);
    for (size_t i = 0; i < SP_FACT_COUNT; i++) {
        const struct sp_json *m = sp_json_find(record, sp_fact_name((enum sp_fact)i));

        if (m != NULL && !is_recipient((enum sp_fact)i))
            set_fact(out, (enum sp_fact)i, m, arena);
    }
    set_types(out, sp_json_find(record, "types"), arena);
    set_headers(out, sp_json_find(record, "header"), arena);
    sp_facts_read_unknown(sp_json_find(record, "unknown"), out);
    set_scan(out);
    for (size_t i = 0; i < SP_FACT_COUNT; i++)
        if (out->values[i].state == SP_FACT_PENDING && !is_recipient((enum sp_fact)i))
            sp_facts_set_absent(out, (enum sp_fact)i);
}

enum sp_rc sp_facts_read(struct sp_bytes text, struct sp_arena *arena, struct sp_facts *out)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    enum sp_rc rc = sp_json_parse(text, NULL, &doc, NULL);

    if (rc == SP_OK)
        sp_facts_read_record(sp_json_root(doc), arena, out);
    return rc;
}
