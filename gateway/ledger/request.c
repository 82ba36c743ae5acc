/*
 * Who is not answered asks again, and what he asked for may have been done meanwhile: a ledger that is busy finds the same act
 * waiting several times. So each act of cli-policy bears an id, and one that was done a moment ago is not put on record again.
 * The ids are forgotten when this process ends: of an act whose answer was lost by that there may be two records, with one id.
 */
#include "gateway/ledger/ledger.h"

static bool read_id(const struct ledger_question *q, struct sp_id *id)
{
    return sp_id_parse(sp_json_text_of(q->ask, "request"), id);
}

bool ledger_request_is_done(const struct ledger *l, const struct ledger_question *q)
{
    struct sp_id id;

    if (!read_id(q, &id))
        return false;
    for (size_t i = 0; i < l->request_count && i < LEDGER_REQUESTS; i++)
        if (memcmp(l->requests[i].b, id.b, sizeof(id.b)) == 0)
            return true;
    return false;
}

void ledger_request_done(struct ledger *l, const struct ledger_question *q)
{
    struct sp_id id;

    if (read_id(q, &id))
        l->requests[l->request_count++ % LEDGER_REQUESTS] = id;
}

void ledger_request_put(const struct ledger_question *q, struct sp_jw *w)
{
    struct sp_id id;

    if (read_id(q, &id))
        sp_jw_id(w, "request", id.b);
}
