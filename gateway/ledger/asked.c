/*
 * Questions that the worker is at. Its threads end with the ledger, but what they have done is told on the loop, later: by
 * then the ledger may be gone, with its books and with the jobs that asked. So the ledger, when it goes, takes leave of all.
 */
#include "gateway/ledger/ledger.h"

void ledger_asked_begin(struct ledger *l, struct ledger_asked *a)
{
    a->l = l;
    sp_list_init(&a->link);
    sp_list_append(&l->asked, &a->link);
}

bool ledger_asked_end(struct ledger_asked *a)
{
    if (a->l == NULL)
        return false;
    sp_list_remove(&a->link);
    return true;
}

void ledger_asked_leave(struct ledger *l)
{
    SP_LIST_EACH(node, &l->asked)
    {
        struct ledger_asked *a = SP_CONTAINER(node, struct ledger_asked, link);

        sp_list_remove(&a->link);
        a->l = NULL;
    }
}
