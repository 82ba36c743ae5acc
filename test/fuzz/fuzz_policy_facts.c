/*
 * Any facts against the shipped policies: the first byte chooses one, then each fact is set to what the input says, left
 * out, unknown, or pending. Deciding is a function: the same facts in other memory give the same decision, and its
 * explanation says the same. No floor lies below the settings' without a reason, or below its ladder's. What is certain at RCPT stays so whatever the message holds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/reader.h"
#include "policy/policy.h"
#include "policy/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define TEXTS_MAX 4

static const char *const names[] = {"hipaa-default", "opt-in", "partner-network", "small-clinic",
                                    "strict"};
static struct sp_policy *policies[SP_ARRAY_LEN(names)];

/* What rules ask about, so that they match now and then. */
static const char *const words[] = {"",
                                    "dr@clinic.example",
                                    "clinic.example",
                                    "a@gmail.com",
                                    "gmail.com",
                                    "secure",
                                    "[secure]",
                                    "encrypt",
                                    "Confidential",
                                    "application/pdf",
                                    "part2",
                                    "hiv",
                                    "X-Sallyport-Route",
                                    "postmaster@clinic.example"};

static enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    struct sp_buf *texts = ctx;
    struct sp_buf path;
    FILE *file;
    size_t from = texts->len;

    sp_buf_init(&path, 4096);
    sp_buf_printf(&path, "%s/%s", SP_SOURCE_DIR, name);
    sp_buf_put_u8(&path, 0);
    file = fopen((const char *)path.ptr, "re");
    sp_buf_clear(&path);
    if (file == NULL)
        return SP_E_NOT_FOUND;
    while (!feof(file)) {
        uint8_t *room = sp_buf_reserve(texts, 4096);

        sp_assert(room != NULL);
        sp_buf_commit(texts, fread(room, 1, 4096, file));
    }
    (void)fclose(file);
    *out = sp_bytes_slice(sp_buf_bytes(texts), from, SIZE_MAX);
    return SP_OK;
}

static void load_all(void)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        SP_AUTO(sp_problems) problems = sp_problems_new();
        struct sp_buf texts;
        struct sp_policy_reader reader = {.read = read_file, .ctx = &texts};
        char path[100];

        sp_buf_init(&texts, 1 << 20);
        (void)sp_buf_reserve(&texts, 1 << 20); /* does not move: the texts are lent */
        snprintf(path, sizeof(path), "policies/%s.json", names[i]);
        sp_assert(sp_policy_load(&reader, path, problems, &policies[i]) == SP_OK);
        sp_buf_clear(&texts);
    }
}

struct given {
    struct sp_facts facts;
    struct sp_bytes texts[SP_FACT_COUNT][TEXTS_MAX];
    struct sp_fact_header headers[TEXTS_MAX];
    struct sp_fact_type types[TEXTS_MAX];
};

static struct sp_bytes read_text(struct sp_reader *in)
{
    uint8_t how = sp_reader_u8(in);

    if (how < SP_ARRAY_LEN(words))
        return sp_bytes_cstr(words[how]);
    how = (uint8_t)(how % 48);
    return sp_reader_take(in, how < sp_reader_left(in) ? how : sp_reader_left(in));
}

static void read_open(struct given *g, enum sp_fact fact, struct sp_reader *in)
{
    size_t count = sp_reader_u8(in) % (TEXTS_MAX + 1);

    for (size_t i = 0; i < count; i++) {
        if (fact == SP_FACT_HEADER)
            g->headers[i] = (struct sp_fact_header){read_text(in), read_text(in)};
        else
            g->types[i] = (struct sp_fact_type){read_text(in), sp_reader_u8(in), sp_reader_u8(in)};
    }
    if (fact == SP_FACT_HEADER)
        sp_facts_set_headers(&g->facts, g->headers, count);
    else
        sp_facts_set_types(&g->facts, g->types, count);
}

static void read_closed(struct sp_facts *f, enum sp_fact fact, uint8_t number)
{
    int64_t value = (int64_t)(number % 10) - 1;

    if (sp_fact_value_name(fact, value) != NULL)
        sp_facts_set_number(f, fact, value);
}

