/*
 * Lines of more than 998 bytes (RFC 5321 4.5.3.1.6, RFC 5322 2.1.1). Nothing that we could do with them is harmless: cutting
 * them breaks the sender's signature, and a host that cuts them itself may cut before a dot. A sealed copy and the portal
 * take them, since there they are encoded; the header outside of a sealed copy is folded, and where a word of it can't be, no
 * sealed copy is made. If no recipient's ladder has such a rung, and the administrator does not let them
 * go as they are, the client hears it at the end of data, while it still has the message.
 */
#include "intake/evidence_priv.h"

bool sp_intake_has_long_lines(const struct transaction *tx)
{
    return tx->data.line_max > SP_LINE_LEN_MAX;
}

/* What goes inside a sealed copy is encoded there: the Content- fields. */
bool sp_intake_has_long_word(const struct transaction *tx)
{
    struct sp_field f;

    if (!sp_intake_has_long_lines(tx))
        return false;
    for (size_t at = 0; sp_header_next(&tx->header, &at, &f);)
        if (!sp_field_is_content(&f) && !sp_header_fold(f.raw, NULL))
            return true;
    return false;
}

static bool takes_any_line(const struct sp_ladder *ladder, bool has_long_word)
{
    for (size_t i = 0; i < ladder->count; i++) {
        if ((sp_rung_is_crypto(ladder->rungs[i].rung) && !has_long_word) ||
            ladder->rungs[i].rung == SP_RUNG_PORTAL)
            return true;
    }
    return false;
}

bool sp_intake_lines_must_stay(const struct transaction *tx)
{
    bool has_long_word = sp_intake_has_long_word(tx);
    bool any = false;

    if (!sp_intake_has_long_lines(tx) || tx->gen->long_lines)
        return false;
    for (size_t i = 0; i < tx->recipient_count; i++) {
        const struct sp_decision *d = &tx->recipients[i].decision;

        if (d->verb == SP_DO_REJECT)
            continue;
        if (d->ladder == NULL || takes_any_line(d->ladder, has_long_word))
            return false;
        any = true;
    }
    return any;
}
