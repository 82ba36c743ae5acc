/*
 * queue.list: a page of the relay's messages in the order of their ids, from all its shards. Each shard writes its own
 * page; then they are merged. Where a shard has more than it could tell, the merged page ends at the last id that it told or, if
 * it looked through many that were not for who asks, looked at, so that what others told beyond it is asked for again with the next
 * page and nothing is skipped. A page may be empty and yet not the last.
 *
 *     {"command": "queue.list", "state": "held", "sender": T, "recipient": T, "tenant": T, "rule": R, "after": ID,
 *      "limit": N, "site": DOMAIN, "host": NAME}          -> {"messages": [...], "next": ID or null}
 */
#include <stdlib.h>

#include "gateway/relay/command.h"

#include "queue/list.h"

#define PAGE_BYTES    ((size_t)2 << 20) /* a page ends when it is so long */
#define PAGE_MESSAGES 1000

struct item {
    struct sp_id id;
    size_t at; /* in page.json */
    size_t len;
};

struct page {
    const struct relay_question *q;
    struct relay *shard;  /* that is being asked */
    struct sp_map *where; /* its destinations that are meant; NULL: all */
    struct sp_buf json;   /* objects, one behind the other */
    struct item *items;
    size_t count;
    size_t cap;
    size_t from;       /* first item of the shard that is being asked */
    size_t from_bytes; /* and where its text begins */
    size_t limit;
    bool is_full; /* of that shard: a message did not fit */
};

/* returns: whether it may be told to who asks, who learns nothing of recipients that are not his, from a filter neither */
static bool is_told(const struct page *page, const struct sp_queue_message *m)
{
    struct sp_bytes recipient = sp_json_text_of(page->q->ask, "recipient");
    struct sp_bytes rule = sp_json_text_of(page->q->ask, "rule");
    bool is_recipient = false, is_rule = false, is_there = page->where == NULL;

    if (sp_json_find(page->q->ask, "approver_of") == NULL)
        return true; /* the queue has asked */
    for (size_t n = 0; n < m->accept.recipient_count; n++) {
        const struct sp_accept_recipient *to = &m->accept.recipients[n];

        if (!relay_is_for(page->q, m, n))
            continue;
        is_recipient = is_recipient || sp_bytes_has_nocase(to->address, recipient);
        is_rule =
            is_rule || rule.len == 0 || sp_bytes_eq(m->accept.decisions[to->decision].rule, rule);
        is_there = is_there ||
                   sp_map_find(page->where,
                               sp_queue_destination(page->shard->queue, &m->accept.id, n)) != NULL;
    }
    return is_recipient && is_rule && is_there;
}

static void on_message(void *arg, const struct sp_queue_message *m)
{
    struct page *page = arg;
    struct item *item;
    struct sp_jw w;

    if (!is_told(page, m))
        return;
    if (page->count - page->from >= page->limit || page->json.len - page->from_bytes > PAGE_BYTES) {
        page->is_full = true;
        return;
    }
    if (page->count == page->cap) {
        page->cap = page->cap == 0 ? 64 : page->cap * 2;
        page->items = sp_realloc(page->items, page->cap * sizeof(*page->items));
    }
    item = &page->items[page->count++];
    *item = (struct item){.id = m->accept.id, .at = page->json.len};
    sp_jw_init(&w, &page->json);
    relay_put_message(page->shard, page->q, m, NULL, &w);
    item->len = page->json.len - item->at;
}

int relay_find_state(struct sp_bytes name)
{
    for (int i = 0; i < SP_RCPT_STATE_COUNT; i++) {
        if (sp_bytes_eq(name, sp_bytes_cstr(sp_rcpt_state_name((uint8_t)i))))
            return i;
    }
    return -1;
}

static bool read_query(const struct relay_question *q, struct sp_queue_query *query)
{
    struct sp_bytes state = sp_json_text_of(q->ask, "state");
    struct sp_bytes after = sp_json_text_of(q->ask, "after");

    query->quarantined_only = sp_bytes_eq(state, SP_LIT("quarantined"));
    query->state = state.len == 0 || query->quarantined_only ? -1 : relay_find_state(state);
    if (state.len == 0 && sp_json_find(q->ask, "approver_of") != NULL)
        query->state = SP_RCPT_HELD; /* the index tells these, no record of others is read */
    query->sender = sp_json_text_of(q->ask, "sender");
    query->tenant = sp_json_text_of(q->ask, "tenant");
    if (sp_json_find(q->ask, "approver_of") == NULL) {
        query->recipient = sp_json_text_of(q->ask, "recipient");
        query->rule = sp_json_text_of(q->ask, "rule");
    }
    query->limit = (size_t)sp_json_int_of(q->ask, "limit", PAGE_MESSAGES - 1) + 1;
    if (sp_json_find(q->ask, "approver_of") != NULL)
        query->limit = PAGE_MESSAGES; /* most may be for others */
    if (state.len > 0 && query->state < 0 && !query->quarantined_only)
        return false;
    return after.len == 0 || sp_id_parse(after, &query->after);
}

