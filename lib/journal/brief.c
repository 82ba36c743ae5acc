/*
 * A record cut to what a restart needs: who, to whom, how it stands and when it is due. What is left out (the audit's
 * events, facts, trace fields, reasons) is most of it, and is read from the record itself when a message is loaded. The
 * result is a record of the same type and layout, so the fold that reads it is the same.
 */
#include "journal/footer_priv.h"

static void cut_accept(struct sp_accept *a)
{
    const struct sp_bytes none = sp_bytes(NULL, 0);

    a->envid = a->message_id = a->network_message_id = none;
    a->policy = a->phi = a->trace = a->facts = none;
    a->audit = (struct sp_audit_list){NULL, 0};
    for (size_t i = 0; i < a->decision_count; i++)
        a->decisions[i].text = none;
    for (size_t i = 0; i < a->recipient_count; i++)
        a->recipients[i].orcpt = none;
}

static const struct sp_accept *cut_child(const struct sp_accept *child, struct sp_accept *room)
{
    if (child == NULL)
        return NULL;
    *room = *child;
    cut_accept(room);
    return room;
}

static enum sp_rc brief_accept(struct sp_bytes meta, struct sp_arena *arena, struct sp_buf *out)
{
    struct sp_accept a;
    struct sp_accept child;
    enum sp_rc rc = sp_accept_decode(meta, arena, &a);

    if (rc != SP_OK)
        return rc;
    cut_accept(&a);
    a.child = cut_child(a.child, &child);
    return sp_accept_encode(&a, out);
}

static enum sp_rc brief_outcome(struct sp_bytes meta, struct sp_arena *arena, struct sp_buf *out)
{
    struct sp_outcome o;
    struct sp_accept child;
    enum sp_rc rc = sp_outcome_decode(meta, arena, &o);

    if (rc != SP_OK)
        return rc;
    o.audit = (struct sp_audit_list){NULL, 0};
    o.child = cut_child(o.child, &child);
    return sp_outcome_encode(&o, out);
}

/* The reason of a hold tells a person's from one for damage. */
static enum sp_rc brief_act(uint8_t type, struct sp_bytes meta, struct sp_arena *arena,
                            struct sp_buf *out)
{
    struct sp_act act;
    enum sp_rc rc = sp_act_decode(meta, arena, &act);

    if (rc != SP_OK)
        return rc;
    act.audit = (struct sp_audit_list){NULL, 0};
    if (type != SP_RECORD_HOLD)
        act.reason = sp_bytes(NULL, 0);
    return sp_act_encode(&act, out);
}

static enum sp_rc brief_carry(struct sp_bytes meta, struct sp_arena *arena, struct sp_buf *out)
{
    struct sp_carry c;
    enum sp_rc rc = sp_carry_decode(meta, arena, &c);

    if (rc != SP_OK)
        return rc;
    cut_accept(&c.accept);
    return sp_carry_encode(&c, out);
}

enum sp_rc sp_record_brief(uint8_t type, struct sp_bytes meta, struct sp_arena *arena,
                           struct sp_buf *out)
{
    switch (type) {
    case SP_RECORD_ACCEPT:
        return brief_accept(meta, arena, out);
    case SP_RECORD_OUTCOME:
        return brief_outcome(meta, arena, out);
    case SP_RECORD_CARRY:
        return brief_carry(meta, arena, out);
    case SP_RECORD_HOLD:
    case SP_RECORD_RELEASE:
    case SP_RECORD_RETRY:
    case SP_RECORD_DELETE:
        return brief_act(type, meta, arena, out);
    case SP_RECORD_ACT:
        return SP_E_NOT_FOUND;
    default: /* DESTROYED: how many events it holds counts; one of a later version: whole */
        sp_buf_put(out, meta);
        return sp_buf_rc(out);
    }
}
