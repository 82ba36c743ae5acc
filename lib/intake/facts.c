/*
 * From a transaction to facts. Nothing is guessed: what could not be found out is unknown, and the policy treats that as
 * the rules demand; what cannot exist is absent.
 */
#include "intake/intake_priv.h"

void sp_intake_facts_envelope(struct transaction *tx)
{
    struct sp_facts *f = &tx->facts;

    sp_facts_init(f);
    f->now_ms = tx->time_ms;
    sp_facts_set_text(f, SP_FACT_TENANT, sp_bytes_cstr(tx->proof.who->tenant->name));
    sp_facts_set_sender(f, tx->sender);
}

static void set_first_contact(struct transaction *tx, struct sp_facts *f, const struct recipient *r)
{
    const struct sp_intake_parts *parts = &tx->in->parts;
    int is_new = -1;

    if (parts->is_new != NULL)
        is_new = parts->is_new(parts->arg, sp_bytes_cstr(tx->proof.who->tenant->name), r->address);
    if (is_new < 0)
        sp_facts_set_unknown(f, SP_FACT_RECIPIENT_FIRST_CONTACT);
    else
        sp_facts_set_number(f, SP_FACT_RECIPIENT_FIRST_CONTACT, is_new);
}

int sp_intake_wish(const struct sp_intake *in, struct sp_bytes tenant, struct sp_bytes address,
                   struct sp_facts *f)
{
    struct sp_fact_wish wish;
    int known = in->parts.wish == NULL ? 0 : in->parts.wish(in->parts.arg, tenant, address, &wish);

    sp_facts_set_wish(f, known > 0 ? &wish : NULL);
    return known;
}

void sp_intake_facts_recipient(struct transaction *tx, const struct sp_policy *policy,
                               struct sp_facts *f, const struct recipient *r)
{
    const struct sp_intake_parts *parts = &tx->in->parts;
    size_t at = sp_bytes_find(r->address, '@');
    struct sp_address a;

    sp_facts_set_recipient(f, r->address);
    set_first_contact(tx, f, r);
    (void)sp_intake_wish(tx->in, sp_bytes_cstr(tx->proof.who->tenant->name), r->address, f);
    if (parts->remembered == NULL || at == SIZE_MAX || sp_address_parse(r->address, &a) != SP_OK) {
        sp_facts_set_unknown(f, SP_FACT_DOMAIN_REMEMBERED);
    } else {
        sp_facts_set_number(f, SP_FACT_DOMAIN_REMEMBERED, parts->remembered(parts->arg, a.domain));
    }
    sp_policy_fill(policy, f);
}

void sp_intake_facts_header(struct transaction *tx)
{
    struct sp_facts *f = &tx->facts;

    sp_facts_set_number(f, SP_FACT_RECIPIENT_COUNT, (int64_t)tx->recipient_count);
    sp_facts_read_header(f, &tx->header, tx->arena);
    sp_facts_set_number(f, SP_FACT_MESSAGE_SIZE, (int64_t)tx->data.size);
    sp_facts_close_stage(f, SP_STAGE_HEADER);
}

static void set_attachments(struct transaction *tx)
{
    const struct sp_jobs_scan_reply *r = &tx->scan;
    struct sp_bytes *types = sp_arena_alloc(tx->arena, (r->attachment_count + 1) * sizeof(*types));
    struct sp_bytes *names = sp_arena_alloc(tx->arena, (r->attachment_count + 1) * sizeof(*names));
    size_t named = 0;
    bool opaque = false;

    for (size_t i = 0; i < r->attachment_count; i++) {
        types[i] = r->attachments[i].type;
        if (r->attachments[i].name.len > 0)
            names[named++] = r->attachments[i].name;
        opaque = opaque || r->attachments[i].is_opaque;
    }
    sp_facts_set_texts(&tx->facts, SP_FACT_ATTACHMENT_TYPE, types, r->attachment_count);
    sp_facts_set_texts(&tx->facts, SP_FACT_ATTACHMENT_NAME, names, named);
    sp_facts_set_number(&tx->facts, SP_FACT_ATTACHMENT_OPAQUE, opaque);
}

static void set_types(struct transaction *tx)
{
    const struct sp_jobs_scan_reply *r = &tx->scan;
    struct sp_fact_type *types = sp_arena_alloc(tx->arena, (r->type_count + 1) * sizeof(*types));

    for (size_t i = 0; i < r->type_count; i++)
        types[i] = (struct sp_fact_type){r->types[i].name, r->types[i].count, r->types[i].distinct};
    sp_facts_set_types(&tx->facts, types, r->type_count);
}

/* The scanner's numbers and the policy's are two lists of the same names. */
static void set_named(struct sp_facts *f, enum sp_fact fact, const char *name)
{
    int64_t number;

    if (sp_fact_value_parse(fact, sp_bytes_cstr(name), &number))
        sp_facts_set_number(f, fact, number);
    else
        sp_facts_set_unknown(f, fact);
}

void sp_intake_facts_content(struct transaction *tx)
{
    static const enum sp_fact unseen[] = {SP_FACT_MESSAGE_SEALED, SP_FACT_ATTACHMENT_TYPE,
                                          SP_FACT_ATTACHMENT_NAME, SP_FACT_ATTACHMENT_OPAQUE};
    struct sp_facts *f = &tx->facts;
    const struct sp_jobs_scan_reply *r = &tx->scan;

    if (!tx->scanned) {
        sp_facts_close_stage(f, SP_STAGE_CONTENT);
        return;
    }
    if (tx->scan_why != SP_OK || r->state == SP_JOBS_SCAN_FAILED) {
        for (size_t i = 0; i < SP_ARRAY_LEN(unseen); i++)
            sp_facts_set_unknown(f, unseen[i]);
        sp_facts_set_scan(f, SP_SCAN_CRASHED);
        return;
    }
    set_named(f, SP_FACT_MESSAGE_SEALED, sp_jobs_sealed_name(r->sealed));
    set_named(f, SP_FACT_PHI_CLASS, sp_jobs_phi_class_name(r->phi_class));
    sp_facts_set_number(f, SP_FACT_PHI_SCORE, r->score);
    sp_facts_set_texts(f, SP_FACT_PHI_SPECIAL, r->special, r->special_count);
    set_attachments(tx);
    set_types(tx);
    sp_facts_set_scan(f, r->state == SP_JOBS_SCAN_COMPLETE ? SP_SCAN_COMPLETE : SP_SCAN_PARTIAL);
    sp_facts_close_stage(f, SP_STAGE_CONTENT);
}