/*
 * One shard's page, of one look over its index and a thousand records: the loop has other work, and who asks can ask on. end: out: where
 * it ends, if there is more. returns: whether there is
 */
static bool list_shard(struct relay *r, const struct sp_queue_query *all, struct page *page,
                       struct sp_id *end)
{
    struct sp_queue_query query = *all;
    bool more;

    page->shard = r;
    page->where = relay_where(r, page->q->ask);
    if (sp_json_find(page->q->ask, "approver_of") == NULL)
        query.destinations = page->where;
    page->from = page->count;
    page->from_bytes = page->json.len;
    page->is_full = false;
    more = sp_queue_list(r->queue, &query, end);
    if (page->is_full || page->count - page->from >= page->limit)
        *end = page->items[page->count - 1].id; /* what was looked at behind it was not told */
    sp_map_free(page->where);
    return more || page->is_full;
}

static int compare(const void *a, const void *b)
{
    return memcmp(((const struct item *)a)->id.b, ((const struct item *)b)->id.b, SP_ID_LEN);
}

/* All shards' pages, sorted. end: out: where the page ends. returns: whether there is more behind it */
static bool gather(struct relay *r, const struct sp_queue_query *query, struct page *page,
                   struct sp_id *end)
{
    bool more = false;

    for (struct relay *x = r; x != NULL; x = x->left) {
        struct sp_id last;

        if (!list_shard(x, query, page, &last))
            continue;
        if (!more || memcmp(last.b, end->b, SP_ID_LEN) < 0)
            *end = last;
        more = true;
    }
    if (page->count > 1)
        qsort(page->items, page->count, sizeof(*page->items), compare);
    return more;
}

static void reply_page(const struct relay_question *q, const struct page *page, bool more,
                       const struct sp_id *end)
{
    struct sp_bytes text = sp_buf_bytes(&page->json);
    const struct sp_id *last = more ? end : NULL;
    struct sp_buf json;
    struct sp_jw w;

    sp_buf_init(&json, RELAY_REPLY_MAX);
    sp_jw_init(&w, &json);
    sp_jw_object(&w, NULL);
    sp_jw_array(&w, "messages");
    for (size_t i = 0; i < page->count; i++) {
        const struct item *item = &page->items[i];

        if (more && memcmp(item->id.b, end->b, SP_ID_LEN) > 0)
            break;
        if (i >= page->limit || (i > 0 && json.len + item->len > PAGE_BYTES)) {
            last = &page->items[i - 1].id; /* one is told always */
            break;
        }
        sp_jw_raw(&w, NULL, sp_bytes_slice(text, item->at, item->len));
    }
    sp_jw_end(&w);
    if (last != NULL)
        sp_jw_id(&w, "next", last->b);
    else
        sp_jw_null(&w, "next");
    sp_jw_end(&w);
    relay_reply_json(q->job, SP_OK, &json);
    sp_buf_clear(&json);
}

void relay_reply_no_state(const struct relay_question *q)
{
    struct sp_buf detail;

    sp_buf_init(&detail, 512);
    sp_buf_put_cstr(&detail, "state:");
    for (int i = 0; i < SP_RCPT_STATE_COUNT; i++)
        sp_buf_printf(&detail, " %s,", sp_rcpt_state_name((uint8_t)i));
    sp_buf_put_cstr(&detail, " or quarantined");
    sp_buf_put_u8(&detail, 0);
    relay_reply_error(q->job, SP_E_USAGE, (const char *)detail.ptr);
    sp_buf_clear(&detail);
}

void relay_list(struct relay *r, const struct relay_question *q)
{
    int64_t limit = sp_json_int_of(q->ask, "limit", PAGE_MESSAGES);
    struct sp_queue_query query = {.visit = on_message};
    struct page page = {.q = q, .limit = PAGE_MESSAGES};
    struct sp_id end = {0};
    bool more;

    if (!read_query(q, &query) || limit < 1 || limit > PAGE_MESSAGES) {
        if (query.state < 0 && !query.quarantined_only && sp_json_text_of(q->ask, "state").len > 0)
            relay_reply_no_state(q);
        else
            relay_reply_error(q->job, SP_E_USAGE, "after: a message's id; limit: 1 to 1000");
        return;
    }
    page.limit = (size_t)limit;
    query.arg = &page;
    sp_buf_init(&page.json, (size_t)64 << 20);
    if (sp_json_find(q->ask, "approver_of") != NULL && query.state != SP_RCPT_HELD)
        more = false; /* of others than the held nothing is an approver's */
    else
        more = gather(r, &query, &page, &end);
    reply_page(q, &page, more, &end);
    sp_buf_clear(&page.json);
    sp_free(page.items);
}
