/*
 * A message whose body can't be read back as it was accepted: a flipped byte, a torn file, a key that does not open. No
 * attempt can mend that, and a DSN would tell the sender of a fault that a person here may still mend from a backup. So
 * its recipients are held, with the reason on record; whoever releases them has it tried again. Another role's word is
 * no proof: the body is read here once more. A read that fails for the moment (SP_E_IO) is no damage.
 */
#include "delivery/delivery_priv.h"

static bool is_damage(enum sp_rc rc)
{
    return rc == SP_E_CONTENT_DAMAGED || rc == SP_E_CONTENT_TRUNCATED || rc == SP_E_CRYPT_AUTH ||
           rc == SP_E_JOURNAL_DAMAGED;
}

/* Reads the body from end to end. */
static enum sp_rc read_body(struct sp_attempt *a)
{
    SP_AUTO(sp_content_reader) reader = NULL;
    struct sp_bytes part;
    uint64_t at = 0;
    enum sp_rc rc = sp_parcel_body(a->d, a->p);

    if (rc != SP_OK)
        return rc;
    reader = sp_content_reader_new(&a->p->body);
    while (rc == SP_OK && at < a->p->body.len) {
        rc = sp_content_view(reader, at, &part);
        if (rc == SP_OK && part.len == 0)
            rc = SP_E_CONTENT_TRUNCATED;
        at += rc == SP_OK ? part.len : 0;
    }
    return rc;
}

bool sp_attempt_is_damaged(struct sp_attempt *a, enum sp_rc rc)
{
    struct sp_next next = {.step = SP_STEP_HOLD, .why = SP_E_CONTENT_DAMAGED};

    if (!is_damage(rc) || !is_damage(read_body(a)))
        return false;
    sp_log_error(a->d->parts.log, "queue.quarantined", SP_ID("message", &a->p->m->accept.id),
                 SP_RC("why", rc));
    sp_attempt_settle_end(a, &next);
    return true;
}

/*
 * Hosts were asked as far as was needed for that rung: one that would have done for it was the last, or the only one. Another
 * rung is for all of them to show.
 */
void sp_attempt_rung_failed(struct sp_attempt *a, enum sp_rc rc)
{
    struct sp_next next;

    if (sp_attempt_is_damaged(a, rc))
        return;
    sp_outcome_rung_failed(&a->s, a->taken, rc);
    sp_outcome_next(&a->s, &next);
    if (a->no_more == SP_OK && (next.step != SP_STEP_WAIT || next.index != a->taken))
        sp_outcome_forget_hops(&a->s);
    sp_attempt_step(a);
}