static void read_value(struct given *g, enum sp_fact fact, struct sp_reader *in)
{
    struct sp_facts *f = &g->facts;
    size_t count;

    if (fact == SP_FACT_HEADER || fact == SP_FACT_PHI_COUNT || fact == SP_FACT_PHI_DISTINCT) {
        read_open(g, fact, in);
    } else if (fact == SP_FACT_SCAN) {
        sp_facts_set_scan(f, (enum sp_scan)(sp_reader_u8(in) % 3));
    } else if (sp_fact_is_closed(fact)) {
        read_closed(f, fact, sp_reader_u8(in));
    } else if (fact == SP_FACT_SENDER_ADDRESS) {
        sp_facts_set_sender(f, read_text(in));
    } else if (fact == SP_FACT_RECIPIENT_ADDRESS) {
        sp_facts_set_recipient(f, read_text(in));
    } else if (sp_fact_is_text(fact)) {
        sp_facts_set_text(f, fact, read_text(in));
    } else if (sp_fact_is_set(fact)) {
        count = sp_reader_u8(in) % (TEXTS_MAX + 1);
        for (size_t i = 0; i < count; i++)
            g->texts[fact][i] = read_text(in);
        sp_facts_set_texts(f, fact, g->texts[fact], count);
    } else {
        sp_facts_set_number(f, fact, (int8_t)sp_reader_u8(in));
    }
}

static void read_facts(struct given *g, struct sp_reader *in)
{
    sp_facts_init(&g->facts);
    for (int fact = 0; fact < SP_FACT_COUNT; fact++) {
        uint8_t state = sp_reader_u8(in);

        if (state % 4 == SP_FACT_KNOWN)
            read_value(g, (enum sp_fact)fact, in);
        else if (state % 4 == SP_FACT_ABSENT)
            sp_facts_set_absent(&g->facts, (enum sp_fact)fact);
        else if (state % 4 == SP_FACT_UNKNOWN)
            sp_facts_set_unknown(&g->facts, (enum sp_fact)fact);
    }
}

static bool is_same(const struct sp_decision *a, const struct sp_decision *b)
{
    return a->verb == b->verb && a->floor == b->floor && a->ladder == b->ladder &&
           strcmp(a->rule, b->rule) == 0 && a->whole_message == b->whole_message &&
           a->is_sealed == b->is_sealed && a->is_closed == b->is_closed &&
           (a->lowers == NULL) == (b->lowers == NULL) && a->hold.kind == b->hold.kind &&
           a->tags.count == b->tags.count && a->raised_by.count == b->raised_by.count &&
           a->continued.count == b->continued.count && a->copies.count == b->copies.count &&
           a->expire_ms == b->expire_ms && strcmp(a->route, b->route) == 0 &&
           strcmp(a->redirect, b->redirect) == 0 && a->notify == b->notify;
}

static void check(const struct sp_policy *p, const struct sp_facts *f, struct sp_decision *d)
{
    const struct sp_policy *mine =
        sp_policy_for(p, f->values[SP_FACT_TENANT].text, f->values[SP_FACT_SENDER_ADDRESS].text);
    struct sp_facts *moved = sp_malloc(sizeof(*moved));
    struct sp_decision again, told;
    struct sp_policy_trace trace;

    memset(d, 0x55, sizeof(*d)); /* all of it is set */
    sp_policy_decide(p, f, d);
    *moved = *f;
    sp_policy_decide(p, moved, &again);
    sp_assert(is_same(d, &again));
    sp_policy_explain(p, moved, &told, &trace);
    sp_assert(is_same(d, &told));
    sp_policy_trace_clear(&trace);
    sp_free(moved);
    sp_assert(d->ladder == NULL || d->floor >= d->ladder->floor);
    sp_assert(d->ladder == NULL || mine == NULL || d->floor >= sp_policy_floor(mine) ||
              d->lowers != NULL);
    sp_assert((d->verb == SP_DO_PROTECT) <= (d->ladder != NULL));
}

/* All that comes after RCPT is pending. */
static void check_certain(const struct sp_policy *p, const struct sp_facts *f,
                          const struct sp_decision *d)
{
    struct sp_facts early = *f;
    struct sp_decision certain;

    for (int fact = 0; fact < SP_FACT_COUNT; fact++)
        if (sp_fact_stage((enum sp_fact)fact) != SP_STAGE_ENVELOPE)
            early.values[fact] = (struct sp_fact_value){.state = SP_FACT_PENDING};
    if (sp_policy_decide_envelope(p, &early, &certain))
        sp_assert(certain.verb == d->verb && strcmp(certain.rule, d->rule) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_reader in = sp_reader(sp_bytes(data, len));
    const struct sp_policy *p;
    struct given *g;
    struct sp_decision d;

    if (policies[0] == NULL)
        load_all();
    g = sp_calloc(1, sizeof(*g));
    p = policies[sp_reader_u8(&in) % SP_ARRAY_LEN(policies)];
    g->facts.now_ms = 0;
    read_facts(g, &in);
    check(p, &g->facts, &d);
    check_certain(p, &g->facts, &d);
    sp_free(g);
    return 0;
}
