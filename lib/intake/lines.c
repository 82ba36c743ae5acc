/*
 * Lines of more than 998 bytes (RFC 5321 4.5.3.1.6, RFC 5322 2.1.1). Nothing that we could do with them is harmless: cutting
 * them breaks the sender's signature, and a host that cuts them itself may cut before a dot. A sealed copy and the portal
 * take them, since there they are encoded. If no recipient's ladder has such a rung, and the administrator does not let them
 * go as they are, the client hears it at the end of data, while it still has the message.
 */
#include "intake/evidence_priv.h"

#define LINE_LEN_MAX 998

bool sp_intake_has_long_lines(const struct transaction *tx)
{
    return tx->data.line_max > LINE_LEN_MAX;
}

static bool takes_any_line(const struct sp_ladder *ladder)
{
    for (size_t i = 0; i < ladder->count; i++) {
        if (sp_rung_is_crypto(ladder->rungs[i].rung) || ladder->rungs[i].rung == SP_RUNG_PORTAL)
            return true;
    }
    return false;
}

bool sp_intake_lines_must_stay(const struct transaction *tx)
{
    bool any = false;

    if (!sp_intake_has_long_lines(tx) || tx->gen->long_lines)
        return false;
    for (size_t i = 0; i < tx->recipient_count; i++) {
        const struct sp_decision *d = &tx->recipients[i].decision;

        if (d->verb == SP_DO_REJECT)
            continue;
        if (d->ladder == NULL || takes_any_line(d->ladder))
            return false;
        any = true;
    }
    return any;
}
